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

// tell logs what has changed: not each answer, but that an upstream cannot be
// asked any more, that it can again, and that money runs out.
func (w *watch) tell(before, now *readings.State) {
	log := w.options.Log.With("upstream", now.Name, "provider", now.Provider)
	switch {
	case now.Status != provider.OK && now.Status != before.Status:
		a := Answer{Status: now.Status}
		if now.Status == provider.RateLimited {
			a.RetryAfter = now.BarredAt.Sub(now.AskedAt)
		}
		if hint := a.Advice(); hint != "" {
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
		tellBucket(log, before.Good.Find(readings.KeyOf(&now.Good.Buckets[i].Bucket)), &now.Good.Buckets[i], now.Good.At)
	}
}

// tellBucket tells what has become of one bucket; old is nil for a new one.
func tellBucket(log *slog.Logger, old, b *readings.Bucket, at time.Time) {
	left := Left{Amount: b.Amount, CreditLimit: b.CreditLimit, Available: b.Available, Unit: b.Unit, Currency: b.Currency}
	log = log.With("service", b.Service, "left", left.Text())
	if b.BelowMin() && (old == nil || !old.BelowMin()) {
		log.Warn("an upstream's balance is below its minimum", "min", b.Min)
	}
	switch {
	case b.Empty == nil || !b.EmptyBy(at.Add(soon)):
	case b.Empty.Outlook == forecast.OutlookReached:
		// A service that nobody uses has nothing left from the beginning.
		if old != nil && old.Empty != nil && old.Empty.Outlook != forecast.OutlookReached {
			log.Warn("an upstream's balance is used up")
		}
	case old == nil || !old.EmptyBy(at.Add(soon)):
		log.Warn("an upstream's balance may be gone within a day", "earliest", b.Empty.Earliest, "expected", b.Empty.At)
	}
}
