package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
)

// handle serves one function, and points the commands to it.
func handle(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	running := httptest.NewServer(handler)
	t.Cleanup(running.Close)
	t.Setenv("SALDO_URL", running.URL)
	t.Setenv("SALDO_KEY", key)
	t.Setenv("SALDO_OUTPUT", "table")
}

// Delivery reports come in three formats, and mean the same in each.
func TestReportFormats(t *testing.T) {
	const want = `[{"reference":"msg-18","status":"DELIVRD"},{"account":1042,"reference":"msg-19","status":"ENROUTE"}]`
	s := &server{replies: map[string]string{"POST /v1/holds/settle": settled}}
	s.start(t)
	for _, text := range []string{
		want,
		"\ufeff \n" + want + "\n",
		`{"reference":"msg-18","status":"DELIVRD"}` + "\n\n" + `{"account":1042,"reference":"msg-19","status":"ENROUTE"}`,
		"reference,status,account\nmsg-18,DELIVRD,\nmsg-19,ENROUTE,1042\n",
		"\ufeffaccount,status,reference\r\n,DELIVRD,msg-18\r\n1042,ENROUTE,msg-19\r\n",
		"msg-18,DELIVRD,\nmsg-19,ENROUTE,1042\n",
	} {
		s.body = ""
		if got := run(t, text, "hold", "settle"); got.status != 0 || strings.TrimSpace(s.body) != want {
			t.Errorf("%q: %+v sent %s", text, got, s.body)
		}
	}
	s.request = nil
	for text, want := range map[string]string{
		"":           "it is empty",
		"[]":         "it is empty",
		"[":          "it is no JSON",
		want + "]":   "something stands after the array",
		`["msg-18"]`: "report 1: it is no JSON object",
		`[{"reference":"a","status":"DELIVERED"}]`:                                      `report 1: "DELIVERED" is no status`,
		`{"reference":"a","status":"DELIVRD"}` + "\n" + `{"reference":"a","state":"x"}`: `line 2: unknown member "state"`,
		`{"status":"DELIVRD"}`:                              "line 1: a report needs a reference",
		`{"reference":"a","status":"DELIVRD","account":-1}`: "line 1: there is no account -1",
		"msg-18,DELIVRD\nmsg-19\n":                          "line 2: the line has 1 cells where there are 2 columns",
		"msg-18,DELIVRD,x\n":                                `line 1: account cannot be "x"`,
		"msg-18,DELIVRD,1042,x\n":                           "line 1: the line has 4 cells where there are 3 columns",
		"reference,state\nmsg-18,DELIVRD\n":                 `there is no column "state"`,
	} {
		got := run(t, text, "hold", "settle")
		if got.status != ExitUsage || !strings.Contains(got.err, "saldo: standard input: ") || !strings.Contains(got.err, want) {
			t.Errorf("%q: %+v, want %s", text, got, want)
		}
	}
	if s.request != nil {
		t.Error("something was sent")
	}
}

// Many reports go in several requests, and what is left to do is said.
func TestSettleMany(t *testing.T) {
	var sizes []int
	handle(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n := strings.Count(string(body), `"reference"`)
		sizes = append(sizes, n)
		items := make([]string, n)
		for i := range items {
			items[i] = `{"reference":"m","status":"DELIVRD","outcome":"captured"}`
		}
		if n < reportsAtOnce {
			items[0] = `{"reference":"m\u001b[2J","status":"DELIVRD","outcome":"failed","error":{"code":"insufficient_funds","detail":"0 is available"}}`
			items[1] = `{"reference":"m","status":"DELIVRD","outcome":"unknown_reference"}`
		}
		fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
	})
	got := run(t, strings.Repeat("m,DELIVRD\n", 2500), "hold", "settle")
	want := "note: m\uFFFD[2J: 0 is available (insufficient_funds)\nsaldo: 2 of 2,500 reports settled nothing\nhint: "
	if fmt.Sprint(sizes) != "[1000 1000 500]" || got.status != 1 || strings.Count(got.out, "captured") != 2498 || !strings.HasPrefix(got.err, want) {
		t.Errorf("requests of %v, status %d, %s", sizes, got.status, got.err)
	}
}

func TestStatementFile(t *testing.T) {
	const file = "version,created_at\n,opening\n,closing\n"
	cut := false
	handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("format") != "csv" || r.FormValue("type") != "refund" || r.FormValue("tz") != "Asia/Ho_Chi_Minh" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = io.WriteString(w, file)
		if cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	args := []string{"statement", "1042", "sms", "--type", "refund", "--from", "2026-11-01", "--tz", "Asia/Ho_Chi_Minh", "-o", "csv"}
	if got := run(t, "", args...); got != (result{file, "", 0}) {
		t.Errorf("%+v", got)
	}
	cut = true
	if got := run(t, "", args...); got.status != ExitUnavailable || got.out != file {
		t.Errorf("a file that is cut off: %+v", got)
	}
}

// A table of many entries is short, unless it is asked for more.
func TestStatementLimits(t *testing.T) {
	handle(t, func(w http.ResponseWriter, r *http.Request) {
		rows := strings.Repeat(`{"version":1},`, 149) + `{"version":1}`
		next := `,"next_cursor":"more"`
		if r.FormValue("cursor") != "" {
			next = ""
		}
		fmt.Fprintf(w, `{"opening_balance":"0","closing_balance":"0","items":[%s]%s}`, rows, next)
	})
	for _, test := range []struct {
		args []string
		want int
	}{{nil, 100}, {[]string{"--limit", "170"}, 170}, {[]string{"--limit", "0"}, 300}, {[]string{"-o", "json"}, 300}, {[]string{"-o", "json", "--limit", "7"}, 7}} {
		got := run(t, "", append([]string{"statement", "1042", "sms"}, test.args...)...)
		rows := strings.Count(got.out, "      1\n") + strings.Count(got.out, `"version": 1`)
		if rows != test.want || strings.Contains(got.err, "there are more") != (test.want < 300) || strings.Count(got.out, "closing") != 1 {
			t.Errorf("%q: %d rows, %s", test.args, rows, got.err)
		}
	}
}

func TestUnsoundTrialBalance(t *testing.T) {
	handle(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Replace(trial, `"total":"0"`, `"total":"0.5"`, 1))
	})
	got := run(t, "", "report", "trial-balance")
	if got.status != 1 || !strings.Contains(got.out, "0.5") || !strings.Contains(got.err, "the ledger does not add up: the total is 0.5 CNY\n") {
		t.Errorf("%+v", got)
	}
}

// To add a wallet is never to change one.
func TestWalletAdd(t *testing.T) {
	var put string
	handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			body, _ := io.ReadAll(r.Body)
			put = r.URL.Path + " " + strings.TrimSpace(string(body))
			_, _ = io.WriteString(w, wallet)
			return
		}
		_, _ = io.WriteString(w, lotus)
	})
	if got := run(t, "", "wallet", "add", "1042", "sms", "--credit-limit", "5"); got.status != ExitRejected || put != "" || !strings.Contains(got.err, "saldo wallet set 1042 sms") {
		t.Errorf("%+v put %s", got, put)
	}
	if got := run(t, "", "wallet", "add", "1042", "rcs"); got.status != 0 || put != `/v1/accounts/1042/wallets/rcs {"credit_limit":"0"}` {
		t.Errorf("%+v put %s", got, put)
	}
	if got := run(t, "", "wallet", "add", "1042", "rcs", "--credit-limit", "5", "--max-amount", "2"); got.status != 0 || put != `/v1/accounts/1042/wallets/rcs {"credit_limit":"5","max_amount":"2"}` {
		t.Errorf("%+v put %s", got, put)
	}
}

// What is asked for stands in the query.
func TestQueries(t *testing.T) {
	var asked string
	handle(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		_, _ = io.WriteString(w, `{"items":[]}`)
	})
	for line, want := range map[string]string{
		"hold list 1042 sms":                                                 "/v1/holds?account=1042&wallet=sms&limit=500",
		"hold list --reference m --state expired":                            "/v1/holds?state=expired&reference=m&limit=500",
		"transaction find --reference m --account 7":                         "/v1/transactions?reference=m&account=7&limit=500",
		"transaction find --idempotency-key k":                               "/v1/transactions?idempotency_key=k&limit=500",
		"wallet show 7 sms --at 2026-11-01T00:00:00+07:00":                   "/v1/accounts/7/wallets/sms?at=2026-11-01T00%3A00%3A00%2B07%3A00",
		"statement 7 sms --to 2026-12-01":                                    "/v1/accounts/7/wallets/sms/statement?to=2026-12-01&limit=500",
		"report usage --group wallet --account 7 --tz UTC --from 2026-11-01": "/v1/reports/usage?group=wallet&from=2026-11-01&tz=UTC&account=7&limit=500",
	} {
		if got := run(t, "", strings.Fields(line)...); got.status != 0 || asked != want {
			t.Errorf("%s: asked for %s, want %s; %+v", line, asked, want, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]seconds{"1s": 1, "90m": 5400, "1h30m": 5400, "1d": 86400, "30d": maxSeconds, "720h": maxSeconds} {
		var got seconds
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}

// A bounded wallet says so in words.
func TestBoundsText(t *testing.T) {
	for want, bounds := range map[string][2]string{"": {}, "0.1 or more": {"0.1", ""}, "5 or less": {"", "5"}, "0.1 to 5": {"0.1", "5"}} {
		if got := boundsText(bounds[0], bounds[1]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := chargeOnText(api.ChargeOn{}); got != "nothing" {
		t.Errorf("got %s", got)
	}
}
