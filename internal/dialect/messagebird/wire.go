// Package messagebird asks MessageBird for an account's balance.
package messagebird

import (
	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// codes are the documented ones.
var codes = map[string]provider.Status{
	"2":  provider.Unauthorized,   // request not allowed: a wrong access key
	"9":  provider.InvalidRequest, // missing parameters
	"10": provider.InvalidRequest, // invalid parameters
	"20": provider.InvalidRequest, // not found
	"21": provider.InvalidRequest, // bad request
	"25": provider.InvalidRequest, // not enough balance, no answer to a question for it
	"98": provider.InvalidRequest, // no such endpoint
	"99": provider.ProviderError,
}

// currencies are the types that have a name; others are ISO 4217 codes.
var currencies = map[string]string{"euros": "EUR", "pounds": "GBP", "dollars": "USD"}

type fault struct {
	Errors []struct {
		Code        provider.Text `json:"code"`
		Description string        `json:"description"`
	} `json:"errors"`
}

type account struct {
	Payment string          `json:"payment"`
	Type    string          `json:"type"`
	Amount  provider.Amount `json:"amount"`
}

// decode says what a reply means. The amount of a postpaid account is always
// zero, which is told by its billing: its wallet is not empty, there is none.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var failed fault
	if err := rest.Decode(reply, &failed); err != nil {
		return nil, err
	}
	if len(failed.Errors) > 0 {
		first := failed.Errors[0]
		return nil, rest.Failure(codes, reply, string(first.Code), first.Description)
	}
	if !rest.OK(reply) {
		return nil, rest.NoReply(reply)
	}
	var body account
	if err := rest.Decode(reply, &body); err != nil {
		return nil, err
	}
	if !body.Amount.Valid {
		return nil, rest.Missing("amount")
	}
	bucket := provider.Bucket{Service: "main", Unit: provider.Money, Amount: body.Amount.Value}
	if err := unit(&bucket, body.Type); err != nil {
		return nil, err
	}
	billing := provider.BillingUnknown
	switch body.Payment {
	case "prepaid":
		billing = provider.BillingPrepaid
	case "postpaid":
		billing = provider.BillingPostpaid
	}
	return &provider.Balance{Billing: billing, Buckets: []provider.Bucket{bucket}}, nil
}

// unit sets what the amount of a bucket counts.
func unit(bucket *provider.Bucket, name string) error {
	if name == "credits" {
		bucket.Unit = provider.Credits
		return nil
	}
	if code, ok := currencies[name]; ok {
		name = code
	}
	var err error
	bucket.Currency, bucket.CurrencySource, err = rest.Currency(name)
	return err
}
