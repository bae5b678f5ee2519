// Package message holds what every dialect does alike with the bytes of a
// request and of a reply: read a bounded body, find text in one JSON object,
// send a reply whole. It knows no provider.
package message

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// MaxBody bounds the body of a request, in bytes. Credentials need a few
// hundred; the rest is room for the members that a dialect ignores.
const MaxBody = 16 << 10

// The ways in which a body cannot be had.
var (
	ErrTooLarge   = errors.New("the body is over the limit")
	ErrUnreadable = errors.New("the body is encoded or ends early")
)

// ReadBody reads the body of a request to its end, or gives ErrTooLarge or
// ErrUnreadable. A content coding is refused instead of undone, because a few
// compressed bytes could unfold into more than any limit.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	for _, coding := range r.Header["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, ErrUnreadable
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		return body, nil
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, ErrTooLarge
	}
	return nil, ErrUnreadable
}

// Send writes a whole reply. A balance is true for one moment only, so no
// cache between Saldo and the caller may keep it.
func Send(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A caller that has gone away is no failure of Saldo's, and nobody is left to tell.
	_, _ = w.Write(body)
}

// SetRetryAfter makes sure that a reply over the rate limit says when to come
// back: whoever counts the requests knows best, a second is the fallback.
func SetRetryAfter(w http.ResponseWriter) {
	if header := w.Header(); header.Get("Retry-After") == "" {
		header.Set("Retry-After", "1")
	}
}
