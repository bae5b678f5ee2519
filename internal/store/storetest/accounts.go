package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

func testEmpty(s *suite) {
	ctx := s.Context()
	store := s.open()
	for range 2 { // The second time in a ledger that is opened, not made.
		if err := store.Ping(ctx); err != nil {
			s.Errorf("ping: %v", err)
		}
		_, err := store.Holder(ctx, 7)
		wantCode(s, "Holder", err, ledger.NotFound)
		_, _, err = store.KeyByDigest(ctx, ledger.Hash{1})
		wantCode(s, "KeyByDigest", err, ledger.NotFound)
		_, err = store.Transaction(ctx, ledger.TransactionID{1})
		wantCode(s, "Transaction", err, ledger.NotFound)
		wantCode(s, "RevokeKey", store.Write(ctx, func(tx engine.Tx) error {
			_, err := tx.RevokeKey(ctx, "none", start)
			return err
		}), ledger.NotFound)
		check(s, "LastCommit", must[time.Time](s)(store.LastCommit(ctx)), zeroTime)
		check(s, "Holders", len(must[[]*ledger.Holder](s)(store.Holders(ctx, 0, 10))), 0)
		check(s, "Keys", len(must[[]*ledger.Key](s)(store.Keys(ctx, 7, "", 10))), 0)
		check(s, "Keys of the operator", len(must[[]*ledger.Key](s)(store.Keys(ctx, ledger.Operator, "", 10))), 0)
		check(s, "report", *Verify(s, store), engine.Report{Problems: []string{}})
		store = s.reopen()
	}
}

// unusualText has what SQL, JSON, collations and terminals trip over.
var unusualText = []string{
	"Công ty Điện thoại 短信 🙂", `'; DROP TABLE accounts; -- "\`, "%s %d $1 ? :a @b", "<b>&amp;</b>", " spaces at the ends ",
	"e\u0301 is not \u00e9", "NULL", "0", "\u2028\u202e right to left", "\U0010ffff", "{}", "a\u00a0b",
}

func testAccounts(s *suite) {
	store := s.open()
	longest := strings.Repeat("信", ledger.MaxNameLen/3)
	metadata := ledger.Metadata{"empty": "", "lines": "a\nb\tc\r", "json": `{"a":[1,null]}`, "html": "<&>", "longest": strings.Repeat("x", ledger.MaxMetadataText)}
	for i, text := range unusualText {
		metadata[fmt.Sprint(i, text)] = text
	}
	want := []*ledger.Holder{
		account(1), account(2), // Neither has a reference, which is no conflict.
		account(3, func(h *ledger.Holder) { h.Name, h.ExternalReference, h.Metadata = longest, longest, metadata }),
		account(4, func(h *ledger.Holder) { h.Status, h.Currency = ledger.Suspended, "VND" }),
		account(5, func(h *ledger.Holder) { h.Status, h.CreatedAt = ledger.Closed, start.AddDate(200, 0, 0) }),
		account(6, func(h *ledger.Holder) { h.CreatedAt = start.AddDate(-100, 0, 0) }),
		account(7, func(h *ledger.Holder) { h.ExternalReference = "a" }),
		// References differ by case, by an accent's encoding and by a space at the end.
		account(8, func(h *ledger.Holder) { h.ExternalReference = "A" }),
		account(9, func(h *ledger.Holder) { h.ExternalReference = "a " }),
		account(10, func(h *ledger.Holder) { h.ExternalReference = "e\u0301" }),
		account(11, func(h *ledger.Holder) { h.ExternalReference = "\u00e9" }),
		account(12, func(h *ledger.Holder) { h.TimeZone, h.ChargeOn = "", nil }),
		account(13, func(h *ledger.Holder) {
			h.TimeZone, h.ChargeOn = strings.Repeat("z", ledger.MaxTimeZone), ledger.DeliveryStates
		}),
		// The order of states is the operator's.
		account(14, func(h *ledger.Holder) {
			h.ChargeOn = []ledger.DeliveryState{ledger.Unknown, ledger.Delivered, ledger.Enroute}
		}),
		account(ledger.MaxAccountID),
	}
	for i, text := range unusualText {
		want = append(want, account(ledger.AccountID(100+i), func(h *ledger.Holder) { h.Name, h.ExternalReference = text, text }))
	}
	slices.SortFunc(want, func(a, b *ledger.Holder) int { return int(a.ID) - int(b.ID) })
	s.insert(want...)
	for range 2 {
		for _, w := range want {
			check(s, fmt.Sprint("account ", w.ID), must[*ledger.Holder](s)(store.Holder(s.Context(), w.ID)), w)
		}
		check(s, "list", must[[]*ledger.Holder](s)(store.Holders(s.Context(), 0, 1000)), want)
		store = s.reopen()
	}

	// No metadata and empty metadata are one thing, or a reply would differ
	// before and after a restart. So are no states and empty states.
	s.insert(account(50, func(h *ledger.Holder) { h.Metadata = ledger.Metadata{} }))
	check(s, "empty metadata", s.holder(50), account(50))
	s.insert(account(51, func(h *ledger.Holder) { h.ChargeOn = []ledger.DeliveryState{} }))
	check(s, "empty states", s.holder(51), account(51, func(h *ledger.Holder) { h.ChargeOn = nil }))
}

func testAccountConflicts(s *suite) {
	store := s.open()
	ctx := s.Context()
	referred := func(reference string) func(*ledger.Holder) {
		return func(h *ledger.Holder) { h.ExternalReference = reference }
	}
	s.insert(account(1, referred("crm-1")), account(2, referred("crm-2")))
	for name, fn := range map[string]func(tx engine.Tx) error{
		"id":        func(tx engine.Tx) error { return tx.InsertAccount(ctx, account(1)) },
		"reference": func(tx engine.Tx) error { return tx.InsertAccount(ctx, account(3, referred("crm-2"))) },
		"both":      func(tx engine.Tx) error { return tx.InsertAccount(ctx, account(2, referred("crm-2"))) },
		"chosen id, reference": func(tx engine.Tx) error {
			return tx.InsertAccount(ctx, account(0, referred("crm-2")))
		},
		"changed reference": func(tx engine.Tx) error { return tx.UpdateAccount(ctx, &account(1, referred("crm-2")).Account) },
	} {
		wantCode(s, name, store.Write(ctx, fn), ledger.Conflict)
	}
	check(s, "list", must[[]*ledger.Holder](s)(store.Holders(ctx, 0, 10)),
		[]*ledger.Holder{account(1, referred("crm-1")), account(2, referred("crm-2"))})

	// A reference that is given up is free, and one's own is no conflict.
	s.write(func(tx engine.Tx) error {
		if err := tx.UpdateAccount(ctx, &account(1, referred("crm-1")).Account); err != nil {
			return err
		}
		if err := tx.UpdateAccount(ctx, &account(2).Account); err != nil {
			return err
		}
		return tx.InsertAccount(ctx, account(3, referred("crm-2")))
	})
	check(s, "its new owner", s.holder(3), account(3, referred("crm-2")))
}

func testUpdateAccount(s *suite) {
	s.open()
	before := account(7, func(h *ledger.Holder) {
		h.ExternalReference, h.Metadata = "crm-7", ledger.Metadata{"plan": "gold"}
		h.Wallets[0].Balance, h.Wallets[0].CreditLimit = 12, 34
	})
	other := account(8, func(h *ledger.Holder) { h.Metadata = ledger.Metadata{"plan": "none"} })
	s.insert(before, other)
	for _, change := range []func(*ledger.Account){
		func(a *ledger.Account) { a.Name = unusualText[0] },
		func(a *ledger.Account) { a.Status = ledger.Suspended },
		func(a *ledger.Account) { a.Status = ledger.Closed },
		func(a *ledger.Account) { a.Status = ledger.Active },
		func(a *ledger.Account) { a.ExternalReference = unusualText[1] },
		func(a *ledger.Account) { a.ExternalReference = "" },
		func(a *ledger.Account) { a.Metadata = ledger.Metadata{"a": "b", "c": ""} },
		func(a *ledger.Account) { a.Metadata = nil },
		func(a *ledger.Account) { a.TimeZone = "Asia/Ho_Chi_Minh" },
		func(a *ledger.Account) { a.TimeZone = "" },
		func(a *ledger.Account) { a.ChargeOn = []ledger.DeliveryState{ledger.Undeliverable, ledger.Accepted} },
		func(a *ledger.Account) { a.ChargeOn = nil },
	} {
		want := clone(s.holder(7))
		change(&want.Account)
		given := want.Account
		// What may not change stays as it is, whatever is asked for.
		given.Currency, given.CreatedAt = "VND", start.AddDate(1, 0, 0)
		s.write(func(tx engine.Tx) error { return tx.UpdateAccount(s.Context(), &given) })
		check(s, "account", s.holder(7), want)
		s.reopen()
		check(s, "account after reopening", s.holder(7), want)
	}
	check(s, "another account", s.holder(8), other)
}

func testHolders(s *suite) {
	store := s.open()
	var all []ledger.AccountID
	for id := range ledger.AccountID(25) {
		all = append(all, id*id+1)
	}
	all = append(all, ledger.MaxAccountID-1, ledger.MaxAccountID)
	for _, i := range []int{3, 1, 4, 0, 2} { // Order of insertion is not order of ids.
		for j := i; j < len(all); j += 5 {
			s.insert(account(all[j]))
		}
	}
	for _, limit := range []int{1, 2, 5, 26, 27, 100} {
		var got []ledger.AccountID
		after := ledger.AccountID(0)
		for {
			page := must[[]*ledger.Holder](s)(store.Holders(s.Context(), after, limit))
			if len(page) > limit {
				s.Fatalf("a page of %d has %d accounts", limit, len(page))
			}
			for _, h := range page {
				got = append(got, h.ID)
				check(s, "account", h, account(h.ID))
			}
			if len(page) < limit {
				break
			}
			after = page[len(page)-1].ID
		}
		check(s, fmt.Sprint("pages of ", limit), got, all)
	}
}

// insertFree adds an account without an id and gives the id that was chosen.
func (s *suite) insertFree() ledger.AccountID {
	s.Helper()
	var holder *ledger.Holder
	s.write(func(tx engine.Tx) error {
		holder = account(0)
		return tx.InsertAccount(s.Context(), holder)
	})
	if holder.ID < 1 {
		s.Fatalf("the id %d was chosen", holder.ID)
	}
	check(s, "what the store filled in", holder, account(holder.ID))
	check(s, "account", s.holder(holder.ID), account(holder.ID))
	return holder.ID
}

func testFreeIDs(s *suite) {
	s.open()
	seen := map[ledger.AccountID]bool{}
	next := func() ledger.AccountID {
		s.Helper()
		id := s.insertFree()
		if seen[id] {
			s.Fatalf("id %d was chosen twice", id)
		}
		seen[id] = true
		return id
	}
	first := next()
	s.insert(account(first+1), account(first+2)) // Chosen by an operator: the next ones in line.
	seen[first+1], seen[first+2] = true, true
	next()
	next()
	s.insert(account(ledger.MaxAccountID))
	seen[ledger.MaxAccountID] = true
	for range 5 {
		next()
	}
	s.insert(account(ledger.MaxAccountID - 1))
	next()

	// Several in one transaction see each other.
	s.write(func(tx engine.Tx) error {
		for range 3 {
			h := account(0)
			if err := tx.InsertAccount(s.Context(), h); err != nil {
				return err
			}
			if seen[h.ID] {
				s.Errorf("id %d was chosen twice", h.ID)
			}
			seen[h.ID] = true
		}
		return nil
	})
}

// The very last id alone is taken, and the ones where a search might begin are not.
func testFreeIDsWithoutNeighbours(s *suite) {
	s.open()
	s.insert(account(ledger.MaxAccountID), account(5))
	first, second := s.insertFree(), s.insertFree()
	if first == second {
		s.Errorf("id %d was chosen twice", first)
	}
}

func testWallets(s *suite) {
	s.open()
	highest := ledger.MaxAmount
	want := account(7, func(h *ledger.Holder) {
		h.Wallets[0] = ledger.Wallet{
			WalletRef: h.Wallets[0].WalletRef, Balance: highest, Version: 1<<63 - 1, Head: ledger.Hash{1, 31: 255},
			Spent: ledger.Spent{Day: 99991231, Today: highest, InMonth: highest - 1},
		}
		h.Wallets[1] = ledger.Wallet{WalletRef: h.Wallets[1].WalletRef, Balance: -highest, Settings: ledger.Settings{CreditLimit: highest}}
	})
	s.insert(want)
	check(s, "account", s.holder(7), want)

	// Services are in the order of their bytes, whatever the database's
	// language thinks of '-', '_' and digits.
	services := []ledger.Service{"a", "a-", "a-b", "a1", "a1b", "a_", "a_b", "aa", "ab", "z", ledger.Service(strings.Repeat("w", ledger.MaxServiceLen))}
	for _, i := range []int{5, 3, 10, 0, 7, 9, 1, 2, 8, 6, 4} {
		wallet := ledger.Wallet{WalletRef: ledger.WalletRef{Account: 7, Service: services[i]}, Held: highest, Settings: everySetting(highest)}
		s.write(func(tx engine.Tx) error { return tx.InsertWallet(s.Context(), &wallet) })
		want.Wallets = append(want.Wallets, wallet)
	}
	slices.SortFunc(want.Wallets, func(a, b ledger.Wallet) int { return strings.Compare(string(a.Service), string(b.Service)) })
	check(s, "account", s.holder(7), want)

	for _, settings := range []ledger.Settings{
		{CreditLimit: 1},
		{Suspended: true},
		{MinAmount: 2},
		{MaxAmount: 3},
		{Caps: ledger.Caps{Daily: 4}},
		{Caps: ledger.Caps{Monthly: 5}},
		{},
		everySetting(7),
	} {
		s.write(func(tx engine.Tx) error {
			return tx.UpdateWallet(s.Context(), ledger.WalletRef{Account: 7, Service: "a_b"}, &settings)
		})
		wallet, _ := want.Wallet("a_b")
		wallet.Settings = settings
		check(s, "account", s.holder(7), want)
	}
	s.reopen()
	check(s, "account after reopening", s.holder(7), want)

	// A wallet is there once, and its account is there.
	if err := s.store.Write(s.Context(), func(tx engine.Tx) error {
		return tx.InsertWallet(s.Context(), &ledger.Wallet{WalletRef: sms(7)})
	}); err == nil {
		s.Error("a wallet was added twice")
	}
	if err := s.store.Write(s.Context(), func(tx engine.Tx) error {
		return tx.InsertWallet(s.Context(), &ledger.Wallet{WalletRef: sms(8)})
	}); err == nil {
		s.Error("a wallet was added without its account")
	}
	check(s, "account after failed writes", s.holder(7), want)
}

// everySetting has a value of its own for each setting.
func everySetting(from ledger.Amount) ledger.Settings {
	return ledger.Settings{
		CreditLimit: from, Suspended: true, MinAmount: from - 2, MaxAmount: from - 1, Caps: ledger.Caps{Daily: from - 3, Monthly: from - 4},
	}
}

// Settings are the operator's, and what a wallet has is the work of its
// transactions: neither writes over the other.
func testSettingsAndMoney(s *suite) {
	s.open()
	s.insert(account(7))
	want := account(7)
	for i := range int64(3) {
		settings := everySetting(ledger.Amount(10 + i))
		s.write(func(tx engine.Tx) error { return tx.UpdateWallet(s.Context(), sms(7), &settings) })
		want.Wallets[0].Settings = settings
		check(s, "account with other settings", s.holder(7), want)

		money := ledger.Wallet{
			WalletRef: sms(7), Balance: ledger.Amount(100 + i), Held: ledger.Amount(20 + i), Version: 5 + i, Head: ledger.Hash{byte(i), 31: 1},
			Spent: ledger.Spent{Day: ledger.Day(20260101 + i), Today: ledger.Amount(30 + i), InMonth: ledger.Amount(40 + i)},
		}
		s.append(&engine.Batch{Wallets: []*ledger.Wallet{&money}})
		want.Wallets[0] = money
		want.Wallets[0].Settings = settings
		check(s, "account with other money", s.holder(7), want)
	}
	s.reopen()
	check(s, "account after reopening", s.holder(7), want)
}

func testLock(s *suite) {
	s.open()
	ctx := s.Context()
	one, two := account(1, func(h *ledger.Holder) { h.Metadata = ledger.Metadata{"a": "b"} }), account(2, func(h *ledger.Holder) { h.Wallets[1].Settings = everySetting(5) })
	s.insert(one, two, account(3))
	voip := func(id ledger.AccountID) ledger.WalletRef {
		return ledger.WalletRef{Account: id, Service: ledger.VoIP}
	}
	s.write(func(tx engine.Tx) error {
		none := must[map[ledger.AccountID]*ledger.Holder](s)(tx.Lock(ctx, []ledger.WalletRef{sms(9), sms(10)}))
		check(s, "locked of what is not there", len(none), 0)

		refs := []ledger.WalletRef{{Account: 1, Service: "fax"}, sms(1), voip(1), voip(2), sms(9)}
		got := must[map[ledger.AccountID]*ledger.Holder](s)(tx.Lock(ctx, refs))
		if len(got) != 2 || got[1] == nil || got[2] == nil {
			s.Fatalf("locked the accounts %v", got)
		}
		check(s, "account 1", got[1], one)
		check(s, "account 2 itself", got[2].Account, two.Account)
		wallet, ok := got[2].Wallet(ledger.VoIP)
		if !ok || *wallet != two.Wallets[1] {
			s.Errorf("wallet voip of account 2 is %v, %t", wallet, ok)
		}
		if _, ok := got[1].Wallet("fax"); ok {
			s.Error("a wallet that is not there was locked")
		}

		// What the transaction itself has changed is seen by it.
		settings := everySetting(77)
		if err := tx.UpdateWallet(ctx, sms(1), &settings); err != nil {
			return err
		}
		if err := tx.InsertAccount(ctx, account(11)); err != nil {
			return err
		}
		again := must[map[ledger.AccountID]*ledger.Holder](s)(tx.Lock(ctx, []ledger.WalletRef{sms(1), sms(11)}))
		if wallet, _ := again[1].Wallet(ledger.SMS); wallet.Settings != settings {
			s.Errorf("the settings are %+v in the transaction that set them", wallet.Settings)
		}
		check(s, "an account of this transaction", again[11], account(11))
		return nil
	})
}

// Where others write too, a wallet tells of the latest time that any of them has seen.
func testLatest(s *suite) {
	s.open()
	ctx := s.Context()
	s.insert(account(7), account(8), account(9))
	for i, id := range []ledger.AccountID{7, 8} {
		for version := range int64(3) {
			t := decided(fmt.Sprint(id, "-", version), func(t *ledger.Transaction) { t.Wallet, t.To, t.CreatedAt = sms(id), ledger.WalletRef{}, start })
			entry := entryOf(t, sms(id), version+1, 1)
			entry.CreatedAt = start.Add(time.Duration(10*int64(i)+version) * time.Microsecond)
			t.CreatedAt = entry.CreatedAt
			s.append(&engine.Batch{
				Transactions: []*ledger.Transaction{t}, Entries: []ledger.Entry{entry},
				Wallets: []*ledger.Wallet{{WalletRef: sms(id), Balance: ledger.Amount(version), Version: version + 1, Head: entry.Hash}},
			})
		}
	}
	exclusive := s.store.Exclusive()
	for _, tt := range []struct {
		refs []ledger.WalletRef
		want time.Time
	}{
		{[]ledger.WalletRef{sms(7)}, start.Add(2 * time.Microsecond)},
		{[]ledger.WalletRef{sms(8)}, start.Add(12 * time.Microsecond)},
		{[]ledger.WalletRef{sms(7), sms(8), sms(9)}, start.Add(12 * time.Microsecond)},
		{[]ledger.WalletRef{sms(9)}, zeroTime},
	} {
		s.write(func(tx engine.Tx) error {
			if _, err := tx.Lock(ctx, tt.refs); err != nil {
				return err
			}
			latest := tx.Latest()
			if exclusive {
				check(s, "time that the only writer is told", latest, zeroTime)
			} else if latest.Before(tt.want) {
				s.Errorf("wallets %v tell %s, an entry is of %s", tt.refs, latest, tt.want)
			}
			return nil
		})
	}
}
