package main

import (
	"context"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// sqlLoop runs the statements of a charge in a bare loop, in transactions of
// the given size: what the store could do if nothing stood before it.
func sqlLoop(ctx context.Context, path string, size int, duration time.Duration) (rate float64, err error) {
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	holders := make([]*ledger.Holder, accounts)
	for i := range holders {
		holders[i] = &ledger.Holder{
			Account: ledger.Account{ID: ledger.AccountID(firstAccount + i), Name: "bench", Currency: "CNY", Status: ledger.Active},
			Wallets: []ledger.Wallet{{WalletRef: ledger.WalletRef{Service: ledger.SMS}, Balance: ledger.MaxAmount / 2}},
		}
		if err := store.Write(ctx, func(tx engine.Tx) error { return tx.InsertAccount(ctx, holders[i]) }); err != nil {
			return 0, err
		}
	}
	began, n := time.Now(), 0
	for time.Since(began) < duration {
		err := store.Write(ctx, func(tx engine.Tx) error {
			batch := loopBatch(holders, n, size)
			ids := make([]ledger.TransactionID, size)
			for i, t := range batch.Transactions {
				ids[i] = t.ID
			}
			if _, err := tx.Decided(ctx, ids); err != nil {
				return err
			}
			return tx.Append(ctx, batch)
		})
		if err != nil {
			return 0, err
		}
		n += size
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func loopBatch(holders []*ledger.Holder, n, size int) *engine.Batch {
	revenue := engine.SystemTotal{Account: ledger.Revenue, Currency: "CNY"}
	batch := &engine.Batch{}
	touched := map[*ledger.Wallet]bool{}
	for i := range size {
		holder := holders[(n+i)%len(holders)]
		t := ledger.NewTransaction(ledger.Request{
			IdempotencyKey: fmt.Sprintf("loop-%d", n+i),
			Kind:           ledger.Charge,
			Wallet:         ledger.WalletRef{Account: holder.ID, Service: ledger.SMS},
			Amount:         38_300,
			Reference:      fmt.Sprintf("msg-%d", n+i),
		})
		wallet := &holder.Wallets[0]
		side := ledger.Side{Wallet: *wallet, Currency: holder.Currency, Status: holder.Status}
		batch.Entries = append(batch.Entries, t.Decide(ledger.State{From: &side}, time.Now())...)
		*wallet = side.Wallet
		batch.Transactions = append(batch.Transactions, &t)
		if !touched[wallet] {
			touched[wallet] = true
			batch.Wallets = append(batch.Wallets, wallet)
		}
	}
	for i := range batch.Entries {
		revenue.Total.Add(-batch.Entries[i].Amount)
	}
	batch.System = append(batch.System, revenue)
	return batch
}
