package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// maxBody bounds a request body, in bytes. The largest sensible one is a
// transaction with full metadata, about 20 KiB.
const maxBody = 64 << 10

// writeJSON sends a reply. Money is never cached on the way.
func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // no browser runs this, and people read it
	if err := encoder.Encode(value); err != nil {
		// The replies are plain structs of texts and numbers: this cannot fail.
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes()) //nolint:errcheck // A client that went away cannot be told so.
}

func reply(w http.ResponseWriter, status int, value any) {
	writeJSON(w, status, "application/json", value)
}

// fail sends an error as problem details (RFC 9457). Anything but a
// *ledger.Error is logged and leaves as an internal error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.failTransaction(w, r, err, "")
}

// failTransaction is fail for a rejection that the ledger remembers as a transaction.
func (s *server) failTransaction(w http.ResponseWriter, r *http.Request, err error, transaction string) {
	failure := s.gate.internal(r.Context(), err)
	status := failure.Code.HTTPStatus()
	header := w.Header()
	switch {
	case status == http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Bearer realm="saldo"`)
	case status == http.StatusServiceUnavailable && header.Get("Retry-After") == "":
		header.Set("Retry-After", "1")
	}
	writeJSON(w, status, "application/problem+json", api.Problem{
		Type:        "urn:saldo:problem:" + string(failure.Code),
		Title:       http.StatusText(status),
		Status:      status,
		Code:        api.ErrorCode(failure.Code),
		Detail:      failure.Message,
		Hint:        failure.Hint,
		Transaction: transaction,
	})
}

// decode reads a request body of one JSON object. It refuses members that it
// does not know, so that a misspelt one is not silently without effect.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return bodyError(err)
	}
	if !utf8.Valid(body) {
		// The decoder would put another character in its place, and keep that.
		return ledger.Errorf(ledger.InvalidRequest, "the body is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return bodyError(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ledger.Errorf(ledger.InvalidRequest, "the body goes on after its JSON object")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return errNotObject // null, which the decoder takes for an object without members
	}
	return checkMembers(body)
}

var errNotObject = ledger.Errorf(ledger.InvalidRequest, "the body is not a JSON object")

// bodyError puts what encoding/json says into words for the caller.
func bodyError(err error) error {
	var wrongType *json.UnmarshalTypeError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return ledger.Errorf(ledger.TooLarge, "the body is over %d bytes", maxBody)
	case errors.Is(err, io.EOF):
		return ledger.Errorf(ledger.InvalidRequest, "the body is empty").WithHint("send a JSON object")
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return errNotObject
	case errors.As(err, &wrongType) && (strings.HasSuffix(wrongType.Field, "amount") || strings.HasSuffix(wrongType.Field, "limit")):
		return ledger.Errorf(ledger.InvalidRequest, "%s must be a string, not %s", clip(wrongType.Field), kindOf(wrongType.Value)).
			WithHint(`write money in quotes, such as "0.0383": JSON numbers lose digits on the way`)
	case errors.As(err, &wrongType):
		return ledger.Errorf(ledger.InvalidRequest, "%s cannot be %s", clip(wrongType.Field), kindOf(wrongType.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return ledger.Errorf(ledger.InvalidRequest, "unknown member %s", clip(name)).WithHint("/openapi.yaml lists the members")
	}
	return ledger.Errorf(ledger.InvalidRequest, "the body is not valid JSON")
}

// kindOf puts encoding/json's name of a value into a sentence.
func kindOf(value string) string {
	switch {
	case value == "array" || value == "object":
		return "an " + value
	case strings.HasPrefix(value, "number "): // with the number itself, which does not fit
		return "the " + clip(value)
	default:
		return "a " + value
	}
}

// clip shortens caller's text for an error message.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// parseAmount reads money from a request.
func parseAmount(name, text string) (ledger.Amount, error) {
	amount, err := ledger.ParseAmount(text)
	if err != nil {
		return 0, ledger.Errorf(ledger.InvalidRequest, "%s: %s", name, err)
	}
	return amount, nil
}
