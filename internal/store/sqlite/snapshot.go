package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// snapshot reads the whole ledger, a page at a time, out of one read transaction.
type snapshot struct{ tx *sql.Tx }

// Snapshot runs fn over one state of the ledger. Writers go on meanwhile.
func (s *Store) Snapshot(ctx context.Context, fn func(engine.Snapshot) error) error {
	tx, err := s.readDB.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // Nothing was written, so there is nothing to lose.
	return fn(&snapshot{tx})
}

func (s *snapshot) Wallets(ctx context.Context, after ledger.WalletRef, limit int) ([]engine.WalletRow, error) {
	query := "SELECT coalesce(a.currency, ''), w.account_id, w.service, " + of("w", walletColumns) + `
		FROM wallets AS w LEFT JOIN accounts AS a ON a.id = w.account_id
		WHERE (w.account_id, w.service) > (?, ?) ORDER BY w.account_id, w.service LIMIT ?`
	return page(ctx, s.tx, func(row scanner, into *engine.WalletRow) error {
		return scanWallet(row, &into.Wallet, &into.Currency, &into.Account, &into.Service)
	}, query, int64(after.Account), string(after.Service), limit)
}

func (s *snapshot) Entries(ctx context.Context, after ledger.WalletRef, version int64, limit int) ([]engine.EntryRow, error) {
	const query = "SELECT " + entryColumns + ` FROM entries WHERE (account_id, service, version) > (?, ?, ?)
		ORDER BY account_id, service, version LIMIT ?`
	const causes = ` FROM entries AS e JOIN transactions AS t ON t.id = e.transaction_id
		WHERE (e.account_id, e.service, e.version) > (?, ?, ?) AND (e.account_id, e.service, e.version) <= (?, ?, ?)`
	from := []any{int64(after.Account), string(after.Service), version}
	entries, err := page(ctx, s.tx, scanEntryRow, query, append(from, limit)...)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	last := &entries[len(entries)-1]
	found, err := page(ctx, s.tx, scanTransaction, "SELECT "+of("t", transactionColumns)+causes,
		append(from, int64(last.Account), string(last.Service), last.Version)...)
	if err != nil {
		return nil, err
	}
	link(entries, found)
	return entries, nil
}

func (s *snapshot) Transactions(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.TransactionRow, error) {
	const query = "SELECT " + transactionColumns + " FROM transactions WHERE id > ? ORDER BY id LIMIT ?"
	rows, err := page(ctx, s.tx, func(row scanner, into *engine.TransactionRow) error {
		return scanTransaction(row, &into.Transaction)
	}, query, after[:], limit)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	between := []any{after[:], rows[len(rows)-1].ID[:]}
	entries := " FROM transactions AS t JOIN entries AS e ON (e.account_id, e.service, e.version)"
	own, err := page(ctx, s.tx, scanEntry, "SELECT "+of("e", entryColumns)+entries+
		" = (t.account_id, t.service, t.version) WHERE t.id > ? AND t.id <= ?", between...)
	if err != nil {
		return nil, err
	}
	other, err := page(ctx, s.tx, scanEntry, "SELECT "+of("e", entryColumns)+entries+
		" = (t.to_account_id, t.to_service, t.to_version) WHERE t.id > ? AND t.id <= ?", between...)
	if err != nil {
		return nil, err
	}
	counted, err := page(ctx, s.tx, func(row scanner, into *ledger.TransactionID) error {
		var id []byte
		if err := row.Scan(&id); err != nil {
			return err
		}
		return copyBytes(into[:], id)
	}, `SELECT t.id FROM transactions AS t JOIN holds AS h ON h.id = t.id WHERE t.id > ? AND t.id <= ?
		UNION ALL SELECT t.id FROM transactions AS t JOIN refunds AS r ON r.charge_id = t.parent WHERE t.id > ? AND t.id <= ?`,
		append(between, between...)...)
	if err != nil {
		return nil, err
	}
	sqlrow.Place(rows, append(own, other...), counted)
	return rows, nil
}

func (s *snapshot) Holds(ctx context.Context, after *ledger.Hold, limit int) ([]engine.HoldRow, error) {
	const beyond = "(h.account_id, h.service, h.state, h.created_at, h.id) > (?, ?, ?, ?, ?)"
	const order = " ORDER BY h.account_id, h.service, h.state, h.created_at, h.id LIMIT ?"
	from := holdPlace(after)
	holds, err := page(ctx, s.tx, func(row scanner, into *engine.HoldRow) error {
		return scanHold(row, &into.Hold)
	}, "SELECT "+of("h", holdColumns)+" FROM holds AS h WHERE "+beyond+order, append(from, limit)...)
	if err != nil || len(holds) == 0 {
		return nil, err
	}
	at := make(map[ledger.TransactionID]*engine.HoldRow, len(holds))
	for i := range holds {
		at[holds[i].ID] = &holds[i]
	}
	between := slices.Concat(from, holdPlace(&holds[len(holds)-1].Hold))
	// First those that placed the holds, then what was done to them, in its order.
	for _, which := range []string{"t.id = h.id", "t.parent = h.id"} {
		about, err := page(ctx, s.tx, scanTransaction, "SELECT "+of("t", transactionColumns)+
			" FROM holds AS h JOIN transactions AS t ON "+which+" WHERE "+beyond+
			" AND (h.account_id, h.service, h.state, h.created_at, h.id) <= (?, ?, ?, ?, ?) ORDER BY t.seq", between...)
		if err != nil {
			return nil, err
		}
		for i := range about {
			id := about[i].Parent
			if id.IsZero() {
				id = about[i].ID
			}
			if hold := at[id]; hold != nil {
				hold.Transactions = append(hold.Transactions, about[i])
			}
		}
	}
	return holds, nil
}

// holdPlace is the place of a hold in the order of a wallet's holds.
func holdPlace(h *ledger.Hold) []any {
	return []any{int64(h.Account), string(h.Service), string(h.State), h.CreatedAt.UnixMicro(), h.ID[:]}
}

func (s *snapshot) Refunds(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.RefundRow, error) {
	const query = "SELECT charge_id, refunded FROM refunds WHERE charge_id > ? ORDER BY charge_id LIMIT ?"
	refunds, err := page(ctx, s.tx, func(row scanner, into *engine.RefundRow) error {
		var id []byte
		if err := row.Scan(&id, &into.Refunded); err != nil {
			return err
		}
		return copyBytes(into.ID[:], id)
	}, query, after[:], limit)
	if err != nil {
		return nil, err
	}
	for i := range refunds {
		row := &refunds[i]
		about, err := s.about(ctx, row.ID)
		if err != nil {
			return nil, err
		}
		if len(about) > 0 && about[0].ID == row.ID {
			row.Charge, about = &about[0], about[1:]
		}
		row.Refunds = about
	}
	return refunds, nil
}

// about reads a transaction and those that have it as their parent, in the order
// in which they were decided.
func (s *snapshot) about(ctx context.Context, id ledger.TransactionID) ([]ledger.Transaction, error) {
	const query = "SELECT " + transactionColumns + " FROM transactions WHERE id = ? OR parent = ? ORDER BY seq"
	return page(ctx, s.tx, scanTransaction, query, id[:], id[:])
}

func (s *snapshot) System(ctx context.Context) ([]engine.SystemTotal, error) {
	return page(ctx, s.tx, func(row scanner, into *engine.SystemTotal) error {
		var text string
		if err := row.Scan(&into.Account, &into.Currency, &text); err != nil {
			return err
		}
		total, err := ledger.ParseTotal(text)
		into.Total = total
		return err
	}, "SELECT account, currency, total FROM system_accounts ORDER BY account, currency")
}

func (s *snapshot) WalletTotals(ctx context.Context) ([]engine.WalletTotal, error) {
	query := "SELECT a.currency, " + sumOf("w.balance") + ", " + sumOf("w.held") + `
		FROM wallets AS w JOIN accounts AS a ON a.id = w.account_id GROUP BY a.currency ORDER BY a.currency`
	return page(ctx, s.tx, func(row scanner, into *engine.WalletTotal) error {
		var balance, held sum
		err := row.Scan(&into.Currency, &balance.high, &balance.low, &held.high, &held.low)
		if err != nil {
			return err
		}
		if into.Balance, err = balance.total(); err != nil {
			return err
		}
		into.Held, err = held.total()
		return err
	}, query)
}

// guard is a trigger as SQLite keeps it.
type guard struct{ name, table, statement string }

// guards gives the triggers that refuse to change history, in order, as the first
// migration makes them. They are as old as the tables, so an old ledger that is
// only read has them, too.
func guards() ([]guard, error) {
	migration, err := migrations.ReadFile("migrations/00001_ledger.sql")
	if err != nil {
		return nil, err
	}
	var all []guard
	for _, part := range strings.Split(string(migration), "-- +goose StatementBegin")[1:] {
		statement, _, _ := strings.Cut(part, "-- +goose StatementEnd")
		// The words are: CREATE TRIGGER name BEFORE event ON table.
		words := strings.Fields(statement)
		all = append(all, guard{words[2], words[6], strings.TrimSuffix(strings.TrimSpace(statement), ";")})
	}
	slices.SortFunc(all, func(a, b guard) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// MissingGuards counts a trigger that is not as the migration made it as missing.
func (s *snapshot) MissingGuards(ctx context.Context) ([]string, error) {
	wanted, err := guards()
	if err != nil {
		return nil, err
	}
	there, err := page(ctx, s.tx, func(row scanner, into *guard) error {
		return row.Scan(&into.name, &into.table, &into.statement)
	}, "SELECT name, tbl_name, trim(coalesce(sql, ''), char(9, 10, 13, 32)) FROM sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, guard := range wanted {
		if !slices.Contains(there, guard) {
			missing = append(missing, guard.name)
		}
	}
	return missing, nil
}

// page reads the rows of a query, which names its own limit.
func page[T any](ctx context.Context, tx *sql.Tx, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scan)
}
