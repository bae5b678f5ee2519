package engine

import (
	"context"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// decisions is the work on one batch of postings inside one transaction of the
// store. It is made anew for each attempt.
type decisions struct {
	writes  []*write
	results []result // one for each write
	now     time.Time

	// touched are the accounts of the batch: copies, on which the postings are
	// decided one after another, so that the second sees what the first did.
	touched map[ledger.AccountID]*ledger.Holder
	decided map[ledger.TransactionID]*ledger.Transaction
	changed map[ledger.WalletRef]*ledger.Wallet
	system  map[systemKey]*ledger.Total
	batch   Batch
}

type systemKey struct {
	account  ledger.SystemAccount
	currency string
}

func newDecisions(writes []*write, now time.Time) *decisions {
	return &decisions{
		writes:  writes,
		results: make([]result, len(writes)),
		now:     now,
		touched: make(map[ledger.AccountID]*ledger.Holder, len(writes)),
		changed: make(map[ledger.WalletRef]*ledger.Wallet, len(writes)),
		system:  make(map[systemKey]*ledger.Total),
	}
}

// run decides every posting and writes what came of it.
func (d *decisions) run(ctx context.Context, tx Tx, cached *cache[ledger.AccountID, *ledger.Holder]) error {
	if err := d.lock(ctx, tx, cached); err != nil {
		return err
	}
	ids := make([]ledger.TransactionID, len(d.writes))
	for i, w := range d.writes {
		ids[i] = w.posting.ID
	}
	// Earlier outcomes are read under the locks: a posting that this one
	// repeats is either seen here or waits for the same wallet.
	var err error
	if d.decided, err = tx.Decided(ctx, ids); err != nil {
		return err
	}
	for i, w := range d.writes {
		d.results[i] = d.decide(&w.posting)
	}
	if len(d.batch.Transactions) == 0 {
		return nil
	}
	for _, wallet := range d.changed {
		d.batch.Wallets = append(d.batch.Wallets, wallet)
	}
	slices.SortFunc(d.batch.Wallets, func(a, b *ledger.Wallet) int { return a.Compare(b.WalletRef) })
	for key, total := range d.system {
		d.batch.System = append(d.batch.System, SystemTotal{Account: key.account, Currency: key.currency, Total: *total})
	}
	return tx.Append(ctx, &d.batch)
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
	for _, w := range d.writes {
		want(w.posting.Wallet)
		if w.posting.Kind == ledger.Transfer {
			want(w.posting.To)
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

// decide gives the result of one posting: that of an earlier request with the
// same key, or what the rules say now.
func (d *decisions) decide(posting *ledger.Transaction) result {
	if earlier, ok := d.decided[posting.ID]; ok {
		if earlier.RequestHash != posting.RequestHash {
			return result{err: ledger.Errorf(ledger.IdempotencyKeyReused, "this idempotency key was used for another request").
				WithHint("use a new key for each movement; only retries of one movement share a key")}
		}
		return result{transaction: earlier, replayed: true}
	}
	from, fromWallet, err := d.side(posting.Wallet)
	if err != nil {
		return result{err: err}
	}
	var to *ledger.Side
	var toWallet *ledger.Wallet
	if posting.Kind == ledger.Transfer {
		if to, toWallet, err = d.side(posting.To); err != nil {
			return result{err: err}
		}
	}
	transaction := *posting
	entries := transaction.Decide(from, to, d.now)
	d.decided[transaction.ID] = &transaction
	d.batch.Transactions = append(d.batch.Transactions, &transaction)
	if len(entries) > 0 {
		d.keep(fromWallet, from)
		if to != nil {
			d.keep(toWallet, to)
		}
		d.batch.Entries = append(d.batch.Entries, entries...)
		d.balance(&transaction, from.Currency, entries[0].Amount)
	}
	return result{transaction: &transaction}
}

// side is one wallet of the batch as a decision sees it, and where it is kept.
func (d *decisions) side(ref ledger.WalletRef) (*ledger.Side, *ledger.Wallet, error) {
	holder, ok := d.touched[ref.Account]
	if !ok {
		return nil, nil, errNoAccount(ref.Account)
	}
	wallet, ok := holder.Wallet(ref.Service)
	if !ok {
		return nil, nil, errNoWallet(ref)
	}
	return &ledger.Side{Wallet: *wallet, Currency: holder.Currency, Status: holder.Status}, wallet, nil
}

// keep takes a wallet as a posting left it.
func (d *decisions) keep(wallet *ledger.Wallet, side *ledger.Side) {
	*wallet = side.Wallet
	d.changed[wallet.WalletRef] = wallet
}

// balance adds the other side of a movement to its system account. A transfer
// has none: its two entries balance each other.
func (d *decisions) balance(t *ledger.Transaction, currency string, amount ledger.Amount) {
	counterpart := t.Kind.Counterpart()
	if counterpart == "" {
		return
	}
	key := systemKey{counterpart, currency}
	total, ok := d.system[key]
	if !ok {
		total = new(ledger.Total)
		d.system[key] = total
	}
	total.Add(-amount)
}

func errNoAccount(id ledger.AccountID) error {
	return ledger.Errorf(ledger.NotFound, "there is no account %d", id)
}

func errNoWallet(ref ledger.WalletRef) error {
	return ledger.Errorf(ledger.NotFound, "account %d has no wallet %s", ref.Account, ref.Service)
}
