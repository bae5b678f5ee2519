package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// decided is a transaction in which every field has a value of its own.
func decided(idempotencyKey string, change ...func(*ledger.Transaction)) *ledger.Transaction {
	t := ledger.NewTransaction(ledger.Request{
		Scope: 7, IdempotencyKey: idempotencyKey, Kind: ledger.Transfer, Wallet: sms(7), To: ledger.WalletRef{Account: 8, Service: ledger.VoIP},
		Amount: 3, Reference: "msg-1", Metadata: ledger.Metadata{"country": "VN"},
	})
	t.CreatedAt, t.Balance, t.Held, t.Available, t.Version, t.ToVersion = start, 4, 5, 6, 1, 2
	for _, c := range change {
		c(&t)
	}
	return &t
}

// entryOf is an entry of a transaction, at a place in a wallet's chain.
func entryOf(t *ledger.Transaction, wallet ledger.WalletRef, version int64, amount ledger.Amount) ledger.Entry {
	e := ledger.Entry{WalletRef: wallet, Version: version, Transaction: t.ID, Amount: amount, Balance: amount, Held: 1, CreatedAt: start}
	e.Hash = e.ChainHash(ledger.Hash{byte(version)}, t.RequestHash)
	return e
}

func (s *suite) append(batch *engine.Batch) {
	s.Helper()
	s.write(func(tx engine.Tx) error { return tx.Append(s.Context(), batch) })
}

// state is everything that a snapshot gives, read a page at a time.
type state struct {
	Wallets      []engine.WalletRow
	Entries      []engine.EntryRow
	Transactions []engine.TransactionRow
	System       []engine.SystemTotal
}

func stateOf(ctx context.Context, snapshot engine.Snapshot, page int) (all state, err error) {
	for after := (ledger.WalletRef{}); ; {
		rows, err := snapshot.Wallets(ctx, after, page)
		if err != nil {
			return all, err
		}
		all.Wallets = append(all.Wallets, rows...)
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].WalletRef
	}
	for after := (ledger.Entry{}); ; {
		rows, err := snapshot.Entries(ctx, after.WalletRef, after.Version, page)
		if err != nil {
			return all, err
		}
		all.Entries = append(all.Entries, rows...)
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Entry
	}
	for after := (ledger.TransactionID{}); ; {
		rows, err := snapshot.Transactions(ctx, after, page)
		if err != nil {
			return all, err
		}
		all.Transactions = append(all.Transactions, rows...)
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].ID
	}
	all.System, err = snapshot.System(ctx)
	slices.SortFunc(all.System, func(a, b engine.SystemTotal) int {
		return strings.Compare(string(a.Account)+a.Currency, string(b.Account)+b.Currency)
	})
	return all, err
}

func (s *suite) state(page int) (all state) {
	s.Helper()
	err := s.store.Snapshot(s.Context(), func(snapshot engine.Snapshot) (err error) {
		all, err = stateOf(s.Context(), snapshot, page)
		return err
	})
	if err != nil {
		s.Fatalf("snapshot: %v", err)
	}
	return all
}

func testHistory(s *suite) {
	s.open()
	highest := ledger.MaxAmount
	one, two := account(7), account(8, func(h *ledger.Holder) { h.Currency = "VND" })
	s.insert(one, two)
	transactions := []*ledger.Transaction{
		decided("every field"),
		decided("extremes", func(t *ledger.Transaction) {
			t.Scope, t.Amount, t.Balance, t.Held, t.Available = ledger.Operator, -highest, highest, highest, -highest
			t.Version, t.ToVersion, t.Wallet.Account = 1<<63-1, 1<<63-1, ledger.MaxAccountID
			t.CreatedAt = start.AddDate(200, 0, 0)
		}),
		decided("rejected", func(t *ledger.Transaction) {
			t.Rejection, t.Version, t.ToVersion = ledger.InsufficientFunds, 0, 0
		}),
		decided("bare", func(t *ledger.Transaction) {
			t.Kind, t.To, t.Reference, t.Metadata, t.ToVersion = ledger.Charge, ledger.WalletRef{}, "", nil, 0
		}),
		decided("text", func(t *ledger.Transaction) {
			t.Reference = strings.Repeat("信", ledger.MaxReferenceLen/3)
			t.Metadata = ledger.Metadata{"": "", "lines": "a\nb"}
		}),
		decided("Case"), decided("case"),
		decided(strings.Repeat("k", ledger.MaxIdempotencyKey)),
	}
	for i := range 30 {
		text := unusualText[i%len(unusualText)]
		transactions = append(transactions, decided(fmt.Sprint("text", i), func(t *ledger.Transaction) {
			t.Reference, t.Metadata = text, ledger.Metadata{text: text}
		}))
	}
	cause := transactions[0]
	entries := []ledger.Entry{
		entryOf(cause, sms(7), 1, -3),
		entryOf(cause, cause.To, 2, highest),
		entryOf(transactions[1], sms(7), 2, -highest),
		entryOf(transactions[1], sms(7), 1<<63-1, 0),
		// The entry of a transaction that is not there: what Verify must be able to see.
		entryOf(decided("missing"), sms(9), 1, 1),
	}
	wallet := ledger.Wallet{WalletRef: sms(7), Balance: -highest, Held: highest, Version: 9, Head: entries[0].Hash}
	s.append(&engine.Batch{Transactions: transactions, Entries: entries, Wallets: []*ledger.Wallet{&wallet}})
	one.Wallets[0] = wallet

	var ids []ledger.TransactionID
	for _, t := range transactions {
		ids = append(ids, t.ID)
	}
	for range 2 {
		for _, want := range transactions {
			check(s, "transaction "+want.IdempotencyKey, must[*ledger.Transaction](s)(s.store.Transaction(s.Context(), want.ID)), want)
		}
		check(s, "account", s.holder(7), one)
		check(s, "another account", s.holder(8), two)
		s.write(func(tx engine.Tx) error {
			// Any number may be asked for, among them what is not there.
			for _, n := range []int{0, 1, 2, 31, 32, 33, len(ids)} {
				for _, more := range [][]ledger.TransactionID{nil, {{1}}, make([]ledger.TransactionID, 100)} {
					got := must[map[ledger.TransactionID]*ledger.Transaction](s)(tx.Decided(s.Context(), append(more, ids[:n]...)))
					check(s, "number of those decided", len(got), n)
					for _, want := range transactions[:n] {
						check(s, "decided transaction", got[want.ID], want)
					}
				}
			}
			none := must[map[ledger.TransactionID]*ledger.Transaction](s)(tx.Decided(s.Context(), []ledger.TransactionID{{1}}))
			check(s, "number of those decided", len(none), 0)
			return nil
		})
		all := s.state(3)
		check(s, "entries", all.Entries, []engine.EntryRow{
			{Entry: entries[0], Cause: cause},
			{Entry: entries[2], Cause: transactions[1]},
			{Entry: entries[3], Cause: transactions[1]},
			{Entry: entries[1], Cause: cause},
			{Entry: entries[4]},
		})
		for _, row := range all.Transactions {
			switch row.IdempotencyKey {
			case "every field":
				check(s, "its entries", []*ledger.Entry{row.Entry, row.ToEntry}, []*ledger.Entry{&entries[0], &entries[1]})
			case "rejected", "extremes":
				check(s, "its entries", []*ledger.Entry{row.Entry, row.ToEntry}, []*ledger.Entry{nil, nil})
			}
		}
		check(s, "currencies", []string{all.Wallets[0].Currency, all.Wallets[3].Currency}, []string{"CNY", "VND"})
		s.reopen()
	}
}

// The last defence against a movement that is posted twice is the database's own.
func testHistoryOnce(s *suite) {
	s.open()
	s.insert(account(7), account(8))
	first := decided("first")
	s.append(&engine.Batch{
		Transactions: []*ledger.Transaction{first},
		Entries:      []ledger.Entry{entryOf(first, sms(7), 1, 1)},
	})
	before := s.state(10)
	second := decided("second")
	for name, batch := range map[string]*engine.Batch{
		"the same transaction":         {Transactions: []*ledger.Transaction{second, first}},
		"a transaction twice":          {Transactions: []*ledger.Transaction{second, second}},
		"an entry at the same version": {Transactions: []*ledger.Transaction{second}, Entries: []ledger.Entry{entryOf(second, sms(7), 1, 2)}},
		"a version below the first":    {Transactions: []*ledger.Transaction{second}, Entries: []ledger.Entry{entryOf(second, sms(7), 0, 2)}},
	} {
		if err := s.store.Write(s.Context(), func(tx engine.Tx) error { return tx.Append(s.Context(), batch) }); err == nil {
			s.Errorf("%s was appended", name)
		} else if errors.Is(err, engine.ErrCommitUnknown) {
			s.Errorf("%s: a statement failed and not the commit, but the error is %v", name, err)
		}
	}
	check(s, "ledger", s.state(10), before)
}

func testAppendOnly(s *suite) {
	s.open()
	s.insert(account(7), account(8))
	first := decided("first")
	s.append(&engine.Batch{
		Transactions: []*ledger.Transaction{first},
		Entries:      []ledger.Entry{entryOf(first, sms(7), 1, 1)},
	})
	before := s.state(10)
	for _, statement := range []string{
		"UPDATE entries SET amount = amount + 1",
		"UPDATE entries SET account_id = 8",
		"UPDATE entries SET created_at = created_at",
		"DELETE FROM entries",
		"DELETE FROM entries WHERE version = 1",
		"UPDATE transactions SET amount = amount + 1",
		"UPDATE transactions SET rejection = 'insufficient_funds'",
		"DELETE FROM transactions",
		"DELETE FROM transactions WHERE account_id = 7",
	} {
		if err := s.ledger.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			s.Errorf("%s: the error is %v", statement, err)
		}
	}
	check(s, "ledger", s.state(10), before)
	s.reopen()
	check(s, "ledger after reopening", s.state(10), before)

	// The hook itself works, or the refusals above say nothing.
	if err := s.ledger.Exec("UPDATE accounts SET name = 'changed' WHERE id = 7"); err != nil {
		s.Fatal(err)
	}
	check(s, "name", s.holder(7).Name, "changed")
}

func total(s *suite, millionths string) ledger.Total {
	s.Helper()
	return must[ledger.Total](s)(ledger.ParseTotal(millionths))
}

func testSystemTotals(s *suite) {
	s.open()
	add := func(account ledger.SystemAccount, currency, millionths string) {
		s.Helper()
		s.append(&engine.Batch{System: []engine.SystemTotal{{Account: account, Currency: currency, Total: total(s, millionths)}}})
	}
	for range 3 {
		add(ledger.Funding, "IRR", "-9223372036854775807")
	}
	add(ledger.Funding, "VND", "1")
	add(ledger.Revenue, "IRR", "123456789012345678901234567890")
	add(ledger.Revenue, "IRR", "-123456789012345678901234567891")
	add(ledger.Adjustments, "IRR", "0")
	add(ledger.Adjustments, "USD", "5")
	add(ledger.Adjustments, "USD", "-5")
	s.append(&engine.Batch{System: []engine.SystemTotal{
		{Account: ledger.Revenue, Currency: "VND", Total: total(s, "7")}, {Account: ledger.Funding, Currency: "VND", Total: total(s, "-8")},
	}})
	for range 2 {
		var got []string
		for _, row := range s.state(1).System {
			if !row.Total.IsZero() { // An account that holds nothing may be listed or not.
				got = append(got, fmt.Sprint(row.Account, " ", row.Currency, " ", row.Total.Millionths()))
			}
		}
		check(s, "system accounts", got, []string{
			"funding IRR -27670116110564327421", "funding VND -7", "revenue IRR -1", "revenue VND 7",
		})
		s.reopen()
	}
}

func testLastCommit(s *suite) {
	store := s.open()
	s.insert(account(7), account(8))
	check(s, "without a transaction", must[time.Time](s)(store.LastCommit(s.Context())), zeroTime)
	at := start
	// Ids derive from keys, so these arrive in no order of ids.
	for i := range 20 {
		at = at.Add(time.Duration(i%3) * time.Microsecond)
		s.append(&engine.Batch{Transactions: []*ledger.Transaction{
			decided(fmt.Sprint("a", i), func(t *ledger.Transaction) { t.CreatedAt = at }),
			decided(fmt.Sprint("b", i), func(t *ledger.Transaction) { t.CreatedAt, t.Rejection, t.Version = at, ledger.InsufficientFunds, 0 }),
		}})
		check(s, "last commit", must[time.Time](s)(store.LastCommit(s.Context())), at)
	}
	check(s, "after reopening", must[time.Time](s)(s.reopen().LastCommit(s.Context())), at)
}

// everything uses each method of a transaction once.
func everything(ctx context.Context, tx engine.Tx) error {
	t := decided("all", func(t *ledger.Transaction) { t.Wallet = sms(1) })
	_, revoked := tx.RevokeKey(ctx, "AK1", start)
	return errors.Join(
		tx.InsertAccount(ctx, account(2)),
		tx.InsertAccount(ctx, account(0)),
		tx.UpdateAccount(ctx, &account(1, func(h *ledger.Holder) { h.Name, h.ExternalReference = "changed", "changed" }).Account),
		tx.InsertWallet(ctx, &ledger.Wallet{WalletRef: ledger.WalletRef{Account: 1, Service: "fax"}}),
		tx.SetCreditLimit(ctx, sms(1), 9),
		tx.InsertKey(ctx, key("AK2", func(k *ledger.Key) { k.Account = 2 })),
		revoked,
		tx.Append(ctx, &engine.Batch{
			Transactions: []*ledger.Transaction{t},
			Entries:      []ledger.Entry{entryOf(t, sms(1), 1, 5)},
			Wallets:      []*ledger.Wallet{{WalletRef: sms(1), Balance: 5, Version: 1}},
			System:       []engine.SystemTotal{{Account: ledger.Funding, Currency: "CNY"}},
		}),
	)
}

// prepared is a ledger that everything can be done to.
func (s *suite) prepared() (before func()) {
	s.Helper()
	s.open()
	s.insert(account(1))
	s.insertKeys(key("AK1", func(k *ledger.Key) { k.Account = 1 }))
	all := s.state(10)
	return func() {
		s.Helper()
		check(s, "accounts", must[[]*ledger.Holder](s)(s.store.Holders(s.Context(), 0, 10)), []*ledger.Holder{account(1)})
		check(s, "keys", must[[]*ledger.Key](s)(s.store.Keys(s.Context(), 1, "", 10)),
			[]*ledger.Key{key("AK1", func(k *ledger.Key) { k.Account = 1 })})
		check(s, "ledger", s.state(10), all)
		check(s, "last commit", must[time.Time](s)(s.store.LastCommit(s.Context())), zeroTime)
	}
}

func testRollback(s *suite) {
	before := s.prepared()
	ctx := s.Context()
	fault := errors.New("fault")
	expected := ledger.Errorf(ledger.AmountOutOfRange, "expected")
	for _, cause := range []error{fault, expected, fmt.Errorf("wrapped: %w", expected)} {
		err := s.store.Write(ctx, func(tx engine.Tx) error {
			if err := everything(ctx, tx); err != nil {
				s.Errorf("before the fault: %v", err)
			}
			return cause
		})
		if !errors.Is(err, cause) || errors.Is(err, engine.ErrCommitUnknown) {
			s.Errorf("the error is %v, want %v", err, cause)
		}
		before()
	}

	// What a statement refused takes with it all that succeeded before it.
	conflict := s.store.Write(ctx, func(tx engine.Tx) error {
		if err := everything(ctx, tx); err != nil {
			return err
		}
		return tx.InsertAccount(ctx, account(1))
	})
	wantCode(s, "a conflict at the end", conflict, ledger.Conflict)
	before()
	s.reopen()
	before()

	// The same can be done after all that.
	s.write(func(tx engine.Tx) error { return everything(ctx, tx) })
	check(s, "name", s.holder(1).Name, "changed")
}

func testCancelled(s *suite) {
	before := s.prepared()
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	if err := s.store.Write(cancelled, func(tx engine.Tx) error { return everything(cancelled, tx) }); !errors.Is(err, context.Canceled) {
		s.Errorf("a write that was given up before it began: the error is %v", err)
	}
	before()

	ctx, cancel := context.WithCancel(s.Context())
	if err := s.store.Write(ctx, func(tx engine.Tx) error {
		if err := everything(ctx, tx); err != nil {
			s.Errorf("before it is given up: %v", err)
		}
		cancel()
		_, err := tx.Lock(ctx, []ledger.WalletRef{sms(1)})
		return err
	}); !errors.Is(err, context.Canceled) {
		s.Errorf("a write that was given up on its way: the error is %v", err)
	}
	before()

	// No transaction was left open, which would stand in everybody's way.
	s.write(func(tx engine.Tx) error { return everything(s.Context(), tx) })
}

func testIsolation(s *suite) {
	before := s.prepared()
	ctx := s.Context()
	s.write(func(tx engine.Tx) error {
		if err := everything(ctx, tx); err != nil {
			return err
		}
		before() // Readers see committed data only, and need not wait for a writer.
		return nil
	})
	check(s, "name", s.holder(1).Name, "changed")
}

// Increments that many writers make on what they read under the lock add up.
func testLostUpdates(s *suite) {
	store := s.open()
	s.insert(account(1), account(2))
	const writers, each = 8, 10
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range each {
				refs := []ledger.WalletRef{sms(1), sms(2)}
				err := store.Write(s.Context(), func(tx engine.Tx) error {
					holders, err := tx.Lock(s.Context(), refs[i%2:1+i%2])
					if err != nil {
						return err
					}
					wallet := holders[refs[i%2].Account].Wallets[0]
					wallet.Balance++
					wallet.Version++
					return tx.Append(s.Context(), &engine.Batch{Wallets: []*ledger.Wallet{&wallet}, System: []engine.SystemTotal{
						{Account: ledger.Revenue, Currency: "CNY", Total: total(s, "1")},
					}})
				})
				if err != nil {
					s.Errorf("write: %v", err)
				}
			}
		})
	}
	group.Wait()
	for id := range ledger.AccountID(2) {
		check(s, "balance", s.holder(id + 1).Wallets[0].Balance, ledger.Amount(writers/2*each))
	}
	check(s, "system account", s.state(1).System, []engine.SystemTotal{
		{Account: ledger.Revenue, Currency: "CNY", Total: total(s, strconv.Itoa(writers*each))},
	})
}

func testSnapshotPages(s *suite) {
	s.open()
	var holders []*ledger.Holder
	services := []ledger.Service{"a", "a-", "a-b", "a1", "a_b", "ab", ledger.SMS, ledger.VoIP}
	var batch engine.Batch
	for i := range ledger.AccountID(3) {
		holder := account(i*i*1000+1, func(h *ledger.Holder) {
			h.Wallets = nil
			for _, service := range services {
				h.Wallets = append(h.Wallets, ledger.Wallet{WalletRef: ledger.WalletRef{Account: h.ID, Service: service}, CreditLimit: ledger.Amount(i)})
			}
		})
		holders = append(holders, holder)
		for _, wallet := range holder.Wallets {
			for _, version := range []int64{1, 2, 9, 10, 256} {
				t := decided(fmt.Sprint(wallet.WalletRef, version))
				batch.Transactions = append(batch.Transactions, t)
				batch.Entries = append(batch.Entries, entryOf(t, wallet.WalletRef, version, 1))
			}
		}
	}
	s.insert(holders...)
	s.append(&batch)
	var wallets []ledger.Wallet
	for _, h := range holders {
		wallets = append(wallets, h.Wallets...)
	}
	slices.SortFunc(batch.Transactions, func(a, b *ledger.Transaction) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, page := range []int{1, 24, 1000} {
		all := s.state(page)
		if len(all.Wallets) != len(wallets) || len(all.Entries) != len(batch.Entries) || len(all.Transactions) != len(batch.Transactions) {
			s.Fatalf("pages of %d: %d wallets, %d entries, %d transactions", page, len(all.Wallets), len(all.Entries), len(all.Transactions))
		}
		for i, w := range wallets {
			check(s, "wallet", all.Wallets[i], engine.WalletRow{Wallet: w, Currency: "CNY"})
		}
		for i, e := range batch.Entries {
			check(s, "entry", all.Entries[i].Entry, e)
			check(s, "its cause", all.Entries[i].Cause.ID, e.Transaction)
		}
		for i, t := range batch.Transactions {
			check(s, "transaction", all.Transactions[i].Transaction, *t)
		}
	}

	// A page begins after what need not exist.
	err := s.store.Snapshot(s.Context(), func(snapshot engine.Snapshot) error {
		rows := must[[]engine.WalletRow](s)(snapshot.Wallets(s.Context(), ledger.WalletRef{Account: 1, Service: "zz"}, 1))
		check(s, "next wallet", rows[0].WalletRef, ledger.WalletRef{Account: 1001, Service: "a"})
		entries := must[[]engine.EntryRow](s)(snapshot.Entries(s.Context(), ledger.WalletRef{Account: 1, Service: "a"}, 5, 1))
		check(s, "next entry", entries[0].Version, int64(9))
		entries = must[[]engine.EntryRow](s)(snapshot.Entries(s.Context(), ledger.WalletRef{Account: 1, Service: "a"}, 256, 1))
		check(s, "next entry", entries[0].WalletRef, ledger.WalletRef{Account: 1, Service: "a-"})
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	fault := errors.New("fault")
	if err := s.store.Snapshot(s.Context(), func(engine.Snapshot) error { return fault }); !errors.Is(err, fault) {
		s.Errorf("the error of a snapshot's reader came back as %v", err)
	}
}

func testSnapshotStays(s *suite) {
	s.open()
	s.insert(account(7), account(8))
	ctx := s.Context()
	write := func(i int) {
		t := decided(fmt.Sprint("key", i), func(t *ledger.Transaction) { t.Version, t.To, t.ToVersion = int64(i), ledger.WalletRef{}, 0 })
		s.append(&engine.Batch{
			Transactions: []*ledger.Transaction{t},
			Entries:      []ledger.Entry{entryOf(t, sms(7), int64(i), 1)},
			Wallets:      []*ledger.Wallet{{WalletRef: sms(7), Balance: ledger.Amount(i), Version: int64(i)}},
			System:       []engine.SystemTotal{{Account: ledger.Revenue, Currency: "CNY", Total: total(s, "-1")}},
		})
	}
	write(1)
	before := s.state(10)
	err := s.store.Snapshot(ctx, func(snapshot engine.Snapshot) error {
		for i := range 3 {
			got, err := stateOf(ctx, snapshot, 1)
			if err != nil {
				return err
			}
			check(s, "ledger in the snapshot", got, before)
			write(i + 2) // A writer goes on meanwhile.
			s.insert(account(ledger.AccountID(20 + i)))
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	check(s, "entries afterwards", len(s.state(10).Entries), 4)
	// The parts of a snapshot belong together also where it is read piece by piece.
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 15 {
			write(i + 5)
		}
	})
	for range 10 {
		all := s.state(5)
		n := len(all.Entries)
		if len(all.Transactions) != n || all.Wallets[0].Version != int64(n) || all.System[0].Total.Millionths() != strconv.Itoa(-n) {
			s.Errorf("a snapshot has %d entries, %d transactions, wallet version %d, system total %s",
				n, len(all.Transactions), all.Wallets[0].Version, &all.System[0].Total)
		}
	}
	group.Wait()
}
