package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// This file is about what is known of balances at providers. The ledger's tables
// are no part of it: charges wait for no lock that is taken here.

var _ readings.Store = (*Store)(nil)

const (
	stateColumns = "name, provider, interval_us, due_at, barred_at, asked_at, status, code, message, failures, " +
		"good_at, account, billing, buckets"
	readingColumns = "upstream, at, service, unit, currency, amount, credit_limit, available, pending, rise"
	readingRow     = "upstream text, at bigint, service text, unit text, currency text, amount text, credit_limit text, " +
		"available text, pending text, rise smallint"

	// claimUpstream decides on the row that it locks, so of the nodes that try at
	// once each one sees what the one before it has done.
	claimUpstream = `INSERT INTO upstreams AS u (name, provider, due_at, claimed_by) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at, claimed_by = excluded.claimed_by
			WHERE (u.due_at <= $5 OR ($6 AND u.claimed_by = '')) AND (u.barred_at <= $5) IS NOT FALSE
		RETURNING ` + stateColumns
	selectUpstream = "SELECT " + stateColumns + " FROM upstreams WHERE name = $1"
	recordUpstream = `UPDATE upstreams SET provider = $2, interval_us = $3, due_at = $4, barred_at = $5, asked_at = $6,
			status = $7, code = $8, message = $9, failures = $10, good_at = $11, account = $12, billing = $13, buckets = $14,
			claimed_by = ''
		WHERE name = $1 AND claimed_by = $15`
)

var insertReadings = insert("upstream_readings", readingRow)

// UpstreamStates lists what is known of every upstream.
func (s *Store) UpstreamStates(ctx context.Context) ([]readings.State, error) {
	return readPage(ctx, s, scanState, "SELECT "+stateColumns+" FROM upstreams ORDER BY name")
}

// ClaimUpstream gives a node the right to ask. Where the answer to the commit is
// lost, a node may have the right and not know of it. Then the claim ends by itself.
func (s *Store) ClaimUpstream(ctx context.Context, claim readings.Claim) (readings.State, bool, error) {
	var state *readings.State
	var claimed bool
	err := s.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		found, err := list(ctx, conn, scanState, claimUpstream, claim.Name, claim.Provider, claim.Until.UnixMicro(), claim.Node,
			claim.Now.UnixMicro(), claim.Early)
		if err != nil {
			return err
		}
		if claimed = len(found) > 0; claimed {
			state = found[0]
			return nil
		}
		// The row is locked, though not changed, so nobody can remove it meanwhile.
		missing := ledger.Errorf(ledger.NotFound, "there is no upstream %s", claim.Name)
		state, err = one(ctx, conn, missing, scanState, selectUpstream, claim.Name)
		return err
	})
	if err != nil {
		return readings.State{}, false, err
	}
	return *state, claimed, nil
}

// RecordUpstream replaces what is known of an upstream that the node has claimed,
// and adds readings.
func (s *Store) RecordUpstream(ctx context.Context, node string, state *readings.State, added []readings.Reading) (bool, error) {
	args, err := stateArgs(state)
	if err != nil {
		return false, err
	}
	var recorded bool
	err = s.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		done, err := conn.Exec(ctx, recordUpstream, slices.Concat(args, []any{node})...)
		if recorded = done.RowsAffected() > 0; err != nil || !recorded || len(added) == 0 {
			return err
		}
		_, err = conn.Exec(ctx, insertReadings+" ON CONFLICT DO NOTHING", readingArgs(added)...)
		return err
	})
	return recorded && err == nil, err
}

// UpstreamReadings lists readings in order of time.
func (s *Store) UpstreamReadings(ctx context.Context, query readings.Query) ([]readings.Reading, error) {
	text, args := selectReadings(&query)
	return readPage(ctx, s, scanReading, text, args...)
}

// selectReadings gives the query for a page, which begins in the index where the
// one before it ended.
func selectReadings(query *readings.Query) (text string, args []any) {
	const order = "r.at, r.service, r.unit, r.currency"
	after := query.After
	args = []any{
		query.Upstream, max(query.From.UnixMicro(), after.At.UnixMicro()), query.To.UnixMicro(), query.Limit,
		after.At.UnixMicro(), after.Key.Service, string(after.Key.Unit), after.Key.Currency,
	}
	where := " FROM upstream_readings AS r WHERE r.upstream = $1 AND r.at >= $2 AND r.at < $3"
	if key := query.Key; key != nil {
		where += " AND r.service = $9 AND r.unit = $10 AND r.currency = $11"
		args = append(args, key.Service, string(key.Unit), key.Currency)
	}
	if query.Step <= 0 {
		return "SELECT " + readingColumns + where + " AND (" + order + ") > ($5, $6, $7, $8) ORDER BY " + order + " LIMIT $4", args
	}
	// To find the last readings first, and then to look up these, takes a tenth of
	// asking of each reading whether it is one.
	args = append(args, query.Step.Microseconds())
	last := "SELECT max(r.at) AS at, r.service, r.unit, r.currency" + where +
		fmt.Sprintf(" GROUP BY r.at / $%d::bigint, r.service, r.unit, r.currency", len(args)) +
		" HAVING (max(r.at), r.service, r.unit, r.currency) > ($5, $6, $7, $8) ORDER BY 1, 2, 3, 4 LIMIT $4"
	return "SELECT " + of("r", readingColumns) + " FROM (" + last + ") AS last JOIN LATERAL (SELECT " + readingColumns + ` FROM upstream_readings AS r
		WHERE r.upstream = $1 AND r.at = last.at AND r.service = last.service AND r.unit = last.unit AND r.currency = last.currency
		OFFSET 0) AS r ON true ORDER BY ` + order, args
}

func scanState(row pgx.Row, s *readings.State) error {
	var interval, due int64
	var barred, asked, good *int64
	var balance readings.Balance
	var buckets string
	err := row.Scan(&s.Name, &s.Provider, &interval, &due, &barred, &asked, &s.Status, &s.Code, &s.Message, &s.Failures,
		&good, &balance.Account, &balance.Billing, &buckets)
	if err != nil {
		return err
	}
	s.Interval = time.Duration(interval) * time.Microsecond
	s.DueAt, s.BarredAt, s.AskedAt = fromMicro(due), fromNull(barred), fromNull(asked)
	if good == nil {
		return nil
	}
	s.Good, balance.At = &balance, fromMicro(*good)
	balance.Buckets, err = sqlrow.DecodeBuckets(buckets)
	return err
}

// stateArgs are the columns of a state.
func stateArgs(s *readings.State) ([]any, error) {
	var balance readings.Balance
	var good *int64
	if s.Good != nil {
		balance = *s.Good
		at := balance.At.UnixMicro()
		good = &at
	}
	buckets, err := sqlrow.EncodeBuckets(balance.Buckets)
	return []any{
		s.Name, s.Provider, s.Interval.Microseconds(), s.DueAt.UnixMicro(), toNull(s.BarredAt), toNull(s.AskedAt),
		string(s.Status), s.Code, s.Message, int64(s.Failures), good, balance.Account, string(balance.Billing), buckets,
	}, err
}

func scanReading(row pgx.Row, r *readings.Reading) error {
	var at int64
	var amount string
	var limit, available, pending *string
	var rise int16
	err := row.Scan(&r.Upstream, &at, &r.Service, &r.Unit, &r.Currency, &amount, &limit, &available, &pending, &rise)
	if err != nil {
		return err
	}
	r.At, r.Rise = fromMicro(at), rise != 0
	var errs [4]error
	r.Amount, errs[0] = sqlrow.ParseDecimal(amount)
	r.CreditLimit, errs[1] = sqlrow.ParseNullDecimal(limit)
	r.Available, errs[2] = sqlrow.ParseNullDecimal(available)
	r.Pending, errs[3] = sqlrow.ParseNullDecimal(pending)
	return errors.Join(errs[:]...)
}

// readingArgs are the arrays of insertReadings.
func readingArgs(all []readings.Reading) []any {
	return []any{
		column(all, func(r *readings.Reading) string { return r.Upstream }),
		column(all, func(r *readings.Reading) int64 { return r.At.UnixMicro() }),
		column(all, func(r *readings.Reading) string { return r.Service }),
		column(all, func(r *readings.Reading) string { return string(r.Unit) }),
		column(all, func(r *readings.Reading) string { return r.Currency }),
		column(all, func(r *readings.Reading) string { return sqlrow.DecimalText(r.Amount) }),
		column(all, func(r *readings.Reading) *string { return sqlrow.NullDecimal(r.CreditLimit) }),
		column(all, func(r *readings.Reading) *string { return sqlrow.NullDecimal(r.Available) }),
		column(all, func(r *readings.Reading) *string { return sqlrow.NullDecimal(r.Pending) }),
		column(all, func(r *readings.Reading) int16 { return flag(r.Rise) }),
	}
}
