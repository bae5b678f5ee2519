package speedsms

import (
	"net/http"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// bucket is what an account has left.
func bucket(amount string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: "VND", CurrencySource: provider.FromReply,
	}
}

func balance(buckets ...provider.Bucket) *provider.Balance {
	return &provider.Balance{Buckets: buckets}
}

// coded is a failure in the format of the documentation.
func coded(code string) string {
	return `{"status":"error","code":"` + code + `","message":"This was not done"}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"made-up-token/+1"}
	unsaid := bucket("0")
	unsaid.CurrencySource = provider.FromDocumentation
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.SpeedSMS(secrets[0]),
		Balance: balance(bucket("100000")),
		Echo:    `{"status":"error","code":"007","message":"%s"}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(bucket("1524300.5"))},
			{File: "text.json", Want: balance(bucket("1524300.5"))},
			{File: "no-currency.json", Want: balance(unsaid)},
			{File: "no-balance.json", Err: provider.Error{Status: provider.Malformed, Message: "no balance"}},
			{File: "failure.json", Err: provider.Error{Status: provider.IPDenied, Code: "007"}},
			{Body: coded("008"), Err: provider.Error{Status: provider.Suspended, Code: "008"}},
			{Body: coded("009"), Err: provider.Error{Status: provider.Unauthorized, Code: "009"}},
			{Body: coded("101"), Err: provider.Error{Status: provider.InvalidRequest, Code: "101"}},
			{Body: coded("105"), Err: provider.Error{Status: provider.InvalidRequest, Code: "105"}},
			{Body: coded("110"), Err: provider.Error{Status: provider.InvalidRequest, Code: "110"}},
			{Body: coded("113"), Err: provider.Error{Status: provider.InvalidRequest, Code: "113"}},
			{Body: coded("300"), Err: provider.Error{Status: provider.InvalidRequest, Code: "300"}},
			{Body: coded("500"), Err: provider.Error{Status: provider.ProviderError, Code: "500"}},
			{Body: coded("777"), Err: provider.Error{Status: provider.ProviderError, Code: "777"}},
			{File: "credential.json", HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Message: "Unauthorized"}},
			{
				File: "limit.json", HTTP: 429, Header: http.Header{"X-Rate-Limit-Reset": {"42"}},
				Err: provider.Error{Status: provider.RateLimited, Message: "Too Many", RetryAfter: 42 * time.Second},
			},
			{
				// A time of day, say, is no number of seconds to wait.
				File: "limit.json", HTTP: 429, Header: http.Header{"X-Rate-Limit-Reset": {"1790000000"}},
				Err: provider.Error{Status: provider.RateLimited, Message: "Too Many"},
			},
		},
	})
}
