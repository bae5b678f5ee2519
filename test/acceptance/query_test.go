package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// query runs "saldo query" with the credentials of a demo.
func query(t *testing.T, args ...string) saldotest.Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), saldotest.Binary(t), append([]string{"query"}, args...)...)
	command.Env = saldotest.Environment("ANTGST_AUTH_SECRET="+saldotest.Secret+"-of-antgst", "ESMS_API_KEY=AK", "ESMS_SECRET_KEY="+saldotest.Secret+"-of-esms")
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return saldotest.Result{Stdout: stdout.String(), Stderr: stderr.String(), Status: command.ProcessState.ExitCode()}
}

// TestQueryOfOthers asks what is no provider: each answer is a failure of the
// provider, in time, and no balance.
func TestQueryOfOthers(t *testing.T) {
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	const page = "<!doctype html><html><body><h1>It works! Balance: 0</h1></body></html>"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the secret goes to %s", r.URL) }))
	t.Cleanup(elsewhere.Close)
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  string
	}{
		{"a page", reply(200, "text/html", page), "malformed"},
		{"a page of a proxy", reply(502, "text/html", page), "provider_error"},
		{"nothing", reply(200, "application/json", ""), "malformed"},
		{"null", reply(200, "application/json", "null"), "malformed"},
		{"another object", reply(200, "application/json", `{"balance":5}`), "malformed"},
		{"half a reply", reply(200, "application/json", `{"msg":"SUCCESS","code":200,"result":{"smsBal`), "malformed"},
		{"an endless reply", reply(200, "application/json", strings.Repeat(" ", 1<<20)), "malformed"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "malformed"},
		{"silence", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "unreachable"},
		{"a reply that stops", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"msg":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "unreachable"},
	}
	for _, tt := range tests {
		for _, provider := range []string{"antgst", "esms"} {
			t.Run(tt.name+" for "+provider, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(tt.handler)
				defer server.Close()
				started := time.Now()
				result := query(t, provider, "--base-url", server.URL, "--timeout", "2s", "--min", "1", "--output", "json")
				var answers []struct {
					Status   string
					Buckets  []any
					BelowMin bool `json:"below_min"`
				}
				if err := json.Unmarshal([]byte(result.Stdout), &answers); err != nil || len(answers) != 1 {
					t.Fatalf("%+v, %v", result, err)
				}
				if a := answers[0]; result.Status != 5 || a.Status != tt.status || len(a.Buckets) != 0 || a.BelowMin {
					t.Errorf("%+v, want %s", result, tt.status)
				}
				if strings.Contains(result.Stdout+result.Stderr, saldotest.Secret) || !strings.HasPrefix(result.Stderr, "saldo: "+provider+": "+tt.status) {
					t.Errorf("it says %s", result.Stderr)
				}
				if took := time.Since(started); took > patienceOfQuery {
					t.Errorf("it took %s", took)
				}
			})
		}
	}
}

// patienceOfQuery is far more than the time limit of the queries above, and far
// less than for ever.
const patienceOfQuery = 30 * time.Second

// Upstreams that hang are waited for at the same time, not one after the other.
func TestQueryAtOnce(t *testing.T) {
	const count = 20
	var waiting atomic.Int64
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if waiting.Add(1) == count {
			close(all)
		}
		select {
		case <-all:
			_, _ = io.WriteString(w, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":1.5,"voipBalance":0.0,"currency":"CNY"}}`)
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	var config strings.Builder
	config.WriteString("upstreams:\n")
	for i := range count {
		config.WriteString("- {name: a" + string(rune('a'+i)) + ", provider: antgst, timeout: 20s, base_url: \"" + server.URL + "\"}\n")
	}
	file := filepath.Join(t.TempDir(), "upstreams.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	result := query(t, "--config", file)
	lines := strings.Split(strings.TrimSpace(result.Stdout), "\n")
	if result.Status != 0 || len(lines) != 1+2*count {
		t.Fatalf("%+v", result)
	}
	for i := range count {
		if name := "a" + string(rune('a'+i)); !strings.HasPrefix(lines[1+2*i], name+" ") {
			t.Errorf("line %d is %s, want %s", 1+2*i, lines[1+2*i], name)
		}
	}
}
