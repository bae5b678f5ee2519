package ledger

import "time"

// Every hold ends by itself: money that is reserved for a message whose report
// never comes must not stay reserved.
const (
	DefaultExpiresIn = 24 * time.Hour
	MaxExpiresIn     = 30 * 24 * time.Hour
)

// HoldState says what became of a hold.
type HoldState string

// The states of a hold. Only an open one has anything remaining; the others are for good.
const (
	HoldOpen     HoldState = "open"
	HoldCaptured HoldState = "captured"
	HoldReleased HoldState = "released"
	HoldExpired  HoldState = "expired"
)

// Valid tells whether s is one of the states.
func (s HoldState) Valid() bool {
	return s == HoldOpen || s == HoldCaptured || s == HoldReleased || s == HoldExpired
}

// Hold is money of a wallet that is reserved until it is captured, released, or expires.
type Hold struct {
	ID TransactionID // of the transaction that placed it
	WalletRef
	Scope     AccountID // whose key placed it: only the same, or the operator, may end it
	Key       string    // the key whose spend caps count it, "" for none
	Reference string
	State     HoldState
	Amount    Amount // as it was placed
	Captured  Amount // in all, what was taken above the hold included
	Remaining Amount // still reserved; 0 once the hold is closed
	CreatedAt time.Time
	ExpiresAt time.Time
	ClosedAt  time.Time // zero while it is open
}

// NewHold is the hold that a posted transaction of kind PlaceHold places.
func NewHold(t *Transaction) *Hold {
	h := &Hold{
		ID: t.ID, WalletRef: t.Wallet, Scope: t.Scope, Key: t.Key, Reference: t.Reference,
		Amount: t.Amount, CreatedAt: t.CreatedAt,
	}
	h.Apply(t)
	return h
}

// Apply brings the hold to what a posted transaction made of it.
func (h *Hold) Apply(t *Transaction) {
	if t.Kind == Capture {
		h.Captured += t.Moved // in range, or it would not be posted
	}
	h.Remaining, h.ExpiresAt, h.State = t.Remaining, t.ExpiresAt, t.HoldState()
	if h.State != HoldOpen {
		h.ClosedAt = t.CreatedAt
	}
}

// HoldState is the state in which a posted transaction left its hold, "" for a
// transaction that has none.
func (t *Transaction) HoldState() HoldState {
	switch {
	case t.Rejection != "":
		return ""
	case t.Kind == PlaceHold, t.Kind == Extend, t.Kind == Capture && t.Remaining > 0:
		return HoldOpen
	case t.Kind == Capture:
		return HoldCaptured
	case t.Kind == Release:
		return HoldReleased
	case t.Kind == Expire:
		return HoldExpired
	default:
		return ""
	}
}

// HoldID is the hold that a transaction is about; zero for one that is about none.
func (t *Transaction) HoldID() TransactionID {
	switch {
	case t.Kind == PlaceHold:
		return t.ID
	case t.Kind.EndsHold() || t.Kind == Extend:
		return t.Parent
	default:
		return TransactionID{}
	}
}

// Refundable is a posted charge, or capture, as a refund of it sees it.
type Refundable struct {
	ID TransactionID
	WalletRef
	Amount   Amount // what was taken
	Refunded Amount // in all, what was given back of it
}
