package sim

import (
	"fmt"
	"time"
	_ "time/tzdata" // so that the days of the simulation are the same on every machine

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// world says what every client of a round will do. It is a function of the seed:
// the plan of any operation can be made at any time, by anybody.
type world struct {
	seed    uint64
	round   int
	clients int
	nodes   int
}

// services are the wallets that accounts have, or may be given, in order.
var services = []ledger.Service{"fax", ledger.SMS, ledger.VoIP}

// everybody are the accounts of a round. Every two of them share a place in a
// small cache, where one drives out the other.
var everybody = []ledger.AccountID{1, 2, 3, 4, 5, 6, 65, 66, 67, 68, 69, 70}

const (
	whale  = ledger.AccountID(70) // has amounts about the largest there can be
	nobody = ledger.AccountID(71) // no account has this id
	clerk  = ledger.AccountID(99) // has the keys that mark changes, see attempt
)

// operatorKey is a key of the operator that has spend caps.
const operatorKey = "operator"

// keyOf names the key of an account that has spend caps.
func keyOf(id ledger.AccountID) string { return fmt.Sprintf("key-%d", id) }

// began is when the clock of a round starts: near the end of a month.
var began = time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC)

var zones = []string{"UTC", "Asia/Ho_Chi_Minh", "America/New_York", "Pacific/Kiritimati"}

// opening are the changes that make the accounts and keys of a round.
func (w *world) opening() []*change {
	d := rollFor(w.seed, w.round, -1, 0)
	caps := func() ledger.Caps {
		return ledger.Caps{Daily: ledger.Amount(d.between(2, 40)) * 1000 * ledger.Scale, Monthly: ledger.Amount(d.between(0, 9)) * 50_000 * ledger.Scale}
	}
	changes := []*change{{target: target{account: clerk}, create: &ledger.Account{
		ID: clerk, Name: "Clerk", Currency: "CNY", TimeZone: "UTC", ChargeOn: ledger.DefaultChargeOn,
	}}}
	for _, id := range everybody {
		changes = append(changes, &change{target: target{account: id}, create: &ledger.Account{
			ID: id, Name: fmt.Sprintf("Customer %d 客户", id), Currency: pick(d, "CNY", "CNY", "VND"), TimeZone: pick(d, zones...),
			ChargeOn: pick(d, policies...),
		}})
	}
	for _, id := range everybody[6:] {
		changes = append(changes, &change{target: target{account: id}, service: "fax", put: &ledger.Settings{}})
	}
	for _, id := range everybody {
		changes = append(changes, &change{target: target{key: keyOf(id)}, newKey: &ledger.Key{
			Account: id, Scopes: []ledger.Scope{ledger.ScopeTransactionsWrite}, Caps: caps(),
		}})
	}
	return append(changes, &change{target: target{key: operatorKey}, newKey: &ledger.Key{
		Scopes: []ledger.Scope{ledger.ScopeTransactionsWrite}, Caps: caps(),
	}})
}

// policies are the charging states that accounts have.
var policies = [][]ledger.DeliveryState{
	{ledger.Delivered, ledger.Accepted},
	{ledger.Delivered, ledger.Accepted, ledger.Unknown},
	{ledger.Enroute},
	{},
}

// action is what an operation does.
type action uint8

const (
	doPost      action = iota
	doTake             // a posting that others may act upon: a hold
	doBatch            // requests side by side
	doAtomic           // requests that are posted together or not at all
	doRetry            // an earlier operation once more, by anybody
	doAlter            // the key of an earlier request, with another request
	doWrong            // a request that no ledger takes
	doSettle           // delivery reports
	doHolder           // a balance is read
	doHold             // a hold is read
	doRead             // a transaction is read
	doSettings         // settings of a wallet
	doAccount          // status, policy or time zone of an account
	doCaps             // caps of a key
	doSweep            // holds expire
	doRestart          // the server is stopped and started
	doCrash            // the server dies and is started
	actionCount        // is not one of them
)

// weights say how often each action is taken, of their sum.
var weights = [actionCount]int{
	doPost: 4700, doTake: 1600, doBatch: 250, doAtomic: 450, doRetry: 500, doAlter: 250, doWrong: 60, doSettle: 350,
	doHolder: 1300, doHold: 200, doRead: 150, doSettings: 60, doAccount: 50, doCaps: 30, doSweep: 40, doRestart: 1, doCrash: 2,
}

var actionNames = [actionCount]string{
	"post", "hold", "batch", "atomic batch", "retry", "altered retry", "wrong request", "settle", "read balance", "read hold", "read transaction",
	"change wallet", "change account", "change key", "sweep", "restart", "crash",
}

func (a action) String() string { return actionNames[a] }

// action is what an operation does, with the dice that its details are drawn from.
func (w *world) action(client, number int) (action, *dice) {
	d := rollFor(w.seed, w.round, client, number)
	total := 0
	for _, weight := range weights {
		total += weight
	}
	n := d.below(total)
	for a, weight := range weights {
		if n -= weight; n < 0 {
			return action(a), d
		}
	}
	return doPost, d
}
