// Package engine is the one way by which a ledger is written and read.
//
// All writes join one bounded queue. A committer takes what waits, decides it
// by the rules of package ledger, writes it in one transaction of the store,
// and only then answers. There is no timer: while one batch is being made
// durable the next one gathers.
package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Options are what an engine can be told. The zero value of each means its default.
type Options struct {
	// QueueSize bounds the postings and changes that wait; one more is refused
	// with Overloaded. Batches may take half of it. Default 8192.
	QueueSize int
	// BatchSize bounds the postings of one transaction, but for the last write
	// that it takes in, which may bring up to MaxBatch. Default 1024.
	BatchSize int
	// CacheSize bounds the accounts, and the keys, kept in memory where the
	// store is exclusive. Default 32768.
	CacheSize int
	// ReadSize bounds the reads that the store serves or that wait for it; one
	// more is refused with Overloaded. Default 1024.
	ReadSize int
	// SweepInterval is how often holds that are due are looked for; negative for
	// never. Default one second.
	SweepInterval time.Duration
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
	// Observer is told what happened, after the callers are answered. Default: nobody.
	Observer Observer
	// Logger takes the details of faults, which callers are not shown. Default: none.
	Logger *slog.Logger
}

// Observer watches the write path, for metrics.
type Observer interface {
	// Committed is called after each commit, with the number of writes in it.
	Committed(writes int, took time.Duration)
	// Decided is called for each posting: outcome is "posted" or a rejection
	// code, replayed where it was decided by an earlier request.
	Decided(kind ledger.Kind, outcome string, replayed bool)
}

func (o *Options) setDefaults() {
	if o.QueueSize == 0 {
		o.QueueSize = 8192
	}
	if o.BatchSize == 0 {
		o.BatchSize = 1024
	}
	if o.CacheSize == 0 {
		o.CacheSize = 32768
	}
	if o.ReadSize == 0 {
		o.ReadSize = 1024
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

type silent struct{}

func (silent) Committed(int, time.Duration)      {}
func (silent) Decided(ledger.Kind, string, bool) {}

// Engine serves one ledger. Its methods may be called by many goroutines.
type Engine struct {
	store   Store
	options Options
	queue   chan *write
	waiting atomic.Int64  // the postings and changes in the queue
	reads   chan struct{} // a place in it for each read of the store
	holders *cache[ledger.AccountID, *ledger.Holder]
	keys    *cache[ledger.Hash, *ledger.Key]
	zones   zones

	// last is the time of the latest commit; the committer alone uses it.
	last time.Time

	// closing guards the queue: writers hold it shared while they enqueue, so
	// that Close can close the queue when nobody is about to send on it.
	closing sync.RWMutex
	closed  bool
	done    chan struct{}

	stopSweeper context.CancelFunc
	sweeper     sync.WaitGroup
}

// New starts an engine over a store. Close stops it; the store stays open.
func New(ctx context.Context, store Store, options Options) (*Engine, error) {
	options.setDefaults()
	last, err := store.LastCommit(ctx)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store:   store,
		options: options,
		queue:   make(chan *write, options.QueueSize),
		reads:   make(chan struct{}, options.ReadSize),
		last:    last,
		done:    make(chan struct{}),
	}
	if store.Exclusive() {
		e.holders = newCache[ledger.AccountID, *ledger.Holder](options.CacheSize,
			func(id ledger.AccountID) uint8 { return uint8(id) })
		e.keys = newCache[ledger.Hash, *ledger.Key](options.CacheSize,
			func(digest ledger.Hash) uint8 { return digest[0] })
	}
	go e.commitLoop()
	sweep, stop := context.WithCancel(context.Background())
	e.stopSweeper = stop
	if options.SweepInterval > 0 {
		e.sweeper.Go(func() { e.sweepLoop(sweep) })
	}
	return e, nil
}

// Close refuses new writes, finishes those that were admitted, and returns when
// they are answered.
func (e *Engine) Close() {
	e.stopSweeper()
	e.sweeper.Wait()
	e.closing.Lock()
	if !e.closed {
		e.closed = true
		close(e.queue)
	}
	e.closing.Unlock()
	<-e.done
}

// QueueDepth is the number of postings and changes that wait for the committer.
// It looks when nobody is on the way into the queue, so that what is counted is there.
func (e *Engine) QueueDepth() int {
	e.closing.Lock()
	defer e.closing.Unlock()
	return int(e.waiting.Load())
}

// Ping tells whether the ledger can be read.
func (e *Engine) Ping(ctx context.Context) error { return e.store.Ping(ctx) }

// Now is the time by the engine's clock.
func (e *Engine) Now() time.Time { return e.now() }

// now is the engine's time: UTC, in the microseconds that stores keep.
func (e *Engine) now() time.Time { return e.options.Clock().UTC().Truncate(time.Microsecond) }
