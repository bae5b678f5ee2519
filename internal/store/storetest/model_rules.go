package storetest

import (
	"math/big"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// verdict is what the model makes of a request: a failure, which is not
// remembered, or a transaction.
type verdict struct {
	failure     ledger.Code
	transaction *ledger.Transaction
	replayed    bool
}

// move is what a request would do, were it posted.
type move struct {
	wallet    modelWallet // as it would be
	moved     *big.Int
	needed    *big.Int // of what is available
	spent     *big.Int // as the caps count it
	givenBack *big.Int
	remaining *big.Int
	expires   time.Time
}

// decide gives the verdict on a request at a time. Where it is posted, the model follows.
func (m *model) decide(r *ledger.Request, now time.Time) verdict {
	id := ledger.NewTransactionID(r.Scope, r.IdempotencyKey)
	if earlier := m.decided[id]; earlier != nil {
		if earlier.RequestHash != r.Hash() {
			return verdict{failure: ledger.IdempotencyKeyReused}
		}
		return verdict{transaction: earlier, replayed: true}
	}
	from, there := m.money.wallets[r.Wallet]
	_, other := m.money.wallets[r.To]
	if !there || r.Kind == ledger.Transfer && !other {
		return verdict{failure: ledger.NotFound}
	}
	if code := m.parentFailure(r); code != "" {
		return verdict{failure: code}
	}
	if h := m.money.holds[r.Parent]; r.Kind == ledger.Expire && (h.State != ledger.HoldOpen || now.Before(h.ExpiresAt)) {
		return verdict{failure: ledger.Conflict}
	}
	tx := &ledger.Transaction{Request: *r, ID: id, RequestHash: r.Hash(), CreatedAt: now}
	do := m.move(r, &from, now)
	tx.Rejection = m.rejection(r, &from, &do, now)
	if tx.Rejection == "" {
		m.post(tx, &do)
	}
	m.outcome(tx, now)
	return verdict{transaction: tx}
}

// parentFailure says what is wrong with the hold, or the charge, that a request is about.
func (m *model) parentFailure(r *ledger.Request) ledger.Code {
	switch r.Kind {
	case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
		h, ok := m.money.holds[r.Parent]
		if !ok || h.WalletRef != r.Wallet {
			return ledger.NotFound
		}
		if r.Scope > 0 && h.Scope != r.Scope {
			return ledger.Forbidden
		}
	case ledger.Refund:
		charge := m.decided[r.Parent]
		if charge == nil || charge.Wallet != r.Wallet {
			return ledger.NotFound
		}
		if charge.Rejection != "" || charge.Kind != ledger.Charge && charge.Kind != ledger.Capture {
			return ledger.Conflict
		}
	default:
	}
	return ""
}

func (m *model) move(r *ledger.Request, from *modelWallet, now time.Time) move {
	n, h := number(r.Amount), m.money.holds[r.Parent]
	left := number(h.Remaining)
	do := move{wallet: *from, moved: n, needed: zero, spent: zero, givenBack: zero, remaining: zero, expires: h.ExpiresAt}
	w := &do.wallet
	w.version++
	switch r.Kind {
	case ledger.TopUp, ledger.Refund, ledger.Adjustment:
		w.balance, do.expires = plus(w.balance, n), time.Time{}
	case ledger.Charge:
		w.balance, do.needed, do.spent = minus(w.balance, n), n, n
	case ledger.Transfer:
		w.balance, do.needed = minus(w.balance, n), n
	case ledger.PlaceHold:
		w.held, do.needed, do.spent, do.remaining, do.expires = plus(w.held, n), n, n, n, now.Add(r.ExpiresIn)
	case ledger.Release, ledger.Expire:
		w.held, do.moved, do.givenBack = minus(w.held, left), left, left
	case ledger.Extend:
		do.remaining = left
		if later := now.Add(r.ExpiresIn); later.After(do.expires) {
			do.expires = later
		}
	case ledger.Capture:
		if n.Sign() == 0 {
			do.moved = left
		}
		reserved := smaller(do.moved, left)
		w.balance, w.held = minus(w.balance, do.moved), minus(w.held, reserved)
		do.needed = minus(do.moved, reserved)
		do.spent, do.remaining = do.needed, minus(left, reserved)
		if r.Final {
			w.held, do.givenBack, do.remaining = minus(w.held, do.remaining), do.remaining, zero
		}
	}
	return do
}

// rejection gives the first reason against a request.
func (m *model) rejection(r *ledger.Request, from *modelWallet, do *move, now time.Time) ledger.Code {
	payer, payee := m.accounts[r.Wallet.Account], m.accounts[r.To.Account]
	h, about := m.money.holds[r.Parent]
	spends := do.spent.Sign() > 0 || r.Kind == ledger.Transfer || r.Kind == ledger.Extend
	bounded := r.Kind == ledger.Charge || r.Kind == ledger.PlaceHold || r.Kind == ledger.Transfer
	left := m.left(r, now)
	switch {
	case about && (h.State == ledger.HoldExpired || h.State == ledger.HoldOpen && r.Kind != ledger.Expire && !now.Before(h.ExpiresAt)):
		return ledger.HoldPastExpiry
	case about && h.State != ledger.HoldOpen:
		return ledger.HoldNotOpen
	case payer.Status == ledger.Closed && r.Kind != ledger.Expire, payer.Status == ledger.Suspended && spends, r.Kind == ledger.Transfer && payee.Status == ledger.Closed:
		return ledger.AccountNotActive
	case from.settings.Suspended && spends:
		return ledger.WalletNotActive
	case r.Kind == ledger.Transfer && payee.Currency != payer.Currency:
		return ledger.CurrencyMismatch
	case bounded && less(do.moved, number(from.settings.MinAmount)):
		return ledger.AmountNotAllowed
	case (bounded || r.Kind == ledger.Capture) && from.settings.MaxAmount > 0 && less(number(from.settings.MaxAmount), do.moved):
		return ledger.AmountNotAllowed
	case do.needed.Sign() > 0 && less(from.available(), do.needed):
		return ledger.InsufficientFunds
	case r.Kind == ledger.Refund && less(number(m.decided[r.Parent].Moved), plus(m.refunded(r.Parent), do.moved)):
		return ledger.RefundExceedsCharge
	case do.spent.Sign() > 0 && (left[0] != nil && less(left[0], do.spent) || left[1] != nil && less(left[1], do.spent)):
		return ledger.SpendCapReached
	case !do.wallet.carries(), r.Kind == ledger.Capture && !inRange(plus(number(h.Captured), do.moved)):
		return ledger.AmountOutOfRange
	}
	if r.Kind == ledger.Transfer {
		to := m.money.wallets[r.To]
		if to.balance = plus(to.balance, do.moved); !to.carries() {
			return ledger.AmountOutOfRange
		}
	}
	return ""
}

func (m *model) refunded(charge ledger.TransactionID) *big.Int {
	if n := m.money.refunded[charge]; n != nil {
		return n
	}
	return zero
}

// left is what the caps of the wallet, and those of the key, leave of the day and of the month.
func (m *model) left(r *ledger.Request, now time.Time) [2]*big.Int {
	wallet := m.money.wallets[r.Wallet].on(m.day(now, r.Wallet.Account))
	left := wallet.left()
	if key, ok := m.money.keys[r.Key]; ok {
		key = key.on(m.day(now, ledger.Operator))
		for i, n := range key.left() {
			if n != nil && (left[i] == nil || less(n, left[i])) {
				left[i] = n
			}
		}
	}
	return left
}

// post does what a transaction does.
func (m *model) post(tx *ledger.Transaction, do *move) {
	tx.Moved, tx.Remaining, tx.Version, tx.ExpiresAt = amount(do.moved), amount(do.remaining), do.wallet.version, do.expires
	before := m.money.holds[tx.Parent]
	m.money.wallets[tx.Wallet] = do.wallet
	m.count(tx, do, &before)
	switch tx.Kind {
	case ledger.Transfer:
		to := m.money.wallets[tx.To]
		to.balance = plus(to.balance, do.moved)
		to.version++
		m.money.wallets[tx.To] = to
		tx.ToVersion = to.version
	case ledger.Refund:
		m.money.refunded[tx.Parent] = plus(m.refunded(tx.Parent), do.moved)
	case ledger.PlaceHold:
		m.money.holds[tx.ID] = ledger.Hold{
			ID: tx.ID, WalletRef: tx.Wallet, Scope: tx.Scope, Key: tx.Key, Reference: tx.Reference, State: ledger.HoldOpen,
			Amount: tx.Amount, Remaining: tx.Amount, CreatedAt: tx.CreatedAt, ExpiresAt: tx.ExpiresAt,
		}
	case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
		h := before
		h.Remaining, h.ExpiresAt = tx.Remaining, tx.ExpiresAt
		if tx.Kind == ledger.Capture {
			h.Captured += tx.Moved
		}
		if h.Remaining == 0 {
			h.ClosedAt = tx.CreatedAt
			h.State = map[ledger.Kind]ledger.HoldState{
				ledger.Capture: ledger.HoldCaptured, ledger.Release: ledger.HoldReleased, ledger.Expire: ledger.HoldExpired,
			}[tx.Kind]
		}
		m.money.holds[tx.Parent] = h
	default:
	}
}

// count brings the counts of the wallet and of the keys up to date.
func (m *model) count(tx *ledger.Transaction, do *move, hold *ledger.Hold) {
	w := m.money.wallets[tx.Wallet]
	w.modelBudget = w.on(m.day(tx.CreatedAt, tx.Wallet.Account)).spend(do.spent)
	if do.givenBack.Sign() > 0 {
		w.modelBudget = w.giveBack(do.givenBack, m.day(hold.CreatedAt, tx.Wallet.Account))
	}
	m.money.wallets[tx.Wallet] = w
	today := m.day(tx.CreatedAt, ledger.Operator)
	if key, ok := m.money.keys[tx.Key]; ok {
		m.money.keys[tx.Key] = key.on(today).spend(do.spent)
	}
	if key, ok := m.money.keys[hold.Key]; ok && tx.Kind != ledger.PlaceHold {
		key = key.on(today)
		if do.givenBack.Sign() > 0 {
			key = key.giveBack(do.givenBack, m.day(hold.CreatedAt, ledger.Operator))
		}
		m.money.keys[hold.Key] = key
	}
}

// outcome puts into a transaction what its wallet has, and keeps it.
func (m *model) outcome(tx *ledger.Transaction, now time.Time) {
	w := m.money.wallets[tx.Wallet]
	tx.Balance, tx.Held, tx.Available = amount(w.balance), amount(w.held), amount(w.available())
	tx.CapLeft = ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap}
	if tx.Kind == ledger.Charge || tx.Kind == ledger.PlaceHold || tx.Kind == ledger.Capture {
		left := m.left(&tx.Request, now)
		if left[0] != nil {
			tx.CapLeft.Daily = amount(left[0])
		}
		if left[1] != nil {
			tx.CapLeft.Monthly = amount(left[1])
		}
	}
	tx.Key = "" // which is not kept
	m.decided[tx.ID] = tx
	m.last = now
}

// decideAll gives the verdicts on an atomic batch, whose requests are complete.
func (m *model) decideAll(requests []ledger.Request, now time.Time) []verdict {
	name := ledger.NewBatchID(requests)
	for i := range requests {
		requests[i].Batch = name
	}
	for i := range requests {
		r := &requests[i]
		if earlier := m.decided[ledger.NewTransactionID(r.Scope, r.IdempotencyKey)]; earlier != nil && earlier.RequestHash != r.Hash() {
			return onlyVerdict(len(requests), i, ledger.IdempotencyKeyReused)
		}
		if _, ok := m.money.wallets[r.Wallet]; !ok {
			return onlyVerdict(len(requests), i, ledger.NotFound)
		}
	}
	before, last := m.money.clone(), m.last
	verdicts := make([]verdict, len(requests))
	for i := range requests {
		verdicts[i] = m.decide(&requests[i], now)
		v := &verdicts[i]
		if v.replayed || v.failure == "" && v.transaction.Rejection == "" {
			continue
		}
		m.money, m.last = before, last
		for j := range requests[:i+1] {
			delete(m.decided, ledger.NewTransactionID(requests[j].Scope, requests[j].IdempotencyKey))
		}
		if v.failure != "" {
			return onlyVerdict(len(requests), i, v.failure)
		}
		return m.refuseAll(requests, i, v.transaction.Rejection, now)
	}
	return verdicts
}

// onlyVerdict is that on an atomic batch that one request keeps from being decided.
func onlyVerdict(n, index int, code ledger.Code) []verdict {
	verdicts := make([]verdict, n)
	for i := range verdicts {
		verdicts[i].failure = ledger.BatchRejected
	}
	verdicts[index].failure = code
	return verdicts
}

// refuseAll is the verdict on an atomic batch of which one is rejected.
func (m *model) refuseAll(requests []ledger.Request, index int, reason ledger.Code, now time.Time) []verdict {
	verdicts := make([]verdict, len(requests))
	for i := range requests {
		r := requests[i]
		tx := &ledger.Transaction{Request: r, ID: ledger.NewTransactionID(r.Scope, r.IdempotencyKey), RequestHash: r.Hash(), CreatedAt: now, Rejection: ledger.BatchRejected}
		if i == index {
			tx.Rejection = reason
		}
		m.outcome(tx, now)
		verdicts[i].transaction = tx
	}
	return verdicts
}
