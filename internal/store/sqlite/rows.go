package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about how a row becomes a type of the ledger and back.

// scanner is a row of a query, be it the only one or one of many.
type scanner interface{ Scan(dest ...any) error }

const (
	walletColumns      = "account_id, service, balance, held, credit_limit, version, head"
	keyColumns         = "id, digest, last4, coalesce(account_id, 0), scopes, allow_list, expires_at, revoked_at, created_at"
	transactionColumns = "id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service, " +
		"amount, reference, metadata, rejection, balance, held, available, version, to_version, created_at"
	entryColumns = "account_id, service, version, transaction_id, amount, balance, held, created_at, hash"
)

// selectHolders reads accounts with their wallets, a row for each wallet: in one
// statement, so that they are of one state of the ledger. Every account has wallets.
const selectHolders = `SELECT a.id, a.name, a.currency, a.status, coalesce(a.external_reference, ''), a.metadata, a.created_at,
	w.service, w.balance, w.held, w.credit_limit, w.version, w.head
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
		var metadata string
		var created int64
		var head sql.RawBytes
		err := rows.Scan(&a.ID, &a.Name, &a.Currency, &a.Status, &a.ExternalReference, &metadata, &created,
			&w.Service, &w.Balance, &w.Held, &w.CreditLimit, &w.Version, &head)
		if err != nil {
			return nil, err
		}
		if len(holders) == 0 || holders[len(holders)-1].ID != a.ID {
			a.CreatedAt = fromMicro(created)
			if a.Metadata, err = decodeMetadata(metadata); err != nil {
				return nil, err
			}
			holders = append(holders, &ledger.Holder{Account: a})
		}
		if err := copyBytes(w.Head[:], head); err != nil {
			return nil, err
		}
		w.Account = a.ID
		holder := holders[len(holders)-1]
		holder.Wallets = append(holder.Wallets, w)
	}
	return holders, rows.Err()
}

func scanWallet(row scanner, w *ledger.Wallet, more ...any) error {
	var head []byte
	dest := append([]any{&w.Account, &w.Service, &w.Balance, &w.Held, &w.CreditLimit, &w.Version, &head}, more...)
	if err := row.Scan(dest...); err != nil {
		return err
	}
	return copyBytes(w.Head[:], head)
}

func scanTransaction(row scanner, t *ledger.Transaction) error {
	var id, hash []byte
	var metadata string
	var created int64
	err := row.Scan(&id, &t.Scope, &t.IdempotencyKey, &hash, &t.Kind, &t.Wallet.Account, &t.Wallet.Service,
		&t.To.Account, &t.To.Service, &t.Amount, &t.Reference, &metadata, &t.Rejection,
		&t.Balance, &t.Held, &t.Available, &t.Version, &t.ToVersion, &created)
	if err != nil {
		return err
	}
	t.CreatedAt = fromMicro(created)
	t.Metadata, err = decodeMetadata(metadata)
	return errors.Join(err, copyBytes(t.ID[:], id), copyBytes(t.RequestHash[:], hash))
}

func transactionArgs(t *ledger.Transaction) ([]any, error) {
	metadata, err := encodeMetadata(t.Metadata)
	if err != nil {
		return nil, err
	}
	return []any{
		t.ID[:], int64(t.Scope), t.IdempotencyKey, t.RequestHash[:], string(t.Kind),
		int64(t.Wallet.Account), string(t.Wallet.Service), int64(t.To.Account), string(t.To.Service),
		int64(t.Amount), t.Reference, metadata, string(t.Rejection),
		int64(t.Balance), int64(t.Held), int64(t.Available), t.Version, t.ToVersion, t.CreatedAt.UnixMicro(),
	}, nil
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
	err := row.Scan(&k.ID, &digest, &k.Last4, &k.Account, &scopes, &networks, &expires, &revoked, &created)
	if err != nil {
		return nil, err
	}
	for scope := range strings.FieldsSeq(scopes) {
		k.Scopes = append(k.Scopes, ledger.Scope(scope))
	}
	for network := range strings.FieldsSeq(networks) {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		k.AllowList = append(k.AllowList, prefix)
	}
	k.ExpiresAt, k.RevokedAt, k.CreatedAt = fromNull(expires), fromNull(revoked), fromMicro(created)
	return &k, copyBytes(k.Digest[:], digest)
}

func keyArgs(k *ledger.Key) []any {
	scopes := make([]string, len(k.Scopes))
	for i, scope := range k.Scopes {
		scopes[i] = string(scope)
	}
	networks := make([]string, len(k.AllowList))
	for i, prefix := range k.AllowList {
		networks[i] = prefix.String()
	}
	owner := sql.NullInt64{Int64: int64(k.Account), Valid: k.Account != ledger.Operator}
	return []any{
		k.ID, k.Digest[:], k.Last4, owner, strings.Join(scopes, " "), strings.Join(networks, " "),
		toNull(k.ExpiresAt), toNull(k.RevokedAt), k.CreatedAt.UnixMicro(),
	}
}

// encodeMetadata gives "" for no metadata, the usual case, to keep rows short.
func encodeMetadata(m ledger.Metadata) (string, error) {
	if len(m) == 0 {
		return "", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

func decodeMetadata(text string) (ledger.Metadata, error) {
	if text == "" {
		return nil, nil
	}
	var m ledger.Metadata
	err := json.Unmarshal([]byte(text), &m)
	return m, err
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
