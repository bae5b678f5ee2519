package postgres_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// This file is about the way to the server: TLS, names, limits and rights.

// newRole makes a role that may connect, with a password, and gives the URL with
// which it does.
func newRole(t *testing.T, database, role, options string) string {
	t.Helper()
	exec(t, database, "CREATE ROLE "+role+" LOGIN PASSWORD 's3cr3t' "+options)
	t.Cleanup(func() {
		if err := pgtest.Exec(context.Background(), database, "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	_, host, _ := strings.Cut(database, "@")
	return "postgres://" + role + ":s3cr3t@" + host
}

func exec(t *testing.T, database, statements string) {
	t.Helper()
	if err := pgtest.Exec(t.Context(), database, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// Each of the modes of TLS does what libpq's documentation says of it.
func TestTLS(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	opened(t)(postgres.Create(t.Context(), database))
	plain := newPooler(t, 2).URL(database) // which has no TLS
	broken := "postgres://saldo@" + plainAndBroken(t) + "/test?sslmode=disable"
	ca, wrong, missing := pgtest.CA(t), pgtest.OtherCA(t), filepath.Join(t.TempDir(), "none.pem")
	misnamed := strings.Replace(database, "127.0.0.1", "localhost", 1)
	with := func(url, settings string) string { return strings.Replace(url, "sslmode=disable", settings, 1) }
	for _, test := range []struct {
		url  string
		want error
	}{
		{with(database, ""), nil},
		{with(database, "sslmode=prefer"), nil},
		{with(database, "sslmode=require"), nil},
		{with(database, "sslmode=verify-ca&sslrootcert="+ca), nil},
		{with(database, "sslmode=verify-full&sslrootcert="+ca), nil},
		{with(misnamed, "sslmode=verify-ca&sslrootcert="+ca), nil},
		{with(misnamed, "sslmode=verify-full&sslrootcert="+ca), postgres.ErrCertificate},
		{with(database, "sslmode=verify-full"), postgres.ErrCertificate},
		{with(database, "sslmode=verify-full&sslrootcert="+wrong), postgres.ErrCertificate},
		{with(database, "sslmode=verify-ca&sslrootcert="+wrong), postgres.ErrCertificate},
		{with(database, "sslmode=verify-ca&sslrootcert="+missing), postgres.ErrFile},
		{with(database, "sslmode=certain"), postgres.ErrURL},
		{with(plain, "sslmode=prefer"), nil},
		{with(plain, "sslmode=require"), postgres.ErrNoTLS},
		{with(plain, "sslmode=verify-full&sslrootcert="+ca), postgres.ErrNoTLS},
		// Where TLS may be missing, its absence is not what went wrong.
		{with(plain, "sslmode=prefer&target_session_attrs=standby"), postgres.ErrSetting},
		{with(broken, "sslmode=prefer"), postgres.ErrUnreachable},
		{with(broken, "sslmode=require"), postgres.ErrNoTLS},
	} {
		store, err := postgres.OpenReadOnly(t.Context(), test.url)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, not %v", test.url, err, test.want)
		}
		if err == nil {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// What it says of itself is what the server sees.
	for mode, want := range map[string]string{"disable": "f", "prefer": "t", "require": "t"} {
		opened(t)(postgres.OpenReadOnly(t.Context(), with(database, "sslmode="+mode)+"&application_name=tls-"+mode))
		got := query(t, database, "SELECT bool_and(s.ssl)::text FROM pg_stat_ssl AS s JOIN pg_stat_activity USING (pid) WHERE application_name = 'tls-"+mode+"'")
		if !strings.HasPrefix(got, want) {
			t.Errorf("sslmode=%s: encrypted is %q", mode, got)
		}
	}
}

// plainAndBroken is the address of a server that refuses TLS, and ends each
// connection that goes on without it.
func plainAndBroken(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 8)
			_, err = io.ReadFull(client, request)
			if err == nil && binary.BigEndian.Uint32(request[4:]) == 80877103 { // which asks for TLS
				_, err = client.Write([]byte("N"))
			}
			if err := errors.Join(err, client.Close()); err != nil {
				t.Error(err)
			}
		}
	}()
	return listener.Addr().String()
}

// A session says which node it belongs to, unless the URL says something else.
func TestApplicationName(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	database := pgtest.NewDatabase(t)
	const names = `SELECT string_agg(DISTINCT application_name, ' ') FROM pg_stat_activity
		WHERE datname = current_database() AND application_name <> ''`
	opened(t)(postgres.Create(t.Context(), database))
	if got, want := query(t, database, names), "saldo@"+host; got != want {
		t.Errorf("the sessions are of %q, not %q", got, want)
	}
	opened(t)(postgres.Open(t.Context(), database+"&application_name=saldo-7"))
	if got := query(t, database, names); !strings.HasPrefix(got, "saldo-7 ") {
		t.Errorf("the sessions are of %q", got)
	}
}

// A node has no more connections than its URL says, and four for its writes.
func TestPoolSize(t *testing.T) {
	t.Parallel()
	_, database := newLedger(t)
	store := opened(t)(postgres.Open(t.Context(), database+"&pool_max_conns=3&application_name=small"))
	e := storetest.NewEngine(t, store, engine.Options{})
	nodes{e}.atOnce(40, func(e *engine.Engine, i int) {
		post(t, e, ledger.Request{IdempotencyKey: fmt.Sprint(i), Kind: ledger.Charge, Wallet: sms(7), Amount: 1})
		if _, err := e.Holders(context.Background(), 0, 5); err != nil {
			t.Error(err)
		}
	})
	got := query(t, database, "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'small'")
	if got < "1" || got > "7" || len(got) != 1 {
		t.Errorf("there are %s connections", got)
	}
}

// A server that has no connection to give says so, at the start and later.
func TestNoConnectionFree(t *testing.T) {
	t.Parallel()
	admin := pgtest.NewDatabase(t)
	database := newRole(t, admin, "limited", "CONNECTION LIMIT 1")
	exec(t, admin, "GRANT CREATE ON SCHEMA public TO limited")
	if _, err := postgres.Create(t.Context(), database); !errors.Is(err, postgres.ErrConnections) {
		t.Errorf("create: %v", err)
	}
	exec(t, admin, "ALTER ROLE limited CONNECTION LIMIT 2")
	store := opened(t)(postgres.Create(t.Context(), database)) // one that reads and one that writes
	exec(t, admin, "ALTER ROLE limited CONNECTION LIMIT 0; "+disconnectAll)
	for range 3 {
		if _, err := store.Holders(t.Context(), 0, 1); err == nil {
			t.Error("it was read")
		} else if ledger.CodeOf(err) != ledger.Overloaded {
			t.Errorf("reading: %v", err)
		}
	}
	err := store.Write(t.Context(), func(engine.Tx) error { return nil })
	if ledger.CodeOf(err) != ledger.Overloaded || !errors.Is(err, postgres.ErrConnections) {
		t.Errorf("writing: %v", err)
	}
}

const disconnectAll = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

// A lock that somebody else keeps ends in an error that says so, for the whole
// batch at once, and is told once.
func TestHeldLock(t *testing.T) {
	t.Parallel()
	_, database := newLedger(t)
	// A time-out of the URL that is shorter than the store's own holds.
	store := opened(t)(postgres.Open(t.Context(), database+"&lock_timeout=300ms&statement_timeout=2min"))
	var mu sync.Mutex
	var told []error
	store.Watch(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	})
	e := storetest.NewEngine(t, store, engine.Options{SweepInterval: -1})
	release := hold(t, database, "SELECT 1 FROM wallets WHERE account_id = 7 FOR UPDATE")
	requests := []ledger.Request{
		{IdempotencyKey: "a", Kind: ledger.Charge, Wallet: sms(7), Amount: 1},
		{IdempotencyKey: "b", Kind: ledger.Charge, Wallet: sms(8), Amount: 1},
	}
	for range 2 {
		if _, err := e.PostBatch(t.Context(), requests, false); ledger.CodeOf(err) != ledger.Overloaded || !strings.Contains(err.Error(), "lock") {
			t.Errorf("the error is %v", err)
		}
	}
	release()
	results, err := e.PostBatch(t.Context(), requests, false)
	if err != nil || results[0].Replayed || results[1].Replayed {
		t.Errorf("%+v, %v", results, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || !errors.Is(told[0], postgres.ErrSlow) {
		t.Errorf("it was told %v", told)
	}
}

// What takes a moment is not told of for each request, and its end is told once.
func TestWatch(t *testing.T) {
	t.Parallel()
	admin := pgtest.NewDatabase(t)
	database := newRole(t, admin, "watched", "")
	exec(t, admin, "GRANT CREATE ON SCHEMA public TO watched")
	store := opened(t)(postgres.Create(t.Context(), database))
	var mu sync.Mutex
	var told []string
	store.Watch(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(errors.Is(err, postgres.ErrConnections), err == nil))
	})
	exec(t, admin, "ALTER ROLE watched CONNECTION LIMIT 0; "+disconnectAll)
	for range 5 {
		if err := store.Ping(t.Context()); err == nil {
			t.Error("it answers")
		}
	}
	exec(t, admin, "ALTER ROLE watched CONNECTION LIMIT -1")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := store.Ping(t.Context()); err != nil {
			t.Errorf("it does not answer: %v", err)
		}
		mu.Lock()
		over := len(told) > 0 && told[len(told)-1] == "false true"
		mu.Unlock()
		if over {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its end was not told: %v", told)
		}
	}
	// The connections that it had were lost, which may be told first.
	if n := len(told); n > 3 || told[n-2] != "true false" {
		t.Errorf("it was told %v", told)
	}
}

// The roles that the documentation shows: one that owns, one that serves and
// cannot change history, and one that reads.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	admin := pgtest.NewDatabase(t)
	owner := newRole(t, admin, "saldo_owner", "")
	app, reader := newRole(t, admin, "saldo_app", ""), newRole(t, admin, "saldo_read", "")
	name := query(t, admin, "SELECT current_database()")
	exec(t, admin, "ALTER DATABASE "+name+" OWNER TO saldo_owner")
	t.Cleanup(func() { // so that the role can go
		if err := pgtest.Exec(context.Background(), admin, "ALTER DATABASE "+name+" OWNER TO saldo"); err != nil {
			t.Error(err)
		}
	})
	if _, err := postgres.Create(ctx, app); !errors.Is(err, postgres.ErrPrivilege) {
		t.Errorf("create without the right to: %v", err)
	}
	opened(t)(postgres.Create(ctx, owner))
	if _, err := postgres.Open(ctx, app); !errors.Is(err, postgres.ErrPrivilege) {
		t.Errorf("open without any right: %v", err)
	}
	grants, err := os.ReadFile("../../../deploy/postgresql/privileges.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, owner, string(grants))

	store := opened(t)(postgres.Open(ctx, app))
	n := nodes{storetest.NewEngine(t, store, engine.Options{})}
	everything(t, n)
	if _, has, err := store.ClaimUpstream(ctx, claimOf("one", noon)); err != nil || !has || !record(t, store, "one", noon) {
		t.Errorf("claimed %t, %v", has, err)
	}
	if n, err := store.PruneUpstreams(ctx, readings.Pruning{Expired: noon.Add(time.Hour)}); err != nil || n != 1 {
		t.Errorf("%d readings were removed, %v", n, err)
	}
	storetest.Verify(t, store)
	storetest.Verify(t, opened(t)(postgres.OpenReadOnly(ctx, reader)))
	for _, forbidden := range []string{
		"UPDATE entries SET amount = 0", "DELETE FROM entries", "UPDATE transactions SET amount = 0", "DELETE FROM transactions",
		"TRUNCATE entries", "DELETE FROM holds", "DELETE FROM refunds", "DELETE FROM wallets", "DELETE FROM keys",
		"UPDATE upstream_readings SET amount = '0'", "TRUNCATE upstream_readings",
		"ALTER TABLE entries DISABLE TRIGGER ALL", "DROP TABLE entries", "CREATE TABLE mine (id integer)", "UPDATE saldo_version SET version_id = 1",
	} {
		if err := pgtest.Exec(ctx, app, forbidden); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", forbidden, err)
		}
	}
	if _, err := postgres.Open(ctx, reader); !errors.Is(err, postgres.ErrPrivilege) || !strings.Contains(err.Error(), "INSERT on entries") {
		t.Errorf("serving as who may only read: %v", err)
	}
}

// everything writes each table.
func everything(t *testing.T, n nodes) {
	t.Helper()
	n.account(t, 7, 1000)
	credentials := engine.GenerateCredentials()
	if _, err := n[0].CreateKey(t.Context(), ledger.Key{Account: 7, Scopes: ledger.Scopes[:1], Caps: ledger.Caps{Daily: 500}}, credentials); err != nil {
		t.Fatal(err)
	}
	placed, _ := post(t, n[0], ledger.Request{IdempotencyKey: "a", Kind: ledger.PlaceHold, Wallet: sms(7), Amount: 9, ExpiresIn: 1e12, Key: credentials.ID})
	post(t, n[0], ledger.Request{IdempotencyKey: "b", Kind: ledger.Capture, Parent: placed.ID, Amount: 3, Final: true, Key: credentials.ID})
	charged, _ := post(t, n[0], ledger.Request{IdempotencyKey: "c", Kind: ledger.Charge, Wallet: sms(7), Amount: 3})
	post(t, n[0], ledger.Request{IdempotencyKey: "d", Kind: ledger.Refund, Parent: charged.ID, Amount: 2})
	suspended := ledger.Suspended
	if _, err := n[0].UpdateAccount(t.Context(), 7, engine.AccountChange{Status: &suspended}); err != nil {
		t.Error(err)
	}
	if err := n[0].RevokeKey(t.Context(), credentials.ID); err != nil {
		t.Error(err)
	}
}

// hold runs a statement in a transaction that stays open until it is released.
func hold(t *testing.T, database, statement string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(t.Context(), "BEGIN; "+statement).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// query gives a text from a database.
func query(t *testing.T, database, statement string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database+"&application_name=")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), statement).Scan(&text); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return text
}

// far is a connection to another machine.
type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432} }

// A connection counts as one that others can read along on where it leaves this
// machine without TLS.
func TestExposed(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if postgres.IsExposed(near) || !postgres.IsExposed(far{near}) || postgres.IsExposed(tls.Client(far{near}, nil)) {
		t.Errorf("near %t, far %t, far by TLS %t", postgres.IsExposed(near), postgres.IsExposed(far{near}), postgres.IsExposed(tls.Client(far{near}, nil)))
	}
}
