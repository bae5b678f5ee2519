package ledger

import "strings"

// Service is what the money of a wallet is for: "sms", "voip", or another short
// name of lower-case letters, digits, '-' and '_' that starts with a letter.
type Service string

// The wallets that every account has.
const (
	SMS  Service = "sms"
	VoIP Service = "voip"
)

// MaxServiceLen bounds a service name, in bytes.
const MaxServiceLen = 16

// MaxWallets bounds the wallets of one account, because an account is read and cached whole.
const MaxWallets = 32

// Valid tells whether s is well formed.
func (s Service) Valid() bool {
	const tail = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	return s != "" && len(s) <= MaxServiceLen &&
		s[0] >= 'a' && s[0] <= 'z' && strings.Trim(string(s), tail) == ""
}

// WalletRef names a wallet: one account's money for one service.
type WalletRef struct {
	Account AccountID
	Service Service
}

// Compare orders references by account, then service: the order in which
// wallets are locked, so that two transactions never wait for each other.
func (r WalletRef) Compare(o WalletRef) int {
	if r.Account != o.Account {
		if r.Account < o.Account {
			return -1
		}
		return 1
	}
	return strings.Compare(string(r.Service), string(o.Service))
}

// Hash is a SHA-256 digest.
type Hash [32]byte

// Wallet is one account's money for one service, as its row has it.
type Wallet struct {
	WalletRef
	Balance Amount // posted: the sum of the wallet's entries
	Held    Amount // what remains of its open holds, never negative
	Settings
	Spent   Spent
	Version int64 // of the last entry; 0 before the first
	Head    Hash  // of the last entry, the link for the next; zero before the first
}

// Settings are what the operator sets on a wallet. No caller's request changes
// them; the zero value is a wallet without credit that may be spent to its end.
type Settings struct {
	CreditLimit Amount // how far below zero the wallet may be spent
	Suspended   bool   // nothing is spent, but money can still come in
	MinAmount   Amount // of one charge, hold or transfer; 0 for no bound
	MaxAmount   Amount // the same, and of a capture
	Caps        Caps
}

// Validate says what is wrong with settings, as an InvalidRequest error.
func (s *Settings) Validate() error {
	switch {
	case s.CreditLimit < 0:
		return Errorf(InvalidRequest, "credit_limit must not be negative")
	case s.MinAmount < 0 || s.MaxAmount < 0:
		return Errorf(InvalidRequest, "min_amount and max_amount must not be negative").WithHint("0 is no bound")
	case s.MaxAmount > 0 && s.MinAmount > s.MaxAmount:
		return Errorf(InvalidRequest, "min_amount must not be above max_amount")
	}
	return s.Caps.Validate()
}

// Available is what can still be spent: balance - held + credit limit.
// It cannot overflow for a wallet that Check accepts.
func (w *Wallet) Available() Amount { return w.Balance - w.Held + w.CreditLimit }

// Shown is what a provider's dialect shows as the balance: balance - held.
// It is never more than could be spent, and negative where credit is used.
func (w *Wallet) Shown() Amount { return w.Balance - w.Held }

// Check says whether the wallet's numbers are within what arithmetic on them
// can carry; AmountOutOfRange where not. Every change ends with it, which is
// why Available and Shown need no error.
func (w *Wallet) Check() error {
	if w.Held < 0 || w.CreditLimit < 0 {
		return Errorf(AmountOutOfRange, "held amount and credit limit cannot be negative")
	}
	shown, err := w.Balance.Sub(w.Held)
	if err == nil {
		_, err = shown.Add(w.CreditLimit)
	}
	if err == nil {
		_, err = w.Balance.Add(w.CreditLimit)
	}
	if err != nil {
		return Errorf(AmountOutOfRange, "the wallet's balance would be %s", ErrAmountRange)
	}
	return nil
}

// Holder is an account with its wallets: what a balance query reads and what a
// decision needs to know. It is never changed once published.
type Holder struct {
	Account
	Wallets []Wallet // in order of their services
}

// Wallet finds the wallet of a service.
func (h *Holder) Wallet(service Service) (*Wallet, bool) {
	for i := range h.Wallets {
		if h.Wallets[i].Service == service {
			return &h.Wallets[i], true
		}
	}
	return nil, false
}
