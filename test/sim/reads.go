package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about how the faulty store reads: it fails for a caller whose
// context says so, and when the process is dead.

// reading reads from the store, unless that is to fail.
func reading[T any](ctx context.Context, s *faulty, read func() (T, error)) (T, error) {
	luck, _ := ctx.Value(misfortuneKey{}).(misfortune)
	if s.dead.Load() || luck.fail {
		var none T
		s.notes.readFailed()
		return none, fmt.Errorf("read: %w", errInjected)
	}
	value, err := read()
	time.Sleep(luck.slow) // while the ledger goes on, and what was read is out of date
	if ctx.Err() == nil && !s.done.Load() {
		s.own(err)
	}
	return value, err
}

// Holder reads an account.
func (s *faulty) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	return reading(ctx, s, func() (*ledger.Holder, error) { return s.Store.Holder(ctx, id) })
}

// Transaction reads a decided transaction.
func (s *faulty) Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	return reading(ctx, s, func() (*ledger.Transaction, error) { return s.Store.Transaction(ctx, id) })
}

// Hold reads a hold.
func (s *faulty) Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error) {
	return reading(ctx, s, func() (*ledger.Hold, error) { return s.Store.Hold(ctx, id) })
}

// HoldsByReference finds holds.
func (s *faulty) HoldsByReference(ctx context.Context, wanted []engine.HoldReference, limit int) ([][]*ledger.Hold, error) {
	return reading(ctx, s, func() ([][]*ledger.Hold, error) { return s.Store.HoldsByReference(ctx, wanted, limit) })
}

// DueHolds lists holds that are due.
func (s *faulty) DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error) {
	return reading(ctx, s, func() ([]*ledger.Hold, error) { return s.Store.DueHolds(ctx, at, limit) })
}
