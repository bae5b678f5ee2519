package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// Copy is a ledger that is being made as a copy of another one. It implements
// copier.Target.
type Copy struct {
	*Store
	run int64 // names this process in the copy's row: the latest to begin has it

	// Where the copied history ends: within a moment, places tell what was first.
	at    int64
	place int32
}

var _ copier.Target = (*Copy)(nil)

// OpenCopy opens a database that copies can be written into: a copy that was
// begun and never served, or an empty database, which is given its tables.
// Whether it is a copy shows when one begins. Errors: those of Create but ErrExists.
func OpenCopy(ctx context.Context, url string) (*Copy, error) {
	store, err := open(ctx, url, func(ctx context.Context, s *Store) error {
		err := s.checkTables(ctx)
		if err == nil {
			err = s.checkCurrent(ctx)
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrOlder) {
			// Tables that are made here are from the first moment those of a copy, so
			// that whatever ends this process leaves no ledger that could be served.
			err = s.migrateWith(ctx, `INSERT INTO copy_progress (id, source, transactions, finished, run)
				VALUES (1, decode(repeat('00', 32), 'hex'), 0, 0, 0)`)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Copy{Store: store, run: rand.Int64()}, nil
}

// checkCopy refuses a copy that is not finished, which is no ledger.
func (s *Store) checkCopy(ctx context.Context) error {
	state, err := s.copyProgress(ctx)
	if err == nil && state != nil && !state.Finished {
		err = copier.ErrUnfinished
	}
	return err
}

// leaveCopy ends what the ledger still is of a copy: from now on it has a history
// of its own.
func (s *Store) leaveCopy(ctx context.Context) error {
	state, err := s.copyProgress(ctx)
	if err != nil || state == nil {
		return err
	}
	// Somebody may go on with the copy at this moment. Who is first to write the
	// row keeps the other one out.
	err = s.Write(ctx, func(t engine.Tx) error {
		_, err := t.(*tx).conn.Exec(ctx, "DELETE FROM copy_progress WHERE finished = 1")
		return err
	})
	if err != nil {
		return err
	}
	return s.checkCopy(ctx)
}

// own is how a ledger is prepared that is to be served.
func own(prepare func(context.Context, *Store) error) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		if err := prepare(ctx, s); err != nil {
			return err
		}
		return s.leaveCopy(ctx)
	}
}

// State tells how far the copy is.
func (c *Copy) State(ctx context.Context) (*copier.State, error) { return c.copyProgress(ctx) }

func (s *Store) copyProgress(ctx context.Context) (*copier.State, error) {
	found, err := list(ctx, s.reader, func(row pgx.Row, into *copier.State) error {
		return row.Scan(blob(into.Source[:]), &into.Transactions, optional(into.Last[:]), &into.Finished)
	}, "SELECT source, transactions, last, finished = 1 FROM copy_progress")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

// Begin begins a copy, or goes on with one.
func (c *Copy) Begin(ctx context.Context, source ledger.Hash) error {
	err := c.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		done, err := conn.Exec(ctx, "UPDATE copy_progress SET finished = 0, run = $2, source = $1 WHERE source IN ($1, decode(repeat('00', 32), 'hex'))", source[:], c.run)
		if err != nil || done.RowsAffected() == 1 {
			return err
		}
		if _, err := conn.Exec(ctx, lockEmpty); err != nil {
			return err
		}
		var used bool
		err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM copy_progress) OR EXISTS (SELECT 1 FROM keys)
			OR EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM transactions)`).Scan(&used)
		if err == nil && used {
			err = copier.ErrNotCopy
		}
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "INSERT INTO copy_progress (id, source, transactions, finished, run) VALUES (1, $1, 0, 0, $2)", source[:], c.run)
		return err
	})
	if codeOf(err) == uniqueViolation {
		err = copier.ErrTakenOver
	}
	if err != nil {
		return err
	}
	err = c.reader.QueryRow(ctx, "SELECT t.created_at, t.place FROM copy_progress AS p JOIN transactions AS t ON t.id = p.last").Scan(&c.at, &c.place)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return err
}

// write sends statements in one transaction, unless another process has taken
// the copy over, or it is finished. What that one wrote may be newer.
func (c *Copy) write(ctx context.Context, statements *pgx.Batch) error {
	return c.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		done, err := conn.Exec(ctx, "SELECT 1 FROM copy_progress WHERE run = $1 AND finished = 0 FOR UPDATE", c.run)
		if err == nil && done.RowsAffected() == 0 {
			err = copier.ErrTakenOver
		}
		if err != nil {
			return err
		}
		return conn.SendBatch(ctx, statements).Close()
	})
}

// AppendHistory adds a page and notes how far the copy is.
func (c *Copy) AppendHistory(ctx context.Context, page *copier.Page, transactions int64) error {
	last := &page.Transactions[len(page.Transactions)-1]
	args, err := transactionArgs(column(page.Transactions, func(t *ledger.Transaction) *ledger.Transaction { return t }))
	if err != nil {
		return err
	}
	// The places that transactionArgs gives are those in the page, and become
	// those among all transactions of the moment.
	at, place := c.at, c.place
	places := column(page.Transactions, func(t *ledger.Transaction) int32 {
		place++
		if created := t.CreatedAt.UnixMicro(); created != at {
			at, place = created, 0
		}
		return place
	})
	inPage := args[len(args)-1].([]int32)
	args[len(args)-1] = column(inPage, func(i *int32) int32 { return places[*i] })

	var batch pgx.Batch
	batch.Queue("UPDATE copy_progress SET transactions = $1, last = $2", transactions, last.ID[:])
	batch.Queue(insertTransactions, args...)
	// In a ledger that was tampered with, two transactions may claim one place.
	// The copy has it once, and its verification says so.
	batch.Queue(insertEntries+" ON CONFLICT DO NOTHING", entryArgs(page.Entries)...)
	if len(page.Holds) > 0 {
		batch.Queue(putHolds, holdArgs(column(page.Holds, func(h *ledger.Hold) *ledger.Hold { return h }))...)
	}
	if len(page.Refunds) > 0 {
		batch.Queue(putRefunds,
			column(page.Refunds, func(r *copier.Refund) []byte { return r.Charge[:] }),
			column(page.Refunds, func(r *copier.Refund) int64 { return int64(r.Refunded) }))
	}
	if err := c.write(ctx, &batch); err != nil {
		return err
	}
	c.at, c.place = at, place
	return nil
}

// orReplace writes a row over one that is there. One that is there as it should
// be is not written.
func orReplace(table, columns string, key ...string) string {
	var set, old, excluded []string
	for column := range strings.SplitSeq(columns, ", ") {
		name, _, _ := strings.Cut(column, " ")
		if !slices.Contains(key, name) {
			set = append(set, name+" = excluded."+name)
			old, excluded = append(old, table+"."+name), append(excluded, "excluded."+name)
		}
	}
	return " ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + strings.Join(set, ", ") +
		" WHERE (" + strings.Join(old, ", ") + ") IS DISTINCT FROM (" + strings.Join(excluded, ", ") + ")"
}

const (
	accountRow = "id integer, name text, currency text, status text, external_reference text, metadata text, time_zone text, " +
		"charge_on text, created_at bigint"
	walletRow = "account_id integer, service text, balance bigint, held bigint, credit_limit bigint, suspended smallint, " +
		"min_amount bigint, max_amount bigint, daily_cap bigint, monthly_cap bigint, spent_on bigint, spent_today bigint, " +
		"spent_month bigint, version bigint, head bytea"
	keyRow = "id text, digest bytea, last4 text, account_id integer, scopes text, allow_list text, daily_cap bigint, monthly_cap bigint, " +
		"spent_on bigint, spent_today bigint, spent_month bigint, expires_at bigint, revoked_at bigint, created_at bigint"
)

var (
	// An external reference may have gone from one account to another since it
	// was copied, and belongs to one account at a time.
	freeReferences = `UPDATE accounts AS a SET external_reference = NULL FROM (` + rows("id integer, external_reference text") + `) AS new
		WHERE a.external_reference = new.external_reference AND a.id <> new.id`
	putAccounts = insert("accounts", accountRow) + orReplace("accounts", accountRow, "id")
	putWallets  = "INSERT INTO wallets (account_id, service, " + walletColumns + ") SELECT " +
		strings.TrimSuffix(of("new", "account_id, service, "+walletColumns), "new.last_entry_at") + `coalesce(e.created_at, 0)
		FROM (` + rows(walletRow) + `) AS new LEFT JOIN entries AS e
			ON e.account_id = new.account_id AND e.service = new.service AND e.version = new.version` +
		orReplace("wallets", walletRow+", last_entry_at bigint", "account_id", "service")
	putKeys = insert("keys", keyRow) + orReplace("keys", keyRow, "id")
)

// PutHolders writes accounts with their wallets.
func (c *Copy) PutHolders(ctx context.Context, holders []*ledger.Holder) error {
	var wallets []*ledger.Wallet
	metadata := make([]string, len(holders))
	for i, holder := range holders {
		var err error
		if metadata[i], err = sqlrow.EncodeMetadata(holder.Metadata); err != nil {
			return err
		}
		for i := range holder.Wallets {
			wallets = append(wallets, &holder.Wallets[i])
		}
	}
	ids := column(holders, func(h **ledger.Holder) int32 { return int32((*h).ID) })
	references := column(holders, func(h **ledger.Holder) *string { return textArg((*h).ExternalReference) })
	var batch pgx.Batch
	batch.Queue(freeReferences, ids, references)
	batch.Queue(putAccounts, ids,
		column(holders, func(h **ledger.Holder) string { return (*h).Name }),
		column(holders, func(h **ledger.Holder) string { return (*h).Currency }),
		column(holders, func(h **ledger.Holder) string { return string((*h).Status) }),
		references, metadata,
		column(holders, func(h **ledger.Holder) string { return (*h).TimeZone }),
		column(holders, func(h **ledger.Holder) string { return sqlrow.JoinWords((*h).ChargeOn) }),
		column(holders, func(h **ledger.Holder) int64 { return (*h).CreatedAt.UnixMicro() }))
	settings := []any{
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).CreditLimit) }),
		column(wallets, func(w **ledger.Wallet) int16 { return flag((*w).Suspended) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).MinAmount) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).MaxAmount) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Caps.Daily) }),
		column(wallets, func(w **ledger.Wallet) int64 { return int64((*w).Caps.Monthly) }),
	}
	const before = 4 // the columns that stand before the settings
	batch.Queue(putWallets, slices.Insert(walletArgs(wallets), before, settings...)...)
	return c.write(ctx, &batch)
}

// PutKeys writes keys.
func (c *Copy) PutKeys(ctx context.Context, keys []*ledger.Key) error {
	columns := make([][]any, strings.Count(keyRow, ",")+1)
	for _, key := range keys {
		for i, value := range keyArgs(key) {
			columns[i] = append(columns[i], value)
		}
	}
	args := make([]any, len(columns))
	for i := range columns {
		args[i] = columns[i]
	}
	var batch pgx.Batch
	batch.Queue(putKeys, args...)
	return c.write(ctx, &batch)
}

// PutSystem writes the balances of the system accounts, each into one shard.
func (c *Copy) PutSystem(ctx context.Context, totals []engine.SystemTotal) error {
	var batch pgx.Batch
	batch.Queue(`INSERT INTO system_accounts (account, currency, shard, total) SELECT new.account, new.currency, 0, new.total
			FROM (`+rows("account text, currency text, total numeric")+`) AS new
		ON CONFLICT (account, currency, shard) DO UPDATE SET total = excluded.total`,
		column(totals, func(s *engine.SystemTotal) string { return string(s.Account) }),
		column(totals, func(s *engine.SystemTotal) string { return s.Currency }),
		column(totals, func(s *engine.SystemTotal) string { return s.Total.Millionths() }))
	return c.write(ctx, &batch)
}

// Loaded tells the server how much there is now: without that it would plan
// queries for tables that it takes for small, until it looks by itself.
func (c *Copy) Loaded(ctx context.Context) error {
	for _, table := range []string{"accounts", "wallets", "transactions", "entries", "holds", "refunds", "keys", "upstreams", "upstream_readings"} {
		if _, err := c.writer.Exec(ctx, "ANALYZE "+table); err != nil {
			return err
		}
	}
	return nil
}

// Finish makes the copy a ledger.
func (c *Copy) Finish(ctx context.Context) error {
	var batch pgx.Batch
	batch.Queue("UPDATE copy_progress SET finished = 1")
	return c.write(ctx, &batch)
}
