package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of one question.
const (
	// DefaultTimeout is how long all attempts may take together.
	DefaultTimeout = 15 * time.Second
	// MaxReply bounds the body of a reply, in bytes. A balance takes a few hundred.
	MaxReply = 64 << 10

	attempts   = 3
	firstPause = 250 * time.Millisecond
	idleTime   = 90 * time.Second // that a connection is kept for the next question
	// longestRest is the most that a Retry-After is believed.
	longestRest = 24 * time.Hour
)

// ErrBaseURL says that a base URL cannot be used. The URL is not repeated,
// because there may be a secret in it.
var ErrBaseURL = errors.New("the base URL cannot be used")

// Options say where a provider is asked, and how patiently.
type Options struct {
	BaseURL string // scheme and host, and a path before those of the provider, if any
	// PlainHTTP lets secrets travel unencrypted to a host that is not this machine.
	PlainHTTP bool
	Timeout   time.Duration     // of all attempts together; 0 for DefaultTimeout
	Pace      time.Duration     // at least so long between two attempts, by the provider's limit
	Transport http.RoundTripper // nil for one of its own
}

// Asker asks one provider over HTTP.
type Asker struct {
	base    *url.URL
	timeout time.Duration
	pace    time.Duration
	// transport is used without an http.Client, which would follow redirects and
	// so take the secret to another place, or quote their addresses in its errors.
	transport http.RoundTripper
}

// Request is a question. Path is appended to that of the base URL.
type Request struct {
	Method string
	Path   string
	Query  url.Values
	Header http.Header
	Body   []byte
}

// Reply is what came, whole.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Foreign is the error for a reply that is none of this provider's: a page of
// something that stands in between, or half a reply. Where the HTTP status says
// that the provider's side has failed, that is all there is to go by.
func (r *Reply) Foreign() *Error {
	status := Malformed
	if r.Status >= 500 {
		status = ProviderError
	}
	return Errorf(status, "HTTP status %d, with a body that is no reply of this provider's", r.Status)
}

// NewAsker makes an Asker. It refuses a base URL over which secrets would travel
// unencrypted, but to this machine itself or where PlainHTTP says so.
func NewAsker(options Options) (*Asker, error) {
	base, err := url.Parse(options.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("%w: it must be https://HOST", ErrBaseURL)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%w: credentials and parameters do not belong into it", ErrBaseURL)
	}
	if base.Scheme == "http" && !options.PlainHTTP && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("%w: secrets would travel unencrypted to %s; use https, or allow plain HTTP", ErrBaseURL, base.Host)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	transport := options.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DisableCompression:  true, // a few compressed bytes could unfold into more than any limit
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     idleTime,
		}
	}
	timeout := options.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Asker{base: base, timeout: timeout, pace: options.Pace, transport: transport}, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Close closes the connections that are kept for the next question.
func (a *Asker) Close() { (&http.Client{Transport: a.transport}).CloseIdleConnections() }

// Ask sends a request and lets decode say what the reply means. It asks again
// where that can help: the network or the provider failed, or the provider named
// a time after which it answers again, and there is time left. Its errors are *Error.
func (a *Asker) Ask(ctx context.Context, request *Request, decode func(*Reply) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := a.once(ctx, request, decode)
		if err == nil || attempt == attempts || !a.pause(ctx, err, attempt) {
			return err
		}
	}
}

// pause waits before the next attempt; false where there should be none.
func (a *Asker) pause(ctx context.Context, err error, attempt int) bool {
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	wait := rand.N(firstPause << attempt)
	switch failure.Status {
	case ProviderError, Unreachable:
		wait = max(wait, failure.RetryAfter)
	case RateLimited:
		// To ask again without being told when makes it worse.
		if failure.RetryAfter == 0 {
			return false
		}
		wait += failure.RetryAfter
	default:
		return false
	}
	wait = max(wait, a.pace)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once asks once.
func (a *Asker) once(ctx context.Context, request *Request, decode func(*Reply) error) error {
	target := *a.base
	target.Path += request.Path
	target.RawQuery = request.Query.Encode()
	r, err := http.NewRequestWithContext(ctx, request.Method, target.String(), bytes.NewReader(request.Body))
	if err != nil {
		return Errorf(InvalidRequest, "the request cannot be made")
	}
	maps.Copy(r.Header, request.Header)
	r.Header.Set("User-Agent", "saldo")
	response, err := a.transport.RoundTrip(r)
	if err != nil {
		return unreachable(err)
	}
	defer response.Body.Close() //nolint:errcheck // What was read counts.
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return Errorf(Malformed, "the provider redirects to another place, where the secret is not sent")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxReply+1))
	switch {
	case err != nil:
		return unreachable(err)
	case len(body) > MaxReply:
		return Errorf(Malformed, "the reply is longer than %d bytes", MaxReply)
	}
	err = decode(&Reply{Status: response.StatusCode, Header: response.Header, Body: body})
	if failure, ok := errors.AsType[*Error](err); ok && failure.RetryAfter == 0 {
		failure.RetryAfter = retryAfter(response.Header)
	}
	return err
}

// unreachable says why nothing came. It quotes what the network and TLS say. What
// net/http says may hold what the peer sent, and a peer may send the secret back.
func unreachable(err error) error {
	network, isNetwork := errors.AsType[*net.OpError](err)
	certificate, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	record, isRecord := errors.AsType[tls.RecordHeaderError](err)
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch {
	case isTimeout && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded):
		return Errorf(Unreachable, "no reply in time")
	case errors.Is(err, context.Canceled):
		return Errorf(Unreachable, "the question was taken back")
	case isNetwork:
		return Errorf(Unreachable, "%v", network)
	case isCertificate:
		return Errorf(Unreachable, "%v", certificate)
	case isRecord:
		return Errorf(Unreachable, "%v", record)
	default:
		return Errorf(Unreachable, "the connection ended early, or what came is no HTTP")
	}
}

// retryAfter reads the header Retry-After of RFC 9110: seconds, or a date.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRest)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), longestRest)
	}
	return 0
}
