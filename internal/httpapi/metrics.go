package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Metrics counts what happens, in a registry of its own. It is an engine.Observer.
type Metrics struct {
	registry     *prometheus.Registry
	requests     *prometheus.HistogramVec
	batchSize    prometheus.Histogram
	commits      prometheus.Histogram
	postings     *prometheus.CounterVec
	authFailures *prometheus.CounterVec
	questions    *prometheus.CounterVec

	// handler serves the metrics in Prometheus's format. There is one, because
	// it counts the requests that it serves at the same time.
	handler http.Handler

	// series remembers the histogram of each route and status, because finding
	// it by its labels would be a good part of the cost of a balance read.
	series sync.Map // of requestLabels to prometheus.Observer
}

type requestLabels struct {
	route  string
	status int
}

// NewMetrics makes the metrics of one server.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "saldo_http_request_duration_seconds",
			Help:    "How long requests took, by route pattern, dialect and HTTP status.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}, []string{"route", "dialect", "status"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "saldo_commit_batch_size",
			Help:    "How many writes shared one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "saldo_commit_duration_seconds",
			Help:    "How long a batch took to decide and make durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		postings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "saldo_postings_total",
			Help: "Decided postings by type and outcome: posted, a rejection code, or replayed.",
		}, []string{"type", "outcome"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "saldo_authentication_failures_total",
			Help: "Refused authentications by reason: unauthorized, ip_denied, or limited.",
		}, []string{"reason"}),
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "saldo_upstream_questions_total",
			Help: "Questions that this node asked upstreams, by outcome: ok, or why there was no balance.",
		}, []string{"upstream", "provider", "status"}),
	}
	m.registry.MustRegister(m.requests, m.batchSize, m.commits, m.postings, m.authFailures, m.questions,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

// WatchQueue adds the depth of the write queue, read when it is asked for.
func (m *Metrics) WatchQueue(depth func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "saldo_queue_depth",
		Help: "Writes that wait for the committer.",
	}, func() float64 { return float64(depth()) }))
}

// Committed counts a commit.
func (m *Metrics) Committed(writes int, took time.Duration) {
	m.batchSize.Observe(float64(writes))
	m.commits.Observe(took.Seconds())
}

// Decided counts a posting.
func (m *Metrics) Decided(kind ledger.Kind, outcome string, replayed bool) {
	if replayed {
		outcome = "replayed"
	}
	m.postings.WithLabelValues(string(kind), outcome).Inc()
}

func (m *Metrics) authFailed(reason string) { m.authFailures.WithLabelValues(reason).Inc() }

func (m *Metrics) request(route string, status int, took time.Duration) {
	labels := requestLabels{route, status}
	observer, ok := m.series.Load(labels)
	if !ok {
		observer, _ = m.series.LoadOrStore(labels,
			m.requests.WithLabelValues(route, dialectOf(route), strconv.Itoa(status)))
	}
	observer.(prometheus.Observer).Observe(took.Seconds()) //nolint:forcetypeassert // Only observers are stored.
}

// dialectOf says which door a route pattern belongs to.
func dialectOf(route string) string {
	_, path, found := strings.Cut(route, " ")
	if !found {
		path = route
	}
	switch {
	case strings.HasPrefix(path, "/user/"):
		return "antgst"
	case strings.HasPrefix(strings.ToLower(path), "/mainservice.svc/"):
		return "esms"
	case strings.HasPrefix(path, "/v1/"):
		return "rest"
	default:
		return "none"
	}
}
