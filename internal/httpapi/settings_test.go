package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// PUT replaces every setting, PATCH the named ones; what is not set is not shown.
func TestWalletSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const (
		start = `{"account":1,"wallet":"sms","currency":"CNY","balance":"0","held":"0","credit_limit":`
		end   = `"spent_today":"0","spent_this_month":"0"}` + "\n"
	)
	for _, tt := range []struct{ method, body, want string }{
		{"GET", "", `"0","available":"0","version":0,"status":"active",`},
		{"PUT", `{"credit_limit":"5"}`, `"5","available":"5","version":0,"status":"active",`},
		{
			"PUT", `{"credit_limit":"1","status":"suspended","min_amount":"0.1","max_amount":"2","daily_spend_cap":"10","monthly_spend_cap":"100"}`,
			`"1","available":"1","version":0,"status":"suspended","min_amount":"0.1","max_amount":"2","daily_spend_cap":"10","monthly_spend_cap":"100",`,
		},
		{"PATCH", `{}`, `"1","available":"1","version":0,"status":"suspended","min_amount":"0.1","max_amount":"2","daily_spend_cap":"10","monthly_spend_cap":"100",`},
		{"PATCH", `{"status":"active","min_amount":"0"}`, `"1","available":"1","version":0,"status":"active","max_amount":"2","daily_spend_cap":"10","monthly_spend_cap":"100",`},
		{"PATCH", `{"daily_spend_cap":"0","monthly_spend_cap":"7.5","credit_limit":"3"}`, `"3","available":"3","version":0,"status":"active","max_amount":"2","monthly_spend_cap":"7.5",`},
		{"GET", "", `"3","available":"3","version":0,"status":"active","max_amount":"2","monthly_spend_cap":"7.5",`},
		{"PUT", `{"credit_limit":"0"}`, `"0","available":"0","version":0,"status":"active",`},
	} {
		rec := h.do(tt.method, "/v1/accounts/1/wallets/sms", tt.body, as(h.root))
		wantStatus(t, rec, 200)
		if got := rec.Body.String(); got != start+tt.want+end {
			t.Errorf("%s %s\ngot  %swant %s", tt.method, tt.body, got, start+tt.want+end)
		}
	}
	rec := h.do("PUT", "/v1/accounts/1/wallets/rcs", `{"credit_limit":"0","max_amount":"2"}`, as(h.root))
	wantStatus(t, rec, 201)
	if got := rec.Header().Get("Location"); got != "/v1/accounts/1/wallets/rcs" || read[api.Wallet](t, rec).MaxAmount != "2" {
		t.Errorf("%s %s", got, rec.Body)
	}
	const quotes = ` (write money in quotes, such as "0.0383": JSON numbers lose digits on the way)`
	const zero = ` ("0" removes it; where it is left out of a PATCH, it stays)`
	for request, want := range map[string]string{
		`PATCH /v1/accounts/1/wallets/fax {"max_amount":"1"}`:                     "not_found: account 1 has no wallet fax",
		`PATCH /v1/accounts/77/wallets/sms {"max_amount":"1"}`:                    "not_found: there is no account 77",
		`PATCH /v1/accounts/0/wallets/sms {"max_amount":"1"}`:                     "not_found: there is no account 0",
		`PATCH /v1/accounts/1/wallets/S {"max_amount":"1"}`:                       `invalid_request: "S" is not a wallet name (a name is 1 to 16 of a-z, 0-9, '-' and '_', and starts with a letter)`,
		`PATCH /v1/accounts/1/wallets/sms {"status":"closed"}`:                    "invalid_request: status must be active or suspended",
		`PATCH /v1/accounts/1/wallets/sms {"status":""}`:                          "invalid_request: status must be active or suspended",
		`PUT /v1/accounts/1/wallets/sms {"credit_limit":"1","status":"gone"}`:     "invalid_request: status must be active or suspended",
		`PATCH /v1/accounts/1/wallets/sms {"min_amount":"-1"}`:                    "invalid_request: min_amount and max_amount must not be negative (0 is no bound)",
		`PATCH /v1/accounts/1/wallets/sms {"min_amount":"2","max_amount":"1"}`:    "invalid_request: min_amount must not be above max_amount",
		`PATCH /v1/accounts/1/wallets/sms {"daily_spend_cap":"-1"}`:               "invalid_request: a spend cap must not be negative (0 is no cap)",
		`PATCH /v1/accounts/1/wallets/sms {"daily_spend_cap":5}`:                  "invalid_request: daily_spend_cap must be a string, not a number" + quotes,
		`PATCH /v1/accounts/1/wallets/sms {"monthly_spend_cap":5}`:                "invalid_request: monthly_spend_cap must be a string, not a number" + quotes,
		`PATCH /v1/accounts/1/wallets/sms {"max_amount":5}`:                       "invalid_request: max_amount must be a string, not a number" + quotes,
		`PATCH /v1/accounts/1/wallets/sms {"credit_limit":"x"}`:                   "invalid_request: credit_limit: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)",
		`PATCH /v1/accounts/1/wallets/sms {"daily_spend_cap":""}`:                 "invalid_request: daily_spend_cap: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)",
		`PUT /v1/accounts/1/wallets/sms {"max_amount":"1"}`:                       "invalid_request: credit_limit: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)",
		`PATCH /v1/accounts/1/wallets/sms {"held":"1"}`:                           `invalid_request: unknown member "held" (/openapi.yaml lists the members)`,
		`PATCH /v1/keys/NOBODY {"daily_spend_cap":"1"}`:                           "not_found: there is no key with this id",
		`PATCH /v1/keys/` + h.root.ID + ` {"daily_spend_cap":"-1"}`:               "invalid_request: a spend cap must not be negative (0 is no cap)",
		`PATCH /v1/keys/` + h.root.ID + ` {"scopes":["admin"]}`:                   `invalid_request: unknown member "scopes" (/openapi.yaml lists the members)`,
		`PATCH /v1/keys/` + h.root.ID + ` {"daily_spend_cap":1}`:                  "invalid_request: daily_spend_cap must be a string, not a number" + quotes,
		`POST /v1/accounts/1/keys {"daily_spend_cap":"x"}`:                        "invalid_request: daily_spend_cap: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)",
		`POST /v1/keys {"scopes":["admin"],"monthly_spend_cap":"-2"}`:             "invalid_request: a spend cap must not be negative (0 is no cap)",
		`POST /v1/accounts {"name":"N","currency":"CNY","time_zone":"Nowhere"}`:   `invalid_request: there is no time zone "Nowhere" (write it like Asia/Ho_Chi_Minh or UTC)`,
		`POST /v1/accounts {"name":"N","currency":"CNY","time_zone":"Local"}`:     `invalid_request: "Local" is not the name of a time zone (write it like Asia/Ho_Chi_Minh or UTC)`,
		`POST /v1/accounts {"name":"N","currency":"CNY","charge_on":["GONE"]}`:    "invalid_request: charge_on must name states of a message, each once (the states are ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD)",
		`PATCH /v1/accounts/1 {"charge_on":["DELIVRD","DELIVRD"]}`:                "invalid_request: charge_on must name states of a message, each once (the states are ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD)",
		`PATCH /v1/accounts/1 {"charge_on":"DELIVRD"}`:                            "invalid_request: charge_on cannot be a string",
		`PATCH /v1/accounts/1/wallets/sms {"daily_spend_cap":null}`:               `invalid_request: daily_spend_cap cannot be null` + zero,
		`PATCH /v1/accounts/1/wallets/sms {"status":"active","max_amount": null}`: `invalid_request: max_amount cannot be null` + zero,
		`PUT /v1/accounts/1/wallets/sms {"credit_limit":null}`:                    `invalid_request: credit_limit cannot be null` + zero,
		`PATCH /v1/keys/` + h.root.ID + ` {"monthly_spend_cap" :null}`:            `invalid_request: monthly_spend_cap cannot be null` + zero,
		`PATCH /v1/accounts/1 {"charge_on":null,"time_zone":null}`:                `invalid_request: charge_on cannot be null (leave out what is not set)`,
		`PATCH /v1/accounts/1 {"metadata":{"a":"null","b":null}}`:                 `invalid_request: a value of metadata must be a string, not null`,
		`PATCH /v1/accounts/1 {"metadata":{"a":"null"},"name":null}`:              `invalid_request: name cannot be null (leave out what is not set)`,
		`PATCH /v1/accounts/1 {"time_zone":""}`:                                   `invalid_request: time_zone cannot be empty (write it like Asia/Ho_Chi_Minh or UTC)`,
		`PATCH /v1/accounts/1 {"time_zone":"Asia//Ho_Chi_Minh"}`:                  `invalid_request: there is no time zone "Asia//Ho_Chi_Minh" (write it like Asia/Ho_Chi_Minh or UTC)`,
		`PATCH /v1/accounts/1 {"time_zone":"` + strings.Repeat("x", 65) + `"}`:    `invalid_request: "` + strings.Repeat("x", 40) + `…" is not the name of a time zone (write it like Asia/Ho_Chi_Minh or UTC)`,
	} {
		method, rest, _ := strings.Cut(request, " ")
		target, body, _ := strings.Cut(rest, " ")
		if got := words(t, h.do(method, target, body, as(h.root))); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", request, got, want)
		}
	}
}

// Zone and charging states have defaults, survive what does not name them, and
// are always there in replies.
func TestAccountPolicies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for _, tt := range []struct{ method, target, body, zone, chargeOn string }{
		{"POST", "/v1/accounts", `{"id":9,"name":"N","currency":"CNY","time_zone":"Asia/Shanghai","charge_on":["ACCEPTD"]}`, "Asia/Shanghai", `["ACCEPTD"]`},
		{"POST", "/v1/accounts", `{"id":10,"name":"N","currency":"CNY","charge_on":[]}`, "UTC", `[]`},
		{"POST", "/v1/accounts", `{"id":11,"name":"N","currency":"CNY"}`, "UTC", `["DELIVRD","ACCEPTD"]`},
		{"GET", "/v1/accounts/1", "", "UTC", `["DELIVRD","ACCEPTD"]`},
		{"PATCH", "/v1/accounts/1", `{"charge_on":["UNKNOWN","DELIVRD"],"time_zone":"Asia/Ho_Chi_Minh"}`, "Asia/Ho_Chi_Minh", `["UNKNOWN","DELIVRD"]`},
		{"PATCH", "/v1/accounts/1", `{"name":"N"}`, "Asia/Ho_Chi_Minh", `["UNKNOWN","DELIVRD"]`},
		{"PATCH", "/v1/accounts/1", `{"charge_on":[]}`, "Asia/Ho_Chi_Minh", `[]`},
		{"GET", "/v1/accounts/1", "", "Asia/Ho_Chi_Minh", `[]`},
	} {
		rec := h.do(tt.method, tt.target, tt.body, as(h.root))
		if rec.Code >= 400 || !strings.Contains(rec.Body.String(), fmt.Sprintf(`"time_zone":%q,"charge_on":%s,"wallets":`, tt.zone, tt.chargeOn)) {
			t.Errorf("%s %s: %s", tt.method, tt.body, rec.Body)
		}
	}
	// A closed account has no open holds.
	h.topUp(1, ledger.Scale, "seed")
	hold := h.hold(h.root, "hold", `"amount":"1"`).ID
	rec := h.do("PATCH", "/v1/accounts/1", `{"status":"closed"}`, as(h.root))
	wantProblem(t, rec, ledger.Conflict)
	wantStatus(t, h.do("POST", "/v1/holds/"+hold+"/release", `{}`, as(h.root), idempotent("r")), 201)
	wantStatus(t, h.do("PATCH", "/v1/accounts/1", `{"status":"closed"}`, as(h.root)), 200)
}

// The caps of a wallet and of a key hold together; a transaction tells what the
// tighter one leaves, and a retry tells the same.
func TestSpendCaps(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1000*ledger.Scale, "seed")
	rec := h.do("POST", "/v1/accounts/1/keys", `{"scopes":["transactions:write"],"daily_spend_cap":"5","monthly_spend_cap":"30"}`, as(h.root))
	wantStatus(t, rec, 201)
	made := read[api.NewKey](t, rec)
	if made.DailySpendCap != "5" || made.MonthlySpendCap != "30" || strings.Contains(rec.Body.String(), "spent") {
		t.Errorf("%s", rec.Body)
	}
	capped := ledger.Credentials{ID: made.ID, Secret: made.Secret}
	wantStatus(t, h.do("PATCH", "/v1/accounts/1/wallets/sms", `{"monthly_spend_cap":"20"}`, as(h.root)), 200)
	charge := func(caller ledger.Credentials, key, amount string) *api.SpendCap {
		t.Helper()
		body := fmt.Sprintf(`{"account":1,"wallet":"sms","type":"charge","amount":%q}`, amount)
		rec := h.do("POST", "/v1/transactions", body, as(caller), idempotent(key))
		wantStatus(t, rec, 201)
		// A retry by a key without caps is told what the first request was told.
		if again := h.do("POST", "/v1/transactions", body, as(caller), idempotent(key)); again.Body.String() != rec.Body.String() {
			t.Errorf("%s, then %s", rec.Body, again.Body)
		}
		return read[api.Transaction](t, rec).SpendCap
	}
	for i, tt := range []struct {
		caller ledger.Credentials
		amount string
		want   api.SpendCap
	}{
		{h.root, "2", api.SpendCap{MonthlyRemaining: "18"}},
		{capped, "1", api.SpendCap{DailyRemaining: "4", MonthlyRemaining: "17"}},
		{capped, "4", api.SpendCap{DailyRemaining: "0", MonthlyRemaining: "13"}},
	} {
		if diff := cmp.Diff(&tt.want, charge(tt.caller, fmt.Sprint("k", i), tt.amount)); diff != "" {
			t.Error(diff)
		}
	}
	rec = h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"charge","amount":"1"}`, as(capped), idempotent("over"))
	if got := wantProblem(t, rec, ledger.SpendCapReached); got.Detail != "the daily spend cap leaves 0, 1 was asked for" {
		t.Errorf("%+v", got)
	}
	stored := read[api.Transaction](t, h.do("GET", "/v1/transactions/"+ledger.NewTransactionID(1, "over").String(), "", as(h.root)))
	if diff := cmp.Diff(&api.SpendCap{DailyRemaining: "0", MonthlyRemaining: "13"}, stored.SpendCap); diff != "" {
		t.Error(diff)
	}
	listed := func() api.Key {
		t.Helper()
		for _, key := range read[api.KeyPage](t, h.do("GET", "/v1/accounts/1/keys", "", as(h.root))).Items {
			if key.ID == made.ID {
				return key
			}
		}
		t.Fatal("the key is not listed")
		return api.Key{}
	}
	if key := listed(); key.SpentToday != "5" || key.SpentThisMonth != "5" || key.DailySpendCap != "5" {
		t.Errorf("%+v", key)
	}
	// A new cap holds for the next request.
	rec = h.do("PATCH", "/v1/keys/"+made.ID, `{"daily_spend_cap":"6.5"}`, as(h.root))
	wantStatus(t, rec, 200)
	if key := read[api.Key](t, rec); key.DailySpendCap != "6.5" || key.MonthlySpendCap != "30" || key.SpentToday != "5" || key.Account != 1 {
		t.Errorf("%+v", key)
	}
	if diff := cmp.Diff(&api.SpendCap{DailyRemaining: "0.5", MonthlyRemaining: "12"}, charge(capped, "more", "1")); diff != "" {
		t.Error(diff)
	}
	if wallet := h.wallet(1); wallet.SpentToday != "8" || wallet.SpentThisMonth != "8" || wallet.MonthlySpendCap != "20" {
		t.Errorf("%+v", wallet)
	}
	// Without caps nothing is counted, and nothing shown.
	rec = h.do("PATCH", "/v1/keys/"+made.ID, `{"daily_spend_cap":"0","monthly_spend_cap":"0"}`, as(h.root))
	if key := read[api.Key](t, rec); key.DailySpendCap+key.MonthlySpendCap+key.SpentToday+key.SpentThisMonth != "" {
		t.Errorf("%+v", key)
	}
	// A day later, the day's count has begun anew; a month and more later, the month's.
	h.later(40 * 24 * time.Hour)
	if wallet := h.wallet(1); wallet.SpentToday != "0" || wallet.SpentThisMonth != "0" {
		t.Errorf("%+v", wallet)
	}
	// The operator's keys take caps as well, in UTC.
	rec = h.do("PATCH", "/v1/keys/"+h.root.ID, `{"daily_spend_cap":"1.5"}`, as(h.root))
	if key := read[api.Key](t, rec); key.DailySpendCap != "1.5" || key.SpentToday != "0" {
		t.Errorf("%s", rec.Body)
	}
	if diff := cmp.Diff(&api.SpendCap{DailyRemaining: "0.5", MonthlyRemaining: "19"}, charge(h.root, "operator", "1")); diff != "" {
		t.Error(diff)
	}
	if got := read[api.KeyPage](t, h.do("GET", "/v1/keys", "", as(h.root))).Items[0]; got.SpentToday != "1" || got.SpentThisMonth != "1" {
		t.Errorf("%+v", got)
	}
}

// The spend count of an account begins anew where its day does.
func TestSpentInTheAccountsZone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 10*ledger.Scale, "seed")
	h.topUp(2, 10*ledger.Scale, "seed-2")
	wantStatus(t, h.do("PATCH", "/v1/accounts/1", `{"time_zone":"Pacific/Kiritimati"}`, as(h.root)), 200) // 14 hours ahead
	// To an hour before midnight in UTC, in the middle of a month.
	now := h.engine.Now()
	h.later(time.Date(now.Year(), now.Month()+1, 15, 23, 0, 0, 0, time.UTC).Sub(now))
	for account := range 2 {
		body := fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"1"}`, account+1)
		wantStatus(t, h.do("POST", "/v1/transactions", body, as(h.root), idempotent(fmt.Sprint("k", account))), 201)
	}
	h.later(2 * time.Hour)
	if first, second := h.wallet(1), h.wallet(2); first.SpentToday != "1" || second.SpentToday != "0" || second.SpentThisMonth != "1" {
		t.Errorf("%+v and %+v", first, second)
	}
}

// A wallet can be read as it was, without what has no history.
func TestWalletAt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	// All times are those of the next hour after a midnight.
	now := h.engine.Now()
	midnight := time.Date(now.Year(), now.Month(), now.Day()+2, 0, 0, 0, 0, time.UTC)
	h.later(midnight.Add(-time.Minute).Sub(now))
	h.topUp(1, 10*ledger.Scale, "seed")
	h.later(2 * time.Minute)
	hold := h.hold(h.root, "hold", `"amount":"4"`)
	h.later(time.Minute)
	wantStatus(t, h.do("POST", "/v1/holds/"+hold.ID+"/capture", `{}`, as(h.root), idempotent("c")), 201)
	day := midnight.Format(time.DateOnly)
	at := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }
	placed, _ := time.Parse(time.RFC3339Nano, hold.CreatedAt)
	latest := at(h.engine.Now())
	for query, want := range map[string]string{
		"at=" + day:                                               `"balance":"10","held":"0","version":1,"at":"` + at(midnight) + `"`,
		"at=" + day + "&tz=UTC":                                   `"balance":"10","held":"0","version":1,"at":"` + at(midnight) + `"`,
		"at=" + day + "&tz=Asia/Tokyo":                            `"balance":"0","held":"0","version":0,"at":"` + at(midnight.Add(-9*time.Hour)) + `"`,
		"at=" + midnight.Format("2006-01-02T15:04:05Z"):           `"balance":"10","held":"0","version":1,"at":"` + at(midnight) + `"`,
		"at=" + midnight.Format("2006-01-02T15:04:05") + "-00:01": `"balance":"10","held":"0","version":1,"at":"` + at(midnight.Add(time.Minute)) + `"`,
		"at=" + latest:                                            `"balance":"6","held":"0","version":3,"at":"` + latest + `"`,
		"at=" + hold.CreatedAt:                                    `"balance":"10","held":"4","version":2,"at":"` + hold.CreatedAt + `"`,
		"at=" + at(placed.Add(-time.Microsecond)):                 `"balance":"10","held":"0","version":1,"at":"` + at(placed.Add(-time.Microsecond)) + `"`,
		"at=2001-01-01":                                           `"balance":"0","held":"0","version":0,"at":"2001-01-01T00:00:00.000000Z"`,
		// A day without a midnight begins an hour later.
		"at=2024-09-08&tz=America/Santiago": `"balance":"0","held":"0","version":0,"at":"2024-09-08T04:00:00.000000Z"`,
	} {
		rec := h.do("GET", "/v1/accounts/1/wallets/sms?"+query, "", as(h.root))
		wantStatus(t, rec, 200)
		if full := `{"account":1,"wallet":"sms","currency":"CNY",` + want + "}\n"; rec.Body.String() != full {
			t.Errorf("%s\ngot  %swant %s", query, rec.Body, full)
		}
	}
	const form = "invalid_request: at must be an RFC 3339 time or a date, since 1970 (such as 2026-11-01 or 2026-11-01T00:00:00Z; in a URL, write the + of an offset as %2B)"
	const future = "invalid_request: at must not be in the future (leave at out to read the wallet as it is)"
	for query, want := range map[string]string{
		"at=":                          form,
		"at=yesterday":                 form,
		"at=2026-11-31":                form,
		"at=2026-11-01T00:00:00":       form,
		"at=2026-11-01T00:00:00+07:00": form, // in a query, a plus is a space
		"at=1969-12-31":                form,
		"at=9999-12-31":                future,
		"at=" + at(h.engine.Now().Add(time.Minute)): future,
		"at=9999-12-31T23:59:59-12:00":              form,
		"tz=Nowhere":                                `invalid_request: there is no time zone "Nowhere" (write it like Asia/Ho_Chi_Minh or UTC)`,
		"at=2026-11-01&tz=":                         "invalid_request: tz is not the name of a time zone (write it like Asia/Ho_Chi_Minh or UTC)",
		"at=2026-11-01&tz=Local":                    `invalid_request: there is no time zone "Local" (write it like Asia/Ho_Chi_Minh or UTC)`,
		"at=2026-11-01&tz=../UTC":                   `invalid_request: there is no time zone "../UTC" (write it like Asia/Ho_Chi_Minh or UTC)`,
		"at=2026-11-01&at=2026-11-02":               "invalid_request: at does not have the form that it should (/openapi.yaml describes it)",
	} {
		if got := words(t, h.do("GET", "/v1/accounts/1/wallets/sms?"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	if got := words(t, h.do("GET", "/v1/accounts/1/wallets/fax?at=2026-11-01", "", as(h.root))); got != "not_found: account 1 has no such wallet" {
		t.Errorf("%s", got)
	}
}
