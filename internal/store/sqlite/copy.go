package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// Copy is a ledger that is being made as a copy of another one. It implements
// copier.Target.
type Copy struct{ *Store }

var _ copier.Target = (*Copy)(nil)

// OpenCopy opens a ledger that copies can be written into: a copy that was begun
// and never served, or a new ledger where there is nothing. Whether it is a copy
// shows when one begins. Errors: ErrInUse, ErrNotLedger, ErrNewer, ErrExists,
// ErrCopying, LeftoverError.
func OpenCopy(ctx context.Context, path string) (*Copy, error) {
	store, err := openToWrite(ctx, path)
	if errors.Is(err, ErrNotFound) {
		if err = createCopy(ctx, path); err == nil {
			store, err = openToWrite(ctx, path)
		}
	}
	if err != nil {
		return nil, err
	}
	return &Copy{store}, nil
}

// createCopy makes a ledger that is an unfinished copy from the moment that it has
// its name, so that whatever ends this process leaves none that could be served.
func createCopy(ctx context.Context, to string) error {
	to = filepath.Clean(to) // SQLite takes what comes after two slashes for a host
	return makeCopy("", to, false,
		func(partial string) error { return brand(ctx, partial) },
		func(partial string) error { return markCopy(ctx, partial) },
		func(partial string) error { return seal(ctx, partial) },
		sync,
	)
}

// markCopy makes the tables, and notes that they are for a copy that was not begun.
func markCopy(ctx context.Context, path string) (err error) {
	w, err := openWriter(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	_, err = w.conn.ExecContext(ctx, "INSERT INTO copy_progress (id, source, transactions, finished) VALUES (1, zeroblob(32), 0, 0)")
	return err
}

// checkCopy refuses a copy that is not finished, which is no ledger.
func (s *Store) checkCopy(ctx context.Context) error {
	state, err := s.copyProgress(ctx)
	if err == nil && state != nil && !state.Finished {
		err = copier.ErrUnfinished
	}
	return err
}

// leaveCopy ends what the ledger still is of a copy: from now on it has a history
// of its own.
func (s *Store) leaveCopy(ctx context.Context) error {
	state, err := s.copyProgress(ctx)
	switch {
	case err != nil || state == nil:
		return err
	case !state.Finished:
		return copier.ErrUnfinished
	}
	return s.Write(ctx, func(t engine.Tx) error {
		_, err := t.(*tx).conn.ExecContext(ctx, "DELETE FROM copy_progress")
		return err
	})
}

// State tells how far the copy is.
func (c *Copy) State(ctx context.Context) (*copier.State, error) { return c.copyProgress(ctx) }

func (s *Store) copyProgress(ctx context.Context) (*copier.State, error) {
	var source, last []byte
	var state copier.State
	err := s.readDB.QueryRowContext(ctx, "SELECT source, transactions, last, finished FROM copy_progress").
		Scan(&source, &state.Transactions, &last, &state.Finished)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &state, errors.Join(copyBytes(state.Source[:], source), copyID(&state.Last, last))
}

// Begin begins a copy, or goes on with one.
func (c *Copy) Begin(ctx context.Context, source ledger.Hash) error {
	return c.write(ctx, func(t *tx) error {
		done, err := t.conn.ExecContext(ctx, "UPDATE copy_progress SET finished = 0, source = ?1 WHERE source IN (?1, zeroblob(32))", source[:])
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var used bool
		err = t.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM copy_progress) OR EXISTS (SELECT 1 FROM keys)
			OR EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM transactions)`).Scan(&used)
		if err == nil && used {
			err = copier.ErrNotCopy
		}
		if err != nil {
			return err
		}
		_, err = t.conn.ExecContext(ctx, "INSERT INTO copy_progress (id, source, transactions, finished) VALUES (1, ?, 0, 0)", source[:])
		return err
	})
}

// write runs fn in one transaction.
func (c *Copy) write(ctx context.Context, fn func(*tx) error) error {
	return c.Write(ctx, func(t engine.Tx) error { return fn(t.(*tx)) })
}

// AppendHistory adds a page and notes how far the copy is.
func (c *Copy) AppendHistory(ctx context.Context, page *copier.Page, transactions int64) error {
	var batch engine.Batch
	for i := range page.Transactions {
		batch.Transactions = append(batch.Transactions, &page.Transactions[i])
	}
	for i := range page.Holds {
		batch.Holds = append(batch.Holds, &page.Holds[i])
	}
	for _, refund := range page.Refunds {
		batch.Refunded = append(batch.Refunded, &ledger.Refundable{ID: refund.Charge, Refunded: refund.Refunded})
	}
	last := page.Transactions[len(page.Transactions)-1].ID
	return c.write(ctx, func(t *tx) error {
		if err := t.Append(ctx, &batch); err != nil {
			return err
		}
		// In a ledger that was tampered with, two transactions may claim one place.
		// The copy has it once, and its verification says so.
		const insert = "INSERT INTO entries "
		err := t.many(ctx, insert+values(entryColumns)+" ON CONFLICT DO NOTHING", len(page.Entries),
			func(i int) ([]any, error) { return entryArgs(&page.Entries[i]), nil })
		if err != nil {
			return err
		}
		_, err = t.conn.ExecContext(ctx, "UPDATE copy_progress SET transactions = ?, last = ?", transactions, last[:])
		return err
	})
}

// many runs a statement n times. Rows without arguments are passed over.
func (t *tx) many(ctx context.Context, text string, n int, args func(i int) ([]any, error)) (err error) {
	statement, err := t.conn.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	for i := range n {
		values, err := args(i)
		if err != nil {
			return err
		}
		if values == nil {
			continue
		}
		if _, err := statement.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return nil
}

// upsert writes a row whether it is there or not. One that is there as it should
// be is not written.
func upsert(table, columns string, key ...string) string {
	var set, old, excluded []string
	for column := range strings.SplitSeq(columns, ", ") {
		if !slices.Contains(key, column) {
			set = append(set, column+" = excluded."+column)
			old, excluded = append(old, table+"."+column), append(excluded, "excluded."+column)
		}
	}
	return "INSERT INTO " + table + " " + values(columns) + " ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + strings.Join(set, ", ") +
		" WHERE (" + strings.Join(old, ", ") + ") IS NOT (" + strings.Join(excluded, ", ") + ")"
}

var (
	putAccount = upsert("accounts", "id, name, currency, status, external_reference, metadata, time_zone, charge_on, created_at", "id")
	putWallet  = upsert("wallets", "account_id, service, "+walletColumns, "account_id", "service")
	putKey     = upsert("keys", strings.Replace(keyColumns, "coalesce(account_id, 0)", "account_id", 1), "id")
)

// PutHolders writes accounts with their wallets.
func (c *Copy) PutHolders(ctx context.Context, holders []*ledger.Holder) error {
	var wallets []*ledger.Wallet
	for _, holder := range holders {
		for i := range holder.Wallets {
			wallets = append(wallets, &holder.Wallets[i])
		}
	}
	return c.write(ctx, func(t *tx) error {
		// An external reference may have gone from one account to another since it
		// was copied, and belongs to one account at a time.
		err := t.many(ctx, "UPDATE accounts SET external_reference = NULL WHERE external_reference = ? AND id <> ?", len(holders),
			func(i int) ([]any, error) {
				if holders[i].ExternalReference == "" {
					return nil, nil
				}
				return []any{holders[i].ExternalReference, int64(holders[i].ID)}, nil
			})
		if err == nil {
			err = t.many(ctx, putAccount, len(holders), func(i int) ([]any, error) { return accountArgs(&holders[i].Account) })
		}
		if err != nil {
			return fmt.Errorf("write accounts: %w", err)
		}
		return t.many(ctx, putWallet, len(wallets), func(i int) ([]any, error) { return walletArgs(wallets[i]), nil })
	})
}

func accountArgs(a *ledger.Account) ([]any, error) {
	metadata, err := sqlrow.EncodeMetadata(a.Metadata)
	reference := sql.NullString{String: a.ExternalReference, Valid: a.ExternalReference != ""}
	return []any{
		int64(a.ID), a.Name, a.Currency, string(a.Status), reference, metadata, a.TimeZone, sqlrow.JoinWords(a.ChargeOn), a.CreatedAt.UnixMicro(),
	}, err
}

func walletArgs(w *ledger.Wallet) []any {
	args := append([]any{int64(w.Account), string(w.Service), int64(w.Balance), int64(w.Held)}, settingsArgs(&w.Settings)...)
	return append(args, int64(w.Spent.Day), int64(w.Spent.Today), int64(w.Spent.InMonth), w.Version, w.Head[:])
}

// PutKeys writes keys.
func (c *Copy) PutKeys(ctx context.Context, keys []*ledger.Key) error {
	return c.write(ctx, func(t *tx) error {
		return t.many(ctx, putKey, len(keys), func(i int) ([]any, error) { return keyArgs(keys[i]), nil })
	})
}

// PutSystem writes the balances of the system accounts.
func (c *Copy) PutSystem(ctx context.Context, totals []engine.SystemTotal) error {
	return c.write(ctx, func(t *tx) error {
		for i := range totals {
			_, err := t.setSystemTotal.ExecContext(ctx, string(totals[i].Account), totals[i].Currency, totals[i].Total.Millionths())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Loaded has nothing to do: SQLite's plans do not depend on how much there is.
func (c *Copy) Loaded(context.Context) error { return nil }

// Finish makes the copy a ledger.
func (c *Copy) Finish(ctx context.Context) error {
	return c.write(ctx, func(t *tx) error {
		_, err := t.conn.ExecContext(ctx, "UPDATE copy_progress SET finished = 1")
		return err
	})
}
