package sim

import (
	"context"
	"crypto/sha256"
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
	terminated               // the server ends the node's sessions in the middle of it
	lostBefore               // the connection is lost before the server hears of the commit
	lostAfter                // the connection is lost before the node hears of the commit
	faultKinds               // is not one of them
)

// connectionFaults begins the kinds that need a server and connections to it.
const connectionFaults = terminated

var faultNames = [faultKinds]string{
	"none", "begin fails", "statement fails", "commit fails", "unknown, done", "unknown, not done", "slow statement",
	"closure run twice", "closure run again after a failed statement", "second run fails",
	"sessions terminated", "connection lost before commit", "connection lost after commit",
}

func (k faultKind) String() string { return faultNames[k] }

// doubtful tells whether nobody is told what became of the commit.
func (k faultKind) doubtful() bool {
	switch k {
	case unknownDone, unknownLost, lostBefore, lostAfter:
		return true
	default:
		return false
	}
}

// fault is what one write of the store meets.
type fault struct {
	kind  faultKind
	call  int // of the transaction's calls, the one at which it happens; the last where there are fewer
	delay time.Duration
	times int // how many writes meet it, one after another
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
	ledger Ledger
	node   int
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
	switch f.kind {
	case failBegin:
		return fmt.Errorf("begin: %w", errInjected)
	case failCommit:
		_, err := s.attempt(ctx, fn, fault{}, false)
		return err
	case unknownDone, unknownLost:
		a, err := s.attempt(ctx, fn, fault{}, f.kind == unknownDone)
		if err != nil && !errors.Is(err, errInjected) {
			return err
		}
		s.notes.doubted(a)
		return errors.Join(errInjected, engine.ErrCommitUnknown)
	case again, againInside, againForNought:
		first, second := fault{}, fault{}
		if f.kind == againInside {
			first = f
		}
		if f.kind == againForNought {
			second = f
		}
		if _, err := s.attempt(ctx, fn, first, false); !errors.Is(err, errInjected) {
			return err
		}
		_, err := s.attempt(ctx, fn, second, true)
		return err
	case lostBefore, lostAfter:
		s.notes.cuts.Add(1)
		s.ledger.Cut(s.node, map[faultKind]cut{lostBefore: beforeCommit, lostAfter: afterCommit}[f.kind])
		_, err := s.attempt(ctx, fn, fault{}, true)
		return err
	default: // a statement that fails or is slow, or nothing at all
		_, err := s.attempt(ctx, fn, f, true)
		return err
	}
}

// attempt runs the closure in one transaction of the store, which is kept or
// rolled back, and notes what is committed, or may be.
func (s *faulty) attempt(ctx context.Context, fn func(engine.Tx) error, f fault, keep bool) (*attempt, error) {
	var tx *faultyTx
	end := new(sync.Once)
	err := s.Store.Write(ctx, func(inner engine.Tx) error {
		tx = &faultyTx{Tx: inner, store: s, fault: f, attempt: &attempt{looked: s.notes.clock.Add(1)}, end: end}
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
		return tx.finish(ctx)
	})
	s.own(err)
	unknown := errors.Is(err, engine.ErrCommitUnknown)
	switch {
	case err == nil && tx == nil:
		s.notes.unexpected(errors.New("it committed what it had not run"))
	case err == nil || unknown:
		s.notes.wrote(tx.attempt, err == nil)
	}
	if unknown {
		s.notes.doubted(tx.attempt)
	}
	if tx == nil {
		return new(attempt), err
	}
	return tx.attempt, err
}

// own reports an error that the store has by itself: neither injected nor, as a
// ledger.Error, meant for the caller. A connection that was cut or ended on
// purpose may be noticed by any write or reading of the node, now or later; then
// that is when the fault happens.
func (s *faulty) own(err error) {
	_, expected := errors.AsType[*ledger.Error](err)
	switch {
	case err == nil || expected || errors.Is(err, errInjected):
	case s.notes.cuts.Load() > 0 && s.ledger.Excused(err):
		s.notes.noticed()
	default:
		s.notes.unexpected(err)
	}
}

// faultyTx is a transaction that fails by plan, and remembers what was written.
type faultyTx struct {
	engine.Tx

	store   *faulty
	fault   fault
	calls   int
	attempt *attempt
	end     *sync.Once // ends the sessions of the node
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
func (t *faultyTx) call(ctx context.Context) error {
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
	case terminated:
		return t.terminate(ctx)
	default: // The others happen around the transaction, see Write.
	}
	return nil
}

// terminate lets the server end the sessions of the node: once, or the store,
// which begins anew on another connection, would come to no end.
func (t *faultyTx) terminate(ctx context.Context) (err error) {
	t.end.Do(func() {
		t.store.notes.cuts.Add(1)
		err = t.store.ledger.Terminate(ctx, t.store.node)
	})
	return err
}

// finish stands behind the last call. What has changed gets a mark where it may
// become unknown whether it was committed: it leaves no transaction that could tell.
func (t *faultyTx) finish(ctx context.Context) error {
	if len(t.attempt.changes) > 0 && t.store.ledger.Nodes() > 1 {
		t.attempt.mark = t.store.notes.mark()
		key := ledger.Key{ID: t.attempt.mark, Account: clerk, Digest: digestOf(t.attempt.mark)}
		if err := t.Tx.InsertKey(ctx, &key); err != nil {
			return err
		}
	}
	t.attempt.written = t.store.notes.clock.Add(1)
	if t.fault.kind == terminated && t.calls <= t.fault.call {
		return t.terminate(ctx) // in the commit, or just before
	}
	return nil
}

// digestOf is where a mark is found.
func digestOf(mark string) ledger.Hash { return ledger.Hash(sha256.Sum256([]byte(mark))) }

// met is what a call of the transaction gives, reported where the store itself is at fault.
//
// Of several nodes one may be in another's way. Then the store attempts the write
// again, and it is the last attempt that counts.
func met[T any](ctx context.Context, t *faultyTx, call func() (T, error)) (T, error) {
	if err := t.call(ctx); err != nil {
		var none T
		return none, err
	}
	value, err := call()
	if t.store.ledger.Nodes() == 1 {
		t.store.own(err)
	}
	return value, err
}

func (t *faultyTx) Lock(ctx context.Context, wallets []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	return met(ctx, t, func() (map[ledger.AccountID]*ledger.Holder, error) { return t.Tx.Lock(ctx, wallets) })
}

func (t *faultyTx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	return met(ctx, t, func() (map[ledger.TransactionID]*ledger.Transaction, error) { return t.Tx.Decided(ctx, ids) })
}

func (t *faultyTx) Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error) {
	return met(ctx, t, func() (map[ledger.TransactionID]*ledger.Hold, error) { return t.Tx.Holds(ctx, ids) })
}

func (t *faultyTx) Refunded(ctx context.Context, charges []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error) {
	return met(ctx, t, func() (map[ledger.TransactionID]ledger.Amount, error) { return t.Tx.Refunded(ctx, charges) })
}

func (t *faultyTx) LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error) {
	return met(ctx, t, func() (map[string]*ledger.Key, error) { return t.Tx.LockKeys(ctx, ids) })
}

func (t *faultyTx) Append(ctx context.Context, batch *engine.Batch) error {
	_, err := met(ctx, t, func() (struct{}, error) { return struct{}{}, t.Tx.Append(ctx, batch) })
	for _, transaction := range batch.Transactions {
		t.attempt.ids, t.attempt.at = append(t.attempt.ids, transaction.ID), transaction.CreatedAt
	}
	return err
}

// write is a change of a target.
func (t *faultyTx) write(ctx context.Context, changed target, call func() error) error {
	_, err := met(ctx, t, func() (struct{}, error) { return struct{}{}, call() })
	if r := t.store.notes.asked(changed); r != nil {
		t.attempt.changes = append(t.attempt.changes, r)
	}
	return err
}

func (t *faultyTx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	return t.write(ctx, target{account: holder.ID}, func() error { return t.Tx.InsertAccount(ctx, holder) })
}

func (t *faultyTx) UpdateAccount(ctx context.Context, account *ledger.Account) error {
	return t.write(ctx, target{account: account.ID}, func() error { return t.Tx.UpdateAccount(ctx, account) })
}

func (t *faultyTx) InsertWallet(ctx context.Context, wallet *ledger.Wallet) error {
	return t.write(ctx, target{account: wallet.Account}, func() error { return t.Tx.InsertWallet(ctx, wallet) })
}

func (t *faultyTx) UpdateWallet(ctx context.Context, wallet ledger.WalletRef, settings *ledger.Settings) error {
	return t.write(ctx, target{account: wallet.Account}, func() error { return t.Tx.UpdateWallet(ctx, wallet, settings) })
}

func (t *faultyTx) InsertKey(ctx context.Context, key *ledger.Key) error {
	return t.write(ctx, target{key: key.ID}, func() error { return t.Tx.InsertKey(ctx, key) })
}

func (t *faultyTx) UpdateKey(ctx context.Context, id string, caps ledger.Caps) (key *ledger.Key, err error) {
	err = t.write(ctx, target{key: id}, func() error {
		key, err = t.Tx.UpdateKey(ctx, id, caps)
		return err
	})
	return key, err
}
