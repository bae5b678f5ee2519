package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

// What Saldo is compared with does the same work: the ledger that a loop leaves
// behind is one that Saldo itself would have written.
func TestLoopsKeepTheBooks(t *testing.T) {
	t.Parallel()
	const short = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		place func(t *testing.T) string
		loop  func(ctx context.Context, db string) (result, error)
		after string // what the loop leaves out
	}{
		"sqlite": {
			place: func(t *testing.T) string { return filepath.Join(t.TempDir(), "ledger.db") },
			loop:  func(ctx context.Context, db string) (result, error) { return storeLoop(ctx, db, 10, 1, short) },
		},
		"arrays": {
			place: func(t *testing.T) string { return pgtest.NewDatabase(t) },
			loop:  func(ctx context.Context, db string) (result, error) { return storeLoop(ctx, db, 10, 4, short) },
		},
		"one at a time": {
			place: func(t *testing.T) string { return pgtest.NewDatabase(t) },
			loop:  func(ctx context.Context, db string) (result, error) { return pgxLoop(ctx, db, 4, short) },
			after: `INSERT INTO system_accounts (account, currency, total) SELECT 'revenue', 'CNY', sum(moved) FROM transactions WHERE kind = 'charge'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := tt.place(t)
			if _, err := prepare(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			r, err := tt.loop(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if tt.after != "" {
				if err := pgtest.Exec(t.Context(), db, tt.after); err != nil {
					t.Fatal(err)
				}
			}
			report, err := app.Verify(t.Context(), db, engine.VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if report.ProblemCount != 0 {
				t.Errorf("%d problems: %v", report.ProblemCount, report.Problems)
			}
			if report.Transactions != int64(accounts+r.count) || r.count == 0 {
				t.Errorf("%d charges were counted, and there are %d transactions of which %d are top-ups", r.count, report.Transactions, accounts)
			}
		})
	}
}
