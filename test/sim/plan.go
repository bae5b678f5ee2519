package sim

import (
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// plan is all that an operation will do and what will go wrong with it.
type plan struct {
	action

	requests []ledger.Request
	atomic   bool
	again    bool        // the requests are those of an earlier operation, as they were
	otherKey bool        // but with another key of their owner, where they are decided already
	wrong    ledger.Code // what a request that no ledger takes is answered with
	scope    ledger.AccountID
	reports  []ledger.DeliveryReport
	account  ledger.AccountID
	id       ledger.TransactionID
	change   *change

	passes   time.Duration // how far the clock goes on before
	fault    fault         // of a write of the store
	readFail bool          // the store cannot read for this operation
	readSlow time.Duration // what the store has read is late for this operation
	giveUp   time.Duration // after which the caller goes away; 0 for never
	stubborn bool          // a server that is stopping is asked all the same
}

// plan is what an operation of a client will do.
func (w *world) plan(client, number int) *plan {
	a, d := w.action(client, number)
	p := &plan{action: a}
	w.misfortune(d, p)
	switch a {
	case doPost, doTake, doBatch, doAtomic:
		p.requests, p.atomic = w.posts(client, number)
	case doRetry:
		w.retry(d, p, client, number)
	case doAlter:
		w.alter(d, p, client, number)
	case doWrong:
		r, code := w.wrongRequest(d, fmt.Sprintf("c%d-%d", client, number))
		p.requests, p.wrong = []ledger.Request{r}, code
	case doSettle:
		w.settle(d, p, client, number)
	case doHolder:
		p.account = drawAccount(d)
	case doHold:
		held, _ := w.find(d, client, number, isHold)
		p.id = ledger.NewTransactionID(held.Scope, held.IdempotencyKey)
	case doRead:
		r, _ := w.find(d, client, number, isAny)
		p.id = ledger.NewTransactionID(r.Scope, r.IdempotencyKey)
	case doSettings:
		p.change = drawSettings(d)
	case doAccount:
		p.change = drawAccountChange(d)
	case doCaps:
		p.change = drawCaps(d)
	default: // The others are about the whole ledger, or the process, and have no details.
	}
	if (a == doRetry || a == doAlter) && p.requests == nil {
		p.action, p.account = doHolder, drawAccount(d) // there is nothing to ask for again yet
	}
	return p
}

func (w *world) posts(client, number int) ([]ledger.Request, bool) {
	requests, a := w.requests(client, number)
	return requests, a == doAtomic
}

// misfortune draws what goes wrong, and how time passes.
func (w *world) misfortune(d *dice, p *plan) {
	// In most rounds time goes in steps, so that things happen at the very moment
	// at which a hold expires.
	micros := d.below(10_000)
	switch inSteps := (uint64(w.round)+w.seed)%4 != 0; {
	case !inSteps:
		p.passes = time.Duration(micros) * time.Microsecond
	case micros >= 9500:
		p.passes = 100 * time.Millisecond
	}
	switch n := d.below(30_000); {
	case n < 1:
		p.passes = time.Duration(1+d.below(20)) * 24 * time.Hour
	case n < 4:
		p.passes = time.Duration(1+d.below(72)) * time.Hour
	case n < 30:
		p.passes = time.Duration(1+d.below(7200)) * time.Second
	case n < 200:
		p.passes = -time.Duration(d.below(30)) * 100 * time.Millisecond
	}
	rarely := 700
	if w.nodes > 1 {
		rarely = 150 // each of them has its own, and fewer operations in the same time
	}
	if d.oneIn(rarely) {
		p.fault = fault{kind: w.faultKind(d), call: d.below(6), delay: time.Duration(d.below(2000)) * time.Microsecond, times: 1}
		if p.fault.kind.doubtful() {
			p.fault.times = pick(d, 1, 1, 1, 2, 8) // the last more than the engine tries
		}
	}
	p.readFail = d.oneIn(300)
	if p.action == doHolder && d.oneIn(3) {
		p.readSlow = time.Duration(d.below(1500)) * time.Microsecond
	}
	if d.oneIn(300) {
		p.giveUp = time.Duration(1+d.below(3000)) * time.Microsecond
	}
	p.stubborn = d.percent(5)
}

// faultKind draws a kind of fault.
func (w *world) faultKind(d *dice) faultKind {
	kinds := connectionFaults
	if w.nodes > 1 {
		kinds = faultKinds
	}
	return 1 + faultKind(d.below(int(kinds)-1))
}

// retry asks for an earlier operation once more, as it was.
func (w *world) retry(d *dice, p *plan, client, number int) {
	if d.percent(30) {
		client, number = w.meanwhile(d, client, number)
	} else {
		client, number = w.earlier(d, client, number)
	}
	for n := number; n >= 0 && n > number-lookBack; n-- {
		if p.requests, p.atomic = w.posts(client, n); p.requests != nil {
			p.again, p.otherKey = true, d.percent(30)
			return
		}
	}
}

// alter asks for something else under the idempotency key of an earlier request,
// or of one that is under way, perhaps in a batch.
func (w *world) alter(d *dice, p *plan, client, number int) {
	r, ok := w.find(d, client, number, isAny)
	if d.percent(50) {
		other, n := w.meanwhile(d, client, number)
		for i := range 5 { // in a batch of which all is taken back again, if there is one
			requests, atomic := w.posts(other, max(0, n-2+i))
			if len(requests) > 0 && (i == 0 || atomic) {
				r, ok = pick(d, requests...), true
			}
		}
	}
	if !ok {
		return
	}
	switch {
	case r.Amount > 0 && r.Amount < ledger.MaxAmount:
		r.Amount++
	case r.Parent.IsZero() || r.Kind == ledger.Refund:
		r.Reference += "!"
	default:
		r = ledger.Request{
			Scope: r.Scope, IdempotencyKey: r.IdempotencyKey, Kind: ledger.Charge, Amount: 1,
			Wallet: ledger.WalletRef{Account: max(1, r.Scope), Service: ledger.SMS},
		}
	}
	p.requests = []ledger.Request{r}
}

// wrongRequest is a request that no ledger takes, and what it is answered with.
func (w *world) wrongRequest(d *dice, key string) (ledger.Request, ledger.Code) {
	one := ledger.WalletRef{Account: 1, Service: ledger.SMS}
	charge := ledger.Request{IdempotencyKey: key, Kind: ledger.Charge, Wallet: one, Amount: 1}
	code := ledger.InvalidRequest
	switch d.below(12) {
	case 0:
		charge.Amount = 0
	case 1:
		charge.Amount = -1
	case 2:
		charge.Kind = "gift"
	case 3:
		charge.IdempotencyKey = ""
	case 4:
		charge.Wallet.Service = "SMS"
	case 5:
		charge.ExpiresIn = time.Second
	case 6:
		charge.Kind, charge.ExpiresIn = ledger.PlaceHold, ledger.MaxExpiresIn+time.Second
	case 7:
		charge.Kind, charge.To = ledger.Transfer, one
	case 8:
		charge.Kind = ledger.Refund // of nothing
	case 9:
		charge.Kind, charge.Scope, code = ledger.TopUp, 1, ledger.Forbidden
	case 10:
		charge.Scope, code = 2, ledger.Forbidden
	case 11:
		charge.Kind, charge.Scope, charge.To, code = ledger.Transfer, 1, ledger.WalletRef{Account: 2, Service: ledger.SMS}, ledger.Forbidden
	}
	return charge, code
}

// settle reports what became of messages whose holds were placed before.
func (w *world) settle(d *dice, p *plan, client, number int) {
	if d.percent(25) {
		p.scope = ledger.AccountID(d.between(1, 3))
	}
	for range d.between(1, 6) {
		report := ledger.DeliveryReport{
			Reference: sharedReference(d),
			Status:    pick(d, ledger.Delivered, ledger.Delivered, ledger.Undeliverable, ledger.Enroute, pick(d, ledger.DeliveryStates...)),
		}
		if held, ok := w.find(d, client, number, isHold); ok && held.Reference != "" && d.percent(95) {
			report.Reference = held.Reference
			report.Account = pick(d, ledger.Operator, held.Wallet.Account)
			if held.Scope > ledger.Operator && d.percent(40) {
				p.scope = held.Scope
			}
		}
		if d.percent(1) {
			report.Status = "LOST"
		}
		p.reports = append(p.reports, report)
	}
}

// drawSettings changes the settings of a wallet, or adds the wallet.
func drawSettings(d *dice) *change {
	c := &change{target: target{account: drawAccount(d)}, service: drawService(d)}
	limit := ledger.Amount(d.below(500)) * ledger.Scale * ledger.Amount(d.below(2))
	if c.target.account == whale {
		limit = pick(d, 0, d.huge())
	}
	least, most := ledger.Amount(0), ledger.Amount(0)
	if d.percent(20) {
		least = ledger.Amount(d.below(2 * ledger.Scale))
	}
	if d.percent(20) {
		most = ledger.Amount(1+d.below(800)) * ledger.Scale
	}
	caps := ledger.Caps{}
	if d.percent(40) {
		caps.Daily = ledger.Amount(1+d.below(10_000)) * ledger.Scale
	}
	if d.percent(40) {
		caps.Monthly = ledger.Amount(1+d.below(200_000)) * ledger.Scale
	}
	suspended := d.percent(7)
	if d.percent(40) {
		c.put = &ledger.Settings{CreditLimit: limit, Suspended: suspended, MinAmount: least, MaxAmount: most, Caps: caps}
		return c
	}
	c.wallet = &engine.WalletChange{}
	some(d, &c.wallet.CreditLimit, limit)
	some(d, &c.wallet.MinAmount, least)
	some(d, &c.wallet.MaxAmount, most)
	some(d, &c.wallet.DailyCap, caps.Daily)
	some(d, &c.wallet.MonthlyCap, caps.Monthly)
	some(d, &c.wallet.Suspended, suspended)
	return c
}

// some names a thing in every second case.
func some[T any](d *dice, at **T, value T) {
	if d.percent(50) {
		*at = &value
	}
}

func drawAccountChange(d *dice) *change {
	c := &change{target: target{account: drawAccount(d)}, account: &engine.AccountChange{}}
	some(d, &c.account.Status, pick(d, ledger.Active, ledger.Active, ledger.Active, ledger.Active, ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed))
	if d.percent(30) {
		c.account.ChargeOn = pick(d, policies...)
	}
	some(d, &c.account.Name, fmt.Sprintf("Customer %d", d.below(100)))
	if d.oneIn(4) {
		some(d, &c.account.TimeZone, pick(d, zones...))
	}
	return c
}

func drawCaps(d *dice) *change {
	c := &change{target: target{key: operatorKey}, caps: &ledger.Caps{}}
	if account := drawAccount(d); account != whale {
		c.target.key = keyOf(account)
	}
	if d.percent(80) {
		c.caps.Daily = ledger.Amount(1+d.below(20_000)) * ledger.Scale
	}
	if d.percent(60) {
		c.caps.Monthly = ledger.Amount(1+d.below(300_000)) * ledger.Scale
	}
	return c
}
