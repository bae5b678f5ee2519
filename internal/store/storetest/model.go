package storetest

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// model is a ledger in the simplest form that can be right: numbers of any
// size, maps, and every rule written out once more.
type model struct {
	accounts map[ledger.AccountID]*ledger.Account
	wallets  map[ledger.WalletRef]*modelWallet
	decided  map[ledger.TransactionID]*ledger.Transaction
	last     time.Time
}

type modelWallet struct {
	balance, limit big.Int
	version        int64
}

func newModel() *model {
	return &model{
		accounts: map[ledger.AccountID]*ledger.Account{},
		wallets:  map[ledger.WalletRef]*modelWallet{},
		decided:  map[ledger.TransactionID]*ledger.Transaction{},
	}
}

func (m *model) create(a ledger.Account) ledger.Code {
	for _, other := range m.accounts {
		if other.ID == a.ID || a.ExternalReference != "" && other.ExternalReference == a.ExternalReference {
			return ledger.Conflict
		}
	}
	a.Status = ledger.Active
	m.accounts[a.ID] = &a
	m.wallets[ledger.WalletRef{Account: a.ID, Service: ledger.SMS}] = &modelWallet{}
	m.wallets[ledger.WalletRef{Account: a.ID, Service: ledger.VoIP}] = &modelWallet{}
	return ""
}

func (m *model) update(id ledger.AccountID, status ledger.Status, reference string) ledger.Code {
	a := m.accounts[id]
	if a == nil {
		return ledger.NotFound
	}
	for _, other := range m.accounts {
		if other.ID != id && reference != "" && other.ExternalReference == reference {
			return ledger.Conflict
		}
	}
	a.Status, a.ExternalReference = status, reference
	return ""
}

var most = big.NewInt(int64(ledger.MaxAmount))

// carries tells whether a wallet can have a balance.
func (w *modelWallet) carries(balance *big.Int) bool {
	return balance.CmpAbs(most) <= 0 && new(big.Int).Add(balance, &w.limit).CmpAbs(most) <= 0
}

func (m *model) setLimit(ref ledger.WalletRef, limit ledger.Amount) ledger.Code {
	if m.accounts[ref.Account] == nil {
		return ledger.NotFound
	}
	w := m.wallets[ref]
	if w == nil {
		w = &modelWallet{}
		m.wallets[ref] = w
	}
	changed := *w
	changed.limit = *big.NewInt(int64(limit))
	if !changed.carries(&w.balance) {
		return ledger.AmountOutOfRange
	}
	w.limit = changed.limit
	return ""
}

// post gives the code of the error that a request meets, or of the rejection
// that its transaction has.
func (m *model) post(r *ledger.Request) (failure, rejection ledger.Code) {
	if earlier := m.decided[ledger.NewTransactionID(r.Scope, r.IdempotencyKey)]; earlier != nil {
		if cmp.Diff(earlier.Request, *r) != "" {
			return ledger.IdempotencyKeyReused, ""
		}
		return "", earlier.Rejection
	}
	from, to := m.wallets[r.Wallet], m.wallets[r.To]
	if from == nil || r.Kind == ledger.Transfer && to == nil {
		return ledger.NotFound, ""
	}
	delta := big.NewInt(int64(r.Amount))
	if r.Kind == ledger.Charge || r.Kind == ledger.Transfer {
		delta.Neg(delta)
	}
	payer := m.accounts[r.Wallet.Account]
	spends := delta.Sign() < 0 && r.Kind != ledger.Adjustment
	if payer.Status == ledger.Closed || payer.Status == ledger.Suspended && spends {
		return "", ledger.AccountNotActive
	}
	if to != nil && m.accounts[r.To.Account].Status == ledger.Closed {
		return "", ledger.AccountNotActive
	}
	if to != nil && m.accounts[r.To.Account].Currency != payer.Currency {
		return "", ledger.CurrencyMismatch
	}
	balance := new(big.Int).Add(&from.balance, delta)
	if spends && new(big.Int).Add(balance, &from.limit).Sign() < 0 {
		return "", ledger.InsufficientFunds
	}
	if !from.carries(balance) {
		return "", ledger.AmountOutOfRange
	}
	if to != nil {
		received := new(big.Int).Sub(&to.balance, delta)
		if !to.carries(received) {
			return "", ledger.AmountOutOfRange
		}
		to.balance = *received
		to.version++
	}
	from.balance = *balance
	from.version++
	return "", ""
}

// action is one call of the engine, and what the model says of it.
type action struct {
	call  func(ctx context.Context, e *engine.Engine) any
	check func(t *rapid.T, m *model, got any)
}

type posted struct {
	transaction *ledger.Transaction
	replayed    bool
	err         error
}

// checkPost compares what came of a request with the model, which then follows.
func (m *model) checkPost(t *rapid.T, r *ledger.Request, got posted) {
	id := ledger.NewTransactionID(r.Scope, r.IdempotencyKey)
	earlier := m.decided[id]
	failure, rejection := m.post(r)
	if code := ledger.CodeOf(got.err); code != failure {
		t.Fatalf("%+v: the error is %v, want %q", r, got.err, failure)
	}
	if failure != "" {
		if got.transaction != nil || got.replayed {
			t.Fatalf("%+v failed with a transaction: %+v", r, got)
		}
		return
	}
	if earlier != nil {
		if !got.replayed {
			t.Fatalf("%+v was posted before, but this is no replay", r)
		}
		if diff := cmp.Diff(earlier, got.transaction); diff != "" {
			t.Fatalf("a replay differs (-first +again):\n%s", diff)
		}
		return
	}
	tx := got.transaction
	from, to := m.wallets[r.Wallet], m.wallets[r.To]
	want := &ledger.Transaction{
		Request: *r, ID: id, RequestHash: r.Hash(), CreatedAt: tx.CreatedAt, Rejection: rejection,
		Balance: ledger.Amount(from.balance.Int64()), Available: ledger.Amount(new(big.Int).Add(&from.balance, &from.limit).Int64()),
	}
	if rejection == "" {
		want.Version = from.version
		if to != nil {
			want.ToVersion = to.version
		}
	}
	if diff := cmp.Diff(want, tx); diff != "" || got.replayed {
		t.Fatalf("replayed: %t, and the transaction differs (-want +got):\n%s", got.replayed, diff)
	}
	if tx.CreatedAt.Before(m.last) || tx.CreatedAt.Location() != time.UTC {
		t.Fatalf("it was created at %s, after one of %s", tx.CreatedAt, m.last)
	}
	m.last = tx.CreatedAt
	m.decided[id] = tx
}

// checkCode compares the outcome of a change with the model.
func checkCode(t *rapid.T, what string, got any, want ledger.Code) {
	err, _ := got.(error)
	if ledger.CodeOf(err) != want {
		t.Fatalf("%s: the error is %v, want %q", what, err, want)
	}
}

// modelLedger is what the draws below are about: few accounts, keys and
// references, so that they meet often.
const (
	modelAccounts = 4
	modelKeys     = 25
)

// modelTime bounds the search for a difference between model and engine.
const modelTime = 15 * time.Second

func drawAccount() *rapid.Generator[ledger.AccountID] {
	return rapid.Map(rapid.IntRange(1, modelAccounts), func(i int) ledger.AccountID { return ledger.AccountID(i) })
}

func drawWallet() *rapid.Generator[ledger.WalletRef] {
	return rapid.Custom(func(t *rapid.T) ledger.WalletRef {
		return ledger.WalletRef{
			Account: drawAccount().Draw(t, "account"),
			Service: rapid.SampledFrom([]ledger.Service{ledger.SMS, ledger.SMS, ledger.VoIP, "fax"}).Draw(t, "service"),
		}
	})
}

func drawAmount() *rapid.Generator[ledger.Amount] {
	return rapid.Custom(func(t *rapid.T) ledger.Amount {
		highest := int64(ledger.MaxAmount)
		return ledger.Amount(rapid.OneOf(
			rapid.Int64Range(1, 10), rapid.Int64Range(1, 10), rapid.Int64Range(1, 100*ledger.Scale),
			rapid.Int64Range(highest-10, highest),
		).Draw(t, "amount"))
	})
}

func drawRequest() *rapid.Generator[ledger.Request] {
	return rapid.Custom(func(t *rapid.T) ledger.Request {
		r := ledger.Request{
			IdempotencyKey: fmt.Sprint("key-", rapid.IntRange(1, modelKeys).Draw(t, "key")),
			Kind:           rapid.SampledFrom([]ledger.Kind{ledger.TopUp, ledger.TopUp, ledger.Charge, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer}).Draw(t, "kind"),
			Wallet:         drawWallet().Draw(t, "wallet"),
			Amount:         drawAmount().Draw(t, "amount"),
			Reference:      rapid.SampledFrom([]string{"", "", "msg-1", "短信"}).Draw(t, "reference"),
		}
		if rapid.Bool().Draw(t, "with metadata") {
			r.Metadata = ledger.Metadata{"a": "b"}
		}
		if r.Kind == ledger.Adjustment && rapid.Bool().Draw(t, "negative") {
			r.Amount = -r.Amount
		}
		if r.Kind == ledger.Transfer {
			r.To = drawWallet().Filter(func(w ledger.WalletRef) bool { return w != r.Wallet }).Draw(t, "to")
		}
		if (r.Kind == ledger.Charge || r.Kind == ledger.Transfer && r.To.Account == r.Wallet.Account) && rapid.Bool().Draw(t, "by the customer") {
			r.Scope = r.Wallet.Account // Its keys are others than the operator's of the same name.
		}
		return r
	})
}

func postAction(r ledger.Request) action {
	return action{
		call: func(ctx context.Context, e *engine.Engine) any {
			tx, replayed, err := e.Post(ctx, r)
			return posted{tx, replayed, err}
		},
		check: func(t *rapid.T, m *model, got any) { m.checkPost(t, &r, got.(posted)) },
	}
}

func drawAction(t *rapid.T, earlier *[]ledger.Request) action {
	reference := rapid.SampledFrom([]string{"", "", "crm-1", "crm-2"})
	switch rapid.SampledFrom([]string{"post", "post", "post", "post", "post", "post", "repeat", "repeat", "create", "update", "limit"}).Draw(t, "action") {
	case "repeat":
		if len(*earlier) > 0 {
			return postAction(rapid.SampledFrom(*earlier).Draw(t, "earlier request"))
		}
		fallthrough
	case "create":
		a := ledger.Account{
			ID: drawAccount().Draw(t, "account"), Name: "Example Ltd", ExternalReference: reference.Draw(t, "reference"),
			Currency: rapid.SampledFrom([]string{"CNY", "CNY", "VND"}).Draw(t, "currency"),
		}
		return action{
			call: func(ctx context.Context, e *engine.Engine) any {
				_, err := e.CreateAccount(ctx, a)
				return err
			},
			check: func(t *rapid.T, m *model, got any) { checkCode(t, "CreateAccount", got, m.create(a)) },
		}
	case "update":
		id := drawAccount().Draw(t, "account")
		status := rapid.SampledFrom([]ledger.Status{ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed}).Draw(t, "status")
		ref := reference.Draw(t, "reference")
		return action{
			call: func(ctx context.Context, e *engine.Engine) any {
				_, err := e.UpdateAccount(ctx, id, engine.AccountChange{Status: &status, ExternalReference: &ref})
				return err
			},
			check: func(t *rapid.T, m *model, got any) { checkCode(t, "UpdateAccount", got, m.update(id, status, ref)) },
		}
	case "limit":
		wallet, limit := drawWallet().Draw(t, "wallet"), drawAmount().Draw(t, "limit")-1
		return action{
			call: func(ctx context.Context, e *engine.Engine) any {
				_, _, err := e.SetCreditLimit(ctx, wallet, limit)
				return err
			},
			check: func(t *rapid.T, m *model, got any) { checkCode(t, "SetCreditLimit", got, m.setLimit(wallet, limit)) },
		}
	}
	r := drawRequest().Draw(t, "request")
	*earlier = append(*earlier, r)
	return postAction(r)
}

// same compares the ledger with the model.
func (m *model) same(t *rapid.T, e *engine.Engine, store engine.Store) {
	ctx := context.Background()
	wallets := 0
	for id, want := range m.accounts {
		for from, read := range map[string]func(context.Context, ledger.AccountID) (*ledger.Holder, error){"engine": e.Holder, "store": store.Holder} {
			got, err := read(ctx, id)
			if err != nil {
				t.Fatalf("account %d of the %s: %v", id, from, err)
			}
			if got.ID != id || got.Status != want.Status || got.Currency != want.Currency || got.ExternalReference != want.ExternalReference || got.Name != want.Name {
				t.Fatalf("account %d of the %s is %+v, want %+v", id, from, got.Account, want)
			}
			for i := range got.Wallets {
				w := &got.Wallets[i]
				expected := m.wallets[w.WalletRef]
				if expected == nil || big.NewInt(int64(w.Balance)).Cmp(&expected.balance) != 0 || big.NewInt(int64(w.CreditLimit)).Cmp(&expected.limit) != 0 ||
					w.Version != expected.version || w.Held != 0 {
					t.Fatalf("a wallet of the %s is %+v, want %+v", from, w, expected)
				}
				wallets++
			}
		}
	}
	if wallets != 2*len(m.wallets) {
		t.Fatalf("engine and store have %d wallets together, want %d each", wallets, len(m.wallets))
	}
	for id, want := range m.decided {
		got, err := e.Transaction(ctx, id)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("transaction %s: %v, and it differs (-want +got):\n%s", id, err, diff)
		}
	}
	report, err := engine.Verify(ctx, store, nil)
	if err != nil || report.ProblemCount != 0 {
		t.Fatalf("verify: %v, %+v", err, report)
	}
	if report.Transactions != int64(len(m.decided)) || report.Wallets != int64(len(m.wallets)) {
		t.Fatalf("verify saw %+v, want %d transactions and %d wallets", report, len(m.decided), len(m.wallets))
	}
}

// modelRun is a ledger that is opened again and again while the model goes on.
type modelRun struct {
	ledger Ledger
	store  Store
	gate   *Gate
	engine *engine.Engine
	clock  time.Time
}

func (r *modelRun) start(t *rapid.T) {
	var err error
	if r.store, err = r.ledger.Open(context.Background()); err != nil {
		t.Fatalf("open: %v", err)
	}
	r.gate = NewGate(r.store)
	options := engine.Options{
		// The clock jumps back and forth; only the committer and the changes ask for it.
		Clock:     func() time.Time { return r.clock },
		BatchSize: rapid.SampledFrom([]int{1, 2, 3, 1000}).Draw(t, "batch size"),
		CacheSize: rapid.SampledFrom([]int{1, 1000}).Draw(t, "cache size"),
	}
	if r.engine, err = engine.New(context.Background(), r.gate, options); err != nil {
		t.Fatalf("start: %v", err)
	}
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

func testModel(s *suite) {
	began, failed := time.Now(), false
	rapid.Check(s.T, func(t *rapid.T) {
		// On a slow machine fewer ledgers have to do, but a failure is followed to its end.
		if time.Since(began) > modelTime && !failed {
			return
		}
		finished := false
		defer func() { failed = failed || !finished }()
		run := &modelRun{ledger: s.newLedger(s.T), clock: start}
		run.start(t)
		defer func() { run.stop(t) }()
		m := newModel()
		var earlier []ledger.Request
		for range rapid.IntRange(1, 4).Draw(t, "groups") {
			actions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) action { return drawAction(t, &earlier) }), 1, 15).Draw(t, "actions")
			results := make([]any, len(actions))
			var calls []func()
			for i, a := range actions {
				calls = append(calls, func() { results[i] = a.call(context.Background(), run.engine) })
			}
			if rapid.Bool().Draw(t, "as batches") {
				Queue(run.engine, run.gate, calls...)
			} else {
				for _, call := range calls {
					call()
				}
			}
			for i, a := range actions {
				a.check(t, m, results[i])
			}
			run.clock = run.clock.Add(time.Duration(rapid.Int64Range(-1e9, 2e9).Draw(t, "time passes")))
			if rapid.Bool().Draw(t, "reopen") {
				run.stop(t)
				run.start(t)
			}
		}
		m.same(t, run.engine, run.store)
		run.stop(t)
		run.start(t)
		m.same(t, run.engine, run.store)
		for _, want := range m.decided {
			got, replayed, err := run.engine.Post(context.Background(), want.Request)
			if diff := cmp.Diff(want, got); err != nil || !replayed || diff != "" {
				t.Fatalf("replayed: %t, error: %v, and it differs (-first +again):\n%s", replayed, err, diff)
			}
		}
		m.same(t, run.engine, run.store)
		finished = true
	})
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
