package httpapi_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// No request, however a careless program misplaces its secret, may put it into
// the log, the metrics or a header of the reply.
func TestNoSecretGetsOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{RateLimit: 1000, FailureLimit: 1000, FailureBurst: 1000})
	c := engine.GenerateCredentials()
	h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite}}, c)
	var wrong ledger.Credentials
	wrong.ID, wrong.Secret = c.ID, c.Secret[1:]+"X"
	bodies := []string{"", "{", `{"authSecret":"%A"}`, `{"authSecret":"%A"`, `{"ApiKey":"%I","SecretKey":"%S"}`, `{"%S":1}`, "%S", `<r><SecretKey>%S</SecretKey></r>`}
	targets := []string{
		"/v1/balance", "/v1/balance?key=%S", "/v1/%S", "/%S", "//%S", "/x/../%S", "/v1/accounts/%S", "/v1/accounts?limit=%S", "/v1/accounts?cursor=%S",
		"/v1/accounts/1/wallets/%S", "/v1/transactions/%S", "/v1/keys/%S", "/v1/transactions",
		"/v1/transactions/batch", "/v1/holds/settle", "/v1/holds/%S", "/v1/holds/%S/release", "/v1/holds?reference=%S", "/v1/transactions?idempotency_key=%S",
		"/v1/accounts/1/wallets/sms/statement?from=%S&tz=%S", "/v1/accounts/1/wallets/sms/statement?format=csv&cursor=%S", "/v1/reports/usage?group=%S",
		antgstPath, antgstPath + "/%S", "/user/%S", antgstPath + "?authSecret=%A", "/user//../%S",
		"/MainService.svc/json/GetBalance/%I/%S", "/MainService.svc/xml/GetBalance/%I/%S/", "/MainService.svc/json/GetBalance/%I/%S/x",
		"/MainService.svc/json/GetBalance/%S", "/MainService.svc/json/Nothing/%I/%S", "/MainService.svc/%S", "/MainService.svc//json/GetBalance/%I/%S",
		"/MainService.svc/json/../json/GetBalance/%I/%S", "//MainService.svc/json/GetBalance/%I/%S", "/x/../MainService.svc/json/GetBalance/%I/%S",
		"/MAINSERVICE.SVC/json/GetBalance/%I/%S", "/MainService.svc/json/GetBalance_json", "/MainService.svc/xml/GetBalance_json",
	}
	for _, pair := range []ledger.Credentials{c, wrong} {
		fill := strings.NewReplacer("%S", pair.Secret, "%I", pair.ID, "%A", pair.AuthSecret()).Replace
		for _, target := range targets {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				for i, body := range bodies {
					with := []option{as(pair), basic(pair.ID + ":" + pair.Secret), header("Authorization", pair.Secret), header("X-Api-Key", pair.Secret)}[i%4]
					rec := h.do(method, fill(target), fill(body), with, idempotent(pair.Secret),
						header("User-Agent", pair.Secret), header("Referer", "https://example.com/"+pair.Secret), header("X-Forwarded-For", pair.Secret))
					if headers := fmt.Sprint(rec.Header()); strings.Contains(headers, pair.Secret) {
						t.Errorf("%s %s is answered with %s", method, target, headers)
					}
				}
			}
		}
	}
	logged := h.log.String()
	metrics := h.do("GET", "/metrics", "").Body.String()
	for where, text := range map[string]string{"the log": logged, "the metrics": metrics} {
		for _, secret := range []string{c.Secret, wrong.Secret, c.Secret[5:30]} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s tells a secret: …%s…", where, text[max(0, i-200):min(len(text), i+60)])
			}
		}
	}
	if lines := strings.Count(logged, `"msg":"request"`); lines != 2*len(targets)*3*len(bodies) {
		t.Errorf("%d lines for %d requests", lines, 2*len(targets)*3*len(bodies))
	}
}

// around puts Observe around one handler.
func around(t *testing.T, handler http.HandlerFunc) (observed http.Handler, log *lines) {
	t.Helper()
	log = &lines{}
	return httpapi.Observe(handler, nil, httpapi.NewMetrics(), slog.New(slog.NewJSONHandler(log, nil))), log
}

func TestPanics(t *testing.T) {
	t.Parallel()
	observed, log := around(t, func(_ http.ResponseWriter, r *http.Request) {
		r.Pattern = "GET /boom"
		panic("the reason")
	})
	rec := httptest.NewRecorder()
	observed.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "reason") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	logged := log.take(t)
	if len(logged) != 2 || logged[0].Level != "ERROR" || logged[0].Panic != "the reason" || !strings.Contains(logged[0].Stack, "TestPanics") ||
		logged[1].Msg != "request" || logged[1].Status != 500 || logged[1].Route != "GET /boom" {
		t.Errorf("the log says %+v", logged)
	}
}

// A reply that has begun cannot become another one, but its panic is known.
func TestPanicInTheMiddle(t *testing.T) {
	t.Parallel()
	observed, log := around(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "half")
		panic(errors.New("the reason"))
	})
	rec := httptest.NewRecorder()
	observed.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	logged := log.take(t)
	if rec.Code != 202 || len(logged) != 2 || logged[0].Msg != "panic" || logged[1].Status != 202 {
		t.Errorf("%d, and the log says %+v", rec.Code, logged)
	}
}

// A handler that aborts its reply on purpose must reach net/http, which cuts the connection.
func TestAbort(t *testing.T) {
	t.Parallel()
	observed, log := around(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	func() {
		defer func() {
			if failure := recover(); failure != http.ErrAbortHandler { //nolint:errorlint // It is this very value.
				t.Errorf("what came through is %v", failure)
			}
		}()
		observed.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	}()
	if strings.Contains(log.String(), "panic") {
		t.Errorf("the log says %s", log)
	}
}

// http.ResponseController finds what the real writer can do.
func TestObserveUnwraps(t *testing.T) {
	t.Parallel()
	observed, log := around(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "without a status")
	})
	rec := httptest.NewRecorder()
	observed.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	if logged := log.take(t); !rec.Flushed || len(logged) != 1 || logged[0].Status != 200 || logged[0].Route != "unmatched" {
		t.Errorf("the log says %+v", logged)
	}
}

// The log names the client as the gate sees it, so that the two never disagree.
func TestLoggedClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{TrustedProxies: networks(t, "10.0.0.0/8")})
	h.log.take(t)
	h.do("GET", "/healthz", "", from("10.0.0.1:1"), header("X-Forwarded-For", "198.51.100.1, 203.0.113.7"))
	h.do("GET", "/healthz", "", from("203.0.113.8:1"), header("X-Forwarded-For", "198.51.100.1"))
	logged := h.log.take(t)
	if len(logged) != 2 || logged[0].Client != "203.0.113.7" || logged[1].Client != "203.0.113.8" {
		t.Errorf("the log says %+v", logged)
	}
}

// A fault of the store is told in the log alone.
func TestFaultsAreLogged(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	customer := h.customer(1, ledger.ScopeBalanceRead)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.log.take(t)
	for _, target := range []string{"/v1/accounts", "/v1/keys", "/v1/transactions/" + seed} {
		rec := h.do("GET", target, "", as(h.root))
		if problem := wantProblem(t, rec, ledger.Internal); strings.Contains(problem.Detail+problem.Hint, "sql") {
			t.Errorf("the reply says %+v", problem)
		}
		logged := h.log.take(t)
		if len(logged) != 2 || logged[0].Level != "ERROR" || logged[0].Error == "" || logged[1].Status != 500 {
			t.Errorf("the log says %+v", logged)
		}
	}
	wantProblem(t, h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"topup","amount":"1"}`, as(h.root), idempotent("k")), ledger.Internal)
	wantProblem(t, h.do("POST", "/v1/accounts", `{"name":"N","currency":"CNY"}`, as(h.root)), ledger.Internal)
	// The failed write leaves in doubt what is cached, so even this key is looked up again.
	wantProblem(t, h.do("GET", "/v1/balance", "", as(customer)), ledger.Internal)
}

// A server that stops refuses writes with 503, which clients send again.
func TestStoppedEngine(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.engine.Close()
	rec := h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"topup","amount":"1"}`, as(h.root), idempotent("k"))
	wantProblem(t, rec, ledger.Overloaded)
	if rec.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", rec.Header().Get("Retry-After"))
	}
	wantStatus(t, h.do("GET", "/v1/accounts/1", "", as(h.root)), 200)
}

// The log and the metrics are shared by all connections.
func TestObserveAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{RateLimit: 1, FailureLimit: 1, FailureBurst: 1})
	customer := h.customer(1, ledger.ScopeBalanceRead)
	h.log.take(t)
	const workers, each = 8, 25
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range each {
				switch i % 4 {
				case 0:
					h.do("GET", "/metrics", "")
				case 1:
					h.do("GET", "/v1/accounts/1", "", as(h.root))
				case 2:
					h.do("GET", "/v1/balance", "", as(customer))
				default:
					h.do("GET", "/v1/balance", "", header("Authorization", "Bearer wrong"), from("203.0.113.7:1"))
				}
			}
		})
	}
	all.Wait()
	if logged := h.log.take(t); len(logged) != workers*each {
		t.Errorf("%d lines for %d requests", len(logged), workers*each)
	}
}
