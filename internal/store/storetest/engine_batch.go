package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// batch posts requests together. It gives copies to the engine, which fills them in.
func (s *suite) batch(e *engine.Engine, atomic bool, requests ...ledger.Request) []engine.Result {
	s.Helper()
	results := must[[]engine.Result](s)(e.PostBatch(s.Context(), append([]ledger.Request(nil), requests...), atomic))
	for i := range results {
		results[i].Transaction = told(results[i].Transaction)
	}
	return results
}

// codes gives the outcome of each request of a batch, "" for what was posted.
func codes(results []engine.Result) []ledger.Code {
	all := []ledger.Code{}
	for _, r := range results {
		if r.Err != nil {
			all = append(all, ledger.CodeOf(r.Err))
		} else {
			all = append(all, r.Transaction.Rejection)
		}
	}
	return all
}

// Each request of a batch has its own outcome, and sees what the ones before it did.
func testBatch(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7), account(8))
	requests := []ledger.Request{
		topUp("fill", 7, 100),
		place("hold", 7, 60),
		charge("too-much", 7, 41),
		part("part", idOf("hold"), 10),
		charge("not-valid", 7, -1),
		capture("rest", idOf("hold"), 20),
		refund("refund", idOf("rest"), 15),
		refund("refund-2", idOf("rest"), 6),
		charge("nobody", 9, 1),
		charge("fill", 7, 100), // a key of another request
		topUp("fill", 7, 100),  // a retry
		release("nothing", ledger.TransactionID{1}),
		transfer("transfer", sms(7), sms(8), 70),
		charge("given", 8, 70),
		place("rejected", 8, 1),
		capture("of-rejected", idOf("rejected"), 1),
		capture("later", idOf("after"), 1), // What comes later is not there yet.
		place("after", 7, 1),
	}
	want := []ledger.Code{
		"", "", ledger.InsufficientFunds, "", ledger.InvalidRequest, "", "", ledger.RefundExceedsCharge, ledger.NotFound, ledger.IdempotencyKeyReused, "",
		ledger.NotFound, "", "", ledger.InsufficientFunds, ledger.NotFound, ledger.NotFound, "",
	}
	first := s.batch(e, false, requests...)
	check(s, "outcomes", codes(first), want)
	for i := range first {
		check(s, fmt.Sprint("replayed ", i), first[i].Replayed, i == 10)
		if (first[i].Transaction == nil) == (first[i].Err == nil) {
			s.Errorf("request %d came out as %+v", i, first[i])
		}
	}
	check(s, "the retry in the batch", first[10].Transaction, first[0].Transaction)
	check(s, "wallets", [][3]int64{money(s.wallet(7)), money(s.wallet(8))}, [][3]int64{{15, 1, 7}, {0, 0, 2}})
	s.checkHold("hold", idOf("hold"), ledger.HoldCaptured, 30, 0)
	Verify(s, s.store)

	// The same batch once more gives the same, as replays, and moves nothing.
	want[16] = "" // The hold is there by now.
	again := s.batch(e, false, requests...)
	check(s, "outcomes again", codes(again), want)
	for i := range again {
		if i != 16 && first[i].Transaction != nil {
			check(s, "the same transaction", again[i].Transaction, first[i].Transaction)
			check(s, "replayed", again[i].Replayed, true)
		}
	}
	check(s, "wallet", money(s.wallet(7)), [3]int64{14, 0, 8})
	// A part of it, or each by itself, is the same, too.
	check(s, "outcomes of a part", codes(s.batch(e, false, requests[2:4]...)), want[2:4])
	tx, replayed := s.post(e, requests[5])
	check(s, "one by itself", tx, first[5].Transaction)
	check(s, "replayed", replayed, true)
	Verify(s, s.store)
}

func testBatchSizes(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7))
	var requests []ledger.Request
	for i := range engine.MaxBatch + 1 {
		requests = append(requests, topUp(strconv.Itoa(i), 7, 1))
	}
	for _, atomic := range []bool{false, true} {
		for _, wrong := range [][]ledger.Request{nil, requests} {
			results, err := e.PostBatch(s.Context(), wrong, atomic)
			wantCode(s, fmt.Sprint(len(wrong), " requests"), err, ledger.InvalidRequest)
			check(s, "results", results, nil)
		}
	}
	results := s.batch(e, true, requests[:engine.MaxBatch]...)
	check(s, "number of results", len(results), engine.MaxBatch)
	for i := range results {
		check(s, "version", results[i].Transaction.Version, int64(i+1))
	}
	// Where nothing of it can even be tried, nothing is.
	results = s.batch(e, false, charge("a", 7, -1), charge("b", 7, 0))
	check(s, "outcomes", codes(results), []ledger.Code{ledger.InvalidRequest, ledger.InvalidRequest})
	check(s, "wallet", money(s.wallet(7)), [3]int64{engine.MaxBatch, 0, engine.MaxBatch})
	Verify(s, s.store)
}

// blame says which request an atomic batch failed for, and why.
func blame(results []engine.Result) (int, ledger.Code) {
	i, err := engine.FirstFailure(results)
	return i, ledger.CodeOf(err)
}

// All of an atomic batch, with holds and what captures them, or nothing of it.
func testAtomicBatch(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7), account(8))
	good := []ledger.Request{
		topUp("fill", 7, 100), place("hold", 7, 60), part("part", idOf("hold"), 10), capture("rest", idOf("hold"), 20),
		refund("refund", idOf("rest"), 15), transfer("transfer", sms(7), sms(8), 85), by(8, charge("by-8", 8, 5)),
	}
	first := s.batch(e, true, good...)
	index, code := blame(first)
	check(s, "to blame", index, -1)
	check(s, "why", code, "")
	check(s, "outcomes", codes(first), make([]ledger.Code, len(good)))
	name := first[0].Transaction.Batch
	for i := range first {
		if tx := first[i].Transaction; tx.Batch != name || name.IsZero() || tx.Hash() != tx.RequestHash {
			s.Errorf("transaction %d names the batch %s, the first one %s", i, tx.Batch, name)
		}
	}
	wallets := func() [][3]int64 { return [][3]int64{money(s.wallet(7)), money(s.wallet(8))} }
	check(s, "wallets", wallets(), [][3]int64{{0, 0, 6}, {80, 0, 2}})

	// The whole batch again is a replay; anything else with its keys is not it.
	again := s.batch(e, true, good...)
	for i := range again {
		check(s, "the same transaction", again[i].Transaction, first[i].Transaction)
		check(s, "replayed", again[i].Replayed, true)
	}
	other := append([]ledger.Request{topUp("new", 7, 1)}, good...)
	swapped := append([]ledger.Request{good[1], good[0]}, good[2:]...)
	for what, requests := range map[string][]ledger.Request{"a part": good[:3], "another part": good[1:2], "more": other, "another order": swapped} {
		results := s.batch(e, true, requests...)
		index, code := blame(results)
		wantIndex := 0
		if what == "more" {
			wantIndex = 1
		}
		check(s, what+" of it: to blame", index, wantIndex)
		check(s, what+" of it: why", code, ledger.IdempotencyKeyReused)
		s.nothingDecided(what, results, index)
	}
	check(s, "one by itself", codes(s.batch(e, false, good[0])), []ledger.Code{ledger.IdempotencyKeyReused})
	s.refused(e, good[0], ledger.IdempotencyKeyReused)
	check(s, "wallets", wallets(), [][3]int64{{0, 0, 6}, {80, 0, 2}})
	Verify(s, s.store)
	s.reopen()
	Verify(s, s.store)
}

// nothingDecided checks that an atomic batch left nothing to remember.
func (s *suite) nothingDecided(what string, results []engine.Result, index int) {
	s.Helper()
	for i := range results {
		if results[i].Transaction != nil || results[i].Replayed || results[i].Err == nil {
			s.Errorf("%s: request %d came out as %+v", what, i, results[i])
		}
		if code := ledger.CodeOf(results[i].Err); i != index && code != ledger.BatchRejected {
			s.Errorf("%s: request %d, which is not to blame, failed with %v", what, i, results[i].Err)
		}
	}
}

// An atomic batch that cannot be decided is not remembered: it may be repaired.
func testAtomicUndecided(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7), account(8))
	s.posted(e, topUp("fill", 7, 100))
	s.posted(e, charge("used", 7, 1))
	before := s.state(100)
	for _, tt := range []struct {
		what     string
		requests []ledger.Request
		index    int
		code     ledger.Code
	}{
		{"not valid", []ledger.Request{charge("a", 7, 1), charge("b", 7, -1), charge("c", 9, 1)}, 1, ledger.InvalidRequest},
		{"no account", []ledger.Request{charge("a", 7, 1), charge("b", 7, 2), charge("c", 9, 1)}, 2, ledger.NotFound},
		{"no account to pay to", []ledger.Request{charge("a", 7, 1), transfer("b", sms(7), sms(9), 1), charge("c", 7, 1000)}, 1, ledger.NotFound},
		{"no account first", []ledger.Request{charge("a", 7, 1000), charge("c", 9, 1)}, 1, ledger.NotFound},
		{"no wallet", []ledger.Request{{IdempotencyKey: "a", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 7, Service: "fax"}, Amount: 1}, charge("b", 7, 1)}, 0, ledger.NotFound},
		{"no hold", []ledger.Request{charge("a", 7, 1), release("b", ledger.TransactionID{1}), charge("c", 7, 1)}, 1, ledger.NotFound},
		{"no hold yet", []ledger.Request{release("a", idOf("b")), place("b", 7, 1)}, 0, ledger.NotFound},
		{"no charge", []ledger.Request{charge("a", 7, 1), refund("b", idOf("fill"), 1)}, 1, ledger.Conflict},
		{"a key twice", []ledger.Request{charge("a", 7, 1), charge("b", 7, 1), charge("a", 7, 1)}, 2, ledger.InvalidRequest},
		{"a key of another", []ledger.Request{charge("a", 7, 1), charge("used", 7, 2)}, 1, ledger.IdempotencyKeyReused},
		{"a key of another first", []ledger.Request{charge("used", 7, 1), charge("a", 7, 1)}, 0, ledger.IdempotencyKeyReused},
		// What fails by the rules comes before what cannot be remembered at all.
		{"a key of another after a rejection", []ledger.Request{charge("a", 7, 1000), charge("used", 7, 1)}, 1, ledger.IdempotencyKeyReused},
		{"not allowed", []ledger.Request{by(7, charge("a", 7, 1)), by(7, topUp("b", 7, 1))}, 1, ledger.Forbidden},
	} {
		results := s.batch(e, true, tt.requests...)
		index, code := blame(results)
		check(s, tt.what+": to blame", index, tt.index)
		check(s, tt.what+": why", code, tt.code)
		s.nothingDecided(tt.what, results, index)
		check(s, tt.what+": ledger", s.state(100), before)
	}
	// All of its keys are free.
	results := s.batch(e, true, charge("a", 7, 1), charge("b", 7, 2), charge("c", 7, 3))
	check(s, "outcomes", codes(results), []ledger.Code{"", "", ""})
	check(s, "wallet", money(s.wallet(7)), [3]int64{93, 0, 5})
	Verify(s, s.store)
}

// An atomic batch of which one is rejected is remembered as rejected, with the
// one to blame, and told byte for byte the same.
func testAtomicRejected(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7), account(8))
	s.insertKeys(key("capped", func(k *ledger.Key) { k.Caps = ledger.Caps{Daily: 50, Monthly: 60} }))
	s.posted(e, topUp("fill", 7, 100))
	s.posted(e, place("hold", 7, 30))
	s.posted(e, charge("charge", 7, 20))
	s.posted(e, refund("refund", idOf("charge"), 5))
	before := s.state(100)
	requests := []ledger.Request{
		withKey("capped", charge("a", 7, 10)), withKey("capped", place("b", 7, 5)), part("c", idOf("hold"), 10), extend("d", idOf("hold"), 2*time.Hour),
		capture("e", idOf("b"), 2), refund("f", idOf("charge"), 3), refund("g", idOf("charge"), 4), refund("h", idOf("a"), 1), transfer("i", sms(7), sms(8), 1),
		withKey("capped", charge("j", 7, 1000)), charge("k", 8, 1), topUp("l", 8, 5),
	}
	first := s.batch(e, true, requests...)
	index, code := blame(first)
	check(s, "to blame", index, 9)
	check(s, "why", code, ledger.InsufficientFunds)
	for i := range first {
		tx := first[i].Transaction
		if tx == nil || first[i].Err != nil || first[i].Replayed {
			s.Fatalf("request %d came out as %+v", i, first[i])
		}
		want := ledger.BatchRejected
		if i == 9 {
			want = ledger.InsufficientFunds
		}
		check(s, "rejection", tx.Rejection, want)
		wantCode(s, "its error", tx.Err(), want)
		// Each tells what its wallet has, as it was before the batch and is after it.
		check(s, "what it moved", []any{tx.Moved, tx.Remaining, tx.Version, tx.ToVersion, tx.ExpiresAt}, []any{ledger.Amount(0), ledger.Amount(0), int64(0), int64(0), zeroTime})
		w := s.wallet(tx.Wallet.Account)
		check(s, "what the wallet has", [3]ledger.Amount{tx.Balance, tx.Held, tx.Available}, [3]ledger.Amount{w.Balance, w.Held, w.Available()})
	}
	none := ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap}
	check(s, "what the caps leave", []ledger.CapLeft{first[0].Transaction.CapLeft, first[2].Transaction.CapLeft, first[9].Transaction.CapLeft},
		[]ledger.CapLeft{{Daily: 50, Monthly: 60}, none, {Daily: 50, Monthly: 60}})

	// But for the rejections the ledger is as before.
	same := func() {
		s.Helper()
		after := s.state(100)
		check(s, "transactions that were added", len(after.Transactions)-len(before.Transactions), len(requests))
		for i := range after.Holds {
			check(s, "transactions of the hold", len(after.Holds[i].Transactions), 3)
			after.Holds[i].Transactions = before.Holds[i].Transactions
		}
		for i := range after.Refunds {
			after.Refunds[i].Refunds = before.Refunds[i].Refunds
		}
		after.Transactions = before.Transactions
		check(s, "ledger", after, before)
		check(s, "key", s.key(key("capped").Digest).Spent, ledger.Spent{})
		Verify(s, s.store)
	}
	same()
	for range 2 {
		again := s.batch(e, true, requests...)
		for i := range again {
			check(s, "the same transaction", again[i].Transaction, first[i].Transaction)
			check(s, "replayed", again[i].Replayed, true)
		}
		index, code = blame(again)
		check(s, "to blame", index, 9)
		check(s, "why", code, ledger.InsufficientFunds)
		same()
		e.Close()
		s.reopen()
		e = s.enginesOver(s.store, engine.Options{SweepInterval: -1})(0)
	}
	// A part of it is another batch, and so are its requests by themselves.
	check(s, "a part", codes(s.batch(e, true, requests[:2]...)), []ledger.Code{ledger.IdempotencyKeyReused, ledger.BatchRejected})
	s.refused(e, requests[0], ledger.IdempotencyKeyReused)
	same()
}

// What an atomic batch took back leaves no trace in what is decided with it and
// after it: wallets, holds, counts of refunds and of keys, and no gap in the versions.
func testAtomicBesideOthers(s *suite) {
	s.open()
	gate := NewGate(s.store)
	e := NewEngine(s, gate, engine.Options{SweepInterval: -1})
	s.insert(account(7), account(8))
	s.insertKeys(key("capped", func(k *ledger.Key) { k.Caps = ledger.Caps{Daily: 50} }))
	s.posted(e, topUp("fill", 7, 100))
	s.posted(e, topUp("fill-8", 8, 10))
	s.posted(e, withKey("capped", place("hold", 7, 30)))
	s.posted(e, withKey("capped", charge("charge", 7, 10)))
	s.posted(e, refund("refund", idOf("charge"), 2))

	outcomes := make([][]ledger.Code, 6)
	group := func(i int, atomic bool, requests ...ledger.Request) func() {
		return func() {
			results, err := e.PostBatch(context.Background(), requests, atomic)
			if err != nil {
				s.Errorf("batch %d: %v", i, err)
			}
			outcomes[i] = codes(results)
		}
	}
	bad := func(i int) []ledger.Request {
		n := fmt.Sprint("-", i)
		return []ledger.Request{
			withKey("capped", charge("x1"+n, 7, 1)), part("x2"+n, idOf("hold"), 1), withKey("capped", place("x3"+n, 7, 2)), capture("x4"+n, idOf("x3"+n), 1),
			refund("x5"+n, idOf("charge"), 1), refund("x6"+n, idOf("charge"), 1), transfer("x7"+n, sms(7), sms(8), 1), release("x8"+n, idOf("hold")),
			charge("x9"+n, 8, 1000),
		}
	}
	Queue(e, gate,
		func() { s.posted(e, topUp("gate", 8, 1)) },
		group(0, true, bad(0)...),
		group(1, false, withKey("capped", charge("a", 7, 3)), part("b", idOf("hold"), 4), refund("c", idOf("charge"), 2)),
		group(2, true, bad(2)...),
		group(3, true, withKey("capped", charge("d", 7, 2)), capture("e", idOf("hold"), 5), refund("f", idOf("charge"), 6), transfer("g", sms(7), sms(8), 1)),
		group(4, true, bad(4)...),
		group(5, false, refund("h", idOf("charge"), 1), withKey("capped", charge("i", 7, 1)), release("j", idOf("hold"))),
	)
	all := func(code, last ledger.Code) []ledger.Code {
		return []ledger.Code{code, code, code, code, code, code, code, code, last}
	}
	rejected := all(ledger.BatchRejected, ledger.InsufficientFunds)
	ended := []ledger.Code{ledger.BatchRejected, ledger.HoldNotOpen, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected}
	check(s, "outcomes", outcomes, [][]ledger.Code{
		rejected, {"", "", ""}, rejected, {"", "", "", ""}, ended, {ledger.RefundExceedsCharge, "", ledger.HoldNotOpen},
	})
	s.checkHold("hold", idOf("hold"), ledger.HoldCaptured, 9, 0)
	_, err := s.store.Hold(s.Context(), idOf("x3-0"))
	wantCode(s, "a hold that was taken back", err, ledger.NotFound)
	w := s.wallet(7)
	// 100 - 10 + 2, then a, b, c, d, e, f, g, i.
	check(s, "wallet", money(w), [3]int64{92 - 3 - 4 + 2 - 2 - 5 + 6 - 1 - 1, 0, 4 + 8})
	check(s, "another wallet", money(s.wallet(8)), [3]int64{12, 0, 3})
	s.write(func(tx engine.Tx) error {
		refunded := must[map[ledger.TransactionID]ledger.Amount](s)(tx.Refunded(s.Context(), []ledger.TransactionID{idOf("charge")}))
		check(s, "refunded", refunded, map[ledger.TransactionID]ledger.Amount{idOf("charge"): 10})
		return nil
	})
	// 30 and 10, then 3, 2 and 1; the hold gave back what was not captured of it.
	check(s, "counted by the key", s.key(key("capped").Digest).Spent.Today, ledger.Amount(30+10+3+2+1-21))
	Verify(s, s.store)
}

// A refund that is taken back leaves what was counted before, not what it made of it.
func testAtomicRefundsTakenBack(s *suite) {
	e := s.engines(engine.Options{SweepInterval: -1})(0)
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 100))
	s.posted(e, charge("charge", 7, 50))
	s.posted(e, charge("other", 7, 50))
	s.posted(e, refund("first", idOf("charge"), 10))
	results := s.batch(e, true, refund("a", idOf("charge"), 5), refund("b", idOf("other"), 5), refund("c", idOf("charge"), 6), refund("d", idOf("charge"), 7),
		refund("e", idOf("other"), 46))
	index, code := blame(results)
	check(s, "to blame", index, 4)
	check(s, "why", code, ledger.RefundExceedsCharge)
	Verify(s, s.store)
	// Exactly the rest can be given back, and no more.
	s.rejected(e, refund("too-much", idOf("charge"), 41), ledger.RefundExceedsCharge)
	s.posted(e, refund("rest", idOf("charge"), 40))
	s.posted(e, refund("all", idOf("other"), 50))
	check(s, "wallet", money(s.wallet(7)), [3]int64{100, 0, 6})
	Verify(s, s.store)
}

// Many atomic batches over the same wallets at once: each whole or not at all.
func testAtomicAtOnce(s *suite) {
	engines := s.engines(engine.Options{SweepInterval: -1})
	s.insert(account(7), account(8))
	s.posted(engines(0), topUp("fill-7", 7, 20))
	s.posted(engines(0), topUp("fill-8", 8, 11))
	const callers = 24
	posted := make([]bool, callers)
	atOnce(callers, func(i int) {
		key := fmt.Sprint("-", i/2) // Each batch comes twice.
		requests := []ledger.Request{charge("a"+key, 7, 1), place("b"+key, 8, 1), transfer("c"+key, sms(7), sms(8), 1), capture("d"+key, idOf("b"+key), 2)}
		results, err := engines(i).PostBatch(context.Background(), requests, true)
		if err != nil {
			s.Errorf("batch %d: %v", i, err)
			return
		}
		index, why := engine.FirstFailure(results)
		posted[i] = index < 0
		if !posted[i] && ledger.CodeOf(why) != ledger.InsufficientFunds {
			s.Errorf("batch %d failed for %v", i, why)
		}
		for _, r := range results {
			if (r.Transaction.Rejection == "") != posted[i] {
				s.Errorf("batch %d is not all of one outcome: %v", i, codes(results))
			}
		}
	})
	n := int64(0)
	for i := 0; i < callers; i += 2 {
		check(s, "a batch and its retry", posted[i], posted[i+1])
		if posted[i] {
			n++
		}
	}
	// Each takes two from the one wallet and one from the other.
	check(s, "batches that were posted", n, 10)
	check(s, "wallets", [][3]int64{money(s.wallet(7)), money(s.wallet(8))}, [][3]int64{{0, 0, 21}, {1, 0, 31}})
	Verify(s, s.store)
}

// A batch that its caller gives up is decided all the same.
func testBatchGivenUp(s *suite) {
	s.open()
	gate := NewGate(s.store)
	e := NewEngine(s, gate, engine.Options{SweepInterval: -1})
	s.insert(account(7))
	s.posted(e, topUp("fill", 7, 10))
	ctx, cancel := context.WithCancel(context.Background())
	requests := []ledger.Request{charge("a", 7, 1), charge("b", 7, 2)}
	gate.Shut()
	done := make(chan error)
	go func() {
		_, err := e.PostBatch(ctx, append([]ledger.Request(nil), requests...), true)
		done <- err
	}()
	gate.Arrived()
	cancel()
	wantCode(s, "a batch that was given up", <-done, ledger.OutcomeUnknown)
	if _, err := e.PostBatch(ctx, requests[:1], false); !errors.Is(ctx.Err(), context.Canceled) || ledger.CodeOf(err) == "" {
		s.Errorf("a batch of a caller who is gone: %v", err)
	}
	gate.Open()
	results := s.batch(e, true, requests...)
	check(s, "outcomes", codes(results), []ledger.Code{"", ""})
	check(s, "replayed", results[0].Replayed && results[1].Replayed, true)
	Verify(s, s.store)
}
