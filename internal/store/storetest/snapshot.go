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

// state is everything that a snapshot gives, read a page at a time.
type state struct {
	Wallets      []engine.WalletRow
	Entries      []engine.EntryRow
	Transactions []engine.TransactionRow
	System       []engine.SystemTotal
	Totals       []engine.WalletTotal
	Holds        []engine.HoldRow
	Refunds      []engine.RefundRow
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
	if err := all.addRare(ctx, snapshot, page); err != nil {
		return all, err
	}
	if all.Totals, err = snapshot.WalletTotals(ctx); err != nil {
		return all, err
	}
	all.System, err = snapshot.System(ctx)
	slices.SortFunc(all.System, func(a, b engine.SystemTotal) int {
		return strings.Compare(string(a.Account)+a.Currency, string(b.Account)+b.Currency)
	})
	return all, err
}

// addRare reads the holds and refunds of a snapshot.
func (all *state) addRare(ctx context.Context, snapshot engine.Snapshot, page int) error {
	for after := (ledger.Hold{}); ; {
		rows, err := snapshot.Holds(ctx, &after, page)
		if err != nil {
			return err
		}
		all.Holds = append(all.Holds, rows...)
		if len(rows) == 0 {
			break
		}
		after = rows[len(rows)-1].Hold
	}
	for after := (ledger.TransactionID{}); ; {
		rows, err := snapshot.Refunds(ctx, after, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		all.Refunds = append(all.Refunds, rows...)
		after = rows[len(rows)-1].ID
	}
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

func testSnapshotPages(s *suite) {
	s.open()
	var holders []*ledger.Holder
	services := []ledger.Service{"a", "a-", "a-b", "a1", "a_b", "ab", ledger.SMS, ledger.VoIP}
	var batch engine.Batch
	for i := range ledger.AccountID(3) {
		holder := account(i*i*1000+1, func(h *ledger.Holder) {
			h.Wallets = nil
			for _, service := range services {
				h.Wallets = append(h.Wallets, ledger.Wallet{WalletRef: ledger.WalletRef{Account: h.ID, Service: service}, Settings: everySetting(ledger.Amount(4 + i))})
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

// A snapshot gives a hold with all that was done to it, in the order in which
// it was decided, wherever a page ends.
func testSnapshotHolds(s *suite) {
	s.open()
	s.insert(account(7), account(8))
	want := map[ledger.TransactionID][]string{}
	var order []ledger.WalletRef
	states := []ledger.HoldState{ledger.HoldOpen, ledger.HoldCaptured, ledger.HoldReleased, ledger.HoldExpired}
	for i := range 24 {
		name := fmt.Sprint("hold", i)
		ref := ledger.WalletRef{Account: ledger.AccountID(7 + i%2), Service: []ledger.Service{ledger.SMS, ledger.VoIP, "a-"}[i%3]}
		placed := decided(name, func(t *ledger.Transaction) {
			t.Kind, t.Wallet, t.Parent = ledger.PlaceHold, ref, ledger.TransactionID{}
		})
		h := hold(name, func(h *ledger.Hold) {
			// Several are of the same moment.
			h.ID, h.WalletRef, h.State, h.CreatedAt = placed.ID, ref, states[i/3%4], start.Add(time.Duration(i/6)*time.Microsecond)
			if h.State != ledger.HoldOpen {
				h.Remaining = 0
			}
		})
		batch := &engine.Batch{Holds: []*ledger.Hold{h}}
		if i != 5 { // One was never placed: what Verify must be able to see.
			batch.Transactions = append(batch.Transactions, placed)
			want[h.ID] = append(want[h.ID], name)
		}
		// Their ids come in no order, and they are of one moment.
		for j := range i % 5 {
			key := fmt.Sprint(name, "-", j)
			batch.Transactions = append(batch.Transactions, decided(key, func(t *ledger.Transaction) {
				t.Kind, t.Wallet, t.Parent = ledger.Capture, ref, h.ID
				if j == 1 {
					t.Rejection = ledger.InsufficientFunds
				}
			}))
			want[h.ID] = append(want[h.ID], key)
		}
		s.append(batch)
		order = append(order, ref)
	}
	slices.SortFunc(order, ledger.WalletRef.Compare)
	whole := s.state(1000).Holds
	for _, page := range []int{1, 5, 24, 25} {
		var refs []ledger.WalletRef
		rows := s.state(page).Holds
		check(s, fmt.Sprint("holds in pages of ", page), rows, whole)
		for _, row := range rows {
			var keys []string
			for i := range row.Transactions {
				keys = append(keys, row.Transactions[i].IdempotencyKey)
			}
			check(s, "transactions of a hold", keys, want[row.ID])
			check(s, "hold", &row.Hold, must[*ledger.Hold](s)(s.store.Hold(s.Context(), row.ID)))
			refs = append(refs, row.WalletRef)
		}
		check(s, "wallets of the holds", refs, order)
	}
	placed := whole[0].Transactions[0]
	check(s, "the transaction itself", &placed, must[*ledger.Transaction](s)(s.store.Transaction(s.Context(), placed.ID)))
	s.checkCounted()
}

// checkCounted checks what a snapshot says of the rows beside transactions: that
// of the hold that one placed, and that of its charge's refunds.
func (s *suite) checkCounted() {
	s.Helper()
	lost := decided("placed without a row", func(t *ledger.Transaction) { t.Kind, t.Parent = ledger.PlaceHold, ledger.TransactionID{} })
	refunds := func(name string, charge ledger.TransactionID) *ledger.Transaction {
		return decided(name, func(t *ledger.Transaction) { t.Kind, t.Parent = ledger.Refund, charge })
	}
	s.append(&engine.Batch{
		Transactions: []*ledger.Transaction{lost, refunds("counted", ledger.TransactionID{50}), refunds("not counted", ledger.TransactionID{51})},
		Refunded:     []*ledger.Refundable{{ID: ledger.TransactionID{50}, Refunded: 1}},
	})
	want := map[string]bool{"hold0": true, "hold4": true, lost.IdempotencyKey: false, "counted": true, "not counted": false}
	got := map[string]bool{}
	for _, row := range s.state(7).Transactions {
		if _, asked := want[row.IdempotencyKey]; asked {
			got[row.IdempotencyKey] = row.Counted
		}
	}
	check(s, "what has a row beside it", got, want)
}

func testSnapshotRefunds(s *suite) {
	s.open()
	s.insert(account(7))
	var want []engine.RefundRow
	for i := range 9 {
		charge := decided(fmt.Sprint("charge", i), func(t *ledger.Transaction) { t.Kind, t.Parent = ledger.Charge, ledger.TransactionID{} })
		row := engine.RefundRow{ID: charge.ID, Refunded: ledger.Amount(i), Charge: charge}
		batch := &engine.Batch{Transactions: []*ledger.Transaction{charge}, Refunded: []*ledger.Refundable{{ID: charge.ID, Refunded: row.Refunded}}}
		if i == 4 { // One has no charge.
			batch.Transactions, row.Charge = nil, nil
		}
		for j := range i % 4 {
			refund := decided(fmt.Sprint("refund", i, "-", j), func(t *ledger.Transaction) { t.Kind, t.Parent = ledger.Refund, charge.ID })
			batch.Transactions = append(batch.Transactions, refund)
			row.Refunds = append(row.Refunds, *refund)
		}
		s.append(batch)
		want = append(want, row)
	}
	slices.SortFunc(want, func(a, b engine.RefundRow) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for i := range want {
		if len(want[i].Refunds) == 0 {
			want[i].Refunds = nil
		}
	}
	for _, page := range []int{1, 4, 9, 10} {
		rows := s.state(page).Refunds
		for i := range rows {
			if len(rows[i].Refunds) == 0 {
				rows[i].Refunds = nil // None is none.
			}
		}
		check(s, fmt.Sprint("refunds in pages of ", page), rows, want)
	}
}

// The sum over a ledger's wallets can pass 64 bits.
func testWalletTotals(s *suite) {
	s.open()
	check(s, "totals of nothing", len(s.state(1).Totals), 0)
	highest := ledger.MaxAmount
	for i := range ledger.AccountID(5) {
		s.insert(
			account(i+1, func(h *ledger.Holder) {
				h.Currency = "IRR"
				h.Wallets[0].Balance, h.Wallets[0].Held = highest, highest
				h.Wallets[1].Balance, h.Wallets[1].Held = highest, 1
			}),
			account(i+11, func(h *ledger.Holder) {
				h.Currency, h.Wallets[0].Balance, h.Wallets[1].Balance = "VND", -highest, -highest
			}),
			account(i+21, func(h *ledger.Holder) { h.Wallets[0].Balance, h.Wallets[1].Balance = -1, ledger.Amount(i)-2 }),
			account(i+31, func(h *ledger.Holder) {
				h.Currency, h.Wallets[0].Balance, h.Wallets[1].Balance = "USD", highest, -highest
			}),
		)
	}
	for range 2 {
		check(s, "totals", s.state(3).Totals, []engine.WalletTotal{
			{Currency: "CNY", Balance: total(s, "-5")},
			{Currency: "IRR", Balance: total(s, "92233720368547758070"), Held: total(s, "46116860184273879040")},
			{Currency: "USD"},
			{Currency: "VND", Balance: total(s, "-92233720368547758070")},
		})
		s.reopen()
	}
}
