package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// prunePage is how many rows are removed in one transaction. Nobody waits for
// these rows, but the server has the more to do at once.
const prunePage = 500

// Each of these adds to how old readings are found, see pruneReadings.
const (
	expiredReadings = " AND r.at < $7"
	// thinReadings finds what has another reading of the same bucket after it in its
	// step. What comes before a rise stays, so that it does so whatever is removed.
	thinReadings = ` AND r.at >= $7 AND r.at < $8 AND r.rise = 0 AND (SELECT n.rise FROM upstream_readings AS n
		WHERE n.upstream = r.upstream AND n.service = r.service AND n.unit = r.unit AND n.currency = r.currency
			AND n.at > r.at AND n.at < least($8::bigint, (r.at / $9::bigint + 1) * $9::bigint) ORDER BY n.at LIMIT 1) = 0`
)

const (
	deleteReadings = `DELETE FROM upstream_readings AS r USING unnest($2::bigint[], $3::text[], $4::text[], $5::text[]) AS old (at, service, unit, currency)
		WHERE r.upstream = $1 AND r.at = old.at AND r.service = old.service AND r.unit = old.unit AND r.currency = old.currency`
	forgotten       = "due_at < $1 AND (asked_at < $1) IS NOT FALSE AND (barred_at < $1) IS NOT FALSE"
	forgottenStates = "SELECT name FROM upstreams WHERE " + forgotten + " ORDER BY name LIMIT $2"
	deleteStates    = "DELETE FROM upstreams WHERE " + forgotten + " AND name = ANY($2::text[])" // they may be claimed by now
)

// PruneUpstreams removes what need not be kept. Nodes that do it at once remove
// the same rows, each of them once.
func (s *Store) PruneUpstreams(ctx context.Context, p readings.Pruning) (removed int64, err error) {
	for name := ""; ; {
		next, err := s.upstreamAfter(ctx, name)
		if err != nil {
			return removed, err
		}
		if next == nil {
			break
		}
		name = *next
		n, err := s.pruneReadings(ctx, name, expiredReadings, p.Expired.UnixMicro())
		if removed += n; err == nil && p.Step > 0 {
			n, err = s.pruneReadings(ctx, name, thinReadings, p.ThinFrom.UnixMicro(), p.ThinTo.UnixMicro(), p.Step.Microseconds())
			removed += n
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, s.pruneStates(ctx, p.Expired)
}

// upstreamAfter is the next name of which there are readings, nil after the last.
func (s *Store) upstreamAfter(ctx context.Context, name string) (*string, error) {
	ctx, cancel := limited(ctx)
	defer cancel()
	return reading(s, func() (next *string, err error) {
		err = s.reader.QueryRow(ctx, "SELECT min(upstream) FROM upstream_readings WHERE upstream > $1", name).Scan(&next)
		return next, err
	})
}

// pruneReadings removes the readings of an upstream that a condition finds, one
// page after the other.
func (s *Store) pruneReadings(ctx context.Context, upstream, condition string, args ...any) (removed int64, err error) {
	query := `SELECT r.at, r.service, r.unit, r.currency FROM upstream_readings AS r WHERE r.upstream = $1
		AND (r.at, r.service, r.unit, r.currency) > ($3, $4, $5, $6)` + condition + " ORDER BY r.at, r.service, r.unit, r.currency LIMIT $2"
	var last readings.Place
	for {
		found, err := readPage(ctx, s, scanPlace, query, append([]any{
			upstream, prunePage, last.At.UnixMicro(), last.Key.Service, string(last.Key.Unit), last.Key.Currency,
		}, args...)...)
		if err != nil || len(found) == 0 {
			return removed, err
		}
		n, err := s.deleteReadings(ctx, upstream, found)
		removed += n
		if err != nil || len(found) < prunePage {
			return removed, err
		}
		last = found[len(found)-1]
	}
}

func (s *Store) deleteReadings(ctx context.Context, upstream string, places []readings.Place) (removed int64, err error) {
	err = s.Write(ctx, func(t engine.Tx) error {
		done, err := t.(*tx).conn.Exec(ctx, deleteReadings, upstream,
			column(places, func(p *readings.Place) int64 { return p.At.UnixMicro() }),
			column(places, func(p *readings.Place) string { return p.Key.Service }),
			column(places, func(p *readings.Place) string { return string(p.Key.Unit) }),
			column(places, func(p *readings.Place) string { return p.Key.Currency }))
		removed = done.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// pruneStates removes upstreams that were not asked since a time, but those that
// somebody has just claimed.
func (s *Store) pruneStates(ctx context.Context, expired time.Time) error {
	for {
		names, err := readPage(ctx, s, func(row pgx.Row, into *string) error { return row.Scan(into) },
			forgottenStates, expired.UnixMicro(), prunePage)
		if err != nil || len(names) == 0 {
			return err
		}
		err = s.Write(ctx, func(t engine.Tx) error {
			_, err := t.(*tx).conn.Exec(ctx, deleteStates, expired.UnixMicro(), names)
			return err
		})
		if err != nil || len(names) < prunePage {
			return err
		}
	}
}

func scanPlace(row pgx.Row, p *readings.Place) error {
	var at int64
	err := row.Scan(&at, &p.Key.Service, &p.Key.Unit, &p.Key.Currency)
	p.At = fromMicro(at)
	return err
}
