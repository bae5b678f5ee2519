package sim

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Store is a store that can be closed.
type Store interface {
	engine.Store
	Close() error
}

// Ledger is where a round is kept. It is opened, closed or abandoned, and
// opened again.
type Ledger interface {
	// Open opens the ledger, which is empty at first.
	Open(ctx context.Context) (Store, error)
	// Crash closes a store that nothing uses any more, and leaves the ledger as
	// it would be found after the death of the process.
	Crash(ctx context.Context, store Store) error
	// Transactions gives the transactions beyond a place, in the order in which
	// they were decided, as they are stored, each with its place. It reads them
	// by other means than those of the store. The first place is above 0.
	Transactions(ctx context.Context, after int64, fn func(place int64, t *ledger.Transaction) error) error
	// Remove removes a ledger that nobody has open.
	Remove() error
}

// process is the life of one engine.
type process struct {
	*engine.Engine

	store    Store
	faulty   *faulty
	ctx      context.Context //nolint:containedctx // it lives as long as the process: it ends when the process dies
	kill     context.CancelFunc
	sweeps   bool // by itself
	stopping atomic.Bool
	replaced chan struct{} // closed when the next process serves
}

// start opens the ledger and starts an engine over it.
func (r *round) start(ctx context.Context) (*process, error) {
	store, err := r.ledger.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	p := &process{store: store, replaced: make(chan struct{})}
	p.ctx, p.kill = context.WithCancel(ctx)
	var inner engine.Store = store
	if r.config.Lie != nil {
		inner = r.config.Lie(inner)
	}
	r.processes++
	d := rollFor(r.world.seed, r.world.round, -2, r.processes)
	p.faulty = &faulty{Store: inner, notes: r.notes, shared: d.oneIn(6)}
	options := r.engineOptions(d)
	p.sweeps = options.SweepInterval > 0
	if p.Engine, err = engine.New(ctx, p.faulty, options); err != nil {
		p.kill()
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// engineOptions differ from process to process, so that full queues, batches of
// one and caches that hold nothing have their turn.
func (r *round) engineOptions(d *dice) engine.Options {
	options := engine.Options{
		BatchSize:     pick(d, 1024, 1024, 1024, 1024, 1024, 1024, 64, 64),
		CacheSize:     pick(d, 32768, 32768, 32768, 64, 1),
		QueueSize:     pick(d, 8192, 8192, 8192, 1100), // a sweep brings 500, and batches may take half
		ReadSize:      pick(d, 1024, 1024, 4),
		SweepInterval: pick(d, -1, -1, time.Millisecond, 20*time.Millisecond),
		Clock:         r.clock.time,
	}
	if d.oneIn(16) {
		options.BatchSize = pick(d, 1, 7) // rarely: each batch costs a sync of the disk
	}
	return options
}

// process is the one that serves. Who asks while one is being replaced waits for
// the next, unless it is stubborn.
func (r *round) process(stubborn bool) *process {
	for {
		p := r.current.Load()
		if stubborn || !p.stopping.Load() {
			return p
		}
		<-p.replaced
	}
}

// restart stops the process, or lets it die, and starts the next one. Where
// that is under way already it does nothing.
func (r *round) restart(ctx context.Context, crash bool) error {
	if !r.restarting.TryLock() {
		return nil
	}
	defer r.restarting.Unlock()
	p := r.current.Load()
	defer close(p.replaced)
	if err := r.end(ctx, p, crash); err != nil {
		return err
	}
	next, err := r.start(ctx)
	if err != nil {
		return err
	}
	r.current.Store(next)
	if crash {
		r.stats.crashes.Add(1)
	} else {
		r.stats.restarts.Add(1)
	}
	return nil
}

// end stops a process, or lets it die.
func (r *round) end(ctx context.Context, p *process, crash bool) error {
	p.stopping.Store(true)
	p.faulty.done.Store(true)
	if crash {
		p.faulty.dead.Store(true)
		p.kill()
	}
	p.Close()
	p.kill()
	if crash {
		return r.ledger.Crash(ctx, p.store)
	}
	return p.store.Close()
}
