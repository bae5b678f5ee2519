package sim

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// record is what a client did and was told. Of two records, one was first
// exactly if its end is below the other's beginning.
type record struct {
	plan

	client, number int
	node           int
	began, ended   int64 // on the one counter of the simulation
	clockBegan     int64 // what the clock of the node said, in microseconds
	turnedBack     bool  // the clock went back in the meantime
	unknown        bool  // an error need not be true: the process died
	excused        bool  // the process was stopping, so that reads may have failed

	results []engine.Result // of a posting or batch
	err     error           // of the whole operation
	holder  *ledger.Holder
	hold    *ledger.Hold
	read    *ledger.Transaction
	settled []engine.Settled
	key     *ledger.Key
}

// code is that of the whole operation's error.
func (r *record) code() ledger.Code { return ledger.CodeOf(r.err) }

// lost tells whether it cannot be known what an error left behind.
func (r *record) lost(err error) bool {
	return err != nil && (r.unknown || ledger.CodeOf(err) == ledger.OutcomeUnknown)
}

// answer is what the record says of one of its requests.
func (r *record) answer(i int) engine.Result {
	if r.err != nil {
		return engine.Result{Err: r.err}
	}
	return r.results[i]
}

// attempt is one run of a write in a transaction of the store, with what it
// wrote. Moments are on the counter of the records.
type attempt struct {
	looked  int64 // when it began, before it read anything
	written int64 // when all was written and every lock was held still
	ended   int64 // when the store had answered
	ids     []ledger.TransactionID
	at      time.Time // of its decisions
	changes []*record // what it changed of accounts and keys
	// mark is a key that was written together with changes: it tells whether they
	// were committed, where nobody was told.
	mark string
	sure bool // that it was committed
}

// notes are what the faulty stores have seen in a round, over all its processes.
type notes struct {
	faults [faultKinds]atomic.Int64
	failed atomic.Int64 // reads
	cuts   atomic.Int64 // connections that were cut on purpose, whoever noticed

	mu       sync.Mutex
	clock    *atomic.Int64 // the counter of the records
	attempts []*attempt    // that were committed, or may have been
	doubts   []*attempt    // whose engine was told that nobody knows
	injected []int64       // when a fault was met
	underWay map[target]*record
	marks    int
	errs     []error
}

// met notes that a fault happens now.
func (n *notes) met(kind faultKind) {
	if kind == noFault {
		return
	}
	n.faults[kind].Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.injected = append(n.injected, n.clock.Add(1))
}

// noticed notes that a connection was found to be lost.
func (n *notes) noticed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.injected = append(n.injected, n.clock.Add(1))
}

func (n *notes) readFailed() { n.failed.Add(1) }

// unexpected notes a failure that nobody planned.
func (n *notes) unexpected(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errs = append(n.errs, err)
}

// wrote notes an attempt that was committed, or may have been.
func (n *notes) wrote(a *attempt, sure bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.sure, a.ended = sure, n.clock.Add(1)
	n.attempts = append(n.attempts, a)
}

// doubted notes an attempt of which the engine is told that nobody knows what
// became of it.
func (n *notes) doubted(a *attempt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.ended = n.clock.Add(1)
	n.doubts = append(n.doubts, a)
}

// announce says which change of its target is under way.
func (n *notes) announce(r *record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.underWay[r.change.target] = r
}

// asked gives the change of a target that is under way, nil for none.
func (n *notes) asked(t target) *record {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.underWay[t]
	if r == nil {
		n.errs = append(n.errs, errors.New("the ledger changed an account or key that nobody asked to change"))
	}
	return r
}

// mark gives the name of a new mark.
func (n *notes) mark() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.marks++
	return fmt.Sprintf("mark-%d", n.marks)
}

// taken gives what was noted since the last time.
func (n *notes) taken() (attempts, doubts []*attempt, injected []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	attempts, doubts, injected = n.attempts, n.doubts, n.injected
	n.attempts, n.doubts, n.injected = nil, nil, nil
	return attempts, doubts, injected
}

// fault is the first failure that nobody planned, nil for none.
func (n *notes) fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.errs[:min(1, len(n.errs))]...)
}

// clock is the time that the ledger is told. It goes on with the operations of
// the clients, sometimes by days, and now and then a little back.
type clock struct {
	now       atomic.Int64 // microseconds
	highest   atomic.Int64
	backwards atomic.Int64 // how often it was turned back
}

func (c *clock) pass(d time.Duration) {
	if d < 0 {
		c.backwards.Add(1)
	}
	now := c.now.Add(d.Microseconds())
	for {
		highest := c.highest.Load()
		if now <= highest || c.highest.CompareAndSwap(highest, now) {
			return
		}
	}
}

// catchUp ends what was left of turning back.
func (c *clock) catchUp() { c.now.Store(c.highest.Load()) }

// time is the clock as the engine reads it: finer than what stores keep.
func (c *clock) time() time.Time {
	return time.Unix(0, c.now.Load()*1000+789).In(elsewhere)
}

// elsewhere is a zone that no account has.
var elsewhere = time.FixedZone("elsewhere", -3*3600)
