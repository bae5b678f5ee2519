package sim

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// round is the life of one ledger.
type round struct {
	config *Config
	stats  *Stats
	world  *world
	ledger Ledger
	notes  *notes
	clock  clock
	check  *checker

	ticks      atomic.Int64 // counts the beginnings and ends of operations
	budget     atomic.Int64 // of operations in this window
	current    atomic.Pointer[process]
	restarting sync.Mutex
	processes  int

	turns sync.Map // a *sync.Mutex for each target of changes

	failed atomic.Pointer[error] // what kept the simulation itself from going on
}

func newRound(config *Config, stats *Stats, number int, place Ledger) *round {
	r := &round{config: config, stats: stats, ledger: place, world: &world{seed: config.Seed, round: number, clients: config.Clients}}
	r.notes = &notes{clock: &r.ticks, underWay: map[target]*record{}}
	r.clock.pass(time.Duration(began.UnixMicro()) * time.Microsecond)
	r.check = newChecker(r)
	return r
}

func (r *round) fail(err error) { r.failed.CompareAndSwap(nil, &err) }

// turn waits until no other change of the target is under way.
func (r *round) turn(t target) (done func()) {
	value, _ := r.turns.LoadOrStore(t, new(sync.Mutex))
	mutex := value.(*sync.Mutex)
	mutex.Lock()
	return mutex.Unlock
}

// run lives through the windows of the round.
func (r *round) run(ctx context.Context) error {
	p, err := r.start(ctx)
	if err != nil {
		return err
	}
	r.current.Store(p)
	err = r.windows(ctx)
	return errors.Join(err, r.end(ctx, r.current.Load(), false))
}

func (r *round) windows(ctx context.Context) error {
	clients := make([]*client, r.config.Clients)
	for i := range clients {
		clients[i] = &client{round: r, id: i}
	}
	records := r.open(ctx)
	for window := 1; window <= r.config.Windows; window++ {
		r.budget.Store(int64(r.config.Window))
		var group sync.WaitGroup
		for _, c := range clients {
			group.Go(func() { c.run(ctx) })
		}
		group.Wait()
		if err := r.failed.Load(); err != nil {
			return *err
		}
		for _, c := range clients {
			records = append(records, c.records...)
			c.records = nil
		}
		last := window == r.config.Windows || r.config.over(r.stats)
		records = r.settle(ctx, window, records)
		if r.config.tweak != nil {
			r.config.tweak(records)
		}
		r.stats.count(records)
		// The whole is looked at twice, so that the second time has evidence of the first.
		whole := last || window == r.config.Windows/4+1
		if err := r.check.window(ctx, window, records, whole); err != nil {
			return err
		}
		records = nil
		if last {
			break
		}
	}
	return nil
}

// open makes the accounts and keys of the round, before anything can go wrong.
func (r *round) open(ctx context.Context) []*record {
	var records []*record
	for i, c := range r.world.opening() {
		records = append(records, r.calmly(ctx, &plan{action: doAccount, change: c}, i))
	}
	return records
}

// calmly carries out a plan while nobody else does anything.
func (r *round) calmly(ctx context.Context, p *plan, number int) *record {
	record := &record{plan: *p, client: -1, number: number}
	r.carryOut(ctx, r.current.Load(), record)
	return record
}

// settle brings everything to rest: no fault happens any more, what still waits
// in the queue is decided, and holds that are due are closed.
func (r *round) settle(ctx context.Context, window int, records []*record) []*record {
	r.current.Load().faulty.spare()
	r.clock.catchUp()
	if window%5 == 0 {
		r.clock.pass(ledger.MaxExpiresIn) // every hold is due at once
	}
	return append(records, r.calmly(ctx, barrier(window), window), r.calmly(ctx, &plan{action: doSweep}, window))
}

// rest is the store itself, and the engine, for the checks between windows.
func (r *round) rest() (Store, *engine.Engine) {
	p := r.current.Load()
	return p.store, p.Engine
}
