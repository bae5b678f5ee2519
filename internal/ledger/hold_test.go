package ledger_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestHoldStateValid(t *testing.T) {
	t.Parallel()
	for state, want := range map[ledger.HoldState]bool{
		"open": true, "captured": true, "released": true, "expired": true, "": false, "Open": false, "closed": false, "open ": false,
	} {
		if state.Valid() != want {
			t.Errorf("%q is valid: %t", state, !want)
		}
	}
}

// posted is a transaction of a kind as if it had been posted, that left its hold with something.
func posted(kind ledger.Kind, moved, remaining ledger.Amount) *ledger.Transaction {
	tx := ledger.NewTransaction(valid(kind))
	tx.CreatedAt, tx.ExpiresAt = noon.Add(time.Minute), noon.Add(2*time.Hour)
	tx.Moved, tx.Remaining = moved, remaining
	return &tx
}

func TestNewHold(t *testing.T) {
	t.Parallel()
	tx := posted(ledger.PlaceHold, 38_300, 38_300)
	tx.Scope, tx.Key = 7, "AKID7"
	got := ledger.NewHold(tx)
	want := &ledger.Hold{
		ID: tx.ID, WalletRef: ledger.WalletRef{Account: 7, Service: ledger.SMS}, Scope: 7, Key: "AKID7", Reference: "msg-1",
		State: ledger.HoldOpen, Amount: 38_300, Remaining: 38_300,
		CreatedAt: noon.Add(time.Minute), ExpiresAt: noon.Add(2 * time.Hour),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hold is %+v, want %+v", got, want)
	}
}

// What each transaction makes of a hold of 10 of which 3 were captured before.
func TestHoldApply(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		tx       *ledger.Transaction
		state    ledger.HoldState
		captured ledger.Amount
	}{
		{"capture of a part", posted(ledger.Capture, 4, 3), ledger.HoldOpen, 7},
		{"capture of all but the least", posted(ledger.Capture, 6, 1), ledger.HoldOpen, 9},
		{"capture of the rest", posted(ledger.Capture, 7, 0), ledger.HoldCaptured, 10},
		{"capture above the hold", posted(ledger.Capture, 20, 0), ledger.HoldCaptured, 23},
		{"release", posted(ledger.Release, 7, 0), ledger.HoldReleased, 3},
		{"expire", posted(ledger.Expire, 7, 0), ledger.HoldExpired, 3},
		{"extend", posted(ledger.Extend, 0, 7), ledger.HoldOpen, 3},
	} {
		hold := ledger.Hold{
			ID: tt.tx.Parent, WalletRef: tt.tx.Wallet, Scope: 7, Key: "AKID7", Reference: "hold's own", State: ledger.HoldOpen,
			Amount: 10, Captured: 3, Remaining: 7, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour),
		}
		want := hold
		want.State, want.Captured, want.Remaining, want.ExpiresAt = tt.state, tt.captured, tt.tx.Remaining, tt.tx.ExpiresAt
		if tt.state != ledger.HoldOpen {
			want.ClosedAt = tt.tx.CreatedAt
		}
		if hold.Apply(tt.tx); !reflect.DeepEqual(hold, want) {
			t.Errorf("after a %s the hold is %+v, want %+v", tt.name, hold, want)
		}
	}
}

func TestTransactionHoldState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind      ledger.Kind
		remaining ledger.Amount
		want      ledger.HoldState
	}{
		{ledger.PlaceHold, 5, ledger.HoldOpen},
		{ledger.Extend, 5, ledger.HoldOpen},
		{ledger.Capture, 5, ledger.HoldOpen},
		{ledger.Capture, 1, ledger.HoldOpen},
		{ledger.Capture, 0, ledger.HoldCaptured},
		{ledger.Release, 0, ledger.HoldReleased},
		{ledger.Expire, 0, ledger.HoldExpired},
		{ledger.TopUp, 0, ""},
		{ledger.Charge, 0, ""},
		{ledger.Refund, 0, ""},
		{ledger.Adjustment, 0, ""},
		{ledger.Transfer, 0, ""},
	} {
		tx := posted(tt.kind, 5, tt.remaining)
		if got := tx.HoldState(); got != tt.want {
			t.Errorf("a %s that leaves %d leaves the hold %q, want %q", tt.kind, int64(tt.remaining), got, tt.want)
		}
		// A rejection leaves a hold as it was, which is not for it to say.
		tx.Rejection = ledger.HoldNotOpen
		if got := tx.HoldState(); got != "" {
			t.Errorf("a rejected %s leaves the hold %q", tt.kind, got)
		}
	}
}

func TestTransactionHoldID(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		tx := ledger.NewTransaction(valid(kind))
		var want ledger.TransactionID
		switch kind {
		case ledger.PlaceHold:
			want = tx.ID
		case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
			want = tx.Parent
		default: // also a refund, whose parent is a charge
		}
		for _, rejection := range []ledger.Code{"", ledger.AccountNotActive} {
			tx.Rejection = rejection
			if got := tx.HoldID(); got != want {
				t.Errorf("a %s (%q) is about the hold %s, want %s", kind, rejection, got, want)
			}
		}
	}
}
