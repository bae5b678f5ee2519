package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

var (
	selectNamed = "SELECT " + holderColumns + " FROM unnest((SELECT $1::integer[])) AS wanted (id) " +
		eachAccount("JOIN", "wanted.id") + " ORDER BY a.id, w.service"

	// selectIdentities reads keys by an array of distinct digests, and along with
	// each the account that it belongs to, as selectHolders does; NULL is what
	// there is of it for a key of the operator.
	selectIdentities = "SELECT " + of("found", strings.Replace(keyColumns, "coalesce(account_id, 0)", "owner", 1)) + ", " + holderColumns + `
		FROM unnest((SELECT $1::bytea[])) AS wanted (this)
		JOIN LATERAL (SELECT ` + strings.Replace(keyColumns, "account_id, 0)", "account_id, 0) AS owner", 1) + `
			FROM keys WHERE keys.digest = wanted.this OFFSET 0) AS found ON true ` +
		eachAccount("LEFT JOIN", "found.owner") + " ORDER BY found.id, w.service"
	selectPage = selectHolders + ` WHERE a.id IN (SELECT id FROM accounts WHERE id > $1 ORDER BY id LIMIT $2)
		ORDER BY a.id, w.service`
)

const (
	selectKeys         = "SELECT " + keyColumns + " FROM keys WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3"
	selectOperatorKeys = "SELECT " + keyColumns + " FROM keys WHERE account_id IS NULL AND id > $1 ORDER BY id LIMIT $2"
	selectTransaction  = "SELECT " + transactionColumns + " FROM transactions WHERE id = $1"
	selectByReference  = "SELECT " + transactionColumns + ` FROM transactions
		WHERE reference = $1 AND reference <> '' AND (created_at, id) > ($2, $3) AND (account_id = $4 OR $4 = 0)
		ORDER BY created_at, id LIMIT $5`
	selectHold  = "SELECT " + holdColumns + " FROM holds WHERE id = $1"
	selectHolds = "SELECT " + holdColumns + ` FROM holds
		WHERE account_id = $1 AND service = $2 AND state = $3 AND (created_at, id) > ($4, $5) ORDER BY created_at, id LIMIT $6`
	selectDueHolds = "SELECT " + holdColumns + " FROM holds WHERE state = 'open' AND expires_at <= $1 ORDER BY expires_at LIMIT $2"
	selectEntry    = "SELECT " + entryColumns + " FROM entries WHERE account_id = $1 AND service = $2 AND version = $3"
	selectEntries  = "SELECT " + entryColumns + ` FROM entries
		WHERE account_id = $1 AND service = $2 AND version > $3 AND version <= $4 ORDER BY version LIMIT $5`
	selectLastCommit = "SELECT max(created_at) FROM transactions"
)

// selectHoldsByReference asks for many references at once, each with its limit.
var selectHoldsByReference = "SELECT wanted.place, " + of("h", holdColumns) + `
	FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::text[]) AS wanted (place, account_id, scope, reference)
	CROSS JOIN LATERAL (SELECT ` + holdColumns + ` FROM holds
		WHERE reference = wanted.reference AND reference <> '' AND (account_id = wanted.account_id OR wanted.account_id = 0)
			AND (scope = wanted.scope OR wanted.scope = 0)
		ORDER BY (state = 'open') DESC, created_at DESC, id LIMIT $5) AS h
	ORDER BY wanted.place, (h.state = 'open') DESC, h.created_at DESC, h.id`

// limited bounds a reading: one from a server that is cut off would never end.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, readTimeout)
}

// reading reads, and once more where a connection was lost: others that were idle
// when a server went down are lost too, and nobody has noticed yet.
func reading[T any](s *Store, read func() (T, error)) (T, error) {
	found, err := read()
	if errors.Is(nameOf(err), ErrUnreachable) {
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		if !connecting && !pgconn.Timeout(err) {
			s.reader.Reset()
			found, err = read()
		}
	}
	return found, s.told(err)
}

// gathered is a query of a gather that reads as reading does.
func gathered[K comparable, V any](s *Store, query func(context.Context, []K) (map[K]V, error)) func(context.Context, []K) (map[K]V, error) {
	return func(ctx context.Context, keys []K) (map[K]V, error) {
		return reading(s, func() (map[K]V, error) { return query(ctx, keys) })
	}
}

// readList is list outside of a transaction.
func readList[T any](ctx context.Context, s *Store, scan func(pgx.Row, *T) error, query string, args ...any) ([]*T, error) {
	return readPage(ctx, s, scanNew(scan), query, args...)
}

// readPage is page outside of a transaction.
func readPage[T any](ctx context.Context, s *Store, scan func(pgx.Row, *T) error, query string, args ...any) ([]T, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return reading(s, func() ([]T, error) { return page(ctx, s.reader, scan, query, args...) })
}

// readOne is one outside of a transaction.
func readOne[T any](ctx context.Context, s *Store, missing error, scan func(pgx.Row, *T) error, query string, args ...any) (*T, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return reading(s, func() (*T, error) { return one(ctx, s.reader, missing, scan, query, args...) })
}

// Holder reads an account with all its wallets, in one query with others that
// are asked for at the same time.
func (s *Store) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	holder, ok, err := s.holders.load(ctx, id)
	if err == nil && !ok {
		err = ledger.Errorf(ledger.NotFound, "there is no account %d", id)
	}
	return holder, err
}

func (s *Store) readHolders(ctx context.Context, ids []ledger.AccountID) (map[ledger.AccountID]*ledger.Holder, error) {
	slices.Sort(ids)
	rows, err := s.reader.Query(ctx, selectNamed, column(slices.Compact(ids), func(id *ledger.AccountID) int32 { return int32(*id) }))
	if err != nil {
		return nil, err
	}
	found, err := collectHolders(rows, new(time.Time))
	holders := make(map[ledger.AccountID]*ledger.Holder, len(found))
	for _, holder := range found {
		holders[holder.ID] = holder
	}
	return holders, err
}

// Holders lists accounts with an id above after, in order.
func (s *Store) Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return reading(s, func() ([]*ledger.Holder, error) {
		rows, err := s.reader.Query(ctx, selectPage, int32(after), limit)
		if err != nil {
			return nil, err
		}
		return collectHolders(rows, new(time.Time))
	})
}

// KeyByDigest finds a key by its digest, and its account, in one query with
// others that are asked for at the same time.
func (s *Store) KeyByDigest(ctx context.Context, digest ledger.Hash) (*ledger.Key, *ledger.Holder, error) {
	found, ok, err := s.identities.load(ctx, digest)
	if err == nil && !ok {
		err = errNoKey
	}
	return found.key, found.holder, err
}

func (s *Store) readIdentities(ctx context.Context, digests []ledger.Hash) (map[ledger.Hash]identity, error) {
	slices.SortFunc(digests, func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	rows, err := s.reader.Query(ctx, selectIdentities, column(slices.Compact(digests), func(digest *ledger.Hash) []byte { return digest[:] }))
	if err != nil {
		return nil, err
	}
	return collectIdentities(rows)
}

// Keys lists an owner's keys with an id above after, in order.
func (s *Store) Keys(ctx context.Context, owner ledger.AccountID, after string, limit int) ([]*ledger.Key, error) {
	if owner == ledger.Operator {
		return readList(ctx, s, scanKey, selectOperatorKeys, after, limit)
	}
	return readList(ctx, s, scanKey, selectKeys, int32(owner), after, limit)
}

// Transaction reads a decided transaction.
func (s *Store) Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	missing := ledger.Errorf(ledger.NotFound, "there is no transaction %s", id)
	return readOne(ctx, s, missing, scanTransaction, selectTransaction, id[:])
}

// TransactionsByReference lists the transactions with a reference, oldest first.
func (s *Store) TransactionsByReference(ctx context.Context, account ledger.AccountID, reference string, after engine.Place, limit int) ([]*ledger.Transaction, error) {
	return readList(ctx, s, scanTransaction, selectByReference, reference, after.CreatedAt.UnixMicro(), after.ID[:], int32(account), limit)
}

// Hold reads a hold.
func (s *Store) Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error) {
	return readOne(ctx, s, ledger.Errorf(ledger.NotFound, "there is no hold %s", id), scanHold, selectHold, id[:])
}

// Holds lists the holds of a wallet in one state, oldest first.
func (s *Store) Holds(ctx context.Context, wallet ledger.WalletRef, state ledger.HoldState, after engine.Place, limit int) ([]*ledger.Hold, error) {
	return readList(ctx, s, scanHold, selectHolds, int32(wallet.Account), string(wallet.Service), string(state),
		after.CreatedAt.UnixMicro(), after.ID[:], limit)
}

// HoldsByReference finds the holds with each reference.
func (s *Store) HoldsByReference(ctx context.Context, wanted []engine.HoldReference, limit int) ([][]*ledger.Hold, error) {
	places := make([]int32, len(wanted))
	for i := range places {
		places[i] = int32(i)
	}
	type placed struct {
		ledger.Hold

		place int
	}
	rows, err := readList(ctx, s, func(row pgx.Row, into *placed) error { return scanHold(after{row, &into.place}, &into.Hold) },
		selectHoldsByReference, places,
		column(wanted, func(w *engine.HoldReference) int32 { return int32(w.Account) }),
		column(wanted, func(w *engine.HoldReference) int32 { return int32(w.Scope) }),
		column(wanted, func(w *engine.HoldReference) string { return w.Reference }), limit)
	found := make([][]*ledger.Hold, len(wanted))
	for _, row := range rows {
		found[row.place] = append(found[row.place], &row.Hold)
	}
	return found, err
}

// after is a row whose first column goes somewhere of its own.
type after struct {
	pgx.Row
	first any
}

func (a after) Scan(dest ...any) error { return a.Row.Scan(append([]any{a.first}, dest...)...) }

// DueHolds lists open holds that expire at a time or before it.
func (s *Store) DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error) {
	return readList(ctx, s, scanHold, selectDueHolds, at.UnixMicro(), limit)
}

// Entry reads the entry at a place in a wallet's chain.
func (s *Store) Entry(ctx context.Context, wallet ledger.WalletRef, version int64) (*ledger.Entry, error) {
	missing := ledger.Errorf(ledger.NotFound, "wallet %s of account %d has no entry %d", wallet.Service, wallet.Account, version)
	return readOne(ctx, s, missing, scanEntry, selectEntry, int32(wallet.Account), string(wallet.Service), version)
}

// Entries lists a wallet's entries with what caused them.
func (s *Store) Entries(ctx context.Context, wallet ledger.WalletRef, after, until int64, limit int) ([]engine.EntryRow, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return reading(s, func() ([]engine.EntryRow, error) {
		entries, err := page(ctx, s.reader, scanEntryRow, selectEntries, int32(wallet.Account), string(wallet.Service), after, until, limit)
		if err == nil {
			err = addCauses(ctx, s.reader, entries)
		}
		return entries, err
	})
}

// addCauses reads the transactions that caused entries. Transactions never
// change, so these may be read later.
func addCauses(ctx context.Context, q querier, entries []engine.EntryRow) error {
	if len(entries) == 0 {
		return nil
	}
	causes, err := list(ctx, q, scanTransaction, "SELECT "+transactionColumns+" FROM transactions WHERE id = ANY($1::bytea[])",
		column(entries, func(e *engine.EntryRow) []byte { return e.Transaction[:] }))
	link(entries, causes)
	return err
}

// LastCommit is the time of the latest transaction, zero in an empty ledger.
func (s *Store) LastCommit(ctx context.Context) (time.Time, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	last, err := reading(s, func() (last *int64, err error) {
		err = s.reader.QueryRow(ctx, selectLastCommit).Scan(&last)
		return last, err
	})
	return fromNull(last), err
}
