package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// kept are the upstreams of a store, of which this node watches one.
type kept struct{ *sqlite.Store }

func (kept) Watches(name string) bool { return name == "mine" }

func (h *house) upstreams() httpapi.Upstreams { return kept{h.store} }

// left is a bucket in yuan.
func left(service, amount string) readings.Bucket {
	return readings.Bucket{Bucket: provider.Bucket{
		Service: service, Unit: provider.Money, Amount: decimal.RequireFromString(amount), Currency: "CNY", CurrencySource: provider.FromReply,
	}}
}

// told lets the upstream of this node tell what is left, as a watcher keeps it.
func (h *house) told(at time.Time, buckets ...readings.Bucket) {
	h.t.Helper()
	var added []readings.Reading
	for _, b := range buckets {
		added = append(added, readings.Reading{
			Upstream: "mine", Key: readings.KeyOf(&b.Bucket), At: at.Truncate(time.Microsecond),
			Amount: b.Amount, CreditLimit: b.CreditLimit, Available: b.Available, Pending: b.Pending,
		})
	}
	h.record("mine", at, func(state *readings.State) {
		state.Status, state.Failures = provider.OK, 0
		state.Good = &readings.Balance{At: at.Truncate(time.Microsecond), Account: "18", Buckets: buckets}
	}, added...)
}

// record claims an upstream, and gives the claim back with what has become of it.
func (h *house) record(name string, at time.Time, change func(*readings.State), added ...readings.Reading) {
	h.t.Helper()
	at = at.Truncate(time.Microsecond)
	state, claimed, err := h.store.ClaimUpstream(h.t.Context(), readings.Claim{Name: name, Provider: "antgst", Node: "n", Now: at, Until: at.Add(time.Second)})
	if err != nil || !claimed {
		h.t.Fatalf("claimed %t: %v", claimed, err)
	}
	state.Interval, state.AskedAt, state.DueAt = time.Minute, at, at
	change(&state)
	if kept, err := h.store.RecordUpstream(h.t.Context(), "n", &state, added); err != nil || !kept {
		h.t.Fatalf("kept %t: %v", kept, err)
	}
}

func TestUpstreams(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	get := func(path string) string {
		t.Helper()
		rec := h.do("GET", path, "", as(h.root))
		wantStatus(t, rec, 200)
		return strings.TrimSpace(rec.Body.String())
	}
	if got := get("/v1/upstreams"); got != `{"items":[]}` {
		t.Error(got)
	}
	now := h.engine.Now().Truncate(time.Microsecond)
	text := func(after time.Duration) string { return now.Add(after).Format("2006-01-02T15:04:05.000000Z") }
	if _, _, err := h.store.ClaimUpstream(t.Context(), readings.Claim{Name: "other", Provider: "esms", Node: "n", Now: now, Until: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	bucket := left("sms", "12.5")
	bucket.CreditLimit, bucket.Min = new(decimal.RequireFromString("5")), new(decimal.RequireFromString("20"))
	bucket.Empty = &forecast.Forecast{Outlook: forecast.OutlookFalling, SpendPerHour: decimal.RequireFromString("2.5"), At: now.Add(7 * time.Hour), Earliest: now.Add(-time.Hour)}
	bucket.Low = &forecast.Forecast{Outlook: forecast.OutlookReached, At: now, Earliest: now, Latest: now}
	h.told(now, bucket)
	mine := read[api.Upstream](t, h.do("GET", "/v1/upstreams/mine", "", as(h.root)))
	empty := mine.Balance.Buckets[0].Empty
	if empty.InSeconds == nil || *empty.InSeconds > 7*3600 || *empty.InSeconds < 7*3600-600 || *empty.Earliest < text(0) || mine.Balance.AgeSeconds > 600 {
		t.Errorf("%+v of %+v", empty, mine.Balance)
	}
	got := get("/v1/upstreams")
	for _, want := range []string{
		`{"items":[{"name":"mine","provider":"antgst","watched":true,"status":"ok","code":"","message":"","failures":0,"asked_at":"` + text(0) + `","due_at":"` + text(0) + `","interval_seconds":60,"balance":{"at":"` + text(0) + `",`,
		`"account":"18","billing":"unknown","buckets":[{"service":"sms","unit":"money","currency":"CNY","currency_source":"reply","amount":"12.5","credit_limit":"5","available":null,"pending":null,"spendable":"17.5","min":"20","below_min":true,` +
			`"empty":{"outlook":"falling","reason":"","spend_per_hour":"2.5","recent_per_hour":"0","burst":false,"at":"` + text(7*time.Hour) + `","earliest":"`,
		`"latest":null,"in_seconds":`,
		`"low":{"outlook":"reached","reason":"",`,
		`{"name":"other","provider":"esms","watched":false,"status":"pending","code":"","message":"","failures":0,"asked_at":null,"due_at":"` + text(time.Hour) + `","interval_seconds":0,"balance":null}]}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	// A failure leaves the balance as it is, and after a day nothing is expected of it.
	h.record("mine", now.Add(time.Hour), func(state *readings.State) {
		state.Status, state.Code, state.Message, state.Failures = provider.Suspended, "112", "the account is locked", 3
	})
	h.later(25 * time.Hour)
	mine = read[api.Upstream](t, h.do("GET", "/v1/upstreams/mine", "", as(h.root)))
	if mine.Status != "suspended" || mine.Code != "112" || mine.Message != "the account is locked" || mine.Failures != 3 || mine.Balance.AgeSeconds < 25*3600 {
		t.Errorf("%+v", mine)
	}
	want := &api.Forecast{Outlook: "unknown", Reason: "the last reading is more than a day old", SpendPerHour: "0", RecentPerHour: "0"}
	if diff := cmp.Diff(want, mine.Balance.Buckets[0].Empty); diff != "" || mine.Balance.Buckets[0].Low.Outlook != "unknown" {
		t.Error(diff)
	}
	for _, path := range []string{"none", "none/readings", "none/reconciliation", "MINE"} {
		if got := words(t, h.do("GET", "/v1/upstreams/"+path, "", as(h.root))); got != "not_found: no upstream of this name was asked yet (the list of upstreams has those that were)" {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestReadings(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	start := h.engine.Now().Truncate(time.Hour).Add(-5 * time.Hour)
	h.told(start.Add(-30*time.Hour), left("sms", "500"))
	for i := range 10 { // each half an hour, the first is at a full hour
		h.told(start.Add(time.Duration(i)*30*time.Minute), left("sms", fmt.Sprint(100-i)), left("voip", fmt.Sprint(50-i)))
	}
	// list reads all pages, and gives the amounts.
	list := func(query string) string {
		t.Helper()
		var amounts []string
		for cursor := ""; ; {
			rec := h.do("GET", "/v1/upstreams/mine/readings?"+query+cursor, "", as(h.root))
			wantStatus(t, rec, 200)
			page := read[api.ReadingPage](t, rec)
			for _, item := range page.Items {
				if item.CreditLimit != nil || item.Spendable != item.Amount || item.Currency != "CNY" || item.Unit != "money" {
					t.Errorf("%+v", item)
				}
				amounts = append(amounts, item.Service[:1]+item.Amount)
			}
			if page.NextCursor == "" {
				return strings.Join(amounts, " ")
			}
			cursor = "&from=" + page.From + "&to=" + page.To + "&cursor=" + page.NextCursor
		}
	}
	at := func(after time.Duration) string { return start.Add(after).Format(time.RFC3339) }
	const all = "s100 v50 s99 v49 s98 v48 s97 v47 s96 v46 s95 v45 s94 v44 s93 v43 s92 v42 s91 v41"
	for query, want := range map[string]string{
		"":               all,
		"limit=3":        all,
		"limit=1&step=0": all,
		"step=3600":      "s99 v49 s97 v47 s95 v45 s93 v43 s91 v41",
		"step=3600&limit=3&service=voip&currency=CNY":      "v49 v47 v45 v43 v41",
		"service=sms&limit=2":                              "s100 s99 s98 s97 s96 s95 s94 s93 s92 s91",
		"currency=USD":                                     "",
		"to=" + at(time.Hour):                              "s100 v50 s99 v49",
		"to=" + at(-29*time.Hour):                          "s500",
		"from=" + at(time.Hour) + "&to=" + at(2*time.Hour): "s98 v48 s97 v47",
		"from=" + at(-30*time.Hour) + "&to=" + at(0):       "s500",
		"from=" + at(-29*time.Hour) + "&to=" + at(0):       "",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	const cursor = "invalid_request: the cursor is not one that a page gave (start again without a cursor)"
	for query, want := range map[string]string{
		"step=-1":                       "invalid_request: step must be between 0 and 2678400 seconds (0, or no step, lists every reading)",
		"step=2678401":                  "invalid_request: step must be between 0 and 2678400 seconds (0, or no step, lists every reading)",
		"step=1h":                       "invalid_request: step does not have the form that it should (/openapi.yaml describes it)",
		"service=":                      "invalid_request: service must be 1 to 64 bytes (such as sms, voip or main)",
		"currency=yuan":                 "invalid_request: currency must be an ISO 4217 code (such as CNY)",
		"from=2026-11-02&to=2026-11-01": "invalid_request: from must be before to",
		"limit=0":                       "invalid_request: limit must be between 1 and 500",
		"cursor=eA":                     cursor,
		"cursor=e30":                    cursor, // an empty object
	} {
		if got := words(t, h.do("GET", "/v1/upstreams/mine/readings?"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
}

// charge charges account 1 through an upstream, or account 3 in VND.
func (h *house) charge(account ledger.AccountID, service ledger.Service, amount ledger.Amount, upstream, key string) *ledger.Transaction {
	h.t.Helper()
	return h.post(ledger.Request{
		IdempotencyKey: key, Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: account, Service: service}, Amount: amount,
		Metadata: map[string]string{"upstream": upstream},
	})
}

func TestReconciliation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	// To the middle of a day, so that each cut moves to a reading of its own.
	now := h.engine.Now()
	h.later(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, time.UTC).Sub(now))
	h.topUp(1, 100*ledger.Scale, "seed")
	first := h.engine.Now()
	at := func(t time.Time) string { return t.Truncate(time.Microsecond).Format("2006-01-02T15:04:05.000000Z") }
	h.told(first, left("main", "10"))
	h.later(time.Hour)
	refunded := h.charge(1, ledger.SMS, 2*ledger.Scale, "mine", "a")
	h.charge(1, ledger.SMS, 3*ledger.Scale, "mine", "b")
	h.charge(1, ledger.SMS, 50*ledger.Scale, "another", "c") // is nothing to this one
	h.post(ledger.Request{IdempotencyKey: "r", Kind: ledger.Refund, Parent: refunded.ID, Wallet: refunded.Wallet, Amount: ledger.Scale})
	h.later(time.Hour)
	second := h.engine.Now()
	h.told(second, left("main", "8"))
	h.later(22 * time.Hour)
	h.charge(1, ledger.SMS, 4*ledger.Scale, "mine", "d")
	third := h.engine.Now()
	h.told(third, left("main", "105"))
	h.later(time.Hour)
	fourth := h.engine.Now()
	h.told(fourth, left("main", "103"))
	h.later(time.Hour)

	rec := h.do("GET", "/v1/upstreams/mine/reconciliation?from="+first.Format(time.DateOnly), "", as(h.root))
	wantStatus(t, rec, 200)
	got := read[api.Reconciliation](t, rec)
	row := func(from, to time.Time, up, spent string, count int64, net, each, drift string) api.ReconciledRow {
		return api.ReconciledRow{From: at(from), To: at(to), ToppedUp: up, Spent: spent, Count: count, Net: &net, CostPerCharge: &each, Drift: &drift}
	}
	want := []api.ReconciledBucket{{
		Service: "main", Unit: "money", Currency: "CNY",
		Opening:  api.ReadAmount{At: at(first), Amount: "10"},
		Closing:  api.ReadAmount{At: at(fourth), Amount: "103"},
		ToppedUp: "97", Spent: "4",
		Charges: []api.UsageRow{{Wallet: "sms", Currency: "CNY", Count: 3, Charged: "9", Refunded: "1", Net: "8"}},
		Margin:  new("4"), MarginPercent: new("50.00"),
		Rows: []api.ReconciledRow{
			// The day ends between the second and the third reading.
			row(first, second, "0", "2", 2, "4", "1", "0"),
			row(second, fourth, "97", "2", 1, "4", "2", "0"),
		},
	}}
	if diff := cmp.Diff(want, got.Buckets); diff != "" || len(got.Unmatched) != 0 || got.Upstream != "mine" || got.TimeZone != "UTC" {
		t.Errorf("%s%s", diff, rec.Body)
	}
	// Usage has the same charges.
	usage := read[api.Usage](t, h.do("GET", "/v1/reports/usage?upstream=mine&group=wallet", "", as(h.root)))
	if diff := cmp.Diff(want[0].Charges, usage.Items); diff != "" {
		t.Error(diff)
	}
	if got := words(t, h.do("GET", "/v1/reports/usage?upstream=", "", as(h.root))); got != "invalid_request: upstream is not the name of one (a name is 1 to 40 small letters, digits and hyphens)" {
		t.Error(got)
	}
	// A range that begins after the last reading of a day opens with that reading.
	later := read[api.Reconciliation](t, h.do("GET", "/v1/upstreams/mine/reconciliation?from="+at(second.Add(time.Hour)), "", as(h.root)))
	if bucket := later.Buckets[0]; bucket.Opening.At != at(second) || bucket.Spent != "2" || *bucket.Rows[0].Net != "4" {
		t.Errorf("%+v", bucket)
	}
	// It is found where the provider is asked every 12 hours, and could not be twice.
	h.later(38 * time.Hour)
	from := h.engine.Now()
	h.charge(1, ledger.SMS, 5*ledger.Scale, "mine", "e")
	h.later(time.Hour)
	h.told(h.engine.Now(), left("main", "100"))
	h.later(time.Hour)
	rare := read[api.Reconciliation](t, h.do("GET", "/v1/upstreams/mine/reconciliation?from="+at(from), "", as(h.root)))
	if len(rare.Buckets) != 1 || rare.Buckets[0].Opening.At != at(fourth) || rare.Buckets[0].Spent != "3" || len(rare.Buckets[0].Charges) != 1 {
		t.Errorf("%+v", rare)
	}
}

// With several balances each service is paid from the one of its name, and what
// has none is told.
func TestReconciliationOfSeveralBalances(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	h.topUp(3, 100_000*ledger.Scale, "seed-3")
	wantStatus(t, h.do("PUT", "/v1/accounts/1/wallets/rcs", `{"credit_limit":"10"}`, as(h.root)), 201)
	wantStatus(t, h.do("PUT", "/v1/accounts/1/wallets/voip", `{"credit_limit":"10"}`, as(h.root)), 200)
	credits := left("voip", "70")
	credits.Unit, credits.Currency, credits.CurrencySource = provider.Credits, "", ""
	h.told(h.engine.Now(), left("sms", "10"), credits)
	h.later(time.Minute)
	h.charge(1, ledger.SMS, ledger.Scale, "mine", "a")
	h.charge(3, ledger.SMS, 900*ledger.Scale, "mine", "b")
	h.charge(1, "voip", ledger.Scale, "mine", "c")
	h.charge(1, "rcs", 5*ledger.Scale, "mine", "d")
	h.later(time.Minute)
	credits.Amount = decimal.NewFromInt(60)
	h.told(h.engine.Now(), left("sms", "9"), credits)
	h.later(time.Minute)
	rec := h.do("GET", "/v1/upstreams/mine/reconciliation?tz=Asia/Ho_Chi_Minh", "", as(h.root))
	wantStatus(t, rec, 200)
	got := read[api.Reconciliation](t, rec)
	if len(got.Buckets) != 2 || got.TimeZone != "Asia/Ho_Chi_Minh" {
		t.Fatalf("%s", rec.Body)
	}
	sms, voip := got.Buckets[0], got.Buckets[1]
	if len(sms.Charges) != 2 || sms.Margin != nil || sms.Reason != "the charges are in several currencies" || sms.Rows[0].Drift != nil || sms.Rows[0].Count != 2 {
		t.Errorf("%+v", sms)
	}
	if len(voip.Charges) != 1 || voip.Reason != "the balance is in credits, and the charges in CNY" || voip.Spent != "10" || *voip.Rows[0].Drift != "0" || voip.LargestDrift != nil {
		t.Errorf("%+v", voip)
	}
	if diff := cmp.Diff([]api.UsageRow{{Wallet: "rcs", Currency: "CNY", Count: 1, Charged: "5", Refunded: "0", Net: "5"}}, got.Unmatched); diff != "" {
		t.Error(diff)
	}
	for query, want := range map[string]string{
		"from=2024-01-01&to=2025-02-05": "invalid_request: a reconciliation covers at most 400 days (ask for a shorter range)",
		"from=2026-11-02&to=2026-11-02": "invalid_request: from must be before to",
		"tz=Nowhere":                    `invalid_request: there is no time zone "Nowhere" (write it like Asia/Ho_Chi_Minh or UTC)`,
	} {
		if got := words(t, h.do("GET", "/v1/upstreams/mine/reconciliation?"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	long := read[api.Reconciliation](t, h.do("GET", "/v1/upstreams/mine/reconciliation?from=2024-01-01&to=2025-02-04", "", as(h.root)))
	if long.Buckets == nil || len(long.Buckets) != 0 {
		t.Errorf("%+v", long)
	}
}

// What was charged beside a single reading can be held against nothing, and is
// told all the same: with one balance, and where one of several was read again.
func TestReconciliationOfSingleReadings(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	h.told(h.engine.Now(), left("main", "10"))
	h.later(time.Minute)
	h.charge(1, ledger.SMS, 3*ledger.Scale, "mine", "a")
	h.later(time.Minute)
	const reason = "the balance was read only once in that time, so there is nothing to compare"
	want := []api.UsageRow{{Wallet: "sms", Currency: "CNY", Count: 1, Charged: "3", Refunded: "0", Net: "3"}}
	for range 2 {
		got := read[api.Reconciliation](t, h.do("GET", "/v1/upstreams/mine/reconciliation", "", as(h.root)))
		if diff := cmp.Diff(want, got.Unmatched); diff != "" || got.Buckets[0].Reason != reason || len(got.Buckets[0].Charges) != 0 {
			t.Errorf("%s%+v", diff, got.Buckets)
		}
		h.told(h.engine.Now(), left("voip", "5"))
		h.later(time.Minute)
		h.told(h.engine.Now(), left("voip", "4"))
		h.later(time.Minute)
	}
}

// hanging are upstreams whose readings come once whoever wants them has given up.
type hanging struct{ kept }

func (u hanging) UpstreamReadings(ctx context.Context, query readings.Query) ([]readings.Reading, error) {
	wait(ctx)
	return u.kept.UpstreamReadings(ctx, query)
}

func TestReconciliationEndsInTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.told(h.engine.Now(), left("sms", "10"))
	h.later(time.Minute)
	h.handler = httpapi.NewImpatient(h.engine, h.gate, h.metrics, hanging{kept{h.store}}, 10*time.Millisecond)
	if got := words(t, h.do("GET", "/v1/upstreams/mine/reconciliation", "", as(h.root))); got != slowReport {
		t.Error(got)
	}
	if strings.Contains(h.log.String(), "request failed") {
		t.Error("a report that takes too long is no fault of the server's")
	}
}

// Too much to add up is refused, and not added up in part.
func TestReconciliationIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 100*ledger.Scale, "seed")
	small := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), time.Minute) // takes six readings, and three wallets
	get := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/upstreams/mine/reconciliation"+query, http.NoBody)
		as(h.root)(r)
		rec := httptest.NewRecorder()
		small.ServeHTTP(rec, r)
		return rec
	}
	var last time.Time
	for i := range 6 {
		last = h.engine.Now().Truncate(time.Microsecond)
		h.told(last, left("sms", fmt.Sprint(100-i)))
		h.later(time.Minute)
	}
	// They come in pages of two, and what is read where a range ends is a part of it.
	for _, query := range []string{"", "?to=" + last.Format(time.RFC3339Nano)} {
		if found := read[api.Reconciliation](t, get(query)); len(found.Buckets) != 1 || found.Buckets[0].Spent != "5" {
			t.Errorf("%s: %+v", query, found)
		}
	}
	h.told(h.engine.Now(), left("sms", "7"))
	h.later(time.Minute)
	if got := words(t, get("")); got != "invalid_request: the range has over 6 readings (ask for a shorter range)" {
		t.Error(got)
	}
	h.later(49 * time.Hour) // those readings are not looked at any more
	from := h.engine.Now().Truncate(time.Microsecond)
	h.later(time.Minute)
	for i := range 4 {
		wantStatus(t, h.do("PUT", fmt.Sprintf("/v1/accounts/1/wallets/w%d", i), `{"credit_limit":"1"}`, as(h.root)), 201)
		h.charge(1, ledger.Service(fmt.Sprint("w", i)), ledger.Scale, "mine", fmt.Sprint("w", i))
	}
	if got := words(t, get("?from="+from.Format(time.RFC3339Nano))); got != "invalid_request: the charges are in over 3 wallets and currencies (ask for a shorter range)" {
		t.Error(got)
	}
}
