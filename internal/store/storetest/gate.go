package storetest

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// Gate is a store whose writes wait while it is shut, so that a test decides
// what becomes one batch.
type Gate struct {
	engine.Store

	mu      sync.RWMutex
	arrived chan struct{}
}

// NewGate gives an open gate before a store.
func NewGate(store engine.Store) *Gate { return &Gate{Store: store, arrived: make(chan struct{}, 1)} }

// Shut lets no further write through. It waits for the one that is under way.
func (g *Gate) Shut() {
	g.mu.Lock()
	select {
	case <-g.arrived:
	default:
	}
}

// Open lets through what waits and what comes.
func (g *Gate) Open() { g.mu.Unlock() }

// Arrived waits until a write stands before the shut gate.
func (g *Gate) Arrived() { <-g.arrived }

// Write is that of the store, once the gate is open.
func (g *Gate) Write(ctx context.Context, fn func(engine.Tx) error) error {
	select {
	case g.arrived <- struct{}{}:
	default:
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.Store.Write(ctx, fn)
}

// Queue starts calls that write, one after another, behind a shut gate, and
// opens it when all of them wait: the first call is a batch of its own, the
// others are the next one, in their order. A call that returns at once, because
// it is refused, has no place in it. Queue returns when all have returned.
func Queue(e *engine.Engine, gate *Gate, calls ...func()) {
	var group sync.WaitGroup
	gate.Shut()
	standing := false
	for _, call := range calls {
		done := make(chan struct{})
		depth := e.QueueDepth() // which only this call can change
		group.Go(func() {
			defer close(done)
			call()
		})
		if standing {
			queued(e, depth, done)
			continue
		}
		select {
		case <-gate.arrived:
			standing = true
		case <-done:
		}
	}
	gate.Open()
	group.Wait()
}

// queued waits until more is queued than before, or until the call that would
// queue it has returned. The queue sends no signal, so this looks again and
// again, and gives way to others in between.
func queued(e *engine.Engine, before int, done <-chan struct{}) {
	for e.QueueDepth() <= before {
		select {
		case <-done:
			return
		default:
			runtime.Gosched()
		}
	}
}

// NewEngine starts an engine that the test's end closes.
func NewEngine(t testing.TB, store engine.Store, options engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(context.Background(), store, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}
