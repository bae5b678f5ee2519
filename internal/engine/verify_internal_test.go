package engine

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// What can be done to a hold, and each way in which it could not have been.
func TestFollows(t *testing.T) {
	t.Parallel()
	placed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	expires := placed.Add(time.Hour)
	open := ledger.Hold{
		ID: ledger.TransactionID{1}, WalletRef: ledger.WalletRef{Account: 1, Service: ledger.SMS}, State: ledger.HoldOpen,
		Amount: 12, Captured: 2, Remaining: 10, CreatedAt: placed, ExpiresAt: expires,
	}
	last := expires.Add(-time.Microsecond)
	transaction := func(kind ledger.Kind, amount, moved, remaining ledger.Amount, at, until time.Time, final bool) ledger.Transaction {
		return ledger.Transaction{
			Request:   ledger.Request{Kind: kind, Parent: open.ID, Wallet: open.WalletRef, Amount: amount, Final: final},
			Moved:     moved,
			Remaining: remaining,
			CreatedAt: at,
			ExpiresAt: until,
		}
	}
	for _, tt := range []struct {
		t    ledger.Transaction
		want bool
	}{
		{transaction(ledger.Capture, 4, 4, 6, last, expires, false), true},
		{transaction(ledger.Capture, 4, 4, 0, last, expires, true), true},
		{transaction(ledger.Capture, 4, 4, 6, last, expires, true), true},
		{transaction(ledger.Capture, 4, 4, 0, last, expires, false), false},
		{transaction(ledger.Capture, 4, 4, 5, last, expires, false), false},
		{transaction(ledger.Capture, 4, 4, 5, last, expires, true), false},
		{transaction(ledger.Capture, 10, 10, 0, last, expires, false), true},
		{transaction(ledger.Capture, 15, 15, 0, last, expires, false), true},
		{transaction(ledger.Capture, 1, 1, 9, last, expires, false), true},
		{transaction(ledger.Capture, 1, 0, 10, last, expires, false), false},
		{transaction(ledger.Capture, 1, -1, 11, last, expires, false), false},
		{transaction(ledger.Capture, 0, 10, 0, last, expires, false), true},
		{transaction(ledger.Capture, 0, 10, 0, last, expires, true), true},
		{transaction(ledger.Capture, 0, 9, 0, last, expires, true), false},
		{transaction(ledger.Capture, 0, 11, 0, last, expires, true), false},
		{transaction(ledger.Capture, 4, 4, 6, expires, expires, false), false},

		{transaction(ledger.Release, 0, 10, 0, last, expires, false), true},
		{transaction(ledger.Release, 0, 9, 0, last, expires, false), false},
		{transaction(ledger.Release, 0, 10, 1, last, expires, false), false},
		{transaction(ledger.Release, 0, 10, 0, expires, expires, false), false},

		{transaction(ledger.Expire, 0, 10, 0, expires, expires, false), true},
		{transaction(ledger.Expire, 0, 10, 0, expires.AddDate(1, 0, 0), expires, false), true},
		{transaction(ledger.Expire, 0, 10, 0, last, expires, false), false},
		{transaction(ledger.Expire, 0, 11, 0, expires, expires, false), false},
		{transaction(ledger.Expire, 0, 10, 1, expires, expires, false), false},

		{transaction(ledger.Extend, 0, 0, 10, last, expires, false), true},
		{transaction(ledger.Extend, 0, 0, 10, last, expires.Add(time.Hour), false), true},
		{transaction(ledger.Extend, 0, 0, 10, last, last, false), false},
		{transaction(ledger.Extend, 0, 1, 10, last, expires, false), false},
		{transaction(ledger.Extend, 0, 0, 9, last, expires, false), false},
		{transaction(ledger.Extend, 0, 0, 10, expires, expires.Add(time.Hour), false), false},

		{transaction(ledger.Refund, 4, 4, 6, last, expires, false), false},
		{transaction(ledger.PlaceHold, 4, 4, 6, last, expires, false), false},
	} {
		name := fmt.Sprintf("%s of %s: %s moved, %s remaining at %s, final: %t", tt.t.Kind, tt.t.Amount, tt.t.Moved, tt.t.Remaining, tt.t.CreatedAt, tt.t.Final)
		if got := follows(&tt.t, &open); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
		if !tt.want {
			continue
		}
		// The same cannot have been done to another hold, or to one that was closed.
		closed, elsewhere, other := open, open, open
		closed.State, elsewhere.Service, other.ID = ledger.HoldReleased, ledger.VoIP, ledger.TransactionID{2}
		for _, h := range []*ledger.Hold{&closed, &elsewhere, &other} {
			if follows(&tt.t, h) {
				t.Errorf("%s: it follows for the hold %+v", name, h)
			}
		}
	}
}

// Holds are the same where all of them is, whatever zones their times are in.
func TestSameHold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	elsewhere := time.FixedZone("UTC+7", 7*3600)
	hold := ledger.Hold{ID: ledger.TransactionID{1}, State: ledger.HoldOpen, Amount: 1, CreatedAt: at, ExpiresAt: at.Add(time.Second), ClosedAt: at.Add(2 * time.Second)}
	same := hold
	same.CreatedAt, same.ExpiresAt, same.ClosedAt = hold.CreatedAt.In(elsewhere), hold.ExpiresAt.In(elsewhere), hold.ClosedAt.In(elsewhere)
	if !sameHold(&hold, &same) || !sameHold(&same, &hold) {
		t.Error("a hold is not the same as itself")
	}
	changes := []struct {
		change    func(*ledger.Hold)
		differing [3]string // the column with the values
	}{
		{func(h *ledger.Hold) { h.ID[0]++ }, [3]string{"id", "01000000-0000-0000-0000-000000000000", "02000000-0000-0000-0000-000000000000"}},
		{func(h *ledger.Hold) { h.Account = 7 }, [3]string{"account_id", "0", "7"}},
		{func(h *ledger.Hold) { h.Service = ledger.SMS }, [3]string{"service", "", "sms"}},
		{func(h *ledger.Hold) { h.Scope = 7 }, [3]string{"scope", "0", "7"}},
		{func(h *ledger.Hold) { h.Key = "k" }, [3]string{"key_id", `""`, `"k"`}},
		{func(h *ledger.Hold) { h.Reference = "m\n" }, [3]string{"reference", `""`, `"m\n"`}},
		{func(h *ledger.Hold) { h.State = ledger.HoldExpired }, [3]string{"state", "open", "expired"}},
		{func(h *ledger.Hold) { h.Amount++ }, [3]string{"amount", "0.000001", "0.000002"}},
		{func(h *ledger.Hold) { h.Captured++ }, [3]string{"captured", "0", "0.000001"}},
		{func(h *ledger.Hold) { h.Remaining++ }, [3]string{"remaining", "0", "0.000001"}},
		{func(h *ledger.Hold) { h.CreatedAt = h.CreatedAt.Add(time.Microsecond) }, [3]string{"created_at", "2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:05.000001Z"}},
		{func(h *ledger.Hold) { h.ExpiresAt = h.ExpiresAt.Add(time.Microsecond) }, [3]string{"expires_at", "2026-01-02T03:04:06.000000Z", "2026-01-02T03:04:06.000001Z"}},
		{func(h *ledger.Hold) { h.ClosedAt = time.Time{} }, [3]string{"closed_at", "2026-01-02T03:04:07.000000Z", "none"}},
	}
	for _, tt := range changes {
		other := same
		tt.change(&other)
		if sameHold(&hold, &other) || sameHold(&other, &hold) {
			t.Errorf("a change of %s goes unseen", tt.differing[0])
		}
		if column, of, ofOther := differing(&hold, &other); [3]string{column, of, ofOther} != tt.differing {
			t.Errorf("%s is told as %s: %s and %s", tt.differing[0], column, of, ofOther)
		}
	}
	// A wallet is two of them, and a column that is new has its place here, too.
	if fields := reflect.TypeFor[ledger.Hold]().NumField() + 1; len(changes) != fields || len(holdColumns(&hold)) != fields {
		t.Errorf("a hold has %d columns, %d are told", fields, len(holdColumns(&hold)))
	}
}
