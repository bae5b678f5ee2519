package acceptance

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
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
	if err := storetest.Forge(tb.Context(), db, statements...); err != nil {
		tb.Fatal(err)
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
