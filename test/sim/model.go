package sim

import (
	"math"
	"math/big"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// model is a ledger in the simplest form that can be right: plain numbers, maps
// of values, and every rule written out once more (rules.go). It takes words
// from package ledger, such as kinds and codes, and none of its arithmetic.
//
// Maps hold values, not pointers, so that a copy of an element is a memory of it.
type model struct {
	accounts map[ledger.AccountID]account
	wallets  map[ledger.WalletRef]wallet
	holds    map[ledger.TransactionID]hold
	charges  map[ledger.TransactionID]charge
	keys     map[string]key
	system   map[systemAccount]*big.Int
	last     map[ledger.WalletRef]time.Time // of the latest decision in each part, see timely
}

// highest is the largest amount; the smallest is its negative.
const highest = math.MaxInt64

// uncapped stands for what is left where there is no cap.
const uncapped = -1

type account struct {
	name     string
	currency string
	status   ledger.Status
	zoneName string
	zone     *time.Location
	chargeOn []ledger.DeliveryState
}

type wallet struct {
	settings

	balance, held int64
	version       int64
	spent         count
}

type settings struct {
	limit          int64 // how far below zero it may be spent
	suspended      bool
	least, most    int64
	daily, monthly int64 // caps, 0 for none
}

func (w *wallet) available() int64 { return w.balance - w.held + w.limit }

// hold is reserved money.
type hold struct {
	wallet    ledger.WalletRef
	scope     ledger.AccountID
	key       string
	reference string
	state     ledger.HoldState
	amount    int64
	captured  int64
	remaining int64
	created   time.Time
	expires   time.Time
	closed    time.Time
}

// charge is a posted charge or capture, and what was given back of it.
type charge struct {
	wallet           ledger.WalletRef
	amount, refunded int64
}

type key struct {
	owner          ledger.AccountID
	daily, monthly int64
	spent          count
}

type systemAccount struct {
	name     ledger.SystemAccount
	currency string
}

func newModel() *model {
	return &model{
		accounts: map[ledger.AccountID]account{},
		wallets:  map[ledger.WalletRef]wallet{},
		holds:    map[ledger.TransactionID]hold{},
		charges:  map[ledger.TransactionID]charge{},
		keys:     map[string]key{},
		system:   map[systemAccount]*big.Int{},
		last:     map[ledger.WalletRef]time.Time{},
	}
}

// zoneOf is where the days of a key begin: with its account, or in UTC.
func (m *model) zoneOf(k key) *time.Location {
	if k.owner == ledger.Operator {
		return time.UTC
	}
	return m.accounts[k.owner].zone
}

// sum adds numbers of which any two may pass 64 bits together; ok tells whether
// the result is an amount.
func sum(terms ...int64) (total int64, ok bool) {
	var high, low int64 // of 32 bits each, with room for many terms
	for _, term := range terms {
		high += term >> 32
		low += term & math.MaxUint32
	}
	high += low >> 32
	low &= math.MaxUint32
	if high < math.MinInt32 || high > math.MaxInt32 {
		return 0, false
	}
	total = high<<32 | low
	return total, total != math.MinInt64
}

// count is what was spent on a day, which is the number 20261122, and in its month.
type count struct {
	day          int
	today, month int64
}

func dayOf(at time.Time, zone *time.Location) int {
	year, month, day := at.In(zone).Date()
	return (year*100+int(month))*100 + day
}

// on is the count as a day finds it. A day that is not after the count's own goes on with it.
func (c count) on(day int) count {
	if day <= c.day {
		return c
	}
	fresh := count{day: day}
	if day/100 == c.day/100 {
		fresh.month = c.month
	}
	return fresh
}

func (c count) add(amount int64) count {
	var ok bool
	if c.today, ok = sum(c.today, amount); !ok {
		c.today = highest
	}
	if c.month, ok = sum(c.month, amount); !ok {
		c.month = highest
	}
	return c
}

// takeOff gives back what was counted on a day.
func (c count) takeOff(amount int64, day int) count {
	if day == c.day {
		c.today = max(c.today-amount, 0)
	}
	if day/100 == c.day/100 {
		c.month = max(c.month-amount, 0)
	}
	return c
}

// left is what caps leave of a count.
func (c count) left(daily, monthly int64) (day, month int64) {
	day, month = uncapped, uncapped
	if daily > 0 {
		day = max(daily-c.today, 0)
	}
	if monthly > 0 {
		month = max(monthly-c.month, 0)
	}
	return day, month
}

// smaller is the smaller of two remainders of caps.
func smaller(a, b int64) int64 {
	if a == uncapped || b != uncapped && b < a {
		return b
	}
	return a
}
