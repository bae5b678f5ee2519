package acceptance

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// testFind looks for transactions by what their callers call them.
func (r *rest) testFind(t *testing.T) {
	for _, account := range []api.AccountID{71, 72} {
		r.account(t, api.AccountRequest{ID: account}, map[string]string{"sms": "10"})
	}
	r.signIn(t, "finder", 71, api.ScopeBalanceRead, api.ScopeTransactionsWrite)
	r.walk(t, []step{
		{"operator", "POST", "/v1/transactions#find-1", `{"account":71,"wallet":"sms","type":"charge","amount":"1","reference":"find me"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#find-2", `{"account":72,"wallet":"sms","type":"charge","amount":"2","reference":"find me"}`, 201, `"posted"`},
		{"finder", "POST", "/v1/transactions#find-3", `{"account":71,"wallet":"sms","type":"charge","amount":"1000","reference":"find me"}`, 402, "insufficient_funds"},
		{"finder", "POST", "/v1/transactions#find-4", `{"account":71,"wallet":"sms","type":"charge","amount":"3"}`, 201, `"posted"`},
	})
	for _, test := range []struct{ as, query, want string }{
		{"operator", "reference=find%20me", "find-1 find-2 find-3"}, // the oldest first, rejections too
		{"reader", "reference=find%20me&account=72", "find-2"},
		{"writer", "reference=find%20me&account=71", "find-1 find-3"},
		{"finder", "reference=find%20me", "find-1 find-3"},
		{"finder", "reference=find%20me&account=71", "find-1 find-3"},
		{"operator", "reference=Find%20me", ""},
		{"operator", "idempotency_key=find-1", "find-1"},
		{"operator", "idempotency_key=find-4", ""}, // which is the customer's
		{"operator", "idempotency_key=find-4&account=71", "find-4"},
		{"operator", "idempotency_key=find-4&account=72", ""},
		{"finder", "idempotency_key=find-4", "find-4"},
		{"finder", "idempotency_key=find-1", ""}, // which is the operator's
	} {
		want := ""
		for key := range strings.FieldsSeq(test.want) {
			want += r.ids[key] + " "
		}
		for _, limit := range []int{0, 1, 2} {
			query := "/v1/transactions?" + test.query
			if limit > 0 {
				query += fmt.Sprint("&limit=", limit)
			}
			got := ""
			for cursor := ""; ; {
				var page api.TransactionPage
				reply := r.send(t, test.as, "GET", query+cursor, "")
				if err := decodeJSON(reply.Body, &page); err != nil || reply.Status != 200 {
					t.Fatalf("%s: %v, %+v", query, err, reply)
				}
				for _, transaction := range page.Items {
					got += transaction.ID + " "
				}
				if page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
			}
			if got != want {
				t.Errorf("%s: %s: got %s, want %s", test.as, query, got, want)
			}
		}
	}
	r.walk(t, []step{
		{"operator", "GET", "/v1/transactions", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/transactions?reference=", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/transactions?reference=a&idempotency_key=b", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/transactions?reference=a&account=7", ``, 404, "not_found"},
		{"finder", "GET", "/v1/transactions?reference=a&account=72", ``, 404, "not_found"},
		{"nobody", "GET", "/v1/transactions?reference=a", ``, 401, "unauthorized"},
	})
}

// testReports has a currency of its own, so that its sums do not depend on what
// other tests have done.
func (r *rest) testReports(t *testing.T) {
	r.walk(t, []step{
		{"operator", "POST", "/v1/accounts", `{"name":"T","currency":"THB","id":81}`, 201, `"THB"`},
		{"operator", "POST", "/v1/accounts", `{"name":"U","currency":"THB","id":82}`, 201, `"THB"`},
		{"operator", "POST", "/v1/transactions#rp-top", `{"account":81,"wallet":"sms","type":"topup","amount":"100"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#rp-adjust", `{"account":82,"wallet":"voip","type":"adjustment","amount":"50"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#rp-charge", `{"account":81,"wallet":"sms","type":"charge","amount":"10"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#rp-refund", `{"type":"refund","amount":"4","charge":"{rp-charge}"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#rp-refused", `{"account":81,"wallet":"sms","type":"charge","amount":"1000"}`, 402, "insufficient_funds"},
		{"operator", "POST", "/v1/transactions#rp-other", `{"account":82,"wallet":"voip","type":"charge","amount":"0.000001"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/transactions#rp-move", `{"account":81,"wallet":"sms","type":"transfer","amount":"5","to_account":81,"to_wallet":"voip"}`, 201, `"posted"`},
		{"operator", "POST", "/v1/holds#rp-hold", `{"account":81,"wallet":"voip","amount":"3"}`, 201, `"open"`},
		{"operator", "POST", "/v1/holds/{rp-hold}/capture#rp-capture", `{"amount":"2","final":false}`, 201, `"open"`},
	})
	t.Run("trial balance", r.testTrialBalance)
	t.Run("usage", r.testUsage)
	t.Run("usage by pages", r.testUsagePages)
	for _, path := range []string{"/v1/reports/trial-balance", "/v1/reports/usage"} {
		r.walk(t, []step{
			{"reader", "GET", path, ``, 200, `"currency":"THB"`},
			{"writer", "GET", path, ``, 403, "forbidden"},
			{"finder", "GET", path, ``, 403, "forbidden"},
			{"nobody", "GET", path, ``, 401, "unauthorized"},
		})
	}
}

func (r *rest) testTrialBalance(t *testing.T) {
	reply := r.send(t, "operator", "GET", "/v1/reports/trial-balance", "")
	var report api.TrialBalance
	if err := decodeJSON(reply.Body, &report); err != nil || reply.Status != 200 {
		t.Fatalf("%v: %+v", err, reply)
	}
	var currencies []string
	for _, row := range report.Currencies {
		if row.Total != "0" {
			t.Errorf("%+v", row)
		}
		currencies = append(currencies, row.Currency)
	}
	if !slices.IsSorted(currencies) || !slices.Contains(currencies, "CNY") {
		t.Errorf("%q", currencies)
	}
	want := `{"currency":"THB","wallets":"141.999999","held":"1","funding":"-100","revenue":"8.000001","adjustment":"-50","total":"0"}`
	if !strings.Contains(reply.Body, want) {
		t.Errorf("got  %s\nwant %s", reply.Body, want)
	}
}

func (r *rest) testUsage(t *testing.T) {
	zone, err := time.LoadLocation(calmZone())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	today, tomorrow, yesterday := now.Format(time.DateOnly), now.AddDate(0, 0, 1).Format(time.DateOnly), now.AddDate(0, 0, -1).Format(time.DateOnly)
	tz := "&tz=" + url.QueryEscape(calmZone())
	const (
		sums  = `"currency":"THB","count":2,"charged":"12","refunded":"4","net":"8"}`
		types = `{"type":"capture","currency":"THB","count":1,"charged":"2","refunded":"0","net":"2"},` +
			`{"type":"charge","currency":"THB","count":1,"charged":"10","refunded":"0","net":"10"},` +
			`{"type":"refund","currency":"THB","count":1,"charged":"0","refunded":"4","net":"-4"}`
	)
	for _, test := range []struct{ query, group, want string }{
		{"", "type", types},
		{"&group=type", "type", types},
		{"&group=account", "account", `{"account":81,` + sums},
		{"&group=wallet", "wallet", `{"wallet":"sms","currency":"THB","count":1,"charged":"10","refunded":"4","net":"6"},` +
			`{"wallet":"voip","currency":"THB","count":1,"charged":"2","refunded":"0","net":"2"}`},
		{"&group=day" + tz, "day", `{"day":"` + today + `",` + sums},
		{"&group=day&from=" + today + "&to=" + tomorrow + tz, "day", `{"day":"` + today + `",` + sums},
		{"&group=day&from=" + yesterday + "&to=" + today + tz, "day", ``},
		{"&group=account&from=" + tomorrow + "&to=9999-01-01" + tz, "account", ``},
	} {
		reply := r.send(t, "operator", "GET", "/v1/reports/usage?account=81"+test.query, "")
		if want := `"group":"` + test.group + `","items":[` + test.want + "]}\n"; reply.Status != 200 || !strings.HasSuffix(reply.Body, want) {
			t.Errorf("%s: got %d %s\nwant %s", test.query, reply.Status, reply.Body, want)
		}
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone).UTC().Format("2006-01-02T15:04:05.000000Z")
	r.walk(t, []step{
		{"operator", "GET", "/v1/reports/usage?account=81&group=day&from=" + today + tz, ``, 200, `{"from":"` + midnight + `","to":"20`},
		{"operator", "GET", "/v1/reports/usage?account=82", ``, 200, `"items":[{"type":"charge","currency":"THB","count":1,"charged":"0.000001","refunded":"0","net":"0.000001"}]}`},
		{"operator", "GET", "/v1/reports/usage?account=7", ``, 404, "not_found"},
		{"operator", "GET", "/v1/reports/usage?group=month", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/reports/usage?from=2026-11-02&to=2026-11-01", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/reports/usage?group=day&from=2024-01-01&to=2025-01-02", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/reports/usage?group=day&from=2024-01-01&to=2025-01-01", ``, 200, `"items":[]}`},
		{"operator", "GET", "/v1/reports/usage?tz=Nowhere", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/reports/usage?group=account&limit=0", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/reports/usage?group=account&cursor=eA", ``, 400, "invalid_request"},
	})
}

// testUsagePages checks that pages by account make up the whole report, and
// that it agrees with the others.
func (r *rest) testUsagePages(t *testing.T) {
	read := func(query string) (report api.Usage) {
		reply := r.send(t, "operator", "GET", "/v1/reports/usage?"+query, "")
		if err := decodeJSON(reply.Body, &report); err != nil || reply.Status != 200 {
			t.Fatalf("%s: %v, %+v", query, err, reply)
		}
		return report
	}
	whole := read("group=account&limit=500")
	var joined []api.UsageRow
	for cursor := ""; ; {
		page := read("group=account&limit=2" + cursor)
		joined = append(joined, page.Items...)
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
	}
	if len(joined) < 10 || fmt.Sprint(joined) != fmt.Sprint(whole.Items) {
		t.Errorf("got  %+v\nwant %+v", joined, whole.Items)
	}
	var transactions int64
	for _, row := range joined {
		transactions += row.Count
	}
	for _, row := range read("group=type").Items {
		if row.Type != api.TransactionTypeRefund {
			transactions -= row.Count
		}
	}
	if transactions != 0 {
		t.Errorf("by account there are %d more than by type", transactions)
	}
}
