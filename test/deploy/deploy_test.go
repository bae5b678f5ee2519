// Package deploy checks what is shipped for Prometheus and Grafana against the
// real binary: every metric and label that rules, dashboard and documentation name
// is one that it exposes, and every expression is one that Prometheus understands.
package deploy

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

const (
	prometheusFolder = "../../deploy/prometheus"
	rulesFile        = prometheusFolder + "/saldo.rules.yml"
	rulesTestFile    = prometheusFolder + "/saldo.rules.test.yml"
	page             = "../../docs/monitoring.md"
)

func TestMain(m *testing.M) { os.Exit(saldotest.Main(m)) }

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// promtool runs Prometheus's own checks.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if testing.Short() {
			t.Skip(err)
		}
		t.Fatalf(`%v: install Debian's package prometheus, which "make needs" does`, err)
	}
	if output, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// patience bounds a wait that only ends where something is wrong.
const patience = time.Minute

// shown are all metrics that a server exposes of which something has happened.
func shown(t *testing.T) families {
	t.Helper()
	counterpart := saldotest.Start(t, "--demo")
	file := filepath.Join(t.TempDir(), "upstreams.yaml")
	// The demo's account at Antgst owes money, so its forecast needs no week of readings.
	config := fmt.Sprintf(`upstreams:
- {name: main, provider: antgst, base_url: %[1]q, min: {sms: 100}, interval: 1s, credentials: {auth_secret: DEMO-CNY-IDDEMO-CNY-SECRET}}
- {name: wrong, provider: antgst, base_url: %[1]q, interval: 1s, credentials: {auth_secret: DEMO-CNY-ID}}
`, counterpart.URL)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := saldotest.Start(t, "--demo", "--upstreams", file)
	server.Send(t, http.MethodGet, "/v1/balance", "", "Authorization", "Bearer "+saldotest.Secret)
	charge := `{"account":9999,"wallet":"sms","type":"charge","amount":"1"}`
	if reply := server.Send(t, http.MethodPost, "/v1/transactions", charge,
		"Authorization", "Bearer DEMO-VND-IDDEMO-VND-SECRET", "Idempotency-Key", "k", "Content-Type", "application/json"); reply.Status != 201 {
		t.Fatalf("the charge is answered %+v", reply)
	}
	wanted := []string{`saldo_upstream_status{provider="antgst",status="ok",upstream="main"} 1`, `saldo_upstream_status{provider="antgst",status="unauthorized",upstream="wrong"} 1`}
	deadline := time.Now().Add(patience)
	for {
		text := server.Send(t, http.MethodGet, "/metrics", "").Body
		if !slices.ContainsFunc(wanted, func(line string) bool { return !strings.Contains(text, line) }) {
			return parse(t, text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the upstreams are not told of:\n%s\n%s", text, server.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var (
	once     sync.Once
	allShown families
)

// exposed are the metrics, read once for all tests.
func exposed(t *testing.T) families {
	t.Helper()
	once.Do(func() { allShown = shown(t) })
	if allShown == nil {
		t.Fatal("the metrics could not be read")
	}
	return allShown
}

// parse reads the metrics as Prometheus does.
func parse(t *testing.T, text string) families {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := families{"up": ofTarget}
	for name, family := range found {
		labels := slices.Clone(ofTarget)
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		if family.GetType() != dto.MetricType_HISTOGRAM {
			all[name] = labels
			continue
		}
		all[name+"_sum"], all[name+"_count"] = labels, labels
		all[name+"_bucket"] = append(slices.Clone(labels), "le")
	}
	return all
}

// rule is an alert as Prometheus reads it.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there is no rule")
	}
	return all
}

// TestPrometheusTakesThem: the example of a configuration loads with the rules, and
// each rule fires where it should.
func TestPrometheusTakesThem(t *testing.T) {
	promtool(t, "check", "config", prometheusFolder+"/prometheus.yml")
	promtool(t, "test", "rules", rulesTestFile)
}

var template = regexp.MustCompile(`\$labels\.(\w+)`)

func TestRulesNameWhatIsThere(t *testing.T) {
	metrics, tests, headings := exposed(t), read(t, rulesTestFile), anchors(read(t, page))
	for _, r := range alerts(t) {
		labels, problems := metrics.check(r.Expr)
		for _, problem := range problems {
			t.Errorf("%s: %s", r.Alert, problem)
		}
		for _, text := range r.Annotations {
			for _, used := range template.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(labels, used[1]) {
					t.Errorf("%s: its result has no label %s", r.Alert, used[1])
				}
			}
		}
		for _, name := range []string{"summary", "description", "runbook"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
			t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook"], "docs/monitoring.md#")
		if !ok || !slices.Contains(headings, anchor) {
			t.Errorf("%s: there is no %s", r.Alert, r.Annotations["runbook"])
		}
		if !regexp.MustCompile(`\b` + r.Alert + `\b`).MatchString(tests) {
			t.Errorf("%s is not tested", r.Alert)
		}
	}
}

// TestStatuses: a status that no question ever has would never be seen.
func TestStatuses(t *testing.T) {
	known := []provider.Status{
		provider.OK, provider.Unauthorized, provider.IPDenied, provider.Suspended, provider.RateLimited,
		provider.InvalidRequest, provider.ProviderError, provider.Malformed, provider.Unreachable,
	}
	found := 0
	for _, file := range []string{rulesFile, rulesTestFile} {
		for _, match := range regexp.MustCompile(`saldo_upstream_(?:status|questions_total)\{[^}]*status=~?"([^"]*)"`).FindAllStringSubmatch(read(t, file), -1) {
			for status := range strings.SplitSeq(match[1], "|") {
				found++
				if !slices.Contains(known, provider.Status(status)) {
					t.Errorf("%s: there is no status %s", file, status)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no status is named")
	}
}

// anchors are the headings of a page as links name them.
func anchors(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = strings.ToLower(strings.TrimSpace(title))
			all = append(all, strings.ReplaceAll(strings.Trim(title, "`"), " ", "-"))
		}
	}
	return all
}

// TestPage: the documentation has every metric, with its labels, and no other.
func TestPage(t *testing.T) {
	metrics := exposed(t)
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(saldo_\\w+)` \\| (\\w+) \\| (.*?) \\|").FindAllStringSubmatch(read(t, page), -1) {
		name := row[1]
		if row[2] == "histogram" {
			name += "_count"
		}
		documented[name] = true
		labels := slices.Clone(ofTarget)
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		if known := metrics[name]; !slices.Equal(slices.Sorted(slices.Values(known)), slices.Sorted(slices.Values(labels))) {
			t.Errorf("%s has the labels %q, and not %q", name, known, labels)
		}
	}
	for name := range metrics {
		part := strings.HasSuffix(name, "_bucket") || strings.HasSuffix(name, "_sum")
		if strings.HasPrefix(name, "saldo_") && !part && !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}
