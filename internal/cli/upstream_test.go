package cli

import (
	"strings"
	"testing"
)

const (
	goodUpstream = `{"name":"antgst-sms","provider":"antgst","watched":true,"status":"ok","code":"","message":"","failures":0,
		"asked_at":"2026-11-01T08:30:00.000000Z","due_at":"2026-11-01T08:31:00.000000Z","interval_seconds":60,
		"balance":{"at":"2026-11-01T08:30:00.000000Z","age_seconds":12,"account":"18","billing":"prepaid","buckets":[
			{"service":"sms","unit":"money","currency":"CNY","currency_source":"documentation","amount":"80.5","credit_limit":null,
			"available":null,"pending":null,"spendable":"80.5","min":"100","below_min":true,"empty":{"outlook":"falling","reason":"","spend_per_hour":"2.5",
			"recent_per_hour":"9","burst":true,"at":"2026-11-02T16:42:00.000000Z","earliest":"2026-11-02T12:10:00.000000Z","latest":null,"in_seconds":115908},
			"low":{"outlook":"reached","reason":"","spend_per_hour":"2.5","recent_per_hour":"9","burst":true,"at":"2026-11-01T08:30:00.000000Z",
			"earliest":"2026-11-01T08:30:00.000000Z","latest":"2026-11-01T08:30:00.000000Z","in_seconds":0}},
			{"service":"voip","unit":"credits","currency":"","currency_source":"","amount":"-3","credit_limit":"10","available":null,"pending":null,
			"spendable":"7","min":null,"below_min":false,"empty":{"outlook":"idle","reason":"","spend_per_hour":"0","recent_per_hour":"0","burst":false,
			"at":null,"earliest":null,"latest":null,"in_seconds":null},"low":null}]}}`
	failingUpstream = `{"name":"esms","provider":"esms","watched":false,"status":"ip_denied","code":"118","message":"this address is \u001b[2Jnot let in","failures":4,
		"asked_at":"2026-11-03T08:30:00.000000Z","due_at":"2026-11-03T08:40:00.000000Z","interval_seconds":300,
		"balance":{"at":"2026-11-01T08:30:00.000000Z","age_seconds":173100,"account":"","billing":"unknown","buckets":[
			{"service":"main","unit":"money","currency":"VND","currency_source":"documentation","amount":"36693","credit_limit":null,
			"available":null,"pending":null,"spendable":"36693","min":"50000","below_min":true,"empty":{"outlook":"unknown","reason":"the last reading is more than a day old",
			"spend_per_hour":"0","recent_per_hour":"0","burst":false,"at":null,"earliest":null,"latest":null,"in_seconds":null},"low":null}]}}`
	newUpstream = `{"name":"new","provider":"twilio","watched":true,"status":"pending","code":"","message":"","failures":0,"asked_at":null,
		"due_at":"2026-11-01T08:31:00.000000Z","interval_seconds":0,"balance":null}`
	postpaidUpstream = `{"name":"later","provider":"messagebird","watched":true,"status":"ok","code":"","message":"","failures":0,
		"asked_at":"2026-11-01T08:30:00.000000Z","due_at":"2026-11-01T08:31:00.000000Z","interval_seconds":60,
		"balance":{"at":"2026-11-01T08:30:00.000000Z","age_seconds":12,"account":"","billing":"postpaid","buckets":[
			{"service":"main","unit":"money","currency":"EUR","currency_source":"reply","amount":"0","credit_limit":null,
			"available":null,"pending":null,"spendable":"0","min":null,"below_min":false,"empty":null,"low":null}]}}`
	unlimitedUpstream = `{"name":"endless","provider":"http","watched":true,"status":"unreachable","code":"","message":"","failures":1,
		"asked_at":"2026-11-01T08:30:00.000000Z","due_at":"2026-11-01T08:31:00.000000Z","interval_seconds":60,
		"balance":{"at":"2026-11-01T08:30:00.000000Z","age_seconds":12,"account":"","billing":"unlimited","buckets":[]}}`
	readingsPage = `{"from":"2026-11-01T00:00:00.000000Z","to":"2026-11-02T00:00:00.000000Z","items":[
		{"at":"2026-11-01T08:59:30.000000Z","service":"sms","unit":"money","currency":"CNY","amount":"80.5","credit_limit":null,"available":null,"pending":null,"spendable":"80.5","rise":false},
		{"at":"2026-11-01T09:59:30.000000Z","service":"sms","unit":"money","currency":"CNY","amount":"180","credit_limit":"5","available":"184","pending":"1","spendable":"184","rise":true}]}`
	noReadings = `{"from":"2026-11-01T00:00:00.000000Z","to":"2026-11-02T00:00:00.000000Z","items":[]}`
	reconciled = `{"upstream":"antgst-sms","from":"2026-11-01T00:00:00.000000Z","to":"2026-11-03T00:00:00.000000Z","time_zone":"UTC","buckets":[
		{"service":"sms","unit":"money","currency":"CNY","opening":{"at":"2026-10-31T23:59:30.000000Z","amount":"10"},"closing":{"at":"2026-11-02T23:59:30.000000Z","amount":"103"},
		"topped_up":"97","spent":"4","charges":[{"wallet":"sms","currency":"CNY","count":200,"charged":"8.5","refunded":"0.5","net":"8"}],"margin":"4","margin_percent":"50.00",
		"reason":"","largest_drift":{"from":"2026-10-31T23:59:30.000000Z","to":"2026-11-01T23:59:30.000000Z","drift":"0.5"},"rows":[
		{"from":"2026-10-31T23:59:30.000000Z","to":"2026-11-01T23:59:30.000000Z","topped_up":"97","spent":"2.5","count":100,"net":"4","cost_per_charge":"0.025","drift":"0.5"},
		{"from":"2026-11-01T23:59:30.000000Z","to":"2026-11-02T23:59:30.000000Z","topped_up":"0","spent":"1.5","count":100,"net":"4","cost_per_charge":"0.015","drift":"-0.5"}]},
		{"service":"voip","unit":"credits","currency":"","opening":{"at":"2026-10-31T23:59:30.000000Z","amount":"7"},"closing":{"at":"2026-10-31T23:59:30.000000Z","amount":"7"},
		"topped_up":"0","spent":"0","charges":[],"margin":null,"margin_percent":null,"reason":"the balance was read only once in that time, so there is nothing to compare","largest_drift":null,"rows":[]}],
		"unmatched":[{"wallet":"rcs","currency":"CNY","count":1,"charged":"5","refunded":"0","net":"5"}]}`
	notReconciled = `{"upstream":"antgst-sms","from":"2026-11-01T00:00:00.000000Z","to":"2026-11-03T00:00:00.000000Z","time_zone":"UTC","buckets":[],"unmatched":[]}`
)

// Readings come as files too, and the query says which.
func TestReadingsFiles(t *testing.T) {
	s := &server{replies: map[string]string{"GET /v1/upstreams/antgst-sms/readings": readingsPage, "GET /v1/upstreams/none/readings": noReadings}}
	s.start(t)
	const header = "at,service,unit,currency,amount,credit_limit,available,pending,spendable,rise\n"
	for _, test := range []struct{ args, want, query string }{
		{
			"antgst-sms -o csv --step 1h --service sms --currency CNY --from 2026-11-01 --tz UTC",
			header + "2026-11-01T08:59:30.000000Z,sms,money,CNY,80.5,,,,80.5,false\n2026-11-01T09:59:30.000000Z,sms,money,CNY,180,5,184,1,184,true\n",
			"currency=CNY&from=2026-11-01&limit=500&service=sms&step=3600&tz=UTC",
		},
		{"none -o csv", header, "limit=500"},
		{"none -o ndjson", "", "limit=500"},
		{
			"antgst-sms -o ndjson --limit 1",
			`{"at":"2026-11-01T08:59:30.000000Z","service":"sms","unit":"money","currency":"CNY","amount":"80.5","credit_limit":null,"available":null,"pending":null,"spendable":"80.5","rise":false}` + "\n",
			"limit=500",
		},
	} {
		got := run(t, "", append([]string{"upstream", "readings"}, strings.Fields(test.args)...)...)
		if got.status != 0 || got.out != test.want || s.request.URL.Query().Encode() != test.query {
			t.Errorf("%s: %+v, asked %s", test.args, got, s.request.URL.Query().Encode())
		}
		if limited := strings.Contains(test.args, "--limit"); strings.Contains(got.err, "there are more") != limited {
			t.Errorf("%s: %s", test.args, got.err)
		}
	}
	s.status = 0
	if got := run(t, "", "upstream", "readings", "unknown", "-o", "csv"); got.status != ExitFailure || got.out != "" {
		t.Errorf("%+v", got)
	}
}

func TestSpans(t *testing.T) {
	for seconds, want := range map[int64]string{0: "0s", 59: "59s", 60: "1m", 3599: "59m", 3600: "1h 0m", 86399: "23h 59m", 86400: "1d 0h", 40 * 86400: "40d 0h"} {
		if got := spanText(seconds); got != want {
			t.Errorf("%d: %s", seconds, got)
		}
	}
}
