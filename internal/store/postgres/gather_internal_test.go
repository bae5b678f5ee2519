package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// slow is a query that a test sees begin and lets end. A value is the number of
// the query, so that it tells which query a caller was in.
type slow struct {
	began   atomic.Int64
	let     chan error
	queries [][]int
	mu      sync.Mutex
}

func (s *slow) query(ctx context.Context, keys []int) (map[int]int64, error) {
	number := s.began.Add(1)
	s.mu.Lock()
	s.queries = append(s.queries, slices.Clone(keys))
	s.mu.Unlock()
	err := <-s.let
	found := make(map[int]int64)
	for _, key := range keys {
		if key >= 0 {
			found[key] = number
		}
	}
	return found, errors.Join(err, ctx.Err())
}

// A reading waits for a query that begins after it: one that is under way may
// have looked before what the caller already knows of was committed.
func TestGatherIsNeverStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{let: make(chan error)}
		g := gather[int, int64]{query: s.query}
		var group sync.WaitGroup
		load := func(key int, want int64, there bool) {
			group.Go(func() {
				value, ok, err := g.load(t.Context(), key)
				if value != want || ok != there || err != nil {
					t.Errorf("%d: %d, %t, %v", key, value, ok, err)
				}
			})
			synctest.Wait()
		}
		load(0, 1, true)
		// All of these are one query, the next one.
		load(0, 2, true)
		load(7, 2, true)
		load(7, 2, true)
		load(-1, 0, false)
		if began := s.began.Load(); began != 1 {
			t.Fatalf("%d queries began", began)
		}
		s.let <- nil
		synctest.Wait()
		load(8, 3, true)
		for range 2 {
			s.let <- nil
			synctest.Wait()
		}
		group.Wait()
		if want := []int{0, 7, 7, -1}; !slices.Equal(s.queries[1], want) {
			t.Errorf("the second query was about %v", s.queries[1])
		}
		if g.busy || g.next != nil {
			t.Error("a query is still under way")
		}
	})
}

// A query that fails fails those who are in it and nobody else, and who goes
// away does not take it away from the others.
func TestGatherFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{let: make(chan error)}
		g := gather[int, int64]{query: s.query}
		errDisk := errors.New("disk")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		load := func(ctx context.Context, key int, want error) {
			group.Go(func() {
				if _, _, err := g.load(ctx, key); !errors.Is(err, want) {
					t.Errorf("%d: %v, not %v", key, err, want)
				}
			})
			synctest.Wait()
		}
		load(t.Context(), 1, errDisk)
		load(ctx, 10, context.Canceled)
		load(t.Context(), 11, nil)
		cancel()
		synctest.Wait()
		s.let <- errDisk
		synctest.Wait()
		s.let <- nil
		group.Wait()
		synctest.Wait()
		if len(s.queries) != 2 {
			t.Errorf("%d queries", len(s.queries))
		}
	})
}
