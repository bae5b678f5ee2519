package engine_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// An account that was charged once is decided on as it is in memory.
func TestAccountsAreReadOnce(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	recorder := &recorder{Store: store}
	e := start(t, recorder, engine.Options{}, 1)
	for i := range 3 {
		post(t, e, topUp(fmt.Sprint(i), 1, 1))
	}
	if n := recorder.locked.Load(); n > 1 {
		t.Errorf("the account was read %d times", n)
	}
}

// Readers see each wallet go forward only, whatever the cache keeps or drops
// meanwhile, and whoever posted reads nothing older.
func TestReadersNeverGoBack(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 128, 0} {
		t.Run(fmt.Sprint("cache of ", size), func(t *testing.T) {
			t.Parallel()
			store, _ := newStore(t)
			// Accounts in one shard of the cache, so that they push each other out.
			const accounts, writers, each = 3, 4, 40
			e := start(t, store, engine.Options{CacheSize: size}, 0)
			ids := [accounts]ledger.AccountID{64, 128, 192}
			for _, id := range ids {
				_, err := e.CreateAccount(ctx, ledger.Account{ID: id, Name: "Example Ltd", Currency: "CNY"})
				noError(t, err)
			}
			var writing, reading sync.WaitGroup
			var done atomic.Bool
			for i := range writers {
				writing.Go(func() {
					for n := range each {
						id := ids[(i+n)%accounts]
						tx := post(t, e, topUp(fmt.Sprint(i, "-", n), id, 1))
						if w := wallet(t, e, id); w.Version < tx.Version || w.Balance < tx.Balance {
							t.Errorf("version %d was posted, and then version %d read", tx.Version, w.Version)
						}
					}
				})
			}
			for range 3 {
				reading.Go(func() {
					var seen [accounts]int64
					for n := 0; !done.Load(); n++ {
						w := wallet(t, e, ids[n%accounts])
						if w.Version < seen[n%accounts] || w.Balance != ledger.Amount(w.Version) {
							t.Errorf("version %d, with the balance %d, was read after version %d", w.Version, w.Balance, seen[n%accounts])
							return
						}
						seen[n%accounts] = w.Version
					}
				})
			}
			writing.Wait()
			done.Store(true)
			reading.Wait()
		})
	}
}

// A reading that began before a commit ends after it. What it brings must not
// push out what others read since, at any point of the commit.
func TestSlowReadingDoesNotBringBackThePast(t *testing.T) {
	t.Parallel()
	for _, returned := range []bool{false, true} {
		t.Run(fmt.Sprint("after the commit returned: ", returned), func(t *testing.T) {
			t.Parallel()
			real, _ := newStore(t)
			store := &faulty{Store: real}
			e := start(t, store, engine.Options{}, 1)
			e.Close()
			e = start(t, store, engine.Options{}, 0) // Its cache is empty.

			// The slow reader has the state before the commit and waits.
			hasRead, goOn := make(chan struct{}), make(chan struct{})
			var others atomic.Bool
			store.watch(func(ledger.AccountID) {
				if !others.Swap(true) {
					close(hasRead)
					<-goOn
				}
			})
			var slow, group sync.WaitGroup
			var read int64
			slow.Go(func() { read = wallet(t, e, 1).Version })
			<-hasRead

			// The commit is done, and the committer does not know of it yet.
			committed, release := make(chan struct{}), make(chan struct{})
			store.plan(func(write func() error) error {
				err := write()
				close(committed)
				<-release
				return err
			})
			group.Go(func() { post(t, e, topUp("k", 1, 5)) })
			<-committed
			if returned {
				close(release)
				group.Wait()
			}
			check(t, "version of a reader in between", wallet(t, e, 1).Version, 1)
			close(goOn)
			slow.Wait()
			if returned { // Then the cache has something newer for the slow reader, too.
				check(t, "version of the slow reader", read, 1)
			}
			check(t, "version of the same reader later", wallet(t, e, 1).Version, 1)
			if !returned {
				close(release)
			}
			group.Wait()
			check(t, "version in the end", wallet(t, e, 1).Version, 1)
		})
	}
}

// A reading that begins while a commit is being made is of the past when it
// ends. It must not be kept, not even where the cache has room for it because
// what others read since was pushed out.
func TestReadingBesideACommitIsNotKept(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	fill(t, real, 65)
	store := &faulty{Store: real}
	e := start(t, store, engine.Options{CacheSize: 1}, 0) // One place for the accounts 1 and 65.
	complete, goOn, committed, release := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	store.beforeCommit(func() {
		close(complete)
		<-goOn
	})
	store.plan(func(write func() error) error {
		err := write()
		close(committed)
		<-release
		return err
	})
	var writing, slow sync.WaitGroup
	writing.Go(func() { post(t, e, topUp("k", 1, 5)) })
	<-complete
	check(t, "another account", wallet(t, e, 65).Version, 0)
	var others atomic.Bool
	hasRead, end := make(chan struct{}), make(chan struct{})
	store.watch(func(ledger.AccountID) {
		if !others.Swap(true) {
			close(hasRead)
			<-end
		}
	})
	slow.Go(func() { check(t, "version of the slow reader", wallet(t, e, 1).Version, 0) })
	<-hasRead
	close(goOn)
	<-committed
	check(t, "version of a reader after the commit", wallet(t, e, 1).Version, 1)
	check(t, "another account", wallet(t, e, 65).Version, 0)
	close(end)
	slow.Wait()
	check(t, "version of the same reader later", wallet(t, e, 1).Version, 1)
	close(release)
	writing.Wait()
	check(t, "version in the end", wallet(t, e, 1).Version, 1)
}

// A revocation, an expiry or a suspension is in force for the next call.
func TestChangesAreInForceAtOnce(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	credentials := newKey(t, e)
	var group sync.WaitGroup
	var revoked atomic.Bool
	for range 4 {
		group.Go(func() {
			for {
				before := revoked.Load()
				_, _, err := e.Authenticate(ctx, credentials)
				if err != nil {
					wantCode(t, err, ledger.Unauthorized)
					return
				}
				if before {
					t.Error("a revoked key was accepted")
					return
				}
			}
		})
	}
	noError(t, e.RevokeKey(ctx, credentials.ID))
	revoked.Store(true)
	group.Wait()
	noError(t, e.RevokeKey(ctx, credentials.ID))

	post(t, e, topUp("fill", 1, 100))
	for i, status := range []ledger.Status{ledger.Suspended, ledger.Active, ledger.Closed, ledger.Active} {
		noError(t, setStatus(e, 1, status))
		holder, err := e.Holder(ctx, 1)
		noError(t, err)
		check(t, "status", holder.Status, status)
		tx, _, err := e.Post(ctx, charge(fmt.Sprint("c", i), 1, 1))
		noError(t, err)
		if (tx.Rejection == "") != (status == ledger.Active) {
			t.Errorf("a charge on a %s account came out as %q", status, tx.Rejection)
		}
	}

	expiring := engine.GenerateCredentials()
	_, err := e.CreateKey(ctx, ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, ExpiresAt: clock.Now().Add(time.Second)}, expiring)
	noError(t, err)
	_, _, err = e.Authenticate(ctx, expiring)
	noError(t, err)
	clock.Set(clock.Now().Add(time.Second))
	_, _, err = e.Authenticate(ctx, expiring)
	wantCode(t, err, ledger.Unauthorized)
}

// A reading comes from memory where it can, and a cache that is full makes room.
func TestCacheKeepsAndMakesRoom(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &faulty{Store: real}
	const n = 300
	fill(t, store, n)
	e := start(t, store, engine.Options{CacheSize: 128}, 0)
	reads := func(ids ...ledger.AccountID) int {
		store.count = 0
		for _, id := range ids {
			check(t, "account", wallet(t, e, id).Account, id)
		}
		return store.count
	}
	check(t, "readings of the store at first", reads(1, 2, 1, 2, 1), 2)
	check(t, "readings of the store later", reads(1, 2, 1, 2, 1), 0)
	var all []ledger.AccountID
	for id := range n {
		all = append(all, ledger.AccountID(id+1))
	}
	reads(all...)
	// 128 of the 300 at most are in memory, so at least the others are read again.
	if got := reads(all...); got < n-128 || got == n {
		t.Errorf("%d of %d readings went to the store", got, n)
	}
}

// What failed does not keep the cache from filling again.
func TestCacheFillsAfterFailures(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	fill(t, real, 65)
	store := &faulty{Store: real}
	e := start(t, store, engine.Options{CacheSize: 1}, 0) // One place for the accounts 1 and 65.
	post(t, e, topUp("fill", 65, 1))
	for name, fail := range map[string]func(){
		"a change that cannot be": func() {
			wantCode(t, setLimit(e, sms(65), ledger.MaxAmount), ledger.AmountOutOfRange)
		},
		"a fault": func() {
			store.plan(leftUnknown(unknownAndNotDone)...)
			_, _, err := e.Post(ctx, charge("k", 65, 1))
			wantCode(t, err, ledger.OutcomeUnknown)
		},
	} {
		wallet(t, e, 1)
		fail()
		store.count = 0
		for range 3 {
			wallet(t, e, 65)
		}
		check(t, "readings of the store after "+name, store.count, 1)
	}
}
