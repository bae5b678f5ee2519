package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// What can be had once is had by one of all who ask for it at the same instant,
// and the others are told of the conflict, not of an internal error.
func TestNodesSameNames(t *testing.T) {
	t.Parallel()
	n, store := newNodes(t)
	n.account(t, 7, 0)
	for name, try := range map[string]func(e *engine.Engine, round, i int) error{
		"id": func(e *engine.Engine, round, _ int) error {
			_, err := e.CreateAccount(context.Background(), ledger.Account{ID: ledger.AccountID(100 + round), Name: "Example Ltd", Currency: "CNY"})
			return err
		},
		"reference": func(e *engine.Engine, round, _ int) error {
			_, err := e.CreateAccount(context.Background(), ledger.Account{Name: "Example Ltd", Currency: "CNY", ExternalReference: fmt.Sprint(round)})
			return err
		},
		"key": func(e *engine.Engine, round, _ int) error {
			credentials := ledger.Credentials{ID: fmt.Sprint("key-", round), Secret: "0123456789abcdef"}
			_, err := e.CreateKey(context.Background(), ledger.Key{Account: 7, Scopes: ledger.Scopes[:1]}, credentials)
			return err
		},
	} {
		for round := range 5 {
			var mu sync.Mutex
			codes := map[ledger.Code]int{}
			n.atOnce(4, func(e *engine.Engine, i int) {
				err := try(e, round, i)
				mu.Lock()
				defer mu.Unlock()
				codes[ledger.CodeOf(err)]++
			})
			if codes[""] != 1 || codes[ledger.Conflict] != 4*len(n)-1 {
				t.Errorf("%s: %v", name, codes)
			}
		}
	}
	storetest.Verify(t, store)
}

// Two accounts that want each other's external reference stand in each other's
// way in the index. The server ends one of them, and it is told of a conflict, for
// none of the references is free.
func TestNodesSwapReferences(t *testing.T) {
	t.Parallel()
	n, _ := newNodes(t)
	references := []string{"one", "other"}
	for i, reference := range references {
		account := ledger.Account{ID: ledger.AccountID(i + 1), Name: "Example Ltd", Currency: "CNY", ExternalReference: reference}
		if _, err := n[0].CreateAccount(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		n[:2].atOnce(1, func(e *engine.Engine, i int) {
			_, err := e.UpdateAccount(context.Background(), ledger.AccountID(i+1), engine.AccountChange{ExternalReference: &references[1-i]})
			if ledger.CodeOf(err) != ledger.Conflict {
				t.Errorf("account %d: %v", i+1, err)
			}
		})
	}
}

// A node that starts while another one leaves a finished copy leaves it, too, also
// where transactions of the database are isolated otherwise than usual.
func TestNodesLeaveCopy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	database := pgtest.NewDatabase(t)
	opened(t)(postgres.Create(ctx, database))
	name := query(t, database, "SELECT current_database()")
	exec(t, database, "ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
	exec(t, database, "INSERT INTO copy_progress (id, source, transactions, finished, run) VALUES (1, decode(repeat('00', 32), 'hex'), 0, 1, 1)")
	other, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	if _, err := other.PgConn().Exec(ctx, "BEGIN; DELETE FROM copy_progress").ReadAll(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() {
		store, err := postgres.Open(ctx, database)
		if err == nil {
			err = store.Close()
		}
		started <- err
	}()
	const waiting = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	for deadline := time.Now().Add(8 * time.Second); query(t, database, waiting) == "0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the row")
		}
	}
	if _, err := other.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
}
