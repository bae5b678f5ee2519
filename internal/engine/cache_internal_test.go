package engine

import (
	"errors"
	"testing"
)

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 64, 1000, 65536} {
		c := newCache[int, int](size, func(key int) uint8 { return uint8(key) })
		for key := range 3 * max(size, cacheShards) {
			c.put(key, key)
			if _, err := c.load(-key-1, func() (int, error) { return key, nil }); err != nil {
				t.Fatal(err)
			}
		}
		held := 0
		for i := range c.shards {
			held += len(c.shards[i].entries)
		}
		// Where there is less than one for each shard, each keeps one.
		if most := max(size, cacheShards); held > most {
			t.Errorf("a cache of %d holds %d", size, held)
		}
		c.clear()
		for i := range c.shards {
			if len(c.shards[i].entries) != 0 {
				t.Fatal("a cleared cache holds something")
			}
		}
	}
}

// What cannot be read is not kept: it may be there the next time.
func TestCacheKeepsNoErrors(t *testing.T) {
	t.Parallel()
	c := newCache[int, int](64, func(key int) uint8 { return uint8(key) })
	fault := errors.New("fault")
	if _, err := c.load(1, func() (int, error) { return 0, fault }); !errors.Is(err, fault) {
		t.Errorf("the error is %v", err)
	}
	if got, err := c.load(1, func() (int, error) { return 7, nil }); got != 7 || err != nil {
		t.Errorf("load gives %d, %v", got, err)
	}
}

// What was put while a read was under way, and then forgotten, is newer than what
// the read gives, which is therefore not kept.
func TestCacheForgetsNoChange(t *testing.T) {
	t.Parallel()
	c := newCache[int, string](64, func(key int) uint8 { return uint8(key) })
	_, err := c.load(1, func() (string, error) {
		c.put(1, "new")
		c.clear()
		return "old", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.get(1); ok {
		t.Errorf("the cache has %q", got)
	}
}

// Without a cache, as where other processes write, everything is read each time.
func TestNoCache(t *testing.T) {
	t.Parallel()
	var c *cache[int, int]
	c.put(1, 1)
	c.clear()
	if _, ok := c.get(1); ok {
		t.Error("no cache has something")
	}
	for i := range 3 {
		if got, err := c.load(1, func() (int, error) { return i, nil }); got != i || err != nil {
			t.Errorf("load gives %d, %v", got, err)
		}
	}
}
