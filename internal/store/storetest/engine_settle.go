package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// message places a hold for a message that its reference names.
func message(reference string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	r := place("hold-"+reference, account, amount)
	r.Reference = reference
	return r
}

func report(reference string, status ledger.DeliveryState) ledger.DeliveryReport {
	return ledger.DeliveryReport{Reference: reference, Status: status}
}

// settle settles reports, and gives the outcomes.
func (s *suite) settle(e *engine.Engine, scope ledger.AccountID, reports ...ledger.DeliveryReport) ([]engine.Settled, []engine.SettleOutcome) {
	s.Helper()
	settled := must[[]engine.Settled](s)(e.Settle(s.Context(), scope, reports))
	var outcomes []engine.SettleOutcome
	for i := range settled {
		outcomes = append(outcomes, settled[i].Outcome)
	}
	return settled, outcomes
}

func testSettle(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 1000))
	var reports []ledger.DeliveryReport
	for _, state := range ledger.DeliveryStates {
		s.posted(e, message(string(state), 7, 10))
		reports = append(reports, report(string(state), state))
	}
	want := []engine.SettleOutcome{
		engine.SettledWaiting, engine.SettledCaptured, engine.SettledReleased, engine.SettledReleased,
		engine.SettledReleased, engine.SettledCaptured, engine.SettledReleased, engine.SettledReleased,
	}
	var transactions []*ledger.Transaction
	for repeated := range 3 {
		settled, outcomes := s.settle(e, ledger.Operator, reports...)
		check(s, fmt.Sprint("outcomes, repeated: ", repeated), outcomes, want)
		for i := range settled {
			check(s, "hold", settled[i].Hold.ID, idOf("hold-"+reports[i].Reference))
			if settled[i].Err != nil {
				s.Errorf("report %d: %v", i, settled[i].Err)
			}
			if repeated == 0 {
				transactions = append(transactions, settled[i].Transaction)
			}
			check(s, "transaction", settled[i].Transaction, transactions[i])
		}
	}
	check(s, "nothing is posted for what waits", transactions[0], nil)
	for i, tx := range transactions[1:] {
		check(s, "moved", tx.Moved, ledger.Amount(10))
		kind := map[engine.SettleOutcome]ledger.Kind{engine.SettledCaptured: ledger.Capture, engine.SettledReleased: ledger.Release}[want[i+1]]
		check(s, "request", tx.Request, ledger.Request{
			Scope: ledger.System, Kind: kind, Wallet: sms(7), Parent: tx.Parent, Reference: reports[i+1].Reference, Final: kind == ledger.Capture,
			IdempotencyKey: fmt.Sprintf("settle:%s:%s", kind, tx.Parent),
		})
	}
	check(s, "wallet", money(s.wallet(7)), [3]int64{980, 10, 1 + 8 + 7})
	// What was still on its way arrives, and is charged once.
	_, outcomes := s.settle(e, ledger.Operator, report("ENROUTE", ledger.Delivered), report("ENROUTE", ledger.Delivered), report("ENROUTE", ledger.Enroute))
	check(s, "outcomes", outcomes, []engine.SettleOutcome{engine.SettledCaptured, engine.SettledCaptured, engine.SettledWaiting})
	_, outcomes = s.settle(e, ledger.Operator, report("ENROUTE", ledger.Enroute), report("ENROUTE", ledger.Expired))
	check(s, "outcomes", outcomes, []engine.SettleOutcome{engine.SettledBefore, engine.SettledBefore})
	check(s, "wallet", money(s.wallet(7)), [3]int64{970, 0, 1 + 8 + 8})
	Verify(s, s.store)
}

// Reports that come for what was ended otherwise, or too late, or that nobody knows.
func testSettleLate(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 1000))
	for _, name := range []string{"captured", "released", "partly", "late", "swept", "empty"} {
		s.posted(e, message(name, 7, 10))
	}
	s.posted(e, capture("c", idOf("hold-captured"), 4))
	s.posted(e, release("r", idOf("hold-released")))
	s.posted(e, part("p", idOf("hold-partly"), 4))
	settled, outcomes := s.settle(e, ledger.Operator,
		report("captured", ledger.Delivered), report("captured", ledger.Undeliverable), report("captured", ledger.Enroute),
		report("released", ledger.Delivered), report("released", ledger.Undeliverable), report("released", ledger.Enroute),
		report("partly", ledger.Delivered), report("nobody", ledger.Delivered), report("", ledger.Delivered), report("partly", "DELIVERED"),
		ledger.DeliveryReport{Reference: "partly", Status: ledger.Delivered, Account: -5},
		ledger.DeliveryReport{Reference: "empty", Status: ledger.Delivered, Account: 8},
		ledger.DeliveryReport{Reference: "empty", Status: ledger.Delivered, Account: 7},
	)
	check(s, "outcomes", outcomes, []engine.SettleOutcome{
		engine.SettledBefore, engine.SettledBefore, engine.SettledBefore, engine.SettledGivenUp, engine.SettledGivenUp, engine.SettledGivenUp,
		engine.SettledCaptured, engine.SettledUnknown, engine.SettledUndetermined, engine.SettledUndetermined, engine.SettledUndetermined,
		engine.SettledUnknown, engine.SettledCaptured,
	})
	check(s, "captured of the rest", settled[6].Transaction.Moved, ledger.Amount(6))
	for i := range settled {
		if settled[i].Outcome == engine.SettledUndetermined {
			wantCode(s, "a report that is not valid", settled[i].Err, ledger.InvalidRequest)
		} else if settled[i].Err != nil {
			s.Errorf("report %d: %v", i, settled[i].Err)
		}
		if (settled[i].Transaction != nil) != (settled[i].Outcome == engine.SettledCaptured) {
			s.Errorf("report %d: %s, with the transaction %+v", i, settled[i].Outcome, settled[i].Transaction)
		}
	}
	check(s, "no hold where nobody knows it", settled[7].Hold, nil)

	// One is swept, then the other's time is over, too.
	clock.Set(start.Add(time.Hour + time.Second))
	late, swept := report("late", ledger.Delivered), report("swept", ledger.Undeliverable)
	for range 2 {
		_, outcomes = s.settle(e, ledger.Operator, late, swept)
		check(s, "outcomes before the sweep", outcomes, []engine.SettleOutcome{engine.SettledExpired, engine.SettledExpired})
	}
	check(s, "expired", must[int](s)(e.Sweep(s.Context())), 2)
	_, outcomes = s.settle(e, ledger.Operator, late, swept, report("late", ledger.Enroute), report("swept", ledger.Delivered))
	check(s, "outcomes after the sweep", outcomes,
		[]engine.SettleOutcome{engine.SettledExpired, engine.SettledExpired, engine.SettledExpired, engine.SettledExpired})
	w := s.wallet(7)
	check(s, "balance and held", [2]ledger.Amount{w.Balance, w.Held}, [2]ledger.Amount{1000 - 4 - 10 - 10, 0})
	Verify(s, s.store)
}

// Which hold a reference means, and to whom.
func testSettleChoice(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7), account(8))
	s.posted(e, topUp("fill-7", 7, 1000))
	s.posted(e, topUp("fill-8", 8, 1000))
	add := func(key, reference string, account, scope ledger.AccountID) ledger.TransactionID {
		clock.Pass(time.Second)
		r := place(key, account, 10)
		r.Reference, r.Scope = reference, scope
		return s.posted(e, r).ID
	}
	add("a-1", "twice", 7, 0)
	add("a-2", "twice", 7, 0)
	first, second := add("b-1", "again", 7, 0), add("b-2", "again", 7, 0)
	s.posted(e, release("b", second)) // The one that is open is meant, though it is older.
	add("c-1", "closed", 7, 0)
	latest := add("c-2", "closed", 7, 0)
	s.posted(e, capture("c", idOf("c-1"), 0))
	s.posted(e, release("c-2r", latest))
	add("d-7", "both", 7, 0)
	of8 := add("d-8", "both", 8, 0)
	add("e", "operators", 7, 0)
	own := add("f-own", "mixed", 7, 7)
	add("f-op", "mixed", 7, 0)

	d := func(reference string, account ledger.AccountID) ledger.DeliveryReport {
		return ledger.DeliveryReport{Reference: reference, Status: ledger.Delivered, Account: account}
	}
	settled, outcomes := s.settle(e, ledger.Operator, d("twice", 0), d("twice", 7), d("again", 0), d("closed", 0), d("both", 0), d("both", 8), d("mixed", 0))
	check(s, "the operator's outcomes", outcomes, []engine.SettleOutcome{
		engine.SettledAmbiguous, engine.SettledAmbiguous, engine.SettledCaptured, engine.SettledGivenUp, engine.SettledAmbiguous, engine.SettledCaptured, engine.SettledAmbiguous,
	})
	for i, want := range map[int]ledger.TransactionID{2: first, 3: latest, 5: of8} {
		check(s, fmt.Sprint("hold of report ", i), settled[i].Hold.ID, want)
	}
	check(s, "no hold where there are several", settled[0].Hold, nil)

	// A customer's key finds the holds of its account's own keys, whatever account it names.
	settled, outcomes = s.settle(e, 7, d("operators", 0), d("operators", 7), d("mixed", 0), d("mixed", 8), d("twice", 7), d("both", 8))
	check(s, "the customer's outcomes", outcomes, []engine.SettleOutcome{
		engine.SettledUnknown, engine.SettledUnknown, engine.SettledCaptured, engine.SettledCaptured, engine.SettledUnknown, engine.SettledUnknown,
	})
	check(s, "the customer's hold", settled[2].Hold.ID, own)
	_, outcomes = s.settle(e, 8, d("mixed", 7))
	check(s, "another customer's outcome", outcomes, []engine.SettleOutcome{engine.SettledUnknown})
	// Now that one of them is closed, the operator means the other.
	_, outcomes = s.settle(e, ledger.Operator, d("mixed", 0))
	check(s, "the operator's outcome", outcomes, []engine.SettleOutcome{engine.SettledCaptured})
	check(s, "the other hold", s.storedHold(idOf("f-op")).State, ledger.HoldCaptured)
	Verify(s, s.store)
}

// Each account says itself which states charge, and what a capture meets can stand in its way.
func testSettlePolicy(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(
		account(7, func(h *ledger.Holder) { h.ChargeOn = []ledger.DeliveryState{ledger.Enroute, ledger.Unknown} }),
		account(8, func(h *ledger.Holder) { h.ChargeOn = nil }),
	)
	for _, id := range []ledger.AccountID{7, 8} {
		s.posted(e, topUp(fmt.Sprint("fill-", id), id, 1000))
		for _, state := range ledger.DeliveryStates {
			s.posted(e, message(fmt.Sprint(state, id), id, 10))
		}
	}
	for id, charged := range map[ledger.AccountID][]ledger.DeliveryState{7: {ledger.Enroute, ledger.Unknown}, 8: nil} {
		for _, state := range ledger.DeliveryStates {
			want := engine.SettledReleased
			if state == ledger.Enroute {
				want = engine.SettledWaiting
			}
			for _, c := range charged {
				if c == state {
					want = engine.SettledCaptured
				}
			}
			_, outcomes := s.settle(e, ledger.Operator, report(fmt.Sprint(state, id), state))
			check(s, fmt.Sprint("outcome of ", state, " on account ", id), outcomes, []engine.SettleOutcome{want})
		}
	}
	s.posted(e, message("large", 7, 100))
	most := ledger.Amount(99)
	must[*ledger.Holder](s)(e.UpdateWallet(s.Context(), sms(7), engine.WalletChange{MaxAmount: &most}))
	settled, outcomes := s.settle(e, ledger.Operator, report("large", ledger.Unknown))
	check(s, "what the wallet does not allow", outcomes, []engine.SettleOutcome{engine.SettledUndetermined})
	wantCode(s, "why", settled[0].Err, ledger.AmountNotAllowed)
	check(s, "transaction", settled[0].Transaction, nil)
	s.checkHold("large", idOf("hold-large"), ledger.HoldOpen, 0, 100)
	Verify(s, s.store)
}

// Many reports of one message at the same instant settle it once.
func testSettleAtOnce(s *suite) {
	engines := s.engines(engine.Options{SweepInterval: -1})
	s.insert(account(7))
	s.posted(engines(0), topUp("fill", 7, 1000))
	const messages, callers = 5, 12
	for i := range messages {
		s.posted(engines(0), message(fmt.Sprint("m", i), 7, 10))
	}
	var mu sync.Mutex
	outcomes := map[engine.SettleOutcome]int{}
	atOnce(callers, func(i int) {
		var reports []ledger.DeliveryReport
		for m := range messages {
			reports = append(reports, report(fmt.Sprint("m", (m+i)%messages), []ledger.DeliveryState{ledger.Delivered, ledger.Undeliverable}[i%2]))
		}
		settled, err := engines(i/2).Settle(s.Context(), ledger.Operator, reports)
		if err != nil {
			s.Errorf("settle: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for m := range settled {
			outcomes[settled[m].Outcome]++
		}
	})
	captured, released := 0, 0
	for i := range messages {
		switch h := s.storedHold(idOf(fmt.Sprint("hold-m", i))); h.State {
		case ledger.HoldCaptured:
			captured++
		case ledger.HoldReleased:
			released++
		default:
			s.Errorf("the hold is %s", h.State)
		}
	}
	// Each of the reports that say the same is told the same, and the others that they lost.
	want := map[engine.SettleOutcome]int{}
	if captured > 0 {
		want[engine.SettledCaptured], want[engine.SettledBefore] = captured*callers/2, captured*callers/2
	}
	if released > 0 {
		want[engine.SettledReleased], want[engine.SettledGivenUp] = released*callers/2, released*callers/2
	}
	check(s, "outcomes", outcomes, want)
	check(s, "wallet", money(s.wallet(7)), [3]int64{int64(1000 - 10*captured), 0, 1 + 2*messages})
	Verify(s, s.store)
}
