// Package speedsms asks SpeedSMS.vn for an account's balance.
package speedsms

import (
	"net/http"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// limitWindow is the time in which so many requests are allowed. A longer wait
// than that is no count of seconds, whatever it is.
const limitWindow = time.Minute

// codes are the documented ones. Those about messages cannot answer a question
// for the balance, but where one comes it is the request that is wrong.
var codes = map[string]provider.Status{
	"007": provider.IPDenied,
	"008": provider.Suspended,
	"009": provider.Unauthorized, // the account may not call the API
	"101": provider.InvalidRequest,
	"105": provider.InvalidRequest,
	"110": provider.InvalidRequest,
	"113": provider.InvalidRequest,
	"300": provider.InvalidRequest, // not enough balance to send
	"500": provider.ProviderError,
}

// envelope is every reply but those of the web server before the API, which
// have a name and a status of their own and the code 0.
type envelope struct {
	Status  provider.Text `json:"status"`
	Code    provider.Text `json:"code"`
	Name    string        `json:"name"`
	Message string        `json:"message"`
}

type account struct {
	Data struct {
		Balance  provider.Amount `json:"balance"`
		Currency string          `json:"currency"`
	} `json:"data"`
}

// decode says what a reply means. The member email is left where it is: the
// address of a person has no place in logs and metrics.
func decode(reply *provider.Reply) (*provider.Balance, error) {
	var head envelope
	if err := rest.Decode(reply, &head); err != nil {
		return nil, limited(reply, err)
	}
	if head.Status != "success" || !rest.OK(reply) || head.Code != "" && head.Code != "00" {
		return nil, limited(reply, failure(reply, &head))
	}
	var body account
	if err := rest.Decode(reply, &body); err != nil {
		return nil, err
	}
	if !body.Data.Balance.Valid {
		return nil, rest.Missing("balance")
	}
	currency, source, err := rest.Currency(body.Data.Currency)
	if err != nil {
		return nil, err
	}
	if currency == "" {
		currency, source = "VND", provider.FromDocumentation
	}
	return &provider.Balance{Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: body.Data.Balance.Value, Currency: currency, CurrencySource: source,
	}}}, nil
}

func failure(reply *provider.Reply, head *envelope) error {
	if head.Name != "" {
		return &provider.Error{Status: rest.ByHTTP(reply.Status), Message: head.Name + ": " + head.Message}
	}
	if head.Status == "" && rest.OK(reply) {
		return rest.Missing("status")
	}
	return rest.Failure(codes, reply, string(head.Code), head.Message)
}

// limited adds to a failure for how many seconds the provider wants to be left
// alone, which it says in a header of its own.
func limited(reply *provider.Reply, err error) error {
	failure, ok := err.(*provider.Error) //nolint:errorlint // both callers made it
	if !ok || reply.Status != http.StatusTooManyRequests {
		return err
	}
	seconds, err := strconv.ParseUint(reply.Header.Get("X-Rate-Limit-Reset"), 10, 31)
	if wait := time.Duration(seconds) * time.Second; err == nil && wait <= limitWindow {
		failure.RetryAfter = wait
	}
	return failure
}
