package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// snapshot reads the whole ledger, a page at a time, out of one transaction that
// sees what was committed when it began.
type snapshot struct{ tx pgx.Tx }

// Snapshot runs fn over one state of the ledger. Writers go on meanwhile.
func (s *Store) Snapshot(ctx context.Context, fn func(engine.Snapshot) error) error {
	tx, err := s.reader.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s.broken(ctx, err)
	}
	defer func() {
		ctx, cancel := limited(context.WithoutCancel(ctx))
		defer cancel()
		_ = tx.Rollback(ctx) // Nothing was written, so there is nothing to lose.
	}()
	err = fn(&snapshot{tx})
	if codeOf(err) == "" && !tx.Conn().IsClosed() {
		return err // It has nothing to do with the server.
	}
	return s.broken(ctx, err)
}

// broken says which usual failure ended a snapshot, unless the caller gave it up.
func (s *Store) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return s.told(named(err))
}

func (s *snapshot) Wallets(ctx context.Context, after ledger.WalletRef, limit int) ([]engine.WalletRow, error) {
	query := "SELECT coalesce(a.currency, ''), w.account_id, w.service, " + of("w", walletColumns) + `
		FROM wallets AS w LEFT JOIN accounts AS a ON a.id = w.account_id
		WHERE (w.account_id, w.service) > ($1, $2) ORDER BY w.account_id, w.service LIMIT $3`
	return page(ctx, s.tx, func(row pgx.Row, into *engine.WalletRow) error {
		_, err := scanWallet(row, &into.Wallet, &into.Currency, &into.Account, &into.Service)
		return err
	}, query, int32(after.Account), string(after.Service), limit)
}

func (s *snapshot) Entries(ctx context.Context, after ledger.WalletRef, version int64, limit int) ([]engine.EntryRow, error) {
	const query = "SELECT " + entryColumns + ` FROM entries WHERE (account_id, service, version) > ($1, $2, $3)
		ORDER BY account_id, service, version LIMIT $4`
	entries, err := page(ctx, s.tx, scanEntryRow, query, int32(after.Account), string(after.Service), version, limit)
	if err != nil {
		return nil, err
	}
	return entries, addCauses(ctx, s.tx, entries)
}

func (s *snapshot) Transactions(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.TransactionRow, error) {
	const query = "SELECT " + transactionColumns + " FROM transactions WHERE id > $1 ORDER BY id LIMIT $2"
	rows, err := page(ctx, s.tx, func(row pgx.Row, into *engine.TransactionRow) error {
		return scanTransaction(row, &into.Transaction)
	}, query, after[:], limit)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	entries, err := s.entriesOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	counted, err := page(ctx, s.tx, scanID, `SELECT t.id FROM transactions AS t JOIN holds AS h ON h.id = t.id WHERE t.id > $1 AND t.id <= $2
		UNION ALL SELECT t.id FROM transactions AS t JOIN refunds AS r ON r.charge_id = t.parent WHERE t.id > $1 AND t.id <= $2`,
		after[:], rows[len(rows)-1].ID[:])
	if err != nil {
		return nil, err
	}
	sqlrow.Place(rows, entries, counted)
	return rows, nil
}

// entriesOf reads the entries at the versions of transactions, for both wallets
// of a transfer.
func (s *snapshot) entriesOf(ctx context.Context, rows []engine.TransactionRow) ([]ledger.Entry, error) {
	var accounts []int32
	var services []string
	var versions []int64
	for i := range rows {
		t := &rows[i]
		accounts = append(accounts, int32(t.Wallet.Account), int32(t.To.Account))
		services = append(services, string(t.Wallet.Service), string(t.To.Service))
		versions = append(versions, t.Version, t.ToVersion)
	}
	return page(ctx, s.tx, scanEntry, "SELECT "+of("e", entryColumns)+` FROM entries AS e
		JOIN unnest($1::integer[], $2::text[], $3::bigint[]) AS wanted (account_id, service, version)
			ON e.account_id = wanted.account_id AND e.service = wanted.service AND e.version = wanted.version`,
		accounts, services, versions)
}

// decidedOrder is the order in which transactions about one wallet were decided.
// Several batches may be of one moment, by nodes whose clocks differ; then the
// numbers of their entries tell which was first.
const decidedOrder = " ORDER BY t.created_at, t.version, t.place"

func (s *snapshot) Holds(ctx context.Context, after *ledger.Hold, limit int) ([]engine.HoldRow, error) {
	const query = "SELECT " + holdColumns + ` FROM holds
		WHERE (account_id, service, state, created_at, id) > ($1, $2, $3, $4, $5)
		ORDER BY account_id, service, state, created_at, id LIMIT $6`
	holds, err := page(ctx, s.tx, func(row pgx.Row, into *engine.HoldRow) error {
		return scanHold(row, &into.Hold)
	}, query, int32(after.Account), string(after.Service), string(after.State), after.CreatedAt.UnixMicro(), after.ID[:], limit)
	if err != nil || len(holds) == 0 {
		return nil, err
	}
	placed, parented, err := s.about(ctx, column(holds, func(h *engine.HoldRow) []byte { return h.ID[:] }))
	if err != nil {
		return nil, err
	}
	for i := range holds {
		if t, ok := placed[holds[i].ID]; ok {
			holds[i].Transactions = append(holds[i].Transactions, t)
		}
		holds[i].Transactions = append(holds[i].Transactions, parented[holds[i].ID]...)
	}
	return holds, nil
}

func (s *snapshot) Refunds(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.RefundRow, error) {
	const query = "SELECT charge_id, refunded FROM refunds WHERE charge_id > $1 ORDER BY charge_id LIMIT $2"
	refunds, err := page(ctx, s.tx, scanRefund, query, after[:], limit)
	if err != nil || len(refunds) == 0 {
		return nil, err
	}
	charges, parented, err := s.about(ctx, column(refunds, func(r *engine.RefundRow) []byte { return r.ID[:] }))
	if err != nil {
		return nil, err
	}
	for i := range refunds {
		if t, ok := charges[refunds[i].ID]; ok {
			refunds[i].Charge = &t
		}
		refunds[i].Refunds = parented[refunds[i].ID]
	}
	return refunds, nil
}

// about reads transactions by their ids, and those that have one of them as
// their parent, in the order in which they were decided.
func (s *snapshot) about(ctx context.Context, ids [][]byte) (
	byID map[ledger.TransactionID]ledger.Transaction, byParent map[ledger.TransactionID][]ledger.Transaction, err error,
) {
	const query = "SELECT " + transactionColumns + " FROM transactions AS t WHERE "
	found, err := page(ctx, s.tx, scanTransaction, query+"id = ANY($1::bytea[])", ids)
	if err != nil {
		return nil, nil, err
	}
	byID = make(map[ledger.TransactionID]ledger.Transaction, len(found))
	for _, t := range found {
		byID[t.ID] = t
	}
	found, err = page(ctx, s.tx, scanTransaction, query+"parent = ANY($1::bytea[])"+decidedOrder, ids)
	byParent = make(map[ledger.TransactionID][]ledger.Transaction, len(found))
	for _, t := range found {
		byParent[t.Parent] = append(byParent[t.Parent], t)
	}
	return byID, byParent, err
}

func (s *snapshot) System(ctx context.Context) ([]engine.SystemTotal, error) {
	return page(ctx, s.tx, func(row pgx.Row, into *engine.SystemTotal) error {
		return row.Scan(&into.Account, &into.Currency, total{&into.Total})
	}, "SELECT account, currency, sum(total)::text FROM system_accounts GROUP BY account, currency ORDER BY account, currency")
}

func (s *snapshot) WalletTotals(ctx context.Context) ([]engine.WalletTotal, error) {
	return page(ctx, s.tx, func(row pgx.Row, into *engine.WalletTotal) error {
		return row.Scan(&into.Currency, total{&into.Balance}, total{&into.Held})
	}, `SELECT a.currency, sum(w.balance)::text, sum(w.held)::text
		FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id GROUP BY a.currency ORDER BY a.currency`)
}

// guards are the triggers that refuse to change history, in order. The name of
// each begins with that of its table.
var guards = []string{
	"entries_no_change", "entries_no_truncate", "holds_no_delete", "holds_no_truncate",
	"refunds_no_delete", "refunds_no_truncate", "transactions_no_change", "transactions_no_truncate",
}

// MissingGuards counts a trigger that is disabled, runs on replicas alone, or is
// not as the migrations made it as missing: tgtype says when it runs (27 is
// before each row is updated or deleted, 11 before it is deleted, 34 before the
// table is truncated), and its function has the text of the migration.
// CockroachDB has none for TRUNCATE, see truncateVersion, and describes triggers
// in its own way, so that there only those are missed that are gone.
func (s *snapshot) MissingGuards(ctx context.Context) ([]string, error) {
	migration, err := migrations.ReadFile("migrations/00001_ledger.sql")
	if err != nil {
		return nil, err
	}
	body := strings.Split(string(migration), "$$")[1] // the only function there
	return page(ctx, s.tx, func(row pgx.Row, into *string) error { return row.Scan(into) },
		`SELECT wanted.name FROM unnest($1::text[]) AS wanted (name)
		WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t
			JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
			WHERE t.tgname::text = wanted.name
			AND t.tgrelid = to_regclass(split_part(wanted.name, '_no_', 1)) AND t.tgenabled IN ('O', 'A')
			AND (version() LIKE 'CockroachDB%' OR
				t.tgtype = CASE split_part(wanted.name, '_no_', 2) WHEN 'change' THEN 27 WHEN 'delete' THEN 11 ELSE 34 END
				AND t.tgattr::text = '' AND t.tgqual IS NULL
				AND p.proname::text = 'saldo_refuse' AND p.pronamespace = c.relnamespace
				AND btrim(p.prosrc, $2::text) = $3::text))
		AND NOT (wanted.name LIKE '%truncate' AND version() LIKE 'CockroachDB%') ORDER BY wanted.name COLLATE "C"`,
		guards, space, strings.Trim(body, space))
}

// space is what may stand around the text of a function.
const space = " \t\r\n"
