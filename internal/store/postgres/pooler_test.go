package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// newPooler starts PgBouncer with the configuration of the documentation, but
// with few connections of the server, which it lends in turn, so that one
// transaction after the other runs in another session.
func newPooler(t *testing.T, size int) *pgtest.Pooler {
	t.Helper()
	return pgtest.NewPooler(t, "../../../deploy/postgresql/pgbouncer.ini", map[string]string{
		"default_pool_size": fmt.Sprint(size), "server_round_robin": "1",
	})
}

// The suite passes through PgBouncer in transaction mode. The long test against a
// model tells nothing of the way to the server that the others do not.
func TestStoreBehindPooler(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite runs without a pooler")
	}
	t.Parallel()
	// One for a snapshot, one for a write that waits for another one's locks, and
	// one for a reading beside them.
	pooler := newPooler(t, 4)
	storetest.Run(t, func(t *testing.T) storetest.Ledger {
		direct := pgtest.NewDatabase(t)
		url := pooler.URL(direct)
		return storetest.Ledger{
			Open: func(ctx context.Context) (storetest.Store, error) {
				store, err := postgres.Open(ctx, url)
				if errors.Is(err, postgres.ErrNotFound) {
					store, err = postgres.Create(ctx, url)
				}
				return store, err
			},
			Exec: func(statement string) error { return pgtest.Exec(context.Background(), direct, statement) },
		}
	}, "engine: against a model",
		// Long readings, that are nothing else behind a pooler.
		"engine: usage against a model", "engine: statements", "engine: rows of statements", "usage adds up", "a snapshot pages in order",
		"upstreams: readings against a model")
}

// Nodes that share two connections of the server, each for one transaction at a
// time, lose nothing and spend nothing twice.
func TestNodesBehindPooler(t *testing.T) {
	t.Parallel()
	url := newPooler(t, 2).URL(pgtest.NewDatabase(t))
	store := opened(t)(postgres.Create(t.Context(), url))
	all := nodes{storetest.NewEngine(t, store, engine.Options{})}
	for range 2 {
		all = append(all, storetest.NewEngine(t, opened(t)(postgres.Open(t.Context(), url)), engine.Options{}))
	}
	const accounts, money, each = 5, 50, 100
	for id := range ledger.AccountID(accounts) {
		all.account(t, id+1, money)
	}
	var mu sync.Mutex
	posted := 0
	all.atOnce(each, func(e *engine.Engine, i int) {
		id := ledger.AccountID(i%accounts) + 1
		charged, _ := post(t, e, ledger.Request{IdempotencyKey: fmt.Sprint(i), Kind: ledger.Charge, Wallet: sms(id), Amount: 1})
		if _, err := e.Holder(context.Background(), id); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if charged.Rejection == "" {
			posted++
		}
	})
	if posted != accounts*money {
		t.Errorf("%d charges were posted, not %d", posted, accounts*money)
	}
	storetest.Verify(t, store)
	if sessions := sessionsOf(t, url); sessions < 2 {
		t.Errorf("all was done in %d session", sessions)
	}
}

// sessionsOf counts the sessions of the server that a pooler has for a database. It
// keeps them for those who come later.
func sessionsOf(t *testing.T, url string) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	err = conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
		pgx.QueryExecModeSimpleProtocol).Scan(&count)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// Who insists on prepared statements is told what is wrong with them.
func TestPreparedBehindPooler(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	opened(t)(postgres.Create(t.Context(), database))
	url := newPooler(t, 1).URL(database) + "&default_query_exec_mode=cache_statement"
	// Both prepare the same statements, in the one session that there is.
	for range 2 {
		store, err := postgres.OpenReadOnly(t.Context(), url)
		if err == nil {
			t.Cleanup(func() { store.Close() })
			continue
		}
		if !errors.Is(err, postgres.ErrPrepared) {
			t.Error(err)
		}
		return
	}
	t.Error("prepared statements worked")
}

// A setting that the server, or PgBouncer, does not take is named as such.
func TestSettings(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	opened(t)(postgres.Create(t.Context(), database))
	opened(t)(postgres.OpenReadOnly(t.Context(), database+"&statement_timeout=5s"))
	pooled := newPooler(t, 1).URL(database)
	for _, url := range []string{database + "&pool_max_con=5", database + "&statement_timeout=long", pooled + "&statement_timeout=5s"} {
		if _, err := postgres.OpenReadOnly(t.Context(), url); !errors.Is(err, postgres.ErrSetting) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
