package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// Whatever an engine starts ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ctx is a caller that does not give up.
var ctx = context.Background()

// newStore makes a ledger in a file of its own. The path is for those who go past the store.
func newStore(t testing.TB) (store *sqlite.Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noError(t, store.Close()) })
	return store, path
}

// execute runs statements on the ledger's file, past the store.
func execute(t testing.TB, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { noError(t, db.Close()) }()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// start starts an engine over a store, with the accounts 1 to n. Unless the
// options say otherwise, holds expire only when the engine is told to.
func start(t testing.TB, store engine.Store, options engine.Options, n int) *engine.Engine {
	t.Helper()
	if options.SweepInterval == 0 {
		options.SweepInterval = -1
	}
	e := storetest.NewEngine(t, store, options)
	for id := range n {
		_, err := e.CreateAccount(ctx, ledger.Account{ID: ledger.AccountID(id + 1), Name: "Example Ltd", Currency: "CNY"})
		noError(t, err)
	}
	return e
}

// fill adds the accounts 1 to n in one go.
func fill(t testing.TB, store engine.Store, n ledger.AccountID) {
	t.Helper()
	noError(t, store.Write(ctx, func(tx engine.Tx) error {
		for id := range n {
			err := tx.InsertAccount(ctx, &ledger.Holder{
				Account: ledger.Account{ID: id + 1, Name: "Example Ltd", Currency: "CNY", Status: ledger.Active},
				Wallets: []ledger.Wallet{{WalletRef: sms(id + 1)}},
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func wantCode(t testing.TB, err error, code ledger.Code) {
	t.Helper()
	var expected *ledger.Error
	if !errors.As(err, &expected) || expected.Code != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

func check[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Transformer("total", func(t ledger.Total) string { return t.Millionths() })); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func sms(account ledger.AccountID) ledger.WalletRef {
	return ledger.WalletRef{Account: account, Service: ledger.SMS}
}

func topUp(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.TopUp, Wallet: sms(account), Amount: amount}
}

func charge(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Charge, Wallet: sms(account), Amount: amount}
}

func transfer(key string, from, to ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Transfer, Wallet: sms(from), To: sms(to), Amount: amount}
}

// place reserves an amount for an hour.
func place(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.PlaceHold, Wallet: sms(account), Amount: amount, ExpiresIn: time.Hour}
}

// capture takes an amount of a hold, or for 0 all of it, and releases the rest.
func capture(key string, hold ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Capture, Parent: hold, Amount: amount, Final: true}
}

// part is a capture that leaves the rest reserved.
func part(key string, hold ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Capture, Parent: hold, Amount: amount}
}

func release(key string, hold ledger.TransactionID) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Release, Parent: hold}
}

func extend(key string, hold ledger.TransactionID, by time.Duration) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Extend, Parent: hold, ExpiresIn: by}
}

func refund(key string, charge ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Refund, Parent: charge, Amount: amount}
}

// idOf is the id of the operator's transaction with a key.
func idOf(key string) ledger.TransactionID { return ledger.NewTransactionID(ledger.Operator, key) }

// post posts a request that must be posted.
func post(t testing.TB, e *engine.Engine, r ledger.Request) *ledger.Transaction {
	t.Helper()
	tx, _, err := e.Post(ctx, r)
	if err != nil {
		t.Errorf("post %s: %v", r.IdempotencyKey, err)
		return &ledger.Transaction{}
	}
	noError(t, tx.Err())
	return tx
}

// posting is a call for storetest.Queue, whose outcome is kept.
func posting(e *engine.Engine, r ledger.Request, into *outcome) func() {
	return func() { into.tx, into.replayed, into.err = e.Post(ctx, r) }
}

type outcome struct {
	tx       *ledger.Transaction
	replayed bool
	err      error
}

// code is "" for what was posted, and otherwise why it was not.
func (o *outcome) code() ledger.Code {
	if o.err != nil {
		return ledger.CodeOf(o.err)
	}
	return o.tx.Rejection
}

// wallet reads an account's wallet sms.
func wallet(t testing.TB, e *engine.Engine, id ledger.AccountID) ledger.Wallet {
	t.Helper()
	holder, err := e.Holder(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	w, _ := holder.Wallet(ledger.SMS)
	return *w
}

// setStatus changes an account's status.
func setStatus(e *engine.Engine, id ledger.AccountID, status ledger.Status) error {
	_, err := e.UpdateAccount(ctx, id, engine.AccountChange{Status: &status})
	return err
}

// setLimit gives a wallet a credit limit, and no other settings.
func setLimit(e *engine.Engine, ref ledger.WalletRef, limit ledger.Amount) error {
	_, _, err := e.PutWallet(ctx, ref, ledger.Settings{CreditLimit: limit})
	return err
}

// newKey makes a usable key of account 1.
func newKey(t testing.TB, e *engine.Engine) ledger.Credentials {
	t.Helper()
	credentials := engine.GenerateCredentials()
	_, err := e.CreateKey(ctx, ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, credentials)
	noError(t, err)
	return credentials
}

// faulty is a store of which a test decides how the next writes go.
type faulty struct {
	engine.Store

	mu    sync.Mutex
	next  []func(write func() error) error // one for each write to come
	reads func(id ledger.AccountID)        // called after each reading of a holder
	count int                              // of holders that were read

	complete func()
}

// plan says how the next write goes.
func (f *faulty) plan(fn ...func(write func() error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, fn...)
}

// beforeCommit sets what is called when a transaction is complete but not committed.
func (f *faulty) beforeCommit(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.complete = fn
}

func (f *faulty) Write(ctx context.Context, fn func(engine.Tx) error) error {
	write := func() error {
		return f.Store.Write(ctx, func(tx engine.Tx) error {
			err := fn(tx)
			f.mu.Lock()
			hook := f.complete
			f.mu.Unlock()
			if hook != nil {
				hook()
			}
			return err
		})
	}
	f.mu.Lock()
	if len(f.next) == 0 {
		f.mu.Unlock()
		return write()
	}
	planned := f.next[0]
	f.next = f.next[1:]
	f.mu.Unlock()
	return planned(write)
}

func (f *faulty) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	holder, err := f.Store.Holder(ctx, id)
	f.mu.Lock()
	f.count++
	hook := f.reads
	f.mu.Unlock()
	if hook != nil {
		hook(id)
	}
	return holder, err
}

// watch sets what is called after each reading of a holder.
func (f *faulty) watch(fn func(id ledger.AccountID)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = fn
}

var errDisk = errors.New("disk on fire at /secret/path")

// The ways in which a write fails.
var (
	unknownButDone = func(write func() error) error {
		return errors.Join(write(), fmt.Errorf("connection lost: %w", engine.ErrCommitUnknown))
	}
	unknownAndNotDone = func(func() error) error { return fmt.Errorf("connection lost: %w", engine.ErrCommitUnknown) }
	refused           = func(func() error) error { return errDisk }
)

// leftUnknown is a fault after which the store does not take a write for as long
// as the engine tries to find out what became of it.
func leftUnknown(fault func(func() error) error) []func(func() error) error {
	return []func(func() error) error{fault, refused, refused, refused, refused, refused}
}

// recorder keeps what every write appended, by idempotency keys; a change appears as
// "change". It counts the wallets whose accounts were read to be decided on.
type recorder struct {
	engine.Store

	locked atomic.Int64
	mu     sync.Mutex
	writes [][]string
}

func (r *recorder) Write(ctx context.Context, fn func(engine.Tx) error) error {
	var recorded []string
	err := r.Store.Write(ctx, func(tx engine.Tx) error {
		recorded = nil
		return fn(&recordedTx{tx, &recorded, &r.locked})
	})
	if recorded == nil {
		recorded = []string{"change"}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, recorded)
	return err
}

// taken gives the writes since the last call.
func (r *recorder) taken() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.writes
	r.writes = nil
	return taken
}

type recordedTx struct {
	engine.Tx

	keys   *[]string
	locked *atomic.Int64
}

func (r *recordedTx) Lock(ctx context.Context, refs []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	r.locked.Add(int64(len(refs)))
	return r.Tx.Lock(ctx, refs)
}

func (r *recordedTx) Append(ctx context.Context, batch *engine.Batch) error {
	for _, t := range batch.Transactions {
		*r.keys = append(*r.keys, t.IdempotencyKey)
	}
	return r.Tx.Append(ctx, batch)
}
