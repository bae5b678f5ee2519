package acceptance

import (
	"fmt"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// calmZone is a time zone in which it is about noon, so that no day or month
// ends while a test runs.
func calmZone() string {
	// These names count to the west: it is 12 in Etc/GMT+2 when it is 14 in UTC.
	return fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12)
}

// testSettings has account 61 for the caps of a wallet, 62 for bounds and
// statuses, and 63 for the caps of keys.
func (r *rest) testSettings(t *testing.T) {
	for _, account := range []api.AccountID{61, 62, 63} {
		r.account(t, api.AccountRequest{ID: account, TimeZone: calmZone()}, map[string]string{"sms": "1000"})
	}
	r.signIn(t, "sixty-one", 61, api.ScopeBalanceRead, api.ScopeTransactionsWrite)
	t.Run("accounts", r.testAccountSettings)
	t.Run("caps", r.testWalletCaps)
	t.Run("bounds", r.testAmountBounds)
	t.Run("status", r.testWalletStatus)
	t.Run("wallets", r.testWalletSettings)
	t.Run("keys", r.testKeyCaps)
}

func (r *rest) testAccountSettings(t *testing.T) {
	r.walk(t, []step{
		{
			"operator", "POST", "/v1/accounts", `{"name":"Z","currency":"CNY","id":64,"time_zone":"Asia/Ho_Chi_Minh","charge_on":["DELIVRD"]}`, 201,
			`{"id":64,"name":"Z","currency":"CNY","status":"active","time_zone":"Asia/Ho_Chi_Minh","charge_on":["DELIVRD"],"wallets":[`,
		},
		{"operator", "POST", "/v1/accounts", `{"name":"Z","currency":"CNY","charge_on":[]}`, 201, `"charge_on":[],"wallets":[`},
		{"operator", "POST", "/v1/accounts", `{"name":"Z","currency":"CNY","time_zone":"Nowhere"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"Z","currency":"CNY","charge_on":["SENT"]}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"Z","currency":"CNY","charge_on":["DELIVRD","DELIVRD"]}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/accounts/64", `{"time_zone":"America/St_Johns"}`, 200, `"time_zone":"America/St_Johns","charge_on":["DELIVRD"]`},
		{"operator", "PATCH", "/v1/accounts/64", `{"charge_on":["UNDELIV","ENROUTE"]}`, 200, `"time_zone":"America/St_Johns","charge_on":["UNDELIV","ENROUTE"]`},
		{"operator", "PATCH", "/v1/accounts/64", `{"time_zone":"Local"}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/accounts/64", `{"time_zone":""}`, 400, "invalid_request"},
		{"operator", "GET", "/v1/accounts/64", ``, 200, `"time_zone":"America/St_Johns","charge_on":["UNDELIV","ENROUTE"]`},
	})
}

func (r *rest) testWalletCaps(t *testing.T) {
	const wallet = "/v1/accounts/61/wallets/sms"
	charge := func(amount string) string {
		return `{"account":61,"wallet":"sms","type":"charge","amount":"` + amount + `"}`
	}
	r.walk(t, []step{
		{"sixty-one", "POST", "/v1/transactions#cap-0", charge("1"), 201, `Z"}` + "\n"}, // there is no cap, and nothing remains of none
		{"operator", "PATCH", wallet, `{"daily_spend_cap":"6","monthly_spend_cap":"10"}`, 200, `"status":"active","daily_spend_cap":"6","monthly_spend_cap":"10","spent_today":"1","spent_this_month":"1"}`},
		{"sixty-one", "POST", "/v1/transactions#cap-1", charge("1"), 201, `"spend_cap":{"daily_remaining":"4","monthly_remaining":"8"}}`},
		{"sixty-one", "POST", "/v1/holds#cap-2", `{"account":61,"wallet":"sms","amount":"3"}`, 201, `"spend_cap":{"daily_remaining":"1","monthly_remaining":"5"}}`},
		{"sixty-one", "POST", "/v1/transactions#cap-3", charge("1.000001"), 422, "spend_cap_reached"},
		{"sixty-one", "POST", "/v1/holds#cap-4", `{"account":61,"wallet":"sms","amount":"1.5"}`, 422, "spend_cap_reached"},
		{"sixty-one", "GET", "/v1/transactions/{cap-3}", ``, 200, `"rejection":"spend_cap_reached","type":"charge","account":61,"wallet":"sms","amount":"1.000001"`},
		{"sixty-one", "GET", "/v1/transactions/{cap-3}", ``, 200, `"spend_cap":{"daily_remaining":"1","monthly_remaining":"5"}}`},
		{"sixty-one", "GET", "/v1/balance", ``, 200, `"spent_today":"5","spent_this_month":"5"}`},
		// What a hold gives back may be spent again, and a refund changes nothing.
		{"sixty-one", "POST", "/v1/holds/{cap-2}/capture#cap-5", `{"amount":"1"}`, 201, `"spend_cap":{"daily_remaining":"3","monthly_remaining":"7"}}`},
		{"operator", "POST", "/v1/transactions#cap-6", `{"type":"refund","amount":"1","charge":"{cap-1}"}`, 201, `"charge":"{cap-1}"}`},
		{"operator", "GET", wallet, ``, 200, `"spent_today":"3","spent_this_month":"3"}`},
		// A capture above its hold adds what is above.
		{"sixty-one", "POST", "/v1/holds#cap-7", `{"account":61,"wallet":"sms","amount":"1"}`, 201, `"daily_remaining":"2"`},
		{"sixty-one", "POST", "/v1/holds/{cap-7}/capture#cap-8", `{"amount":"2"}`, 201, `"spend_cap":{"daily_remaining":"1","monthly_remaining":"5"}}`},
		{"sixty-one", "POST", "/v1/holds#cap-9", `{"account":61,"wallet":"sms","amount":"1"}`, 201, `"daily_remaining":"0"`},
		{"sixty-one", "POST", "/v1/holds/{cap-9}/release#cap-10", `{}`, 201, `"released"`},
		{"operator", "POST", "/v1/transactions#cap-11", charge("1"), 201, `"spend_cap":{"daily_remaining":"0","monthly_remaining":"4"}}`},
		{"operator", "POST", "/v1/transactions#cap-12", charge("0.000001"), 422, "spend_cap_reached"},
		// Neither a top-up nor a transfer is spent, and a cap of another wallet is another.
		{"operator", "POST", "/v1/transactions#cap-13", `{"account":61,"wallet":"sms","type":"transfer","amount":"5","to_account":61,"to_wallet":"voip"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#cap-14", `{"account":61,"wallet":"voip","type":"charge","amount":"5"}`, 201, `"posted"`},
		{"operator", "PATCH", wallet, `{"daily_spend_cap":"0"}`, 200, `"status":"active","monthly_spend_cap":"10","spent_today":"6","spent_this_month":"6"}`},
		{"sixty-one", "POST", "/v1/transactions#cap-15", charge("4"), 201, `"spend_cap":{"monthly_remaining":"0"}}`},
		{"sixty-one", "POST", "/v1/transactions#cap-16", charge("1"), 422, "spend_cap_reached"},
		// The same request is the same rejection, whatever the cap has become.
		{"operator", "PATCH", wallet, `{"monthly_spend_cap":"0"}`, 200, `"status":"active","spent_today":"10","spent_this_month":"10"}`},
		{"sixty-one", "POST", "/v1/transactions#cap-16", charge("1"), 422, "spend_cap_reached"},
		{"sixty-one", "POST", "/v1/transactions#cap-17", charge("1"), 201, `"posted"`},
	})
}

func (r *rest) testAmountBounds(t *testing.T) {
	move := func(kind, amount, rest string) string {
		return fmt.Sprintf(`{"account":62,"wallet":"sms","type":%q,"amount":%q%s}`, kind, amount, rest)
	}
	r.walk(t, []step{
		{"operator", "PATCH", "/v1/accounts/62/wallets/sms", `{"min_amount":"0.5","max_amount":"2"}`, 200, `"status":"active","min_amount":"0.5","max_amount":"2","spent_today":"0"`},
		{"operator", "POST", "/v1/transactions#min-1", move("charge", "0.499999", ``), 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/transactions#min-2", move("charge", "0.5", ``), 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#max-1", move("charge", "2", ``), 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#max-2", move("charge", "2.000001", ``), 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/transactions#max-3", move("hold", "3", ``), 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/transactions#max-4", move("hold", "0.1", ``), 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/transactions#max-5", move("transfer", "3", `,"to_account":61`), 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/holds#max-6", `{"account":62,"wallet":"sms","amount":"2"}`, 201, `"open"`},
		{"operator", "POST", "/v1/holds/{max-6}/capture#max-7", `{"amount":"2.1"}`, 422, "amount_not_allowed"},
		{"operator", "POST", "/v1/holds/{max-6}/capture#max-8", `{"amount":"0.1"}`, 201, `"captured"`}, // no capture is too small
		{"operator", "POST", "/v1/transactions#max-9", move("topup", "500", ``), 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#max-10", move("adjustment", "-0.1", ``), 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#max-11", `{"account":61,"wallet":"sms","type":"transfer","amount":"5","to_account":62}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#max-2", move("charge", "2.000001", ``), 422, "amount_not_allowed"},
		{"operator", "PATCH", "/v1/accounts/62/wallets/sms", `{"min_amount":"3"}`, 400, "invalid_request"}, // above the other bound
		{"operator", "PATCH", "/v1/accounts/62/wallets/sms", `{"min_amount":"0","max_amount":"0"}`, 200, `"status":"active","spent_today":"2.6"`},
	})
}

func (r *rest) testWalletStatus(t *testing.T) {
	const wallet = "/v1/accounts/62/wallets/sms"
	r.walk(t, []step{
		{"operator", "POST", "/v1/transactions#sus-1", `{"account":62,"wallet":"sms","type":"charge","amount":"1"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/holds#sus-2", `{"account":62,"wallet":"sms","amount":"1"}`, 201, `"open"`},
		{"operator", "POST", "/v1/holds#sus-3", `{"account":62,"wallet":"sms","amount":"1"}`, 201, `"open"`},
		{"operator", "PATCH", wallet, `{"status":"suspended"}`, 200, `"credit_limit":"100","available":"`},
		{"operator", "GET", wallet, ``, 200, `"status":"suspended"`},
		{"operator", "POST", "/v1/transactions#sus-4", `{"account":62,"wallet":"sms","type":"charge","amount":"1"}`, 409, "wallet_not_active"},
		{"operator", "POST", "/v1/holds#sus-5", `{"account":62,"wallet":"sms","amount":"1"}`, 409, "wallet_not_active"},
		{"operator", "POST", "/v1/transactions#sus-6", `{"account":62,"wallet":"sms","type":"transfer","amount":"1","to_account":61}`, 409, "wallet_not_active"},
		{"operator", "POST", "/v1/transactions#sus-7", `{"account":62,"wallet":"sms","type":"topup","amount":"1"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#sus-8", `{"type":"refund","amount":"1","charge":"{sus-1}"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/holds/{sus-2}/capture#sus-9", `{}`, 201, `"captured"`},
		{"operator", "POST", "/v1/holds/{sus-3}/release#sus-10", `{}`, 201, `"released"`},
		{"operator", "POST", "/v1/transactions#sus-11", `{"account":62,"wallet":"voip","type":"topup","amount":"1"}`, 201, `"posted"`}, // another wallet
		{"operator", "PATCH", wallet, `{"status":"active"}`, 200, `"status":"active"`},
		{"operator", "POST", "/v1/transactions#sus-4", `{"account":62,"wallet":"sms","type":"charge","amount":"1"}`, 409, "wallet_not_active"}, // as it was
		{"operator", "POST", "/v1/transactions#sus-12", `{"account":62,"wallet":"sms","type":"charge","amount":"1"}`, 201, `"posted"`},
	})
}

// testWalletSettings checks that PUT sets everything and PATCH what it names.
func (r *rest) testWalletSettings(t *testing.T) {
	const wallet = "/v1/accounts/62/wallets/rcs"
	r.walk(t, []step{
		{"operator", "PATCH", wallet, `{"credit_limit":"1"}`, 404, "not_found"},
		{"operator", "PATCH", "/v1/accounts/7/wallets/sms", `{"credit_limit":"1"}`, 404, "not_found"},
		{
			"operator", "PUT", wallet, `{"credit_limit":"5","status":"suspended","min_amount":"1","max_amount":"2","daily_spend_cap":"3","monthly_spend_cap":"4"}`, 201,
			`"credit_limit":"5","available":"5","version":0,"status":"suspended","min_amount":"1","max_amount":"2","daily_spend_cap":"3","monthly_spend_cap":"4","spent_today":"0","spent_this_month":"0"}`,
		},
		{"operator", "PATCH", wallet, `{}`, 200, `"status":"suspended","min_amount":"1","max_amount":"2","daily_spend_cap":"3","monthly_spend_cap":"4","spent_today":"0"`},
		{"operator", "PATCH", wallet, `{"credit_limit":"6","max_amount":"0"}`, 200, `"credit_limit":"6","available":"6","version":0,"status":"suspended","min_amount":"1","daily_spend_cap":"3","monthly_spend_cap":"4","spent_today":"0"`},
		{"operator", "PUT", wallet, `{"credit_limit":"7"}`, 200, `"credit_limit":"7","available":"7","version":0,"status":"active","spent_today":"0","spent_this_month":"0"}`},
		{"operator", "PATCH", wallet, `{"status":"closed"}`, 400, "invalid_request"},
		{"operator", "PATCH", wallet, `{"daily_spend_cap":"-1"}`, 400, "invalid_request"},
		{"operator", "PATCH", wallet, `{"daily_spend_cap":5}`, 400, "invalid_request"},
		{"operator", "PATCH", wallet, `{"spent_today":"0"}`, 400, "invalid_request"},
		{"operator", "PATCH", wallet, ``, 400, "invalid_request"},
		{"operator", "PATCH", wallet, `{"credit_limit":"9223372036854.775808"}`, 400, "invalid_request"},
		{"sixty-one", "PATCH", "/v1/accounts/61/wallets/sms", `{"daily_spend_cap":"0"}`, 403, "forbidden"},
		{"reader", "PATCH", wallet, `{}`, 403, "forbidden"},
		{"nobody", "PATCH", wallet, `{}`, 401, "unauthorized"},
	})
}

func (r *rest) testKeyCaps(t *testing.T) {
	const both = `"scopes":["balance:read","transactions:write"]`
	r.keys["capped"], r.keys["free"] = "Bearer CAPPEDS3CR3T-0123456789", "Bearer FREES3CR3T-0123456789"
	charge := func(amount string) string {
		return `{"account":63,"wallet":"sms","type":"charge","amount":"` + amount + `"}`
	}
	r.walk(t, []step{
		{
			"operator", "POST", "/v1/accounts/63/keys", `{"id":"CAPPED","secret":"S3CR3T-0123456789",` + both + `,"daily_spend_cap":"3","monthly_spend_cap":"5"}`, 201,
			`Z","daily_spend_cap":"3","monthly_spend_cap":"5"}`,
		},
		{"operator", "POST", "/v1/accounts/63/keys", `{"id":"FREE","secret":"S3CR3T-0123456789",` + both + `,"daily_spend_cap":"0"}`, 201, `Z"}` + "\n"},
		{"capped", "POST", "/v1/transactions#key-1", charge("1"), 201, `"spend_cap":{"daily_remaining":"2","monthly_remaining":"4"}}`},
		{"free", "POST", "/v1/transactions#key-2", charge("10"), 201, `Z"}` + "\n"},
		// Of two caps, the one that leaves less is told.
		{"operator", "PATCH", "/v1/accounts/63/wallets/sms", `{"daily_spend_cap":"12.5"}`, 200, `"daily_spend_cap":"12.5"`},
		{"capped", "POST", "/v1/transactions#key-3", charge("0.5"), 201, `"spend_cap":{"daily_remaining":"1","monthly_remaining":"3.5"}}`},
		{"operator", "PATCH", "/v1/accounts/63/wallets/sms", `{"daily_spend_cap":"0"}`, 200, `"status":"active","spent_today":"11.5"`},
		{"capped", "POST", "/v1/transactions#key-4", charge("1.6"), 422, "spend_cap_reached"},
		{"capped", "POST", "/v1/holds#key-5", `{"account":63,"wallet":"sms","amount":"1.5"}`, 201, `"spend_cap":{"daily_remaining":"0","monthly_remaining":"2"}}`},
		{"free", "POST", "/v1/holds/{key-5}/release#key-6", `{}`, 201, `"released"`}, // given back to the key that placed it
		{"capped", "POST", "/v1/transactions#key-7", charge("1.5"), 201, `"spend_cap":{"daily_remaining":"0","monthly_remaining":"2"}}`},
		{"operator", "GET", "/v1/accounts/63/keys", ``, 200, `"daily_spend_cap":"3","monthly_spend_cap":"5","spent_today":"3","spent_this_month":"3"}`},
		{"operator", "PATCH", "/v1/keys/CAPPED", `{"daily_spend_cap":"4"}`, 200, `"daily_spend_cap":"4","monthly_spend_cap":"5","spent_today":"3","spent_this_month":"3"}`},
		{"capped", "POST", "/v1/transactions#key-8", charge("1"), 201, `"spend_cap":{"daily_remaining":"0","monthly_remaining":"1"}}`},
		{"operator", "PATCH", "/v1/keys/CAPPED", `{"daily_spend_cap":"0","monthly_spend_cap":"0"}`, 200, `Z"}` + "\n"},
		{"capped", "POST", "/v1/transactions#key-9", charge("100"), 201, `Z"}` + "\n"},
		{"operator", "PATCH", "/v1/keys/CAPPED", `{}`, 200, `{"id":"CAPPED","account":63,` + both},
		{"operator", "PATCH", "/v1/keys/CAPPED", `{"daily_spend_cap":"x"}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/keys/CAPPED", `{"scopes":["admin"]}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/keys/NONE", `{"daily_spend_cap":"1"}`, 404, "not_found"},
		{"capped", "PATCH", "/v1/keys/CAPPED", `{"daily_spend_cap":"0"}`, 403, "forbidden"},
		{"nobody", "PATCH", "/v1/keys/CAPPED", `{}`, 401, "unauthorized"},
		// Keys of the operator have caps too.
		{"operator", "POST", "/v1/keys", `{"id":"CAP0","secret":"S3CR3T-0123456789","scopes":["transactions:write"],"daily_spend_cap":"1"}`, 201, `"daily_spend_cap":"1"}`},
	})
	r.keys["capped operator"] = "Bearer CAP0S3CR3T-0123456789"
	r.walk(t, []step{{"capped operator", "POST", "/v1/transactions#key-10", charge("1.1"), 422, "spend_cap_reached"}})
}
