package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// small is a simulation that is long enough for a lie to be told and noticed.
func small(t *testing.T, seed uint64) Config {
	return Config{
		Seed: seed, Rounds: 1, Clients: 16, Window: 400, Windows: 4, ModelOnly: true,
		NewLedger: func(int) (Ledger, error) { return NewSQLite(t.TempDir()), nil },
	}
}

// TestHonest is the control: the same simulations without a lie find nothing.
func TestHonest(t *testing.T) {
	for seed := range uint64(3) {
		if _, err := Run(t.Context(), small(t, seed)); err != nil {
			t.Error(err)
		}
	}
}

// mustNotice runs until a lie is noticed, and wants the report to say what.
func mustNotice(t *testing.T, config Config, words ...string) {
	t.Helper()
	_, err := Run(t.Context(), config)
	failure, noticed := errors.AsType[*MismatchError](err)
	if !noticed {
		t.Fatalf("the lie was not noticed: %v", err)
	}
	t.Logf("noticed: %s", failure.What)
	if failure.Seed != config.Seed || !strings.Contains(err.Error(), "SALDO_SIM_SEED=") {
		t.Errorf("the report does not say how to repeat it: %v", err)
	}
	if !slices.ContainsFunc(words, func(word string) bool { return strings.Contains(failure.What, word) }) {
		t.Errorf("the report says %v", err)
	}
}

// liar is a store that now and then does something else than it says.
type liar struct {
	engine.Store

	append func(b *engine.Batch) // changes a copy of what is written
	tx     func(tx engine.Tx) engine.Tx
	holder func(*ledger.Holder) *ledger.Holder
	forget func() bool // whether to roll back what is said to be committed
	keep   func() bool // whether to commit what is said to have failed
	due    bool        // says that no hold is due
}

var errForgotten = errors.New("forgotten")

func (l *liar) Write(ctx context.Context, fn func(engine.Tx) error) error {
	err := l.Store.Write(ctx, func(tx engine.Tx) error {
		if l.tx != nil {
			tx = l.tx(tx)
		}
		err := fn(&liarTx{tx, l})
		if err == nil && l.forget != nil && l.forget() {
			return errForgotten
		}
		return err
	})
	switch {
	case errors.Is(err, errForgotten):
		return nil
	case err == nil && l.keep != nil && l.keep():
		return errInjected
	}
	return err
}

func (l *liar) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	holder, err := l.Store.Holder(ctx, id)
	if err == nil && l.holder != nil {
		holder = l.holder(holder)
	}
	return holder, err
}

func (l *liar) DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error) {
	if l.due {
		return nil, nil
	}
	return l.Store.DueHolds(ctx, at, limit)
}

// Exclusive keeps the engine from caching what it should read.
func (l *liar) Exclusive() bool { return l.holder == nil && l.Store.Exclusive() }

type liarTx struct {
	engine.Tx

	liar *liar
}

func (t *liarTx) Append(ctx context.Context, batch *engine.Batch) error {
	if t.liar.append != nil {
		// The engine answers with the transactions of the batch, and goes on with
		// its wallets, so it must not see the lie.
		changed := *batch
		changed.Transactions = copies(batch.Transactions)
		changed.Wallets = copies(batch.Wallets)
		changed.Holds = copies(batch.Holds)
		changed.Refunded = copies(batch.Refunded)
		changed.Entries, changed.System, changed.Keys = slices.Clone(batch.Entries), slices.Clone(batch.System), slices.Clone(batch.Keys)
		t.liar.append(&changed)
		batch = &changed
	}
	return t.Tx.Append(ctx, batch)
}

func copies[T any](list []*T) []*T {
	copied := make([]*T, len(list))
	for i := range list {
		value := *list[i]
		copied[i] = &value
	}
	return copied
}

// lie makes a store that appends something else than it is told.
func lie(change func(b *engine.Batch)) func(engine.Store) engine.Store {
	return func(store engine.Store) engine.Store { return &liar{Store: store, append: change} }
}

// sometimes is true every so many times.
func sometimes(every int) func() bool {
	n := 0
	return func() bool {
		n++
		return n%every == 0
	}
}

// dropOne takes the first element out of a list that is wanted.
func dropOne[T any](list []T, wanted func(T) bool) []T {
	if i := slices.IndexFunc(list, wanted); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func posted(t *ledger.Transaction) bool { return t.Rejection == "" }

const (
	outcomes = "the outcome is not what the rules say"
	stored   = "what a client was told is not what is stored"
	nobodys  = "nobody asked for"
	late     = "it stands before what was done before"
)

// anything is for lies after which the ledger goes another way, so that it
// depends on what comes next by what they are noticed first.
var anything = []string{""}

// TestLies wants each lie of a store to be noticed by the model, without Verify.
func TestLies(t *testing.T) {
	rarely, often := sometimes(12), sometimes(3)
	var delayed *ledger.Transaction
	for name, test := range map[string]struct {
		lie   func(engine.Store) engine.Store
		words []string
	}{
		"a transaction is dropped": {lie(func(b *engine.Batch) {
			if rarely() {
				b.Transactions = dropOne(b.Transactions, posted)
			}
		}), anything},
		"a rejection is dropped": {lie(func(b *engine.Batch) {
			if often() {
				b.Transactions = dropOne(b.Transactions, func(t *ledger.Transaction) bool { return !posted(t) && t.Batch.IsZero() })
			}
		}), anything},
		"a transaction is written twice": {lie(func(b *engine.Batch) {
			if rarely() {
				again := *b.Transactions[0]
				again.IdempotencyKey += "-again"
				again.ID = ledger.NewTransactionID(again.Scope, again.IdempotencyKey)
				b.Transactions = append(b.Transactions, &again)
			}
		}), []string{nobodys}},
		"money moves twice": {lie(func(b *engine.Batch) {
			if len(b.Wallets) > 0 { // the engine's cache hides it for a while
				b.Wallets[len(b.Wallets)-1].Balance--
			}
		}), anything},
		"two change places": {lie(func(b *engine.Batch) {
			for i := range b.Transactions[1:] {
				one, next := b.Transactions[i], b.Transactions[i+1]
				if posted(one) && posted(next) && one.Wallet == next.Wallet {
					b.Transactions[i], b.Transactions[i+1] = next, one
					return
				}
			}
		}), anything},
		"one is written later": {lie(func(b *engine.Batch) {
			if delayed != nil {
				b.Transactions = append(b.Transactions, delayed)
				delayed = nil
				return
			}
			wanted := func(t *ledger.Transaction) bool { return t.Rejection == ledger.InsufficientFunds && t.Batch.IsZero() }
			if i := slices.IndexFunc(b.Transactions, wanted); i >= 0 {
				delayed = b.Transactions[i]
				b.Transactions = slices.Delete(b.Transactions, i, i+1)
			}
		}), anything},
		"a hold is not brought up to date": {lie(func(b *engine.Batch) {
			if often() {
				b.Holds = dropOne(b.Holds, func(h *ledger.Hold) bool { return h.State != ledger.HoldOpen })
			}
		}), anything},
		"a hold is not placed": {lie(func(b *engine.Batch) {
			if often() {
				b.Holds = dropOne(b.Holds, func(h *ledger.Hold) bool { return h.State == ledger.HoldOpen })
			}
		}), anything},
		"a refund is not counted": {lie(func(b *engine.Batch) { b.Refunded = nil }), []string{"refunded", outcomes}},
		"a key's spending is not counted": {lie(func(b *engine.Batch) {
			if often() {
				b.Keys = nil
			}
		}), []string{"key", outcomes}},
		"a spend count is lost": {lie(func(b *engine.Batch) {
			for _, w := range b.Wallets {
				w.Spent = ledger.Spent{}
			}
		}), []string{"account", outcomes}},
		"a stored outcome differs": {lie(func(b *engine.Batch) {
			if rarely() {
				b.Transactions[0].Available++
			}
		}), []string{stored, outcomes}},
		"an order is lost": {lie(func(b *engine.Batch) {
			for _, t := range b.Transactions {
				t.Metadata = nil
			}
		}), []string{outcomes}},
		"time runs backwards": {lie(func(b *engine.Batch) {
			if rarely() {
				b.Transactions[0].CreatedAt = b.Transactions[0].CreatedAt.Add(-time.Hour)
			}
		}), []string{"its time is before", outcomes}},
		"a system account is wrong": {lie(func(b *engine.Batch) {
			if rarely() && len(b.System) > 0 {
				var one ledger.Total
				one.Add(1)
				b.System[0].Total.AddTotal(&one)
			}
		}), []string{"system account"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := small(t, 7)
			config.Lie = test.lie
			mustNotice(t, config, test.words...)
		})
	}
}

// forgetful is a transaction of a store that does not keep what it is told.
type forgetful struct {
	engine.Tx

	settings bool // of wallets
	accounts bool
	decided  bool // does not find earlier outcomes as they were
}

func (f *forgetful) UpdateWallet(ctx context.Context, wallet ledger.WalletRef, settings *ledger.Settings) error {
	if f.settings {
		return nil
	}
	return f.Tx.UpdateWallet(ctx, wallet, settings)
}

func (f *forgetful) UpdateAccount(ctx context.Context, account *ledger.Account) error {
	if f.accounts {
		return nil
	}
	return f.Tx.UpdateAccount(ctx, account)
}

func (f *forgetful) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	decided, err := f.Tx.Decided(ctx, ids)
	if f.decided {
		for _, t := range decided {
			t.Balance++
		}
	}
	return decided, err
}

// TestLiesAboutTheRest is about lies that are not told while postings are written.
func TestLiesAboutTheRest(t *testing.T) {
	rarely := sometimes(9)
	var seen sync.Map // from accounts to their first holders; engines read at the same time
	for name, test := range map[string]struct {
		liar  liar
		words []string
	}{
		"a commit is not done":   {liar{forget: rarely}, anything},
		"a failed write is kept": {liar{keep: rarely}, []string{nobodys, "told wrong whether a change"}},
		"an old balance is read": {liar{holder: func(h *ledger.Holder) *ledger.Holder {
			first, _ := seen.LoadOrStore(h.ID, h)
			return first.(*ledger.Holder)
		}}, anything},
		"no hold is due":       {liar{due: true}, []string{"open past its expiry"}},
		"settings are lost":    {liar{tx: func(tx engine.Tx) engine.Tx { return &forgetful{Tx: tx, settings: true} }}, []string{"account", outcomes, "at no moment"}},
		"a status is lost":     {liar{tx: func(tx engine.Tx) engine.Tx { return &forgetful{Tx: tx, accounts: true} }}, []string{"account", outcomes, "at no moment"}},
		"a replay is not true": {liar{tx: func(tx engine.Tx) engine.Tx { return &forgetful{Tx: tx, decided: true} }}, []string{stored}},
	} {
		t.Run(name, func(t *testing.T) {
			config := small(t, 11)
			config.Lie = func(store engine.Store) engine.Store {
				liar := test.liar
				liar.Store = store
				return &liar
			}
			mustNotice(t, config, test.words...)
		})
	}
}

// TestLiesOfTheEngine wants each wrong reply to a client to be noticed.
func TestLiesOfTheEngine(t *testing.T) {
	for name, test := range map[string]struct {
		lie   func(r *record) bool // tells whether it lied
		words []string
	}{
		"a posting is said to have failed": {func(r *record) bool {
			if len(r.results) != 1 || r.err != nil || r.results[0].Replayed || r.again || len(r.requests) != 1 {
				return false
			}
			r.results[0], r.err = engine.Result{}, ledger.Errorf(ledger.Overloaded, "too many")
			return true
		}, []string{nobodys}},
		"a balance is off": {func(r *record) bool {
			if len(r.results) != 1 || r.err != nil {
				return false
			}
			told := *r.results[0].Transaction
			told.Balance++
			r.results[0].Transaction = &told
			return true
		}, []string{stored}},
		"a replay is said to be new": {func(r *record) bool {
			if len(r.results) != 1 || r.err != nil || !r.results[0].Replayed {
				return false
			}
			r.results[0].Replayed = false
			return true
		}, []string{"posted it first", late, "before it was asked for", "decided only later"}},
		"a new one is said to be a replay": {func(r *record) bool {
			if len(r.results) != 1 || r.err != nil || r.results[0].Replayed || r.results[0].Transaction.Rejection != "" {
				return false
			}
			r.results[0].Replayed = true
			return true
		}, []string{nobodys}},
		"a hold is said not to be there": {func(r *record) bool {
			if r.action != doHold || r.err != nil || r.hold.State == ledger.HoldOpen {
				return false
			}
			r.hold, r.err = nil, ledger.Errorf(ledger.NotFound, "there is no hold")
			return true
		}, []string{"no reason for this answer"}},
		"a hold is said to have more": {func(r *record) bool {
			if r.action != doHold || r.err != nil {
				return false
			}
			r.hold.Captured++
			return true
		}, []string{"a hold was read as it was at no moment"}},
		"a balance is read wrong": {func(r *record) bool {
			if r.action != doHolder || r.err != nil {
				return false
			}
			copied := *r.holder
			copied.Wallets = slices.Clone(copied.Wallets)
			copied.Wallets[0].Held++
			r.holder = &copied
			return true
		}, []string{"at no moment of the reading"}},
		"a reused key goes unnoticed": {func(r *record) bool {
			if r.action != doPost || r.code() != "" || len(r.results) != 1 {
				return false
			}
			r.results[0], r.err = engine.Result{}, ledger.Errorf(ledger.IdempotencyKeyReused, "used")
			return true
		}, []string{nobodys, "no reason for this answer"}},
		"a change is said to have failed": {func(r *record) bool {
			if r.action != doSettings || r.err != nil {
				return false
			}
			r.err, r.holder = ledger.Errorf(ledger.AmountOutOfRange, "too much"), nil
			return true
		}, []string{"told wrong whether a change was made"}},
		"a report is said to have had another outcome": {func(r *record) bool {
			for i := range r.settled {
				if r.settled[i].Outcome == engine.SettledCaptured {
					r.settled[i].Outcome = engine.SettledReleased
					return true
				}
			}
			return false
		}, []string{"cannot have had this outcome"}},
		"an unknown failure has no fault": {func(r *record) bool {
			if r.action != doRead || r.readFail || r.giveUp > 0 {
				return false
			}
			r.err, r.read = errors.New("disk on fire"), nil
			r.began, r.ended = 1, 2 // when nothing went wrong yet
			return true
		}, []string{"this is not the transaction"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := small(t, 13)
			told := false
			config.tweak = func(records []*record) {
				for _, r := range records {
					if r.unknown || r.excused || r.client < 0 {
						continue
					}
					if told = told || test.lie(r); told {
						return
					}
				}
			}
			mustNotice(t, config, test.words...)
		})
	}
}
