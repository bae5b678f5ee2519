package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// rows reads parameters, an array for each of the columns, as the rows that they
// are together. A column is a name and a type. To have the arrays side by side in
// the list of a SELECT takes PostgreSQL half the time of having them in its FROM.
func rows(columns string) string {
	var list []string
	for i, column := range strings.Split(columns, ", ") {
		name, kind, _ := strings.Cut(column, " ")
		list = append(list, fmt.Sprintf("unnest($%d::%s[]) AS %s", i+1, kind, name))
	}
	return "SELECT " + strings.Join(list, ", ")
}

// insert adds rows to a table.
func insert(table, columns string) string {
	var names []string
	for column := range strings.SplitSeq(columns, ", ") {
		name, _, _ := strings.Cut(column, " ")
		names = append(names, name)
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") " + rows(columns)
}

// Each statement writes the rows of a whole batch in one table.
var (
	insertTransactions = insert("transactions", "id bytea, scope integer, idempotency_key text, request_hash bytea, kind text, "+
		"account_id integer, service text, to_account_id integer, to_service text, amount bigint, parent bytea, expires_in bigint, "+
		"final smallint, batch bytea, reference text, metadata text, rejection text, moved bigint, balance bigint, held bigint, "+
		"available bigint, daily_left bigint, monthly_left bigint, remaining bigint, expires_at bigint, version bigint, "+
		"to_version bigint, created_at bigint, place integer")
	insertEntries = insert("entries", "account_id integer, service text, version bigint, transaction_id bytea, amount bigint, "+
		"balance bigint, held bigint, created_at bigint, hash bytea")
	updateWallets = `UPDATE wallets AS w SET balance = new.balance, held = new.held, spent_on = new.spent_on, spent_today = new.spent_today,
		spent_month = new.spent_month, version = new.version, head = new.head, last_entry_at = greatest(w.last_entry_at, $10)
		FROM (` + rows("account_id integer, service text, balance bigint, held bigint, spent_on bigint, spent_today bigint, "+
		"spent_month bigint, version bigint, head bytea") + `) AS new
		WHERE w.account_id = new.account_id AND w.service = new.service`
	putHolds = insert("holds", "id bytea, account_id integer, service text, scope integer, key_id text, reference text, state text, "+
		"amount bigint, captured bigint, remaining bigint, created_at bigint, expires_at bigint, closed_at bigint") + `
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, captured = excluded.captured, remaining = excluded.remaining,
			expires_at = excluded.expires_at, closed_at = excluded.closed_at`
	putRefunds = insert("refunds", "charge_id bytea, refunded bigint") + `
		ON CONFLICT (charge_id) DO UPDATE SET refunded = excluded.refunded`
	updateKeys = `UPDATE keys AS k SET spent_on = new.spent_on, spent_today = new.spent_today, spent_month = new.spent_month
		FROM (` + rows("id text, spent_on bigint, spent_today bigint, spent_month bigint") + ") AS new WHERE k.id = new.id"
	addSystem = `INSERT INTO system_accounts AS s (account, currency, shard, total)
		SELECT new.account, new.currency, $4::smallint, new.total FROM (` + rows("account text, currency text, total numeric") + `) AS new
		ON CONFLICT (account, currency, shard) DO UPDATE SET total = s.total + excluded.total`
)

// column is what one field of each of the rows is.
func column[R, V any](all []R, field func(*R) V) []V {
	values := make([]V, len(all))
	for i := range all {
		values[i] = field(&all[i])
	}
	return values
}

// Append sends all statements at once, and then reads what came of them.
func (t *tx) Append(ctx context.Context, b *engine.Batch) error {
	batch := &pgx.Batch{}
	var at int64 // the batch's time
	if len(b.Transactions) > 0 {
		args, err := transactionArgs(b.Transactions)
		if err != nil {
			return err
		}
		batch.Queue(insertTransactions, args...).Exec(ignore)
		at = slices.MaxFunc(b.Transactions, func(a, b *ledger.Transaction) int { return a.CreatedAt.Compare(b.CreatedAt) }).CreatedAt.UnixMicro()
	}
	if len(b.Entries) > 0 {
		batch.Queue(insertEntries, entryArgs(b.Entries)...).Exec(ignore)
	}
	if len(b.Wallets) > 0 {
		batch.Queue(updateWallets, append(walletArgs(b.Wallets), at)...).Exec(ignore)
	}
	queueRare(batch, b)
	if len(b.System) > 0 {
		// They come last: others may wait for the same shard, though rarely.
		batch.Queue(addSystem,
			column(b.System, func(s *engine.SystemTotal) string { return string(s.Account) }),
			column(b.System, func(s *engine.SystemTotal) string { return s.Currency }),
			column(b.System, func(s *engine.SystemTotal) string { return s.Total.Millionths() }),
			int16(rand.IntN(systemShards))).Exec(ignore)
	}
	if batch.Len() == 0 {
		return nil
	}
	return t.conn.SendBatch(ctx, batch).Close()
}

// queueRare writes what most batches have little of.
func queueRare(batch *pgx.Batch, b *engine.Batch) {
	if len(b.Holds) > 0 {
		batch.Queue(putHolds, holdArgs(b.Holds)...).Exec(ignore)
	}
	if len(b.Refunded) > 0 {
		batch.Queue(putRefunds,
			column(b.Refunded, func(r **ledger.Refundable) []byte { return (*r).ID[:] }),
			column(b.Refunded, func(r **ledger.Refundable) int64 { return int64((*r).Refunded) })).Exec(ignore)
	}
	if len(b.Keys) > 0 {
		batch.Queue(updateKeys,
			column(b.Keys, func(k *engine.KeySpent) string { return k.ID }),
			column(b.Keys, func(k *engine.KeySpent) int64 { return int64(k.Spent.Day) }),
			column(b.Keys, func(k *engine.KeySpent) int64 { return int64(k.Spent.Today) }),
			column(b.Keys, func(k *engine.KeySpent) int64 { return int64(k.Spent.InMonth) })).Exec(ignore)
	}
}

// ignore is what to do with the number of rows that a statement of a batch wrote.
func ignore(pgconn.CommandTag) error { return nil }

// placed is a transaction with its place in its batch.
type placed struct {
	*ledger.Transaction
	place    int32
	metadata string
}

// transactionArgs are the arrays of insertTransactions. The rows are in order of
// their ids, so that two nodes that meet in the index do not wait for each other.
func transactionArgs(transactions []*ledger.Transaction) ([]any, error) {
	all := make([]placed, len(transactions))
	for i, t := range transactions {
		metadata, err := sqlrow.EncodeMetadata(t.Metadata)
		if err != nil {
			return nil, err
		}
		all[i] = placed{t, int32(i), metadata}
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.place, b.place)) })
	return []any{
		column(all, func(t *placed) []byte { return t.ID[:] }),
		column(all, func(t *placed) int32 { return int32(t.Scope) }),
		column(all, func(t *placed) string { return t.IdempotencyKey }),
		column(all, func(t *placed) []byte { return t.RequestHash[:] }),
		column(all, func(t *placed) string { return string(t.Kind) }),
		column(all, func(t *placed) int32 { return int32(t.Wallet.Account) }),
		column(all, func(t *placed) string { return string(t.Wallet.Service) }),
		column(all, func(t *placed) int32 { return int32(t.To.Account) }),
		column(all, func(t *placed) string { return string(t.To.Service) }),
		column(all, func(t *placed) int64 { return int64(t.Amount) }),
		column(all, func(t *placed) []byte { return idArg(&t.Parent) }),
		column(all, func(t *placed) int64 { return int64(t.ExpiresIn / time.Second) }),
		column(all, func(t *placed) int16 { return flag(t.Final) }),
		column(all, func(t *placed) []byte { return idArg(&t.Batch) }),
		column(all, func(t *placed) string { return t.Reference }),
		column(all, func(t *placed) string { return t.metadata }),
		column(all, func(t *placed) string { return string(t.Rejection) }),
		column(all, func(t *placed) int64 { return int64(t.Moved) }),
		column(all, func(t *placed) int64 { return int64(t.Balance) }),
		column(all, func(t *placed) int64 { return int64(t.Held) }),
		column(all, func(t *placed) int64 { return int64(t.Available) }),
		column(all, func(t *placed) int64 { return int64(t.CapLeft.Daily) }),
		column(all, func(t *placed) int64 { return int64(t.CapLeft.Monthly) }),
		column(all, func(t *placed) int64 { return int64(t.Remaining) }),
		column(all, func(t *placed) *int64 { return toNull(t.ExpiresAt) }),
		column(all, func(t *placed) int64 { return t.Version }),
		column(all, func(t *placed) int64 { return t.ToVersion }),
		column(all, func(t *placed) int64 { return t.CreatedAt.UnixMicro() }),
		column(all, func(t *placed) int32 { return t.place }),
	}, nil
}

func entryArgs(entries []ledger.Entry) []any {
	return []any{
		column(entries, func(e *ledger.Entry) int32 { return int32(e.Account) }),
		column(entries, func(e *ledger.Entry) string { return string(e.Service) }),
		column(entries, func(e *ledger.Entry) int64 { return e.Version }),
		column(entries, func(e *ledger.Entry) []byte { return e.Transaction[:] }),
		column(entries, func(e *ledger.Entry) int64 { return int64(e.Amount) }),
		column(entries, func(e *ledger.Entry) int64 { return int64(e.Balance) }),
		column(entries, func(e *ledger.Entry) int64 { return int64(e.Held) }),
		column(entries, func(e *ledger.Entry) int64 { return e.CreatedAt.UnixMicro() }),
		column(entries, func(e *ledger.Entry) []byte { return e.Hash[:] }),
	}
}

func walletArgs(wallets []*ledger.Wallet) []any {
	return []any{
		column(wallets, func(w **ledger.Wallet) int32 { return int32((*w).Account) }),
		column(wallets, func(w **ledger.Wallet) string { return string((*w).Service) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Balance) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Held) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Spent.Day) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Spent.Today) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Spent.InMonth) }),
		column(wallets, func(w **ledger.Wallet) int64 { return (*w).Version }),
		column(wallets, func(w **ledger.Wallet) []byte { return (*w).Head[:] }),
	}
}

func holdArgs(holds []*ledger.Hold) []any {
	return []any{
		column(holds, func(h **ledger.Hold) []byte { return (*h).ID[:] }),
		column(holds, func(h **ledger.Hold) int32 { return int32((*h).Account) }),
		column(holds, func(h **ledger.Hold) string { return string((*h).Service) }),
		column(holds, func(h **ledger.Hold) int32 { return int32((*h).Scope) }),
		column(holds, func(h **ledger.Hold) string { return (*h).Key }),
		column(holds, func(h **ledger.Hold) string { return (*h).Reference }),
		column(holds, func(h **ledger.Hold) string { return string((*h).State) }),
		column(holds, func(h **ledger.Hold) int64 { return int64((*h).Amount) }),
		column(holds, func(h **ledger.Hold) int64 { return int64((*h).Captured) }),
		column(holds, func(h **ledger.Hold) int64 { return int64((*h).Remaining) }),
		column(holds, func(h **ledger.Hold) int64 { return (*h).CreatedAt.UnixMicro() }),
		column(holds, func(h **ledger.Hold) int64 { return (*h).ExpiresAt.UnixMicro() }),
		column(holds, func(h **ledger.Hold) *int64 { return toNull((*h).ClosedAt) }),
	}
}
