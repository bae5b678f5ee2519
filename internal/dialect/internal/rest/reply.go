package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Decode reads the JSON of a reply. Where it is not what the provider is known
// to send, such as a page of HTML, only HTTP is left to say what happened.
func Decode(reply *provider.Reply, into any) error {
	err := json.Unmarshal(reply.Body, into)
	switch {
	case err == nil:
		return nil
	case OK(reply) && errors.Is(err, provider.ErrNotAmount):
		return Unreadable()
	}
	return NoReply(reply)
}

// Coded reads the object of a reply, and the code of the outcome in it, which may
// be a number or a string. Where there is a code, it decides, whatever HTTP says.
// What has none is no reply of the provider's.
func Coded(reply *provider.Reply, member string) (object message.Object, code int, err error) {
	object, err = message.ParseObject(reply.Body)
	if err != nil {
		return object, 0, NoReply(reply)
	}
	var text provider.Text
	if err := object.Decode(member, &text); err != nil {
		return object, 0, NoReply(reply)
	}
	if code, err = strconv.Atoi(string(text)); err != nil {
		return object, 0, NoReply(reply)
	}
	return object, code, nil
}

// NoReply is the failure of a reply that is not the provider's, where the provider
// says by HTTP who may ask, and how often.
func NoReply(reply *provider.Reply) *provider.Error {
	failure := reply.Foreign()
	switch reply.Status {
	case http.StatusUnauthorized:
		failure.Status = provider.Unauthorized
	case http.StatusTooManyRequests:
		failure.Status = provider.RateLimited
	}
	return failure
}

// Failure is what a provider said with a code of its own. A code that is not in
// the table means what HTTP says, where that is plain, or else that the provider failed.
func Failure(codes map[string]provider.Status, reply *provider.Reply, code, message string) *provider.Error {
	status, known := codes[code]
	if !known {
		status = ByHTTP(reply.Status)
	}
	return &provider.Error{Status: status, Code: code, Message: message}
}

// ByHTTP is what a failure means of which only the HTTP status is known.
func ByHTTP(status int) provider.Status {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return provider.Unauthorized
	case http.StatusTooManyRequests:
		return provider.RateLimited
	}
	return provider.ProviderError
}

// OK tells whether HTTP says that a request succeeded.
func OK(reply *provider.Reply) bool { return reply.Status >= 200 && reply.Status < 300 }

// Missing is the failure of a reply without a member that it must have.
func Missing(name string) *provider.Error {
	return provider.Errorf(provider.Malformed, "the reply has no %s", name)
}

// Unreadable is the failure of a reply with an amount that is no number, or one
// out of all bounds.
func Unreadable() *provider.Error {
	return provider.Errorf(provider.Malformed, "%v", provider.ErrNotAmount)
}

// Currency reads a currency of a reply: an ISO 4217 code, or "" where there is none.
func Currency(text string) (code string, source provider.CurrencySource, err error) {
	code = strings.ToUpper(strings.TrimSpace(text))
	switch {
	case code == "":
		return "", "", nil
	case len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return "", "", provider.Errorf(provider.Malformed, "the currency %q is none of ISO 4217", text)
	}
	return code, provider.FromReply, nil
}
