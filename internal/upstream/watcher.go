package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// WatcherOptions say what a Watcher works with. Only Log is mandatory.
type WatcherOptions struct {
	Log *slog.Logger
	// Asked, if not nil, is told of the outcome of each question.
	Asked func(upstream, provider string, status provider.Status)
	// Now is the clock, time.Now where it is nil. It decides what is due; how long a
	// Watcher sleeps until then is measured by the real one.
	Now func() time.Time
}

// Watcher asks upstreams, each at its own pace, and keeps what they answer. Where
// several processes share a store, one of them asks each upstream at a time.
type Watcher struct {
	store   readings.Store
	options WatcherOptions
	places  chan struct{} // as many as may be asked at one time
	writes  chan struct{} // likewise written: charges share the store's connections
	stop    context.CancelFunc
	running sync.WaitGroup
	context context.Context //nolint:containedctx // It ends with the Watcher.

	mu      sync.Mutex
	watches map[string]*watch
	keep    time.Duration
}

// NewWatcher makes a Watcher that asks nobody yet.
func NewWatcher(store readings.Store, options WatcherOptions) *Watcher {
	if options.Now == nil {
		options.Now = time.Now
	}
	w := &Watcher{
		store: store, options: options, places: make(chan struct{}, atOnce), writes: make(chan struct{}, writesAtOnce),
		watches: make(map[string]*watch), keep: DefaultKeep,
	}
	w.context, w.stop = context.WithCancel(context.Background())
	w.running.Go(func() { w.prune(w.context) })
	return w
}

// Apply makes a configuration the one that is watched. An upstream of which
// nothing has changed goes on as it was; one that is new or changed is asked as
// soon as its provider allows, because it may have been failing until then.
func (w *Watcher) Apply(config *Config) error {
	known := w.stored()
	w.mu.Lock()
	defer w.mu.Unlock()
	next := make(map[string]*watch, len(config.Upstreams))
	var begin []*watch
	for _, u := range config.Upstreams {
		if old, ok := w.watches[u.Name]; ok && reflect.DeepEqual(old.upstream, u) {
			next[u.Name] = old
			continue
		}
		client, err := u.Connect()
		if err != nil {
			for _, fresh := range begin {
				fresh.client.Close()
			}
			return &ConfigError{Upstream: u.Name, Message: err.Error()}
		}
		fresh := &watch{Watcher: w, node: rand.Text(), upstream: u, client: client, early: true}
		if state := known[u.Name]; state != nil && state.Provider == u.Provider.Name {
			fresh.seen.Store(state)
		}
		next[u.Name] = fresh
		begin = append(begin, fresh)
	}
	for name, old := range w.watches {
		if next[name] != old {
			old.stop()
		}
	}
	w.watches, w.keep = next, config.Keep
	for _, fresh := range begin {
		ctx, stop := context.WithCancel(w.context)
		fresh.stop = stop
		w.running.Go(func() { fresh.run(ctx) })
	}
	return nil
}

// stored is what the store knows of the upstreams, so that the last balance of each
// is known here before it is asked. Where the store fails, that is not yet.
func (w *Watcher) stored() map[string]*readings.State {
	ctx, cancel := context.WithTimeout(w.context, claiming)
	defer cancel()
	states, err := w.store.UpstreamStates(ctx)
	if err != nil {
		w.options.Log.Debug("what is known of upstreams could not be read", "error", err)
	}
	known := make(map[string]*readings.State, len(states))
	for i := range states {
		known[states[i].Name] = &states[i]
	}
	return known
}

// Watches tells whether an upstream is configured here.
func (w *Watcher) Watches(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watches[name] != nil
}

// Known gives what was last seen of each upstream that is configured here, in
// order of their names. It reads nothing from the store.
func (w *Watcher) Known() []readings.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var known []readings.State
	for _, one := range w.watches {
		if state := one.seen.Load(); state != nil {
			known = append(known, *state)
		}
	}
	slices.SortFunc(known, func(a, b readings.State) int { return cmp.Compare(a.Name, b.Name) })
	return known
}

// Close stops asking. Questions under way are taken back.
func (w *Watcher) Close() {
	w.stop()
	w.running.Wait()
}

// How readings are thinned out.
const (
	// DefaultKeep is how long readings are kept where the configuration does not say.
	DefaultKeep = 400 * 24 * time.Hour
	// whole is how long each of them is: a forecast looks at a week.
	whole = 8 * 24 * time.Hour
	// After that one in an hour is enough, to see what an account cost on a day.
	thinned = time.Hour

	// writesAtOnce bounds what is written of upstreams at one time.
	writesAtOnce = 2

	pruneFirst = time.Minute // after the start, when more is to do than this
	pruneEvery = time.Hour
)

// prune removes what need not be kept, until ctx ends. Every node does: twice is
// no harm, and none has to be the one.
func (w *Watcher) prune(ctx context.Context) {
	from := time.Time{} // of all time, at first
	for pause := pruneFirst; sleep(ctx, pause); pause = pruneEvery {
		from = w.pruneFrom(ctx, from)
	}
}

// pruneFrom removes what need not be kept, looks at what is to be thinned from a
// time on, and gives the time from which to look the next time.
func (w *Watcher) pruneFrom(ctx context.Context, from time.Time) time.Time {
	w.mu.Lock()
	keep := w.keep
	w.mu.Unlock()
	now := w.options.Now()
	pruning := readings.Pruning{Expired: now.Add(-keep), ThinFrom: from, ThinTo: now.Add(-whole).Truncate(thinned), Step: thinned}
	removed, err := w.store.PruneUpstreams(ctx, pruning)
	if err != nil {
		if ctx.Err() == nil {
			w.options.Log.Warn("old readings of upstreams could not be removed", "error", err)
		}
		return from
	}
	w.options.Log.Debug("old readings of upstreams are removed", "readings", removed)
	// What was thinned is not looked at again, but for the step at whose end the next
	// reading was not there yet.
	return pruning.ThinTo.Add(-24 * time.Hour)
}

// sleep waits, and tells whether ctx goes on.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
