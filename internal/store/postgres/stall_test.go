package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// stalling is a store on a server of its own, which a test may stop in its tracks.
func stalling(t *testing.T) (*pgtest.Server, string, *postgres.Store) {
	t.Helper()
	server, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	url, err := server.Create(t.Context(), "stalling")
	if err != nil {
		t.Fatal(err)
	}
	return server, url, opened(t)(postgres.Create(t.Context(), url))
}

// insert is a write that adds a key.
func insert(id string) func(engine.Tx) error {
	return func(tx engine.Tx) error {
		return tx.InsertKey(context.Background(), &ledger.Key{ID: id, Digest: ledger.Hash{byte(len(id))}})
	}
}

// A connection that rested is looked at before it is used. Where the server hangs,
// a write that has no deadline of its own is not kept waiting by that.
func TestServerHangsWhileNobodyAsks(t *testing.T) {
	t.Parallel()
	server, _, store := stalling(t)
	if err := store.Write(t.Context(), insert("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // after a second pgx looks at a connection
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- store.Write(context.Background(), insert("22")) }()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, engine.ErrCommitUnknown) {
			t.Errorf("the write: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the write waits for ever")
	}
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
}

// A commit that waits too long for a second server is in doubt, and stays as it
// is: nobody sees what is on one server alone until the other one has it.
func TestCommitWaitsForAnotherServer(t *testing.T) {
	t.Parallel()
	_, url, store := stalling(t)
	set := func(standby string) {
		t.Helper()
		for _, statement := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + standby + "'", "SELECT pg_reload_conf()"} {
			if err := pgtest.Exec(t.Context(), url, statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	keys := func() int {
		t.Helper()
		found, err := store.Keys(t.Context(), ledger.Operator, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	set("nobody")
	time.Sleep(200 * time.Millisecond) // until the server has read it
	if err := store.Write(context.Background(), insert("1")); !errors.Is(err, engine.ErrCommitUnknown) {
		t.Fatalf("the write: %v", err)
	}
	time.Sleep(500 * time.Millisecond)
	if n := keys(); n != 0 {
		t.Errorf("%d keys are seen that are on one server alone", n)
	}
	set("")
	for deadline := time.Now().Add(20 * time.Second); keys() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the commit never came")
		}
	}
}
