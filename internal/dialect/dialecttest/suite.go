// Package dialecttest is the one suite that the clients of all providers pass,
// and fakes of those providers, for it and for tests of more than a client.
package dialecttest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// timeout is for what is meant to come to its end by itself.
const timeout = time.Minute

// Client is what a dialect's NewClient makes.
type Client interface {
	provider.Client
	Close()
}

// Dialect is what the suite needs to know of a provider.
type Dialect struct {
	// DefaultBaseURL is the provider's. Its path stands before that of the request.
	DefaultBaseURL string
	// New makes a client with the secrets, or with other ones.
	New     func(options provider.Options, secrets []string) (Client, error)
	Secrets []string
	// Decode is the codec alone.
	Decode func(*provider.Reply) (*provider.Balance, error)
	// Fake knows the account of Secrets; Balance is what it tells.
	Fake    http.Handler
	Balance *provider.Balance
	// Echo is a failure in the provider's format, with %s where its message is.
	Echo    string
	Replies []Reply
	// Coded says that a code in the body decides, whatever the HTTP status is, and
	// that a failure is told in the words of a table, and not in the provider's.
	Coded bool
}

// Reply is a documented reply, and what it means.
type Reply struct {
	File   string // below testdata, or
	Body   string // the reply itself
	HTTP   int    // the status, 0 for 200
	Header http.Header
	Want   *provider.Balance
	// Err has the status, the code, a part of the message, and the wait of what is no balance.
	Err provider.Error
}

// Run runs the suite.
func Run(t *testing.T, d *Dialect) {
	t.Run("Fake", d.testFake)
	t.Run("Replies", d.testReplies)
	t.Run("CutOff", d.testCutOff)
	t.Run("Faults", d.testFaults)
	t.Run("Hang", d.testHang)
	t.Run("Redirect", d.testRedirect)
	t.Run("Secrets", d.testSecrets)
	t.Run("Credentials", d.testCredentials)
}

// ask asks a handler that listens on the loopback.
func (d *Dialect) ask(t *testing.T, handler http.Handler, secrets []string, limit time.Duration) (*provider.Balance, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	client, err := d.New(provider.Options{BaseURL: d.baseURL(t, server.URL), Timeout: limit}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	balance, err := client.Balance(t.Context())
	if (balance == nil) == (err == nil) {
		t.Errorf("a balance %v and an error %v", balance, err)
	}
	return balance, err
}

// baseURL puts a server in the place of the provider's.
func (d *Dialect) baseURL(t *testing.T, server string) string {
	t.Helper()
	base, err := url.Parse(d.DefaultBaseURL)
	if err != nil {
		t.Fatal(err)
	}
	return server + base.Path
}

func (d *Dialect) testFake(t *testing.T) {
	t.Parallel()
	balance, err := d.ask(t, d.Fake, d.Secrets, timeout)
	if diff := cmp.Diff(d.Balance, balance); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	wrong := slices.Clone(d.Secrets)
	wrong[len(wrong)-1] += "0"
	if _, err := d.ask(t, d.Fake, wrong, timeout); provider.StatusOf(err) != provider.Unauthorized {
		t.Errorf("a wrong secret: %v", err)
	}
}

// static answers everything with one reply.
func static(status int, header http.Header, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// testReplies gives each documented reply to the codec alone, and to the client over HTTP.
func (d *Dialect) testReplies(t *testing.T) {
	t.Parallel()
	for _, tt := range d.Replies {
		body := tt.body(t)
		if tt.HTTP == 0 {
			tt.HTTP = http.StatusOK
		}
		name := fmt.Sprintf("%s%s_%d", tt.File, tt.Err.Code, tt.HTTP)
		t.Run(name+"/codec", func(t *testing.T) {
			balance, err := d.Decode(&provider.Reply{Status: tt.HTTP, Header: tt.Header, Body: []byte(body)})
			tt.check(t, balance, err)
		})
		t.Run(name+"/http", func(t *testing.T) {
			t.Parallel()
			limit := timeout
			if tt.Err.RetryAfter > 0 {
				limit = tt.Err.RetryAfter // so there is not enough time left to wait for it
			}
			balance, err := d.ask(t, static(tt.HTTP, tt.Header, body), d.Secrets, limit)
			tt.check(t, balance, err)
		})
	}
}

func (tt *Reply) check(t *testing.T, balance *provider.Balance, err error) {
	t.Helper()
	if diff := cmp.Diff(tt.Want, balance); diff != "" {
		t.Error(diff)
	}
	if tt.Want != nil {
		if err != nil {
			t.Error(err)
		}
		return
	}
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	if failure.Status != tt.Err.Status || failure.Code != tt.Err.Code || failure.RetryAfter != tt.Err.RetryAfter {
		t.Errorf("got %q, code %q, wait %v; want %q, %q, %v", failure.Status, failure.Code, failure.RetryAfter, tt.Err.Status, tt.Err.Code, tt.Err.RetryAfter)
	}
	if !strings.Contains(failure.Message, tt.Err.Message) {
		t.Errorf("%q does not say %q", failure.Message, tt.Err.Message)
	}
}

func (tt *Reply) body(t *testing.T) string {
	t.Helper()
	if tt.File == "" {
		return tt.Body
	}
	body, err := os.ReadFile(filepath.Join("testdata", tt.File))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// testCutOff cuts every documented reply at every byte. None of the pieces is a balance.
func (d *Dialect) testCutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range d.Replies {
		body := strings.TrimSpace(tt.body(t))
		for end := range len(body) {
			balance, err := d.Decode(&provider.Reply{Status: http.StatusOK, Body: []byte(body[:end])})
			if balance != nil || provider.StatusOf(err) != provider.Malformed {
				t.Fatalf("%s, cut off after %d bytes: %v, %v", body, end, balance, err)
			}
		}
	}
}

// testFaults sends what comes from proxies, portals and broken servers.
func (d *Dialect) testFaults(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><html><body><h1>Please come back later</h1></body></html>"
	tests := []struct {
		name   string
		status int
		body   string
		want   provider.Status
	}{
		{"a page", 200, page, provider.Malformed},
		{"a page for a missing path", 404, page, provider.Malformed},
		{"a page of a firewall", 403, page, provider.Malformed},
		{"a page of a login", 401, page, provider.Unauthorized},
		{"a page of a limit", 429, page, provider.RateLimited},
		{"a page of a gateway", 502, page, provider.ProviderError},
		{"nothing", 200, "", provider.Malformed},
		{"null", 200, "null", provider.Malformed},
		{"an empty object", 200, "{}", provider.Malformed},
		{"a list", 200, "[]", provider.Malformed},
		{"a number", 200, "100.00", provider.Malformed},
		{"two objects", 200, "{}{}", provider.Malformed},
		{"too long", 200, `{"filler":"` + strings.Repeat("x", provider.MaxReply) + `"}`, provider.Malformed},
		{"an empty object with a failure", 500, "{}", provider.ProviderError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := d.ask(t, static(tt.status, nil, tt.body), d.Secrets, timeout); provider.StatusOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("a connection that ends early", func(t *testing.T) {
		t.Parallel()
		cut := static(200, http.Header{"Content-Length": {"1000"}}, `{"`)
		if _, err := d.ask(t, cut, d.Secrets, timeout); provider.StatusOf(err) != provider.Unreachable {
			t.Error(err)
		}
	})
	t.Run("a failure with a balance", func(t *testing.T) {
		t.Parallel()
		success := httptest.NewRecorder()
		forward(t, d, success)
		want := provider.ProviderError
		if d.Coded {
			want = provider.OK
		}
		if _, err := d.ask(t, static(500, nil, success.Body.String()), d.Secrets, timeout); provider.StatusOf(err) != want {
			t.Errorf("%s: %v", success.Body, err)
		}
	})
}

// forward catches what the fake answers to the client.
func forward(t *testing.T, d *Dialect, into *httptest.ResponseRecorder) {
	t.Helper()
	catch := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.Fake.ServeHTTP(into, r)
		w.WriteHeader(into.Code)
		_, _ = w.Write(into.Body.Bytes())
	})
	if _, err := d.ask(t, catch, d.Secrets, timeout); err != nil {
		t.Fatal(err)
	}
}

// testHang asks a server that takes the request and never answers.
func (d *Dialect) testHang(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	server := httptest.NewServer(hang)
	defer server.Close()
	defer close(over)
	client, err := d.New(provider.Options{BaseURL: d.baseURL(t, server.URL), Timeout: 50 * time.Millisecond}, d.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if _, err := client.Balance(ctx); provider.StatusOf(err) != provider.Unreachable || ctx.Err() != nil {
		t.Error(err)
	}
}

// testRedirect makes sure that a secret is not taken to another place.
func (d *Dialect) testRedirect(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the client followed")
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		if _, err := d.ask(t, static(status, http.Header{"Location": {other.URL}}, ""), d.Secrets, timeout); provider.StatusOf(err) != provider.Malformed {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// testSecrets asks a server that repeats in its failure all that it was sent.
func (d *Dialect) testSecrets(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		sent := []string{r.URL.String(), string(body), user + ":" + password}
		for _, values := range r.Header {
			sent = append(sent, values...)
		}
		text := strings.ReplaceAll(strings.Join(append(sent, d.Secrets...), " "), `"`, `'`)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, strings.Replace(d.Echo, "%s", text, 1)) //nolint:gosec // to repeat what came is the point
	})
	_, err := d.ask(t, echo, d.Secrets, timeout)
	d.silent(t, err)
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || !d.Coded && !strings.Contains(failure.Message, "[hidden]") {
		t.Errorf("the echo did not arrive: %v", err)
	}
	// Whoever cannot be reached is not told of either.
	server := httptest.NewServer(nil)
	server.Close()
	client, err := d.New(provider.Options{BaseURL: d.baseURL(t, server.URL)}, d.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Balance(t.Context())
	if provider.StatusOf(err) != provider.Unreachable {
		t.Error(err)
	}
	d.silent(t, err)
}

// silent checks that an error has no secret in it, nor a form in which one is sent.
func (d *Dialect) silent(t *testing.T, err error) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, secret := range d.Secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))[:8]} {
			if strings.Contains(text, form) {
				t.Errorf("the error has the secret %q: %s", form, text)
			}
		}
	}
}

// testCredentials makes clients that cannot work.
func (d *Dialect) testCredentials(t *testing.T) {
	t.Parallel()
	for i := range d.Secrets {
		for _, bad := range []string{"", d.Secrets[i] + "\n", "a\x00b"} {
			secrets := slices.Clone(d.Secrets)
			secrets[i] = bad
			client, err := d.New(provider.Options{}, secrets)
			if err == nil {
				client.Close()
				t.Errorf("%q is taken for a credential", bad)
				continue
			}
			d.silent(t, err)
		}
	}
	for _, base := range []string{"http://provider.example", "ftp://127.0.0.1", "https://user:pass@provider.example", "provider.example"} {
		if client, err := d.New(provider.Options{BaseURL: base}, d.Secrets); err == nil {
			client.Close()
			t.Errorf("%s is taken for a base URL", base)
		}
	}
	client, err := d.New(provider.Options{}, d.Secrets)
	if err != nil {
		t.Fatalf("the default base URL: %v", err)
	}
	client.Close()
}
