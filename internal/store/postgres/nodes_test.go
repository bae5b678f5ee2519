package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// nodes are engines that know nothing of each other but the database.
type nodes []*engine.Engine

// newNodes starts three nodes over a new ledger. Their clocks differ.
func newNodes(t *testing.T) (nodes, *postgres.Store) {
	t.Helper()
	url := pgtest.NewDatabase(t)
	var all nodes
	var last *postgres.Store
	for i, skew := range []time.Duration{0, 3 * time.Second, -3 * time.Second} {
		make := postgres.Open
		if i == 0 {
			make = postgres.Create
		}
		last = opened(t)(make(t.Context(), url))
		all = append(all, storetest.NewEngine(t, last, engine.Options{Clock: func() time.Time { return time.Now().Add(skew) }}))
	}
	return all, last
}

// opened closes a store at the end of the test.
func opened(t *testing.T) func(store *postgres.Store, err error) *postgres.Store {
	return func(store *postgres.Store, err error) *postgres.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return store
	}
}

// atOnce runs fn so many times on each node, all let go at one instant.
func (n nodes) atOnce(times int, fn func(e *engine.Engine, i int)) {
	var group sync.WaitGroup
	ready := make(chan struct{})
	for i := range times * len(n) {
		group.Go(func() {
			<-ready
			fn(n[i%len(n)], i)
		})
	}
	close(ready)
	group.Wait()
}

func sms(id ledger.AccountID) ledger.WalletRef {
	return ledger.WalletRef{Account: id, Service: ledger.SMS}
}

func voip(id ledger.AccountID) ledger.WalletRef {
	return ledger.WalletRef{Account: id, Service: ledger.VoIP}
}

// account makes an account with so much money in its wallet sms.
func (n nodes) account(t *testing.T, id ledger.AccountID, money ledger.Amount) {
	t.Helper()
	if _, err := n[0].CreateAccount(t.Context(), ledger.Account{ID: id, Name: "Example Ltd", Currency: "CNY"}); err != nil {
		t.Fatal(err)
	}
	if money > 0 {
		post(t, n[0], ledger.Request{IdempotencyKey: fmt.Sprintf("fill-%d", id), Kind: ledger.TopUp, Wallet: sms(id), Amount: money})
	}
}

func post(t *testing.T, e *engine.Engine, r ledger.Request) (*ledger.Transaction, bool) {
	t.Helper()
	transaction, replayed, err := e.Post(context.Background(), r)
	if err != nil {
		t.Errorf("post %s: %v", r.IdempotencyKey, err)
		return new(ledger.Transaction), false
	}
	return transaction, replayed
}

// Every node charges the same wallet: no unit of its money is spent twice, and
// its entries stand in the order of time though the clocks differ.
func TestNodesHotWallet(t *testing.T) {
	t.Parallel()
	n, store := newNodes(t)
	const money, each = 100, 60
	n.account(t, 7, money)
	var mu sync.Mutex
	outcomes := map[ledger.Code]int{}
	n.atOnce(each, func(e *engine.Engine, i int) {
		transaction, _ := post(t, e, ledger.Request{IdempotencyKey: fmt.Sprint(i), Kind: ledger.Charge, Wallet: sms(7), Amount: 1})
		mu.Lock()
		defer mu.Unlock()
		outcomes[transaction.Rejection]++
	})
	if outcomes[""] != money || outcomes[ledger.InsufficientFunds] != each*len(n)-money {
		t.Errorf("outcomes %v", outcomes)
	}
	holder, err := n[1].Holder(t.Context(), 7)
	if err != nil || holder.Wallets[0].Balance != 0 || holder.Wallets[0].Version != money+1 {
		t.Errorf("the wallet is %+v, %v", holder.Wallets[0], err)
	}
	storetest.Verify(t, store)
}

// Holds, captures, refunds and transfers that meet in two accounts, by all nodes.
func TestNodesMix(t *testing.T) {
	t.Parallel()
	n, store := newNodes(t)
	n.account(t, 7, 1000)
	n.account(t, 8, 1000)
	n.atOnce(30, func(e *engine.Engine, i int) {
		one, other := sms(7+ledger.AccountID(i%2)), sms(8-ledger.AccountID(i%2))
		key := func(what string) string { return fmt.Sprintf("%s-%d", what, i) }
		placed, _ := post(t, e, ledger.Request{IdempotencyKey: key("hold"), Kind: ledger.PlaceHold, Wallet: one, Amount: 5, ExpiresIn: time.Hour})
		post(t, e, ledger.Request{IdempotencyKey: key("transfer"), Kind: ledger.Transfer, Wallet: other, To: one, Amount: 3})
		if placed.Rejection == "" {
			next := n[(i+1)%len(n)]
			captured, _ := post(t, next, ledger.Request{IdempotencyKey: key("capture"), Kind: ledger.Capture, Parent: placed.ID, Amount: 4, Final: i%3 == 0})
			post(t, e, ledger.Request{IdempotencyKey: key("refund"), Kind: ledger.Refund, Parent: captured.ID, Amount: 2})
			post(t, next, ledger.Request{IdempotencyKey: key("extend"), Kind: ledger.Extend, Parent: placed.ID, ExpiresIn: 2 * time.Hour})
			post(t, e, ledger.Request{IdempotencyKey: key("release"), Kind: ledger.Release, Parent: placed.ID})
		}
	})
	storetest.Verify(t, store)
}

// One request that comes in through all nodes at once is posted once, and all
// are told the same.
func TestNodesSameKey(t *testing.T) {
	t.Parallel()
	n, store := newNodes(t)
	n.account(t, 7, 1000)
	n.account(t, 8, 1000)
	n.account(t, 9, 1000)
	for round := range 10 {
		r := ledger.Request{IdempotencyKey: fmt.Sprintf("same-%d", round), Kind: ledger.Charge, Wallet: sms(7), Amount: 1}
		var mu sync.Mutex
		first, versions := 0, map[int64]bool{}
		n.atOnce(3, func(e *engine.Engine, _ int) {
			transaction, replayed := post(t, e, r)
			mu.Lock()
			defer mu.Unlock()
			if !replayed {
				first++
			}
			versions[transaction.Version] = true
		})
		if first != 1 || len(versions) != 1 {
			t.Errorf("the request was decided %d times, with %d outcomes", first, len(versions))
		}

		// Requests about different wallets, which no lock brings together, under
		// several keys each, so that batches meet in the other order too.
		decided := 0
		n.atOnce(2, func(e *engine.Engine, i int) {
			for j := range 4 {
				key := fmt.Sprintf("other-%d-%d", round, (i+j)%4)
				_, _, err := e.Post(context.Background(), ledger.Request{IdempotencyKey: key, Kind: ledger.Charge, Wallet: sms(7 + ledger.AccountID(i%3)), Amount: 1})
				mu.Lock()
				switch ledger.CodeOf(err) {
				case "":
					decided++
				case ledger.IdempotencyKeyReused:
				default:
					t.Errorf("post %s: %v", key, err)
				}
				mu.Unlock()
			}
		})
		if decided != 4*2 { // two requests of each key are about the same wallet
			t.Errorf("%d requests were decided", decided)
		}
	}
	storetest.Verify(t, store)
}

// A key that was revoked through one node is refused by all from then on.
func TestNodesRevokedKey(t *testing.T) {
	t.Parallel()
	n, _ := newNodes(t)
	n.account(t, 7, 0)
	for range 5 {
		credentials := engine.GenerateCredentials()
		if _, err := n[0].CreateKey(t.Context(), ledger.Key{Account: 7, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, credentials); err != nil {
			t.Fatal(err)
		}
		for _, e := range n {
			if _, _, err := e.Authenticate(t.Context(), credentials); err != nil {
				t.Fatal(err)
			}
		}
		if err := n[1].RevokeKey(t.Context(), credentials.ID); err != nil {
			t.Fatal(err)
		}
		for i, e := range n {
			if _, _, err := e.Authenticate(t.Context(), credentials); ledger.CodeOf(err) != ledger.Unauthorized {
				t.Errorf("node %d says %v", i, err)
			}
		}
	}
}

// Nodes that choose an id at the same instant choose different ones.
func TestNodesChooseIDs(t *testing.T) {
	t.Parallel()
	n, _ := newNodes(t)
	var mu sync.Mutex
	seen := map[ledger.AccountID]bool{}
	n.atOnce(10, func(e *engine.Engine, _ int) {
		holder, err := e.CreateAccount(context.Background(), ledger.Account{Name: "Example Ltd", Currency: "CNY"})
		mu.Lock()
		defer mu.Unlock()
		if err != nil || seen[holder.ID] {
			t.Errorf("%v, %v", holder, err)
			return
		}
		seen[holder.ID] = true
	})
}

// An account is closed, or gets a hold, and never both.
func TestNodesClose(t *testing.T) {
	t.Parallel()
	n, _ := newNodes(t)
	closed := ledger.Closed
	for id := range ledger.AccountID(20) {
		n.account(t, id+1, 0)
		post(t, n[0], ledger.Request{IdempotencyKey: fmt.Sprintf("voip-%d", id), Kind: ledger.TopUp, Wallet: voip(id + 1), Amount: 10})
		n.atOnce(1, func(e *engine.Engine, i int) {
			if i == 0 {
				_, err := e.UpdateAccount(context.Background(), id+1, engine.AccountChange{Status: &closed})
				if err != nil && ledger.CodeOf(err) != ledger.Conflict {
					t.Error(err)
				}
				return
			}
			post(t, e, ledger.Request{IdempotencyKey: fmt.Sprintf("hold-%d-%d", id, i), Kind: ledger.PlaceHold, Wallet: voip(id + 1), Amount: 1, ExpiresIn: time.Hour})
		})
		holder, err := n[0].Holder(t.Context(), id+1)
		if err != nil {
			t.Fatal(err)
		}
		if held := holder.Wallets[1].Held; (held > 0) == (holder.Status == ledger.Closed) {
			t.Errorf("the account is %s and %s is held", holder.Status, held)
		}
	}
}

// startAtOnce lets four nodes begin, and end, at the same time.
func startAtOnce(t *testing.T, url string, start func(context.Context, string) (*postgres.Store, error)) {
	t.Helper()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			store, err := start(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// The database of a node that starts late is ready, whoever made it so; and
// nodes that start at once do not fail because of each other.
func TestNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.NewDatabase(t)
	startAtOnce(t, url, postgres.Create)
	store := opened(t)(postgres.Open(t.Context(), url))
	if err := store.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// The sweepers of all nodes expire a hold once.
func TestNodesSweep(t *testing.T) {
	t.Parallel()
	n, store := newNodes(t)
	n.account(t, 7, 100)
	for i := range 20 {
		post(t, n[0], ledger.Request{IdempotencyKey: fmt.Sprint(i), Kind: ledger.PlaceHold, Wallet: sms(7), Amount: 1, ExpiresIn: time.Second})
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		holder, err := n[2].Holder(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if holder.Wallets[0].Held == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still held", holder.Wallets[0].Held)
		}
		if _, err := n[1].Sweep(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	storetest.Verify(t, store)
}
