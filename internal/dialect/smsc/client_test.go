package smsc

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// bucket is what an account has left.
func bucket(amount, currency string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: currency, CurrencySource: provider.FromReply,
	}
}

func balance(buckets ...provider.Bucket) *provider.Balance {
	return &provider.Balance{Buckets: buckets}
}

// coded is a failure in the format of the documentation.
func coded(code string) string {
	return `{"error":"this was not done","error_code":` + code + `}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"made-up-login", "made/up+password&1"}
	credit := bucket("-12.4", "KZT")
	limit := decimal.RequireFromString("100")
	credit.CreditLimit = &limit
	unsaid := bucket("0", "")
	unsaid.CurrencySource = ""
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0], secrets[1])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.SMSC(secrets[0], secrets[1]),
		Balance: balance(bucket("250.8", "KZT")),
		Echo:    `{"error":"%s","error_code":2}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(bucket("250.8", "RUB"))},
			{File: "credit.json", Want: balance(credit)},
			{File: "no-currency.json", Want: balance(unsaid)},
			{File: "no-balance.json", Err: provider.Error{Status: provider.Malformed, Message: "no balance"}},
			{Body: coded("1"), Err: provider.Error{Status: provider.InvalidRequest, Code: "1"}},
			{File: "failure.json", Err: provider.Error{Status: provider.Unauthorized, Code: "2", Message: "list"}},
			{Body: coded("4"), Err: provider.Error{Status: provider.IPDenied, Code: "4", Message: "after a while"}},
			{Body: coded("9"), Err: provider.Error{Status: provider.RateLimited, Code: "9", RetryAfter: time.Minute}},
			{Body: coded("5"), Err: provider.Error{Status: provider.ProviderError, Code: "5"}},
		},
	})
}
