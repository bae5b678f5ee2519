package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// maxProblems bounds the problems that a report spells out; it counts them all.
const maxProblems = 100

const verifyPage = 1000

// Report is what Verify found.
type Report struct {
	Wallets      int64 `json:"wallets"`
	Entries      int64 `json:"entries"`
	Transactions int64 `json:"transactions"`
	// ProblemCount is 0 for a ledger that is right in every respect.
	ProblemCount int64 `json:"problem_count"`
	// Problems are the first of them, in plain words.
	Problems []string `json:"problems"`
}

func (r *Report) problemf(format string, args ...any) {
	r.ProblemCount++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify checks one consistent state of the whole ledger, entry by entry: every
// balance is the sum of its entries, versions have no gap, the chains of hashes
// are intact and end at the wallets' heads, every posted transaction has its
// entries and every entry its transaction, stored requests still have their
// hashes, and all accounts of a currency add up to zero.
//
// An error means that the ledger could not be read; what is wrong with the
// ledger itself is in the report. progress, if not nil, is called now and then.
func Verify(ctx context.Context, store Reader, progress func(Report)) (*Report, error) {
	report := &Report{Problems: []string{}}
	err := store.Snapshot(ctx, func(snapshot Snapshot) error {
		v := verifier{
			Report: report, snapshot: snapshot, progress: progress,
			wallets: make(map[string]*ledger.Total), movements: make(map[systemKey]*ledger.Total),
		}
		if err := v.chains(ctx); err != nil {
			return err
		}
		if err := v.transactions(ctx); err != nil {
			return err
		}
		return v.zero(ctx)
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

type verifier struct {
	*Report
	snapshot  Snapshot
	progress  func(Report)
	wallets   map[string]*ledger.Total    // balances, by currency
	movements map[systemKey]*ledger.Total // what entries say of the system accounts
	lastTime  time.Time                   // of the entry checked last
}

func (v *verifier) tick() {
	if v.progress != nil {
		v.progress(*v.Report)
	}
}

// chains walks wallets and entries side by side, both in the same order.
func (v *verifier) chains(ctx context.Context) error {
	entries := entryReader{snapshot: v.snapshot}
	after := ledger.WalletRef{}
	for {
		wallets, err := v.snapshot.Wallets(ctx, after, verifyPage)
		if err != nil {
			return err
		}
		for i := range wallets {
			if err := v.chain(ctx, &wallets[i], &entries); err != nil {
				return err
			}
		}
		v.tick()
		if len(wallets) < verifyPage {
			break
		}
		after = wallets[len(wallets)-1].WalletRef
	}
	return v.strays(ctx, &entries, nil)
}

// strays reports entries that come before the next wallet, or before the end.
func (v *verifier) strays(ctx context.Context, entries *entryReader, next *ledger.WalletRef) error {
	for {
		entry, err := entries.peek(ctx)
		if err != nil || entry == nil || next != nil && entry.Compare(*next) >= 0 {
			return err
		}
		v.Entries++
		v.problemf("entry %d of wallet %s of account %d: there is no such wallet", entry.Version, entry.Service, entry.Account)
		entries.skip()
	}
}

// chain recomputes one wallet from its entries and compares.
func (v *verifier) chain(ctx context.Context, row *WalletRow, entries *entryReader) error {
	if err := v.strays(ctx, entries, &row.WalletRef); err != nil {
		return err
	}
	v.Wallets++
	run := ledger.Wallet{WalletRef: row.WalletRef}
	for {
		entry, err := entries.peek(ctx)
		if err != nil {
			return err
		}
		if entry == nil || entry.WalletRef != row.WalletRef {
			break
		}
		v.Entries++
		v.entry(&run, entry, row.Currency)
		entries.skip()
	}
	where := fmt.Sprintf("wallet %s of account %d", row.Service, row.Account)
	if row.Currency == "" {
		v.problemf("%s: its account is missing", where)
	}
	if row.Version != run.Version {
		v.problemf("%s: its last entry is number %d, the wallet says %d", where, run.Version, row.Version)
	}
	if row.Balance != run.Balance {
		v.problemf("%s: its entries add up to %s, the wallet says %s", where, run.Balance, row.Balance)
	}
	if row.Held != run.Held {
		v.problemf("%s: by its entries %s is held, the wallet says %s", where, run.Held, row.Held)
	}
	if row.Head != run.Head {
		v.problemf("%s: its chain does not end at the wallet's head", where)
	}
	addTo(v.wallets, row.Currency, row.Balance)
	return nil
}

// entry checks an entry against the run of its wallet so far, and moves the run on.
func (v *verifier) entry(run *ledger.Wallet, entry *EntryRow, currency string) {
	where := fmt.Sprintf("entry %d of wallet %s of account %d", entry.Version, entry.Service, entry.Account)
	if entry.Version != run.Version+1 {
		v.problemf("%s: it follows number %d", where, run.Version)
	}
	if entry.CreatedAt.Before(v.lastTime) && entry.Version > 1 {
		v.problemf("%s: it is older than the entry before it", where)
	}
	v.lastTime = entry.CreatedAt
	balance, err := run.Balance.Add(entry.Amount)
	if err != nil || balance != entry.Balance {
		v.problemf("%s: %s and %s do not make its balance %s", where, run.Balance, entry.Amount, entry.Balance)
	}
	if cause := entry.Cause; cause == nil {
		v.problemf("%s: its transaction %s is missing", where, entry.Transaction)
	} else {
		if entry.Hash != entry.ChainHash(run.Head, cause.RequestHash) {
			v.problemf("%s: its hash does not follow from what it says", where)
		}
		if cause.Rejection != "" {
			v.problemf("%s: its transaction %s was rejected", where, cause.ID)
		}
		if !caused(cause, &entry.Entry) {
			v.problemf("%s: it is not what its transaction %s does", where, cause.ID)
		}
		if counterpart := cause.Kind.Counterpart(); counterpart != "" {
			addTo(v.movements, systemKey{counterpart, currency}, -entry.Amount)
		}
	}
	run.Version, run.Balance, run.Held, run.Head = entry.Version, entry.Balance, entry.Held, entry.Hash
}

// caused tells whether an entry is the one that a transaction has in its wallet:
// at its place, once, and of its amount.
func caused(t *ledger.Transaction, e *ledger.Entry) bool {
	amount := t.Amount
	switch {
	case t.Kind == ledger.Transfer && e.WalletRef == t.To && e.Version == t.ToVersion:
	case e.WalletRef == t.Wallet && e.Version == t.Version:
		if t.Kind == ledger.Charge || t.Kind == ledger.Transfer {
			amount = -amount
		}
	default:
		return false
	}
	return e.Amount == amount && e.CreatedAt.Equal(t.CreatedAt)
}

// transactions checks every transaction against its request and its entries.
func (v *verifier) transactions(ctx context.Context) error {
	var after ledger.TransactionID
	for {
		page, err := v.snapshot.Transactions(ctx, after, verifyPage)
		if err != nil {
			return err
		}
		for i := range page {
			v.Transactions++
			v.transaction(&page[i])
		}
		v.tick()
		if len(page) < verifyPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (v *verifier) transaction(t *TransactionRow) {
	if t.Hash() != t.RequestHash || t.ID != ledger.NewTransactionID(t.Scope, t.IdempotencyKey) {
		v.problemf("transaction %s: what it says is not what was posted", t.ID)
	}
	if t.Rejection != "" {
		return
	}
	if t.Entry == nil || t.Entry.Transaction != t.ID || t.Entry.Balance != t.Balance || t.Entry.Held != t.Held {
		v.problemf("transaction %s: its entry %d in wallet %s of account %d is missing or differs", t.ID, t.Version, t.Wallet.Service, t.Wallet.Account)
	}
	if t.Kind == ledger.Transfer && (t.ToEntry == nil || t.ToEntry.Transaction != t.ID) {
		v.problemf("transaction %s: its entry %d in wallet %s of account %d is missing or differs", t.ID, t.ToVersion, t.To.Service, t.To.Account)
	}
}

// zero checks the system accounts against the entries, and that everything
// adds up to zero in each currency.
func (v *verifier) zero(ctx context.Context) error {
	system, err := v.snapshot.System(ctx)
	if err != nil {
		return err
	}
	for i := range system {
		s := &system[i]
		key := systemKey{s.Account, s.Currency}
		expected := v.movements[key]
		if expected == nil {
			expected = new(ledger.Total)
		}
		if !s.Total.Equal(expected) {
			v.problemf("system account %s in %s: by the entries it has %s, it says %s", s.Account, s.Currency, expected, &s.Total)
		}
		delete(v.movements, key)
		if v.wallets[s.Currency] == nil {
			v.wallets[s.Currency] = new(ledger.Total)
		}
		v.wallets[s.Currency].AddTotal(&s.Total)
	}
	for key, total := range v.movements {
		if !total.IsZero() {
			v.problemf("system account %s in %s: by the entries it has %s, it is missing", key.account, key.currency, total)
		}
	}
	for currency, total := range v.wallets {
		if !total.IsZero() {
			v.problemf("all accounts in %s add up to %s, not to zero", currency, total)
		}
	}
	return nil
}

func addTo[K comparable](totals map[K]*ledger.Total, key K, amount ledger.Amount) {
	if totals[key] == nil {
		totals[key] = new(ledger.Total)
	}
	totals[key].Add(amount)
}

// entryReader gives the entries of a snapshot one after another.
type entryReader struct {
	snapshot Snapshot
	page     []EntryRow
	last     ledger.Entry
	ended    bool
}

// peek gives the next entry, nil after the last.
func (r *entryReader) peek(ctx context.Context) (*EntryRow, error) {
	if len(r.page) == 0 && !r.ended {
		page, err := r.snapshot.Entries(ctx, r.last.WalletRef, r.last.Version, verifyPage)
		if err != nil {
			return nil, err
		}
		r.page, r.ended = page, len(page) == 0
	}
	if len(r.page) == 0 {
		return nil, nil
	}
	return &r.page[0], nil
}

// skip moves on past the entry that peek gave.
func (r *entryReader) skip() {
	r.last = r.page[0].Entry
	r.page = r.page[1:]
}
