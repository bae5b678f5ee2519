package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// usageColumns are what the rows of each grouping are grouped by.
var usageColumns = map[engine.Grouping]string{engine.ByAccount: "t.account_id", engine.ByWallet: "t.service", engine.ByKind: "t.kind"}

// upstreamOf is the provider's account of a transaction, NULL where its metadata do
// not say. Most have no such member, and their text need not be taken apart to
// know that. Metadata were made by encoding/json and have no NUL, which jsonb
// would not take.
func upstreamOf(t string) string {
	const member = engine.UpstreamMember
	return "CASE WHEN " + t + `.metadata LIKE '%"` + member + `":%' THEN ` + t + ".metadata::jsonb ->> '" + member + "' END"
}

// sentThrough is the provider's account of t, or that of its parent where t does
// not say, or of the parent's where that does not: of a refund of a capture that is
// the hold. A parent is only looked up where it is needed.
var sentThrough = "coalesce(" + upstreamOf("t") +
	", (SELECT " + upstreamOf("p") + " FROM transactions AS p WHERE p.id = t.parent)" +
	", (SELECT " + upstreamOf("g") + " FROM transactions AS p JOIN transactions AS g ON g.id = p.parent WHERE p.id = t.parent))"

// Usage adds up charges and refunds. Sums of bigint are exact, however large.
func (s *Store) Usage(ctx context.Context, query engine.UsageQuery) ([]engine.UsageRow, error) {
	by := usageColumns[query.By]
	text := "SELECT " + by + `, a.currency,
		count(*) FILTER (WHERE t.kind <> 'refund'), coalesce(sum(t.moved) FILTER (WHERE t.kind <> 'refund'), 0)::text,
		count(*) FILTER (WHERE t.kind = 'refund'), coalesce(sum(t.moved) FILTER (WHERE t.kind = 'refund'), 0)::text
		FROM transactions AS t JOIN accounts AS a ON a.id = t.account_id
		WHERE t.created_at >= $1 AND t.created_at < $2 AND t.rejection = '' AND t.kind IN ('charge', 'capture', 'refund')
		AND (t.account_id = $3 OR $3 = 0) AND t.account_id > $4`
	args := []any{query.From.UnixMicro(), query.To.UnixMicro(), int32(query.Account), int32(query.After), query.Limit}
	if query.Upstream != "" {
		text += " AND " + sentThrough + " = $6"
		args = append(args, query.Upstream)
	}
	text += " GROUP BY " + by + ", a.currency ORDER BY " + by + ", a.currency LIMIT $5"
	scan := func(row pgx.Row, into *engine.UsageRow) error { return scanUsage(row, into, query.By) }
	return readPage(ctx, s, scan, text, args...)
}

func scanUsage(row pgx.Row, u *engine.UsageRow, by engine.Grouping) error {
	group := map[engine.Grouping]any{engine.ByAccount: &u.Account, engine.ByWallet: &u.Service, engine.ByKind: &u.Kind}[by]
	var refunds int64
	err := row.Scan(group, &u.Currency, &u.Count, total{&u.Charged}, &refunds, total{&u.Refunded})
	if u.Kind == ledger.Refund {
		u.Count = refunds
	}
	return err
}

// total takes a sum as the text of a whole number.
type total struct{ *ledger.Total }

// ScanText implements pgtype.TextScanner.
func (t total) ScanText(text pgtype.Text) (err error) {
	if !text.Valid {
		return errors.New("a sum is missing")
	}
	*t.Total, err = ledger.ParseTotal(text.String)
	return err
}
