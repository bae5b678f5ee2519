package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

var _ copier.Source = (*Store)(nil)

// CopySnapshot runs fn over one state of the ledger, whose history ends before
// what was decided less than settle ago: a node whose clock is behind, or whose
// write takes long, may commit something older yet. A replica may lack what was
// answered already, and is refused.
func (s *Store) CopySnapshot(ctx context.Context, settle time.Duration, fn func(copier.Snapshot) error) error {
	return s.Snapshot(ctx, func(all engine.Snapshot) error {
		from := copySource{snapshot: all.(*snapshot), until: math.MaxInt64}
		var replica bool
		var began int64
		err := from.tx.QueryRow(ctx, "SELECT pg_is_in_recovery(), CAST(extract(epoch FROM now()) * 1000000 AS bigint)").Scan(&replica, &began)
		if err == nil && replica {
			err = ErrReplica
		}
		if err != nil {
			return err
		}
		if settle > 0 {
			from.until = began - settle.Microseconds()
		}
		return fn(from)
	})
}

// Same tells whether two stores have one and the same ledger open, by whatever
// URLs they came to it.
func (s *Store) Same(ctx context.Context, other *Store) (bool, error) {
	mine, err := s.place(ctx)
	if err != nil {
		return false, err
	}
	theirs, err := other.place(ctx)
	return mine == theirs, err
}

// place names the server, the database and the schema of the ledger, by what any
// role may read. No two servers have started in the same microsecond.
func (s *Store) place(ctx context.Context) (place string, err error) {
	err = s.reader.QueryRow(ctx, `SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), oid, current_schema())
		FROM pg_catalog.pg_database WHERE datname = current_database()`).Scan(&place)
	return place, named(err)
}

// copySource is a snapshot as a copy reads it.
type copySource struct {
	*snapshot
	until int64 // where the history ends
}

// replan has a query planned for its parameters each time. A plan for any would
// read a whole table for one page.
const replan = pgx.QueryExecModeCacheDescribe

func (s copySource) Counts(ctx context.Context) (counts copier.Counts, err error) {
	err = s.tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM wallets), (SELECT count(*) FROM keys),
		(SELECT count(*) FROM transactions), (SELECT count(*) FROM entries), (SELECT count(*) FROM holds), (SELECT count(*) FROM refunds),
		(SELECT count(*) FROM upstreams), (SELECT count(*) FROM upstream_readings)`).
		Scan(&counts.Accounts, &counts.Wallets, &counts.Keys, &counts.Transactions, &counts.Entries, &counts.Holds, &counts.Refunds,
			&counts.Upstreams, &counts.Readings)
	return counts, err
}

func (s copySource) OldestKey(ctx context.Context) (digest ledger.Hash, err error) {
	err = s.tx.QueryRow(ctx, "SELECT digest FROM keys ORDER BY created_at, id LIMIT 1").Scan(blob(digest[:]))
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoKey
	}
	return digest, err
}

func (s copySource) HasKey(ctx context.Context, digest ledger.Hash) (has bool, err error) {
	err = s.tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM keys WHERE digest = $1)", digest[:]).Scan(&has)
	return has, err
}

// historyOrder is the order in which a history is copied: that of time. Within a
// moment, what was posted about each wallet comes in the order of its entries, and
// then what was rejected, so that nothing comes before what it is about. The ids
// only make it one order.
const (
	historyOrder = "created_at, " + entryOrder + ", place, id"
	entryOrder   = "coalesce(nullif(version, 0), 9223372036854775807)"
)

func (s copySource) CountUpTo(ctx context.Context, id ledger.TransactionID) (count int64, err error) {
	const query = "SELECT count(*) FROM transactions WHERE (" + historyOrder + ") <= ($1, $2, $3, $4)"
	from, err := s.placeOf(ctx, id)
	if err != nil {
		return 0, err
	}
	err = s.tx.QueryRow(ctx, query, replan, from.created, from.entry, from.place, id[:]).Scan(&count)
	return count, err
}

// historyPlace is the place of a transaction in the history.
type historyPlace struct {
	created, entry int64
	place          int32
}

func (s copySource) placeOf(ctx context.Context, id ledger.TransactionID) (p historyPlace, err error) {
	if id.IsZero() {
		return historyPlace{created: math.MinInt64}, nil
	}
	err = s.tx.QueryRow(ctx, "SELECT created_at, "+entryOrder+", place FROM transactions WHERE id = $1", id[:]).Scan(&p.created, &p.entry, &p.place)
	if errors.Is(err, pgx.ErrNoRows) {
		err = copier.ErrDiffers
	}
	return p, err
}

func (s copySource) History(ctx context.Context, after ledger.TransactionID, limit int) (*copier.Page, error) {
	from, err := s.placeOf(ctx, after)
	if err != nil {
		return nil, err
	}
	all := new(copier.Page)
	all.Transactions, err = page(ctx, s.tx, scanTransaction, "SELECT "+transactionColumns+` FROM transactions
		WHERE created_at >= $1 AND created_at < $2 AND (`+historyOrder+") > ($1, $3, $4, $5) ORDER BY "+historyOrder+" LIMIT $6",
		replan, from.created, s.until, from.entry, from.place, after[:], limit)
	if err != nil || len(all.Transactions) == 0 {
		return all, err
	}
	if all.Entries, err = s.entriesAt(ctx, all.Transactions); err != nil {
		return nil, err
	}
	var holds, parents [][]byte
	for i := range all.Transactions {
		t := &all.Transactions[i]
		if t.Kind == ledger.PlaceHold {
			holds = append(holds, t.ID[:])
		}
		if !t.Parent.IsZero() {
			parents = append(parents, t.Parent[:])
		}
	}
	all.Holds, err = page(ctx, s.tx, scanHold, "SELECT "+holdColumns+" FROM holds WHERE id = ANY($1::bytea[])", replan, append(holds, parents...))
	if err != nil {
		return nil, err
	}
	all.Refunds, err = page(ctx, s.tx, func(row pgx.Row, into *copier.Refund) error {
		return row.Scan(blob(into.Charge[:]), &into.Refunded)
	}, "SELECT charge_id, refunded FROM refunds WHERE charge_id = ANY($1::bytea[])", replan, parents)
	return all, err
}

// entriesAt reads the entries at the versions of transactions, for both wallets
// of a transfer.
func (s copySource) entriesAt(ctx context.Context, transactions []ledger.Transaction) ([]ledger.Entry, error) {
	rows := make([]engine.TransactionRow, len(transactions))
	for i := range transactions {
		rows[i].Transaction = transactions[i]
	}
	return s.entriesOf(ctx, rows)
}

func (s copySource) Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error) {
	rows, err := s.tx.Query(ctx, selectPage, int32(after), limit)
	if err != nil {
		return nil, err
	}
	return collectHolders(rows, new(time.Time))
}

func (s copySource) Keys(ctx context.Context, after string, limit int) ([]*ledger.Key, error) {
	return list(ctx, s.tx, scanKey, "SELECT "+keyColumns+" FROM keys WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
}
