package ledger

import (
	"slices"
	"strings"
)

// DeliveryState is what a delivery report says of a message, in the words of
// SMPP v3.4, section 5.2.28 (message_state) and appendix B.
type DeliveryState string

// The states of SMPP. All but Enroute are final.
const (
	Enroute       DeliveryState = "ENROUTE"
	Delivered     DeliveryState = "DELIVRD"
	Expired       DeliveryState = "EXPIRED"
	Deleted       DeliveryState = "DELETED"
	Undeliverable DeliveryState = "UNDELIV"
	Accepted      DeliveryState = "ACCEPTD"
	Unknown       DeliveryState = "UNKNOWN"
	Rejected      DeliveryState = "REJECTD"
)

// DeliveryStates are every state, in the order of their SMPP numbers.
var DeliveryStates = []DeliveryState{Enroute, Delivered, Expired, Deleted, Undeliverable, Accepted, Unknown, Rejected}

// DefaultChargeOn are the states that charge a message unless the operator says
// otherwise: the customer pays for what arrived.
var DefaultChargeOn = []DeliveryState{Delivered, Accepted}

// Valid tells whether s is one of the states.
func (s DeliveryState) Valid() bool { return slices.Contains(DeliveryStates, s) }

// DeliveryReport says what became of the message that a hold's reference names.
type DeliveryReport struct {
	Reference string
	Status    DeliveryState
	Account   AccountID // whose hold it is; Operator where only the reference is known
}

// Validate says what is wrong with a report, as an InvalidRequest error.
func (r *DeliveryReport) Validate() error {
	switch {
	case r.Reference == "" || len(r.Reference) > MaxReferenceLen || !isText(r.Reference):
		return Errorf(InvalidRequest, "reference must be 1 to %d bytes of printable text", MaxReferenceLen)
	case r.Account < Operator:
		return Errorf(InvalidRequest, "account must be between 1 and %d", MaxAccountID)
	case !r.Status.Valid():
		return Errorf(InvalidRequest, "%q is not a state of a message", clip(string(r.Status))).
			WithHint("the states are %s", stateList())
	}
	return nil
}

func stateList() string {
	names := make([]string, len(DeliveryStates))
	for i, state := range DeliveryStates {
		names[i] = string(state)
	}
	return strings.Join(names, ", ")
}

// Settle is what a report of this state does to the hold of its message:
// Capture, Release, or "" for nothing, because a better report is still to come.
func (a *Account) Settle(state DeliveryState) Kind {
	switch {
	case slices.Contains(a.ChargeOn, state):
		return Capture
	case state == Enroute:
		return ""
	default:
		return Release
	}
}
