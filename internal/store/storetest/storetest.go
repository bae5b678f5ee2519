// Package storetest is the one suite that every store of a ledger passes. A
// store's own test says how a ledger is opened and calls Run.
package storetest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Store is a store that can be closed.
type Store interface {
	engine.Store
	readings.Store
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

// Run runs the whole suite, without the tests that are named. newLedger gives a
// new ledger at each call.
func Run(t *testing.T, newLedger func(t *testing.T) Ledger, without ...string) {
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
		{"settings and money leave each other alone", testSettingsAndMoney},
		{"wallets are locked", testLock},
		{"locked wallets tell the time", testLatest},
		{"keys survive", testKeys},
		{"keys in conflict", testKeyConflicts},
		{"keys are listed", testKeyLists},
		{"keys are revoked once", testRevokeKey},
		{"keys have caps and count", testKeySpending},
		{"history survives", testHistory},
		{"history is written once", testHistoryOnce},
		{"history is append-only", testAppendOnly},
		{"system totals pass 64 bits", testSystemTotals},
		{"last commit", testLastCommit},
		{"holds survive", testHolds},
		{"holds are listed", testHoldLists},
		{"holds are found by references", testHoldsByReference},
		{"holds are due", testDueHolds},
		{"refunds are counted", testRefunded},
		{"entries are read", testEntries},
		{"transactions are found by references", testTransactionsByReference},
		{"usage adds up", testUsage},
		{"usage of an upstream adds up", testUsageOfUpstream},
		{"totals of wallets pass 64 bits", testWalletTotals},
		{"a failed write leaves nothing", testRollback},
		{"a write that is given up leaves nothing", testCancelled},
		{"writes are seen when they are committed", testIsolation},
		{"writes wait for each other", testLostUpdates},
		{"a snapshot pages in order", testSnapshotPages},
		{"a snapshot stays as it was", testSnapshotStays},
		{"a snapshot has holds with their history", testSnapshotHolds},
		{"a snapshot has refunds with their charges", testSnapshotRefunds},
		{"upstreams: claims", testClaims},
		{"upstreams: claims of several", testClaimsOfOthers},
		{"upstreams: claims at the same instant", testClaimsAtOnce},
		{"upstreams: states survive", testStates},
		{"upstreams: readings are listed", testReadings},
		{"upstreams: readings of each step", testReadingSteps},
		{"upstreams: readings are thinned", testThinning},
		{"upstreams: readings and states expire", testExpiry},
		{"upstreams: readings against a model", testReadingsModel},
		{"engine: against a model", testModel},
		{"engine: the last unit of a hot wallet", testHotWallet},
		{"engine: the last unit, by charges, holds and captures", testHotHolds},
		{"engine: one key at the same instant", testDuplicates},
		{"engine: transfers against each other", testCrossing},
		{"engine: first use of a wallet by many", testFirstUse},
		{"engine: a change gives the whole account", testChangesGiveAll},
		{"engine: replies survive", testRepliesSurvive},
		{"engine: the life of a hold", testHoldLife},
		{"engine: a hold gets more time", testExtend},
		{"engine: holds of others", testHoldsOfOthers},
		{"engine: holds expire once", testSweep},
		{"engine: holds expire after a crash", testSweepAfterCrash},
		{"engine: a capture against the expiry", testCaptureAgainstExpiry},
		{"engine: a capture against a release", testCaptureAgainstRelease},
		{"engine: many parts of one hold", testPartsOfAHold},
		{"engine: reports settle", testSettle},
		{"engine: reports come late", testSettleLate},
		{"engine: reports and which hold they mean", testSettleChoice},
		{"engine: reports and the policy of accounts", testSettlePolicy},
		{"engine: reports at the same instant", testSettleAtOnce},
		{"engine: batches", testBatch},
		{"engine: sizes of batches", testBatchSizes},
		{"engine: atomic batches", testAtomicBatch},
		{"engine: atomic batches that are not decided", testAtomicUndecided},
		{"engine: atomic batches that are rejected", testAtomicRejected},
		{"engine: atomic batches beside others", testAtomicBesideOthers},
		{"engine: atomic refunds are taken back", testAtomicRefundsTakenBack},
		{"engine: atomic batches at the same instant", testAtomicAtOnce},
		{"engine: a batch that is given up", testBatchGivenUp},
		{"engine: caps are never passed", testCapsAtOnce},
		{"engine: the cap of a key over wallets", testKeyCapOverWallets},
		{"engine: what the caps count", testCapCounts},
		{"engine: days and months of caps", testCapPeriods},
		{"engine: settings of a wallet", testWalletSettings},
		{"engine: the status of an account", testAccountStatus},
		{"engine: refunds never exceed their charge", testRefundsAtOnce},
		{"engine: statements", testStatement},
		{"engine: rows of statements", testStatementRows},
		{"engine: usage against a model", testUsageOfEngine},
	} {
		if slices.Contains(without, test.name) {
			continue
		}
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
		Account: ledger.Account{
			ID: id, Name: "Example Ltd", Currency: "CNY", Status: ledger.Active,
			TimeZone: "UTC", ChargeOn: ledger.DefaultChargeOn, CreatedAt: start,
		},
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
// times together with their zone, for a reply prints both. Decimals of the same
// value differ where their digits do.
var exactly = cmp.Options{
	cmp.Transformer("total", func(t ledger.Total) string { return t.Millionths() }),
	cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.String() == b.String() }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b decimal.Decimal) bool {
		return a.Exponent() == b.Exponent() && a.Coefficient().Cmp(b.Coefficient()) == 0
	}),
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
	report, err := engine.Verify(context.Background(), store, engine.VerifyOptions{})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if report.ProblemCount != 0 || len(report.Problems) != 0 {
		t.Errorf("the ledger has %d problems: %q", report.ProblemCount, report.Problems)
	}
	return report
}
