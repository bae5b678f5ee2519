package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Write runs fn in one transaction and returns when it is durable.
//
// READ COMMITTED is enough, for every decision is made on what its transaction
// has locked, and is read by a later statement, which sees all that was
// committed before the locks were granted:
//
//   - A wallet, its holds and what was refunded of its charges are only changed
//     by who has locked the wallet. The spend count of a key is only changed by
//     who has locked the key.
//   - An earlier outcome of the same request is found, because whoever decided it
//     had locked the same wallet. Of two requests under one idempotency key that
//     are about different wallets neither may see the other; then the second to
//     write waits in the unique index of the ids for the first to end, fails, and
//     is attempted again, in which it finds the earlier outcome.
//   - What is read without a lock, the status of an account for example, may
//     change before the commit. Then the decision comes before the change, and
//     both were under way at once.
//
// Nobody waits in a circle: wallets are locked by one statement in the order of
// their names, keys after them in order of their ids, transactions are added in
// order of their ids after those, and rows of system accounts come last, in
// order. Where it happens all the same, because an account is being closed, which
// locks all of its wallets, the server ends one of them, which is attempted again.
func (s *Store) Write(ctx context.Context, fn func(engine.Tx) error) error {
	if s.writer == nil {
		return ErrReadOnly
	}
	began := time.Now()
	for attempt := 1; ; attempt++ {
		again, err := s.attempt(ctx, fn)
		if err == nil {
			s.watch.succeeded()
			return nil
		}
		if name := nameOf(err); errors.Is(name, ErrUnreachable) || errors.Is(name, ErrReplica) {
			// Another server may be taking over. One that hung and goes on knows
			// nothing of it, so nothing more is read through connections to it.
			s.reader.Reset()
		}
		if !again || attempt >= attemptsAt(err) || time.Since(began) > retryFor || pause(ctx, attempt) != nil {
			return s.told(err)
		}
	}
}

// attempt runs fn in one transaction. again tells whether nothing of it was kept
// for a reason that may have passed.
func (s *Store) attempt(ctx context.Context, fn func(engine.Tx) error) (again bool, err error) {
	conn, err := s.writer.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release() // which closes a connection that is not as it was before
	// A deadline of the connection itself costs less than one of each statement.
	if err := conn.Conn().PgConn().Conn().SetDeadline(time.Now().Add(writeTimeout)); err != nil {
		return false, err
	}
	if _, err := conn.Conn().PgConn().Exec(ctx, s.begin).ReadAll(); err != nil {
		again = lost(ctx, conn)
		undo(conn)
		return again, fmt.Errorf("begin: %w", err)
	}
	// Up to here a caller can give up, and nothing is kept. From here on only the
	// server decides.
	if err := errors.Join(fn(&tx{conn: conn.Conn()}), ctx.Err()); err != nil {
		again = ctx.Err() == nil && (passing(err) || lost(ctx, conn) || codeOf(err) == readOnlyTransaction)
		if codeOf(err) == readOnlyTransaction {
			closeConn(conn) // another one may lead to the server that took over
		}
		undo(conn)
		return again, err
	}
	return commit(conn)
}

// commitText takes the limit off the statement first: it would end a wait for
// another server to have the commit too, and PostgreSQL then reports success.
const commitText = "SET LOCAL statement_timeout = 0; COMMIT"

// commit goes on when the caller gives up. When there is no answer in time, the
// connection is closed, of which a server that waits takes no notice. A deadline
// of the connection would make pgx ask the server to cancel: then it waits for
// the other server no longer, and shows everybody what it has alone.
func commit(conn *pgxpool.Conn) (again bool, err error) {
	pg := conn.Conn().PgConn()
	if err := pg.Conn().SetDeadline(time.Time{}); err != nil {
		undo(conn)
		return false, fmt.Errorf("commit: %w", err)
	}
	var results []*pgconn.Result
	done := make(chan error, 1)
	go func() {
		found, err := pg.Exec(context.Background(), commitText).ReadAll()
		results = found
		done <- err
	}()
	timer := time.NewTimer(writeTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return committed(conn, results, err)
	case <-timer.C:
	}
	closeConn(conn)
	return false, fmt.Errorf("%w: commit: no answer in %s", engine.ErrCommitUnknown, writeTimeout)
}

// committed is what came of a commit that was answered.
func committed(conn *pgxpool.Conn, results []*pgconn.Result, err error) (again bool, _ error) {
	switch {
	case err == nil && results[len(results)-1].CommandTag.String() == "COMMIT":
		return false, nil
	case err == nil:
		return false, errors.New("commit: the server has rolled back")
	case rolledBack(err):
		undo(conn)
		return passing(err), fmt.Errorf("commit: %w", err)
	default:
		closeConn(conn)
		return false, fmt.Errorf("%w: commit: %w", engine.ErrCommitUnknown, err)
	}
}

// lost tells whether the connection is gone though the caller is not. The server
// rolls back what was not committed, so a write begins anew on another one.
func lost(ctx context.Context, conn *pgxpool.Conn) bool {
	return ctx.Err() == nil && conn.Conn().IsClosed()
}

// undo rolls back. It uses no caller's context: a transaction left open would
// keep its locks. Where that fails, the connection is closed, and the server
// rolls back by itself.
func undo(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	_, err := conn.Conn().PgConn().Exec(ctx, "ROLLBACK").ReadAll()
	if err == nil {
		err = conn.Conn().PgConn().Conn().SetDeadline(time.Time{})
	}
	if err != nil {
		closeConn(conn)
	}
}

// closeConn closes a connection that is of no use any more, whatever it says.
func closeConn(conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Conn().Close(ctx)
}

// tx is one attempt at a write.
type tx struct {
	conn   *pgx.Conn
	latest time.Time
}

// lockWallets locks in the order in which it gives the rows, which is that of
// WalletRef: PostgreSQL locks a row after it was sorted, and names never change.
const lockWallets = `SELECT w.account_id, w.service FROM wallets AS w
	JOIN unnest($1::integer[], $2::text[]) AS wanted (account_id, service)
		ON w.account_id = wanted.account_id AND w.service = wanted.service
	ORDER BY w.account_id, w.service FOR UPDATE OF w`

// Lock locks the wallets, and then reads. These are two statements, because one
// that had to wait would see the account, and the other wallets, as they were
// before it waited.
func (t *tx) Lock(ctx context.Context, refs []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	var accounts, ids []int32
	var services []string
	for _, ref := range refs {
		accounts, services = append(accounts, int32(ref.Account)), append(services, string(ref.Service))
		if len(ids) == 0 || ids[len(ids)-1] != int32(ref.Account) {
			ids = append(ids, int32(ref.Account))
		}
	}
	batch := &pgx.Batch{}
	absent := make(map[ledger.WalletRef]bool)
	batch.Queue(lockWallets, accounts, services).Query(func(rows pgx.Rows) error {
		locked, err := collect(rows, scanRef)
		if len(locked) < len(refs) {
			for _, ref := range refs {
				absent[ref] = !slices.Contains(locked, ref)
			}
		}
		return err
	})
	var found []*ledger.Holder
	batch.Queue(selectNamed, ids).Query(func(rows pgx.Rows) (err error) {
		found, err = collectHolders(rows, &t.latest)
		return err
	})
	if err := t.conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	holders := make(map[ledger.AccountID]*ledger.Holder, len(found))
	for _, holder := range found {
		holders[holder.ID] = holder
		// A wallet that was added since the locking is not locked.
		holder.Wallets = slices.DeleteFunc(holder.Wallets, func(w ledger.Wallet) bool { return absent[w.WalletRef] })
	}
	return holders, nil
}

// Latest is the time of the latest entry in the accounts that were locked.
func (t *tx) Latest() time.Time { return t.latest }

func (t *tx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	decided := make(map[ledger.TransactionID]*ledger.Transaction, len(ids))
	found, err := list(ctx, t.conn, scanTransaction, "SELECT "+transactionColumns+" FROM transactions WHERE id = ANY($1::bytea[])", idList(ids))
	for _, transaction := range found {
		decided[transaction.ID] = transaction
	}
	return decided, err
}

func (t *tx) Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error) {
	holds := make(map[ledger.TransactionID]*ledger.Hold, len(ids))
	found, err := list(ctx, t.conn, scanHold, "SELECT "+holdColumns+" FROM holds WHERE id = ANY($1::bytea[])", idList(ids))
	for _, hold := range found {
		holds[hold.ID] = hold
	}
	return holds, err
}

func (t *tx) Refunded(ctx context.Context, charges []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error) {
	refunded := make(map[ledger.TransactionID]ledger.Amount, len(charges))
	found, err := list(ctx, t.conn, scanRefund, "SELECT charge_id, refunded FROM refunds WHERE charge_id = ANY($1::bytea[])", idList(charges))
	for _, row := range found {
		refunded[row.ID] = row.Refunded
	}
	return refunded, err
}

// lockKeys locks in the order of the ids, see lockWallets.
const lockKeys = "SELECT 1 FROM keys WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"

func (t *tx) LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error) {
	keys := make(map[string]*ledger.Key, len(ids))
	batch := &pgx.Batch{}
	batch.Queue(lockKeys, ids).Exec(ignore)
	batch.Queue("SELECT "+keyColumns+" FROM keys WHERE id = ANY($1::text[])", ids).Query(func(rows pgx.Rows) error {
		found, err := collect(rows, scanKey)
		for i := range found {
			keys[found[i].ID] = &found[i]
		}
		return err
	})
	return keys, t.conn.SendBatch(ctx, batch).Close()
}
