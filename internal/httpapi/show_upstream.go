package httpapi

import (
	"cmp"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// This file is about how upstreams read on the wire. Other than in the rest of
// the API, an amount, a time or a forecast that is absent is null: that a provider
// does not tell a thing is news. A text that is absent is empty.

// showMoment shows a time, null for the zero time.
func showMoment(t time.Time) *api.Time {
	if t.IsZero() {
		return nil
	}
	return new(showTime(t.UTC()))
}

// showDecimal shows an amount that may be absent.
func showDecimal(d *decimal.Decimal) *api.UpstreamAmount {
	if d == nil {
		return nil
	}
	return new(d.String())
}

func (s *server) showUpstream(state *readings.State) api.Upstream {
	return api.Upstream{
		Name:            state.Name,
		Provider:        state.Provider,
		Watched:         s.upstreams.Watches(state.Name),
		Status:          api.UpstreamStatus(cmp.Or(string(state.Status), string(api.UpstreamStatusPending))),
		Code:            state.Code,
		Message:         state.Message,
		Failures:        state.Failures,
		AskedAt:         showMoment(state.AskedAt),
		DueAt:           showTime(state.DueAt.UTC()),
		IntervalSeconds: int64(state.Interval.Round(time.Second) / time.Second),
		Balance:         showUpstreamBalance(state.Good, s.engine.Now()),
	}
}

func showUpstreamBalance(b *readings.Balance, now time.Time) *api.UpstreamBalance {
	if b == nil {
		return nil
	}
	shown := &api.UpstreamBalance{
		At:         showTime(b.At.UTC()),
		AgeSeconds: int64(b.Age(now) / time.Second),
		Account:    b.Account,
		Billing:    api.UpstreamBilling(cmp.Or(string(b.Billing), string(api.UpstreamBillingUnknown))),
		Buckets:    make([]api.UpstreamBucket, len(b.Buckets)),
	}
	for i := range b.Buckets {
		shown.Buckets[i] = showBucket(&b.Buckets[i], b.At, now)
	}
	return shown
}

func showBucket(b *readings.Bucket, at, now time.Time) api.UpstreamBucket {
	empty, low := b.AsOf(at, now)
	return api.UpstreamBucket{
		Service:        b.Service,
		Unit:           api.UpstreamUnit(b.Unit),
		Currency:       b.Currency,
		CurrencySource: string(b.CurrencySource),
		Amount:         b.Amount.String(),
		CreditLimit:    showDecimal(b.CreditLimit),
		Available:      showDecimal(b.Available),
		Pending:        showDecimal(b.Pending),
		Spendable:      b.Spendable().String(),
		Min:            showDecimal(b.Min),
		BelowMin:       b.BelowMin(),
		Empty:          showForecast(empty, now),
		Low:            showForecast(low, now),
	}
}

// showForecast shows a forecast that was made to be told now.
func showForecast(f *forecast.Forecast, now time.Time) *api.Forecast {
	if f == nil {
		return nil
	}
	shown := &api.Forecast{
		Outlook:       api.ForecastOutlook(f.Outlook),
		Reason:        f.Reason,
		SpendPerHour:  f.SpendPerHour.String(),
		RecentPerHour: f.RecentPerHour.String(),
		Burst:         f.Burst,
		At:            showMoment(f.At),
		Earliest:      showMoment(f.Earliest),
		Latest:        showMoment(f.Latest),
	}
	if !f.At.IsZero() {
		shown.InSeconds = new(int64(max(f.At.Sub(now), 0) / time.Second))
	}
	return shown
}

func showReading(r *readings.Reading) api.Reading {
	return api.Reading{
		At:          showTime(r.At.UTC()),
		Service:     r.Service,
		Unit:        api.UpstreamUnit(r.Unit),
		Currency:    r.Currency,
		Amount:      r.Amount.String(),
		CreditLimit: showDecimal(r.CreditLimit),
		Available:   showDecimal(r.Available),
		Pending:     showDecimal(r.Pending),
		Spendable:   r.Spendable().String(),
		Rise:        r.Rise,
	}
}

func showReconciliation(r *readings.Reconciliation) api.ReconciledBucket {
	shown := api.ReconciledBucket{
		Service:  r.Service,
		Unit:     api.UpstreamUnit(r.Unit),
		Currency: r.Currency,
		Opening:  api.ReadAmount{At: showTime(r.Opening.At.UTC()), Amount: r.Opening.Amount.String()},
		Closing:  api.ReadAmount{At: showTime(r.Closing.At.UTC()), Amount: r.Closing.Amount.String()},
		ToppedUp: r.ToppedUp.String(),
		Spent:    r.Spent.String(),
		Charges:  make([]api.UsageRow, len(r.Charges)),
		Margin:   showDecimal(r.Margin),
		Reason:   r.Reason,
		Rows:     make([]api.ReconciledRow, len(r.Rows)),
	}
	for i := range r.Charges {
		c := &r.Charges[i]
		shown.Charges[i] = api.UsageRow{
			Wallet: c.Service, Currency: c.Currency, Count: c.Count,
			Charged: c.Charged.String(), Refunded: c.Refunded.String(), Net: c.Net().String(),
		}
	}
	if r.Percent != nil {
		shown.MarginPercent = new(r.Percent.StringFixed(2))
	}
	for i := range r.Rows {
		shown.Rows[i] = showReconciledRow(&r.Rows[i])
	}
	if row := r.Largest; row != nil {
		shown.LargestDrift = &api.Drift{From: showTime(row.Opening.At.UTC()), To: showTime(row.Closing.At.UTC()), Drift: row.Drift.String()}
	}
	return shown
}

func showReconciledRow(row *readings.Row) api.ReconciledRow {
	return api.ReconciledRow{
		From:          showTime(row.Opening.At.UTC()),
		To:            showTime(row.Closing.At.UTC()),
		ToppedUp:      row.ToppedUp.String(),
		Spent:         row.Spent.String(),
		Count:         row.Count,
		Net:           showDecimal(row.Net),
		CostPerCharge: showDecimal(row.PerCharge),
		Drift:         showDecimal(row.Drift),
	}
}
