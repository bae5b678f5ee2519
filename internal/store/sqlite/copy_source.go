package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

var _ copier.Source = (*Store)(nil)

// CopySnapshot runs fn over one state of the ledger. All of it is settled: the
// one process that writes commits in the order in which it decides.
func (s *Store) CopySnapshot(ctx context.Context, _ time.Duration, fn func(copier.Snapshot) error) error {
	return s.Snapshot(ctx, func(all engine.Snapshot) error { return fn(copySource{all.(*snapshot), s.older(upstreamsVersion)}) })
}

// copySource is a snapshot as a copy reads it.
type copySource struct {
	*snapshot

	noUpstreams bool // the tables are older than upstreams
}

func (s copySource) Counts(ctx context.Context) (counts copier.Counts, err error) {
	err = s.tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM wallets), (SELECT count(*) FROM keys),
		(SELECT count(*) FROM transactions), (SELECT count(*) FROM entries), (SELECT count(*) FROM holds), (SELECT count(*) FROM refunds)`).
		Scan(&counts.Accounts, &counts.Wallets, &counts.Keys, &counts.Transactions, &counts.Entries, &counts.Holds, &counts.Refunds)
	if err != nil {
		return counts, err
	}
	return counts, s.countUpstreams(ctx, &counts)
}

func (s copySource) OldestKey(ctx context.Context) (digest ledger.Hash, err error) {
	var blob []byte
	err = s.tx.QueryRowContext(ctx, "SELECT digest FROM keys ORDER BY created_at, id LIMIT 1").Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return digest, ledger.Errorf(ledger.NotFound, "there is no key")
	}
	if err != nil {
		return digest, err
	}
	return digest, copyBytes(digest[:], blob)
}

func (s copySource) HasKey(ctx context.Context, digest ledger.Hash) (has bool, err error) {
	err = s.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM keys WHERE digest = ?)", digest[:]).Scan(&has)
	return has, err
}

// CountUpTo counts in the index of the ids, which has the numbers too and is much
// smaller than the table; the sign keeps SQLite from the table.
func (s copySource) CountUpTo(ctx context.Context, id ledger.TransactionID) (count int64, err error) {
	const query = "SELECT count(*) FROM transactions WHERE +seq <= (SELECT seq FROM transactions WHERE id = ?)"
	err = s.tx.QueryRowContext(ctx, query, id[:]).Scan(&count)
	return count, err
}

func (s copySource) History(ctx context.Context, after ledger.TransactionID, limit int) (*copier.Page, error) {
	from, to, err := s.rowsAfter(ctx, after, limit)
	if err != nil || to == 0 {
		return new(copier.Page), err
	}
	const between, within = " WHERE t.seq > ?1 AND t.seq <= ?2", " WHERE seq > ?1 AND seq <= ?2"
	all := new(copier.Page)
	all.Transactions, err = page(ctx, s.tx, scanTransaction, "SELECT "+transactionColumns+" FROM transactions"+within+" ORDER BY seq", from, to)
	if err != nil {
		return nil, err
	}
	for _, place := range []string{"(t.account_id, t.service, t.version)", "(t.to_account_id, t.to_service, t.to_version)"} {
		entries, err := page(ctx, s.tx, scanEntry, "SELECT "+of("e", entryColumns)+
			" FROM transactions AS t JOIN entries AS e ON (e.account_id, e.service, e.version) = "+place+between, from, to)
		if err != nil {
			return nil, err
		}
		all.Entries = append(all.Entries, entries...)
	}
	const parents = "SELECT parent FROM transactions" + within + " AND parent IS NOT NULL"
	all.Holds, err = page(ctx, s.tx, scanHold, "SELECT "+holdColumns+" FROM holds WHERE id IN (SELECT id FROM transactions"+within+
		" AND kind = 'hold' UNION "+parents+")", from, to)
	if err != nil {
		return nil, err
	}
	all.Refunds, err = page(ctx, s.tx, func(row scanner, into *copier.Refund) error {
		var id []byte
		if err := row.Scan(&id, &into.Refunded); err != nil {
			return err
		}
		return copyBytes(into.Charge[:], id)
	}, "SELECT charge_id, refunded FROM refunds WHERE charge_id IN ("+parents+")", from, to)
	return all, err
}

// rowsAfter gives the numbers after which a page begins and with which it ends;
// the second is 0 where there is nothing more.
func (s copySource) rowsAfter(ctx context.Context, after ledger.TransactionID, limit int) (from, to int64, err error) {
	if !after.IsZero() {
		err = s.tx.QueryRowContext(ctx, "SELECT seq FROM transactions WHERE id = ?", after[:]).Scan(&from)
		if errors.Is(err, sql.ErrNoRows) {
			err = copier.ErrDiffers
		}
		if err != nil {
			return 0, 0, err
		}
	}
	err = s.tx.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM transactions WHERE seq > ? ORDER BY seq LIMIT ?)", from, limit).Scan(&to)
	return from, to, err
}

func (s copySource) Holders(ctx context.Context, after ledger.AccountID, limit int) (_ []*ledger.Holder, err error) {
	statement, err := s.tx.PrepareContext(ctx, selectHolders+
		" WHERE a.id IN (SELECT id FROM accounts WHERE id > ? ORDER BY id LIMIT ?) ORDER BY a.id, w.service")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, statement.Close()) }()
	return readHolders(ctx, statement, int64(after), limit)
}

func (s copySource) Keys(ctx context.Context, after string, limit int) ([]*ledger.Key, error) {
	return page(ctx, s.tx, func(row scanner, into **ledger.Key) (err error) {
		*into, err = scanKey(row)
		return err
	}, "SELECT "+keyColumns+" FROM keys WHERE id > ? ORDER BY id LIMIT ?", after, limit)
}
