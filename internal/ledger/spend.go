package ledger

import "time"

// Caps bound what may be spent in a day and in a month. Zero is no cap.
type Caps struct {
	Daily   Amount
	Monthly Amount
}

// Validate says what is wrong with caps, as an InvalidRequest error.
func (c Caps) Validate() error {
	if c.Daily < 0 || c.Monthly < 0 {
		return Errorf(InvalidRequest, "a spend cap must not be negative").WithHint("0 is no cap")
	}
	return nil
}

// Day is a calendar day, written as the number 20261122.
type Day int32

// DayOf is the day that it is at a time in a zone; a nil zone is UTC.
func DayOf(at time.Time, zone *time.Location) Day {
	if zone == nil {
		zone = time.UTC
	}
	year, month, day := at.In(zone).Date()
	return Day(year*10000 + int(month)*100 + day)
}

// month is the day's month, written as the number 202611.
func (d Day) month() int32 { return int32(d) / 100 }

// Spent counts what was spent on the last day on which anything was, and in its month.
type Spent struct {
	Day     Day // 0 where nothing was spent yet
	Today   Amount
	InMonth Amount
}

// On is the count as it stands on a day: a new day, or month, starts from
// nothing. A day before the count's own, as a change of time zone can bring,
// goes on counting: a cap is never refreshed by looking back.
func (s Spent) On(day Day) Spent {
	if day <= s.Day {
		return s
	}
	if day.month() != s.Day.month() {
		s.InMonth = 0
	}
	s.Day, s.Today = day, 0
	return s
}

// spend adds to the count. It stops at MaxAmount, which no cap can exceed.
func (s Spent) spend(amount Amount) Spent {
	s.Today, s.InMonth = addUpTo(s.Today, amount), addUpTo(s.InMonth, amount)
	return s
}

func addUpTo(a, b Amount) Amount {
	if sum, err := a.Add(b); err == nil {
		return sum
	}
	return MaxAmount
}

// giveBack takes what was counted on a day off again, where that day, or its
// month, is still the one that is counted.
func (s Spent) giveBack(amount Amount, spentOn Day) Spent {
	if spentOn == s.Day {
		s.Today = max(0, s.Today-amount)
	}
	if spentOn.month() == s.Day.month() {
		s.InMonth = max(0, s.InMonth-amount)
	}
	return s
}

// Budget is a spend count with its caps, in the time zone in which its days
// begin. A wallet has one, and a key that has caps.
type Budget struct {
	Caps
	Spent
	Zone *time.Location // nil is UTC
}

// NoCap stands for what is left under a cap that is not set.
const NoCap Amount = -1

// CapLeft is what may still be spent, NoCap where there is no cap.
type CapLeft struct {
	Daily   Amount
	Monthly Amount
}

// noCapLeft is the CapLeft of what has no caps.
var noCapLeft = CapLeft{NoCap, NoCap}

// Left is what may still be spent under the caps.
func (b *Budget) Left() CapLeft {
	left := noCapLeft
	if b.Daily > 0 {
		left.Daily = max(0, b.Daily-b.Today)
	}
	if b.Monthly > 0 {
		left.Monthly = max(0, b.Monthly-b.InMonth)
	}
	return left
}

// Covers tells whether an amount may still be spent.
func (l CapLeft) Covers(amount Amount) bool {
	return (l.Daily == NoCap || amount <= l.Daily) && (l.Monthly == NoCap || amount <= l.Monthly)
}

// Tighter is the smaller of what two sets of caps leave.
func (l CapLeft) Tighter(o CapLeft) CapLeft {
	return CapLeft{tighter(l.Daily, o.Daily), tighter(l.Monthly, o.Monthly)}
}

func tighter(a, b Amount) Amount {
	switch {
	case a == NoCap:
		return b
	case b == NoCap:
		return a
	default:
		return min(a, b)
	}
}
