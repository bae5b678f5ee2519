package saldotest

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// Store is what a ledger is kept in.
type Store string

// The stores that Saldo has.
const (
	SQLite     Store = "sqlite"
	PostgreSQL Store = "postgres"
)

// OnEachStore runs a test once on every store. A test that is about one of them
// names it instead.
func OnEachStore(t *testing.T, test func(t *testing.T, store Store)) {
	t.Helper()
	for _, store := range []Store{SQLite, PostgreSQL} {
		t.Run(string(store), func(t *testing.T) { test(t, store) })
	}
}

// NewPlace is where a ledger can be created: a path in a folder of the test, or
// the URL of an empty database.
func (s Store) NewPlace(tb testing.TB) string {
	tb.Helper()
	if s == PostgreSQL {
		return pgtest.NewDatabase(tb)
	}
	return filepath.Join(tb.TempDir(), "ledger.db")
}

// NewLedger creates a ledger, and gives where it is and the auth_secret of its
// operator key.
func (s Store) NewLedger(tb testing.TB) (db, operator string) {
	tb.Helper()
	db = s.NewPlace(tb)
	return db, Init(tb, db)
}

// Init creates a ledger at a place, and gives the auth_secret of its operator key.
func Init(tb testing.TB, db string) (operator string) {
	tb.Helper()
	created := Run(tb, "init", "--db", db, "--output", "json")
	var key struct {
		AuthSecret string `json:"auth_secret"`
	}
	if err := json.Unmarshal([]byte(created.Stdout), &key); err != nil || created.Status != 0 {
		tb.Fatalf("saldo init: %v, %+v", err, created)
	}
	return key.AuthSecret
}
