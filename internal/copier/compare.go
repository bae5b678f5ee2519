package copier

import (
	"context"
	"reflect"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// This file is about the comparison of a copy with its source. Accounts, wallets
// with the heads of their chains, keys, totals and what is known of upstreams are
// compared field by field, the rest is counted: that history and holds are what the
// heads say is what the verification proves, which follows.

func (r *run) compare(ctx context.Context, from Snapshot) error {
	r.shown.Done, r.shown.Before, r.shown.Total = 0, 0, r.report.Ledger.Accounts+r.report.Ledger.Keys+r.report.Ledger.Upstreams+r.report.Ledger.Readings
	r.show(Comparing)
	return r.target.CopySnapshot(ctx, 0, func(copied Snapshot) error {
		counts, err := copied.Counts(ctx)
		if err != nil {
			return err
		}
		if counts != r.report.Ledger {
			r.problemf("the ledger has %+v, the copy has %+v", r.report.Ledger, counts)
		}
		if err := compareLists(ctx, r, "account", from.Holders, copied.Holders, accountOf); err != nil {
			return err
		}
		if err := compareLists(ctx, r, "key", from.Keys, copied.Keys, keyOf); err != nil {
			return err
		}
		if err := compareLists(ctx, r, "upstream", from.Upstreams, copied.Upstreams, upstreamOf); err != nil {
			return err
		}
		if err := compareLists(ctx, r, "reading", from.Readings, copied.Readings, readingOf); err != nil {
			return err
		}
		return r.compareSystem(ctx, from, copied)
	})
}

// compareLists walks two lists side by side. The pages of equal lists are equal,
// so the first page that differs ends the walk; what follows it would differ in
// its place alone.
func compareLists[T any, P comparable](ctx context.Context, r *run, what string,
	left, right func(context.Context, P, int) ([]T, error), place func(T) P,
) error {
	var after P
	for {
		r.show(Comparing)
		original, err := left(ctx, after, r.Page)
		if err != nil {
			return err
		}
		copied, err := right(ctx, after, r.Page)
		if err != nil {
			return err
		}
		if len(original) != len(copied) {
			r.problemf("after %s %v the ledger has %d more, the copy has %d", what, after, len(original), len(copied))
			return nil
		}
		for i := range original {
			if place(original[i]) != place(copied[i]) {
				r.problemf("the ledger has %s %v, the copy has %v in its place", what, place(original[i]), place(copied[i]))
				return nil
			}
			if !equal(original[i], copied[i]) {
				r.problemf("%s %v is not the same in the copy", what, place(original[i]))
			}
		}
		if len(original) == 0 {
			return nil
		}
		after = place(original[len(original)-1])
		r.shown.Done += int64(len(original))
	}
}

func (r *run) compareSystem(ctx context.Context, from, copied Snapshot) error {
	original, err := from.System(ctx)
	if err != nil {
		return err
	}
	totals, err := copied.System(ctx)
	if err != nil {
		return err
	}
	if len(original) != len(totals) {
		r.problemf("the ledger has %d system accounts, the copy has %d", len(original), len(totals))
		return nil
	}
	for i := range original {
		if !sameTotal(&original[i], &totals[i]) {
			r.problemf("system account %s in %s has %s, the copy has %s in %s with %s",
				original[i].Account, original[i].Currency, &original[i].Total, totals[i].Account, totals[i].Currency, &totals[i].Total)
		}
	}
	return nil
}

func sameTotal(a, b *engine.SystemTotal) bool {
	return a.Account == b.Account && a.Currency == b.Currency && a.Total.Equal(&b.Total)
}

// equal compares two rows in every field. Stores give times in UTC and in
// microseconds, so the same moment is the same value.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
