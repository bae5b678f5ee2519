package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

var (
	smsMoney = readings.Key{Service: "sms", Unit: provider.Money, Currency: "CNY"}
	voip     = readings.Key{Service: "voip", Unit: provider.Credits}
)

// readingOf is a reading of the usual bucket.
func readingOf(upstream string, at time.Time, amount string, change ...func(*readings.Reading)) readings.Reading {
	r := readings.Reading{Upstream: upstream, Key: smsMoney, At: at, Amount: dec(amount)}
	for _, c := range change {
		c(&r)
	}
	return r
}

// rise makes a reading a rise.
func rise(r *readings.Reading) { r.Rise = true }

// of makes a reading one of another bucket.
func of(key readings.Key) func(*readings.Reading) {
	return func(r *readings.Reading) { r.Key = key }
}

// keep records readings. Whoever asked for the upstream before is done.
func (s *suite) keep(upstream string, added ...readings.Reading) {
	s.Helper()
	if err := keep(s.Context(), s.store, upstream, added); err != nil {
		s.Fatal(err)
	}
}

// inOrder puts readings into the order in which they are listed.
func inOrder(all []readings.Reading) []readings.Reading {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b readings.Reading) int { return cmp.Or(a.At.Compare(b.At), a.Compare(b.Key)) })
	return sorted
}

// testReadings lists readings of all sorts.
func testReadings(s *suite) {
	s.open()
	var want []readings.Reading
	for i, text := range unusualDecimals {
		want = append(want, readingOf("main", after(i), text, func(r *readings.Reading) { r.Rise = i%2 == 1 }))
		want = append(want, readingOf("main", after(i), text, of(voip), func(r *readings.Reading) {
			r.CreditLimit, r.Available, r.Pending = decOf(text), decOf(text), decOf(text)
		}))
	}
	for _, text := range unusualText {
		want = append(want, readingOf("main", after(50), "1", of(readings.Key{Service: text, Unit: provider.Unit(text), Currency: text})))
	}
	for _, service := range []string{"sms", "s", "SMS", "sms-", "sms_", "smsa"} {
		for _, unit := range []provider.Unit{provider.Money, provider.Credits} {
			for _, currency := range []string{"", "VND", "CNY"} {
				want = append(want, readingOf("main", after(51), "2", of(readings.Key{Service: service, Unit: unit, Currency: currency})))
			}
		}
	}
	s.keep("main", want...)
	s.keep("mai", readingOf("mai", after(7), "3"))
	s.keep("main2", readingOf("main2", after(7), "4"))
	// What is there stays as it is.
	s.keep("main", readingOf("main", start, "1000", rise), readingOf("main", after(60), "5"))
	want = inOrder(append(want, readingOf("main", after(60), "5")))
	for range 2 {
		check(s, "all readings", s.all("main"), want)
		s.reopen()
	}
	check(s, "readings of nothing", len(s.all("none")), 0)
	check(s, "readings of another", s.all("mai"), []readings.Reading{readingOf("mai", after(7), "3")})
	none := readings.Key{Service: "sms", Unit: provider.Credits, Currency: "XXX"}
	for _, between := range [][2]time.Time{
		{start, after(50)},
		{start, start},
		{after(51), after(50)},
		{after(3), after(4)},
		{after(3).Add(time.Microsecond), after(5).Add(time.Microsecond)},
		{after(50), after(60)},
		{after(60), after(60).Add(time.Microsecond)},
		{after(61), after(1000)},
		{{}, after(1)},
	} {
		for _, key := range []*readings.Key{nil, &smsMoney, &voip, {Service: unusualText[1], Unit: provider.Unit(unusualText[1]), Currency: unusualText[1]}, &none} {
			for _, limit := range []int{1, 3, 7, 1000} {
				s.checkReadings(want, readings.Query{Upstream: "main", Key: key, From: between[0], To: between[1], Limit: limit})
			}
		}
	}
}

// pages reads all pages of a list.
func (s *suite) pages(query readings.Query) (listed []readings.Reading) {
	s.Helper()
	for {
		page := must[[]readings.Reading](s)(s.store.UpstreamReadings(s.Context(), query))
		if len(page) > query.Limit {
			s.Fatalf("a page of %d has %d readings", query.Limit, len(page))
		}
		if listed = append(listed, page...); len(page) < query.Limit {
			return listed
		}
		last := &page[len(page)-1]
		query.After = readings.Place{At: last.At, Key: last.Key}
	}
}

// checkReadings reads all pages of a list, and compares it with the simplest model.
func (s *suite) checkReadings(all []readings.Reading, query readings.Query) {
	s.Helper()
	check(s, fmt.Sprintf("readings by %+v", query), s.pages(query), listed(all, query))
}

// listed is what a query gives of readings in order, page by page.
func listed(all []readings.Reading, query readings.Query) (want []readings.Reading) {
	type step struct {
		key   readings.Key
		count int64
	}
	last := map[step]time.Time{}
	wanted := func(r *readings.Reading) bool {
		return r.Upstream == query.Upstream && (query.Key == nil || *query.Key == r.Key) && !r.At.Before(query.From) && r.At.Before(query.To)
	}
	of := func(r *readings.Reading) step {
		return step{r.Key, r.At.UnixMicro() / max(query.Step.Microseconds(), 1)}
	}
	for i := range all {
		if wanted(&all[i]) {
			last[of(&all[i])] = all[i].At
		}
	}
	for i := range all {
		if wanted(&all[i]) && last[of(&all[i])].Equal(all[i].At) {
			want = append(want, all[i])
		}
	}
	return want
}

// testReadingSteps has two buckets, whose readings are not in the same moments.
func testReadingSteps(s *suite) {
	s.open()
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(minute, second int) time.Time {
		return day.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	}
	all := inOrder([]readings.Reading{
		readingOf("main", at(0, 0), "1"), readingOf("main", at(0, 20), "2"), readingOf("main", at(0, 59), "3"),
		readingOf("main", at(1, 0), "4"), readingOf("main", at(1, 30), "5"),
		readingOf("main", at(3, 0), "6"), readingOf("main", at(3, 0).Add(-time.Microsecond), "7"),
		readingOf("main", at(0, 10), "8", of(voip)), readingOf("main", at(0, 59), "9", of(voip)), readingOf("main", at(1, 40), "10", of(voip)),
		readingOf("main", at(59, 0), "11", of(voip)), readingOf("main", at(61, 0), "12", of(voip)),
	})
	s.keep("main", all...)
	s.keep("other", readingOf("other", at(0, 59).Add(time.Millisecond), "13"), readingOf("other", at(3, 5), "14"))
	amounts := func(list []readings.Reading) (amounts []string) {
		for i := range list {
			amounts = append(amounts, list[i].Amount.String())
		}
		return amounts
	}
	hours := readings.Query{Upstream: "main", From: day, To: at(600, 0), Step: time.Hour, Limit: 100}
	check(s, "the last of each hour", amounts(s.pages(hours)), []string{"6", "11", "12"})
	minutes := readings.Query{Upstream: "main", From: day, To: at(3, 0), Step: time.Minute, Limit: 1}
	check(s, "the last of each minute", amounts(s.pages(minutes)), []string{"3", "9", "5", "10", "7"})
	minutes.To = at(0, 59) // which cuts the first minute off
	check(s, "the last of each minute", amounts(s.pages(minutes)), []string{"8", "2"})
	for _, step := range []time.Duration{time.Microsecond, time.Second, 7 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
		for _, between := range [][2]time.Time{{day, at(600, 0)}, {at(0, 20), at(1, 30)}, {at(0, 59), at(1, 0)}, {at(1, 35), at(59, 0)}} {
			for _, key := range []*readings.Key{nil, &smsMoney, &voip} {
				for _, limit := range []int{1, 2, 3, 100} {
					s.checkReadings(all, readings.Query{Upstream: "main", Key: key, From: between[0], To: between[1], Step: step, Limit: limit})
				}
			}
		}
	}
}
