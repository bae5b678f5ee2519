package httpapi_test

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

const statementPath = "/v1/accounts/1/wallets/sms/statement"

// busy gives account 1 an entry of every kind, a minute apart, and returns the
// times of the entries and the ids of the transactions, by their keys.
func (h *house) busy() (times []string, ids map[string]string) {
	h.t.Helper()
	ids = map[string]string{}
	sms := ledger.WalletRef{Account: 1, Service: ledger.SMS}
	id := func(key string) ledger.TransactionID { return ledger.NewTransactionID(ledger.Operator, key) }
	for _, r := range []ledger.Request{
		{IdempotencyKey: "topup", Kind: ledger.TopUp, Wallet: sms, Amount: 10_000_000},
		{IdempotencyKey: "charge", Kind: ledger.Charge, Wallet: sms, Amount: 1_000_000, Reference: "=1+1"},
		{IdempotencyKey: "refund", Kind: ledger.Refund, Wallet: sms, Amount: 400_000, Parent: id("charge")},
		{IdempotencyKey: "adjust", Kind: ledger.Adjustment, Wallet: sms, Amount: -100_000, Reference: "a, \"b\""},
		{IdempotencyKey: "out", Kind: ledger.Transfer, Wallet: sms, To: ledger.WalletRef{Account: 1, Service: ledger.VoIP}, Amount: 300_000},
		{IdempotencyKey: "in", Kind: ledger.Transfer, Wallet: ledger.WalletRef{Account: 2, Service: ledger.SMS}, To: sms, Amount: 200_000, Reference: "-x"},
		{IdempotencyKey: "hold", Kind: ledger.PlaceHold, Wallet: sms, Amount: 2_000_000, ExpiresIn: time.Hour, Reference: "@msg"},
		{IdempotencyKey: "extend", Kind: ledger.Extend, Wallet: sms, Parent: id("hold"), ExpiresIn: 2 * time.Hour},
		{IdempotencyKey: "capture", Kind: ledger.Capture, Wallet: sms, Parent: id("hold"), Amount: 500_000, Final: false, Reference: "+part"},
		{IdempotencyKey: "release", Kind: ledger.Release, Wallet: sms, Parent: id("hold")},
		{IdempotencyKey: "last", Kind: ledger.PlaceHold, Wallet: sms, Amount: 1_000_000, ExpiresIn: time.Second},
	} {
		transaction := h.post(r)
		ids[r.IdempotencyKey] = transaction.ID.String()
		times = append(times, transaction.CreatedAt.Format("2006-01-02T15:04:05.000000Z"))
		h.later(time.Minute)
	}
	if n, err := h.engine.Sweep(h.t.Context()); n != 1 || err != nil {
		h.t.Fatalf("%d expired, %v", n, err)
	}
	rows := read[api.Statement](h.t, h.do("GET", statementPath+"?type=expire", "", as(h.root))).Items
	if len(rows) != 1 {
		h.t.Fatalf("%+v", rows)
	}
	ids["expire"] = rows[0].Transaction
	return append(times, rows[0].CreatedAt), ids
}

// One statement in its three formats, to the byte.
func TestStatement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, 100*ledger.Scale, "seed-2")
	times, ids := h.busy()
	var names []string
	for name, id := range ids {
		names = append(names, "{"+name+"}", id)
	}
	for i, at := range times {
		names = append(names, fmt.Sprintf("T%d,", i+1), at+",", fmt.Sprintf("T%d\"", i+1), at+"\"")
	}
	fill := strings.NewReplacer(names...).Replace
	rows := []string{
		`{"version":1,"created_at":"T1","transaction":"{topup}","type":"topup","amount":"10","balance":"10","held":"0","counterpart":"funding"}`,
		`{"version":2,"created_at":"T2","transaction":"{charge}","type":"charge","amount":"-1","balance":"9","held":"0","reference":"=1+1","counterpart":"revenue"}`,
		`{"version":3,"created_at":"T3","transaction":"{refund}","type":"refund","amount":"0.4","balance":"9.4","held":"0","reference":"=1+1","counterpart":"revenue","charge":"{charge}"}`,
		`{"version":4,"created_at":"T4","transaction":"{adjust}","type":"adjustment","amount":"-0.1","balance":"9.3","held":"0","reference":"a, \"b\"","counterpart":"adjustment"}`,
		`{"version":5,"created_at":"T5","transaction":"{out}","type":"transfer","amount":"-0.3","balance":"9","held":"0","counterpart":"1/voip"}`,
		`{"version":6,"created_at":"T6","transaction":"{in}","type":"transfer","amount":"0.2","balance":"9.2","held":"0","reference":"-x","counterpart":"2/sms"}`,
		`{"version":7,"created_at":"T7","transaction":"{hold}","type":"hold","amount":"0","balance":"9.2","held":"2","reference":"@msg","hold":"{hold}"}`,
		`{"version":8,"created_at":"T8","transaction":"{extend}","type":"extend","amount":"0","balance":"9.2","held":"2","reference":"@msg","hold":"{hold}"}`,
		`{"version":9,"created_at":"T9","transaction":"{capture}","type":"capture","amount":"-0.5","balance":"8.7","held":"1.5","reference":"+part","counterpart":"revenue","hold":"{hold}"}`,
		`{"version":10,"created_at":"T10","transaction":"{release}","type":"release","amount":"0","balance":"8.7","held":"0","reference":"@msg","hold":"{hold}"}`,
		`{"version":11,"created_at":"T11","transaction":"{last}","type":"hold","amount":"0","balance":"8.7","held":"1","hold":"{last}"}`,
		`{"version":12,"created_at":"T12","transaction":"{expire}","type":"expire","amount":"0","balance":"8.7","held":"0","hold":"{last}"}`,
	}
	const csvRows = `version,created_at,transaction,type,amount,balance,held,reference,counterpart
,,,opening,,0,,,
1,T1,{topup},topup,10,10,0,,funding
2,T2,{charge},charge,-1,9,0,'=1+1,revenue
3,T3,{refund},refund,0.4,9.4,0,'=1+1,revenue
4,T4,{adjust},adjustment,-0.1,9.3,0,"a, ""b""",adjustment
5,T5,{out},transfer,-0.3,9,0,,1/voip
6,T6,{in},transfer,0.2,9.2,0,'-x,2/sms
7,T7,{hold},hold,0,9.2,2,'@msg,
8,T8,{extend},extend,0,9.2,2,'@msg,
9,T9,{capture},capture,-0.5,8.7,1.5,'+part,revenue
10,T10,{release},release,0,8.7,0,'@msg,
11,T11,{last},hold,0,8.7,1,,
12,T12,{expire},expire,0,8.7,0,,
,,,closing,,8.7,,,
`
	for _, tt := range []struct{ query, accept, contentType, want string }{
		{
			"", "", "application/json",
			`{"account":1,"wallet":"sms","currency":"CNY","opening_balance":"0","closing_balance":"8.7","items":[` + strings.Join(rows, ",") + "]}\n",
		},
		{"?format=csv", "", "text/csv; charset=utf-8", csvRows},
		{"?format=ndjson", "", "application/x-ndjson", `{"type":"opening","balance":"0"}` + "\n" + strings.Join(rows, "\n") + "\n" + `{"type":"closing","balance":"8.7"}` + "\n"},
		{"", "text/csv", "text/csv; charset=utf-8", csvRows},
		{
			"?from=" + times[1] + "&to=" + times[3] + "&format=ndjson", "text/csv", "application/x-ndjson",
			`{"type":"opening","balance":"10","created_at":"` + times[1] + `"}` + "\n" + rows[1] + "\n" + rows[2] + "\n" +
				`{"type":"closing","balance":"9.4","created_at":"` + times[3] + `"}` + "\n",
		},
		{
			"?from=" + times[1] + "&to=" + times[3] + "&type=refund&format=csv", "", "text/csv; charset=utf-8",
			"version,created_at,transaction,type,amount,balance,held,reference,counterpart\n," + times[1] + ",,opening,,10,,,\n" +
				"3,T3,{refund},refund,0.4,9.4,0,'=1+1,revenue\n," + times[3] + ",,closing,,9.4,,,\n",
		},
		{
			"?from=" + times[1] + "&to=" + times[3] + "&type=refund", "", "application/json",
			`{"account":1,"wallet":"sms","currency":"CNY","from":"` + times[1] + `","to":"` + times[3] + `","opening_balance":"10","closing_balance":"9.4","items":[` + rows[2] + "]}\n",
		},
		// An empty range.
		{
			"?from=" + times[3] + "&to=" + times[3], "", "application/json",
			`{"account":1,"wallet":"sms","currency":"CNY","from":"` + times[3] + `","to":"` + times[3] + `","opening_balance":"9.4","closing_balance":"9.4","items":[]}` + "\n",
		},
		{"?to=2001-01-01&format=ndjson", "", "application/x-ndjson", `{"type":"opening","balance":"0"}` + "\n" + `{"type":"closing","balance":"0","created_at":"2001-01-01T00:00:00.000000Z"}` + "\n"},
		{"?from=9999-01-01&format=csv", "", "text/csv; charset=utf-8", "version,created_at,transaction,type,amount,balance,held,reference,counterpart\n,9999-01-01T00:00:00.000000Z,,opening,,8.7,,,\n,,,closing,,8.7,,,\n"},
	} {
		options := []option{as(h.root)}
		if tt.accept != "" {
			options = append(options, header("Accept", tt.accept))
		}
		rec := h.do("GET", statementPath+tt.query, "", options...)
		wantStatus(t, rec, 200)
		if diff := cmp.Diff(fill(tt.want), rec.Body.String()); diff != "" {
			t.Errorf("%s: %s", tt.query, diff)
		}
		if got := rec.Header().Get("Content-Type"); got != tt.contentType || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", tt.query, rec.Header())
		}
		head := h.do("HEAD", statementPath+tt.query, "", options...)
		if head.Code != 200 || head.Header().Get("Content-Type") != tt.contentType || tt.contentType != "application/json" && head.Body.Len() > 0 {
			t.Errorf("HEAD %s: %d %v", tt.query, head.Code, head.Header())
		}
	}
	// The other side of the transfers.
	rec := h.do("GET", strings.Replace(statementPath, "sms", "voip", 1), "", as(h.root))
	if items := read[api.Statement](t, rec).Items; len(items) != 1 || items[0].Counterpart != "1/sms" || items[0].Amount != "0.3" {
		t.Errorf("%s", rec.Body)
	}
	if records, err := csv.NewReader(h.do("GET", statementPath+"?format=csv", "", as(h.root)).Body).ReadAll(); err != nil || len(records) != 15 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestStatementFormats(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for accept, want := range map[string]string{
		"":                                     "application/json",
		"*/*":                                  "application/json",
		"text/html, application/xml;q=0.9":     "application/json",
		"text/csv":                             "text/csv; charset=utf-8",
		"TEXT/CSV; charset=utf-8":              "text/csv; charset=utf-8",
		"text/csv;q=0.5, application/x-ndjson": "application/x-ndjson",
		"text/csv, application/x-ndjson;q=0.9, */*;q=0.1":        "text/csv; charset=utf-8",
		"application/json, text/csv":                             "application/json",
		"text/csv;q=0":                                           "application/json",
		"application/json;q=0.1,application/x-ndjson;q=nonsense": "application/x-ndjson",
		"garbage,,;,text/csv":                                    "text/csv; charset=utf-8",
	} {
		rec := h.do("GET", statementPath, "", as(h.root), header("Accept", accept))
		wantStatus(t, rec, 200)
		if got := rec.Header().Get("Content-Type"); got != want {
			t.Errorf("%q is answered with %s, want %s", accept, got, want)
		}
		if rec := h.do("GET", statementPath+"?format=json", "", as(h.root), header("Accept", accept)); rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%q goes before format", accept)
		}
	}
}

// Pages join without a gap or an overlap, with a type and without, and a file
// after a page has the rest.
func TestStatementPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, 100*ledger.Scale, "seed-2")
	h.busy()
	for _, filter := range []string{"", "&type=hold", "&type=transfer", "&type=charge", "&type=adjustment"} {
		whole := read[api.Statement](t, h.do("GET", statementPath+"?limit=500"+filter, "", as(h.root)))
		text := h.do("GET", statementPath+"?format=csv"+filter, "", as(h.root)).Body.String()
		for size := range 13 {
			var got []api.StatementRow
			for cursor := ""; ; {
				query := fmt.Sprintf("?limit=%d%s%s", size+1, filter, cursor)
				page := read[api.Statement](t, h.do("GET", statementPath+query, "", as(h.root)))
				if page.OpeningBalance != "0" || page.ClosingBalance != "8.7" || len(page.Items) > size+1 {
					t.Errorf("%+v", page)
				}
				got = append(got, page.Items...)
				part := h.do("GET", statementPath+"?format=csv"+filter+cursor, "", as(h.root)).Body.String()
				_, rows, _ := strings.Cut(part, "\n")
				if lines := strings.Count(rows, "\n") - 1; cursor != "" && (!strings.HasSuffix(text, rows) || lines != len(whole.Items)-len(got)+len(page.Items)) {
					t.Errorf("limit %d%s%s:\n%s", size+1, filter, cursor, rows)
				}
				if page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + page.NextCursor
			}
			if diff := cmp.Diff(whole.Items, got); diff != "" {
				t.Errorf("limit %d%s: %s", size+1, filter, diff)
			}
		}
	}
}

// What is posted between two pages is not on the second: it covers what the first said.
func TestStatementPagesEndWhereTheFirstSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, 100*ledger.Scale, "seed-2")
	h.busy()
	first := read[api.Statement](t, h.do("GET", statementPath+"?limit=3", "", as(h.root)))
	h.topUp(1, ledger.Scale, "between")
	rest := read[api.Statement](t, h.do("GET", statementPath+"?limit=500&cursor="+first.NextCursor, "", as(h.root)))
	if rest.ClosingBalance != first.ClosingBalance || rest.NextCursor != "" || len(rest.Items) != 9 {
		t.Errorf("%+v after %+v", rest, first)
	}
	whole := read[api.Statement](t, h.do("GET", statementPath+"?limit=500", "", as(h.root)))
	if len(whole.Items) != 13 || whole.ClosingBalance == first.ClosingBalance {
		t.Errorf("%+v", whole)
	}
}

func TestStatementQueries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, 100*ledger.Scale, "seed-2")
	h.busy()
	customer, other := h.customer(1, ledger.ScopeBalanceRead), h.customer(2, ledger.ScopeBalanceRead)
	wantStatus(t, h.do("GET", statementPath, "", as(customer)), 200)
	if got := words(t, h.do("GET", statementPath, "", as(other))); got != "not_found: there is no account 1" {
		t.Errorf("%s", got)
	}
	const (
		form   = " must be an RFC 3339 time or a date, since 1970 (such as 2026-11-01 or 2026-11-01T00:00:00Z; in a URL, write the + of an offset as %2B)"
		whole  = ", which has all rows and no place for a cursor (leave limit out, or read pages with format=json)"
		cursor = "invalid_request: the cursor is not one that a page gave (start again without a cursor)"
	)
	for target, want := range map[string]string{
		statementPath + "?from=x":                         "invalid_request: from" + form,
		statementPath + "?to=2026-13-01":                  "invalid_request: to" + form,
		statementPath + "?from=2026-11-02&to=2026-11-01":  "invalid_request: from must not be after to",
		statementPath + "?tz=Nowhere":                     `invalid_request: there is no time zone "Nowhere" (write it like Asia/Ho_Chi_Minh or UTC)`,
		statementPath + "?type=gift":                      "invalid_request: type is not one of a transaction (/openapi.yaml lists the types)",
		statementPath + "?type=":                          "invalid_request: type is not one of a transaction (/openapi.yaml lists the types)",
		statementPath + "?format=xml":                     "invalid_request: format must be json, csv or ndjson",
		statementPath + "?format=csv&limit=0":             "invalid_request: limit must be between 1 and 500",
		statementPath + "?format=csv&limit=501":           "invalid_request: limit must be between 1 and 500",
		statementPath + "?format=csv&limit=500":           "invalid_request: limit does not go with csv" + whole,
		statementPath + "?limit=1&format=ndjson":          "invalid_request: limit does not go with ndjson" + whole,
		statementPath + "?cursor=eA":                      cursor, // "x"
		statementPath + "?cursor=LTE":                     cursor, // "-1"
		statementPath + "?format=csv&cursor=!":            cursor,
		"/v1/accounts/77/wallets/sms/statement":           "not_found: there is no account 77",
		"/v1/accounts/0/wallets/sms/statement":            "not_found: there is no account 0",
		"/v1/accounts/1/wallets/fax/statement?format=csv": "not_found: account 1 has no such wallet",
	} {
		if got := words(t, h.do("GET", target, "", as(h.root))); got != want {
			t.Errorf("%s: %s", target, got)
		}
	}
	if got := words(t, h.do("GET", statementPath+"?limit=1", "", as(h.root), header("Accept", "text/csv"))); got != "invalid_request: limit does not go with csv"+whole {
		t.Errorf("%s", got)
	}
	// A day begins where the request says.
	h.later(48 * time.Hour)
	now := h.engine.Now()
	h.later(time.Date(now.Year(), now.Month(), now.Day()+1, 20, 0, 0, 0, time.UTC).Sub(now))
	h.topUp(1, ledger.Scale, "late")
	day := h.engine.Now().Format(time.DateOnly)
	for query, want := range map[string]int{
		"from=" + day:                    1,
		"from=" + day + "&tz=Asia/Tokyo": 1,
		"to=" + day:                      12,
		"to=" + day + "&tz=Asia/Tokyo":   12,
		"to=" + h.engine.Now().AddDate(0, 0, 1).Format(time.DateOnly):                      13,
		"from=" + h.engine.Now().AddDate(0, 0, 1).Format(time.DateOnly) + "&tz=Asia/Tokyo": 1, // which began at 15:00 in UTC
		"from=" + h.engine.Now().AddDate(0, 0, 1).Format(time.DateOnly):                    0,
	} {
		page := read[api.Statement](t, h.do("GET", statementPath+"?"+query, "", as(h.root)))
		if len(page.Items) != want {
			t.Errorf("%s: %d rows, want %d", query, len(page.Items), want)
		}
	}
}

// long makes a statement of many rows.
func (h *house) long(rows int) {
	h.t.Helper()
	for begin := 0; begin < rows; begin += 1000 {
		requests := make([]ledger.Request, min(1000, rows-begin))
		for i := range requests {
			requests[i] = ledger.Request{
				IdempotencyKey: fmt.Sprint("row-", begin+i), Kind: ledger.TopUp, Amount: 1, Reference: strings.Repeat("r", 200),
				Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS},
			}
		}
		if _, err := h.engine.PostBatch(h.t.Context(), requests, false); err != nil {
			h.t.Fatal(err)
		}
	}
}

// statement asks for a statement, and gives its text as it comes.
func (h *house) statement(handler http.Handler, timeout time.Duration, query string) *bufio.Reader {
	h.t.Helper()
	server := h.listen(handler, timeout)
	conn, err := new(net.Dialer).DialContext(h.t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(narrow)
	h.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", statementPath+query, h.root.AuthSecret())
	reply, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { reply.Body.Close() })
	return bufio.NewReader(reply.Body)
}

// A client may take longer over a statement than the server gives a request, as
// long as it goes on taking.
func TestLongStatementOfSlowReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const rows = 3000
	h.long(rows)
	const timeout = 300 * time.Millisecond
	reader := h.statement(h.handler, timeout, "?format=csv")
	var last string
	lines := 0
	for {
		line, err := reader.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if lines++; lines%(rows/4) == 0 {
			<-time.After(timeout) // this is what makes the client slow
		}
		last = line
	}
	if lines != rows+3 || last != ",,,closing,,0.003,,,\n" {
		t.Errorf("%d lines, the last is %q", lines, last)
	}
}

// A statement that cannot be read to its end breaks the connection, so that
// nobody takes what came for the whole.
func TestStatementFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.long(3000)
	reader := h.statement(h.handler, time.Minute, "?format=csv")
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(reader)
	if err == nil || strings.Contains(string(rest), "closing") {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if log := h.log.String(); !strings.Contains(log, "request failed") {
		t.Errorf("the log says %s", log)
	}
	// One that cannot even begin is a problem like any other.
	wantProblem(t, h.do("GET", statementPath+"?format=csv", "", as(h.root)), ledger.Internal)
}

// A client that takes nothing any more is given up.
func TestStatementOfStuckReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.long(3000)
	ended := make(chan any, 1)
	handler := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), 50*time.Millisecond)
	h.statement(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			ended <- reason
			panic(reason)
		}()
		handler.ServeHTTP(w, r)
	}), time.Minute, "?format=ndjson")
	select {
	case reason := <-ended:
		if reason != http.ErrAbortHandler { //nolint:errorlint // It is this very value.
			t.Errorf("it ended with %v", reason)
		}
	case <-time.After(30 * time.Second):
		t.Error("the server waits for ever")
	}
}
