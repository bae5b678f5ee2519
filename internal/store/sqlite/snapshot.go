package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// snapshot reads the whole ledger, a page at a time, out of one read transaction.
type snapshot struct {
	tx                 *sql.Tx
	transaction, entry *sql.Stmt
}

// Snapshot runs fn over one state of the ledger. Writers go on meanwhile.
func (s *Store) Snapshot(ctx context.Context, fn func(engine.Snapshot) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // Nothing was written, so there is nothing to lose.
	return fn(&snapshot{tx, tx.StmtContext(ctx, s.read.transaction), tx.StmtContext(ctx, s.read.entry)})
}

func (s *snapshot) Wallets(ctx context.Context, after ledger.WalletRef, limit int) ([]engine.WalletRow, error) {
	const query = `SELECT w.account_id, w.service, w.balance, w.held, w.credit_limit, w.version, w.head, coalesce(a.currency, '')
		FROM wallets AS w LEFT JOIN accounts AS a ON a.id = w.account_id
		WHERE (w.account_id, w.service) > (?, ?) ORDER BY w.account_id, w.service LIMIT ?`
	return page(ctx, s.tx, func(rows *sql.Rows, row *engine.WalletRow) error {
		return scanWallet(rows, &row.Wallet, &row.Currency)
	}, query, int64(after.Account), string(after.Service), limit)
}

func (s *snapshot) Entries(ctx context.Context, after ledger.WalletRef, version int64, limit int) ([]engine.EntryRow, error) {
	const query = "SELECT " + entryColumns + ` FROM entries WHERE (account_id, service, version) > (?, ?, ?)
		ORDER BY account_id, service, version LIMIT ?`
	entries, err := page(ctx, s.tx, func(rows *sql.Rows, row *engine.EntryRow) error {
		return scanEntry(rows, &row.Entry)
	}, query, int64(after.Account), string(after.Service), version, limit)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		cause := new(ledger.Transaction)
		switch err := scanTransaction(s.transaction.QueryRowContext(ctx, entries[i].Transaction[:]), cause); {
		case err == nil:
			entries[i].Cause = cause
		case !errors.Is(err, sql.ErrNoRows):
			return nil, err
		}
	}
	return entries, nil
}

func (s *snapshot) Transactions(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.TransactionRow, error) {
	const query = "SELECT " + transactionColumns + " FROM transactions WHERE id > ? ORDER BY id LIMIT ?"
	transactions, err := page(ctx, s.tx, func(rows *sql.Rows, row *engine.TransactionRow) error {
		return scanTransaction(rows, &row.Transaction)
	}, query, after[:], limit)
	if err != nil {
		return nil, err
	}
	for i := range transactions {
		t := &transactions[i]
		if t.Entry, err = s.entryAt(ctx, t.Wallet, t.Version); err != nil {
			return nil, err
		}
		if t.ToEntry, err = s.entryAt(ctx, t.To, t.ToVersion); err != nil {
			return nil, err
		}
	}
	return transactions, nil
}

// entryAt reads an entry by its place in a wallet's chain, nil where there is none.
func (s *snapshot) entryAt(ctx context.Context, ref ledger.WalletRef, version int64) (*ledger.Entry, error) {
	if version == 0 {
		return nil, nil
	}
	var entry ledger.Entry
	err := scanEntry(s.entry.QueryRowContext(ctx, int64(ref.Account), string(ref.Service), version), &entry)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &entry, err
}

func (s *snapshot) System(ctx context.Context) ([]engine.SystemTotal, error) {
	return page(ctx, s.tx, func(rows *sql.Rows, row *engine.SystemTotal) error {
		var text string
		if err := rows.Scan(&row.Account, &row.Currency, &text); err != nil {
			return err
		}
		total, err := ledger.ParseTotal(text)
		row.Total = total
		return err
	}, "SELECT account, currency, total FROM system_accounts ORDER BY account, currency")
}

// page reads the rows of a query, which names its own limit.
func page[T any](ctx context.Context, tx *sql.Tx, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		var row T
		if err := scan(rows, &row); err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	return found, rows.Err()
}
