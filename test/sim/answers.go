package sim

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about what clients were told: each answer must be what the
// ledger said at some moment between the question and the answer.

const atNoMoment = "an account was read as it was at no moment of the reading"

// never is the day of counts that are compared as they stand.
func never(*time.Location) int { return 0 }

// answers checks every record.
func (w *window) answers() error {
	made := map[*record]bool{}
	for _, e := range w.events {
		if e.change != nil {
			made[e.change] = true
		}
	}
	for _, r := range w.records {
		var err error
		switch {
		case r.change != nil:
			err = w.changed(r, made[r])
		case len(r.requests) > 0:
			for i := range r.requests {
				if err = w.answer(r, i); err != nil {
					break
				}
			}
		case r.action == doSettle:
			err = w.settlement(r)
		case r.action == doHolder:
			err = w.readHolder(r)
		case r.action == doHold:
			err = w.readHold(r)
		case r.action == doRead:
			err = w.readTransaction(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answer checks what a client was told of one of its requests.
func (w *window) answer(r *record, i int) error {
	result := r.answer(i)
	if r.lost(result.Err) {
		return nil
	}
	code := ledger.CodeOf(result.Err)
	if r.wrong != "" {
		if code != r.wrong {
			return w.wrong(r, nil, "a request that no ledger takes", string(r.wrong), describeResult(result))
		}
		return nil
	}
	if result.Err != nil {
		if w.justified(r, i, code) {
			return nil
		}
		return w.wrong(r, w.decided[w.completed[r][i].id], "there is no reason for this answer", "", describeResult(result))
	}
	one := &w.completed[r][i]
	there := w.decided[one.id]
	if there == nil {
		return w.wrong(r, nil, "what a client was told to be done is not there", describe(result.Transaction), "")
	}
	given := *result.Transaction
	given.Key = "" // which is not kept
	if !reflect.DeepEqual(&given, there.Transaction) {
		want, got := differences(there.Transaction, &given)
		return w.wrong(r, there, "what a client was told is not what is stored", want, got)
	}
	if one.failure != "" || there.RequestHash != one.hash {
		return w.wrong(r, there, "a client was given the outcome of another request", describeRequest(&one.Request), describe(there.Transaction))
	}
	if there.position > w.until(r.ended) {
		return w.wrong(r, there, "a client was told what was decided only later", "", "")
	}
	if !result.Replayed && !r.turnedBack && there.CreatedAt.UnixMicro() < r.clockBegan {
		return w.wrong(r, there, "it was decided before it was asked for, by the clock", time.UnixMicro(r.clockBegan).UTC().String(), there.CreatedAt.String())
	}
	return nil
}

// troubled tells whether there is a reason for a fault of the store in a record's time.
func (w *window) troubled(r *record) bool {
	if r.readFail || r.giveUp > 0 || r.excused || r.unknown {
		return true
	}
	i, _ := slices.BinarySearch(w.injected, r.began)
	return i < len(w.injected) && w.injected[i] < r.ended
}

// justified tells whether a request may have been left undecided for a reason.
func (w *window) justified(r *record, i int, code ledger.Code) bool {
	one := &w.completed[r][i]
	return w.reason(r, i, one, code) || one.other != nil && w.reason(r, i, one.other, code)
}

// reason is justified for a request as it may have been completed.
func (w *window) reason(r *record, i int, one *completed, code ledger.Code) bool {
	high := w.until(r.ended)
	earlier := w.decided[one.id]
	switch code {
	case ledger.Internal:
		return w.troubled(r)
	case ledger.Overloaded:
		return true
	case ledger.InvalidRequest: // the plans have no other invalid request
		return r.atomic && slices.ContainsFunc(r.requests[:i], func(other ledger.Request) bool { return other.IdempotencyKey == one.IdempotencyKey })
	case ledger.BatchRejected:
		return r.atomic && w.blamed(r)
	case ledger.IdempotencyKeyReused:
		return earlier != nil && earlier.position <= high && earlier.RequestHash != one.hash
	case ledger.Forbidden:
		h, there := w.model.holds[one.Parent]
		return aboutHold(one.Kind) && there && h.wallet == one.Wallet && one.Scope > ledger.Operator && one.Scope != h.scope
	case ledger.Conflict:
		parent := w.decided[one.Parent]
		// What an atomic batch was about to post before this one counts for it, too.
		own := r.atomic && slices.ContainsFunc(w.completed[r][:i], func(other completed) bool { return other.id == one.Parent })
		return one.Kind == ledger.Refund && (own || parent != nil && parent.position <= high && !chargeable(parent))
	case ledger.NotFound:
		return one.failure == ledger.NotFound || !w.walletBefore(r, one.Wallet) || one.Kind == ledger.Transfer && !w.walletBefore(r, one.To) ||
			!one.Parent.IsZero() && w.parentMissing(r, one)
	default:
		return false
	}
}

// blamed tells whether another reason than that of the batch stands in an atomic one.
func (w *window) blamed(r *record) bool {
	for i := range r.results {
		if err := r.results[i].Err; err != nil && ledger.CodeOf(err) != ledger.BatchRejected {
			return true
		}
	}
	return false
}

// chargeable tells whether something can be refunded of a row.
func chargeable(r *row) bool {
	return r.Rejection == "" && (r.Kind == ledger.Charge || r.Kind == ledger.Capture)
}

// parentMissing tells whether the hold or charge of a request may not have been
// there when it was asked for.
func (w *window) parentMissing(r *record, one *completed) bool {
	parent := w.decided[one.Parent]
	if parent == nil || parent.position > w.low(r, parent.Wallet) || parent.Wallet != one.Wallet {
		return true
	}
	return aboutHold(one.Kind) && (parent.Kind != ledger.PlaceHold || parent.Rejection != "")
}

// walletBefore tells whether a wallet was there when a record began.
func (w *window) walletBefore(r *record, ref ledger.WalletRef) bool {
	position := w.low(r, ref)
	states := w.states[ref.Account]
	if len(states) == 0 {
		_, there := w.model.wallets[ref]
		return there
	}
	at := states[0]
	for _, s := range states {
		if s.position <= position {
			at = s
		}
	}
	return slices.ContainsFunc(at.wallets, func(s walletState) bool { return s.service == ref.Service })
}

// statesIn gives the states that an account had between two events, the one
// that it had at the first among them.
func (w *window) statesIn(id ledger.AccountID, low, high int) []stateAt {
	states := w.states[id]
	if len(states) == 0 {
		return []stateAt{{-1, w.model.state(id)}}
	}
	first := 0
	for first+1 < len(states) && states[first+1].position <= low {
		first++
	}
	last := first + 1
	for last < len(states) && states[last].position <= high {
		last++
	}
	return states[first:last]
}

// holdsIn gives the states that a hold had while a record's operation was under way.
func (w *window) holdsIn(r *record, id ledger.TransactionID) []holdAt {
	states := w.holds[id]
	h, there := w.model.holds[id]
	if len(states) == 0 {
		return []holdAt{{-1, there, h}}
	}
	low, high := w.span(r, h.wallet)
	first := 0
	for first+1 < len(states) && states[first+1].position <= low {
		first++
	}
	last := first + 1
	for last < len(states) && states[last].position <= high {
		last++
	}
	return states[first:last]
}

// readHolder checks a balance: all wallets as they were at one moment.
func (w *window) readHolder(r *record) error {
	switch code := r.code(); {
	case r.excused || r.lost(r.err):
		return nil // a process that ends knows nothing of the next one
	case code == "":
		w.round.stats.reads++
		if w.round.many() {
			return w.readParts(r, r.account, true)
		}
		states := w.statesIn(r.account, w.low(r), w.until(r.ended))
		for i := range states {
			if states[i].same(r.holder, never) {
				return nil
			}
		}
		return w.wrong(r, nil, atNoMoment, fmt.Sprintf("one of %d, the last of them %+v", len(states), states[len(states)-1]), fmt.Sprintf("%+v", *r.holder))
	case code == ledger.NotFound && r.account == nobody, code == ledger.Overloaded, code == ledger.Internal && w.troubled(r):
		return nil
	}
	return w.wrong(r, nil, "there is no reason for this answer", "", r.err.Error())
}

func (w *window) readHold(r *record) error {
	states := w.holdsIn(r, r.id)
	switch code := r.code(); {
	case r.excused || r.lost(r.err):
		return nil
	case code == "":
		for i := range states {
			if states[i].there && states[i].same(r.id, r.hold) {
				return nil
			}
		}
		return w.wrong(r, w.decided[r.id], "a hold was read as it was at no moment of the reading",
			fmt.Sprintf("%+v", states[len(states)-1].hold), fmt.Sprintf("%+v", *r.hold))
	case code == ledger.NotFound && !states[0].there, code == ledger.Overloaded, code == ledger.Internal && w.troubled(r):
		return nil
	}
	return w.wrong(r, w.decided[r.id], "there is no reason for this answer", "", r.err.Error())
}

func (w *window) readTransaction(r *record) error {
	there := w.decided[r.id]
	switch code := r.code(); {
	case r.excused || r.lost(r.err):
		return nil
	case code == "" && there != nil && there.position <= w.until(r.ended) && reflect.DeepEqual(r.read, there.Transaction),
		code == ledger.NotFound && (there == nil || there.position > w.low(r, there.Wallet)),
		code == ledger.Overloaded, code == ledger.Internal && w.troubled(r):
		return nil
	}
	return w.wrong(r, there, "this is not the transaction as it is stored", "", fmt.Sprintf("%+v, %v", r.read, r.err))
}

// changed checks what the operator was told of a change. What the reply to a
// change says was compared when the model followed it.
func (w *window) changed(r *record, made bool) error {
	code := r.code()
	switch {
	case r.lost(r.err):
		return nil
	case made != (code == ""):
		return w.wrong(r, nil, "the operator was told wrong whether a change was made", made, r.err)
	case made && w.round.many() && r.holder != nil:
		return w.readParts(r, r.change.target.account, false)
	case made, code == ledger.Overloaded, code == ledger.Internal && w.troubled(r):
		return nil
	case code == ledger.NotFound && r.change.caps != nil:
		if _, there := w.model.keys[r.change.target.key]; !there {
			return nil
		}
	case r.change.target.account != 0:
		low, high := w.span(r, w.partsOf(r.change.target.account)...)
		for _, s := range w.statesIn(r.change.target.account, low, high) {
			s.wallets = slices.Clone(s.wallets)
			if s.apply(r.change) == code {
				return nil
			}
		}
	}
	return w.wrong(r, nil, "there is no reason for this answer", "", r.err.Error())
}

// same tells whether what the ledger says of a hold is this.
func (h *hold) same(id ledger.TransactionID, got *ledger.Hold) bool {
	want := ledger.Hold{
		ID: id, WalletRef: h.wallet, Scope: h.scope, Key: h.key, Reference: h.reference, State: h.state, Amount: ledger.Amount(h.amount),
		Captured: ledger.Amount(h.captured), Remaining: ledger.Amount(h.remaining), CreatedAt: h.created, ExpiresAt: h.expires, ClosedAt: h.closed,
	}
	return want == *got
}

// countDoubts counts what became of requests that were under way when their
// engine was told that nobody knows whether a commit was done.
func (w *window) countDoubts() error {
	moments := map[ledger.TransactionID][]int64{}
	for _, a := range w.doubts {
		for _, id := range a.ids {
			moments[id] = append(moments[id], a.ended)
		}
	}
	for _, r := range w.records {
		for i := range w.completed[r] {
			id := w.completed[r][i].id
			meanwhile := func(moment int64) bool { return r.began < moment && moment < r.ended }
			if r.unknown || r.giveUp > 0 || !slices.ContainsFunc(moments[id], meanwhile) {
				continue
			}
			if err := r.answer(i).Err; err == nil {
				w.round.stats.resolved++
			} else if r.lost(err) {
				w.round.stats.unresolved++
			}
		}
	}
	return nil
}
