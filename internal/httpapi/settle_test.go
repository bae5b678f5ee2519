package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Every outcome of a delivery report. The same reports, sent again, are
// answered the same.
func TestSettle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	h.topUp(2, 100*ledger.Scale, "seed-2")
	hold := func(account ledger.AccountID, reference string, expires time.Duration) string {
		return h.post(ledger.Request{
			IdempotencyKey: fmt.Sprintf("hold-%d-%s", account, reference), Kind: ledger.PlaceHold, Reference: reference,
			Wallet: ledger.WalletRef{Account: account, Service: ledger.SMS}, Amount: ledger.Scale / 10, ExpiresIn: expires,
		}).ID.String()
	}
	old := hold(1, "old", time.Minute)
	h.later(2 * time.Minute)
	ids := map[string]string{"old": old}
	for _, reference := range []string{"delivered", "accepted", "rejected", "enroute", "captured", "released", "shared", "suspended"} {
		ids[reference] = hold(1, reference, time.Hour)
	}
	shared := hold(2, "shared", time.Hour)
	wantStatus(t, h.do("POST", "/v1/holds/"+ids["captured"]+"/capture", `{}`, as(h.root), idempotent("c")), 201)
	wantStatus(t, h.do("POST", "/v1/holds/"+ids["released"]+"/release", `{}`, as(h.root), idempotent("r")), 201)
	by := func(kind, reference string) string {
		return ledger.NewTransactionID(ledger.System, "settle:"+kind+":"+ids[reference]).String()
	}
	problem := &api.Problem{
		Type: "urn:saldo:problem:invalid_request", Title: "Bad Request", Status: 400, Code: "invalid_request",
		Detail: `"GONE" is not a state of a message`, Hint: "the states are ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD",
	}
	want := []api.SettledReport{
		{Reference: "delivered", Status: "DELIVRD", Outcome: "captured", Hold: ids["delivered"], Transaction: by("capture", "delivered"), Amount: "0.1"},
		{Reference: "accepted", Status: "ACCEPTD", Outcome: "captured", Hold: ids["accepted"], Transaction: by("capture", "accepted"), Amount: "0.1"},
		{Reference: "rejected", Status: "REJECTD", Outcome: "released", Hold: ids["rejected"], Transaction: by("release", "rejected"), Amount: "0.1"},
		{Reference: "enroute", Status: "ENROUTE", Outcome: "waiting", Hold: ids["enroute"]},
		{Reference: "captured", Status: "DELIVRD", Outcome: "already_captured", Hold: ids["captured"]},
		{Reference: "captured", Status: "UNDELIV", Outcome: "already_captured", Hold: ids["captured"]},
		{Reference: "released", Status: "DELIVRD", Outcome: "already_released", Hold: ids["released"]},
		{Reference: "old", Status: "DELIVRD", Outcome: "expired", Hold: ids["old"]},
		{Reference: "nothing", Status: "DELIVRD", Outcome: "unknown_reference"},
		{Reference: "shared", Status: "DELIVRD", Outcome: "ambiguous_reference"},
		{Reference: "shared", Status: "DELIVRD", Outcome: "captured", Hold: ids["shared"], Transaction: by("capture", "shared"), Amount: "0.1"},
		{Reference: "delivered", Status: "GONE", Outcome: "failed", Error: problem},
	}
	const body = `[{"reference":"delivered","status":"DELIVRD"},{"reference":"accepted","status":"ACCEPTD"},{"reference":"rejected","status":"REJECTD"},
		{"reference":"enroute","status":"ENROUTE"},{"reference":"captured","status":"DELIVRD"},{"reference":"captured","status":"UNDELIV"},
		{"reference":"released","status":"DELIVRD"},{"reference":"old","status":"DELIVRD"},{"reference":"nothing","status":"DELIVRD"},
		{"reference":"shared","status":"DELIVRD"},{"reference":"shared","status":"DELIVRD","account":1},{"status":"GONE","reference":"delivered"}]`
	first := h.do("POST", "/v1/holds/settle", body, as(h.root))
	wantStatus(t, first, 200)
	if diff := cmp.Diff(want, read[api.Settlement](t, first).Items); diff != "" {
		t.Error(diff)
	}
	again := h.do("POST", "/v1/holds/settle", body, as(h.root))
	// One of the two is no longer open, so that the other is meant.
	want[9] = api.SettledReport{
		Reference: "shared", Status: "DELIVRD", Outcome: "captured", Hold: shared,
		Transaction: ledger.NewTransactionID(ledger.System, "settle:capture:"+shared).String(), Amount: "0.1",
	}
	if diff := cmp.Diff(want, read[api.Settlement](t, again).Items); diff != "" {
		t.Error(diff)
	}
	if wallet := h.wallet(1); wallet.Balance != "99.6" || wallet.Held != "0.3" { // enroute, suspended, and the old one, which is not swept
		t.Errorf("%+v", wallet)
	}
}

// What charges is for the operator to say, for each account; and a customer
// settles what its own keys have placed.
func TestSettleByPolicyAndOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	stranger := h.customer(2, ledger.ScopeTransactionsWrite)
	settle := func(caller ledger.Credentials, reference, status string) string {
		rec := h.do("POST", "/v1/holds/settle", fmt.Sprintf(`[{"reference":%q,"status":%q,"account":1}]`, reference, status), as(caller))
		wantStatus(t, rec, 200)
		return string(read[api.Settlement](t, rec).Items[0].Outcome)
	}
	wantStatus(t, h.do("PATCH", "/v1/accounts/1", `{"charge_on":["ENROUTE","UNDELIV"]}`, as(h.root)), 200)
	h.hold(customer, "a", `"amount":"1","reference":"a"`)
	h.hold(customer, "b", `"amount":"1","reference":"b"`)
	h.hold(customer, "c", `"amount":"1","reference":"c"`)
	h.hold(h.root, "d", `"amount":"1","reference":"d"`)
	for _, tt := range []struct {
		caller                  ledger.Credentials
		reference, status, want string
	}{
		{stranger, "a", "UNDELIV", "unknown_reference"},
		{customer, "a", "UNDELIV", "captured"},
		{customer, "a", "UNDELIV", "captured"},
		{customer, "b", "DELIVRD", "released"},
		{customer, "d", "DELIVRD", "unknown_reference"},
		{h.root, "d", "DELIVRD", "released"},
		{h.root, "c", "ENROUTE", "captured"},
		{customer, "c", "DELIVRD", "already_captured"},
	} {
		if got := settle(tt.caller, tt.reference, tt.status); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.reference, tt.status, got, tt.want)
		}
	}
	if wallet := h.wallet(1); wallet.Balance != "98" || wallet.Held != "0" {
		t.Errorf("%+v", wallet)
	}
	// Nothing charges.
	wantStatus(t, h.do("PATCH", "/v1/accounts/1", `{"charge_on":[]}`, as(h.root)), 200)
	h.hold(h.root, "e", `"amount":"1","reference":"e"`)
	if got := settle(h.root, "e", "DELIVRD"); got != "released" {
		t.Errorf("%s", got)
	}
}

// A body that is not an array of reports spoils the request, and the problem
// says which report it is.
func TestSettleBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const good = `{"reference":"r","status":"DELIVRD"}`
	long := func(n int) string { return "[" + strings.Repeat(good+",", n-1) + good + "]" }
	for name, tt := range map[string]struct {
		body, want string
		index      int
	}{
		"empty":           {"", "invalid_request: the body is empty (send a JSON array)", -1},
		"object":          {good, "invalid_request: the body is not a JSON array", -1},
		"null":            {"null", "invalid_request: the body is not a JSON array", -1},
		"string":          {`"[]"`, "invalid_request: the body is not a JSON array", -1},
		"no reports":      {"[]", "invalid_request: 1 to 1000 reports are settled at once", -1},
		"too many":        {long(1001), "invalid_request: 1 to 1000 reports are settled at once", -1},
		"far too many":    {"[" + strings.Repeat("1,", 400_000) + "1]", "invalid_request: 1 to 1000 reports are settled at once", -1},
		"too large":       {long(1000) + strings.Repeat(" ", 1<<20), "request_too_large: the body is over 1048576 bytes", -1},
		"cut off":         {"[" + good, "invalid_request: the body is not valid JSON", -1},
		"garbage behind":  {"[" + good + "]]", "invalid_request: the body goes on after its end", -1},
		"invalid UTF-8":   {"[{\"reference\":\"\xff\",\"status\":\"DELIVRD\"}]", "invalid_request: the body is not valid UTF-8", -1},
		"not an object":   {"[" + good + ",1]", "invalid_request: the report is not a JSON object", 1},
		"null inside":     {"[null]", "invalid_request: the report is not a JSON object", 0},
		"array inside":    {"[" + good + ",[]]", "invalid_request: the report is not a JSON object", 1},
		"unknown member":  {"[" + good + "," + good + `,{"ref":"r"}]`, `invalid_request: unknown member "ref" (/openapi.yaml lists the members)`, 2},
		"other case":      {`[{"Reference":"r","status":"DELIVRD"}]`, `invalid_request: unknown member "Reference" (/openapi.yaml lists the members, in lower case)`, 0},
		"member twice":    {`[{"reference":"r","reference":"s","status":"DELIVRD"}]`, `invalid_request: member "reference" stands twice`, 0},
		"status a number": {`[{"reference":"r","status":2}]`, "invalid_request: status cannot be a number", 0},
		"account a text":  {`[{"reference":"r","status":"DELIVRD","account":"1"}]`, "invalid_request: account cannot be a string", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := h.do("POST", "/v1/holds/settle", tt.body, as(h.root))
			if got := words(t, rec); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if index := read[api.Problem](t, rec).Index; (index == nil) != (tt.index < 0) || index != nil && *index != tt.index {
				t.Errorf("%s", rec.Body)
			}
		})
	}
	// What makes no sense in one report is the outcome of that one.
	rec := h.do("POST", "/v1/holds/settle", `[{"status":"DELIVRD"},{"reference":"r"},{"reference":"r","status":"DELIVRD","account":-2}]`, as(h.root))
	wantStatus(t, rec, 200)
	for i, item := range read[api.Settlement](t, rec).Items {
		if item.Outcome != "failed" || item.Error == nil || item.Error.Code != "invalid_request" {
			t.Errorf("%d: %+v", i, item)
		}
	}
	wantStatus(t, h.do("POST", "/v1/holds/settle", long(engine.MaxBatch), as(h.root)), 200)
}
