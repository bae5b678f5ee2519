package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// storeLoop runs the statements of charges in a bare loop, in transactions of
// the given size, one after the other on each connection: what the store could
// do if nothing stood before it.
func storeLoop(ctx context.Context, db string, size, connections int, duration time.Duration) (result, error) {
	return timed(duration, connections, size, func(worker int, end time.Time) (took []time.Duration, err error) {
		store, err := app.OpenStore(ctx, db) // each with a pool of its own
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		cached := map[ledger.AccountID]*ledger.Holder{}
		if store.Exclusive() {
			holders, err := store.Holders(ctx, 0, accounts)
			if err != nil {
				return nil, err
			}
			for _, holder := range holders {
				cached[holder.ID] = holder
			}
		}
		return repeat(ctx, end, func(n int) error {
			return store.Write(ctx, func(tx engine.Tx) error {
				charges := make([]ledger.Transaction, size)
				for i := range charges {
					// No two workers charge the same account.
					number := int64((n*size+i)*connections + worker)
					charges[i] = loopCharge(number, nth(number, accounts))
				}
				return chargeAll(ctx, tx, charges, cached)
			})
		})
	})
}

// chargeAll decides charges and writes them, as the engine does.
func chargeAll(ctx context.Context, tx engine.Tx, charges []ledger.Transaction, cached map[ledger.AccountID]*ledger.Holder) (err error) {
	var refs []ledger.WalletRef
	ids := make([]ledger.TransactionID, len(charges))
	for i := range charges {
		ids[i] = charges[i].ID
		refs = append(refs, charges[i].Wallet)
	}
	slices.SortFunc(refs, ledger.WalletRef.Compare)
	refs = slices.Compact(refs)
	holders := cached
	if len(cached) == 0 {
		if holders, err = tx.Lock(ctx, refs); err != nil {
			return err
		}
	}
	if _, err := tx.Decided(ctx, ids); err != nil {
		return err
	}
	batch := &engine.Batch{}
	now := time.Now()
	for i := range charges {
		t := &charges[i]
		holder := holders[t.Wallet.Account]
		wallet, _ := holder.Wallet(ledger.SMS)
		side := ledger.Side{Wallet: *wallet, Currency: holder.Currency, Status: holder.Status}
		batch.Entries = append(batch.Entries, t.Decide(ledger.State{From: &side}, now)...)
		*wallet = side.Wallet
		batch.Transactions = append(batch.Transactions, t)
	}
	for _, ref := range refs {
		wallet, _ := holders[ref.Account].Wallet(ledger.SMS)
		batch.Wallets = append(batch.Wallets, wallet)
	}
	revenue := engine.SystemTotal{Account: ledger.Revenue, Currency: "CNY"}
	for i := range batch.Entries {
		revenue.Total.Add(-batch.Entries[i].Amount)
	}
	batch.System = append(batch.System, revenue)
	return tx.Append(ctx, batch)
}
