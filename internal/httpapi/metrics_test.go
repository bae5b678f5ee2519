package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, h *house) map[string]*dto.MetricFamily {
	t.Helper()
	rec := h.do("GET", "/metrics", "")
	wantStatus(t, rec, 200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// labels gives each series of a family as its labels' values, sorted.
func labels(family *dto.MetricFamily) []string {
	var all []string
	for _, metric := range family.GetMetric() {
		var one []string
		for _, label := range metric.GetLabel() {
			one = append(one, label.GetName()+"="+label.GetValue())
		}
		all = append(all, strings.Join(one, " "))
	}
	slices.Sort(all)
	return all
}

// Dashboards and alerts are written against these names.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	post := func(kind, amount, key string) {
		h.do("POST", "/v1/transactions", fmt.Sprintf(`{"account":1,"wallet":"sms","type":%q,"amount":%q}`, kind, amount), as(h.root), idempotent(key))
	}
	post("topup", "1", "k1")
	post("topup", "1", "k1")
	post("charge", "2", "k2")
	post("charge", "2", "k2")
	customer := h.customer(1, ledger.ScopeBalanceRead)
	h.do("POST", antgstPath, antgstBody(customer))
	h.do("GET", "/MainService.svc/json/GetBalance/"+customer.ID+"/"+customer.Secret, "")
	h.do("GET", "/nothing", "")
	h.do("GET", "/user/nothing", "")
	h.do("GET", "/v1/balance", "", header("Authorization", "Bearer wrong"))
	families := scrape(t, h)
	types := map[string]string{}
	for name, family := range families {
		if strings.HasPrefix(name, "saldo_") {
			types[name] = family.GetType().String()
			if family.GetHelp() == "" {
				t.Errorf("%s has no help", name)
			}
		}
	}
	want := map[string]string{
		"saldo_http_request_duration_seconds": "HISTOGRAM",
		"saldo_commit_batch_size":             "HISTOGRAM",
		"saldo_commit_duration_seconds":       "HISTOGRAM",
		"saldo_postings_total":                "COUNTER",
		"saldo_authentication_failures_total": "COUNTER",
		"saldo_queue_depth":                   "GAUGE",
	}
	if !maps.Equal(types, want) {
		t.Errorf("the metrics are %v, want %v", types, want)
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, want := range map[string][]string{
		"saldo_http_request_duration_seconds": {
			"dialect=antgst route=/user/ status=404",
			"dialect=antgst route=POST /user/account/balance status=200",
			"dialect=esms route=GET /MainService.svc/json/GetBalance/{ApiKey}/{SecretKey} status=200",
			"dialect=none route=unmatched status=404",
			"dialect=rest route=GET /v1/balance status=401",
			"dialect=rest route=POST /v1/transactions status=201",
			"dialect=rest route=POST /v1/transactions status=402",
		},
		"saldo_postings_total": {
			"outcome=insufficient_funds type=charge", "outcome=posted type=topup",
			"outcome=replayed type=charge", "outcome=replayed type=topup",
		},
		"saldo_authentication_failures_total": {"reason=unauthorized"},
	} {
		if got := labels(families[name]); !slices.Equal(got, want) {
			t.Errorf("%s has\n%q, want\n%q", name, got, want)
		}
	}
	// Three accounts, two keys and four postings were written one by one.
	if commits := families["saldo_commit_batch_size"].GetMetric()[0].GetHistogram(); commits.GetSampleCount() != 9 || commits.GetSampleSum() != 9 {
		t.Errorf("%d commits with %v writes", commits.GetSampleCount(), commits.GetSampleSum())
	}
}

// Nobody must be able to fill the memory of Prometheus, or of Saldo, by asking
// for what is not there: not by paths, methods, queries, hosts or bodies.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	send := func(i int) {
		for _, target := range []string{
			"/%d", "/v1/%d", "/v1/accounts/%d", "/v1/accounts/1/wallets/w%d", "/v1/accounts/x%d", "/v1/transactions/%d", "/v1/keys/%d", "/v1/holds/%d", "/v1/holds/%d/capture", "/v1/holds?reference=%d",
			"/v1/accounts/1/wallets/w%d/statement?type=t%d&format=f%d", "/v1/reports/%d", "/v1/reports/usage?group=%d",
			"/v1/accounts?limit=%d", "//v1/%d",
			"/user/%d", "/user/account/balance/%d", "/MainService.svc/%d", "/MainService.svc/json/GetBalance/%d/%d", "/MainService.svc/xml/GetBalance/%d/s/%d",
		} {
			r := httptest.NewRequest(http.MethodGet, strings.ReplaceAll(target, "%d", fmt.Sprint(i)), http.NoBody)
			for _, method := range []string{"GET", fmt.Sprintf("M%d", i)} {
				r.Method, r.Host = method, fmt.Sprintf("h%d.example.com", i)
				r.Pattern = ""
				h.handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
		h.do("POST", "/v1/transactions", fmt.Sprintf(`{"account":1,"wallet":"w%d","type":"t%d","amount":"1"}`, i, i), as(h.root), idempotent("k"))
		h.do("POST", "/v1/holds/settle", fmt.Sprintf(`[{"reference":"r%d","status":"S%d"}]`, i, i), as(h.root))
		for _, contentType := range []string{"application/json", "application/x-ndjson", fmt.Sprintf("x/y%d", i)} {
			h.do("POST", "/v1/transactions/batch", fmt.Sprintf(`{"transactions":[{"idempotency_key":"k","account":1,"wallet":"w%d","type":"t%d","amount":"1"}]}`, i, i),
				as(h.root), header("Content-Type", contentType))
		}
		h.do("POST", "/v1/transactions", fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"topup","amount":"1"}`, i), as(h.root), idempotent("k"))
	}
	count := func() (n int) {
		for name, family := range scrape(t, h) {
			if strings.HasPrefix(name, "saldo_") {
				n += len(family.GetMetric())
			}
		}
		return n
	}
	count() // The first scrape is itself a series.
	send(1000)
	before := count()
	for i := range 100 {
		send(1001 + i)
	}
	if after := count(); after != before {
		t.Errorf("%d series became %d: %q", before, after, labels(scrape(t, h)["saldo_http_request_duration_seconds"]))
	}
}

// A registry of the whole process would make a second server panic, and each count for both.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	first, second := newHouse(t, httpapi.GateOptions{}), newHouse(t, httpapi.GateOptions{})
	first.do("GET", "/v1/balance", "")
	for h, want := range map[*house]int{first: 1, second: 0} {
		if got := len(scrape(t, h)["saldo_http_request_duration_seconds"].GetMetric()); got != want {
			t.Errorf("%d series, want %d", got, want)
		}
	}
}

// Scrapes cost memory, and anybody can ask for one: only a few run at a time.
func TestFewScrapesAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	// A server with a gauge that blocks, so that scrapes stay under way.
	metrics := httpapi.NewMetrics()
	began, release := make(chan struct{}, 10), make(chan struct{})
	metrics.WatchQueue(func() int {
		began <- struct{}{}
		<-release
		return 0
	})
	handler := httpapi.New(h.engine, nil, metrics, nil)
	get := func() int {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		return rec.Code
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if status := get(); status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
	for range 4 {
		<-began
	}
	fifth := make(chan int, 1)
	all.Go(func() { fifth <- get() })
	select {
	case status := <-fifth:
		if status != 503 {
			t.Errorf("the fifth scrape is answered %d", status)
		}
	case <-began:
		t.Error("a fifth scrape runs at the same time")
	case <-time.After(10 * time.Second):
		t.Error("the fifth scrape is not answered")
	}
	close(release)
	all.Wait()
}
