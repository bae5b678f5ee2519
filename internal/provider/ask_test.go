package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "S3CR3T"

// pipes is a network of one server. Under synctest, its time is the test's own.
type pipes struct {
	conns chan net.Conn
	down  chan struct{}
	// refused is how many calls find nobody before one is answered.
	refused atomic.Int32
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.down:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.down); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != "127.0.0.1:80" {
		return nil, fmt.Errorf("%s was called", address)
	}
	if p.refused.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), down: make(chan struct{})} }

// over makes an Asker whose calls go through the network.
func over(t *testing.T, p *pipes, timeout time.Duration) *Asker {
	t.Helper()
	asker, err := NewAsker(Options{BaseURL: "http://127.0.0.1", Timeout: timeout, Transport: &http.Transport{DialContext: p.dial}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(asker.Close)
	return asker
}

// serve answers on a network of its own until the test is over.
func serve(t *testing.T, handler http.HandlerFunc) *pipes {
	t.Helper()
	p := newPipes()
	server := &http.Server{Handler: handler}
	served := make(chan error)
	go func() { served <- server.Serve(p) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return p
}

// decode takes a body that is a status for the outcome, as a dialect takes a code.
func decode(reply *Reply) error {
	if status := Status(reply.Body); status != OK {
		return &Error{Status: status, Code: fmt.Sprint(reply.Status)}
	}
	return nil
}

var question = &Request{Method: http.MethodPost, Path: "/balance", Query: url.Values{"key": {secret}}, Body: []byte(secret)}

// check wants a failure, with the status and without the secret.
func check(t *testing.T, err error, want Status, message string) *Error {
	t.Helper()
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Status != want || !strings.Contains(err.Error(), message) {
		t.Fatalf("got %v, want %s: %s", err, want, message)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
		t.Fatalf("the secret is in %v", err)
	}
	return failure
}

// answer is one reply: the status for the outcome, and when to come back.
type answer struct{ status, retryAfter string }

// TestRetries says which outcomes are asked for again, how often, and when.
func TestRetries(t *testing.T) {
	t.Parallel()
	const (
		ok, failed, limited = string(OK), string(ProviderError), string(RateLimited)
		pause               = firstPause << (attempts - 1) // the longest of the two
	)
	// The clock of a test starts at the same moment each time.
	date := func(in time.Duration) string {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(in).Format(http.TimeFormat)
	}
	tests := []struct {
		name     string
		answers  []answer // the last one for all that follow
		asked    int
		least    time.Duration // that all takes, and the most is two pauses more
		want     string
		wantRest time.Duration
	}{
		{"ok", []answer{{ok, ""}}, 1, 0, ok, 0},
		{"ok with a time", []answer{{ok, "60"}}, 1, 0, ok, 0},
		{"provider_error", []answer{{failed, ""}}, 3, 0, failed, 0},
		{"provider_error, then ok", []answer{{failed, ""}, {ok, ""}}, 2, 0, ok, 0},
		{"provider_error, then unauthorized", []answer{{failed, ""}, {string(Unauthorized), ""}}, 2, 0, string(Unauthorized), 0},
		{"provider_error with seconds", []answer{{failed, "3"}, {ok, ""}}, 2, 3 * time.Second, ok, 0},
		{"provider_error with too many seconds", []answer{{failed, "16"}}, 1, 0, failed, 16 * time.Second},
		{"provider_error with seconds each time", []answer{{failed, "5"}}, 3, 10 * time.Second, failed, 5 * time.Second},
		{"rate_limited", []answer{{limited, ""}}, 1, 0, limited, 0},
		{"rate_limited with seconds", []answer{{limited, "2"}, {ok, ""}}, 2, 2 * time.Second, ok, 0},
		{"rate_limited with a date", []answer{{limited, date(4 * time.Second)}, {ok, ""}}, 2, 4 * time.Second, ok, 0},
		{"rate_limited for longer than there is time", []answer{{limited, "60"}}, 1, 0, limited, time.Minute},
		{"rate_limited until a date that is too far", []answer{{limited, date(time.Hour)}}, 1, 0, limited, time.Hour},
		{"rate_limited until a date in the past", []answer{{limited, date(-time.Hour)}}, 1, 0, limited, 0},
		{"rate_limited for centuries", []answer{{limited, "Fri, 31 Dec 9999 23:59:59 GMT"}}, 1, 0, limited, 24 * time.Hour},
		{"rate_limited for many seconds", []answer{{limited, "2147483647"}}, 1, 0, limited, 24 * time.Hour},
		{"rate_limited for no seconds", []answer{{limited, "0"}}, 1, 0, limited, 0},
		{"rate_limited for fewer than none", []answer{{limited, "-1"}}, 1, 0, limited, 0},
		{"rate_limited for a number that overflows", []answer{{limited, "9223372036854775807"}}, 1, 0, limited, 0},
		{"rate_limited for nonsense", []answer{{limited, "soon"}}, 1, 0, limited, 0},
		{"unauthorized", []answer{{string(Unauthorized), ""}}, 1, 0, string(Unauthorized), 0},
		{"ip_denied", []answer{{string(IPDenied), "1"}}, 1, 0, string(IPDenied), time.Second},
		{"suspended", []answer{{string(Suspended), ""}}, 1, 0, string(Suspended), 0},
		{"invalid_request", []answer{{string(InvalidRequest), ""}}, 1, 0, string(InvalidRequest), 0},
		{"malformed", []answer{{string(Malformed), ""}}, 1, 0, string(Malformed), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				p := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != secret {
						t.Errorf("attempt %d: body %q, %v", asked, body, err)
					}
					next := tt.answers[min(asked, len(tt.answers)-1)]
					asked++
					if next.retryAfter != "" {
						w.Header().Set("Retry-After", next.retryAfter)
					}
					io.WriteString(w, next.status)
				})
				began := time.Now()
				err := over(t, p, 0).Ask(t.Context(), question, decode)
				if took := time.Since(began); asked != tt.asked || took < tt.least || took > tt.least+2*pause {
					t.Errorf("asked %d times in %v, want %d in at least %v", asked, took, tt.asked, tt.least)
				}
				if tt.want == ok {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if failure := check(t, err, Status(tt.want), ""); failure.RetryAfter != tt.wantRest {
					t.Errorf("leave alone for %v, want %v", failure.RetryAfter, tt.wantRest)
				}
			})
		})
	}
}

// TestPace: attempts are as far apart as the provider's limit wants, though the
// pause between them would be shorter, and there are fewer where time is short.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked = append(asked, time.Now())
			io.WriteString(w, string(ProviderError))
		})
		asker := over(t, p, 15*time.Second)
		asker.pace = 6 * time.Second
		check(t, asker.Ask(t.Context(), question, decode), ProviderError, "")
		if len(asked) != 3 || asked[1].Sub(asked[0]) != asker.pace || asked[2].Sub(asked[1]) != asker.pace {
			t.Errorf("asked at %v", asked)
		}
		asked, asker.pace = nil, 20*time.Second
		check(t, asker.Ask(t.Context(), question, decode), ProviderError, "")
		if len(asked) != 1 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}

// TestJitter: those who failed together do not come back together.
func TestJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pauses := map[time.Duration]bool{}
		var first time.Time
		p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if first.IsZero() {
				first = time.Now()
				io.WriteString(w, string(ProviderError))
				return
			}
			pauses[time.Since(first)] = true
			first = time.Time{}
			io.WriteString(w, string(OK))
		})
		asker := over(t, p, 0)
		for range 10 {
			if err := asker.Ask(t.Context(), question, decode); err != nil {
				t.Fatal(err)
			}
		}
		if len(pauses) < 5 {
			t.Errorf("the pauses are %v", pauses)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	for refused, want := range map[int32]Status{1: OK, 2: OK, 3: Unreachable} {
		synctest.Test(t, func(t *testing.T) {
			p := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, string(OK)) })
			p.refused.Store(refused)
			err := over(t, p, 0).Ask(t.Context(), question, decode)
			if want != OK {
				check(t, err, want, "connection refused")
			} else if err != nil {
				t.Errorf("refused %d times: %v", refused, err)
			}
		})
	}
}

// TestDeadline: a provider that hangs, before its reply or within it, takes the
// time that it is given and no more.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"no reply":     func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"half a reply": func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); drip(w, r, 1) },
		"drop by drop": func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); drip(w, r, 1000) },
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprint(name, own), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					// The caller's deadline counts, too, if it comes first.
					ctx, timeout, want := t.Context(), time.Duration(0), DefaultTimeout
					if own {
						timeout = time.Minute
						want = 7 * time.Second
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, want)
						defer cancel()
					}
					began := time.Now()
					err := over(t, serve(t, handler), timeout).Ask(ctx, question, decode)
					check(t, err, Unreachable, "no reply in time")
					if took := time.Since(began); took != want {
						t.Errorf("gave up after %v, want %v", took, want)
					}
				})
			})
		}
	}
}

// drip sends some bytes, one a second, and then nothing.
func drip(w http.ResponseWriter, r *http.Request, bytes int) {
	for range bytes {
		io.WriteString(w, "o")
		w.(http.Flusher).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
	<-r.Context().Done()
}

// TestCancel: whoever takes the question back is not kept waiting, neither for a
// reply nor between two attempts.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    Status
	}{
		"in a question": {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, Unreachable},
		"in a pause": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "10")
			io.WriteString(w, string(ProviderError))
		}, ProviderError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				p := serve(t, func(w http.ResponseWriter, r *http.Request) { asked++; test.handler(w, r) })
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(2*time.Second, cancel)
				began := time.Now()
				err := over(t, p, 0).Ask(ctx, question, decode)
				check(t, err, test.want, "")
				took := time.Since(began)
				synctest.Wait() // for the server to be done with the question
				if took != 2*time.Second || asked != 1 {
					t.Errorf("asked %d times in %v", asked, took)
				}
				check(t, over(t, p, 0).Ask(ctx, question, decode), Unreachable, "taken back")
				if asked != 1 {
					t.Error("asked in a context that was over")
				}
			})
		})
	}
}

func TestReplySize(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size     int
		announce bool
		want     Status
	}{
		"empty":              {0, true, OK},
		"largest":            {MaxReply, true, OK},
		"too long":           {MaxReply + 1, true, Malformed},
		"largest in chunks":  {MaxReply, false, OK},
		"too long in chunks": {MaxReply + 1, false, Malformed},
		"without an end":     {1 << 40, false, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if test.announce {
						w.Header().Set("Content-Length", fmt.Sprint(test.size))
					}
					for sent < test.size {
						n, err := w.Write(make([]byte, min(test.size-sent, 4<<10)))
						if sent += n; err != nil {
							return
						}
					}
				})
				decoded := -1
				err := over(t, p, 0).Ask(t.Context(), question, func(reply *Reply) error { decoded = len(reply.Body); return nil })
				if test.want == OK {
					if err != nil || decoded != test.size {
						t.Errorf("%d bytes, %v", decoded, err)
					}
					return
				}
				check(t, err, test.want, "longer than 65536 bytes")
				synctest.Wait()
				if decoded >= 0 || sent > MaxReply+64<<10 {
					t.Errorf("%d bytes were decoded, %d sent", decoded, sent)
				}
			})
		})
	}
}

// TestRedirects: none is followed, whatever it points to, and none is quoted.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, location := range []string{
			"http://elsewhere.example/balance?key=" + secret, "/balance?key=" + secret, "//elsewhere.example", "http://[::1/?key=" + secret, "%zz" + secret, "",
		} {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				p := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					asked++
					if location != "" {
						w.Header().Set("Location", location)
					}
					w.WriteHeader(status)
				})
				err := over(t, p, 0).Ask(t.Context(), question, decode)
				check(t, err, Malformed, "redirects to another place")
				if asked != 1 {
					t.Errorf("%d %s: asked %d times", status, location, asked)
				}
			})
		}
	}
}

// TestNoHTTP: a peer that is none of the provider's may send back what it was
// sent. No error quotes it.
func TestNoHTTP(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]func(conn net.Conn, line string){
		"an echo":  func(conn net.Conn, line string) { io.WriteString(conn, line) },
		"a status": func(conn net.Conn, line string) { io.WriteString(conn, "HTTP/1.1 "+line) },
		"a header": func(conn net.Conn, line string) { io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+line+"\r\n\r\n") },
		"a length": func(conn net.Conn, line string) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+line+"\r\n\r\n")
		},
		"a coding": func(conn net.Conn, line string) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+line+"\r\n\r\n")
		},
		"a chunk": func(conn net.Conn, line string) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+line)
		},
		"nothing":         func(net.Conn, string) {},
		"half a reply":    func(conn net.Conn, _ string) { io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok") },
		"another version": func(conn net.Conn, line string) { io.WriteString(conn, "HTTP/9.9 200 "+line) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPipes()
				asker := over(t, p, 0)
				asked := make(chan error)
				go func() { asked <- asker.Ask(t.Context(), question, decode) }()
				for {
					select {
					case conn := <-p.conns:
						r, err := http.ReadRequest(bufio.NewReader(conn))
						if err != nil {
							t.Error(err)
						}
						io.Copy(io.Discard, r.Body)
						reply(conn, r.RequestURI+"\r\n")
						conn.Close()
					case err := <-asked:
						check(t, err, Unreachable, "the connection ended early, or what came is no HTTP")
						return
					}
				}
			})
		})
	}
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"https://api.example", "HTTPS://api.example:8443/", "https://api.example/v1/", "https://203.0.113.9", "https://[2001:db8::1]:8443",
		"http://localhost:8080", "http://127.0.0.1", "http://127.9.9.9:1", "http://[::1]:8080", "http://[::ffff:127.0.0.1]",
	} {
		if asker, err := NewAsker(Options{BaseURL: base}); err != nil || asker.timeout != DefaultTimeout {
			t.Errorf("%s: %v", base, err)
		}
	}
	plain := []string{
		"http://api.example", "http://203.0.113.9", "http://10.0.0.1", "http://0.0.0.0", "http://[::]", "http://localhost.example", "http://127.0.0.1.example",
		"http://localhost@api.example", "http://127.1", "http://2130706433",
	}
	never := []string{
		"", "api.example", "//api.example", "/path", "https://", "https:api.example", "ftp://api.example", "file:///etc/passwd", "unix:///run/x",
		"https://user:" + secret + "@api.example", "https://" + secret + "@api.example", "https://api.example?key=" + secret, "https://api.example#" + secret,
		"https://api.example:" + secret, "https://%zz" + secret, "https://a b" + secret, "https://api.example/\x7f" + secret,
	}
	for _, base := range append(plain, never...) {
		if _, err := NewAsker(Options{BaseURL: base}); !errors.Is(err, ErrBaseURL) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", base, err)
		}
	}
	for _, base := range plain[:7] {
		if _, err := NewAsker(Options{BaseURL: base, PlainHTTP: true}); err != nil {
			t.Errorf("%s where plain HTTP is allowed: %v", base, err)
		}
	}
	for _, base := range never {
		if _, err := NewAsker(Options{BaseURL: base, PlainHTTP: true}); !errors.Is(err, ErrBaseURL) {
			t.Errorf("%s where plain HTTP is allowed: %v", base, err)
		}
	}
}

// TestWhatIsSent looks at a request as the provider gets it, over a transport of
// the Asker's own.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Reply", "yes")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	}))
	defer server.Close()
	asker, err := NewAsker(Options{BaseURL: server.URL + "/gate/"})
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	request := &Request{
		Method: http.MethodPut, Path: "/a b/balance", Query: url.Values{"q": {"1&2"}}, Header: http.Header{"Authorization": {"Basic x"}}, Body: []byte("body"),
	}
	var reply *Reply
	if err := asker.Ask(t.Context(), request, func(r *Reply) error { reply = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if reply.Status != http.StatusTeapot || reply.Header.Get("X-Reply") != "yes" || string(reply.Body) != "short and stout" {
		t.Errorf("the reply is %+v", reply)
	}
	if got.Method != http.MethodPut || got.RequestURI != "/gate/a%20b/balance?q=1%262" || string(body) != "body" {
		t.Errorf("sent %s %s %q", got.Method, got.RequestURI, body)
	}
	// No Accept-Encoding: what is compressed could unfold beyond the limit.
	want := http.Header{"Authorization": {"Basic x"}, "Content-Length": {"4"}, "User-Agent": {"saldo"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if len(request.Header) != 1 {
		t.Errorf("the request was changed: %v", request.Header)
	}
}

// TestTLS: a certificate that does not fit, or no TLS at all, and the secret is
// not sent.
func TestTLS(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); io.WriteString(w, string(OK)) })
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.Start()
	defer plain.Close()
	trusting := func(name string) *http.Transport {
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.ServerName = name
		return transport
	}
	t.Run("refused", func(t *testing.T) {
		for name, test := range map[string]struct {
			options Options
			want    string
		}{
			"unknown authority": {Options{BaseURL: server.URL}, "certificate"},
			"another name":      {Options{BaseURL: server.URL, Transport: trusting("another.test")}, "certificate"},
			"old version": {Options{BaseURL: server.URL, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			}}, "tls"},
			"no TLS": {Options{BaseURL: "https" + strings.TrimPrefix(plain.URL, "http")}, "does not look like a TLS handshake"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				asker, err := NewAsker(test.options)
				if err != nil {
					t.Fatal(err)
				}
				defer asker.Close()
				check(t, asker.Ask(t.Context(), question, decode), Unreachable, test.want)
			})
		}
	})
	if asked.Load() > 0 {
		t.Error("the question was sent all the same")
	}
	asker, err := NewAsker(Options{BaseURL: server.URL, Transport: trusting("example.com")})
	if err != nil {
		t.Fatal(err)
	}
	defer asker.Close()
	if err := asker.Ask(t.Context(), question, decode); err != nil || asked.Load() != 1 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
}
