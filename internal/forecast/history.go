package forecast

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// What a forecast needs of the past, and how far it trusts it.
const (
	day = 24 * time.Hour
	// historyDays is how far back readings count: a week has every day once.
	historyDays = 7
	// minStretches and minSeen are what the least of forecasts is made from.
	minStretches = 3
	minSeen      = time.Hour
	// minFalls is how many falls the short window has at least. One message in
	// an hour is not yet a pace.
	minFalls = 3
	// outlier is how many times as far as all others something must be off, to be
	// a mistake of the provider's rather than spending.
	outlier = 3
	// guardDigits are counted below the last digit of the amounts, so that a
	// division loses nothing that matters.
	guardDigits = 12
)

// inOrder are the readings of the week before the last one, the oldest first, one for
// each moment. Of several for one moment it is the lowest, so that their order does not matter.
func inOrder(readings []Reading, now time.Time) []Reading {
	sorted := make([]Reading, 0, len(readings))
	for _, r := range readings {
		if !r.Time.After(now) {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, func(a, b Reading) int {
		if order := a.Time.Compare(b.Time); order != 0 {
			return order
		}
		return a.Amount.Cmp(b.Amount)
	})
	sorted = slices.CompactFunc(sorted, func(a, b Reading) bool { return a.Time.Equal(b.Time) })
	if len(sorted) == 0 {
		return nil
	}
	first := sorted[len(sorted)-1].Time.Add(-historyDays * day)
	from, _ := slices.BinarySearchFunc(sorted, first, func(r Reading, first time.Time) int { return r.Time.Compare(first) })
	return sorted[from:]
}

// history is what a series of readings says about spending. Its times are
// relative to the last reading, so none is above zero; its amounts are whole numbers of units.
type history struct {
	exponent  int32 // a unit is 10 to this power
	powers    map[int32]*big.Int
	start     time.Duration
	typical   time.Duration // between two readings
	stretches []stretch
	spent     []*big.Int      // spent[i] is what all stretches before i spent
	seen      []time.Duration // and how long they were
}

// stretch is the time between two readings. There is none where the balance
// rose: a top-up hides what was spent beside it, so that time tells nothing.
type stretch struct {
	from, to time.Duration
	spent    *big.Int
}

// point is a reading in units.
type point struct {
	at     time.Duration
	amount *big.Int
}

func newHistory(series []Reading) *history {
	h := &history{exponent: series[0].Amount.Exponent(), powers: map[int32]*big.Int{}}
	for _, r := range series {
		h.exponent = min(h.exponent, r.Amount.Exponent())
	}
	h.exponent -= guardDigits
	last := series[len(series)-1].Time
	points := make([]point, len(series))
	for i, r := range series {
		points[i] = point{r.Time.Sub(last), h.units(r.Amount)}
	}
	points = withoutSpikes(points)
	h.start = points[0].at
	lengths := make([]time.Duration, 0, len(points))
	for i, p := range points[1:] {
		before := points[i]
		lengths = append(lengths, p.at-before.at)
		if spent := new(big.Int).Sub(before.amount, p.amount); spent.Sign() >= 0 {
			h.stretches = append(h.stretches, stretch{before.at, p.at, spent})
		}
	}
	if len(lengths) > 0 {
		slices.Sort(lengths)
		h.typical = lengths[len(lengths)/2]
	}
	h.stretches = withoutJump(h.stretches, h.typical)
	h.count()
	return h
}

// units counts an amount.
func (h *history) units(amount decimal.Decimal) *big.Int {
	above := amount.Exponent() - h.exponent
	if above < 0 {
		return amount.Shift(-h.exponent).BigInt()
	}
	power := h.powers[above]
	if power == nil {
		power = new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(above)), nil)
		h.powers[above] = power
	}
	coefficient := amount.Coefficient()
	return coefficient.Mul(coefficient, power)
}

// rate is an amount of units with as many digits as mean something.
func (h *history) rate(units decimal.Decimal) decimal.Decimal {
	excess := int32(units.NumDigits()) - rateDigits
	return units.Round(-max(0, excess)).Shift(h.exponent).Normalize()
}

// withoutSpikes leaves out each reading that is far below both its neighbours, or far above
// both, while these are near each other: the provider was wrong for a moment. Where two
// in a row are like that, it is the rhythm of an account that is topped up all the time.
func withoutSpikes(points []point) []point {
	spikes := make([]bool, len(points)+1)
	for i := 1; i < len(points)-1; i++ {
		spikes[i] = isSpike(points[i-1].amount, points[i].amount, points[i+1].amount)
	}
	kept := make([]point, 0, len(points))
	for i, p := range points {
		if spikes[i] && !spikes[i-1] && !spikes[i+1] {
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

func isSpike(before, amount, after *big.Int) bool {
	if amount.Cmp(before)*amount.Cmp(after) <= 0 {
		return false
	}
	fall := new(big.Int).Sub(before, amount)
	rise := new(big.Int).Sub(after, amount)
	gap := new(big.Int).Sub(before, after)
	gap.Mul(gap, big.NewInt(outlier))
	return fall.CmpAbs(gap) > 0 && rise.CmpAbs(gap) > 0
}

// withoutJump leaves out the fastest stretch where it is several times as fast as the
// next one: that is a correction, a fee, or a wrong reading at either end. Only one is
// taken for such a thing, because what happens twice is spending.
func withoutJump(stretches []stretch, typical time.Duration) []stretch {
	if len(stretches) < minStretches {
		return stretches
	}
	top, rate, next := 0, new(big.Int), new(big.Int)
	for i, s := range stretches {
		// A stretch counts as long as others at least. In a second even one message looks fast.
		r := perHour(s.spent, max(s.to-s.from, typical))
		switch {
		case r.Cmp(rate) > 0:
			top, rate, next = i, r, rate
		case r.Cmp(next) > 0:
			next = r
		}
	}
	if rate.Cmp(next.Mul(next, big.NewInt(outlier))) <= 0 {
		return stretches
	}
	return slices.Concat(stretches[:top], stretches[top+1:])
}

// count adds the stretches up, so that any span of time can be looked up.
func (h *history) count() {
	h.spent = make([]*big.Int, 1, len(h.stretches)+1)
	h.seen = make([]time.Duration, 1, len(h.stretches)+1)
	h.spent[0] = new(big.Int)
	for i, s := range h.stretches {
		h.spent = append(h.spent, new(big.Int).Add(h.spent[i], s.spent))
		h.seen = append(h.seen, h.seen[i]+s.to-s.from)
	}
}

// lacks says what a forecast lacks, "" for nothing.
func (h *history) lacks() string {
	seen := h.seen[len(h.seen)-1]
	switch {
	case len(h.stretches) < minStretches:
		return fmt.Sprintf("between the readings there are %d stretches without a rise or a jump, and it takes %d", len(h.stretches), minStretches)
	case seen < minSeen:
		return fmt.Sprintf("the readings show %s of spending, and it takes %s", seen.Round(time.Second), minSeen)
	default:
		return ""
	}
}

// until is what was spent, and how long spending was seen, up to a moment. Within a
// stretch it is spread evenly.
func (h *history) until(moment time.Duration) (*big.Int, time.Duration) {
	i, _ := slices.BinarySearchFunc(h.stretches, moment, func(s stretch, moment time.Duration) int { return cmp.Compare(s.to, moment) })
	spent, seen := h.spent[i], h.seen[i]
	if i == len(h.stretches) || moment <= h.stretches[i].from {
		return spent, seen
	}
	s := h.stretches[i]
	part := new(big.Int).Mul(s.spent, big.NewInt(int64(moment-s.from)))
	part.Quo(part, big.NewInt(int64(s.to-s.from)))
	return part.Add(part, spent), seen + moment - s.from
}

// within is what was spent, and how long spending was seen, in a span of time.
func (h *history) within(from, to time.Duration) (*big.Int, time.Duration) {
	spent, seen := h.until(to)
	spentBefore, seenBefore := h.until(from)
	return new(big.Int).Sub(spent, spentBefore), seen - seenBefore
}

// perHour is a rate; nil where nothing was seen.
func perHour(spent *big.Int, seen time.Duration) *big.Int {
	if seen <= 0 {
		return nil
	}
	rate := new(big.Int).Mul(spent, big.NewInt(int64(time.Hour)))
	return divideUp(rate, big.NewInt(int64(seen)))
}

// divideUp divides into a, which is not negative. Rates are rounded up, because with a trifle
// less than a day really takes, what is gone in the evening would last until morning.
func divideUp(a, b *big.Int) *big.Int {
	rest := new(big.Int)
	if a.QuoRem(a, b, rest); rest.Sign() > 0 {
		a.Add(a, big.NewInt(1))
	}
	return a
}
