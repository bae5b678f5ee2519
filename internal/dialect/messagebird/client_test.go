package messagebird

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// bucket is an amount of money.
func bucket(amount, currency string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: currency, CurrencySource: provider.FromReply,
	}
}

func balance(billing provider.Billing, bucket provider.Bucket) *provider.Balance {
	return &provider.Balance{Billing: billing, Buckets: []provider.Bucket{bucket}}
}

// coded is a failure in the format of the documentation.
func coded(code string) string {
	return `{"errors":[{"code":` + code + `,"description":"This was not done","parameter":null}]}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"live_made/up+accesskey"}
	credits := provider.Bucket{Service: "main", Unit: provider.Credits, Amount: decimal.RequireFromString("42.5")}
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.MessageBird(secrets[0]),
		Balance: balance(provider.BillingPrepaid, bucket("103", "EUR")),
		Echo:    `{"errors":[{"code":2,"description":"%s","parameter":"access_key"}]}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(provider.BillingPrepaid, bucket("103", "EUR"))},
			{File: "postpaid.json", Want: balance(provider.BillingPostpaid, bucket("0", "USD"))},
			{File: "credits.json", Want: balance(provider.BillingPrepaid, credits)},
			{File: "pounds.json", Want: balance(provider.BillingPrepaid, bucket("0.1", "GBP"))},
			{File: "iso.json", Want: balance(provider.BillingPrepaid, bucket("12.000000000000000001", "SGD"))},
			{File: "no-amount.json", Err: provider.Error{Status: provider.Malformed, Message: "no amount"}},
			{File: "odd-type.json", Err: provider.Error{Status: provider.Malformed, Message: "points"}},
			{File: "failure.json", HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "2"}},
			{Body: coded("9"), HTTP: 422, Err: provider.Error{Status: provider.InvalidRequest, Code: "9"}},
			{Body: coded("10"), HTTP: 422, Err: provider.Error{Status: provider.InvalidRequest, Code: "10"}},
			{Body: coded("20"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "20"}},
			{Body: coded("21"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "21"}},
			{Body: coded("25"), HTTP: 422, Err: provider.Error{Status: provider.InvalidRequest, Code: "25"}},
			{Body: coded("98"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "98"}},
			{Body: coded("99"), HTTP: 500, Err: provider.Error{Status: provider.ProviderError, Code: "99"}},
			{Body: coded("77"), HTTP: 422, Err: provider.Error{Status: provider.ProviderError, Code: "77"}},
		},
	})
}
