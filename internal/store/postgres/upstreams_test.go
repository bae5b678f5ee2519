package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// noon is when these tests begin. Stores have no clock of their own for upstreams.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// onNodes runs a test on stores over one database that know nothing of each
// other: directly, and through a pooler that has two connections for all of them.
func onNodes(t *testing.T, test func(t *testing.T, stores []*postgres.Store)) {
	t.Parallel()
	for _, way := range []string{"direct", "pooled"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			url := pgtest.NewDatabase(t)
			if way == "pooled" {
				url = newPooler(t, 2).URL(url)
			}
			stores := []*postgres.Store{opened(t)(postgres.Create(t.Context(), url))}
			for range 2 {
				stores = append(stores, opened(t)(postgres.Open(t.Context(), url)))
			}
			test(t, stores)
		})
	}
}

// atOnce runs fn so many times on each store, all let go at one instant. Each
// run has a number of its own.
func atOnce(stores []*postgres.Store, times int, fn func(store *postgres.Store, i int)) {
	var group sync.WaitGroup
	ready := make(chan struct{})
	for i := range times * len(stores) {
		group.Go(func() {
			<-ready
			fn(stores[i%len(stores)], i)
		})
	}
	close(ready)
	group.Wait()
}

func claimOf(node string, now time.Time) readings.Claim {
	return readings.Claim{Name: "main", Provider: "antgst", Node: node, Now: now, Until: now.Add(30 * time.Second)}
}

func readingAt(at time.Time, amount int64) readings.Reading {
	return readings.Reading{
		Upstream: "main", Key: readings.Key{Service: "sms", Unit: provider.Money, Currency: "CNY"},
		At: at, Amount: decimal.NewFromInt(amount),
	}
}

// answered is what a node that asked at a time records.
func answered(at time.Time) *readings.State {
	return &readings.State{Name: "main", Provider: "antgst", Interval: time.Minute, DueAt: at.Add(time.Minute), AskedAt: at, Status: provider.OK}
}

// Whenever the upstream is due, one of all who claim it at once has it. A node that
// dies then keeps the others out until its claim ends, and what it says later counts
// no more.
func TestNodesClaim(t *testing.T) {
	onNodes(t, func(t *testing.T, stores []*postgres.Store) {
		now := noon
		recorded := 0
		for round := range 12 {
			node, claimed := claimAtOnce(t, stores, now)
			if claimed != 1 {
				t.Fatalf("in round %d the claim was given %d times", round, claimed)
			}
			if _, claimed := claimAtOnce(t, stores, now.Add(29*time.Second)); claimed != 0 {
				t.Fatalf("in round %d it was given %d times more", round, claimed)
			}
			if round%3 == 2 { // It dies, and comes back when another one has asked.
				now = now.Add(30 * time.Second)
				late := node
				if node, claimed = claimAtOnce(t, stores, now); claimed != 1 {
					t.Fatalf("in round %d a claim that had ended was given %d times", round, claimed)
				}
				if kept := record(t, stores[0], late, now.Add(time.Millisecond)); kept {
					t.Errorf("in round %d it was recorded without a claim", round)
				}
			}
			if kept := record(t, stores[round%len(stores)], node, now); !kept {
				t.Errorf("in round %d the claim was lost", round)
			}
			recorded++
			now = now.Add(time.Minute)
		}
		found, err := stores[1].UpstreamReadings(t.Context(), readings.Query{Upstream: "main", From: noon, To: now, Limit: 100})
		if err != nil || len(found) != recorded {
			t.Errorf("there are %d readings of %d, %v", len(found), recorded, err)
		}
	})
}

// claimAtOnce has many goroutines of all nodes claim the upstream. It gives the
// node that has it, and how many do.
func claimAtOnce(t *testing.T, stores []*postgres.Store, now time.Time) (node string, claimed int) {
	t.Helper()
	var mu sync.Mutex
	atOnce(stores, 6, func(store *postgres.Store, i int) {
		claim := claimOf(fmt.Sprintf("node-%d-%d", i, now.UnixMicro()), now)
		state, has, err := store.ClaimUpstream(context.Background(), claim)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("claim: %v", err)
			return
		}
		if !state.DueAt.After(now) {
			t.Errorf("%s is told that it is due at %s, and has the claim: %t", claim.Node, state.DueAt, has)
		}
		if has {
			node = claim.Node
			claimed++
		}
	})
	return node, claimed
}

func record(t *testing.T, store *postgres.Store, node string, at time.Time) bool {
	t.Helper()
	kept, err := store.RecordUpstream(t.Context(), node, answered(at), []readings.Reading{readingAt(at, 1)})
	if err != nil {
		t.Errorf("record: %v", err)
	}
	return kept
}

// Nodes that want to ask all the time ask one after the other.
func TestNodesAskInTurn(t *testing.T) {
	onNodes(t, func(t *testing.T, stores []*postgres.Store) {
		const each, turns = 3, 5
		var asking, asked atomic.Int32
		atOnce(stores, each, func(store *postgres.Store, i int) {
			claim := claimOf(fmt.Sprint("node-", i), noon)
			claim.Early = true
			for done := 0; done < turns && t.Context().Err() == nil; {
				state, has, err := store.ClaimUpstream(t.Context(), claim)
				if err != nil {
					t.Error(err)
					return
				}
				if !has {
					continue
				}
				if n := asking.Add(1); n != 1 {
					t.Errorf("%d ask at once", n)
				}
				time.Sleep(time.Millisecond)
				asking.Add(-1)
				state.AskedAt, state.Failures = noon, int(asked.Add(1))
				if kept, err := store.RecordUpstream(t.Context(), claim.Node, &state, nil); err != nil || !kept {
					t.Errorf("kept %t, %v", kept, err)
				}
				done++
			}
		})
		states, err := stores[0].UpstreamStates(t.Context())
		if err != nil || len(states) != 1 || states[0].Failures != len(stores)*each*turns {
			t.Errorf("%+v, %v", states, err)
		}
	})
}

// A connection that is lost during a commit leaves in doubt who has the claim, or
// whether it was given back. Whoever claims next finds out.
func TestUnknownClaim(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	other := opened(t)(postgres.Create(t.Context(), database))
	proxy := newProxy(t, database)
	store := opened(t)(postgres.Open(t.Context(), proxy.url))
	now := noon
	claimed := func(want bool) {
		t.Helper()
		if _, got, err := other.ClaimUpstream(t.Context(), claimOf("other", now)); err != nil || got != want {
			t.Fatalf("claimed %t, %v", got, err)
		}
	}
	for _, when := range []cut{beforeCommit, afterCommit} {
		proxy.cut.Store(int32(when))
		if _, got, err := store.ClaimUpstream(t.Context(), claimOf("first", now)); got || !errors.Is(err, engine.ErrCommitUnknown) {
			t.Fatalf("claimed %t, %v", got, err)
		}
		if when == afterCommit {
			claimed(false)
			now = now.Add(30 * time.Second)
		}
		claimed(true)
		record(t, other, "other", now)
		now = now.Add(time.Minute)

		if _, got, err := store.ClaimUpstream(t.Context(), claimOf("second", now)); err != nil || !got {
			t.Fatalf("claimed %t, %v", got, err)
		}
		proxy.cut.Store(int32(when))
		kept, err := store.RecordUpstream(t.Context(), "second", answered(now), []readings.Reading{readingAt(now, 2)})
		if kept || !errors.Is(err, engine.ErrCommitUnknown) {
			t.Fatalf("recorded %t, %v", kept, err)
		}
		found, err := other.UpstreamReadings(t.Context(), readings.Query{Upstream: "main", From: now, To: now.Add(time.Microsecond), Limit: 2})
		if want := map[cut]int{beforeCommit: 0, afterCommit: 1}[when]; err != nil || len(found) != want {
			t.Errorf("there are %d readings, not %d, %v", len(found), want, err)
		}
		now = now.Add(time.Minute)
	}
}

// All nodes prune at once. Each reading is removed once, more than fit into one
// transaction, while others are added.
func TestNodesPrune(t *testing.T) {
	onNodes(t, func(t *testing.T, stores []*postgres.Store) {
		const expired, thinned = 1203, 1507
		var all []readings.Reading
		for i := range int64(expired + thinned) {
			all = append(all, readingAt(noon.Add(time.Duration(i)*time.Second), i))
		}
		if _, has, err := stores[0].ClaimUpstream(t.Context(), claimOf("one", noon)); err != nil || !has {
			t.Fatal(has, err)
		}
		if kept, err := stores[0].RecordUpstream(t.Context(), "one", answered(noon), all); err != nil || !kept {
			t.Fatal(kept, err)
		}
		from := noon.Add(expired * time.Second)
		pruning := readings.Pruning{Expired: from, ThinFrom: from, ThinTo: noon.Add(time.Hour), Step: time.Minute}
		var removed atomic.Int64
		atOnce(stores, 1, func(store *postgres.Store, _ int) {
			n, err := store.PruneUpstreams(t.Context(), pruning)
			if err != nil {
				t.Error(err)
			}
			removed.Add(n)
		})
		left, err := stores[1].UpstreamReadings(t.Context(), readings.Query{Upstream: "main", From: noon, To: noon.Add(time.Hour), Limit: 5000})
		if err != nil {
			t.Fatal(err)
		}
		var want []int64 // the last of each minute
		for i := int64(expired); i < expired+thinned; i++ {
			if i%60 == 59 || i == expired+thinned-1 {
				want = append(want, i)
			}
		}
		var got []int64
		for i := range left {
			got = append(got, left[i].Amount.IntPart())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what is left differs (-want +got):\n%s", diff)
		}
		if removed.Load() != int64(expired+thinned-len(want)) {
			t.Errorf("%d were removed, and %d are left", removed.Load(), len(left))
		}
	})
}

// A ledger of before there were upstreams is given their tables by the first of
// the nodes that start at once.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	_, database := newLedger(t)
	exec(t, database, "DROP TABLE upstreams, upstream_readings; DELETE FROM saldo_version WHERE version_id = 3")
	if _, err := postgres.OpenReadOnly(t.Context(), database); !errors.Is(err, postgres.ErrOlder) {
		t.Errorf("reading: %v", err)
	}
	startAtOnce(t, database, postgres.Open)
	store := opened(t)(postgres.Open(t.Context(), database))
	if _, has, err := store.ClaimUpstream(t.Context(), claimOf("one", noon)); err != nil || !has {
		t.Errorf("claimed %t, %v", has, err)
	}
	storetest.Verify(t, store)
}
