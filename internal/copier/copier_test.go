package copier_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// A ledger of everything arrives row by row, also when it grows meanwhile, and
// then serves in the place of the first.
func TestCopy(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(1)
		w.found(t, from)
		w.with(t, from, func(e *engine.Engine) { w.work(t, e, 120) })
		w.complete(t, from)
		first := mustCopy(t, from, to, 7)
		if first.Copied != first.Ledger.Transactions || first.Verified.Transactions != first.Copied || first.Ledger.Accounts != accounts {
			t.Errorf("%+v", first)
		}
		same(t, from, to)

		// The ledger grows while it is copied; a copy has one state of it. Time goes
		// on for sure, though the clock goes back now and then.
		w.clock.Pass(time.Hour)
		w.with(t, from, func(e *engine.Engine) {
			w.work(t, e, 40)
			w.change(t, e)
			mustCopy(t, from, to, 50)
			same(t, from, to)
			w.clock.Pass(time.Hour)
			w.work(t, e, 40)
		})
		last := mustCopy(t, from, to, 0)
		same(t, from, to)
		sameOrder(t, from, to)
		if last.Copied >= first.Copied || last.Copied == 0 || last.Ledger.Accounts != accounts+1 {
			t.Errorf("%+v", last)
		}
		w.goesOn(t, to)

		// It has a history of its own now.
		before := to.rows(t)
		if _, err := run(t, t.Context(), from, to, copier.Options{}); !errors.Is(err, copier.ErrNotCopy) {
			t.Errorf("a copy over a ledger that was served: %v", err)
		}
		if diff := cmp.Diff(before, to.rows(t)); diff != "" {
			t.Errorf("it changed the ledger:\n%s", diff)
		}
	})
}

// complete makes sure that the world has what the test is about.
func (w *world) complete(t *testing.T, b books) {
	t.Helper()
	s := b.mustOpen(t)
	defer s.Close()
	states := map[ledger.HoldState]int{}
	partial, refunds, long := 0, 0, false
	err := s.Snapshot(t.Context(), func(snapshot engine.Snapshot) error {
		holds, err := snapshot.Holds(t.Context(), new(ledger.Hold), 10000)
		if err != nil {
			return err
		}
		for _, hold := range holds {
			states[hold.State]++
			if hold.Captured > 0 && hold.Captured < hold.Amount {
				partial++
			}
		}
		found, err := snapshot.Refunds(t.Context(), ledger.TransactionID{}, 1000)
		if err != nil {
			return err
		}
		refunds = len(found)
		totals, err := snapshot.System(t.Context())
		for _, total := range totals {
			long = long || len(total.Total.Millionths()) > 20
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	batches := slices.ContainsFunc(w.asked, func(r ledger.Request) bool { return !r.Batch.IsZero() })
	if len(states) != 4 || partial == 0 || refunds == 0 || !long || w.rejected == 0 || !batches {
		t.Fatalf("holds %v, %d captured in part, %d refunded charges, totals beyond 64 bits %v, %d rejected, atomic batches %v",
			states, partial, refunds, long, w.rejected, batches)
	}
}

// goesOn serves a copy: retries are replayed, holds expire, and time does not run
// backwards, whatever the clock says.
func (w *world) goesOn(t *testing.T, b books) {
	t.Helper()
	s := b.mustOpen(t)
	defer s.Close()
	last := must(t)(s.LastCommit(t.Context())).(time.Time)
	w.clock.Set(start.Add(-time.Hour))
	w.serve(t, s, func(e *engine.Engine) {
		for _, r := range w.asked {
			if !r.Batch.IsZero() {
				continue // these are retried as a whole
			}
			found := must(t)(s.Transaction(t.Context(), ledger.NewTransactionID(r.Scope, r.IdempotencyKey))).(*ledger.Transaction)
			again, replayed, err := e.Post(t.Context(), r)
			if err != nil || !replayed {
				t.Fatalf("the retry of %+v: %v, replayed %v", r, err, replayed)
			}
			if diff := cmp.Diff(found, again); diff != "" {
				t.Fatal(diff)
			}
		}
		fresh, _, err := e.Post(t.Context(), ledger.Request{IdempotencyKey: w.key(), Kind: ledger.TopUp, Wallet: sms(1), Amount: 1})
		if err != nil || fresh.Err() != nil || fresh.CreatedAt.Before(last) {
			t.Errorf("%+v, %v; the last commit was %s", fresh, err, last)
		}
		w.clock.Set(last.Add(31 * 24 * time.Hour))
		n := must(t)(e.Sweep(t.Context())).(int)
		if n == 0 {
			t.Error("no hold was open")
		}
		due, err := s.DueHolds(t.Context(), last.Add(1000*time.Hour), 10)
		if err != nil || len(due) != 0 {
			t.Errorf("%v are still open, %v", due, err)
		}
		w.work(t, e, 30)
	})
	report, err := engine.Verify(t.Context(), s, engine.VerifyOptions{})
	if err != nil || report.ProblemCount != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// In a store that several processes write, each wallet knows the time of its last
// entry, so that a node whose clock is behind does not go before it.
func TestWalletsKnowTheirTime(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		if to.url == "" {
			return
		}
		w := newWorld(2)
		w.found(t, from)
		w.with(t, from, func(e *engine.Engine) { w.work(t, e, 60) })
		mustCopy(t, from, to, 0)
		s := to.mustOpen(t)
		defer s.Close()
		for id := range ledger.AccountID(accounts) {
			// The time of an account is that of its latest wallet.
			var want time.Time
			holder := must(t)(s.Holder(t.Context(), id+1)).(*ledger.Holder)
			for _, wallet := range holder.Wallets {
				if wallet.Version > 0 {
					entry := must(t)(s.Entry(t.Context(), wallet.WalletRef, wallet.Version)).(*ledger.Entry)
					if entry.CreatedAt.After(want) {
						want = entry.CreatedAt
					}
				}
			}
			var latest time.Time
			err := s.Write(t.Context(), func(tx engine.Tx) error {
				_, err := tx.Lock(t.Context(), []ledger.WalletRef{sms(id + 1)})
				latest = tx.Latest()
				return err
			})
			if err != nil || !latest.Equal(want) || want.IsZero() {
				t.Errorf("account %d: %s, want %s, %v", id+1, latest, want, err)
			}
		}
	})
}

// A ledger that moved and came back is the one that it was.
func TestThereAndBack(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(3)
		w.found(t, from)
		w.with(t, from, func(e *engine.Engine) { w.work(t, e, 100) })
		mustCopy(t, from, to, 10)
		back := kinds["sqlite"](t)
		if from.url != "" {
			back = kinds["postgres"](t)
		}
		mustCopy(t, to, back, 11)
		same(t, from, back)
	})
}

// A copy that is interrupted is no ledger, wherever that is, and the next one
// goes on from there.
func TestInterrupted(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(4)
		w.found(t, from)
		w.with(t, from, func(e *engine.Engine) { w.work(t, e, 12) })
		w.ask(t, from, 2)
		copied, stages := int64(0), map[copier.Stage]bool{}
		for calls := 1; ; calls++ {
			ctx, cancel := context.WithCancel(t.Context())
			n := 0
			report, err := run(t, ctx, from, to, copier.Options{Page: 10, Progress: func(p copier.Progress) {
				if p.Stage == copier.Copying && p.Done < copied {
					t.Errorf("it begins at %d after %d were copied", p.Done, copied)
				}
				if n++; n == calls {
					if p.Stage == copier.Copying { // elsewhere other things are counted
						copied = p.Done
					}
					stages[p.Stage] = true
					cancel()
				}
			}})
			cancel()
			if err == nil {
				if !report.Finished {
					t.Fatalf("%+v", report)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("interrupted at call %d: %v", calls, err)
			}
			if calls == 1 {
				continue // nothing has begun
			}
			for what, open := range map[string]func(context.Context) (store, error){"open": to.open, "read": to.read} {
				if _, err := open(t.Context()); !errors.Is(err, copier.ErrUnfinished) {
					t.Fatalf("%s after call %d: %v", what, calls, err)
				}
			}
		}
		for _, stage := range []copier.Stage{copier.Counting, copier.Copying, copier.Comparing, copier.Verifying} {
			if !stages[stage] {
				t.Errorf("it was not interrupted while %s", stage)
			}
		}
		same(t, from, to)
	})
}

// What is there already is left as it is, unless it is a copy of the same ledger.
func TestWrongTarget(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(5)
		w.found(t, from)
		other := newWorld(6)
		other.found(t, to)
		refused := func(want error) {
			t.Helper()
			before := to.rows(t)
			if _, err := run(t, t.Context(), from, to, copier.Options{}); !errors.Is(err, want) {
				t.Errorf("the error is %v, want %v", err, want)
			}
			if diff := cmp.Diff(before, to.rows(t)); diff != "" {
				t.Errorf("it changed the ledger:\n%s", diff)
			}
		}
		refused(copier.ErrNotCopy)

		// A copy of another ledger, finished or not.
		copied := map[bool]func(*testing.T) books{true: kinds["postgres"], false: kinds["sqlite"]}[to.url != ""](t)
		mustCopy(t, to, copied, 0)
		to = copied
		refused(copier.ErrOtherSource)
		to.exec(t, "UPDATE copy_progress SET finished = 0")
		refused(copier.ErrOtherSource)
	})
}

// A ledger that has lost what was copied of it is not the one that was copied.
func TestSourceFromABackup(t *testing.T) {
	t.Parallel()
	for name, newTarget := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := kinds["sqlite"](t), newTarget(t)
			w := newWorld(7)
			w.found(t, from)
			content, err := os.ReadFile(from.name)
			if err != nil {
				t.Fatal(err)
			}
			w.with(t, from, func(e *engine.Engine) { topUp(t, e, "last", 1) })
			mustCopy(t, from, to, 0)
			old := books{driver: "sqlite", name: filepath.Join(t.TempDir(), "old.db")}
			if err := os.WriteFile(old.name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := run(t, t.Context(), old, to, copier.Options{}); !errors.Is(err, copier.ErrDiffers) {
				t.Errorf("the end is lost: %v", err)
			}
			// The last request came again, and was decided at another time.
			w.clock.Pass(time.Hour)
			w.with(t, old, func(e *engine.Engine) { topUp(t, e, "last", 1) })
			if _, err := run(t, t.Context(), old, to, copier.Options{}); !errors.Is(err, copier.ErrDiffers) {
				t.Errorf("another last transaction: %v", err)
			}
			// It has gone on otherwise, by as many transactions and more.
			w.with(t, old, func(e *engine.Engine) { w.work(t, e, 50) })
			if _, err := run(t, t.Context(), old, to, copier.Options{}); !errors.Is(err, copier.ErrDiffers) {
				t.Errorf("another end: %v", err)
			}
		})
	}
}

// Nothing is no ledger.
func TestNothingToCopy(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		if err := from.create(t).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, t.Context(), from, to, copier.Options{}); !errors.Is(err, copier.ErrNeverUsed) {
			t.Error(err)
		}
	})
}

// A ledger that was just made is copied, too, with its one key.
func TestNoHistory(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		if err := from.create(t).Close(); err != nil {
			t.Fatal(err)
		}
		w := newWorld(8)
		w.with(t, from, func(e *engine.Engine) {
			must(t)(e.CreateKey(t.Context(), ledger.Key{Scopes: ledger.Scopes}, engine.GenerateCredentials()))
		})
		mustCopy(t, from, to, 0)
		same(t, from, to)
		mustCopy(t, from, to, 0)
		w.with(t, to, func(e *engine.Engine) {
			must(t)(e.CreateAccount(t.Context(), ledger.Account{Name: "N", Currency: "CNY"}))
		})
	})
}

// What stands where a copy should go is not touched if it is no ledger at all.
func TestNoLedger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenCopy(t.Context(), path); !errors.Is(err, sqlite.ErrNotLedger) {
		t.Error(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "notes" {
		t.Errorf("%q, %v", content, err)
	}
	url := pgtest.NewDatabase(t)
	if err := pgtest.Exec(t.Context(), url, "CREATE TABLE something (a integer)"); err != nil {
		t.Fatal(err)
	}
	b := books{driver: "pgx", name: url, url: url}
	if _, err := b.open(t.Context()); err == nil {
		t.Error("it was opened")
	}
}

// Between the moment that there are tables and the moment that a copy begins, they
// are no ledger that could be served, and the copy can still be begun.
func TestNotBegun(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		newWorld(9).found(t, from)
		if err := to.openCopy(t).Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := to.open(t.Context()); !errors.Is(err, copier.ErrUnfinished) {
				t.Error(err)
			}
			if _, err := to.read(t.Context()); !errors.Is(err, copier.ErrUnfinished) {
				t.Error(err)
			}
		}
		mustCopy(t, from, to, 0)
		same(t, from, to)
	})
}

// A database in which the making of tables was stopped at its start is as empty
// as before.
func TestNoTables(t *testing.T) {
	t.Parallel()
	b := kinds["postgres"](t)
	b.exec(t, "CREATE TABLE saldo_version (id integer, version_id bigint, is_applied boolean, tstamp timestamp DEFAULT now())",
		"INSERT INTO saldo_version VALUES (1, 0, true)")
	if _, err := b.open(t.Context()); !errors.Is(err, postgres.ErrNotFound) {
		t.Error(err)
	}
}
