package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// after is some seconds after the start.
func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// claimOf asks for an upstream for half a minute.
func claimOf(name, node string, now time.Time) readings.Claim {
	return readings.Claim{Name: name, Provider: "esms", Node: node, Now: now, Until: now.Add(30 * time.Second)}
}

// early is a claim before the upstream is due.
func early(claim readings.Claim) readings.Claim {
	claim.Early = true
	return claim
}

// claims makes a claim, and checks whether it is given and what is known then.
func (s *suite) claims(claim readings.Claim, want bool, known readings.State) {
	s.Helper()
	state, claimed, err := s.store.ClaimUpstream(s.Context(), claim)
	if err != nil {
		s.Fatalf("claim: %v", err)
	}
	what := fmt.Sprintf("the claim of %s at %s, early: %t", claim.Node, claim.Now, claim.Early)
	check(s, what, claimed, want)
	check(s, "state after "+what, state, known)
	states := must[[]readings.State](s)(s.store.UpstreamStates(s.Context()))
	check(s, "list after "+what, states, []readings.State{known})
}

// records writes what a node found, and checks whether it could.
func (s *suite) records(node string, state readings.State, want bool, added ...readings.Reading) {
	s.Helper()
	check(s, "recorded by "+node, must[bool](s)(s.store.RecordUpstream(s.Context(), node, &state, added)), want)
}

// all lists the readings of an upstream.
func (s *suite) all(upstream string) []readings.Reading {
	s.Helper()
	query := readings.Query{Upstream: upstream, To: start.AddDate(1000, 0, 0), Limit: 100_000}
	return must[[]readings.Reading](s)(s.store.UpstreamReadings(s.Context(), query))
}

func testClaims(s *suite) {
	s.open()
	check(s, "states of nothing", len(must[[]readings.State](s)(s.store.UpstreamStates(s.Context()))), 0)
	const microsecond = time.Microsecond
	fresh := readings.State{Name: "main", Provider: "esms", DueAt: after(30)}
	s.claims(claimOf("main", "a", start), true, fresh)
	s.claims(claimOf("main", "b", start), false, fresh)
	s.claims(claimOf("main", "a", after(1)), false, fresh)
	s.claims(early(claimOf("main", "b", after(1))), false, fresh)
	s.claims(claimOf("main", "b", after(30).Add(-microsecond)), false, fresh)
	s.reopen()
	// A claim that is not given back ends.
	fresh.DueAt = after(60)
	s.claims(claimOf("main", "b", after(30)), true, fresh)
	reading := readingOf("main", after(31), "5")
	s.records("a", readings.State{Name: "main", Provider: "esms", DueAt: after(90)}, false, reading)
	s.claims(claimOf("main", "c", after(31)), false, fresh)
	check(s, "readings of a claim that was lost", len(s.all("main")), 0)

	// It is given back with what was found, once.
	known := readings.State{
		Name: "main", Provider: "esms", Interval: time.Minute, DueAt: after(90), BarredAt: after(40), AskedAt: after(31), Status: provider.OK,
	}
	s.records("b", known, true, reading)
	check(s, "readings", s.all("main"), []readings.Reading{reading})
	s.records("b", fresh, false, readingOf("main", after(32), "6"))
	s.claims(claimOf("main", "c", after(90).Add(-microsecond)), false, known)
	s.claims(early(claimOf("main", "c", after(40).Add(-microsecond))), false, known)
	known.DueAt = after(70)
	s.claims(early(claimOf("main", "c", after(40))), true, known)
	s.claims(early(claimOf("main", "d", after(41))), false, known)
	known.DueAt = after(100)
	s.claims(early(claimOf("main", "d", after(70))), true, known)

	// Nobody asks while it is barred, though it may be due.
	known.DueAt, known.BarredAt = after(80), after(200)
	s.records("d", known, true)
	s.claims(claimOf("main", "a", after(80)), false, known)
	s.claims(early(claimOf("main", "a", after(200).Add(-microsecond))), false, known)
	// Who claims may have another provider than who asked last, and is told.
	known.DueAt = after(230)
	other := claimOf("main", "a", after(200))
	other.Provider = "antgst"
	s.claims(other, true, known)
	s.records("a", known, true)
	check(s, "readings at last", s.all("main"), []readings.Reading{reading})
	s.records("x", readings.State{Name: "never", Provider: "esms", DueAt: start}, false, readingOf("never", start, "1"))
	check(s, "readings of an upstream that nobody claimed", len(s.all("never")), 0)
}

// Upstreams have nothing to do with each other, and are listed by their names.
func testClaimsOfOthers(s *suite) {
	s.open()
	names := []string{"b", "a_", "a-", "A", "tài khoản", "a", "短信", "a b"}
	var want []readings.State
	for i, name := range names {
		state, claimed, err := s.store.ClaimUpstream(s.Context(), claimOf(name, "a", after(i)))
		if err != nil || !claimed {
			s.Errorf("%s: %v", name, err)
		}
		want = append(want, state)
	}
	slices.SortFunc(want, func(a, b readings.State) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	check(s, "states", must[[]readings.State](s)(s.store.UpstreamStates(s.Context())), want)
	want[3].Status, want[3].DueAt = provider.Suspended, after(500)
	s.records("a", want[3], true)
	check(s, "states", must[[]readings.State](s)(s.reopen().UpstreamStates(s.Context())), want)
}

// testClaimsAtOnce has many nodes after the same upstream, round after round.
func testClaimsAtOnce(s *suite) {
	s.open()
	const nodes, rounds = 8, 6
	for round := range rounds {
		now := after(100 * round)
		var claimed atomic.Int32
		var running sync.WaitGroup
		for i := range nodes {
			running.Go(func() {
				node := fmt.Sprintf("%d in round %d", i, round)
				state, ok, err := s.store.ClaimUpstream(context.Background(), claimOf("main", node, now))
				if err != nil {
					s.Errorf("claim of %s: %v", node, err)
				}
				if !ok {
					return
				}
				claimed.Add(1)
				if !state.DueAt.Equal(now.Add(30 * time.Second)) {
					s.Errorf("%s is due at %s", node, state.DueAt)
				}
				if round%2 == 0 {
					return // and is never heard of again
				}
				state.DueAt = after(100*round + 50)
				if done, err := s.store.RecordUpstream(context.Background(), node, &state, nil); err != nil || !done {
					s.Errorf("%s could not give its claim back: %v", node, err)
				}
			})
		}
		running.Wait()
		check(s, fmt.Sprint("claims in round ", round), claimed.Load(), 1)
	}
}

// dec is a decimal of a text.
func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// decOf is a decimal that may be absent, and is not.
func decOf(text string) *decimal.Decimal {
	d := dec(text)
	return &d
}

// unusualDecimals have signs, digits, zeros and exponents of all sorts.
var unusualDecimals = []string{
	"0", "0.00", "-0.000001", "1.50", "36693", "-18.383", "123456789012345678901234567890", "-0.123456789012345678901234567890",
	"99999999999999999999.9999999999", "1.2E+30", "1E40", "1E-40", "-5E3",
}

// everyState are states that have something in every member, and nothing.
func everyState() []readings.State {
	falling := &forecast.Forecast{
		Outlook: forecast.OutlookFalling, SpendPerHour: dec("4.16667"), RecentPerHour: dec("1E+29"), Burst: true,
		At: after(3600), Earliest: after(1800), Latest: after(7200).Add(time.Microsecond),
	}
	idle := &forecast.Forecast{Outlook: forecast.OutlookIdle, SpendPerHour: dec("0.10"), RecentPerHour: dec("0")}
	unknown := &forecast.Forecast{Outlook: forecast.OutlookUnknown, Reason: "there are no readings " + unusualText[0]}
	full := readings.Bucket{
		Bucket: provider.Bucket{
			Service: "sms", Unit: provider.Money, Amount: dec("-18.3830"), Currency: "VND", CurrencySource: provider.FromDocumentation,
			CreditLimit: decOf("100.00"), Available: decOf("81.617"), Pending: decOf("0"),
		},
		Min: decOf("-5"), Empty: falling, Low: idle, Warned: true,
	}
	bare := readings.Bucket{Bucket: provider.Bucket{Service: "voip", Unit: provider.Credits, Amount: dec("7")}, Empty: unknown}
	base := readings.State{
		Provider: "esms", Interval: 61*time.Second + time.Microsecond, DueAt: after(60), BarredAt: after(20), AskedAt: after(1),
		Status: provider.OK,
	}
	with := func(change func(*readings.State)) readings.State {
		state := base
		change(&state)
		return state
	}
	states := []readings.State{
		base,
		with(func(s *readings.State) { s.BarredAt, s.AskedAt, s.Interval, s.Status = time.Time{}, time.Time{}, 0, "" }),
		with(func(s *readings.State) {
			s.Status, s.Code, s.Message, s.Failures = provider.Unauthorized, "101", "no such key", 1<<31-1
			s.Good = &readings.Balance{At: start, Account: "1234", Billing: provider.BillingPrepaid, Buckets: []readings.Bucket{full, bare}}
		}),
		with(func(s *readings.State) { s.Good = &readings.Balance{At: start.AddDate(-50, 0, 0)} }),
		with(func(s *readings.State) {
			postpaid := bare
			postpaid.Empty = nil
			s.Good = &readings.Balance{At: after(1), Billing: provider.BillingPostpaid, Buckets: []readings.Bucket{postpaid}}
		}),
	}
	for _, text := range unusualText {
		states = append(states, with(func(s *readings.State) {
			s.Provider, s.Code, s.Message = text, text, text
			b := bare
			b.Service, b.Currency, b.Unit = text, text, provider.Unit(text)
			s.Good = &readings.Balance{At: after(1), Account: text, Billing: provider.Billing(text), Buckets: []readings.Bucket{b}}
		}))
	}
	for _, text := range unusualDecimals {
		states = append(states, with(func(s *readings.State) {
			b := full
			b.Amount, b.CreditLimit, b.Available, b.Pending, b.Min = dec(text), decOf(text), decOf(text), decOf(text), decOf(text)
			s.Good = &readings.Balance{At: after(1), Buckets: []readings.Bucket{b}}
		}))
	}
	return states
}

// testStates writes states of all sorts over each other.
func testStates(s *suite) {
	s.open()
	for i, want := range everyState() {
		node, now := fmt.Sprint("node ", i), after(1000*i)
		want.Name = "main"
		if _, claimed, err := s.store.ClaimUpstream(s.Context(), claimOf("main", node, now)); err != nil || !claimed {
			s.Fatalf("claim %d: %t, %v", i, claimed, err)
		}
		s.records(node, want, true)
		for range 2 {
			check(s, fmt.Sprint("state ", i), must[[]readings.State](s)(s.store.UpstreamStates(s.Context())), []readings.State{want})
			if i%10 != 0 {
				break
			}
			s.reopen()
		}
	}
}
