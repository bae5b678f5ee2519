package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/upstream"
)

// The most urgent answer decides, wherever it stands.
func TestVerdict(t *testing.T) {
	kinds := map[string]upstream.Answer{
		"f": {Name: "fine", Status: "ok"},
		"l": {Name: "low", Status: "ok", BelowMin: true, Buckets: []upstream.Left{{Service: "sms", Currency: "CNY", Min: &decimal.Decimal{}, BelowMin: true}}},
		"w": {Name: "wrong", Status: "unauthorized", Message: "no|such key"},
		"i": {Name: "elsewhere", Status: "ip_denied"},
		"s": {Name: "shut", Status: "suspended"},
		"r": {Name: "busy", Status: "rate_limited"},
		"g": {Name: "gone", Status: "unreachable"},
	}
	tests := []struct {
		answers        string
		status, nagios int
		message        string
	}{
		{"f", 0, 0, ""},
		{"ff", 0, 0, ""},
		{"l", 3, 2, "1 of 1 upstreams need attention: low (below min)"},
		{"w", 4, 2, "1 of 1 upstreams need attention: wrong (unauthorized)"},
		{"i", 4, 2, "1 of 1 upstreams need attention: elsewhere (ip denied)"},
		{"s", 4, 2, "1 of 1 upstreams need attention: shut (suspended)"},
		{"r", 5, 3, "1 of 1 upstreams need attention: busy (rate limited)"},
		{"fgf", 5, 3, "1 of 3 upstreams need attention: gone (unreachable)"},
		{"lg", 3, 2, "2 of 2 upstreams need attention: low (below min), gone (unreachable)"},
		{"gl", 3, 2, "2 of 2 upstreams need attention: gone (unreachable), low (below min)"},
		{"glw", 4, 2, "3 of 3 upstreams need attention: gone (unreachable), low (below min), wrong (unauthorized)"},
		{"wlg", 4, 2, "3 of 3 upstreams need attention: wrong (unauthorized), low (below min), gone (unreachable)"},
	}
	for _, tt := range tests {
		var answers []upstream.Answer
		for kind := range strings.SplitSeq(tt.answers, "") {
			answers = append(answers, kinds[kind])
		}
		err := (&queryCommand{Config: "upstreams.yaml"}).verdict(answers)
		failure := new(cli.Error)
		if ok := errors.As(err, &failure); ok != (tt.status != 0) || failure.Status != tt.status || failure.Message != tt.message {
			t.Errorf("%s: %v with status %d", tt.answers, err, failure.Status)
		}
		var out locked
		failure = new(cli.Error)
		_ = errors.As(showNagios(cli.Streams{Out: &out}, answers), &failure)
		line := out.String()
		if failure.Status != tt.nagios || !strings.HasPrefix(line, "SALDO "+nagiosWords[tt.nagios]+": ") || strings.Count(line, "\n") != 1 || strings.Count(line, "|") > 1 {
			t.Errorf("%s: status %d with %s", tt.answers, failure.Status, line)
		}
	}
}

// A name that a provider chose cannot break the performance data.
func TestPerformance(t *testing.T) {
	b := &upstream.Left{Service: "a'b=c|d", Amount: decimal.RequireFromString("-1.50"), Currency: "USD"}
	if got := performance("x", b); got != "'x abcd USD'=-1.5;;" {
		t.Error(got)
	}
}

// Nagios reads standard output and the exit status of a plugin, also where
// its own configuration has a mistake: 2 would be an alarm.
func TestUsageErrorsForNagios(t *testing.T) {
	for _, tt := range []struct{ env, args, want string }{
		{"", "query --output nagios", "query: no provider was named"},
		{"", "query --output=nagios --config x --min 5", "query: --config can't be used with flags for one provider"},
		{"", "query esms -o nagios --bogus", "unknown flag --bogus"},
		{"", "query esms --bogus -onagios", "unknown flag --bogus"}, // behind the fault
		{"", "query esms -o=nagios", `--output must be one of "table","json","nagios" but got "=nagios"`},
		{"", "query esms -o json --bogus --output nagios", "unknown flag --bogus"},
		{"nagios", "query", "query: no provider was named"},
		{"nagios", "query --bogus", "unknown flag --bogus"},
	} {
		t.Setenv("SALDO_OUTPUT", tt.env)
		out, errs, status := command(t, strings.Fields(tt.args)...)
		if out != "SALDO UNKNOWN: "+tt.want+"\n" || errs != "saldo: "+tt.want+"\n" || status != nagiosUnknown {
			t.Errorf("%s: status %d with %s%s", tt.args, status, out, errs)
		}
	}
	for _, tt := range []struct{ env, args string }{
		{"table", "query"},
		{"table", "query --output"},
		{"table", "query -o nagios -o json --bogus"},
		{"nagios", "query --output table --bogus"},
		{"nagios", "version --bogus"},
	} {
		t.Setenv("SALDO_OUTPUT", tt.env)
		out, errs, status := command(t, strings.Fields(tt.args)...)
		if out != "" || !strings.Contains(errs, "hint: ") || status != cli.ExitUsage {
			t.Errorf("%s: status %d with %s%s", tt.args, status, out, errs)
		}
	}
}

// One provider has its pace without a file, too: the next attempt would be
// after the time limit.
func TestQueryPace(t *testing.T) {
	var asked atomic.Int32
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer failing.Close()
	t.Setenv("SMSC_LOGIN", "login")
	t.Setenv("SMSC_PASSWORD", "password")
	_, errs, status := command(t, "query", "smsc", "--base-url", failing.URL, "--timeout", "5s")
	if asked.Load() != 1 || status != cli.ExitUnavailable {
		t.Errorf("asked %d times in less than 5 s, at 10 a minute: status %d with %s", asked.Load(), status, errs)
	}
}

// Zero of an account that is paid later is no empty wallet.
func TestNagiosBilling(t *testing.T) {
	later := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"payment":"postpaid","type":"euros","amount":0}`)
	}))
	defer later.Close()
	t.Setenv("MESSAGEBIRD_ACCESS_KEY", "key")
	out, errs, status := command(t, "query", "messagebird", "--base-url", later.URL, "--min", "5", "--output", "nagios")
	if out != "SALDO OK: messagebird postpaid\n" || errs != "" || status != nagiosOK {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	var mixed locked
	buckets := []upstream.Left{{Service: "sms", Currency: "USD"}}
	err := showNagios(cli.Streams{Out: &mixed}, []upstream.Answer{
		{Name: "a", Status: "ok", Billing: "unlimited"},
		{Name: "b", Status: "ok", Billing: "prepaid", Buckets: buckets},
		{Name: "c", Status: "ok", Buckets: buckets},
	})
	if got := mixed.String(); err != nil || got != "SALDO OK: a unlimited; b sms 0 USD; c sms 0 USD | 'b sms USD'=0;; 'c sms USD'=0;;\n" {
		t.Errorf("%s, %v", got, err)
	}
}
