package ledger_test

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestServiceValid(t *testing.T) {
	t.Parallel()
	for _, good := range []ledger.Service{
		ledger.SMS, ledger.VoIP, "a", "z", "sms2", "two-way", "a_b", "a-", "a--__9", ledger.Service(strings.Repeat("a", ledger.MaxServiceLen)),
	} {
		if !good.Valid() {
			t.Errorf("%q is not valid", good)
		}
	}
	for _, bad := range []ledger.Service{
		"", "SMS", "Sms", "smS", "9a", "-a", "_a", " sms", "sms ", "s ms", "sms\n", "s\x00s", "s.s", "s/s", "s:s", "a%", "é", "aéa", "ａ", "a\xffa",
		"`a", "{a", "a`", "a{", ledger.Service(strings.Repeat("a", ledger.MaxServiceLen+1)),
	} {
		if bad.Valid() {
			t.Errorf("%q is valid", bad)
		}
	}
}

func refs() *rapid.Generator[ledger.WalletRef] {
	return rapid.Custom(func(t *rapid.T) ledger.WalletRef {
		return ledger.WalletRef{
			Account: ledger.AccountID(rapid.OneOf(rapid.Int32Range(0, 3), rapid.Int32()).Draw(t, "account")),
			Service: ledger.Service(rapid.OneOf(rapid.SampledFrom([]string{"", "sms", "voip", "sm", "smsx"}), rapid.String()).Draw(t, "service")),
		}
	})
}

// Locks are taken in this order, so it must be a total one: any cycle in it is a deadlock.
func TestWalletRefCompareIsATotalOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := refs().Draw(t, "a"), refs().Draw(t, "b"), refs().Draw(t, "c")
		if (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v compare as %d", a, b, a.Compare(b))
		}
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("%v and %v compare as %d and %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%v, %v, %v are not in order", a, b, c)
		}
		if a.Account != b.Account && a.Compare(b) != cmp.Compare(a.Account, b.Account) {
			t.Fatalf("%v and %v are not ordered by account", a, b)
		}
		// Any order of arrival gives one order of locking.
		list := rapid.SliceOfN(refs(), 0, 6).Draw(t, "list")
		sorted := slices.SortedFunc(slices.Values(list), ledger.WalletRef.Compare)
		slices.Reverse(list)
		if again := slices.SortedFunc(slices.Values(list), ledger.WalletRef.Compare); !slices.Equal(sorted, again) {
			t.Fatalf("sorted as %v and as %v", sorted, again)
		}
	})
}

func TestWalletCheck(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	tests := []struct {
		name                  string
		balance, held, credit ledger.Amount
		code                  ledger.Code
		part                  string
	}{
		{"empty", 0, 0, 0, "", ""},
		{"usual", 10, 4, 3, "", ""},
		{"held above the balance", 1, 5, 0, "", ""},
		{"full", highest, 0, 0, "", ""},
		{"full and held", highest, highest, 0, "", ""},
		{"lowest", -highest, 0, highest, "", ""},
		{"all held", 0, highest, highest, "", ""},
		{"credit up to the range", highest - 5, 0, 5, "", ""},
		{"held below zero", 0, -1, 0, ledger.AmountOutOfRange, "negative"},
		{"credit limit below zero", 0, 0, -1, ledger.AmountOutOfRange, "negative"},
		{"balance and held below the range", -highest, 1, 0, ledger.AmountOutOfRange, "outside"},
		// Available alone would be in range; the sum must hold however it is added up.
		{"balance and held below, credit makes up", -highest, 1, 1, ledger.AmountOutOfRange, "outside"},
		{"balance and credit above the range", highest, 0, 1, ledger.AmountOutOfRange, "outside"},
		{"balance and credit above, held makes up", highest, 1, 1, ledger.AmountOutOfRange, "outside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ledger.Wallet{Balance: tt.balance, Held: tt.held, Settings: ledger.Settings{CreditLimit: tt.credit}}
			wantError(t, w.Check(), tt.code, tt.part)
		})
	}
}

// What Check accepts, Available and Shown compute exactly, without an error to return.
func TestWalletSums(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := ledger.Wallet{Balance: amounts().Draw(t, "balance"), Held: amounts().Draw(t, "held")}
		w.CreditLimit = amounts().Draw(t, "credit")
		shown := new(big.Int).Sub(bigOf(w.Balance), bigOf(w.Held))
		available := new(big.Int).Add(shown, bigOf(w.CreditLimit))
		spendable := new(big.Int).Add(bigOf(w.Balance), bigOf(w.CreditLimit))
		want := w.Held >= 0 && w.CreditLimit >= 0 && fits(shown) && fits(available) && fits(spendable)
		if err := w.Check(); (err == nil) != want {
			t.Fatalf("Check of %+v is %v", w, err)
		}
		if want && (int64(w.Shown()) != shown.Int64() || int64(w.Available()) != available.Int64()) {
			t.Fatalf("shown %s, available %s; want %s and %s millionths", w.Shown(), w.Available(), shown, available)
		}
		if want && w.Shown() > w.Available() {
			t.Fatalf("%+v shows more than can be spent", w)
		}
	})
}

func TestSettingsValidate(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	tests := []struct {
		name     string
		settings ledger.Settings
		part     string
	}{
		{"none", ledger.Settings{}, ""},
		{"all", ledger.Settings{CreditLimit: 1, Suspended: true, MinAmount: 2, MaxAmount: 3, Caps: ledger.Caps{Daily: 4, Monthly: 5}}, ""},
		{"all there can be", ledger.Settings{CreditLimit: highest, MinAmount: highest, MaxAmount: highest, Caps: ledger.Caps{Daily: highest, Monthly: highest}}, ""},
		{"least without a most", ledger.Settings{MinAmount: 5}, ""},
		{"most without a least", ledger.Settings{MaxAmount: 1}, ""},
		{"one amount alone", ledger.Settings{MinAmount: 1, MaxAmount: 1}, ""},
		// A month's cap below a day's is odd, and does what it says.
		{"less in a month than in a day", ledger.Settings{Caps: ledger.Caps{Daily: 5, Monthly: 4}}, ""},
		{"credit below zero", ledger.Settings{CreditLimit: -1}, "credit_limit must not be negative"},
		{"least below zero", ledger.Settings{MinAmount: -1}, "min_amount and max_amount must not be negative (0 is no bound)"},
		{"most below zero", ledger.Settings{MaxAmount: -1}, "min_amount and max_amount must not be negative"},
		{"least above the most", ledger.Settings{MinAmount: 6, MaxAmount: 5}, "min_amount must not be above max_amount"},
		{"least above the least most", ledger.Settings{MinAmount: 2, MaxAmount: 1}, "must not be above"},
		{"daily cap below zero", ledger.Settings{Caps: ledger.Caps{Daily: -1}}, "spend cap must not be negative (0 is no cap)"},
		{"monthly cap below zero", ledger.Settings{Caps: ledger.Caps{Monthly: -1}}, "spend cap must not be negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, tt.settings.Validate(), tt.part)
		})
	}
}

func TestHolderWallet(t *testing.T) {
	t.Parallel()
	h := ledger.Holder{Wallets: []ledger.Wallet{
		{WalletRef: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Balance: 1},
		{WalletRef: ledger.WalletRef{Account: 1, Service: ledger.VoIP}, Balance: 2},
	}}
	for i, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
		// The wallet itself, not a copy: a balance is read without one.
		if w, ok := h.Wallet(service); !ok || w != &h.Wallets[i] {
			t.Errorf("Wallet(%q) = %v, %t", service, w, ok)
		}
	}
	for _, service := range []ledger.Service{"", "fax", "SMS"} {
		if w, ok := h.Wallet(service); ok || w != nil {
			t.Errorf("Wallet(%q) = %v, %t", service, w, ok)
		}
	}
}
