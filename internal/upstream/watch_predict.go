package upstream

import (
	"context"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/readings"
)

const (
	// window is what a forecast looks back on.
	window = 7 * 24 * time.Hour
	// grain is how far apart the readings are that it looks at: those of a week at one a
	// second would be half a million.
	grain = 5 * time.Minute
	// predictEvery is how often a forecast is made anew where nothing has happened: it
	// changes with the hours, and reading a week takes longer than anything else here.
	predictEvery = 5 * time.Minute
	historyPage  = 5000
	maxHistory   = 100 * historyPage
)

// predict adds the forecasts: those of before, where they are still true, or new ones.
func (w *watch) predict(ctx context.Context, before, good *readings.Balance) {
	if !good.Billing.RunsOut() {
		return
	}
	age := good.At.Sub(w.predicted)
	fresh := age >= 0 && age < predictEvery
	for i := range good.Buckets {
		fresh = carry(before.Find(readings.KeyOf(&good.Buckets[i].Bucket)), &good.Buckets[i]) && fresh
	}
	if fresh {
		return
	}
	week, err := w.week(ctx, good)
	if err != nil {
		w.complain(ctx, &w.weekBad, "read for the forecast", err)
		return
	}
	w.weekBad, w.predicted = false, good.At
	for i := range good.Buckets {
		b := &good.Buckets[i]
		key := readings.KeyOf(&b.Bucket)
		week[key] = append(week[key], forecast.Reading{Time: good.At, Amount: b.Spendable()})
		empty := forecast.Predict(week[key], good.At, decimal.Zero)
		b.Empty, b.Low = &empty, nil
		if b.Min != nil {
			low := forecast.Predict(week[key], good.At, *b.Min)
			b.Low = &low
		}
	}
}

// carry gives a bucket the forecasts that were made for it before, and tells
// whether they are still true: not where there was a top-up, or where the balance
// has passed what they are about.
func carry(old, b *readings.Bucket) bool {
	if old == nil || old.Empty == nil {
		return false
	}
	was, is := old.Spendable(), b.Spendable()
	b.Empty = old.Empty
	// A minimum that was changed has no forecast until there is a new one.
	sameMin := old.Min == nil && b.Min == nil || old.Min != nil && b.Min != nil && old.Min.Equal(*b.Min)
	if sameMin {
		b.Low = old.Low
	}
	return sameMin && !is.GreaterThan(was) && is.IsPositive() == was.IsPositive() && reached(b.Min, is) == reached(b.Min, was)
}

// reached tells whether a balance is at the minimum, or below.
func reached(least *decimal.Decimal, left decimal.Decimal) bool {
	return least != nil && left.LessThanOrEqual(*least)
}

// week is what each bucket had left in the seven days before a balance. It is what
// would have been left with the credit limit of now: one that was put into the
// configuration, or changed, is neither a top-up nor spending.
func (w *watch) week(ctx context.Context, good *readings.Balance) (map[readings.Key][]forecast.Reading, error) {
	week := make(map[readings.Key][]forecast.Reading)
	limits := make(map[readings.Key]*decimal.Decimal, len(good.Buckets))
	for i := range good.Buckets {
		b := &good.Buckets[i].Bucket
		limits[readings.KeyOf(b)] = b.CreditLimit
	}
	query := readings.Query{Upstream: w.upstream.Name, From: good.At.Add(-window), To: good.At, Step: grain, Limit: historyPage}
	// A reply with hundreds of buckets has more than is looked at.
	_, err := readings.Each(ctx, w.store, query, maxHistory, func(r *readings.Reading) {
		r.CreditLimit = limits[r.Key]
		week[r.Key] = append(week[r.Key], forecast.Reading{Time: r.At, Amount: r.Spendable()})
	})
	return week, err
}
