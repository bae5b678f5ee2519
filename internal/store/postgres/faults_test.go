package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// newLedger makes a ledger with an account 7 and an account 8.
func newLedger(t *testing.T) (*postgres.Store, string) {
	t.Helper()
	database := pgtest.NewDatabase(t)
	store := opened(t)(postgres.Create(t.Context(), database))
	n := nodes{storetest.NewEngine(t, store, engine.Options{})}
	n.account(t, 7, 1000)
	n.account(t, 8, 1000)
	return store, database
}

// Two writes that lock in opposite order stand in each other's way. The server
// ends one, which is attempted again from its beginning.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	store, _ := newLedger(t)
	var both sync.WaitGroup
	both.Add(2)
	var attempts atomic.Int32
	var group sync.WaitGroup
	for i := range 2 {
		group.Go(func() {
			var once sync.Once
			refs := []ledger.WalletRef{sms(7), sms(8)}
			err := store.Write(t.Context(), func(tx engine.Tx) error {
				attempts.Add(1)
				if _, err := tx.Lock(t.Context(), refs[i:i+1]); err != nil {
					return err
				}
				once.Do(func() {
					both.Done()
					both.Wait()
				})
				_, err := tx.Lock(t.Context(), refs[1-i:2-i])
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := attempts.Load(); n < 3 {
		t.Errorf("there were %d attempts", n)
	}
}

// A deadlock that does not go away ends in an error that says so, for the whole
// batch at once: it is not met again for each of its requests.
func TestLastingDeadlock(t *testing.T) {
	t.Parallel()
	store, database := newLedger(t)
	e := storetest.NewEngine(t, store, engine.Options{SweepInterval: -1})
	// What a sequence counts stays counted when a transaction is rolled back.
	exec(t, database, `CREATE SEQUENCE attempts;
		CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM nextval('attempts'); RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END $$;
		CREATE TRIGGER deadlock BEFORE INSERT ON transactions FOR EACH STATEMENT EXECUTE FUNCTION deadlock()`)
	release := hold(t, database, "SELECT 1 FROM wallets WHERE account_id = 8 FOR UPDATE")
	errs := make(chan error)
	charge := func(name string, account ledger.AccountID) {
		_, _, err := e.Post(t.Context(), ledger.Request{IdempotencyKey: name, Kind: ledger.Charge, Wallet: sms(account), Amount: 1})
		errs <- err
	}
	go charge("first", 8) // keeps the committer busy until the others are there, which share a transaction then
	const waiting = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	for deadline := time.Now().Add(8 * time.Second); query(t, database, waiting) == "0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the wallet")
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		go charge(name, 7)
	}
	for deadline := time.Now().Add(8 * time.Second); e.QueueDepth() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the others do not wait for the committer")
		}
	}
	release()
	for range 4 {
		if err := <-errs; ledger.CodeOf(err) != ledger.Overloaded || !strings.Contains(err.Error(), "each other's way") {
			t.Errorf("the error is %v", err)
		}
	}
	if got := query(t, database, "SELECT last_value::text FROM attempts"); got != "24" {
		t.Errorf("there were %s attempts at two transactions", got)
	}
	exec(t, database, "DROP TRIGGER deadlock ON transactions")
	go charge("a", 7)
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

// A connection that is lost before the commit costs another attempt.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	store, database := newLedger(t)
	attempts := 0
	err := store.Write(t.Context(), func(tx engine.Tx) error {
		attempts++
		holders, err := tx.Lock(t.Context(), []ledger.WalletRef{sms(7)})
		if err != nil {
			return err
		}
		if attempts == 1 {
			terminate(t, database)
		}
		wallet := holders[7].Wallets[0]
		wallet.Balance++
		return tx.Append(t.Context(), &engine.Batch{Wallets: []*ledger.Wallet{&wallet}})
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
	holder, err := store.Holder(t.Context(), 7)
	if err != nil || holder.Wallets[0].Balance != 1001 {
		t.Errorf("the account is %+v, %v", holder, err)
	}
}

// terminate ends the sessions that are in the middle of a transaction.
func terminate(t *testing.T, database string) {
	t.Helper()
	err := pgtest.Exec(context.Background(), database, `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'`)
	if err != nil {
		t.Error(err)
	}
}

// A connection that is lost during the commit leaves in doubt what became of
// it. The engine makes the same request again and finds out.
func TestUnknownCommit(t *testing.T) {
	t.Parallel()
	_, database := newLedger(t)
	for name, when := range map[string]cut{"before": beforeCommit, "after": afterCommit} {
		t.Run(name, func(t *testing.T) {
			proxy := newProxy(t, database)
			store := opened(t)(postgres.Open(t.Context(), proxy.url))
			e := storetest.NewEngine(t, store, engine.Options{SweepInterval: -1})
			request := ledger.Request{IdempotencyKey: name, Kind: ledger.Charge, Wallet: sms(7), Amount: 1}
			proxy.cut.Store(int32(when))
			first, replayed := post(t, e, request) // the engine asks again
			if replayed || first.Rejection != "" {
				t.Errorf("replayed %t: %+v", replayed, first)
			}
			if again, replayed := post(t, e, request); !replayed || again.Version != first.Version {
				t.Errorf("replayed %t: %+v", replayed, again)
			}
			err := store.Write(t.Context(), func(engine.Tx) error {
				proxy.cut.Store(int32(when))
				return nil
			})
			if !errors.Is(err, engine.ErrCommitUnknown) {
				t.Errorf("the error is %v", err)
			}
			storetest.Verify(t, store)
		})
	}
}

// cut says when a proxy cuts a connection.
type cut int32

const (
	never cut = iota
	beforeCommit
	afterCommit
)

// proxy stands between a store and the server, and cuts a connection when a
// commit passes, once.
type proxy struct {
	url, target string
	cut         atomic.Int32
}

func newProxy(t *testing.T, database string) *proxy {
	t.Helper()
	to, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &proxy{target: to.Host}
	to.Host = listener.Addr().String()
	p.url = to.String()
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	var deaf atomic.Bool
	go func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil || deaf.Load() {
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("COMMIT\x00")) {
			when := cut(p.cut.Swap(int32(never)))
			if when == beforeCommit {
				return
			}
			deaf.Store(when == afterCommit) // the server hears of the commit, and nobody hears the server
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A server that takes no writes any more says so, and when it takes them again,
// so does the store.
func TestReplica(t *testing.T) {
	t.Parallel()
	store, database := newLedger(t)
	turn := func(setting string) {
		t.Helper()
		name := database[strings.LastIndex(database, "/")+1 : strings.Index(database, "?")]
		err := pgtest.Exec(t.Context(), database+"&default_transaction_read_only=off", "ALTER DATABASE "+name+" SET default_transaction_read_only = "+setting+
			"; SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err != nil {
			t.Fatal(err)
		}
	}
	turn("on")
	// The connections that it has are lost, as they are when a server is replaced.
	for store.Ping(t.Context()) != nil && !errors.Is(store.Ping(t.Context()), postgres.ErrReplica) {
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	if _, err := postgres.Open(t.Context(), database); !errors.Is(err, postgres.ErrReplica) {
		t.Errorf("open: %v", err)
	}
	write := func() error {
		return store.Write(t.Context(), func(tx engine.Tx) error {
			return tx.UpdateWallet(t.Context(), sms(7), &ledger.Settings{CreditLimit: 1})
		})
	}
	if err := write(); err == nil || errors.Is(err, engine.ErrCommitUnknown) {
		t.Errorf("write: %v", err)
	}
	reading := opened(t)(postgres.OpenReadOnly(t.Context(), database))
	storetest.Verify(t, reading)
	if err := reading.Ping(t.Context()); err != nil {
		t.Errorf("ping of a reader: %v", err)
	}
	turn("off")
	if err := write(); err != nil { // on another connection
		t.Error(err)
	}
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	database := pgtest.NewDatabase(t)
	if _, err := postgres.Open(ctx, database); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("open of nothing: %v", err)
	}
	if _, err := postgres.OpenReadOnly(ctx, database); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("reading of nothing: %v", err)
	}
	exec := func(statement string) {
		t.Helper()
		if err := pgtest.Exec(ctx, database, statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE something (id integer)")
	for _, open := range []func(context.Context, string) (*postgres.Store, error){postgres.Create, postgres.Open, postgres.OpenReadOnly} {
		if _, err := open(ctx, database); !errors.Is(err, postgres.ErrNotLedger) {
			t.Errorf("another program's database: %v", err)
		}
	}
	exec("DROP TABLE something")

	store := opened(t)(postgres.Create(ctx, database))
	opened(t)(postgres.Create(ctx, database)) // nothing is in it, so it is as good as none
	key := ledger.Key{ID: "AK1", Digest: ledger.Hash{1}}
	if err := store.Write(ctx, func(tx engine.Tx) error { return tx.InsertKey(ctx, &key) }); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Create(ctx, database); !errors.Is(err, postgres.ErrExists) {
		t.Errorf("a second ledger: %v", err)
	}
	if err := postgres.Forget(ctx, database, "AK2"); err != nil { // of somebody else, who failed
		t.Fatal(err)
	}
	if _, err := postgres.Create(ctx, database); !errors.Is(err, postgres.ErrExists) {
		t.Errorf("after another key was forgotten: %v", err)
	}
	if err := postgres.Forget(ctx, database, "AK1"); err != nil {
		t.Fatal(err)
	}
	opened(t)(postgres.Create(ctx, database))
	opened(t)(postgres.Open(ctx, database))

	reading := opened(t)(postgres.OpenReadOnly(ctx, database))
	if err := reading.Write(ctx, func(engine.Tx) error { return nil }); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("a write to a reader: %v", err)
	}
	exec("UPDATE saldo_version SET version_id = 99 WHERE version_id = 3")
	for _, open := range []func(context.Context, string) (*postgres.Store, error){postgres.Create, postgres.Open, postgres.OpenReadOnly} {
		if _, err := open(ctx, database); !errors.Is(err, postgres.ErrNewer) {
			t.Errorf("a later version: %v", err)
		}
	}
	exec("DELETE FROM saldo_version WHERE version_id = 99")
	if _, err := postgres.OpenReadOnly(ctx, database); !errors.Is(err, postgres.ErrOlder) {
		t.Errorf("an earlier version: %v", err)
	}
}

// No error shows a password, whatever is wrong with the URL.
func TestPasswords(t *testing.T) {
	t.Parallel()
	database, err := url.Parse(pgtest.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"postgres://saldo:s3cr3t@" + database.Host + "/test", "postgresql://saldo:s3cr3t@127.0.0.1:1/test", "postgres://saldo:s3cr3t@/%zz", "postgres://saldo:s3cr3t%@host/db",
		"postgres://host/db?password=s3cr3t&sslmode=nonsense", "postgres://u:s3cr3t@host:port/db", "postgres://u:p@s3cr3t@host/db?sslmode=x", "mysql://u:s3cr3t@host/db",
	} {
		_, err := postgres.Open(t.Context(), name)
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", name, err)
		}
		if shown := postgres.Redact(name); strings.Contains(shown, "s3cr3t") {
			t.Errorf("%s is shown as %s", name, shown)
		}
	}
	if shown := postgres.Redact("postgres://u:s3cr3t@host:5433/db?sslmode=disable"); shown != "postgres://u@host:5433/db" {
		t.Errorf("it is shown as %s", shown)
	}
}

// Behind PgBouncer no statement has a name, and the server may not be asked what
// a statement looks like first. The URL says so.
func TestExecModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			_, database := newLedger(t)
			store := opened(t)(postgres.Open(t.Context(), database+"&default_query_exec_mode="+mode))
			e := storetest.NewEngine(t, store, engine.Options{})
			credentials := engine.GenerateCredentials()
			if _, err := e.CreateKey(t.Context(), ledger.Key{Account: 7, Scopes: ledger.Scopes[:1], Caps: ledger.Caps{Daily: 500}}, credentials); err != nil {
				t.Fatal(err)
			}
			placed, _ := post(t, e, ledger.Request{
				IdempotencyKey: "a", Kind: ledger.PlaceHold, Wallet: sms(7), Amount: 9, ExpiresIn: 1e12, Reference: "m", Key: credentials.ID,
				Metadata: ledger.Metadata{"a": `'"\`},
			})
			post(t, e, ledger.Request{IdempotencyKey: "b", Kind: ledger.Capture, Parent: placed.ID, Amount: 3, Final: true, Key: credentials.ID})
			charged, _ := post(t, e, ledger.Request{IdempotencyKey: "c", Kind: ledger.Charge, Wallet: sms(7), Amount: 3})
			post(t, e, ledger.Request{IdempotencyKey: "d", Kind: ledger.Refund, Parent: charged.ID, Amount: 2})
			found, err := store.Transaction(t.Context(), placed.ID)
			if err != nil || found.Metadata["a"] != `'"\` {
				t.Errorf("%+v, %v", found, err)
			}
			holds, err := e.HoldsByReference(t.Context(), engine.HoldReference{Account: 7, Reference: "m"}, 3)
			if err != nil || len(holds) != 1 || holds[0].State != ledger.HoldCaptured {
				t.Errorf("%+v, %v", holds, err)
			}
			askInMode(t, store)
			storetest.Verify(t, store)
		})
	}
}

// askInMode has a store run what it has for upstreams.
func askInMode(t *testing.T, store *postgres.Store) {
	t.Helper()
	if _, has, err := store.ClaimUpstream(t.Context(), claimOf("one", noon)); err != nil || !has || !record(t, store, "one", noon) {
		t.Errorf("claimed %t, %v", has, err)
	}
	if _, has, err := store.ClaimUpstream(t.Context(), claimOf("other", noon)); err != nil || has {
		t.Errorf("claimed again %t, %v", has, err)
	}
	for _, step := range []time.Duration{0, time.Minute} {
		key := readingAt(noon, 1).Key
		query := readings.Query{Upstream: "main", From: noon, To: noon.Add(time.Hour), Step: step, Key: &key, Limit: 5}
		if found, err := store.UpstreamReadings(t.Context(), query); err != nil || len(found) != 1 {
			t.Errorf("readings of each %s: %+v, %v", step, found, err)
		}
	}
	pruning := readings.Pruning{Expired: noon.Add(time.Hour), ThinFrom: noon, ThinTo: noon.Add(time.Minute), Step: time.Second}
	if n, err := store.PruneUpstreams(t.Context(), pruning); err != nil || n != 1 {
		t.Errorf("%d readings were removed, %v", n, err)
	}
	usage := engine.UsageQuery{From: noon, To: noon.Add(time.Hour), By: engine.ByKind, Upstream: "main", Limit: 5}
	if _, err := store.Usage(t.Context(), usage); err != nil {
		t.Error(err)
	}
}
