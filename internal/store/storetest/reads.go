package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

func testEntries(s *suite) {
	store := s.open()
	ctx := s.Context()
	s.insert(account(7), account(8))
	const n = 30
	var want []engine.EntryRow
	var batch engine.Batch
	for i := range int64(n) {
		t := decided(fmt.Sprint("t", i))
		entry := entryOf(t, sms(7), i+1, ledger.Amount(i))
		row := engine.EntryRow{Entry: entry, Cause: t}
		if i == 11 { // What caused one of them is not there.
			row.Cause = nil
		} else {
			batch.Transactions = append(batch.Transactions, t)
		}
		// Others stand beside it, some with the same cause.
		batch.Entries = append(batch.Entries, entry, entryOf(t, sms(8), i+1, 1), entryOf(t, ledger.WalletRef{Account: 7, Service: "sm"}, i+1, 2))
		want = append(want, row)
	}
	s.append(&batch)
	for range 2 {
		for _, between := range [][2]int64{{0, n}, {0, 1 << 62}, {0, 1}, {3, 3}, {3, 4}, {5, 25}, {n - 1, n}, {n, n + 5}, {-5, 2}, {7, 6}} {
			after, until := between[0], between[1]
			for _, limit := range []int{1, 4, n, 100} {
				rows := must[[]engine.EntryRow](s)(store.Entries(ctx, sms(7), after, until, limit))
				var expected []engine.EntryRow
				for _, row := range want {
					if row.Version > after && row.Version <= until && len(expected) < limit {
						expected = append(expected, row)
					}
				}
				check(s, fmt.Sprintf("entries after %d until %d, %d at most", after, until, limit), rows, expected)
			}
		}
		for _, row := range want {
			check(s, "entry", must[*ledger.Entry](s)(store.Entry(ctx, sms(7), row.Version)), &row.Entry)
		}
		for _, version := range []int64{0, -1, n + 1} {
			_, err := store.Entry(ctx, sms(7), version)
			wantCode(s, "an entry that is not there", err, ledger.NotFound)
		}
		_, err := store.Entry(ctx, sms(9), 1)
		wantCode(s, "an entry of another wallet", err, ledger.NotFound)
		check(s, "entries of another wallet", len(must[[]engine.EntryRow](s)(store.Entries(ctx, sms(9), 0, n, 5))), 0)
		store = s.reopen()
	}
}

func testTransactionsByReference(s *suite) {
	store := s.open()
	ctx := s.Context()
	s.insert(account(7), account(8))
	var all []*ledger.Transaction
	add := func(key, reference string, account ledger.AccountID, at time.Time) {
		t := decided(key, func(t *ledger.Transaction) {
			t.Reference, t.Wallet, t.CreatedAt = reference, sms(account), at
			if len(all)%4 == 0 {
				t.Rejection = ledger.InsufficientFunds
			}
		})
		s.append(&engine.Batch{Transactions: []*ledger.Transaction{t}})
		all = append(all, t)
	}
	for i := range 25 {
		// Every third one is of the same moment as the one before it.
		add(fmt.Sprint("m", i), "m", ledger.AccountID(7+i%2), start.Add(time.Duration(i-i%3/2)*time.Microsecond))
		add(fmt.Sprint("other", i), []string{"M", "m ", "", "msg", unusualText[0]}[i%5], 7, start)
	}
	for _, account := range []ledger.AccountID{ledger.Operator, 7, 8, 9} {
		for _, reference := range []string{"m", "M", "m ", unusualText[0], "none", ""} {
			want := []string{}
			slices.SortStableFunc(all, func(a, b *ledger.Transaction) int {
				if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
					return c
				}
				return slices.Compare(a.ID[:], b.ID[:])
			})
			for _, t := range all {
				// A transaction without a reference cannot be found by none.
				if t.Reference == reference && reference != "" && (account == ledger.Operator || t.Wallet.Account == account) {
					want = append(want, t.IdempotencyKey)
				}
			}
			for _, limit := range []int{1, 4, 13, 100} {
				got := []string{}
				after := engine.Place{}
				for {
					page := must[[]*ledger.Transaction](s)(store.TransactionsByReference(ctx, account, reference, after, limit))
					if len(page) > limit {
						s.Fatalf("a page of %d has %d transactions", limit, len(page))
					}
					for _, t := range page {
						got = append(got, t.IdempotencyKey)
						after = engine.Place{CreatedAt: t.CreatedAt, ID: t.ID}
					}
					if len(page) < limit {
						break
					}
				}
				check(s, fmt.Sprintf("transactions with %q of %d, %d at a time", reference, account, limit), got, want)
			}
		}
	}
	found := must[[]*ledger.Transaction](s)(store.TransactionsByReference(ctx, 7, "m", engine.Place{}, 1))
	check(s, "the transaction itself", found[0], must[*ledger.Transaction](s)(store.Transaction(ctx, found[0].ID)))
}

// used is a posted transaction that a report of usage may count.
func used(key string, account ledger.AccountID, service ledger.Service, kind ledger.Kind, moved ledger.Amount, at time.Time) *ledger.Transaction {
	return decided(key, func(t *ledger.Transaction) {
		t.Kind, t.Wallet, t.To, t.Moved, t.Amount, t.CreatedAt = kind, ledger.WalletRef{Account: account, Service: service}, ledger.WalletRef{}, moved, 1, at
	})
}

// usageSample puts something of everything into a ledger: of two accounts in one
// currency and one in another, over six seconds.
func (s *suite) usageSample() {
	s.Helper()
	s.insert(account(7), account(8), account(9, func(h *ledger.Holder) { h.Currency = "VND" }))
	highest := ledger.MaxAmount
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	rejected := used("rejected", 7, ledger.SMS, ledger.Charge, 1000, at(2))
	rejected.Rejection = ledger.InsufficientFunds
	s.append(&engine.Batch{Transactions: []*ledger.Transaction{
		used("1", 7, ledger.SMS, ledger.Charge, highest, at(0)), used("2", 7, ledger.SMS, ledger.Charge, highest, at(0)),
		used("3", 8, ledger.SMS, ledger.Capture, highest, at(1)), used("4", 8, ledger.VoIP, ledger.Capture, 5, at(1)),
		used("5", 7, ledger.SMS, ledger.Refund, highest, at(2)), used("6", 7, ledger.SMS, ledger.Refund, 7, at(2)), rejected,
		used("7", 9, ledger.SMS, ledger.Charge, 1, at(3)), used("8", 9, ledger.VoIP, ledger.Refund, 2, at(3)),
		// None of these is usage.
		used("9", 7, ledger.SMS, ledger.TopUp, 100, at(3)), used("10", 7, ledger.SMS, ledger.Adjustment, -100, at(3)),
		used("11", 7, ledger.SMS, ledger.Transfer, 100, at(3)), used("12", 7, ledger.SMS, ledger.PlaceHold, 100, at(3)),
		used("13", 7, ledger.SMS, ledger.Release, 100, at(3)), used("14", 7, ledger.SMS, ledger.Extend, 0, at(3)), used("15", 7, ledger.SMS, ledger.Expire, 100, at(3)),
		used("16", 8, ledger.SMS, ledger.Charge, 11, at(5)),
	}})
}

func testUsage(s *suite) {
	store := s.open()
	none := must[[]engine.UsageRow](s)(store.Usage(s.Context(), engine.UsageQuery{From: start, To: start.AddDate(1, 0, 0), By: engine.ByKind, Limit: 10}))
	check(s, "usage of nothing", len(none), 0)
	s.usageSample()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	row := func(currency string, count int64, charged, refunded string) engine.UsageRow {
		return engine.UsageRow{Currency: currency, Count: count, Charged: total(s, charged), Refunded: total(s, refunded)}
	}
	of := func(account ledger.AccountID, r engine.UsageRow) engine.UsageRow { r.Account = account; return r }
	in := func(service ledger.Service, r engine.UsageRow) engine.UsageRow { r.Service = service; return r }
	kind := func(kind ledger.Kind, r engine.UsageRow) engine.UsageRow { r.Kind = kind; return r }
	before, after := start.AddDate(-1, 0, 0), start.AddDate(1, 0, 0)
	seven := of(7, row("CNY", 2, "18446744073709551614", "9223372036854775814"))
	eight := of(8, row("CNY", 3, "9223372036854775823", "0"))
	nine := of(9, row("VND", 1, "1", "2"))
	for range 2 {
		for _, tt := range []struct {
			what  string
			query engine.UsageQuery
			want  []engine.UsageRow
		}{
			{"by account", engine.UsageQuery{By: engine.ByAccount}, []engine.UsageRow{seven, eight, nine}},
			{"of one account", engine.UsageQuery{By: engine.ByAccount, Account: 8}, []engine.UsageRow{eight}},
			{"of no account", engine.UsageQuery{By: engine.ByAccount, Account: 6}, nil},
			{"the first accounts", engine.UsageQuery{By: engine.ByAccount, Limit: 2}, []engine.UsageRow{seven, eight}},
			{"the next accounts", engine.UsageQuery{By: engine.ByAccount, After: 7, Limit: 2}, []engine.UsageRow{eight, nine}},
			{"after the last account", engine.UsageQuery{By: engine.ByAccount, After: 9}, nil},
			{"by wallet", engine.UsageQuery{By: engine.ByWallet}, []engine.UsageRow{
				in(ledger.SMS, row("CNY", 4, "27670116110564327432", "9223372036854775814")), in(ledger.SMS, row("VND", 1, "1", "0")),
				in(ledger.VoIP, row("CNY", 1, "5", "0")), in(ledger.VoIP, row("VND", 0, "0", "2")),
			}},
			{"by kind", engine.UsageQuery{By: engine.ByKind}, []engine.UsageRow{
				kind(ledger.Capture, row("CNY", 2, "9223372036854775812", "0")), kind(ledger.Charge, row("CNY", 3, "18446744073709551625", "0")),
				kind(ledger.Charge, row("VND", 1, "1", "0")), kind(ledger.Refund, row("CNY", 2, "0", "9223372036854775814")), kind(ledger.Refund, row("VND", 1, "0", "2")),
			}},
			{"the first kinds", engine.UsageQuery{By: engine.ByKind, Limit: 1}, []engine.UsageRow{kind(ledger.Capture, row("CNY", 2, "9223372036854775812", "0"))}},
			{"kinds of one account", engine.UsageQuery{By: engine.ByKind, Account: 9}, []engine.UsageRow{
				kind(ledger.Charge, row("VND", 1, "1", "0")), kind(ledger.Refund, row("VND", 1, "0", "2")),
			}},
			{"from a moment on", engine.UsageQuery{By: engine.ByAccount, From: at(1)}, []engine.UsageRow{
				of(7, row("CNY", 0, "0", "9223372036854775814")), eight, nine,
			}},
			{"just after a moment", engine.UsageQuery{By: engine.ByAccount, From: at(3).Add(time.Microsecond)}, []engine.UsageRow{of(8, row("CNY", 1, "11", "0"))}},
			{"until a moment", engine.UsageQuery{By: engine.ByAccount, To: at(1)}, []engine.UsageRow{of(7, row("CNY", 2, "18446744073709551614", "0"))}},
			{"with a moment", engine.UsageQuery{By: engine.ByKind, From: at(1), To: at(1).Add(time.Microsecond)}, []engine.UsageRow{
				kind(ledger.Capture, row("CNY", 2, "9223372036854775812", "0")),
			}},
			{"at the end", engine.UsageQuery{By: engine.ByKind, From: at(5)}, []engine.UsageRow{kind(ledger.Charge, row("CNY", 1, "11", "0"))}},
			{"in between", engine.UsageQuery{By: engine.ByKind, From: at(4), To: at(5)}, nil},
			{"before all", engine.UsageQuery{By: engine.ByKind, To: start}, nil},
			{"after all", engine.UsageQuery{By: engine.ByKind, From: at(5).Add(time.Microsecond)}, nil},
		} {
			if tt.query.From.IsZero() {
				tt.query.From = before
			}
			if tt.query.To.IsZero() {
				tt.query.To = after
			}
			if tt.query.Limit == 0 {
				tt.query.Limit = 100
			}
			check(s, "usage "+tt.what, must[[]engine.UsageRow](s)(store.Usage(s.Context(), tt.query)), tt.want)
		}
		store = s.reopen()
	}
}
