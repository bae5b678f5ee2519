package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

var selectHolder = selectHolders + " WHERE a.id = ? ORDER BY w.service"

const (
	selectTransaction = "SELECT " + transactionColumns + " FROM transactions WHERE id = ?"
	selectHold        = "SELECT " + holdColumns + " FROM holds WHERE id = ?"
)

// selectHoldsByReference finds holds by reference (?1), scope (?2) and limit (?3).
// Each state is looked up for itself, which the index bounds: a reference may
// have any number of holds, and whoever placed them may ask for it any number of times.
func selectHoldsByReference(more string) string {
	var states []string
	for _, state := range []ledger.HoldState{ledger.HoldOpen, ledger.HoldCaptured, ledger.HoldReleased, ledger.HoldExpired} {
		states = append(states, "SELECT "+holdColumns+" FROM (SELECT "+holdColumns+" FROM holds WHERE reference = ?1 AND reference <> ''"+more+
			" AND state = '"+string(state)+"' AND (?2 = 0 OR scope = ?2) ORDER BY created_at DESC, id LIMIT ?3)")
	}
	return "SELECT " + holdColumns + " FROM (" + strings.Join(states, " UNION ALL ") + ") ORDER BY state = 'open' DESC, created_at DESC, id LIMIT ?3"
}

// readStatements are those that requests wait for, prepared once.
type readStatements struct {
	holder, holders, keyByDigest, keys, operatorKeys, transaction, byReference, byReferenceOf, entry, entries, causes, lastCommit,
	hold, holds, holdsByReference, holdsByReferenceOf, dueHolds *sql.Stmt
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
		&r.byReference: "SELECT " + transactionColumns + ` FROM transactions
			WHERE reference = ? AND reference <> '' AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?`,
		&r.byReferenceOf: "SELECT " + transactionColumns + ` FROM transactions
			WHERE reference = ? AND reference <> '' AND (created_at, id) > (?, ?) AND account_id = ? ORDER BY created_at, id LIMIT ?`,
		&r.entry: "SELECT " + entryColumns + " FROM entries WHERE account_id = ? AND service = ? AND version = ?",
		&r.entries: "SELECT " + entryColumns + ` FROM entries
			WHERE account_id = ? AND service = ? AND version > ? AND version <= ? ORDER BY version LIMIT ?`,
		&r.causes: "SELECT " + of("t", transactionColumns) + ` FROM entries AS e JOIN transactions AS t ON t.id = e.transaction_id
			WHERE e.account_id = ? AND e.service = ? AND e.version > ? AND e.version <= ?`,
		&r.lastCommit: "SELECT created_at FROM transactions ORDER BY seq DESC LIMIT 1",
		&r.hold:       selectHold,
		&r.holds: "SELECT " + holdColumns + ` FROM holds
			WHERE account_id = ? AND service = ? AND state = ? AND (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?`,
		&r.holdsByReference:   selectHoldsByReference(""),
		&r.holdsByReferenceOf: selectHoldsByReference(" AND account_id = ?4"),
		&r.dueHolds:           "SELECT " + holdColumns + " FROM holds WHERE state = 'open' AND expires_at <= ? ORDER BY expires_at LIMIT ?",
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

// KeyByDigest finds a key by its digest. Its account is likely to be in the
// engine's memory, so it is not read.
func (s *Store) KeyByDigest(ctx context.Context, digest ledger.Hash) (*ledger.Key, *ledger.Holder, error) {
	key, err := scanKey(s.read.keyByDigest.QueryRowContext(ctx, digest[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, ledger.Errorf(ledger.NotFound, "there is no such key")
	}
	return key, nil, err
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
	return collect(rows, func(row scanner, into **ledger.Key) (err error) {
		*into, err = scanKey(row)
		return err
	})
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

// TransactionsByReference lists the transactions with a reference, oldest first.
func (s *Store) TransactionsByReference(ctx context.Context, account ledger.AccountID, reference string, after engine.Place, limit int) ([]*ledger.Transaction, error) {
	created := after.CreatedAt.UnixMicro()
	if account == ledger.Operator {
		return list(ctx, s.read.byReference, scanTransaction, reference, created, after.ID[:], limit)
	}
	return list(ctx, s.read.byReferenceOf, scanTransaction, reference, created, after.ID[:], int64(account), limit)
}

// Hold reads a hold.
func (s *Store) Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error) {
	var found ledger.Hold
	err := scanHold(s.read.hold.QueryRowContext(ctx, id[:]), &found)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no hold %s", id)
	}
	return &found, err
}

// Holds lists the holds of a wallet in one state, oldest first.
func (s *Store) Holds(ctx context.Context, wallet ledger.WalletRef, state ledger.HoldState, after engine.Place, limit int) ([]*ledger.Hold, error) {
	return list(ctx, s.read.holds, scanHold, int64(wallet.Account), string(wallet.Service), string(state),
		after.CreatedAt.UnixMicro(), after.ID[:], limit)
}

// HoldsByReference finds the holds with each reference.
func (s *Store) HoldsByReference(ctx context.Context, wanted []engine.HoldReference, limit int) ([][]*ledger.Hold, error) {
	found := make([][]*ledger.Hold, len(wanted))
	for i, want := range wanted {
		var err error
		if want.Account == ledger.Operator {
			found[i], err = list(ctx, s.read.holdsByReference, scanHold, want.Reference, int64(want.Scope), limit)
		} else {
			found[i], err = list(ctx, s.read.holdsByReferenceOf, scanHold, want.Reference, int64(want.Scope), limit, int64(want.Account))
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// DueHolds lists open holds that expire at a time or before it.
func (s *Store) DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error) {
	return list(ctx, s.read.dueHolds, scanHold, at.UnixMicro(), limit)
}

// Entry reads the entry at a place in a wallet's chain.
func (s *Store) Entry(ctx context.Context, wallet ledger.WalletRef, version int64) (*ledger.Entry, error) {
	var found ledger.Entry
	err := scanEntry(s.read.entry.QueryRowContext(ctx, int64(wallet.Account), string(wallet.Service), version), &found)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "wallet %s of account %d has no entry %d", wallet.Service, wallet.Account, version)
	}
	return &found, err
}

// Entries lists a wallet's entries with what caused them.
func (s *Store) Entries(ctx context.Context, wallet ledger.WalletRef, after, until int64, limit int) ([]engine.EntryRow, error) {
	rows, err := s.read.entries.QueryContext(ctx, int64(wallet.Account), string(wallet.Service), after, until, limit)
	if err != nil {
		return nil, err
	}
	entries, err := collect(rows, scanEntryRow)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	rows, err = s.read.causes.QueryContext(ctx, int64(wallet.Account), string(wallet.Service), after, entries[len(entries)-1].Version)
	if err != nil {
		return nil, err
	}
	causes, err := collect(rows, scanTransaction)
	link(entries, causes)
	return entries, err
}

// list reads the rows of a statement, which names its own limit.
func list[T any](ctx context.Context, statement *sql.Stmt, scan func(scanner, *T) error, args ...any) ([]*T, error) {
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner, into **T) error {
		*into = new(T)
		return scan(row, *into)
	})
}

// collect reads all rows, and closes them.
func collect[T any](rows *sql.Rows, scan func(scanner, *T) error) ([]T, error) {
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

// LastCommit is the time of the latest transaction, zero in an empty ledger.
func (s *Store) LastCommit(ctx context.Context) (time.Time, error) {
	var last int64
	err := s.read.lastCommit.QueryRowContext(ctx).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return fromMicro(last), nil
}
