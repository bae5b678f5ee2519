package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// dump is everything that a ledger holds, in an order that does not depend on how it came in.
type dump struct {
	Holders      []*ledger.Holder
	Entries      []engine.EntryRow
	Transactions []engine.TransactionRow
	Holds        []engine.HoldRow
	Refunds      []engine.RefundRow
	System       map[string]string
	Outcomes     []string
}

func dumpOf(t testing.TB, store engine.Store) (d dump) {
	t.Helper()
	var err error
	d.Holders, err = store.Holders(ctx, 0, 10000)
	noError(t, err)
	d.System = map[string]string{}
	noError(t, store.Snapshot(ctx, func(s engine.Snapshot) error {
		if d.Entries, err = s.Entries(ctx, ledger.WalletRef{}, 0, 10000); err != nil {
			return err
		}
		if d.Transactions, err = s.Transactions(ctx, ledger.TransactionID{}, 10000); err != nil {
			return err
		}
		if d.Holds, err = s.Holds(ctx, &ledger.Hold{}, 10000); err != nil {
			return err
		}
		if d.Refunds, err = s.Refunds(ctx, ledger.TransactionID{}, 10000); err != nil {
			return err
		}
		system, err := s.System(ctx)
		for _, row := range system {
			d.System[string(row.Account)+" "+row.Currency] = row.Total.Millionths()
		}
		return err
	}))
	return d
}

// operation is a call of an engine that says what came of it.
type operation func(e *engine.Engine) string

// say prints a result, without the key that the request came with, which is not kept.
func say(r engine.Result) string {
	if r.Transaction == nil {
		return fmt.Sprint(r.Replayed, r.Err)
	}
	tx := *r.Transaction
	tx.Key = ""
	return fmt.Sprintf("%+v %t %v", tx, r.Replayed, r.Err)
}

// posted is the operation of one request.
func posted(r ledger.Request) operation {
	return func(e *engine.Engine) string {
		tx, replayed, err := e.Post(ctx, r)
		return say(engine.Result{Transaction: tx, Replayed: replayed, Err: err})
	}
}

func postedBatch(requests []ledger.Request, atomic bool) operation {
	return func(e *engine.Engine) string {
		results, err := e.PostBatch(ctx, append([]ledger.Request(nil), requests...), atomic)
		var text strings.Builder
		for _, r := range results {
			text.WriteString(say(r) + "\n")
		}
		return text.String() + fmt.Sprint(err)
	}
}

// random draws operations, the same for the same seed.
type random struct{ *rand.Rand }

func (r random) account() ledger.AccountID { return 1 + ledger.AccountID(r.IntN(6))*64 } // all in one shard but for one

// parents are what the operations refer to. They stand before all of them, because
// what else a request finds depends on when the others are decided.
const parents = 12

func (r random) setUp() (all []operation) {
	for id := range ledger.AccountID(6) {
		all = append(all, func(e *engine.Engine) string {
			_, err := e.CreateAccount(ctx, ledger.Account{ID: 1 + id*64, Name: "Example Ltd", Currency: []string{"CNY", "VND"}[id%4/3]})
			return fmt.Sprint(err)
		}, posted(topUp(fmt.Sprint("fill-", id), 1+id*64, 300)))
	}
	all = append(all, func(e *engine.Engine) string {
		_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: 500}}, ledger.Credentials{ID: "capped", Secret: "secret-of-the-key"})
		return fmt.Sprint(err)
	})
	for i := range parents {
		all = append(all, posted(place(fmt.Sprint("hold-", i), r.account(), 20)), posted(charge(fmt.Sprint("charge-", i), r.account(), 20)))
	}
	return all
}

func (r random) request(keys int) ledger.Request {
	kinds := []ledger.Kind{
		ledger.TopUp, ledger.Charge, ledger.Charge, ledger.Adjustment, ledger.Transfer, ledger.Transfer,
		ledger.PlaceHold, ledger.Capture, ledger.Capture, ledger.Release, ledger.Extend, ledger.Refund, ledger.Refund,
	}
	q := ledger.Request{
		IdempotencyKey: fmt.Sprint(r.IntN(keys)), Kind: kinds[r.IntN(len(kinds))], Wallet: sms(r.account()), Amount: 1 + ledger.Amount(r.IntN(40)),
		Key: []string{"", "", "capped"}[r.IntN(3)],
	}
	if r.IntN(4) == 0 {
		q.Wallet.Service = "fax"
	}
	hold, paid := idOf(fmt.Sprint("hold-", r.IntN(parents))), idOf(fmt.Sprint("charge-", r.IntN(parents)))
	switch q.Kind {
	case ledger.Transfer:
		q.To = ledger.WalletRef{Account: r.account(), Service: ledger.VoIP}
	case ledger.Adjustment:
		if r.IntN(2) == 0 {
			q.Amount = -q.Amount
		}
	case ledger.PlaceHold:
		q.ExpiresIn = time.Hour
	case ledger.Capture:
		q.Amount %= 5
		q.Wallet, q.Parent, q.Final = ledger.WalletRef{}, hold, r.IntN(2) == 0
	case ledger.Release, ledger.Extend:
		q.Wallet, q.Parent, q.Amount = ledger.WalletRef{}, hold, 0
		if q.Kind == ledger.Extend {
			q.ExpiresIn = 2 * time.Hour
		}
	case ledger.Refund:
		q.Amount %= 9
		q.Wallet, q.Parent = ledger.WalletRef{}, paid
	default:
	}
	return q
}

func (r random) operations(n int) (all []operation) {
	statuses := []ledger.Status{ledger.Active, ledger.Active, ledger.Active, ledger.Suspended, ledger.Closed}
	for range n {
		switch r.IntN(14) {
		case 0:
			id, status := r.account(), statuses[r.IntN(len(statuses))]
			all = append(all, func(e *engine.Engine) string { return fmt.Sprint(setStatus(e, id, status)) })
		case 1:
			id, limit := r.account(), ledger.Amount(r.IntN(50))
			all = append(all, func(e *engine.Engine) string {
				_, created, err := e.PutWallet(ctx, ledger.WalletRef{Account: id, Service: "fax"}, ledger.Settings{CreditLimit: limit})
				return fmt.Sprint(created, err)
			})
		case 2, 3, 4:
			var requests []ledger.Request
			for range 1 + r.IntN(4) {
				requests = append(requests, r.request(2*n))
			}
			all = append(all, postedBatch(requests, r.IntN(2) == 0))
		default:
			all = append(all, posted(r.request(2*n)))
		}
	}
	return all
}

// The sizes of cache, batch and queue are about speed alone: the same operations
// give the same ledger and the same replies.
func TestSizesDoNotMatter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var want dump
			for i, options := range []engine.Options{
				{},
				{CacheSize: 1},
				{BatchSize: 1},
				{CacheSize: 1, BatchSize: 3},
				{BatchSize: 1024, QueueSize: 100_000},
			} {
				options.Clock = func() time.Time { return now }
				store, _ := newStore(t)
				gate := storetest.NewGate(store)
				e := start(t, gate, options, 0)
				random := random{rand.New(rand.NewPCG(seed, 1))}
				for _, do := range random.setUp() {
					do(e)
				}
				operations := random.operations(150)
				outcomes := make([]string, len(operations))
				var calls []func()
				for i, do := range operations {
					calls = append(calls, func() { outcomes[i] = do(e) })
				}
				if i == 0 {
					for _, call := range calls {
						call() // one at a time
					}
				} else {
					storetest.Queue(e, gate, calls...)
				}
				got := dumpOf(t, store)
				got.Outcomes = outcomes
				storetest.Verify(t, store)
				if i == 0 {
					want = got
					continue
				}
				check(t, fmt.Sprintf("the ledger with %+v", options), got, want)
			}
		})
	}
}
