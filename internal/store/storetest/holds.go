package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// hold is an open hold in which every field has a value of its own.
func hold(name string, change ...func(*ledger.Hold)) *ledger.Hold {
	h := &ledger.Hold{
		ID: ledger.NewTransactionID(7, name), WalletRef: sms(7), Scope: 7, Key: "AK1", Reference: "msg-1", State: ledger.HoldOpen,
		Amount: 9, Captured: 2, Remaining: 7, CreatedAt: start, ExpiresAt: start.Add(time.Hour + time.Microsecond),
	}
	for _, c := range change {
		c(h)
	}
	return h
}

func (s *suite) appendHolds(holds ...*ledger.Hold) {
	s.Helper()
	s.append(&engine.Batch{Holds: holds})
}

// ids are the names of holds in a list, in its order.
func ids(holds []*ledger.Hold, names map[ledger.TransactionID]string) []string {
	found := []string{}
	for _, h := range holds {
		found = append(found, names[h.ID])
	}
	return found
}

func testHolds(s *suite) {
	s.open()
	s.insert(account(7), account(8))
	highest := ledger.MaxAmount
	all := []*ledger.Hold{
		hold("every field"),
		hold("by the operator", func(h *ledger.Hold) { h.Scope, h.Key, h.Reference = ledger.Operator, "", "" }),
		hold("extremes", func(h *ledger.Hold) {
			h.Scope, h.Account, h.Service = ledger.MaxAccountID, ledger.MaxAccountID, ledger.Service(strings.Repeat("w", ledger.MaxServiceLen))
			h.Amount, h.Captured, h.Remaining = highest, highest, highest
			h.CreatedAt, h.ExpiresAt = start.AddDate(200, 0, 0), start.AddDate(201, 0, 0)
			h.Key, h.Reference = strings.Repeat("k", ledger.MaxKeyID), strings.Repeat("信", ledger.MaxReferenceLen/3)
		}),
		hold("captured above", func(h *ledger.Hold) {
			h.State, h.Captured, h.Remaining, h.ClosedAt = ledger.HoldCaptured, 100, 0, start.Add(2*time.Microsecond)
		}),
		hold("released", func(h *ledger.Hold) { h.State, h.Captured, h.Remaining, h.ClosedAt = ledger.HoldReleased, 0, 0, start }),
		hold("expired", func(h *ledger.Hold) { h.State, h.Remaining, h.ClosedAt = ledger.HoldExpired, 0, time.Unix(0, 0).UTC() }),
	}
	for i, text := range unusualText {
		all = append(all, hold(fmt.Sprint("text", i), func(h *ledger.Hold) { h.Key, h.Reference = text, text }))
	}
	s.appendHolds(all...)
	s.checkHolds(all)
	s.reopen()
	s.checkHolds(all)

	// What may change of a hold, it changes to, and others do not.
	all[0].State, all[0].Captured, all[0].Remaining, all[0].ClosedAt = ledger.HoldCaptured, 9, 0, start.Add(time.Minute)
	all[1].Captured, all[1].Remaining, all[1].ExpiresAt = 8, 1, start.Add(3*time.Hour)
	s.appendHolds(all[1], all[0])
	s.checkHolds(all)
	s.reopen()
	s.checkHolds(all)
}

// checkHolds reads holds in each way in which one is read by its id.
func (s *suite) checkHolds(all []*ledger.Hold) {
	s.Helper()
	ctx := s.Context()
	var ids []ledger.TransactionID
	for _, want := range all {
		check(s, "hold", must[*ledger.Hold](s)(s.store.Hold(ctx, want.ID)), want)
		ids = append(ids, want.ID)
	}
	_, err := s.store.Hold(ctx, ledger.TransactionID{1})
	wantCode(s, "another hold", err, ledger.NotFound)
	s.write(func(tx engine.Tx) error {
		for _, n := range []int{0, 1, len(ids)} {
			got := must[map[ledger.TransactionID]*ledger.Hold](s)(tx.Holds(ctx, append([]ledger.TransactionID{{1}}, ids[:n]...)))
			check(s, "number of holds", len(got), n)
			for _, want := range all[:n] {
				check(s, "hold in a transaction", got[want.ID], want)
			}
		}
		// What the transaction itself has changed is seen by it.
		changed := *all[0]
		changed.Captured++
		if err := tx.Append(ctx, &engine.Batch{Holds: []*ledger.Hold{&changed, hold("new")}}); err != nil {
			return err
		}
		got := must[map[ledger.TransactionID]*ledger.Hold](s)(tx.Holds(ctx, []ledger.TransactionID{changed.ID, hold("new").ID}))
		check(s, "holds of this transaction", []*ledger.Hold{got[changed.ID], got[hold("new").ID]}, []*ledger.Hold{&changed, hold("new")})
		return tx.Append(ctx, &engine.Batch{Holds: all[:1]})
	})
	check(s, "a hold that the transaction added", must[*ledger.Hold](s)(s.store.Hold(ctx, hold("new").ID)), hold("new"))
}

func testHoldLists(s *suite) {
	store := s.open()
	s.insert(account(7), account(8))
	names := map[ledger.TransactionID]string{}
	var all []*ledger.Hold
	add := func(name string, change func(*ledger.Hold)) {
		h := hold(name, change)
		names[h.ID] = name
		all = append(all, h)
	}
	for i := range 20 {
		// Every third one is of the same moment as the one before it.
		created := start.Add(time.Duration(i-i%3/2) * time.Microsecond)
		add(fmt.Sprint("open", i), func(h *ledger.Hold) { h.CreatedAt = created })
		add(fmt.Sprint("released", i), func(h *ledger.Hold) {
			h.CreatedAt, h.State, h.Remaining, h.ClosedAt = created, ledger.HoldReleased, 0, created
		})
		add(fmt.Sprint("voip", i), func(h *ledger.Hold) { h.CreatedAt, h.Service = created, ledger.VoIP })
		add(fmt.Sprint("other", i), func(h *ledger.Hold) { h.CreatedAt, h.Account = created, 8 })
	}
	add("long ago", func(h *ledger.Hold) { h.CreatedAt = start.AddDate(-100, 0, 0) })
	s.appendHolds(all...)
	for _, state := range []ledger.HoldState{ledger.HoldOpen, ledger.HoldReleased, ledger.HoldCaptured} {
		var want []*ledger.Hold
		for _, h := range all {
			if h.WalletRef == sms(7) && h.State == state {
				want = append(want, h)
			}
		}
		slices.SortFunc(want, func(a, b *ledger.Hold) int {
			if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
				return c
			}
			return slices.Compare(a.ID[:], b.ID[:])
		})
		for _, limit := range []int{1, 3, 20, 100} {
			var got []*ledger.Hold
			after := engine.Place{}
			for {
				page := must[[]*ledger.Hold](s)(store.Holds(s.Context(), sms(7), state, after, limit))
				if len(page) > limit {
					s.Fatalf("a page of %d has %d holds", limit, len(page))
				}
				got = append(got, page...)
				if len(page) < limit {
					break
				}
				after = engine.Place{CreatedAt: page[len(page)-1].CreatedAt, ID: page[len(page)-1].ID}
			}
			check(s, fmt.Sprintf("holds that are %s, %d at a time", state, limit), ids(got, names), ids(want, names))
		}
	}
}

func testHoldsByReference(s *suite) {
	store := s.open()
	s.insert(account(7), account(8))
	names := map[ledger.TransactionID]string{}
	add := func(name, reference string, account ledger.AccountID, age int, state ledger.HoldState) {
		h := hold(name, func(h *ledger.Hold) {
			h.Account, h.Reference, h.CreatedAt = account, reference, start.Add(-time.Duration(age)*time.Second)
			if state != ledger.HoldOpen {
				h.State, h.Remaining, h.ClosedAt = state, 0, start
			}
		})
		names[h.ID] = name
		s.appendHolds(h)
	}
	add("latest closed", "m", 7, 1, ledger.HoldCaptured)
	add("oldest open", "m", 7, 9, ledger.HoldOpen)
	add("older closed", "m", 7, 5, ledger.HoldExpired)
	add("open", "m", 7, 3, ledger.HoldOpen)
	add("released", "m", 7, 4, ledger.HoldReleased)
	add("other's", "m", 8, 2, ledger.HoldOpen)
	add("other's closed", "m", 8, 0, ledger.HoldReleased)
	add("upper case", "M", 7, 0, ledger.HoldOpen)
	add("space", "m ", 7, 0, ledger.HoldOpen)
	add("without", "", 7, 0, ledger.HoldOpen)
	add("unusual", unusualText[0], 7, 0, ledger.HoldOpen)

	wanted := []engine.HoldReference{
		{Account: 7, Reference: "m"},
		{Account: 8, Reference: "m"},
		{Reference: "m"},
		{Account: 9, Reference: "m"},
		{Reference: "none"},
		{Account: 7, Reference: ""},
		{Reference: ""},
		{Reference: "M"},
		{Account: 7, Reference: "m "},
		{Reference: unusualText[0]},
		{Account: 7, Reference: "m"},
	}
	of7 := []string{"open", "oldest open", "latest closed", "released", "older closed"}
	want := [][]string{
		of7,
		{"other's", "other's closed"},
		{"other's", "open", "oldest open", "other's closed", "latest closed", "released", "older closed"},
		{},
		{},
		{},
		{},
		{"upper case"},
		{"space"},
		{"unusual"},
		of7,
	}
	for range 2 {
		for _, limit := range []int{100, 7, 3, 1} {
			found := must[[][]*ledger.Hold](s)(store.HoldsByReference(s.Context(), wanted, limit))
			check(s, "number of lists", len(found), len(wanted))
			for i := range found {
				check(s, fmt.Sprintf("at most %d holds of %+v", limit, wanted[i]), ids(found[i], names), want[i][:min(limit, len(want[i]))])
			}
		}
		store = s.reopen()
	}
	check(s, "nothing that is wanted", len(must[[][]*ledger.Hold](s)(store.HoldsByReference(s.Context(), nil, 5))), 0)
	first := must[[][]*ledger.Hold](s)(store.HoldsByReference(s.Context(), wanted[7:8], 5))[0][0]
	check(s, "the hold itself", first, must[*ledger.Hold](s)(store.Hold(s.Context(), first.ID)))
}

func testDueHolds(s *suite) {
	store := s.open()
	s.insert(account(7), account(8))
	names := map[ledger.TransactionID]string{}
	for i, after := range []int{5, 3, 1, 2, 4, 0} {
		name := fmt.Sprint("due after ", after)
		expires := start.Add(time.Duration(after) * time.Microsecond)
		h := hold(name, func(h *ledger.Hold) { h.ExpiresAt, h.Account = expires, ledger.AccountID(7+i%2) })
		names[h.ID] = name
		s.appendHolds(h, hold("closed "+name, func(h *ledger.Hold) {
			h.ExpiresAt, h.State, h.Remaining, h.ClosedAt = expires, ledger.HoldReleased, 0, start
		}))
	}
	want := []string{}
	for i := range 6 {
		want = append(want, fmt.Sprint("due after ", i))
	}
	due := func(at time.Time, limit int) []string {
		return ids(must[[]*ledger.Hold](s)(store.DueHolds(s.Context(), at, limit)), names)
	}
	for range 2 {
		check(s, "before the first", due(start.Add(-time.Microsecond), 10), []string{})
		for i := range want {
			check(s, "due at that moment", due(start.Add(time.Duration(i)*time.Microsecond), 10), want[:i+1])
			check(s, "so many at most", due(start.Add(time.Hour), i+1), want[:i+1])
		}
		store = s.reopen()
	}
	// What is closed, or expires later, is not due any more.
	s.appendHolds(
		hold(want[0], func(h *ledger.Hold) {
			h.ExpiresAt, h.State, h.Remaining, h.ClosedAt = start, ledger.HoldExpired, 0, start
		}),
		hold(want[1], func(h *ledger.Hold) { h.ExpiresAt = start.Add(time.Hour + time.Microsecond) }),
	)
	check(s, "due afterwards", due(start.Add(time.Hour), 10), want[2:])
	all := must[[]*ledger.Hold](s)(store.DueHolds(s.Context(), start.Add(time.Hour), 10))
	check(s, "the hold itself", all[0], must[*ledger.Hold](s)(store.Hold(s.Context(), all[0].ID)))
}

func testRefunded(s *suite) {
	s.open()
	ctx := s.Context()
	s.insert(account(7))
	one, two, none := ledger.TransactionID{1}, ledger.TransactionID{2, 15: 9}, ledger.TransactionID{3}
	want := map[ledger.TransactionID]ledger.Amount{one: 5, two: ledger.MaxAmount}
	same := func() {
		s.Helper()
		s.write(func(tx engine.Tx) error {
			got := must[map[ledger.TransactionID]ledger.Amount](s)(tx.Refunded(ctx, []ledger.TransactionID{none, two, one}))
			check(s, "refunded", got, want)
			got = must[map[ledger.TransactionID]ledger.Amount](s)(tx.Refunded(ctx, nil))
			check(s, "refunded of none", len(got), 0)
			return nil
		})
	}
	s.append(&engine.Batch{Refunded: []*ledger.Refundable{{ID: one, Refunded: 5}, {ID: two, WalletRef: sms(7), Amount: 1, Refunded: ledger.MaxAmount}}})
	same()
	s.reopen()
	same()
	want[one] = 6
	s.write(func(tx engine.Tx) error {
		if err := tx.Append(ctx, &engine.Batch{Refunded: []*ledger.Refundable{{ID: one, Refunded: 6}}}); err != nil {
			return err
		}
		got := must[map[ledger.TransactionID]ledger.Amount](s)(tx.Refunded(ctx, []ledger.TransactionID{one}))
		check(s, "refunded in this transaction", got[one], ledger.Amount(6))
		return nil
	})
	s.reopen()
	same()
}
