package storetest

import (
	"fmt"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// set changes the settings of an account's wallet sms.
func (s *suite) set(e *engine.Engine, account ledger.AccountID, change engine.WalletChange) {
	s.Helper()
	must[*ledger.Holder](s)(e.UpdateWallet(s.Context(), sms(account), change))
}

// However many spend at once, neither the wallet's caps nor those of a key are passed.
func testCapsAtOnce(s *suite) {
	engines := s.engines(timed(NewClock(start)))
	s.insert(account(7), account(8), account(9))
	s.insertKeys(
		key("one", func(k *ledger.Key) { k.Caps = ledger.Caps{Daily: 9} }),
		key("two", func(k *ledger.Key) { k.Account, k.Caps = ledger.Operator, ledger.Caps{Monthly: 20} }),
	)
	for id := range ledger.AccountID(3) {
		s.posted(engines(0), topUp(fmt.Sprint("fill", id), 7+id, 1000))
	}
	s.set(engines(0), 8, engine.WalletChange{DailyCap: new(ledger.Amount(13))})
	s.set(engines(0), 9, engine.WalletChange{MonthlyCap: new(ledger.Amount(11)), DailyCap: new(ledger.Amount(500))})
	const callers = 30
	var one, eight, nine tally
	atOnce(callers, func(i int) {
		n := fmt.Sprint("-", i)
		request := charge
		if i%2 == 0 {
			request = place
		}
		tx, _ := s.post(engines(i), withKey("one", request("one"+n, 7, 1)))
		one.add(tx.Rejection)
		tx, _ = s.post(engines(i+1), request("eight"+n, 8, 1))
		eight.add(tx.Rejection)
		tx, _ = s.post(engines(i), withKey("two", request("nine"+n, 9, 1)))
		nine.add(tx.Rejection)
	})
	check(s, "by the key's cap", one.counts, map[ledger.Code]int{"": 9, ledger.SpendCapReached: callers - 9})
	check(s, "by the wallet's daily cap", eight.counts, map[ledger.Code]int{"": 13, ledger.SpendCapReached: callers - 13})
	check(s, "by the wallet's monthly cap", nine.counts, map[ledger.Code]int{"": 11, ledger.SpendCapReached: callers - 11})
	check(s, "counted by the key", s.key(key("one").Digest).Spent, ledger.Spent{Day: 20260102, Today: 9, InMonth: 9})
	check(s, "counted by the other key", s.key(key("two").Digest).Spent, ledger.Spent{Day: 20260102, Today: 11, InMonth: 11})
	check(s, "counted by the wallet", s.wallet(8).Spent, ledger.Spent{Day: 20260102, Today: 13, InMonth: 13})
	// A key without caps of its own meets those of the wallet, and a wallet without caps counts.
	s.rejected(engines(0), charge("more", 8, 1), ledger.SpendCapReached)
	check(s, "counted by a wallet without caps", s.wallet(7).Spent.Today, ledger.Amount(9))
	s.posted(engines(0), charge("without", 7, 100))
	Verify(s, s.store)
}

// The caps of one key over several wallets, when many use it at once.
func testKeyCapOverWallets(s *suite) {
	engines := s.engines(timed(NewClock(start)))
	s.insert(account(7), account(8))
	s.insertKeys(key("both", func(k *ledger.Key) { k.Account, k.Caps = ledger.Operator, ledger.Caps{Daily: 10} }))
	s.posted(engines(0), topUp("fill-7", 7, 1000))
	s.posted(engines(0), topUp("fill-8", 8, 1000))
	const callers = 32
	var outcomes tally
	atOnce(callers, func(i int) {
		tx, _ := s.post(engines(i), withKey("both", charge(strconv.Itoa(i), ledger.AccountID(7+i/2%2), 1)))
		outcomes.add(tx.Rejection)
	})
	check(s, "outcomes", outcomes.counts, map[ledger.Code]int{"": 10, ledger.SpendCapReached: callers - 10})
	check(s, "spent", 2000-s.wallet(7).Balance-s.wallet(8).Balance, ledger.Amount(10))
	check(s, "counted", s.key(key("both").Digest).Spent.Today, ledger.Amount(10))
	Verify(s, s.store)
}

// What counts as spent, and what is told of the caps.
func testCapCounts(s *suite) {
	e := s.engines(timed(NewClock(start)))(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 1000))
	s.insertKeys(key("capped", func(k *ledger.Key) { k.Caps = ledger.Caps{Daily: 80} }))
	s.set(e, 7, engine.WalletChange{DailyCap: new(ledger.Amount(100)), MonthlyCap: new(ledger.Amount(500))})
	for _, step := range []struct {
		request       ledger.Request
		rejection     ledger.Code
		wallet, byKey ledger.Amount // counted today
		daily         ledger.Amount // what is told to be left
	}{
		{withKey("capped", charge("a", 7, 10)), "", 10, 10, 70},
		{charge("b", 7, 10), "", 20, 10, 80}, // Without the key its cap does not matter.
		{withKey("capped", place("c", 7, 40)), "", 60, 50, 30},
		{withKey("capped", charge("d", 7, 31)), ledger.SpendCapReached, 60, 50, 30},
		{charge("e", 7, 41), ledger.SpendCapReached, 60, 50, 40},
		{part("f", idOf("c"), 10), "", 60, 50, 40},                       // It was counted when it was reserved.
		{withKey("capped", capture("g", idOf("c"), 35)), "", 65, 55, 25}, // Only what is above the hold is new.
		{withKey("capped", place("h", 7, 20)), "", 85, 75, 5},            //
		{withKey("capped", capture("i", idOf("h"), 5)), "", 70, 60, 20},  // The rest is given back.
		{withKey("capped", place("j", 7, 20)), "", 90, 80, 0},            //
		{withKey("capped", charge("k", 7, 1)), ledger.SpendCapReached, 90, 80, 0},
		{withKey("capped", capture("l", idOf("j"), 21)), ledger.SpendCapReached, 90, 80, 0},
		{release("m", idOf("j")), "", 70, 60, ledger.NoCap}, // Not by the key, and it is given back to it.
		{refund("n", idOf("a"), 10), "", 70, 60, ledger.NoCap},
		{transfer("o", sms(7), ledger.WalletRef{Account: 7, Service: ledger.VoIP}, 50), "", 70, 60, ledger.NoCap},
		{charge("p", 7, 30), "", 100, 60, 0},
		{charge("q", 7, 1), ledger.SpendCapReached, 100, 60, 0},
	} {
		name := step.request.IdempotencyKey
		tx, replayed := s.post(e, step.request)
		check(s, name+": rejection", tx.Rejection, step.rejection)
		check(s, name+": replayed", replayed, false)
		check(s, name+": counted by the wallet", s.wallet(7).Spent, ledger.Spent{Day: 20260102, Today: step.wallet, InMonth: step.wallet})
		check(s, name+": counted by the key", s.key(key("capped").Digest).Spent.Today, step.byKey)
		check(s, name+": left of the day", tx.CapLeft.Daily, step.daily)
		monthly := 500 - step.wallet
		if step.daily == ledger.NoCap {
			monthly = ledger.NoCap
		}
		check(s, name+": left of the month", tx.CapLeft.Monthly, monthly)
	}
	Verify(s, s.store)
}

// Days and months begin in the time zone of the account, and for the operator's
// keys in UTC. What a hold gives back is taken off the day on which it was counted.
func testCapPeriods(s *suite) {
	clock := NewClock(time.Date(2026, 1, 30, 16, 59, 0, 0, time.UTC)) // 23:59 in Vietnam
	e := s.engines(timed(clock))(0)
	s.insert(account(7, func(h *ledger.Holder) { h.TimeZone = "Asia/Ho_Chi_Minh" }))
	s.insertKeys(
		key("own", func(k *ledger.Key) { k.Caps = ledger.Caps{Daily: 1000} }),
		key("operators", func(k *ledger.Key) { k.Account, k.Caps = ledger.Operator, ledger.Caps{Daily: 1000} }),
	)
	s.posted(e, topUp("fill", 7, 1000))
	s.set(e, 7, engine.WalletChange{DailyCap: new(ledger.Amount(10)), MonthlyCap: new(ledger.Amount(25))})
	counted := func(what string, wallet, own, operators ledger.Spent) {
		s.Helper()
		check(s, what+": wallet", s.wallet(7).Spent, wallet)
		check(s, what+": own key", s.key(key("own").Digest).Spent, own)
		check(s, what+": operator's key", s.key(key("operators").Digest).Spent, operators)
	}
	spent := func(day ledger.Day, today, inMonth ledger.Amount) ledger.Spent {
		return ledger.Spent{Day: day, Today: today, InMonth: inMonth}
	}
	s.posted(e, withKey("own", charge("a", 7, 4)))
	s.posted(e, withKey("operators", place("b", 7, 6)))
	s.rejected(e, charge("c", 7, 1), ledger.SpendCapReached)
	counted("on the first day", spent(20260130, 10, 10), spent(20260130, 4, 4), spent(20260130, 6, 6))

	clock.Pass(time.Minute) // Midnight in Vietnam; in UTC it is the same day.
	s.posted(e, withKey("own", charge("d", 7, 3)))
	s.posted(e, withKey("operators", charge("e", 7, 7)))
	counted("on the second day", spent(20260131, 10, 20), spent(20260131, 3, 7), spent(20260130, 13, 13))
	s.rejected(e, charge("f", 7, 1), ledger.SpendCapReached)
	// The hold was counted on the day before, so today stays; in UTC it was today.
	s.posted(e, release("g", idOf("b")))
	counted("given back", spent(20260131, 10, 14), spent(20260131, 3, 7), spent(20260130, 7, 7))

	clock.Set(time.Date(2026, 1, 31, 16, 59, 59, 0, time.UTC))
	s.rejected(e, charge("h", 7, 1), ledger.SpendCapReached)
	s.posted(e, topUp("more", 7, 1)) // which counts nothing, and begins no day
	clock.Pass(time.Second)          // the first of the month
	s.posted(e, withKey("own", place("i", 7, 10)))
	counted("in the next month", spent(20260201, 10, 10), spent(20260201, 10, 10), spent(20260130, 7, 7))
	clock.Pass(24 * time.Hour)
	s.posted(e, charge("j", 7, 10))
	clock.Pass(24 * time.Hour)
	check(s, "what the month leaves", s.posted(e, charge("k", 7, 5)).CapLeft, ledger.CapLeft{Daily: 5, Monthly: 0})
	s.rejected(e, charge("l", 7, 1), ledger.SpendCapReached)
	// Holds that end by themselves give back to the month, if it is still on.
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 1)
	counted("expired", spent(20260203, 5, 15), spent(20260203, 0, 0), spent(20260130, 7, 7))
	s.posted(e, withKey("operators", place("m", 7, 1)))
	clock.Set(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	s.posted(e, charge("n", 7, 2))
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 1)
	counted("a month later", spent(20260301, 2, 2), spent(20260203, 0, 0), spent(20260301, 0, 0))

	// Another zone is in force for the next request, and a day before the one that is counted begins nothing.
	must[*ledger.Holder](s)(e.UpdateAccount(s.Context(), 7, engine.AccountChange{TimeZone: new("Pacific/Honolulu")}))
	s.posted(e, charge("o", 7, 8))
	s.rejected(e, charge("p", 7, 1), ledger.SpendCapReached)
	counted("in Hawaii", spent(20260301, 10, 10), spent(20260203, 0, 0), spent(20260301, 0, 0))
	Verify(s, s.store)
}

// A suspended wallet spends nothing, and its bounds keep what is spent at once.
func testWalletSettings(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7), account(8))
	voip := ledger.WalletRef{Account: 7, Service: ledger.VoIP}
	s.posted(e, topUp("fill", 7, 100))
	for _, name := range []string{"a", "b", "c"} {
		s.posted(e, place("hold-"+name, 7, 10))
	}
	s.posted(e, charge("charge", 7, 10))
	s.set(e, 7, engine.WalletChange{Suspended: new(true)})
	s.rejected(e, charge("s-charge", 7, 1), ledger.WalletNotActive)
	s.rejected(e, place("s-hold", 7, 1), ledger.WalletNotActive)
	s.rejected(e, transfer("s-out", sms(7), voip, 1), ledger.WalletNotActive)
	s.rejected(e, extend("s-extend", idOf("hold-a"), time.Hour), ledger.WalletNotActive)
	s.rejected(e, capture("s-above", idOf("hold-a"), 11), ledger.WalletNotActive)
	// What was promised before is taken, and money can still come in.
	s.posted(e, capture("s-capture", idOf("hold-a"), 10))
	s.posted(e, release("s-release", idOf("hold-b")))
	s.posted(e, topUp("s-fill", 7, 1))
	s.posted(e, refund("s-refund", idOf("charge"), 1))
	s.posted(e, ledger.Request{IdempotencyKey: "s-adjust", Kind: ledger.Adjustment, Wallet: sms(7), Amount: -1})
	s.posted(e, topUp("fill-8", 8, 5))
	s.posted(e, transfer("s-in", sms(8), sms(7), 5))
	check(s, "wallet", money(s.wallet(7)), [3]int64{100 - 10 - 10 + 1 + 1 - 1 + 5, 10, 5 + 6})
	s.set(e, 7, engine.WalletChange{Suspended: new(false), MinAmount: new(ledger.Amount(5)), MaxAmount: new(ledger.Amount(20))})
	for i, step := range []struct {
		amount ledger.Amount
		code   ledger.Code
	}{{4, ledger.AmountNotAllowed}, {5, ""}, {20, ""}, {21, ledger.AmountNotAllowed}} {
		for _, r := range []ledger.Request{charge(fmt.Sprint("m-charge", i), 7, step.amount), place(fmt.Sprint("m-hold", i), 7, step.amount), transfer(fmt.Sprint("m-out", i), sms(7), voip, step.amount)} {
			if step.code != "" {
				s.rejected(e, r, step.code)
				continue
			}
			s.posted(e, topUp("for-"+r.IdempotencyKey, 7, step.amount))
			s.posted(e, r)
		}
	}
	// A call may be shorter than the least, and not longer than the most.
	s.rejected(e, part("m-above", idOf("m-hold2"), 21), ledger.AmountNotAllowed)
	s.posted(e, part("m-below", idOf("m-hold2"), 1))
	s.posted(e, capture("m-rest", idOf("m-hold2"), 0))
	s.posted(e, topUp("m-in", 7, 1)) // Only what is spent is bounded.
	s.posted(e, refund("m-refund", idOf("charge"), 1))
	clock.Pass(2 * time.Hour)
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 2)
	Verify(s, s.store)
}

// A suspended account is like its wallets suspended; a closed one takes nothing,
// and is not closed while it has holds.
func testAccountStatus(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	ctx := s.Context()
	s.posted(e, topUp("fill", 7, 100))
	s.posted(e, place("hold", 7, 10))
	s.posted(e, place("other", 7, 10))
	must[*ledger.Holder](s)(e.UpdateAccount(ctx, 7, engine.AccountChange{Status: new(ledger.Suspended)}))
	s.rejected(e, charge("a", 7, 1), ledger.AccountNotActive)
	s.rejected(e, place("b", 7, 1), ledger.AccountNotActive)
	s.rejected(e, extend("c", idOf("hold"), 2*time.Hour), ledger.AccountNotActive)
	s.rejected(e, capture("d", idOf("hold"), 11), ledger.AccountNotActive)
	_, err := e.UpdateAccount(ctx, 7, engine.AccountChange{Status: new(ledger.Closed)})
	wantCode(s, "closing with open holds", err, ledger.Conflict)
	check(s, "status", s.holder(7).Status, ledger.Suspended)
	must[*ledger.Holder](s)(e.UpdateAccount(ctx, 7, engine.AccountChange{Name: new("changed")})) // which holds do not hinder
	s.posted(e, part("e", idOf("hold"), 9))
	s.posted(e, release("f", idOf("hold")))
	_, err = e.UpdateAccount(ctx, 7, engine.AccountChange{Status: new(ledger.Closed)})
	wantCode(s, "closing with an open hold", err, ledger.Conflict)
	clock.Pass(2 * time.Hour)
	check(s, "expired on a suspended account", must[int](s)(e.Sweep(ctx)), 1)
	must[*ledger.Holder](s)(e.UpdateAccount(ctx, 7, engine.AccountChange{Status: new(ledger.Closed)}))
	for i, r := range []ledger.Request{topUp("g", 7, 1), charge("h", 7, 1), place("i", 7, 1), refund("j", idOf("e"), 1)} {
		tx := s.rejected(e, r, ledger.AccountNotActive)
		check(s, fmt.Sprint("balance ", i), tx.Balance, ledger.Amount(91))
	}
	check(s, "wallet", money(s.wallet(7)), [3]int64{91, 0, 6})
	Verify(s, s.store)
}

// Refunds of one charge are together never more than the charge.
func testRefundsAtOnce(s *suite) {
	engines := s.engines(engine.Options{SweepInterval: -1})
	s.insert(account(7))
	s.posted(engines(0), topUp("fill", 7, 100))
	s.posted(engines(0), charge("charge", 7, 20))
	s.posted(engines(0), place("hold", 7, 30))
	s.posted(engines(0), part("part", idOf("hold"), 14))
	const callers = 40
	var charges, captures tally
	atOnce(callers, func(i int) {
		tx, _ := s.post(engines(i), refund(fmt.Sprint("c", i), idOf("charge"), 3))
		charges.add(tx.Rejection)
		tx, _ = s.post(engines(i+1), refund(fmt.Sprint("p", i), idOf("part"), 2))
		captures.add(tx.Rejection)
	})
	check(s, "refunds of the charge", charges.counts, map[ledger.Code]int{"": 6, ledger.RefundExceedsCharge: callers - 6})
	check(s, "refunds of the capture", captures.counts, map[ledger.Code]int{"": 7, ledger.RefundExceedsCharge: callers - 7})
	s.rejected(engines(0), refund("three", idOf("charge"), 3), ledger.RefundExceedsCharge)
	s.posted(engines(0), refund("two", idOf("charge"), 2))
	s.rejected(engines(0), refund("one", idOf("charge"), 1), ledger.RefundExceedsCharge)
	check(s, "wallet", money(s.wallet(7)), [3]int64{100, 16, 4 + 6 + 7 + 1})
	Verify(s, s.store)
}
