package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// writeJSON sends a reply. Money is never cached on the way.
func writeJSON(w http.ResponseWriter, status int, contentType string, value any) error {
	var body bytes.Buffer
	if err := newEncoder(&body).Encode(value); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes()) //nolint:errcheck // A client that went away cannot be told so.
	return nil
}

func reply(w http.ResponseWriter, status int, value any) error {
	return writeJSON(w, status, "application/json", value)
}

// fail sends an error as problem details (RFC 9457).
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	problem := s.problem(r.Context(), err)
	header := w.Header()
	switch {
	case problem.Status == http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Bearer realm="saldo"`)
	case problem.Status == http.StatusServiceUnavailable && header.Get("Retry-After") == "":
		header.Set("Retry-After", "1")
	}
	writeJSON(w, problem.Status, "application/problem+json", problem) //nolint:errcheck // A struct of texts and numbers is always JSON.
}

// problem puts an error into the words of the contract. Anything but a
// *ledger.Error is logged and becomes an internal error.
func (s *server) problem(ctx context.Context, err error) *api.Problem {
	failure := s.gate.internal(ctx, err)
	status := failure.Code.HTTPStatus()
	problem := &api.Problem{
		Type:   "urn:saldo:problem:" + string(failure.Code),
		Title:  http.StatusText(status),
		Status: status,
		Code:   api.ErrorCode(failure.Code),
		Detail: failure.Message,
		Hint:   failure.Hint,
	}
	if rejected, ok := errors.AsType[*rejectionError](err); ok {
		problem.Transaction = rejected.transaction.ID.String()
	}
	if item, ok := errors.AsType[*itemError](err); ok {
		problem.Index = &item.index
	}
	return problem
}

// rejectionError is a rejection that the ledger remembers as a transaction.
type rejectionError struct{ transaction *ledger.Transaction }

func (e *rejectionError) Error() string { return e.Unwrap().Error() }
func (e *rejectionError) Unwrap() error { return e.transaction.Err() }

// refusal is why a decided transaction was not posted; nil where it was.
func refusal(t *ledger.Transaction) error {
	if t.Rejection == "" {
		return nil
	}
	return &rejectionError{t}
}

// itemError is what is wrong with one item of a request that has many.
type itemError struct {
	index int
	err   error
}

func (e *itemError) Error() string { return "item " + strconv.Itoa(e.index) + ": " + e.err.Error() }
func (e *itemError) Unwrap() error { return e.err }
