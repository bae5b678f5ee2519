// Package storetest is the one suite that every store of a ledger passes. A
// store's own test says how a ledger is opened and calls Run.
package storetest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Store is a store that can be closed.
type Store interface {
	engine.Store
	Close() error
}

// Ledger is one ledger in the store under test.
type Ledger struct {
	// Open opens the ledger, which is made by the first call. The suite closes
	// what it was given before it calls Open again.
	Open func(ctx context.Context) (Store, error)
	// Exec runs a statement past the store, as somebody with the database's own
	// tools would, while the ledger is open. Stores have the same tables.
	Exec func(statement string) error
}

// Run runs the whole suite. newLedger gives a new ledger at each call.
func Run(t *testing.T, newLedger func(t *testing.T) Ledger) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"an empty ledger", testEmpty},
		{"accounts survive", testAccounts},
		{"accounts in conflict", testAccountConflicts},
		{"accounts change", testUpdateAccount},
		{"accounts are listed", testHolders},
		{"accounts get free ids", testFreeIDs},
		{"accounts without a free id below the last", testFreeIDsWithoutNeighbours},
		{"wallets survive", testWallets},
		{"wallets are locked", testLock},
		{"keys survive", testKeys},
		{"keys in conflict", testKeyConflicts},
		{"keys are listed", testKeyLists},
		{"keys are revoked once", testRevokeKey},
		{"history survives", testHistory},
		{"history is written once", testHistoryOnce},
		{"history is append-only", testAppendOnly},
		{"system totals pass 64 bits", testSystemTotals},
		{"last commit", testLastCommit},
		{"a failed write leaves nothing", testRollback},
		{"a write that is given up leaves nothing", testCancelled},
		{"writes are seen when they are committed", testIsolation},
		{"writes wait for each other", testLostUpdates},
		{"a snapshot pages in order", testSnapshotPages},
		{"a snapshot stays as it was", testSnapshotStays},
		{"engine: against a model", testModel},
		{"engine: the last unit of a hot wallet", testHotWallet},
		{"engine: one key at the same instant", testDuplicates},
		{"engine: transfers against each other", testCrossing},
		{"engine: first use of a wallet by many", testFirstUse},
		{"engine: a change gives the whole account", testChangesGiveAll},
		{"engine: replies survive", testRepliesSurvive},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(&suite{T: t, newLedger: newLedger})
		})
	}
}

// suite is one test of the suite with the ledger that it works on.
type suite struct {
	*testing.T
	newLedger func(t *testing.T) Ledger
	ledger    Ledger
	store     Store
}

// open opens the suite's ledger, a new one at first.
func (s *suite) open() Store {
	s.Helper()
	if s.store == nil {
		s.ledger = s.newLedger(s.T)
		s.Cleanup(func() {
			if err := s.store.Close(); err != nil {
				s.Errorf("close: %v", err)
			}
		})
	}
	store, err := s.ledger.Open(s.Context())
	if err != nil {
		s.Fatalf("open: %v", err)
	}
	s.store = store
	return store
}

// reopen closes the ledger and opens it again: what it then has was durable.
func (s *suite) reopen() Store {
	s.Helper()
	if err := s.store.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	return s.open()
}

// write runs fn in a transaction that must succeed.
func (s *suite) write(fn func(tx engine.Tx) error) {
	s.Helper()
	if err := s.store.Write(s.Context(), fn); err != nil {
		s.Fatalf("write: %v", err)
	}
}

// insert adds accounts as they are, with their wallets.
func (s *suite) insert(holders ...*ledger.Holder) {
	s.Helper()
	s.write(func(tx engine.Tx) error {
		for _, holder := range holders {
			if err := tx.InsertAccount(s.Context(), clone(holder)); err != nil {
				return err
			}
		}
		return nil
	})
}

// start is a moment that has microseconds, so that a store that drops them shows.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// account is an ordinary account with the usual wallets.
func account(id ledger.AccountID, change ...func(*ledger.Holder)) *ledger.Holder {
	holder := &ledger.Holder{
		Account: ledger.Account{ID: id, Name: "Example Ltd", Currency: "CNY", Status: ledger.Active, CreatedAt: start},
		Wallets: []ledger.Wallet{{WalletRef: sms(id)}, {WalletRef: ledger.WalletRef{Account: id, Service: ledger.VoIP}}},
	}
	for _, c := range change {
		c(holder)
	}
	return holder
}

func sms(id ledger.AccountID) ledger.WalletRef {
	return ledger.WalletRef{Account: id, Service: ledger.SMS}
}

// clone copies a holder, because a store may fill in the one that it is given.
func clone(holder *ledger.Holder) *ledger.Holder {
	copied := *holder
	copied.Wallets = append([]ledger.Wallet(nil), holder.Wallets...)
	return &copied
}

// check fails the test where two values differ in any way.
func check[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, exactly...); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

// exactly compares values as a caller sees them: totals by their text, and
// times together with their zone, for a reply prints both.
var exactly = cmp.Options{
	cmp.Transformer("total", func(t ledger.Total) string { return t.Millionths() }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.String() == b.String() }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// wantCode checks that an error is for the caller and has a code.
func wantCode(t testing.TB, what string, err error, code ledger.Code) {
	t.Helper()
	var expected *ledger.Error
	if !errors.As(err, &expected) || expected.Code != code {
		t.Errorf("%s: the error is %v, want %s", what, err, code)
	}
}

// must gives the value of a call that must succeed.
func must[T any](t testing.TB) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// holder reads an account that must be there.
func (s *suite) holder(id ledger.AccountID) *ledger.Holder {
	s.Helper()
	return must[*ledger.Holder](s)(s.store.Holder(s.Context(), id))
}

// Verify checks that a ledger is right in every respect.
func Verify(t testing.TB, store engine.Reader) *engine.Report {
	t.Helper()
	report, err := engine.Verify(context.Background(), store, nil)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if report.ProblemCount != 0 || len(report.Problems) != 0 {
		t.Errorf("the ledger has %d problems: %q", report.ProblemCount, report.Problems)
	}
	return report
}
