package main

import (
	"errors"
	"strings"
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
