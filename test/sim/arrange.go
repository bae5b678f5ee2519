package sim

import (
	"cmp"
	"context"
	"slices"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about the order of the events: that in which they were written,
// each while its locks were held. Of two attempts that touch one wallet, or one
// key, the second writes when the first is committed, through whichever nodes
// they come. Of two that have nothing in common either may be the first.
//
// The order is not taken from the store, for the times of nodes differ, and what
// was refused leaves no trace in a wallet. But whatever the store has must agree
// with it: versions without gaps, times that do not run backwards in a wallet,
// the place of each transaction in its commit, and, where one node writes alone,
// the one order of all transactions.

// arrange makes the events out of what is in the store and what was written.
func (w *window) arrange(ctx context.Context, rows []*row, attempts []*attempt) error {
	slices.SortFunc(attempts, func(a, b *attempt) int { return cmp.Compare(a.written, b.written) })
	// Once a transaction is committed nobody else can write it, so if several
	// have, because it was not known what became of the first, it is the last's.
	last := map[ledger.TransactionID]*attempt{}
	for _, a := range attempts {
		for _, id := range a.ids {
			last[id] = a
		}
	}
	of := map[*attempt][]*row{}
	for _, r := range rows {
		if w.decided[r.ID] != nil {
			return w.failure(r, "a transaction was decided twice", "", "")
		}
		w.decided[r.ID] = r
		a := last[r.ID]
		if a == nil {
			return w.failure(r, "the ledger has a transaction that nobody asked for: no node wrote it", "", "")
		}
		of[a] = append(of[a], r)
	}
	for _, a := range attempts {
		kept, err := w.wasKept(ctx, a, of[a])
		if err != nil {
			return err
		}
		if kept {
			w.add(a, of[a])
		}
	}
	return w.inPlace()
}

// wasKept tells whether an attempt was committed, which must be as a whole or
// not at all.
func (w *window) wasKept(ctx context.Context, a *attempt, rows []*row) (kept bool, err error) {
	switch {
	case len(a.ids) > 0:
		if kept = a.sure || len(rows) > 0; kept && len(rows) != len(a.ids) {
			return false, w.failure(nil, "of what was committed together something is missing", len(a.ids), len(rows))
		}
	case a.sure || a.mark == "": // without a mark it has left nothing
		return a.sure, nil
	default:
		_, _, err = w.round.rest().KeyByDigest(ctx, digestOf(a.mark))
		if kept = err == nil; ledger.CodeOf(err) == ledger.NotFound {
			err = nil
		}
	}
	if !a.sure {
		w.round.stats.lost[kept]++
	}
	return kept, err
}

// add appends what an attempt left.
func (w *window) add(a *attempt, rows []*row) {
	for _, r := range rows {
		r.position = len(w.events)
		w.events = append(w.events, event{attempt: a, row: r})
	}
	for _, r := range a.changes {
		w.events = append(w.events, event{attempt: a, change: r})
	}
}

// inPlace sees that the store has the transactions in the places that they were given.
func (w *window) inPlace() error {
	var before *row
	for _, e := range w.events {
		if e.row == nil {
			continue
		}
		switch r := e.row; {
		case before == nil:
		case !w.round.many() && r.place <= before.place:
			return w.failure(r, "it stands before what was done before", "", "after it stands "+describe(before.Transaction))
		case w.round.many() && (r.place == before.place) != (w.events[before.position].attempt == e.attempt):
			return w.failure(r, "what was written together was not committed together", before.place, r.place)
		}
		before = e.row
	}
	return nil
}
