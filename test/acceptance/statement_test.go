package acceptance

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

const statementOf41 = "/v1/accounts/41/wallets/sms/statement"

// testStatements has account 41 with an entry of every kind, and account 42 to
// transfer with.
func (r *rest) testStatements(t *testing.T) {
	for _, account := range []string{"41", "42"} {
		r.walk(t, []step{{"operator", "POST", "/v1/accounts", `{"name":"Lotus Travel","currency":"CNY","id":` + account + `}`, 201, `"id":` + account}})
	}
	r.signIn(t, "auditor", 41, api.ScopeBalanceRead)
	r.signIn(t, "auditor of 42", 42, api.ScopeBalanceRead)
	const wallet = `"account":41,"wallet":"sms",`
	r.walk(t, []step{
		{"operator", "GET", statementOf41, ``, 200, `{"account":41,"wallet":"sms","currency":"CNY","opening_balance":"0","closing_balance":"0","items":[]}`},
		{"operator", "POST", "/v1/transactions#sm-1", `{` + wallet + `"type":"topup","amount":"10","reference":"=1+1"}`, 201, `"10"`},
		{"operator", "POST", "/v1/transactions#sm-2", `{` + wallet + `"type":"charge","amount":"1.5","reference":"a, \"b\""}`, 201, `"8.5"`},
		{"operator", "POST", "/v1/transactions#sm-3", `{"type":"refund","amount":"0.5","charge":"{sm-2}","reference":"-x"}`, 201, `"9"`},
		{"operator", "POST", "/v1/transactions#sm-no", `{` + wallet + `"type":"charge","amount":"100"}`, 402, "insufficient_funds"},
		{"operator", "POST", "/v1/transactions#sm-4", `{` + wallet + `"type":"adjustment","amount":"-0.000001"}`, 201, `"8.999999"`},
		{"operator", "POST", "/v1/transactions#sm-5", `{` + wallet + `"type":"transfer","amount":"2","to_account":42,"to_wallet":"voip"}`, 201, `"6.999999"`},
		{"operator", "POST", "/v1/transactions#sm-6", `{"account":42,"wallet":"voip","type":"transfer","amount":"0.5","to_account":41,"to_wallet":"sms"}`, 201, `"1.5"`},
		{"operator", "POST", "/v1/holds#sm-7", `{` + wallet + `"amount":"3","reference":"@msg"}`, 201, `"held":"3"`},
		{"operator", "POST", "/v1/holds/{sm-7}/extend#sm-8", `{"expires_in":172800}`, 201, `"held":"3"`},
		{"operator", "POST", "/v1/holds/{sm-7}/capture#sm-9", `{"amount":"1","final":false}`, 201, `"held":"2"`},
		{"operator", "POST", "/v1/holds/{sm-7}/release#sm-10", `{}`, 201, `"held":"0"`},
	})
	var times []string
	for i := range 10 {
		var posted api.Transaction
		reply := r.send(t, "operator", "GET", "/v1/transactions/"+r.ids[fmt.Sprint("sm-", i+1)], "")
		if err := decodeJSON(reply.Body, &posted); err != nil {
			t.Fatal(err)
		}
		times = append(times, posted.CreatedAt)
	}
	t.Run("formats", func(t *testing.T) { r.testStatementFormats(t, times) })
	t.Run("ranges", func(t *testing.T) { r.testStatementRanges(t, times) })
	t.Run("days", func(t *testing.T) { r.testStatementDays(t, times) })
	t.Run("pages", r.testStatementPages)
	t.Run("refused", r.testStatementRefusals)
	t.Run("at", func(t *testing.T) { r.testWalletAt(t, times) })
}

// rows are the rows of the statement as JSON. In the place of T1 and so on stand
// the times.
func (r *rest) rows(t *testing.T, times []string) []string {
	t.Helper()
	rows := strings.Split(r.fill(t, `{"version":1,"created_at":"T1","transaction":"{sm-1}","type":"topup","amount":"10","balance":"10","held":"0","reference":"=1+1","counterpart":"funding"}
{"version":2,"created_at":"T2","transaction":"{sm-2}","type":"charge","amount":"-1.5","balance":"8.5","held":"0","reference":"a, \"b\"","counterpart":"revenue"}
{"version":3,"created_at":"T3","transaction":"{sm-3}","type":"refund","amount":"0.5","balance":"9","held":"0","reference":"-x","counterpart":"revenue","charge":"{sm-2}"}
{"version":4,"created_at":"T4","transaction":"{sm-4}","type":"adjustment","amount":"-0.000001","balance":"8.999999","held":"0","counterpart":"adjustment"}
{"version":5,"created_at":"T5","transaction":"{sm-5}","type":"transfer","amount":"-2","balance":"6.999999","held":"0","counterpart":"42/voip"}
{"version":6,"created_at":"T6","transaction":"{sm-6}","type":"transfer","amount":"0.5","balance":"7.499999","held":"0","counterpart":"42/voip"}
{"version":7,"created_at":"T7","transaction":"{sm-7}","type":"hold","amount":"0","balance":"7.499999","held":"3","reference":"@msg","hold":"{sm-7}"}
{"version":8,"created_at":"T8","transaction":"{sm-8}","type":"extend","amount":"0","balance":"7.499999","held":"3","reference":"@msg","hold":"{sm-7}"}
{"version":9,"created_at":"T9","transaction":"{sm-9}","type":"capture","amount":"-1","balance":"6.499999","held":"2","reference":"@msg","counterpart":"revenue","hold":"{sm-7}"}
{"version":10,"created_at":"T10","transaction":"{sm-10}","type":"release","amount":"0","balance":"6.499999","held":"0","reference":"@msg","hold":"{sm-7}"}`), "\n")
	for i := range rows {
		rows[i] = strings.Replace(rows[i], fmt.Sprintf(`"T%d"`, i+1), `"`+times[i]+`"`, 1)
	}
	return rows
}

const csvOf41 = `version,created_at,transaction,type,amount,balance,held,reference,counterpart
,,,opening,,0,,,
1,T1,{sm-1},topup,10,10,0,'=1+1,funding
2,T2,{sm-2},charge,-1.5,8.5,0,"a, ""b""",revenue
3,T3,{sm-3},refund,0.5,9,0,'-x,revenue
4,T4,{sm-4},adjustment,-0.000001,8.999999,0,,adjustment
5,T5,{sm-5},transfer,-2,6.999999,0,,42/voip
6,T6,{sm-6},transfer,0.5,7.499999,0,,42/voip
7,T7,{sm-7},hold,0,7.499999,3,'@msg,
8,T8,{sm-8},extend,0,7.499999,3,'@msg,
9,T9,{sm-9},capture,-1,6.499999,2,'@msg,revenue
10,T10,{sm-10},release,0,6.499999,0,'@msg,
,,,closing,,6.499999,,,
`

func statementJSON(ends string, rows []string) string {
	return `{"account":41,"wallet":"sms","currency":"CNY",` + ends + `,"items":[` + strings.Join(rows, ",") + "]}\n"
}

func (r *rest) testStatementFormats(t *testing.T, times []string) {
	rows := r.rows(t, times)
	asCSV := r.fill(t, csvOf41)
	for i, at := range times {
		asCSV = strings.Replace(asCSV, fmt.Sprintf(",T%d,", i+1), ","+at+",", 1)
	}
	asJSON := statementJSON(`"opening_balance":"0","closing_balance":"6.499999"`, rows)
	asLines := `{"type":"opening","balance":"0"}` + "\n" + strings.Join(rows, "\n") + "\n" + `{"type":"closing","balance":"6.499999"}` + "\n"
	const typeOfCSV = "text/csv; charset=utf-8"
	for _, test := range []struct{ as, query, accept, contentType, body string }{
		{"operator", "", "", "application/json", asJSON},
		{"reader", "", "", "application/json", asJSON},
		{"auditor", "?format=json", "text/csv", "application/json", asJSON},
		{"auditor", "?format=csv", "", typeOfCSV, asCSV},
		{"auditor", "", "text/csv", typeOfCSV, asCSV},
		{"auditor", "?format=ndjson", "text/csv", ndjson, asLines},
		{"auditor", "", ndjson, ndjson, asLines},
		{"auditor", "", "text/csv;q=0.5, " + ndjson, ndjson, asLines},
	} {
		reply := r.send(t, test.as, "GET", statementOf41+test.query, "", "Accept", test.accept)
		if reply.Status != 200 || reply.Body != test.body {
			t.Errorf("%s as %s\ngot  %d %s\nwant %s", test.query, test.accept, reply.Status, reply.Body, test.body)
		}
		if got := reply.Header.Get("Content-Type"); got != test.contentType || reply.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s as %s: %v", test.query, test.accept, reply.Header)
		}
	}
}

func (r *rest) testStatementRanges(t *testing.T, times []string) {
	rows := r.rows(t, times)
	for _, test := range []struct{ query, body string }{
		// The start is in the range and the end is not.
		{
			"from=" + times[1] + "&to=" + times[4],
			statementJSON(`"from":"`+times[1]+`","to":"`+times[4]+`","opening_balance":"10","closing_balance":"8.999999"`, rows[1:4]),
		},
		{"from=" + times[8], statementJSON(`"from":"`+times[8]+`","opening_balance":"7.499999","closing_balance":"6.499999"`, rows[8:])},
		{"to=" + times[2], statementJSON(`"to":"`+times[2]+`","opening_balance":"0","closing_balance":"8.5"`, rows[:2])},
		{"from=" + times[3] + "&to=" + times[3], statementJSON(`"from":"`+times[3]+`","to":"`+times[3]+`","opening_balance":"9","closing_balance":"9"`, nil)},
		{"to=2001-02-03", statementJSON(`"to":"2001-02-03T00:00:00.000000Z","opening_balance":"0","closing_balance":"0"`, nil)},
		// A type hides rows and changes no balance.
		{"type=transfer", statementJSON(`"opening_balance":"0","closing_balance":"6.499999"`, rows[4:6])},
		{"type=expire", statementJSON(`"opening_balance":"0","closing_balance":"6.499999"`, nil)},
		{
			"from=" + times[1] + "&to=" + times[4] + "&type=refund&format=csv",
			"version,created_at,transaction,type,amount,balance,held,reference,counterpart\n," + times[1] + ",,opening,,10,,,\n" +
				"3," + times[2] + "," + r.ids["sm-3"] + ",refund,0.5,9,0,'-x,revenue\n," + times[4] + ",,closing,,8.999999,,,\n",
		},
		{
			"from=" + times[9] + "&to=9999-12-31&format=ndjson",
			`{"type":"opening","balance":"6.499999","created_at":"` + times[9] + `"}` + "\n" + rows[9] + "\n" +
				`{"type":"closing","balance":"6.499999","created_at":"9999-12-31T00:00:00.000000Z"}` + "\n",
		},
	} {
		if reply := r.send(t, "auditor", "GET", statementOf41+"?"+test.query, ""); reply.Status != 200 || reply.Body != test.body {
			t.Errorf("%s\ngot  %d %s\nwant %s", test.query, reply.Status, reply.Body, test.body)
		}
	}
	// The other side of the transfers.
	r.walk(t, []step{
		{"operator", "GET", "/v1/accounts/42/wallets/voip/statement", ``, 200, `"type":"transfer","amount":"2","balance":"2","held":"0","counterpart":"41/sms"},{"version":2,`},
		{"operator", "GET", "/v1/accounts/42/wallets/voip/statement", ``, 200, `"type":"transfer","amount":"-0.5","balance":"1.5","held":"0","counterpart":"41/sms"}]}`},
	})
}

// testStatementDays checks where a day begins in zones on both sides of UTC.
func (r *rest) testStatementDays(t *testing.T, times []string) {
	first, err := time.Parse(time.RFC3339Nano, times[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "UTC", "Asia/Ho_Chi_Minh", "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago"} {
		zone, err := time.LoadLocation(name) // "" is UTC
		if err != nil {
			t.Fatal(err)
		}
		local := first.In(zone)
		start := time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone).UTC().Format("2006-01-02T15:04:05.000000Z")
		query := ""
		if name != "" {
			query = "&tz=" + url.QueryEscape(name)
		}
		// All rows are on that day or, where midnight has passed since, the next one.
		var since, until api.Statement
		day := local.Format(time.DateOnly)
		if err := decodeJSON(r.send(t, "auditor", "GET", statementOf41+"?from="+day+query, "").Body, &since); err != nil {
			t.Fatal(err)
		}
		if err := decodeJSON(r.send(t, "auditor", "GET", statementOf41+"?to="+day+query, "").Body, &until); err != nil {
			t.Fatal(err)
		}
		if since.From != start || len(since.Items) != 10 || since.OpeningBalance != "0" || since.ClosingBalance != "6.499999" {
			t.Errorf("%s, from %s: %+v", name, day, since)
		}
		if until.To != start || len(until.Items) != 0 || until.ClosingBalance != "0" {
			t.Errorf("%s, to %s: %+v", name, day, until)
		}
		r.walk(t, []step{{"auditor", "GET", "/v1/accounts/41/wallets/sms?at=" + day + query, ``, 200, `"balance":"0","held":"0","version":0,"at":"` + start + `"}`}})
	}
}

// testStatementPages checks that pages join without a gap or an overlap.
func (r *rest) testStatementPages(t *testing.T) {
	for _, filter := range []string{"", "&type=transfer", "&type=release"} {
		whole := r.send(t, "operator", "GET", statementOf41+"?limit=500"+filter, "")
		text := r.send(t, "operator", "GET", statementOf41+"?format=csv"+filter, "")
		for _, limit := range []int{1, 3, 9, 10} {
			var joined api.Statement
			for cursor := ""; ; {
				query := fmt.Sprintf("?limit=%d%s%s", limit, filter, cursor)
				var page api.Statement
				if err := decodeJSON(r.send(t, "operator", "GET", statementOf41+query, "").Body, &page); err != nil {
					t.Fatal(err)
				}
				if len(page.Items) > limit || page.OpeningBalance != "0" || page.ClosingBalance != "6.499999" {
					t.Fatalf("%s: %+v", query, page)
				}
				// A file after a page has the rest.
				_, rows, _ := strings.Cut(r.send(t, "operator", "GET", statementOf41+"?format=csv"+filter+cursor, "").Body, "\n")
				if !strings.HasSuffix(text.Body, rows) {
					t.Errorf("after %d rows%s come\n%s", len(joined.Items), filter, rows)
				}
				joined.Items = append(joined.Items, page.Items...)
				if page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
			}
			var want api.Statement
			if err := decodeJSON(whole.Body, &want); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(joined.Items) != fmt.Sprint(want.Items) {
				t.Errorf("pages of %d%s have %+v", limit, filter, joined.Items)
			}
		}
	}
}

func (r *rest) testStatementRefusals(t *testing.T) {
	for _, query := range []string{
		"from=yesterday", "to=2026-13-01", "from=1969-12-31", "tz=Nowhere", "tz=Local", "tz=", "type=gift", "format=xml", "limit=0", "limit=501", "cursor=eA", "from=2026-11-01T00:00:00",
	} {
		r.walk(t, []step{{"auditor", "GET", statementOf41 + "?" + query, ``, 400, "invalid_request"}})
	}
	r.walk(t, []step{
		{"auditor of 42", "GET", statementOf41, ``, 404, "not_found"},
		{"operator", "GET", statementOf41 + "?form=csv", ``, 400, "invalid_request"},
		{"operator", "GET", statementOf41 + "?format=csv&limit=10", ``, 400, "invalid_request"},
		{"writer", "GET", statementOf41, ``, 403, "forbidden"},
		{"nobody", "GET", statementOf41, ``, 401, "unauthorized"},
		{"operator", "GET", "/v1/accounts/41/wallets/fax/statement", ``, 404, "not_found"},
		{"operator", "GET", "/v1/accounts/7/wallets/sms/statement", ``, 404, "not_found"},
	})
}

// testWalletAt checks the wallet as it was after each of its entries, and before.
func (r *rest) testWalletAt(t *testing.T, times []string) {
	want := []string{"10 0", "8.5 0", "9 0", "8.999999 0", "6.999999 0", "7.499999 0", "7.499999 3", "7.499999 3", "6.499999 2", "6.499999 0"}
	read := func(at string) (api.Wallet, saldotest.Reply) {
		var wallet api.Wallet
		reply := r.send(t, "auditor", http.MethodGet, "/v1/accounts/41/wallets/sms?at="+url.QueryEscape(at), "")
		if err := decodeJSON(reply.Body, &wallet); err != nil || reply.Status != 200 {
			t.Fatalf("%v: %+v", err, reply)
		}
		return wallet, reply
	}
	for i, at := range times {
		wallet, reply := read(at)
		if got := wallet.Balance + " " + wallet.Held; got != want[i] || wallet.Version != int64(i+1) || wallet.At != at {
			t.Errorf("%d: %s", i, reply.Body)
		}
		if strings.Contains(reply.Body, "credit_limit") || strings.Contains(reply.Body, "available") || strings.Contains(reply.Body, "status") || strings.Contains(reply.Body, "spent") {
			t.Errorf("it has what no history is kept of: %s", reply.Body)
		}
		// A millionth of a second earlier there was the entry before it.
		instant, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		earlier := instant.Add(-time.Microsecond).In(time.FixedZone("", 7*60*60)).Format(time.RFC3339Nano)
		if wallet, reply := read(earlier); wallet.Version != int64(i) {
			t.Errorf("before %d: %s", i, reply.Body)
		}
	}
	r.walk(t, []step{
		{"auditor", "GET", "/v1/accounts/41/wallets/sms?at=9999-12-31", ``, 400, "invalid_request"},
		{"auditor", "GET", "/v1/accounts/41/wallets/sms?at=now", ``, 400, "invalid_request"},
		{"auditor", "GET", "/v1/accounts/41/wallets/sms?at=2026-11-01&tz=Nowhere", ``, 400, "invalid_request"},
		{"auditor of 42", "GET", "/v1/accounts/41/wallets/sms?at=2026-11-01", ``, 404, "not_found"},
		{"operator", "GET", "/v1/accounts/41/wallets/fax?at=2026-11-01", ``, 404, "not_found"},
	})
}
