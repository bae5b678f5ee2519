package forecast

import (
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

// balanceAt is an amount at some minutes after the beginning.
func balanceAt(minute int, amount string) Reading {
	return Reading{monday.Add(time.Duration(minute) * time.Minute), decimal.RequireFromString(amount)}
}

// evenly are amounts at the same distance, in minutes.
func evenly(every int, amounts ...string) []Reading {
	readings := make([]Reading, len(amounts))
	for i, amount := range amounts {
		readings[i] = balanceAt(i*every, amount)
	}
	return readings
}

// falling spends the same each hour, with a reading every ten minutes.
func falling(start, perHour int64, hours int) []Reading {
	var readings []Reading
	for minute := 0; minute <= hours*60; minute += 10 {
		left := decimal.New(start*60-perHour*int64(minute), 0).DivRound(decimal.New(60, 0), 6)
		readings = append(readings, Reading{monday.Add(time.Duration(minute) * time.Minute), left})
	}
	return readings
}

func TestForecastWords(t *testing.T) {
	hour := func(n int) time.Time { return monday.Add(time.Duration(n) * time.Hour) }
	constant := func(hours int) []Reading { return falling(100, 0, hours) }
	thenConstant := func(spending, hours int) []Reading {
		readings := falling(5000, 10, spending)
		last := readings[len(readings)-1]
		for minute := 10; minute <= hours*60; minute += 10 {
			readings = append(readings, Reading{last.Time.Add(time.Duration(minute) * time.Minute), last.Amount})
		}
		return readings
	}
	tests := []struct {
		name      string
		readings  []Reading
		now       time.Time
		threshold string
		outlook   Outlook
		reason    string // a part of it
		spend     string
		at        time.Time
	}{
		{"nothing", nil, hour(1), "0", OutlookUnknown, "no readings", "0", time.Time{}},
		{"nothing yet", falling(100, 10, 3), monday.Add(-time.Hour), "0", OutlookUnknown, "no readings", "0", time.Time{}},
		{"one", evenly(10, "100"), hour(1), "0", OutlookUnknown, "0 stretches", "0", time.Time{}},
		{"two", evenly(60, "100", "99"), hour(1), "0", OutlookUnknown, "1 stretches", "0", time.Time{}},
		{"half an hour", evenly(10, "100", "99", "98", "97"), hour(1), "0", OutlookUnknown, "30m0s of spending", "0", time.Time{}},
		{"nothing but top-ups", evenly(60, "100", "200", "300", "400"), hour(3), "0", OutlookUnknown, "0 stretches", "0", time.Time{}},
		{"old", falling(100, 10, 3), hour(28), "0", OutlookUnknown, "more than a day old", "0", time.Time{}},
		{"an hour", evenly(20, "100", "99", "98", "97"), hour(1), "0", OutlookFalling, "", "3", monday.Add(time.Hour + 97*20*time.Minute)},
		{"above zero", falling(100, 10, 3), hour(3), "40", OutlookFalling, "", "10", hour(6)},
		{"within a second", falling(100, 10, 3), hour(3), "0.001", OutlookFalling, "", "10", hour(10)},
		{"zero", falling(100, 10, 3), hour(3), "0", OutlookFalling, "", "10", hour(10)},
		{"a credit limit", falling(100, 10, 12), hour(12), "-50", OutlookFalling, "", "10", hour(15)},
		{"exactly there", falling(100, 10, 3), hour(3), "70", OutlookReached, "", "10", hour(3)},
		{"below", falling(100, 10, 12), hour(12), "0", OutlookReached, "", "10", hour(12)},
		{"below, and nothing else is known", evenly(10, "4"), hour(1), "5", OutlookReached, "", "0", hour(1)},
		{"below, but long ago", evenly(10, "4"), hour(30), "5", OutlookUnknown, "more than a day old", "0", time.Time{}},
		{"the poller is away", falling(100, 10, 3), hour(8), "0", OutlookFalling, "", "10", hour(10)},
		{"the poller is away for too long", falling(100, 10, 3), hour(12), "0", OutlookFalling, "", "10", hour(12)},
		{"readings of tomorrow", falling(100, 10, 9), hour(3), "0", OutlookFalling, "", "10", hour(10)},
		{"constant", constant(5), hour(5), "0", OutlookIdle, "", "0", time.Time{}},
		{"constant for a week", constant(170), hour(170), "0", OutlookIdle, "", "0", time.Time{}},
		{"constant since three days", thenConstant(80, 72), hour(152), "0", OutlookIdle, "", "0", time.Time{}},
		{"one fall is no pace", evenly(60, "100", "100", "100", "60", "60"), hour(4), "0", OutlookIdle, "", "0", time.Time{}},
		{"for more than a year", falling(1_000_000, 1, 5), hour(5), "0", OutlookIdle, "", "1", time.Time{}},
		{"topped up at each reading but one", evenly(60, "100", "20", "100", "20", "100", "20", "100"), hour(6), "0", OutlookFalling, "", "80", hour(6).Add(75 * time.Minute)},
		{"three days of top-ups are no stall", evenly(24*60, "1000", "900", "800", "700", "600", "800", "1000", "1200"), hour(168), "0", OutlookFalling, "", "4.16667", hour(456)},
		{"a wrong zero", evenly(60, "100", "90", "0", "70", "60", "50"), hour(5), "0", OutlookFalling, "", "10", hour(10)},
		{"a wrong one at the beginning", evenly(60, "9000", "90", "80", "70", "60", "50"), hour(5), "0", OutlookFalling, "", "10", hour(10)},
		{"a fee", evenly(60, "1090", "1080", "70", "60", "50"), hour(4), "0", OutlookFalling, "", "10", hour(9)},
		{"a fee just now", evenly(60, "1090", "1080", "1070", "1060", "50"), hour(4), "0", OutlookFalling, "", "10", hour(9)},
		{"tiny", evenly(60, "0.00000400", "0.00000399", "0.00000398", "0.00000397"), hour(3), "0", OutlookFalling, "", "0.00000001", hour(400)},
		{"huge", evenly(60, "1.2E+30", "1.1E+30", "1E+30", "9E+29"), hour(3), "0", OutlookFalling, "", "1E+29", hour(12)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := Predict(tt.readings, tt.now, decimal.RequireFromString(tt.threshold))
			if f.Outlook != tt.outlook || (f.Reason == "") != (tt.reason == "") || !strings.Contains(f.Reason, tt.reason) {
				t.Errorf("the outlook is %s (%s)", f.Outlook, f.Reason)
			}
			if !f.SpendPerHour.Equal(decimal.RequireFromString(tt.spend)) {
				t.Errorf("%s are spent per hour, not %s", f.SpendPerHour, tt.spend)
			}
			// Amounts of six digits are up to a second off.
			if f.At.Sub(tt.at).Abs() > time.Second || f.At.Nanosecond() != 0 {
				t.Errorf("at %s, not %s", f.At, tt.at)
			}
		})
	}
}

// TestForecastStall looks at a balance that no longer falls, hour by hour.
func TestForecastStall(t *testing.T) {
	readings := falling(1000, 10, 48)
	last := readings[len(readings)-1]
	for hours := range 80 {
		now := last.Time.Add(time.Duration(hours) * time.Hour)
		if hours > 0 {
			readings = append(readings, Reading{now, last.Amount})
		}
		f := Predict(readings, now, decimal.Zero)
		switch {
		case hours < 72 && (f.Outlook != OutlookFalling || !f.At.After(now)):
			t.Errorf("after %d hours: %+v", hours, f)
		case hours >= 72 && (f.Outlook != OutlookIdle || !f.SpendPerHour.IsZero() || !f.RecentPerHour.IsZero() || !f.Earliest.IsZero()):
			t.Errorf("after %d hours: %+v", hours, f)
		}
	}
}

// TestForecastBurst spends ten times as much from some hour on.
func TestForecastBurst(t *testing.T) {
	for _, every := range []int{5, 15, 60} {
		readings := []Reading{}
		left := int64(100_000)
		for minute := 0; minute <= 4*minutesOfDay; minute += every {
			readings = append(readings, Reading{monday.Add(time.Duration(minute) * time.Minute), tenThousandths(left * 100)})
			left -= int64(every)
		}
		before := Predict(readings, readings[len(readings)-1].Time, decimal.Zero)
		if before.Burst || before.SpendPerHour.String() != "0.6" {
			t.Fatalf("every %d minutes, before: %+v", every, before)
		}
		left += int64(every)
		for i := 1; ; i++ {
			left -= 10 * int64(every)
			now := readings[len(readings)-1].Time.Add(time.Duration(every) * time.Minute)
			readings = append(readings, Reading{now, tenThousandths(left * 100)})
			f := Predict(readings, now, decimal.Zero)
			if !f.Burst {
				if late := i * every; late > 120 {
					t.Fatalf("every %d minutes: no burst after %d", every, late)
				}
				continue
			}
			t.Logf("every %d minutes: a burst after %d", every, i*every)
			if !f.At.Before(before.At) || !f.At.Equal(f.Earliest) || !f.Latest.After(f.At) || f.RecentPerHour.LessThan(f.SpendPerHour.Mul(decimal.New(2, 0))) {
				t.Errorf("every %d minutes: %+v", every, f)
			}
			break
		}
	}
}

// TestForecastNight asks in the evening: by the pace of the day the balance
// would not last until morning, but at night little is sent.
func TestForecastNight(t *testing.T) {
	perHour := [24]int64{10: 120, 11: 120, 12: 120, 13: 120, 14: 120, 15: 120, 16: 120, 17: 120}
	var readings []Reading
	left := int64(5000)
	for hour := range 3*24 + 18 {
		readings = append(readings, balanceAt(hour*60, decimal.New(left, 0).String()))
		left -= perHour[hour%24]
	}
	evening := 3*24 + 18
	readings = append(readings, balanceAt(evening*60, decimal.New(left, 0).String()))
	now := readings[len(readings)-1].Time
	f := Predict(readings, now, decimal.New(left-150, 0))
	if want := now.Add(17*time.Hour + 15*time.Minute); f.At.Sub(want).Abs() > time.Second || f.Burst {
		t.Errorf("at %s, not %s: %+v", f.At, want, f)
	}
	// What is a whole day's is gone when that day's spending is over.
	f = Predict(readings, now, decimal.New(left-960, 0))
	if want := now.Add(day); f.At.Sub(want).Abs() > time.Second {
		t.Errorf("at %s, not %s: %+v", f.At, want, f)
	}
	if f.SpendPerHour.String() != "40" {
		t.Errorf("%s are spent per hour", f.SpendPerHour)
	}
}

// TestForecastHourNeverSeen tops up at the same hour each day, so that nobody
// knows what is spent in it.
func TestForecastHourNeverSeen(t *testing.T) {
	var readings []Reading
	left := int64(1000)
	for hour := range 4 * 24 {
		readings = append(readings, balanceAt(hour*60, decimal.New(left, 0).String()))
		if left -= 10; hour%24 == 5 {
			left += 300
		}
	}
	last := readings[len(readings)-1]
	f := Predict(readings, last.Time, last.Amount.Sub(decimal.New(480, 0)))
	if want := last.Time.Add(2 * day); f.At.Sub(want).Abs() > time.Second || f.SpendPerHour.String() != "10" {
		t.Errorf("at %s, not %s: %+v", f.At, want, f)
	}
}

// TestForecastLeavesReadingsAlone is for a caller that goes on with them.
func TestForecastLeavesReadingsAlone(t *testing.T) {
	readings := evenly(60, "70", "100", "80", "90")
	readings[0], readings[3] = readings[3], readings[0]
	Predict(readings, monday.Add(3*time.Hour), decimal.Zero)
	if got := readings[0].Amount.String() + readings[3].Amount.String(); got != "9070" {
		t.Error("the readings have changed")
	}
}

func BenchmarkPredict(b *testing.B) {
	s := (&series{name: "benchmark", every: 5, days: 8, start: 30_000_000, spend: week, disturb: mess}).make()
	readings := s.readings[len(s.readings)-2000:]
	now := monday.Add(8 * day)
	b.ReportAllocs()
	for b.Loop() {
		if f := Predict(readings, now, decimal.Zero); f.Outlook != OutlookFalling {
			b.Fatal(f)
		}
	}
}
