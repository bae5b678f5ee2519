package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// pgxLoop charges as a program without Saldo would do it well: a transaction for
// each charge, one after the other on each connection, with prepared statements
// (which pgx makes of all that it is given), and as few round trips as there can
// be. The rows are those that Saldo writes, but for the other side of a charge:
// one row of a system account would keep all of them waiting for each other.
func pgxLoop(ctx context.Context, db string, connections int, duration time.Duration) (result, error) {
	var next atomic.Int64
	return timed(duration, connections, 1, func(_ int, end time.Time) (took []time.Duration, err error) {
		conn, err := pgx.Connect(ctx, db)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
		return repeat(ctx, end, func(int) error {
			n := next.Add(1)
			return chargeOne(ctx, conn, loopCharge(n, nth(n, accounts)))
		})
	})
}

const (
	lockWallet = `SELECT balance, held, credit_limit, version, head FROM wallets WHERE account_id = $1 AND service = $2 FOR UPDATE`
	findCharge = `SELECT 1 FROM transactions WHERE id = $1`
	addCharge  = `INSERT INTO transactions (id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service,
		amount, expires_in, final, reference, metadata, rejection, moved, balance, held, available, daily_left, monthly_left, remaining,
		version, to_version, created_at)
		VALUES ($1, 0, $2, $3, 'charge', $4, $5, 0, '', $6, 0, 0, $7, '', '', $6, $8, $9, $10, -1, -1, 0, $11, 0, $12)`
	addEntry = `INSERT INTO entries (account_id, service, version, transaction_id, amount, balance, held, created_at, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	setWallet = `UPDATE wallets SET balance = $3, version = $4, head = $5, last_entry_at = $6 WHERE account_id = $1 AND service = $2`
)

// chargeOne posts a charge unless it is posted already. The statements of each
// batch travel together: first the lock and the look-up, then what is written.
func chargeOne(ctx context.Context, conn *pgx.Conn, t ledger.Transaction) error {
	account, service, id := int32(t.Wallet.Account), string(t.Wallet.Service), t.ID[:]
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		side := ledger.Side{Wallet: ledger.Wallet{WalletRef: t.Wallet}, Currency: "CNY", Status: ledger.Active}
		w := &side.Wallet
		var head []byte
		found := false
		read := &pgx.Batch{}
		read.Queue(lockWallet, account, service).QueryRow(func(row pgx.Row) error {
			return row.Scan(&w.Balance, &w.Held, &w.CreditLimit, &w.Version, &head)
		})
		read.Queue(findCharge, id).Query(func(rows pgx.Rows) error {
			found = rows.Next()
			return nil
		})
		if err := tx.SendBatch(ctx, read).Close(); err != nil || found {
			return err
		}
		copy(w.Head[:], head)
		entries := t.Decide(ledger.State{From: &side}, time.Now())
		if len(entries) != 1 {
			return fmt.Errorf("the charge was not posted: %w", t.Err())
		}
		at := t.CreatedAt.UnixMicro()
		write := &pgx.Batch{}
		write.Queue(addCharge, id, t.IdempotencyKey, t.RequestHash[:], account, service, int64(t.Amount), t.Reference,
			int64(t.Balance), int64(t.Held), int64(t.Available), t.Version, at)
		write.Queue(addEntry, account, service, entries[0].Version, id, int64(entries[0].Amount), int64(entries[0].Balance), int64(entries[0].Held),
			at, entries[0].Hash[:])
		write.Queue(setWallet, account, service, int64(w.Balance), w.Version, w.Head[:], at)
		return tx.SendBatch(ctx, write).Close()
	})
}
