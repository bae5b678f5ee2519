package sim

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about delivery reports.

// settlement checks what a client was told of its reports.
func (w *window) settlement(r *record) error {
	if r.err != nil {
		code := r.code()
		if r.lost(r.err) || code == ledger.Overloaded || code == ledger.Internal && w.troubled(r) {
			return nil
		}
		return w.wrong(r, nil, "there is no reason for this answer", "", r.err.Error())
	}
	for i := range r.reports {
		if r.unknown || r.excused {
			break
		}
		if problem := w.report(r, i); problem != "" {
			return w.wrong(r, nil, "a report cannot have had this outcome", problem, fmt.Sprintf("report %d: %+v", i, r.settled[i]))
		}
	}
	return nil
}

// report says what is wrong with the outcome of one report.
func (w *window) report(r *record, i int) string {
	report, settled := r.reports[i], &r.settled[i]
	if r.scope != ledger.Operator {
		report.Account = r.scope
	}
	candidates := w.candidates(r, &report)
	if h := settled.Hold; h != nil {
		if problem := w.chosen(r, h, candidates); problem != "" {
			return problem
		}
	}
	switch settled.Outcome {
	case engine.SettledUnknown:
		for _, id := range candidates {
			if w.holdsIn(r, id)[0].there {
				return "there is the hold " + id.String()
			}
		}
		return ""
	case engine.SettledAmbiguous:
		open := 0
		for _, id := range candidates {
			if w.was(r, id, ledger.HoldOpen) {
				open++
			}
		}
		if open < 2 {
			return "fewer than two of its holds were open"
		}
		return ""
	case engine.SettledUndetermined:
		return w.undetermined(r, &report, settled)
	case engine.SettledCaptured, engine.SettledReleased:
		return w.settledNow(r, &report, settled)
	default:
		if settled.Hold == nil {
			return "there is no hold"
		}
		return w.settledNot(r, &report, settled)
	}
}

// candidates are the holds that a report can mean.
func (w *window) candidates(r *record, report *ledger.DeliveryReport) []ledger.TransactionID {
	high := w.until(r.ended)
	var ids []ledger.TransactionID
	for _, id := range w.byReference[report.Reference] {
		h := w.model.holds[id]
		if (report.Account == ledger.Operator || report.Account == h.wallet.Account) && (r.scope == ledger.Operator || r.scope == h.scope) &&
			w.decided[id].position <= high {
			ids = append(ids, id)
		}
	}
	return ids
}

// chosen says what is wrong with the hold that a report was brought to: it must
// be one that the report can mean, as it was at some moment. Where another one
// is open, that one is meant, or none of the two.
func (w *window) chosen(r *record, h *ledger.Hold, candidates []ledger.TransactionID) string {
	if !slices.Contains(candidates, h.ID) {
		return "the hold is not one that the report is about"
	}
	if !slices.ContainsFunc(w.holdsIn(r, h.ID), func(at holdAt) bool { return at.there && at.same(h.ID, h) }) {
		return "the hold was at no moment as it says"
	}
	closed := func(at holdAt) bool { return !at.there || at.state != ledger.HoldOpen }
	for _, id := range candidates {
		if id != h.ID && !slices.ContainsFunc(w.holdsIn(r, id), closed) {
			return "another one was open all the time: " + id.String()
		}
	}
	return ""
}

// was tells whether a hold was in a state at some moment of the record.
func (w *window) was(r *record, id ledger.TransactionID, state ledger.HoldState) bool {
	return slices.ContainsFunc(w.holdsIn(r, id), func(h holdAt) bool { return h.there && h.state == state })
}

// policy tells whether a report of a state did this by the policy of the account
// at some moment of the record: kind is "" for nothing.
func (w *window) policy(r *record, id ledger.AccountID, state ledger.DeliveryState, kind ledger.Kind) bool {
	low, high := w.span(r, ledger.WalletRef{Account: id})
	return slices.ContainsFunc(w.statesIn(id, low, high), func(s stateAt) bool {
		switch {
		case slices.Contains(s.chargeOn, state):
			return kind == ledger.Capture
		case state == ledger.Enroute:
			return kind == ""
		default:
			return kind == ledger.Release
		}
	})
}

// settledNow checks a report that captured or released its hold, now or the last time it came.
func (w *window) settledNow(r *record, report *ledger.DeliveryReport, settled *engine.Settled) string {
	kind := ledger.Capture
	if settled.Outcome == engine.SettledReleased {
		kind = ledger.Release
	}
	t := settled.Transaction
	if t == nil || settled.Hold == nil {
		return "there is no transaction"
	}
	there := w.decided[t.ID]
	switch {
	case there == nil || there.position > w.until(r.ended) || !reflect.DeepEqual(there.Transaction, t):
		return "the transaction is not the one that is stored"
	case t.Kind != kind || t.Scope != ledger.System || t.Parent != settled.Hold.ID || t.Rejection != "":
		return "the transaction is not that of this report"
	case !w.policy(r, settled.Hold.Account, report.Status, kind):
		return "the account's policy says otherwise"
	}
	return ""
}

// settledNot checks a report that found its hold, and did nothing.
func (w *window) settledNot(r *record, report *ledger.DeliveryReport, settled *engine.Settled) string {
	id := settled.Hold.ID
	var ok bool
	switch settled.Outcome {
	case engine.SettledWaiting:
		ok = w.was(r, id, ledger.HoldOpen) && w.policy(r, settled.Hold.Account, report.Status, "")
	case engine.SettledBefore:
		ok = w.was(r, id, ledger.HoldCaptured)
	case engine.SettledGivenUp:
		ok = w.was(r, id, ledger.HoldReleased)
	case engine.SettledExpired:
		ok = w.was(r, id, ledger.HoldExpired) || w.rejected(r, id, ledger.HoldPastExpiry)
	default: // There is no other outcome that leaves a hold alone, so it is wrong.
	}
	if !ok {
		return "the hold was not in that state"
	}
	return ""
}

// rejected tells whether a settlement of a hold was rejected with a code.
func (w *window) rejected(r *record, id ledger.TransactionID, code ledger.Code) bool {
	high := w.until(r.ended)
	for _, kind := range []ledger.Kind{ledger.Capture, ledger.Release} {
		there := w.decided[ledger.NewTransactionID(ledger.System, fmt.Sprintf("settle:%s:%s", kind, id))]
		if there != nil && there.position <= high && there.Rejection == code {
			return true
		}
	}
	return false
}

// undetermined checks a report that could not be carried out.
func (w *window) undetermined(r *record, report *ledger.DeliveryReport, settled *engine.Settled) string {
	code := ledger.CodeOf(settled.Err)
	switch {
	case settled.Err == nil:
		return "there is no reason"
	case code == ledger.InvalidRequest && !slices.Contains(ledger.DeliveryStates, report.Status),
		code == ledger.Internal && w.troubled(r), code == ledger.Overloaded,
		settled.Hold != nil && w.refused(r, settled.Hold.ID, code):
		return ""
	}
	return "there is no such reason"
}

// refused tells whether a settlement of a hold, still in time, had to be refused
// with a code at some moment of the record. That is not remembered.
func (w *window) refused(r *record, id ledger.TransactionID, code ledger.Code) bool {
	for _, h := range w.holdsIn(r, id) {
		low, high := w.span(r, h.wallet, ledger.WalletRef{Account: h.wallet.Account})
		for _, at := range w.statesIn(h.wallet.Account, low, high) {
			i := slices.IndexFunc(at.wallets, func(s walletState) bool { return s.service == h.wallet.Service })
			if !h.there || i < 0 {
				continue
			}
			for _, kind := range []ledger.Kind{ledger.Capture, ledger.Release} {
				asked := ledger.Request{Kind: kind, Final: kind == ledger.Capture}
				s := subject{account: at.account, wallet: at.wallets[i].wallet, hold: h.hold}
				f := s.flow(&asked, h.created)
				if s.refusal(&asked, &f, h.created) == code {
					return true
				}
			}
		}
	}
	return false
}
