package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// writer is the one connection that writes, with its statements prepared.
type writer struct {
	db       *sql.DB
	conn     *sql.Conn
	turn     chan struct{} // holds one token: whoever has it writes
	prepared []*sql.Stmt   // all of these:
	begin, commit, rollback,
	holder, decided, decidedOne, hold, refunded, key,
	insertTransaction, insertEntry, updateWallet, putHold, putRefunded, updateKey,
	systemTotal, setSystemTotal *sql.Stmt
}

func openWriter(ctx context.Context, path string) (_ *writer, err error) {
	w := &writer{turn: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	w.db, err = openDB(path, "rw", 1, "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32768)", fmt.Sprintf("journal_size_limit(%d)", checkpointPages*4096),
		fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages))
	if err != nil {
		return nil, err
	}
	if err := checkVersion(ctx, w.db); err != nil {
		return nil, err
	}
	if err := migrate(ctx, w.db); err != nil {
		return nil, err
	}
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return nil, err
	}
	for statement, text := range map[**sql.Stmt]string{
		&w.begin:             "BEGIN IMMEDIATE",
		&w.commit:            "COMMIT",
		&w.rollback:          "ROLLBACK",
		&w.holder:            selectHolder,
		&w.decided:           selectDecided(decidedChunk),
		&w.decidedOne:        selectDecided(1),
		&w.hold:              selectHold,
		&w.refunded:          "SELECT refunded FROM refunds WHERE charge_id = ?",
		&w.key:               "SELECT " + keyColumns + " FROM keys WHERE id = ?",
		&w.insertTransaction: "INSERT INTO transactions " + values(transactionColumns),
		&w.insertEntry:       "INSERT INTO entries " + values(entryColumns),
		&w.updateWallet: `UPDATE wallets SET balance = ?, held = ?, spent_on = ?, spent_today = ?, spent_month = ?, version = ?, head = ?
			WHERE account_id = ? AND service = ?`,
		&w.putHold: "INSERT INTO holds " + values(holdColumns) + ` ON CONFLICT (id) DO UPDATE SET
			state = excluded.state, captured = excluded.captured, remaining = excluded.remaining,
			expires_at = excluded.expires_at, closed_at = excluded.closed_at`,
		&w.putRefunded: `INSERT INTO refunds (charge_id, refunded) VALUES (?, ?)
			ON CONFLICT (charge_id) DO UPDATE SET refunded = excluded.refunded`,
		&w.updateKey:   "UPDATE keys SET spent_on = ?, spent_today = ?, spent_month = ? WHERE id = ?",
		&w.systemTotal: "SELECT total FROM system_accounts WHERE account = ? AND currency = ?",
		&w.setSystemTotal: `INSERT INTO system_accounts (account, currency, total) VALUES (?, ?, ?)
			ON CONFLICT (account, currency) DO UPDATE SET total = excluded.total`,
	} {
		if *statement, err = w.conn.PrepareContext(ctx, text); err != nil {
			return nil, err
		}
		w.prepared = append(w.prepared, *statement)
	}
	w.turn <- struct{}{}
	return w, nil
}

func (w *writer) close() error {
	var errs []error
	// A connection with open statements stays open itself, and the log is
	// copied into the database only when the last connection closes.
	for _, statement := range w.prepared {
		errs = append(errs, statement.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	return errors.Join(errs...)
}

// Write runs fn in one transaction and returns when it is on disk.
func (s *Store) Write(ctx context.Context, fn func(engine.Tx) error) error {
	w := s.writer
	if w == nil {
		return ErrReadOnly
	}
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, err := w.begin.ExecContext(ctx); err != nil {
		// Where the caller gave up, it may have begun all the same.
		return errors.Join(fmt.Errorf("begin: %w", err), w.undo())
	}
	// Up to here a caller can give up, and nothing is kept. From here on only the
	// disk decides.
	if err := errors.Join(fn(&tx{w}), ctx.Err()); err != nil {
		return errors.Join(err, w.undo())
	}
	if _, err := w.commit.ExecContext(context.WithoutCancel(ctx)); err != nil {
		// A write or sync that failed on the way may still have left the
		// commit in the log, where a restart would find it.
		return errors.Join(fmt.Errorf("%w: commit: %w", engine.ErrCommitUnknown, err), w.undo())
	}
	return nil
}

// undo rolls back. SQLite has already done so itself after some errors, and
// then says that there is no transaction, which is no fault. It uses no
// caller's context: a transaction left open would block every later one.
func (w *writer) undo() error {
	_, err := w.rollback.ExecContext(context.Background())
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	return err
}

type tx struct{ *writer }

// Lock reads the accounts with all their wallets. The transaction itself is the
// lock: SQLite has one writer.
func (t *tx) Lock(ctx context.Context, refs []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	holders := make(map[ledger.AccountID]*ledger.Holder, len(refs))
	for _, ref := range refs {
		if holders[ref.Account] != nil {
			continue
		}
		holder, err := readHolder(ctx, t.holder, ref.Account)
		if ledger.CodeOf(err) == ledger.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		holders[ref.Account] = holder
	}
	return holders, nil
}

// Latest is nothing: no other process writes this file.
func (*tx) Latest() time.Time { return time.Time{} }

// decidedChunk is how many ids one look-up takes. A look-up finds nothing as a
// rule, so most of its cost is that of the statement, and is shared.
const decidedChunk = 32

// selectDecided is the look-up of n ids.
func selectDecided(n int) string {
	return "SELECT " + transactionColumns + " FROM transactions WHERE id IN (?" + strings.Repeat(", ?", n-1) + ")"
}

func (t *tx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	decided := make(map[ledger.TransactionID]*ledger.Transaction, len(ids))
	args := make([]any, 0, decidedChunk)
	for chunk := range slices.Chunk(ids, decidedChunk) {
		statement := t.decided
		if len(chunk) == 1 {
			statement = t.decidedOne
		}
		args = args[:0]
		for i := range chunk {
			args = append(args, chunk[i][:])
		}
		for len(chunk) > 1 && len(args) < decidedChunk {
			args = append(args, args[0]) // fills up the statement, and finds nothing more
		}
		if err := readDecided(ctx, statement, args, decided); err != nil {
			return nil, err
		}
	}
	return decided, nil
}

func readDecided(ctx context.Context, statement *sql.Stmt, args []any, into map[ledger.TransactionID]*ledger.Transaction) error {
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var found ledger.Transaction
		if err := scanTransaction(rows, &found); err != nil {
			return err
		}
		into[found.ID] = &found
	}
	return rows.Err()
}

func (t *tx) Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error) {
	holds := make(map[ledger.TransactionID]*ledger.Hold, len(ids))
	for i := range ids {
		hold := new(ledger.Hold)
		err := scanHold(t.hold.QueryRowContext(ctx, ids[i][:]), hold)
		if err == nil {
			holds[hold.ID] = hold
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return holds, nil
}

func (t *tx) Refunded(ctx context.Context, charges []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error) {
	refunded := make(map[ledger.TransactionID]ledger.Amount, len(charges))
	for i := range charges {
		var amount ledger.Amount
		err := t.refunded.QueryRowContext(ctx, charges[i][:]).Scan(&amount)
		if err == nil {
			refunded[charges[i]] = amount
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return refunded, nil
}

func (t *tx) LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error) {
	keys := make(map[string]*ledger.Key, len(ids))
	for _, id := range ids {
		key, err := scanKey(t.key.QueryRowContext(ctx, id))
		if err == nil {
			keys[id] = key
		} else if !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return keys, nil
}
