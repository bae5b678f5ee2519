package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// testHolds has account 21 for the life of holds, 22 as a stranger, and 23 and
// 24 for what is settled. The first hold expires while the others are tried.
func (r *rest) testHolds(t *testing.T) {
	both := []api.Scope{api.ScopeBalanceRead, api.ScopeTransactionsWrite}
	for _, account := range []api.AccountID{21, 22, 23, 24} {
		r.account(t, api.AccountRequest{ID: account}, map[string]string{"sms": "10"})
	}
	r.signIn(t, "holder", 21, both...)
	r.signIn(t, "watcher", 21, api.ScopeBalanceRead)
	r.signIn(t, "passer-by", 22, both...)
	r.walk(t, []step{
		{"holder", "POST", "/v1/holds#short", `{"account":21,"wallet":"voip","amount":"0","expires_in":1}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#voice", `{"account":21,"wallet":"voip","type":"topup","amount":"5"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/holds#st-old", `{"account":23,"wallet":"sms","amount":"1","expires_in":1,"reference":"st-old"}`, 201, `"held":"1"`},
		{"holder", "POST", "/v1/holds#short", `{"account":21,"wallet":"voip","amount":"2","expires_in":1,"reference":"call-1"}`, 201, `"held":"2"`},
	})
	t.Run("life", r.testHoldLife)
	t.Run("bodies", r.testHoldBodies)
	t.Run("owners", r.testHoldOwners)
	t.Run("expiry", r.testHoldExpiry)
	t.Run("settle", r.testSettle)
	t.Run("settle by policy", r.testSettlePolicy)
}

func (r *rest) testHoldLife(t *testing.T) {
	const place = `{"account":21,"wallet":"sms","amount":"3","expires_in":3600,"reference":"hold-1","metadata":{"route":"7"}}`
	r.walk(t, []step{
		{
			"holder", "POST", "/v1/holds#h1", place, 201,
			`{"id":"{h1}","status":"posted","type":"hold","account":21,"wallet":"sms","amount":"3","balance":"10","held":"3","available":"107","reference":"hold-1","metadata":{"route":"7"},"created_at":"20`,
		},
		{"holder", "POST", "/v1/holds#h1", place, 201, `"hold":{"id":"{h1}","status":"open","remaining":"3","expires_at":"20`},
		{"holder", "POST", "/v1/holds#h1", strings.Replace(place, `"3"`, `"4"`, 1), 422, "idempotency_key_reused"},
		{"watcher", "GET", "/v1/holds/{h1}", ``, 200, `{"id":"{h1}","account":21,"wallet":"sms","status":"open","amount":"3","captured":"0","remaining":"3","reference":"hold-1","created_at":"20`},
		{"operator", "GET", "/v1/accounts/21/wallets/sms", ``, 200, `"balance":"10","held":"3","credit_limit":"100","available":"107"`},
		// A part is charged, and the hold stays open for longer.
		{"holder", "POST", "/v1/holds/{h1}/capture#h1-part", `{"amount":"1","final":false}`, 201, `"type":"capture","account":21,"wallet":"sms","amount":"1","balance":"9","held":"2","available":"107","reference":"hold-1","created_at":"20`},
		{"holder", "POST", "/v1/holds/{h1}/capture#h1-part", `{"amount":"1.0","final":false}`, 201, `"hold":{"id":"{h1}","status":"open","remaining":"2","expires_at":"20`},
		{"holder", "POST", "/v1/holds/{h1}/extend#h1-extend", `{"expires_in":7200,"reference":"hold-1-later"}`, 201, `"type":"extend","account":21,"wallet":"sms","amount":"0","balance":"9","held":"2","available":"107","reference":"hold-1-later"`},
		// The rest of it, less than there is: the hold gives back what it keeps.
		{"holder", "POST", "/v1/holds/{h1}/capture#h1-last", `{"amount":"0.5","reference":"hold-1-end"}`, 201, `"amount":"0.5","balance":"8.5","held":"0","available":"108.5","reference":"hold-1-end"`},
		{"holder", "GET", "/v1/holds/{h1}", ``, 200, `"status":"captured","amount":"3","captured":"1.5","remaining":"0","reference":"hold-1"`},
		{"holder", "POST", "/v1/holds/{h1}/capture#h1-more", `{}`, 409, "hold_not_open"},
		{"holder", "POST", "/v1/holds/{h1}/release#h1-free", `{}`, 409, "hold_not_open"},
		{"holder", "POST", "/v1/holds/{h1}/extend#h1-long", `{"expires_in":60}`, 409, "hold_not_open"},
		{"holder", "GET", "/v1/transactions/{h1-more}", ``, 200, `"status":"rejected","rejection":"hold_not_open","type":"capture"`},
		// All that it has, by leaving the amount out; and nothing.
		{"holder", "POST", "/v1/holds#h2", `{"account":21,"wallet":"sms","amount":"2"}`, 201, `"held":"2"`},
		{"holder", "POST", "/v1/holds/{h2}/capture#h2-all", `{}`, 201, `"amount":"2","balance":"6.5","held":"0","available":"106.5"`},
		{"holder", "POST", "/v1/holds#h3", `{"account":21,"wallet":"sms","amount":"2"}`, 201, `"available":"104.5"`},
		{"holder", "POST", "/v1/holds/{h3}/release#h3-free", `{"metadata":{"why":"hung up"}}`, 201, `"type":"release","account":21,"wallet":"sms","amount":"2","balance":"6.5","held":"0","available":"106.5","metadata":{"why":"hung up"}`},
		// More than it has, as far as there is money.
		{"holder", "POST", "/v1/holds#h4", `{"account":21,"wallet":"sms","amount":"1"}`, 201, `"available":"105.5"`},
		{"holder", "POST", "/v1/holds/{h4}/capture#h4-much", `{"amount":"106.6"}`, 402, "insufficient_funds"},
		{"holder", "POST", "/v1/holds/{h4}/capture#h4-more", `{"amount":"1.5"}`, 201, `"amount":"1.5","balance":"5","held":"0"`},
		{"holder", "POST", "/v1/holds#h5", `{"account":21,"wallet":"sms","amount":"105.000001"}`, 402, "insufficient_funds"},
		// A capture can be refunded, once.
		{"operator", "POST", "/v1/transactions#h4-back", `{"type":"refund","amount":"1.5","charge":"{h4-more}"}`, 201, `"charge":"{h4-more}"`},
		{"operator", "POST", "/v1/transactions#h4-twice", `{"type":"refund","amount":"0.1","charge":"{h4-more}"}`, 422, "refund_exceeds_charge"},
		// The same as transactions like any other.
		{"holder", "POST", "/v1/transactions#h6", `{"type":"hold","account":21,"wallet":"sms","amount":"4","expires_in":600,"reference":"hold-6"}`, 201, `"hold":{"id":"{h6}","status":"open","remaining":"4"`},
		{"holder", "POST", "/v1/transactions#h6-extend", `{"type":"extend","hold":"{h6}","expires_in":1200}`, 201, `"hold":{"id":"{h6}","status":"open","remaining":"4"`},
		{"holder", "POST", "/v1/transactions#h6-part", `{"type":"capture","hold":"{h6}","account":21,"wallet":"sms","amount":"1","final":false}`, 201, `"remaining":"3"`},
		{"holder", "POST", "/v1/transactions#h6-wrong", `{"type":"release","hold":"{h6}","wallet":"voip"}`, 404, "not_found"},
		{"holder", "POST", "/v1/transactions#h6-free", `{"type":"release","hold":"{h6}"}`, 201, `"hold":{"id":"{h6}","status":"released","remaining":"0"`},
		{"operator", "POST", "/v1/transactions#h6-expire", `{"type":"expire","hold":"{h6}"}`, 403, "forbidden"},
		{"holder", "GET", "/v1/accounts/21/wallets/sms", ``, 200, `"balance":"5.5","held":"0"`},
	})
	if placed := r.send(t, "holder", "POST", "/v1/holds", place, "Idempotency-Key", "h1"); placed.Header.Get("Location") != "/v1/holds/"+r.ids["h1"] || placed.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%+v", placed)
	}
	r.testExtension(t)
	r.testHoldLists(t)
}

// testExtension checks that a hold is never made shorter.
func (r *rest) testExtension(t *testing.T) {
	t.Helper()
	expiry := func() string {
		var hold api.Hold
		if err := decodeJSON(r.send(t, "operator", "GET", "/v1/holds/"+r.ids["h7"], "").Body, &hold); err != nil {
			t.Fatal(err)
		}
		return hold.ExpiresAt
	}
	r.walk(t, []step{{"operator", "POST", "/v1/holds#h7", `{"account":21,"wallet":"sms","amount":"1","expires_in":3600,"reference":"hold-7"}`, 201, `"open"`}})
	first := expiry()
	r.walk(t, []step{{"operator", "POST", "/v1/holds/{h7}/extend#h7-short", `{"expires_in":60}`, 201, `"expires_at":"` + first}})
	r.walk(t, []step{{"operator", "POST", "/v1/holds/{h7}/extend#h7-long", `{"expires_in":7200}`, 201, `"status":"open"`}})
	if later := expiry(); later <= first {
		t.Errorf("extended from %s to %s", first, later)
	}
	r.walk(t, []step{
		{"operator", "PATCH", "/v1/accounts/21", `{"status":"closed"}`, 409, "conflict"}, // it has open holds
		{"operator", "POST", "/v1/holds/{h7}/release#h7-free", `{}`, 201, `"released"`},
	})
}

func (r *rest) testHoldLists(t *testing.T) {
	t.Helper()
	r.walk(t, []step{
		{"holder", "GET", "/v1/holds?wallet=sms", ``, 200, `{"items":[]}`},
		{"holder", "GET", "/v1/holds?wallet=sms&state=expired", ``, 200, `{"items":[]}`},
		{"holder", "GET", "/v1/holds?reference=hold-1", ``, 200, `{"items":[{"id":"{h1}",`},
		{"operator", "GET", "/v1/holds?reference=hold-1", ``, 200, `{"items":[{"id":"{h1}",`},
		{"operator", "GET", "/v1/holds?reference=hold-1&account=22", ``, 200, `{"items":[]}`},
		{"operator", "GET", "/v1/holds?reference=hold-1&state=released", ``, 200, `{"items":[]}`},
		{"passer-by", "GET", "/v1/holds?reference=hold-1", ``, 200, `{"items":[]}`},
		{"passer-by", "GET", "/v1/holds?reference=hold-1&account=21", ``, 404, "not_found"},
		{"operator", "GET", "/v1/holds", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/holds?wallet=sms", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/holds?account=21", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/holds?account=21&wallet=fax", ``, 404, "not_found"},
		{"operator", "GET", "/v1/holds?account=7&wallet=sms", ``, 404, "not_found"},
		{"operator", "GET", "/v1/holds?account=21&wallet=sms&state=lost", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/holds?account=21&wallet=sms&limit=0", ``, 400, "invalid_request"},
	})
	var states []string
	for _, state := range []api.HoldStatus{api.HoldStatusCaptured, api.HoldStatusReleased} {
		query := fmt.Sprintf("/v1/holds?account=21&wallet=sms&state=%s&limit=1", state)
		for cursor := ""; ; {
			var page api.HoldPage
			if err := decodeJSON(r.send(t, "operator", "GET", query+cursor, "").Body, &page); err != nil || len(page.Items) != 1 {
				t.Fatalf("%v: %+v", err, page)
			}
			states = append(states, string(state)+" "+page.Items[0].ID)
			if page.NextCursor == "" {
				break
			}
			cursor = "&cursor=" + page.NextCursor
		}
	}
	want := r.fill(t, "[captured {h1} captured {h2} captured {h4} released {h3} released {h6} released {h7}]")
	if got := fmt.Sprint(states); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func (r *rest) testHoldBodies(t *testing.T) {
	place := func(rest string) string { return `{"account":21,"wallet":"sms","amount":"1"` + rest + `}` }
	r.walk(t, []step{
		{"holder", "POST", "/v1/holds", place(``), 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b1", place(`,"expires_in":0`), 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b2", place(`,"expires_in":2592001`), 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b3", place(`,"expires_in":"60"`), 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b4", place(`,"final":true`), 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b5", `{"account":21,"wallet":"sms"}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b6", `{"account":21,"wallet":"sms","amount":"-1"}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#b7", `{"account":21,"wallet":"fax","amount":"1"}`, 404, "not_found"},
		{"holder", "POST", "/v1/holds#b8", place(`,"metadata":{"x":"` + strings.Repeat("x", 64<<10) + `"}`), 413, "request_too_large"},
		{"holder", "POST", "/v1/holds#b9", place(``), 201, `"open"`},
		{"holder", "POST", "/v1/holds/{b9}/capture", `{}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/capture#b10", ``, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/capture#b11", `{"amount":"0"}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/capture#b12", `{"amount":1}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/capture#b13", `{"final":"no"}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/release#b14", `{"amount":"1"}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/extend#b15", `{}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/{b9}/extend#b16", `{"expires_in":2592001}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds/b9/capture#b17", `{}`, 400, "invalid_request"},
		{"holder", "GET", "/v1/holds/b9", ``, 400, "invalid_request"},
		{"holder", "GET", "/v1/holds/{voice}", ``, 404, "not_found"}, // a transaction, and no hold
		{"operator", "POST", "/v1/holds/{voice}/capture#b18", `{}`, 404, "not_found"},
		{"operator", "POST", "/v1/holds/5c146b14-3c52-8afd-938a-375d0df1fbf6/release#b19", `{}`, 404, "not_found"},
		{"holder", "POST", "/v1/holds/{b9}/release#b20", `{}`, 201, `"released"`},
	})
}

// testHoldOwners checks that what the operator reserves is for the operator to
// end, and that nobody sees another's holds.
func (r *rest) testHoldOwners(t *testing.T) {
	r.walk(t, []step{
		{"operator", "POST", "/v1/holds#o1", `{"account":21,"wallet":"sms","amount":"1"}`, 201, `"open"`},
		{"holder", "GET", "/v1/holds/{o1}", ``, 200, `"status":"open"`},
		{"holder", "POST", "/v1/holds/{o1}/capture#o2", `{}`, 403, "forbidden"},
		{"holder", "POST", "/v1/holds/{o1}/release#o3", `{}`, 403, "forbidden"},
		{"holder", "POST", "/v1/holds/{o1}/extend#o4", `{"expires_in":60}`, 403, "forbidden"},
		{"holder", "POST", "/v1/transactions#o5", `{"type":"capture","hold":"{o1}"}`, 403, "forbidden"},
		{"holder", "POST", "/v1/holds#o6", `{"account":21,"wallet":"sms","amount":"1"}`, 201, `"open"`},
		{"watcher", "POST", "/v1/holds#o7", `{"account":21,"wallet":"sms","amount":"1"}`, 403, "forbidden"},
		{"watcher", "POST", "/v1/holds/{o6}/capture#o8", `{}`, 403, "forbidden"},
		{"passer-by", "POST", "/v1/holds#o9", `{"account":21,"wallet":"sms","amount":"1"}`, 403, "forbidden"},
		{"passer-by", "GET", "/v1/holds/{o6}", ``, 404, "not_found"},
		{"passer-by", "POST", "/v1/holds/{o6}/capture#o10", `{}`, 404, "not_found"},
		{"passer-by", "POST", "/v1/holds/{o6}/release#o11", `{}`, 404, "not_found"},
		{"passer-by", "POST", "/v1/holds/{o6}/extend#o12", `{"expires_in":60}`, 404, "not_found"},
		{"nobody", "GET", "/v1/holds/{o6}", ``, 401, "unauthorized"},
		{"nobody", "POST", "/v1/holds/{o6}/capture#o13", `{}`, 401, "unauthorized"},
		{"nobody", "POST", "/v1/holds/settle", `[]`, 401, "unauthorized"},
		{"writer", "GET", "/v1/holds/{o6}", ``, 200, `"status":"open"`},
		{"reader", "GET", "/v1/holds/{o6}", ``, 200, `"status":"open"`},
		{"reader", "POST", "/v1/holds/{o6}/release#o14", `{}`, 403, "forbidden"},
		{"writer", "POST", "/v1/holds/{o6}/release#o15", `{}`, 201, `"released"`},
		{"operator", "POST", "/v1/holds/{o1}/capture#o16", `{}`, 201, `"captured"`},
	})
}

// testHoldExpiry waits until the server has ended the hold by itself.
func (r *rest) testHoldExpiry(t *testing.T) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var hold api.Hold
		if err := decodeJSON(r.send(t, "operator", "GET", "/v1/holds/"+r.ids["short"], "").Body, &hold); err != nil {
			t.Fatal(err)
		}
		if hold.Status == api.HoldStatusExpired {
			if hold.ClosedAt < hold.ExpiresAt || hold.Remaining != "0" || hold.Captured != "0" {
				t.Errorf("%+v", hold)
			}
			break
		}
		if hold.Status != api.HoldStatusOpen || time.Now().After(deadline) {
			t.Fatalf("%+v", hold)
		}
	}
	r.walk(t, []step{
		{"holder", "POST", "/v1/holds/{short}/capture#late-1", `{}`, 409, "hold_expired"},
		{"holder", "POST", "/v1/holds/{short}/release#late-2", `{}`, 409, "hold_expired"},
		{"holder", "POST", "/v1/holds/{short}/extend#late-3", `{"expires_in":60}`, 409, "hold_expired"},
		{"holder", "POST", "/v1/holds/{short}/capture#late-1", `{}`, 409, "hold_expired"},
		{"holder", "GET", "/v1/holds?wallet=voip&state=expired", ``, 200, `{"items":[{"id":"{short}","account":21,"wallet":"voip","status":"expired","amount":"2","captured":"0","remaining":"0","reference":"call-1"`},
		{"holder", "GET", "/v1/accounts/21/wallets/voip", ``, 200, `"balance":"5","held":"0"`},
		{"holder", "GET", "/v1/accounts/21/wallets/voip/statement?type=expire", ``, 200, `"type":"expire","amount":"0","balance":"5","held":"0","reference":"call-1","hold":"{short}"}]}`},
	})
}

// settle sends delivery reports, and gives a line for what came of each.
func (r *rest) settle(t *testing.T, as string, reports ...api.DeliveryReport) (lines []string) {
	t.Helper()
	body, err := json.Marshal(reports)
	if err != nil {
		t.Fatal(err)
	}
	reply := r.send(t, as, "POST", "/v1/holds/settle", string(body))
	var settlement api.Settlement
	if err := decodeJSON(reply.Body, &settlement); err != nil || reply.Status != 200 {
		t.Fatalf("%v: %+v", err, reply)
	}
	for i, item := range settlement.Items {
		if i >= len(reports) || item.Reference != reports[i].Reference || item.Status != reports[i].Status {
			t.Errorf("%d is not in its place: %+v", i, item)
		}
		if (item.Transaction == "") != (item.Amount == "") || (item.Error != nil) != (item.Outcome == api.SettlementOutcomeFailed) {
			t.Errorf("%+v", item)
		}
		line := fmt.Sprintf("%s %s %s", item.Reference, item.Outcome, item.Amount)
		if item.Hold != "" && item.Hold != r.ids[item.Reference] {
			line += " of another hold"
		}
		if item.Error != nil {
			line += string(item.Error.Code)
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// testSettle has a report with each outcome, twice: a report that comes again
// is answered as it was.
func (r *rest) testSettle(t *testing.T) {
	place := func(account int, key, reference string) {
		body := fmt.Sprintf(`{"account":%d,"wallet":"sms","amount":"0.5","reference":%q}`, account, reference)
		r.walk(t, []step{{"operator", "POST", "/v1/holds#" + key, body, 201, `"open"`}})
	}
	for _, reference := range []string{"st-1", "st-2", "st-3", "st-4", "st-5", "st-6", "st-same"} {
		place(23, reference, reference)
	}
	place(24, "st-same-24", "st-same")
	r.walk(t, []step{
		{"operator", "POST", "/v1/holds#st-big", `{"account":23,"wallet":"sms","amount":"3","reference":"st-big"}`, 201, `"open"`},
		{"operator", "PATCH", "/v1/accounts/23/wallets/sms", `{"max_amount":"2"}`, 200, `"max_amount":"2"`},
		{"operator", "POST", "/v1/holds/{st-5}/capture#st-5-before", `{}`, 201, `"captured"`},
		{"operator", "POST", "/v1/holds/{st-6}/release#st-6-before", `{}`, 201, `"released"`},
	})
	report := func(reference string, status api.DeliveryState) api.DeliveryReport {
		return api.DeliveryReport{Reference: reference, Status: status}
	}
	reports := []api.DeliveryReport{
		report("st-1", "DELIVRD"), report("st-2", "ACCEPTD"), report("st-3", "UNDELIV"), report("st-4", "ENROUTE"),
		report("st-5", "DELIVRD"), report("st-6", "DELIVRD"), report("st-5", "UNDELIV"), report("st-old", "DELIVRD"),
		report("st-none", "DELIVRD"), report("st-same", "DELIVRD"), report("st-big", "DELIVRD"), report("st-1", "GONE"),
	}
	want := []string{
		"st-1 captured 0.5", "st-2 captured 0.5", "st-3 released 0.5", "st-4 waiting",
		"st-5 already_captured", "st-6 already_released", "st-5 already_captured", "st-old expired",
		"st-none unknown_reference", "st-same ambiguous_reference", "st-big failed amount_not_allowed", "st-1 failed invalid_request",
	}
	for range 2 {
		if got := r.settle(t, "operator", reports...); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	one := report("st-same", "DELIVRD")
	one.Account = 23
	if got := r.settle(t, "operator", one, report("st-4", "REJECTD")); fmt.Sprint(got) != "[st-same captured 0.5 st-4 released 0.5]" {
		t.Errorf("got %q", got)
	}
	r.walk(t, []step{
		{"operator", "GET", "/v1/accounts/23/wallets/sms", ``, 200, `"balance":"8","held":"3"`},
		{"operator", "GET", "/v1/accounts/24/wallets/sms", ``, 200, `"balance":"10","held":"0.5"`},
		{"operator", "POST", "/v1/holds/settle", `[]`, 400, "invalid_request"},
		{"operator", "POST", "/v1/holds/settle", `{"reference":"st-1","status":"DELIVRD"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/holds/settle", `[` + strings.Repeat(`{"reference":"st-1","status":"DELIVRD"},`, 1000) + `{"reference":"st-1","status":"DELIVRD"}]`, 400, "invalid_request"},
		{"reader", "POST", "/v1/holds/settle", `[{"reference":"st-1","status":"DELIVRD"}]`, 403, "forbidden"},
	})
	var problem api.Problem
	reply := r.send(t, "operator", "POST", "/v1/holds/settle", `[{"reference":"st-1","status":"DELIVRD"},{"ref":"st-1"}]`)
	if err := decodeJSON(reply.Body, &problem); err != nil || reply.Status != 400 || problem.Index == nil || *problem.Index != 1 {
		t.Errorf("%v: %+v", err, reply)
	}
}

// testSettlePolicy checks that an account's own policy says what is charged, and
// that a customer settles what its own keys have placed.
func (r *rest) testSettlePolicy(t *testing.T) {
	report := func(reference string, status api.DeliveryState) api.DeliveryReport {
		return api.DeliveryReport{Reference: reference, Status: status}
	}
	r.walk(t, []step{
		{"operator", "PATCH", "/v1/accounts/21", `{"charge_on":["ENROUTE","UNDELIV"]}`, 200, `"charge_on":["ENROUTE","UNDELIV"]`},
		{"operator", "PATCH", "/v1/accounts/21", `{"charge_on":["DELIVRD","LOST"]}`, 400, "invalid_request"},
		{"holder", "POST", "/v1/holds#po-1", `{"account":21,"wallet":"sms","amount":"1","reference":"po-1"}`, 201, `"open"`},
		{"holder", "POST", "/v1/holds#po-2", `{"account":21,"wallet":"sms","amount":"1","reference":"po-2"}`, 201, `"open"`},
		{"operator", "POST", "/v1/holds#po-3", `{"account":21,"wallet":"sms","amount":"1","reference":"po-3"}`, 201, `"open"`},
		{"holder", "POST", "/v1/holds#po-4", `{"account":21,"wallet":"sms","amount":"1","reference":"po-4"}`, 201, `"open"`},
	})
	if got := r.settle(t, "passer-by", report("po-1", "UNDELIV")); fmt.Sprint(got) != "[po-1 unknown_reference]" {
		t.Errorf("got %q", got)
	}
	got := r.settle(t, "holder", report("po-1", "ENROUTE"), report("po-2", "DELIVRD"), report("po-3", "UNDELIV"))
	if fmt.Sprint(got) != "[po-1 captured 1 po-2 released 1 po-3 unknown_reference]" {
		t.Errorf("got %q", got)
	}
	r.walk(t, []step{{"operator", "PATCH", "/v1/accounts/21", `{"charge_on":[]}`, 200, `"charge_on":[]`}})
	if got := r.settle(t, "operator", report("po-3", "DELIVRD"), report("po-4", "ACCEPTD")); fmt.Sprint(got) != "[po-3 released 1 po-4 released 1]" {
		t.Errorf("got %q", got)
	}
}
