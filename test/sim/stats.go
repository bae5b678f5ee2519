package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Stats are what a simulation did.
type Stats struct {
	began, ended time.Time

	rounds, windows   int
	operations        int64 // calls of the engine
	requests          int64 // to post, each of a batch counted
	transactions      int64 // that the ledgers decided
	holds, reads      int64 // holds that were compared, balances that were read and checked
	actions           [actionCount]int64
	kinds             map[ledger.Kind]int64
	outcomes          map[string]int64
	settled           map[engine.SettleOutcome]int64
	faults            [faultKinds]int64
	failedReads       int64
	givenUp           int64
	restarts, crashes atomic.Int64
	// Of connections that were lost in a commit: whether it was done.
	lost map[bool]int64
	// Requests of which the engine was told at first that nobody knows what became
	// of them: told in the end, or left so.
	resolved, unresolved int64
	older                int64 // decisions by an account as it was before a change under way
	checking             time.Duration
}

func newStats() *Stats {
	return &Stats{
		began: time.Now(), kinds: map[ledger.Kind]int64{}, outcomes: map[string]int64{}, settled: map[engine.SettleOutcome]int64{}, lost: map[bool]int64{},
	}
}

func (s *Stats) end() { s.ended = time.Now() }

// Operations is how many calls of the engine there were.
func (s *Stats) Operations() int64 { return s.operations }

func (s *Stats) addFaults(n *notes) {
	for kind := range n.faults {
		s.faults[kind] += n.faults[kind].Load()
	}
	s.failedReads += n.failed.Load()
}

// count counts what the records of a window say.
func (s *Stats) count(records []*record) {
	s.windows++
	for _, r := range records {
		s.operations++
		s.actions[r.action]++
		if r.giveUp > 0 && r.code() == ledger.OutcomeUnknown {
			s.givenUp++
		}
		for i := range r.requests {
			s.requests++
			s.outcomes[outcome(r, i)]++
		}
		for i := range r.settled {
			s.settled[r.settled[i].Outcome]++
		}
	}
}

// outcome says in a word what a request was answered with.
func outcome(r *record, i int) string {
	result := r.answer(i)
	switch {
	case r.lost(result.Err):
		return "unknown"
	case result.Err != nil:
		return "not decided: " + string(ledger.CodeOf(result.Err))
	case result.Replayed:
		return "replayed"
	case result.Transaction.Rejection != "":
		return "rejected: " + string(result.Transaction.Rejection)
	default:
		return "posted"
	}
}

// String is the report of a run.
func (s *Stats) String() string {
	ended := s.ended
	if ended.IsZero() {
		ended = time.Now()
	}
	took := ended.Sub(s.began)
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations in %s, %.0f a second (%s of it checking)\n", s.operations, took.Round(time.Second),
		float64(s.operations)/took.Seconds(), s.checking.Round(time.Second))
	fmt.Fprintf(&b, "%d requests to post, %d transactions decided and replayed; %d balances and %d holds compared\n", s.requests, s.transactions, s.reads, s.holds)
	fmt.Fprintf(&b, "%d rounds, %d windows, %d restarts, %d crashes\n", s.rounds, s.windows, s.restarts.Load(), s.crashes.Load())
	actions := map[string]int64{}
	for a, n := range s.actions {
		actions[action(a).String()] = n
	}
	faults := map[string]int64{"read fails": s.failedReads, "caller gives up": s.givenUp}
	faults["lost in a commit, done"], faults["lost in a commit, not done"] = s.lost[true], s.lost[false]
	for kind, n := range s.faults {
		if kind > 0 {
			faults[faultKind(kind).String()] = n
		}
	}
	table(&b, "operations", actions)
	table(&b, "transactions", s.kinds)
	table(&b, "answers", s.outcomes)
	table(&b, "delivery reports", s.settled)
	table(&b, "faults", faults)
	table(&b, "requests whose commit was unknown", map[string]int64{"resolved": s.resolved, "left unknown": s.unresolved})
	table(&b, "decisions", map[string]int64{"by an account as it was before a change under way": s.older})
	return b.String()
}

// table writes counts by name.
func table[K ~string](b *strings.Builder, title string, counts map[K]int64) {
	fmt.Fprintf(b, "%s:\n", title)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > 0 {
			fmt.Fprintf(b, "  %-44s %9d\n", string(name), counts[name])
		}
	}
}
