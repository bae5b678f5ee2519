package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// maxBody bounds a request body, in bytes. The largest sensible one is a
// transaction with full metadata, about 20 KiB.
const maxBody = 64 << 10

// newEncoder makes an encoder of replies.
func newEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // no browser runs this, and people read it
	return encoder
}

// decode reads a request body of one JSON object.
func decode[T any](w http.ResponseWriter, r *http.Request) (*T, error) {
	return decodeUpTo[T](w, r, maxBody)
}

// decodeUpTo is decode with a limit on the bytes of the body.
func decodeUpTo[T any](w http.ResponseWriter, r *http.Request, limit int64) (*T, error) {
	body, err := readBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	return parse[T]("body", body)
}

// readBody reads a whole request body of at most so many bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err == nil {
		return body, nil
	}
	const again = "send it again, with the same idempotency key where it has one"
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, ledger.Errorf(ledger.TooLarge, "the body is over %d bytes", tooLarge.Limit)
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, ledger.Errorf(ledger.RequestTimeout, "the request did not arrive within %s", server.ReadTimeout).WithHint(again)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ledger.Errorf(ledger.RequestTimeout, "the request broke off").WithHint(again)
	}
	return nil, ledger.Errorf(ledger.InvalidRequest, "the body cannot be read")
}

// parse reads a JSON object. It refuses members that it does not know, so that
// a misspelt one is not silently without effect.
func parse[T any](what string, text []byte) (*T, error) {
	into := new(T)
	if err := parseValue(what, text, into); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, errNotObject(what) // null, which the decoder takes for an object without members
	}
	if err := checkMembers(text); err != nil {
		return nil, err
	}
	return into, nil
}

// parseValue reads one JSON value.
func parseValue(what string, text []byte, into any) error {
	if !utf8.Valid(text) {
		// The decoder would put another character in its place, and keep that.
		return ledger.Errorf(ledger.InvalidRequest, "the %s is not valid UTF-8", what)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return jsonError(what, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return ledger.Errorf(ledger.InvalidRequest, "the %s goes on after its end", what)
	}
	return nil
}

func errNotObject(what string) error {
	return ledger.Errorf(ledger.InvalidRequest, "the %s is not a JSON object", what)
}

// items are the elements of a JSON array, not read yet, so that each can be
// checked, and refused, by itself.
type items []json.RawMessage

// UnmarshalJSON reads an array up to one element more than any request may
// have. The rest costs no memory: the request is refused anyway.
func (i *items) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return &json.UnmarshalTypeError{Value: "value other than an array", Type: reflect.TypeFor[items]()}
	}
	for decoder.More() && len(*i) <= engine.MaxBatch {
		var element json.RawMessage
		if err := decoder.Decode(&element); err != nil {
			return err
		}
		*i = append(*i, element)
	}
	return nil
}

// jsonError puts what encoding/json says into words for the caller.
func jsonError(what string, err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return typeError(what, wrongType)
	}
	if errors.Is(err, io.EOF) {
		return ledger.Errorf(ledger.InvalidRequest, "the %s is empty", what).WithHint("send a JSON object")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return ledger.Errorf(ledger.InvalidRequest, "unknown member %s", clip(name)).WithHint("/openapi.yaml lists the members")
	}
	return ledger.Errorf(ledger.InvalidRequest, "the %s is not valid JSON", what)
}

// typeError says which member has a value of another type than its own.
func typeError(what string, err *json.UnmarshalTypeError) error {
	member := strings.TrimPrefix(err.Field, "TransactionRequest.") // an embedded struct, which is no member
	switch {
	case member == "":
		return errNotObject(what)
	case strings.HasSuffix(member, "amount"), strings.HasSuffix(member, "limit"), strings.HasSuffix(member, "cap"):
		return ledger.Errorf(ledger.InvalidRequest, "%s must be a string, not %s", clip(member), kindOf(err.Value)).
			WithHint(`write money in quotes, such as "0.0383": JSON numbers lose digits on the way`)
	case member == "metadata" && err.Type.Kind() == reflect.String:
		return ledger.Errorf(ledger.InvalidRequest, "a value of metadata must be a string, not %s", kindOf(err.Value))
	default:
		return ledger.Errorf(ledger.InvalidRequest, "%s cannot be %s", clip(member), kindOf(err.Value))
	}
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

// amounts reads the amounts that a request may leave out.
type amounts struct{ err error }

// amount gives the amount of a member; nil where it is left out, or not an amount.
func (a *amounts) amount(name string, text *string) *ledger.Amount {
	if text == nil || a.err != nil {
		return nil
	}
	amount, err := parseAmount(name, *text)
	if err != nil {
		a.err = err
		return nil
	}
	return &amount
}

// decodeItems reads a request body of one JSON array.
func decodeItems(w http.ResponseWriter, r *http.Request, limit int64) (items, error) {
	body, err := readBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	switch start := bytes.TrimLeft(body, " \t\r\n"); {
	case len(start) == 0:
		return nil, ledger.Errorf(ledger.InvalidRequest, "the body is empty").WithHint("send a JSON array")
	case start[0] != '[':
		return nil, ledger.Errorf(ledger.InvalidRequest, "the body is not a JSON array")
	}
	var elements items
	err = parseValue("body", body, &elements)
	return elements, err
}
