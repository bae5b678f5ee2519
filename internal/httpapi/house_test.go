package httpapi_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
	"github.com/saldo-ledger/saldo/internal/dialect/esms"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// discard is the log of a server that a test does not read.
var discard = slog.New(slog.DiscardHandler)

// house is a whole server in memory but for the listener: a real engine over a
// real SQLite file, every door, and the log.
type house struct {
	t       *testing.T
	store   *sqlite.Store
	engine  *engine.Engine
	gate    *httpapi.Gate
	ahead   atomic.Int64 // of the real time, the engine's
	metrics *httpapi.Metrics
	handler http.Handler
	log     *lines
	root    ledger.Credentials // of the operator, with every scope
}

// newHouse has the accounts 1 and 2 in CNY and 3 in VND, all empty.
func newHouse(t *testing.T, options httpapi.GateOptions) *house {
	t.Helper()
	store, err := sqlite.Create(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: store, metrics: httpapi.NewMetrics(), log: &lines{}}
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	// Holds expire when a test says so.
	clock := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	h.engine, err = engine.New(t.Context(), store, engine.Options{Observer: h.metrics, Logger: log, Clock: clock, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.engine.Close()
		// A second time is no fault here: a test may have closed it to see what happens.
		_ = store.Close()
	})
	h.metrics.WatchQueue(h.engine.QueueDepth)
	h.gate = httpapi.NewGate(h.engine, options, h.metrics, log)
	rest, first, second := httpapi.New(h.engine, h.gate, h.metrics, h.upstreams()), antgst.NewServer(h.gate), esms.NewServer(h.gate)
	doors := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/user/"):
			first.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/MainService.svc/"):
			second.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	h.handler = httpapi.Observe(doors, options.TrustedProxies, h.metrics, log)
	for i, currency := range []string{"CNY", "CNY", "VND"} {
		account := ledger.Account{ID: ledger.AccountID(i + 1), Name: "Example Ltd", Currency: currency}
		if _, err := h.engine.CreateAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	h.root = h.key(ledger.Key{Scopes: ledger.Scopes})
	return h
}

// key makes a key with new credentials.
func (h *house) key(key ledger.Key) ledger.Credentials {
	h.t.Helper()
	credentials := engine.GenerateCredentials()
	h.keyFor(key, credentials)
	return credentials
}

func (h *house) keyFor(key ledger.Key, credentials ledger.Credentials) {
	h.t.Helper()
	if _, err := h.engine.CreateKey(h.t.Context(), key, credentials); err != nil {
		h.t.Fatal(err)
	}
}

// customer makes a customer's key.
func (h *house) customer(account ledger.AccountID, scopes ...ledger.Scope) ledger.Credentials {
	h.t.Helper()
	return h.key(ledger.Key{Account: account, Scopes: scopes})
}

// topUp pays money in, past the doors.
func (h *house) topUp(account ledger.AccountID, amount ledger.Amount, key string) {
	h.t.Helper()
	h.post(ledger.Request{
		IdempotencyKey: key, Kind: ledger.TopUp, Wallet: ledger.WalletRef{Account: account, Service: ledger.SMS}, Amount: amount,
	})
}

// post posts a transaction past the doors.
func (h *house) post(request ledger.Request) *ledger.Transaction {
	h.t.Helper()
	transaction, _, err := h.engine.Post(h.t.Context(), request)
	if err == nil {
		err = transaction.Err()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return transaction
}

// later lets time pass for the engine.
func (h *house) later(d time.Duration) { h.ahead.Add(int64(d)) }

// option changes a request before it is sent.
type option func(*http.Request)

func as(c ledger.Credentials) option { return header("Authorization", "Bearer "+c.AuthSecret()) }

func from(remote string) option { return func(r *http.Request) { r.RemoteAddr = remote } }

func header(name string, values ...string) option {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

// idempotent names a movement.
func idempotent(key string) option { return header("Idempotency-Key", key) }

// do sends a request through every layer but the network.
func (h *house) do(method, target, body string, options ...option) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, target, strings.NewReader(body))
	for _, change := range options {
		change(r)
	}
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	return rec
}

// wantStatus checks a status; the body says why where it is another.
func wantStatus(t *testing.T, rec *httptest.ResponseRecorder, status int) {
	t.Helper()
	if rec.Code != status {
		t.Errorf("status %d, want %d: %s", rec.Code, status, rec.Body)
	}
}

// wantProblem checks that a reply is problem details of one code, in all its parts.
func wantProblem(t *testing.T, rec *httptest.ResponseRecorder, code ledger.Code) api.Problem {
	t.Helper()
	var problem api.Problem
	decoder := json.NewDecoder(bytes.NewReader(rec.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&problem); err != nil {
		t.Errorf("status %d with %q: %v", rec.Code, rec.Body, err)
		return problem
	}
	status := code.HTTPStatus()
	want := api.Problem{
		Type: "urn:saldo:problem:" + string(code), Title: http.StatusText(status), Status: status, Code: api.ErrorCode(code),
		Detail: problem.Detail, Hint: problem.Hint, Transaction: problem.Transaction, Index: problem.Index,
	}
	if problem != want || rec.Code != status || problem.Detail == "" {
		t.Errorf("status %d with %+v, want %s", rec.Code, problem, code)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := rec.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	return problem
}

// read decodes a reply.
func read[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(rec.Body.Bytes(), &value); err != nil {
		t.Errorf("%s: %v", rec.Body, err)
	}
	return value
}

// lines is a log that a test can read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// line is one line of the log.
type line struct {
	Level   string `json:"level"`
	Msg     string `json:"msg"`
	Route   string `json:"route"`
	Status  int    `json:"status"`
	Client  string `json:"client"`
	Key     string `json:"key"`
	Account *int   `json:"account"`
	Panic   string `json:"panic"`
	Stack   string `json:"stack"`
	Error   string `json:"error"`
}

// take reads the lines so far and empties the log.
func (l *lines) take(t *testing.T) []line {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []line
	for decoder := json.NewDecoder(&l.text); decoder.More(); {
		var one line
		if err := decoder.Decode(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	l.text.Reset()
	return all
}
