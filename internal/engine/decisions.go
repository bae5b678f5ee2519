package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// decisions is the work on one batch of postings inside one transaction of the
// store. It is made anew for each attempt.
type decisions struct {
	writes  []*write
	results [][]Result // one for each posting of each write
	now     time.Time
	zones   *zones

	// What the batch is about, as it was read under the locks: copies, on which
	// the postings are decided one after another, so that the second sees what
	// the first did.
	touched  map[ledger.AccountID]*ledger.Holder
	decided  map[ledger.TransactionID]*ledger.Transaction
	holds    map[ledger.TransactionID]*ledger.Hold
	refunded map[ledger.TransactionID]ledger.Amount
	keys     map[string]*ledger.Budget

	changes  changes
	batch    Batch
	rollback []func() // takes back the postings of an atomic write; nil outside of one
}

// changes are what the batch leaves different, each thing once.
type changes struct {
	wallets map[ledger.WalletRef]*ledger.Wallet
	holds   map[ledger.TransactionID]*ledger.Hold
	charges map[ledger.TransactionID]*ledger.Refundable
	keys    map[string]*ledger.Budget
}

func newDecisions(writes []*write, now time.Time, zones *zones) *decisions {
	return &decisions{
		writes:  writes,
		results: make([][]Result, len(writes)),
		now:     now,
		zones:   zones,
		touched: make(map[ledger.AccountID]*ledger.Holder, len(writes)),
		changes: changes{
			wallets: make(map[ledger.WalletRef]*ledger.Wallet, len(writes)),
			holds:   make(map[ledger.TransactionID]*ledger.Hold),
			charges: make(map[ledger.TransactionID]*ledger.Refundable),
			keys:    make(map[string]*ledger.Budget),
		},
	}
}

// run decides every posting and writes what came of it.
func (d *decisions) run(ctx context.Context, tx Tx, cached *cache[ledger.AccountID, *ledger.Holder]) error {
	if err := d.lock(ctx, tx, cached); err != nil {
		return err
	}
	if err := d.read(ctx, tx); err != nil {
		return err
	}
	for i, w := range d.writes {
		if w.atomic {
			d.results[i] = d.decideAll(w.postings)
			continue
		}
		d.results[i] = make([]Result, len(w.postings))
		for j := range w.postings {
			d.results[i][j] = d.decide(&w.postings[j])
		}
	}
	if len(d.batch.Transactions) == 0 {
		return nil
	}
	d.collect()
	return tx.Append(ctx, &d.batch)
}

// adopt takes over what an earlier attempt of this process had decided, where
// that is what is found in the ledger now: nobody was told of it before. What
// somebody else has decided under the same key meanwhile stays a replay.
func (d *decisions) adopt(earlier *decisions) {
	if earlier == nil { // the attempt did not come so far
		return
	}
	for i, results := range earlier.results {
		for j := range results {
			if !results[j].Replayed && sameDecision(results[j].Transaction, d.results[i][j].Transaction) {
				d.results[i][j].Replayed = false
			}
		}
	}
}

// sameDecision tells whether two outcomes of one request are of the same attempt.
func sameDecision(a, b *ledger.Transaction) bool {
	return a != nil && b != nil && a.CreatedAt.Equal(b.CreatedAt) && a.Version == b.Version && a.Balance == b.Balance
}

// postings yields every posting of the batch.
func (d *decisions) postings(yield func(*ledger.Transaction) bool) {
	for _, w := range d.writes {
		for i := range w.postings {
			if !yield(&w.postings[i]) {
				return
			}
		}
	}
}

// lock brings in the accounts of the batch, from the cache where this process
// is the only writer, and otherwise under the store's locks, in order.
func (d *decisions) lock(ctx context.Context, tx Tx, cached *cache[ledger.AccountID, *ledger.Holder]) error {
	var missing []ledger.WalletRef
	want := func(ref ledger.WalletRef) {
		if _, there := d.touched[ref.Account]; there {
			return
		}
		if holder, ok := cached.get(ref.Account); ok {
			d.touched[ref.Account] = clone(holder)
			return
		}
		missing = append(missing, ref)
	}
	for posting := range d.postings {
		want(posting.Wallet)
		if posting.Kind == ledger.Transfer {
			want(posting.To)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.SortFunc(missing, ledger.WalletRef.Compare)
	locked, err := tx.Lock(ctx, slices.Compact(missing))
	if err != nil {
		return err
	}
	// Another process may have a clock that is ahead of this one.
	if latest := tx.Latest(); latest.After(d.now) {
		d.now = latest
	}
	for id, holder := range locked {
		d.touched[id] = clone(holder)
	}
	return nil
}

// clone copies a holder with its wallets, for published ones are never changed.
func clone(h *ledger.Holder) *ledger.Holder {
	copied := *h
	copied.Wallets = slices.Clone(h.Wallets)
	return &copied
}

// read brings in what else the postings are about. It does so under the locks:
// what another request makes of the same wallet's holds and charges is either
// seen here or waits for the wallet.
func (d *decisions) read(ctx context.Context, tx Tx) (err error) {
	var ids, holds, charges []ledger.TransactionID
	var keys []string
	for posting := range d.postings {
		ids = append(ids, posting.ID)
		switch {
		case posting.Kind == ledger.Refund:
			charges = append(charges, posting.Parent)
		case !posting.Parent.IsZero():
			holds = append(holds, posting.Parent)
		}
		if posting.Key != "" {
			keys = append(keys, posting.Key)
		}
	}
	// The charges are read like earlier outcomes, for that is what they are.
	if d.decided, err = tx.Decided(ctx, append(ids, charges...)); err != nil {
		return err
	}
	d.holds, d.refunded = map[ledger.TransactionID]*ledger.Hold{}, map[ledger.TransactionID]ledger.Amount{}
	if len(holds) > 0 {
		if d.holds, err = tx.Holds(ctx, holds); err != nil {
			return err
		}
	}
	if len(charges) > 0 {
		if d.refunded, err = tx.Refunded(ctx, charges); err != nil {
			return err
		}
	}
	for _, hold := range d.holds {
		if hold.Key != "" {
			keys = append(keys, hold.Key)
		}
	}
	return d.readKeys(ctx, tx, keys)
}

// readKeys brings in the spend counts of the keys that have caps.
func (d *decisions) readKeys(ctx context.Context, tx Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	keys, err := tx.LockKeys(ctx, slices.Compact(ids))
	if err != nil {
		return err
	}
	d.keys = make(map[string]*ledger.Budget, len(keys))
	for id, key := range keys {
		budget := &ledger.Budget{Caps: key.Caps, Spent: key.Spent}
		if holder, ok := d.touched[key.Account]; ok {
			budget.Zone = d.zones.get(holder.TimeZone)
		}
		d.keys[id] = budget
	}
	return nil
}

// decideAll gives the results of an atomic write: every posting is posted, or
// none. The postings carry the name of their batch, so that either all of them
// were decided before or none.
func (d *decisions) decideAll(postings []ledger.Transaction) []Result {
	results := make([]Result, len(postings))
	for i := range postings {
		// What cannot even be refused is found first.
		_, err := d.earlier(&postings[i])
		if err == nil {
			_, err = d.wallet(postings[i].Wallet)
		}
		if err != nil {
			results[i].Err = err
			return onlyFailure(results, i)
		}
	}
	transactions, entries := len(d.batch.Transactions), len(d.batch.Entries)
	d.rollback = []func(){}
	failed := -1
	for i := range postings {
		results[i] = d.decide(&postings[i])
		if results[i].failure() != nil && !results[i].Replayed {
			failed = i
			break
		}
	}
	undo := d.rollback
	d.rollback = nil
	if failed < 0 {
		return results
	}
	for _, back := range slices.Backward(undo) {
		back()
	}
	d.batch.Transactions, d.batch.Entries = d.batch.Transactions[:transactions], d.batch.Entries[:entries]
	if results[failed].Err != nil {
		return onlyFailure(results, failed)
	}
	reason := results[failed].Transaction.Rejection
	for i := range postings {
		if i == failed {
			results[i] = d.refuse(&postings[i], reason)
		} else {
			results[i] = d.refuse(&postings[i], ledger.BatchRejected)
		}
	}
	return results
}

// onlyFailure gives the results of an atomic write that could not be decided:
// nothing is remembered of any posting.
func onlyFailure(results []Result, failed int) []Result {
	for i := range results {
		if i != failed {
			results[i] = Result{Err: errBatchRejected}
		}
	}
	return results
}

var errBatchRejected = ledger.Errorf(ledger.BatchRejected, "another transaction of the batch failed, so none is posted")

// refuse makes a rejection out of a posting of an atomic write, so that a retry
// is told the same, and so that it cannot be posted later by a request that was
// delayed on the way.
func (d *decisions) refuse(posting *ledger.Transaction, reason ledger.Code) Result {
	side, err := d.side(posting.Wallet)
	if err != nil {
		return Result{Err: err} // decideAll has made sure that it is there
	}
	transaction := *posting
	transaction.Refuse(ledger.State{From: side, Key: copyOf(d.keys[posting.Key])}, reason, d.now)
	d.record(&transaction, nil)
	return Result{Transaction: &transaction}
}

// decide gives the result of one posting: that of an earlier request with the
// same key, or what the rules say now.
func (d *decisions) decide(posting *ledger.Transaction) Result {
	earlier, err := d.earlier(posting)
	if err != nil {
		return Result{Err: err}
	}
	if earlier != nil {
		return Result{Transaction: earlier, Replayed: true}
	}
	state, err := d.state(posting)
	if err != nil {
		return Result{Err: err}
	}
	if posting.Kind == ledger.Expire && (state.Hold.State != ledger.HoldOpen || d.now.Before(state.Hold.ExpiresAt)) {
		// Somebody was quicker, or gave it more time. That is not worth a memory:
		// the ledger asks again when the hold is due.
		return Result{Err: ledger.Errorf(ledger.Conflict, "the hold %s is not due", posting.Parent)}
	}
	transaction := *posting
	entries := transaction.Decide(state, d.now)
	if posting.Scope == ledger.System && !final(transaction.Rejection) {
		return Result{Err: transaction.Err()}
	}
	if len(entries) > 0 {
		d.keep(&transaction, &state)
	}
	d.record(&transaction, entries)
	return Result{Transaction: &transaction}
}

// earlier is what came of a posting when it came before, nil where it did not.
func (d *decisions) earlier(posting *ledger.Transaction) (*ledger.Transaction, error) {
	earlier, ok := d.decided[posting.ID]
	if ok && earlier.RequestHash != posting.RequestHash {
		return nil, ledger.Errorf(ledger.IdempotencyKeyReused, "this idempotency key was used for another request").
			WithHint("use a new key for each movement; only retries of one movement share a key")
	}
	return earlier, nil
}

// final tells whether an outcome of what the ledger posts by itself may be
// remembered. Its idempotency keys follow from the hold, so there is no new key
// with which to try again once the reason of a rejection is gone.
func final(rejection ledger.Code) bool {
	return rejection == "" || rejection == ledger.HoldNotOpen || rejection == ledger.HoldPastExpiry
}

// record adds a decided transaction to the batch.
func (d *decisions) record(t *ledger.Transaction, entries []ledger.Entry) {
	put(d, d.decided, t.ID, t)
	d.batch.Transactions = append(d.batch.Transactions, t)
	d.batch.Entries = append(d.batch.Entries, entries...)
}

// put stores a value into one of the maps of d. Inside of an atomic write it
// remembers how to take that back, so that what the batch changed before is
// still written, and nothing is that was only about to change.
func put[K comparable, V any](d *decisions, m map[K]V, key K, value V) {
	if d.rollback != nil {
		before, there := m[key]
		d.rollback = append(d.rollback, func() {
			if m[key] = before; !there {
				delete(m, key)
			}
		})
	}
	m[key] = value
}

// state is what a posting is about, in copies that the decision may change.
func (d *decisions) state(posting *ledger.Transaction) (s ledger.State, err error) {
	if s.From, err = d.side(posting.Wallet); err != nil {
		return s, err
	}
	switch {
	case posting.Kind == ledger.Transfer:
		s.To, err = d.side(posting.To)
	case posting.Kind == ledger.Refund:
		s.Charge, err = d.charge(posting)
	case !posting.Parent.IsZero():
		s.Hold, err = d.hold(posting)
	}
	if err != nil {
		return s, err
	}
	s.Key = copyOf(d.keys[posting.Key])
	switch {
	case s.Hold == nil:
	case s.Hold.Key == posting.Key:
		s.HoldKey = s.Key
	default:
		s.HoldKey = copyOf(d.keys[s.Hold.Key])
	}
	return s, nil
}

func copyOf[T any](value *T) *T {
	if value == nil {
		return nil
	}
	copied := *value
	return &copied
}

// side is one wallet of the batch as a decision sees it.
func (d *decisions) side(ref ledger.WalletRef) (*ledger.Side, error) {
	wallet, err := d.wallet(ref)
	if err != nil {
		return nil, err
	}
	holder := d.touched[ref.Account]
	return &ledger.Side{Wallet: *wallet, Currency: holder.Currency, Status: holder.Status, Zone: d.zones.get(holder.TimeZone)}, nil
}

func (d *decisions) wallet(ref ledger.WalletRef) (*ledger.Wallet, error) {
	holder, ok := d.touched[ref.Account]
	if !ok {
		return nil, errNoAccount(ref.Account)
	}
	wallet, ok := holder.Wallet(ref.Service)
	if !ok {
		return nil, errNoWallet(ref)
	}
	return wallet, nil
}

// hold is the hold that a posting is about. A customer cannot end what the
// operator reserved: it would not pay for messages under way.
func (d *decisions) hold(posting *ledger.Transaction) (*ledger.Hold, error) {
	hold, ok := d.holds[posting.Parent]
	switch {
	case !ok || hold.WalletRef != posting.Wallet:
		return nil, errNoParent(posting.Kind, posting.Parent)
	case posting.Scope > ledger.Operator && hold.Scope != posting.Scope:
		return nil, ledger.Errorf(ledger.Forbidden, "this hold was placed by the operator")
	}
	return copyOf(hold), nil
}

// charge is the charge, or capture, that a refund gives back.
func (d *decisions) charge(posting *ledger.Transaction) (*ledger.Refundable, error) {
	parent, ok := d.decided[posting.Parent]
	if !ok || parent.Wallet != posting.Wallet {
		return nil, errNoParent(posting.Kind, posting.Parent)
	}
	charge := parent.Refundable()
	if charge == nil {
		return nil, ledger.Errorf(ledger.Conflict, "transaction %s is not a posted charge or capture, so it cannot be refunded", parent.ID)
	}
	charge.Refunded = d.refunded[charge.ID]
	return charge, nil
}

// keep takes what a posted transaction made of its state.
func (d *decisions) keep(t *ledger.Transaction, s *ledger.State) {
	d.keepSide(s.From)
	if s.To != nil {
		d.keepSide(s.To)
	}
	hold := s.Hold
	if t.Kind == ledger.PlaceHold {
		hold = ledger.NewHold(t)
	}
	if hold != nil {
		put(d, d.holds, hold.ID, hold)
		put(d, d.changes.holds, hold.ID, hold)
	}
	if s.Charge != nil {
		put(d, d.refunded, s.Charge.ID, s.Charge.Refunded)
		put(d, d.changes.charges, s.Charge.ID, s.Charge)
	}
	d.keepKey(t.Key, s.Key)
	if s.Hold != nil && s.HoldKey != s.Key {
		d.keepKey(s.Hold.Key, s.HoldKey)
	}
}

func (d *decisions) keepSide(side *ledger.Side) {
	// It was found before, so it is found now.
	wallet, _ := d.wallet(side.Wallet.WalletRef)
	if d.rollback != nil {
		before := *wallet
		d.rollback = append(d.rollback, func() { *wallet = before })
	}
	*wallet = side.Wallet
	put(d, d.changes.wallets, wallet.WalletRef, wallet)
}

func (d *decisions) keepKey(id string, budget *ledger.Budget) {
	if budget != nil {
		put(d, d.keys, id, budget)
		put(d, d.changes.keys, id, budget)
	}
}

// collect puts what the batch changed into the order in which it is written,
// and adds up the other side of its movements.
func (d *decisions) collect() {
	b := &d.batch
	for _, wallet := range d.changes.wallets {
		b.Wallets = append(b.Wallets, wallet)
	}
	slices.SortFunc(b.Wallets, func(a, b *ledger.Wallet) int { return a.Compare(b.WalletRef) })
	for _, hold := range d.changes.holds {
		b.Holds = append(b.Holds, hold)
	}
	slices.SortFunc(b.Holds, func(a, b *ledger.Hold) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for _, charge := range d.changes.charges {
		b.Refunded = append(b.Refunded, charge)
	}
	slices.SortFunc(b.Refunded, func(a, b *ledger.Refundable) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for id, budget := range d.changes.keys {
		b.Keys = append(b.Keys, KeySpent{ID: id, Spent: budget.Spent})
	}
	slices.SortFunc(b.Keys, func(a, b KeySpent) int { return cmp.Compare(a.ID, b.ID) })
	d.addSystem()
}

// addSystem adds the other side of each movement to its system account. A
// transfer has none: its two entries balance each other.
func (d *decisions) addSystem() {
	type account struct {
		name     ledger.SystemAccount
		currency string
	}
	totals := map[account]*ledger.Total{}
	for _, t := range d.batch.Transactions {
		counterpart := t.Kind.Counterpart()
		if t.Rejection != "" || counterpart == "" {
			continue
		}
		key := account{counterpart, d.touched[t.Wallet.Account].Currency}
		if totals[key] == nil {
			totals[key] = new(ledger.Total)
		}
		totals[key].Add(-t.Delta())
	}
	for key, total := range totals {
		d.batch.System = append(d.batch.System, SystemTotal{Account: key.name, Currency: key.currency, Total: *total})
	}
	slices.SortFunc(d.batch.System, func(a, b SystemTotal) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
	})
}

func errNoAccount(id ledger.AccountID) error {
	return ledger.Errorf(ledger.NotFound, "there is no account %d", id)
}

func errNoWallet(ref ledger.WalletRef) error {
	return ledger.Errorf(ledger.NotFound, "account %d has no wallet %s", ref.Account, ref.Service)
}

func errNoParent(kind ledger.Kind, id ledger.TransactionID) error {
	if kind == ledger.Refund {
		return ledger.Errorf(ledger.NotFound, "there is no charge %s", id)
	}
	return ledger.Errorf(ledger.NotFound, "there is no hold %s", id)
}
