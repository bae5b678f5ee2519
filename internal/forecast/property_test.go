package forecast

import (
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// spender is an account that always spends at the same rate.
type spender struct {
	readings []Reading
	perHour  decimal.Decimal
	most     decimal.Decimal // that is spent between two readings
}

func (s *spender) last() Reading { return s.readings[len(s.readings)-1] }

// anySpender draws a rate, a distance of readings, and how unpunctual the poller is.
func anySpender(t *rapid.T) *spender {
	mantissa := rapid.Int64Range(1, 9999).Draw(t, "mantissa")
	exponent := rapid.Int32Range(-12, 12).Draw(t, "exponent")
	every := rapid.Int64Range(60, 7200).Draw(t, "every")
	jitter := every * rapid.Int64Range(0, 20).Draw(t, "jitter") / 100
	count := rapid.Int64Range(max(24, 2*7200/every), 320).Draw(t, "count")
	start := rapid.Int64Range(-1e17, 1e17).Draw(t, "start")
	begin := monday.Add(time.Duration(rapid.Int64Range(0, 1e17).Draw(t, "begin")))
	s := &spender{
		perHour: decimal.New(mantissa, exponent),
		most:    decimal.New(mantissa*1e6*(every+2*jitter)/3600+1, exponent-6),
	}
	offsets := rapid.SliceOfN(rapid.Int64Range(-jitter, jitter), int(count), int(count)).Draw(t, "offsets")
	for i, offset := range offsets {
		second := int64(i+1)*every + offset
		s.readings = append(s.readings, Reading{
			begin.Add(time.Duration(second) * time.Second),
			decimal.New(start-mantissa*1e6*second/3600, exponent-6),
		})
	}
	return s
}

// anySeries draws what makes no sense at all, in any order.
func anySeries(t *rapid.T) []Reading {
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Reading {
		minutes := rapid.OneOf(rapid.IntRange(0, 3), rapid.Just(10), rapid.IntRange(0, 2000)).Draw(t, "minutes")
		change := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-20, 1), rapid.Int64Range(-1e6, 1e6)).Draw(t, "change")
		return Reading{monday.Add(time.Duration(minutes) * time.Minute), decimal.New(change, rapid.Int32Range(-3, 2).Draw(t, "exponent"))}
	}), 0, 120).Draw(t, "steps")
	at, amount := monday, decimal.New(rapid.Int64Range(-1e6, 1e7).Draw(t, "start"), 0)
	readings := make([]Reading, len(steps))
	for i, step := range steps {
		at, amount = at.Add(step.Time.Sub(monday)), amount.Add(step.Amount)
		readings[i] = Reading{at, amount}
	}
	return readings
}

func anyThreshold(t *rapid.T) decimal.Decimal {
	return decimal.New(rapid.Int64Range(-1e7, 1e6).Draw(t, "threshold"), -1)
}

func newest(readings []Reading) time.Time {
	at := monday
	for _, r := range readings {
		if r.Time.After(at) {
			at = r.Time
		}
	}
	return at
}

// near fails unless a rate is the right one but for some per mille.
func near(t *rapid.T, got, want decimal.Decimal, perMille int64) {
	t.Helper()
	if off := got.Sub(want).Abs().Shift(3); off.GreaterThan(want.Mul(decimal.New(perMille, 0))) {
		t.Fatalf("%s per hour is more than %d per mille from %s", got, perMille, want)
	}
}

// same fails unless two forecasts are, their moments but for some seconds.
func same(t *rapid.T, got, want Forecast, seconds int) {
	t.Helper()
	off := max(got.At.Sub(want.At).Abs(), got.Earliest.Sub(want.Earliest).Abs(), got.Latest.Sub(want.Latest).Abs())
	if got.Outlook != want.Outlook || got.Reason != want.Reason || got.Burst != want.Burst || off > time.Duration(seconds)*time.Second {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
	near(t, got.SpendPerHour.Shift(3), want.SpendPerHour.Shift(3), 1)
	near(t, got.RecentPerHour.Shift(3), want.RecentPerHour.Shift(3), 1)
}

func TestForecastSteadyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpender(t)
		hours := rapid.Int64Range(1, 8000).Draw(t, "hours")
		f := Predict(s.readings, s.last().Time, s.last().Amount.Sub(s.perHour.Mul(decimal.New(hours, 0))))
		near(t, f.SpendPerHour, s.perHour, 1)
		near(t, f.RecentPerHour, s.perHour, 2)
		if f.Outlook != OutlookFalling || f.Burst {
			t.Fatalf("%+v", f)
		}
		right := s.last().Time.Add(time.Duration(hours) * time.Hour)
		bound := time.Duration(hours)*time.Hour/1000 + time.Second
		for _, at := range []time.Time{f.At, f.Earliest, f.Latest} {
			if at.Sub(right).Abs() > 2*bound {
				t.Fatalf("%s is not %s: %+v", at, right, f)
			}
		}
	})
}

func TestForecastLeavesTopUpsOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpender(t)
		for range rapid.IntRange(1, 3).Draw(t, "top-ups") {
			from := rapid.IntRange(1, len(s.readings)-1).Draw(t, "from")
			much := s.most.Mul(decimal.New(rapid.Int64Range(30, 1e6).Draw(t, "times"), -1))
			for i := from; i < len(s.readings); i++ {
				s.readings[i].Amount = s.readings[i].Amount.Add(much)
			}
		}
		f := Predict(s.readings, s.last().Time, s.last().Amount.Sub(s.perHour.Shift(2)))
		near(t, f.SpendPerHour, s.perHour, 1)
		near(t, f.RecentPerHour, s.perHour, 2)
		if right := s.last().Time.Add(100 * time.Hour); f.At.Sub(right).Abs() > 15*time.Minute {
			t.Fatalf("%s is not %s: %+v", f.At, right, f)
		}
	})
}

// One wrong reading can pass for spending if it is hardly wrong. It costs at most
// as much as it brings into one of the stretches of a day.
func TestForecastIsRobust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpender(t)
		wrong := rapid.IntRange(0, len(s.readings)-1).Draw(t, "wrong")
		much := s.most.Mul(decimal.New(rapid.OneOf(rapid.Int64Range(-100, 100), rapid.Int64Range(-1e9, 1e9)).Draw(t, "times"), -1))
		s.readings[wrong].Amount = s.readings[wrong].Amount.Add(much)
		f := Predict(s.readings, s.last().Time, s.last().Amount.Sub(s.perHour.Shift(2)))
		near(t, f.SpendPerHour, s.perHour, 250)
	})
}

func TestForecastBridgesGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySpender(t)
		for range rapid.IntRange(1, 4).Draw(t, "gaps") {
			most := len(s.readings) - 8
			from := rapid.IntRange(1, most).Draw(t, "from")
			s.readings = slices.Delete(s.readings, from, from+rapid.IntRange(0, min(most-from, len(s.readings)/3)).Draw(t, "length"))
			if len(s.readings) < 12 {
				break
			}
		}
		f := Predict(s.readings, s.last().Time, s.last().Amount.Sub(s.perHour.Shift(2)))
		near(t, f.SpendPerHour, s.perHour, 1)
		near(t, f.RecentPerHour, s.perHour, 2)
	})
}

// A poller that is away for an hour or a night, now and then, does not take the rhythm away.
func TestForecastKnowsTheRhythmDespiteGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.IntRange(5, 45).Draw(t, "every")
		begin := rapid.IntRange(0, minutesOfDay).Draw(t, "begin")
		minutes := rapid.IntRange(3, 9).Draw(t, "days")*minutesOfDay + rapid.IntRange(0, minutesOfDay).Draw(t, "more")
		left := int64(0)
		var readings []Reading
		for minute := range minutes + 1 {
			if minute%every == 0 || minute == minutes {
				readings = append(readings, Reading{monday.Add(time.Duration(minute) * time.Minute), decimal.New(left, 0)})
			}
			left -= int64(office[(begin+minute)/60%24])
		}
		for range rapid.IntRange(0, 3).Draw(t, "gaps") {
			from := monday.Add(time.Duration(rapid.IntRange(0, minutes).Draw(t, "from")) * time.Minute)
			to := from.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "length")) * time.Minute)
			end := readings[len(readings)-1]
			readings = append(slices.DeleteFunc(readings, func(r Reading) bool {
				return r.Time.After(from) && r.Time.Before(to)
			}), end)
		}
		total := int64(0)
		for _, n := range office {
			total += 60 * int64(n)
		}
		end := readings[len(readings)-1]
		goal := rapid.Int64Range(total/2, total*3).Draw(t, "goal")
		f := Predict(readings, end.Time, end.Amount.Sub(decimal.New(goal, 0)))
		if f.Outlook != OutlookFalling {
			t.Fatalf("%+v", f)
		}
		// At night one is early by hours and wrong by little, so what counts is what is really spent by then.
		spent := int64(0)
		for minute := minutes; minute < minutes+int(f.At.Sub(end.Time)/time.Minute); minute++ {
			spent += int64(office[(begin+minute)/60%24])
		}
		if off := max(spent-goal, goal-spent); off > total*15/100 {
			t.Fatalf("%d of a day's %d off: %+v", off, total, f)
		}
		near(t, f.SpendPerHour, decimal.New(total, 0).DivRound(decimal.New(24, 0), 6), 150)
	})
}

func TestForecastScales(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings, threshold := anySeries(t), anyThreshold(t)
		k := rapid.Int32Range(-20, 20).Draw(t, "k")
		now := newest(readings)
		want := Predict(readings, now, threshold)
		want.SpendPerHour, want.RecentPerHour = want.SpendPerHour.Shift(k), want.RecentPerHour.Shift(k)
		scaled := slices.Clone(readings)
		for i := range scaled {
			scaled[i].Amount = scaled[i].Amount.Shift(k)
		}
		same(t, Predict(scaled, now, threshold.Shift(k)), want, 0)
		// The same amounts can be written with more digits.
		for i := range scaled {
			scaled[i].Amount = scaled[i].Amount.Add(decimal.New(0, -30))
		}
		same(t, Predict(scaled, now, threshold.Shift(k)), want, 1)
	})
}

func TestForecastMovesWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings, threshold := anySeries(t), anyThreshold(t)
		by := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "by"))
		now := newest(readings).Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "age")))
		want := Predict(readings, now, threshold)
		for _, at := range []*time.Time{&want.At, &want.Earliest, &want.Latest} {
			if !at.IsZero() {
				*at = at.Add(by)
			}
		}
		moved := slices.Clone(readings)
		for i := range moved {
			moved[i].Time = moved[i].Time.Add(by)
		}
		same(t, Predict(moved, now.Add(by), threshold), want, 0)
	})
}

func TestForecastIgnoresOrderAndDoubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings, threshold := anySeries(t), anyThreshold(t)
		now := newest(readings)
		want := Predict(readings, now, threshold)
		if len(readings) > 0 {
			readings = append(readings, rapid.SliceOf(rapid.SampledFrom(readings)).Draw(t, "doubles")...)
		}
		same(t, Predict(rapid.Permutation(readings).Draw(t, "order"), now, threshold), want, 0)
	})
}

// notLater is sooner or at the same time, where the zero time is never.
func notLater(a, b time.Time) bool {
	return b.IsZero() || !a.IsZero() && !a.After(b)
}

// With a lower balance, or a higher threshold, and the same spending nothing comes later.
func TestForecastIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings, threshold := anySeries(t), anyThreshold(t)
		now := newest(readings)
		high := Predict(readings, now, threshold)
		less := decimal.New(rapid.Int64Range(0, 1e6).Draw(t, "less"), -2)
		lower := slices.Clone(readings)
		for i := range lower {
			lower[i].Amount = lower[i].Amount.Sub(less)
		}
		low := Predict(lower, now, threshold)
		if high.Outlook == OutlookUnknown || low.Outlook == OutlookUnknown {
			return // of one that is below the threshold more is known
		}
		if !notLater(low.At, high.At) || !notLater(low.Earliest, high.Earliest) || !notLater(low.Latest, high.Latest) {
			t.Fatalf("low  %+v\nhigh %+v", low, high)
		}
		same(t, Predict(readings, now, threshold.Add(less)), low, 1)
	})
}

// Whatever comes in, what comes out makes sense.
func TestForecastMakesSense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		readings, threshold := anySeries(t), anyThreshold(t)
		now := newest(readings).Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "age")))
		f := Predict(readings, now, threshold)
		known := f.Outlook == OutlookReached || f.Outlook == OutlookFalling
		switch {
		case known == f.At.IsZero(),
			(f.Outlook == OutlookUnknown) != (f.Reason != ""),
			f.SpendPerHour.IsNegative() || f.RecentPerHour.IsNegative(),
			!f.At.IsZero() && f.At.Before(now),
			!notLater(f.Earliest, f.At) || !notLater(f.At, f.Latest) || !f.Latest.IsZero() && f.At.IsZero(),
			f.SpendPerHour.NumDigits() > rateDigits || f.RecentPerHour.NumDigits() > rateDigits:
			t.Fatalf("%+v", f)
		}
	})
}
