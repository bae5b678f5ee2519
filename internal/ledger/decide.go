package ledger

import "time"

// Side is a wallet as a decision sees it: the row that is locked, and what its
// account allows. Decide changes Wallet when it posts.
type Side struct {
	Wallet   Wallet
	Currency string
	Status   Status
}

// Decide applies the transaction to the wallets it names and records what came
// of it. It is the one place where the rules about money stand.
//
// to is nil except for a transfer. When the transaction is posted, the wallets
// are changed in place and the entries are returned, one for each wallet; when
// it is rejected, nothing is changed and there are no entries.
//
// It panics when a transfer comes without its other wallet, or another kind
// with one: half a transfer would lose money, and is a fault of the caller.
func (t *Transaction) Decide(from, to *Side, now time.Time) []Entry {
	if (t.Kind == Transfer) != (to != nil) {
		panic("ledger: a transfer is decided on two wallets, any other kind on one")
	}
	// Stores keep microseconds; a first reply must read as its replays will.
	t.CreatedAt = now.UTC().Truncate(time.Microsecond)
	entries, rejection := post(t, from, to)
	t.Rejection = rejection
	if rejection == "" {
		t.Version = from.Wallet.Version
	}
	if rejection == "" && to != nil {
		t.ToVersion = to.Wallet.Version
	}
	t.Balance, t.Held, t.Available = from.Wallet.Balance, from.Wallet.Held, from.Wallet.Available()
	return entries
}

func post(tx *Transaction, from, to *Side) ([]Entry, Code) {
	delta := tx.Amount
	if tx.Kind == Charge || tx.Kind == Transfer {
		delta = -delta
	}
	if !from.takes(delta, tx.Kind) || to != nil && !to.takes(tx.Amount, tx.Kind) {
		return nil, AccountNotActive
	}
	if to != nil && to.Currency != from.Currency {
		return nil, CurrencyMismatch
	}
	// An adjustment is the operator's correction, a bank's charge-back for
	// example, and may have to take what is already spent.
	if delta < 0 && tx.Kind != Adjustment && from.Wallet.Available() < -delta {
		return nil, InsufficientFunds
	}
	// Both wallets are computed before either is changed.
	debited, first, err := from.Wallet.apply(tx, delta)
	if err != nil {
		return nil, AmountOutOfRange
	}
	if to == nil {
		from.Wallet = debited
		return []Entry{first}, ""
	}
	credited, second, err := to.Wallet.apply(tx, tx.Amount)
	if err != nil {
		return nil, AmountOutOfRange
	}
	from.Wallet, to.Wallet = debited, credited
	return []Entry{first, second}, ""
}

// takes tells whether the account's status allows a movement: a suspended
// account can be paid and corrected but cannot spend.
func (s *Side) takes(delta Amount, kind Kind) bool {
	switch s.Status {
	case Active:
		return true
	case Suspended:
		return delta > 0 || kind == Adjustment
	default:
		return false
	}
}

// apply gives the wallet as it is after an entry of delta, and the entry.
func (w Wallet) apply(tx *Transaction, delta Amount) (Wallet, Entry, error) {
	balance, err := w.Balance.Add(delta)
	if err != nil {
		return Wallet{}, Entry{}, err
	}
	w.Balance = balance
	if err := w.Check(); err != nil {
		return Wallet{}, Entry{}, err
	}
	w.Version++
	entry := Entry{
		WalletRef:   w.WalletRef,
		Version:     w.Version,
		Transaction: tx.ID,
		Amount:      delta,
		Balance:     w.Balance,
		Held:        w.Held,
		CreatedAt:   tx.CreatedAt,
	}
	entry.Hash = entry.ChainHash(w.Head, tx.RequestHash)
	w.Head = entry.Hash
	return w, entry, nil
}
