package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// This file is about how a row becomes a type of the ledger and back.

const (
	walletColumns = "balance, held, credit_limit, suspended, min_amount, max_amount, daily_cap, monthly_cap, " +
		"spent_on, spent_today, spent_month, version, head, last_entry_at"
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

// holderColumns are those of an account, and of one of its wallets.
var holderColumns = `a.id, a.name, a.currency, a.status, coalesce(a.external_reference, ''), a.metadata, a.time_zone, a.charge_on,
	a.created_at, w.service, ` + of("w", walletColumns)

// How many there are, in holderColumns and in keyColumns.
const accountWidth, walletWidth, keyWidth = 9, 15, 14

// selectHolders reads accounts with their wallets, a row for each wallet: in one
// statement, so that they are of one state of the ledger. Every account has wallets.
var selectHolders = "SELECT " + holderColumns + " FROM accounts AS a JOIN wallets AS w ON w.account_id = a.id"

// eachAccount joins accounts by id, with their wallets. OFFSET 0 keeps PostgreSQL
// from anything but looking each of them up by its index: in a small ledger it
// would rather read all wallets, which takes longer than it thinks. And it would
// make a new plan each time for the length of the array that the ids come from,
// so that stands in a SELECT of its own, which hides the length.
func eachAccount(join, id string) string {
	return join + ` LATERAL (SELECT id, name, currency, status, external_reference, metadata, time_zone, charge_on, created_at
			FROM accounts WHERE accounts.id = ` + id + " OFFSET 0) AS a ON true " +
		join + " LATERAL (SELECT service, " + walletColumns + " FROM wallets WHERE wallets.account_id = a.id OFFSET 0) AS w ON true"
}

// some is a row of which only some columns are read: nil stands for one that is not.
type some struct {
	pgx.Row
	before, after int // columns that are left out
}

func (s some) Scan(dest ...any) error {
	all := make([]any, s.before, s.before+len(dest)+s.after)
	return s.Row.Scan(append(append(all, dest...), make([]any, s.after)...)...)
}

// changed tells whether a row begins something new: its first column is not that
// of the row before, which last holds.
func changed(rows pgx.Rows, last *[]byte) bool {
	id := rows.RawValues()[0]
	if *last != nil && bytes.Equal(id, *last) {
		return false
	}
	*last = bytes.Clone(id)
	return true
}

// collectHolders reads the rows of selectHolders. latest is moved on to the time
// of the latest entry of their wallets.
func collectHolders(rows pgx.Rows, latest *time.Time) ([]*ledger.Holder, error) {
	defer rows.Close()
	var holders []*ledger.Holder
	var last []byte
	for rows.Next() {
		if changed(rows, &last) {
			holders = append(holders, new(ledger.Holder))
			if err := scanAccount(some{rows, 0, walletWidth}, &holders[len(holders)-1].Account); err != nil {
				return nil, err
			}
		}
		entered, err := addWallet(some{rows, accountWidth, 0}, holders[len(holders)-1])
		if err != nil {
			return nil, err
		}
		if entered.After(*latest) {
			*latest = entered
		}
	}
	return holders, rows.Err()
}

// identity is a key with the account that it belongs to, nil for the operator's.
type identity struct {
	key    *ledger.Key
	holder *ledger.Holder
}

// collectIdentities reads the rows of selectIdentities.
func collectIdentities(rows pgx.Rows) (map[ledger.Hash]identity, error) {
	defer rows.Close()
	found := make(map[ledger.Hash]identity)
	var current identity
	var last []byte
	for rows.Next() {
		if changed(rows, &last) {
			current = identity{key: new(ledger.Key)}
			if err := scanKey(some{rows, 0, accountWidth + walletWidth}, current.key); err != nil {
				return nil, err
			}
			if current.key.Account != ledger.Operator {
				current.holder = new(ledger.Holder)
				if err := scanAccount(some{rows, keyWidth, walletWidth}, &current.holder.Account); err != nil {
					return nil, err
				}
			}
			found[current.key.Digest] = current
		}
		if current.holder == nil {
			continue
		}
		if _, err := addWallet(some{rows, keyWidth + accountWidth, 0}, current.holder); err != nil {
			return nil, err
		}
	}
	return found, rows.Err()
}

// scanAccount reads the account of holderColumns.
func scanAccount(row pgx.Row, a *ledger.Account) error {
	var metadata, chargeOn string
	var created int64
	err := row.Scan((*int32)(&a.ID), &a.Name, &a.Currency, &a.Status, &a.ExternalReference, &metadata, &a.TimeZone, &chargeOn, &created)
	if err != nil {
		return err
	}
	a.CreatedAt = fromMicro(created)
	a.ChargeOn = sqlrow.Words[ledger.DeliveryState](chargeOn)
	a.Metadata, err = sqlrow.DecodeMetadata(metadata)
	return err
}

// addWallet reads the wallet of holderColumns, and gives the time of its last entry.
func addWallet(row pgx.Row, holder *ledger.Holder) (time.Time, error) {
	w := ledger.Wallet{WalletRef: ledger.WalletRef{Account: holder.ID}}
	entered, err := scanWallet(row, &w, &w.Service)
	holder.Wallets = append(holder.Wallets, w)
	return entered, err
}

// amount lets pgx scan into what an amount is made of: for a named type it asks
// reflection, and the many amounts of wallets made that a tenth of a balance read.
func amount(a *ledger.Amount) *int64 { return (*int64)(a) }

// scanWallet reads walletColumns, after what stands before them, and gives the
// time of the wallet's last entry.
func scanWallet(row pgx.Row, w *ledger.Wallet, before ...any) (time.Time, error) {
	var suspended int16
	var entered int64
	err := row.Scan(append(before, amount(&w.Balance), amount(&w.Held), amount(&w.CreditLimit), &suspended,
		amount(&w.MinAmount), amount(&w.MaxAmount), amount(&w.Caps.Daily), amount(&w.Caps.Monthly), (*int32)(&w.Spent.Day),
		amount(&w.Spent.Today), amount(&w.Spent.InMonth), &w.Version, blob(w.Head[:]), &entered)...)
	w.Suspended = suspended != 0
	if entered == 0 {
		return time.Time{}, err
	}
	return fromMicro(entered), err
}

// settingsArgs are the columns of a wallet that the operator sets.
func settingsArgs(s *ledger.Settings) []any {
	return []any{int64(s.CreditLimit), flag(s.Suspended), int64(s.MinAmount), int64(s.MaxAmount), int64(s.Caps.Daily), int64(s.Caps.Monthly)}
}

func scanTransaction(row pgx.Row, t *ledger.Transaction) error {
	var metadata string
	var expiresIn, created int64
	var expiresAt *int64
	var final int16
	err := row.Scan(blob(t.ID[:]), &t.Scope, &t.IdempotencyKey, blob(t.RequestHash[:]), &t.Kind, &t.Wallet.Account, &t.Wallet.Service,
		&t.To.Account, &t.To.Service, amount(&t.Amount), optional(t.Parent[:]), &expiresIn, &final, optional(t.Batch[:]), &t.Reference, &metadata,
		&t.Rejection, amount(&t.Moved), amount(&t.Balance), amount(&t.Held), amount(&t.Available),
		amount(&t.CapLeft.Daily), amount(&t.CapLeft.Monthly), amount(&t.Remaining), &expiresAt,
		&t.Version, &t.ToVersion, &created)
	if err != nil {
		return err
	}
	t.Final, t.ExpiresIn = final != 0, time.Duration(expiresIn)*time.Second
	t.ExpiresAt, t.CreatedAt = fromNull(expiresAt), fromMicro(created)
	t.Metadata, err = sqlrow.DecodeMetadata(metadata)
	return err
}

func scanHold(row pgx.Row, h *ledger.Hold) error {
	var created, expires int64
	var closed *int64
	err := row.Scan(blob(h.ID[:]), &h.Account, &h.Service, &h.Scope, &h.Key, &h.Reference, &h.State,
		amount(&h.Amount), amount(&h.Captured), amount(&h.Remaining),
		&created, &expires, &closed)
	h.CreatedAt, h.ExpiresAt, h.ClosedAt = fromMicro(created), fromMicro(expires), fromNull(closed)
	return err
}

func scanEntry(row pgx.Row, e *ledger.Entry) error {
	var created int64
	err := row.Scan(&e.Account, &e.Service, &e.Version, blob(e.Transaction[:]), amount(&e.Amount), amount(&e.Balance), amount(&e.Held), &created, blob(e.Hash[:]))
	e.CreatedAt = fromMicro(created)
	return err
}

func scanEntryRow(row pgx.Row, e *engine.EntryRow) error { return scanEntry(row, &e.Entry) }

func scanRef(row pgx.Row, ref *ledger.WalletRef) error { return row.Scan(&ref.Account, &ref.Service) }

func scanID(row pgx.Row, id *ledger.TransactionID) error { return row.Scan(blob(id[:])) }

func scanRefund(row pgx.Row, r *engine.RefundRow) error {
	return row.Scan(blob(r.ID[:]), amount(&r.Refunded))
}

// link gives entries the transactions that caused them.
func link(entries []engine.EntryRow, causes []*ledger.Transaction) {
	byID := make(map[ledger.TransactionID]*ledger.Transaction, len(causes))
	for _, cause := range causes {
		byID[cause.ID] = cause
	}
	for i := range entries {
		entries[i].Cause = byID[entries[i].Transaction]
	}
}

func scanKey(row pgx.Row, k *ledger.Key) error {
	var scopes, networks string
	var expires, revoked *int64
	var created int64
	err := row.Scan(&k.ID, blob(k.Digest[:]), &k.Last4, &k.Account, &scopes, &networks, amount(&k.Caps.Daily), amount(&k.Caps.Monthly),
		&k.Spent.Day, amount(&k.Spent.Today), amount(&k.Spent.InMonth), &expires, &revoked, &created)
	if err != nil {
		return err
	}
	k.Scopes = sqlrow.Words[ledger.Scope](scopes)
	if k.AllowList, err = sqlrow.Networks(networks); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	k.ExpiresAt, k.RevokedAt, k.CreatedAt = fromNull(expires), fromNull(revoked), fromMicro(created)
	return nil
}

func keyArgs(k *ledger.Key) []any {
	var owner *int32
	if k.Account != ledger.Operator {
		owner = (*int32)(&k.Account)
	}
	return []any{
		k.ID, k.Digest[:], k.Last4, owner, sqlrow.JoinWords(k.Scopes), sqlrow.JoinNetworks(k.AllowList),
		int64(k.Caps.Daily), int64(k.Caps.Monthly), int64(k.Spent.Day), int64(k.Spent.Today), int64(k.Spent.InMonth),
		toNull(k.ExpiresAt), toNull(k.RevokedAt), k.CreatedAt.UnixMicro(),
	}
}

func flag(set bool) int16 {
	if set {
		return 1
	}
	return 0
}

func fromMicro(us int64) time.Time { return time.UnixMicro(us).UTC() }

func fromNull(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return fromMicro(*us)
}

func toNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

// idArg is an id, or NULL for the zero one.
func idArg(id *ledger.TransactionID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

func idList(ids []ledger.TransactionID) [][]byte {
	list := make([][]byte, len(ids))
	for i := range ids {
		list[i] = ids[i][:]
	}
	return list
}

// blob takes a column of as many bytes as it has.
type blob []byte

// ScanBytes implements pgtype.BytesScanner, so that the bytes are copied once.
func (b blob) ScanBytes(src []byte) error {
	if copy(b, src) != len(b) || len(src) != len(b) {
		return fmt.Errorf("%d bytes stand where %d belong", len(src), len(b))
	}
	return nil
}

// optional is a blob that stays as it is where the column is NULL.
type optional []byte

// ScanBytes implements pgtype.BytesScanner.
func (o optional) ScanBytes(src []byte) error {
	if src == nil {
		return nil
	}
	return blob(o).ScanBytes(src)
}

// querier is what runs a query: a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// list reads the rows of a query, which names its own limit.
func list[T any](ctx context.Context, q querier, scan func(pgx.Row, *T) error, query string, args ...any) ([]*T, error) {
	return page(ctx, q, scanNew(scan), query, args...)
}

// scanNew makes a pointer of what a scan fills in.
func scanNew[T any](scan func(pgx.Row, *T) error) func(pgx.Row, **T) error {
	return func(row pgx.Row, into **T) error {
		*into = new(T)
		return scan(row, *into)
	}
}

// page is list for values.
func page[T any](ctx context.Context, q querier, scan func(pgx.Row, *T) error, query string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}

// collect reads all rows, and closes them.
func collect[T any](rows pgx.Rows, scan func(pgx.Row, *T) error) ([]T, error) {
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

// one reads the only row of a query. Where there is none, it gives missing.
func one[T any](ctx context.Context, q querier, missing error, scan func(pgx.Row, *T) error, query string, args ...any) (*T, error) {
	found, err := list(ctx, q, scan, query, args...)
	if err == nil && len(found) == 0 {
		err = missing
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

var errNoKey = error(ledger.Errorf(ledger.NotFound, "there is no such key"))
