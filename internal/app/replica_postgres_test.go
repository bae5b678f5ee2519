package app_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// within waits for something, and fails the test where it does not come.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come that %s", what)
		}
	}
}

// newServer starts a server of a test's own.
func newServer(t *testing.T, start func() (*pgtest.Server, error)) *pgtest.Server {
	t.Helper()
	server, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// node is a served ledger, as its clients and its operator see it.
type node struct {
	*testing.T
	client   *http.Client
	url      string
	operator ledger.Credentials
	log      *locked
	posted   int
}

// charge posts one more charge on account 7.
func (n *node) charge() (status int, body string) {
	n.Helper()
	n.posted++
	r, err := http.NewRequestWithContext(n.Context(), http.MethodPost, n.url+"/v1/transactions",
		strings.NewReader(`{"type":"charge","account":7,"wallet":"sms","amount":"1"}`))
	if err != nil {
		n.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.operator.AuthSecret())
	r.Header.Set("Idempotency-Key", fmt.Sprint(n.posted))
	reply, err := n.client.Do(r)
	if err != nil {
		n.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		n.Fatal(err)
	}
	if reply.StatusCode == http.StatusServiceUnavailable && reply.Header.Get("Retry-After") == "" {
		n.Error("there is no Retry-After")
	}
	return reply.StatusCode, string(text)
}

func (n *node) ready() (status int, body string) {
	n.Helper()
	return call(n.T, n.client, "GET", n.url+"/readyz", "", "")
}

func (n *node) said(what string) int { return strings.Count(n.log.String(), what) }

// newNode makes a ledger on a server, and serves it by a URL.
func newNode(t *testing.T, db, url string) *node {
	t.Helper()
	operator, err := app.Init(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, client: newClient(t), operator: operator, log: new(locked)}
	served := start(t, options(url, n.log))
	t.Cleanup(func() { closeApp(t, served.Close) })
	n.url = served.URL()
	bearer := "Bearer " + operator.AuthSecret()
	if status, body := call(t, n.client, "POST", n.url+"/v1/accounts", bearer, `{"id":7,"name":"N","currency":"CNY"}`); status != 201 {
		t.Fatal(status, body)
	}
	if status, body := call(t, n.client, "POST", n.url+"/v1/transactions", bearer, `{"type":"topup","account":7,"wallet":"sms","amount":"1000"}`); status != 201 {
		t.Fatal(status, body)
	}
	if status, body := n.charge(); status != 201 {
		t.Fatal(status, body)
	}
	return n
}

const replicaReason = `{"status":"unavailable","reason":"the database takes no writes: it is read-only, as that of a replica is"}` + "\n"

// A node whose server takes no writes any more is not ready and says why; it
// says so in its log once, refuses writes without an error of its own, and goes
// on by itself when the server takes writes again.
func TestDemotedPrimary(t *testing.T) {
	t.Parallel()
	server := newServer(t, func() (*pgtest.Server, error) { return pgtest.Start(pgtest.Options{}) })
	db, err := server.Create(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, db, db)
	n.serves(func() {
		exec(t, server.URL("postgres"), "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()")
	}, func() {
		exec(t, server.URL("postgres"), "SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()")
	})
	n.serves(func() {
		if err := server.Demote(); err != nil {
			t.Fatal(err)
		}
		// Nothing is read that another server may have changed.
		if status, body := call(t, n.client, "GET", n.url+"/v1/accounts/7", "Bearer "+n.operator.AuthSecret(), ""); status != 503 {
			t.Errorf("%d %s", status, body)
		}
	}, func() {
		if err := server.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if log := n.log.String(); strings.Contains(log, "write failed") || strings.Contains(log, "request failed") {
		t.Errorf("the log says\n%s", log)
	}
}

// serves checks what a node does while its server takes no writes.
func (n *node) serves(demote, promote func()) {
	n.Helper()
	const gone, back = "the database cannot be used", "the database can be used again"
	before, after := n.said(gone), n.said(back)
	demote()
	within(n.T, "the node is not ready", func() bool {
		status, body := n.ready()
		return status == 503 && body == replicaReason
	})
	for range 3 {
		status, body := n.charge()
		if status != 503 || !strings.Contains(body, `"code":"overloaded"`) || !strings.Contains(body, "it is read-only") {
			n.Errorf("%d %s", status, body)
		}
	}
	for range 5 {
		n.ready()
	}
	if times := n.said(gone) - before; times < 1 || times > 2 { // connections may be lost first
		n.Errorf("it was said %d times:\n%s", times, n.log)
	}
	promote()
	within(n.T, "the node is ready and says so", func() bool {
		status, _ := n.ready()
		return status == 200 && n.said(back) == after+1
	})
	if status, body := n.charge(); status != 201 {
		n.Errorf("%d %s", status, body)
	}
}

func exec(t *testing.T, db, statements string) {
	t.Helper()
	for statement := range strings.SplitSeq(statements, "; ") { // ALTER SYSTEM does not stand beside others
		if strings.HasPrefix(statement, "SET ") {
			db += "&default_transaction_read_only=off"
			continue
		}
		if err := pgtest.Exec(t.Context(), db, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A replica is not served, but verified and signed; when it takes over, a node
// whose URL names both goes on by itself, and nothing that was answered is lost.
func TestReplica(t *testing.T) {
	t.Parallel()
	primary := newServer(t, func() (*pgtest.Server, error) { return pgtest.Start(pgtest.Options{}) })
	db, err := primary.Create(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	replica := newServer(t, primary.Replica)
	exec(t, primary.URL("postgres"), "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()")
	n := newNode(t, db, strings.Replace(db, primary.Host(), primary.Host()+","+replica.Host(), 1)+"&target_session_attrs=read-write")

	copied := replica.URL("ledger")
	if _, err := app.OpenStore(t.Context(), copied); !errors.Is(err, postgres.ErrReplica) || !strings.Contains(hintOf(err), "target_session_attrs") {
		t.Errorf("a replica: %v with hint %q", err, hintOf(err))
	}
	if _, err := app.Init(t.Context(), copied); !errors.Is(err, postgres.ErrReplica) {
		t.Errorf("a new ledger on a replica: %v", err)
	}
	into := t.TempDir()
	_, err = app.Copy(t.Context(), copied, into+"/copy.db", app.CopyOptions{})
	if left := folder(t, into); !errors.Is(err, postgres.ErrReplica) || !strings.Contains(hintOf(err), "copy from the primary") || len(left) != 0 {
		t.Errorf("a copy from a replica leaves %v: %v with hint %q", left, err, hintOf(err))
	}
	// Synchronous means that it is written there, and a moment later it shows.
	within(t, "the replica has the charge", func() bool {
		report, err := app.Verify(t.Context(), copied, engine.VerifyOptions{})
		return err == nil && report.ProblemCount == 0 && report.Entries == 2
	})
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if info, err := app.Checkpoint(t.Context(), copied, time.Now(), key, &file); err != nil || info.Wallets != 1 { // the other one was never used
		t.Errorf("a checkpoint: %+v, %v", info, err)
	}

	for range 5 {
		if status, body := n.charge(); status != 201 {
			t.Fatal(status, body)
		}
	}
	if err := primary.Halt(); err != nil {
		t.Fatal(err)
	}
	if status, body := n.charge(); status != 503 || !strings.Contains(body, `"code":"overloaded"`) {
		t.Errorf("%d %s", status, body)
	}
	exec(t, replica.URL("postgres"), "SELECT pg_promote(true, 60)")
	exec(t, replica.URL("postgres"), "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()")
	within(t, "the node goes on", func() bool {
		status, _ := n.ready()
		return status == 200
	})
	if status, body := n.charge(); status != 201 {
		t.Errorf("%d %s", status, body)
	}
	report, err := app.Verify(t.Context(), copied, engine.VerifyOptions{})
	if err != nil || report.ProblemCount != 0 || report.Entries != 1+1+5+1 {
		t.Errorf("%+v, %v", report, err)
	}
	if err := primary.Restart(); err != nil { // so that it can be stopped
		t.Error(err)
	}
}
