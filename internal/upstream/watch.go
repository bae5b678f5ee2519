package upstream

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

const (
	// slack is how much longer a claim lasts than the question may take: for what
	// is written before and after it, and for clocks that differ.
	slack = 15 * time.Second
	// claiming bounds how long it may take to claim, so that a question that waited for
	// its claim still ends before it.
	claiming = 5 * time.Second
	// writing bounds how long keeping an outcome may take.
	writing = 10 * time.Second
	// longestBackOff is the longest pause after failures, where the interval is not
	// longer: soon enough to see that a provider is back.
	longestBackOff = 10 * time.Minute
	// storePause is how long is waited when the store fails.
	storePause = 5 * time.Second
	// jitter is the part of an interval by which a question may come early or late, so
	// that those who began together do not ask together for ever.
	jitter = 20
)

// watch asks one upstream.
type watch struct {
	*Watcher

	// node is who claims. Each watch has a name of its own, so that one that has ended
	// gives back no claim of its successor.
	node     string
	upstream *Upstream
	client   Client
	stop     context.CancelFunc
	seen     atomic.Pointer[readings.State]

	// These are used by one goroutine alone.
	early     bool      // it may have changed, and is asked before it is due
	barred    time.Time // as in the last outcome, should the store not have taken it
	pending   *outcome  // what the store has not taken yet
	storeBad  bool      // the store has failed, and somebody was told
	weekBad   bool      // likewise, for what a forecast looks at
	predicted time.Time // when forecasts were last made
}

// outcome is what came of a question.
type outcome struct {
	before, now readings.State
	added       []readings.Reading
	until       time.Time // the claim's end
}

// run asks until ctx ends.
func (w *watch) run(ctx context.Context) {
	defer w.client.Close()
	for {
		due := w.turn(ctx)
		if !sleep(ctx, max(due.Sub(w.options.Now()), 0)) {
			return
		}
	}
}

// turn asks if the upstream is due and no other node asks it, and says when to
// come back.
func (w *watch) turn(ctx context.Context) time.Time {
	if w.pending != nil {
		return w.keep(ctx, w.pending)
	}
	release, err := enter(ctx, w.places)
	if err != nil {
		return time.Time{}
	}
	defer release()
	u := w.upstream
	now := w.options.Now().UTC()
	if now.Before(w.barred) {
		return w.barred
	}
	until := now.Add(u.Timeout + slack)
	state, claimed, err := w.claim(ctx, readings.Claim{
		Name: u.Name, Provider: u.Provider.Name, Node: w.node, Now: now, Until: until, Early: w.early,
	})
	if err != nil {
		w.complain(ctx, &w.storeBad, "claim", err)
		return w.options.Now().Add(storePause)
	}
	w.storeBad = false
	if state.Provider != u.Provider.Name {
		state.Good = nil // That was another account.
	}
	seen := state
	w.seen.Store(&seen)
	if !claimed {
		return w.comeBack(&state, now)
	}
	w.early = false
	balance, err := w.ask(ctx)
	if err != nil && ctx.Err() != nil {
		// It was taken back, but the provider may have counted it.
		rest := max(u.Pace, time.Second, provider.ErrorOf(err).RetryAfter)
		state.DueAt, state.BarredAt = now, later(state.BarredAt, w.options.Now().UTC().Add(rest))
		_, _ = w.record(ctx, &state, nil)
		return time.Time{}
	}
	next, added := w.conclude(ctx, state, now, balance, err)
	if w.options.Asked != nil {
		w.options.Asked(u.Name, u.Provider.Name, next.Status)
	}
	return w.keep(ctx, &outcome{before: state, now: next, added: added, until: until})
}

// keep writes an outcome, as often as it takes while the claim lasts, and says
// when to come back. After that another node may ask, and this one has its own
// memory of how long nobody should.
func (w *watch) keep(ctx context.Context, o *outcome) time.Time {
	w.barred, w.pending = o.now.BarredAt, nil
	kept, err := w.record(ctx, &o.now, o.added)
	now := w.options.Now()
	switch {
	case err != nil:
		w.complain(ctx, &w.storeBad, "record", err)
		if now.Before(o.until) {
			w.pending = o
		}
		return now.Add(storePause)
	case !kept: // This took longer than the claim lasted.
		return now.Add(storePause)
	}
	w.storeBad = false
	w.tell(&o.before, &o.now)
	w.seen.Store(&o.now)
	return o.now.DueAt
}

// enter takes one of some places, which release gives back.
func enter(ctx context.Context, places chan struct{}) (release func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *watch) claim(ctx context.Context, claim readings.Claim) (readings.State, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, claiming)
	defer cancel()
	release, err := enter(ctx, w.writes)
	if err != nil {
		return readings.State{}, false, err
	}
	defer release()
	return w.store.ClaimUpstream(ctx, claim)
}

// record keeps what came of a claim, also when the Watcher was told to stop
// meanwhile: an answer is not thrown away, nor is a claim kept from others.
func (w *watch) record(ctx context.Context, state *readings.State, added []readings.Reading) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
	defer cancel()
	release, err := enter(ctx, w.writes)
	if err != nil {
		return false, err
	}
	defer release()
	return w.store.RecordUpstream(ctx, w.node, state, added)
}

// comeBack is when to try again what another node does, or what is not due.
func (w *watch) comeBack(state *readings.State, now time.Time) time.Time {
	due := state.DueAt
	if w.early && state.BarredAt.Before(due) {
		due = state.BarredAt
	}
	// Whoever comes first asks; the others find that it was done.
	return later(due, now).Add(time.Second + rand.N(time.Second))
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// ask asks, and makes sure that what should be watched is there.
func (w *watch) ask(ctx context.Context) (*provider.Balance, error) {
	balance, err := w.client.Balance(ctx)
	if err == nil {
		err = w.upstream.Min.check(balance)
	}
	if err != nil {
		return nil, err
	}
	return balance, nil
}

// complain tells once of a store that fails.
func (w *watch) complain(ctx context.Context, told *bool, doing string, err error) {
	if !*told && ctx.Err() == nil {
		w.options.Log.Warn("the ledger's database does not take readings of upstreams", "upstream", w.upstream.Name, "doing", doing, "error", err)
	}
	*told = true
}

// conclude is what is known after a question, and what is to be kept of it.
func (w *watch) conclude(ctx context.Context, state readings.State, asked time.Time, balance *provider.Balance, err error) (readings.State, []readings.Reading) {
	u := w.upstream
	done := w.options.Now().UTC().Truncate(time.Microsecond)
	state.Provider, state.Interval, state.AskedAt = u.Provider.Name, u.Interval, done
	// Nobody asks before this by its own clock, so readings are in the order in which
	// they were written, whatever the clocks of the nodes say.
	state.BarredAt = done.Add(max(u.Pace, time.Second))
	pause := u.Interval
	var added []readings.Reading
	if err != nil {
		failure := provider.ErrorOf(err)
		state.Status, state.Code, state.Message = failure.Status, failure.Code, failure.Message
		state.BarredAt = later(state.BarredAt, done.Add(failure.RetryAfter))
		for range min(state.Failures, 16) { // The first failure is followed up as usual.
			pause = min(2*pause, max(longestBackOff, u.Interval))
		}
		state.Failures++
	} else {
		state.Status, state.Code, state.Message, state.Failures = provider.OK, "", "", 0
		before := state.Good
		state.Good, added = w.balance(balance, before, done)
		w.predict(ctx, before, state.Good)
		for i := range state.Good.Buckets {
			b := &state.Good.Buckets[i]
			b.Warned = warned(before.Find(readings.KeyOf(&b.Bucket)), b, done)
		}
	}
	pause += rand.N(2*pause/jitter+1) - pause/jitter
	state.DueAt = later(asked.Add(pause).Truncate(time.Microsecond), state.BarredAt)
	return state, added
}

// balance is an answer as it is kept: once as what is known now, and once as readings.
func (w *watch) balance(answer *provider.Balance, before *readings.Balance, at time.Time) (*readings.Balance, []readings.Reading) {
	good := &readings.Balance{At: at, Account: answer.Account, Billing: answer.Billing}
	var added []readings.Reading
	for i := range answer.Buckets {
		b := readings.Bucket{Bucket: answer.Buckets[i]}
		if answer.Billing.RunsOut() {
			b.Min = w.upstream.Min.For(&b.Bucket)
		}
		good.Buckets = append(good.Buckets, b)
		old := before.Find(readings.KeyOf(&b.Bucket))
		added = append(added, readings.Reading{
			Upstream: w.upstream.Name, Key: readings.KeyOf(&b.Bucket), At: at,
			Amount: b.Amount, CreditLimit: b.CreditLimit, Available: b.Available, Pending: b.Pending,
			Rise: old != nil && w.rises(old, &b),
		})
	}
	return good, added
}

// rises tells whether more can be spent than before. That the operator has put a
// credit limit into the configuration, or changed it, is no top-up.
func (w *watch) rises(old, b *readings.Bucket) bool {
	was := old.Bucket
	own := w.upstream.CreditLimit.For(&b.Bucket)
	if own != nil && b.CreditLimit != nil && own.Equal(*b.CreditLimit) {
		was.CreditLimit = b.CreditLimit
	}
	return b.Spendable().GreaterThan(was.Spendable()) || b.Amount.GreaterThan(was.Amount)
}
