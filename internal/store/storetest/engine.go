package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Clock is a clock that a test sets.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock gives a clock that stands at a time.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set sets the clock, also back.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Pass lets time pass.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// engines starts the engines that may write one ledger at a time: one on an
// exclusive store, and on another one two, which know nothing of each other.
func (s *suite) engines(options ...engine.Options) func(i int) *engine.Engine {
	s.Helper()
	s.open()
	return s.enginesOver(s.store, options...)
}

func (s *suite) enginesOver(store engine.Store, options ...engine.Options) func(i int) *engine.Engine {
	s.Helper()
	var o engine.Options
	if len(options) > 0 {
		o = options[0]
	}
	all := []*engine.Engine{NewEngine(s, store, o)}
	if !store.Exclusive() {
		all = append(all, NewEngine(s, store, o))
	}
	return func(i int) *engine.Engine { return all[i%len(all)] }
}

// timed are the options of engines that go by a clock, and expire holds only when they are told to.
func timed(clock *Clock) engine.Options {
	return engine.Options{Clock: clock.Now, SweepInterval: -1}
}

func topUp(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.TopUp, Wallet: sms(account), Amount: amount}
}

func charge(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Charge, Wallet: sms(account), Amount: amount}
}

func transfer(key string, from, to ledger.WalletRef, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Transfer, Wallet: from, To: to, Amount: amount}
}

// place reserves an amount for an hour.
func place(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.PlaceHold, Wallet: sms(account), Amount: amount, ExpiresIn: time.Hour}
}

// capture takes an amount of a hold, or for 0 all of it, and releases the rest.
func capture(key string, hold ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Capture, Parent: hold, Amount: amount, Final: true}
}

// part is a capture that leaves the rest reserved.
func part(key string, hold ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Capture, Parent: hold, Amount: amount}
}

func release(key string, hold ledger.TransactionID) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Release, Parent: hold}
}

func extend(key string, hold ledger.TransactionID, by time.Duration) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Extend, Parent: hold, ExpiresIn: by}
}

func refund(key string, charge ledger.TransactionID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Refund, Parent: charge, Amount: amount}
}

// by is a request of a customer's key.
func by(account ledger.AccountID, r ledger.Request) ledger.Request {
	r.Scope = account
	return r
}

// withKey is a request that comes with a key that has caps.
func withKey(id string, r ledger.Request) ledger.Request {
	r.Key = id
	return r
}

// idOf is the id of the operator's transaction with a key.
func idOf(key string) ledger.TransactionID { return ledger.NewTransactionID(ledger.Operator, key) }

// post posts what must be decided, in whatever way.
func (s *suite) post(e *engine.Engine, r ledger.Request) (*ledger.Transaction, bool) {
	s.Helper()
	tx, replayed, err := e.Post(context.Background(), r)
	if err != nil {
		s.Errorf("post %s: %v", r.IdempotencyKey, err)
		return &ledger.Transaction{}, false
	}
	return told(tx), replayed
}

// told is a transaction as a caller may know it, and as it is told again: the key
// that a request came with is not kept.
func told(tx *ledger.Transaction) *ledger.Transaction {
	if tx == nil {
		return nil
	}
	copied := *tx
	copied.Key = ""
	return &copied
}

// posted posts what must be posted, now and for the first time.
func (s *suite) posted(e *engine.Engine, r ledger.Request) *ledger.Transaction {
	s.Helper()
	tx, replayed := s.post(e, r)
	if err := tx.Err(); err != nil || replayed {
		s.Errorf("%s was not posted: %v, replayed: %t", r.IdempotencyKey, err, replayed)
	}
	return tx
}

// rejected posts what must be rejected for a reason, and is told the same when it is posted again.
func (s *suite) rejected(e *engine.Engine, r ledger.Request, code ledger.Code) *ledger.Transaction {
	s.Helper()
	tx, replayed := s.post(e, r)
	if tx.Rejection != code || replayed {
		s.Errorf("%s came out as %q, want %q; replayed: %t", r.IdempotencyKey, tx.Rejection, code, replayed)
	}
	wantCode(s, "the rejection's error", tx.Err(), code)
	again, replayed := s.post(e, r)
	check(s, "a rejection that is asked for again", again, tx)
	check(s, "it is a replay", replayed, true)
	return tx
}

// refused posts what is not even decided.
func (s *suite) refused(e *engine.Engine, r ledger.Request, code ledger.Code) {
	s.Helper()
	tx, replayed, err := e.Post(context.Background(), r)
	if tx != nil || replayed {
		s.Errorf("%s came out as %+v, replayed: %t", r.IdempotencyKey, tx, replayed)
	}
	wantCode(s, r.IdempotencyKey, err, code)
}

// wallet reads an account's wallet sms out of the store.
func (s *suite) wallet(account ledger.AccountID) ledger.Wallet {
	s.Helper()
	wallet, ok := s.holder(account).Wallet(ledger.SMS)
	if !ok {
		s.Fatalf("account %d has no wallet sms", account)
	}
	return *wallet
}

// money is what a wallet has: balance, held and version.
func money(w ledger.Wallet) [3]int64 { return [3]int64{int64(w.Balance), int64(w.Held), w.Version} }

// tally counts outcomes that many report at once.
type tally struct {
	mu     sync.Mutex
	counts map[ledger.Code]int
}

func (t *tally) add(code ledger.Code) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[ledger.Code]int{}
	}
	t.counts[code]++
}

// atOnce runs fn so many times side by side, all let go at one instant.
func atOnce(n int, fn func(i int)) {
	var group sync.WaitGroup
	ready := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-ready
			fn(i)
		})
	}
	close(ready)
	group.Wait()
}

func testHotWallet(s *suite) {
	engines := s.engines()
	s.insert(account(7, func(h *ledger.Holder) { h.Wallets[0].CreditLimit = 3 }))
	const callers, enough = 64, 10 + 3
	s.post(engines(0), topUp("fill", 7, 10))
	var mu sync.Mutex
	outcomes := map[ledger.Code]int{}
	versions := map[int64]bool{}
	atOnce(callers, func(i int) {
		tx, _ := s.post(engines(i), charge(fmt.Sprint("c", i), 7, 1))
		mu.Lock()
		defer mu.Unlock()
		outcomes[tx.Rejection]++
		if tx.Rejection == "" {
			versions[tx.Version] = true
		}
	})
	check(s, "outcomes", outcomes, map[ledger.Code]int{"": enough, ledger.InsufficientFunds: callers - enough})
	check(s, "distinct versions", len(versions), enough)
	wallet := s.holder(7).Wallets[0]
	check(s, "balance and version", []int64{int64(wallet.Balance), wallet.Version}, []int64{-3, 1 + enough})
	Verify(s, s.store)
}

// Charges, holds and what captures them go for the last unit together. A capture
// takes what its hold has reserved, so it can always have it.
func testHotHolds(s *suite) {
	engines := s.engines()
	s.insert(account(7, func(h *ledger.Holder) { h.Wallets[0].CreditLimit = 3 }))
	const callers, enough = 60, 10 + 3
	s.posted(engines(0), topUp("fill", 7, 10))
	var outcomes tally
	atOnce(callers, func(i int) {
		key := strconv.Itoa(i)
		request := charge("charge-"+key, 7, 1)
		if i%3 > 0 {
			request = place("hold-"+key, 7, 1)
		}
		tx, _ := s.post(engines(i), request)
		outcomes.add(tx.Rejection)
		switch {
		case tx.Rejection != "" || i%3 == 0:
		case i%3 == 1:
			check(s, "captured", s.posted(engines(i+1), capture("capture-"+key, tx.ID, 0)).Moved, ledger.Amount(1))
		default:
			s.posted(engines(i+1), part("part-"+key, tx.ID, 1))
		}
	})
	check(s, "outcomes", outcomes.counts, map[ledger.Code]int{"": enough, ledger.InsufficientFunds: callers - enough})
	w := s.wallet(7)
	check(s, "balance and held", [2]ledger.Amount{w.Balance, w.Held}, [2]ledger.Amount{-3, 0})
	Verify(s, s.store)
}

func testDuplicates(s *suite) {
	engines := s.engines()
	s.insert(account(7), account(8))
	s.post(engines(0), topUp("fill", 7, 1000))
	for round := range 5 {
		for _, r := range []ledger.Request{
			charge(fmt.Sprint("charge", round), 7, 1),
			// A rejection is an outcome too, told to each that repeats it.
			charge(fmt.Sprint("rejected", round), 7, 5000),
			{IdempotencyKey: fmt.Sprint("transfer", round), Kind: ledger.Transfer, Wallet: sms(7), To: sms(8), Amount: 1, Metadata: ledger.Metadata{"a": "b"}},
			place(fmt.Sprint("hold", round), 7, 9),
			part(fmt.Sprint("part", round), idOf(fmt.Sprint("hold", round)), 2),
			extend(fmt.Sprint("extend", round), idOf(fmt.Sprint("hold", round)), 2*time.Hour),
			capture(fmt.Sprint("capture", round), idOf(fmt.Sprint("hold", round)), 3),
			release(fmt.Sprint("release", round), idOf(fmt.Sprint("hold", round))), // a rejection
			refund(fmt.Sprint("refund", round), idOf(fmt.Sprint("capture", round)), 1),
		} {
			const callers = 16
			got := make([]*ledger.Transaction, callers)
			replays := make([]bool, callers)
			atOnce(callers, func(i int) { got[i], replays[i] = s.post(engines(i), r) })
			first := 0
			for i := range got {
				if !replays[i] {
					first++
				}
				if diff := cmp.Diff(got[0], got[i]); diff != "" {
					s.Errorf("two callers got different outcomes:\n%s", diff)
				}
			}
			check(s, "outcomes that are not replays", first, 1)
			stored := must[*ledger.Transaction](s)(s.store.Transaction(s.Context(), ledger.NewTransactionID(r.Scope, r.IdempotencyKey)))
			check(s, "stored outcome", stored, got[0])
		}
	}
	// Of several requests under one key one is decided, and the others learn of it.
	var mu sync.Mutex
	codes := map[ledger.Code]int{}
	atOnce(16, func(i int) {
		_, _, err := engines(i).Post(context.Background(), charge("reused", 7, ledger.Amount(1+i)))
		mu.Lock()
		defer mu.Unlock()
		codes[ledger.CodeOf(err)]++
	})
	check(s, "outcomes", codes, map[ledger.Code]int{"": 1, ledger.IdempotencyKeyReused: 15})
	Verify(s, s.store)
}

func testCrossing(s *suite) {
	engines := s.engines()
	s.insert(account(7), account(8), account(9))
	const callers, each, fill = 12, 20, 100
	for id := range ledger.AccountID(3) {
		s.post(engines(0), topUp(fmt.Sprint("fill", id), 7+id, fill))
	}
	atOnce(callers, func(i int) {
		from, to := sms(7+ledger.AccountID(i%3)), sms(7+ledger.AccountID((i+1+i/3%2)%3))
		for n := range each {
			tx, _ := s.post(engines(i), ledger.Request{
				IdempotencyKey: fmt.Sprint(i, "-", n), Kind: ledger.Transfer, Wallet: from, To: to, Amount: ledger.Amount(1 + n%7),
			})
			if tx.Rejection != "" && tx.Rejection != ledger.InsufficientFunds {
				s.Errorf("a transfer was rejected: %s", tx.Rejection)
			}
		}
	})
	sum := ledger.Amount(0)
	for id := range ledger.AccountID(3) {
		balance := s.holder(7 + id).Wallets[0].Balance
		if balance < 0 {
			s.Errorf("account %d was overdrawn to %s", 7+id, balance)
		}
		sum += balance
	}
	check(s, "sum of the balances", sum, ledger.Amount(3*fill))
	Verify(s, s.store)
}

// A wallet that nobody has used has no entry to lock or to chain to.
func testFirstUse(s *suite) {
	engines := s.engines()
	s.insert(account(7))
	const callers = 32
	wallet := ledger.WalletRef{Account: 7, Service: "fax"}
	atOnce(callers, func(i int) {
		// The wallet itself may be made by several at once, too.
		if _, _, err := engines(i).PutWallet(context.Background(), wallet, ledger.Settings{}); err != nil {
			s.Errorf("PutWallet: %v", err)
		}
		s.post(engines(i), ledger.Request{IdempotencyKey: fmt.Sprint("first", i), Kind: ledger.TopUp, Wallet: wallet, Amount: 2})
	})
	holder := s.holder(7)
	check(s, "services", services(holder), []ledger.Service{"fax", ledger.SMS, ledger.VoIP})
	check(s, "balance", holder.Wallets[0].Balance, ledger.Amount(2*callers))
	check(s, "version", holder.Wallets[0].Version, callers)
	Verify(s, s.store)
}

// What a change gives back is the account as a reader finds it, with all its
// wallets, whatever part of it the change had to lock.
func testChangesGiveAll(s *suite) {
	e := s.engines()(0)
	ctx := s.Context()
	same := func(what string, got *ledger.Holder, err error) {
		s.Helper()
		if err != nil {
			s.Fatalf("%s: %v", what, err)
		}
		check(s, what+", against the store", got, s.holder(got.ID))
		check(s, what+", against the engine", got, must[*ledger.Holder](s)(e.Holder(ctx, got.ID)))
	}
	// Empty metadata is none: what is told now is what is told after a restart.
	created, err := e.CreateAccount(ctx, ledger.Account{Name: "Example Ltd", Currency: "CNY", Metadata: ledger.Metadata{}})
	same("created", created, err)
	s.post(e, topUp("fill", created.ID, 12))
	wallet := ledger.WalletRef{Account: created.ID, Service: "fax"}
	for i, isNew := range []bool{true, false} {
		limited, got, err := e.PutWallet(ctx, wallet, everySetting(ledger.Amount(5+i)))
		same("limited", limited, err)
		check(s, "a new wallet", got, isNew)
	}
	name := "changed"
	changed, err := e.UpdateAccount(ctx, created.ID, engine.AccountChange{Name: &name, Metadata: ledger.Metadata{"a": "b"}})
	same("changed", changed, err)
	check(s, "wallets", len(changed.Wallets), 3)
	changed, err = e.UpdateAccount(ctx, created.ID, engine.AccountChange{Metadata: ledger.Metadata{}})
	same("changed", changed, err)
}

// A reply is the same whether it is told first, again, or after a restart.
func testRepliesSurvive(s *suite) {
	e := s.engines()(0)
	s.insert(account(7), account(8))
	requests := []ledger.Request{
		topUp("plain", 7, 5),
		charge("rejected", 8, 5),
		{IdempotencyKey: "empty-metadata", Kind: ledger.TopUp, Wallet: sms(7), Amount: 1, Metadata: ledger.Metadata{}},
		{IdempotencyKey: "metadata", Kind: ledger.Transfer, Wallet: sms(7), To: sms(8), Amount: 1, Reference: unusualText[0], Metadata: ledger.Metadata{"empty": "", "a": unusualText[1]}},
		place("hold", 7, 3),
		part("part", idOf("hold"), 1),
		extend("extend", idOf("hold"), 2*time.Hour),
		capture("rest", idOf("hold"), 0),
		release("too-late", idOf("hold")),
		refund("refund", idOf("rest"), 1),
		refund("too-much", idOf("rest"), 2),
		place("another", 7, 1),
		release("release", idOf("another")),
	}
	requests[len(requests)-2].Reference = "msg-1"
	var first []*ledger.Transaction
	for _, r := range requests {
		tx, replayed := s.post(e, r)
		check(s, "replayed", replayed, false)
		first = append(first, tx)
	}
	again := func() {
		s.Helper()
		for i, r := range requests {
			tx, replayed := s.post(e, r)
			check(s, "replayed", replayed, true)
			check(s, "the same reply", tx, first[i])
		}
	}
	again()
	e.Close()
	e = NewEngine(s, s.reopen(), engine.Options{})
	again()
}
