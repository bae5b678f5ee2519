package sim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about the order in which things were decided, and whether it
// can be brought together with real time: what was known to be done before
// another thing was asked for must stand before it.

// completed is a request of a record as the engine completes it: with what it
// leaves to its hold or charge.
type completed struct {
	ledger.Request

	id      ledger.TransactionID
	hash    ledger.Hash
	failure ledger.Code // why it cannot be completed, whatever the order
	// other is what it is completed to where its hold or charge stands in the
	// same batch, and in the ledger as another request with that key: it depends
	// on who was first. Nil where there is no such doubt.
	other *completed
}

// complete fills in the requests of a record. Hold and charge never change what
// they say of themselves, so it does not matter when they are looked at.
func (w *window) complete(r *record) []completed {
	all := make([]completed, len(r.requests))
	earlier := map[ledger.TransactionID]*ledger.Request{}
	for i := range r.requests {
		parent := r.requests[i].Parent
		inBatch, stored := earlier[parent], (*ledger.Request)(nil)
		if there := w.decided[parent]; there != nil {
			stored = &there.Request
		}
		all[i] = fillIn(r.requests[i], cmp.Or(inBatch, stored))
		if inBatch != nil && stored != nil {
			if other := fillIn(r.requests[i], stored); other.Wallet != all[i].Wallet || other.Reference != all[i].Reference || other.failure != all[i].failure {
				all[i].other = &other
			}
		}
		if all[i].failure == "" && earlier[all[i].id] == nil {
			earlier[all[i].id] = &all[i].Request
		}
	}
	if r.atomic {
		nameBatch(all)
	}
	for i := range all {
		one := &all[i]
		one.hash = one.Hash()
		if one.other == nil {
			continue
		}
		one.other.hash = one.other.Hash()
		if there := w.decided[one.id]; there != nil && there.RequestHash == one.other.hash {
			first := *one
			first.other = nil
			all[i] = *one.other
			all[i].other = &first
		}
	}
	return all
}

func nameBatch(all []completed) {
	requests := make([]ledger.Request, len(all))
	for i := range all {
		requests[i] = all[i].Request
	}
	name := ledger.NewBatchID(requests)
	for i := range all {
		all[i].Batch = name
	}
}

// fillIn completes a request by its hold or charge, nil where there is none.
func fillIn(r ledger.Request, parent *ledger.Request) completed {
	one := completed{Request: r, id: ledger.NewTransactionID(r.Scope, r.IdempotencyKey)}
	if r.Parent.IsZero() {
		return one
	}
	if parent == nil {
		one.failure = ledger.NotFound
		return one
	}
	if r.Wallet.Account == 0 {
		one.Wallet.Account = parent.Wallet.Account
	}
	if r.Wallet.Service == "" {
		one.Wallet.Service = parent.Wallet.Service
	}
	foreign := r.Scope > ledger.Operator && r.Scope != parent.Wallet.Account
	if one.Wallet != parent.Wallet || foreign {
		one.failure = ledger.NotFound
	}
	if r.Reference == "" {
		one.Reference = parent.Reference
	}
	return one
}

// useOtherKey takes the keys with spend caps out of requests that were decided
// in an earlier window: who retries may use another key. Before, it could not be
// told which key the decision was made with. Clients call it at any time: what
// was decided changes only while they rest.
func (c *checker) useOtherKey(requests []ledger.Request) {
	for i := range requests {
		if c.decided[ledger.NewTransactionID(requests[i].Scope, requests[i].IdempotencyKey)] == nil {
			return
		}
	}
	for i := range requests {
		requests[i].Key = ""
	}
}

// askers finds who asked for each row.
func (w *window) askers() error {
	settling := map[string][]*record{}
	for _, r := range w.records {
		if len(r.requests) > 0 && r.wrong == "" {
			w.completed[r] = w.complete(r)
			for i := range w.completed[r] {
				one := &w.completed[r][i]
				there := w.decided[one.id]
				if there != nil && there.RequestHash == one.hash && one.failure == "" {
					there.askers = append(there.askers, asker{r, i})
				}
			}
		}
		for i := range r.reports {
			of := settling[r.reports[i].Reference]
			if len(of) == 0 || of[len(of)-1] != r {
				settling[r.reports[i].Reference] = append(of, r)
			}
		}
	}
	for i := range w.events {
		e := &w.events[i]
		e.known = beyondAll
		switch {
		case e.change != nil:
			e.earliest = e.change.began
			if e.change.err == nil {
				e.known = e.change.ended
			}
		case e.row.Scope != ledger.System:
			if err := w.asked(e); err != nil {
				return err
			}
		case strings.HasPrefix(e.row.IdempotencyKey, "settle:"):
			if err := w.settledBy(e, settling[e.row.Reference]); err != nil {
				return err
			}
		}
	}
	return nil
}

// asked finds out which of the askers decided a row, and when: one who was told
// so, or else any who was told nothing.
func (w *window) asked(e *event) error {
	var decider *asker
	e.earliest = beyondAll
	for i := range e.row.askers {
		a := &e.row.askers[i]
		answer := a.answer(a.item)
		switch {
		case answer.Err == nil:
			e.known = min(e.known, a.ended)
			if answer.Replayed {
				continue
			}
			if decider != nil && !w.alike(e) {
				return w.failure(e.row, "two were told that they had posted it first", "", "")
			}
			decider = a
		case a.lost(answer.Err):
			e.earliest = min(e.earliest, a.began)
		default:
			continue
		}
		e.row.asked = &w.completed[a.record][a.item].Request
	}
	if decider != nil {
		e.earliest = decider.began
		e.row.asked = &w.completed[decider.record][decider.item].Request
	}
	if e.row.asked == nil {
		return w.failure(e.row, "the ledger has a transaction that nobody asked for, or that everybody was told to have failed", "", "")
	}
	return nil
}

// alike tells whether a node that was in doubt of a commit of its own cannot have
// told whether that is the one it finds: another node has decided the same at
// the same instant of the simulation's clock, which stands still at times.
func (w *window) alike(e *event) bool {
	return slices.ContainsFunc(w.doubts, func(a *attempt) bool {
		return a != e.attempt && a.at.Equal(e.row.CreatedAt) && slices.Contains(a.ids, e.row.ID)
	})
}

// settledBy finds the earliest moment at which a report can have posted a row.
func (w *window) settledBy(e *event, records []*record) error {
	e.earliest = beyondAll
	for _, r := range records {
		e.earliest = min(e.earliest, r.began)
		for i := range r.settled {
			if t := r.settled[i].Transaction; t != nil && t.ID == e.row.ID {
				e.known = min(e.known, r.ended)
			}
		}
	}
	if len(records) == 0 {
		return w.failure(e.row, "the ledger settled a hold that no report is about", "", "")
	}
	return nil
}

// bounds tell of each part of the ledger since when its events were known: by
// the moment, with the highest position so far.
type bounds map[ledger.WalletRef][]bound

type bound struct {
	moment   int64
	position int
}

// everything is the one part of a ledger that a single node writes: there a
// later event is never seen without the earlier ones. Of several nodes that holds
// within a wallet, and within an account (a part without a service) for what is
// no wallet's, since others may still be about to commit what they wrote before.
var everything = ledger.WalletRef{}

// parts are those that an event is about.
func (w *window) parts(e *event) []ledger.WalletRef {
	switch {
	case !w.round.many():
		return []ledger.WalletRef{everything}
	case e.row == nil && e.change.change.create != nil:
		return w.partsOf(e.change.change.target.account)
	case e.row == nil:
		return []ledger.WalletRef{{Account: e.change.change.target.account, Service: e.change.change.service}}
	case e.row.Kind == ledger.Transfer:
		return []ledger.WalletRef{e.row.Wallet, e.row.To}
	default:
		return []ledger.WalletRef{e.row.Wallet}
	}
}

// realTime sorts the events by when they were known.
func (w *window) realTime() error {
	for i := range w.events {
		e := &w.events[i]
		if e.known == beyondAll {
			continue
		}
		for _, part := range w.parts(e) {
			w.bounds[part] = append(w.bounds[part], bound{e.known, i})
		}
	}
	for _, list := range w.bounds {
		slices.SortFunc(list, func(a, b bound) int { return cmp.Compare(a.moment, b.moment) })
		for i := 1; i < len(list); i++ {
			list[i].position = max(list[i].position, list[i-1].position)
		}
	}
	return nil
}

// after is the last event of a part that was known before a moment, -1 for none:
// what begins then takes effect after it.
func (b bounds) after(moment int64, part ledger.WalletRef) int {
	list := b[part]
	i, _ := slices.BinarySearchFunc(list, moment, func(e bound, moment int64) int { return cmp.Compare(e.moment, moment) })
	if i == 0 {
		return -1
	}
	return list[i-1].position
}

// until is the last event that was written before a moment: what ended then took
// effect not after it.
func (w *window) until(moment int64) int {
	i, _ := slices.BinarySearchFunc(w.events, moment, func(e event, moment int64) int { return cmp.Compare(e.written, moment) })
	return i - 1
}

// low is the event after which a record's operation took effect, as far as it
// was about these parts.
func (w *window) low(r *record, parts ...ledger.WalletRef) int {
	if !w.round.many() {
		return w.bounds.after(r.began, everything)
	}
	low := len(w.events)
	for _, part := range parts {
		low = min(low, w.bounds.after(r.began, part))
	}
	return low
}

// span gives the events between which a record's operation took effect: after
// low, and not after high.
func (w *window) span(r *record, parts ...ledger.WalletRef) (low, high int) {
	return w.low(r, parts...), w.until(r.ended)
}

// inTime sees that nothing was decided before it was asked for.
func (w *window) inTime() error {
	for i := range w.events {
		e := &w.events[i]
		switch {
		case e.earliest < e.written:
		case e.change != nil:
			return w.wrong(e.change, nil, "it was done before it was asked for", "", "")
		default:
			return w.failure(e.row, "it stands before what was done before it was asked for", e.earliest, e.written)
		}
	}
	return nil
}
