package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

const (
	selectHolder      = selectHolders + " WHERE a.id = ? ORDER BY w.service"
	selectTransaction = "SELECT " + transactionColumns + " FROM transactions WHERE id = ?"
)

// readStatements are those that requests wait for, prepared once.
type readStatements struct {
	holder, holders, keyByDigest, keys, operatorKeys, transaction, entry, lastCommit *sql.Stmt
}

func prepareReads(ctx context.Context, db *sql.DB) (readStatements, error) {
	var r readStatements
	for statement, text := range map[**sql.Stmt]string{
		&r.holder: selectHolder,
		&r.holders: selectHolders + ` WHERE a.id IN (SELECT id FROM accounts WHERE id > ? ORDER BY id LIMIT ?)
			ORDER BY a.id, w.service`,
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
func (s *Store) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	return readHolder(ctx, s.read.holder, id)
}

func readHolder(ctx context.Context, statement *sql.Stmt, id ledger.AccountID) (*ledger.Holder, error) {
	holders, err := readHolders(ctx, statement, int64(id))
	if err != nil {
		return nil, err
	}
	if len(holders) == 0 {
		return nil, ledger.Errorf(ledger.NotFound, "there is no account %d", id)
	}
	return holders[0], nil
}

// Holders lists accounts with an id above after, in order.
func (s *Store) Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error) {
	return readHolders(ctx, s.read.holders, int64(after), limit)
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
