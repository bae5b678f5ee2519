package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about what the clients ask the ledger to post.

// kinds are those of single postings other than holds, as often as they are drawn.
var kinds = []ledger.Kind{
	ledger.TopUp, ledger.TopUp, ledger.TopUp, ledger.Charge, ledger.Charge, ledger.Charge, ledger.Charge, ledger.Charge, ledger.Charge,
	ledger.Refund, ledger.Refund, ledger.Adjustment, ledger.Transfer, ledger.Transfer,
	ledger.Capture, ledger.Capture, ledger.Capture, ledger.Capture, ledger.Release, ledger.Extend, ledger.Extend,
}

// kind is what a single posting does.
func (a action) kind(d *dice) ledger.Kind {
	if a == doTake {
		return ledger.PlaceHold
	}
	return pick(d, kinds...)
}

// single is the request of an operation that makes one posting.
func (w *world) single(client, number int) (r ledger.Request, ok bool) {
	a, d := w.action(client, number)
	if a != doPost && a != doTake {
		return r, false
	}
	return w.request(d, a.kind(d), client, number, fmt.Sprintf("c%d-%d", client, number)), true
}

// requests are those of an operation that posts; none where it does not.
func (w *world) requests(client, number int) (requests []ledger.Request, a action) {
	a, d := w.action(client, number)
	switch a {
	case doPost, doTake:
		r, _ := w.single(client, number)
		return []ledger.Request{r}, a
	case doBatch:
		return w.batch(d, client, number, pick(d, 3, 3, 5, 5, 5, 9, 9, 9, 9, 30, 30, pick(d, 60, 60, 60, 400))), a
	case doAtomic:
		return w.batch(d, client, number, pick(d, 2, 2, 3, 3, 4, 6)), a
	default:
		return nil, a
	}
}

// batch are requests of which some are about earlier ones among them.
func (w *world) batch(d *dice, client, number, size int) []ledger.Request {
	switch name := fmt.Sprintf("c%d-%d", client, number); {
	case d.oneIn(25):
		return greedy(d, name)
	case size < 10 && d.percent(25):
		return doomed(d, name, number)
	}
	requests := make([]ledger.Request, 0, size)
	for item := range size {
		kind := pick(d, kinds...)
		if d.percent(25) {
			kind = ledger.PlaceHold
		}
		r := w.request(d, kind, client, number, fmt.Sprintf("c%d-%d.%d", client, number, item))
		if item > 0 && d.percent(35) {
			if other := &requests[d.below(item)]; !isHot(other) {
				actUpon(d, &r, other)
			}
		}
		// Only where it can be told what the request is completed to, whatever the
		// order: one that is about a hold may or may not find it, and then counts
		// for the next one in the batch, or does not.
		switch {
		case !r.Parent.IsZero():
		case d.oneIn(30) && item > 0 && r.Scope == requests[item-1].Scope && requests[item-1].Parent.IsZero():
			r.IdempotencyKey = requests[item-1].IdempotencyKey
		case d.oneIn(30):
			// Somebody else's key, perhaps used and perhaps not yet.
			if other, ok := w.find(d, client, number, isAny); ok && r.Scope == other.Scope {
				r.IdempotencyKey = other.IdempotencyKey
			}
		}
		requests = append(requests, r)
	}
	return requests
}

// doomed is a batch of which the first takes a little of what many act upon at
// that time, and the last cannot be: where it is atomic, all is taken back.
func doomed(d *dice, name string, number int) []ledger.Request {
	last := ledger.Request{Kind: ledger.Charge, Amount: ledger.MaxAmount, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}}
	if held := hot(number, ledger.PlaceHold); d.percent(50) {
		last = ledger.Request{Kind: ledger.Refund, Amount: 1, Parent: ledger.NewTransactionID(held.Scope, held.IdempotencyKey)}
	}
	requests := []ledger.Request{
		nibble(d, number),
		{Kind: ledger.TopUp, Amount: 1, Wallet: ledger.WalletRef{Account: 2, Service: ledger.SMS}},
		last,
	}
	return named(requests, name)
}

// named gives requests idempotency keys of their own.
func named(requests []ledger.Request, name string) []ledger.Request {
	for i := range requests {
		requests[i].IdempotencyKey = fmt.Sprintf("%s.%d", name, i)
	}
	return requests
}

// nibble takes a little of a hold or a charge that many act upon, so that others
// find it different and can go on.
func nibble(d *dice, number int) ledger.Request {
	r := ledger.Request{Kind: ledger.Refund, Amount: 1}
	about := ledger.Charge
	if d.percent(60) {
		r.Kind, about = ledger.Capture, ledger.PlaceHold
		if d.percent(50) {
			r.Kind, r.Amount, r.ExpiresIn = ledger.Extend, 0, time.Duration(28*24+d.below(48))*time.Hour
		}
	}
	parent := hot(number, about)
	r.Parent = ledger.NewTransactionID(parent.Scope, parent.IdempotencyKey)
	return r
}

// greedy is a batch that captures more of one hold than there can be money at a time.
func greedy(d *dice, key string) []ledger.Request {
	const half = ledger.MaxAmount / 2
	at := ledger.WalletRef{Account: whale, Service: drawService(d)}
	hold := ledger.NewTransactionID(ledger.Operator, key+".1")
	requests := []ledger.Request{
		{Kind: ledger.TopUp, Wallet: at, Amount: half},
		{Kind: ledger.PlaceHold, Wallet: at, Amount: half, ExpiresIn: time.Hour},
		{Kind: ledger.Capture, Parent: hold, Amount: half - 1},
		{Kind: ledger.TopUp, Wallet: at, Amount: half},
		{Kind: ledger.TopUp, Wallet: at, Amount: half / 2},
		{Kind: ledger.Capture, Parent: hold, Amount: half + 5, Final: true},
	}
	return named(requests, key)
}

// actUpon makes a request one that is about another one of its batch, where the
// other one is a hold or a charge.
func actUpon(d *dice, r, other *ledger.Request) {
	id := ledger.NewTransactionID(other.Scope, other.IdempotencyKey)
	about := ledger.Request{IdempotencyKey: r.IdempotencyKey, Scope: other.Scope, Parent: id, Key: other.Key}
	switch other.Kind {
	case ledger.PlaceHold:
		about.Kind = pick(d, ledger.Capture, ledger.Capture, ledger.Release)
		about.Final = about.Kind == ledger.Capture && d.percent(70)
	case ledger.Charge:
		about.Scope, about.Kind, about.Amount, about.Key = ledger.Operator, ledger.Refund, max(1, other.Amount/2), ""
	default:
		return
	}
	*r = about
}

// request is a posting of a kind under an idempotency key.
func (w *world) request(d *dice, kind ledger.Kind, client, number int, key string) ledger.Request {
	switch {
	case aboutHold(kind) && d.percent(25):
		r := nibble(d, number)
		r.IdempotencyKey = key
		return r
	case (kind == ledger.PlaceHold || kind == ledger.Charge) && d.percent(4):
		return hot(number, kind)
	}
	r := ledger.Request{IdempotencyKey: key, Kind: kind}
	if d.percent(10) {
		r.Metadata = ledger.Metadata{"order": key, "名": "值"}
	}
	if d.percent(15) {
		r.Reference = fmt.Sprintf("短信 %d", d.below(50))
	}
	switch kind {
	case ledger.Refund:
		w.refund(d, &r, client, number)
	case ledger.Capture, ledger.Release, ledger.Extend:
		w.aboutHold(d, &r, client, number)
	default:
		w.movement(d, &r, client, number)
	}
	return r
}

// movement fills in a request that is about no earlier one.
func (w *world) movement(d *dice, r *ledger.Request, client, number int) {
	r.Wallet = ledger.WalletRef{Account: drawAccount(d), Service: drawService(d)}
	r.Amount = d.amount()
	if r.Wallet.Account == whale {
		r.Amount = pick(d, d.huge(), d.huge(), r.Amount)
	}
	own := d.percent(40)
	switch r.Kind {
	case ledger.TopUp:
		own = false
		if r.Wallet.Account != whale {
			r.Amount *= 3 // so that most of what is spent is there
		}
	case ledger.Adjustment:
		own = false
		if d.percent(60) {
			r.Amount = -r.Amount
		}
	case ledger.Transfer:
		r.To = ledger.WalletRef{Account: drawAccount(d), Service: drawService(d)}
		if own || (r.Wallet.Account == whale) != (r.To.Account == whale) {
			r.To.Account = r.Wallet.Account
		}
		if r.To == r.Wallet {
			r.To.Service = otherService(r.To.Service)
		}
		own = own && r.To.Account == r.Wallet.Account
	case ledger.PlaceHold:
		seconds := pick(d, 1+d.below(30), 1+d.below(7200), 24*3600, 1+d.below(30*24*3600))
		r.ExpiresIn = time.Duration(seconds) * time.Second
		message := fmt.Sprintf("m%d-%d", client, number)
		r.Reference = pick(d, message, message, message, r.Reference, sharedReference(d))
	default: // A charge is as it was drawn; the other kinds are about an earlier request.
	}
	if own {
		r.Scope = r.Wallet.Account
	}
	r.Key = drawKey(d, r.Scope)
}

// sharedReference is one that many holds have, mostly of their own sort.
func sharedReference(d *dice) string { return fmt.Sprintf("twice-%d", d.below(300)) }

func drawAccount(d *dice) ledger.AccountID {
	switch n := d.below(200); {
	case n == 0:
		return nobody
	case n < 6:
		return whale
	case n < 60:
		return ledger.AccountID(d.between(1, 2)) // where many meet
	default:
		return everybody[d.below(len(everybody)-1)] // all but the whale
	}
}

func drawService(d *dice) ledger.Service {
	return pick(d, ledger.SMS, ledger.SMS, ledger.SMS, ledger.VoIP, pick(d, ledger.SMS, ledger.SMS, ledger.VoIP, "fax"))
}

func otherService(service ledger.Service) ledger.Service {
	if service == ledger.SMS {
		return ledger.VoIP
	}
	return ledger.SMS
}

// drawKey is the key of a caller, "" for one without spend caps.
func drawKey(d *dice, scope ledger.AccountID) string {
	switch {
	case scope == ledger.Operator && d.percent(4):
		return operatorKey
	case scope != ledger.Operator && d.percent(60):
		return keyOf(scope)
	default:
		return ""
	}
}

// refund fills in a request that gives back some of a charge or capture.
func (w *world) refund(d *dice, r *ledger.Request, client, number int) {
	charge, ok := w.find(d, client, number, isCharge)
	if !ok || d.percent(2) {
		r.Parent = ledger.NewTransactionID(ledger.Operator, "never posted")
		r.Wallet = ledger.WalletRef{Account: 1, Service: ledger.SMS}
		r.Amount = d.amount()
		return
	}
	r.Parent = ledger.NewTransactionID(charge.Scope, charge.IdempotencyKey)
	amount := charge.Amount
	if amount == 0 { // a capture of all that there was
		amount = d.amount()
	}
	r.Amount = max(1, pick(d, amount, amount/2, amount/3, amount/5, amount/10, amount/10))
	r.Wallet = w.mention(d, charge.Wallet)
}

// mention names the wallet of a hold or charge or leaves it out; rarely it names another one.
func (w *world) mention(d *dice, wallet ledger.WalletRef) ledger.WalletRef {
	switch n := d.below(40); {
	case n == 0:
		return ledger.WalletRef{Account: 1, Service: ledger.VoIP}
	case n < 12:
		return wallet // which a request leaves empty that is itself about a hold
	default:
		return ledger.WalletRef{}
	}
}

// aboutHold fills in a request that captures, releases or extends a hold.
func (w *world) aboutHold(d *dice, r *ledger.Request, client, number int) {
	held, ok := w.find(d, client, number, isHold)
	if !ok || d.percent(2) {
		held = ledger.Request{IdempotencyKey: "never placed", Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: 1}
	}
	r.Parent = ledger.NewTransactionID(held.Scope, held.IdempotencyKey)
	r.Wallet = w.mention(d, held.Wallet)
	switch n := d.below(20); {
	case n == 0:
		r.Scope = drawAccount(d)
		r.Wallet = ledger.WalletRef{} // to name another's wallet is forbidden, whatever the hold
	case n < 3 && (r.Wallet == held.Wallet || r.Wallet == ledger.WalletRef{}):
		r.Scope = held.Wallet.Account
	case n < 15 && (held.Scope == ledger.Operator || r.Wallet == held.Wallet || r.Wallet == ledger.WalletRef{}):
		r.Scope = held.Scope
	}
	r.Key = drawKey(d, r.Scope)
	switch r.Kind {
	case ledger.Extend:
		r.ExpiresIn = time.Duration(pick(d, 1+d.below(60), 1+d.below(7200), 1+d.below(20*24*3600))) * time.Second
	case ledger.Capture:
		r.Final = d.percent(60)
		r.Amount = pick(d, 0, held.Amount, max(1, held.Amount/4), max(1, held.Amount/3), max(1, held.Amount/2), above(held.Amount))
	default: // A release says nothing but which hold.
	}
}

// above is somewhat more than an amount.
func above(amount ledger.Amount) ledger.Amount {
	if amount > ledger.MaxAmount/2 {
		return ledger.MaxAmount
	}
	return amount + amount/2 + 1
}

func isHold(r *ledger.Request) bool   { return r.Kind == ledger.PlaceHold }
func isCharge(r *ledger.Request) bool { return r.Kind == ledger.Charge || r.Kind == ledger.Capture }
func isAny(*ledger.Request) bool      { return true }

// lookBack bounds the operations among which an earlier request is looked for.
const lookBack = 60

// find finds an earlier request that another one can be about: mostly the
// client's own, which is there by then, and else one of others, which may be
// under way, so that several act upon one thing at a time.
func (w *world) find(d *dice, client, number int, wanted func(*ledger.Request) bool) (ledger.Request, bool) {
	client, number = w.earlier(d, client, number)
	return w.last(client, number, wanted)
}

// together is for how many operations all clients act upon the same things.
const together = 30

// hotPrefix begins the idempotency keys of what is hot. The usual search does not
// find it, so that nobody takes all of it.
const hotPrefix = "hot-"

func isHot(r *ledger.Request) bool { return strings.HasPrefix(r.IdempotencyKey, hotPrefix) }

// hot is a hold, or a charge, that all clients ask for at about the same time,
// and that they then nibble at.
func hot(number int, kind ledger.Kind) ledger.Request {
	stage := number / together
	r := ledger.Request{
		IdempotencyKey: fmt.Sprintf(hotPrefix+"%s-%d", kind, stage), Kind: kind, Amount: 3 * ledger.Scale,
		Wallet: ledger.WalletRef{Account: everybody[stage%(len(everybody)-1)], Service: ledger.SMS},
	}
	if kind == ledger.PlaceHold {
		r.ExpiresIn = ledger.MaxExpiresIn
	}
	return r
}

// last is the last request of a client up to an operation that is wanted.
func (w *world) last(client, number int, wanted func(*ledger.Request) bool) (ledger.Request, bool) {
	for n := number; n >= 0 && n > number-lookBack; n-- {
		a, d := w.action(client, n)
		if a != doPost && a != doTake {
			continue
		}
		// The kind alone tells mostly, and is cheap.
		if r := (ledger.Request{Kind: a.kind(d)}); !wanted(&r) {
			continue
		}
		if r, ok := w.single(client, n); ok && !isHot(&r) {
			return r, true
		}
	}
	return ledger.Request{}, false
}

// meanwhile draws the place of an operation that may be under way.
func (w *world) meanwhile(d *dice, client, number int) (int, int) {
	return min(client^1, w.clients-1), max(0, number+d.between(-2, 2))
}

// earlier draws the place of an operation before another one.
func (w *world) earlier(d *dice, client, number int) (int, int) {
	switch n := d.below(20); {
	case n < 11:
		return client, number - 1 - d.below(10)
	case n < 14 && client^1 < w.clients:
		return client ^ 1, number - 1 - d.below(4)
	case n < 19:
		const stage = 6 // all who come here at about the same time look at the same place
		return number / stage % w.clients, number - number%stage - 1
	default:
		return d.below(w.clients), number - 1 - d.below(70)
	}
}
