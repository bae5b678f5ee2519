package readings

import (
	"time"

	"github.com/saldo-ledger/saldo/internal/forecast"
)

// Age is how old a balance is, never less than nothing: the clock of the node that
// asked may be ahead of the one that shows it.
func (b *Balance) Age(now time.Time) time.Duration { return max(now.Sub(b.At), 0) }

// AsOf gives the forecasts of a bucket as they are to be told now, of a balance
// from an earlier time. They are stored with the balance, and asking may fail from
// then on: after forecast.MaxAge nothing is known any more, and what was expected
// meanwhile is expected now. Each is nil where the bucket has none.
func (b *Bucket) AsOf(at, now time.Time) (empty, low *forecast.Forecast) {
	return asOf(b.Empty, at, now), asOf(b.Low, at, now)
}

func asOf(stored *forecast.Forecast, at, now time.Time) *forecast.Forecast {
	if stored == nil {
		return nil
	}
	told := *stored
	if now.Sub(at) > forecast.MaxAge {
		told = forecast.Outdated()
	}
	for _, moment := range []*time.Time{&told.At, &told.Earliest, &told.Latest} {
		if !moment.IsZero() && moment.Before(now) {
			*moment = now
		}
	}
	return &told
}
