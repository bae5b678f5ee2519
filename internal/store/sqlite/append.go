package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Append writes row by row: a statement of many rows was no faster here,
// because there is no network between the statements.
func (t *tx) Append(ctx context.Context, batch *engine.Batch) error {
	for _, transaction := range batch.Transactions {
		args, err := transactionArgs(transaction)
		if err != nil {
			return err
		}
		if _, err := t.insertTransaction.ExecContext(ctx, args...); err != nil {
			return fmt.Errorf("insert transaction %s: %w", transaction.ID, err)
		}
	}
	for i := range batch.Entries {
		if _, err := t.insertEntry.ExecContext(ctx, entryArgs(&batch.Entries[i])...); err != nil {
			return fmt.Errorf("insert entry of transaction %s: %w", batch.Entries[i].Transaction, err)
		}
	}
	for _, wallet := range batch.Wallets {
		_, err := t.updateWallet.ExecContext(ctx, int64(wallet.Balance), int64(wallet.Held),
			int64(wallet.Spent.Day), int64(wallet.Spent.Today), int64(wallet.Spent.InMonth), wallet.Version, wallet.Head[:],
			int64(wallet.Account), string(wallet.Service))
		if err != nil {
			return fmt.Errorf("update wallet %s of account %d: %w", wallet.Service, wallet.Account, err)
		}
	}
	for i := range batch.System {
		if err := t.addSystem(ctx, &batch.System[i]); err != nil {
			return fmt.Errorf("add to system account %s: %w", batch.System[i].Account, err)
		}
	}
	return t.appendRare(ctx, batch)
}

// appendRare writes what most batches have little of.
func (t *tx) appendRare(ctx context.Context, batch *engine.Batch) error {
	for _, hold := range batch.Holds {
		if _, err := t.putHold.ExecContext(ctx, holdArgs(hold)...); err != nil {
			return fmt.Errorf("write hold %s: %w", hold.ID, err)
		}
	}
	for _, charge := range batch.Refunded {
		if _, err := t.putRefunded.ExecContext(ctx, charge.ID[:], int64(charge.Refunded)); err != nil {
			return fmt.Errorf("count refunds of %s: %w", charge.ID, err)
		}
	}
	for i := range batch.Keys {
		spent := &batch.Keys[i].Spent
		if _, err := t.updateKey.ExecContext(ctx, int64(spent.Day), int64(spent.Today), int64(spent.InMonth), batch.Keys[i].ID); err != nil {
			return fmt.Errorf("count what key %s spent: %w", batch.Keys[i].ID, err)
		}
	}
	return nil
}

func (t *tx) addSystem(ctx context.Context, add *engine.SystemTotal) error {
	var total ledger.Total
	var text string
	err := t.systemTotal.QueryRowContext(ctx, string(add.Account), add.Currency).Scan(&text)
	if err == nil {
		total, err = ledger.ParseTotal(text)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	total.AddTotal(&add.Total)
	_, err = t.setSystemTotal.ExecContext(ctx, string(add.Account), add.Currency, total.Millionths())
	return err
}
