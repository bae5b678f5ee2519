package engine

import (
	"context"
	"fmt"
	"iter"
	"strings"
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
	Holds        int64 `json:"holds"`
	// Heads are those of the checkpoint that was compared, 0 without one.
	Heads int64 `json:"checkpoint_heads"`
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

// VerifyOptions are what Verify can be given beside the ledger.
type VerifyOptions struct {
	// Progress, if not nil, is called now and then.
	Progress func(Report)
	// Evidence gives heads that the chains once had, in order of WalletRef: those
	// of a checkpoint. Without it, entries cut off a chain's end together with
	// their effect on the wallet cannot be noticed.
	Evidence iter.Seq2[Head, error]
}

// Verify checks one consistent state of the whole ledger, entry by entry: every
// balance is the sum of its entries, versions have no gap, the chains of hashes
// are intact and end at the wallets' heads, what is held is what remains of the
// open holds, holds and refunds are what their transactions say, every posted
// transaction has its entries and every entry its transaction, stored requests
// still have their hashes, and all accounts of a currency add up to zero. It
// also checks that the database itself still refuses to change history.
//
// An error means that the ledger, or the evidence, could not be read; what is
// wrong with the ledger itself is in the report.
func Verify(ctx context.Context, store Reader, options VerifyOptions) (*Report, error) {
	report := &Report{Problems: []string{}}
	err := store.Snapshot(ctx, func(snapshot Snapshot) error {
		v := verifier{
			Report: report, snapshot: snapshot, progress: options.Progress,
			wallets: make(map[string]*ledger.Total), movements: make(map[systemKey]*ledger.Total),
		}
		if options.Evidence != nil {
			next, stop := iter.Pull2(options.Evidence)
			defer stop()
			v.evidence = &evidence{next: next}
		}
		for _, check := range []func(context.Context) error{v.guards, v.chains, v.transactions, v.refunds, v.zero} {
			if err := check(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

type systemKey struct {
	account  ledger.SystemAccount
	currency string
}

type verifier struct {
	*Report
	snapshot  Snapshot
	progress  func(Report)
	wallets   map[string]*ledger.Total    // balances, by currency
	movements map[systemKey]*ledger.Total // what entries say of the system accounts
	lastTime  time.Time                   // of the entry checked last
	evidence  *evidence                   // nil where there is none
}

func (v *verifier) tick() {
	if v.progress != nil {
		v.progress(*v.Report)
	}
}

// guards comes first: whatever else is found may have come through what is missing here.
func (v *verifier) guards(ctx context.Context) error {
	missing, err := v.snapshot.MissingGuards(ctx)
	if err == nil && len(missing) > 0 {
		v.problemf("history: the database does not protect it, because these triggers are gone, disabled or changed: %s "+
			"(find out who did that; saldo copy makes a ledger that has them)", strings.Join(missing, ", "))
	}
	return err
}

// chains walks wallets, entries, holds and evidence side by side, all in the same order.
func (v *verifier) chains(ctx context.Context) error {
	entries := v.entryReader()
	holds := v.holdReader()
	after := ledger.WalletRef{}
	for {
		wallets, err := v.snapshot.Wallets(ctx, after, verifyPage)
		if err != nil {
			return err
		}
		for i := range wallets {
			if err := v.chain(ctx, &wallets[i], entries); err != nil {
				return err
			}
			if err := v.holds(ctx, &wallets[i], holds); err != nil {
				return err
			}
		}
		v.tick()
		if len(wallets) < verifyPage {
			break
		}
		after = wallets[len(wallets)-1].WalletRef
	}
	if err := v.lostHeads(nil); err != nil {
		return err
	}
	if err := v.strayHolds(ctx, holds, nil); err != nil {
		return err
	}
	return v.strays(ctx, entries, nil)
}

// strays reports entries that come before the next wallet, or before the end.
func (v *verifier) strays(ctx context.Context, entries *pageReader[EntryRow], next *ledger.WalletRef) error {
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
func (v *verifier) chain(ctx context.Context, row *WalletRow, entries *pageReader[EntryRow]) error {
	head, err := v.head(row.WalletRef)
	if err != nil {
		return err
	}
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
		if head != nil && head.Version == run.Version && head.Hash != run.Head {
			v.problemf("entry %d of wallet %s of account %d: it is not the one of the checkpoint", run.Version, row.Service, row.Account)
		}
	}
	if head != nil && head.Version > run.Version {
		v.problemf("wallet %s of account %d: it ends at entry %d, the checkpoint has %d", row.Service, row.Account, run.Version, head.Version)
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
		if entry.Hash != entry.ChainHash(run.Head, cause) {
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
	amount := t.Delta()
	switch {
	case t.Kind == ledger.Transfer && e.WalletRef == t.To && e.Version == t.ToVersion:
		amount = -amount
	case e.WalletRef == t.Wallet && e.Version == t.Version:
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
	if t.Amount != 0 && t.Moved != t.Amount {
		v.problemf("transaction %s: it moved %s, %s was asked for", t.ID, t.Moved, t.Amount)
	}
	if t.Entry == nil || t.Entry.Transaction != t.ID || t.Entry.Balance != t.Balance || t.Entry.Held != t.Held {
		v.problemf("transaction %s: its entry %d in wallet %s of account %d is missing or differs", t.ID, t.Version, t.Wallet.Service, t.Wallet.Account)
	}
	if !t.Counted && (t.Kind == ledger.PlaceHold || t.Kind == ledger.Refund) {
		v.problemf("transaction %s: its hold, or the count of its charge's refunds, is missing", t.ID)
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

// pageReader gives the rows of a snapshot one after another.
type pageReader[T any] struct {
	read  func(ctx context.Context, last *T) ([]T, error)
	page  []T
	last  T
	ended bool
}

// peek gives the next row, nil after the last.
func (r *pageReader[T]) peek(ctx context.Context) (*T, error) {
	if len(r.page) == 0 && !r.ended {
		page, err := r.read(ctx, &r.last)
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

// skip moves on past the row that peek gave.
func (r *pageReader[T]) skip() {
	r.last = r.page[0]
	r.page = r.page[1:]
}

func (v *verifier) entryReader() *pageReader[EntryRow] {
	return &pageReader[EntryRow]{read: func(ctx context.Context, last *EntryRow) ([]EntryRow, error) {
		v.tick() // a ledger of few wallets may have very many entries
		return v.snapshot.Entries(ctx, last.WalletRef, last.Version, verifyPage)
	}}
}
