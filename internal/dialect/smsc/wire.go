// Package smsc asks SMSC.ru, elsewhere called SMSCentre, for an account's balance.
package smsc

import (
	"time"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

const (
	tooMany = "9"
	// limitWindow is the time in which ten questions for the balance are
	// answered. Nothing in a reply says it, but the documentation does.
	limitWindow = time.Minute
)

// codes are the documented ones. All of them come with HTTP status 200.
var codes = map[string]provider.Status{
	"1":     provider.InvalidRequest, // a wrong parameter
	"2":     provider.Unauthorized,   // also for an address that is not on the account's list
	"4":     provider.IPDenied,       // for a while, after too many failures
	tooMany: provider.RateLimited,    // also for too many questions at one time
}

// hints are what the operator should know beside the provider's own words.
var hints = map[string]string{
	"2": "; the provider says the same where this address is not on the account's list",
	"4": "; the provider lifts this block after a while",
}

type fault struct {
	Code    provider.Text `json:"error_code"`
	Message string        `json:"error"`
}

type account struct {
	Balance  provider.Amount `json:"balance"`
	Credit   provider.Amount `json:"credit"`
	Currency string          `json:"currency"`
}

// decode says what a reply means.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var failed fault
	if err := rest.Decode(reply, &failed); err != nil {
		return nil, err
	}
	switch {
	case failed.Code != "" || failed.Message != "":
		failure := rest.Failure(codes, reply, string(failed.Code), failed.Message+hints[string(failed.Code)])
		if failed.Code == tooMany {
			failure.RetryAfter = limitWindow
		}
		return nil, failure
	case !rest.OK(reply):
		return nil, rest.NoReply(reply)
	}
	var body account
	if err := rest.Decode(reply, &body); err != nil {
		return nil, err
	}
	if !body.Balance.Valid {
		return nil, rest.Missing("balance")
	}
	currency, source, err := rest.Currency(body.Currency)
	if err != nil {
		return nil, err
	}
	// The rouble of before 1998 had this code, which is still in use for today's.
	if currency == "RUR" {
		currency = "RUB"
	}
	return &provider.Balance{Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: body.Balance.Value, Currency: currency, CurrencySource: source,
		CreditLimit: body.Credit.Pointer(),
	}}}, nil
}
