package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// Error is a reply of the server that is no success. Whatever failed before
// there was a reply is an error of another type.
type Error struct {
	Status int           // of the reply
	Code   api.ErrorCode // what to decide on; "" where the reply does not come from Saldo
	Title  string        // the name of the status
	Detail string        // what went wrong
	Hint   string        // what to do about it; may be ""
	// Transaction is the id of the rejected transaction, where the ledger keeps one.
	Transaction string
	// Index is the place, counted from 0, of the transaction that an atomic batch
	// failed by; nil for any other error.
	Index *int
	// RetryAfter is how long the server asks to be left alone; 0 where it does not say.
	RetryAfter time.Duration
}

// Error gives status, code, detail and hint in one line.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "saldo: %d", e.Status)
	if e.Code != "" {
		text.WriteString(" " + string(e.Code))
	}
	if e.Index != nil {
		fmt.Fprintf(&text, " at index %d", *e.Index)
	}
	text.WriteString(": " + e.Detail)
	if e.Hint != "" {
		text.WriteString(" (" + e.Hint + ")")
	}
	return text.String()
}

// Temporary tells whether the failure may be gone soon, so that the same request
// is worth sending again later: the server is busy, or cannot be reached, or the
// request was too slow on its way.
func (e *Error) Temporary() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// CodeOf is the code of an *Error, also of one that is wrapped; "" for nil and
// for whatever failed before there was a reply of Saldo.
func CodeOf(err error) api.ErrorCode {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Failure makes an *Error of the problem that one item of a batch, a stream or
// a settlement has: what Post would have said of it alone. It is nil for nil.
func Failure(problem *api.Problem) error {
	if problem == nil {
		return nil
	}
	return known(problem)
}

func known(details *api.Problem) *Error {
	return &Error{
		Status: details.Status, Code: details.Code, Title: details.Title, Detail: details.Detail, Hint: details.Hint,
		Transaction: details.Transaction, Index: details.Index,
	}
}

// problem makes the error for a reply that is no success.
func problem(resp *http.Response, body []byte) *Error {
	e := foreign(resp)
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var details api.Problem
	if mediaType == "application/problem+json" && json.Unmarshal(body, &details) == nil {
		e = known(&details)
	}
	e.Status = resp.StatusCode
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return e
}

// foreign makes the error for a reply that Saldo did not write: a proxy's page,
// for example. Nothing of its body is repeated, since it may contain anything.
func foreign(resp *http.Response) *Error {
	e := &Error{
		Title:  http.StatusText(resp.StatusCode),
		Detail: "the reply does not come from Saldo",
		Hint:   "look at the base URL and at the proxies in between",
	}
	if resp.StatusCode >= 300 && resp.StatusCode <= 399 {
		e.Detail = "the server redirects, which is refused because it would carry the secret along"
		e.Hint = "use the URL that it redirects to as the base URL"
	}
	return e
}

// unexpected makes the error for a success that cannot be used.
func unexpected(status int, why string) *Error {
	return &Error{
		Status: status, Title: http.StatusText(status), Detail: "the reply cannot be read: " + why,
		Hint: "look at the base URL and at the server's version",
	}
}

// retryAfter reads the header Retry-After, which is a number of seconds or a date.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}
