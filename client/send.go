package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// Limits of one exchange and of the waits between attempts. A server that asks
// for more than longestWait is left to the caller, who knows what else to do.
const (
	maxReply    = 32 << 20 // a page of accounts that all carry as much as they may is half of it
	firstWait   = 100 * time.Millisecond
	longestWait = 30 * time.Second
)

// sender sends requests of the generated client and hands back only replies
// that are a success.
type sender struct {
	http          *http.Client
	authorization string
	attempts      int
}

// repeatableKey marks the context of a request that may be sent twice although
// neither its method nor a header says so.
type repeatableKey struct{}

// repeatable marks a request each of whose items has a name of its own, by
// which the ledger knows it again.
func repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey{}, true)
}

// Do sends the request, several times where that is needed and harmless. The
// body of the reply has been read.
func (s *sender) Do(req *http.Request) (*http.Response, error) { return s.send(req, s.once) }

// send makes an exchange until it succeeds, or must not be made again.
func (s *sender) send(req *http.Request, exchange func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	ctx := req.Context()
	s.sign(req)
	for attempt := 1; ; attempt++ {
		resp, err := exchange(req)
		if err == nil {
			return resp, nil
		}
		wait, again := s.again(req, err, attempt)
		if !again {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w while waiting to try again)", err, context.Cause(ctx))
		}
	}
}

// sign gives a request the key, and says what it takes unless it says so itself.
func (s *sender) sign(req *http.Request) {
	req.Header.Set("Authorization", s.authorization)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json, application/problem+json")
	}
}

// once makes one exchange and reads the reply. The request is copied, because a
// transport may still read the body of an attempt that has failed.
func (s *sender) once(req *http.Request) (*http.Response, error) {
	attempt := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("saldo: %w", err)
		}
		attempt.Body = body
	}
	resp, err := s.http.Do(attempt)
	if err != nil {
		return nil, fmt.Errorf("saldo: %w", err)
	}
	body, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if len(body) > maxReply {
		return nil, unexpected(resp.StatusCode, fmt.Sprintf("it is over %d bytes", maxReply))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// open makes one exchange and leaves the body of a success to the caller. Only
// the time until the reply begins is limited; 0 is no limit.
func (s *sender) open(req *http.Request, limit time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	if limit > 0 {
		slow := time.AfterFunc(limit, func() { cancel(fmt.Errorf("no reply within %s", limit)) })
		defer slow.Stop()
	}
	unlimited := *s.http
	unlimited.Timeout = 0
	resp, err := unlimited.Do(req.Clone(ctx))
	if err != nil {
		cancel(nil)
		return nil, fmt.Errorf("saldo: %w", err)
	}
	if !success(resp) {
		defer cancel(nil)
		_, err := readAll(resp)
		return nil, err
	}
	resp.Body = &openBody{resp.Body, cancel}
	return resp, nil
}

// openBody frees what its exchange holds when it is closed.
type openBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *openBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

func success(resp *http.Response) bool { return resp.StatusCode >= 200 && resp.StatusCode <= 299 }

// readAll reads and closes the body of a success; another reply is an *Error.
func readAll(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	_ = resp.Body.Close() // what a close could report, the read has reported
	if err != nil {
		return nil, fmt.Errorf("saldo: reading the reply: %w", err)
	}
	if !success(resp) {
		return nil, problem(resp, body)
	}
	return body, nil
}

// again tells whether a failed request is to be sent again, and after what wait.
func (s *sender) again(req *http.Request, err error, attempt int) (time.Duration, bool) {
	repeatable := req.Method == http.MethodGet || req.Header.Get("Idempotency-Key") != "" || req.Context().Value(repeatableKey{}) != nil
	if !repeatable || attempt >= s.attempts || req.Context().Err() != nil {
		return 0, false
	}
	wait := min(firstWait<<min(attempt-1, 16), longestWait)
	// Half of the wait is random, so that clients which failed together do not come back together.
	wait = wait/2 + rand.N(wait/2)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return 0, false // a certificate does not become right by asking again
	}
	if reply, ok := errors.AsType[*Error](err); ok {
		if !reply.Temporary() || reply.RetryAfter > longestWait {
			return 0, false
		}
		wait += reply.RetryAfter
	}
	return wait, true
}

// read decodes the reply to an exchange that sender has made.
func read[T any](resp *http.Response, err error) (T, error) {
	var value T
	if err != nil {
		return value, err
	}
	if json.NewDecoder(resp.Body).Decode(&value) != nil {
		var none T
		return none, unexpected(resp.StatusCode, "it is not the JSON of the contract")
	}
	return value, nil
}
