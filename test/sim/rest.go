package sim

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about the ledger as it is when nothing happens: everything in it
// must be what the model has.

// atRest compares accounts, keys, system accounts, and the holds that changed.
func (w *window) atRest(ctx context.Context) error {
	store := w.round.rest()
	now := w.round.clock.time()
	readers := map[string]func(context.Context, ledger.AccountID) (*ledger.Holder, error){"store": store.Holder}
	for _, n := range w.round.nodes {
		readers[name(n.number)] = n.current.Load().Holder
	}
	for _, id := range everybody {
		want := w.model.state(id)
		for from, read := range readers {
			var got *ledger.Holder
			err := w.round.patiently(func() (err error) {
				got, err = read(ctx, id)
				return err
			})
			if err != nil {
				return err
			}
			if !want.same(got, func(zone *time.Location) int { return dayOf(now, zone) }) {
				return w.failure(w.lastOf(id), fmt.Sprintf("account %d of the %s differs", id, from), fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", *got))
			}
		}
		if err := w.keysAtRest(ctx, store, id, now); err != nil {
			return err
		}
	}
	if err := w.keysAtRest(ctx, store, ledger.Operator, now); err != nil {
		return err
	}
	sample := 0
	for id := range w.holds {
		// A server is asked for each by itself. It keeps a wrong one until all
		// are compared, see allHolds.
		if sample++; w.round.many() && sample%8 != 0 {
			continue
		}
		if err := w.holdAtRest(ctx, store, id); err != nil {
			return err
		}
	}
	if err := w.openHolds(ctx, store); err != nil {
		return err
	}
	return store.Snapshot(ctx, func(s engine.Snapshot) error { return w.systemAtRest(ctx, s) })
}

// lastOf is the latest row of an account, for the report of a failure.
func (w *window) lastOf(id ledger.AccountID) *row {
	for _, r := range slices.Backward(w.order) {
		if r.Wallet.Account == id || r.To.Account == id {
			return r
		}
	}
	return nil
}

func (w *window) keysAtRest(ctx context.Context, store Store, owner ledger.AccountID, now time.Time) error {
	keys, err := store.Keys(ctx, owner, "", 10)
	if err != nil {
		return err
	}
	for _, k := range keys {
		want := w.model.keys[k.ID]
		day := dayOf(now, w.model.zoneOf(want))
		want.spent = want.spent.on(day)
		got := key{owner: k.Account, daily: int64(k.Caps.Daily), monthly: int64(k.Caps.Monthly), spent: seenCount(k.Spent, day)}
		if want != got {
			return w.failure(nil, "key "+k.ID+" differs", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got))
		}
	}
	if len(keys) != 1 {
		return w.failure(nil, fmt.Sprintf("the owner %d has %d keys", owner, len(keys)), "1", "")
	}
	return nil
}

// holdAtRest compares a hold, or sees that there is none.
func (w *window) holdAtRest(ctx context.Context, store Store, id ledger.TransactionID) error {
	w.round.stats.holds++
	want, there := w.model.holds[id]
	got, err := store.Hold(ctx, id)
	if code := ledger.CodeOf(err); code == ledger.NotFound && !there {
		return nil
	}
	if err != nil || !there {
		return w.failure(w.decided[id], "there is a hold too many, or one too few", there, fmt.Sprintf("%+v, %v", got, err))
	}
	if !want.same(id, got) {
		return w.failure(w.decided[id], "a hold differs", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", *got))
	}
	return nil
}

// openHolds sees that no hold is open past its expiry, that what wallets hold is
// what their open holds have, and that the ledger lists these.
func (w *window) openHolds(ctx context.Context, store Store) error {
	now := w.round.clock.time()
	open := map[ledger.WalletRef]int{}
	held := map[ledger.WalletRef]int64{}
	for id, h := range w.model.holds {
		if h.state != ledger.HoldOpen {
			continue
		}
		if !now.Before(h.expires) {
			return w.failure(w.decided[id], "a hold is open past its expiry", h.expires.String(), now.String())
		}
		open[h.wallet]++
		held[h.wallet] += h.remaining
	}
	for ref := range w.model.wallets {
		if held[ref] != w.model.wallets[ref].held {
			return w.failure(nil, fmt.Sprintf("the model itself is wrong about what %v holds", ref), "", "")
		}
		listed, err := store.Holds(ctx, ref, ledger.HoldOpen, engine.Place{}, open[ref]+1)
		if err != nil {
			return err
		}
		if len(listed) != open[ref] {
			return w.failure(nil, fmt.Sprintf("the open holds of %v", ref), open[ref], len(listed))
		}
	}
	return nil
}

func (w *window) systemAtRest(ctx context.Context, snapshot engine.Snapshot) error {
	system, err := snapshot.System(ctx)
	if err != nil {
		return err
	}
	for i := range system {
		s := &system[i]
		want := w.model.system[systemAccount{s.Account, s.Currency}]
		if want == nil || want.String() != s.Total.Millionths() {
			return w.failure(nil, fmt.Sprintf("system account %s in %s differs", s.Account, s.Currency), want, s.Total.Millionths())
		}
	}
	if len(system) != len(w.model.system) {
		return w.failure(nil, "the number of system accounts", len(w.model.system), len(system))
	}
	return nil
}

// whole compares all of the ledger, from its beginning.
func (w *window) whole(ctx context.Context) error {
	store := w.round.rest()
	i := 0
	err := w.round.ledger.Transactions(ctx, 0, func(place int64, t *ledger.Transaction) error {
		if i >= len(w.order) || place != w.order[i].place || !reflect.DeepEqual(t, w.order[i].Transaction) {
			return w.failure(&row{Transaction: t}, "a transaction is not what it was before", "", "")
		}
		i++
		return nil
	})
	if err == nil && i != len(w.order) {
		err = w.failure(nil, "transactions are gone", len(w.order), i)
	}
	if err != nil {
		return err
	}
	err = store.Snapshot(ctx, func(s engine.Snapshot) error {
		if err := w.allHolds(ctx, s); err != nil {
			return err
		}
		return w.allRefunds(ctx, s)
	})
	if err != nil || w.round.config.ModelOnly {
		return err
	}
	return w.verify(ctx, store)
}

// allHolds compares every hold.
func (w *window) allHolds(ctx context.Context, snapshot engine.Snapshot) error {
	var after ledger.Hold
	count := 0
	for {
		page, err := snapshot.Holds(ctx, &after, 1000)
		if err != nil {
			return err
		}
		for i := range page {
			want, there := w.model.holds[page[i].ID]
			if !there || !want.same(page[i].ID, &page[i].Hold) {
				return w.failure(w.decided[page[i].ID], "a hold differs", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", page[i].Hold))
			}
		}
		count += len(page)
		if len(page) < 1000 {
			break
		}
		after = page[len(page)-1].Hold
	}
	if count != len(w.model.holds) {
		return w.failure(nil, "the number of holds", len(w.model.holds), count)
	}
	return nil
}

// allRefunds compares how much of each charge was given back.
func (w *window) allRefunds(ctx context.Context, snapshot engine.Snapshot) error {
	var after ledger.TransactionID
	got := map[ledger.TransactionID]int64{}
	for {
		page, err := snapshot.Refunds(ctx, after, 1000)
		if err != nil {
			return err
		}
		for i := range page {
			got[page[i].ID] = int64(page[i].Refunded)
		}
		if len(page) < 1000 {
			break
		}
		after = page[len(page)-1].ID
	}
	refunded := 0
	for id, c := range w.model.charges {
		if c.refunded > 0 {
			refunded++
		}
		if c.refunded != got[id] {
			return w.failure(w.decided[id], "what was refunded of a charge differs", c.refunded, got[id])
		}
	}
	if refunded != len(got) {
		return w.failure(nil, "the number of charges of which something was refunded", refunded, len(got))
	}
	return nil
}

// verify lets the ledger check itself, with the heads of the last time.
func (w *window) verify(ctx context.Context, store Store) error {
	heads := w.heads
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{Evidence: evidence(heads)})
	if err != nil {
		return err
	}
	if report.ProblemCount > 0 {
		return w.failure(nil, "verify found something", "", report.Problems)
	}
	if report.Transactions != int64(len(w.order)) || report.Holds != int64(len(w.model.holds)) || report.Heads != int64(len(heads)) {
		return w.failure(nil, "verify did not see everything", fmt.Sprintf("%d transactions, %d holds, %d heads", len(w.order), len(w.model.holds), len(heads)),
			fmt.Sprintf("%+v", *report))
	}
	w.heads = nil
	return engine.Heads(ctx, store, func(h engine.Head) error {
		w.heads = append(w.heads, h)
		return nil
	})
}

func evidence(heads []engine.Head) iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		for _, h := range heads {
			if !yield(h, nil) {
				return
			}
		}
	}
}
