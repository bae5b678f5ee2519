// Package twilio asks Twilio for an account's balance.
package twilio

import (
	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// notFound is the code of an account without a balance of its own.
const notFound = "20404"

// codes are those of Twilio's error dictionary that can answer this question.
var codes = map[string]provider.Status{
	"10001":  provider.Suspended,      // the account is not active
	"20001":  provider.InvalidRequest, // unknown parameters
	"20003":  provider.Unauthorized,   // wrong credentials; also those of a closed account
	"20004":  provider.InvalidRequest, // method not allowed
	"20005":  provider.Suspended,      // the account is not active
	"20006":  provider.Unauthorized,   // access denied
	"20008":  provider.Unauthorized,   // not for test credentials
	"20403":  provider.Unauthorized,   // forbidden
	notFound: provider.InvalidRequest,
	"20429":  provider.RateLimited,
	"20500":  provider.ProviderError,
	"20503":  provider.ProviderError,
}

type fault struct {
	Code    provider.Text `json:"code"`
	Message string        `json:"message"`
}

type account struct {
	SID      string          `json:"account_sid"`
	Balance  provider.Amount `json:"balance"`
	Currency string          `json:"currency"`
}

// decode says what a reply means.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var failed fault
	if err := rest.Decode(reply, &failed); err != nil {
		return nil, err
	}
	if !rest.OK(reply) || failed.Code != "" {
		if failed.Code == notFound {
			failed.Message = "there is no balance for this SID; a subaccount shares that of its main account, so ask for the main account"
		}
		return nil, rest.Failure(codes, reply, string(failed.Code), failed.Message)
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
	return &provider.Balance{Account: body.SID, Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: body.Balance.Value, Currency: currency, CurrencySource: source,
	}}}, nil
}
