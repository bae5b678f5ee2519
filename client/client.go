// Package client is the Go client of Saldo's REST API.
//
// It takes the parts that every program gets wrong once: a movement of money is
// sent again only with the idempotency key that it had before, a busy server is
// given the time that it asks for, and a secret goes to no other host.
//
// Requests and replies are the types of package api. Money is an exact decimal
// string in units of the account's currency, such as "18.383", and never a float.
// Times are RFC 3339. A member of a request that is a pointer may be left out;
// new("0.0383") makes one.
//
// A reply that is no success is an *Error, whose Code is to be decided on. A
// method that reads, or that moves money, sends its request several times where
// the connection breaks or the server is busy; all others send it once.
package client

import (
	"encoding/base64"
	"errors"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/client/internal/rest"
)

// Limits of a client. Options change those that a caller may want otherwise.
const (
	attemptTimeout  = 30 * time.Second
	defaultAttempts = 5
	pageSize        = 500 // the largest that the server gives
	idleConns       = 128 // the standard library keeps 2, which starves a busy program
)

// Client calls one Saldo server with one key. It is safe for concurrent use.
type Client struct {
	rest   *rest.Client
	sender *sender
}

// Option changes how a client works.
type Option func(*options)

type options struct {
	plainHTTP bool
	attempts  int
	transport http.RoundTripper
}

// AllowPlainHTTP lets the client send its secret without TLS to a host other
// than this one: to a TLS proxy next to it, for example, on a network that nobody else reads.
func AllowPlainHTTP() Option {
	return func(o *options) { o.plainHTTP = true }
}

// WithAttempts sets how often a request that may be repeated is sent at most; 1
// means that it is never repeated.
func WithAttempts(n int) Option {
	return func(o *options) { o.attempts = n }
}

// WithTransport replaces the HTTP transport, for a private root certificate or
// a pool of another size.
func WithTransport(transport http.RoundTripper) Option {
	return func(o *options) { o.transport = transport }
}

// New makes a client of the server at baseURL, such as https://saldo.example.com.
//
// The key is an auth_secret, or "id:secret". A secret that contains a colon
// itself must be given in the second form.
func New(baseURL, key string, opts ...Option) (*Client, error) {
	o := options{attempts: defaultAttempts}
	for _, opt := range opts {
		opt(&o)
	}
	server, err := checkURL(baseURL, o.plainHTTP)
	if err != nil {
		return nil, err
	}
	authorization, err := authorize(key)
	if err != nil {
		return nil, err
	}
	if o.transport == nil {
		o.transport = defaultTransport()
	}
	s := &sender{
		authorization: authorization,
		attempts:      o.attempts,
		http: &http.Client{
			Transport: o.transport,
			Timeout:   attemptTimeout,
			// A redirect is handed back as a reply, and then refused: to
			// follow it would carry the secret wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	return &Client{rest: &rest.Client{Server: server, Client: s}, sender: s}, nil
}

// checkURL gives the base URL with a slash at its end. Its errors do not repeat
// the URL, in which somebody may have put a password.
func checkURL(baseURL string, plainHTTP bool) (string, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("saldo: the base URL must look like https://saldo.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("saldo: the base URL must not have a user, a query or a fragment (the key is given apart from it)")
	case u.Scheme == "http" && !plainHTTP && !isLoopback(u.Hostname()):
		return "", errors.New("saldo: plain http would show the secret to the network (use https, or allow plain http explicitly)")
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// authorize gives the Authorization header for a key. Its errors do not repeat the key.
func authorize(key string) (string, error) {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("saldo: the key must be visible ASCII characters: an auth_secret, or id:secret")
	}
	if strings.Contains(key, ":") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(key)), nil
	}
	return "Bearer " + key, nil
}

func defaultTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the program has put its own in place
	}
	transport := standard.Clone()
	transport.MaxIdleConnsPerHost = idleConns
	transport.MaxIdleConns = idleConns
	return transport
}

// items turns a reader of one page into a sequence of all items.
func items[T any](page func(cursor *string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for some, err := range pages(page) {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range some {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// pages turns a reader of one page into a sequence of all pages, which ends
// after the first error.
func pages[P any](read func(cursor *string) (page P, next string, err error)) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		for cursor := (*string)(nil); ; {
			page, next, err := read(cursor)
			if !yield(page, err) || err != nil || next == "" {
				return
			}
			cursor = &next
		}
	}
}

// given is the pointer by which the generated client knows a parameter that is
// to be sent; nil for the zero value.
func given[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}
