package engine

import (
	"context"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Statement is a range of a wallet's entries. What it covers is fixed when it is
// made, because entries are only ever added.
type Statement struct {
	Wallet   ledger.WalletRef
	Currency string
	After    int64 // the version before the first entry of the range
	Until    int64 // the version of its last entry
	Opening  ledger.Amount
	Closing  ledger.Amount
}

// Statement finds the entries of a wallet created in [from, to); a zero time
// stands for the beginning, or for now.
//
// Errors: NotFound; InvalidRequest where from is after to.
func (e *Engine) Statement(ctx context.Context, ref ledger.WalletRef, from, to time.Time) (*Statement, error) {
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		return nil, ledger.Errorf(ledger.InvalidRequest, "from must not be after to")
	}
	wallet, currency, err := e.currentWallet(ctx, ref)
	if err != nil {
		return nil, err
	}
	s := &Statement{Wallet: ref, Currency: currency, Until: wallet.Version, Closing: wallet.Balance}
	if !to.IsZero() {
		if s.Until, s.Closing, err = e.lastBefore(ctx, wallet, to); err != nil {
			return nil, err
		}
	}
	if !from.IsZero() {
		if s.After, s.Opening, err = e.lastBefore(ctx, wallet, from); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// EndAt lets a statement end at an earlier version than it does, so that its
// later pages cover what its first one did.
func (e *Engine) EndAt(ctx context.Context, s *Statement, version int64) error {
	if version < 1 || version >= s.Until {
		return nil
	}
	entry, err := bounded(e, func() (*ledger.Entry, error) { return e.store.Entry(ctx, s.Wallet, version) })
	if err != nil {
		return err
	}
	s.Until, s.Closing = version, entry.Balance
	return nil
}

func (e *Engine) currentWallet(ctx context.Context, ref ledger.WalletRef) (*ledger.Wallet, string, error) {
	holder, err := e.Holder(ctx, ref.Account)
	if err != nil {
		return nil, "", err
	}
	wallet, ok := holder.Wallet(ref.Service)
	if !ok {
		return nil, "", ledger.Errorf(ledger.NotFound, "account %d has no such wallet", ref.Account)
	}
	return wallet, holder.Currency, nil
}

// lastBefore finds the version and balance of the last entry created before a
// time; 0 where there is none.
func (e *Engine) lastBefore(ctx context.Context, wallet *ledger.Wallet, at time.Time) (int64, ledger.Amount, error) {
	entry, err := e.entryBefore(ctx, wallet, at)
	if err != nil || entry == nil {
		return 0, 0, err
	}
	return entry.Version, entry.Balance, nil
}

// entryBefore finds the last entry of a wallet created before a time, nil where
// there is none. Versions have no gap and time never runs backwards, so the
// chain is its own index: halving finds the place in some twenty look-ups.
func (e *Engine) entryBefore(ctx context.Context, wallet *ledger.Wallet, at time.Time) (*ledger.Entry, error) {
	var found *ledger.Entry
	low, high := int64(0), wallet.Version // found is number low, and what follows high is not before
	for low < high {
		middle := low + (high-low+1)/2
		entry, err := bounded(e, func() (*ledger.Entry, error) { return e.store.Entry(ctx, wallet.WalletRef, middle) })
		if err != nil {
			return nil, err
		}
		if entry.CreatedAt.Before(at) {
			low, found = middle, entry
		} else {
			high = middle - 1
		}
	}
	return found, nil
}

// WalletAt is a wallet as it was after its last entry at a time or before it.
// Settings have no history, so those are not given.
func (e *Engine) WalletAt(ctx context.Context, ref ledger.WalletRef, at time.Time) (*ledger.Wallet, string, error) {
	wallet, currency, err := e.currentWallet(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	entry, err := e.entryBefore(ctx, wallet, at.Truncate(time.Microsecond).Add(time.Microsecond))
	if err != nil {
		return nil, "", err
	}
	past := &ledger.Wallet{WalletRef: ref}
	if entry != nil {
		past.Balance, past.Held, past.Version, past.Head = entry.Balance, entry.Held, entry.Version, entry.Hash
	}
	return past, currency, nil
}

// Rows reads entries of a statement after a version, in their order, of one
// kind or, for "", of all. It looks at a bounded number of entries, so that a page
// takes a bounded time however rare the kind is: next is the version after which
// the following page starts, and the end is reached when it is Until.
func (e *Engine) Rows(ctx context.Context, s *Statement, after int64, kind ledger.Kind, limit int) (rows []EntryRow, next int64, err error) {
	const most, many = 20, 500 // chunks of entries that are looked at for one page, and their size
	next = max(after, s.After)
	for range most {
		size := many
		if kind == "" {
			size = min(many, limit-len(rows)) // every entry is a row
		}
		chunk, err := bounded(e, func() ([]EntryRow, error) { return e.store.Entries(ctx, s.Wallet, next, s.Until, size) })
		if err != nil {
			return nil, 0, err
		}
		for i := range chunk {
			next = chunk[i].Version
			if chunk[i].Cause != nil && (kind == "" || chunk[i].Cause.Kind == kind) {
				rows = append(rows, chunk[i])
			}
			if len(rows) == limit {
				return rows, next, nil
			}
		}
		if next >= s.Until || len(chunk) == 0 {
			return rows, s.Until, nil
		}
	}
	return rows, next, nil
}
