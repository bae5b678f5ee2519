package acceptance

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // to go past Saldo

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// forge changes a ledger behind Saldo's back, as somebody with all rights on
// the file or the database could.
func forge(tb testing.TB, store saldotest.Store, db string, statements ...string) {
	tb.Helper()
	if store == saldotest.PostgreSQL {
		// Triggers do not run for what a replica is told by its primary.
		statements = append([]string{"SET session_replication_role = replica"}, statements...)
		if err := pgtest.Exec(tb.Context(), db, strings.Join(statements, ";\n")); err != nil {
			tb.Fatal(err)
		}
		return
	}
	file, err := sql.Open("sqlite", db)
	if err != nil {
		tb.Fatal(err)
	}
	defer shut(tb, file)
	for _, trigger := range []string{"transactions_no_update", "transactions_no_delete", "entries_no_delete", "holds_no_delete"} {
		statements = append([]string{"DROP TRIGGER IF EXISTS " + trigger}, statements...)
	}
	for _, statement := range statements {
		if _, err := file.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// content is everything that a ledger keeps, with the bytes of texts in it as they are.
func content(tb testing.TB, store saldotest.Store, db string) string {
	tb.Helper()
	if store == saldotest.SQLite {
		file, err := os.ReadFile(db)
		if err != nil {
			tb.Fatal(err)
		}
		return string(file)
	}
	conn, err := pgx.Connect(tb.Context(), db)
	if err != nil {
		tb.Fatal(err)
	}
	var all strings.Builder
	for _, table := range []string{"accounts", "wallets", "transactions", "entries", "holds", "refunds", "system_accounts", "keys"} {
		if _, err = conn.Exec(tb.Context(), "SET bytea_output = escape"); err != nil {
			break
		}
		var rows string
		query := fmt.Sprintf("SELECT coalesce(string_agg(t::text, '\n'), '') FROM %s AS t", table)
		if err = conn.QueryRow(tb.Context(), query).Scan(&rows); err != nil {
			break
		}
		all.WriteString(rows)
	}
	if err := errors.Join(err, conn.Close(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	return all.String()
}
