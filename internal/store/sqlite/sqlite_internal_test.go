package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestVersionNumber(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{
		"3.51.3": 3_051_003, "3.51.10": 3_051_010, "3.52.0": 3_052_000, "3.52": 3_052_000, "4": 4_000_000, "3.9.9": 3_009_009,
		"3.51.3.1": 3_051_003, "10.0.0": 10_000_000, "": 0, "x": 0, "3.x.1": 0, "3.51.3-beta": 0,
	} {
		if got := versionNumber(version); got != want {
			t.Errorf("%q is %d, want %d", version, got, want)
		}
	}
	for _, older := range []string{"3.51.2", "3.50.99", "3.9.9", "2.99.99", "", "unknown"} {
		if versionNumber(older) >= versionNumber(minVersion) {
			t.Errorf("%q is not older than %s", older, minVersion)
		}
	}
}

func newStore(t *testing.T) *Store {
	t.Helper()
	store, err := Create(context.Background(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// The promise that a reply is on disk rests on these settings, and not on what
// a DSN asks for.
func TestSettingsAreInForce(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	ctx := context.Background()
	checkVersions(t, store)

	pragma := func(conn *sql.Conn, name string) (value string) {
		t.Helper()
		if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return value
	}
	for name, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "2000", "trusted_schema": "0",
		"wal_autocheckpoint": fmt.Sprint(checkpointPages), "locking_mode": "normal", "query_only": "0", "ignore_check_constraints": "0",
	} {
		if got := pragma(store.writer.conn, name); got != want {
			t.Errorf("the writer has %s = %s, want %s", name, got, want)
		}
	}

	// All connections of the pool, not only the first.
	for i := range store.readDB.Stats().MaxOpenConnections {
		conn, err := store.readDB.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for name, want := range map[string]string{"query_only": "1", "journal_mode": "wal", "busy_timeout": "2000"} {
			if got := pragma(conn, name); got != want {
				t.Errorf("reader %d has %s = %s, want %s", i, name, got, want)
			}
		}
		for _, statement := range []string{
			"INSERT INTO refunds (charge_id, refunded) VALUES (zeroblob(16), 1)", "UPDATE accounts SET name = 'x'", "DELETE FROM wallets", "CREATE TABLE x (y)",
			// Nor can it be talked into writing.
			"PRAGMA query_only = 0; UPDATE accounts SET name = 'x'",
		} {
			if _, err := conn.ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "readonly") {
				t.Errorf("reader %d: %s: %v", i, statement, err)
			}
		}
	}
}

func checkVersions(t *testing.T, store *Store) {
	t.Helper()
	if err := checkVersion(context.Background(), store.readDB); err != nil {
		t.Error(err)
	}
}

// A commit that the database refuses may still have happened, as far as anybody
// can tell; the writer goes on afterwards.
func TestFailedCommitIsUnknown(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	ctx := context.Background()
	err := store.Write(ctx, func(engine.Tx) error {
		// A deferred constraint is checked by COMMIT, which then fails and leaves the transaction open.
		for _, statement := range []string{
			"PRAGMA defer_foreign_keys = 1",
			"INSERT INTO wallets VALUES (99, 'sms', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(32))",
		} {
			if _, err := store.writer.conn.ExecContext(ctx, statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
		return nil
	})
	if !errors.Is(err, engine.ErrCommitUnknown) {
		t.Errorf("the error is %v", err)
	}
	// SQLite itself may have ended a transaction, for which there is then nothing to undo.
	err = store.Write(ctx, func(engine.Tx) error {
		if _, err := store.writer.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			t.Error(err)
		}
		return errors.New("fault")
	})
	if err == nil || err.Error() != "fault" {
		t.Errorf("the error is %v", err)
	}
	if err := store.Write(ctx, func(engine.Tx) error { return nil }); err != nil {
		t.Errorf("the next write: %v", err)
	}
	var wallets int
	if err := store.readDB.QueryRowContext(ctx, "SELECT count(*) FROM wallets").Scan(&wallets); err != nil || wallets != 0 {
		t.Errorf("%d wallets were left: %v", wallets, err)
	}
}

// A row that cannot be read as what it should be is an error, not a value.
func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	ctx := context.Background()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := store.writer.conn.ExecContext(ctx, statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	exec("PRAGMA ignore_check_constraints = 1")
	exec(`INSERT INTO accounts VALUES (1, 'x', 'CNY', 'active', NULL, '{broken', '', '', 0), (2, 'x', 'CNY', 'active', NULL, '', '', '', 0),
		(1 << 40, 'x', 'CNY', 'active', NULL, '', '', '', 0)`)
	exec(`INSERT INTO wallets VALUES (1, 'sms', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(32)), (2, 'sms', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, x'01'),
		(1 << 40, 'sms', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(32))`)
	exec("INSERT INTO keys VALUES ('k', zeroblob(32), '', NULL, 'admin', '10.0.0.0/8 nonsense', 0, 0, 0, 0, 0, NULL, NULL, 0)")
	for _, id := range []ledger.AccountID{1, 2} {
		if holder, err := store.Holder(ctx, id); err == nil {
			t.Errorf("account %d was read as %+v", id, holder)
		}
	}
	if holders, err := store.Holders(ctx, 2, 10); err == nil {
		t.Errorf("an id beyond an int32 was read as %+v", holders)
	}
	if keys, err := store.Keys(ctx, 0, "", 10); err == nil {
		t.Errorf("a key was read as %+v", keys)
	}
}
