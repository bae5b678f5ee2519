package sqlite

import (
	"context"
	"database/sql"
	"math/big"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// SQLite adds integers in 64 bits and fails beyond, which sums over a ledger can
// pass. So a sum is taken in two halves, which have room for two thousand million
// rows each, and put together here.
func sumOf(column string) string {
	return "coalesce(sum((" + column + ") >> 32), 0), coalesce(sum((" + column + ") & 0xffffffff), 0)"
}

// sum is a sum of two halves.
type sum struct{ high, low int64 }

func (s sum) total() (ledger.Total, error) {
	whole := new(big.Int).Lsh(big.NewInt(s.high), 32)
	return ledger.ParseTotal(whole.Add(whole, big.NewInt(s.low)).String())
}

// usageColumns are what the rows of each grouping are grouped by.
var usageColumns = map[engine.Grouping]string{engine.ByAccount: "t.account_id", engine.ByWallet: "t.service", engine.ByKind: "t.kind"}

// memberUpstream is the upstream that a transaction's own metadata names, NULL for none.
func memberUpstream(transaction string) string {
	return "json_extract(nullif(" + transaction + ".metadata, ''), '$." + engine.UpstreamMember + "')"
}

// usageUpstream is the upstream of a transaction. A refund of a capture has its
// hold for a parent's parent, and nothing is further away than that.
var usageUpstream = "coalesce(" + memberUpstream("t") + ", (SELECT coalesce(" + memberUpstream("p") +
	", (SELECT " + memberUpstream("g") + " FROM transactions AS g WHERE g.id = p.parent)) FROM transactions AS p WHERE p.id = t.parent))"

// Usage adds up charges and refunds. Transactions stand in the order of time,
// so a range of time is a range of rows.
func (s *Store) Usage(ctx context.Context, query engine.UsageQuery) ([]engine.UsageRow, error) {
	from, err := s.seqAt(ctx, query.From)
	if err != nil {
		return nil, err
	}
	to, err := s.seqAt(ctx, query.To)
	if err != nil {
		return nil, err
	}
	by := usageColumns[query.By]
	args := []any{from, to, int64(query.Account), int64(query.Account), int64(query.After)}
	only := ""
	if query.Upstream != "" {
		only = " AND " + usageUpstream + " = ?"
		args = append(args, query.Upstream)
	}
	//nolint:gosec // The parts are columns that stand above.
	text := "SELECT " + by + `, a.currency,
		sum(t.kind <> 'refund'), ` + sumOf("CASE WHEN t.kind <> 'refund' THEN t.moved ELSE 0 END") + `,
		sum(t.kind = 'refund'), ` + sumOf("CASE WHEN t.kind = 'refund' THEN t.moved ELSE 0 END") + `
		FROM transactions AS t JOIN accounts AS a ON a.id = t.account_id
		WHERE t.seq >= ? AND t.seq < ? AND t.rejection = '' AND t.kind IN ('charge', 'capture', 'refund')
		AND (t.account_id = ? OR ? = 0) AND t.account_id > ?` + only + `
		GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?`
	rows, err := s.readDB.QueryContext(ctx, text, append(args, query.Limit)...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner, into *engine.UsageRow) error { return scanUsage(row, into, query.By) })
}

func scanUsage(row scanner, u *engine.UsageRow, by engine.Grouping) error {
	group := map[engine.Grouping]any{engine.ByAccount: &u.Account, engine.ByWallet: &u.Service, engine.ByKind: &u.Kind}[by]
	var refunds int64
	var charged, refunded sum
	err := row.Scan(group, &u.Currency, &u.Count, &charged.high, &charged.low, &refunds, &refunded.high, &refunded.low)
	if err != nil {
		return err
	}
	if u.Kind == ledger.Refund {
		u.Count = refunds
	}
	if u.Charged, err = charged.total(); err != nil {
		return err
	}
	u.Refunded, err = refunded.total()
	return err
}

// seqAt is the number of the first transaction created at a time or after it,
// found by halving: the rows have no gap and their times never run backwards.
func (s *Store) seqAt(ctx context.Context, at time.Time) (int64, error) {
	var high sql.NullInt64
	if err := s.readDB.QueryRowContext(ctx, "SELECT max(seq) FROM transactions").Scan(&high); err != nil {
		return 0, err
	}
	low := int64(1)
	after := high.Int64 + 1
	for low < after {
		middle := low + (after-low)/2
		var created int64
		if err := s.readDB.QueryRowContext(ctx, "SELECT created_at FROM transactions WHERE seq >= ? ORDER BY seq LIMIT 1", middle).Scan(&created); err != nil {
			return 0, err
		}
		if created < at.UnixMicro() {
			low = middle + 1
		} else {
			after = middle
		}
	}
	return low, nil
}
