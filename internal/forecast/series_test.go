package forecast

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// monday is when all made series begin.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

const (
	minutesOfDay = 24 * 60
	// beyond is how many days a made series is known for after its last reading.
	beyond = 8
)

// series is how a series of readings is made. Amounts are ten-thousandths.
type series struct {
	name      string
	every     int // minutes between two readings
	days      int
	start     int64
	threshold decimal.Decimal
	spend     func(minute int, random *rand.Rand) int64 // in one minute
	topUps    map[int]int64                             // by the minute
	disturb   func(readings []Reading, random *rand.Rand) []Reading

	readings []Reading // what was seen
	balance  []int64   // by the minute, what was really there
	spent    []int64   // by the minute, without the top-ups
}

func tenThousandths(count int64) decimal.Decimal { return decimal.New(count, -4) }

// make makes a series, the same one each time.
func (s *series) make() *series {
	random := rand.New(rand.NewPCG(15, uint64(len(s.name))))
	balance, spent := s.start, int64(0)
	for minute := range (s.days + beyond) * minutesOfDay {
		balance += s.topUps[minute]
		s.balance = append(s.balance, balance)
		s.spent = append(s.spent, spent)
		step := s.spend(minute, random)
		balance -= step
		spent += step
	}
	for minute := 0; minute <= s.days*minutesOfDay; minute += s.every {
		// A poller is never on the second, and the amount is as old as the provider likes.
		at := monday.Add(time.Duration(minute)*time.Minute + time.Duration(random.IntN(40))*time.Second)
		s.readings = append(s.readings, Reading{at, tenThousandths(s.balance[minute])})
	}
	if s.disturb != nil {
		s.readings = s.disturb(s.readings, random)
	}
	return s
}

// until are the readings that were there at a minute.
func (s *series) until(minute int) []Reading {
	now := monday.Add(time.Duration(minute) * time.Minute)
	return slices.DeleteFunc(slices.Clone(s.readings), func(r Reading) bool { return r.Time.After(now) })
}

// office is how many messages a day of work brings, hour by hour.
var office = [24]int{0, 0, 0, 0, 0, 1, 3, 8, 16, 22, 24, 22, 16, 18, 22, 23, 21, 17, 12, 9, 7, 4, 2, 1}

// messages is what some messages of a price cost, whose number is spread around a mean of so many an hour.
func messages(random *rand.Rand, anHour int, price int64) int64 {
	count := int64(0)
	for range 4 {
		if random.IntN(240) < anHour {
			count++
		}
	}
	return count * price
}

func steady(int, *rand.Rand) int64 { return 2083 } // 12.498 an hour

func rhythm(minute int, random *rand.Rand) int64 {
	return messages(random, office[minute/60%24], 6500)
}

// week is a rhythm with a weekend.
func week(minute int, random *rand.Rand) int64 {
	if minute/minutesOfDay%7 >= 5 {
		return rhythm(minute, random) / 4
	}
	return rhythm(minute, random)
}

// allSeries are the made series.
func allSeries() []*series {
	all := []*series{
		{name: "steady", every: 30, days: 8, start: 30_000_000, spend: steady},
		{name: "rhythm", every: 30, days: 8, start: 20_000_000, spend: rhythm},
		{name: "weekend", every: 60, days: 12, start: 30_000_000, spend: week},
		{name: "burst", every: 15, days: 5, start: 20_000_000, spend: func(minute int, random *rand.Rand) int64 {
			// Somebody makes the account send codes to numbers of their own, at night.
			if minute >= 3*minutesOfDay+2*60 && minute < 3*minutesOfDay+9*60 {
				return rhythm(minute, random) + messages(random, 180, 6500)
			}
			return rhythm(minute, random)
		}},
		{name: "top-ups", every: 30, days: 8, start: 1_500_000, spend: rhythm, topUps: map[int]int64{
			1500: 2_000_000, 3111: 500_000, 4500: 2_000_000, 4515: 1_000_000, 7000: 2_000_000, 9003: 2_000_000, 11000: 1_000_000,
		}},
		{name: "stall", every: 30, days: 9, start: 9_000_000, spend: func(minute int, random *rand.Rand) int64 {
			if minute >= 5*minutesOfDay+11*60 {
				return 0
			}
			return rhythm(minute, random)
		}},
		{name: "campaigns", every: 15, days: 8, start: 90_000_000, spend: func(minute int, random *rand.Rand) int64 {
			// One for each day, at an hour of its own, for an hour and a half.
			begin := minute/minutesOfDay*minutesOfDay + 60*[]int{9, 14, 10, 16, 9, 20, 11}[minute/minutesOfDay%7]
			if minute >= begin && minute < begin+90 {
				return 30_000 + int64(random.IntN(20_000))
			}
			return messages(random, 2, 6500)
		}},
		{name: "few-dong", every: 20, days: 8, start: 3_669_300_000, spend: func(_ int, random *rand.Rand) int64 {
			return messages(random, 2, 8_500_000)
		}},
		{name: "credit", every: 60, days: 8, start: 1_000_000, threshold: decimal.New(-500, 0), spend: rhythm},
		{name: "growth", every: 30, days: 9, start: 90_000_000, spend: func(minute int, random *rand.Rand) int64 {
			// From the fifth day on there is a fifth more with each day.
			return rhythm(minute, random) * int64(5+max(0, minute/minutesOfDay-3)) / 5
		}},
		{name: "messy", every: 10, days: 8, start: 9_000_000, spend: week, topUps: map[int]int64{2950: 4_000_000, 9500: 5_000_000}, disturb: mess},
	}
	for _, s := range all {
		s.make()
	}
	return all
}

// mess does to readings what providers and pollers do.
func mess(readings []Reading, random *rand.Rand) []Reading {
	refund, correction := int64(0), int64(0)
	var seen []Reading
	for i, r := range readings {
		minute := int(r.Time.Sub(monday) / time.Minute)
		if random.IntN(40) == 0 {
			refund += 6500 // a message was not delivered
		}
		if minute == 5000 {
			correction = 900_000 // the month's fee
		}
		r.Amount = r.Amount.Add(tenThousandths(refund - correction))
		away := minute > 1320 && minute < 1900 || minute > 6000 && minute < 6070 || minute > 8000 && minute < 8100
		switch {
		case away:
			continue
		case i == 77 || i == 400 || i == 401 || i == 900:
			r.Amount = decimal.Zero
		case i == 600:
			r.Amount = r.Amount.Shift(1) // a digit too many
		}
		seen = append(seen, r)
		if random.IntN(30) == 0 {
			seen = append(seen, r)
		}
	}
	for range 60 { // a late one here and there
		i := random.IntN(len(seen) - 1)
		seen[i], seen[i+1] = seen[i+1], seen[i]
	}
	return seen
}
