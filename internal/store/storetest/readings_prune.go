package storetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// pruned is what a pruning leaves of readings in order.
func pruned(all []readings.Reading, p readings.Pruning) (left []readings.Reading) {
	next := func(i int) *readings.Reading {
		for j := i + 1; j < len(all); j++ {
			if all[j].Upstream == all[i].Upstream && all[j].Key == all[i].Key {
				return &all[j]
			}
		}
		return nil
	}
	for i := range all {
		r, n := &all[i], next(i)
		if r.At.Before(p.Expired) {
			continue
		}
		if p.Step > 0 && !r.Rise && !r.At.Before(p.ThinFrom) && n != nil && n.At.Before(p.ThinTo) && !n.Rise &&
			r.At.UnixMicro()/p.Step.Microseconds() == n.At.UnixMicro()/p.Step.Microseconds() {
			continue
		}
		left = append(left, *r)
	}
	return left
}

// prunes prunes, and checks how much was removed.
func (s *suite) prunes(p readings.Pruning, want int64) {
	s.Helper()
	check(s, fmt.Sprintf("readings removed by %+v", p), must[int64](s)(s.store.PruneUpstreams(s.Context(), p)), want)
}

// testThinning has a bucket with two rises in one hour, and others beside it.
func testThinning(s *suite) {
	s.open()
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return day.Add(time.Duration(minute) * time.Minute) }
	var all []readings.Reading
	for minute := range 180 {
		r := readingOf("main", at(minute), strconv.Itoa(minute))
		r.Rise = minute == 70 || minute == 90 || minute == 91 || minute == 120
		all = append(all, r, readingOf("main", at(minute).Add(time.Second), "1", of(voip)))
	}
	s.keep("main", all...)
	s.keep("other", readingOf("other", at(61), "2"), readingOf("other", at(62), "3"))
	s.prunes(readings.Pruning{ThinFrom: at(60), ThinTo: at(60), Step: time.Hour}, 0)
	s.prunes(readings.Pruning{ThinFrom: at(0), ThinTo: at(180)}, 0) // no step
	hour := readings.Pruning{ThinFrom: at(60), ThinTo: at(120), Step: time.Hour}
	// Of the second hour the rises are left, what comes before them, and the last one.
	left := pruned(inOrder(all), hour)
	minutes := []int{}
	for i := range left {
		if r := &left[i]; r.Key == smsMoney && !r.At.Before(at(60)) && r.At.Before(at(120)) {
			minutes = append(minutes, int(r.At.Sub(day)/time.Minute))
		}
	}
	check(s, "minutes that the model leaves", minutes, []int{69, 70, 89, 90, 91, 119})
	s.prunes(hour, 60-6+59+1)
	check(s, "what is left", s.all("main"), left)
	check(s, "of another", s.all("other"), []readings.Reading{readingOf("other", at(62), "3")})
	s.prunes(hour, 0)
	// A range that ends within an hour thins it as far as it goes, and later on.
	hour.ThinFrom, hour.ThinTo = time.Time{}, at(30)
	s.prunes(hour, 29+29)
	hour.ThinTo = at(60)
	s.prunes(hour, 30+30)
	hour.ThinFrom, hour.ThinTo = at(60), at(500)
	s.prunes(hour, (60-2)+59) // the last minute before the third hour, which is a rise, was kept already
	s.reopen()
	check(s, "what is left at last", s.all("main"), pruned(inOrder(all), readings.Pruning{ThinTo: at(500), Step: time.Hour}))
}

// testExpiry has more readings than are removed at once, and upstreams that were
// not asked for long.
func testExpiry(s *suite) {
	s.open()
	const many = 1000
	old := make([]readings.Reading, many)
	for i := range old {
		old[i] = readingOf("main", after(i), "1")
	}
	s.keep("main", old...)
	s.keep("gone", readingOf("gone", after(1), "1"))
	state := func(name string, asked, due, barred time.Time) {
		s.keep(name, readingOf(name, after(5), "2"))
		if _, claimed, err := s.store.ClaimUpstream(s.Context(), early(claimOf(name, "x", after(2_000_000)))); err != nil || !claimed {
			s.Fatalf("claim %s: %v", name, err)
		}
		s.records("x", readings.State{Name: name, Provider: "esms", AskedAt: asked, DueAt: due, BarredAt: barred}, true)
	}
	limit := after(many - 10)
	before := limit.Add(-time.Microsecond)
	state("asked", limit, start, start)
	state("claimed", start, limit, time.Time{})
	state("barred", time.Time{}, start, limit)
	state("forgotten", before, before, before)
	state("main", before, before, time.Time{})
	state("never", time.Time{}, before, time.Time{})
	if err := s.ledger.Exec("DELETE FROM upstreams WHERE name = 'gone'"); err != nil {
		s.Fatal(err)
	}
	names := func() (names []string) {
		for _, state := range must[[]readings.State](s)(s.store.UpstreamStates(s.Context())) {
			names = append(names, state.Name)
		}
		return names
	}
	check(s, "upstreams", names(), []string{"asked", "barred", "claimed", "forgotten", "main", "never"})
	s.prunes(readings.Pruning{}, 0)
	check(s, "upstreams", len(names()), 6)
	s.prunes(readings.Pruning{Expired: limit}, many-10+1+5)
	check(s, "upstreams that are left", names(), []string{"asked", "barred", "claimed"})
	check(s, "readings that are left", s.all("main"), old[many-10:])
	check(s, "of an upstream without a state", len(s.all("gone")), 0)
	s.prunes(readings.Pruning{Expired: limit}, 0)
}

// readingsRun is a ledger with readings, beside the simplest model of them.
type readingsRun struct {
	store Store
	all   []readings.Reading // in order
}

// keep claims an upstream and records readings.
func keep(ctx context.Context, store readings.Store, upstream string, added []readings.Reading) error {
	now := start.AddDate(0, 0, 10)
	state, claimed, err := store.ClaimUpstream(ctx, readings.Claim{Name: upstream, Node: "keeper", Now: now, Until: now})
	if err != nil || !claimed {
		return fmt.Errorf("claim %s: %t, %w", upstream, claimed, err)
	}
	state.DueAt = start
	recorded, err := store.RecordUpstream(ctx, "keeper", &state, added)
	if err != nil || !recorded {
		return fmt.Errorf("record %s: %t, %w", upstream, recorded, err)
	}
	return nil
}

// drawTime is one of a few moments, so that many things meet.
func drawTime(t *rapid.T, what string) time.Time {
	return time.Unix(int64(rapid.IntRange(0, 40).Draw(t, what)), 0).UTC()
}

func drawKey() *rapid.Generator[readings.Key] {
	return rapid.SampledFrom([]readings.Key{smsMoney, voip, {Service: "sms", Unit: provider.Credits}, {Service: "sms", Unit: provider.Money, Currency: "VND"}})
}

func drawStep() *rapid.Generator[time.Duration] {
	return rapid.SampledFrom([]time.Duration{0, time.Microsecond, time.Second, 3 * time.Second, 10 * time.Second, time.Hour})
}

func drawReading(upstream string) *rapid.Generator[readings.Reading] {
	return rapid.Custom(func(t *rapid.T) readings.Reading {
		r := readings.Reading{
			Upstream: upstream, Key: drawKey().Draw(t, "key"), At: drawTime(t, "at"),
			Amount: decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-40, 40).Draw(t, "exponent")),
			Rise:   rapid.Bool().Draw(t, "rise"),
		}
		if rapid.Bool().Draw(t, "pending") {
			r.Pending = &r.Amount
		}
		return r
	})
}

// add records readings, of which some may be there.
func (r *readingsRun) add(t *rapid.T) {
	upstream := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "upstream")
	added := rapid.SliceOfN(drawReading(upstream), 0, 40).Draw(t, "readings")
	if err := keep(context.Background(), r.store, upstream, added); err != nil {
		t.Fatal(err)
	}
	for _, one := range added {
		if !slices.ContainsFunc(r.all, func(old readings.Reading) bool {
			return old.Upstream == one.Upstream && old.Key == one.Key && old.At.Equal(one.At)
		}) {
			r.all = append(r.all, one)
		}
	}
	r.all = inOrder(r.all)
}

// list reads a page, and compares it.
func (r *readingsRun) list(t *rapid.T) {
	query := readings.Query{
		Upstream: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "upstream"), From: drawTime(t, "from"), To: drawTime(t, "to"),
		Step: drawStep().Draw(t, "step"), Limit: rapid.IntRange(1, 60).Draw(t, "limit"),
	}
	if rapid.Bool().Draw(t, "of one bucket") {
		key := drawKey().Draw(t, "key")
		query.Key = &key
	}
	if rapid.Bool().Draw(t, "not the first page") {
		query.After = readings.Place{At: drawTime(t, "after"), Key: drawKey().Draw(t, "after the key")}
	}
	r.compare(t, query)
}

// compare compares a page with the model.
func (r *readingsRun) compare(t *rapid.T, query readings.Query) {
	got, err := r.store.UpstreamReadings(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	want := listed(r.all, query)
	place := slices.IndexFunc(want, func(one readings.Reading) bool {
		return one.At.After(query.After.At) || one.At.Equal(query.After.At) && one.Compare(query.After.Key) > 0
	})
	if place < 0 {
		place = len(want)
	}
	want = want[place:]
	want = want[:min(len(want), query.Limit)]
	if diff := cmp.Diff(append([]readings.Reading{}, want...), append([]readings.Reading{}, got...), exactly...); diff != "" {
		t.Fatalf("%+v gives another list (-want +got):\n%s", query, diff)
	}
}

// prune prunes both.
func (r *readingsRun) prune(t *rapid.T) {
	p := readings.Pruning{ThinFrom: drawTime(t, "thin from"), ThinTo: drawTime(t, "thin to"), Step: drawStep().Draw(t, "step")}
	if rapid.IntRange(0, 3).Draw(t, "expires") == 0 {
		p.Expired = drawTime(t, "expired")
	}
	removed, err := r.store.PruneUpstreams(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	left := pruned(r.all, p)
	if removed != int64(len(r.all)-len(left)) {
		t.Fatalf("%+v removed %d readings, the model %d", p, removed, len(r.all)-len(left))
	}
	r.all = left
	r.check(t)
}

// check compares all there is.
func (r *readingsRun) check(t *rapid.T) {
	for _, upstream := range []string{"a", "b"} {
		r.compare(t, readings.Query{Upstream: upstream, To: start, Limit: 10_000})
	}
}

// testReadingsModel does by chance what can be done with readings, and compares
// the store with a slice.
func testReadingsModel(s *suite) {
	store := s.open()
	began, runs := time.Now(), 0
	rapid.Check(s.T, func(t *rapid.T) {
		if time.Since(began) > modelTime && runs > 10 {
			return
		}
		runs++
		// Each run begins with nothing.
		if _, err := store.PruneUpstreams(context.Background(), readings.Pruning{Expired: start.AddDate(100, 0, 0)}); err != nil {
			t.Fatal(err)
		}
		run := &readingsRun{store: store}
		run.check(t)
		t.Repeat(map[string]func(*rapid.T){"add": run.add, "list": run.list, "list again": run.list, "prune": run.prune, "": run.check})
	})
	s.Logf("%d runs", runs)
}
