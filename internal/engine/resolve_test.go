package engine_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// A commit of which the store does not know whether it happened is made again,
// and the idempotency keys tell: the caller sees nothing of it, and everything
// is posted once.
func TestUnknownCommitsAreResolved(t *testing.T) {
	t.Parallel()
	type faults = []func(write func() error) error
	for name, planned := range map[string]faults{
		"done":                     {unknownButDone},
		"not done":                 {unknownAndNotDone},
		"done, then not answered":  {unknownButDone, refused, refused},
		"not done, twice":          {unknownAndNotDone, unknownAndNotDone},
		"not done, then done":      {unknownAndNotDone, unknownButDone},
		"done, and unknown again":  {unknownButDone, unknownButDone, unknownAndNotDone},
		"not done, then not asked": {unknownAndNotDone, refused},
		"done in the last attempt": {unknownAndNotDone, unknownAndNotDone, unknownAndNotDone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			real, _ := newStore(t)
			store := &faulty{Store: real}
			gate := storetest.NewGate(store)
			var log bytes.Buffer
			e := start(t, gate, engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, 3)
			post(t, e, topUp("fill", 1, 100))
			post(t, e, charge("earlier", 1, 1))
			store.plan(append(faults{func(write func() error) error { return write() }}, planned...)...)
			var first, charged, poor, replayed, nowhere outcome
			var whole, refusedAll batched
			storetest.Queue(e, gate,
				posting(e, topUp("alone", 2, 1), &first),
				posting(e, charge("k", 1, 10), &charged),
				posting(e, charge("poor", 1, 1000), &poor),
				posting(e, charge("earlier", 1, 1), &replayed),
				posting(e, charge("nowhere", 9, 1), &nowhere),
				batching(e, &whole, true, topUp("a", 1, 5), charge("b", 1, 7)),
				batching(e, &refusedAll, true, topUp("c", 1, 5), charge("d", 1, 7000)),
			)
			wantCode(t, nowhere.err, ledger.NotFound)
			check(t, "codes", []ledger.Code{charged.code(), poor.code(), replayed.code()}, []ledger.Code{"", ledger.InsufficientFunds, ""})
			check(t, "replayed", []bool{charged.replayed, poor.replayed, replayed.replayed}, []bool{false, false, true})
			check(t, "posted together", whole.codes(), []ledger.Code{"", ""})
			check(t, "refused together", refusedAll.codes(), []ledger.Code{ledger.BatchRejected, ledger.InsufficientFunds})
			for _, r := range append(whole.results, refusedAll.results...) {
				check(t, "replayed in a batch", r.Replayed, false)
			}
			check(t, "balance", wallet(t, e, 1).Balance, 100-1-10+5-7)
			tx, again, err := e.Post(ctx, charge("k", 1, 10))
			noError(t, err)
			check(t, "a retry", again, true)
			check(t, "is told the same", tx, charged.tx)
			if !strings.Contains(log.String(), "connection lost") {
				t.Errorf("the operator is told nothing: %s", &log)
			}
			storetest.Verify(t, real)
		})
	}
}
