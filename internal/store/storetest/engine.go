package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// engines starts the engines that may write one ledger at a time: one on an
// exclusive store, and on another one two, which know nothing of each other.
func (s *suite) engines() func(i int) *engine.Engine {
	s.Helper()
	store := s.open()
	all := []*engine.Engine{NewEngine(s, store, engine.Options{})}
	if !store.Exclusive() {
		all = append(all, NewEngine(s, store, engine.Options{}))
	}
	return func(i int) *engine.Engine { return all[i%len(all)] }
}

func topUp(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.TopUp, Wallet: sms(account), Amount: amount}
}

func charge(key string, account ledger.AccountID, amount ledger.Amount) ledger.Request {
	return ledger.Request{IdempotencyKey: key, Kind: ledger.Charge, Wallet: sms(account), Amount: amount}
}

// post posts what must be decided, in whatever way.
func (s *suite) post(e *engine.Engine, r ledger.Request) (*ledger.Transaction, bool) {
	s.Helper()
	tx, replayed, err := e.Post(context.Background(), r)
	if err != nil {
		s.Errorf("post %s: %v", r.IdempotencyKey, err)
		return &ledger.Transaction{}, false
	}
	return tx, replayed
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
		if _, _, err := engines(i).SetCreditLimit(context.Background(), wallet, 0); err != nil {
			s.Errorf("SetCreditLimit: %v", err)
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
		limited, got, err := e.SetCreditLimit(ctx, wallet, ledger.Amount(5*i))
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
	}
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
