package saldotest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/client"
)

// patience is how long a server may take to start or to stop. It is long,
// because it only ever passes where something is wrong.
const patience = time.Minute

// Server is a running "saldo serve".
type Server struct {
	URL string
	// Demo is what a demo printed; "" for a server of a ledger.
	Demo string

	tb        testing.TB
	command   *exec.Cmd
	log       *capture
	exited    chan struct{}
	transport *http.Transport
	requests  atomic.Int64
	secrets   []string
	counted   bool // all requests are sent through the Server
	over      bool
}

// Start runs "saldo serve" with the arguments, on a free port of this machine,
// and waits until it serves. The test stops it at its end, if not before.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := Launch(tb, args...)
	s.Await()
	return s
}

// Launch is Start without the wait.
func Launch(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := LaunchIn(tb, "", Environment(), append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	s.counted = true
	return s
}

// LaunchIn runs "saldo serve" with these arguments alone, in a folder and an
// environment. Its log may have any format, and lines for requests of others.
func LaunchIn(tb testing.TB, folder string, environment []string, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, log: newCapture(), exited: make(chan struct{}), transport: new(http.Transport)}
	// The process must outlive the context of the test, which ends before the clean-up.
	s.command = exec.Command(Binary(tb), append([]string{"serve"}, args...)...)
	s.hidePasswords(args)
	s.command.Dir, s.command.Env = folder, environment
	s.command.Stdout, s.command.Stderr = s.log, s.log
	if err := s.command.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		_ = s.command.Wait() // Stop looks at the exit status.
		close(s.exited)
	}()
	tb.Cleanup(s.Stop)
	return s
}

var (
	serving     = regexp.MustCompile(`(?:"msg":"serving","url":"|msg=serving url=)(https?://[^" ]+)`)
	servingDemo = regexp.MustCompile(`Saldo is serving a demo ledger at (http://\S+)\n[^$]*\n# The ledger is thrown away.*\n`)
)

// Await waits until the server serves.
func (s *Server) Await() {
	s.tb.Helper()
	deadline := time.After(patience)
	for {
		grown := s.log.grown()
		text := s.log.text()
		if match := serving.FindStringSubmatch(text); match != nil {
			s.URL = match[1]
			return
		}
		if match := servingDemo.FindStringSubmatch(text); match != nil {
			s.URL, s.Demo = match[1], text
			return
		}
		select {
		case <-grown:
		case <-s.exited:
			s.tb.Fatalf("the server ended before it served: %s\n%s", s.command.ProcessState, s.log.text())
		case <-deadline:
			s.tb.Fatalf("the server does not start\n%s", s.log.text())
		}
	}
}

// Stop ends the server with SIGTERM and checks that it went well: the exit
// status is 0, and the log has a line for each request and no secret. It does
// nothing when the server has ended already.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.over {
		return
	}
	s.end(syscall.SIGTERM)
	if status := s.command.ProcessState.ExitCode(); status != 0 {
		s.tb.Errorf("the server stopped with %s\n%s", s.command.ProcessState, s.log.text())
	}
	s.checkLog()
}

// Kill ends the server with SIGKILL, as a crash does.
func (s *Server) Kill() {
	s.tb.Helper()
	s.end(syscall.SIGKILL)
}

// Signal sends a signal to the server, which goes on: SIGHUP, or SIGSTOP to let
// it hang until SIGCONT.
func (s *Server) Signal(signal syscall.Signal) {
	s.tb.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) end(signal syscall.Signal) {
	s.tb.Helper()
	s.over = true
	if err := s.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Fatal(err)
	}
	// Connections that only wait would keep the server from stopping.
	s.transport.CloseIdleConnections()
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.command.Process.Kill() // The test fails anyway.
		s.tb.Fatalf("the server does not stop\n%s", s.log.text())
	}
}

// checkLog reads the whole log. A demo prints its keys.
func (s *Server) checkLog() {
	s.tb.Helper()
	if s.Demo != "" {
		return
	}
	text := s.log.text()
	for _, secret := range append(s.secrets, Secret) {
		if at := strings.Index(text, secret); at >= 0 {
			s.tb.Errorf("the log has a secret: …%s…", text[max(0, at-200):min(len(text), at+200)])
		}
	}
	if !s.counted {
		return
	}
	var requests int64
	for line := range strings.Lines(text) {
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			s.tb.Errorf("not a line of the log: %s", line)
		}
		if entry.Msg == "request" {
			requests++
		}
	}
	if sent := s.requests.Load(); requests != sent {
		s.tb.Errorf("the log has %d lines for %d requests", requests, sent)
	}
}

// Log is what the server has logged so far. A line may come a tenth of a second late.
func (s *Server) Log() string { return s.log.text() }

// AwaitLog waits until the log contains a text as often as it is wanted.
func (s *Server) AwaitLog(text string, times int) {
	s.tb.Helper()
	deadline := time.After(patience)
	for {
		grown := s.log.grown()
		if strings.Count(s.log.text(), text) >= times {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			s.tb.Fatalf("the log does not have %s %d times\n%s", text, times, s.log.text())
		}
	}
}

// Hide adds to what the log may not contain.
func (s *Server) Hide(secrets ...string) { s.secrets = append(s.secrets, secrets...) }

// hidePasswords hides those in URLs, such as that of the ledger.
func (s *Server) hidePasswords(args []string) {
	for _, arg := range args {
		if location, err := url.Parse(arg); err == nil {
			if password, ok := location.User.Password(); ok {
				s.Hide(password)
			}
		}
	}
}

// Count adds requests that were not sent through the Server.
func (s *Server) Count(requests int64) { s.requests.Add(requests) }

// RoundTrip sends a request to the server; Server is an http.RoundTripper.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	return s.transport.RoundTrip(r)
}

// Client makes a client with a key. It does not retry, so that tests see every reply.
func (s *Server) Client(key string, options ...client.Option) *client.Client {
	s.tb.Helper()
	s.Hide(strings.TrimPrefix(key, ":"))
	c, err := client.New(s.URL, key, append([]client.Option{client.WithTransport(s), client.WithAttempts(1)}, options...)...)
	if err != nil {
		s.tb.Fatal(err)
	}
	return c
}

// Reply is a reply as it came.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Send sends a request and gives the reply as it came; a redirect is not
// followed. Headers are pairs of names and values.
func (s *Server) Send(tb testing.TB, method, path, body string, headers ...string) Reply {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	reply, err := Exchange(s, r)
	if err != nil {
		tb.Fatal(err)
	}
	return reply
}

// Exchange sends a request and reads the whole reply.
func Exchange(transport http.RoundTripper, r *http.Request) (Reply, error) {
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return Reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, resp.Header, string(body)}, errors.Join(err, resp.Body.Close())
}

// capture keeps what a process prints.
type capture struct {
	mu     sync.Mutex
	output strings.Builder
	change chan struct{} // closed at the next write
}

func newCapture() *capture { return &capture{change: make(chan struct{})} }

// Write takes some output.
func (c *capture) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.change)
	c.change = make(chan struct{})
	return c.output.Write(b)
}

func (c *capture) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// grown gives a channel that is closed when there is more.
func (c *capture) grown() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change
}
