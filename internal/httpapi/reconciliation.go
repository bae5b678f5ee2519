package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
)

const (
	maxReconciledDays = 400
	// beforeRange is how long before a range the reading may be with which it opens:
	// of an upstream that is asked every 12 hours, the longest interval, two questions
	// may fail, or the provider may have wanted to be left alone for a day.
	beforeRange = 48 * time.Hour
)

// ReconcileUpstream answers GET /v1/upstreams/{name}/reconciliation.
func (s *server) ReconcileUpstream(w http.ResponseWriter, r *http.Request, name api.UpstreamPath, params api.ReconcileUpstreamParams) {
	s.serve(w, r, accountants, func(key *ledger.Key) error {
		zone, from, to, err := s.pastRange(params.From, params.To, params.Tz, usualUsage)
		if err != nil {
			return err
		}
		if to.Sub(from) > maxReconciledDays*24*time.Hour {
			return ledger.Errorf(ledger.InvalidRequest, "a reconciliation covers at most %d days", maxReconciledDays).WithHint("ask for a shorter range")
		}
		if _, err := s.upstream(r.Context(), name); err != nil {
			return err
		}
		if !s.exports.enter(key.Account) {
			return ledger.Errorf(ledger.Overloaded, "too many long reports are being made").WithHint("send the request again later")
		}
		defer s.exports.leave(key.Account)
		one := reconciliation{server: s, upstream: name, from: from, to: to, seen: map[span][]engine.UsageRow{}}
		shown, err := timely(r.Context(), s.limits.report, func(ctx context.Context) (*api.Reconciliation, error) {
			return one.make(ctx, zone)
		})
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, shown)
	})
}

// span is a range of time, by its ends in microseconds.
type span struct{ from, to int64 }

// reconciliation is one that is being made.
type reconciliation struct {
	*server

	upstream string
	from, to time.Time
	seen     map[span][]engine.UsageRow // balances are mostly read together, and have the same cuts
}

func (c *reconciliation) make(ctx context.Context, zone *time.Location) (*api.Reconciliation, error) {
	buckets, err := c.falls(ctx, zone)
	if err != nil {
		return nil, err
	}
	shown := &api.Reconciliation{
		Upstream: c.upstream, From: showTime(c.from), To: showTime(c.to), TimeZone: zone.String(),
		Buckets: make([]api.ReconciledBucket, len(buckets)),
	}
	for i := range buckets {
		charges, err := c.charges(ctx, buckets, i)
		if err != nil {
			return nil, err
		}
		shown.Buckets[i] = showReconciliation(readings.Reconcile(&buckets[i], charges))
	}
	shown.Unmatched, err = c.unmatched(ctx, buckets)
	return shown, err
}

// falls adds up the readings. They are not kept, since a year of them is long.
func (c *reconciliation) falls(ctx context.Context, zone *time.Location) ([]readings.BucketFalls, error) {
	falls := readings.NewFalls(cuts(c.from, c.to, zone))
	query := readings.Query{
		Upstream: c.upstream, From: c.from.Add(-beforeRange), To: c.to.Add(time.Microsecond), // what is read at its end counts
		Limit: c.limits.readingsAtOnce,
	}
	whole, err := readings.Each(ctx, c.upstreams, query, c.limits.readings, falls.Add)
	if err != nil {
		return nil, err
	}
	if !whole {
		return nil, ledger.Errorf(ledger.InvalidRequest, "the range has over %d readings", c.limits.readings).WithHint("ask for a shorter range")
	}
	return falls.Buckets(), nil
}

// cuts are the ends of a range and where days begin between them.
func cuts(from, to time.Time, zone *time.Location) []time.Time {
	cuts := []time.Time{from}
	for {
		year, month, day := cuts[len(cuts)-1].In(zone).Date()
		next := engine.StartOfDay(year, month, day+1, zone)
		if !next.Before(to) {
			return append(cuts, to)
		}
		cuts = append(cuts, next)
	}
}

// charges are what each interval of a bucket is compared with.
func (c *reconciliation) charges(ctx context.Context, buckets []readings.BucketFalls, of int) ([][]readings.Charge, error) {
	charges := make([][]readings.Charge, len(buckets[of].Intervals))
	for i, interval := range buckets[of].Intervals {
		rows, err := c.charged(ctx, interval.Opening.At, interval.Closing.At)
		if err != nil {
			return nil, err
		}
		for j := range rows {
			if bucket, ok := readings.PaidFrom(buckets, string(rows[j].Service)); !ok || bucket != of {
				continue
			}
			charge, err := chargeOf(&rows[j])
			if err != nil {
				return nil, err
			}
			charges[i] = append(charges[i], charge)
		}
	}
	return charges, nil
}

// unmatched are the charges of the range that no bucket is compared with.
func (c *reconciliation) unmatched(ctx context.Context, buckets []readings.BucketFalls) ([]api.UsageRow, error) {
	unmatched := []api.UsageRow{}
	if len(buckets) == 1 && len(buckets[0].Intervals) > 0 { // which is compared with all
		return unmatched, nil
	}
	rows, err := c.charged(ctx, c.from, c.to)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if _, ok := readings.PaidFrom(buckets, string(rows[i].Service)); !ok {
			unmatched = append(unmatched, showUsage(rows[i]))
		}
	}
	return unmatched, nil
}

// charged is what the ledger charged through the upstream.
func (c *reconciliation) charged(ctx context.Context, from, to time.Time) ([]engine.UsageRow, error) {
	at := span{from.UnixMicro(), to.UnixMicro()}
	if rows, ok := c.seen[at]; ok {
		return rows, nil
	}
	rows, err := c.engine.Usage(ctx, engine.UsageQuery{From: from, To: to, By: engine.ByWallet, Upstream: c.upstream, Limit: c.limits.usageRows + 1}, time.UTC)
	if err != nil {
		return nil, err
	}
	if len(rows) > c.limits.usageRows {
		return nil, ledger.Errorf(ledger.InvalidRequest, "the charges are in over %d wallets and currencies", c.limits.usageRows).WithHint("ask for a shorter range")
	}
	c.seen[at] = rows
	return rows, nil
}

func chargeOf(row *engine.UsageRow) (readings.Charge, error) {
	charge := readings.Charge{Service: string(row.Service), Currency: row.Currency, Count: row.Count}
	var err error
	if charge.Charged, err = decimal.NewFromString(row.Charged.String()); err != nil {
		return charge, err
	}
	charge.Refunded, err = decimal.NewFromString(row.Refunded.String())
	return charge, err
}
