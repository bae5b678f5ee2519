package storetest

import (
	"context"
	"errors"
	"fmt"
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
		Amount: 3, Parent: ledger.TransactionID{1, 15: 2}, ExpiresIn: ledger.MaxExpiresIn, Final: true, Reference: "msg-1",
		Metadata: ledger.Metadata{"country": "VN"}, Batch: ledger.TransactionID{3, 15: 4},
	})
	t.CreatedAt, t.Balance, t.Held, t.Available, t.Version, t.ToVersion = start, 4, 5, 6, 1, 2
	t.Moved, t.CapLeft, t.Remaining, t.ExpiresAt = 7, ledger.CapLeft{Daily: 8, Monthly: 9}, 10, start.Add(time.Microsecond)
	for _, c := range change {
		c(&t)
	}
	return &t
}

// entryOf is an entry of a transaction, at a place in a wallet's chain.
func entryOf(t *ledger.Transaction, wallet ledger.WalletRef, version int64, amount ledger.Amount) ledger.Entry {
	e := ledger.Entry{WalletRef: wallet, Version: version, Transaction: t.ID, Amount: amount, Balance: amount, Held: 1, CreatedAt: start}
	e.Hash = e.ChainHash(ledger.Hash{byte(version)}, t)
	return e
}

func (s *suite) append(batch *engine.Batch) {
	s.Helper()
	s.write(func(tx engine.Tx) error { return tx.Append(s.Context(), batch) })
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
			t.Moved, t.Remaining, t.CapLeft, t.ExpiresIn, t.Final = highest, highest, ledger.CapLeft{Daily: highest, Monthly: highest}, time.Second, false
			t.CreatedAt, t.ExpiresAt = start.AddDate(200, 0, 0), start.AddDate(201, 0, 0)
		}),
		decided("rejected", func(t *ledger.Transaction) {
			t.Rejection, t.Version, t.ToVersion = ledger.InsufficientFunds, 0, 0
		}),
		decided("bare", func(t *ledger.Transaction) {
			t.Kind, t.To, t.Reference, t.Metadata, t.ToVersion = ledger.Charge, ledger.WalletRef{}, "", nil, 0
			t.Parent, t.Batch, t.ExpiresIn, t.Final = ledger.TransactionID{}, ledger.TransactionID{}, 0, false
			t.Moved, t.Remaining, t.ExpiresAt, t.CapLeft = 0, 0, time.Time{}, ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap}
		}),
		decided("by the ledger", func(t *ledger.Transaction) { t.Scope = ledger.System }),
		// A moment is not "none" because a database counts from it.
		decided("expires in 1970", func(t *ledger.Transaction) { t.ExpiresAt = time.Unix(0, 0).UTC() }),
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
		Holds:        []*ledger.Hold{hold("first")},
		Refunded:     []*ledger.Refundable{{ID: first.ID, Refunded: 3}},
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
		"DELETE FROM holds",
		"DELETE FROM holds WHERE state = 'open'",
		"DELETE FROM refunds",
		"DELETE FROM refunds WHERE refunded = 3",
	} {
		err := s.ledger.Exec(statement)
		if err == nil || !strings.Contains(err.Error(), "append-only") && !strings.Contains(err.Error(), "never deleted") {
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
	// A hold changes, and so does the count of refunds: they are no history.
	changed := hold("first", func(h *ledger.Hold) { h.State, h.Remaining, h.ClosedAt = ledger.HoldReleased, 0, start.Add(time.Hour) })
	s.append(&engine.Batch{Holds: []*ledger.Hold{changed}, Refunded: []*ledger.Refundable{{ID: first.ID, Refunded: 4}}})
	after := s.state(10)
	check(s, "hold", after.Holds[0].Hold, *changed)
	check(s, "refunded", after.Refunds[0].Refunded, ledger.Amount(4))
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
	_, capped := tx.UpdateKey(ctx, "AK1", ledger.Caps{Daily: 1})
	return errors.Join(
		tx.InsertAccount(ctx, account(2)),
		tx.InsertAccount(ctx, account(0)),
		tx.UpdateAccount(ctx, &account(1, func(h *ledger.Holder) { h.Name, h.ExternalReference = "changed", "changed" }).Account),
		tx.InsertWallet(ctx, &ledger.Wallet{WalletRef: ledger.WalletRef{Account: 1, Service: "fax"}}),
		tx.UpdateWallet(ctx, sms(1), &ledger.Settings{CreditLimit: 9}),
		tx.InsertKey(ctx, key("AK2", func(k *ledger.Key) { k.Account = 2 })),
		revoked, capped,
		tx.Append(ctx, &engine.Batch{
			Transactions: []*ledger.Transaction{t},
			Entries:      []ledger.Entry{entryOf(t, sms(1), 1, 5)},
			Wallets:      []*ledger.Wallet{{WalletRef: sms(1), Balance: 5, Version: 1}},
			System:       []engine.SystemTotal{{Account: ledger.Funding, Currency: "CNY"}},
			Holds:        []*ledger.Hold{hold("all", func(h *ledger.Hold) { h.WalletRef = sms(1) })},
			Refunded:     []*ledger.Refundable{{ID: t.ID, Refunded: 1}},
			Keys:         []engine.KeySpent{{ID: "AK1", Spent: ledger.Spent{Day: 20260101, Today: 1, InMonth: 2}}},
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
		_, err := s.store.Hold(s.Context(), hold("all").ID)
		wantCode(s, "the hold of a write that failed", err, ledger.NotFound)
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
