package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

var _ readings.Store = (*Store)(nil)

const (
	stateColumns = "name, provider, interval_us, due_at, barred_at, asked_at, status, code, message, failures, " +
		"good_at, account, billing, buckets"
	readingColumns = "upstream, at, service, unit, currency, amount, credit_limit, available, pending, rise"
)

// claimUpstream changes nothing where the claim is refused.
const claimUpstream = `INSERT INTO upstreams (name, provider, interval_us, due_at, status, code, message, failures, account, billing, buckets, claimed_by)
	VALUES (?1, ?2, 0, ?3, '', '', '', 0, '', '', '', ?4)
	ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, claimed_by = excluded.claimed_by
	WHERE (due_at <= ?5 OR ?6 AND claimed_by = '') AND (barred_at IS NULL OR barred_at <= ?5)`

var (
	selectState    = "SELECT " + stateColumns + " FROM upstreams"
	recordUpstream = "UPDATE upstreams SET " + strings.ReplaceAll(stateColumns, ", ", " = ?, ") + " = ?, claimed_by = '' WHERE name = ? AND claimed_by = ?" //nolint:gosec // The parts are columns that stand above.
	addReading     = "INSERT INTO upstream_readings " + values(readingColumns) + " ON CONFLICT DO NOTHING"
)

// UpstreamStates lists what is known of every upstream.
func (s *Store) UpstreamStates(ctx context.Context) ([]readings.State, error) {
	if s.older(upstreamsVersion) {
		return nil, nil
	}
	rows, err := s.readDB.QueryContext(ctx, selectState+" ORDER BY name")
	if err != nil {
		return nil, err
	}
	return collect(rows, scanState)
}

// ClaimUpstream gives a node the right to ask.
func (s *Store) ClaimUpstream(ctx context.Context, claim readings.Claim) (state readings.State, claimed bool, err error) {
	err = s.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		done, err := conn.ExecContext(ctx, claimUpstream, claim.Name, claim.Provider, claim.Until.UnixMicro(), claim.Node, claim.Now.UnixMicro(), claim.Early)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		claimed = n == 1
		return scanState(conn.QueryRowContext(ctx, selectState+" WHERE name = ?", claim.Name), &state)
	})
	if err != nil {
		return readings.State{}, false, fmt.Errorf("claim upstream %s: %w", claim.Name, err)
	}
	return state, claimed, nil
}

// RecordUpstream replaces what is known of an upstream, where the claim still is the node's.
func (s *Store) RecordUpstream(ctx context.Context, node string, state *readings.State, added []readings.Reading) (recorded bool, err error) {
	args, err := stateArgs(state)
	if err != nil {
		return false, err
	}
	err = s.Write(ctx, func(t engine.Tx) error {
		own := t.(*tx)
		done, err := own.conn.ExecContext(ctx, recordUpstream, append(args, state.Name, node)...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if recorded = n == 1; err != nil || !recorded {
			return err
		}
		return own.many(ctx, addReading, len(added), func(i int) ([]any, error) { return readingArgs(&added[i]), nil })
	})
	if err != nil {
		return false, fmt.Errorf("record upstream %s: %w", state.Name, err)
	}
	return recorded, nil
}

// Readings of one upstream stand in the order in which they are listed.
const (
	// betweenTimes are readings of an upstream in a range of time, after a place.
	betweenTimes = " FROM upstream_readings AS r WHERE r.upstream = ? AND r.at >= ? AND r.at < ? AND (r.at, r.service, r.unit, r.currency) > (?, ?, ?, ?)"
	inOrder      = " ORDER BY r.at, r.service, r.unit, r.currency LIMIT ?"
	// laterInStep are the readings of the same bucket after r, in the same step and
	// before a time. The next one is some rows further on, so this reads few.
	laterInStep = " FROM upstream_readings AS n WHERE n.upstream = r.upstream AND n.at > r.at AND n.at < min(?, (r.at / ? + 1) * ?)" +
		" AND n.service = r.service AND n.unit = r.unit AND n.currency = r.currency"
	// needless are those that another one follows that is neither in another step nor a rise.
	needless      = " AND r.rise = 0 AND (SELECT n.rise = 0" + laterInStep + " ORDER BY n.at LIMIT 1)"
	nextUpstream  = "SELECT upstream FROM upstream_readings WHERE upstream > ? ORDER BY upstream LIMIT 1"
	removeReading = "DELETE FROM upstream_readings WHERE upstream = ? AND at = ? AND service = ? AND unit = ? AND currency = ?"
)

// betweenArgs are the parameters of betweenTimes. What stands before the place is
// not read again.
func betweenArgs(upstream string, from, to time.Time, after readings.Place) []any {
	return []any{
		upstream, max(from.UnixMicro(), after.At.UnixMicro()), to.UnixMicro(),
		after.At.UnixMicro(), after.Key.Service, string(after.Key.Unit), after.Key.Currency,
	}
}

// laterArgs are the parameters of laterInStep.
func laterArgs(to time.Time, step time.Duration) []any {
	return []any{to.UnixMicro(), step.Microseconds(), step.Microseconds()}
}

// UpstreamReadings lists readings.
func (s *Store) UpstreamReadings(ctx context.Context, query readings.Query) ([]readings.Reading, error) {
	if s.older(upstreamsVersion) {
		return nil, nil
	}
	text, args := "SELECT "+readingColumns+betweenTimes, betweenArgs(query.Upstream, query.From, query.To, query.After)
	if key := query.Key; key != nil {
		text += " AND r.service = ? AND r.unit = ? AND r.currency = ?"
		args = append(args, key.Service, string(key.Unit), key.Currency)
	}
	if query.Step > 0 {
		text += " AND NOT EXISTS (SELECT 1" + laterInStep + ")"
		args = append(args, laterArgs(query.To, query.Step)...)
	}
	rows, err := s.readDB.QueryContext(ctx, text+inOrder, append(args, query.Limit)...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanReading)
}

// pruneRows is how many readings one transaction removes: few enough that a
// charge that comes meanwhile does not notice.
const pruneRows = 300

// PruneUpstreams removes what need not be kept.
func (s *Store) PruneUpstreams(ctx context.Context, p readings.Pruning) (removed int64, err error) {
	name := ""
	for {
		// One upstream after the other, those included of which no state is left.
		err := s.readDB.QueryRowContext(ctx, nextUpstream, name).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return removed, err
		}
		expired, err := s.prune(ctx, name, time.Time{}, p.Expired, "")
		removed += expired
		if err != nil {
			return removed, err
		}
		if p.Step <= 0 {
			continue
		}
		thinned, err := s.prune(ctx, name, p.ThinFrom, p.ThinTo, needless, laterArgs(p.ThinTo, p.Step)...)
		removed += thinned
		if err != nil {
			return removed, err
		}
	}
	// The states come last: should this be interrupted, no readings are left without one.
	// One that is claimed is due later, and stays until its node has asked.
	return removed, s.Write(ctx, func(t engine.Tx) error {
		_, err := t.(*tx).conn.ExecContext(ctx, `DELETE FROM upstreams WHERE due_at < ?1
			AND (asked_at IS NULL OR asked_at < ?1) AND (barred_at IS NULL OR barred_at < ?1)`, p.Expired.UnixMicro())
		return err
	})
}

// prune removes the readings of an upstream in a range of time that meet a
// condition. It finds them beside the writer, and removes some at a time by their keys.
func (s *Store) prune(ctx context.Context, upstream string, from, to time.Time, condition string, args ...any) (removed int64, err error) {
	var after readings.Place
	for {
		rows, err := s.readDB.QueryContext(ctx, "SELECT r.at, r.service, r.unit, r.currency"+betweenTimes+condition+inOrder, //nolint:gosec // The parts are constants.
			append(append(betweenArgs(upstream, from, to, after), args...), pruneRows)...)
		if err != nil {
			return removed, err
		}
		places, err := collect(rows, scanPlace)
		if err != nil || len(places) == 0 {
			return removed, err
		}
		err = s.Write(ctx, func(t engine.Tx) error {
			return t.(*tx).many(ctx, removeReading, len(places), func(i int) ([]any, error) {
				key := places[i].Key
				return []any{upstream, places[i].At.UnixMicro(), key.Service, string(key.Unit), key.Currency}, nil
			})
		})
		if err != nil {
			return removed, err
		}
		removed += int64(len(places))
		after = places[len(places)-1]
	}
}

func scanPlace(row scanner, place *readings.Place) error {
	var at int64
	err := row.Scan(&at, &place.Key.Service, &place.Key.Unit, &place.Key.Currency)
	place.At = fromMicro(at)
	return err
}

func scanState(row scanner, s *readings.State) error {
	var interval, due int64
	var barred, asked, good sql.NullInt64
	var account, billing, buckets string
	err := row.Scan(&s.Name, &s.Provider, &interval, &due, &barred, &asked, &s.Status, &s.Code, &s.Message, &s.Failures,
		&good, &account, &billing, &buckets)
	if err != nil {
		return err
	}
	s.Interval = time.Duration(interval) * time.Microsecond
	s.DueAt, s.BarredAt, s.AskedAt = fromMicro(due), fromNull(barred), fromNull(asked)
	if !good.Valid {
		return nil
	}
	s.Good = &readings.Balance{At: fromMicro(good.Int64), Account: account, Billing: provider.Billing(billing)}
	s.Good.Buckets, err = sqlrow.DecodeBuckets(buckets)
	return err
}

func stateArgs(s *readings.State) ([]any, error) {
	good := s.Good
	if good == nil {
		good = new(readings.Balance)
	}
	buckets, err := sqlrow.EncodeBuckets(good.Buckets)
	return []any{
		s.Name, s.Provider, s.Interval.Microseconds(), s.DueAt.UnixMicro(), toNull(s.BarredAt), toNull(s.AskedAt),
		string(s.Status), s.Code, s.Message, s.Failures, toNull(good.At), good.Account, string(good.Billing), buckets,
	}, err
}

func scanReading(row scanner, r *readings.Reading) error {
	var at int64
	var amount string
	var limit, available, pending *string
	err := row.Scan(&r.Upstream, &at, &r.Service, &r.Unit, &r.Currency, &amount, &limit, &available, &pending, &r.Rise)
	if err != nil {
		return err
	}
	r.At = fromMicro(at)
	var errs [4]error
	r.Amount, errs[0] = sqlrow.ParseDecimal(amount)
	r.CreditLimit, errs[1] = sqlrow.ParseNullDecimal(limit)
	r.Available, errs[2] = sqlrow.ParseNullDecimal(available)
	r.Pending, errs[3] = sqlrow.ParseNullDecimal(pending)
	return errors.Join(errs[:]...)
}

func readingArgs(r *readings.Reading) []any {
	return []any{
		r.Upstream, r.At.UnixMicro(), r.Service, string(r.Unit), r.Currency, sqlrow.DecimalText(r.Amount),
		sqlrow.NullDecimal(r.CreditLimit), sqlrow.NullDecimal(r.Available), sqlrow.NullDecimal(r.Pending), r.Rise,
	}
}
