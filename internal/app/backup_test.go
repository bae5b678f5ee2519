package app_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// A backup has all that was posted before it began, and says how much that is.
// The charges go on.
func TestBackupBesideCharges(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	e := openEngine(t, db)
	if _, err := e.CreateAccount(t.Context(), ledger.Account{ID: 7, Name: "Lotus Travel", Currency: "CNY"}); err != nil {
		t.Fatal(err)
	}
	wallet := ledger.WalletRef{Account: 7, Service: ledger.SMS}
	move := func(ctx context.Context, key string, kind ledger.Kind, amount ledger.Amount) error {
		posted, _, err := e.Post(ctx, ledger.Request{IdempotencyKey: key, Kind: kind, Wallet: wallet, Amount: amount})
		if err == nil {
			err = posted.Err()
		}
		return err
	}
	if err := move(t.Context(), "topup", ledger.TopUp, 1_000_000*ledger.Scale); err != nil {
		t.Fatal(err)
	}
	charging, stop := context.WithCancel(t.Context())
	var charges sync.WaitGroup
	for worker := range 4 {
		charges.Go(func() {
			for n := 0; charging.Err() == nil; n++ {
				if err := move(t.Context(), fmt.Sprintf("%d-%d", worker, n), ledger.Charge, 1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	folder := t.TempDir()
	var last int64
	for n := range 5 {
		before := entries(t, e, wallet)
		file := filepath.Join(folder, fmt.Sprint(n, ".db"))
		phases := map[string]bool{}
		copied, err := app.Backup(t.Context(), db, file, app.BackupOptions{
			Copying:   func(int64, int64) { phases["copying"] = true },
			Verifying: func(engine.Report) { phases["verifying"] = true },
		})
		if err != nil {
			t.Fatal(err)
		}
		after := entries(t, e, wallet)
		if r := copied.Report; r.ProblemCount != 0 || r.Entries < before || r.Entries > after || r.Transactions != r.Entries {
			t.Errorf("%+v, where the ledger had %d entries before, and %d after", r, before, after)
		}
		info, err := os.Stat(file)
		if err != nil || copied.Size != info.Size() || time.Since(copied.LastTransaction) > time.Minute || !phases["copying"] || !phases["verifying"] {
			t.Errorf("%+v, %v, %v", copied, phases, err)
		}
		last = after
	}
	stop()
	charges.Wait()
	if last < 10 {
		t.Errorf("there are %d entries, which says little", last)
	}
}

func entries(t *testing.T, e *engine.Engine, wallet ledger.WalletRef) int64 {
	t.Helper()
	holder, err := e.Holder(t.Context(), wallet.Account)
	if err != nil {
		t.Fatal(err)
	}
	of, ok := holder.Wallet(wallet.Service)
	if !ok {
		t.Fatalf("there is no wallet %v", wallet)
	}
	return of.Version
}

// openEngine works on a ledger until the end of the test.
func openEngine(t *testing.T, db string) *engine.Engine {
	t.Helper()
	store, err := app.OpenStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(context.WithoutCancel(t.Context()), store, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A restore replaces nothing, whatever it is told: what is there may be the
// only ledger that has what was posted last.
func TestRestoreIsNeverForced(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := app.Backup(t.Context(), db, file, app.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), file, db, app.BackupOptions{Force: true}); !errors.Is(err, sqlite.ErrExists) || !strings.Contains(hintOf(err), "move it away first") {
		t.Errorf("%v with hint %q", err, hintOf(err))
	}
}

// What was found comes with the error, so that it can be told.
func TestBackupOfUnsoundLedger(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	raw, err := sql.Open("sqlite", db)
	if err != nil {
		t.Fatal(err)
	}
	_, err = raw.ExecContext(t.Context(), "INSERT INTO system_accounts VALUES ('revenue', 'CNY', '1')")
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	copied, err := app.Backup(t.Context(), db, file, app.BackupOptions{})
	if !errors.Is(err, app.ErrUnsound) || copied == nil || copied.Report.ProblemCount != 2 || hintOf(err) == "" {
		t.Errorf("%+v, %v", copied, err)
	}
	if left := folder(t, filepath.Dir(file)); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}
