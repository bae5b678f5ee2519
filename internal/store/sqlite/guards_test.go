package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// Each trigger that a ledger has is missed when it is gone, or when another one
// has its name, also by who only reads.
func TestMissingGuards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	store, err := sqlite.Create(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	storetest.Verify(t, store)
	guards := triggers(t, path)
	if len(guards) == 0 {
		t.Fatal("the ledger has no triggers")
	}
	for i, name := range guards {
		if err := execute(path, "DROP TRIGGER "+name); err != nil {
			t.Fatal(err)
		}
		storetest.WantMissingGuards(t, store, guards[:i+1])
		table, _, _ := strings.Cut(name, "_no_")
		if err := execute(path, "CREATE TRIGGER "+name+" BEFORE UPDATE ON "+table+" BEGIN SELECT 1; END"); err != nil {
			t.Fatal(err)
		}
		storetest.WantMissingGuards(t, store, guards[:i+1])
	}
	reader, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	storetest.WantMissingGuards(t, reader, guards)
}

// triggers lists the triggers of a ledger by their names.
func triggers(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var names string
	query := "SELECT group_concat(name, ' ' ORDER BY name) FROM sqlite_schema WHERE type = 'trigger'"
	if err := db.QueryRowContext(t.Context(), query).Scan(&names); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(names)
}
