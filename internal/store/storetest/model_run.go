package storetest

import (
	"context"
	"math/big"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// modelTime bounds the search for a difference between model and engine.
const modelTime = 12 * time.Second

// modelRun is a ledger that is opened again and again while the model goes on.
type modelRun struct {
	ledger Ledger
	store  Store
	gate   *Gate
	engine *engine.Engine
	clock  *Clock
	model  *model
	drawn  drawn
}

func (r *modelRun) start(t *rapid.T) {
	var err error
	if r.store, err = r.ledger.Open(context.Background()); err != nil {
		t.Fatalf("open: %v", err)
	}
	r.gate = NewGate(r.store)
	options := timed(r.clock)
	options.BatchSize = rapid.SampledFrom([]int{1, 2, 3, 1000}).Draw(t, "batch size")
	options.CacheSize = rapid.SampledFrom([]int{1, 1000}).Draw(t, "cache size")
	if r.engine, err = engine.New(context.Background(), r.gate, options); err != nil {
		t.Fatalf("start: %v", err)
	}
	r.model.committed, r.model.exclusive = r.model.last, r.store.Exclusive()
}

func (r *modelRun) stop(t *rapid.T) {
	if r.engine == nil {
		return
	}
	r.engine.Close()
	r.engine = nil
	if err := r.store.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// keys makes the operator's keys with caps.
func (r *modelRun) keys(t *rapid.T) {
	for _, id := range []string{"capped-1", "capped-2"} {
		caps := drawCaps().Draw(t, "caps")
		_, err := r.engine.CreateKey(context.Background(), ledger.Key{Scopes: ledger.Scopes, Caps: caps}, modelCredentials(id))
		if err != nil {
			t.Fatal(err)
		}
		budget := emptyBudget()
		budget.caps = caps
		r.model.money.keys[id] = budget
	}
}

func modelCredentials(id string) ledger.Credentials {
	return ledger.Credentials{ID: id, Secret: "secret-of-the-key"}
}

// group does some calls, one at a time or so that they make batches, and
// compares what came of them with the model.
func (r *modelRun) group(t *rapid.T) {
	ctx := context.Background()
	m := r.model
	m.clock = r.clock.Now().UTC().Truncate(time.Microsecond)
	actions := rapid.SliceOfN(rapid.Custom(r.drawn.action), 1, 15).Draw(t, "actions")
	if !rapid.Bool().Draw(t, "as batches") {
		m.visible = nil
		for _, what := range rapid.SliceOfN(rapid.SampledFrom([]string{"sweep", "settle"}), 0, 2).Draw(t, "at the end") {
			if what == "sweep" {
				actions = append(actions, sweepAction())
			} else {
				actions = append(actions, settleAction(t))
			}
		}
		for _, a := range actions {
			a.check(t, m, a.call(ctx, r.engine))
		}
		return
	}
	// None of them is decided before all of them wait.
	m.visible = map[ledger.TransactionID]bool{}
	for id := range m.decided {
		m.visible[id] = true
	}
	results := make([]any, len(actions))
	var calls []func()
	for i, a := range actions {
		calls = append(calls, func() { results[i] = a.call(ctx, r.engine) })
	}
	Queue(r.engine, r.gate, calls...)
	for i, a := range actions {
		a.check(t, m, results[i])
	}
}

// pass lets time go on, or jump.
func (r *modelRun) pass(t *rapid.T) {
	r.clock.Pass(time.Duration(rapid.OneOf(
		rapid.Int64Range(-1e9, 2e9), rapid.Int64Range(-1e9, 2e9), rapid.Int64Range(0, int64(3*time.Hour)), rapid.Int64Range(0, int64(40*24*time.Hour)),
	).Draw(t, "time passes")))
}

func testModel(s *suite) {
	began, failed := time.Now(), false
	rapid.Check(s.T, func(t *rapid.T) {
		// On a slow machine fewer ledgers have to do, but a failure is followed to its end.
		if time.Since(began) > modelTime && !failed {
			return
		}
		finished := false
		defer func() { failed = failed || !finished }()
		run := &modelRun{ledger: s.newLedger(s.T), clock: NewClock(start), model: newModel()}
		run.start(t)
		defer func() { run.stop(t) }()
		run.keys(t)
		for range rapid.IntRange(1, 5).Draw(t, "groups") {
			run.group(t)
			run.pass(t)
			if rapid.Bool().Draw(t, "reopen") {
				run.stop(t)
				run.start(t)
			}
		}
		run.same(t)
		run.stop(t)
		run.start(t)
		run.same(t)
		for _, want := range run.model.decided {
			run.again(t, want)
		}
		run.same(t)
		finished = true
	})
}

// again posts a transaction once more. Those of an atomic batch are not what they are without it.
func (r *modelRun) again(t *rapid.T, want *ledger.Transaction) {
	got, replayed, err := r.engine.Post(context.Background(), want.Request)
	if diff := cmp.Diff(want, got); err != nil || !replayed || diff != "" {
		t.Fatalf("replayed: %t, error: %v, and it differs (-first +again):\n%s", replayed, err, diff)
	}
}

// same compares the ledger with the model.
func (r *modelRun) same(t *rapid.T) {
	ctx := context.Background()
	m := r.model
	r.sameWallets(t)
	for id, want := range m.decided {
		got, err := r.engine.Transaction(ctx, id)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("transaction %s: %v, and it differs (-want +got):\n%s", id, err, diff)
		}
	}
	for id, want := range m.money.holds {
		got, err := r.engine.Hold(ctx, id)
		if diff := cmp.Diff(&want, got); err != nil || diff != "" {
			t.Fatalf("hold %s: %v, and it differs (-want +got):\n%s", id, err, diff)
		}
	}
	for id, want := range m.money.keys {
		key, _, err := r.store.KeyByDigest(ctx, modelCredentials(id).Digest())
		if err != nil || key.Caps != want.caps || !sameCount(&want, key.Spent) {
			t.Fatalf("key %s: %v, and it is %+v, want %+v", id, err, key, want)
		}
	}
	report, err := engine.Verify(ctx, r.store, engine.VerifyOptions{})
	if err != nil || report.ProblemCount != 0 {
		t.Fatalf("verify: %v, %+v", err, report)
	}
	if report.Transactions != int64(len(m.decided)) || report.Wallets != int64(len(m.money.wallets)) || report.Holds != int64(len(m.money.holds)) {
		t.Fatalf("verify saw %+v, want %d transactions, %d wallets and %d holds", report, len(m.decided), len(m.money.wallets), len(m.money.holds))
	}
	balances, err := r.engine.TrialBalance(ctx)
	if err != nil || slices.ContainsFunc(balances, func(b engine.CurrencyBalance) bool { return !b.Sum.IsZero() }) {
		t.Fatalf("trial balance: %v, %+v", err, balances)
	}
}

func (r *modelRun) sameWallets(t *rapid.T) {
	ctx := context.Background()
	wallets := 0
	for id, want := range r.model.accounts {
		for from, read := range map[string]func(context.Context, ledger.AccountID) (*ledger.Holder, error){"engine": r.engine.Holder, "store": r.store.Holder} {
			got, err := read(ctx, id)
			if err != nil {
				t.Fatalf("account %d of the %s: %v", id, from, err)
			}
			account := got.Account
			account.CreatedAt = time.Time{}
			if diff := cmp.Diff(want, account); diff != "" {
				t.Fatalf("account %d of the %s differs (-want +got):\n%s", id, from, diff)
			}
			for i := range got.Wallets {
				w := &got.Wallets[i]
				expected, ok := r.model.money.wallets[w.WalletRef]
				if !ok || number(w.Balance).Cmp(expected.balance) != 0 || number(w.Held).Cmp(expected.held) != 0 ||
					w.Settings != expected.settings || w.Version != expected.version || !sameCount(&expected.modelBudget, w.Spent) {
					t.Fatalf("a wallet of the %s is %+v, want %+v", from, w, expected)
				}
				wallets++
			}
		}
	}
	if wallets != 2*len(r.model.money.wallets) {
		t.Fatalf("engine and store have %d wallets together, want %d each", wallets, len(r.model.money.wallets))
	}
}

// sameCount compares a count of what was spent with the model's.
func sameCount(b *modelBudget, spent ledger.Spent) bool {
	day := ""
	if spent.Day != 0 {
		d := int(spent.Day)
		day = time.Date(d/10000, time.Month(d/100%100), d%100, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	}
	return b.day == day && b.today.Cmp(big.NewInt(int64(spent.Today))) == 0 && b.month.Cmp(big.NewInt(int64(spent.InMonth))) == 0
}

// services gives the services of an account's wallets.
func services(h *ledger.Holder) []ledger.Service {
	var all []ledger.Service
	for _, w := range h.Wallets {
		all = append(all, w.Service)
	}
	slices.Sort(all)
	return all
}
