package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// checker follows a round with the model, window by window.
type checker struct {
	round       *round
	model       *model
	decided     map[ledger.TransactionID]*row
	order       []*row // all of the round, window by window in the order of the store
	place       int64  // of the last one in the store
	byReference map[string][]ledger.TransactionID
	heads       []engine.Head // of the last time that everything was verified
}

func newChecker(r *round) *checker {
	return &checker{round: r, model: newModel(), decided: map[ledger.TransactionID]*row{}, byReference: map[string][]ledger.TransactionID{}}
}

// row is a transaction as the store has it.
type row struct {
	*ledger.Transaction

	place    int64 // in the store
	position int   // among the events of its window; -1 once that is over
	askers   []asker
	asked    *ledger.Request // as it was asked for, with what the row does not keep
}

// asker is a request of a client that names a row, as it was when completed.
type asker struct {
	*record

	item int
}

// event is what happened at one place of the order: a row, or a change.
type event struct {
	*attempt // that it was written by

	row    *row
	change *record
	// Real time: the earliest moment at which it can have been decided, and the
	// first at which somebody knew that it had.
	earliest, known int64
}

// beyondAll is a moment after all that the counter reaches.
const beyondAll = 1<<63 - 1

// window is the checking of one window. Its events are numbered from 0; an
// account or hold as it was before has the position -1.
type window struct {
	*checker

	number    int
	records   []*record
	events    []event
	injected  []int64 // when faults were met
	doubts    []*attempt
	completed map[*record][]completed
	states    map[ledger.AccountID][]stateAt
	holds     map[ledger.TransactionID][]holdAt
	bounds    bounds
	// changedAccounts are those of the window, as the model meets them.
	changedAccounts []changedAccount
	histories       map[ledger.AccountID]map[ledger.WalletRef][]step
}

type stateAt struct {
	position int
	accountState
}

type holdAt struct {
	position int
	there    bool
	hold
}

// window checks what happened since the last time. whole asks for the checks
// that read all of the ledger, too.
func (c *checker) window(ctx context.Context, number int, records []*record, whole bool) error {
	began := time.Now()
	defer func() { c.round.stats.checking += time.Since(began) }()
	w := &window{
		checker: c, number: number, records: records, completed: map[*record][]completed{},
		states: map[ledger.AccountID][]stateAt{}, holds: map[ledger.TransactionID][]holdAt{}, bounds: bounds{},
		histories: map[ledger.AccountID]map[ledger.WalletRef][]step{},
	}
	for _, step := range []func(context.Context) error{w.faultless, w.sweepRest, w.faultless, w.gather} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, check := range []func() error{w.askers, w.realTime, w.replay, w.inTime, w.answers, w.countDoubts} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := w.atRest(ctx); err != nil {
		return err
	}
	if whole {
		if err := w.whole(ctx); err != nil {
			return err
		}
	}
	for _, e := range w.events {
		if e.row != nil {
			e.row.position, e.row.askers = -1, nil
		}
	}
	return nil
}

// sweepRest sees that no hold stays open past its expiry. Where the engine sweeps
// by itself, the sweep that ended the window may have met that one, which does
// the rest; so it may take another look.
func (w *window) sweepRest(ctx context.Context) error {
	store, first := w.round.rest(), w.round.nodes[0].current.Load()
	sweeping := slices.ContainsFunc(w.round.nodes, func(n *node) bool { return n.current.Load().sweeps() })
	var due []*ledger.Hold
	for patience := time.Now().Add(time.Minute); time.Now().Before(patience); {
		var err error
		if due, err = store.DueHolds(ctx, w.round.clock.time(), 1); err != nil || len(due) == 0 {
			return err
		}
		if !sweeping {
			break
		}
		if _, err := first.Sweep(ctx); err != nil && ledger.CodeOf(err) != ledger.Overloaded {
			return cmp.Or(w.faultless(ctx), err)
		}
	}
	return w.failure(nil, "a hold stays open past its expiry after sweeps", fmt.Sprintf("hold %s expires %s", due[0].ID, due[0].ExpiresAt), "")
}

// faultless sees that the store had no faults but those that were planned.
func (w *window) faultless(context.Context) error {
	if err := w.round.notes.fault(); err != nil {
		return w.failure(nil, "the store failed by itself: "+err.Error(), "", "")
	}
	return nil
}

// gather reads what the store has, and finds the order in which it came there.
func (w *window) gather(ctx context.Context) error {
	var rows []*row
	err := w.round.ledger.Transactions(ctx, w.place, func(place int64, t *ledger.Transaction) error {
		w.place = place
		rows = append(rows, &row{Transaction: t, place: place})
		return nil
	})
	if err != nil {
		return err
	}
	attempts, doubts, injected := w.round.notes.taken()
	w.doubts, w.injected = doubts, injected
	w.order = append(w.order, rows...)
	w.round.stats.transactions += int64(len(rows))
	return w.arrange(ctx, rows, attempts)
}

// failure makes the report of what is wrong about a row, or about none.
func (w *window) failure(about *row, what string, want, got any) *MismatchError {
	f := &MismatchError{
		Seed: w.round.world.seed, Round: w.round.world.round, Window: w.number,
		What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got),
	}
	if about == nil {
		return f
	}
	f.Operation = describe(about.Transaction)
	for _, a := range about.askers {
		f.Operation += "\n          " + a.describe()
	}
	f.Trail = w.trail(about)
	return f
}

// wrong makes the report of what is wrong about a record.
func (w *window) wrong(r *record, about *row, what string, want, got any) *MismatchError {
	f := w.failure(about, what, want, got)
	f.Operation = r.describe()
	return f
}

// trailLength is how many transactions of a wallet are shown.
const trailLength = 12

// trail is what happened last to the wallet of a row, up to it.
func (w *window) trail(about *row) []string {
	var lines []string
	for i := len(w.order) - 1; i >= 0 && len(lines) < trailLength; i-- {
		r := w.order[i]
		if about.position >= 0 && r.position > about.position {
			continue
		}
		if r.Wallet == about.Wallet || r.To == about.Wallet || r.ID == about.Parent || r.Parent == about.ID {
			lines = append([]string{fmt.Sprintf("#%d %s", i+1, describe(r.Transaction))}, lines...)
		}
	}
	return lines
}
