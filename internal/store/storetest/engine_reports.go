package storetest

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// testStatement has a wallet with three entries at each of some moments, and
// looks at every range of them.
func testStatement(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7), account(8))
	ctx := s.Context()
	const moments, each = 6, 3
	var balances []ledger.Amount // after each entry
	balance := ledger.Amount(0)
	for m := range moments {
		var requests []ledger.Request
		for i := range each {
			n := ledger.Amount(m*each + i)
			r := topUp(fmt.Sprint("t", n), 7, 2*n+1)
			if i == 1 && m > 0 {
				r = charge(fmt.Sprint("t", n), 7, n)
			}
			requests = append(requests, r, topUp(fmt.Sprint("other", n), 8, 1)) // which is not in it
		}
		// Together, so that they are of one moment.
		for _, result := range s.batch(e, true, requests...) {
			if tx := result.Transaction; tx.Wallet.Account == 7 {
				balance += tx.Delta()
				balances = append(balances, balance)
			}
		}
		clock.Pass(time.Second)
	}
	at := func(moment int, more time.Duration) time.Time {
		return start.Add(time.Duration(moment)*time.Second + more)
	}
	// before counts the entries before a time.
	before := func(t time.Time) int64 {
		n := int64(0)
		for m := range moments {
			if at(m, 0).Before(t) {
				n += each
			}
		}
		return n
	}
	balanceAfter := func(version int64) ledger.Amount {
		if version == 0 {
			return 0
		}
		return balances[version-1]
	}
	var times []time.Time
	for m := range moments + 1 {
		times = append(times, at(m, -time.Microsecond), at(m, -time.Nanosecond), at(m, 0), at(m, time.Nanosecond), at(m, time.Microsecond))
	}
	times = append(times, start.AddDate(-1, 0, 0), start.AddDate(1, 0, 0), at(2, 0).In(time.FixedZone("UTC+7", 7*3600)))
	for _, from := range append([]time.Time{{}}, times...) {
		for _, to := range append([]time.Time{{}}, times...) {
			if !from.IsZero() && !to.IsZero() && to.Before(from) {
				_, err := e.Statement(ctx, sms(7), from, to)
				wantCode(s, "a range that ends before it begins", err, ledger.InvalidRequest)
				continue
			}
			want := engine.Statement{Wallet: sms(7), Currency: "CNY", Until: moments * each}
			if !from.IsZero() {
				want.After = before(from)
			}
			if !to.IsZero() {
				want.Until = before(to)
			}
			want.Opening, want.Closing = balanceAfter(want.After), balanceAfter(want.Until)
			got := must[*engine.Statement](s)(e.Statement(ctx, sms(7), from, to))
			check(s, fmt.Sprintf("statement from %s to %s", from, to), *got, want)
		}
	}
	s.checkWalletAt(e, times, before, balanceAfter)
	for _, ref := range []ledger.WalletRef{sms(9), {Account: 7, Service: "fax"}} {
		_, err := e.Statement(ctx, ref, time.Time{}, time.Time{})
		wantCode(s, "a statement of nothing", err, ledger.NotFound)
		_, _, err = e.WalletAt(ctx, ref, start)
		wantCode(s, "a wallet that is not there", err, ledger.NotFound)
	}
	empty := must[*engine.Statement](s)(e.Statement(ctx, ledger.WalletRef{Account: 7, Service: ledger.VoIP}, start, start.AddDate(1, 0, 0)))
	check(s, "a statement of a wallet without entries", *empty, engine.Statement{Wallet: ledger.WalletRef{Account: 7, Service: ledger.VoIP}, Currency: "CNY"})
	rows, next, err := e.Rows(ctx, empty, 0, "", 5)
	check(s, "its rows", []any{len(rows), next, err}, []any{0, int64(0), nil})
}

// checkWalletAt compares the wallet of each time with the last entry at that time or before it.
func (s *suite) checkWalletAt(e *engine.Engine, times []time.Time, before func(time.Time) int64, balanceAfter func(int64) ledger.Amount) {
	s.Helper()
	entries := must[[]engine.EntryRow](s)(s.store.Entries(s.Context(), sms(7), 0, 1<<62, 1000))
	for _, at := range times {
		version := before(at.Add(time.Nanosecond))
		want := ledger.Wallet{WalletRef: sms(7), Version: version, Balance: balanceAfter(version)}
		if version > 0 {
			want.Head, want.Held = entries[version-1].Hash, entries[version-1].Held
		}
		got, currency, err := e.WalletAt(s.Context(), sms(7), at)
		if err != nil {
			s.Fatal(err)
		}
		check(s, fmt.Sprint("wallet at ", at), *got, want)
		check(s, "currency", currency, "CNY")
	}
}

// Every page of a statement, of each kind, has what it should, and a page ends
// though a kind may be rare.
func testStatementRows(s *suite) {
	clock := NewClock(start)
	e := s.engines(timed(clock))(0)
	s.insert(account(7))
	ctx := s.Context()
	s.posted(e, topUp("first", 7, 10))
	s.posted(e, place("hold", 7, 5))
	clock.Pass(time.Second)
	var requests []ledger.Request
	for i := range 1100 { // more than two chunks
		requests = append(requests, topUp(fmt.Sprint("t", i), 7, 1))
		if i%400 == 3 {
			requests = append(requests, charge(fmt.Sprint("c", i), 7, 1))
		}
	}
	for part := range slices.Chunk(requests, engine.MaxBatch) {
		check(s, "failures", len(slices.DeleteFunc(codes(s.batch(e, false, part...)), func(c ledger.Code) bool { return c == "" })), 0)
	}
	clock.Pass(time.Second)
	s.posted(e, capture("capture", idOf("hold"), 4))
	s.posted(e, topUp("last", 7, 1))
	var want []engine.EntryRow
	for after := int64(0); ; {
		rows := must[[]engine.EntryRow](s)(s.store.Entries(ctx, sms(7), after, 1<<62, 600))
		if len(rows) == 0 {
			break
		}
		want = append(want, rows...)
		after = rows[len(rows)-1].Version
	}
	for _, tt := range []struct{ from, to time.Time }{{}, {start.Add(time.Second), start.Add(2 * time.Second)}, {start, start}, {start.Add(time.Second), time.Time{}}} {
		statement := must[*engine.Statement](s)(e.Statement(ctx, sms(7), tt.from, tt.to))
		for _, kind := range []ledger.Kind{"", ledger.Charge, ledger.TopUp, ledger.Capture, ledger.Refund} {
			for _, limit := range []int{1, 2, 400, 5000} {
				if limit < 100 && (kind == "" || kind == ledger.TopUp) {
					continue // which takes long, and the rare ones show the same
				}
				var expected, got []engine.EntryRow
				for _, row := range want {
					if row.Version > statement.After && row.Version <= statement.Until && (kind == "" || row.Cause.Kind == kind) {
						expected = append(expected, row)
					}
				}
				for next := int64(0); next < statement.Until; {
					rows, last, err := e.Rows(ctx, statement, next, kind, limit)
					if err != nil {
						s.Fatal(err)
					}
					if len(rows) > limit || last <= next || len(rows) == 0 && last != statement.Until {
						s.Fatalf("after %d a page of %d has %d rows and goes on after %d", next, limit, len(rows), last)
					}
					got, next = append(got, rows...), last
				}
				check(s, fmt.Sprintf("rows of %q from %d to %d, %d at a time", kind, statement.After, statement.Until, limit), len(got), len(expected))
				for i := range got {
					if got[i].Version != expected[i].Version {
						s.Fatalf("row %d is entry %d, want %d", i, got[i].Version, expected[i].Version)
					}
				}
			}
		}
	}
	statement := must[*engine.Statement](s)(e.Statement(ctx, sms(7), time.Time{}, time.Time{}))
	rows, _, err := e.Rows(ctx, statement, 1, "", 1)
	check(s, "a row itself", rows, want[1:2])
	check(s, "error", err, nil)
	Verify(s, s.store)
}

// usage is a report in the simplest form: one number for each group.
type usage map[string]*[3]big.Int // count, charged, refunded

func (u usage) add(t *ledger.Transaction, group string, byKind bool) {
	if u[group] == nil {
		u[group] = new([3]big.Int)
	}
	n := u[group]
	moved := big.NewInt(int64(t.Moved))
	if t.Kind == ledger.Refund {
		n[2].Add(&n[2], moved)
	} else {
		n[1].Add(&n[1], moved)
	}
	if t.Kind != ledger.Refund || byKind {
		n[0].Add(&n[0], big.NewInt(1))
	}
}

// text prints a report, so that two can be compared.
func (u usage) text() []string {
	lines := []string{}
	for group, n := range u {
		lines = append(lines, fmt.Sprint(group, " ", &n[0], " ", &n[1], " ", &n[2]))
	}
	slices.Sort(lines)
	return lines
}

// usageText prints the rows of a report as usage.text does.
func usageText(rows []engine.UsageRow) []string {
	lines := []string{}
	for i := range rows {
		r := &rows[i]
		group := fmt.Sprint(r.Day, r.Service, r.Kind, " ", r.Account, " ", r.Currency)
		lines = append(lines, fmt.Sprint(group, " ", r.Count, " ", r.Charged.Millionths(), " ", r.Refunded.Millionths()))
	}
	slices.Sort(lines)
	return lines
}

// usageLedger posts all sorts of transactions over some days and gives those that were posted.
func (s *suite) usageLedger(e *engine.Engine, clock *Clock) (all []*ledger.Transaction) {
	s.Helper()
	s.insert(account(7), account(8), account(9, func(h *ledger.Holder) { h.Currency = "VND" }))
	random := rand.New(rand.NewPCG(1, 2))
	keep := func(r ledger.Request) *ledger.Transaction {
		if random.IntN(2) == 0 {
			r.Metadata = via([]string{"a", "b", ""}[random.IntN(3)])
		}
		tx, _ := s.post(e, r)
		if tx.Rejection == "" {
			all = append(all, tx)
		}
		return tx
	}
	for id := range ledger.AccountID(3) {
		for _, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
			keep(ledger.Request{IdempotencyKey: fmt.Sprint("fill", id, service), Kind: ledger.TopUp, Wallet: ledger.WalletRef{Account: 7 + id, Service: service}, Amount: ledger.MaxAmount})
		}
	}
	for i := range 150 {
		wallet := ledger.WalletRef{Account: 7 + ledger.AccountID(random.IntN(3)), Service: []ledger.Service{ledger.SMS, ledger.VoIP}[random.IntN(2)]}
		r := ledger.Request{IdempotencyKey: fmt.Sprint("r", i), Kind: ledger.Charge, Wallet: wallet, Amount: ledger.MaxAmount / ledger.Amount(4+random.IntN(50))}
		if random.IntN(3) == 0 {
			r.Kind, r.ExpiresIn = ledger.PlaceHold, time.Hour
		}
		tx := keep(r)
		if r.Kind == ledger.PlaceHold && tx.Rejection == "" {
			tx = keep(capture(r.IdempotencyKey+"-c", tx.ID, r.Amount/2))
		}
		if tx.Rejection == "" && random.IntN(2) == 0 {
			keep(refund(r.IdempotencyKey+"-r", tx.ID, tx.Moved-1))
		}
		clock.Pass(time.Duration(random.IntN(3600)) * time.Second)
	}
	return all
}

// Usage against the simplest model, by each grouping and over many ranges.
func testUsageOfEngine(s *suite) {
	clock := NewClock(time.Date(2026, 3, 7, 20, 0, 0, 0, time.UTC)) // New York changes its clocks on the 8th.
	e := s.engines(timed(clock))(0)
	all := s.usageLedger(e, clock)
	newYork := must[*time.Location](s)(e.Zone("America/New_York"))
	first, last := all[0].CreatedAt, all[len(all)-1].CreatedAt
	ranges := [][2]time.Time{
		{first, last.Add(time.Microsecond)},
		{first.AddDate(0, 0, -2), last.AddDate(0, 0, 2)},
		{first, last},
		{all[40].CreatedAt, all[90].CreatedAt},
		{all[90].CreatedAt, all[90].CreatedAt.Add(time.Microsecond)},
		{last.Add(time.Microsecond), last.AddDate(0, 0, 1)},
	}
	for _, between := range ranges {
		for _, by := range []engine.Grouping{engine.ByDay, engine.ByAccount, engine.ByWallet, engine.ByKind} {
			for _, zone := range []*time.Location{time.UTC, newYork} {
				for _, of := range []ledger.AccountID{ledger.Operator, 7, 9} {
					for _, upstream := range []string{"", "a"} {
						query := engine.UsageQuery{From: between[0], To: between[1], By: by, Account: of, Upstream: upstream, Limit: 100}
						got := must[[]engine.UsageRow](s)(e.Usage(s.Context(), query, zone))
						check(s, fmt.Sprintf("usage by %+v in %s", query, zone), usageText(got), usageOf(all, &query, zone).text())
					}
				}
			}
		}
	}
	s.checkTrialBalance(e)
}

// usageOf is the report of a query.
func usageOf(all []*ledger.Transaction, query *engine.UsageQuery, zone *time.Location) usage {
	report := usage{}
	byID := map[ledger.TransactionID]*ledger.Transaction{}
	for _, t := range all {
		byID[t.ID] = t
		if t.CreatedAt.Before(query.From) || !t.CreatedAt.Before(query.To) || query.Account != ledger.Operator && t.Wallet.Account != query.Account {
			continue
		}
		if query.Upstream != "" && upstreamOf(byID, t) != query.Upstream {
			continue
		}
		if t.Kind == ledger.Charge || t.Kind == ledger.Capture || t.Kind == ledger.Refund {
			report.add(t, usageGroup(t, query.By, zone), query.By == engine.ByKind)
		}
	}
	return report
}

// upstreamOf is the upstream that a transaction names, or the nearest that it is about.
func upstreamOf(byID map[ledger.TransactionID]*ledger.Transaction, t *ledger.Transaction) string {
	for t != nil {
		if upstream, ok := t.Metadata[engine.UpstreamMember]; ok {
			return upstream
		}
		t = byID[t.Parent]
	}
	return ""
}

// usageGroup names the group of a report that a transaction belongs to, as usageText does.
func usageGroup(t *ledger.Transaction, by engine.Grouping, zone *time.Location) string {
	currency := "CNY"
	if t.Wallet.Account == 9 {
		currency = "VND"
	}
	switch by {
	case engine.ByDay:
		return t.CreatedAt.In(zone).Format(time.DateOnly) + " 0 " + currency
	case engine.ByAccount:
		return fmt.Sprint(" ", t.Wallet.Account, " ", currency)
	case engine.ByWallet:
		return string(t.Wallet.Service) + " 0 " + currency
	default:
		return string(t.Kind) + " 0 " + currency
	}
}

// checkTrialBalance compares the trial balance with all wallets and entries, one by one.
func (s *suite) checkTrialBalance(e *engine.Engine) {
	s.Helper()
	s.posted(e, place("open", 8, 3))
	s.posted(e, place("open-9", 9, 4))
	type sums struct{ wallets, held, funding, revenue, adjustment big.Int }
	want := map[string]*sums{"CNY": {}, "VND": {}}
	of := map[ledger.AccountID]string{7: "CNY", 8: "CNY", 9: "VND"}
	state := s.state(1000)
	for _, row := range state.Wallets {
		w := want[row.Currency]
		w.wallets.Add(&w.wallets, big.NewInt(int64(row.Balance)))
		w.held.Add(&w.held, big.NewInt(int64(row.Held)))
	}
	for _, row := range state.Entries {
		w := want[of[row.Account]]
		amount := big.NewInt(-int64(row.Amount))
		switch row.Cause.Kind.Counterpart() {
		case ledger.Funding:
			w.funding.Add(&w.funding, amount)
		case ledger.Revenue:
			w.revenue.Add(&w.revenue, amount)
		case ledger.Adjustments:
			w.adjustment.Add(&w.adjustment, amount)
		}
	}
	balances := must[[]engine.CurrencyBalance](s)(e.TrialBalance(s.Context()))
	check(s, "currencies", len(balances), 2)
	for i, currency := range []string{"CNY", "VND"} {
		b, w := balances[i], want[currency]
		check(s, "currency", b.Currency, currency)
		check(s, "trial balance in "+currency,
			[]string{
				b.Wallets.Millionths(), b.Held.Millionths(), b.System[ledger.Funding].Millionths(), b.System[ledger.Revenue].Millionths(),
				b.System[ledger.Adjustments].Millionths(), b.Sum.Millionths(),
			},
			[]string{w.wallets.String(), w.held.String(), w.funding.String(), w.revenue.String(), w.adjustment.String(), "0"})
		check(s, "system accounts", len(b.System), 3)
		if w.held.Sign() == 0 || w.revenue.Sign() == 0 {
			s.Error("the trial balance has nothing to add up")
		}
	}
}
