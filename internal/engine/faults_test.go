package engine_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// broken is a store of which one method fails, that a test names.
type broken struct {
	engine.Store

	mu     sync.Mutex
	method string
	after  int // calls that go well
	calls  int // that failed
}

// breaks says which method fails from now on, after so many calls that go well.
func (b *broken) breaks(method string, after int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.method, b.after, b.calls = method, after, 0
}

func (b *broken) failed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// try runs a method, if it is not the one that fails.
func try[T any](b *broken, method string, do func() (T, error)) (T, error) {
	b.mu.Lock()
	fails := b.method == method
	if fails && b.after > 0 {
		b.after--
		fails = false
	}
	if fails {
		b.calls++
	}
	b.mu.Unlock()
	if fails {
		var none T
		return none, errDisk
	}
	return do()
}

// tryTo is try for what gives an error alone.
func tryTo(b *broken, method string, do func() error) error {
	_, err := try(b, method, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (b *broken) Write(ctx context.Context, fn func(engine.Tx) error) error {
	return b.Store.Write(ctx, func(tx engine.Tx) error { return fn(&brokenTx{tx, b}) })
}

func (b *broken) Snapshot(ctx context.Context, fn func(engine.Snapshot) error) error {
	return b.Store.Snapshot(ctx, func(s engine.Snapshot) error { return fn(&brokenSnapshot{s, b}) })
}

func (b *broken) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	return try(b, "Holder", func() (*ledger.Holder, error) { return b.Store.Holder(ctx, id) })
}

func (b *broken) Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error) {
	return try(b, "Hold", func() (*ledger.Hold, error) { return b.Store.Hold(ctx, id) })
}

func (b *broken) Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	return try(b, "Transaction", func() (*ledger.Transaction, error) { return b.Store.Transaction(ctx, id) })
}

func (b *broken) Entry(ctx context.Context, ref ledger.WalletRef, version int64) (*ledger.Entry, error) {
	return try(b, "Entry", func() (*ledger.Entry, error) { return b.Store.Entry(ctx, ref, version) })
}

func (b *broken) Entries(ctx context.Context, ref ledger.WalletRef, after, until int64, limit int) ([]engine.EntryRow, error) {
	return try(b, "Entries", func() ([]engine.EntryRow, error) { return b.Store.Entries(ctx, ref, after, until, limit) })
}

func (b *broken) Usage(ctx context.Context, query engine.UsageQuery) ([]engine.UsageRow, error) {
	return try(b, "Usage", func() ([]engine.UsageRow, error) { return b.Store.Usage(ctx, query) })
}

func (b *broken) HoldsByReference(ctx context.Context, wanted []engine.HoldReference, limit int) ([][]*ledger.Hold, error) {
	return try(b, "HoldsByReference", func() ([][]*ledger.Hold, error) { return b.Store.HoldsByReference(ctx, wanted, limit) })
}

type brokenTx struct {
	engine.Tx

	b *broken
}

func (t *brokenTx) Lock(ctx context.Context, refs []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	return try(t.b, "Lock", func() (map[ledger.AccountID]*ledger.Holder, error) { return t.Tx.Lock(ctx, refs) })
}

func (t *brokenTx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	return try(t.b, "Decided", func() (map[ledger.TransactionID]*ledger.Transaction, error) { return t.Tx.Decided(ctx, ids) })
}

func (t *brokenTx) Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error) {
	return try(t.b, "Holds", func() (map[ledger.TransactionID]*ledger.Hold, error) { return t.Tx.Holds(ctx, ids) })
}

func (t *brokenTx) Refunded(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error) {
	return try(t.b, "Refunded", func() (map[ledger.TransactionID]ledger.Amount, error) { return t.Tx.Refunded(ctx, ids) })
}

func (t *brokenTx) LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error) {
	return try(t.b, "LockKeys", func() (map[string]*ledger.Key, error) { return t.Tx.LockKeys(ctx, ids) })
}

func (t *brokenTx) Append(ctx context.Context, batch *engine.Batch) error {
	return tryTo(t.b, "Append", func() error { return t.Tx.Append(ctx, batch) })
}

func (t *brokenTx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	return tryTo(t.b, "InsertAccount", func() error { return t.Tx.InsertAccount(ctx, holder) })
}

func (t *brokenTx) UpdateAccount(ctx context.Context, account *ledger.Account) error {
	return tryTo(t.b, "UpdateAccount", func() error { return t.Tx.UpdateAccount(ctx, account) })
}

func (t *brokenTx) InsertWallet(ctx context.Context, wallet *ledger.Wallet) error {
	return tryTo(t.b, "InsertWallet", func() error { return t.Tx.InsertWallet(ctx, wallet) })
}

func (t *brokenTx) UpdateWallet(ctx context.Context, ref ledger.WalletRef, settings *ledger.Settings) error {
	return tryTo(t.b, "UpdateWallet", func() error { return t.Tx.UpdateWallet(ctx, ref, settings) })
}

func (t *brokenTx) InsertKey(ctx context.Context, key *ledger.Key) error {
	return tryTo(t.b, "InsertKey", func() error { return t.Tx.InsertKey(ctx, key) })
}

func (t *brokenTx) UpdateKey(ctx context.Context, id string, caps ledger.Caps) (*ledger.Key, error) {
	return try(t.b, "UpdateKey", func() (*ledger.Key, error) { return t.Tx.UpdateKey(ctx, id, caps) })
}

func (t *brokenTx) RevokeKey(ctx context.Context, id string, at time.Time) (*ledger.Key, error) {
	return try(t.b, "RevokeKey", func() (*ledger.Key, error) { return t.Tx.RevokeKey(ctx, id, at) })
}

type brokenSnapshot struct {
	engine.Snapshot

	b *broken
}

func (s *brokenSnapshot) Wallets(ctx context.Context, after ledger.WalletRef, limit int) ([]engine.WalletRow, error) {
	return try(s.b, "Wallets", func() ([]engine.WalletRow, error) { return s.Snapshot.Wallets(ctx, after, limit) })
}

func (s *brokenSnapshot) Entries(ctx context.Context, after ledger.WalletRef, version int64, limit int) ([]engine.EntryRow, error) {
	return try(s.b, "Entries", func() ([]engine.EntryRow, error) { return s.Snapshot.Entries(ctx, after, version, limit) })
}

func (s *brokenSnapshot) Transactions(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.TransactionRow, error) {
	return try(s.b, "Transactions", func() ([]engine.TransactionRow, error) { return s.Snapshot.Transactions(ctx, after, limit) })
}

func (s *brokenSnapshot) System(ctx context.Context) ([]engine.SystemTotal, error) {
	return try(s.b, "System", func() ([]engine.SystemTotal, error) { return s.Snapshot.System(ctx) })
}

func (s *brokenSnapshot) WalletTotals(ctx context.Context) ([]engine.WalletTotal, error) {
	return try(s.b, "WalletTotals", func() ([]engine.WalletTotal, error) { return s.Snapshot.WalletTotals(ctx) })
}

func (s *brokenSnapshot) Holds(ctx context.Context, after *ledger.Hold, limit int) ([]engine.HoldRow, error) {
	return try(s.b, "Holds", func() ([]engine.HoldRow, error) { return s.Snapshot.Holds(ctx, after, limit) })
}

func (s *brokenSnapshot) Refunds(ctx context.Context, after ledger.TransactionID, limit int) ([]engine.RefundRow, error) {
	return try(s.b, "Refunds", func() ([]engine.RefundRow, error) { return s.Snapshot.Refunds(ctx, after, limit) })
}

func (s *brokenSnapshot) MissingGuards(ctx context.Context) ([]string, error) {
	return try(s.b, "MissingGuards", func() ([]string, error) { return s.Snapshot.MissingGuards(ctx) })
}

// A reading that fails in the midst of a commit fails what was posted, whatever
// it was a reading of, and nothing of it stays.
func TestFaultsOfACommit(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &broken{Store: real}
	e := start(t, store, engine.Options{CacheSize: 1}, 2)
	_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: 100}}, ledger.Credentials{ID: "capped", Secret: "secret-of-the-key"})
	noError(t, err)
	with := func(r ledger.Request) ledger.Request { r.Key = "capped"; return r }
	post(t, e, topUp("fill", 1, 100))
	post(t, e, with(place("hold", 1, 10)))
	post(t, e, charge("paid", 1, 10))
	before := dumpOf(t, real)
	for method, requests := range map[string][]ledger.Request{
		"Lock":     {transfer("lock", 1, 2, 1), topUp("lock", 2, 1)},
		"Decided":  {charge("decided", 1, 1)},
		"Holds":    {part("holds", idOf("hold"), 1), release("holds", idOf("hold"))},
		"Refunded": {refund("refunded", idOf("paid"), 1)},
		"LockKeys": {with(charge("keys", 1, 1)), part("keys", idOf("hold"), 1)},
		"Append":   {charge("append", 1, 1), charge("append", 1, 1000)},
	} {
		for _, r := range requests {
			store.breaks("Append", 0) // after which nothing is in the cache
			_, _, err := e.Post(ctx, charge("forget", 1, 1))
			wantCode(t, err, ledger.Internal)
			store.breaks(method, 0)
			tx, replayed, err := e.Post(ctx, r)
			wantCode(t, err, ledger.Internal)
			if tx != nil || replayed || store.failed() != 1 {
				t.Errorf("%s failed %d times, and %s came out as %+v", method, store.failed(), r.Kind, tx)
			}
			store.breaks("", 0)
		}
		check(t, "ledger after "+method+" failed", dumpOf(t, real), before)
		// A retry is posted, and the next round begins from there.
		store.breaks("", 0)
		post(t, e, requests[0])
		before = dumpOf(t, real)
	}
	storetest.Verify(t, real)
}

// A change that cannot be written is not made, in the cache neither.
func TestFaultsOfEachChange(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &broken{Store: real}
	e := start(t, store, engine.Options{}, 1)
	credentials := newKey(t, e)
	before := dumpOf(t, real)
	key, _, err := e.Authenticate(ctx, credentials)
	noError(t, err)
	for method, changes := range map[string][]func() error{
		"InsertAccount": {func() error {
			_, err := e.CreateAccount(ctx, ledger.Account{ID: 5, Name: "Example Ltd", Currency: "CNY"})
			return err
		}},
		"UpdateAccount": {func() error { return setStatus(e, 1, ledger.Suspended) }},
		"InsertWallet":  {func() error { return setLimit(e, ledger.WalletRef{Account: 1, Service: "fax"}, 1) }},
		"UpdateWallet":  {func() error { return setLimit(e, sms(1), 1) }},
		"InsertKey": {func() error {
			_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes}, engine.GenerateCredentials())
			return err
		}},
		"UpdateKey": {func() error {
			_, err := e.SetKeyCaps(ctx, credentials.ID, func(c *ledger.Caps) { c.Daily = 1 })
			return err
		}},
		"LockKeys": {func() error {
			_, err := e.SetKeyCaps(ctx, credentials.ID, func(c *ledger.Caps) { c.Daily = 1 })
			return err
		}},
		"RevokeKey": {func() error { return e.RevokeKey(ctx, credentials.ID) }},
		"Lock": {
			func() error { return setStatus(e, 1, ledger.Suspended) },
			func() error { return setLimit(e, sms(1), 1) },
			func() error {
				_, err := e.CreateKey(ctx, ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, engine.GenerateCredentials())
				return err
			},
		},
	} {
		for _, change := range changes {
			store.breaks(method, 0)
			wantCode(t, change(), ledger.Internal)
			check(t, method+" failed so many times", store.failed(), 1)
			store.breaks("", 0)
			check(t, "ledger after "+method+" failed", dumpOf(t, real), before)
			known, _, err := e.Authenticate(ctx, credentials)
			noError(t, err)
			check(t, "key after "+method+" failed", known, key)
			holder, err := e.Holder(ctx, 1)
			noError(t, err)
			check(t, "account after "+method+" failed", holder, before.Holders[0])
		}
	}
	// To close an account all of its wallets are locked.
	store.breaks("Lock", 1)
	wantCode(t, setStatus(e, 1, ledger.Closed), ledger.Internal)
	check(t, "failed", store.failed(), 1)
	keys, err := real.Keys(ctx, ledger.Operator, "", 10)
	noError(t, err)
	check(t, "keys", len(keys), 0)
}

// A verification, a checkpoint or a report that cannot read all of what it is
// about is an error, not half a result.
func TestFaultsOfSnapshots(t *testing.T) {
	t.Parallel()
	real, _ := sample(t)
	store := &broken{Store: real}
	e := start(t, store, engine.Options{}, 0)
	for method, calls := range map[string]int{"Wallets": 1, "Entries": 2, "Transactions": 1, "System": 1, "Holds": 2, "Refunds": 1, "MissingGuards": 1} {
		for after := range calls {
			store.breaks(method, after)
			report, err := engine.Verify(ctx, store, engine.VerifyOptions{})
			if !errors.Is(err, errDisk) || report != nil {
				t.Errorf("Verify where %s fails after %d calls: %v, %v", method, after, report, err)
			}
		}
		store.breaks(method, calls)
		if _, err := engine.Verify(ctx, store, engine.VerifyOptions{}); err != nil {
			t.Errorf("Verify calls %s more than %d times: %v", method, calls, err)
		}
	}
	store.breaks("Wallets", 0)
	if err := engine.Heads(ctx, store, func(engine.Head) error { return nil }); !errors.Is(err, errDisk) {
		t.Errorf("Heads: %v", err)
	}
	for _, method := range []string{"WalletTotals", "System"} {
		store.breaks(method, 0)
		if balances, err := e.TrialBalance(ctx); !errors.Is(err, errDisk) || balances != nil {
			t.Errorf("TrialBalance where %s fails: %v, %v", method, balances, err)
		}
	}
}

// What a reading of a statement, a report or a hold needs and cannot have, it tells.
func TestFaultsOfReads(t *testing.T) {
	t.Parallel()
	real, _ := sample(t)
	store := &broken{Store: real}
	e := start(t, store, engine.Options{CacheSize: 1}, 0)
	whole, err := e.Statement(ctx, sms(1), time.Time{}, time.Time{})
	noError(t, err)
	at := sampleTime.Add(2 * time.Second)
	query := engine.UsageQuery{By: engine.ByDay, From: sampleTime, To: sampleTime.Add(48 * time.Hour), Limit: 10}
	for _, tt := range []struct {
		method string
		after  int
		read   func() error
	}{
		{"Entry", 0, func() error { _, err := e.Statement(ctx, sms(1), at, time.Time{}); return err }},
		{"Entry", 0, func() error { _, err := e.Statement(ctx, sms(1), time.Time{}, at); return err }},
		{"Entry", 3, func() error { _, err := e.Statement(ctx, sms(1), at, at); return err }},
		{"Entry", 0, func() error { _, _, err := e.WalletAt(ctx, sms(1), at); return err }},
		{"Holder", 0, func() error { _, err := e.Statement(ctx, sms(2), at, at); return err }},
		{"Holder", 0, func() error { _, _, err := e.WalletAt(ctx, sms(2), at); return err }},
		{"Holder", 0, func() error { _, err := e.Settle(ctx, 0, reports(ledger.Delivered, "ref")); return err }},
		{"Holder", 0, func() error { _, err := e.Keys(ctx, 3, "", 1); return err }},
		{"Entries", 0, func() error { _, _, err := e.Rows(ctx, whole, 0, ledger.Charge, 10); return err }},
		{"Usage", 0, func() error { _, err := e.Usage(ctx, query, time.UTC); return err }},
		{"Usage", 1, func() error { _, err := e.Usage(ctx, query, time.UTC); return err }},
		{"HoldsByReference", 0, func() error { _, err := e.HoldsByReference(ctx, engine.HoldReference{Reference: "m"}, 1); return err }},
		{"Transaction", 0, func() error { _, _, err := e.Post(ctx, release("r", idOf("open"))); return err }},
		{"Hold", 0, func() error { _, err := e.Settle(ctx, 0, reports(ledger.Delivered, "ref")); return err }},
	} {
		if tt.method == "Holder" || tt.method == "Hold" {
			reference(t, e)
		}
		store.breaks(tt.method, tt.after)
		if err := tt.read(); !errors.Is(err, errDisk) {
			t.Errorf("where %s fails after %d calls: %v", tt.method, tt.after, err)
		}
		check(t, tt.method+" failed so many times", store.failed(), 1)
		store.breaks("", 0)
	}
}

// reference makes a closed hold with a reference, once, and has the cache forget its account.
func reference(t *testing.T, e *engine.Engine) {
	t.Helper()
	hold := place("with-reference", 3, 1)
	hold.Reference = "ref"
	tx, replayed, err := e.Post(ctx, hold)
	noError(t, err)
	if !replayed {
		post(t, e, release("its-release", tx.ID))
	}
	_, err = e.Holder(ctx, 67) // in the one place of the cache
	if err != nil {
		_, err = e.CreateAccount(ctx, ledger.Account{ID: 67, Name: "Example Ltd", Currency: "CNY"})
		noError(t, err)
	}
}

// batches is a store that keeps what is appended to it.
type batches struct {
	engine.Store

	mu  sync.Mutex
	all []engine.Batch
}

func (b *batches) Write(ctx context.Context, fn func(engine.Tx) error) error {
	return b.Store.Write(ctx, func(tx engine.Tx) error { return fn(&batchesTx{tx, b}) })
}

type batchesTx struct {
	engine.Tx

	b *batches
}

func (t *batchesTx) Append(ctx context.Context, batch *engine.Batch) error {
	t.b.mu.Lock()
	defer t.b.mu.Unlock()
	t.b.all = append(t.b.all, *batch)
	return t.Tx.Append(ctx, batch)
}

// Rows are written in an order that is always the same, so that two processes
// that write the same ones never wait for each other, and each row once.
func TestOrderOfRows(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &batches{Store: real}
	e := start(t, store, engine.Options{}, 6)
	_, err := e.CreateAccount(ctx, ledger.Account{ID: 7, Name: "Example Ltd", Currency: "VND"})
	noError(t, err)
	var setUp, requests []ledger.Request
	for i := range 8 {
		id := string(rune('a' + i))
		_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: 1000}}, ledger.Credentials{ID: id, Secret: "secret-of-the-key"})
		noError(t, err)
		account := ledger.AccountID(7 - i%7)
		held, paid := place("hold-"+id, account, 5), charge("paid-"+id, account, 5)
		held.Key = id
		setUp = append(setUp, topUp("fill-"+id, account, 100), held, paid)
		requests = append(requests, part("part-"+id, held.Parent, 1), refund("back-"+id, idOf("paid-"+id), 1), topUp("more-"+id, account, 1),
			ledger.Request{IdempotencyKey: "adjust-" + id, Kind: ledger.Adjustment, Wallet: sms(account), Amount: 1})
		requests[len(requests)-4].Parent, requests[len(requests)-4].Key = idOf("hold-"+id), string(rune('h'-i))
	}
	for _, all := range [][]ledger.Request{setUp, requests} {
		results, err := e.PostBatch(ctx, all, true)
		noError(t, err)
		_, err = engine.FirstFailure(results)
		noError(t, err)
	}
	check(t, "batches", len(store.all), 2)
	batch := store.all[1]
	check(t, "rows", []int{len(batch.Transactions), len(batch.Wallets), len(batch.Holds), len(batch.Refunded), len(batch.Keys), len(batch.System)}, []int{32, 7, 8, 8, 8, 6})
	byID := func(a, b ledger.TransactionID) int { return slices.Compare(a[:], b[:]) }
	for name, sorted := range map[string]bool{
		"wallets": slices.IsSortedFunc(batch.Wallets, func(a, b *ledger.Wallet) int { return a.Compare(b.WalletRef) }),
		"holds":   slices.IsSortedFunc(batch.Holds, func(a, b *ledger.Hold) int { return byID(a.ID, b.ID) }),
		"refunds": slices.IsSortedFunc(batch.Refunded, func(a, b *ledger.Refundable) int { return byID(a.ID, b.ID) }),
		"keys":    slices.IsSortedFunc(batch.Keys, func(a, b engine.KeySpent) int { return cmp.Compare(a.ID, b.ID) }),
		"system": slices.IsSortedFunc(batch.System, func(a, b engine.SystemTotal) int {
			return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Currency, b.Currency))
		}),
	} {
		check(t, name+" are in order", sorted, true)
	}
	storetest.Verify(t, real)
}

// Of an atomic batch that is taken back, the refusals are written and no row
// that it had already changed, while a row that another request of the same
// commit changed is written as that left it.
func TestRowsOfWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	store := &batches{Store: real}
	gate := storetest.NewGate(store)
	e := start(t, gate, engine.Options{}, 3)
	_, err := e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: 1000}}, ledger.Credentials{ID: "capped", Secret: "secret-of-the-key"})
	noError(t, err)
	with := func(r ledger.Request) ledger.Request { r.Key = "capped"; return r }
	for _, r := range []ledger.Request{
		topUp("fill", 1, 100), topUp("fill-2", 2, 100), charge("paid", 1, 10), charge("paid-too", 1, 10), place("held", 1, 5), place("held-too", 1, 5),
	} {
		post(t, e, r)
	}
	store.all = nil
	var before, first outcome
	var a batched
	storetest.Queue(e, gate,
		posting(e, topUp("alone", 2, 1), &before),
		posting(e, part("changed", idOf("held"), 2), &first),
		batching(e, &a, true,
			with(charge("x", 1, 1)), part("y", idOf("held"), 1), part("z", idOf("held-too"), 1),
			refund("back", idOf("paid"), 1), transfer("away", 2, 3, 1), charge("too-much", 1, 1000)),
	)
	check(t, "commits", len(store.all), 2)
	batch := store.all[1]
	check(t, "transactions", len(batch.Transactions), 7)
	check(t, "rows", []int{len(batch.Entries), len(batch.Wallets), len(batch.Holds), len(batch.Refunded), len(batch.Keys), len(batch.System)}, []int{1, 1, 1, 0, 0, 1})
	check(t, "wallet", []int64{batch.Wallets[0].Version, int64(batch.Wallets[0].Balance)}, []int64{first.tx.Version, 78})
	check(t, "hold", int64(batch.Holds[0].Remaining), 3)
	storetest.Verify(t, real)
}
