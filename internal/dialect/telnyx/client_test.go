package telnyx

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// bucket is what an account has left, with nothing beside it.
func bucket(amount, currency string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: currency, CurrencySource: provider.FromReply,
	}
}

func balance(buckets ...provider.Bucket) *provider.Balance {
	return &provider.Balance{Buckets: buckets}
}

func pointer(amount string) *decimal.Decimal {
	value := decimal.RequireFromString(amount)
	return &value
}

// coded is a failure in the format of the documentation.
func coded(code string) string {
	return `{"errors":[{"code":"` + code + `","title":"This was not done","detail":"See the catalogue of errors."}]}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"KEY0123456789_made-up/+"}
	full := bucket("300", "USD")
	full.CreditLimit, full.Available, full.Pending = pointer("100"), pointer("400"), pointer("10")
	faked := full
	faked.Available = nil
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.Telnyx(secrets[0]),
		Balance: balance(faked),
		Echo:    `{"errors":[{"code":"10009","title":"Not authenticated","detail":"%s"}]}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(full)},
			{File: "only-balance.json", Want: balance(bucket("-0.0000001", "EUR"))},
			{File: "no-balance.json", Err: provider.Error{Status: provider.Malformed, Message: "no balance"}},
			{Body: coded("10003"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "10003"}},
			{Body: coded("10004"), HTTP: 422, Err: provider.Error{Status: provider.InvalidRequest, Code: "10004"}},
			{Body: coded("10005"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "10005"}},
			{Body: coded("10006"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "10006"}},
			{Body: coded("10007"), HTTP: 500, Err: provider.Error{Status: provider.ProviderError, Code: "10007"}},
			{Body: coded("10008"), HTTP: 503, Err: provider.Error{Status: provider.ProviderError, Code: "10008"}},
			{File: "failure.json", HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "10009"}},
			{Body: coded("10010"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "10010"}},
			{Body: coded("10011"), HTTP: 429, Err: provider.Error{Status: provider.RateLimited, Code: "10011"}},
			{Body: coded("10014"), HTTP: 415, Err: provider.Error{Status: provider.InvalidRequest, Code: "10014"}},
			{Body: coded("10015"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "10015"}},
			{Body: coded("10023"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "10023"}},
			{Body: coded("99999"), HTTP: 422, Err: provider.Error{Status: provider.ProviderError, Code: "99999"}},
		},
	})
}
