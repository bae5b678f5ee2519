package storetest

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// model is a ledger in the simplest form that can be right: numbers of any
// size, maps, and every rule written out once more. Its numbers are never
// changed, only replaced, so a copy of the maps is a copy of the model.
type model struct {
	accounts map[ledger.AccountID]ledger.Account
	money    modelMoney
	decided  map[ledger.TransactionID]*ledger.Transaction
	zones    map[string]*time.Location
	// visible are the transactions that a request finds before it is decided; nil for all.
	visible   map[ledger.TransactionID]bool
	exclusive bool
	clock     time.Time
	committed time.Time // the time of the latest commit
	last      time.Time // that of the latest transaction, which is all that a restart leaves
}

// modelMoney is what transactions change.
type modelMoney struct {
	wallets  map[ledger.WalletRef]modelWallet
	holds    map[ledger.TransactionID]ledger.Hold
	refunded map[ledger.TransactionID]*big.Int
	keys     map[string]modelBudget
}

func (m modelMoney) clone() modelMoney {
	return modelMoney{maps.Clone(m.wallets), maps.Clone(m.holds), maps.Clone(m.refunded), maps.Clone(m.keys)}
}

type modelWallet struct {
	balance, held *big.Int
	modelBudget
	settings ledger.Settings
	version  int64
}

// modelBudget is a count of what was spent, with its caps.
type modelBudget struct {
	caps         ledger.Caps
	day          string // 2006-01-02
	today, month *big.Int
}

var (
	zero = new(big.Int)
	most = big.NewInt(int64(ledger.MaxAmount))
)

func number(a ledger.Amount) *big.Int { return big.NewInt(int64(a)) }
func amount(n *big.Int) ledger.Amount { return ledger.Amount(n.Int64()) }
func plus(a, b *big.Int) *big.Int     { return new(big.Int).Add(a, b) }
func minus(a, b *big.Int) *big.Int    { return new(big.Int).Sub(a, b) }
func less(a, b *big.Int) bool         { return a.Cmp(b) < 0 }
func smaller(a, b *big.Int) *big.Int  { return slices.MinFunc([]*big.Int{a, b}, (*big.Int).Cmp) }
func inRange(numbers ...*big.Int) bool {
	return !slices.ContainsFunc(numbers, func(n *big.Int) bool { return n.CmpAbs(most) > 0 })
}

func newModel() *model {
	return &model{
		accounts: map[ledger.AccountID]ledger.Account{},
		money: modelMoney{
			wallets:  map[ledger.WalletRef]modelWallet{},
			holds:    map[ledger.TransactionID]ledger.Hold{},
			refunded: map[ledger.TransactionID]*big.Int{},
			keys:     map[string]modelBudget{},
		},
		decided: map[ledger.TransactionID]*ledger.Transaction{},
		zones:   map[string]*time.Location{"": time.UTC},
	}
}

// now is the time at which what is posted now is decided.
func (m *model) now() time.Time {
	if m.clock.Before(m.committed) {
		return m.committed
	}
	return m.clock
}

// commit moves the time of the latest commit on to now, and gives it. Where others write
// too, it may be somewhat later, which a transaction tells.
func (m *model) commit(told *ledger.Transaction, replayed bool) time.Time {
	m.committed = m.now()
	if !m.exclusive && told != nil && !replayed && told.CreatedAt.After(m.committed) {
		m.committed = told.CreatedAt
	}
	return m.committed
}

func emptyBudget() modelBudget { return modelBudget{today: zero, month: zero} }

func emptyWallet() modelWallet {
	return modelWallet{balance: zero, held: zero, modelBudget: emptyBudget()}
}

func (w *modelWallet) available() *big.Int {
	return plus(minus(w.balance, w.held), number(w.settings.CreditLimit))
}

// carries tells whether every number about the wallet is in range.
func (w *modelWallet) carries() bool {
	return inRange(w.balance, w.held, minus(w.balance, w.held), w.available(), plus(w.balance, number(w.settings.CreditLimit)))
}

// on is the budget as it stands on a day.
func (b modelBudget) on(day string) modelBudget {
	if day <= b.day {
		return b
	}
	if b.day == "" || day[:7] != b.day[:7] {
		b.month = zero
	}
	b.day, b.today = day, zero
	return b
}

// spend counts what is spent, up to the largest amount there is.
func (b modelBudget) spend(n *big.Int) modelBudget {
	b.today, b.month = smaller(plus(b.today, n), most), smaller(plus(b.month, n), most)
	return b
}

// giveBack takes off what was counted on a day.
func (b modelBudget) giveBack(n *big.Int, day string) modelBudget {
	floor := func(n *big.Int) *big.Int { return minus(zero, smaller(zero, minus(zero, n))) }
	if day == b.day {
		b.today = floor(minus(b.today, n))
	}
	if b.day != "" && day[:7] == b.day[:7] {
		b.month = floor(minus(b.month, n))
	}
	return b
}

// left is what the caps leave, nil where there is none.
func (b *modelBudget) left() [2]*big.Int {
	var left [2]*big.Int
	for i, c := range [][2]*big.Int{{number(b.caps.Daily), b.today}, {number(b.caps.Monthly), b.month}} {
		if c[0].Sign() > 0 {
			left[i] = minus(c[0], smaller(c[0], c[1]))
		}
	}
	return left
}

func (m *model) create(a ledger.Account) ledger.Code {
	for _, other := range m.accounts {
		if other.ID == a.ID || a.ExternalReference != "" && other.ExternalReference == a.ExternalReference {
			return ledger.Conflict
		}
	}
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil {
		return ledger.InvalidRequest
	}
	m.zones[a.TimeZone] = zone
	a.Status = ledger.Active
	m.accounts[a.ID] = a
	m.money.wallets[ledger.WalletRef{Account: a.ID, Service: ledger.SMS}] = emptyWallet()
	m.money.wallets[ledger.WalletRef{Account: a.ID, Service: ledger.VoIP}] = emptyWallet()
	return ""
}

func (m *model) update(id ledger.AccountID, status ledger.Status, reference string) ledger.Code {
	a, ok := m.accounts[id]
	if !ok {
		return ledger.NotFound
	}
	for ref, w := range m.money.wallets {
		if ref.Account == id && status == ledger.Closed && w.held.Sign() > 0 {
			return ledger.Conflict
		}
	}
	for _, other := range m.accounts {
		if other.ID != id && reference != "" && other.ExternalReference == reference {
			return ledger.Conflict
		}
	}
	a.Status, a.ExternalReference = status, reference
	m.accounts[id] = a
	return ""
}

// set replaces the settings of a wallet, which may be new.
func (m *model) set(ref ledger.WalletRef, settings ledger.Settings, add bool) ledger.Code {
	valid := settings.MaxAmount == 0 || settings.MinAmount <= settings.MaxAmount
	if add && !valid { // All of the settings are known before the wallet is.
		return ledger.InvalidRequest
	}
	if _, ok := m.accounts[ref.Account]; !ok {
		return ledger.NotFound
	}
	w, ok := m.money.wallets[ref]
	if !ok && !add {
		return ledger.NotFound
	}
	if !ok {
		w = emptyWallet()
	}
	if !valid {
		return ledger.InvalidRequest
	}
	w.settings, w.caps = settings, settings.Caps
	if !w.carries() {
		return ledger.AmountOutOfRange
	}
	m.money.wallets[ref] = w
	return ""
}

func (m *model) setCaps(id string, caps ledger.Caps) ledger.Code {
	key, ok := m.money.keys[id]
	if !ok {
		return ledger.NotFound
	}
	key.caps = caps
	m.money.keys[id] = key
	return ""
}

// day names the day that it is on an account, or for the operator.
func (m *model) day(at time.Time, account ledger.AccountID) string {
	return at.In(m.zones[m.accounts[account].TimeZone]).Format(time.DateOnly)
}

// complete fills in what a request leaves to its parent, among those that are
// visible or those that come before it in its batch.
func (m *model) complete(r *ledger.Request, earlier map[ledger.TransactionID]ledger.Request) ledger.Code {
	if len(r.Metadata) == 0 {
		r.Metadata = nil
	}
	if r.Parent.IsZero() {
		return ""
	}
	parent, ok := earlier[r.Parent]
	if !ok {
		decided := m.decided[r.Parent]
		if decided == nil || m.visible != nil && !m.visible[r.Parent] {
			return ledger.NotFound
		}
		parent = decided.Request
	}
	if r.Wallet == (ledger.WalletRef{}) {
		r.Wallet = parent.Wallet
	}
	if r.Wallet != parent.Wallet || r.Scope > 0 && r.Scope != parent.Wallet.Account {
		return ledger.NotFound
	}
	r.Reference = cmp.Or(r.Reference, parent.Reference)
	return ""
}
