package engine

import "sync"

const cacheShards = 64

// cache is a bounded map from keys to immutable values, coherent with the
// committer: what put says is never overwritten by a read that began
// before. A nil cache holds nothing, which is right where other processes write.
type cache[K comparable, V any] struct {
	shards   [cacheShards]cacheShard[K, V]
	perShard int
	shardOf  func(K) uint8
}

type cacheShard[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]V
	// changes counts the committer's writes. A read that is filled in only
	// while it is unchanged cannot bring back an older value.
	changes uint64
	// held are the keys that a commit under way changes: one reading of them
	// may come from before it and the next from after, so none is kept.
	held map[K]struct{}
}

func newCache[K comparable, V any](size int, shardOf func(K) uint8) *cache[K, V] {
	c := &cache[K, V]{perShard: max(1, size/cacheShards), shardOf: shardOf}
	for i := range c.shards {
		c.shards[i].entries = make(map[K]V)
		c.shards[i].held = make(map[K]struct{})
	}
	return c
}

func (c *cache[K, V]) shard(key K) *cacheShard[K, V] {
	return &c.shards[c.shardOf(key)%cacheShards]
}

// get returns the cached value, if there is one.
func (c *cache[K, V]) get(key K) (V, bool) {
	if c == nil {
		var none V
		return none, false
	}
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	value, ok := s.entries[key]
	return value, ok
}

// load returns the cached value, or reads it and keeps it.
func (c *cache[K, V]) load(key K, read func() (V, error)) (V, error) {
	if c == nil {
		return read()
	}
	s := c.shard(key)
	s.mu.RLock()
	value, ok := s.entries[key]
	before := s.changes
	s.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if current, ok := s.entries[key]; ok {
		// What others are given meanwhile goes before what was read, which may
		// come from a commit that is not yet told to them.
		return current, nil
	}
	if _, held := s.held[key]; !held && s.changes == before {
		s.keep(key, value, c.perShard)
	}
	return value, nil
}

// hold says that the coming commit changes the value. Until put, release or
// clear, what is read of it is not kept.
func (c *cache[K, V]) hold(key K) {
	if c == nil {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	s.held[key] = struct{}{}
}

// release takes back every hold, for when nothing was committed.
func (c *cache[K, V]) release() {
	if c == nil {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		clear(s.held)
		s.mu.Unlock()
	}
}

// put replaces the value after a commit.
func (c *cache[K, V]) put(key K, value V) {
	if c == nil {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	delete(s.held, key)
	s.keep(key, value, c.perShard)
}

// clear forgets everything, for when a failed write leaves in doubt what is true.
func (c *cache[K, V]) clear() {
	if c == nil {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.changes++
		clear(s.held)
		clear(s.entries)
		s.mu.Unlock()
	}
}

// keep stores a value and makes room by dropping an arbitrary other one. Under
// a working set larger than the cache that costs about as many misses as a
// least-recently-used order would, and reads need no lock but the shared one.
func (s *cacheShard[K, V]) keep(key K, value V, most int) {
	if _, there := s.entries[key]; !there && len(s.entries) >= most {
		for other := range s.entries {
			delete(s.entries, other)
			break
		}
	}
	s.entries[key] = value
}
