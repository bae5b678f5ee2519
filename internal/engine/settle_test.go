package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// message places a hold for a message that its reference names.
func message(reference string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	r := place("hold-"+reference, account, amount)
	r.Reference = reference
	return r
}

// reports are delivery reports of one state.
func reports(state ledger.DeliveryState, references ...string) (all []ledger.DeliveryReport) {
	for _, reference := range references {
		all = append(all, ledger.DeliveryReport{Reference: reference, Status: state})
	}
	return all
}

// settle gives the outcomes of reports by the operator.
func settle(t testing.TB, e *engine.Engine, reports ...ledger.DeliveryReport) (outcomes []engine.SettleOutcome) {
	t.Helper()
	settled, err := e.Settle(ctx, ledger.Operator, reports)
	noError(t, err)
	for i := range settled {
		outcomes = append(outcomes, settled[i].Outcome)
	}
	return outcomes
}

func TestSettleSizes(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	var many []ledger.DeliveryReport
	for i := range engine.MaxBatch + 1 {
		many = append(many, reports(ledger.Delivered, fmt.Sprint("m", i))...)
	}
	for _, wrong := range [][]ledger.DeliveryReport{nil, many} {
		settled, err := e.Settle(ctx, ledger.Operator, wrong)
		wantCode(t, err, ledger.InvalidRequest)
		check(t, "settled", settled, nil)
	}
	outcomes := settle(t, e, many[:engine.MaxBatch]...)
	check(t, "outcomes", []any{len(outcomes), outcomes[0], outcomes[engine.MaxBatch-1]}, []any{engine.MaxBatch, engine.SettledUnknown, engine.SettledUnknown})
}

// finding is a store of which a test decides what happens after holds were found.
type finding struct {
	engine.Store

	found func(holds [][]*ledger.Hold, err error) ([][]*ledger.Hold, error)
}

func (f *finding) HoldsByReference(ctx context.Context, wanted []engine.HoldReference, limit int) ([][]*ledger.Hold, error) {
	holds, err := f.Store.HoldsByReference(ctx, wanted, limit)
	if f.found == nil {
		return holds, err
	}
	return f.found(holds, err)
}

// A hold that is ended by another between being found and being settled is told as such.
func TestSettleAgainstOthers(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	store := &finding{Store: real}
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("fill", 1, 100))
	for _, m := range []string{"captured", "released", "expired", "swept"} {
		post(t, e, message(m, 1, 10))
	}
	store.found = func(holds [][]*ledger.Hold, err error) ([][]*ledger.Hold, error) {
		post(t, e, capture("c", idOf("hold-captured"), 3))
		post(t, e, release("r", idOf("hold-released")))
		return holds, err
	}
	settled, err := e.Settle(ctx, ledger.Operator, reports(ledger.Delivered, "captured", "released"))
	noError(t, err)
	check(t, "outcomes", []engine.SettleOutcome{settled[0].Outcome, settled[1].Outcome}, []engine.SettleOutcome{engine.SettledBefore, engine.SettledGivenUp})
	check(t, "the hold as it is", []any{settled[0].Hold.State, settled[0].Hold.Captured}, []any{ledger.HoldCaptured, ledger.Amount(3)})
	check(t, "error", settled[0].Err, nil)
	check(t, "transaction", settled[0].Transaction, nil)

	store.found = func(holds [][]*ledger.Hold, err error) ([][]*ledger.Hold, error) {
		clock.Set(sampleTime.Add(place("", 1, 1).ExpiresIn))
		_, sweepErr := e.Sweep(ctx)
		return holds, errors.Join(err, sweepErr)
	}
	check(t, "outcomes", settle(t, e, reports(ledger.Delivered, "expired", "swept")...), []engine.SettleOutcome{engine.SettledExpired, engine.SettledExpired})
	check(t, "balance", wallet(t, e, 1).Balance, 97)
	storetest.Verify(t, real)
}

// Faults of the store concern all reports.
func TestFaultsOfSettle(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	faults := &faulty{Store: real}
	store := &finding{Store: faults}
	e := start(t, store, engine.Options{CacheSize: 1}, 1)
	post(t, e, topUp("fill", 1, 100))
	post(t, e, message("m", 1, 10))
	store.found = func([][]*ledger.Hold, error) ([][]*ledger.Hold, error) { return nil, errDisk }
	if settled, err := e.Settle(ctx, ledger.Operator, reports(ledger.Delivered, "m")); !errors.Is(err, errDisk) || settled != nil {
		t.Errorf("where holds cannot be found: %v, %v", settled, err)
	}
	store.found = nil
	faults.plan(leftUnknown(unknownButDone)...)
	settled, err := e.Settle(ctx, ledger.Operator, reports(ledger.Delivered, "m"))
	wantCode(t, err, ledger.OutcomeUnknown)
	check(t, "settled", settled, nil)
	check(t, "outcome of a retry", settle(t, e, reports(ledger.Delivered, "m")...), []engine.SettleOutcome{engine.SettledCaptured})
	check(t, "balance", wallet(t, e, 1).Balance, 90)
	// Nothing is written for what does nothing.
	e.Close()
	check(t, "without a commit", settle(t, e, reports(ledger.Enroute, "m", "none")...), []engine.SettleOutcome{engine.SettledBefore, engine.SettledUnknown})
	_, err = e.Settle(ctx, ledger.Operator, reports(ledger.Delivered, "m"))
	wantCode(t, err, ledger.Overloaded)
}

// The open hold is found among many that are closed, and a second open one makes it ambiguous.
func TestSettleAmongMany(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	post(t, e, topUp("fill", 1, 1000))
	add := func(key string, scope ledger.AccountID) ledger.TransactionID {
		r := message("m", 1, 1)
		r.IdempotencyKey, r.Scope = key, scope
		return post(t, e, r).ID
	}
	oldest := add("oldest", ledger.Operator)
	for i := range 20 {
		post(t, e, release(fmt.Sprint("r", i), add(fmt.Sprint("h", i), ledger.Operator)))
	}
	settled, err := e.Settle(ctx, ledger.Operator, reports(ledger.Delivered, "m"))
	noError(t, err)
	check(t, "hold", settled[0].Hold.ID, oldest)
	check(t, "outcome", settled[0].Outcome, engine.SettledCaptured)
	// A customer's own is found beside those of the operator.
	own := add("own", 1)
	for i := range 7 {
		add(fmt.Sprint("o", i), ledger.Operator)
	}
	settled, err = e.Settle(ctx, 1, reports(ledger.Delivered, "m"))
	noError(t, err)
	check(t, "outcome", settled[0].Outcome, engine.SettledCaptured)
	check(t, "hold", settled[0].Hold.ID, own)
	check(t, "the operator's outcome", settle(t, e, reports(ledger.Delivered, "m")...), []engine.SettleOutcome{engine.SettledAmbiguous})
	storetest.Verify(t, store)
}
