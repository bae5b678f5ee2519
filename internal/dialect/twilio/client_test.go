package twilio

import (
	"testing"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

const accountSID = "AC0123456789abcdef0123456789abcdef"

// bucket is what an account has left.
func bucket(amount, currency string) provider.Bucket {
	return provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: decimal.RequireFromString(amount),
		Currency: currency, CurrencySource: provider.FromReply,
	}
}

func balance(bucket provider.Bucket) *provider.Balance {
	return &provider.Balance{Account: accountSID, Buckets: []provider.Bucket{bucket}}
}

// coded is a failure in the format of the documentation.
func coded(code string) string {
	return `{"code":` + code + `,"message":"This was not done","more_info":"https://www.twilio.com/docs/errors/` + code + `","status":400}`
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{accountSID, "made-up/auth+token"}
	unsaid := bucket("12.5", "")
	unsaid.CurrencySource = ""
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0], secrets[1])
		},
		Secrets: secrets,
		Decode:  decode,
		Fake:    dialecttest.Twilio(secrets[0], secrets[1]),
		Balance: balance(bucket("20.04152", "USD")),
		Echo:    `{"code":20003,"message":"%s","status":400}`,
		Replies: []dialecttest.Reply{
			{File: "success.json", Want: balance(bucket("-4.7", "EUR"))},
			{File: "no-currency.json", Want: balance(unsaid)},
			{File: "odd-currency.json", Err: provider.Error{Status: provider.Malformed, Message: "dollars"}},
			{File: "not-a-number.json", Err: provider.Error{Status: provider.Malformed}},
			{File: "no-balance.json", Err: provider.Error{Status: provider.Malformed, Message: "no balance"}},
			{Body: coded("10001"), HTTP: 403, Err: provider.Error{Status: provider.Suspended, Code: "10001"}},
			{Body: coded("20001"), HTTP: 400, Err: provider.Error{Status: provider.InvalidRequest, Code: "20001"}},
			{File: "failure.json", HTTP: 401, Err: provider.Error{Status: provider.Unauthorized, Code: "20003"}},
			{Body: coded("20004"), HTTP: 405, Err: provider.Error{Status: provider.InvalidRequest, Code: "20004"}},
			{Body: coded("20005"), HTTP: 403, Err: provider.Error{Status: provider.Suspended, Code: "20005"}},
			{Body: coded("20006"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "20006"}},
			{Body: coded("20008"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "20008"}},
			{Body: coded("20403"), HTTP: 403, Err: provider.Error{Status: provider.Unauthorized, Code: "20403"}},
			{Body: coded("20404"), HTTP: 404, Err: provider.Error{Status: provider.InvalidRequest, Code: "20404", Message: "main account"}},
			{Body: coded("20429"), HTTP: 429, Err: provider.Error{Status: provider.RateLimited, Code: "20429"}},
			{Body: coded("20500"), HTTP: 500, Err: provider.Error{Status: provider.ProviderError, Code: "20500"}},
			{Body: coded("20503"), HTTP: 503, Err: provider.Error{Status: provider.ProviderError, Code: "20503"}},
			{Body: coded("29999"), HTTP: 400, Err: provider.Error{Status: provider.ProviderError, Code: "29999"}},
		},
	})
}

// TestPath makes sure that nothing that is called a SID leads to another path.
func TestPath(t *testing.T) {
	t.Parallel()
	for _, sid := range []string{"", "AC", "SK0123456789abcdef0123456789abcdef", "AC/../..", "AC0?x", "AC0#", "AC0%2F"} {
		if client, err := NewClient(provider.Options{}, sid, "token"); err == nil {
			client.Close()
			t.Errorf("%q is taken for a SID", sid)
		}
	}
}
