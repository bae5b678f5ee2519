// Package telnyx asks Telnyx for an account's balance.
package telnyx

import (
	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// codes are those of Telnyx's error catalogue that can answer this question.
var codes = map[string]provider.Status{
	"10003": provider.InvalidRequest, // invalid URL
	"10004": provider.InvalidRequest, // missing parameter
	"10005": provider.InvalidRequest, // no such resource
	"10006": provider.InvalidRequest, // invalid ID
	"10007": provider.ProviderError,  // unexpected error
	"10008": provider.ProviderError,  // the provider's own time-out
	"10009": provider.Unauthorized,   // authentication failed
	"10010": provider.Unauthorized,   // authorization failed
	"10011": provider.RateLimited,
	"10014": provider.InvalidRequest, // unsupported media type
	"10015": provider.InvalidRequest, // bad request
	"10023": provider.InvalidRequest, // invalid JSON
}

type fault struct {
	Errors []struct {
		Code   provider.Text `json:"code"`
		Title  string        `json:"title"`
		Detail string        `json:"detail"`
	} `json:"errors"`
}

type account struct {
	Data *struct {
		Balance     provider.Amount `json:"balance"`
		Pending     provider.Amount `json:"pending"`
		CreditLimit provider.Amount `json:"credit_limit"`
		Available   provider.Amount `json:"available_credit"`
		Currency    string          `json:"currency"`
	} `json:"data"`
}

// decode says what a reply means.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var failed fault
	if err := rest.Decode(reply, &failed); err != nil {
		return nil, err
	}
	if len(failed.Errors) > 0 {
		first := failed.Errors[0]
		return nil, rest.Failure(codes, reply, string(first.Code), first.Title+": "+first.Detail)
	}
	if !rest.OK(reply) {
		return nil, rest.NoReply(reply)
	}
	var body account
	if err := rest.Decode(reply, &body); err != nil {
		return nil, err
	}
	if body.Data == nil || !body.Data.Balance.Valid {
		return nil, rest.Missing("balance")
	}
	currency, source, err := rest.Currency(body.Data.Currency)
	if err != nil {
		return nil, err
	}
	return &provider.Balance{Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: body.Data.Balance.Value, Currency: currency, CurrencySource: source,
		CreditLimit: body.Data.CreditLimit.Pointer(), Available: body.Data.Available.Pointer(), Pending: body.Data.Pending.Pointer(),
	}}}, nil
}
