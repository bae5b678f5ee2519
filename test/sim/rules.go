package sim

import (
	"math/big"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// subject is what a request is about, in copies.
type subject struct {
	account, toAccount account
	wallet, to         wallet
	hold               hold
	charge             charge
	key, holdKey       *key // nil where there is none; one key where both are the same
}

// flow is what a request would do to its subject.
type flow struct {
	moved     int64
	balance   int64 // added to the wallet
	held      int64
	spent     int64 // counted by the caps
	back      int64 // taken off the count again
	remaining int64 // of the hold afterwards
	expires   time.Time
}

// aboutHold tells whether a kind acts on a hold that is there already.
func aboutHold(kind ledger.Kind) bool {
	switch kind {
	case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
		return true
	default:
		return false
	}
}

// subject finds what a request is about, or says why it cannot even be decided.
func (m *model) subject(r *ledger.Request) (s subject, failure ledger.Code) {
	var there bool
	if s.wallet, there = m.wallets[r.Wallet]; !there {
		return s, ledger.NotFound
	}
	s.account = m.accounts[r.Wallet.Account]
	switch {
	case r.Kind == ledger.Transfer:
		if s.to, there = m.wallets[r.To]; !there {
			return s, ledger.NotFound
		}
		s.toAccount = m.accounts[r.To.Account]
	case r.Kind == ledger.Refund:
		if s.charge, there = m.charges[r.Parent]; !there || s.charge.wallet != r.Wallet {
			return s, ledger.NotFound
		}
	case aboutHold(r.Kind):
		if s.hold, there = m.holds[r.Parent]; !there || s.hold.wallet != r.Wallet {
			return s, ledger.NotFound
		}
		if r.Scope > ledger.Operator && r.Scope != s.hold.scope {
			return s, ledger.Forbidden
		}
		s.holdKey = m.key(s.hold.key)
	}
	if s.holdKey != nil && s.hold.key == r.Key {
		s.key = s.holdKey
	} else {
		s.key = m.key(r.Key)
	}
	return s, ""
}

func (m *model) key(id string) *key {
	k, there := m.keys[id]
	if !there {
		return nil
	}
	return &k
}

// today brings the counts of the subject to the day that it is.
func (m *model) today(s *subject, now time.Time) {
	s.wallet.spent = s.wallet.spent.on(dayOf(now, s.account.zone))
	for _, k := range []*key{s.key, s.holdKey} {
		if k != nil {
			k.spent = k.spent.on(dayOf(now, m.zoneOf(*k)))
		}
	}
}

// flow is what a request would do, if it may.
func (s *subject) flow(r *ledger.Request, now time.Time) flow {
	amount := int64(r.Amount)
	open := s.hold.remaining
	switch r.Kind {
	case ledger.Charge:
		return flow{moved: amount, balance: -amount, spent: amount}
	case ledger.Transfer:
		return flow{moved: amount, balance: -amount}
	case ledger.PlaceHold:
		return flow{moved: amount, held: amount, spent: amount, remaining: amount, expires: now.Add(r.ExpiresIn)}
	case ledger.Release, ledger.Expire:
		return flow{moved: open, held: -open, back: open, expires: s.hold.expires}
	case ledger.Extend:
		later := now.Add(r.ExpiresIn)
		if s.hold.expires.After(later) {
			later = s.hold.expires
		}
		return flow{remaining: open, expires: later}
	case ledger.Capture:
		if amount == 0 {
			amount = open
		}
		f := flow{moved: amount, balance: -amount, expires: s.hold.expires}
		switch {
		case amount >= open:
			f.held, f.spent = -open, amount-open
		case r.Final:
			f.held, f.back = -open, open-amount
		default:
			f.held, f.remaining = -amount, open-amount
		}
		return f
	default: // what comes in, and corrections
		return flow{moved: amount, balance: amount}
	}
}

// refusal is the first rule that a request breaks, "" where it keeps them all.
func (s *subject) refusal(r *ledger.Request, f *flow, now time.Time) ledger.Code {
	if aboutHold(r.Kind) {
		switch {
		case s.hold.state == ledger.HoldExpired:
			return ledger.HoldPastExpiry
		case s.hold.state != ledger.HoldOpen:
			return ledger.HoldNotOpen
		case r.Kind != ledger.Expire && !now.Before(s.hold.expires):
			return ledger.HoldPastExpiry
		}
	}
	spends := f.spent > 0 || r.Kind == ledger.Transfer || r.Kind == ledger.Extend
	transfer := r.Kind == ledger.Transfer
	bounded := transfer || r.Kind == ledger.Charge || r.Kind == ledger.PlaceHold
	needed := f.spent
	if transfer {
		needed = f.moved
	}
	day, month := s.capLeft()
	switch {
	case s.account.status == ledger.Closed && r.Kind != ledger.Expire,
		s.account.status == ledger.Suspended && spends,
		transfer && s.toAccount.status == ledger.Closed:
		return ledger.AccountNotActive
	case s.wallet.suspended && spends:
		return ledger.WalletNotActive
	case transfer && s.toAccount.currency != s.account.currency:
		return ledger.CurrencyMismatch
	case bounded && f.moved < s.wallet.least:
		return ledger.AmountNotAllowed
	case (bounded || r.Kind == ledger.Capture) && s.wallet.most > 0 && f.moved > s.wallet.most:
		return ledger.AmountNotAllowed
	case needed > 0 && s.wallet.available() < needed:
		return ledger.InsufficientFunds
	case r.Kind == ledger.Refund && s.charge.refunded > s.charge.amount-f.moved:
		return ledger.RefundExceedsCharge
	case f.spent > 0 && (day != uncapped && day < f.spent || month != uncapped && month < f.spent):
		return ledger.SpendCapReached
	case !s.carries(r, f):
		return ledger.AmountOutOfRange
	}
	return ""
}

// carries tells whether every number that the request would lead to is an amount.
func (s *subject) carries(r *ledger.Request, f *flow) bool {
	after := s.wallet
	var balance, held, fits bool
	after.balance, balance = sum(after.balance, f.balance)
	after.held, held = sum(after.held, f.held)
	fits = balance && held && after.fits()
	if r.Kind == ledger.Transfer {
		receiver := s.to
		receiver.balance, balance = sum(receiver.balance, -f.balance)
		fits = fits && balance && receiver.fits()
	}
	if r.Kind == ledger.Capture {
		_, captured := sum(s.hold.captured, f.moved)
		fits = fits && captured
	}
	return fits
}

func (w *wallet) fits() bool {
	_, shown := sum(w.balance, -w.held)
	_, available := sum(w.balance, -w.held, w.limit)
	_, credited := sum(w.balance, w.limit)
	return shown && available && credited
}

// capLeft is what the caps of the wallet and of the caller's key leave.
func (s *subject) capLeft() (day, month int64) {
	day, month = s.wallet.spent.left(s.wallet.daily, s.wallet.monthly)
	if s.key != nil {
		keyDay, keyMonth := s.key.spent.left(s.key.daily, s.key.monthly)
		day, month = smaller(day, keyDay), smaller(month, keyMonth)
	}
	return day, month
}

// decide gives the transaction that a request becomes at a time, and lets the
// model follow. A failure means that there is none.
func (m *model) decide(r *ledger.Request, now time.Time) (t *ledger.Transaction, failure ledger.Code) {
	s, failure := m.subject(r)
	if failure != "" {
		return nil, failure
	}
	if r.Kind == ledger.Expire && (s.hold.state != ledger.HoldOpen || now.Before(s.hold.expires)) {
		return nil, ledger.Conflict
	}
	m.today(&s, now)
	f := s.flow(r, now)
	t = &ledger.Transaction{Request: *r, ID: ledger.NewTransactionID(r.Scope, r.IdempotencyKey), CreatedAt: now}
	t.Rejection = s.refusal(r, &f, now)
	switch {
	case t.Rejection == "":
		m.post(t, &s, &f)
	case r.Scope == ledger.System && t.Rejection != ledger.HoldNotOpen && t.Rejection != ledger.HoldPastExpiry:
		// The ledger itself could not ask again: its keys follow from the hold.
		return nil, t.Rejection
	}
	s.conclude(t)
	return t, ""
}

// refuse gives the transaction of a request that is rejected because of another
// one of its batch, or because it is to blame for that.
func (m *model) refuse(r *ledger.Request, reason ledger.Code, now time.Time) (t *ledger.Transaction, failure ledger.Code) {
	s := subject{key: m.key(r.Key)}
	var there bool
	if s.wallet, there = m.wallets[r.Wallet]; !there {
		return nil, ledger.NotFound
	}
	s.account = m.accounts[r.Wallet.Account]
	m.today(&s, now)
	t = &ledger.Transaction{
		Request: *r, ID: ledger.NewTransactionID(r.Scope, r.IdempotencyKey), CreatedAt: now, Rejection: reason,
	}
	s.conclude(t)
	return t, ""
}

// conclude writes down how the request left its wallet.
func (s *subject) conclude(t *ledger.Transaction) {
	t.Balance, t.Held = ledger.Amount(s.wallet.balance), ledger.Amount(s.wallet.held)
	t.Available = ledger.Amount(s.wallet.available())
	day, month := int64(uncapped), int64(uncapped)
	switch t.Kind {
	case ledger.Charge, ledger.PlaceHold, ledger.Capture:
		day, month = s.capLeft()
	default: // No cap counts the other kinds, so their transactions say nothing of caps.
	}
	t.CapLeft = ledger.CapLeft{Daily: ledger.Amount(day), Monthly: ledger.Amount(month)}
}

// post lets the subject, and then the model, follow a request that keeps the rules.
func (m *model) post(t *ledger.Transaction, s *subject, f *flow) {
	s.wallet.balance += f.balance
	s.wallet.held += f.held
	s.wallet.version++
	t.Moved, t.Remaining, t.ExpiresAt, t.Version = ledger.Amount(f.moved), ledger.Amount(f.remaining), f.expires, s.wallet.version
	s.countSpent(m, f)
	m.wallets[t.Wallet] = s.wallet
	if t.Kind == ledger.Transfer {
		s.to.balance -= f.balance
		s.to.version++
		t.ToVersion = s.to.version
		m.wallets[t.To] = s.to
	}
	if s.key != nil {
		m.keys[t.Key] = *s.key
	}
	if s.holdKey != nil {
		m.keys[s.hold.key] = *s.holdKey
	}
	m.keepHold(t, s, f)
	switch t.Kind {
	case ledger.Charge, ledger.Capture:
		m.charges[t.ID] = charge{wallet: t.Wallet, amount: f.moved}
	case ledger.Refund:
		s.charge.refunded += f.moved
		m.charges[t.Parent] = s.charge
	default: // The other kinds neither make nor reduce what can be refunded.
	}
	m.addSystem(t, s.account.currency, f)
}

func (s *subject) countSpent(m *model, f *flow) {
	s.wallet.spent = s.wallet.spent.add(f.spent)
	if s.key != nil {
		s.key.spent = s.key.spent.add(f.spent)
	}
	if f.back > 0 {
		s.wallet.spent = s.wallet.spent.takeOff(f.back, dayOf(s.hold.created, s.account.zone))
		if s.holdKey != nil {
			s.holdKey.spent = s.holdKey.spent.takeOff(f.back, dayOf(s.hold.created, m.zoneOf(*s.holdKey)))
		}
	}
}

// keepHold places the hold of a request, or brings the one that it is about up to date.
func (m *model) keepHold(t *ledger.Transaction, s *subject, f *flow) {
	id, h := t.Parent, s.hold
	switch t.Kind {
	case ledger.PlaceHold:
		id = t.ID
		h = hold{
			wallet: t.Wallet, scope: t.Scope, key: t.Key, reference: t.Reference, state: ledger.HoldOpen,
			amount: f.moved, created: t.CreatedAt,
		}
	case ledger.Capture:
		h.captured += f.moved
		if f.remaining == 0 {
			h.state, h.closed = ledger.HoldCaptured, t.CreatedAt
		}
	case ledger.Release:
		h.state, h.closed = ledger.HoldReleased, t.CreatedAt
	case ledger.Expire:
		h.state, h.closed = ledger.HoldExpired, t.CreatedAt
	case ledger.Extend:
	default:
		return
	}
	h.remaining, h.expires = f.remaining, f.expires
	m.holds[id] = h
}

// addSystem adds the other side of a movement to its system account.
func (m *model) addSystem(t *ledger.Transaction, currency string, f *flow) {
	var name ledger.SystemAccount
	switch t.Kind {
	case ledger.TopUp:
		name = ledger.Funding
	case ledger.Charge, ledger.Capture, ledger.Refund:
		name = ledger.Revenue
	case ledger.Adjustment:
		name = ledger.Adjustments
	default:
		return
	}
	at := systemAccount{name, currency}
	before := m.system[at]
	if before == nil {
		before = new(big.Int)
	}
	// A new number, so that a copy of the map remembers the old one.
	m.system[at] = new(big.Int).Sub(before, big.NewInt(f.balance))
}
