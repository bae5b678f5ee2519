// Package vonage asks Vonage, which was Nexmo, for an account's balance.
package vonage

import (
	"strings"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// codes are the documented ones: the numbers of the old error format, and the
// last words of the type of a problem document in the new one.
var codes = map[string]provider.Status{
	"401":               provider.Unauthorized,
	"420":               provider.InvalidRequest,
	"account-suspended": provider.Suspended,
	"forbidden":         provider.Unauthorized,
	"invalid-api-key":   provider.Unauthorized,
	"invalid-params":    provider.InvalidRequest,
	"invalid-signature": provider.Unauthorized,
	"jwt-expired":       provider.Unauthorized,
	"jwt-revoked":       provider.Unauthorized,
	"low-balance":       provider.InvalidRequest, // no answer to a question for the balance
	"not-found":         provider.InvalidRequest,
	"rate-limit":        provider.RateLimited,
	"throttled":         provider.RateLimited,
	"unauthorized":      provider.Unauthorized,
	"unprovisioned":     provider.Unauthorized, // these credentials are not for this product
	"validation":        provider.InvalidRequest,
}

// fault is both formats of an error; a reply has one of them.
type fault struct {
	Code   provider.Text `json:"error-code"`
	Label  string        `json:"error-code-label"`
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Detail string        `json:"detail"`
}

type account struct {
	Value provider.Amount `json:"value"`
}

// decode says what a reply means. No reply has a currency: the documentation
// says that all balances are in euros. That an account is topped up by itself
// (autoReload) does not change what is left on it.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var failed fault
	if err := rest.Decode(reply, &failed); err != nil {
		return nil, err
	}
	switch {
	case failed.Code != "":
		return nil, rest.Failure(codes, reply, string(failed.Code), failed.Label)
	case failed.Type != "" || failed.Title != "":
		return nil, rest.Failure(codes, reply, lastWord(failed.Type), failed.Title+": "+failed.Detail)
	case !rest.OK(reply):
		return nil, rest.NoReply(reply)
	}
	var body account
	if err := rest.Decode(reply, &body); err != nil {
		return nil, err
	}
	if !body.Value.Valid {
		return nil, rest.Missing("value")
	}
	return &provider.Balance{Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: body.Value.Value, Currency: "EUR", CurrencySource: provider.FromDocumentation,
	}}}, nil
}

// lastWord is what comes last in the URL of a problem's type, where Vonage has
// the name of the error: after a # or a slash.
func lastWord(problem string) string {
	return problem[strings.LastIndexAny(problem, "#/")+1:]
}
