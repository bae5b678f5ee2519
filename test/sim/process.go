package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// node is a place where a process runs, one after another.
type node struct {
	number     int
	current    atomic.Pointer[process]
	restarting sync.Mutex
	processes  int // so far
}

// process is the life of one engine.
type process struct {
	*engine.Engine

	options  engine.Options
	store    Store
	faulty   *faulty
	ctx      context.Context //nolint:containedctx // it lives as long as the process: it ends when the process dies
	kill     context.CancelFunc
	behind   time.Duration // its clock, that of the round
	stopping atomic.Bool
	replaced chan struct{} // closed when the next process serves
}

// sweeps tells whether the process expires holds by itself.
func (p *process) sweeps() bool { return p.options.SweepInterval > 0 }

// start opens the ledger and starts an engine over it.
func (r *round) start(ctx context.Context, n *node) (*process, error) {
	store, err := r.ledger.Open(ctx, n.number)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	p := &process{store: store, replaced: make(chan struct{})}
	p.ctx, p.kill = context.WithCancel(ctx)
	var inner engine.Store = store
	if r.config.Lie != nil {
		inner = r.config.Lie(inner)
	}
	n.processes++
	d := rollFor(r.world.seed, r.world.round, -2-n.number, n.processes)
	p.faulty = &faulty{Store: inner, notes: r.notes, ledger: r.ledger, node: n.number, shared: d.oneIn(6)}
	if n.number > 0 && d.percent(80) {
		p.behind = time.Duration(d.below(pick(d, 50, 5000))) * time.Millisecond
	}
	p.options = r.engineOptions(d, p.behind)
	if p.Engine, err = engine.New(ctx, p.faulty, p.options); err != nil {
		p.kill()
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// engineOptions differ from process to process, so that full queues, batches of
// one and caches that hold nothing have their turn. The clock of the first node
// is that of the round, and those of the others may be behind it.
func (r *round) engineOptions(d *dice, behind time.Duration) engine.Options {
	options := engine.Options{
		BatchSize:     pick(d, 1024, 1024, 1024, 1024, 1024, 1024, 64, 64),
		CacheSize:     pick(d, 32768, 32768, 32768, 64, 1),
		QueueSize:     pick(d, 8192, 8192, 8192, 1100), // a sweep brings 500, and batches may take half
		ReadSize:      pick(d, 1024, 1024, 4),
		SweepInterval: pick(d, -1, -1, time.Millisecond, 20*time.Millisecond),
		Clock:         func() time.Time { return r.clock.time().Add(-behind) },
	}
	if d.oneIn(16) {
		options.BatchSize = pick(d, 1, 7) // rarely: each batch costs a sync of the disk
	}
	return options
}

// process is the one that serves. Who asks while one is being replaced waits for
// the next, unless it is stubborn.
func (n *node) process(stubborn bool) *process {
	for {
		p := n.current.Load()
		if stubborn || !p.stopping.Load() {
			return p
		}
		<-p.replaced
	}
}

// restart stops the process of a node, or lets it die, and starts the next one.
// Where that is under way already it does nothing.
func (r *round) restart(ctx context.Context, n *node, crash bool) error {
	if !n.restarting.TryLock() {
		return nil
	}
	defer n.restarting.Unlock()
	p := n.current.Load()
	defer close(p.replaced)
	if err := r.end(ctx, n, crash); err != nil {
		return err
	}
	next, err := r.start(ctx, n)
	if err != nil {
		return err
	}
	n.current.Store(next)
	if crash {
		r.stats.crashes.Add(1)
	} else {
		r.stats.restarts.Add(1)
	}
	return nil
}

// end stops the process of a node, or lets it die: then its connections are cut
// whatever they are about.
func (r *round) end(ctx context.Context, n *node, crash bool) error {
	p := n.current.Load()
	p.stopping.Store(true)
	p.faulty.done.Store(true)
	if crash {
		p.faulty.dead.Store(true)
		p.kill()
		r.notes.cuts.Add(1)
		r.ledger.Cut(n.number, uncut)
	}
	p.Close()
	p.kill()
	if crash {
		return r.ledger.Crash(ctx, n.number, p.store)
	}
	return p.store.Close()
}

// pause brings the engine of a node to rest while nobody asks it for anything:
// what callers have left in its queue is decided when it is closed. Another one
// takes its place. An engine with a cache goes on with it, after a last request
// that its one committer decides behind all others.
func (r *round) pause(ctx context.Context, n *node, number int) (*record, error) {
	p := n.current.Load()
	barrier := r.calmly(ctx, n, barrier(n.number, number), number)
	if p.faulty.Exclusive() {
		return barrier, nil
	}
	p.Close()
	return barrier, r.patiently(func() error {
		next, err := engine.New(ctx, p.faulty, p.options)
		if err == nil {
			p.Engine = next
		}
		return err
	})
}

// patiently tries again what may meet connections that were cut before.
func (r *round) patiently(try func() error) error {
	for range 100 {
		err := try()
		if err == nil || !r.ledger.Excused(err) {
			return err
		}
	}
	return try()
}
