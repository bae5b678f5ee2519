package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// observer counts what the engine tells.
type observer struct {
	mu      sync.Mutex
	commits []int
	decided map[string]int
}

func (o *observer) Committed(writes int, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commits = append(o.commits, writes)
	if took <= 0 {
		o.commits = append(o.commits, -1)
	}
}

func (o *observer) Decided(kind ledger.Kind, outcome string, replayed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.decided == nil {
		o.decided = map[string]int{}
	}
	o.decided[fmt.Sprint(kind, " ", outcome, " ", replayed)]++
}

// While one batch is made durable the next one gathers: all that waited, in its order.
func TestBatchHoldsAllThatWaited(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	recorder := &recorder{Store: store}
	gate := storetest.NewGate(recorder)
	seen := &observer{}
	e := start(t, gate, engine.Options{Observer: seen}, 2)
	recorder.taken()
	const n = 40
	results := make([]outcome, n)
	calls := []func(){posting(e, topUp("fill", 1, 5), &outcome{})}
	want := []string{}
	for i := range n {
		key := fmt.Sprint("c", i)
		want = append(want, key)
		calls = append(calls, posting(e, charge(key, 1, 1), &results[i]))
	}
	calls = append(calls, posting(e, charge("c0", 1, 1), &outcome{}))
	storetest.Queue(e, gate, calls...)
	check(t, "writes", recorder.taken(), [][]string{{"fill"}, want})
	// The first five in the queue are those that the money was enough for.
	for i := range results {
		code := ledger.Code("")
		if i >= 5 {
			code = ledger.InsufficientFunds
		}
		if results[i].code() != code {
			t.Errorf("charge %d came out as %q, want %q", i, results[i].code(), code)
		}
	}
	storetest.Verify(t, store)
	e.Close() // The observer is told after the callers.
	check(t, "commits", seen.commits, []int{1, 1, 1, n + 1})
	check(t, "decided", seen.decided, map[string]int{
		"topup posted false": 1, "charge posted false": 5, "charge insufficient_funds false": n - 5, "charge posted true": 1,
	})
}

// A change is in force for the posting that comes after it in the queue, and
// not for the one before it.
func TestOrderOfPostingsAndChanges(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	recorder := &recorder{Store: store}
	gate := storetest.NewGate(recorder)
	e := start(t, gate, engine.Options{}, 1)
	recorder.taken()
	var filled, before, during, fromCredit, empty outcome
	var suspended, activated, limited error
	storetest.Queue(e, gate,
		posting(e, topUp("fill", 1, 5), &filled),
		posting(e, charge("before", 1, 2), &before),
		func() { suspended = setStatus(e, 1, ledger.Suspended) },
		posting(e, charge("during", 1, 2), &during),
		func() { activated = setStatus(e, 1, ledger.Active) },
		func() { limited = setLimit(e, sms(1), 7) },
		posting(e, charge("from credit", 1, 10), &fromCredit), // refused for its key, so it never waits
		posting(e, charge("from-credit", 1, 10), &fromCredit),
		posting(e, charge("empty", 1, 1), &empty),
	)
	noError(t, errors.Join(filled.err, before.err, during.err, fromCredit.err, empty.err, suspended, activated, limited))
	check(t, "outcomes", []ledger.Code{before.code(), during.code(), fromCredit.code(), empty.code()},
		[]ledger.Code{"", ledger.AccountNotActive, "", ledger.InsufficientFunds})
	check(t, "writes", recorder.taken(), [][]string{{"fill"}, {"before"}, {"change"}, {"during"}, {"change"}, {"change"}, {"from-credit", "empty"}})
	storetest.Verify(t, store)
}

func TestBatchSizeIsABound(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	recorder := &recorder{Store: store}
	gate := storetest.NewGate(recorder)
	e := start(t, gate, engine.Options{BatchSize: 4}, 1)
	recorder.taken()
	var calls []func()
	for i := range 10 {
		calls = append(calls, posting(e, topUp(fmt.Sprint(i), 1, 1), &outcome{}))
	}
	storetest.Queue(e, gate, calls...)
	check(t, "writes", recorder.taken(), [][]string{{"0"}, {"1", "2", "3", "4"}, {"5", "6", "7", "8"}, {"9"}})
}

func TestFullQueueIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{QueueSize: 3}, 1)
	results := make([]outcome, 4)
	var calls []func()
	for i := range results {
		calls = append(calls, posting(e, topUp(fmt.Sprint(i), 1, 1), &results[i]))
	}
	// This runs while the gate is shut: were it to wait for the queue, the test would not end.
	calls = append(calls, func() {
		for range 100 {
			_, _, err := e.Post(ctx, topUp("late", 1, 1))
			wantCode(t, err, ledger.Overloaded)
			wantCode(t, setStatus(e, 1, ledger.Suspended), ledger.Overloaded)
		}
		if depth := e.QueueDepth(); depth != 3 {
			t.Errorf("the queue has %d writes", depth)
		}
		// Reading goes on, cached or not.
		if _, err := e.Transaction(ctx, ledger.TransactionID{1}); ledger.CodeOf(err) != ledger.NotFound {
			t.Errorf("reading while the queue is full: %v", err)
		}
		_, err := e.Holder(ctx, 1)
		noError(t, err)
		noError(t, e.Ping(ctx))
	})
	storetest.Queue(e, gate, calls...)
	for i := range results {
		noError(t, results[i].err)
	}
	// What was refused was not posted, and is welcome now.
	if post(t, e, topUp("late", 1, 1)).Version != 5 {
		t.Error("a refused request left something behind")
	}
}

func TestCloseFinishesWhatWasAdmitted(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	results := make([]outcome, 7)
	// They fill the queue, so that what asks whether the engine is closing is never admitted.
	e := start(t, gate, engine.Options{BatchSize: 2, QueueSize: len(results) - 1}, 1)
	var calls []func()
	for i := range results {
		calls = append(calls, posting(e, topUp(fmt.Sprint(i), 1, 1), &results[i]))
	}
	closed := make(chan struct{})
	calls = append(calls, func() {
		go func() {
			e.Close()
			close(closed)
		}()
		// Sooner or later the engine is closing, and from then on it refuses.
		for {
			_, _, err := e.Post(ctx, charge("late", 1, 1))
			wantCode(t, err, ledger.Overloaded)
			if strings.Contains(fmt.Sprint(err), "shutting down") {
				break
			}
			runtime.Gosched()
		}
		wantCode(t, setStatus(e, 1, ledger.Closed), ledger.Overloaded)
		select {
		case <-closed:
			t.Error("Close returned before what was admitted is answered")
		default:
		}
	})
	storetest.Queue(e, gate, calls...)
	<-closed
	for i := range results {
		noError(t, results[i].err)
		if results[i].tx == nil || results[i].tx.Version != int64(i+1) {
			t.Errorf("posting %d came out as %+v", i, results[i].tx)
		}
	}
	_, _, err := e.Post(ctx, charge("late", 1, 1))
	wantCode(t, err, ledger.Overloaded)
	e.Close() // once more, which is no fault
	holder, err := store.Holder(ctx, 1)
	noError(t, err)
	check(t, "balance", holder.Wallets[0].Balance, ledger.Amount(len(results)))
}

// A caller that goes away does not take its write back, and its retry is told the outcome.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 1)
	impatient, cancel := context.WithCancel(ctx)
	var givenUp outcome
	var holder, changed *ledger.Holder
	var key *ledger.Key
	var errs [3]error
	var group sync.WaitGroup
	gate.Shut()
	for i, call := range []func(){
		func() { givenUp.tx, givenUp.replayed, givenUp.err = e.Post(impatient, topUp("k", 1, 5)) },
		func() {
			holder, errs[0] = e.CreateAccount(impatient, ledger.Account{ID: 9, Name: "Example Ltd", Currency: "CNY"})
		},
		func() { changed, _, errs[1] = e.PutWallet(impatient, sms(1), ledger.Settings{CreditLimit: 5}) },
		func() {
			key, errs[2] = e.CreateKey(impatient, ledger.Key{Scopes: []ledger.Scope{ledger.ScopeAdmin}}, engine.GenerateCredentials())
		},
	} {
		group.Go(call)
		if i == 0 {
			gate.Arrived()
		}
		for e.QueueDepth() < i {
			runtime.Gosched()
		}
	}
	cancel()
	group.Wait()
	gate.Open()
	for _, err := range append(errs[:], givenUp.err) {
		wantCode(t, err, ledger.OutcomeUnknown)
	}
	// Nothing is given that the committer may still be writing.
	if givenUp.tx != nil || holder != nil || changed != nil || key != nil {
		t.Errorf("results came with the errors: %v, %v, %v", givenUp.tx, holder, key)
	}
	tx, replayed, err := e.Post(ctx, topUp("k", 1, 5))
	if err != nil || !replayed || tx.Version != 1 {
		t.Errorf("the retry: %+v, replayed: %t, %v", tx, replayed, err)
	}
	if _, err := e.Holder(ctx, 9); err != nil {
		t.Error(err)
	}
	check(t, "credit limit", wallet(t, e, 1).CreditLimit, 5)
}

func TestRequestsThatAreNotValidNeverWait(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 1)
	gate.Shut()
	defer gate.Open()
	_, _, err := e.Post(ctx, charge("k", 1, -1))
	wantCode(t, err, ledger.InvalidRequest)
	_, err = e.CreateAccount(ctx, ledger.Account{Name: "Example Ltd", Currency: "no"})
	wantCode(t, err, ledger.InvalidRequest)
	_, err = e.CreateAccount(ctx, ledger.Account{ID: -1, Name: "Example Ltd", Currency: "CNY"})
	wantCode(t, err, ledger.InvalidRequest)
	err = setLimit(e, ledger.WalletRef{Account: 1, Service: "Not A Name"}, 1)
	wantCode(t, err, ledger.InvalidRequest)
	err = setLimit(e, sms(1), -1)
	wantCode(t, err, ledger.InvalidRequest)
	_, err = e.CreateKey(ctx, ledger.Key{}, engine.GenerateCredentials())
	wantCode(t, err, ledger.InvalidRequest)
	_, err = e.CreateKey(ctx, ledger.Key{Scopes: []ledger.Scope{ledger.ScopeAdmin}}, ledger.Credentials{ID: "a:b", Secret: "c"})
	wantCode(t, err, ledger.InvalidRequest)
}

func TestChangesThatCannotBe(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 2)
	_, err := e.CreateAccount(ctx, ledger.Account{ID: 1, Name: "Example Ltd", Currency: "CNY"})
	wantCode(t, err, ledger.Conflict)
	wantCode(t, setStatus(e, 9, ledger.Closed), ledger.NotFound)
	wantCode(t, setStatus(e, 1, "other"), ledger.InvalidRequest)
	err = setLimit(e, sms(9), 1)
	wantCode(t, err, ledger.NotFound)
	post(t, e, topUp("fill", 1, 1))
	err = setLimit(e, sms(1), ledger.MaxAmount)
	wantCode(t, err, ledger.AmountOutOfRange)
	_, err = e.CreateKey(ctx, ledger.Key{Account: 9, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, engine.GenerateCredentials())
	wantCode(t, err, ledger.NotFound)
	wantCode(t, e.RevokeKey(ctx, "none"), ledger.NotFound)
	_, err = e.Keys(ctx, 9, "", 10)
	wantCode(t, err, ledger.NotFound)
	_, _, err = e.Authenticate(ctx, ledger.Credentials{ID: "no", Secret: "key"})
	wantCode(t, err, ledger.Unauthorized)
	for i := range ledger.MaxWallets - 2 {
		err = setLimit(e, ledger.WalletRef{Account: 1, Service: ledger.Service(fmt.Sprint("w", i))}, 0)
		noError(t, err)
	}
	err = setLimit(e, ledger.WalletRef{Account: 1, Service: "one-more"}, 0)
	wantCode(t, err, ledger.InvalidRequest)
	// None of it shows, in the cache or in the store.
	for _, read := range []func(context.Context, ledger.AccountID) (*ledger.Holder, error){e.Holder, store.Holder} {
		holder, err := read(ctx, 1)
		noError(t, err)
		w, _ := holder.Wallet(ledger.SMS)
		if holder.Status != ledger.Active || w.CreditLimit != 0 || len(holder.Wallets) != ledger.MaxWallets {
			t.Errorf("account 1 is %+v", holder)
		}
	}
}

func TestFaultsOfTheStore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		faults   []func(write func() error) error
		code     ledger.Code
		happened bool
	}{
		{"refused", []func(func() error) error{refused}, ledger.Internal, false},
		{"unknown, not done", leftUnknown(unknownAndNotDone), ledger.OutcomeUnknown, false},
		{"unknown, but done", leftUnknown(unknownButDone), ledger.OutcomeUnknown, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			real, _ := newStore(t)
			store := &faulty{Store: real}
			var log bytes.Buffer
			e := start(t, store, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, 2)
			post(t, e, topUp("fill", 1, 10))
			before := wallet(t, e, 1) // It is in the cache now.

			store.plan(tt.faults...)
			tx, replayed, err := e.Post(ctx, charge("k", 1, 10))
			wantCode(t, err, tt.code)
			if tx != nil || replayed || strings.Contains(fmt.Sprint(err), "disk") || strings.Contains(fmt.Sprint(err), "lost") {
				t.Errorf("the caller is told too much: %v, %t, %v", tx, replayed, err)
			}
			if !strings.Contains(log.String(), "disk on fire") && !strings.Contains(log.String(), "connection lost") {
				t.Errorf("the cause is not in the log: %s", &log)
			}

			// The cache is not trusted: neither for reading nor for deciding.
			want := before.Balance
			if tt.happened {
				want = 0
			}
			check(t, "balance after the fault", wallet(t, e, 1).Balance, want)
			store.plan(tt.faults...)
			_, _, err = e.Post(ctx, charge("k2", 1, 1))
			wantCode(t, err, tt.code)
			tx, _, err = e.Post(ctx, charge("after", 1, 10))
			noError(t, err)
			if got := tx.Rejection == ledger.InsufficientFunds; got != tt.happened {
				t.Errorf("a later charge came out as %q, with the balance at %s", tx.Rejection, tx.Balance)
			}

			// The retry gives exactly one posting, or the rejection that is due now.
			_, replayed, err = e.Post(ctx, charge("k", 1, 10))
			if err != nil || replayed != tt.happened {
				t.Errorf("the retry: replayed %t, %v", replayed, err)
			}
			check(t, "balance in the end", wallet(t, e, 1).Balance, 0)
			storetest.Verify(t, real)
		})
	}
}

// A revocation of which nobody knows whether it happened must not leave the key in the cache.
func TestFaultsOfChanges(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &faulty{Store: real}
	e := start(t, store, engine.Options{}, 1)
	credentials := newKey(t, e)
	_, _, err := e.Authenticate(ctx, credentials)
	noError(t, err)

	store.plan(refused)
	wantCode(t, e.RevokeKey(ctx, credentials.ID), ledger.Internal)
	_, _, err = e.Authenticate(ctx, credentials)
	noError(t, err)
	store.plan(unknownAndNotDone)
	err = e.RevokeKey(ctx, credentials.ID)
	wantCode(t, err, ledger.OutcomeUnknown)
	if strings.Contains(err.Error(), "idempotency key") { // A change has none.
		t.Error(err)
	}
	_, _, err = e.Authenticate(ctx, credentials)
	noError(t, err)
	store.plan(unknownButDone)
	wantCode(t, e.RevokeKey(ctx, credentials.ID), ledger.OutcomeUnknown)
	_, _, err = e.Authenticate(ctx, credentials)
	wantCode(t, err, ledger.Unauthorized)

	_, err = e.Holder(ctx, 1)
	noError(t, err)
	store.plan(unknownButDone)
	wantCode(t, setStatus(e, 1, ledger.Suspended), ledger.OutcomeUnknown)
	holder, err := e.Holder(ctx, 1)
	noError(t, err)
	check(t, "status", holder.Status, ledger.Suspended)
	tx, _, err := e.Post(ctx, charge("k", 1, 1))
	noError(t, err)
	check(t, "a charge", tx.Rejection, ledger.AccountNotActive)
}

// One request that the store cannot take fails alone: the others of its batch
// are posted, once and in order, and whoever repeats one of them gets its outcome.
func TestPoisonedRequestFailsAlone(t *testing.T) {
	t.Parallel()
	store, path := newStore(t)
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 1)
	execute(t, path, `CREATE TRIGGER poison BEFORE INSERT ON transactions WHEN NEW.reference = 'poison'
		BEGIN SELECT RAISE(ABORT, 'poisoned'); END`)
	var results [6]outcome
	poisoned := topUp("poison", 1, 100)
	poisoned.Reference = "poison"
	storetest.Queue(e, gate,
		posting(e, topUp("1", 1, 1), &results[0]),
		posting(e, topUp("2", 1, 1), &results[1]),
		posting(e, poisoned, &results[2]),
		posting(e, topUp("3", 1, 1), &results[3]),
		posting(e, topUp("3", 1, 1), &results[4]),
		posting(e, charge("4", 1, 4), &results[5]),
	)
	var codes []ledger.Code
	var versions []int64
	for i := range results {
		codes = append(codes, results[i].code())
		if results[i].tx != nil {
			versions = append(versions, results[i].tx.Version)
		}
	}
	check(t, "outcomes", codes, []ledger.Code{"", "", ledger.Internal, "", "", ledger.InsufficientFunds})
	check(t, "versions", versions, []int64{1, 2, 3, 3, 0})
	check(t, "replays", results[4].replayed, true)
	execute(t, path, "DROP TRIGGER poison")
	check(t, "version of the retry", post(t, e, poisoned).Version, 4)
	storetest.Verify(t, store)
}

func TestFaultAtTheStart(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if e, err := engine.New(gone, store, engine.Options{}); err == nil {
		e.Close()
		t.Error("an engine started over a store that does not answer")
	}
}

// Commit time never runs backwards, though the clock does, also over a restart.
func TestTimeNeverRunsBackwards(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 1, 2, 12, 0, 0, 678901234, time.FixedZone("UTC+7", 7*3600))
	clock := storetest.NewClock(noon)
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	first := post(t, e, topUp("1", 1, 1)).CreatedAt
	check(t, "first", first.String(), "2026-01-02 05:00:00.678901 +0000 UTC")
	clock.Set(noon.Add(-time.Hour))
	check(t, "an hour back", post(t, e, topUp("2", 1, 1)).CreatedAt, first)
	tx, _, err := e.Post(ctx, charge("3", 1, 100))
	noError(t, err)
	check(t, "a rejection", tx.CreatedAt, first)

	// After a restart with the clock still behind, and nothing in between.
	e.Close()
	noError(t, store.Close())
	store, err = sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noError(t, store.Close()) })
	e = start(t, store, engine.Options{Clock: clock.Now}, 0)
	check(t, "after a restart", post(t, e, topUp("4", 1, 1)).CreatedAt, first)
	clock.Set(noon.Add(time.Microsecond))
	check(t, "when the clock has caught up", post(t, e, topUp("5", 1, 1)).CreatedAt, first.Add(time.Microsecond))

	// A failed batch does not move time.
	clock.Set(noon.Add(time.Hour))
	e.Close()
	faults := &faulty{Store: store}
	e = start(t, faults, engine.Options{Clock: clock.Now}, 0)
	faults.plan(leftUnknown(unknownAndNotDone)...)
	_, _, err = e.Post(ctx, topUp("6", 1, 1))
	wantCode(t, err, ledger.OutcomeUnknown)
	clock.Set(noon.Add(time.Minute))
	check(t, "after a fault", post(t, e, topUp("6", 1, 1)).CreatedAt, first.Add(time.Minute))
	storetest.Verify(t, store)
}

// What a key says is the same from the cache and after a restart.
func TestKeySurvives(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	credentials := engine.GenerateCredentials()
	expiry := time.Date(2100, 1, 2, 3, 4, 5, 678901999, time.FixedZone("UTC+7", 7*3600))
	created, err := e.CreateKey(ctx, ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, ExpiresAt: expiry}, credentials)
	noError(t, err)
	cached, _, err := e.Authenticate(ctx, credentials)
	noError(t, err)
	stored, _, err := store.KeyByDigest(ctx, credentials.Digest())
	noError(t, err)
	check(t, "created key", created, stored)
	check(t, "cached key", cached, stored)
	check(t, "expiry", stored.ExpiresAt.String(), "2100-01-01 20:04:05.678901 +0000 UTC")
	listed, err := e.Keys(ctx, 1, "", 10)
	noError(t, err)
	check(t, "listed keys", listed, []*ledger.Key{stored})
	holders, err := e.Holders(ctx, 0, 10)
	noError(t, err)
	check(t, "listed accounts", len(holders), 1)
	// The id alone, another split and another secret open nothing.
	for _, wrong := range []ledger.Credentials{
		{ID: credentials.ID}, {ID: credentials.ID, Secret: credentials.Secret + "x"}, {ID: credentials.ID + credentials.Secret[:1], Secret: credentials.Secret[1:]},
	} {
		_, _, err := e.Authenticate(ctx, wrong)
		wantCode(t, err, ledger.Unauthorized)
	}
	_, _, err = e.Authenticate(ctx, ledger.Credentials{Secret: credentials.AuthSecret()})
	noError(t, err)
}

// A store that cannot begin is asked once for a batch, not once for each of its
// requests: behind a lock that somebody else holds, the one would cost a
// time-out and the others would cost one each.
func TestBatchThatCannotBeginFailsAtOnce(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &unwilling{Store: real}
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 1)
	var results [5]outcome
	var postings []func()
	for i := range results {
		postings = append(postings, posting(e, topUp(fmt.Sprint(i), 1, 1), &results[i]))
	}
	store.asked.Store(0)
	store.refuses.Store(true)
	storetest.Queue(e, gate, postings...)
	for i := range results {
		check(t, "outcome", results[i].code(), ledger.Internal)
	}
	if asked := store.asked.Load(); asked > 2 { // the first posting may have gone alone
		t.Errorf("the store was asked %d times", asked)
	}
	store.refuses.Store(false)
	check(t, "version of a retry", post(t, e, topUp("0", 1, 1)).Version, 1)
}

// unwilling is a store that can be told not to begin.
type unwilling struct {
	engine.Store
	refuses atomic.Bool
	asked   atomic.Int32
}

func (u *unwilling) Write(ctx context.Context, fn func(engine.Tx) error) error {
	u.asked.Add(1)
	if u.refuses.Load() {
		return errors.New("the database is locked")
	}
	return u.Store.Write(ctx, fn)
}

// Reads that the store cannot serve soon enough are bounded too: one more than
// the bound is refused at once, and a place that is given back serves the next.
func TestReadsAreBounded(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &slowReader{Store: real, started: make(chan struct{}), release: make(chan struct{})}
	e := start(t, real, engine.Options{}, 1)
	e.Close()
	slow, err := engine.New(ctx, store, engine.Options{ReadSize: 1})
	noError(t, err)
	defer slow.Close()
	var group sync.WaitGroup
	group.Go(func() {
		_, err := slow.Holder(ctx, 1)
		noError(t, err)
	})
	<-store.started
	reads := everyRead(slow)
	for name, read := range reads {
		t.Run(name, func(t *testing.T) { wantCode(t, read(), ledger.Overloaded) })
	}
	close(store.release)
	group.Wait()
	for name, read := range reads {
		t.Run(name+", later", func(t *testing.T) {
			if err := read(); ledger.CodeOf(err) == ledger.Overloaded {
				t.Error(err)
			}
		})
	}
	_, _, err = slow.Authenticate(ctx, ledger.Credentials{ID: "any", Secret: "key"})
	wantCode(t, err, ledger.Unauthorized)
}

// everyRead is every way in which an engine reads the store, none of which finds something.
func everyRead(e *engine.Engine) map[string]func() error {
	statement := &engine.Statement{Wallet: sms(1), Until: 5}
	query := engine.UsageQuery{By: engine.ByDay, From: sampleTime, To: sampleTime.Add(time.Hour), Limit: 1}
	return map[string]func() error{
		"Holder":  func() error { _, err := e.Holder(ctx, 2); return err },
		"Holders": func() error { _, err := e.Holders(ctx, 0, 1); return err },
		"Authenticate": func() error {
			_, _, err := e.Authenticate(ctx, ledger.Credentials{ID: "any", Secret: "key"})
			return err
		},
		"Keys":                    func() error { _, err := e.Keys(ctx, ledger.Operator, "", 1); return err },
		"Transaction":             func() error { _, err := e.Transaction(ctx, ledger.TransactionID{1}); return err },
		"TransactionsByReference": func() error { _, err := e.TransactionsByReference(ctx, 0, "m", engine.Place{}, 1); return err },
		"Hold":                    func() error { _, err := e.Hold(ctx, ledger.TransactionID{1}); return err },
		"Holds":                   func() error { _, err := e.Holds(ctx, sms(1), ledger.HoldOpen, engine.Place{}, 1); return err },
		"HoldsByReference":        func() error { _, err := e.HoldsByReference(ctx, engine.HoldReference{Reference: "m"}, 1); return err },
		"Post":                    func() error { _, _, err := e.Post(ctx, release("r", ledger.TransactionID{1})); return err },
		"Settle":                  func() error { _, err := e.Settle(ctx, 0, reports(ledger.Delivered, "m")); return err },
		"Statement":               func() error { _, err := e.Statement(ctx, sms(2), time.Time{}, time.Time{}); return err },
		"Rows":                    func() error { _, _, err := e.Rows(ctx, statement, 0, "", 1); return err },
		"Usage":                   func() error { _, err := e.Usage(ctx, query, time.UTC); return err },
		"TrialBalance":            func() error { _, err := e.TrialBalance(ctx); return err },
	}
}

// What the engine reads is what the store has, in the order and the number that are asked for.
func TestReads(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 2)
	post(t, e, topUp("fill", 1, 100))
	post(t, e, topUp("fill-2", 2, 100))
	for i := range 4 {
		r := place(fmt.Sprint("hold-", i), ledger.AccountID(1+i/3), 10)
		r.Reference = "m"
		post(t, e, r)
		clock.Pass(time.Second)
	}
	post(t, e, release("r", idOf("hold-1")))
	keysOf := func(holds []*ledger.Hold, err error) (found []ledger.TransactionID) {
		t.Helper()
		noError(t, err)
		for _, h := range holds {
			found = append(found, h.ID)
		}
		return found
	}
	first, err := e.Hold(ctx, idOf("hold-0"))
	noError(t, err)
	check(t, "a hold", []any{first.ID, first.Reference, first.Remaining}, []any{idOf("hold-0"), "m", ledger.Amount(10)})
	check(t, "holds", keysOf(e.Holds(ctx, sms(1), ledger.HoldOpen, engine.Place{}, 10)), []ledger.TransactionID{idOf("hold-0"), idOf("hold-2")})
	check(t, "holds after the first", keysOf(e.Holds(ctx, sms(1), ledger.HoldOpen, engine.Place{CreatedAt: first.CreatedAt, ID: first.ID}, 10)), []ledger.TransactionID{idOf("hold-2")})
	check(t, "the first hold", keysOf(e.Holds(ctx, sms(1), ledger.HoldOpen, engine.Place{}, 1)), []ledger.TransactionID{idOf("hold-0")})
	check(t, "of one account", keysOf(e.HoldsByReference(ctx, engine.HoldReference{Account: 1, Reference: "m"}, 10)), []ledger.TransactionID{idOf("hold-2"), idOf("hold-0"), idOf("hold-1")})
	check(t, "of all", keysOf(e.HoldsByReference(ctx, engine.HoldReference{Reference: "m"}, 2)), []ledger.TransactionID{idOf("hold-3"), idOf("hold-2")})
	transactions, err := e.TransactionsByReference(ctx, 1, "m", engine.Place{}, 3)
	noError(t, err)
	check(t, "transactions", []any{len(transactions), transactions[2].IdempotencyKey}, []any{3, "hold-2"})
	transactions, err = e.TransactionsByReference(ctx, 1, "m", engine.Place{CreatedAt: transactions[2].CreatedAt, ID: transactions[2].ID}, 3)
	noError(t, err)
	check(t, "the next one", []any{len(transactions), transactions[0].IdempotencyKey}, []any{1, "r"}) // which has the reference of its hold
}

// slowReader is a store whose first reading of an account waits to be released.
type slowReader struct {
	engine.Store
	once             sync.Once
	started, release chan struct{}
}

func (s *slowReader) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	s.once.Do(func() { close(s.started); <-s.release })
	return s.Store.Holder(ctx, id)
}
