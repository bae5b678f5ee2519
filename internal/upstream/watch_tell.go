package upstream

import (
	"log/slog"
	"time"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// soon is how long before a balance is gone somebody is told: time enough to top
// up, on the day before a weekend even where a transfer takes until the next day.
const soon = 24 * time.Hour

// warned tells whether somebody has to be told, or was told, that a bucket may be
// gone within a day. Forecasts swing with the hours, so what was told once stands
// until twice that time is left.
func warned(old, b *readings.Bucket, at time.Time) bool {
	was := old != nil && old.Warned
	switch {
	case b.Empty == nil:
		return false
	case b.Empty.Outlook == forecast.OutlookFalling:
		return b.EmptyBy(at.Add(soon)) || was && b.EmptyBy(at.Add(2*soon))
	default:
		return was && b.Empty.Outlook != forecast.OutlookIdle
	}
}

// tell logs what has changed: not each answer, but that an upstream cannot be
// asked any more, that it can again, and that money runs out.
func (w *watch) tell(before, now *readings.State) {
	log := w.options.Log.With("upstream", now.Name, "provider", now.Provider)
	switch {
	case now.Status != provider.OK && now.Status != before.Status:
		failure := provider.Error{Status: now.Status}
		if now.Status == provider.RateLimited {
			failure.RetryAfter = now.BarredAt.Sub(now.AskedAt)
		}
		if hint := failure.Advice(); hint != "" {
			log = log.With("hint", hint)
		}
		log.Warn("an upstream does not tell its balance", "status", now.Status, "code", now.Code, "message", now.Message)
		return
	case now.Status != provider.OK:
		return
	case before.Status != provider.OK && before.Status != "":
		log.Info("an upstream tells its balance again", "failures", before.Failures)
	}
	for i := range now.Good.Buckets {
		b := &now.Good.Buckets[i]
		old := before.Good.Find(readings.KeyOf(&b.Bucket))
		tellBucket(log, old, b)
		if b.Warned && (old == nil || !old.Warned) {
			log.Warn("an upstream's balance may be gone within a day", "service", b.Service, "left", b.Text(), "earliest", b.Empty.Earliest, "expected", b.Empty.At)
		}
	}
}

// tellBucket tells what has become of one bucket; old is nil for a new one.
func tellBucket(log *slog.Logger, old, b *readings.Bucket) {
	if b.BelowMin() && (old == nil || !old.BelowMin()) {
		log.Warn("an upstream's balance is below its minimum", "service", b.Service, "left", b.Text(), "min", b.Min)
	}
	// A service that nobody uses has nothing left from the beginning.
	if old != nil && b.Empty != nil && !b.Spendable().IsPositive() && old.Spendable().IsPositive() {
		log.Warn("an upstream's balance is used up", "service", b.Service, "left", b.Text())
	}
}
