package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// storedHold reads a hold that must be there.
func (s *suite) storedHold(id ledger.TransactionID) *ledger.Hold {
	s.Helper()
	return must[*ledger.Hold](s)(s.store.Hold(s.Context(), id))
}

// checkHold compares the parts of a hold that its transactions change.
func (s *suite) checkHold(what string, id ledger.TransactionID, state ledger.HoldState, captured, remaining ledger.Amount) {
	s.Helper()
	h := s.storedHold(id)
	check(s, what+": state", h.State, state)
	check(s, what+": captured and remaining", [2]ledger.Amount{h.Captured, h.Remaining}, [2]ledger.Amount{captured, remaining})
	if h.ClosedAt.IsZero() != (state == ledger.HoldOpen) {
		s.Errorf("%s: a hold that is %s was closed at %s", what, state, h.ClosedAt)
	}
}

// Each thing that can be done to a hold, and what the wallet and the hold are then.
func testHoldLife(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 100))
	version := int64(1)
	for _, step := range []struct {
		request             ledger.Request
		rejection           ledger.Code
		balance, held       ledger.Amount
		moved, remaining    ledger.Amount
		hold                string
		state               ledger.HoldState
		captured, remainder ledger.Amount
	}{
		{place("a", 7, 30), "", 100, 30, 30, 30, "a", ledger.HoldOpen, 0, 30},
		{place("b", 7, 71), ledger.InsufficientFunds, 100, 30, 0, 0, "a", ledger.HoldOpen, 0, 30},
		{charge("c", 7, 71), ledger.InsufficientFunds, 100, 30, 0, 0, "a", ledger.HoldOpen, 0, 30},
		{part("a-1", idOf("a"), 10), "", 90, 20, 10, 20, "a", ledger.HoldOpen, 10, 20},
		{part("a-2", idOf("a"), 0), "", 70, 0, 20, 0, "a", ledger.HoldCaptured, 30, 0},
		{capture("a-3", idOf("a"), 1), ledger.HoldNotOpen, 70, 0, 0, 0, "a", ledger.HoldCaptured, 30, 0},
		{release("a-4", idOf("a")), ledger.HoldNotOpen, 70, 0, 0, 0, "a", ledger.HoldCaptured, 30, 0},
		{extend("a-5", idOf("a"), time.Hour), ledger.HoldNotOpen, 70, 0, 0, 0, "a", ledger.HoldCaptured, 30, 0},

		{place("d", 7, 20), "", 70, 20, 20, 20, "d", ledger.HoldOpen, 0, 20},
		{capture("d-1", idOf("d"), 5), "", 65, 0, 5, 0, "d", ledger.HoldCaptured, 5, 0}, // the rest is given back
		{place("e", 7, 10), "", 65, 10, 10, 10, "e", ledger.HoldOpen, 0, 10},
		{capture("e-1", idOf("e"), 66), ledger.InsufficientFunds, 65, 10, 0, 0, "e", ledger.HoldOpen, 0, 10},
		{capture("e-2", idOf("e"), 15), "", 50, 0, 15, 0, "e", ledger.HoldCaptured, 15, 0}, // above the hold
		{place("f", 7, 50), "", 50, 50, 50, 50, "f", ledger.HoldOpen, 0, 50},
		{part("f-1", idOf("f"), 51), ledger.InsufficientFunds, 50, 50, 0, 0, "f", ledger.HoldOpen, 0, 50},
		{part("f-2", idOf("f"), 50), "", 0, 0, 50, 0, "f", ledger.HoldCaptured, 50, 0},
		{refund("f-3", idOf("f-2"), 40), "", 40, 0, 40, 0, "f", ledger.HoldCaptured, 50, 0},

		{place("g", 7, 8), "", 40, 8, 8, 8, "g", ledger.HoldOpen, 0, 8},
		{part("g-1", idOf("g"), 3), "", 37, 5, 3, 5, "g", ledger.HoldOpen, 3, 5},
		{release("g-2", idOf("g")), "", 37, 0, 5, 0, "g", ledger.HoldReleased, 3, 0},
		{release("g-3", idOf("g")), ledger.HoldNotOpen, 37, 0, 0, 0, "g", ledger.HoldReleased, 3, 0},
		{capture("g-4", idOf("g"), 0), ledger.HoldNotOpen, 37, 0, 0, 0, "g", ledger.HoldReleased, 3, 0},
	} {
		clock.Pass(time.Second)
		name := step.request.IdempotencyKey
		var tx *ledger.Transaction
		if step.rejection == "" {
			tx = s.posted(e, step.request)
			version++
			check(s, name+": version", tx.Version, version)
		} else {
			tx = s.rejected(e, step.request, step.rejection)
			check(s, name+": version", tx.Version, 0)
		}
		check(s, name+": moved and remaining", [2]ledger.Amount{tx.Moved, tx.Remaining}, [2]ledger.Amount{step.moved, step.remaining})
		check(s, name+": balance, held, available", [3]ledger.Amount{tx.Balance, tx.Held, tx.Available}, [3]ledger.Amount{step.balance, step.held, step.balance - step.held})
		check(s, name+": wallet", money(s.wallet(7)), [3]int64{int64(step.balance), int64(step.held), version})
		s.checkHold(name, idOf(step.hold), step.state, step.captured, step.remainder)
	}
	check(s, "a hold in the end", s.storedHold(idOf("g")), &ledger.Hold{
		ID: idOf("g"), WalletRef: sms(7), State: ledger.HoldReleased, Amount: 8, Captured: 3,
		CreatedAt: start.Add(18 * time.Second), ExpiresAt: start.Add(18*time.Second + time.Hour), ClosedAt: start.Add(20 * time.Second),
	})
	check(s, "holds in the report", Verify(s, s.store).Holds, 5)
	s.reopen()
	check(s, "holds in the report", Verify(s, s.store).Holds, 5)
}

// A hold can be given more time, never less, and only before its time is over.
func testExtend(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 100))
	clock.Pass(time.Second)
	start := clock.Now()
	placed := s.posted(e, place("a", 7, 30))
	check(s, "expiry", placed.ExpiresAt, start.Add(time.Hour))
	clock.Pass(time.Minute)
	for _, step := range []struct {
		key  string
		by   time.Duration
		want time.Duration // after the start
	}{
		{"shorter", time.Second, time.Hour},
		{"the-same", 59 * time.Minute, time.Hour},
		{"longer", 59*time.Minute + time.Second, time.Hour + time.Second},
		{"longest", ledger.MaxExpiresIn, ledger.MaxExpiresIn + time.Minute},
	} {
		tx := s.posted(e, extend(step.key, idOf("a"), step.by))
		check(s, step.key+": expiry", tx.ExpiresAt, start.Add(step.want))
		check(s, step.key+": stored expiry", s.storedHold(idOf("a")).ExpiresAt, start.Add(step.want))
		check(s, step.key+": moved, remaining, held", [3]ledger.Amount{tx.Moved, tx.Remaining, tx.Held}, [3]ledger.Amount{0, 30, 30})
	}
	// Its first time is over, and it is there.
	clock.Set(start.Add(2 * time.Hour))
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 0)
	s.posted(e, part("part", idOf("a"), 10))
	last := start.Add(ledger.MaxExpiresIn + time.Minute)
	clock.Set(last.Add(-time.Microsecond))
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 0)
	s.posted(e, part("last", idOf("a"), 1))
	// At the instant at which it expires it is gone, though nobody has closed it.
	clock.Set(last)
	s.rejected(e, extend("late", idOf("a"), time.Hour), ledger.HoldPastExpiry)
	s.rejected(e, capture("late-capture", idOf("a"), 0), ledger.HoldPastExpiry)
	s.rejected(e, release("late-release", idOf("a")), ledger.HoldPastExpiry)
	s.checkHold("not closed yet", idOf("a"), ledger.HoldOpen, 11, 19)
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 1)
	s.checkHold("closed", idOf("a"), ledger.HoldExpired, 11, 0)
	check(s, "closed at", s.storedHold(idOf("a")).ClosedAt, last)
	s.rejected(e, extend("later", idOf("a"), time.Hour), ledger.HoldPastExpiry)
	s.rejected(e, release("later-release", idOf("a")), ledger.HoldPastExpiry)
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 0)
	check(s, "wallet", money(s.wallet(7)), [3]int64{89, 0, 1 + 1 + 4 + 2 + 1})
	Verify(s, s.store)
}

// Who may act on what: a customer's key on its account's own holds alone.
func testHoldsOfOthers(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7), account(8))
	s.posted(e, topUp("fill-7", 7, 100))
	s.posted(e, topUp("fill-8", 8, 100))
	placed := place("ours", 7, 10)
	placed.Reference = "msg-1"
	ours := s.posted(e, placed)
	theirs := s.posted(e, by(7, place("theirs", 7, 10)))
	charged := s.posted(e, charge("charge", 7, 5))
	rejected := s.rejected(e, place("rejected", 7, 1000), ledger.InsufficientFunds)

	for i, r := range []ledger.Request{capture("c", ours.ID, 1), release("r", ours.ID), extend("e", ours.ID, time.Hour)} {
		s.refused(e, by(7, r), ledger.Forbidden)
		r.Parent = theirs.ID
		s.refused(e, by(8, r), ledger.NotFound) // To another customer it does not exist.
		r.Wallet = sms(8)
		s.refused(e, r, ledger.NotFound)
		s.refused(e, by(8, r), ledger.NotFound)
		r.Wallet = ledger.WalletRef{Account: 7, Service: ledger.VoIP}
		s.refused(e, r, ledger.NotFound)
		r.Wallet = ledger.WalletRef{}
		for _, other := range []ledger.TransactionID{{1}, charged.ID, rejected.ID} {
			r.Parent = other
			s.refused(e, r, ledger.NotFound)
			r.Wallet = sms(7)
			s.refused(e, r, ledger.NotFound)
			r.Wallet = ledger.WalletRef{}
		}
		check(s, fmt.Sprint("wallet after ", i), money(s.wallet(7)), [3]int64{95, 20, 4})
	}
	// What is no charge cannot be refunded.
	for _, other := range []ledger.TransactionID{ours.ID, idOf("fill-7"), rejected.ID} {
		s.refused(e, refund("refund", other, 1), ledger.Conflict)
	}
	s.refused(e, refund("refund", ledger.TransactionID{1}, 1), ledger.NotFound)
	wrong := refund("refund", charged.ID, 1)
	wrong.Wallet = sms(8)
	s.refused(e, wrong, ledger.NotFound)
	s.refused(e, ledger.Request{IdempotencyKey: "x", Kind: ledger.Expire, Parent: ours.ID}, ledger.Forbidden)

	// The wallet and the reference are the hold's, unless others are given.
	tx := s.posted(e, part("part", ours.ID, 1))
	check(s, "wallet and reference", []any{tx.Wallet, tx.Reference}, []any{sms(7), "msg-1"})
	own := part("own", ours.ID, 1)
	own.Reference, own.Wallet = "msg-2", sms(7)
	tx = s.posted(e, own)
	check(s, "wallet and reference", []any{tx.Wallet, tx.Reference}, []any{sms(7), "msg-2"})
	tx = s.posted(e, refund("refund", tx.ID, 1))
	check(s, "wallet and reference", []any{tx.Wallet, tx.Reference}, []any{sms(7), "msg-2"})
	// The customer ends its own, and the operator any.
	s.posted(e, by(7, part("c", theirs.ID, 1)))
	check(s, "scope of the hold", s.storedHold(theirs.ID).Scope, 7)
	s.posted(e, release("by-the-operator", theirs.ID))
	s.posted(e, release("r", ours.ID))
	Verify(s, s.store)
}

// placeMany places holds of one unit each, that expire after so long, in few batches.
func (s *suite) placeMany(e *engine.Engine, prefix string, n int, account ledger.AccountID, after time.Duration) {
	s.Helper()
	for done := 0; done < n; {
		var requests []ledger.Request
		for ; done < n && len(requests) < engine.MaxBatch; done++ {
			r := place(fmt.Sprint(prefix, done), account, 1)
			r.ExpiresIn = after
			requests = append(requests, r)
		}
		results := must[[]engine.Result](s)(e.PostBatch(s.Context(), requests, false))
		for i := range results {
			if err := results[i].Err; err != nil || results[i].Transaction.Err() != nil {
				s.Fatalf("hold %d was not placed: %+v", i, results[i])
			}
		}
	}
}

// However many holds became due while nobody was there, each expires once,
// whoever else looks for them at the same time.
func testSweep(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7), account(8))
	const many = 1203 // more than two pages of the sweeper
	s.posted(e, topUp("fill-7", 7, 5000))
	s.posted(e, topUp("fill-8", 8, 5000))
	s.placeMany(e, "seven-", many, 7, time.Hour)
	clock.Pass(time.Second)
	due := clock.Now().Add(2 * time.Hour)
	s.placeMany(e, "eight-", 10, 8, 2*time.Hour)
	s.placeMany(e, "later-", 1, 8, 2*time.Hour+time.Second)
	s.placeMany(e, "long-", 3, 8, ledger.MaxExpiresIn)
	s.posted(e, part("part", idOf("seven-5"), 1))
	clock.Set(start.Add(time.Hour - time.Microsecond))
	check(s, "expired before their time", must[int](s)(e.Sweep(s.Context())), 0)

	// Days later, after a restart.
	e.Close()
	clock.Set(due)
	s.reopen()
	engines := s.enginesOver(s.store, timed(clock))
	check(s, "wallet before", money(s.wallet(7)), [3]int64{4999, many - 1, many + 2})
	atOnce(4, func(i int) {
		if _, err := engines(i).Sweep(s.Context()); err != nil {
			s.Errorf("sweep: %v", err)
		}
	})
	check(s, "expired afterwards", must[int](s)(engines(0).Sweep(s.Context())), 0)
	// One entry for each: none of them expired twice.
	check(s, "wallet after", money(s.wallet(7)), [3]int64{4999, 0, many + 2 + many - 1})
	check(s, "another wallet", money(s.wallet(8)), [3]int64{5000, 4, 1 + 10 + 1 + 3 + 10})
	check(s, "no longer open", len(must[[]*ledger.Hold](s)(s.store.Holds(s.Context(), sms(7), ledger.HoldOpen, engine.Place{}, 10))), 0)
	check(s, "expired", len(must[[]*ledger.Hold](s)(s.store.Holds(s.Context(), sms(7), ledger.HoldExpired, engine.Place{}, 2*many))), many-1)
	s.checkHold("one of them", idOf("seven-1202"), ledger.HoldExpired, 0, 0)
	how := must[[]engine.EntryRow](s)(s.store.Entries(s.Context(), sms(8), 15, 16, 1))[0].Cause
	check(s, "how it expired", how.Request, ledger.Request{
		Scope: ledger.System, Kind: ledger.Expire, Wallet: sms(8), Parent: how.Parent,
		IdempotencyKey: fmt.Sprintf("expire:%s:%d", how.Parent, due.UnixMicro()),
	})
	s.checkHold("the hold that it was about", how.Parent, ledger.HoldExpired, 0, 0)
	clock.Set(start.AddDate(0, 2, 0))
	check(s, "expired months later", must[int](s)(engines(0).Sweep(s.Context())), 4)
	check(s, "held in the end", s.wallet(8).Held, 0)
	check(s, "holds in the report", Verify(s, s.store).Holds, many+14)
}

// A crash in the middle of a sweep costs nothing: what was expired is expired,
// and the rest is still due.
func testSweepAfterCrash(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	const many = 700
	s.posted(e, topUp("fill", 7, many))
	s.placeMany(e, "h-", many, 7, time.Hour)
	e.Close()
	clock.Set(start.AddDate(0, 0, 3))
	dying := &mortal{Store: s.store}
	dying.writes.Store(1)
	first := NewEngine(s, dying, timed(clock))
	n, err := first.Sweep(s.Context())
	wantCode(s, "the sweep that died", err, ledger.Internal)
	check(s, "expired before it died", n, 500)
	first.Close()
	s.reopen()
	check(s, "held", s.wallet(7).Held, ledger.Amount(many-500))
	Verify(s, s.store)
	engines := s.enginesOver(s.store, timed(clock))
	check(s, "expired after the crash", must[int](s)(engines(0).Sweep(s.Context())), many-500)
	check(s, "wallet", money(s.wallet(7)), [3]int64{many, 0, 1 + many + many})
	Verify(s, s.store)
}

// mortal is a store that takes so many writes, and then no more.
type mortal struct {
	engine.Store

	writes atomic.Int64
}

func (m *mortal) Write(ctx context.Context, fn func(engine.Tx) error) error {
	if m.writes.Add(-1) < 0 {
		return errors.New("the process is gone")
	}
	return m.Store.Write(ctx, fn)
}

// Whether a hold was captured or had expired is decided once, whoever asks at
// that instant, and the others are told which.
func testCaptureAgainstExpiry(s *suite) {
	clock := NewClock(start)
	engines := s.engines(timed(clock))
	s.insert(account(7))
	const rounds, callers = 12, 12
	s.posted(engines(0), topUp("fill", 7, 1000))
	left := ledger.Amount(1000)
	for round := range rounds {
		now := clock.Now()
		hold := s.posted(engines(0), place(fmt.Sprint("hold-", round), 7, 10))
		clock.Set(hold.ExpiresAt.Add(-time.Microsecond))
		var outcomes tally
		atOnce(callers, func(i int) {
			switch {
			case i == round%callers: // In the midst of the others its time is over.
				clock.Set(hold.ExpiresAt)
				fallthrough
			case i%4 == 0:
				if _, err := engines(i).Sweep(s.Context()); err != nil {
					s.Errorf("sweep: %v", err)
				}
			default:
				tx, _ := s.post(engines(i), capture(fmt.Sprint("capture-", round, "-", i), hold.ID, 0))
				outcomes.add(tx.Rejection)
			}
		})
		if _, err := engines(0).Sweep(s.Context()); err != nil {
			s.Errorf("sweep: %v", err)
		}
		stored := s.storedHold(hold.ID)
		captured := outcomes.counts[""]
		if captured == 1 {
			left -= 10
			s.checkHold("captured in time", hold.ID, ledger.HoldCaptured, 10, 0)
		} else {
			s.checkHold("expired", hold.ID, ledger.HoldExpired, 0, 0)
		}
		lost := outcomes.counts[ledger.HoldNotOpen] + outcomes.counts[ledger.HoldPastExpiry]
		all := 0
		for _, n := range outcomes.counts {
			all += n
		}
		if captured > 1 || captured+lost != all || stored.State == ledger.HoldExpired && outcomes.counts[ledger.HoldNotOpen] > 0 {
			s.Errorf("round %d: the hold is %s, and the captures came out as %v", round, stored.State, outcomes.counts)
		}
		check(s, "balance and held", [2]ledger.Amount{s.wallet(7).Balance, s.wallet(7).Held}, [2]ledger.Amount{left, 0})
		clock.Set(now.Add(2 * time.Hour))
	}
	Verify(s, s.store)
}

// A hold is captured or released, and never both.
func testCaptureAgainstRelease(s *suite) {
	engines := s.engines(engine.Options{SweepInterval: -1})
	s.insert(account(7))
	const rounds, callers = 8, 16
	s.posted(engines(0), topUp("fill", 7, 1000))
	left := ledger.Amount(1000)
	for round := range rounds {
		hold := s.posted(engines(0), place(fmt.Sprint("hold-", round), 7, 10))
		var captures, releases tally
		atOnce(callers, func(i int) {
			if key := fmt.Sprint(round, "-", i); i%2 == 0 {
				tx, _ := s.post(engines(i/2), capture("capture-"+key, hold.ID, 3))
				captures.add(tx.Rejection)
			} else {
				tx, _ := s.post(engines(i/2), release("release-"+key, hold.ID))
				releases.add(tx.Rejection)
			}
		})
		check(s, "of all, one was posted", captures.counts[""]+releases.counts[""], 1)
		check(s, "the others are told", captures.counts[ledger.HoldNotOpen]+releases.counts[ledger.HoldNotOpen], callers-1)
		if captures.counts[""] == 1 {
			left -= 3
			s.checkHold("captured", hold.ID, ledger.HoldCaptured, 3, 0)
		} else {
			s.checkHold("released", hold.ID, ledger.HoldReleased, 0, 0)
		}
	}
	check(s, "wallet", money(s.wallet(7)), [3]int64{int64(left), 0, 1 + 2*rounds})
	Verify(s, s.store)
}

// Many parts of one hold are together not more than there is.
func testPartsOfAHold(s *suite) {
	engines := s.engines(engine.Options{SweepInterval: -1})
	s.insert(account(7))
	s.posted(engines(0), topUp("fill", 7, 100))
	s.posted(engines(0), place("hold", 7, 100))
	const callers, each, enough = 48, 3, 33
	var outcomes tally
	atOnce(callers, func(i int) {
		tx, _ := s.post(engines(i), part(fmt.Sprint("part-", i), idOf("hold"), each))
		outcomes.add(tx.Rejection)
	})
	// The last of them would take what remains, and as much above it as is not there.
	check(s, "outcomes", outcomes.counts, map[ledger.Code]int{"": enough, ledger.InsufficientFunds: callers - enough})
	s.checkHold("in the end", idOf("hold"), ledger.HoldOpen, each*enough, 1)
	check(s, "wallet", money(s.wallet(7)), [3]int64{1, 1, 2 + enough})
	Verify(s, s.store)
}
