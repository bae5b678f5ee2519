package storetest

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// posted is what came of one request.
type posted struct {
	transaction *ledger.Transaction
	replayed    bool
	err         error
}

// checkPost compares what came of a request with the model, which then follows.
func (m *model) checkPost(t *rapid.T, r ledger.Request, got posted) {
	var v verdict
	if v.failure = m.complete(&r, nil); v.failure == "" {
		v = m.decide(&r, m.commit(got.transaction, got.replayed))
	}
	compare(t, &r, v, got)
}

// compare compares what came of a request with the model's verdict.
func compare(t *rapid.T, r *ledger.Request, want verdict, got posted) {
	if code := ledger.CodeOf(got.err); code != want.failure {
		t.Fatalf("%+v: the error is %v, want %q", r, got.err, want.failure)
	}
	if diff := cmp.Diff(want.transaction, told(got.transaction)); diff != "" || got.replayed != want.replayed {
		t.Fatalf("%+v: replayed: %t, want %t, and the transaction differs (-want +got):\n%s", r, got.replayed, want.replayed, diff)
	}
}

type postedBatch struct {
	results []engine.Result
	err     error
}

// checkBatch compares what came of a batch with the model.
func (m *model) checkBatch(t *rapid.T, requests []ledger.Request, atomic bool, got postedBatch) {
	if got.err != nil || len(got.results) != len(requests) {
		t.Fatalf("a batch of %d has %d results: %v", len(requests), len(got.results), got.err)
	}
	requests = slices.Clone(requests)
	failures := m.completeAll(requests, atomic)
	good := func(code ledger.Code) bool { return code == "" }
	failed := slices.IndexFunc(failures, func(code ledger.Code) bool { return !good(code) })
	now := m.now()
	if slices.ContainsFunc(failures, good) && (!atomic || failed < 0) {
		// It was worth a commit.
		now = m.commit(nil, false)
		for _, result := range got.results {
			now = m.commit(result.Transaction, result.Replayed)
		}
	}
	verdicts := make([]verdict, len(requests))
	switch {
	case atomic && failed >= 0:
		verdicts = onlyVerdict(len(requests), failed, failures[failed])
	case atomic:
		verdicts = m.decideAll(requests, now)
	}
	if atomic {
		checkBlame(t, verdicts, got.results)
	}
	for i := range requests {
		if !atomic && failures[i] != "" {
			verdicts[i].failure = failures[i]
		} else if !atomic {
			verdicts[i] = m.decide(&requests[i], now)
		}
		compare(t, &requests[i], verdicts[i], posted{got.results[i].Transaction, got.results[i].Replayed, got.results[i].Err})
	}
}

// completeAll completes the requests of a batch, and says what is wrong with each.
func (m *model) completeAll(requests []ledger.Request, atomic bool) []ledger.Code {
	earlier := map[ledger.TransactionID]ledger.Request{}
	keys := map[string]bool{}
	failures := make([]ledger.Code, len(requests))
	for i := range requests {
		r := &requests[i]
		if failures[i] = m.complete(r, earlier); failures[i] != "" {
			continue
		}
		earlier[ledger.NewTransactionID(r.Scope, r.IdempotencyKey)] = *r
		if atomic && keys[r.IdempotencyKey] {
			failures[i] = ledger.InvalidRequest
		}
		keys[r.IdempotencyKey] = true
	}
	return failures
}

// checkBlame compares whom the engine holds to blame for an atomic batch with the model.
func checkBlame(t *rapid.T, verdicts []verdict, results []engine.Result) {
	want, reason := -1, ledger.Code("")
	for i, v := range verdicts {
		code := v.failure
		if v.transaction != nil {
			code = v.transaction.Rejection
		}
		if want < 0 && code != "" && code != ledger.BatchRejected {
			want, reason = i, code
		}
	}
	if index, code := blame(results); index != want || code != reason {
		t.Fatalf("request %d is to blame for %q, want %d for %q", index, code, want, reason)
	}
}

// swept is what a sweep did, with the transactions that it should have posted.
type swept struct {
	count int
	err   error
	find  func(id ledger.TransactionID) (*ledger.Transaction, error)
}

// checkSweep compares what a sweep did with the holds that are due in the model.
func (m *model) checkSweep(t *rapid.T, got swept) {
	var due []*ledger.Transaction
	for id, h := range m.money.holds {
		if h.State != ledger.HoldOpen || m.clock.Before(h.ExpiresAt) {
			continue
		}
		key := "expire:" + id.String() + ":" + strconv.FormatInt(h.ExpiresAt.UnixMicro(), 10)
		tx, err := got.find(ledger.NewTransactionID(ledger.System, key))
		if err != nil {
			t.Fatalf("hold %s is due, and was not expired: %v", id, err)
		}
		due = append(due, tx)
	}
	if got.err != nil || got.count != len(due) {
		t.Fatalf("%d holds were expired, want %d: %v", got.count, len(due), got.err)
	}
	for _, tx := range due {
		m.commit(tx, false)
	}
	// In which order those of a moment expire is left to the store.
	slices.SortFunc(due, func(a, b *ledger.Transaction) int { return int(a.Version - b.Version) })
	for _, tx := range due {
		h := m.money.holds[tx.Parent]
		r := ledger.Request{Scope: ledger.System, IdempotencyKey: tx.IdempotencyKey, Kind: ledger.Expire, Wallet: h.WalletRef, Parent: h.ID, Reference: h.Reference}
		compare(t, &r, m.decide(&r, m.now()), posted{transaction: tx})
	}
}

// settled is what came of delivery reports.
type settled struct {
	results []engine.Settled
	err     error
	find    func(id ledger.TransactionID) (*ledger.Transaction, error)
}

// checkSettle compares what came of delivery reports with the model.
func (m *model) checkSettle(t *rapid.T, reports []ledger.DeliveryReport, got settled) {
	if got.err != nil || len(got.results) != len(reports) {
		t.Fatalf("%d reports have %d results: %v", len(reports), len(got.results), got.err)
	}
	// Which holds are meant, and whether that waits, is found before anything is done.
	want := make([]engine.SettleOutcome, len(reports))
	holds := make([]ledger.Hold, len(reports))
	kinds := make([]ledger.Kind, len(reports))
	for i := range reports {
		if holds[i], want[i] = m.meant(&reports[i], got.results[i].Hold); want[i] != "" {
			continue
		}
		kinds[i] = settlement(m.accounts[holds[i].Account].ChargeOn, reports[i].Status)
		if kinds[i] == "" {
			want[i] = endedAs(holds[i].State, engine.SettledWaiting)
		}
	}
	for i, kind := range kinds {
		if want[i] == "" {
			want[i] = m.settle(t, &holds[i], kind, got.find)
		}
	}
	for i := range reports {
		if got.results[i].Outcome != want[i] {
			t.Fatalf("%+v came out as %q, want %q: %v", reports[i], got.results[i].Outcome, want[i], got.results[i].Err)
		}
	}
}

// settlement is what a state does to a hold.
func settlement(chargeOn []ledger.DeliveryState, state ledger.DeliveryState) ledger.Kind {
	switch {
	case slices.Contains(chargeOn, state):
		return ledger.Capture
	case state == ledger.Enroute:
		return ""
	default:
		return ledger.Release
	}
}

// meant finds the hold that a report means. Of closed ones of one moment a store
// may choose.
func (m *model) meant(report *ledger.DeliveryReport, chosen *ledger.Hold) (ledger.Hold, engine.SettleOutcome) {
	var open, latest []ledger.Hold
	for _, h := range m.money.holds {
		switch {
		case h.Reference != report.Reference || report.Account != 0 && h.Account != report.Account:
		case h.State == ledger.HoldOpen:
			open = append(open, h)
		case len(latest) == 0 || h.CreatedAt.After(latest[0].CreatedAt):
			latest = []ledger.Hold{h}
		case h.CreatedAt.Equal(latest[0].CreatedAt):
			latest = append(latest, h)
		}
	}
	switch {
	case len(open) > 1:
		return ledger.Hold{}, engine.SettledAmbiguous
	case len(open) == 1:
		return open[0], ""
	case len(latest) == 0:
		return ledger.Hold{}, engine.SettledUnknown
	}
	for _, h := range latest {
		if chosen != nil && h.ID == chosen.ID {
			return h, ""
		}
	}
	return latest[0], ""
}

// endedAs is the outcome where a hold was ended by something else.
func endedAs(state ledger.HoldState, otherwise engine.SettleOutcome) engine.SettleOutcome {
	if outcome, ok := map[ledger.HoldState]engine.SettleOutcome{
		ledger.HoldCaptured: engine.SettledBefore, ledger.HoldReleased: engine.SettledGivenUp, ledger.HoldExpired: engine.SettledExpired,
	}[state]; ok {
		return outcome
	}
	return otherwise
}

// settle does to a hold what a report asks for, and compares the transaction.
func (m *model) settle(t *rapid.T, h *ledger.Hold, kind ledger.Kind, find func(ledger.TransactionID) (*ledger.Transaction, error)) engine.SettleOutcome {
	r := ledger.Request{
		Scope: ledger.System, IdempotencyKey: fmt.Sprintf("settle:%s:%s", kind, h.ID), Kind: kind, Wallet: h.WalletRef, Parent: h.ID,
		Final: kind == ledger.Capture, Reference: h.Reference,
	}
	tx, err := find(ledger.NewTransactionID(r.Scope, r.IdempotencyKey))
	_, replayed := m.decided[ledger.NewTransactionID(r.Scope, r.IdempotencyKey)]
	v := m.decide(&r, m.commit(tx, replayed))
	compare(t, &r, v, posted{tx, v.replayed, err})
	switch v.transaction.Rejection {
	case "":
		return map[ledger.Kind]engine.SettleOutcome{ledger.Capture: engine.SettledCaptured, ledger.Release: engine.SettledReleased}[kind]
	case ledger.HoldPastExpiry:
		return engine.SettledExpired
	case ledger.HoldNotOpen:
		return endedAs(m.money.holds[h.ID].State, engine.SettledUndetermined)
	default:
		return engine.SettledUndetermined
	}
}

// checkCode compares the outcome of a change with the model.
func checkCode(t *rapid.T, what string, got any, want ledger.Code) {
	err, _ := got.(error)
	if ledger.CodeOf(err) != want {
		t.Fatalf("%s: the error is %v, want %q", what, err, want)
	}
}
