package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// seed fills a ledger with accounts, each with a key, money and charges, many in
// one transaction, by the store's own methods. The index of ids is made at the
// end, because to keep it up on the way takes many times as long.
func (s *suite) seed(ctx context.Context) (err error) {
	if s.db, err = s.place(ctx); err != nil {
		return err
	}
	if s.operator, err = app.Init(ctx, s.db); err != nil {
		return err
	}
	without, with := "DROP INDEX transactions_by_id", "PRAGMA cache_size = -1000000; CREATE UNIQUE INDEX transactions_by_id ON transactions (id)"
	if s.store == database {
		without = "ALTER TABLE transactions DROP CONSTRAINT transactions_by_id"
		with = "SET maintenance_work_mem = '1GB'; ALTER TABLE transactions ADD CONSTRAINT transactions_by_id PRIMARY KEY (id)"
	}
	if err := s.execute(ctx, without); err != nil {
		return err
	}
	store, err := app.OpenStore(ctx, s.db)
	if err != nil {
		return err
	}
	if err := errors.Join(s.seedAccounts(ctx, store), store.Close()); err != nil {
		return err
	}
	progressf("%s: making the index", s.store)
	defer progressf("")
	if err := s.execute(ctx, with); err != nil || s.store != database {
		return err
	}
	return s.execute(ctx, "VACUUM ANALYZE")
}

func (s *suite) seedAccounts(ctx context.Context, store engine.Store) error {
	const many = 2000
	count := s.large
	for first := 0; first < count; first += many {
		progressf("%s: accounts: %d of %d", s.store, first, count)
		err := store.Write(ctx, func(tx engine.Tx) error {
			batch := &engine.Batch{}
			for i := first; i < min(first+many, count); i++ {
				if err := seedAccount(ctx, tx, i, s.entries, batch); err != nil {
					return err
				}
			}
			return tx.Append(ctx, batch)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// execute runs statements past the store.
func (s *suite) execute(ctx context.Context, statements string) (err error) {
	if s.store == database {
		return pgtest.Exec(ctx, s.db, statements)
	}
	db, err := sql.Open("sqlite", s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statements)
	return err
}

func seedAccount(ctx context.Context, tx engine.Tx, i, entries int, batch *engine.Batch) error {
	holder := newHolder(i)
	sms := holder.Wallets[0].WalletRef
	if err := errors.Join(tx.InsertAccount(ctx, holder), tx.InsertKey(ctx, newKey(i))); err != nil {
		return err
	}
	side := ledger.Side{Wallet: holder.Wallets[0], Currency: "CNY", Status: ledger.Active}
	for n := range entries {
		request := ledger.Request{IdempotencyKey: fmt.Sprintf("seed-%d-%d", i, n), Kind: ledger.Charge, Wallet: sms, Amount: 38_300}
		if n == 0 {
			request.Kind, request.Amount = ledger.TopUp, 1000*ledger.Scale
		}
		t := ledger.NewTransaction(request)
		batch.Entries = append(batch.Entries, t.Decide(ledger.State{From: &side}, seedTime)...)
		batch.Transactions = append(batch.Transactions, &t)
		total := engine.SystemTotal{Account: t.Kind.Counterpart(), Currency: "CNY"}
		total.Total.Add(-t.Delta())
		batch.System = addTotal(batch.System, total)
	}
	batch.Wallets = append(batch.Wallets, &side.Wallet)
	return nil
}

// seedTime is that of everything in the ledger before it is measured.
var seedTime = time.Now()

// addTotal folds a total into those of its batch.
func addTotal(totals []engine.SystemTotal, add engine.SystemTotal) []engine.SystemTotal {
	for i := range totals {
		if totals[i].Account == add.Account {
			totals[i].Total.AddTotal(&add.Total)
			return totals
		}
	}
	return append(totals, add)
}
