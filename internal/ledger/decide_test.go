package ledger_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// one is a valid transaction on the wallet sms of account 1.
func one(kind ledger.Kind, amount ledger.Amount) ledger.Transaction {
	r := valid(kind)
	r.Wallet, r.Amount = ledger.WalletRef{Account: 1, Service: ledger.SMS}, amount
	if kind == ledger.Transfer {
		r.To = ledger.WalletRef{Account: 2, Service: ledger.SMS}
	}
	return ledger.NewTransaction(r)
}

// active is a wallet sms with a past, of an account that may do everything.
// Of today it has counted 100 and of the month 200, so that the counts show what is added.
func active(account ledger.AccountID, balance, held, credit ledger.Amount) *ledger.Side {
	return &ledger.Side{
		Wallet: ledger.Wallet{
			WalletRef: ledger.WalletRef{Account: account, Service: ledger.SMS},
			Balance:   balance, Held: held, Settings: ledger.Settings{CreditLimit: credit},
			Spent: ledger.Spent{Day: 20260301, Today: 100, InMonth: 200}, Version: 41, Head: ledger.Hash{1},
		},
		Currency: "CNY", Status: ledger.Active,
	}
}

// about is a state for a kind: all that the wallet holds is one hold, placed an
// hour ago for two hours, and the charge can be refunded whatever its amount.
func about(kind ledger.Kind, from *ledger.Side) ledger.State {
	s := ledger.State{From: from}
	switch kind {
	case ledger.Transfer:
		s.To = active(2, 0, 0, 0)
	case ledger.Refund:
		s.Charge = &ledger.Refundable{ID: ledger.NewTransactionID(7, "hold-1"), WalletRef: from.Wallet.WalletRef, Amount: ledger.MaxAmount}
	case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
		s.Hold = &ledger.Hold{
			ID: ledger.NewTransactionID(7, "hold-1"), WalletRef: from.Wallet.WalletRef, Reference: "msg-1", State: ledger.HoldOpen,
			Amount: from.Wallet.Held, Remaining: from.Wallet.Held, CreatedAt: noon.Add(-time.Hour), ExpiresAt: noon.Add(time.Hour),
		}
	default:
	}
	return s
}

// copied is a state of its own with the same in it, and what is shared in it is shared again.
func copied(s ledger.State) ledger.State {
	c := ledger.State{From: copyOf(s.From), To: copyOf(s.To), Hold: copyOf(s.Hold), Charge: copyOf(s.Charge), Key: copyOf(s.Key)}
	if c.HoldKey = c.Key; s.HoldKey != s.Key {
		c.HoldKey = copyOf(s.HoldKey)
	}
	return c
}

func copyOf[T any](value *T) *T {
	if value == nil {
		return nil
	}
	c := *value
	return &c
}

// ---- Edges, one at a time. ----

func TestDecideEdges(t *testing.T) {
	t.Parallel()
	const (
		highest = ledger.MaxAmount
		poor    = ledger.InsufficientFunds
		beyond  = ledger.AmountOutOfRange
	)
	tests := []struct {
		name                  string
		balance, held, credit ledger.Amount
		kind                  ledger.Kind
		amount                ledger.Amount
		code                  ledger.Code
		after                 ledger.Amount
	}{
		{"charge all", 10, 0, 0, ledger.Charge, 10, "", 0},
		{"charge a millionth too much", 10, 0, 0, ledger.Charge, 11, poor, 10},
		{"charge nothing left", 0, 0, 0, ledger.Charge, 1, poor, 0},
		{"charge beside a hold", 10, 4, 0, ledger.Charge, 6, "", 4},
		{"charge into a hold", 10, 4, 0, ledger.Charge, 7, poor, 10},
		{"charge all credit", 10, 0, 5, ledger.Charge, 15, "", -5},
		{"charge beyond credit", 10, 0, 5, ledger.Charge, 16, poor, 10},
		{"charge on credit beside a hold", 10, 4, 5, ledger.Charge, 11, "", -1},
		{"charge on credit into a hold", 10, 4, 5, ledger.Charge, 12, poor, 10},
		// The limit was lowered, or an adjustment took more: spent already.
		{"charge below the limit", -10, 0, 5, ledger.Charge, 1, poor, -10},
		{"charge all there can be", highest, 0, 0, ledger.Charge, highest, "", 0},
		{"charge all credit there can be", 0, 0, highest, ledger.Charge, highest, "", -highest},
		{"charge below all credit", -highest, 0, highest, ledger.Charge, 1, poor, -highest},
		{"charge the most of nothing", 0, 0, 0, ledger.Charge, highest, poor, 0},
		{"charge the most of less than nothing", -highest, 0, 0, ledger.Charge, highest, poor, -highest},
		// Available is zero there, but balance - held would pass the range first.
		{"charge held credit", 0, highest, highest, ledger.Charge, 1, poor, 0},

		{"topup to the top", highest - 1, 0, 0, ledger.TopUp, 1, "", highest},
		{"topup past the top", highest, 0, 0, ledger.TopUp, 1, beyond, highest},
		{"topup far past the top", highest, 0, 0, ledger.TopUp, highest, beyond, highest},
		{"topup to the top with credit", highest - 6, 0, 5, ledger.TopUp, 1, "", highest - 5},
		{"topup past the top with credit", highest - 5, 0, 5, ledger.TopUp, 1, beyond, highest - 5},
		// A hold makes room in available, and takes it away when it is released.
		{"topup past the top with credit and hold", highest - 5, 100, 5, ledger.TopUp, 1, beyond, highest - 5},
		{"topup out of the deepest", -highest, 0, 0, ledger.TopUp, highest, "", 0},
		{"topup of a debt in part", -10, 0, 0, ledger.TopUp, 4, "", -6},
		{"refund to the top", highest - 1, 0, 0, ledger.Refund, 1, "", highest},
		{"refund past the top", highest, 0, 0, ledger.Refund, 1, beyond, highest},

		{"adjustment up past the top", highest, 0, 0, ledger.Adjustment, 1, beyond, highest},
		{"adjustment below zero", 5, 0, 0, ledger.Adjustment, -8, "", -3},
		{"adjustment of what is held", 5, 5, 0, ledger.Adjustment, -5, "", 0},
		{"adjustment below the credit limit", -5, 0, 5, ledger.Adjustment, -1, "", -6},
		{"adjustment to the bottom", 0, 0, 0, ledger.Adjustment, -highest, "", -highest},
		{"adjustment past the bottom", -1, 0, 0, ledger.Adjustment, -highest, beyond, -1},
		{"adjustment from the bottom", -highest, 0, 0, ledger.Adjustment, -1, beyond, -highest},
		{"adjustment past the bottom by a hold", 0, 1, 0, ledger.Adjustment, -highest, beyond, 0},
		{"adjustment to the bottom by a hold", 0, 1, 0, ledger.Adjustment, -highest + 1, "", -highest + 1},
		{"adjustment past the bottom, within credit", 0, 1, highest, ledger.Adjustment, -highest, beyond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			side := active(1, tt.balance, tt.held, tt.credit)
			if err := side.Wallet.Check(); err != nil {
				t.Fatalf("no wallet to start from: %v", err)
			}
			before := *side
			tx := one(tt.kind, tt.amount)
			entries := tx.Decide(about(tt.kind, side), noon)
			if tx.Rejection != tt.code || side.Wallet.Balance != tt.after || tx.Balance != tt.after {
				t.Errorf("decided %q with balance %d, want %q with %d", tx.Rejection, int64(side.Wallet.Balance), tt.code, int64(tt.after))
			}
			switch {
			case tt.code != "" && (*side != before || entries != nil):
				t.Errorf("the rejection changed %+v to %+v, with %v", before, *side, entries)
			case tt.code == "" && (len(entries) != 1 || entries[0].Version != 42 || side.Wallet.Version != 42):
				t.Errorf("posted as %+v, wallet %+v", entries, side.Wallet)
			}
		})
	}
}

func TestDecideTransferEdges(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	tests := []struct {
		name      string
		from, to  *ledger.Side
		amount    ledger.Amount
		code      ledger.Code
		left, got ledger.Amount
	}{
		{"all, with credit", active(1, 10, 4, 5), active(2, 0, 0, 0), 11, "", -1, 11},
		{"too much", active(1, 10, 4, 5), active(2, 0, 0, 0), 12, ledger.InsufficientFunds, 10, 0},
		// The receiver's money does not count for the sender.
		{"from the poor to the rich", active(1, 0, 0, 0), active(2, 100, 0, 100), 1, ledger.InsufficientFunds, 0, 100},
		{"to the top", active(1, 1, 0, 0), active(2, highest-1, 0, 0), 1, "", 0, highest},
		{"past the top", active(1, 1, 0, 0), active(2, highest, 0, 0), 1, ledger.AmountOutOfRange, 1, highest},
		{"past the top by the receiver's credit", active(1, 1, 0, 0), active(2, highest-5, 0, 5), 1, ledger.AmountOutOfRange, 1, highest - 5},
		{"pays the receiver's debt", active(1, highest, 0, 0), active(2, -highest, 0, 0), highest, "", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := *tt.from, *tt.to
			tx := one(ledger.Transfer, tt.amount)
			entries := tx.Decide(ledger.State{From: tt.from, To: tt.to}, noon)
			if tx.Rejection != tt.code || tt.from.Wallet.Balance != tt.left || tt.to.Wallet.Balance != tt.got {
				t.Errorf("decided %q, balances %d and %d; want %q, %d and %d", tx.Rejection,
					int64(tt.from.Wallet.Balance), int64(tt.to.Wallet.Balance), tt.code, int64(tt.left), int64(tt.got))
			}
			if tt.code != "" {
				// Neither half of a transfer without the other.
				if *tt.from != from || *tt.to != to || entries != nil {
					t.Errorf("the rejection changed %+v and %+v, with %v", tt.from, tt.to, entries)
				}
				return
			}
			if len(entries) != 2 || entries[0].WalletRef != from.Wallet.WalletRef || entries[1].WalletRef != to.Wallet.WalletRef ||
				entries[0].Amount != -tt.amount || entries[1].Amount != tt.amount {
				t.Errorf("posted as %+v", entries)
			}
		})
	}
}

// holdCase is a transaction about a hold, and what it is to do.
type holdCase struct {
	name                  string
	balance, held, credit ledger.Amount // of the wallet; of what is held, 2 is for another hold
	kind                  ledger.Kind
	amount                ledger.Amount
	final                 bool

	code                     ledger.Code
	moved, left, still, rest ledger.Amount // balance and held of the wallet, and what remains of the hold
	state                    ledger.HoldState
	counted                  ledger.Amount // by the spend counts
}

func holdCases() []holdCase {
	const (
		highest  = ledger.MaxAmount
		place    = ledger.PlaceHold
		capture  = ledger.Capture
		release  = ledger.Release
		extend   = ledger.Extend
		expire   = ledger.Expire
		poor     = ledger.InsufficientFunds
		open     = ledger.HoldOpen
		captured = ledger.HoldCaptured
		released = ledger.HoldReleased
		expired  = ledger.HoldExpired
	)
	return []holdCase{
		{"all", 10, 2, 0, place, 8, false, "", 8, 10, 10, 8, open, 8},
		{"a millionth too much", 10, 2, 0, place, 9, false, poor, 0, 10, 2, 0, "", 0},
		{"the least", 10, 2, 0, place, 1, false, "", 1, 10, 3, 1, open, 1},
		{"on credit", 10, 2, 5, place, 13, false, "", 13, 10, 15, 13, open, 13},
		{"beyond credit", 10, 2, 5, place, 14, false, poor, 0, 10, 2, 0, "", 0},
		{"of a debt", -10, 2, 5, place, 1, false, poor, 0, -10, 2, 0, "", 0},
		{"all there can be", highest, 2, 0, place, highest - 2, false, "", highest - 2, highest, highest, highest - 2, open, highest - 2},
		{"all credit there can be", 0, 2, highest, place, highest - 2, false, "", highest - 2, 0, highest, highest - 2, open, highest - 2},

		{"all that remains", 10, 8, 0, capture, 0, true, "", 6, 4, 2, 0, captured, 0},
		{"all that remains, not final", 10, 8, 0, capture, 0, false, "", 6, 4, 2, 0, captured, 0},
		{"just that", 10, 8, 0, capture, 6, true, "", 6, 4, 2, 0, captured, 0},
		{"just that, not final", 10, 8, 0, capture, 6, false, "", 6, 4, 2, 0, captured, 0},
		{"a part", 10, 8, 0, capture, 4, true, "", 4, 6, 2, 0, captured, -2},
		{"a part, not final", 10, 8, 0, capture, 4, false, "", 4, 6, 4, 2, open, 0},
		{"the least", 10, 8, 0, capture, 1, true, "", 1, 9, 2, 0, captured, -5},
		{"the least, not final", 10, 8, 0, capture, 1, false, "", 1, 9, 7, 5, open, 0},
		{"all but the least", 10, 8, 0, capture, 5, true, "", 5, 5, 2, 0, captured, -1},
		{"all but the least, not final", 10, 8, 0, capture, 5, false, "", 5, 5, 3, 1, open, 0},
		{"the least above", 10, 8, 0, capture, 7, true, "", 7, 3, 2, 0, captured, 1},
		{"all above", 10, 8, 0, capture, 8, true, "", 8, 2, 2, 0, captured, 2},
		{"all above, not final", 10, 8, 0, capture, 8, false, "", 8, 2, 2, 0, captured, 2},
		{"too much above", 10, 8, 0, capture, 9, true, poor, 0, 10, 8, 6, open, 0},
		{"too much above, not final", 10, 8, 0, capture, 9, false, poor, 0, 10, 8, 6, open, 0},
		{"above, on credit", 10, 8, 5, capture, 13, true, "", 13, -3, 2, 0, captured, 7},
		{"above, beyond credit", 10, 8, 5, capture, 14, true, poor, 0, 10, 8, 6, open, 0},
		// The hold was promised while there was money: what an adjustment took since changes nothing.
		{"of a debt", -10, 8, 5, capture, 6, true, "", 6, -16, 2, 0, captured, 0},
		{"of a debt, in part", -10, 8, 5, capture, 5, false, "", 5, -15, 3, 1, open, 0},
		{"above, of a debt", -10, 8, 5, capture, 7, true, poor, 0, -10, 8, 6, open, 0},
		{"down to the bottom", -highest + 8, 8, 0, capture, 6, true, "", 6, -highest + 2, 2, 0, captured, 0},
		{"all there can be", highest, 8, 0, capture, highest - 2, true, "", highest - 2, 2, 2, 0, captured, highest - 8},
		{"more than there can be", highest, 8, 0, capture, highest - 1, true, poor, 0, highest, 8, 6, open, 0},

		{"of all", 10, 8, 0, release, 0, false, "", 6, 10, 2, 0, released, -6},
		{"of a debt", -10, 8, 0, release, 0, false, "", 6, -10, 2, 0, released, -6},
		{"at the top", highest, 8, 0, release, 0, false, "", 6, highest, 2, 0, released, -6},
		{"of all", 10, 8, 0, expire, 0, false, "", 6, 10, 2, 0, expired, -6},
		{"of a debt", -10, 8, 0, expire, 0, false, "", 6, -10, 2, 0, expired, -6},
		{"of all", 10, 8, 0, extend, 0, false, "", 0, 10, 8, 6, open, 0},
		{"of a debt", -10, 8, 0, extend, 0, false, "", 0, -10, 8, 6, open, 0},
	}
}

// What becomes of the wallet, of the hold, of the counts and of the entry.
func TestDecideHolds(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	for _, tt := range holdCases() {
		t.Run(fmt.Sprintf("%s %s", tt.kind, tt.name), func(t *testing.T) {
			t.Parallel()
			side := active(1, tt.balance, tt.held, tt.credit)
			if err := side.Wallet.Check(); err != nil {
				t.Fatalf("no wallet to start from: %v", err)
			}
			s := about(tt.kind, side)
			if s.Hold != nil {
				s.Hold.Amount, s.Hold.Remaining = tt.held-2, tt.held-2
			}
			before := copied(s)
			r := one(tt.kind, tt.amount).Request
			r.Final = tt.final
			tx := ledger.NewTransaction(r)
			entries := tx.Decide(s, noon)

			if tx.Rejection != tt.code || tx.Moved != tt.moved {
				t.Fatalf("decided %q and moved %d, want %q and %d", tx.Rejection, int64(tx.Moved), tt.code, int64(tt.moved))
			}
			w := side.Wallet
			if w.Balance != tt.left || w.Held != tt.still || tx.Balance != tt.left || tx.Held != tt.still || tx.Available != tt.left-tt.still+tt.credit {
				t.Errorf("the wallet is %+v, the outcome %+v", w, tx)
			}
			want := ledger.Spent{Day: 20260301, Today: 100 + tt.counted, InMonth: 200 + tt.counted}
			if tt.counted > highest-200 { // a count stops at the most there is
				want.Today, want.InMonth = highest, highest
			}
			if w.Spent != want {
				t.Errorf("the counts are %+v, want %+v", w.Spent, want)
			}
			if tt.code != "" {
				if !reflect.DeepEqual(s, before) || entries != nil || tx.Remaining != 0 || tx.Version != 0 || !tx.ExpiresAt.IsZero() {
					t.Errorf("the rejection changed %+v to %+v, with %+v and %+v", before, s, entries, tx)
				}
				return
			}
			if tx.Remaining != tt.rest || tx.HoldState() != tt.state || tx.Version != 42 || tx.ToVersion != 0 {
				t.Errorf("the outcome is %+v", tx)
			}
			if len(entries) != 1 || entries[0].Amount != tt.left-tt.balance || entries[0].Balance != tt.left || entries[0].Held != tt.still || entries[0].Version != 42 {
				t.Errorf("the entries are %+v", entries)
			}
			if tt.kind == ledger.PlaceHold {
				return
			}
			hold := *before.Hold
			hold.State, hold.Remaining, hold.ExpiresAt = tt.state, tt.rest, tx.ExpiresAt
			if tt.kind == ledger.Capture {
				hold.Captured = tt.moved
			}
			if tt.state != ledger.HoldOpen {
				hold.ClosedAt = noon
			}
			if *s.Hold != hold {
				t.Errorf("the hold is %+v, want %+v", *s.Hold, hold)
			}
		})
	}
}

// Captures of one hold add up, and what comes in between may make them more than
// any balance: the sum must not wrap.
func TestDecideCaptureSum(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	s := about(ledger.Capture, active(1, highest, highest, 0))
	first := one(ledger.Capture, highest-1)
	first.Decide(s, noon)
	topUp := one(ledger.TopUp, highest-1)
	topUp.Decide(ledger.State{From: s.From}, noon)
	if s.Hold.Captured != highest-1 || s.Hold.Remaining != 1 || s.From.Wallet.Balance != highest {
		t.Fatalf("the hold is %+v, the wallet %+v", s.Hold, s.From.Wallet)
	}
	before := copied(s)
	above := one(ledger.Capture, 2)
	if entries := above.Decide(s, noon); above.Rejection != ledger.AmountOutOfRange || entries != nil || !reflect.DeepEqual(s, before) {
		t.Errorf("decided %q, hold %+v", above.Rejection, s.Hold)
	}
	all := one(ledger.Capture, 1)
	if all.Decide(s, noon); all.Rejection != "" || s.Hold.Captured != highest || s.Hold.State != ledger.HoldCaptured {
		t.Errorf("decided %q, hold %+v", all.Rejection, s.Hold)
	}
}

// What the rejection of a capture says may be had is just what may be had: so
// much beside what the hold reserves, and not a millionth more.
func TestDecideCaptureAbove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		caps ledger.Caps
		code ledger.Code
		text string
	}{
		{ledger.Caps{}, ledger.InsufficientFunds, "0.00004 is available beside what the hold reserves, 0.000101 was asked for in all"},
		{ledger.Caps{Daily: 140}, ledger.SpendCapReached, "the daily spend cap leaves 0.00004 beside what the hold reserves, 0.000101 was asked for in all"},
	} {
		credit := ledger.Amount(0)
		if tt.code == ledger.SpendCapReached {
			credit = 1000 // so that the cap is what stands in the way
		}
		s := about(ledger.Capture, active(1, 100, 60, credit))
		s.From.Wallet.Caps = tt.caps
		above := one(ledger.Capture, 101)
		above.Decide(s, noon)
		wantError(t, above.Err(), tt.code, tt.text)
		if within := one(ledger.Capture, 40+s.Hold.Remaining); within.Decide(s, noon) == nil {
			t.Errorf("decided %q", within.Rejection)
		}
	}
}

// Only an open hold is acted upon, and one that is past its expiry is not open
// any more, whether or not the ledger came round to closing it.
func TestDecideHoldStates(t *testing.T) {
	t.Parallel()
	const open, past = ledger.HoldNotOpen, ledger.HoldPastExpiry
	for _, tt := range []struct {
		state       ledger.HoldState
		toGo        time.Duration // until it expires
		code, alone ledger.Code   // of capture, release and extend; of expire
	}{
		{ledger.HoldOpen, time.Hour, "", ""},
		{ledger.HoldOpen, time.Microsecond, "", ""},
		{ledger.HoldOpen, 0, past, ""},
		{ledger.HoldOpen, -time.Microsecond, past, ""},
		{ledger.HoldOpen, -time.Hour, past, ""},
		{ledger.HoldCaptured, time.Hour, open, open},
		{ledger.HoldCaptured, -time.Hour, open, open},
		{ledger.HoldReleased, time.Hour, open, open},
		{ledger.HoldReleased, -time.Hour, open, open},
		{ledger.HoldExpired, time.Hour, past, past},
		{ledger.HoldExpired, -time.Hour, past, past},
		// A state of a later version.
		{"frozen", time.Hour, open, open},
	} {
		for _, kind := range []ledger.Kind{ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire} {
			s := about(kind, active(1, 10, 6, 0))
			s.Hold.State, s.Hold.ExpiresAt = tt.state, noon.Add(tt.toGo)
			if tt.state != ledger.HoldOpen {
				s.Hold.Remaining, s.Hold.ClosedAt = 0, noon.Add(-time.Minute)
			}
			before := copied(s)
			tx := one(kind, 0)
			tx.Decide(s, noon)
			want := tt.code
			if kind == ledger.Expire {
				want = tt.alone
			}
			if tx.Rejection != want || want != "" && !reflect.DeepEqual(s, before) {
				t.Errorf("%s of a hold that is %s with %s to go: decided %q, want %q; %+v", kind, tt.state, tt.toGo, tx.Rejection, want, s.Hold)
			}
		}
	}
}

func TestDecideExpiry(t *testing.T) {
	t.Parallel()
	// A hold lasts from the time that is stored, not from the nanosecond of the call.
	place := one(ledger.PlaceHold, 5)
	place.ExpiresIn = 90 * time.Second
	place.Decide(ledger.State{From: active(1, 10, 0, 0)}, noon.Add(1999*time.Nanosecond))
	if want := noon.Add(90*time.Second + time.Microsecond); !place.ExpiresAt.Equal(want) || ledger.NewHold(&place).ExpiresAt != place.ExpiresAt {
		t.Errorf("the hold expires at %s, want %s", place.ExpiresAt, want)
	}
	for _, tt := range []struct{ in, want time.Duration }{
		{time.Second, time.Hour}, // never shorter
		{time.Hour - time.Second, time.Hour},
		{time.Hour, time.Hour},
		{time.Hour + time.Second, time.Hour + time.Second},
		{ledger.MaxExpiresIn, ledger.MaxExpiresIn},
	} {
		s := about(ledger.Extend, active(1, 10, 6, 0))
		tx := one(ledger.Extend, 0)
		tx.ExpiresIn = tt.in
		tx.Decide(s, noon)
		if want := noon.Add(tt.want); !tx.ExpiresAt.Equal(want) || !s.Hold.ExpiresAt.Equal(want) {
			t.Errorf("extended for %s, the hold expires at %s, want %s", tt.in, s.Hold.ExpiresAt, want)
		}
	}
	// What ends a hold, or takes a part of it, leaves the time as it was.
	for _, kind := range []ledger.Kind{ledger.Capture, ledger.Release, ledger.Expire} {
		s := about(kind, active(1, 10, 6, 0))
		tx := one(kind, 0)
		if kind == ledger.Capture {
			tx.Amount = 1
		}
		tx.Decide(s, noon)
		if want := noon.Add(time.Hour); !tx.ExpiresAt.Equal(want) || !s.Hold.ExpiresAt.Equal(want) {
			t.Errorf("after %s the hold expires at %s, want %s", kind, s.Hold.ExpiresAt, want)
		}
	}
	// And what is about no hold has none.
	for _, kind := range []ledger.Kind{ledger.TopUp, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer} {
		tx := one(kind, 5)
		tx.Decide(about(kind, active(1, 100, 6, 0)), noon)
		if tx.Remaining != 0 || !tx.ExpiresAt.IsZero() || tx.Moved != 5 {
			t.Errorf("a %s has %+v", kind, tx)
		}
	}
}

// The refunds of a charge never pass it in sum.
func TestDecideRefunds(t *testing.T) {
	t.Parallel()
	const exceeds = ledger.RefundExceedsCharge
	for _, parent := range []ledger.Transaction{one(ledger.Charge, 10), one(ledger.Capture, 0)} {
		side := active(1, 20, 10, 0)
		parent.Decide(about(parent.Kind, side), noon)
		charge := parent.Refundable()
		for i, step := range []struct {
			amount   ledger.Amount
			code     ledger.Code
			refunded ledger.Amount
		}{
			{11, exceeds, 0},
			{ledger.MaxAmount, exceeds, 0},
			{3, "", 3},
			{8, exceeds, 3},
			{1, "", 4},
			{7, exceeds, 4},
			{6, "", 10},
			{1, exceeds, 10},
		} {
			tx := one(ledger.Refund, step.amount)
			tx.Decide(ledger.State{From: side, Charge: charge}, noon)
			if tx.Rejection != step.code || charge.Refunded != step.refunded || charge.Amount != 10 || side.Wallet.Balance != 10+step.refunded {
				t.Errorf("refund %d of a %s: decided %q, of the charge %+v, balance %d", i, parent.Kind, tx.Rejection, charge, int64(side.Wallet.Balance))
			}
		}
		// What is given back of a charge was spent all the same.
		if want := active(1, 0, 0, 0).Wallet.Spent; parent.Kind == ledger.Capture && side.Wallet.Spent != want {
			t.Errorf("the counts are %+v", side.Wallet.Spent)
		}
	}
	// The whole of the most, and not a millionth more.
	side := active(1, -ledger.MaxAmount, 0, 0)
	charge := &ledger.Refundable{Amount: ledger.MaxAmount, Refunded: 1}
	tx := one(ledger.Refund, ledger.MaxAmount)
	if tx.Decide(ledger.State{From: side, Charge: charge}, noon); tx.Rejection != exceeds {
		t.Errorf("decided %q", tx.Rejection)
	}
}

// Which movements each status takes, in full: every kind, what of it spends, the
// account and the wallet.
func TestDecideStatusMatrix(t *testing.T) {
	t.Parallel()
	const yes, no = true, false
	for _, row := range []struct {
		kind                      ledger.Kind
		amount                    ledger.Amount
		active, suspended, closed bool
		wallet                    bool // while it is suspended itself
	}{
		{ledger.TopUp, 5, yes, yes, no, yes},
		{ledger.Charge, 5, yes, no, no, no},
		{ledger.Refund, 5, yes, yes, no, yes},
		{ledger.Adjustment, 5, yes, yes, no, yes},
		{ledger.Adjustment, -5, yes, yes, no, yes},
		{ledger.Transfer, 5, yes, no, no, no},
		{ledger.PlaceHold, 5, yes, no, no, no},
		// What is reserved was promised before. What is taken above it was not.
		{ledger.Capture, 0, yes, yes, no, yes},
		{ledger.Capture, 6, yes, yes, no, yes},
		{ledger.Capture, 7, yes, no, no, no},
		{ledger.Release, 0, yes, yes, no, yes},
		{ledger.Extend, 0, yes, no, no, no},
		// Nobody asks for it, so nobody can be refused.
		{ledger.Expire, 0, yes, yes, yes, yes},
	} {
		check := func(what string, side *ledger.Side, want ledger.Code) {
			tx := one(row.kind, row.amount)
			if tx.Decide(about(row.kind, side), noon); tx.Rejection != want {
				t.Errorf("%s of %d, %s: decided %q, want %q", row.kind, int64(row.amount), what, tx.Rejection, want)
			}
		}
		for status, may := range map[ledger.Status]bool{
			ledger.Active: row.active, ledger.Suspended: row.suspended, ledger.Closed: row.closed,
			// A status that this version does not know moves nothing.
			"": row.closed, "frozen": row.closed,
		} {
			side, want := active(1, 100, 6, 0), ledger.AccountNotActive
			side.Status = status
			if may {
				want = ""
			}
			check("account "+string(status), side, want)
			// The account is told before the wallet.
			side = active(1, 100, 6, 0)
			side.Status, side.Wallet.Suspended = status, true
			if may && !row.wallet {
				want = ledger.WalletNotActive
			}
			check("account "+string(status)+" and the wallet suspended", side, want)
		}
	}
	// A transfer needs a sender who may spend and a receiver who may be paid.
	sends := map[ledger.Status]bool{ledger.Active: yes, ledger.Suspended: no, ledger.Closed: no, "frozen": no}
	receives := map[ledger.Status]bool{ledger.Active: yes, ledger.Suspended: yes, ledger.Closed: no, "frozen": no}
	for sender, may := range sends {
		for receiver, can := range receives {
			for _, suspended := range []bool{no, yes} {
				from, to := active(1, 100, 0, 0), active(2, 0, 0, 0)
				from.Status, to.Status, to.Wallet.Suspended = sender, receiver, suspended
				tx, want := one(ledger.Transfer, 5), ledger.AccountNotActive
				if may && can {
					want = "" // a suspended wallet can be paid
				}
				if tx.Decide(ledger.State{From: from, To: to}, noon); tx.Rejection != want {
					t.Errorf("transfer from %s to %s, whose wallet is suspended: %t: decided %q, want %q", sender, receiver, suspended, tx.Rejection, want)
				}
			}
		}
	}
}

// The least and the most that a wallet allows at once, for every kind.
func TestDecideBounds(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		// Everything at once, for a wallet with a hold of 20.
		for _, tt := range []struct {
			amount, least, most ledger.Amount
			below, above        bool
		}{
			{4, 5, 10, true, false},
			{5, 5, 10, false, false},
			{10, 5, 10, false, false},
			{11, 5, 10, false, true},
			{4, 5, 0, true, false},
			{5, 5, 0, false, false},
			{25, 5, 0, false, false},
			{1, 0, 10, false, false},
			{11, 0, 10, false, true},
			{2, 0, 1, false, true},
			{1, 0, 1, false, false},
			{1, 0, 0, false, false},
			{7, 7, 7, false, false},
			{0, 0, 20, false, false}, // a capture of all that the hold has
			{0, 0, 19, false, true},
			{0, 21, 0, true, false},
		} {
			amount := tt.amount
			switch kind {
			case ledger.Release, ledger.Extend, ledger.Expire:
				amount = 0
			case ledger.Capture:
			default:
				if amount == 0 {
					amount = 20
				}
			}
			want := ledger.Code("")
			switch kind {
			case ledger.Charge, ledger.PlaceHold, ledger.Transfer:
				if tt.below || tt.above {
					want = ledger.AmountNotAllowed
				}
			case ledger.Capture: // a call may turn out shorter than the least
				if tt.above {
					want = ledger.AmountNotAllowed
				}
			default: // what comes in, and what frees money
			}
			side := active(1, 100, 20, 0)
			side.Wallet.MinAmount, side.Wallet.MaxAmount = tt.least, tt.most
			s := about(kind, side)
			if s.To != nil {
				s.To.Wallet.MinAmount, s.To.Wallet.MaxAmount = 1000, 1 // the receiver's bounds are not the sender's
			}
			tx := one(kind, amount)
			if tx.Decide(s, noon); tx.Rejection != want {
				t.Errorf("%s of %d between %d and %d: decided %q, want %q", kind, int64(amount), int64(tt.least), int64(tt.most), tx.Rejection, want)
			}
		}
	}
	// Not even a correction is bound.
	side := active(1, 100, 0, 0)
	side.Wallet.MinAmount, side.Wallet.MaxAmount = 5, 10
	tx := one(ledger.Adjustment, -50)
	if tx.Decide(ledger.State{From: side}, noon); tx.Rejection != "" {
		t.Errorf("decided %q", tx.Rejection)
	}
}

// The caps of the wallet and of the key, and what they leave. The wallet has
// spent 100 today and 200 in the month, the key 50 and 60, and the hold is of 6.
func TestDecideCaps(t *testing.T) {
	t.Parallel()
	const none, reached = ledger.NoCap, ledger.SpendCapReached
	type caps = ledger.Caps
	type left = ledger.CapLeft
	unset := left{none, none}
	for _, tt := range []struct {
		name        string
		wallet, key caps
		kind        ledger.Kind
		amount      ledger.Amount
		code        ledger.Code
		left        left
	}{
		{"no cap", caps{}, caps{}, ledger.Charge, 90, "", unset},
		{"to the wallet's day", caps{Daily: 110}, caps{}, ledger.Charge, 10, "", left{0, none}},
		{"past the wallet's day", caps{Daily: 110}, caps{}, ledger.Charge, 11, reached, left{10, none}},
		{"within the wallet's day", caps{Daily: 110}, caps{}, ledger.Charge, 4, "", left{6, none}},
		{"to the wallet's month", caps{Monthly: 210}, caps{}, ledger.Charge, 10, "", left{none, 0}},
		{"past the wallet's month", caps{Monthly: 210}, caps{}, ledger.Charge, 11, reached, left{none, 10}},
		{"past the month within the day", caps{Daily: 120, Monthly: 210}, caps{}, ledger.Charge, 11, reached, left{20, 10}},
		{"past the day within the month", caps{Daily: 110, Monthly: 220}, caps{}, ledger.Charge, 11, reached, left{10, 20}},
		{"to both", caps{Daily: 110, Monthly: 210}, caps{}, ledger.Charge, 10, "", left{0, 0}},
		{"past a cap that was lowered", caps{Daily: 99, Monthly: 199}, caps{}, ledger.Charge, 1, reached, left{0, 0}},
		{"to the key's day", caps{}, caps{Daily: 60}, ledger.Charge, 10, "", left{0, none}},
		{"past the key's day", caps{}, caps{Daily: 60}, ledger.Charge, 11, reached, left{10, none}},
		{"to the key's month", caps{}, caps{Monthly: 70}, ledger.Charge, 10, "", left{none, 0}},
		{"past the key's month", caps{}, caps{Monthly: 70}, ledger.Charge, 11, reached, left{none, 10}},
		{"within the wallet's, past the key's", caps{Daily: 120, Monthly: 220}, caps{Daily: 60, Monthly: 75}, ledger.Charge, 11, reached, left{10, 15}},
		{"within the key's, past the wallet's", caps{Daily: 110, Monthly: 215}, caps{Daily: 70, Monthly: 80}, ledger.Charge, 11, reached, left{10, 15}},
		{"of a day each", caps{Daily: 115}, caps{Monthly: 70}, ledger.Charge, 10, "", left{5, 0}},

		{"to the wallet's day", caps{Daily: 110}, caps{}, ledger.PlaceHold, 10, "", left{0, none}},
		{"past the wallet's day", caps{Daily: 110}, caps{}, ledger.PlaceHold, 11, reached, left{10, none}},
		{"past the key's month", caps{}, caps{Monthly: 70}, ledger.PlaceHold, 11, reached, left{none, 10}},

		// What is reserved was counted when it was.
		{"of all", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Capture, 0, "", left{0, 0}},
		{"of just that", caps{Daily: 1}, caps{Daily: 1}, ledger.Capture, 6, "", left{0, none}},
		{"above, to the day", caps{Daily: 102}, caps{}, ledger.Capture, 8, "", left{0, none}},
		{"above, past the day", caps{Daily: 102}, caps{}, ledger.Capture, 9, reached, left{2, none}},
		{"above, to the key's day", caps{}, caps{Daily: 52}, ledger.Capture, 8, "", left{0, none}},
		{"above, past the key's day", caps{}, caps{Daily: 52}, ledger.Capture, 9, reached, left{2, none}},

		// What is not spent meets no cap, and says nothing of one.
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.TopUp, 5, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Refund, 5, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Adjustment, -5, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Transfer, 5, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Release, 0, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Extend, 0, "", unset},
		{"under caps", caps{Daily: 1, Monthly: 1}, caps{Daily: 1, Monthly: 1}, ledger.Expire, 0, "", unset},

		// A rejection for another reason tells it as well.
		{"beyond the balance", caps{Daily: 110}, caps{Monthly: 65}, ledger.Charge, 995, ledger.InsufficientFunds, left{10, 5}},
		{"beyond the balance", caps{Daily: 110}, caps{Monthly: 65}, ledger.Transfer, 995, ledger.InsufficientFunds, unset},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.kind, tt.name), func(t *testing.T) {
			t.Parallel()
			s := about(tt.kind, active(1, 1000, 6, 0))
			s.From.Wallet.Caps = tt.wallet
			s.Key = &ledger.Budget{Caps: tt.key, Spent: ledger.Spent{Day: 20260301, Today: 50, InMonth: 60}}
			tx := one(tt.kind, tt.amount)
			tx.Decide(s, noon)
			if tx.Rejection != tt.code || tx.CapLeft != tt.left {
				t.Errorf("decided %q with %+v left, want %q with %+v", tx.Rejection, tx.CapLeft, tt.code, tt.left)
			}
		})
	}
}

// What is counted, and where: by the wallet, by the key that asks, and by the
// key that placed the hold.
func TestDecideCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		kind              ledger.Kind
		amount            ledger.Amount
		wallet, key, hold ledger.Amount // what is added to each count
	}{
		{"charge", ledger.Charge, 5, 5, 5, 0},
		{"hold", ledger.PlaceHold, 5, 5, 5, 0},
		{"capture of all", ledger.Capture, 0, 0, 0, 0},
		{"capture of a part", ledger.Capture, 4, -2, 0, -2},
		{"capture above", ledger.Capture, 8, 2, 2, 0},
		{"release", ledger.Release, 0, -6, 0, -6},
		{"expire", ledger.Expire, 0, -6, 0, -6},
		{"extend", ledger.Extend, 0, 0, 0, 0},
		{"topup", ledger.TopUp, 5, 0, 0, 0},
		{"refund", ledger.Refund, 5, 0, 0, 0},
		{"adjustment", ledger.Adjustment, -5, 0, 0, 0},
		{"transfer", ledger.Transfer, 5, 0, 0, 0},
	} {
		r := one(tt.kind, tt.amount).Request
		r.Final = tt.kind == ledger.Capture
		spent := func(more ledger.Amount) ledger.Spent {
			return ledger.Spent{Day: 20260301, Today: 50 + more, InMonth: 60 + more}
		}
		// Two keys, one key for both, one key each way, and none.
		for _, keys := range []struct{ key, hold bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			s := about(tt.kind, active(1, 100, 6, 0))
			if keys.key {
				s.Key = &ledger.Budget{Spent: spent(0)}
			}
			if keys.hold && s.Hold != nil {
				s.HoldKey = &ledger.Budget{Spent: spent(0)}
			}
			tx := ledger.NewTransaction(r)
			tx.Decide(s, noon)
			if want := (ledger.Spent{Day: 20260301, Today: 100 + tt.wallet, InMonth: 200 + tt.wallet}); tx.Rejection != "" || s.From.Wallet.Spent != want {
				t.Errorf("%s (%q): the wallet has counted %+v, want %+v", tt.name, tx.Rejection, s.From.Wallet.Spent, want)
			}
			if s.Key != nil && s.Key.Spent != spent(tt.key) {
				t.Errorf("%s: the key has counted %+v, want %+v", tt.name, s.Key.Spent, spent(tt.key))
			}
			if s.HoldKey != nil && s.HoldKey.Spent != spent(tt.hold) {
				t.Errorf("%s: the hold's key has counted %+v, want %+v", tt.name, s.HoldKey.Spent, spent(tt.hold))
			}
		}
		if s := about(tt.kind, active(1, 100, 6, 0)); s.Hold != nil {
			s.Key = &ledger.Budget{Spent: spent(0)}
			s.HoldKey = s.Key
			tx := ledger.NewTransaction(r)
			if tx.Decide(s, noon); s.Key.Spent != spent(tt.key+tt.hold) {
				t.Errorf("%s: the one key has counted %+v, want %+v", tt.name, s.Key.Spent, spent(tt.key+tt.hold))
			}
		}
	}
}

// A count stops at the most there is: no cap can be above it.
func TestDecideCountsUpToTheMost(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	for _, tt := range []struct{ before, after ledger.Spent }{
		{ledger.Spent{Today: highest - 6, InMonth: highest - 5}, ledger.Spent{Today: highest - 1, InMonth: highest}},
		{ledger.Spent{Today: highest - 5, InMonth: highest - 4}, ledger.Spent{Today: highest, InMonth: highest}},
		{ledger.Spent{Today: 0, InMonth: highest}, ledger.Spent{Today: 5, InMonth: highest}},
		{ledger.Spent{Today: highest, InMonth: 0}, ledger.Spent{Today: highest, InMonth: 5}},
	} {
		side := active(1, 100, 0, 0)
		tt.before.Day, tt.after.Day = 20260301, 20260301
		side.Wallet.Spent = tt.before
		tx := one(ledger.Charge, 5)
		if tx.Decide(ledger.State{From: side}, noon); tx.Rejection != "" || side.Wallet.Spent != tt.after {
			t.Errorf("decided %q, counted %+v, want %+v", tx.Rejection, side.Wallet.Spent, tt.after)
		}
	}
}

// What a hold gives back is taken off the day, and the month, in which it was
// counted, and only there.
func TestDecideGivesBack(t *testing.T) {
	t.Parallel()
	type spent = ledger.Spent
	for _, tt := range []struct {
		name          string
		zone          string
		placed, ended string
		before, after spent
	}{
		{"the same day", "", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59Z", spent{20261122, 10, 20}, spent{20261122, 4, 14}},
		{"the next day", "", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z", spent{20261122, 10, 20}, spent{20261123, 0, 14}},
		{"the next day, on which more was spent", "", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z", spent{20261123, 10, 20}, spent{20261123, 10, 14}},
		{"the next month", "", "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z", spent{20261201, 10, 20}, spent{20261201, 10, 20}},
		{"the next month, on which nothing was spent", "", "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z", spent{20261130, 10, 20}, spent{20261201, 0, 0}},
		{"the same day of the next month", "", "2026-11-22T12:00:00Z", "2026-12-22T11:59:59Z", spent{20261222, 10, 20}, spent{20261222, 10, 20}},
		{"the next year", "", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z", spent{20270101, 10, 20}, spent{20270101, 10, 20}},
		{"as much as was counted", "", "2026-11-22T00:00:00Z", "2026-11-22T12:00:00Z", spent{20261122, 6, 7}, spent{20261122, 0, 1}},
		// Less was counted where the zone has changed since, or a count had stopped at its most.
		{"more than was counted today", "", "2026-11-22T00:00:00Z", "2026-11-22T12:00:00Z", spent{20261122, 5, 7}, spent{20261122, 0, 1}},
		{"more than was counted in the month", "", "2026-11-22T00:00:00Z", "2026-11-22T12:00:00Z", spent{20261122, 5, 5}, spent{20261122, 0, 0}},
		{"more than was counted in the month before today", "", "2026-11-21T00:00:00Z", "2026-11-22T12:00:00Z", spent{20261122, 5, 5}, spent{20261122, 5, 0}},

		// One day there is two days here.
		{"the same day there", "Asia/Ho_Chi_Minh", "2026-11-30T17:00:00Z", "2026-12-01T16:59:59Z", spent{20261201, 10, 20}, spent{20261201, 4, 14}},
		{"the next day there", "Asia/Ho_Chi_Minh", "2026-11-21T16:59:59Z", "2026-11-21T17:00:00Z", spent{20261122, 10, 20}, spent{20261122, 10, 14}},
		{"the next month there", "Asia/Ho_Chi_Minh", "2026-11-30T16:59:59Z", "2026-11-30T17:00:00Z", spent{20261201, 10, 20}, spent{20261201, 10, 20}},
		{"the next year there", "Asia/Ho_Chi_Minh", "2026-12-31T16:59:59Z", "2026-12-31T17:00:00Z", spent{20270101, 10, 20}, spent{20270101, 10, 20}},
		// The day on which the clock is put forward ends an hour earlier, and the other an hour later.
		{"the end of the short day", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", spent{20260329, 10, 20}, spent{20260329, 4, 14}},
		{"after the short day", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", spent{20260330, 10, 20}, spent{20260330, 10, 14}},
		{"the end of the long day", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", spent{20261025, 10, 20}, spent{20261025, 4, 14}},
		{"after the long day", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", spent{20261026, 10, 20}, spent{20261026, 10, 14}},
		// The zone went back, so the count is of a day that has not come yet: it goes on.
		{"the day before the count's", "", "2026-11-21T12:00:00Z", "2026-11-21T23:00:00Z", spent{20261122, 10, 20}, spent{20261122, 10, 14}},
		{"the month before the count's", "", "2026-11-30T12:00:00Z", "2026-11-30T23:00:00Z", spent{20261201, 10, 20}, spent{20261201, 10, 20}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			times := [2]time.Time{}
			for i, text := range []string{tt.placed, tt.ended} {
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					t.Fatal(err)
				}
				times[i] = at.UTC()
			}
			for _, kind := range []ledger.Kind{ledger.Release, ledger.Expire, ledger.Capture} {
				s := about(kind, active(1, 10, 7, 0))
				s.From.Zone, s.From.Wallet.Spent = zone(t, tt.zone), tt.before
				s.Hold.CreatedAt, s.Hold.ExpiresAt, s.Hold.Remaining = times[0], times[1].Add(time.Hour), 6
				r := one(kind, 0).Request
				if kind == ledger.Capture { // of 1, so that 6 are given back
					s.Hold.Remaining, r.Amount, r.Final = 7, 1, true
				}
				// A key of the account counts in the same zone, one of the operator in UTC.
				s.HoldKey = &ledger.Budget{Spent: tt.before, Zone: s.From.Zone}
				tx := ledger.NewTransaction(r)
				if tx.Decide(s, times[1]); tx.Rejection != "" || s.From.Wallet.Spent != tt.after || s.HoldKey.Spent != tt.after {
					t.Errorf("%s: decided %q, counted %+v and %+v, want %+v", kind, tx.Rejection, s.From.Wallet.Spent, s.HoldKey.Spent, tt.after)
				}
			}
		})
	}
}

// The operator's key counts by its own days, whatever the account's are.
func TestDecideKeyHasItsOwnZone(t *testing.T) {
	t.Parallel()
	s := about(ledger.Release, active(1, 10, 6, 0))
	s.From.Zone = zone(t, "Asia/Ho_Chi_Minh")
	s.From.Wallet.Spent = ledger.Spent{Day: 20261130, Today: 10, InMonth: 20}
	s.Hold.CreatedAt = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s.Hold.ExpiresAt = s.Hold.CreatedAt.Add(24 * time.Hour)
	s.HoldKey = &ledger.Budget{Spent: ledger.Spent{Day: 20261130, Today: 10, InMonth: 20}}
	s.Key = &ledger.Budget{Spent: ledger.Spent{Day: 20261130, Today: 10, InMonth: 20}, Zone: zone(t, "Pacific/Pago_Pago")}
	tx := one(ledger.Release, 0)
	// It is December in Ho Chi Minh City, still November in UTC, and the same day in Pago Pago.
	tx.Decide(s, time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC))
	if want := (ledger.Spent{Day: 20261201}); s.From.Wallet.Spent != want {
		t.Errorf("the wallet has counted %+v, want %+v", s.From.Wallet.Spent, want)
	}
	if want := (ledger.Spent{Day: 20261130, Today: 4, InMonth: 14}); s.HoldKey.Spent != want {
		t.Errorf("the hold's key has counted %+v, want %+v", s.HoldKey.Spent, want)
	}
	if want := (ledger.Spent{Day: 20261130, Today: 10, InMonth: 20}); s.Key.Spent != want {
		t.Errorf("the key has counted %+v, want %+v", s.Key.Spent, want)
	}
	// A key whose month is over starts anew, also where it is only asked.
	s.Key.Day = 20261029
	charge := one(ledger.Charge, 1)
	s.Hold, s.HoldKey, s.Key.Caps = nil, nil, ledger.Caps{Daily: 5, Monthly: 5}
	charge.Decide(s, time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC))
	if want := (ledger.Spent{Day: 20261130, Today: 1, InMonth: 1}); s.Key.Spent != want || charge.CapLeft != (ledger.CapLeft{Daily: 4, Monthly: 4}) {
		t.Errorf("the key has counted %+v, want %+v; left is %+v", s.Key.Spent, want, charge.CapLeft)
	}
}

// A new day refreshes a cap, and a zone that goes back does not.
func TestDecideCapsOverTime(t *testing.T) {
	t.Parallel()
	side := active(1, 1000, 0, 0)
	side.Wallet.Spent, side.Wallet.Caps = ledger.Spent{}, ledger.Caps{Daily: 10, Monthly: 25}
	for _, step := range []struct {
		at, zone string
		amount   ledger.Amount
		code     ledger.Code
		spent    ledger.Spent
	}{
		{"2026-11-28T12:00:00Z", "Asia/Ho_Chi_Minh", 10, "", ledger.Spent{Day: 20261128, Today: 10, InMonth: 10}},
		{"2026-11-28T16:59:59Z", "Asia/Ho_Chi_Minh", 1, ledger.SpendCapReached, ledger.Spent{Day: 20261128, Today: 10, InMonth: 10}},
		{"2026-11-28T17:00:00Z", "Asia/Ho_Chi_Minh", 10, "", ledger.Spent{Day: 20261129, Today: 10, InMonth: 20}},
		// The account moves to where it is yesterday: that day is not given a second time.
		{"2026-11-28T18:00:00Z", "Pacific/Pago_Pago", 1, ledger.SpendCapReached, ledger.Spent{Day: 20261129, Today: 10, InMonth: 20}},
		{"2026-11-29T10:59:59Z", "Pacific/Pago_Pago", 1, ledger.SpendCapReached, ledger.Spent{Day: 20261129, Today: 10, InMonth: 20}},
		{"2026-11-29T11:00:00Z", "Pacific/Pago_Pago", 1, ledger.SpendCapReached, ledger.Spent{Day: 20261129, Today: 10, InMonth: 20}},
		{"2026-11-30T11:00:00Z", "Pacific/Pago_Pago", 6, ledger.SpendCapReached, ledger.Spent{Day: 20261130, InMonth: 20}},
		{"2026-11-30T11:00:00Z", "Pacific/Pago_Pago", 5, "", ledger.Spent{Day: 20261130, Today: 5, InMonth: 25}},
		// In Kiritimati it is the next day, and the next month.
		{"2026-11-30T11:00:01Z", "Pacific/Kiritimati", 3, "", ledger.Spent{Day: 20261201, Today: 3, InMonth: 3}},
		// Back again, the month before is not opened again, and this one goes on.
		{"2026-11-30T11:00:02Z", "Pacific/Pago_Pago", 4, "", ledger.Spent{Day: 20261201, Today: 7, InMonth: 7}},
		{"2026-12-01T11:00:00Z", "Pacific/Pago_Pago", 3, "", ledger.Spent{Day: 20261201, Today: 10, InMonth: 10}},
		{"2026-12-31T12:00:00Z", "", 10, "", ledger.Spent{Day: 20261231, Today: 10, InMonth: 20}},
		{"2027-01-01T00:00:00Z", "", 10, "", ledger.Spent{Day: 20270101, Today: 10, InMonth: 10}},
	} {
		at, err := time.Parse(time.RFC3339, step.at)
		if err != nil {
			t.Fatal(err)
		}
		side.Zone = zone(t, step.zone)
		tx := one(ledger.Charge, step.amount)
		if tx.Decide(ledger.State{From: side}, at); tx.Rejection != step.code || side.Wallet.Spent != step.spent {
			t.Errorf("at %s in %s: decided %q, counted %+v, want %q and %+v", step.at, step.zone, tx.Rejection, side.Wallet.Spent, step.code, step.spent)
		}
	}
}

// Where several reasons hold, the one that is told is stored and told again, so
// the order is part of the contract.
func TestDecideOrderOfReasons(t *testing.T) {
	t.Parallel()
	type repair struct {
		code   ledger.Code
		repair func(*ledger.State)
	}
	open := func(s *ledger.State) { s.Hold.State = ledger.HoldOpen }
	later := func(s *ledger.State) { s.Hold.ExpiresAt = noon.Add(1) }
	account := func(s *ledger.State) { s.From.Status = ledger.Active }
	receiver := func(s *ledger.State) { s.To.Status = ledger.Active }
	wallet := func(s *ledger.State) { s.From.Wallet.Suspended = false }
	currency := func(s *ledger.State) { s.To.Currency = "CNY" }
	most := func(s *ledger.State) { s.From.Wallet.MaxAmount = 10 }
	funds := func(s *ledger.State) { s.From.Wallet.Balance = 100 }
	caps := func(s *ledger.State) { s.From.Wallet.Caps.Daily = 110 }
	keyCaps := func(s *ledger.State) { s.Key.Monthly = 70 }
	refunds := func(s *ledger.State) { s.Charge.Refunded = 0 }
	for _, tt := range []struct {
		kind    ledger.Kind
		repairs []repair
	}{
		{ledger.Charge, []repair{
			{ledger.AccountNotActive, account},
			{ledger.WalletNotActive, wallet},
			{ledger.AmountNotAllowed, most},
			{ledger.InsufficientFunds, funds},
			{ledger.SpendCapReached, caps},
			{ledger.SpendCapReached, keyCaps},
		}},
		{ledger.PlaceHold, []repair{
			{ledger.AccountNotActive, account},
			{ledger.WalletNotActive, wallet},
			{ledger.AmountNotAllowed, most},
			{ledger.InsufficientFunds, funds},
			{ledger.SpendCapReached, caps},
			{ledger.SpendCapReached, keyCaps},
		}},
		{ledger.Capture, []repair{
			{ledger.HoldNotOpen, open},
			{ledger.HoldPastExpiry, later},
			{ledger.AccountNotActive, account},
			{ledger.WalletNotActive, wallet},
			{ledger.AmountNotAllowed, most},
			{ledger.InsufficientFunds, funds},
			{ledger.SpendCapReached, caps},
			{ledger.SpendCapReached, keyCaps},
		}},
		{ledger.Release, []repair{{ledger.HoldNotOpen, open}, {ledger.HoldPastExpiry, later}, {ledger.AccountNotActive, account}}},
		{ledger.Extend, []repair{
			{ledger.HoldNotOpen, open}, {ledger.HoldPastExpiry, later}, {ledger.AccountNotActive, account}, {ledger.WalletNotActive, wallet},
		}},
		{ledger.Expire, []repair{{ledger.HoldNotOpen, open}}},
		{ledger.Transfer, []repair{
			{ledger.AccountNotActive, account},
			{ledger.AccountNotActive, receiver},
			{ledger.WalletNotActive, wallet},
			{ledger.CurrencyMismatch, currency},
			{ledger.AmountNotAllowed, most},
			{ledger.InsufficientFunds, funds},
			{ledger.AmountOutOfRange, func(s *ledger.State) { s.To.Wallet.Balance -= 9 }},
			{ledger.AmountOutOfRange, func(s *ledger.State) { s.To.Wallet.Balance-- }},
		}},
		{ledger.Refund, []repair{
			{ledger.AccountNotActive, func(s *ledger.State) { account(s); s.From.Wallet.Balance = ledger.MaxAmount - 9 }},
			{ledger.RefundExceedsCharge, refunds},
			{ledger.AmountOutOfRange, func(s *ledger.State) { s.From.Wallet.Balance-- }},
		}},
		{ledger.TopUp, []repair{
			{ledger.AccountNotActive, func(s *ledger.State) { account(s); s.From.Wallet.Balance = ledger.MaxAmount - 9 }},
			{ledger.AmountOutOfRange, func(s *ledger.State) { s.From.Wallet.Balance-- }},
		}},
	} {
		// A wallet in which everything is wrong at once, with a hold of 2.
		s := about(tt.kind, active(1, -1000, 2, 0))
		s.From.Status, s.From.Wallet.Suspended = ledger.Closed, true
		s.From.Wallet.MaxAmount, s.From.Wallet.Caps.Daily = 9, 100
		s.Key = &ledger.Budget{Caps: ledger.Caps{Monthly: 60}, Spent: ledger.Spent{Day: 20260301, Today: 60, InMonth: 60}}
		amount := ledger.Amount(10)
		switch tt.kind {
		case ledger.Transfer:
			s.To.Status, s.To.Currency, s.To.Wallet.Balance = ledger.Closed, "VND", ledger.MaxAmount
		case ledger.Refund:
			s.Charge.Amount, s.Charge.Refunded = 10, 1
		case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
			s.Hold.State, s.Hold.ExpiresAt = ledger.HoldReleased, noon
			if tt.kind != ledger.Capture {
				amount = 0
			}
		default:
		}
		for i, step := range append(tt.repairs, repair{"", func(*ledger.State) {}}) {
			tx, before := one(tt.kind, amount), copied(s)
			entries := tx.Decide(s, noon)
			if tx.Rejection != step.code || ledger.CodeOf(tx.Err()) != step.code {
				t.Errorf("%s, step %d: decided %q, want %q", tt.kind, i, tx.Rejection, step.code)
			}
			if step.code != "" && (!reflect.DeepEqual(s, before) || entries != nil) {
				t.Errorf("%s, step %d: the rejection changed %+v to %+v", tt.kind, i, before, s)
			}
			step.repair(&s)
		}
	}
}

// An entry says all there is about it, and continues the wallet's chain.
func TestDecideEntry(t *testing.T) {
	t.Parallel()
	side := active(1, 100, 30, 7)
	side.Wallet.Caps.Monthly = 230
	tx := one(ledger.Charge, 25)
	got := tx.Decide(ledger.State{From: side}, noon)
	want := ledger.Entry{
		WalletRef: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Version: 42, Transaction: tx.ID,
		Amount: -25, Balance: 75, Held: 30, CreatedAt: noon,
	}
	// The outcome is in the hash, so it is complete before it.
	want.Hash = want.ChainHash(ledger.Hash{1}, &tx)
	if !reflect.DeepEqual(got, []ledger.Entry{want}) {
		t.Errorf("entries are %+v, want %+v", got, want)
	}
	if w := side.Wallet; w.Head != want.Hash || w.Version != 42 || w.Held != 30 || w.CreditLimit != 7 {
		t.Errorf("the wallet is %+v", w)
	}
	outcome := ledger.NewTransaction(tx.Request)
	outcome.CreatedAt, outcome.Moved, outcome.Version = noon, 25, 42
	outcome.Balance, outcome.Held, outcome.Available = 75, 30, 52
	outcome.CapLeft = ledger.CapLeft{Daily: ledger.NoCap, Monthly: 5}
	if !reflect.DeepEqual(tx, outcome) || tx.Err() != nil {
		t.Errorf("the transaction is %+v, want %+v", tx, outcome)
	}
}

// The two entries of a transfer, each in the chain of its wallet.
func TestDecideTransferEntries(t *testing.T) {
	t.Parallel()
	s := about(ledger.Transfer, active(1, 100, 30, 7))
	s.To.Wallet.Version, s.To.Wallet.Head, s.To.Wallet.Held = 8, ledger.Hash{2}, 1
	receiver := s.To.Wallet.Spent
	receiver.Day = 20260228 // to be paid is not to spend, so nothing is counted
	s.To.Wallet.Spent = receiver
	tx := one(ledger.Transfer, 25)
	got := tx.Decide(s, noon)
	want := []ledger.Entry{
		{WalletRef: tx.Wallet, Version: 42, Transaction: tx.ID, Amount: -25, Balance: 75, Held: 30, CreatedAt: noon},
		{WalletRef: tx.To, Version: 9, Transaction: tx.ID, Amount: 25, Balance: 25, Held: 1, CreatedAt: noon},
	}
	want[0].Hash, want[1].Hash = want[0].ChainHash(ledger.Hash{1}, &tx), want[1].ChainHash(ledger.Hash{2}, &tx)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("entries are %+v, want %+v", got, want)
	}
	if tx.Version != 42 || tx.ToVersion != 9 || tx.Moved != 25 || s.To.Wallet.Head != want[1].Hash || s.To.Wallet.Spent != receiver {
		t.Errorf("the transaction is %+v, the receiver %+v", tx, s.To.Wallet)
	}
}

// The time is kept as stores keep it: a first reply reads as its replays will.
func TestDecideTime(t *testing.T) {
	t.Parallel()
	now := noon.Add(1999 * time.Nanosecond).In(zone(t, "Asia/Ho_Chi_Minh"))
	want := noon.Add(time.Microsecond)
	posted, refused := one(ledger.Charge, 5), one(ledger.Charge, 5)
	posted.Decide(ledger.State{From: active(1, 5, 0, 0)}, now)
	refused.Refuse(ledger.State{From: active(1, 5, 0, 0)}, ledger.BatchRejected, now)
	for _, tx := range []ledger.Transaction{posted, refused} {
		if tx.CreatedAt != want { // in its zone, too
			t.Errorf("the time is %v, want %v", tx.CreatedAt, want)
		}
	}
}

// A transaction that is refused for another one's sake says how the wallet
// stands, as any rejection does, and does nothing.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, reason := range []ledger.Code{ledger.BatchRejected, ledger.InsufficientFunds} {
			s := about(kind, active(1, 100, 6, 7))
			// The day before has spent the caps, so that it shows which day is told.
			s.From.Wallet.Caps = ledger.Caps{Daily: 30, Monthly: 900}
			s.From.Zone = zone(t, "Asia/Ho_Chi_Minh")
			s.Key = &ledger.Budget{Caps: ledger.Caps{Daily: 40, Monthly: 300}, Spent: ledger.Spent{Day: 20260228, Today: 40, InMonth: 300}}
			before := copied(s)
			tx := one(kind, 5)
			want := ledger.NewTransaction(tx.Request)
			tx.Refuse(s, reason, noon.Add(5*time.Hour))
			want.CreatedAt, want.Rejection = noon.Add(5*time.Hour), reason
			want.Balance, want.Held, want.Available = 100, 6, 101
			want.CapLeft = ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap}
			switch kind {
			case ledger.Charge, ledger.PlaceHold, ledger.Capture:
				want.CapLeft = ledger.CapLeft{Daily: 30, Monthly: 300}
			default:
			}
			if !reflect.DeepEqual(tx, want) || ledger.CodeOf(tx.Err()) != reason {
				t.Errorf("%s: the transaction is %+v, want %+v", kind, tx, want)
			}
			// Only the counts are brought to the day.
			before.From.Wallet.Spent = ledger.Spent{Day: 20260302, InMonth: 200}
			before.Key.Spent = ledger.Spent{Day: 20260301}
			if !reflect.DeepEqual(s, before) {
				t.Errorf("%s: the refusal changed %+v to %+v", kind, before, s)
			}
		}
	}
}

// A state with a part too much or too little would move money to nowhere.
func TestDecidePanics(t *testing.T) {
	t.Parallel()
	panics := func(kind ledger.Kind, s ledger.State) (did bool) {
		defer func() { did = recover() != nil }()
		tx := one(kind, 5)
		tx.Decide(s, noon)
		return false
	}
	for _, kind := range kinds {
		right := about(kind, active(1, 100, 6, 0))
		for parts := range 8 {
			s := ledger.State{From: active(1, 100, 6, 0)}
			if parts&1 != 0 {
				s.To = active(2, 0, 0, 0)
			}
			if parts&2 != 0 {
				s.Hold = about(ledger.Capture, s.From).Hold
			}
			if parts&4 != 0 {
				s.Charge = about(ledger.Refund, s.From).Charge
			}
			fits := (s.To != nil) == (right.To != nil) && (s.Hold != nil) == (right.Hold != nil) && (s.Charge != nil) == (right.Charge != nil)
			if panics(kind, s) == fits {
				t.Errorf("%s with receiver %t, hold %t, charge %t: panics is %t", kind, s.To != nil, s.Hold != nil, s.Charge != nil, fits)
			}
		}
	}
}
