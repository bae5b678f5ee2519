package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

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
	holder, decided, decidedOne,
	insertTransaction, insertEntry, updateWallet,
	systemTotal, setSystemTotal, setClock *sql.Stmt
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
		&w.insertTransaction: "INSERT INTO transactions (" + transactionColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		&w.insertEntry:       "INSERT INTO entries (" + entryColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		&w.updateWallet:      "UPDATE wallets SET balance = ?, held = ?, version = ?, head = ? WHERE account_id = ? AND service = ?",
		&w.systemTotal:       "SELECT total FROM system_accounts WHERE account = ? AND currency = ?",
		&w.setSystemTotal: `INSERT INTO system_accounts (account, currency, total) VALUES (?, ?, ?)
			ON CONFLICT (account, currency) DO UPDATE SET total = excluded.total`,
		&w.setClock: "UPDATE clock SET last_commit = ?",
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

// Append writes row by row: a statement of many rows was no faster here,
// because there is no network between the statements.
func (t *tx) Append(ctx context.Context, batch *engine.Batch) error {
	for _, transaction := range batch.Transactions {
		args, err := transactionArgs(transaction)
		if err != nil {
			return err
		}
		if _, err := t.insertTransaction.ExecContext(ctx, args...); err != nil {
			return fmt.Errorf("insert transaction %s: %w", transaction.ID, err)
		}
	}
	for i := range batch.Entries {
		if _, err := t.insertEntry.ExecContext(ctx, entryArgs(&batch.Entries[i])...); err != nil {
			return fmt.Errorf("insert entry of transaction %s: %w", batch.Entries[i].Transaction, err)
		}
	}
	for _, wallet := range batch.Wallets {
		_, err := t.updateWallet.ExecContext(ctx, int64(wallet.Balance), int64(wallet.Held), wallet.Version, wallet.Head[:],
			int64(wallet.Account), string(wallet.Service))
		if err != nil {
			return fmt.Errorf("update wallet %s of account %d: %w", wallet.Service, wallet.Account, err)
		}
	}
	for i := range batch.System {
		if err := t.addSystem(ctx, &batch.System[i]); err != nil {
			return fmt.Errorf("add to system account %s: %w", batch.System[i].Account, err)
		}
	}
	if len(batch.Transactions) == 0 {
		return nil
	}
	// All of a batch have one time.
	_, err := t.setClock.ExecContext(ctx, batch.Transactions[0].CreatedAt.UnixMicro())
	return err
}

func (t *tx) addSystem(ctx context.Context, add *engine.SystemTotal) error {
	var total ledger.Total
	var text string
	err := t.systemTotal.QueryRowContext(ctx, string(add.Account), add.Currency).Scan(&text)
	if err == nil {
		total, err = ledger.ParseTotal(text)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	total.AddTotal(&add.Total)
	_, err = t.setSystemTotal.ExecContext(ctx, string(add.Account), add.Currency, total.Millionths())
	return err
}

func (t *tx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	metadata, err := encodeMetadata(holder.Metadata)
	if err != nil {
		return err
	}
	if holder.ID == 0 {
		if holder.ID, err = t.freeAccountID(ctx); err != nil {
			return err
		}
	}
	_, err = t.conn.ExecContext(ctx, `INSERT INTO accounts (id, name, currency, status, external_reference, metadata, created_at)
		VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?)`,
		int64(holder.ID), holder.Name, holder.Currency, string(holder.Status), holder.ExternalReference, metadata, holder.CreatedAt.UnixMicro())
	if err != nil {
		return taken(err, map[string]string{
			"accounts.id":                 fmt.Sprintf("account %d exists already", holder.ID),
			"accounts.external_reference": "another account has this external reference",
		})
	}
	for i := range holder.Wallets {
		holder.Wallets[i].Account = holder.ID
		if err := t.InsertWallet(ctx, &holder.Wallets[i]); err != nil {
			return err
		}
	}
	return nil
}

// firstAccountID is where chosen ids begin; below is room for the operator's own.
const firstAccountID = 10000

// freeAccountID is one above the highest id in use, or, when an operator chose
// ids up to the very end, the lowest that is free from firstAccountID on.
func (t *tx) freeAccountID(ctx context.Context) (ledger.AccountID, error) {
	var id int64
	err := t.conn.QueryRowContext(ctx, `SELECT max(coalesce(max(id), 0) + 1, ?) FROM accounts`, firstAccountID).Scan(&id)
	if err == nil && id > int64(ledger.MaxAccountID) {
		err = t.conn.QueryRowContext(ctx, `SELECT coalesce(min(id), 0) FROM
			(SELECT ? AS id UNION ALL SELECT id + 1 FROM accounts WHERE id >= ? AND id < ?) AS next
			WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = next.id)`,
			firstAccountID, firstAccountID, int64(ledger.MaxAccountID)).Scan(&id)
		if err == nil && id == 0 {
			return 0, ledger.Errorf(ledger.Conflict, "no account id is free")
		}
	}
	return ledger.AccountID(id), err
}

func (t *tx) UpdateAccount(ctx context.Context, a *ledger.Account) error {
	metadata, err := encodeMetadata(a.Metadata)
	if err != nil {
		return err
	}
	_, err = t.conn.ExecContext(ctx, `UPDATE accounts SET name = ?, status = ?, external_reference = nullif(?, ''), metadata = ? WHERE id = ?`,
		a.Name, string(a.Status), a.ExternalReference, metadata, int64(a.ID))
	return taken(err, map[string]string{"accounts.external_reference": "another account has this external reference"})
}

func (t *tx) InsertWallet(ctx context.Context, w *ledger.Wallet) error {
	_, err := t.conn.ExecContext(ctx, "INSERT INTO wallets ("+walletColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		int64(w.Account), string(w.Service), int64(w.Balance), int64(w.Held), int64(w.CreditLimit), w.Version, w.Head[:])
	return err
}

func (t *tx) SetCreditLimit(ctx context.Context, ref ledger.WalletRef, limit ledger.Amount) error {
	_, err := t.conn.ExecContext(ctx, "UPDATE wallets SET credit_limit = ? WHERE account_id = ? AND service = ?",
		int64(limit), int64(ref.Account), string(ref.Service))
	return err
}

func (t *tx) InsertKey(ctx context.Context, key *ledger.Key) error {
	_, err := t.conn.ExecContext(ctx, `INSERT INTO keys (id, digest, last4, account_id, scopes, allow_list, expires_at, revoked_at, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, keyArgs(key)...)
	return taken(err, map[string]string{
		"keys.id":     fmt.Sprintf("key %s exists already", key.ID),
		"keys.digest": "this pair of id and secret reads the same as that of another key",
	})
}

func (t *tx) RevokeKey(ctx context.Context, id string, at time.Time) (*ledger.Key, error) {
	key, err := scanKey(t.conn.QueryRowContext(ctx,
		"UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ? RETURNING "+keyColumns, at.UnixMicro(), id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no such key")
	}
	return key, err
}

// taken turns a violated uniqueness into a Conflict with the message for its
// column. SQLite names the column in its text alone, in a form it keeps stable.
func taken(err error, messages map[string]string) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) ||
		failure.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && failure.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return err
	}
	for column, message := range messages {
		if strings.Contains(failure.Error(), column) {
			return ledger.Errorf(ledger.Conflict, "%s", message)
		}
	}
	return err
}
