package ledger

import "time"

// Side is a wallet as a decision sees it: the row that is locked, and what its
// account allows. Decide changes Wallet when it posts.
type Side struct {
	Wallet   Wallet
	Currency string
	Status   Status
	Zone     *time.Location // of the account, for its spend caps; nil is UTC
}

// State is what a decision sees, all of it locked. Decide changes it when it posts.
type State struct {
	From    *Side
	To      *Side       // of a transfer
	Hold    *Hold       // of a capture, release, extend or expire
	Charge  *Refundable // of a refund
	Key     *Budget     // of the caller's key where it has caps
	HoldKey *Budget     // of the key that placed the hold, where it has caps; it may be Key
}

// effect is what a transaction would do.
type effect struct {
	moved     Amount
	balance   Amount // added to From's balance; a transfer takes it to To
	held      Amount // added to From's held amount
	remaining Amount // of the hold afterwards
	expiresAt time.Time
	spent     Amount // counted by the spend caps
	givenBack Amount // of what the hold was counted by them
}

// Decide applies the transaction to what it is about and records what came of
// it. It is the one place where the rules about money stand.
//
// When the transaction is posted, the state is changed in place and the entries
// are returned, one for each wallet; when it is rejected, there are no entries,
// and nothing is changed but that the spend counts are brought to the day.
//
// It panics when the state is not of the transaction's kind: half a transfer
// would lose money, and is a fault of the caller.
func (t *Transaction) Decide(s State, now time.Time) []Entry {
	if (t.Kind == Transfer) != (s.To != nil) || (t.Kind.EndsHold() || t.Kind == Extend) != (s.Hold != nil) || (t.Kind == Refund) != (s.Charge != nil) {
		panic("ledger: the state is not that of the transaction's kind")
	}
	// Stores keep microseconds; a first reply must read as its replays will.
	t.CreatedAt = now.UTC().Truncate(time.Microsecond)
	s.startPeriods(t.CreatedAt)
	e := t.effect(&s)
	entries, rejection := t.post(&s, &e)
	t.conclude(&s, rejection)
	return entries
}

// Refuse records a rejection for a reason outside the transaction itself: that
// of another one of its atomic batch.
func (t *Transaction) Refuse(s State, reason Code, now time.Time) {
	t.CreatedAt = now.UTC().Truncate(time.Microsecond)
	s.startPeriods(t.CreatedAt)
	t.conclude(&s, reason)
}

// startPeriods brings the spend counts to the day that it is.
func (s *State) startPeriods(now time.Time) {
	s.From.Wallet.Spent = s.From.Wallet.Spent.On(DayOf(now, s.From.Zone))
	for _, budget := range []*Budget{s.Key, s.HoldKey} {
		if budget != nil {
			budget.Spent = budget.On(DayOf(now, budget.Zone))
		}
	}
}

// conclude records the outcome as the wallet now stands.
func (t *Transaction) conclude(s *State, rejection Code) {
	w := &s.From.Wallet
	t.Rejection = rejection
	t.Balance, t.Held, t.Available = w.Balance, w.Held, w.Available()
	t.CapLeft = noCapLeft
	if t.Kind == Charge || t.Kind == PlaceHold || t.Kind == Capture {
		t.CapLeft = s.capLeft()
	}
}

// capLeft is what both the wallet's caps and those of the caller's key leave.
func (s *State) capLeft() CapLeft {
	budget := Budget{Caps: s.From.Wallet.Caps, Spent: s.From.Wallet.Spent}
	left := budget.Left()
	if s.Key != nil {
		left = left.Tighter(s.Key.Left())
	}
	return left
}

// effect computes what the transaction would do, with no regard to whether it may.
func (t *Transaction) effect(s *State) effect {
	switch t.Kind {
	case Charge:
		return effect{moved: t.Amount, balance: -t.Amount, spent: t.Amount}
	case Transfer:
		return effect{moved: t.Amount, balance: -t.Amount}
	case PlaceHold:
		return effect{moved: t.Amount, held: t.Amount, remaining: t.Amount, expiresAt: t.CreatedAt.Add(t.ExpiresIn), spent: t.Amount}
	case Capture:
		return t.captureEffect(s.Hold)
	case Release, Expire:
		return effect{moved: s.Hold.Remaining, held: -s.Hold.Remaining, expiresAt: s.Hold.ExpiresAt, givenBack: s.Hold.Remaining}
	case Extend:
		e := effect{remaining: s.Hold.Remaining, expiresAt: t.CreatedAt.Add(t.ExpiresIn)}
		if e.expiresAt.Before(s.Hold.ExpiresAt) {
			e.expiresAt = s.Hold.ExpiresAt // a hold is never made shorter
		}
		return e
	default: // TopUp, Refund, Adjustment
		return effect{moved: t.Amount, balance: t.Amount}
	}
}

// captureEffect takes what is reserved first, and the rest from what is available.
func (t *Transaction) captureEffect(hold *Hold) effect {
	amount := t.Amount
	if amount == 0 {
		amount = hold.Remaining
	}
	reserved := min(amount, hold.Remaining)
	e := effect{
		moved: amount, balance: -amount, held: -reserved, expiresAt: hold.ExpiresAt,
		remaining: hold.Remaining - reserved, spent: amount - reserved,
	}
	if t.Final {
		e.held, e.givenBack, e.remaining = -hold.Remaining, e.remaining, 0
	}
	return e
}

// post checks the rules in a fixed order, so that the first broken one is the
// reason, and applies the effect where all are kept.
func (t *Transaction) post(s *State, e *effect) ([]Entry, Code) {
	for _, rule := range []func(*State, *effect) Code{t.checkHold, t.checkStatus, t.checkBounds, t.checkFunds, t.checkCaps} {
		if code := rule(s, e); code != "" {
			return nil, code
		}
	}
	// Both wallets are computed before either is changed.
	from, err := s.From.Wallet.add(e.balance, e.held)
	var to Wallet
	if err == nil && s.To != nil {
		to, err = s.To.Wallet.add(-e.balance, 0)
	}
	if err == nil && t.Kind == Capture {
		// Money that comes in between captures can make them more than any balance.
		_, err = s.Hold.Captured.Add(e.moved)
	}
	if err != nil {
		return nil, AmountOutOfRange
	}
	s.From.Wallet = from
	t.Moved, t.Remaining, t.ExpiresAt, t.Version = e.moved, e.remaining, e.expiresAt, from.Version
	if s.To != nil {
		s.To.Wallet = to
		t.ToVersion = to.Version
	}
	s.count(e)
	if s.Hold != nil {
		s.Hold.Apply(t)
	}
	if s.Charge != nil {
		s.Charge.Refunded += e.moved
	}
	// The entries chain the outcome, so that comes first.
	t.conclude(s, "")
	entries := []Entry{s.From.Wallet.enter(t, e.balance)}
	if s.To != nil {
		entries = append(entries, s.To.Wallet.enter(t, -e.balance))
	}
	return entries, ""
}

// checkHold lets only an open hold be acted upon. Past its expiry a hold is
// gone, whether or not it has been closed yet: who is first does not depend on
// how late the ledger is at closing it.
func (t *Transaction) checkHold(s *State, _ *effect) Code {
	switch {
	case s.Hold == nil:
		return ""
	case s.Hold.State == HoldExpired:
		return HoldPastExpiry
	case s.Hold.State != HoldOpen:
		return HoldNotOpen
	case t.Kind != Expire && !t.CreatedAt.Before(s.Hold.ExpiresAt):
		return HoldPastExpiry
	default:
		return ""
	}
}

// checkStatus: what is suspended can be paid and corrected but cannot spend.
// What a hold reserved was promised before, so it may still be captured.
func (t *Transaction) checkStatus(s *State, e *effect) Code {
	spends := e.spent > 0 || t.Kind == Transfer || t.Kind == Extend
	switch {
	case !s.From.moves() && t.Kind != Expire, spends && s.From.Status == Suspended, s.To != nil && !s.To.moves():
		return AccountNotActive
	case spends && s.From.Wallet.Suspended:
		return WalletNotActive
	case s.To != nil && s.To.Currency != s.From.Currency:
		return CurrencyMismatch
	default:
		return ""
	}
}

// moves tells whether the account takes any movement. A status that this version
// does not know takes none.
func (s *Side) moves() bool { return s.Status == Active || s.Status == Suspended }

// checkBounds keeps to the least and the most that the wallet allows at once.
// A call may turn out shorter than the least, so that does not bind a capture.
func (t *Transaction) checkBounds(s *State, e *effect) Code {
	w := &s.From.Wallet
	switch t.Kind {
	case Charge, PlaceHold, Transfer, Capture:
		if t.Kind != Capture && e.moved < w.MinAmount || w.MaxAmount > 0 && e.moved > w.MaxAmount {
			return AmountNotAllowed
		}
	default: // what comes in, and what frees money, is not bound
	}
	return ""
}

// checkFunds: what is spent must be available. An adjustment is the operator's
// correction, a bank's charge-back for example, and may have to take what is
// already spent; and a refund gives back at most what was taken.
func (t *Transaction) checkFunds(s *State, e *effect) Code {
	needed := e.spent
	if t.Kind == Transfer {
		needed = e.moved
	}
	switch {
	case needed > 0 && s.From.Wallet.Available() < needed:
		return InsufficientFunds
	case s.Charge != nil && s.Charge.Amount-s.Charge.Refunded < e.moved:
		return RefundExceedsCharge
	default:
		return ""
	}
}

func (t *Transaction) checkCaps(s *State, e *effect) Code {
	if e.spent > 0 && !s.capLeft().Covers(e.spent) {
		return SpendCapReached
	}
	return ""
}

// count brings the spend counts up to date. What a hold gives back is taken off
// the day on which it was counted.
func (s *State) count(e *effect) {
	w := &s.From.Wallet
	w.Spent = w.Spent.spend(e.spent)
	if s.Key != nil {
		s.Key.Spent = s.Key.spend(e.spent)
	}
	if e.givenBack == 0 {
		return
	}
	w.Spent = w.Spent.giveBack(e.givenBack, DayOf(s.Hold.CreatedAt, s.From.Zone))
	if s.HoldKey != nil {
		s.HoldKey.Spent = s.HoldKey.giveBack(e.givenBack, DayOf(s.Hold.CreatedAt, s.HoldKey.Zone))
	}
}

// add gives the wallet as it is after an entry, but for the entry's hash.
func (w Wallet) add(balance, held Amount) (Wallet, error) {
	var err error
	if w.Balance, err = w.Balance.Add(balance); err != nil {
		return Wallet{}, err
	}
	if w.Held, err = w.Held.Add(held); err != nil {
		return Wallet{}, err
	}
	if err := w.Check(); err != nil {
		return Wallet{}, err
	}
	w.Version++
	return w, nil
}

// enter makes the entry that brought the wallet to where it is, and links it to
// the one before.
func (w *Wallet) enter(t *Transaction, amount Amount) Entry {
	entry := Entry{
		WalletRef:   w.WalletRef,
		Version:     w.Version,
		Transaction: t.ID,
		Amount:      amount,
		Balance:     w.Balance,
		Held:        w.Held,
		CreatedAt:   t.CreatedAt,
	}
	entry.Hash = entry.ChainHash(w.Head, t)
	w.Head = entry.Hash
	return entry
}
