package ledger_test

import (
	"flag"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// world is some wallets as the engine would hold them, the same wallets in the
// model, and everything that was ever posted.
type world struct {
	now      time.Time
	model    *model
	refs     []ledger.WalletRef
	wallets  map[ledger.WalletRef]ledger.Wallet
	holds    map[ledger.TransactionID]ledger.Hold
	charges  map[ledger.TransactionID]ledger.Refundable
	keys     map[string]ledger.Budget
	entries  map[ledger.WalletRef][]ledger.Entry
	posted   map[ledger.TransactionID]*ledger.Transaction
	order    []ledger.TransactionID // of posted
	requests int
}

// Of the keys, one is each account's and one the operator's; "" has no caps.
var (
	keyNames  = []string{"", "", "key 1", "key 2", "operator"}
	keyOwners = map[string]ledger.AccountID{"key 1": 1, "key 2": 2, "operator": ledger.Operator}
	zoneNames = []string{"", "Asia/Ho_Chi_Minh", "Europe/Berlin", "Pacific/Pago_Pago", "Pacific/Kiritimati"}
)

func newWorld(t *rapid.T) *world {
	w := &world{
		// The last days of March have a short day in Berlin, and an end of a month.
		now: time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC),
		model: &model{
			accounts: map[ledger.AccountID]*modelAccount{}, wallets: map[ledger.WalletRef]*modelWallet{},
			holds: map[ledger.TransactionID]*modelHold{}, charges: map[ledger.TransactionID]*modelCharge{},
			keys: map[string]*modelBudget{}, system: map[string]*big.Int{},
		},
		wallets: map[ledger.WalletRef]ledger.Wallet{}, holds: map[ledger.TransactionID]ledger.Hold{},
		charges: map[ledger.TransactionID]ledger.Refundable{}, keys: map[string]ledger.Budget{},
		entries: map[ledger.WalletRef][]ledger.Entry{}, posted: map[ledger.TransactionID]*ledger.Transaction{},
	}
	for id, currency := range map[ledger.AccountID]string{1: "CNY", 2: "CNY", 3: "VND"} {
		w.model.accounts[id] = &modelAccount{currency: currency, status: ledger.Active}
		for _, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
			ref := ledger.WalletRef{Account: id, Service: service}
			w.refs = append(w.refs, ref)
			w.model.wallets[ref] = &modelWallet{
				account: w.model.accounts[id], balance: new(big.Int), held: new(big.Int), credit: new(big.Int),
				least: new(big.Int), most: new(big.Int), budget: newModelBudget(nil),
			}
			w.wallets[ref] = ledger.Wallet{WalletRef: ref}
		}
	}
	slices.SortFunc(w.refs, ledger.WalletRef.Compare) // what is drawn goes by places, so these are the same each time
	for name := range keyOwners {
		w.keys[name], w.model.keys[name] = ledger.Budget{}, newModelBudget(nil)
	}
	for _, ref := range w.refs { // so that there is something to spend
		r := valid(ledger.TopUp)
		r.Wallet, r.Amount, r.IdempotencyKey = ref, 100*ledger.Scale, w.newKey()
		w.post(t, r)
	}
	return w
}

func (w *world) newKey() string {
	w.requests++
	return "k" + strconv.Itoa(w.requests)
}

// request draws a valid one, often for just what is left of something or a
// millionth beside it.
func (w *world) request(t *rapid.T) ledger.Request {
	r := valid(rapid.SampledFrom([]ledger.Kind{
		ledger.TopUp, ledger.Charge, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer,
		ledger.PlaceHold, ledger.PlaceHold, ledger.PlaceHold, ledger.Capture, ledger.Capture, ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire,
	}).Draw(t, "kind"))
	holds, charges := w.pickHolds(t), w.ids(func(tx *ledger.Transaction) bool { return tx.Refundable() != nil })
	switch {
	case r.Kind == ledger.Refund && len(charges) == 0:
		r = valid(ledger.Charge)
	case r.Kind != ledger.Refund && !r.Parent.IsZero() && len(holds) == 0:
		r = valid(ledger.PlaceHold)
	}
	r.IdempotencyKey, r.Key = w.newKey(), rapid.SampledFrom(keyNames).Draw(t, "key")
	switch {
	case r.Kind == ledger.Refund:
		r.Parent = rapid.SampledFrom(charges).Draw(t, "charge")
		r.Wallet = w.charges[r.Parent].WalletRef
	case !r.Parent.IsZero():
		r.Parent = rapid.SampledFrom(holds).Draw(t, "hold")
		r.Wallet = w.holds[r.Parent].WalletRef
		r.Final = r.Kind == ledger.Capture && rapid.Bool().Draw(t, "final")
	default:
		r.Wallet = rapid.SampledFrom(w.refs).Draw(t, "wallet")
	}
	if r.Kind == ledger.Transfer {
		r.To = rapid.SampledFrom(w.refs).Filter(func(ref ledger.WalletRef) bool { return ref != r.Wallet }).Draw(t, "to")
	}
	if r.ExpiresIn != 0 {
		r.ExpiresIn = rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 24 * time.Hour, ledger.MaxExpiresIn}).Draw(t, "expires in")
	}
	if r.Amount != 0 {
		r.Amount = w.amount(t, &r)
	}
	return r
}

// ids are the posted transactions that are of interest, in their order.
func (w *world) ids(interesting func(*ledger.Transaction) bool) (ids []ledger.TransactionID) {
	for _, id := range w.order {
		if interesting(w.posted[id]) {
			ids = append(ids, id)
		}
	}
	return ids
}

// pickHolds are the holds to act upon: most of the time those that are open.
func (w *world) pickHolds(t *rapid.T) []ledger.TransactionID {
	anyState := rapid.IntRange(0, 5).Draw(t, "of any state") == 0
	return w.ids(func(tx *ledger.Transaction) bool {
		return tx.Kind == ledger.PlaceHold && (anyState || w.holds[tx.ID].State == ledger.HoldOpen)
	})
}

func (w *world) amount(t *rapid.T, r *ledger.Request) ledger.Amount {
	if r.Kind == ledger.Capture && rapid.IntRange(0, 3).Draw(t, "all") == 0 {
		return 0
	}
	amount := rapid.Custom(func(t *rapid.T) ledger.Amount {
		if rapid.IntRange(0, 7).Draw(t, "any") == 0 {
			return amounts().Draw(t, "amount")
		}
		return ledger.Amount(rapid.Int64Range(1, 40*ledger.Scale).Draw(t, "amount"))
	}).Draw(t, "amount")
	if rapid.IntRange(0, 2).Draw(t, "all there is") == 0 {
		edge := rapid.SampledFrom(w.edges(r)).Draw(t, "edge")
		if about, err := edge.Add(ledger.Amount(rapid.Int64Range(-1, 1).Draw(t, "beside"))); err == nil {
			amount = about
		}
	}
	switch {
	case amount == 0:
		return 1
	case amount < 0 && r.Kind != ledger.Adjustment:
		return -amount
	default:
		return amount
	}
}

// edges are the amounts at which the outcome of a request changes.
func (w *world) edges(r *ledger.Request) []ledger.Amount {
	wallet := w.wallets[r.Wallet]
	edges := []ledger.Amount{wallet.Available()}
	add := func(more ...ledger.Amount) {
		for _, amount := range more {
			if amount > 0 {
				edges = append(edges, amount)
			}
		}
	}
	add(wallet.MinAmount, wallet.MaxAmount, w.charges[r.Parent].Amount-w.charges[r.Parent].Refunded)
	if hold, ok := w.holds[r.Parent]; ok {
		add(hold.Remaining, hold.Remaining+wallet.Available())
	}
	for _, budget := range []ledger.Budget{{Caps: wallet.Caps, Spent: wallet.Spent}, w.keys[r.Key]} {
		left := budget.Left()
		add(left.Daily, left.Monthly)
	}
	return edges
}

// state is what a request is about, in copies.
func (w *world) state(r *ledger.Request) ledger.State {
	side := func(ref ledger.WalletRef) *ledger.Side {
		account := w.model.accounts[ref.Account]
		return &ledger.Side{Wallet: w.wallets[ref], Currency: account.currency, Status: account.status, Zone: account.zone}
	}
	key := func(name string) *ledger.Budget {
		if budget, ok := w.keys[name]; ok {
			return &budget
		}
		return nil
	}
	s := ledger.State{From: side(r.Wallet), Key: key(r.Key)}
	if r.Kind == ledger.Transfer {
		s.To = side(r.To)
	}
	if charge, ok := w.charges[r.Parent]; ok {
		s.Charge = &charge
	}
	if hold, ok := w.holds[r.Parent]; ok {
		s.Hold, s.HoldKey = &hold, s.Key
		if hold.Key != r.Key {
			s.HoldKey = key(hold.Key)
		}
	}
	return s
}

// keep takes what a posted transaction made of its state.
func (w *world) keep(tx *ledger.Transaction, s *ledger.State, entries []ledger.Entry) {
	w.posted[tx.ID] = tx
	w.order = append(w.order, tx.ID)
	for _, side := range []*ledger.Side{s.From, s.To} {
		if side != nil {
			w.wallets[side.Wallet.WalletRef] = side.Wallet
		}
	}
	for _, entry := range entries {
		w.entries[entry.WalletRef] = append(w.entries[entry.WalletRef], entry)
	}
	if tx.Kind == ledger.PlaceHold {
		w.holds[tx.ID] = *ledger.NewHold(tx)
	}
	if s.Hold != nil {
		w.holds[s.Hold.ID] = *s.Hold
	}
	if charge := tx.Refundable(); charge != nil {
		w.charges[tx.ID] = *charge
	}
	if s.Charge != nil {
		w.charges[s.Charge.ID] = *s.Charge
	}
	if s.Key != nil {
		w.keys[tx.Key] = *s.Key
	}
	if s.HoldKey != nil {
		w.keys[s.Hold.Key] = *s.HoldKey
	}
}

// post decides one request, and checks all that a single decision promises.
func (w *world) post(t *rapid.T, r ledger.Request) ledger.Code {
	if err := r.Validate(); err != nil {
		t.Fatalf("drew an invalid request: %v", err)
	}
	s := w.state(&r)
	before := copied(s)
	v := w.model.movement(&r, w.now)
	want := w.model.outcome(&r, &v, w.now)

	tx := ledger.NewTransaction(r)
	entries := tx.Decide(s, w.now)
	if tx.Rejection != want {
		t.Fatalf("%s of %s: decided %q, want %q\nfrom %+v\nto   %+v\nhold %+v", r.Kind, r.Amount, tx.Rejection, want, s.From, s.To, s.Hold)
	}
	// The same again from the same state: a retried batch must come out the same.
	again, state := ledger.NewTransaction(r), copied(before)
	if e := again.Decide(state, w.now); !reflect.DeepEqual(e, entries) || !reflect.DeepEqual(again, tx) || !reflect.DeepEqual(state, s) {
		t.Fatalf("decided again, it is %+v with %+v", again, e)
	}
	// And the same words to a retry, of which all but the key is stored.
	stored := tx
	stored.Key = ""
	if err := stored.Err(); ledger.CodeOf(err) != want || err != nil && err.Error() != tx.Err().Error() {
		t.Fatalf("the error is %v, and to a retry %v", tx.Err(), err)
	}
	if want == "" {
		w.model.post(tx.ID, &r, &v, w.now)
		w.keep(&tx, &s, entries)
	}
	w.checkOutcome(t, &tx, &s, entries)
	if want == "" {
		w.checkPosted(t, &tx, &s, &before, &v)
	} else {
		w.checkRejected(t, &tx, &s, &before)
	}
	return want
}

// checkOutcome checks what is recorded of every decision.
func (w *world) checkOutcome(t *rapid.T, tx *ledger.Transaction, s *ledger.State, entries []ledger.Entry) {
	wallet := w.model.wallets[tx.Wallet]
	if bigOf(tx.Balance).Cmp(wallet.balance) != 0 || bigOf(tx.Held).Cmp(wallet.held) != 0 || bigOf(tx.Available).Cmp(wallet.available()) != 0 || tx.CreatedAt != w.now {
		t.Fatalf("the outcome %+v is not that of the wallet %+v", tx, wallet)
	}
	left := ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap}
	if slices.Contains([]ledger.Kind{ledger.Charge, ledger.PlaceHold, ledger.Capture}, tx.Kind) {
		daily, monthly := w.model.capLeft(&tx.Request, w.now)
		if daily != nil {
			left.Daily = ledger.Amount(daily.Int64())
		}
		if monthly != nil {
			left.Monthly = ledger.Amount(monthly.Int64())
		}
	}
	if tx.CapLeft != left {
		t.Fatalf("%s leaves %+v of the caps, want %+v", tx.Kind, tx.CapLeft, left)
	}
	// The counts are those of the day, whether or not anything came of the request.
	w.checkSpent(t, s.From.Wallet.Spent, wallet.budget)
	if s.Key != nil {
		w.checkSpent(t, s.Key.Spent, w.model.keys[tx.Key])
	}
	if s.HoldKey != nil {
		w.checkSpent(t, s.HoldKey.Spent, w.model.keys[s.Hold.Key])
	}
	// The transaction finds its own entries by these, and finds none where it was rejected.
	versions := [2]int64{}
	for i, e := range entries {
		versions[i] = e.Version
	}
	if versions != [2]int64{tx.Version, tx.ToVersion} {
		t.Fatalf("versions are %d and %d, the entries' are %v", tx.Version, tx.ToVersion, versions)
	}
}

// checkSpent compares a count that was brought to the day with the model's.
func (w *world) checkSpent(t *rapid.T, got ledger.Spent, budget *modelBudget) {
	day := budget.on(w.now)
	written := strconv.Itoa(int(got.Day))
	if len(written) != 8 || written[:4]+"-"+written[4:6]+"-"+written[6:] != day ||
		bigOf(got.Today).Cmp(budget.in(day)) != 0 || bigOf(got.InMonth).Cmp(budget.in(day[:7])) != 0 {
		t.Fatalf("the count is %+v, want %s, %s and %s in the month", got, day, budget.in(day), budget.in(day[:7]))
	}
}

func (w *world) checkRejected(t *rapid.T, tx *ledger.Transaction, s, before *ledger.State) {
	for _, budget := range [][2]*ledger.Budget{{before.Key, s.Key}, {before.HoldKey, s.HoldKey}} {
		if budget[0] != nil {
			budget[0].Spent = budget[1].Spent // which checkOutcome has looked at
		}
	}
	before.From.Wallet.Spent = s.From.Wallet.Spent
	if !reflect.DeepEqual(s, before) {
		t.Fatalf("a rejection (%s) changed %+v to %+v", tx.Rejection, before, s)
	}
	if tx.Moved != 0 || tx.Remaining != 0 || !tx.ExpiresAt.IsZero() || tx.HoldState() != "" || tx.Refundable() != nil {
		t.Fatalf("the rejected transaction is %+v", tx)
	}
}

func (w *world) checkPosted(t *rapid.T, tx *ledger.Transaction, s, before *ledger.State, v *movement) {
	if bigOf(tx.Moved).Cmp(v.moved) != 0 || bigOf(tx.Remaining).Cmp(v.remaining) != 0 || !tx.ExpiresAt.Equal(v.expiresAt) || tx.HoldState() != v.state {
		t.Fatalf("the outcome is %+v, want %+v", tx, v)
	}
	entries := w.entries[tx.Wallet]
	if last := entries[len(entries)-1]; bigOf(last.Amount).Cmp(v.money) != 0 || tx.Delta() != last.Amount || last.Transaction != tx.ID || last.CreatedAt != w.now {
		t.Fatalf("the entry of %+v is %+v", tx, last)
	}
	for _, sides := range [][2]*ledger.Side{{before.From, s.From}, {before.To, s.To}} {
		if sides[0] == nil {
			continue
		}
		sides[0].Wallet = sides[1].Wallet
		if !reflect.DeepEqual(sides[0], sides[1]) {
			t.Fatalf("the decision changed the account of %+v", sides[1])
		}
	}
	// What is spent is there: only an adjustment takes what is not, and what a
	// hold reserved may be taken whatever became of the wallet since.
	switch available := s.From.Wallet.Available(); {
	case tx.Kind == ledger.Adjustment:
	case available < 0 && (v.spent.Sign() > 0 || tx.Kind == ledger.Transfer):
		t.Fatalf("a %s left %s available", tx.Kind, available)
	case available < 0 && bigOf(available).Cmp(bigOf(before.From.Wallet.Available())) < 0:
		t.Fatalf("a %s took what was not there", tx.Kind)
	}
}

// check proves what "saldo verify" proves, over all that was posted.
func (w *world) check(t *rapid.T) {
	sums := map[string]*ledger.Total{"CNY": {}, "VND": {}}
	for name, total := range w.model.system {
		parsed, err := ledger.ParseTotal(total.String())
		if err != nil {
			t.Fatal(err)
		}
		sums[name[:3]].AddTotal(&parsed)
	}
	for _, ref := range w.refs {
		w.checkWallet(t, ref)
		sums[w.model.accounts[ref.Account].currency].Add(w.wallets[ref].Balance)
	}
	for currency, sum := range sums {
		if !sum.IsZero() {
			t.Fatalf("%s does not balance: %s", currency, sum)
		}
	}
	for id, charge := range w.charges {
		model := w.model.charges[id]
		if charge.WalletRef != model.ref || bigOf(charge.Amount).Cmp(model.amount) != 0 || bigOf(charge.Refunded).Cmp(model.refunded) != 0 || charge.Refunded > charge.Amount {
			t.Fatalf("of the charge %+v was given back %+v", charge, model)
		}
	}
	for name, budget := range w.keys {
		if model := w.model.keys[name]; budget.Day != 0 {
			w.checkSpent(t, budget.On(ledger.DayOf(w.now, budget.Zone)), model)
		}
	}
}

func (w *world) checkWallet(t *rapid.T, ref ledger.WalletRef) {
	wallet, model := w.wallets[ref], w.model.wallets[ref]
	if bigOf(wallet.Balance).Cmp(model.balance) != 0 || bigOf(wallet.Held).Cmp(model.held) != 0 ||
		bigOf(wallet.CreditLimit).Cmp(model.credit) != 0 || wallet.Version != model.entries || wallet.WalletRef != ref {
		t.Fatalf("the wallet is %+v, the model %+v", wallet, model)
	}
	if err := wallet.Check(); err != nil {
		t.Fatalf("the wallet %+v: %v", wallet, err)
	}
	held := new(big.Int)
	for id, hold := range w.holds {
		if hold.WalletRef == ref {
			w.checkHold(t, id, &hold)
			held.Add(held, bigOf(hold.Remaining))
		}
	}
	if held.Cmp(bigOf(wallet.Held)) != 0 {
		t.Fatalf("the wallet %+v has holds of %s", wallet, held)
	}
	var head ledger.Hash
	sum := new(big.Int)
	for i, e := range w.entries[ref] {
		if e.WalletRef != ref || e.Version != int64(i)+1 {
			t.Fatalf("entry %d of %v is %+v", i+1, ref, e)
		}
		if sum.Add(sum, bigOf(e.Amount)); bigOf(e.Balance).Cmp(sum) != 0 {
			t.Fatalf("after entry %+v the entries add up to %s", e, sum)
		}
		if cause, ok := w.posted[e.Transaction]; !ok || e.Hash != e.ChainHash(head, cause) {
			t.Fatalf("the chain breaks at %+v", e)
		}
		head = e.Hash
	}
	if wallet.Head != head || sum.Cmp(model.balance) != 0 {
		t.Fatalf("the entries of %+v end at %x with %s", wallet, head, sum)
	}
}

func (w *world) checkHold(t *rapid.T, id ledger.TransactionID, hold *ledger.Hold) {
	model, placed := w.model.holds[id], w.posted[id]
	if hold.ID != id || placed.HoldID() != id || hold.WalletRef != model.ref || hold.Scope != placed.Scope || hold.Key != model.key || hold.Reference != placed.Reference ||
		bigOf(hold.Amount).Cmp(model.placed) != 0 || bigOf(hold.Captured).Cmp(model.captured) != 0 || bigOf(hold.Remaining).Cmp(model.remaining) != 0 ||
		hold.State != model.state || !hold.CreatedAt.Equal(model.createdAt) || !hold.ExpiresAt.Equal(model.expiresAt) || !hold.ClosedAt.Equal(model.closed) {
		t.Fatalf("the hold is %+v, want %+v", hold, model)
	}
	if !hold.State.Valid() || (hold.State == ledger.HoldOpen) != (hold.Remaining > 0) || (hold.State == ledger.HoldOpen) != hold.ClosedAt.IsZero() {
		t.Fatalf("the hold %+v is neither open nor closed", hold)
	}
}

// ---- What happens beside postings. ----

// wait lets time pass: a little, a lot, or up to where something ends.
func (w *world) wait(t *rapid.T) {
	next := w.now.Add(rapid.SampledFrom([]time.Duration{0, time.Microsecond, time.Second, time.Hour, 7 * time.Hour, 24 * time.Hour, 9 * 24 * time.Hour}).Draw(t, "wait"))
	var ends []time.Time
	for _, id := range w.order {
		if hold, ok := w.holds[id]; ok && hold.State == ledger.HoldOpen {
			ends = append(ends, hold.ExpiresAt)
		}
	}
	local := w.now.In(zone(t, rapid.SampledFrom(zoneNames).Draw(t, "where")))
	ends = append(ends, time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, local.Location()))
	if rapid.Bool().Draw(t, "to an end") {
		end := rapid.SampledFrom(ends).Draw(t, "end").Add(time.Duration(rapid.Int64Range(-1, 1).Draw(t, "µs")) * time.Microsecond)
		if end.After(w.now) {
			next = end.UTC()
		}
	}
	w.now = next
}

func (w *world) changeAccount(t *rapid.T) {
	id := rapid.SampledFrom([]ledger.AccountID{1, 2, 3}).Draw(t, "account")
	account := w.model.accounts[id]
	if rapid.Bool().Draw(t, "status") {
		// Active most of the time, or nothing moves.
		account.status = rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed}).Draw(t, "status")
		return
	}
	account.zone = zone(t, rapid.SampledFrom(zoneNames).Draw(t, "zone"))
	for ref, wallet := range w.model.wallets {
		if ref.Account == id {
			wallet.budget.zone = account.zone
		}
	}
	for name, owner := range keyOwners {
		if budget := w.keys[name]; owner == id {
			budget.Zone, w.model.keys[name].zone = account.zone, account.zone
			w.keys[name] = budget
		}
	}
}

// setting draws what the operator may set: often nothing, seldom a lot.
func setting(t *rapid.T) ledger.Amount {
	return max(0, rapid.OneOf(
		rapid.Just(ledger.Amount(0)),
		rapid.Map(rapid.Int64Range(0, 30*ledger.Scale), func(n int64) ledger.Amount { return ledger.Amount(n) }),
		rapid.Map(rapid.Int64Range(0, 200*ledger.Scale), func(n int64) ledger.Amount { return ledger.Amount(n) }),
		amounts(),
	).Draw(t, "setting"))
}

func (w *world) changeWallet(t *rapid.T) {
	ref := rapid.SampledFrom(w.refs).Draw(t, "wallet")
	wallet, model := w.wallets[ref], w.model.wallets[ref]
	switch rapid.IntRange(0, 5).Draw(t, "which") {
	case 0:
		wallet.CreditLimit = setting(t)
	case 1:
		wallet.MinAmount = setting(t) / 8 // or nothing moves
	case 2:
		wallet.MaxAmount = setting(t)
		if holds := w.pickHolds(t); len(holds) > 0 { // about what a capture takes
			wallet.MaxAmount = max(0, w.holds[rapid.SampledFrom(holds).Draw(t, "hold")].Remaining+ledger.Amount(rapid.Int64Range(-1, 1).Draw(t, "beside")))
		}
	case 3:
		wallet.Caps.Daily = setting(t)
	case 4:
		wallet.Caps.Monthly = setting(t)
	default:
		wallet.Suspended = !wallet.Suspended && rapid.Bool().Draw(t, "suspended")
	}
	if wallet.Validate() != nil || wallet.Check() != nil {
		return // which the engine would refuse as well
	}
	w.wallets[ref] = wallet
	model.credit, model.least, model.most, model.suspended = bigOf(wallet.CreditLimit), bigOf(wallet.MinAmount), bigOf(wallet.MaxAmount), wallet.Suspended
	model.budget.daily, model.budget.monthly = bigOf(wallet.Caps.Daily), bigOf(wallet.Caps.Monthly)
}

func (w *world) changeKey(t *rapid.T) {
	name := rapid.SampledFrom([]string{"key 1", "key 2", "operator"}).Draw(t, "key")
	budget, model := w.keys[name], w.model.keys[name]
	budget.Caps = ledger.Caps{Daily: setting(t), Monthly: setting(t)}
	model.daily, model.monthly = bigOf(budget.Daily), bigOf(budget.Monthly)
	w.keys[name] = budget
}

func TestDecideAgainstModel(t *testing.T) {
	t.Parallel()
	seen, decided := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		post := func(t *rapid.T) {
			for range 6 { // movements more often than changes of the rules they meet
				r := w.request(t)
				code := w.post(t, r)
				seen[string(r.Kind)+" "+string(code)]++
				decided++
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": w.check, "post": post, "post and post": post, "post again": post,
			"wait": w.wait, "account": w.changeAccount, "wallet": w.changeWallet, "key": w.changeKey,
		})
	})
	// That everything agreed means little where nothing happened.
	if f := flag.Lookup("rapid.checks"); decided < 1500 || f != nil && f.Value.String() != f.DefValue {
		return
	}
	for _, want := range []string{ // The others are rare; the tables of decide_test.go have them.
		"topup ", "topup account_not_active",
		"charge ", "charge account_not_active", "charge wallet_not_active", "charge amount_not_allowed", "charge insufficient_funds", "charge spend_cap_reached",
		"refund ", "refund account_not_active", "refund refund_exceeds_charge", "adjustment ",
		"transfer ", "transfer account_not_active", "transfer currency_mismatch", "transfer insufficient_funds",
		"hold ", "hold account_not_active", "hold wallet_not_active", "hold amount_not_allowed", "hold insufficient_funds", "hold spend_cap_reached",
		"capture ", "capture hold_not_open", "capture hold_expired", "capture insufficient_funds",
		"release ", "release hold_not_open", "release hold_expired", "extend ", "extend hold_not_open", "extend hold_expired",
		"expire ", "expire hold_not_open", "expire hold_expired",
	} {
		if seen[want] == 0 {
			t.Errorf("there was no %q in %d decisions: %v", want, decided, seen)
		}
	}
}
