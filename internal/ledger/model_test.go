package ledger_test

import (
	"cmp"
	"math/big"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The model: the rules about money in the plainest form there is. Every number
// is a big.Int, which no sum overflows; a day is its name, and what was spent on
// it stands under that name in a map. It shares no arithmetic and no dates with
// the package.

type modelAccount struct {
	currency string
	status   ledger.Status
	zone     *time.Location
}

// modelBudget counts what was spent, by day and by month.
type modelBudget struct {
	daily, monthly *big.Int // caps; zero is none
	zone           *time.Location
	day            string              // the last one that was counted, such as "2026-03-01"
	spent          map[string]*big.Int // by "2026-03-01", and by "2026-03"
}

func newModelBudget(zone *time.Location) *modelBudget {
	return &modelBudget{daily: new(big.Int), monthly: new(big.Int), zone: zone, spent: map[string]*big.Int{}}
}

// on is the day that is counted at a time: never one before the last.
func (b *modelBudget) on(at time.Time) string {
	return max(b.day, at.In(cmp.Or(b.zone, time.UTC)).Format(time.DateOnly))
}

// in is what was spent in a day or month.
func (b *modelBudget) in(period string) *big.Int {
	return cmp.Or(b.spent[period], new(big.Int))
}

// left is what the caps leave at a time, nil where there is none.
func (b *modelBudget) left(at time.Time) (daily, monthly *big.Int) {
	day := b.on(at)
	if b.daily.Sign() > 0 {
		daily = atLeastZero(sub(b.daily, b.in(day)))
	}
	if b.monthly.Sign() > 0 {
		monthly = atLeastZero(sub(b.monthly, b.in(day[:7])))
	}
	return daily, monthly
}

// spend counts an amount at a time.
func (b *modelBudget) spend(amount *big.Int, at time.Time) {
	b.day = b.on(at)
	for _, period := range []string{b.day, b.day[:7]} {
		b.spent[period] = smaller(add(b.in(period), amount), bigOf(ledger.MaxAmount))
	}
}

// giveBack takes off what was counted at another time, where that is still the
// same day, or month.
func (b *modelBudget) giveBack(amount *big.Int, spentAt, at time.Time) {
	b.day = b.on(at)
	then := spentAt.In(cmp.Or(b.zone, time.UTC)).Format(time.DateOnly)
	if then == b.day {
		b.spent[then] = atLeastZero(sub(b.in(then), amount))
	}
	if then[:7] == b.day[:7] {
		b.spent[then[:7]] = atLeastZero(sub(b.in(then[:7]), amount))
	}
}

type modelWallet struct {
	account               *modelAccount
	balance, held, credit *big.Int
	least, most           *big.Int
	suspended             bool
	budget                *modelBudget
	entries               int64
}

func (w *modelWallet) available() *big.Int { return add(sub(w.balance, w.held), w.credit) }

// carries tells whether every sum over the wallet would stay within an Amount.
func (w *modelWallet) carries(balance, held *big.Int) bool {
	return fits(balance) && fits(held) && fits(sub(balance, held)) &&
		fits(add(sub(balance, held), w.credit)) && fits(add(balance, w.credit))
}

type modelHold struct {
	ref                          ledger.WalletRef
	key                          string
	placed, captured, remaining  *big.Int
	state                        ledger.HoldState
	createdAt, expiresAt, closed time.Time
}

type modelCharge struct {
	ref              ledger.WalletRef
	amount, refunded *big.Int
}

// model is the whole ledger.
type model struct {
	accounts map[ledger.AccountID]*modelAccount
	wallets  map[ledger.WalletRef]*modelWallet
	holds    map[ledger.TransactionID]*modelHold
	charges  map[ledger.TransactionID]*modelCharge
	keys     map[string]*modelBudget
	system   map[string]*big.Int // by currency and system account
}

// movement is what a request would do, in numbers without a sign but for money.
type movement struct {
	moved            *big.Int
	money            *big.Int // added to the balance
	reserved, freed  *big.Int // added to, and taken from, what is held
	spent, givenBack *big.Int // by the spend counts
	remaining        *big.Int
	expiresAt        time.Time
	state            ledger.HoldState
}

func (m *model) movement(r *ledger.Request, at time.Time) movement {
	v := movement{
		moved: bigOf(r.Amount), money: new(big.Int), reserved: new(big.Int), freed: new(big.Int),
		spent: new(big.Int), givenBack: new(big.Int), remaining: new(big.Int),
	}
	hold := m.holds[r.Parent]
	if hold != nil {
		v.expiresAt = hold.expiresAt
	}
	switch r.Kind {
	case ledger.TopUp, ledger.Refund, ledger.Adjustment:
		v.money = v.moved
	case ledger.Transfer:
		v.money = new(big.Int).Neg(v.moved)
	case ledger.Charge:
		v.money, v.spent = new(big.Int).Neg(v.moved), v.moved
	case ledger.PlaceHold:
		v.reserved, v.spent, v.remaining = v.moved, v.moved, v.moved
		v.expiresAt, v.state = at.Add(r.ExpiresIn), ledger.HoldOpen
	case ledger.Extend:
		v.remaining, v.state = hold.remaining, ledger.HoldOpen
		if later := at.Add(r.ExpiresIn); later.After(v.expiresAt) {
			v.expiresAt = later
		}
	case ledger.Release, ledger.Expire:
		v.moved, v.freed, v.givenBack = hold.remaining, hold.remaining, hold.remaining
		v.state = map[ledger.Kind]ledger.HoldState{ledger.Release: ledger.HoldReleased, ledger.Expire: ledger.HoldExpired}[r.Kind]
	case ledger.Capture:
		m.capture(r, hold, &v)
	}
	return v
}

func (m *model) capture(r *ledger.Request, hold *modelHold, v *movement) {
	if r.Amount == 0 {
		v.moved = hold.remaining
	}
	v.money = new(big.Int).Neg(v.moved)
	v.freed = smaller(v.moved, hold.remaining)
	v.spent = sub(v.moved, v.freed)
	v.remaining = sub(hold.remaining, v.freed)
	if r.Final {
		v.givenBack, v.freed, v.remaining = v.remaining, hold.remaining, new(big.Int)
	}
	if v.state = ledger.HoldCaptured; v.remaining.Sign() > 0 {
		v.state = ledger.HoldOpen
	}
}

// capLeft is what the wallet's caps and the key's leave together, nil for no cap.
func (m *model) capLeft(r *ledger.Request, at time.Time) (daily, monthly *big.Int) {
	daily, monthly = m.wallets[r.Wallet].budget.left(at)
	if key := m.keys[r.Key]; key != nil {
		d, n := key.left(at)
		daily, monthly = lessOf(daily, d), lessOf(monthly, n)
	}
	return daily, monthly
}

// outcome says why a request is rejected, "" where it is posted. The reasons are
// looked at in their order.
func (m *model) outcome(r *ledger.Request, v *movement, at time.Time) ledger.Code {
	for _, reason := range []func(*ledger.Request, *movement, time.Time) ledger.Code{m.ofHold, m.ofStatus, m.ofAmount, m.ofMoney, m.ofRange} {
		if code := reason(r, v, at); code != "" {
			return code
		}
	}
	return ""
}

func (m *model) ofHold(r *ledger.Request, _ *movement, at time.Time) ledger.Code {
	hold := m.holds[r.Parent]
	if hold == nil {
		return ""
	}
	late := r.Kind != ledger.Expire && !hold.expiresAt.After(at)
	switch hold.state {
	case ledger.HoldCaptured, ledger.HoldReleased:
		return ledger.HoldNotOpen
	case ledger.HoldExpired:
		return ledger.HoldPastExpiry
	case ledger.HoldOpen:
		if late {
			return ledger.HoldPastExpiry
		}
	}
	return ""
}

func (m *model) ofStatus(r *ledger.Request, v *movement, _ time.Time) ledger.Code {
	wallet := m.wallets[r.Wallet]
	spends := v.spent.Sign() > 0
	switch r.Kind {
	case ledger.Transfer, ledger.Extend:
		spends = true
	case ledger.Expire:
		return ""
	default:
	}
	if wallet.account.status == ledger.Closed || spends && wallet.account.status == ledger.Suspended {
		return ledger.AccountNotActive
	}
	if to := m.wallets[r.To]; to != nil && to.account.status == ledger.Closed {
		return ledger.AccountNotActive
	}
	if spends && wallet.suspended {
		return ledger.WalletNotActive
	}
	if to := m.wallets[r.To]; to != nil && to.account.currency != wallet.account.currency {
		return ledger.CurrencyMismatch
	}
	return ""
}

func (m *model) ofAmount(r *ledger.Request, v *movement, _ time.Time) ledger.Code {
	wallet := m.wallets[r.Wallet]
	below := wallet.least.Sign() > 0 && v.moved.Cmp(wallet.least) < 0
	above := wallet.most.Sign() > 0 && v.moved.Cmp(wallet.most) > 0
	switch r.Kind {
	case ledger.Charge, ledger.PlaceHold, ledger.Transfer:
		if below || above {
			return ledger.AmountNotAllowed
		}
	case ledger.Capture:
		if above {
			return ledger.AmountNotAllowed
		}
	default:
	}
	return ""
}

func (m *model) ofMoney(r *ledger.Request, v *movement, at time.Time) ledger.Code {
	wallet := m.wallets[r.Wallet]
	needed := v.spent
	if r.Kind == ledger.Transfer {
		needed = v.moved
	}
	if needed.Sign() > 0 && wallet.available().Cmp(needed) < 0 {
		return ledger.InsufficientFunds
	}
	if charge := m.charges[r.Parent]; charge != nil && add(charge.refunded, v.moved).Cmp(charge.amount) > 0 {
		return ledger.RefundExceedsCharge
	}
	daily, monthly := m.capLeft(r, at)
	for _, left := range []*big.Int{daily, monthly} {
		if v.spent.Sign() > 0 && left != nil && left.Cmp(v.spent) < 0 {
			return ledger.SpendCapReached
		}
	}
	return ""
}

func (m *model) ofRange(r *ledger.Request, v *movement, _ time.Time) ledger.Code {
	wallet := m.wallets[r.Wallet]
	if !wallet.carries(add(wallet.balance, v.money), sub(add(wallet.held, v.reserved), v.freed)) {
		return ledger.AmountOutOfRange
	}
	if to := m.wallets[r.To]; to != nil && !to.carries(sub(to.balance, v.money), to.held) {
		return ledger.AmountOutOfRange
	}
	if hold := m.holds[r.Parent]; hold != nil && r.Kind == ledger.Capture && !fits(add(hold.captured, v.moved)) {
		return ledger.AmountOutOfRange
	}
	return ""
}

// post does what a request asks for, once nothing is against it.
func (m *model) post(id ledger.TransactionID, r *ledger.Request, v *movement, at time.Time) {
	wallet := m.wallets[r.Wallet]
	wallet.balance = add(wallet.balance, v.money)
	wallet.held = sub(add(wallet.held, v.reserved), v.freed)
	wallet.entries++
	if to := m.wallets[r.To]; to != nil {
		to.balance = sub(to.balance, v.money)
		to.entries++
	} else if counterpart := string(r.Kind.Counterpart()); counterpart != "" {
		name := wallet.account.currency + " " + counterpart
		m.system[name] = sub(cmp.Or(m.system[name], new(big.Int)), v.money)
	}
	budgets := []*modelBudget{wallet.budget}
	if key := m.keys[r.Key]; key != nil {
		budgets = append(budgets, key)
	}
	for _, budget := range budgets {
		budget.spend(v.spent, at)
	}
	if hold := m.holds[r.Parent]; hold != nil {
		m.postHold(hold, r, v, at)
	}
	if charge := m.charges[r.Parent]; charge != nil && r.Kind == ledger.Refund {
		charge.refunded = add(charge.refunded, v.moved)
	}
	switch r.Kind {
	case ledger.PlaceHold:
		m.holds[id] = &modelHold{
			ref: r.Wallet, key: r.Key, placed: v.moved, captured: new(big.Int), remaining: v.remaining,
			state: v.state, createdAt: at, expiresAt: v.expiresAt,
		}
	case ledger.Charge, ledger.Capture:
		m.charges[id] = &modelCharge{r.Wallet, v.moved, new(big.Int)}
	default:
	}
}

func (m *model) postHold(hold *modelHold, r *ledger.Request, v *movement, at time.Time) {
	m.wallets[r.Wallet].budget.giveBack(v.givenBack, hold.createdAt, at)
	if key := m.keys[hold.key]; key != nil {
		key.giveBack(v.givenBack, hold.createdAt, at)
	}
	if r.Kind == ledger.Capture {
		hold.captured = add(hold.captured, v.moved)
	}
	hold.remaining, hold.expiresAt, hold.state = v.remaining, v.expiresAt, v.state
	if v.state != ledger.HoldOpen {
		hold.closed = at
	}
}

func add(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
func sub(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

func smaller(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// lessOf is the smaller of two numbers, of which either may be missing.
func lessOf(a, b *big.Int) *big.Int {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return smaller(a, b)
}

func atLeastZero(a *big.Int) *big.Int {
	if a.Sign() < 0 {
		return new(big.Int)
	}
	return a
}
