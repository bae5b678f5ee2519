package engine

import (
	"context"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// SettleOutcome is what a delivery report did.
type SettleOutcome string

// The outcomes of a delivery report.
const (
	SettledCaptured     SettleOutcome = "captured"
	SettledReleased     SettleOutcome = "released"
	SettledWaiting      SettleOutcome = "waiting"             // the state is not final and does not charge
	SettledBefore       SettleOutcome = "already_captured"    // the hold was captured otherwise
	SettledGivenUp      SettleOutcome = "already_released"    // the hold was released otherwise
	SettledExpired      SettleOutcome = "expired"             // the report came too late
	SettledUnknown      SettleOutcome = "unknown_reference"   // no hold has the reference
	SettledAmbiguous    SettleOutcome = "ambiguous_reference" // several holds have it
	SettledUndetermined SettleOutcome = "failed"              // Err says why
)

// Settled is what came of one delivery report.
type Settled struct {
	Outcome     SettleOutcome
	Hold        *ledger.Hold        // as it was found; nil where none was
	Transaction *ledger.Transaction // posted by this report or by the same one before
	Err         error
}

// Settle captures or releases the holds of messages by what became of them, as
// the policy of each account says. scope is whose key asks: a customer's finds
// its own holds only.
//
// The same report may come any number of times: its idempotency key follows
// from the hold. Errors, which concern all reports: those of PostBatch.
func (e *Engine) Settle(ctx context.Context, scope ledger.AccountID, reports []ledger.DeliveryReport) ([]Settled, error) {
	if len(reports) == 0 || len(reports) > MaxBatch {
		return nil, ledger.Errorf(ledger.InvalidRequest, "1 to %d reports are settled at once", MaxBatch)
	}
	settled := make([]Settled, len(reports))
	if err := e.findHolds(ctx, scope, reports, settled); err != nil {
		return nil, err
	}
	var requests []ledger.Request
	var places []int
	for i := range reports {
		if settled[i].Outcome != "" {
			continue
		}
		hold := settled[i].Hold
		holder, err := e.Holder(ctx, hold.Account)
		if err != nil {
			return nil, err
		}
		kind := holder.Settle(reports[i].Status)
		if kind == "" {
			settled[i].Outcome = closedOutcome(hold.State, SettledWaiting)
			continue
		}
		requests = append(requests, ledger.Request{
			Scope:          ledger.System,
			IdempotencyKey: "settle:" + string(kind) + ":" + hold.ID.String(),
			Kind:           kind,
			Wallet:         hold.WalletRef,
			Parent:         hold.ID,
			Final:          kind == ledger.Capture,
			Reference:      hold.Reference,
		})
		places = append(places, i)
	}
	if len(requests) == 0 {
		return settled, nil
	}
	results, err := e.PostBatch(ctx, requests, false)
	if err != nil {
		return nil, err
	}
	for i, at := range places {
		if err := e.conclude(ctx, &settled[at], &results[i]); err != nil {
			return nil, err
		}
	}
	return settled, nil
}

// findHolds finds the hold of each report, and says of the others what is wrong.
func (e *Engine) findHolds(ctx context.Context, scope ledger.AccountID, reports []ledger.DeliveryReport, settled []Settled) error {
	var wanted []HoldReference
	var places []int
	for i, report := range reports {
		if err := report.Validate(); err != nil {
			settled[i] = Settled{Outcome: SettledUndetermined, Err: err}
			continue
		}
		if scope != ledger.Operator {
			report.Account = scope
		}
		wanted = append(wanted, HoldReference{Account: report.Account, Scope: scope, Reference: report.Reference})
		places = append(places, i)
	}
	found, err := bounded(e, func() ([][]*ledger.Hold, error) { return e.store.HoldsByReference(ctx, wanted, maxSameReference) })
	if err != nil {
		return err
	}
	for i, at := range places {
		settled[at].Hold, settled[at].Outcome = choose(found[i])
	}
	return nil
}

// maxSameReference is how many holds with one reference are looked at: enough
// to find the open one, and to see that there are two.
const maxSameReference = 2

// choose finds the hold that a report means: the open one, or else the latest.
// Open ones come first. So a message may be sent again under its reference once
// the first attempt is settled; but the report of the first, should it come
// again, then settles the second.
func choose(holds []*ledger.Hold) (*ledger.Hold, SettleOutcome) {
	switch {
	case len(holds) == 0:
		return nil, SettledUnknown
	case len(holds) > 1 && holds[1].State == ledger.HoldOpen:
		return nil, SettledAmbiguous
	default:
		return holds[0], ""
	}
}

// conclude puts the result of the capture or release into the words of a settlement.
func (e *Engine) conclude(ctx context.Context, s *Settled, result *Result) error {
	err := result.failure()
	switch ledger.CodeOf(err) {
	case "":
		s.Transaction = result.Transaction
		s.Outcome = SettleOutcome(s.Transaction.HoldState())
	case ledger.HoldPastExpiry:
		s.Outcome = SettledExpired
	case ledger.HoldNotOpen:
		// It may have been ended since it was found.
		if s.Hold, err = e.Hold(ctx, s.Hold.ID); err != nil {
			return err
		}
		s.Outcome = closedOutcome(s.Hold.State, SettledUndetermined)
	default:
		s.Outcome, s.Err = SettledUndetermined, err
	}
	return nil
}

// closedOutcome says what a report finds that comes when its hold was ended otherwise.
func closedOutcome(state ledger.HoldState, otherwise SettleOutcome) SettleOutcome {
	switch state {
	case ledger.HoldCaptured:
		return SettledBefore
	case ledger.HoldReleased:
		return SettledGivenUp
	case ledger.HoldExpired:
		return SettledExpired
	default:
		return otherwise
	}
}
