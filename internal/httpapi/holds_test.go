package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// wallet reads the wallet sms of an account.
func (h *house) wallet(account int) api.Wallet {
	h.t.Helper()
	rec := h.do("GET", fmt.Sprintf("/v1/accounts/%d/wallets/sms", account), "", as(h.root))
	wantStatus(h.t, rec, 200)
	return read[api.Wallet](h.t, rec)
}

// hold places a hold on the wallet sms of account 1 through the door.
func (h *house) hold(caller ledger.Credentials, key, members string) api.Transaction {
	h.t.Helper()
	rec := h.do("POST", "/v1/holds", `{"account":1,"wallet":"sms",`+members+`}`, as(caller), idempotent(key))
	wantStatus(h.t, rec, 201)
	return read[api.Transaction](h.t, rec)
}

// The whole life of a hold, reply by reply and to the byte but for the times.
func TestHolds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 10*ledger.Scale, "seed")
	id := ledger.NewTransactionID(ledger.Operator, "place").String()
	var created, expires string
	for i, step := range []struct{ key, target, body, location, want string }{
		{
			"place", "/v1/holds", `{"account":1,"wallet":"sms","amount":"3","reference":"call-9","metadata":{"to":"84"}}`, "/v1/holds/ID",
			`{"id":"ID","status":"posted","type":"hold","account":1,"wallet":"sms","amount":"3","balance":"10","held":"3","available":"7",` +
				`"reference":"call-9","metadata":{"to":"84"},"created_at":"T","hold":{"id":"ID","status":"open","remaining":"3","expires_at":"E"}}`,
		},
		{
			"extend", "/v1/holds/ID/extend", `{"expires_in":60}`, "/v1/transactions/SELF",
			`{"id":"SELF","status":"posted","type":"extend","account":1,"wallet":"sms","amount":"0","balance":"10","held":"3","available":"7",` +
				`"reference":"call-9","created_at":"T","hold":{"id":"ID","status":"open","remaining":"3","expires_at":"E"}}`,
		},
		{
			"part", "/v1/holds/ID/capture", `{"amount":"1.25","final":false,"reference":"minute-1"}`, "/v1/transactions/SELF",
			`{"id":"SELF","status":"posted","type":"capture","account":1,"wallet":"sms","amount":"1.25","balance":"8.75","held":"1.75","available":"7",` +
				`"reference":"minute-1","created_at":"T","hold":{"id":"ID","status":"open","remaining":"1.75","expires_at":"E"},"final":false}`,
		},
		{
			"rest", "/v1/transactions", `{"type":"capture","hold":"ID"}`, "/v1/transactions/SELF",
			`{"id":"SELF","status":"posted","type":"capture","account":1,"wallet":"sms","amount":"1.75","balance":"7","held":"0","available":"7",` +
				`"reference":"call-9","created_at":"T","hold":{"id":"ID","status":"captured","remaining":"0","expires_at":"E"},"final":true}`,
		},
		{
			"back", "/v1/transactions", `{"type":"refund","charge":"PART","amount":"0.25"}`, "/v1/transactions/SELF",
			`{"id":"SELF","status":"posted","type":"refund","account":1,"wallet":"sms","amount":"0.25","balance":"7.25","held":"0","available":"7.25",` +
				`"reference":"minute-1","created_at":"T","charge":"PART"}`,
		},
	} {
		names := strings.NewReplacer("ID", id, "SELF", ledger.NewTransactionID(ledger.Operator, step.key).String(),
			"PART", ledger.NewTransactionID(ledger.Operator, "part").String())
		rec := h.do("POST", names.Replace(step.target), names.Replace(step.body), as(h.root), idempotent(step.key))
		wantStatus(t, rec, 201)
		if got := rec.Header().Get("Location"); got != names.Replace(step.location) {
			t.Errorf("%s: Location is %s", step.key, got)
		}
		transaction := read[api.Transaction](t, rec)
		if i == 0 {
			created, expires = transaction.CreatedAt, transaction.Hold.ExpiresAt
			from, _ := time.Parse(time.RFC3339Nano, created)
			if at, _ := time.Parse(time.RFC3339Nano, expires); at.Sub(from) != 24*time.Hour {
				t.Errorf("placed at %s, expires at %s", created, expires)
			}
		}
		want := strings.NewReplacer(`"T"`, `"`+transaction.CreatedAt+`"`, `"E"`, `"`+expires+`"`).Replace(names.Replace(step.want)) + "\n"
		if rec.Body.String() != want {
			t.Errorf("%s\ngot  %swant %s", step.key, rec.Body, want)
		}
		again := h.do("POST", names.Replace(step.target), names.Replace(step.body), as(h.root), idempotent(step.key))
		if again.Body.String() != rec.Body.String() || again.Code != 201 || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again %d %s", again.Code, again.Body)
		}
		// What can be read later is the same.
		if stored := h.do("GET", "/v1/transactions/"+transaction.ID, "", as(h.root)); stored.Body.String() != rec.Body.String() {
			t.Errorf("stored %s", stored.Body)
		}
	}
	got := read[api.Hold](t, h.do("GET", "/v1/holds/"+id, "", as(h.root)))
	want := api.Hold{
		ID: id, Account: 1, Wallet: "sms", Status: api.HoldStatusCaptured, Amount: "3", Captured: "3", Remaining: "0", Reference: "call-9",
		CreatedAt: created, ExpiresAt: expires, ClosedAt: got.ClosedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" || got.ClosedAt == "" {
		t.Error(diff, got.ClosedAt)
	}
}

// Every rejection about holds is remembered, and tells the hold by its id alone.
func TestHoldRejections(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	open := h.hold(h.root, "open", `"amount":"1"`).ID
	released := h.hold(h.root, "released", `"amount":"1"`).ID
	wantStatus(t, h.do("POST", "/v1/holds/"+released+"/release", `{"metadata":{}}`, as(h.root), idempotent("release")), 201)
	old := h.hold(h.root, "old", `"amount":"1","expires_in":60`).ID
	h.later(2 * time.Minute)
	charge := ledger.NewTransactionID(ledger.Operator, "charge").String()
	wantStatus(t, h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"charge","amount":"2"}`, as(h.root), idempotent("charge")), 201)
	wantStatus(t, h.do("PATCH", "/v1/accounts/1/wallets/sms", `{"min_amount":"0.5","max_amount":"20","daily_spend_cap":"25","monthly_spend_cap":"1000"}`, as(h.root)), 200)
	for i, tt := range []struct {
		target, body string
		code         ledger.Code
		detail, hold string
	}{
		{"/v1/holds/" + released + "/capture", `{}`, ledger.HoldNotOpen, "the hold is captured or released already", released},
		{"/v1/holds/" + released + "/release", `{}`, ledger.HoldNotOpen, "the hold is captured or released already", released},
		{"/v1/holds/" + released + "/extend", `{"expires_in":5}`, ledger.HoldNotOpen, "the hold is captured or released already", released},
		// Its time is over, though nobody has closed it yet.
		{"/v1/holds/" + old + "/capture", `{"amount":"1"}`, ledger.HoldPastExpiry, "the hold has expired", old},
		{"/v1/holds/" + old + "/release", `{}`, ledger.HoldPastExpiry, "the hold has expired", old},
		{"/v1/holds/" + open + "/capture", `{"amount":"20.5"}`, ledger.AmountNotAllowed, "20.5 is not between the least and the most that the wallet allows", open},
		{"/v1/holds", `{"account":1,"wallet":"sms","amount":"0.4"}`, ledger.AmountNotAllowed, "0.4 is not between the least and the most that the wallet allows", "SELF"},
		{"/v1/holds", `{"account":1,"wallet":"sms","amount":"20"}`, "", "", "SELF"},
		{"/v1/holds", `{"account":1,"wallet":"sms","amount":"2"}`, ledger.SpendCapReached, "the daily spend cap leaves 1, 2 was asked for", "SELF"},
		{"/v1/transactions", `{"type":"refund","charge":"` + charge + `","amount":"2.5"}`, ledger.RefundExceedsCharge, "with 2.5 the refunds would be more than the charge", ""},
		{"/v1/holds", `{"account":1,"wallet":"voip","amount":"2"}`, ledger.InsufficientFunds, "0 is available, 2 was asked for", "SELF"},
	} {
		key := fmt.Sprintf("k-%d", i)
		rec := h.do("POST", tt.target, tt.body, as(h.root), idempotent(key))
		if tt.code == "" {
			wantStatus(t, rec, 201)
			continue
		}
		problem := wantProblem(t, rec, tt.code)
		id := ledger.NewTransactionID(ledger.Operator, key).String()
		if problem.Detail != tt.detail || problem.Transaction != id {
			t.Errorf("%s %s: %+v", tt.target, tt.body, problem)
		}
		again := h.do("POST", tt.target, tt.body, as(h.root), idempotent(key))
		if again.Body.String() != rec.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again %s", again.Body)
		}
		stored := h.do("GET", "/v1/transactions/"+id, "", as(h.root))
		transaction := read[api.Transaction](t, stored)
		want := (*api.TransactionHold)(nil)
		if tt.hold != "" {
			want = &api.TransactionHold{ID: strings.Replace(tt.hold, "SELF", id, 1)}
		}
		if diff := cmp.Diff(want, transaction.Hold); diff != "" || transaction.Rejection != api.ErrorCode(tt.code) {
			t.Errorf("%s: %s", stored.Body, diff)
		}
	}
	wantStatus(t, h.do("PATCH", "/v1/accounts/1/wallets/sms", `{"status":"suspended"}`, as(h.root)), 200)
	rec := h.do("POST", "/v1/holds", `{"account":1,"wallet":"sms","amount":"1"}`, as(h.root), idempotent("suspended"))
	wantProblem(t, rec, ledger.WalletNotActive)
	// What was promised before can still be taken.
	rec = h.do("POST", "/v1/holds/"+open+"/capture", `{}`, as(h.root), idempotent("promised"))
	wantStatus(t, rec, 201)
	// And the sweeper's own transactions can be read, too.
	if n, err := h.engine.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d expired, %v", n, err)
	}
	page := read[api.Statement](t, h.do("GET", "/v1/accounts/1/wallets/sms/statement?type=expire", "", as(h.root)))
	if len(page.Items) != 1 || page.Items[0].Hold != old {
		t.Fatalf("%+v", page)
	}
	expiry := read[api.Transaction](t, h.do("GET", "/v1/transactions/"+page.Items[0].Transaction, "", as(h.root)))
	if expiry.Type != api.TransactionTypeExpire || expiry.Amount != "1" || expiry.Hold.Status != api.HoldStatusExpired {
		t.Errorf("%+v", expiry)
	}
	hold := read[api.Hold](t, h.do("GET", "/v1/holds/"+old, "", as(h.root)))
	if hold.Status != api.HoldStatusExpired || hold.Remaining != "0" || hold.ClosedAt == "" {
		t.Errorf("%+v", hold)
	}
}

// Members that a kind does not have are errors, and so are those that it lacks:
// absent, null and empty are told apart where it matters.
func TestHoldBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 10*ledger.Scale, "seed")
	hold := h.hold(h.root, "hold", `"amount":"5"`).ID
	charge := h.post(ledger.Request{IdempotencyKey: "charge", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: ledger.Scale}).ID.String()
	missing := ledger.NewTransactionID(ledger.Operator, "none").String()
	const (
		quotes  = ` (write money in quotes, such as "0.0383": JSON numbers lose digits on the way)`
		decimal = "not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)"
		zero    = "00000000-0000-0000-0000-000000000000"
		capture = "/v1/holds/HOLD/capture"
		release = "/v1/holds/HOLD/release"
		extend  = "/v1/holds/HOLD/extend"
		holds   = "/v1/holds"
		all     = "/v1/transactions"
		parents = "invalid_request: a refund names a charge, and only what ends or extends a hold names one"
	)
	names := strings.NewReplacer("HOLD", hold, "CHARGE", charge, "MISSING", missing)
	for _, tt := range []struct{ target, body, want string }{
		{holds, ``, "invalid_request: the body is empty (send a JSON object)"},
		{holds, `{"account":1,"wallet":"sms"}`, "invalid_request: amount: " + decimal},
		{holds, `{"account":1,"wallet":"sms","amount":"0"}`, "invalid_request: amount must not be zero"},
		{holds, `{"account":1,"wallet":"sms","amount":"-1"}`, "invalid_request: amount must be positive (the type says which way the money goes; only an adjustment has a sign)"},
		{holds, `{"wallet":"sms","amount":"1"}`, "invalid_request: account must be between 1 and 2147483647"},
		{holds, `{"account":77,"wallet":"sms","amount":"1"}`, "not_found: there is no account 77"},
		{holds, `{"account":1,"wallet":"sms","amount":"1","type":"hold"}`, `invalid_request: unknown member "type" (/openapi.yaml lists the members)`},
		{holds, `{"account":1,"wallet":"sms","amount":1}`, "invalid_request: amount must be a string, not a number" + quotes},
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":0}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":-5}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":2592001}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		// In nanoseconds, this one is a second again.
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":9223372036854775807}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":1.5}`, "invalid_request: expires_in cannot be the number 1.5"},
		{holds, `{"account":1,"wallet":"sms","amount":"1","expires_in":"60"}`, "invalid_request: expires_in cannot be a string"},

		{capture, `{"amount":""}`, "invalid_request: amount: " + decimal},
		{capture, `{"amount":"0"}`, "invalid_request: amount must not be zero (leave it out to capture all that remains, or release the hold to capture nothing)"},
		{capture, `{"amount":"0.000000"}`, "invalid_request: amount must not be zero (leave it out to capture all that remains, or release the hold to capture nothing)"},
		{capture, `{"amount":"-1"}`, "invalid_request: amount must be positive (the type says which way the money goes; only an adjustment has a sign)"},
		{capture, `{"final":"yes"}`, "invalid_request: final cannot be a string"},
		{capture, `{"hold":"HOLD"}`, `invalid_request: unknown member "hold" (/openapi.yaml lists the members)`},
		{capture, `{"amount":"1","amount":"2"}`, `invalid_request: member "amount" stands twice`},
		{"/v1/holds/x/capture", `{}`, `invalid_request: "x" is not a transaction id (an id looks like 5c146b14-3c52-8afd-938a-375d0df1fbf6)`},
		{"/v1/holds/" + zero + "/capture", `{}`, "not_found: there is no transaction " + zero},
		{"/v1/holds/MISSING/capture", `{}`, "not_found: there is no hold MISSING"},
		{"/v1/holds/CHARGE/capture", `{}`, "not_found: there is no hold CHARGE"},
		{release, ``, "invalid_request: the body is empty (send a JSON object)"},
		{release, `{"amount":"1"}`, `invalid_request: unknown member "amount" (/openapi.yaml lists the members)`},
		{extend, `{}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		{extend, `{"expires_in":null}`, "invalid_request: expires_in cannot be null (leave out what is not set)"},
		{extend, `{"expires_in":2592001}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},

		{all, `{"type":"hold","account":1,"wallet":"sms"}`, "invalid_request: a transaction of type hold needs an amount"},
		{all, `{"type":"hold","account":1,"wallet":"sms","amount":"1","final":false}`, "invalid_request: only a capture can be final"},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","final":true}`, "invalid_request: only a capture can be final"},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","expires_in":60}`, "invalid_request: a transaction of type charge does not expire"},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","expires_in":0}`, "invalid_request: expires_in must be 1 to 2592000 seconds"},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","hold":"HOLD"}`, "invalid_request: a transaction of type charge is not about an earlier one"},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","hold":"` + zero + `"}`, "not_found: there is no transaction " + zero},
		{all, `{"type":"charge","account":1,"wallet":"sms","amount":"1","charge":"CHARGE"}`, parents},
		{all, `{"type":"capture","charge":"CHARGE"}`, parents},
		{all, `{"type":"capture","hold":"HOLD","charge":"CHARGE"}`, parents},
		{all, `{"type":"refund","hold":"HOLD","amount":"1"}`, parents},
		{all, `{"type":"capture"}`, "invalid_request: account must be between 1 and 2147483647"},
		{all, `{"type":"capture","account":1,"wallet":"sms"}`, "invalid_request: a transaction of type capture needs the id of a hold"},
		{all, `{"type":"refund","account":1,"wallet":"sms","amount":"1"}`, "invalid_request: a refund needs the charge that it gives back (name the id of the charge, or of the capture; money without a charge is given by an adjustment)"},
		{all, `{"type":"refund","charge":"CHARGE"}`, "invalid_request: a transaction of type refund needs an amount"},
		{all, `{"type":"refund","charge":"MISSING","amount":"1"}`, "not_found: there is no charge MISSING"},
		{all, `{"type":"refund","charge":"HOLD","amount":"1"}`, "conflict: transaction HOLD is not a posted charge or capture, so it cannot be refunded"},
		{all, `{"type":"release","hold":"HOLD","amount":"1"}`, "invalid_request: a transaction of type release has no amount"},
		{all, `{"type":"release","hold":"HOLD","amount":"0"}`, "invalid_request: a transaction of type release has no amount"},
		{all, `{"type":"extend","hold":"HOLD","amount":"0","expires_in":60}`, "invalid_request: a transaction of type extend has no amount"},
		{all, `{"type":"release","hold":"HOLD","expires_in":60}`, "invalid_request: a transaction of type release does not expire"},
		{all, `{"type":"expire","hold":"HOLD"}`, "forbidden: holds expire by themselves (release the hold instead)"},
		// What names the parent's wallet must name it rightly, and may do so in part.
		{all, `{"type":"release","hold":"HOLD","account":2,"wallet":"sms"}`, "not_found: there is no hold HOLD"},
		{all, `{"type":"release","hold":"HOLD","wallet":"voip"}`, "not_found: there is no hold HOLD"},
		{all, `{"type":"release","hold":"HOLD","account":2}`, "not_found: there is no hold HOLD"},
		{all, `{"type":"capture","hold":"HOLD","account":1,"amount":"1","final":false}`, ""},
		{all, `{"type":"capture","hold":"HOLD","wallet":"sms","amount":"1","final":false}`, ""},
		{all, `{"type":"capture","hold":"HOLD","account":1,"wallet":"sms","amount":"1","final":false}`, ""},
		{all, `{"type":"capture","hold":"HOLD","amount":null,"final":null}`, "invalid_request: amount cannot be null (leave out what is not set)"},
		{all, `{"type":"capture","hold":"HOLD"}`, ""},
	} {
		target, body, want := names.Replace(tt.target), names.Replace(tt.body), names.Replace(tt.want)
		rec := h.do("POST", target, body, as(h.root), idempotent("body-"+strings.NewReplacer(" ", "", "\"", "").Replace(body)))
		if want == "" {
			wantStatus(t, rec, 201)
			continue
		}
		if got := words(t, rec); got != want {
			t.Errorf("%s %s\ngot  %s\nwant %s", target, body, got, want)
		}
	}
	if got := read[api.Hold](t, h.do("GET", "/v1/holds/"+hold, "", as(h.root))); got.Captured != "5" || got.Status != api.HoldStatusCaptured {
		t.Errorf("%+v", got)
	}
}

// words puts a problem into one line.
func words(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	if rec.Code < 400 {
		return rec.Body.String()
	}
	problem := wantProblem(t, rec, ledger.Code(read[api.Problem](t, rec).Code))
	return (&ledger.Error{Code: ledger.Code(problem.Code), Message: problem.Detail, Hint: problem.Hint}).Error()
}

// A customer acts on the holds of its own keys, whichever of them placed one,
// and not on those of the operator: it would not pay for messages under way.
func TestCustomersHolds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 10*ledger.Scale, "seed")
	first, second := h.customer(1, ledger.ScopeTransactionsWrite), h.customer(1, ledger.ScopeTransactionsWrite)
	own := h.hold(first, "own", `"amount":"1"`).ID
	operators := h.hold(h.root, "operators", `"amount":"1"`).ID
	rec := h.do("POST", "/v1/holds", `{"account":2,"wallet":"sms","amount":"1"}`, as(first), idempotent("other"))
	wantProblem(t, rec, ledger.Forbidden)
	for _, act := range [][2]string{{"extend", `{"expires_in":60}`}, {"capture", `{"amount":"0.5","final":false}`}, {"release", `{}`}} {
		rec := h.do("POST", "/v1/holds/"+operators+"/"+act[0], act[1], as(first), idempotent("operators-"+act[0]))
		if got := words(t, rec); got != "forbidden: this hold was placed by the operator" {
			t.Errorf("%s: %s", act[0], got)
		}
		wantStatus(t, h.do("POST", "/v1/holds/"+own+"/"+act[0], act[1], as(second), idempotent("own-"+act[0])), 201)
	}
	// It sees all of them, and the operator acts on all of them.
	wantStatus(t, h.do("GET", "/v1/holds/"+operators, "", as(first)), 200)
	wantStatus(t, h.do("GET", "/v1/transactions/"+operators, "", as(first)), 200)
	third := h.hold(first, "third", `"amount":"1"`).ID
	wantStatus(t, h.do("POST", "/v1/holds/"+third+"/capture", `{}`, as(h.root), idempotent("by-operator")), 201)
}

// Lists of holds by wallet, state and reference, a page at a time.
func TestListHolds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	h.topUp(2, 100*ledger.Scale, "seed-2")
	customer := h.customer(1, ledger.ScopeBalanceRead)
	var ids []string
	for i := range 7 {
		ids = append(ids, h.hold(h.root, fmt.Sprintf("hold-%d", i), fmt.Sprintf(`"amount":"1","reference":"msg-%d"`, i%2)).ID)
	}
	other := h.post(ledger.Request{
		IdempotencyKey: "other", Kind: ledger.PlaceHold, Wallet: ledger.WalletRef{Account: 2, Service: ledger.SMS},
		Amount: ledger.Scale, ExpiresIn: time.Minute, Reference: "msg-1",
	}).ID.String()
	wantStatus(t, h.do("POST", "/v1/holds/"+ids[1]+"/capture", `{}`, as(h.root), idempotent("capture")), 201)
	wantStatus(t, h.do("POST", "/v1/holds/"+ids[2]+"/release", `{}`, as(h.root), idempotent("release")), 201)
	pick := func(places ...int) (picked []string) {
		for _, i := range places {
			picked = append(picked, ids[i])
		}
		return picked
	}
	for _, tt := range []struct {
		query  string
		caller ledger.Credentials
		want   []string
	}{
		{"account=1&wallet=sms", h.root, pick(0, 3, 4, 5, 6)},
		{"account=1&wallet=sms&state=open", h.root, pick(0, 3, 4, 5, 6)},
		{"account=1&wallet=sms&state=captured", h.root, pick(1)},
		{"account=1&wallet=sms&state=released", h.root, pick(2)},
		{"account=1&wallet=sms&state=expired", h.root, nil},
		{"account=1&wallet=voip", h.root, nil},
		{"wallet=sms", customer, pick(0, 3, 4, 5, 6)},
		{"account=1&wallet=sms", customer, pick(0, 3, 4, 5, 6)},
		{"reference=msg-0", h.root, pick(0, 2, 4, 6)},
		{"reference=msg-1", h.root, append(pick(1, 3, 5), other)},
		{"reference=msg-1&account=2", h.root, []string{other}},
		{"reference=msg-1", customer, pick(1, 3, 5)},
		{"reference=msg-0&state=released", h.root, pick(2)},
		{"reference=msg-0&state=open&wallet=sms", h.root, pick(0, 4, 6)},
		{"reference=msg-0&wallet=voip", h.root, nil},
		{"reference=msg-9", h.root, nil},
	} {
		for _, size := range []int{1, 2, 3, 500} {
			var got []string
			for cursor := ""; ; {
				rec := h.do("GET", fmt.Sprintf("/v1/holds?%s&limit=%d%s", tt.query, size, cursor), "", as(tt.caller))
				wantStatus(t, rec, 200)
				page := read[api.HoldPage](t, rec)
				for _, hold := range page.Items {
					got = append(got, hold.ID)
				}
				if len(page.Items) > size || page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + page.NextCursor
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s with limit %d: %q, want %q", tt.query, size, got, tt.want)
			}
		}
	}
	const needed = "invalid_request: account and wallet, or reference, are needed (such as ?account=1042&wallet=sms; a customer's key need not name its account)"
	for query, want := range map[string]string{
		"":                                       needed,
		"?account=1":                             needed,
		"?wallet=sms":                            needed,
		"?state=open":                            needed,
		"?account=77&wallet=sms":                 "not_found: there is no account 77",
		"?account=0&wallet=sms":                  "not_found: there is no account 0",
		"?account=-1&wallet=sms":                 "not_found: there is no account -1",
		"?account=1&wallet=fax":                  "not_found: account 1 has no such wallet",
		"?account=1&wallet=sms&state=on":         "invalid_request: state must be open, captured, released or expired",
		"?reference=":                            "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=%FF":                         "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=a%00":                        "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=" + strings.Repeat("r", 201): "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=r&account=77":                "not_found: there is no account 77",
		"?account=1&wallet=sms&limit=501":        "invalid_request: limit must be between 1 and 500",
		"?account=1&wallet=sms&cursor=MQ":        "invalid_request: the cursor is not one that a page gave (start again without a cursor)", // "1"
		"?account=1&wallet=sms&cursor=eCB5":      "invalid_request: the cursor is not one that a page gave (start again without a cursor)", // "x y"
		"/" + ledger.TransactionID{1}.String():   "not_found: there is no hold " + ledger.TransactionID{1}.String(),
		"/" + strings.ToUpper(ids[0]):            `invalid_request: "` + strings.ToUpper(ids[0]) + `" is not a transaction id (an id looks like 5c146b14-3c52-8afd-938a-375d0df1fbf6)`,
	} {
		if got := words(t, h.do("GET", "/v1/holds"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	if got := words(t, h.do("GET", "/v1/holds", "", as(customer))); got != needed {
		t.Errorf("%s", got)
	}
}
