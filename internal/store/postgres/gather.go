package postgres

import (
	"context"
	"sync"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// gather merges readings of one kind into queries for many keys at once. There
// is no timer: while one query is under way the next one gathers. A reading
// never joins a query that has begun, so it sees all that was committed before it.
type gather[K comparable, V any] struct {
	query func(ctx context.Context, keys []K) (map[K]V, error)

	mu   sync.Mutex
	busy bool         // a query is under way; with several at once, each had fewer keys
	next *round[K, V] // what gathers meanwhile; nil while nobody waits
}

// round is one query, and those who wait for it.
type round[K comparable, V any] struct {
	keys  []K
	done  chan struct{}
	found map[K]V
	err   error
}

// maxGathered bounds the keys of one query.
const maxGathered = 1024

// load reads the value of a key; there is none where it gives false. A caller
// that goes away leaves its query to the others.
func (g *gather[K, V]) load(ctx context.Context, key K) (value V, ok bool, err error) {
	g.mu.Lock()
	if g.next == nil {
		g.next = &round[K, V]{done: make(chan struct{})}
	}
	r := g.next
	if len(r.keys) == maxGathered { // of callers who went away, too
		g.mu.Unlock()
		return value, false, ledger.Errorf(ledger.Overloaded, "too many reads are waiting").WithHint("send the request again later")
	}
	r.keys = append(r.keys, key)
	if !g.busy {
		g.busy, g.next = true, nil
		go g.run(r)
	}
	g.mu.Unlock()
	select {
	case <-r.done:
		value, ok = r.found[key]
		return value, ok, r.err
	case <-ctx.Done():
		return value, false, ctx.Err()
	}
}

// run makes a query, and then those that gathered meanwhile, until nobody waits.
func (g *gather[K, V]) run(r *round[K, V]) {
	for r != nil {
		// It belongs to many callers, and must not end with one.
		ctx, cancel := limited(context.Background())
		r.found, r.err = g.query(ctx, r.keys)
		cancel()
		close(r.done)
		g.mu.Lock()
		r, g.next = g.next, nil
		g.busy = r != nil
		g.mu.Unlock()
	}
}
