package vonage

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// bucket is what an account has left.
func bucket(amount string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: "EUR", CurrencySource: provider.FromDocumentation,
	}
}

func balance(buckets ...provider.Bucket) *provider.Balance {
	return &provider.Balance{Buckets: buckets}
}

// coded is a failure in the old format.
func coded(code string) string {
	return `{"error-code":"` + code + `","error-code-label":"this was not done"}`
}

// problem is a failure in the new one.
func problem(name string) string {
	return `{"type":"https://developer.vonage.com/api-errors#` + name + `","title":"This was not done","detail":"The type has the reason.","instance":"5f1a"}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"abcd1234", "made-up/secret+1"}
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0], secrets[1])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.Vonage(secrets[0], secrets[1]),
		Balance: balance(bucket("10.28")),
		Echo:    `{"error-code":"401","error-code-label":"%s"}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(bucket("10.28"))},
			{File: "many-digits.json", Want: balance(bucket("3.14159265358979323846"))},
			{File: "no-value.json", Err: provider.Error{Status: provider.Malformed, Message: "no value"}},
			{File: "failure.json", HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "401"}},
			{File: "failure.json", Err: provider.Error{Status: provider.Unauthorized, Code: "401"}},
			{Body: coded("420"), HTTP: 420, Err: provider.Error{Status: provider.InvalidRequest, Code: "420"}},
			{Body: coded("555"), HTTP: 420, Err: provider.Error{Status: provider.ProviderError, Code: "555"}},
			{File: "problem.json", HTTP: 403, Err: provider.Error{Status: provider.Suspended, Code: "account-suspended"}},
			{Body: problem("forbidden"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "forbidden"}},
			{Body: problem("invalid-api-key"), HTTP: 404, Err: provider.Error{Status: provider.Unauthorized, Code: "invalid-api-key"}},
			{Body: problem("invalid-params"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "invalid-params"}},
			{Body: problem("invalid-signature"), HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "invalid-signature"}},
			{Body: problem("jwt-expired"), HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "jwt-expired"}},
			{Body: problem("jwt-revoked"), HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "jwt-revoked"}},
			{Body: problem("low-balance"), HTTP: 402, Err: provider.Error{Status: provider.InvalidRequest, Code: "low-balance"}},
			{Body: problem("not-found"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "not-found"}},
			{Body: problem("rate-limit"), HTTP: 429, Err: provider.Error{Status: provider.RateLimited, Code: "rate-limit"}},
			{Body: problem("throttled"), HTTP: 429, Err: provider.Error{Status: provider.RateLimited, Code: "throttled"}},
			{Body: problem("unauthorized"), HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "unauthorized"}},
			{Body: problem("unprovisioned"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "unprovisioned"}},
			{Body: problem("validation"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "validation"}},
			{Body: problem("unheard-of"), HTTP: 400, Err: provider.Error{Status: provider.ProviderError, Code: "unheard-of"}},
		},
	})
}
