package ledger_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestCapsValidate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		caps ledger.Caps
		part string
	}{
		{ledger.Caps{}, ""},
		{ledger.Caps{Daily: 1}, ""},
		{ledger.Caps{Monthly: 1}, ""},
		{ledger.Caps{Daily: ledger.MaxAmount, Monthly: ledger.MaxAmount}, ""},
		{ledger.Caps{Daily: -1}, "a spend cap must not be negative (0 is no cap)"},
		{ledger.Caps{Monthly: -1}, "a spend cap must not be negative (0 is no cap)"},
		{ledger.Caps{Daily: 5, Monthly: -1}, "a spend cap must not be negative"},
		{ledger.Caps{Daily: -1, Monthly: 5}, "a spend cap must not be negative"},
	} {
		t.Run(fmt.Sprint(tt.caps), func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, tt.caps.Validate(), tt.part)
		})
	}
}

// The day begins where the account is, on the days of the year that are longer
// or shorter, too.
func TestDayOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at   string
		zone string
		want ledger.Day
	}{
		{"2026-11-22T00:00:00Z", "", 20261122},
		{"2026-11-21T23:59:59.999999Z", "", 20261121},
		{"2026-01-09T12:00:00Z", "", 20260109},
		{"2024-02-29T23:59:59Z", "", 20240229},
		{"2026-12-31T23:59:59.999999Z", "UTC", 20261231},
		{"2027-01-01T00:00:00Z", "UTC", 20270101},
		{"2026-11-21T17:00:00Z", "Asia/Ho_Chi_Minh", 20261122},
		{"2026-11-21T16:59:59.999999Z", "Asia/Ho_Chi_Minh", 20261121},
		{"2026-12-31T17:00:00Z", "Asia/Ho_Chi_Minh", 20270101},
		{"2026-12-31T10:00:00Z", "Pacific/Kiritimati", 20270101},
		{"2026-12-31T09:59:59Z", "Pacific/Kiritimati", 20261231},
		{"2027-01-01T10:59:59Z", "Pacific/Pago_Pago", 20261231},
		{"2027-01-01T11:00:00Z", "Pacific/Pago_Pago", 20270101},
		// The day on which the clock is put forward has 23 hours, so midnight moves.
		{"2026-03-28T22:59:59Z", "Europe/Berlin", 20260328},
		{"2026-03-28T23:00:00Z", "Europe/Berlin", 20260329},
		{"2026-03-29T21:59:59Z", "Europe/Berlin", 20260329},
		{"2026-03-29T22:00:00Z", "Europe/Berlin", 20260330},
		// The day on which it is put back has 25.
		{"2026-10-24T21:59:59Z", "Europe/Berlin", 20261024},
		{"2026-10-24T22:00:00Z", "Europe/Berlin", 20261025},
		{"2026-10-25T22:59:59Z", "Europe/Berlin", 20261025},
		{"2026-10-25T23:00:00Z", "Europe/Berlin", 20261026},
		// Midnight itself was left out there: the day began at one.
		{"2018-11-04T02:59:59Z", "America/Sao_Paulo", 20181103},
		{"2018-11-04T03:00:00Z", "America/Sao_Paulo", 20181104},
		// Samoa went over the date line and had no 30th of December.
		{"2011-12-30T09:59:59Z", "Pacific/Apia", 20111229},
		{"2011-12-30T10:00:00Z", "Pacific/Apia", 20111231},
	} {
		at, err := time.Parse(time.RFC3339Nano, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := ledger.DayOf(at, zone(t, tt.zone)); got != tt.want {
			t.Errorf("at %s it is %d in %q, want %d", tt.at, got, tt.zone, tt.want)
		}
		// It is the time that counts, not the zone in which it is told.
		if got := ledger.DayOf(at.In(zone(t, "Pacific/Pago_Pago")), zone(t, tt.zone)); got != tt.want {
			t.Errorf("told elsewhere, at %s it is %d in %q, want %d", tt.at, got, tt.zone, tt.want)
		}
		if tt.zone == "" {
			if got := ledger.DayOf(at.In(zone(t, "Pacific/Kiritimati")), nil); got != tt.want {
				t.Errorf("at %s it is %d without a zone, want %d", tt.at, got, tt.want)
			}
		}
	}
}

func TestSpentOn(t *testing.T) {
	t.Parallel()
	type spent = ledger.Spent
	for _, tt := range []struct {
		name   string
		before spent
		day    ledger.Day
		want   spent
	}{
		{"the same day", spent{20261122, 5, 9}, 20261122, spent{20261122, 5, 9}},
		{"the next day", spent{20261122, 5, 9}, 20261123, spent{20261123, 0, 9}},
		{"a week later", spent{20261122, 5, 9}, 20261129, spent{20261129, 0, 9}},
		{"the end of the month", spent{20261101, 5, 9}, 20261130, spent{20261130, 0, 9}},
		{"the next month", spent{20261130, 5, 9}, 20261201, spent{20261201, 0, 0}},
		{"the same day of the next month", spent{20261122, 5, 9}, 20261222, spent{20261222, 0, 0}},
		{"the next year", spent{20261231, 5, 9}, 20270101, spent{20270101, 0, 0}},
		{"the same month of the next year", spent{20261122, 5, 9}, 20271122, spent{20271122, 0, 0}},
		{"the first day of all", spent{}, 20261122, spent{20261122, 0, 0}},
		{"no day", spent{20261122, 5, 9}, 0, spent{20261122, 5, 9}},
		// A change of time zone can bring an earlier day: what was spent stays spent.
		{"the day before", spent{20261122, 5, 9}, 20261121, spent{20261122, 5, 9}},
		{"the month before", spent{20261201, 5, 9}, 20261130, spent{20261201, 5, 9}},
		{"the year before", spent{20270101, 5, 9}, 20261231, spent{20270101, 5, 9}},
	} {
		if got := tt.before.On(tt.day); got != tt.want {
			t.Errorf("%s: on %d it is %+v, want %+v", tt.name, tt.day, got, tt.want)
		}
	}
}

func TestBudgetLeft(t *testing.T) {
	t.Parallel()
	const highest, none = ledger.MaxAmount, ledger.NoCap
	for _, tt := range []struct {
		caps  ledger.Caps
		spent ledger.Spent
		want  ledger.CapLeft
	}{
		{ledger.Caps{}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{Daily: none, Monthly: none}},
		{ledger.Caps{Daily: 7}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{Daily: 2, Monthly: none}},
		{ledger.Caps{Monthly: 12}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{Daily: none, Monthly: 3}},
		{ledger.Caps{Daily: 7, Monthly: 12}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{Daily: 2, Monthly: 3}},
		{ledger.Caps{Daily: 1, Monthly: 1}, ledger.Spent{}, ledger.CapLeft{Daily: 1, Monthly: 1}},
		{ledger.Caps{Daily: 5, Monthly: 9}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{}},
		// A cap that was lowered leaves nothing, not less than that.
		{ledger.Caps{Daily: 4, Monthly: 8}, ledger.Spent{Today: 5, InMonth: 9}, ledger.CapLeft{}},
		{ledger.Caps{Daily: 1, Monthly: 1}, ledger.Spent{Today: highest, InMonth: highest}, ledger.CapLeft{}},
		{ledger.Caps{Daily: highest, Monthly: highest}, ledger.Spent{}, ledger.CapLeft{Daily: highest, Monthly: highest}},
		{ledger.Caps{Daily: highest, Monthly: highest}, ledger.Spent{Today: 1, InMonth: highest}, ledger.CapLeft{Daily: highest - 1}},
	} {
		// Whatever day it is: to bring the count to the day is not for Left to do.
		tt.spent.Day = 20261122
		budget := ledger.Budget{Caps: tt.caps, Spent: tt.spent}
		if got := budget.Left(); got != tt.want {
			t.Errorf("%+v leave of %+v: %+v, want %+v", tt.caps, tt.spent, got, tt.want)
		}
	}
}

func TestCapLeftCovers(t *testing.T) {
	t.Parallel()
	const none = ledger.NoCap
	for _, tt := range []struct {
		left   ledger.CapLeft
		amount ledger.Amount
		want   bool
	}{
		{ledger.CapLeft{Daily: none, Monthly: none}, ledger.MaxAmount, true},
		{ledger.CapLeft{Daily: 5, Monthly: none}, 5, true},
		{ledger.CapLeft{Daily: 5, Monthly: none}, 6, false},
		{ledger.CapLeft{Daily: none, Monthly: 5}, 5, true},
		{ledger.CapLeft{Daily: none, Monthly: 5}, 6, false},
		{ledger.CapLeft{Daily: 5, Monthly: 6}, 5, true},
		{ledger.CapLeft{Daily: 5, Monthly: 6}, 6, false},
		{ledger.CapLeft{Daily: 6, Monthly: 5}, 5, true},
		{ledger.CapLeft{Daily: 6, Monthly: 5}, 6, false},
		{ledger.CapLeft{Daily: 0, Monthly: none}, 1, false},
		{ledger.CapLeft{Daily: none, Monthly: 0}, 1, false},
		{ledger.CapLeft{Daily: 0, Monthly: 0}, 1, false},
	} {
		if got := tt.left.Covers(tt.amount); got != tt.want {
			t.Errorf("%+v covers %d: %t", tt.left, int64(tt.amount), got)
		}
	}
}

// The tighter of two is what covers an amount exactly where both do.
func TestCapLeftTighter(t *testing.T) {
	t.Parallel()
	left := rapid.Custom(func(t *rapid.T) ledger.CapLeft {
		one := rapid.Map(rapid.Int64Range(-1, 5), func(n int64) ledger.Amount { return ledger.Amount(n) }) // -1 is NoCap
		return ledger.CapLeft{Daily: one.Draw(t, "daily"), Monthly: one.Draw(t, "monthly")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := left.Draw(t, "a"), left.Draw(t, "b")
		both := a.Tighter(b)
		if both != b.Tighter(a) || a.Tighter(a) != a || both.Tighter(a) != both {
			t.Fatalf("of %+v and %+v the tighter is %+v, and %+v the other way round", a, b, both, b.Tighter(a))
		}
		for amount := ledger.Amount(1); amount <= 6; amount++ {
			if both.Covers(amount) != (a.Covers(amount) && b.Covers(amount)) {
				t.Fatalf("of %+v and %+v the tighter is %+v, which covers %d: %t", a, b, both, int64(amount), both.Covers(amount))
			}
		}
		for _, pair := range [][3]ledger.Amount{{a.Daily, b.Daily, both.Daily}, {a.Monthly, b.Monthly, both.Monthly}} {
			if pair[2] != pair[0] && pair[2] != pair[1] {
				t.Fatalf("of %+v and %+v the tighter is %+v, which is neither", a, b, both)
			}
		}
	})
	for _, tt := range []struct{ a, b, want ledger.CapLeft }{
		{ledger.CapLeft{Daily: -1, Monthly: 3}, ledger.CapLeft{Daily: 2, Monthly: -1}, ledger.CapLeft{Daily: 2, Monthly: 3}},
		{ledger.CapLeft{Daily: 0, Monthly: 4}, ledger.CapLeft{Daily: 2, Monthly: 3}, ledger.CapLeft{Daily: 0, Monthly: 3}},
		{ledger.CapLeft{Daily: -1, Monthly: -1}, ledger.CapLeft{Daily: -1, Monthly: -1}, ledger.CapLeft{Daily: -1, Monthly: -1}},
	} {
		if got := tt.a.Tighter(tt.b); got != tt.want {
			t.Errorf("of %+v and %+v the tighter is %+v, want %+v", tt.a, tt.b, got, tt.want)
		}
	}
}

// The money that a cap lets through in a day is never more than the cap,
// however the days, the zones and what is given back fall.
func TestCapsAreKept(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		side := active(1, ledger.MaxAmount, 0, 0)
		side.Zone = zone(t, rapid.SampledFrom([]string{"", "Europe/Berlin", "Asia/Ho_Chi_Minh", "Pacific/Pago_Pago"}).Draw(t, "zone"))
		side.Wallet.Caps, side.Wallet.Spent = ledger.Caps{Daily: 100, Monthly: 250}, ledger.Spent{}
		at := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
		perDay, perMonth := map[string]*big.Int{}, map[string]*big.Int{}
		for range rapid.IntRange(1, 40).Draw(t, "charges") {
			at = at.Add(time.Duration(rapid.IntRange(0, 9*3600).Draw(t, "seconds")) * time.Second)
			tx := one(ledger.Charge, ledger.Amount(rapid.IntRange(1, 120).Draw(t, "amount")))
			if tx.Decide(ledger.State{From: side}, at); tx.Rejection != "" {
				continue
			}
			there := at.In(side.Zone)
			for _, count := range []struct {
				sums map[string]*big.Int
				name string
				most int64
			}{{perDay, there.Format("2006-01-02"), 100}, {perMonth, there.Format("2006-01"), 250}} {
				if count.sums[count.name] == nil {
					count.sums[count.name] = new(big.Int)
				}
				sum := count.sums[count.name]
				if sum.Add(sum, bigOf(tx.Amount)).Cmp(big.NewInt(count.most)) > 0 {
					t.Fatalf("%s were spent in %s", sum, count.name)
				}
			}
		}
	})
}
