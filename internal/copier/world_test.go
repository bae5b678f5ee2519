package copier_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// start is a moment that has microseconds, long ago for every server's clock.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

const accounts = 5

var references = []string{"", "msg-1", "msg-2", "短信"}

// world makes a history by chance, of everything that there is. What it asked
// for goes on from one engine to the next.
type world struct {
	dice     *rand.Rand
	clock    *storetest.Clock
	asked    []ledger.Request
	holds    []ledger.TransactionID
	charges  []ledger.TransactionID
	rejected int
}

func newWorld(seed uint64) *world {
	return &world{dice: rand.New(rand.NewPCG(seed, 4)), clock: storetest.NewClock(start)}
}

// with runs something over a ledger that is served by the world's clock.
func (w *world) with(t *testing.T, b books, do func(e *engine.Engine)) {
	t.Helper()
	s := b.mustOpen(t)
	defer s.Close()
	w.serve(t, s, do)
}

func (w *world) serve(t *testing.T, s engine.Store, do func(e *engine.Engine)) {
	t.Helper()
	e, err := engine.New(t.Context(), s, engine.Options{Clock: w.clock.Now, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	do(e)
}

// found makes a ledger with accounts in three currencies, one of them so small
// that totals pass 64 bits, and with keys of every sort.
func (w *world) found(t *testing.T, b books) {
	t.Helper()
	if err := b.create(t).Close(); err != nil {
		t.Fatal(err)
	}
	w.with(t, b, func(e *engine.Engine) {
		operator := engine.GenerateCredentials()
		must(t)(e.CreateKey(t.Context(), ledger.Key{Scopes: ledger.Scopes}, operator))
		for id := range ledger.AccountID(accounts) {
			account := ledger.Account{
				ID: id + 1, Name: fmt.Sprint("Khách hàng ", id), Currency: []string{"CNY", "IRR", "USD"}[id%3], TimeZone: "Asia/Ho_Chi_Minh",
				ExternalReference: fmt.Sprint("ref-", id), Metadata: ledger.Metadata{"b": "\"2\"", "a": "1"},
			}
			if id == 0 {
				account.ExternalReference, account.Metadata, account.TimeZone = "", nil, ""
			}
			must(t)(e.CreateAccount(t.Context(), account))
			key := ledger.Key{
				Account: id + 1, Scopes: []ledger.Scope{ledger.ScopeTransactionsWrite}, Caps: ledger.Caps{Daily: 40, Monthly: 100},
				AllowList: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("203.0.113.0/24")},
				ExpiresAt: start.Add(time.Duration(id) * time.Hour),
			}
			if id == 0 {
				key = ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}
			}
			must(t)(e.CreateKey(t.Context(), key, ledger.Credentials{ID: fmt.Sprint("key-", id), Secret: fmt.Sprint("secret-of-the-key-", id)}))
			w.post(t, e, ledger.Request{Kind: ledger.TopUp, Wallet: sms(id + 1), Amount: 1000})
		}
		partly := ledger.Request{IdempotencyKey: "partly", Kind: ledger.PlaceHold, Wallet: sms(4), Amount: 20, ExpiresIn: ledger.MaxExpiresIn}
		w.post(t, e, partly)
		w.post(t, e, ledger.Request{Kind: ledger.Capture, Parent: ledger.NewTransactionID(ledger.Operator, "partly"), Amount: 3})
		_, _, err := e.PutWallet(t.Context(), ledger.WalletRef{Account: 3, Service: "fax"}, ledger.Settings{
			CreditLimit: 7, Suspended: true, MinAmount: 1, MaxAmount: 50, Caps: ledger.Caps{Daily: 9, Monthly: 99},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // more than 64 bits together
			for _, id := range []ledger.AccountID{2, 5} {
				w.post(t, e, ledger.Request{Kind: ledger.TopUp, Wallet: sms(id), Amount: ledger.MaxAmount / 2})
				w.post(t, e, ledger.Request{Kind: ledger.Charge, Wallet: sms(id), Amount: ledger.MaxAmount / 2})
			}
		}
	})
}

func sms(id ledger.AccountID) ledger.WalletRef {
	return ledger.WalletRef{Account: id, Service: ledger.SMS}
}

// work posts by chance, mostly many things in one moment.
func (w *world) work(t *testing.T, e *engine.Engine, steps int) {
	t.Helper()
	for range steps {
		switch w.dice.IntN(12) {
		case 0:
			w.clock.Pass(time.Duration(w.dice.IntN(3000)) * time.Microsecond)
		case 1:
			w.clock.Pass(time.Duration(w.dice.IntN(100)) * time.Minute)
		case 2:
			w.clock.Pass(-time.Second)
		case 3:
			must(t)(e.Sweep(t.Context()))
		case 4, 5, 6:
			w.batch(t, e)
		default:
			w.post(t, e, w.request())
		}
	}
}

func (w *world) batch(t *testing.T, e *engine.Engine) {
	t.Helper()
	requests := make([]ledger.Request, 1+w.dice.IntN(6))
	for i := range requests {
		requests[i] = w.request()
	}
	results, err := e.PostBatch(t.Context(), requests, w.dice.IntN(2) == 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if results[i].Err == nil && results[i].Transaction != nil {
			w.note(requests[i], results[i].Transaction)
		}
	}
}

func (w *world) post(t *testing.T, e *engine.Engine, r ledger.Request) {
	t.Helper()
	if r.IdempotencyKey == "" {
		r.IdempotencyKey = w.key()
	}
	posted, _, err := e.Post(t.Context(), r)
	if code := ledger.CodeOf(err); err != nil && code != ledger.NotFound && code != ledger.InvalidRequest {
		t.Fatalf("%+v: %v", r, err)
	}
	if err == nil {
		w.note(r, posted)
	}
}

func (w *world) key() string { return fmt.Sprint("k-", w.dice.Uint64()) }

func (w *world) note(r ledger.Request, posted *ledger.Transaction) {
	r.Batch = posted.Batch
	w.asked = append(w.asked, r)
	switch {
	case posted.Rejection != "":
		w.rejected++
	case posted.Kind == ledger.PlaceHold:
		w.holds = append(w.holds, posted.ID)
	case posted.Kind == ledger.Charge || posted.Kind == ledger.Capture:
		w.charges = append(w.charges, posted.ID)
	}
}

// request is one that often can be posted.
func (w *world) request() ledger.Request {
	account := ledger.AccountID(1 + w.dice.IntN(accounts))
	r := ledger.Request{
		IdempotencyKey: w.key(), Wallet: sms(account), Amount: ledger.Amount(1 + w.dice.IntN(20)),
		Reference: references[w.dice.IntN(len(references))],
		Kind: []ledger.Kind{
			ledger.TopUp, ledger.Charge, ledger.Adjustment, ledger.Transfer, ledger.PlaceHold, ledger.PlaceHold, ledger.PlaceHold,
			ledger.Capture, ledger.Capture, ledger.Release, ledger.Extend, ledger.Refund, ledger.Refund,
		}[w.dice.IntN(13)],
	}
	if w.dice.IntN(4) == 0 {
		r.Key = fmt.Sprint("key-", account-1) // which has caps
	}
	if w.dice.IntN(3) == 0 {
		r.Metadata = ledger.Metadata{"campaign": "春节", "n": fmt.Sprint(w.dice.IntN(9))}
	}
	if w.dice.IntN(9) == 0 {
		r.Wallet.Service = "fax"
	}
	switch r.Kind {
	case ledger.Transfer: // the currencies of accounts repeat
		r.To = ledger.WalletRef{Account: (account+2)%accounts + 1, Service: ledger.VoIP}
	case ledger.Adjustment:
		r.Amount = -r.Amount
	case ledger.PlaceHold:
		r.ExpiresIn = []time.Duration{time.Second, time.Hour, 24 * time.Hour}[w.dice.IntN(3)]
	case ledger.Capture, ledger.Release, ledger.Extend:
		w.about(&r, w.holds)
	case ledger.Refund:
		w.about(&r, w.charges)
	default:
	}
	return r
}

// about makes a request one about an earlier transaction, where there is one.
func (w *world) about(r *ledger.Request, earlier []ledger.TransactionID) {
	if len(earlier) == 0 {
		r.Kind = ledger.TopUp
		return
	}
	r.Parent, r.Wallet = earlier[w.dice.IntN(len(earlier))], ledger.WalletRef{}
	switch r.Kind {
	case ledger.Release:
		r.Amount = 0
	case ledger.Extend:
		r.Amount, r.ExpiresIn = 0, 2*time.Hour
	case ledger.Capture:
		r.Final = w.dice.IntN(3) == 0
		if w.dice.IntN(3) == 0 {
			r.Amount = 0
		}
	default:
	}
}

// change changes what is no history: among others, two external references
// change places.
func (w *world) change(t *testing.T, e *engine.Engine) {
	t.Helper()
	none, first, second := "", "ref-2", "ref-4"
	for _, change := range []struct {
		id        ledger.AccountID
		reference *string
	}{{3, &none}, {5, &first}, {3, &second}} {
		must(t)(e.UpdateAccount(t.Context(), change.id, engine.AccountChange{ExternalReference: change.reference}))
	}
	suspended, name := ledger.Suspended, "Another name"
	must(t)(e.UpdateAccount(t.Context(), 4, engine.AccountChange{Status: &suspended, Name: &name}))
	must(t)(e.CreateAccount(t.Context(), ledger.Account{ID: 77, Name: "New", Currency: "VND"}))
	if err := e.RevokeKey(t.Context(), "key-2"); err != nil {
		t.Fatal(err)
	}
	must(t)(e.SetKeyCaps(t.Context(), "key-3", func(c *ledger.Caps) { c.Daily = 1 }))
}

// must gives the value of a call that must succeed.
func must(t testing.TB) func(value any, err error) any {
	return func(value any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
