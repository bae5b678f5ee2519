package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// The trial balance adds up every currency, and comes to nothing.
func TestTrialBalance(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, 100*ledger.Scale, "seed-2")
	h.topUp(3, 1_000_000_000_000*ledger.Scale, "seed-3")
	h.busy()
	h.hold(h.root, "open", `"amount":"0.25"`)
	rec := h.do("GET", "/v1/reports/trial-balance", "", as(h.root))
	wantStatus(t, rec, 200)
	report := read[api.TrialBalance](t, rec)
	want := []api.TrialBalanceRow{
		{Currency: "CNY", Wallets: "108.8", Held: "0.25", Funding: "-110", Revenue: "1.1", Adjustment: "0.1", Total: "0"},
		{Currency: "VND", Wallets: "1000000000000", Held: "0", Funding: "-1000000000000", Revenue: "0", Adjustment: "0", Total: "0"},
	}
	if diff := cmp.Diff(want, report.Currencies); diff != "" {
		t.Error(diff)
	}
	if at, err := time.Parse(time.RFC3339Nano, report.CreatedAt); err != nil || h.engine.Now().Sub(at) > time.Minute {
		t.Errorf("%s", report.CreatedAt)
	}
}

// Usage in every grouping: captures are charges, refunds are counted in their own
// row alone, rejections and top-ups are none.
func TestUsage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	// To the middle of a day, so that the days below are whole.
	now := h.engine.Now()
	h.later(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, time.UTC).Sub(now))
	h.topUp(2, 100*ledger.Scale, "seed-2")
	h.topUp(3, 1000*ledger.Scale, "seed-3")
	h.busy() // a charge of 1, a refund of 0.4, a capture of 0.5
	first := h.engine.Now().Format(time.DateOnly)
	h.later(24 * time.Hour)
	charge := func(account, wallet, amount string, status int) {
		t.Helper()
		body := fmt.Sprintf(`{"account":%s,"wallet":%q,"type":"charge","amount":%q}`, account, wallet, amount)
		wantStatus(t, h.do("POST", "/v1/transactions", body, as(h.root), idempotent(account+wallet+amount)), status)
	}
	charge("2", "sms", "2", 201)
	charge("2", "sms", "3", 201)
	charge("3", "sms", "7", 201)
	charge("1", "voip", "0.2", 201)
	charge("1", "voip", "99", 402)
	second := h.engine.Now().Format(time.DateOnly)
	row := func(count int64, currency, charged, refunded, net string) api.UsageRow {
		return api.UsageRow{Currency: currency, Count: count, Charged: charged, Refunded: refunded, Net: net}
	}
	in := func(r api.UsageRow, set func(*api.UsageRow)) api.UsageRow {
		set(&r)
		return r
	}
	day := func(day string) func(*api.UsageRow) { return func(r *api.UsageRow) { r.Day = day } }
	account := func(id int32) func(*api.UsageRow) { return func(r *api.UsageRow) { r.Account = id } }
	wallet := func(name string) func(*api.UsageRow) { return func(r *api.UsageRow) { r.Wallet = name } }
	kind := func(kind api.TransactionType) func(*api.UsageRow) { return func(r *api.UsageRow) { r.Type = kind } }
	for query, want := range map[string][]api.UsageRow{
		"": {
			in(row(1, "CNY", "0.5", "0", "0.5"), kind("capture")),
			in(row(4, "CNY", "6.2", "0", "6.2"), kind("charge")), in(row(1, "VND", "7", "0", "7"), kind("charge")),
			in(row(1, "CNY", "0", "0.4", "-0.4"), kind("refund")),
		},
		"group=day": {
			in(row(2, "CNY", "1.5", "0.4", "1.1"), day(first)),
			in(row(3, "CNY", "5.2", "0", "5.2"), day(second)), in(row(1, "VND", "7", "0", "7"), day(second)),
		},
		"group=account": {
			in(row(3, "CNY", "1.7", "0.4", "1.3"), account(1)), in(row(2, "CNY", "5", "0", "5"), account(2)), in(row(1, "VND", "7", "0", "7"), account(3)),
		},
		"group=wallet": {
			in(row(4, "CNY", "6.5", "0.4", "6.1"), wallet("sms")), in(row(1, "VND", "7", "0", "7"), wallet("sms")),
			in(row(1, "CNY", "0.2", "0", "0.2"), wallet("voip")),
		},
		"group=type&account=2":                                {in(row(2, "CNY", "5", "0", "5"), kind("charge"))},
		"group=day&account=1&from=" + first + "&to=" + second: {in(row(2, "CNY", "1.5", "0.4", "1.1"), day(first))},
		"group=day&to=" + first:                               {},
		"group=account&from=" + second:                        {in(row(1, "CNY", "0.2", "0", "0.2"), account(1)), in(row(2, "CNY", "5", "0", "5"), account(2)), in(row(1, "VND", "7", "0", "7"), account(3))},
		// 13 hours behind, the second day begins later, and noon is still the first.
		"group=day&account=2&tz=Pacific/Pago_Pago": {in(row(2, "CNY", "5", "0", "5"), day(second))},
		"group=day&account=2&tz=Pacific/Kiritimati": {
			in(row(2, "CNY", "5", "0", "5"), day(h.engine.Now().AddDate(0, 0, 1).Format(time.DateOnly))),
		},
	} {
		rec := h.do("GET", "/v1/reports/usage?"+query, "", as(h.root))
		wantStatus(t, rec, 200)
		report := read[api.Usage](t, rec)
		if diff := cmp.Diff(want, report.Items); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		values, _ := url.ParseQuery(query)
		if group := values.Get("group"); group != string(report.Group) && (group != "" || report.Group != "type") {
			t.Errorf("%s: %+v", query, report)
		}
	}
	// A page has so many accounts; the range of a report that names none is the last 30 days.
	var got []int32
	for cursor := ""; ; {
		page := read[api.Usage](t, h.do("GET", "/v1/reports/usage?group=account&limit=1"+cursor, "", as(h.root)))
		from, _ := time.Parse(time.RFC3339Nano, page.From)
		if to, err := time.Parse(time.RFC3339Nano, page.To); err != nil || to.Sub(from) != 30*24*time.Hour || h.engine.Now().Sub(to) > time.Minute || len(page.Items) != 1 {
			t.Fatalf("%+v", page)
		}
		got = append(got, page.Items[0].Account)
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("%v", got)
	}
}

// A report that comes whole has an end; one by accounts goes on on the next page.
func TestUsageIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	small := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), time.Minute) // takes three rows
	for i := range 4 {
		wantStatus(t, h.do("PUT", fmt.Sprintf("/v1/accounts/1/wallets/w%d", i), `{"credit_limit":"1"}`, as(h.root)), 201)
	}
	get := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/reports/usage?"+query, http.NoBody)
		as(h.root)(r)
		rec := httptest.NewRecorder()
		small.ServeHTTP(rec, r)
		return rec
	}
	for i := range 4 {
		body := fmt.Sprintf(`{"account":1,"wallet":"w%d","type":"charge","amount":"1"}`, i)
		wantStatus(t, h.do("POST", "/v1/transactions", body, as(h.root), idempotent(fmt.Sprint("k", i))), 201)
		rec := get("group=wallet")
		if i < 3 {
			if items := read[api.Usage](t, rec).Items; len(items) != i+1 {
				t.Errorf("%s", rec.Body)
			}
			continue
		}
		if got := words(t, rec); got != "invalid_request: the report has over 3 rows (ask for a shorter range, or group by account)" {
			t.Errorf("%s", got)
		}
	}
	wantStatus(t, get("group=account"), 200)
}

const slowReport = "invalid_request: the report takes too long (ask for a shorter range)"

// wait waits until somebody has given up waiting.
func wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
	}
}

// slow is a ledger that adds up once whoever asked has given up.
type slow struct{ *sqlite.Store }

func (s slow) Usage(ctx context.Context, query engine.UsageQuery) ([]engine.UsageRow, error) {
	wait(ctx)
	return s.Store.Usage(ctx, query)
}

// A report says that it takes too long while there still is time to say so.
func TestUsageEndsInTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.engine.Close()
	patient, err := engine.New(t.Context(), slow{h.store}, engine.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer patient.Close()
	gate := httpapi.NewGate(patient, httpapi.GateOptions{}, h.metrics, discard)
	h.handler = httpapi.NewImpatient(patient, gate, h.metrics, h.upstreams(), 10*time.Millisecond)
	for _, group := range []string{"account", "day"} {
		if got := words(t, h.do("GET", "/v1/reports/usage?group="+group, "", as(h.root))); got != slowReport {
			t.Errorf("%s: %s", group, got)
		}
	}
}

func TestUsageQueries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const form = " must be an RFC 3339 time or a date, since 1970 (such as 2026-11-01 or 2026-11-01T00:00:00Z; in a URL, write the + of an offset as %2B)"
	for query, want := range map[string]string{
		"group=month":                   `invalid_request: usage cannot be grouped by "month" (group by day, account, wallet or type)`,
		"group=":                        `invalid_request: usage cannot be grouped by "" (group by day, account, wallet or type)`,
		"from=2026-11-01&to=2026-11-01": "invalid_request: from must be before to",
		"from=2026-11-02&to=2026-11-01": "invalid_request: from must be before to",
		"from=today":                    "invalid_request: from" + form,
		"to=today":                      "invalid_request: to" + form,
		"tz=Nowhere":                    `invalid_request: there is no time zone "Nowhere" (write it like Asia/Ho_Chi_Minh or UTC)`,
		"group=day&from=2024-01-01&to=2025-01-02": "invalid_request: a report by day covers at most 366 days",
		"account=77":                       "not_found: there is no account 77",
		"account=0":                        "not_found: there is no account 0",
		"account=-1":                       "not_found: there is no account -1",
		"group=account&limit=501":          "invalid_request: limit must be between 1 and 500",
		"group=account&cursor=eA":          "invalid_request: the cursor is not one that a page gave (start again without a cursor)",
		"from=" + strings.Repeat("9", 100): "invalid_request: from" + form,
	} {
		if got := words(t, h.do("GET", "/v1/reports/usage?"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	// A leap year fits.
	wantStatus(t, h.do("GET", "/v1/reports/usage?group=day&from=2024-01-01&to=2025-01-01", "", as(h.root)), 200)
	rec := h.do("GET", "/v1/reports/usage", "", as(h.root))
	if report := read[api.Usage](t, rec); report.Items == nil || len(report.Items) != 0 || !strings.Contains(rec.Body.String(), `"items":[]`) {
		t.Errorf("%s", rec.Body)
	}
}
