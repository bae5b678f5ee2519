package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// write is one thing that waits for the committer: postings, or a change to
// accounts, wallets or keys.
type write struct {
	postings []ledger.Transaction // undecided; change is nil
	atomic   bool                 // all of them are posted, or none
	change   func(ctx context.Context, tx Tx) error
	publish  func() // runs once the change is durable, before anything else is decided
	reply    chan reply
}

// reply answers a write: a result for each posting, or an error for all of it.
type reply struct {
	results []Result
	err     error
}

// size is how much of the queue a write takes.
func (w *write) size() int64 { return int64(max(1, len(w.postings))) }

// Result is the outcome of one request.
type Result struct {
	// Transaction may be a rejection: its Err says so. It is nil where Err is set.
	Transaction *ledger.Transaction
	Replayed    bool  // an earlier request with this idempotency key decided it
	Err         error // why it was not decided; that is not remembered
}

// failure is why the request was not posted, nil where it was.
func (r *Result) failure() error {
	if r.Err != nil {
		return r.Err
	}
	if r.Transaction == nil {
		return nil
	}
	return r.Transaction.Err()
}

// Post decides a request and returns its transaction once it is durable. The
// transaction may be a rejection: its Err says so. replayed tells that an
// earlier request with this idempotency key decided it.
//
// A request about a hold or a charge need not name its wallet.
//
// Errors: what Request.Validate gives; NotFound where an account, wallet, hold
// or charge does not exist; IdempotencyKeyReused; Overloaded; OutcomeUnknown;
// Internal. None of these is remembered, so the request may be sent again as it is.
func (e *Engine) Post(ctx context.Context, request ledger.Request) (transaction *ledger.Transaction, replayed bool, err error) {
	if err := e.complete(ctx, &request, nil); err != nil {
		return nil, false, err
	}
	results, err := e.submit(ctx, &write{postings: []ledger.Transaction{ledger.NewTransaction(request)}})
	if err != nil {
		return nil, false, err
	}
	return results[0].Transaction, results[0].Replayed, results[0].Err
}

// change runs fn on the write path in a transaction of its own, and publish
// after it is durable.
func (e *Engine) change(ctx context.Context, fn func(ctx context.Context, tx Tx) error, publish func()) error {
	_, err := e.submit(ctx, &write{change: fn, publish: publish})
	return err
}

// submit puts a write on the queue and waits for its results. A caller that
// goes away does not take its write back: it may already be decided.
func (e *Engine) submit(ctx context.Context, w *write) ([]Result, error) {
	if ctx.Err() != nil {
		return nil, errGivenUp
	}
	w.reply = make(chan reply, 1)
	if err := e.enqueue(w); err != nil {
		return nil, err
	}
	select {
	case r := <-w.reply:
		return r.results, r.err
	case <-ctx.Done():
		return nil, errGivenUp
	}
}

var errGivenUp = ledger.Errorf(ledger.OutcomeUnknown, "the request was given up before its outcome was known").
	WithHint("send it again with the same idempotency key")

func (e *Engine) enqueue(w *write) error {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.closed {
		return ledger.Errorf(ledger.Overloaded, "the server is shutting down").WithHint("send the request again")
	}
	// The queue has a place for each posting, so a write that is counted in has
	// a place in the channel. Batches leave half of it to single requests.
	room := int64(e.options.QueueSize)
	if w.size() > 1 {
		room /= 2
	}
	if waiting := e.waiting.Add(w.size()); waiting > room {
		e.waiting.Add(-w.size())
		return ledger.Errorf(ledger.Overloaded, "too many writes are waiting").WithHint("send the request again later")
	}
	e.queue <- w
	return nil
}

// commitLoop commits until the queue is closed and empty. It runs on a context
// of its own, because a batch belongs to many callers and must not end with one.
func (e *Engine) commitLoop() {
	defer close(e.done)
	ctx := context.Background()
	batch := make([]*write, 0, e.options.BatchSize)
	for first := range e.queue {
		batch = append(batch[:0], first)
		size := first.size()
		for size < int64(e.options.BatchSize) {
			next := e.dequeue()
			if next == nil {
				break
			}
			batch = append(batch, next)
			size += next.size()
		}
		e.waiting.Add(-size)
		e.commit(ctx, batch)
		clear(batch) // so that answered requests are not kept in memory
	}
}

// dequeue takes a write that waits, nil where none does.
func (e *Engine) dequeue() *write {
	select {
	case w := <-e.queue: // nil when the queue is closed
		return w
	default:
		return nil
	}
}

// commit answers a batch in the order of its arrival: postings side by side,
// each change in a transaction of its own.
func (e *Engine) commit(ctx context.Context, batch []*write) {
	for len(batch) > 0 {
		if batch[0].change != nil {
			batch[0].reply <- reply{err: e.commitChange(ctx, batch[0])}
			batch = batch[1:]
			continue
		}
		n := slices.IndexFunc(batch, func(w *write) bool { return w.change != nil })
		if n < 0 {
			n = len(batch)
		}
		e.commitPostings(ctx, batch[:n])
		batch = batch[n:]
	}
}

func (e *Engine) commitChange(ctx context.Context, w *write) error {
	began := time.Now()
	err := e.store.Write(ctx, func(tx Tx) error { return w.change(ctx, tx) })
	if err != nil {
		expected := e.fault(ctx, err)
		if errors.Is(err, ErrCommitUnknown) { // there is no key by which it would be known again
			expected = ledger.Errorf(ledger.OutcomeUnknown, "it is not known whether the change was made").
				WithHint("look whether it was made before you send it again")
		}
		return expected
	}
	w.publish()
	e.options.Observer.Committed(1, time.Since(began))
	return nil
}

func (e *Engine) commitPostings(ctx context.Context, writes []*write) {
	began := time.Now()
	d, refused, err := e.attempt(ctx, writes)
	if refused && len(writes) > 1 {
		// One request that the store cannot take must not fail the others.
		for i := range writes {
			e.commitPostings(ctx, writes[i:i+1])
		}
		return
	}
	if errors.Is(err, ErrCommitUnknown) {
		d, err = e.resolve(ctx, writes, d, err)
	}
	if err != nil {
		err = e.fault(ctx, err)
		for _, w := range writes {
			w.reply <- reply{err: err}
		}
		return
	}
	for _, holder := range d.touched {
		e.holders.put(holder.ID, holder)
	}
	results := slices.Concat(d.results...) // a caller may change what it is given
	for i, w := range writes {
		w.reply <- reply{results: d.results[i]}
	}
	e.options.Observer.Committed(len(writes), time.Since(began))
	e.observe(results)
}

// attempt decides postings and commits them. refused tells that the store began
// the transaction, and then did not take one of them. A store that cannot even
// begin refuses nothing: asking it again for each would keep every later request
// waiting.
func (e *Engine) attempt(ctx context.Context, writes []*write) (d *decisions, refused bool, err error) {
	var refusal error
	err = e.store.Write(ctx, func(tx Tx) error {
		d = newDecisions(writes, e.commitTime(), &e.zones)
		if refusal = d.run(ctx, tx, e.holders); refusal != nil {
			return refusal
		}
		for id := range d.touched {
			e.holders.hold(id)
		}
		return nil
	})
	if d != nil {
		// Also where the write failed: it may be committed all the same, and what
		// comes next must not be older.
		e.last = d.now
	}
	return d, refusal != nil && errors.Is(err, refusal), err
}

// How often, after which pause, and for how long a write is attempted again of
// which it is not known whether it was committed. In two seconds a database that
// crashed is back; one that does not answer is not waited for much longer, for
// all that waits behind the write waits as long.
const (
	resolveAttempts = 5
	resolvePause    = 200 * time.Millisecond
	resolveTime     = 5 * time.Second
)

// resolve finds out whether a write was committed, by making it again: where it
// was, the idempotency keys give what was decided then. It returns the error of
// the first attempt where the store does not answer.
func (e *Engine) resolve(ctx context.Context, writes []*write, first *decisions, unknown error) (*decisions, error) {
	e.options.Logger.LogAttrs(ctx, slog.LevelWarn, "commit in doubt", slog.Any("error", unknown))
	limited, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	tried := []*decisions{first}
	for n := range resolveAttempts {
		time.Sleep(time.Duration(n) * resolvePause)
		e.holders.clear() // which of the two states it shows is what is not known
		d, _, err := e.attempt(limited, writes)
		if err == nil {
			for _, earlier := range tried {
				d.adopt(earlier)
			}
			return d, nil
		}
		tried = append(tried, d)
	}
	return nil, unknown
}

// observe tells the observer what was decided.
func (e *Engine) observe(results []Result) {
	for _, r := range results {
		if t := r.Transaction; t != nil {
			outcome := "posted"
			if t.Rejection != "" {
				outcome = string(t.Rejection)
			}
			e.options.Observer.Decided(t.Kind, outcome, r.Replayed)
		}
	}
}

// commitTime is the time of the batch, never before that of the batch before it.
func (e *Engine) commitTime() time.Time {
	now := e.now()
	if now.Before(e.last) {
		return e.last
	}
	return now
}

// fault turns an error of a write into what the caller is told. What the store
// did wrong goes to the log alone; and since it is then in doubt what the store
// holds, nothing cached is trusted any more.
func (e *Engine) fault(ctx context.Context, err error) error {
	if expected, ok := errors.AsType[*ledger.Error](err); ok {
		e.holders.release()
		e.keys.release()
		return expected
	}
	e.holders.clear()
	e.keys.clear()
	e.options.Logger.LogAttrs(ctx, slog.LevelError, "write failed", slog.Any("error", err))
	if errors.Is(err, ErrCommitUnknown) {
		return ledger.Errorf(ledger.OutcomeUnknown, "it is not known whether the request was carried out").
			WithHint("send it again with the same idempotency key")
	}
	return ledger.Errorf(ledger.Internal, "the ledger could not be written").
		WithHint("nothing was posted; the request may be sent again with the same idempotency key")
}
