package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// This file is about how a row becomes a type of the ledger and back.

// scanner is a row of a query, be it the only one or one of many.
type scanner interface{ Scan(dest ...any) error }

const (
	walletColumns = "balance, held, credit_limit, suspended, min_amount, max_amount, daily_cap, monthly_cap, " +
		"spent_on, spent_today, spent_month, version, head"
	keyColumns = "id, digest, last4, coalesce(account_id, 0), scopes, allow_list, daily_cap, monthly_cap, " +
		"spent_on, spent_today, spent_month, expires_at, revoked_at, created_at"
	transactionColumns = "id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service, " +
		"amount, parent, expires_in, final, batch, reference, metadata, rejection, moved, balance, held, available, " +
		"daily_left, monthly_left, remaining, expires_at, version, to_version, created_at"
	entryColumns = "account_id, service, version, transaction_id, amount, balance, held, created_at, hash"
	holdColumns  = "id, account_id, service, scope, key_id, reference, state, amount, captured, remaining, created_at, expires_at, closed_at"
)

// of puts the name of a table before each of a list of columns.
func of(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

// values is the list of n parameters of an INSERT.
func values(columns string) string {
	return "(" + columns + ") VALUES (?" + strings.Repeat(", ?", strings.Count(columns, ",")) + ")"
}

// selectHolders reads accounts with their wallets, a row for each wallet: in one
// statement, so that they are of one state of the ledger. Every account has wallets.
var selectHolders = `SELECT a.id, a.name, a.currency, a.status, coalesce(a.external_reference, ''), a.metadata, a.time_zone, a.charge_on,
	a.created_at, w.service, ` + of("w", walletColumns) + `
	FROM accounts AS a JOIN wallets AS w ON w.account_id = a.id`

// readHolders reads the rows of selectHolders.
func readHolders(ctx context.Context, statement *sql.Stmt, args ...any) ([]*ledger.Holder, error) {
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var holders []*ledger.Holder
	for rows.Next() {
		var a ledger.Account
		var w ledger.Wallet
		var metadata, chargeOn string
		var created int64
		err := scanWallet(rows, &w, &a.ID, &a.Name, &a.Currency, &a.Status, &a.ExternalReference, &metadata, &a.TimeZone, &chargeOn,
			&created, &w.Service)
		if err != nil {
			return nil, err
		}
		if len(holders) == 0 || holders[len(holders)-1].ID != a.ID {
			a.CreatedAt = fromMicro(created)
			if a.Metadata, err = sqlrow.DecodeMetadata(metadata); err != nil {
				return nil, err
			}
			a.ChargeOn = sqlrow.Words[ledger.DeliveryState](chargeOn)
			holders = append(holders, &ledger.Holder{Account: a})
		}
		w.Account = a.ID
		holder := holders[len(holders)-1]
		holder.Wallets = append(holder.Wallets, w)
	}
	return holders, rows.Err()
}

// scanWallet reads walletColumns, after what stands before them.
func scanWallet(row scanner, w *ledger.Wallet, before ...any) error {
	var head sql.RawBytes
	err := row.Scan(append(before, &w.Balance, &w.Held, &w.CreditLimit, &w.Suspended, &w.MinAmount, &w.MaxAmount, &w.Caps.Daily, &w.Caps.Monthly,
		&w.Spent.Day, &w.Spent.Today, &w.Spent.InMonth, &w.Version, &head)...)
	if err != nil {
		return err
	}
	return copyBytes(w.Head[:], head)
}

// settingsArgs are the columns of a wallet that the operator sets.
func settingsArgs(s *ledger.Settings) []any {
	return []any{int64(s.CreditLimit), s.Suspended, int64(s.MinAmount), int64(s.MaxAmount), int64(s.Caps.Daily), int64(s.Caps.Monthly)}
}

func scanTransaction(row scanner, t *ledger.Transaction) error {
	var id, hash, parent, batch []byte
	var metadata string
	var expiresIn, created int64
	var expiresAt sql.NullInt64
	err := row.Scan(&id, &t.Scope, &t.IdempotencyKey, &hash, &t.Kind, &t.Wallet.Account, &t.Wallet.Service,
		&t.To.Account, &t.To.Service, &t.Amount, &parent, &expiresIn, &t.Final, &batch, &t.Reference, &metadata, &t.Rejection,
		&t.Moved, &t.Balance, &t.Held, &t.Available, &t.CapLeft.Daily, &t.CapLeft.Monthly, &t.Remaining, &expiresAt,
		&t.Version, &t.ToVersion, &created)
	if err != nil {
		return err
	}
	t.ExpiresIn = time.Duration(expiresIn) * time.Second
	t.ExpiresAt, t.CreatedAt = fromNull(expiresAt), fromMicro(created)
	t.Metadata, err = sqlrow.DecodeMetadata(metadata)
	return errors.Join(err, copyBytes(t.ID[:], id), copyBytes(t.RequestHash[:], hash), copyID(&t.Parent, parent), copyID(&t.Batch, batch))
}

func transactionArgs(t *ledger.Transaction) ([]any, error) {
	metadata, err := sqlrow.EncodeMetadata(t.Metadata)
	if err != nil {
		return nil, err
	}
	return []any{
		t.ID[:], int64(t.Scope), t.IdempotencyKey, t.RequestHash[:], string(t.Kind),
		int64(t.Wallet.Account), string(t.Wallet.Service), int64(t.To.Account), string(t.To.Service),
		int64(t.Amount), idArg(&t.Parent), int64(t.ExpiresIn / time.Second), t.Final, idArg(&t.Batch),
		t.Reference, metadata, string(t.Rejection), int64(t.Moved),
		int64(t.Balance), int64(t.Held), int64(t.Available), int64(t.CapLeft.Daily), int64(t.CapLeft.Monthly),
		int64(t.Remaining), toNull(t.ExpiresAt), t.Version, t.ToVersion, t.CreatedAt.UnixMicro(),
	}, nil
}

// idArg is an id, or NULL for the zero one.
func idArg(id *ledger.TransactionID) any {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// copyID is copyBytes for an id that may be NULL.
func copyID(dest *ledger.TransactionID, src []byte) error {
	if src == nil {
		*dest = ledger.TransactionID{}
		return nil
	}
	return copyBytes(dest[:], src)
}

func scanHold(row scanner, h *ledger.Hold) error {
	var id []byte
	var created, expires int64
	var closed sql.NullInt64
	err := row.Scan(&id, &h.Account, &h.Service, &h.Scope, &h.Key, &h.Reference, &h.State, &h.Amount, &h.Captured, &h.Remaining,
		&created, &expires, &closed)
	if err != nil {
		return err
	}
	h.CreatedAt, h.ExpiresAt, h.ClosedAt = fromMicro(created), fromMicro(expires), fromNull(closed)
	return copyBytes(h.ID[:], id)
}

func holdArgs(h *ledger.Hold) []any {
	return []any{
		h.ID[:], int64(h.Account), string(h.Service), int64(h.Scope), h.Key, h.Reference, string(h.State),
		int64(h.Amount), int64(h.Captured), int64(h.Remaining), h.CreatedAt.UnixMicro(), h.ExpiresAt.UnixMicro(), toNull(h.ClosedAt),
	}
}

func scanEntry(row scanner, e *ledger.Entry) error {
	var transaction, hash []byte
	var created int64
	err := row.Scan(&e.Account, &e.Service, &e.Version, &transaction, &e.Amount, &e.Balance, &e.Held, &created, &hash)
	if err != nil {
		return err
	}
	e.CreatedAt = fromMicro(created)
	return errors.Join(copyBytes(e.Transaction[:], transaction), copyBytes(e.Hash[:], hash))
}

func scanEntryRow(row scanner, e *engine.EntryRow) error { return scanEntry(row, &e.Entry) }

// link gives entries the transactions that caused them.
func link(entries []engine.EntryRow, causes []ledger.Transaction) {
	byID := make(map[ledger.TransactionID]*ledger.Transaction, len(causes))
	for i := range causes {
		byID[causes[i].ID] = &causes[i]
	}
	for i := range entries {
		entries[i].Cause = byID[entries[i].Transaction]
	}
}

func entryArgs(e *ledger.Entry) []any {
	return []any{
		int64(e.Account), string(e.Service), e.Version, e.Transaction[:],
		int64(e.Amount), int64(e.Balance), int64(e.Held), e.CreatedAt.UnixMicro(), e.Hash[:],
	}
}

func scanKey(row scanner) (*ledger.Key, error) {
	var k ledger.Key
	var digest []byte
	var scopes, networks string
	var expires, revoked sql.NullInt64
	var created int64
	err := row.Scan(&k.ID, &digest, &k.Last4, &k.Account, &scopes, &networks, &k.Caps.Daily, &k.Caps.Monthly,
		&k.Spent.Day, &k.Spent.Today, &k.Spent.InMonth, &expires, &revoked, &created)
	if err != nil {
		return nil, err
	}
	k.Scopes = sqlrow.Words[ledger.Scope](scopes)
	if k.AllowList, err = sqlrow.Networks(networks); err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ID, err)
	}
	k.ExpiresAt, k.RevokedAt, k.CreatedAt = fromNull(expires), fromNull(revoked), fromMicro(created)
	return &k, copyBytes(k.Digest[:], digest)
}

func keyArgs(k *ledger.Key) []any {
	owner := sql.NullInt64{Int64: int64(k.Account), Valid: k.Account != ledger.Operator}
	return []any{
		k.ID, k.Digest[:], k.Last4, owner, sqlrow.JoinWords(k.Scopes), sqlrow.JoinNetworks(k.AllowList),
		int64(k.Caps.Daily), int64(k.Caps.Monthly), int64(k.Spent.Day), int64(k.Spent.Today), int64(k.Spent.InMonth),
		toNull(k.ExpiresAt), toNull(k.RevokedAt), k.CreatedAt.UnixMicro(),
	}
}

func fromMicro(us int64) time.Time { return time.UnixMicro(us).UTC() }

func fromNull(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return fromMicro(us.Int64)
}

func toNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func copyBytes(dest, src []byte) error {
	if copy(dest, src) != len(dest) || len(src) != len(dest) {
		return fmt.Errorf("a blob of %d bytes where %d belong", len(src), len(dest))
	}
	return nil
}
