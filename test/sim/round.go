package sim

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

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

	nodes  []*node
	ticks  atomic.Int64 // counts the beginnings and ends of operations, and what the stores do
	budget atomic.Int64 // of operations in this window
	// observer looks at the ledger while the nodes rest. With a single node it is that one's store.
	observer Store

	turns sync.Map // a *sync.Mutex for each target of changes

	failed atomic.Pointer[error] // what kept the simulation itself from going on
}

func newRound(config *Config, stats *Stats, number int, place Ledger) *round {
	r := &round{config: config, stats: stats, ledger: place, world: &world{
		seed: config.Seed, round: number, clients: config.Clients, nodes: place.Nodes(),
	}}
	for i := range place.Nodes() {
		r.nodes = append(r.nodes, &node{number: i})
	}
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
	for _, n := range r.nodes {
		p, err := r.start(ctx, n)
		if err != nil {
			return err
		}
		n.current.Store(p)
	}
	if r.many() {
		var err error
		if r.observer, err = r.ledger.Open(ctx, Observer); err != nil {
			return err
		}
	}
	err := r.windows(ctx)
	for _, n := range r.nodes {
		err = errors.Join(err, r.end(ctx, n, false))
	}
	if r.many() {
		err = errors.Join(err, r.observer.Close())
	}
	return err
}

// many tells whether several nodes serve the ledger.
func (r *round) many() bool { return len(r.nodes) > 1 }

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
		var err error
		if records, err = r.settle(ctx, window, records); err != nil {
			return err
		}
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
		records = append(records, r.calmly(ctx, r.nodes[0], &plan{action: doAccount, change: c}, i))
	}
	return records
}

// calmly carries out a plan on a node while nobody else does anything.
func (r *round) calmly(ctx context.Context, n *node, p *plan, number int) *record {
	record := &record{plan: *p, client: -1, number: number}
	r.carryOut(ctx, n.current.Load(), record)
	return record
}

// settle brings everything to rest: no fault happens any more, what still waits
// in the queues is decided, and holds that are due are closed.
func (r *round) settle(ctx context.Context, window int, records []*record) ([]*record, error) {
	r.clock.catchUp()
	if window%5 == 0 {
		r.clock.pass(ledger.MaxExpiresIn) // every hold is due at once
	}
	for _, n := range r.nodes {
		n.current.Load().faulty.spare()
		barrier, err := r.pause(ctx, n, window)
		if err != nil {
			return nil, err
		}
		records = append(records, barrier)
	}
	// The clock of the first node is ahead of the others. Whether the sweep has
	// failed for a reason shows when the holds are looked at, see sweepRest.
	_ = r.patiently(func() error {
		sweep := r.calmly(ctx, r.nodes[0], &plan{action: doSweep}, window)
		records = append(records, sweep)
		return sweep.err
	})
	return records, r.ledger.Rest(ctx)
}

// rest is the store itself, for the checks between windows.
func (r *round) rest() Store {
	if r.many() {
		return r.observer
	}
	return r.nodes[0].current.Load().store
}
