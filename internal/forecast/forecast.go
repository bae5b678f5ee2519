// Package forecast says when a balance runs out, from what its readings were. It
// is a pure function of them, and knows neither clock nor provider.
package forecast

import (
	"math/big"
	"time"

	"github.com/shopspring/decimal"
)

// Bounds of a forecast.
const (
	// MaxAge is how old the last reading may be. A night of the provider's failures is bridged.
	MaxAge = day
	// horizonDays is how far a forecast looks. What lasts for a year needs no warning.
	horizonDays = 366
	// rateDigits is how many digits of a rate are worth printing.
	rateDigits = 6
)

// Reading is what one bucket had left at a moment.
type Reading struct {
	Time   time.Time
	Amount decimal.Decimal
}

// Outlook is a forecast in one word.
type Outlook string

// The outlooks.
const (
	OutlookUnknown Outlook = "unknown" // there is not enough to tell; Reason says what is missing
	OutlookReached Outlook = "reached" // the balance is at the threshold, or below
	OutlookFalling Outlook = "falling" // it reaches the threshold, and At says when
	OutlookIdle    Outlook = "idle"    // it does not within a year, by what is usually spent
)

// Forecast is when a balance reaches a threshold if it is spent as it was.
type Forecast struct {
	Outlook Outlook
	Reason  string // of OutlookUnknown, in plain words
	// SpendPerHour is what is usually spent, over whole days. Top-ups are no part of it.
	SpendPerHour decimal.Decimal
	// RecentPerHour is what was spent lately: in the last hour, or in as much more as
	// it takes to see three falls. It is SpendPerHour where readings are too rare to tell.
	RecentPerHour decimal.Decimal
	// Burst says that lately much more was spent than is usual at these hours. At
	// reckons with it then.
	Burst bool
	// At is when the threshold is reached, never before now.
	At time.Time
	// Earliest is by the fastest day of the last week, or by what is spent lately,
	// whichever is sooner; it is the one to warn by. Latest is by the slowest day.
	// Each is zero where the threshold is not reached within a year at that pace.
	Earliest, Latest time.Time
}

// Predict says when the last reading, spent on as those before it were, reaches
// the threshold, which may be below zero. The readings may come in any order
// and have doubles; those of more than a week before the last one, and those
// after now, are not looked at. docs/adr/0015-forecast.md has the method.
//
// Amounts should be those of provider.ParseAmount: with exponents that are
// billions apart their difference would have as many digits.
func Predict(readings []Reading, now time.Time, threshold decimal.Decimal) Forecast {
	series := inOrder(readings, now)
	if len(series) == 0 {
		return Forecast{Outlook: OutlookUnknown, Reason: "there are no readings"}
	}
	last := series[len(series)-1]
	if now.Sub(last.Time) > MaxAge {
		return Outdated()
	}
	h := newHistory(series)
	f := Forecast{Outlook: OutlookUnknown, Reason: h.lacks()}
	if f.Reason == "" {
		left := h.units(last.Amount.Sub(threshold))
		f = h.tempo().forecast(left, last.Time, now)
		f.SpendPerHour, f.RecentPerHour = h.rate(f.SpendPerHour), h.rate(f.RecentPerHour)
	}
	if last.Amount.LessThanOrEqual(threshold) {
		f.Outlook, f.Reason = OutlookReached, ""
		f.At, f.Earliest, f.Latest = now, now, now
	}
	return f
}

// Outdated is the forecast where the last reading is older than MaxAge.
func Outdated() Forecast {
	return Forecast{Outlook: OutlookUnknown, Reason: "the last reading is more than a day old"}
}

// tempo is how fast a balance is spent, in units per hour.
type tempo struct {
	usual, slowest, fastest *big.Int
	shape                   shape    // of a day
	recent                  *big.Int // in the short window
	excess                  *big.Int // of the short window over what is usual at its hours
	burst                   bool
}

// shape is how the spending of a day is spread over its hours: each in parts of
// whole, which stands for the mean. The first is the hour after the last reading.
type shape [24]*big.Int

// whole is the mean of a shape.
var whole = big.NewInt(1_000_000_000_000)

// hours are the amounts of the 24 hours to come, at a pace and something beyond it.
func (s *shape) hours(perHour, beyond *big.Int) *[24]*big.Int {
	hours := new([24]*big.Int)
	for i, part := range s {
		amount := new(big.Int).Mul(perHour, part)
		hours[i] = amount.Add(divideUp(amount, whole), beyond)
	}
	return hours
}

// forecast projects what is left from the last reading on. In a burst the
// excess goes on, on top of what is usual: to multiply the usual instead would turn a
// few messages in a quiet night into a disaster by noon.
func (t *tempo) forecast(left *big.Int, last, now time.Time) Forecast {
	at := func(perHour, beyond *big.Int) time.Time {
		offset, ok := reach(t.shape.hours(perHour, beyond), left)
		if !ok {
			return time.Time{}
		}
		moment := last.Add(offset.Truncate(time.Second))
		if moment.Before(now) {
			return now
		}
		return moment
	}
	none := new(big.Int)
	usual, lately := at(t.usual, none), at(t.usual, t.excess)
	f := Forecast{
		Outlook:       OutlookFalling,
		SpendPerHour:  decimal.NewFromBigInt(t.usual, 0),
		RecentPerHour: decimal.NewFromBigInt(t.recent, 0),
		Burst:         t.burst,
		At:            usual,
		Earliest:      sooner(at(t.fastest, none), lately),
		Latest:        at(t.slowest, none),
	}
	if t.burst {
		f.At = lately
	}
	if f.At.IsZero() {
		f.Outlook = OutlookIdle
	}
	return f
}

// sooner is the first of two moments, of which the zero time is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// reach is how long it takes to spend what is left, day by day alike; false
// where that is longer than a forecast looks.
func reach(hours *[24]*big.Int, left *big.Int) (time.Duration, bool) {
	if left.Sign() <= 0 {
		return 0, true
	}
	perDay := new(big.Int)
	for _, hour := range hours {
		perDay.Add(perDay, hour)
	}
	if perDay.Sign() == 0 {
		return 0, false
	}
	// Of a whole number of days the last one is gone through too, because it
	// is spent in its last hour of spending, not at its end.
	before := new(big.Int).Sub(left, big.NewInt(1))
	before.Quo(before, perDay)
	if before.Cmp(big.NewInt(horizonDays)) >= 0 {
		return 0, false
	}
	offset := time.Duration(before.Int64()) * day
	left = new(big.Int).Sub(left, before.Mul(before, perDay))
	for _, hour := range hours {
		if left.Cmp(hour) <= 0 {
			part := new(big.Int).Mul(left, big.NewInt(int64(time.Hour)))
			return offset + time.Duration(part.Quo(part, hour).Int64()), true
		}
		left.Sub(left, hour)
		offset += time.Hour
	}
	return offset, true
}
