package forecast

import (
	"math/big"
	"slices"
	"time"
)

const (
	// minDays is how many days it takes to know how a day goes.
	minDays = 2
	// minDaySeen is how much of a day must have been seen for it to count.
	minDaySeen = 18 * time.Hour
	// stall is how long nothing is spent until nothing is expected. A weekend
	// without traffic must not hide that the balance does not last through Monday.
	stall = 3 * day
	// minTrimmed is how many days it takes to do without the fastest and the slowest.
	minTrimmed = 3
	// How many times the usual must be spent beyond it for a burst. As long as nobody
	// knows how a day goes, each morning looks like one.
	burstBeyond        = 1
	burstBeyondUnknown = 3
)

// dayRate is the spend per hour of a day, and what it counts among the others.
type dayRate struct {
	perHour *big.Int
	weight  int64
}

// tempo finds how fast the balance is spent. There must be enough to tell.
func (h *history) tempo() *tempo {
	t := &tempo{usual: new(big.Int), recent: new(big.Int), excess: new(big.Int)}
	for i := range t.shape {
		t.shape[i] = whole
	}
	t.slowest, t.fastest = t.usual, t.usual
	if h.stalled() {
		return t
	}
	rates, beyond := h.days(), int64(burstBeyond)
	if len(rates) >= minDays {
		t.usual, t.shape = typicalDay(rates), h.shape()
	} else {
		beyond = burstBeyondUnknown
		t.usual = perHour(h.within(h.start, 0))
		rates = h.thirds()
	}
	bySpeed := func(a, b dayRate) int { return a.perHour.Cmp(b.perHour) }
	t.slowest, t.fastest = slices.MinFunc(rates, bySpeed).perHour, slices.MaxFunc(rates, bySpeed).perHour
	h.compareRecent(t, beyond)
	return t
}

// stalled tells whether nothing was spent for long.
func (h *history) stalled() bool {
	if h.start > -stall {
		return false // and if nothing was ever spent, the usual is nothing anyway
	}
	spent, seen := h.within(-stall, 0)
	return spent.Sign() == 0 && seen >= stall-day // top-ups hide spending, which is no sign that there is none
}

// days are the rates of the days before the last reading, as far as they were
// seen. The last one counts seven times as much as that of a week ago.
func (h *history) days() []dayRate {
	var rates []dayRate
	for ago := range int64(historyDays) {
		end := -time.Duration(ago) * day
		if spent, seen := h.within(end-day, end); seen >= minDaySeen {
			rates = append(rates, dayRate{perHour(spent, seen), historyDays - ago})
		}
	}
	return rates
}

// thirds are the rates of the thirds of a history that is too short for days.
func (h *history) thirds() []dayRate {
	var rates []dayRate
	for i := range 3 {
		from, to := h.start*time.Duration(i+1)/3, h.start*time.Duration(i)/3
		if spent, seen := h.within(from, to); seen > 0 {
			rates = append(rates, dayRate{perHour(spent, seen), 1})
		}
	}
	return rates
}

// typicalDay is the weighted mean of the days, without the fastest and the slowest
// where there are enough. A median would say that nothing is spent where there is a
// campaign on three days of seven.
func typicalDay(rates []dayRate) *big.Int {
	rates = slices.Clone(rates)
	slices.SortStableFunc(rates, func(a, b dayRate) int { return a.perHour.Cmp(b.perHour) })
	if len(rates) >= minTrimmed {
		rates = rates[1 : len(rates)-1]
	}
	sum, weights := new(big.Int), int64(0)
	for _, r := range rates {
		sum.Add(sum, new(big.Int).Mul(r.perHour, big.NewInt(r.weight)))
		weights += r.weight
	}
	return divideUp(sum, big.NewInt(weights))
}

// shape is how the days of the history went on average, hour by hour. How much
// is spent in a day is not taken from it, so that one strange hour does not change that.
func (h *history) shape() shape {
	var result shape
	sum, known := new(big.Int), int64(0)
	for hour := range result {
		spent, seen := new(big.Int), time.Duration(0)
		for ago := range historyDays {
			from := -time.Duration(ago+1)*day + time.Duration(hour)*time.Hour
			s, d := h.within(from, from+time.Hour)
			spent.Add(spent, s)
			seen += d
		}
		if result[hour] = perHour(spent, seen); result[hour] != nil {
			sum.Add(sum, result[hour])
			known++
		}
	}
	for hour, rate := range result {
		// An hour that was never seen is like the mean of the others, and so is
		// each where nothing is spent at all.
		if rate == nil || sum.Sign() == 0 {
			result[hour] = whole
			continue
		}
		part := new(big.Int).Mul(rate, whole)
		part.Mul(part, big.NewInt(known))
		result[hour] = divideUp(part, sum)
	}
	return result
}

// compareRecent compares what was spent in the short window with what is usual at
// the same hours, so that a noon after a night is no burst.
func (h *history) compareRecent(t *tempo, beyond int64) {
	recent, from, ok := h.recent()
	if !ok {
		t.recent = t.usual
		return
	}
	expected := average(t.shape.hours(t.usual, new(big.Int)), from)
	t.recent = recent
	if t.excess.Sub(recent, expected); t.excess.Sign() < 0 {
		t.excess.SetInt64(0)
	}
	// Twice what is expected at night is little: the excess must matter over a day as well.
	bar := new(big.Int).Mul(big.NewInt(beyond), maxInt(expected, t.usual))
	t.burst = t.excess.Sign() > 0 && t.excess.Cmp(bar) >= 0
}

// recent is the rate of the short window and where it begins: the last hour, and
// as much before it as it takes to see some falls; false where a day does not have them.
func (h *history) recent() (rate *big.Int, from time.Duration, ok bool) {
	falls := 0
	for i, s := range slices.Backward(h.stretches) {
		if s.from < -day {
			break
		}
		falls += s.spent.Sign()
		if falls < minFalls || s.from > -time.Hour {
			continue
		}
		spent, seen := new(big.Int), time.Duration(0)
		for _, s := range withoutJump(h.stretches[i:], h.typical) {
			spent.Add(spent, s.spent)
			seen += s.to - s.from
		}
		return perHour(spent, seen), s.from, true
	}
	return nil, 0, false
}

// average is the rate at which a typical day spends between a moment within the
// last day and the last reading.
func average(hours *[24]*big.Int, from time.Duration) *big.Int {
	sum := new(big.Int)
	for ago := range hours {
		end := -time.Duration(ago) * time.Hour
		length := min(time.Hour, end-from)
		if length <= 0 {
			break
		}
		// The hour before the last reading is, by the time of day, the last of those to come.
		hour := hours[len(hours)-1-ago]
		sum.Add(sum, new(big.Int).Mul(hour, big.NewInt(int64(length))))
	}
	return divideUp(sum, big.NewInt(int64(-from)))
}

func maxInt(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}
