package httpapi

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func TestTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiters[string](2, 3, 10)
		for want := 2; want >= 0; want-- {
			if left, wait, ok := l.take("a"); !ok || left != want || wait != 0 {
				t.Errorf("left %d, wait %s, %v; want %d", left, wait, ok, want)
			}
		}
		// Refused takes must not cost tokens, or a busy caller would never recover.
		for range 100 {
			if _, wait, ok := l.take("a"); ok || wait != time.Second/2 {
				t.Fatalf("wait %s, %v", wait, ok)
			}
		}
		if _, _, ok := l.take("b"); !ok {
			t.Error("one key used up another's tokens")
		}
		time.Sleep(time.Second/2 - time.Millisecond)
		if _, wait, ok := l.take("a"); ok || wait != time.Millisecond {
			t.Errorf("just before the next token: wait %s, %v", wait, ok)
		}
		time.Sleep(time.Millisecond)
		if left, _, ok := l.take("a"); !ok || left != 0 {
			t.Errorf("at the next token: left %d, %v", left, ok)
		}
		time.Sleep(time.Hour)
		if left, _, ok := l.take("a"); !ok || left != 2 {
			t.Errorf("after an hour: left %d, %v; want no more than the burst", left, ok)
		}
	})
}

func TestExhaustedTakesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiters[string](1, 1, 10)
		for range 10 {
			if _, yes := l.exhausted("a"); yes {
				t.Fatal("exhausted before the first failure")
			}
		}
		if len(l.buckets) != 0 {
			t.Error("asking about a key that was never seen costs memory")
		}
		l.take("a")
		if wait, yes := l.exhausted("a"); !yes || wait != time.Second {
			t.Errorf("wait %s, %v", wait, yes)
		}
		time.Sleep(time.Second)
		if _, yes := l.exhausted("a"); yes {
			t.Error("it does not recover")
		}
	})
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l := newLimiters[string](0, 0, 10)
	for range 1000 {
		if _, _, ok := l.take("a"); !ok {
			t.Fatal("a limit of 0 limits")
		}
		if _, yes := l.exhausted("a"); yes {
			t.Fatal("a limit of 0 limits")
		}
	}
	if len(l.buckets) != 0 {
		t.Error("a limit of 0 costs memory")
	}
}

// Somebody with many addresses must not be able to fill the memory, and the map
// is used by all connections at once.
func TestLimitersAreBounded(t *testing.T) {
	t.Parallel()
	const most = 100
	l := newLimiters[int](1, 1, most)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 1000 {
				l.take(worker*1000 + i)
				l.exhausted(i)
			}
		})
	}
	all.Wait()
	if len(l.buckets) != most {
		t.Errorf("%d buckets are kept, want %d", len(l.buckets), most)
	}
}

func TestFailureSource(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"203.0.113.7":         "203.0.113.7/32",
		"2001:db8:1:2:3::4":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::": "2001:db8:1:2::/64",
		"2001:db8:1:3::":      "2001:db8:1:3::/64",
		"::1":                 "::/64",
	} {
		if got := failureSource(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	if got := failureSource(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address counts as %s", got)
	}
}
