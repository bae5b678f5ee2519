package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

const (
	selectAccount = "SELECT " + accountColumns + " FROM accounts WHERE id = ?"
	selectWallets = "SELECT " + walletColumns + " FROM wallets WHERE account_id = ? ORDER BY service"

	selectTransaction = "SELECT " + transactionColumns + " FROM transactions WHERE id = ?"
)

// readStatements are those that requests wait for, prepared once.
type readStatements struct {
	account, wallets, accounts, keyByDigest, keys, operatorKeys, transaction, entry, lastCommit *sql.Stmt
}

func prepareReads(ctx context.Context, db *sql.DB) (readStatements, error) {
	var r readStatements
	for statement, text := range map[**sql.Stmt]string{
		&r.account:      selectAccount,
		&r.wallets:      selectWallets,
		&r.accounts:     "SELECT id FROM accounts WHERE id > ? ORDER BY id LIMIT ?",
		&r.keyByDigest:  "SELECT " + keyColumns + " FROM keys WHERE digest = ?",
		&r.keys:         "SELECT " + keyColumns + " FROM keys WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?",
		&r.operatorKeys: "SELECT " + keyColumns + " FROM keys WHERE account_id IS NULL AND id > ? ORDER BY id LIMIT ?",
		&r.transaction:  selectTransaction,
		&r.entry:        "SELECT " + entryColumns + " FROM entries WHERE account_id = ? AND service = ? AND version = ?",
		&r.lastCommit:   "SELECT last_commit FROM clock",
	} {
		var err error
		if *statement, err = db.PrepareContext(ctx, text); err != nil {
			return readStatements{}, err
		}
	}
	return r, nil
}

// Ping tells whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.LastCommit(ctx)
	return err
}

// Holder reads an account with all its wallets.
func (s *Store) Holder(ctx context.Context, id ledger.AccountID) (holder *ledger.Holder, err error) {
	// Account and wallets come from one state of the ledger.
	err = s.view(ctx, func(tx *sql.Tx) error {
		holder, err = readHolder(ctx, tx.StmtContext(ctx, s.read.account), tx.StmtContext(ctx, s.read.wallets), id)
		return err
	})
	return holder, err
}

// view runs fn in a read transaction.
func (s *Store) view(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // Nothing was written, so there is nothing to lose.
	return fn(tx)
}

func readHolder(ctx context.Context, account, wallets *sql.Stmt, id ledger.AccountID) (*ledger.Holder, error) {
	var holder ledger.Holder
	err := scanAccount(account.QueryRowContext(ctx, int64(id)), &holder.Account)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no account %d", id)
	}
	if err != nil {
		return nil, err
	}
	rows, err := wallets.QueryContext(ctx, int64(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var wallet ledger.Wallet
		if err := scanWallet(rows, &wallet); err != nil {
			return nil, err
		}
		holder.Wallets = append(holder.Wallets, wallet)
	}
	return &holder, rows.Err()
}

// Holders lists accounts with an id above after, in order.
func (s *Store) Holders(ctx context.Context, after ledger.AccountID, limit int) (holders []*ledger.Holder, err error) {
	err = s.view(ctx, func(tx *sql.Tx) error {
		ids, err := accountIDs(ctx, tx.StmtContext(ctx, s.read.accounts), after, limit)
		if err != nil {
			return err
		}
		account, wallets := tx.StmtContext(ctx, s.read.account), tx.StmtContext(ctx, s.read.wallets)
		for _, id := range ids {
			holder, err := readHolder(ctx, account, wallets, id)
			if err != nil {
				return err
			}
			holders = append(holders, holder)
		}
		return nil
	})
	return holders, err
}

func accountIDs(ctx context.Context, statement *sql.Stmt, after ledger.AccountID, limit int) ([]ledger.AccountID, error) {
	rows, err := statement.QueryContext(ctx, int64(after), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []ledger.AccountID
	for rows.Next() {
		var id ledger.AccountID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// KeyByDigest finds a key by its digest.
func (s *Store) KeyByDigest(ctx context.Context, digest ledger.Hash) (*ledger.Key, error) {
	key, err := scanKey(s.read.keyByDigest.QueryRowContext(ctx, digest[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no such key")
	}
	return key, err
}

// Keys lists an owner's keys with an id above after, in order.
func (s *Store) Keys(ctx context.Context, owner ledger.AccountID, after string, limit int) ([]*ledger.Key, error) {
	statement, args := s.read.keys, []any{int64(owner), after, limit}
	if owner == ledger.Operator {
		statement, args = s.read.operatorKeys, args[1:]
	}
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []*ledger.Key
	for rows.Next() {
		key, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// Transaction reads a decided transaction.
func (s *Store) Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	var found ledger.Transaction
	err := scanTransaction(s.read.transaction.QueryRowContext(ctx, id[:]), &found)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no transaction %s", id)
	}
	return &found, err
}

// LastCommit is the time of the latest transaction, zero in an empty ledger.
func (s *Store) LastCommit(ctx context.Context) (time.Time, error) {
	var last int64
	if err := s.read.lastCommit.QueryRowContext(ctx).Scan(&last); err != nil || last == 0 {
		return time.Time{}, err
	}
	return fromMicro(last), nil
}
