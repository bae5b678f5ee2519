package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// noon is when what is known of upstreams is told.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// bucket is what was left of something, with when it runs out.
func bucket(service, currency, amount string, outlook forecast.Outlook, at, earliest time.Time) readings.Bucket {
	b := readings.Bucket{Bucket: provider.Bucket{
		Service: service, Unit: provider.Money, Currency: currency, Amount: decimal.RequireFromString(amount),
	}}
	if outlook != "" {
		b.Empty = &forecast.Forecast{Outlook: outlook, At: at, Earliest: earliest}
	}
	return b
}

// answered is an upstream that told its balance so long ago.
func answered(name string, ago time.Duration, buckets ...readings.Bucket) readings.State {
	at := noon.Add(-ago)
	return readings.State{
		Name: name, Provider: "http", Interval: time.Minute, AskedAt: at, Status: provider.OK,
		Good: &readings.Balance{At: at, Buckets: buckets},
	}
}

// exposed gives the metrics as text, of upstreams only.
func exposed(t *testing.T, metrics *httpapi.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	httpapi.New(nil, nil, metrics, nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if rec.Code != 200 {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	problems, err := promlint.New(strings.NewReader(rec.Body.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	var lines []string
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, "saldo_upstream_") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// told compares what is told of some upstreams.
func told(t *testing.T, want string, known ...readings.State) {
	t.Helper()
	metrics := httpapi.NewMetrics()
	metrics.WatchUpstreams(func() []readings.State { return known }, func() time.Time { return noon })
	if got := exposed(t, metrics); got != strings.TrimLeft(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Rules and dashboards of operators are written against this.
func TestUpstreamMetrics(t *testing.T) {
	falling := bucket("sms", "CNY", "1234.5678", forecast.OutlookFalling, noon.Add(2*time.Hour), noon.Add(time.Hour))
	falling.Min = new(decimal.NewFromInt(2000))
	idle := bucket("voip", "CNY", "0.10", forecast.OutlookIdle, time.Time{}, noon.Add(48*time.Hour))
	idle.Min = new(decimal.RequireFromString("0.10"))
	messages := bucket("sms", "", "36693", forecast.OutlookUnknown, time.Time{}, time.Time{})
	messages.Unit = provider.Credits
	postpaid := answered("postpaid", 0, bucket("main", "USD", "0", "", time.Time{}, time.Time{}))
	postpaid.Good.Billing = provider.BillingPostpaid
	never := readings.State{Name: "never", Provider: "smsc", Interval: time.Hour, AskedAt: noon, Status: provider.Unauthorized, Failures: 1}
	told(t, `
saldo_upstream_balance{currency="CNY",provider="http",service="sms",upstream="falling"} 1234.5678
saldo_upstream_balance{currency="CNY",provider="http",service="voip",upstream="falling"} 0.1
saldo_upstream_balance{currency="credits",provider="http",service="sms",upstream="messages"} 36693
saldo_upstream_below_min{currency="CNY",provider="http",service="sms",upstream="falling"} 1
saldo_upstream_below_min{currency="CNY",provider="http",service="voip",upstream="falling"} 0
saldo_upstream_empty_earliest_in_seconds{currency="CNY",provider="http",service="sms",upstream="falling"} 3600
saldo_upstream_empty_earliest_in_seconds{currency="CNY",provider="http",service="voip",upstream="falling"} 172800
saldo_upstream_empty_in_seconds{currency="CNY",provider="http",service="sms",upstream="falling"} 7200
saldo_upstream_empty_in_seconds{currency="CNY",provider="http",service="voip",upstream="falling"} +Inf
saldo_upstream_interval_seconds{provider="http",upstream="falling"} 60
saldo_upstream_interval_seconds{provider="http",upstream="messages"} 60
saldo_upstream_interval_seconds{provider="http",upstream="postpaid"} 60
saldo_upstream_interval_seconds{provider="smsc",upstream="never"} 3600
saldo_upstream_reading_age_seconds{provider="http",upstream="falling"} 10.5
saldo_upstream_reading_age_seconds{provider="http",upstream="messages"} 0
saldo_upstream_reading_age_seconds{provider="http",upstream="postpaid"} 0
saldo_upstream_status{provider="http",status="ok",upstream="falling"} 1
saldo_upstream_status{provider="http",status="ok",upstream="messages"} 1
saldo_upstream_status{provider="http",status="ok",upstream="postpaid"} 1
saldo_upstream_status{provider="smsc",status="unauthorized",upstream="never"} 1
saldo_upstream_up{provider="http",upstream="falling"} 1
saldo_upstream_up{provider="http",upstream="messages"} 1
saldo_upstream_up{provider="http",upstream="postpaid"} 1
saldo_upstream_up{provider="smsc",upstream="never"} 0
`,
		answered("falling", 10*time.Second+500*time.Millisecond, falling, idle),
		answered("messages", -time.Second, messages), // by a clock that is ahead
		never, postpaid,
		readings.State{Name: "pending", Provider: "twilio"},
	)
}

// A failure leaves the last balance as it is. What was expected meanwhile is
// expected now, and after a day nothing is.
func TestUpstreamMetricsThroughFailures(t *testing.T) {
	failing := func(ago time.Duration) readings.State {
		state := answered("a", ago, bucket("sms", "CNY", "-5", forecast.OutlookReached, noon.Add(-ago), noon.Add(-ago)))
		state.Status, state.AskedAt, state.Failures = provider.Unreachable, noon, 7
		return state
	}
	told(t, `
saldo_upstream_balance{currency="CNY",provider="http",service="sms",upstream="a"} -5
saldo_upstream_empty_earliest_in_seconds{currency="CNY",provider="http",service="sms",upstream="a"} 0
saldo_upstream_empty_in_seconds{currency="CNY",provider="http",service="sms",upstream="a"} 0
saldo_upstream_interval_seconds{provider="http",upstream="a"} 60
saldo_upstream_reading_age_seconds{provider="http",upstream="a"} 86400
saldo_upstream_status{provider="http",status="unreachable",upstream="a"} 1
saldo_upstream_up{provider="http",upstream="a"} 0
`, failing(24*time.Hour))
	told(t, `
saldo_upstream_balance{currency="CNY",provider="http",service="sms",upstream="a"} -5
saldo_upstream_interval_seconds{provider="http",upstream="a"} 60
saldo_upstream_reading_age_seconds{provider="http",upstream="a"} 86401
saldo_upstream_status{provider="http",status="unreachable",upstream="a"} 1
saldo_upstream_up{provider="http",upstream="a"} 0
`, failing(24*time.Hour+time.Second))
}

// Whatever a provider calls its services, the other metrics are served.
func TestUpstreamMetricsOfStrangeBuckets(t *testing.T) {
	first := bucket("sms", "CNY", "1", "", time.Time{}, time.Time{})
	second := bucket("sms", "CNY", "2", forecast.OutlookReached, noon, noon)
	second.Min = new(decimal.NewFromInt(3))
	counted := bucket("sms", "CNY", "3", "", time.Time{}, time.Time{})
	counted.Unit = provider.Credits
	told(t, `
saldo_upstream_balance{currency="",provider="http",service="?",upstream="a"} 5
saldo_upstream_balance{currency="CNY",provider="http",service="\"}\n",upstream="a"} 7
saldo_upstream_balance{currency="CNY",provider="http",service="sms",upstream="a"} 1
saldo_upstream_balance{currency="credits",provider="http",service="sms",upstream="a"} 3
saldo_upstream_interval_seconds{provider="http",upstream="a"} 60
saldo_upstream_reading_age_seconds{provider="http",upstream="a"} 0
saldo_upstream_status{provider="http",status="ok",upstream="a"} 1
saldo_upstream_up{provider="http",upstream="a"} 1
`, answered("a", 0, first, second, counted,
		bucket("\xff", "", "5", "", time.Time{}, time.Time{}), bucket("\xfe", "", "6", "", time.Time{}, time.Time{}),
		bucket("\"}\n", "CNY", "7", "", time.Time{}, time.Time{})))
}

// An outcome is counted where the question was asked.
func TestAsked(t *testing.T) {
	metrics := httpapi.NewMetrics()
	for status, times := range map[provider.Status]int{provider.OK: 2, provider.RateLimited: 1} {
		for range times {
			metrics.Asked("a", "smsc", status)
		}
	}
	want := `saldo_upstream_questions_total{provider="smsc",status="ok",upstream="a"} 2
saldo_upstream_questions_total{provider="smsc",status="rate_limited",upstream="a"} 1
`
	if got := exposed(t, metrics); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
