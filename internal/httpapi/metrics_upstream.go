package httpapi

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Asked counts a question to an upstream by its outcome.
func (m *Metrics) Asked(upstream, provider string, status provider.Status) {
	m.questions.WithLabelValues(upstream, provider, string(status)).Inc()
}

// WatchUpstreams adds what is known of the balances at providers. It asks for that
// with each scrape, so known must not wait for a database. now is the clock of ages
// and forecasts.
func (m *Metrics) WatchUpstreams(known func() []readings.State, now func() time.Time) {
	m.registry.MustRegister(&upstreams{known, now})
}

// credits stands for the currency of amounts that are not money.
const credits = "credits"

func upstreamDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("saldo_upstream_"+name, help, append([]string{"upstream", "provider"}, labels...), nil)
}

// What is told of upstreams. All nodes tell the same, though one that does not ask
// may learn of an answer when it would have asked next: an interval later, or, in a
// back-off that another node has cut short, ten minutes.
var (
	upstreamUp = upstreamDesc("up",
		"Whether the upstream answered with a balance when it was last asked.")
	upstreamStatus = upstreamDesc("status",
		"1 for the outcome of the last question: ok, or why there was no balance.", "status")
	upstreamInterval = upstreamDesc("interval_seconds",
		"How often the upstream is asked.")
	upstreamAge = upstreamDesc("reading_age_seconds",
		"Time since the upstream last told its balance.")
	upstreamBalance = upstreamDesc("balance",
		"What was left when the upstream last told, rounded to a float; absent for an account that is paid later or without limit. The exact amount is in /v1/upstreams.", "service", "currency")
	upstreamBelow = upstreamDesc("below_min",
		"Whether less can be spent than the minimum that is configured.", "service", "currency")
	upstreamEmpty = upstreamDesc("empty_in_seconds",
		"Time until nothing can be spent any more, as expected. Absent where nobody can tell.", "service", "currency")
	upstreamEarliest = upstreamDesc("empty_earliest_in_seconds",
		"The same if it is spent as fast as lately, or as on the worst day of the week: the one to warn by.", "service", "currency")
)

// upstreams is a prometheus.Collector, because an age and a forecast change while
// nobody is asked.
type upstreams struct {
	known func() []readings.State
	now   func() time.Time
}

// Describe lists what is told.
func (*upstreams) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		upstreamUp, upstreamStatus, upstreamInterval, upstreamAge,
		upstreamBalance, upstreamBelow, upstreamEmpty, upstreamEarliest,
	} {
		out <- desc
	}
}

// Collect tells what is known now.
func (u *upstreams) Collect(out chan<- prometheus.Metric) {
	now := u.now()
	for _, state := range u.known() {
		if state.AskedAt.IsZero() {
			continue
		}
		t := teller{out: out, upstream: []string{state.Name, state.Provider}}
		t.gauge(upstreamUp, truth(state.Status == provider.OK))
		t.gauge(upstreamStatus, 1, string(state.Status))
		t.gauge(upstreamInterval, state.Interval.Seconds())
		if state.Good != nil {
			t.gauge(upstreamAge, state.Good.Age(now).Seconds())
			t.buckets(state.Good, now)
		}
	}
}

// teller tells of one upstream.
type teller struct {
	out      chan<- prometheus.Metric
	upstream []string // the labels of all that is told of it
}

func (t *teller) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	t.out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append(t.upstream[:2:2], labels...)...)
}

// buckets tells what is left of what. Services and currencies are in the words of a
// provider, and one that says a word twice, or not in UTF-8, must not take all the
// other metrics away: nothing at all is served where one series cannot be.
func (t *teller) buckets(good *readings.Balance, now time.Time) {
	told := make(map[[2]string]bool, len(good.Buckets))
	for i := range good.Buckets {
		b := &good.Buckets[i]
		labels := [2]string{strings.ToValidUTF8(b.Service, "?"), strings.ToValidUTF8(b.Currency, "?")}
		if b.Unit == provider.Credits {
			labels[1] = credits
		}
		if told[labels] {
			continue
		}
		told[labels] = true
		if good.Billing.RunsOut() { // Elsewhere the amount means nothing, and 0 would look like an empty wallet.
			t.gauge(upstreamBalance, b.Amount.InexactFloat64(), labels[:]...)
		}
		if b.Min != nil {
			t.gauge(upstreamBelow, truth(b.BelowMin()), labels[:]...)
		}
		if empty, _ := b.AsOf(good.At, now); empty != nil && empty.Outlook != forecast.OutlookUnknown {
			t.gauge(upstreamEmpty, until(empty.At, now), labels[:]...)
			t.gauge(upstreamEarliest, until(empty.Earliest, now), labels[:]...)
		}
	}
}

// until is how long it takes until a moment, of which the zero time is never.
func until(moment, now time.Time) float64 {
	if moment.IsZero() {
		return math.Inf(1)
	}
	return max(moment.Sub(now), 0).Seconds()
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
