package upstream

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

const (
	// slack is how much longer a claim lasts than the question may take: for what
	// is written before and after it, and for clocks that differ.
	slack = 15 * time.Second
	// longestBackOff is the longest pause after failures, where the interval is not
	// longer: soon enough to see that a provider is back.
	longestBackOff = 10 * time.Minute
	// storePause is how long is waited when the store fails.
	storePause = 5 * time.Second
	// writing bounds how long keeping an outcome may take.
	writing = 10 * time.Second
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
	storeBad  bool      // the store has failed, and somebody was told
	predicted time.Time // when forecasts were last made
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
	u := w.upstream
	select {
	case w.places <- struct{}{}:
		defer func() { <-w.places }()
	case <-ctx.Done():
		return time.Time{}
	}
	now := w.options.Now().UTC()
	state, claimed, err := w.store.ClaimUpstream(ctx, readings.Claim{
		Name: u.Name, Provider: u.Provider.Name, Node: w.node, Now: now, Until: now.Add(u.Timeout + slack), Early: w.early,
	})
	if err != nil {
		return w.storeFailed(ctx, "claim", err)
	}
	if state.Provider != u.Provider.Name {
		state.Good = nil // That was another account.
	}
	if !claimed {
		w.seen.Store(&state)
		return w.comeBack(&state, now)
	}
	w.early = false
	balance, err := w.ask(ctx)
	if ctx.Err() != nil {
		state.DueAt = now // The claim is given back without an outcome.
		_, _ = w.record(ctx, &state, nil)
		return time.Time{}
	}
	next, added := w.conclude(ctx, state, now, balance, err)
	kept, err := w.record(ctx, &next, added)
	if err != nil {
		return w.storeFailed(ctx, "record", err)
	}
	w.storeBad = false
	if !kept { // This took longer than the claim lasted, so that another node may have asked.
		return now.Add(storePause)
	}
	w.tell(&state, &next)
	w.seen.Store(&next)
	return next.DueAt
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

// record keeps what came of a claim, also when the Watcher was told to stop
// meanwhile: an answer is not thrown away, nor is a claim kept from others.
func (w *watch) record(ctx context.Context, state *readings.State, added []readings.Reading) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
	defer cancel()
	return w.store.RecordUpstream(ctx, w.node, state, added)
}

// storeFailed tells once of a store that fails, and when to come back.
func (w *watch) storeFailed(ctx context.Context, doing string, err error) time.Time {
	if !w.storeBad && ctx.Err() == nil {
		w.options.Log.Warn("the ledger's database does not take readings of upstreams", "upstream", w.upstream.Name, "doing", doing, "error", err)
	}
	w.storeBad = true
	return w.options.Now().Add(storePause)
}

// conclude is what is known after a question, and what is to be kept of it.
func (w *watch) conclude(ctx context.Context, state readings.State, asked time.Time, balance *provider.Balance, err error) (readings.State, []readings.Reading) {
	u := w.upstream
	done := w.options.Now().UTC().Truncate(time.Microsecond)
	state.Provider, state.Interval, state.AskedAt = u.Provider.Name, u.Interval, done
	state.BarredAt = done.Add(max(u.Pace, time.Second))
	pause := u.Interval
	var added []readings.Reading
	if err != nil {
		failure := failureOf(err)
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
		w.predict(ctx, before, state.Good, added)
	}
	pause += rand.N(2*pause/jitter+1) - pause/jitter
	state.DueAt = later(asked.Add(pause).Truncate(time.Microsecond), state.BarredAt)
	if w.options.Asked != nil {
		w.options.Asked(u.Name, u.Provider.Name, state.Status)
	}
	return state, added
}

// failureOf is why there is no balance.
func failureOf(err error) *provider.Error {
	a := Answer{}
	a.fail(err)
	return &provider.Error{Status: a.Status, Code: a.Code, Message: a.Message, RetryAfter: a.RetryAfter}
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
			Rise: old != nil && b.Spendable().GreaterThan(old.Spendable()),
		})
	}
	return good, added
}

const (
	// window is what a forecast looks back on.
	window = 7 * 24 * time.Hour
	// grain is how far apart the readings are that it looks at: those of a week at one a
	// second would be half a million.
	grain = 5 * time.Minute
	// predictEvery is how often a forecast is made anew: it changes with the hours.
	predictEvery = time.Minute
	historyPage  = 5000
	maxHistory   = 100 * historyPage
)

// predict adds the forecasts.
func (w *watch) predict(ctx context.Context, before, good *readings.Balance, added []readings.Reading) {
	if !good.Billing.RunsOut() {
		return
	}
	// What was forecast a moment ago is true still, and better than nothing where the
	// store fails.
	for i := range good.Buckets {
		if old := before.Find(readings.KeyOf(&good.Buckets[i].Bucket)); old != nil {
			good.Buckets[i].Empty, good.Buckets[i].Low = old.Empty, old.Low
		}
	}
	if age := good.At.Sub(w.predicted); age >= 0 && age < predictEvery {
		return
	}
	history, err := w.history(ctx, good.At)
	if err != nil {
		w.storeFailed(ctx, "read for the forecast", err)
		return
	}
	w.predicted = good.At
	for i := range good.Buckets {
		b := &good.Buckets[i]
		key := readings.KeyOf(&b.Bucket)
		history[key] = append(history[key], forecast.Reading{Time: good.At, Amount: added[i].Spendable()})
		series := history[key]
		empty := forecast.Predict(series, good.At, decimal.Zero)
		b.Empty = &empty
		if b.Min != nil {
			low := forecast.Predict(series, good.At, *b.Min)
			b.Low = &low
		}
	}
}

// history is what each bucket had left in the last week.
func (w *watch) history(ctx context.Context, until time.Time) (map[readings.Key][]forecast.Reading, error) {
	history := make(map[readings.Key][]forecast.Reading)
	query := readings.Query{Upstream: w.upstream.Name, From: until.Add(-window), To: until, Step: grain, Limit: historyPage}
	for total := 0; total < maxHistory; {
		found, err := w.store.UpstreamReadings(ctx, query)
		if err != nil {
			return nil, err
		}
		for i := range found {
			r := &found[i]
			history[r.Key] = append(history[r.Key], forecast.Reading{Time: r.At, Amount: r.Spendable()})
		}
		if len(found) < historyPage {
			break
		}
		total += len(found)
		query.After = readings.Place{At: found[len(found)-1].At, Key: found[len(found)-1].Key}
	}
	return history, nil
}
