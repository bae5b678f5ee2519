package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// Each trigger that a ledger has is missed when it is gone or not in force, also
// by who only reads.
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
