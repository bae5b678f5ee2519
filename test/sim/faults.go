package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// faultKind is a way in which a write of the store goes wrong, or not as usual.
type faultKind uint8

const (
	noFault        faultKind = iota
	failBegin                // the store does not even begin
	failInside               // a statement fails
	failCommit               // the commit fails, and nothing is kept
	unknownDone              // the commit is done, and nobody is told
	unknownLost              // nothing is kept, and nobody is told
	slow                     // a statement takes its time
	again                    // everything is rolled back and run once more
	againInside              // a statement fails, and everything is run once more
	againForNought           // the second run fails too, inside
	faultKinds               // is not one of them
)

var faultNames = [faultKinds]string{
	"none", "begin fails", "statement fails", "commit fails", "unknown, done", "unknown, not done", "slow statement",
	"closure run twice", "closure run again after a failed statement", "second run fails",
}

func (k faultKind) String() string { return faultNames[k] }

// fault is what one write of the store meets.
type fault struct {
	kind  faultKind
	call  int // of the transaction's calls, the one at which it happens; the last where there are fewer
	delay time.Duration
}

var (
	errInjected = errors.New("injected fault")
	errDead     = fmt.Errorf("%w: the process is dead", errInjected)
)

// misfortune is how the store reads for a caller: the caller's context has it.
type misfortune struct {
	fail bool
	slow time.Duration
}

type misfortuneKey struct{}

// faulty is a store that fails by plan, and notes what it commits. It belongs
// to one process of a round; what it notes goes on with the next one.
type faulty struct {
	engine.Store

	notes  *notes
	shared bool        // as if other processes wrote the ledger, too, so that nothing may be cached
	dead   atomic.Bool // nothing works any more, as if the process were killed
	done   atomic.Bool // the process is being stopped, so that reads may meet a closed store

	mu      sync.Mutex
	planned []fault
}

// Exclusive tells whether the engine may cache.
func (s *faulty) Exclusive() bool { return !s.shared && s.Store.Exclusive() }

// plan lets a write to come meet a fault.
func (s *faulty) plan(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = append(s.planned, f)
}

// spare forgets the faults that were planned.
func (s *faulty) spare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planned = nil
}

func (s *faulty) next() fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.planned) == 0 {
		return fault{}
	}
	f := s.planned[0]
	s.planned = s.planned[1:]
	return f
}

// Write is that of the store, with the fault that is next. Whatever the fault,
// it keeps to what engine.Store promises.
func (s *faulty) Write(ctx context.Context, fn func(engine.Tx) error) error {
	f := s.next()
	if s.dead.Load() {
		return errDead
	}
	s.notes.met(f.kind)
	never := fault{}
	switch f.kind {
	case failBegin:
		return fmt.Errorf("begin: %w", errInjected)
	case failCommit:
		return s.attempt(ctx, fn, never, false)
	case unknownDone:
		if err := s.attempt(ctx, fn, never, true); err != nil {
			return err
		}
		return fmt.Errorf("%w: %w", errInjected, engine.ErrCommitUnknown)
	case unknownLost:
		err := s.attempt(ctx, fn, never, false)
		if errors.Is(err, errInjected) {
			err = errors.Join(err, engine.ErrCommitUnknown)
		}
		return err
	case again:
		if err := s.attempt(ctx, fn, never, false); !errors.Is(err, errInjected) {
			return err
		}
		return s.attempt(ctx, fn, never, true)
	case againInside:
		if err := s.attempt(ctx, fn, f, false); !errors.Is(err, errInjected) {
			return err
		}
		return s.attempt(ctx, fn, never, true)
	case againForNought:
		if err := s.attempt(ctx, fn, never, false); !errors.Is(err, errInjected) {
			return err
		}
		return s.attempt(ctx, fn, f, true)
	default: // a statement that fails or is slow, or nothing at all
		return s.attempt(ctx, fn, f, true)
	}
}

// attempt runs the closure in one transaction of the store, which is kept or
// rolled back, and notes what is committed.
func (s *faulty) attempt(ctx context.Context, fn func(engine.Tx) error, f fault, keep bool) error {
	var tx *faultyTx
	err := s.Store.Write(ctx, func(inner engine.Tx) error {
		tx = &faultyTx{Tx: inner, store: s, fault: f}
		err := fn(tx)
		switch {
		case err != nil:
			return err
		case s.dead.Load():
			return errDead
		case tx.pending():
			return errInjected // it had fewer calls than the fault waited for
		case !keep:
			return fmt.Errorf("rolled back: %w", errInjected)
		}
		return nil
	})
	s.own(err)
	if err == nil && tx == nil {
		s.notes.unexpected(errors.New("it committed what it had not run"))
	} else if err == nil {
		s.notes.committed(tx.last, tx.changed)
	}
	return err
}

// own reports an error that the store has by itself: neither injected nor, as a
// ledger.Error, meant for the caller.
func (s *faulty) own(err error) {
	var expected *ledger.Error
	if err != nil && !errors.Is(err, errInjected) && !errors.As(err, &expected) {
		s.notes.unexpected(err)
	}
}

// faultyTx is a transaction that fails by plan, and remembers what was written.
type faultyTx struct {
	engine.Tx

	store   *faulty
	fault   fault
	calls   int
	last    ledger.TransactionID // of those that were appended
	changed []target
}

// pending tells whether a failure is planned and has not happened.
func (t *faultyTx) pending() bool {
	switch t.fault.kind {
	case failInside, againInside, againForNought:
		return t.calls <= t.fault.call
	default:
		return false
	}
}

// call stands before each call of the transaction.
func (t *faultyTx) call() error {
	t.calls++
	if t.store.dead.Load() {
		return errDead
	}
	if t.calls-1 != t.fault.call {
		return nil
	}
	switch t.fault.kind {
	case failInside, againInside, againForNought:
		return fmt.Errorf("statement: %w", errInjected)
	case slow:
		time.Sleep(t.fault.delay)
	default: // The others happen around the transaction, see Write.
	}
	return nil
}

// met is what a call of the transaction gives, reported where the store itself is at fault.
func met[T any](t *faultyTx, call func() (T, error)) (T, error) {
	if err := t.call(); err != nil {
		var none T
		return none, err
	}
	value, err := call()
	t.store.own(err)
	return value, err
}

func (t *faultyTx) Lock(ctx context.Context, wallets []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	return met(t, func() (map[ledger.AccountID]*ledger.Holder, error) { return t.Tx.Lock(ctx, wallets) })
}

func (t *faultyTx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	return met(t, func() (map[ledger.TransactionID]*ledger.Transaction, error) { return t.Tx.Decided(ctx, ids) })
}

func (t *faultyTx) Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error) {
	return met(t, func() (map[ledger.TransactionID]*ledger.Hold, error) { return t.Tx.Holds(ctx, ids) })
}

func (t *faultyTx) Refunded(ctx context.Context, charges []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error) {
	return met(t, func() (map[ledger.TransactionID]ledger.Amount, error) { return t.Tx.Refunded(ctx, charges) })
}

func (t *faultyTx) LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error) {
	return met(t, func() (map[string]*ledger.Key, error) { return t.Tx.LockKeys(ctx, ids) })
}

func (t *faultyTx) Append(ctx context.Context, batch *engine.Batch) error {
	_, err := met(t, func() (struct{}, error) { return struct{}{}, t.Tx.Append(ctx, batch) })
	if n := len(batch.Transactions); n > 0 {
		t.last = batch.Transactions[n-1].ID
	}
	return err
}

// write is a change of a target.
func (t *faultyTx) write(changed target, call func() error) error {
	_, err := met(t, func() (struct{}, error) { return struct{}{}, call() })
	t.changed = append(t.changed, changed)
	return err
}

func (t *faultyTx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	return t.write(target{account: holder.ID}, func() error { return t.Tx.InsertAccount(ctx, holder) })
}

func (t *faultyTx) UpdateAccount(ctx context.Context, account *ledger.Account) error {
	return t.write(target{account: account.ID}, func() error { return t.Tx.UpdateAccount(ctx, account) })
}

func (t *faultyTx) InsertWallet(ctx context.Context, wallet *ledger.Wallet) error {
	return t.write(target{account: wallet.Account}, func() error { return t.Tx.InsertWallet(ctx, wallet) })
}

func (t *faultyTx) UpdateWallet(ctx context.Context, wallet ledger.WalletRef, settings *ledger.Settings) error {
	return t.write(target{account: wallet.Account}, func() error { return t.Tx.UpdateWallet(ctx, wallet, settings) })
}

func (t *faultyTx) InsertKey(ctx context.Context, key *ledger.Key) error {
	return t.write(target{key: key.ID}, func() error { return t.Tx.InsertKey(ctx, key) })
}

func (t *faultyTx) UpdateKey(ctx context.Context, id string, caps ledger.Caps) (key *ledger.Key, err error) {
	err = t.write(target{key: id}, func() error {
		key, err = t.Tx.UpdateKey(ctx, id, caps)
		return err
	})
	return key, err
}
