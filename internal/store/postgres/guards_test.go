package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// Each trigger that a ledger has is missed when it is gone, not in force, or not
// as it was made, also by who only reads.
func TestMissingGuards(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	store := opened(t)(postgres.Create(t.Context(), database))
	storetest.Verify(t, store)
	guards, tables := triggers(t, database)
	if len(guards) == 0 {
		t.Fatal("the ledger has no triggers")
	}
	alter := func(statement string) {
		t.Helper()
		if err := pgtest.Exec(t.Context(), database, statement); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range guards {
		on := "ALTER TABLE " + tables[i]
		for _, how := range []string{" DISABLE TRIGGER ", " ENABLE REPLICA TRIGGER "} {
			alter(on + how + name)
			storetest.WantMissingGuards(t, store, guards[i:i+1])
		}
		for _, how := range []string{" ENABLE TRIGGER USER", " ENABLE ALWAYS TRIGGER " + name} {
			alter(on + how)
			storetest.Verify(t, store)
		}
	}
	const nothing = "() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'"
	alter("CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.saldo_refuse" + nothing)
	alter("CREATE FUNCTION other" + nothing)
	for i, name := range guards {
		made := query(t, database, "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '"+name+"'")
		for _, change := range [][2]string{
			{"saldo_refuse", "elsewhere.saldo_refuse"},
			{"saldo_refuse", "other"},
			{"EXECUTE", "WHEN (false) EXECUTE"},
			{"BEFORE", "AFTER"},
			{"DELETE OR UPDATE", "UPDATE"},
			{"OR UPDATE", "OR UPDATE OF service"},
			{"BEFORE DELETE ON", "BEFORE UPDATE ON"},
		} {
			if !strings.Contains(made, change[0]) {
				continue
			}
			again := "DROP TRIGGER " + name + " ON " + tables[i] + "; "
			alter(again + strings.Replace(made, change[0], change[1], 1))
			storetest.WantMissingGuards(t, store, guards[i:i+1])
			alter(again + made)
			storetest.Verify(t, store)
		}
	}
	made := query(t, database, "SELECT pg_get_functiondef('saldo_refuse'::regproc)")
	alter("CREATE OR REPLACE FUNCTION saldo_refuse" + nothing)
	storetest.WantMissingGuards(t, store, guards)
	alter(made)
	storetest.Verify(t, store)
	for i, name := range guards {
		alter("DROP TRIGGER " + name + " ON " + tables[i])
		storetest.WantMissingGuards(t, store, guards[:i+1])
	}
	// One of the same name elsewhere protects nothing.
	alter("CREATE TRIGGER " + guards[0] + " BEFORE DELETE ON keys FOR EACH ROW EXECUTE FUNCTION saldo_refuse('x')")
	storetest.WantMissingGuards(t, opened(t)(postgres.OpenReadOnly(t.Context(), database)), guards)
}

// triggers lists the triggers of a ledger by their names, and the table of each.
func triggers(t *testing.T, database string) (names, tables []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), `SELECT array_agg(tgname::text ORDER BY tgname), array_agg(tgrelid::regclass::text ORDER BY tgname)
		FROM pg_trigger WHERE NOT tgisinternal`).Scan(&names, &tables)
	if err != nil {
		t.Fatal(err)
	}
	return names, tables
}
