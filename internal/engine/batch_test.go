package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// batched is what came of a batch.
type batched struct {
	results []engine.Result
	err     error
}

// batching is a call for storetest.Queue that posts a batch.
func batching(e *engine.Engine, into *batched, atomic bool, requests ...ledger.Request) func() {
	return func() { into.results, into.err = e.PostBatch(ctx, requests, atomic) }
}

// codes gives the outcome of each request of a batch, "" for what was posted.
func (b *batched) codes() []ledger.Code {
	all := []ledger.Code{}
	for i := range b.results {
		o := outcome{tx: b.results[i].Transaction, err: b.results[i].Err}
		all = append(all, o.code())
	}
	return all
}

// topUps are so many requests, each of one unit.
func topUps(prefix string, n int) (requests []ledger.Request) {
	for i := range n {
		requests = append(requests, topUp(fmt.Sprint(prefix, i), 1, 1))
	}
	return requests
}

// Each posting of a batch takes a place in the queue, and a batch is admitted
// whole or not at all. Half of the queue is for single requests alone.
func TestQueueCountsPostings(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{QueueSize: 14}, 1)
	_, err := e.PostBatch(ctx, topUps("too-many-", 8), false)
	wantCode(t, err, ledger.Overloaded)
	check(t, "what waits", e.QueueDepth(), 0)
	var first, fits, late, last, two batched
	var single, more outcome
	storetest.Queue(e, gate,
		batching(e, &first, true, topUps("first-", 2)...), // which the committer has, and which does not count any more
		batching(e, &fits, false, topUps("fits-", 4)...),
		batching(e, &late, true, topUps("late-", 4)...),
		posting(e, topUp("single", 1, 1), &single),
		func() { check(t, "what waits", e.QueueDepth(), 5) },
		batching(e, &last, false, topUps("last-", 2)...),
		batching(e, &two, false, topUps("two-", 2)...),
		posting(e, topUp("more", 1, 1), &more),
	)
	check(t, "batches", [][]ledger.Code{first.codes(), fits.codes(), last.codes()}, [][]ledger.Code{{"", ""}, {"", "", "", ""}, {"", ""}})
	noError(t, single.err)
	wantCode(t, late.err, ledger.Overloaded)
	wantCode(t, two.err, ledger.Overloaded)
	noError(t, more.err)
	check(t, "results of a batch that was refused", late.results, nil)
	check(t, "what waits in the end", e.QueueDepth(), 0)
	check(t, "versions", []int64{first.results[1].Transaction.Version, fits.results[3].Transaction.Version, single.tx.Version, last.results[1].Transaction.Version}, []int64{2, 6, 7, 9})
	post(t, e, topUp("more", 1, 1))
}

// The committer takes writes until their postings fill its batch; the last one may bring more.
func TestBatchSizeCountsPostings(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	recorder := &recorder{Store: store}
	gate := storetest.NewGate(recorder)
	seen := &observer{}
	e := start(t, gate, engine.Options{BatchSize: 5, Observer: seen}, 1)
	recorder.taken()
	var one [3]outcome
	var b [5]batched
	var failed error
	storetest.Queue(e, gate,
		posting(e, topUp("first", 1, 1), &one[0]),
		batching(e, &b[0], false, topUps("a", 3)...),
		batching(e, &b[1], true, topUps("b", 4)...),
		batching(e, &b[2], false, topUps("c", 5)...),
		posting(e, topUp("d", 1, 1), &one[1]),
		func() { failed = setStatus(e, 1, ledger.Active) }, // takes a place, too
		batching(e, &b[3], true, topUps("e", 2)...),
		batching(e, &b[4], true, topUps("f", 1)...),
		posting(e, topUp("g", 1, 1), &one[2]),
	)
	noError(t, failed)
	check(t, "writes", recorder.taken(), [][]string{
		{"first"}, {"a0", "a1", "a2", "b0", "b1", "b2", "b3"}, {"c0", "c1", "c2", "c3", "c4"}, {"d"}, {"change"}, {"e0", "e1", "f0"}, {"g"},
	})
	e.Close() // The observer is told after the callers.
	check(t, "writes in each commit", seen.commits, []int{1, 1, 2, 1, 1, 1, 2, 1})
	check(t, "decided", seen.decided, map[string]int{"topup posted false": 1 + 3 + 4 + 5 + 1 + 3 + 1})
}

// What a batch says of itself is told to the observer for each of its postings.
func TestObserverOfBatches(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	seen := &observer{}
	e := start(t, store, engine.Options{Observer: seen}, 1)
	var b [3]batched
	batching(e, &b[0], true, charge("a", 1, 1), topUp("b", 1, 1))()
	batching(e, &b[1], false, topUp("c", 1, 9), place("d", 1, 4), charge("e", 9, 1), capture("f", idOf("d"), 0))()
	batching(e, &b[2], false, topUp("c", 1, 9), topUp("c", 1, 8))()
	e.Close()
	check(t, "decided", seen.decided, map[string]int{
		"charge insufficient_funds false": 1, "topup batch_rejected false": 1, "topup posted false": 1, "hold posted false": 1, "capture posted false": 1,
		"topup posted true": 1,
	})
}

// A batch that the store cannot take fails whole, and those beside it do not.
func TestPoisonedBatchFailsAlone(t *testing.T) {
	t.Parallel()
	store, path := newStore(t)
	gate := storetest.NewGate(store)
	var log bytes.Buffer
	e := start(t, gate, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, 1)
	execute(t, path, `CREATE TRIGGER poison BEFORE INSERT ON transactions WHEN NEW.reference = 'poison'
		BEGIN SELECT RAISE(ABORT, 'poisoned'); END`)
	poison := topUp("poison", 1, 100)
	poison.Reference = "poison"
	var first, last outcome
	var good, bad batched
	storetest.Queue(e, gate,
		posting(e, topUp("first", 1, 1), &first),
		batching(e, &good, true, topUp("a", 1, 1), place("b", 1, 2)),
		batching(e, &bad, false, topUp("c", 1, 1), poison, topUp("d", 1, 1)),
		posting(e, charge("last", 1, 1), &last),
	)
	wantCode(t, bad.err, ledger.Internal)
	check(t, "results", bad.results, nil)
	check(t, "the others", []ledger.Code{good.codes()[0], good.codes()[1], last.code()}, []ledger.Code{"", "", ledger.InsufficientFunds})
	if strings.Count(log.String(), "poisoned") != 1 {
		t.Errorf("the log says %s", &log)
	}
	execute(t, path, "DROP TRIGGER poison")
	batching(e, &bad, false, topUp("c", 1, 1), poison, topUp("d", 1, 1))()
	check(t, "the batch in the end", bad.codes(), []ledger.Code{"", "", ""})
	check(t, "version", wallet(t, e, 1).Version, int64(6))
	storetest.Verify(t, store)
}

// Faults of the store concern a whole batch.
func TestFaultsOfBatches(t *testing.T) {
	t.Parallel()
	for _, atomic := range []bool{false, true} {
		real, _ := newStore(t)
		store := &faulty{Store: real}
		e := start(t, store, engine.Options{}, 1)
		var b batched
		store.plan(leftUnknown(unknownButDone)...)
		batching(e, &b, atomic, topUps("a", 2)...)()
		wantCode(t, b.err, ledger.OutcomeUnknown)
		check(t, "results", b.results, nil)
		batching(e, &b, atomic, topUps("a", 2)...)()
		noError(t, b.err)
		check(t, "replayed", []bool{b.results[0].Replayed, b.results[1].Replayed}, []bool{true, true})
		store.plan(refused)
		batching(e, &b, atomic, topUps("b", 2)...)()
		wantCode(t, b.err, ledger.Internal)
		e.Close()
		batching(e, &b, atomic, topUps("b", 2)...)()
		wantCode(t, b.err, ledger.Overloaded)
	}
}

// An atomic batch and what it refers to can be decided in one commit with others
// that change the same things, one way or the other.
func TestAtomicRollbackInOneCommit(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 2)
	_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: 100}}, ledger.Credentials{ID: "capped", Secret: "secret-of-the-key"})
	noError(t, err)
	post(t, e, topUp("fill", 1, 100))
	post(t, e, charge("paid", 1, 10))
	with := func(r ledger.Request) ledger.Request { r.Key = "capped"; return r }
	var a, b, c batched
	var first, last outcome
	storetest.Queue(e, gate,
		posting(e, topUp("first", 1, 1), &first),
		// All of it is taken back: a hold, what came of it, and all counts.
		batching(e, &a, true, with(place("h1", 1, 5)), capture("h1c", idOf("h1"), 7), refund("r1", idOf("paid"), 4), with(charge("x", 1, 3)), transfer("y", 1, 2, 90)),
		// The same again, in part with other outcomes.
		batching(e, &b, true, with(place("h2", 1, 50)), part("h2c", idOf("h2"), 7), refund("r2", idOf("paid"), 6), transfer("z", 1, 2, 20)),
		batching(e, &c, true, release("h2r", idOf("h2")), refund("r3", idOf("paid"), 4), with(charge("w", 1, 57)), refund("r4", idOf("paid"), 1)),
		posting(e, refund("r5", idOf("paid"), 4), &last),
	)
	check(t, "taken back", a.codes(), []ledger.Code{ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected, ledger.InsufficientFunds})
	check(t, "posted", b.codes(), []ledger.Code{"", "", "", ""})
	// Its parent is not there yet when the batch is posted.
	check(t, "not decided", c.codes(), []ledger.Code{ledger.NotFound, ledger.BatchRejected, ledger.BatchRejected, ledger.BatchRejected})
	check(t, "the rest of the refund", last.code(), "")
	check(t, "version of each", []int64{b.results[0].Transaction.Version, b.results[3].Transaction.Version, last.tx.Version}, []int64{4, 7, 8})
	w := wallet(t, e, 1)
	check(t, "wallet", []int64{int64(w.Balance), int64(w.Held), w.Version}, []int64{101 - 10 - 7 + 6 - 20 + 4, 43, 8})
	keys, err := e.Keys(ctx, ledger.Operator, "", 10)
	noError(t, err)
	check(t, "counted", keys[0].Spent.Today, 50)
	storetest.Verify(t, store)
}

// Whoever reads while a batch is posted sees all of it or nothing.
func TestBatchesAreSeenWhole(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	const each, batches = 5, 30
	var group sync.WaitGroup
	group.Go(func() {
		for i := range batches {
			_, err := e.PostBatch(ctx, topUps(fmt.Sprint(i, "-"), each), i%2 == 0)
			noError(t, err)
		}
	})
	for version := int64(0); version < each*batches; {
		w := wallet(t, e, 1)
		if w.Version%each != 0 || w.Version < version || int64(w.Balance) != w.Version {
			t.Fatalf("the wallet is %+v, after version %d", w, version)
		}
		version = w.Version
	}
	group.Wait()
}
