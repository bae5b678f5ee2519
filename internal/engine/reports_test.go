package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// A page of a rare kind looks at so many entries and no more, and says how far it came.
func TestRowsOfARareKind(t *testing.T) {
	t.Parallel()
	store, path := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	post(t, e, topUp("fill", 1, 5))
	post(t, e, charge("rare", 1, 1))
	e.Close()
	// To post so many takes long, and it is the reading that counts here.
	const scanned = 10_000
	plant(t, path, "DELETE FROM entries", fmt.Sprintf(`INSERT INTO entries
		WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %d)
		SELECT 1, 'sms', n, CASE WHEN n IN (301, %d) THEN %s ELSE %s END, 1, n, 0, 0, zeroblob(32) FROM n`,
		scanned+302, scanned+302, literal("rare"), literal("fill")), fmt.Sprintf("UPDATE wallets SET version = %d WHERE service = 'sms'", scanned+302))
	e = start(t, store, engine.Options{}, 0)
	statement, err := e.Statement(ctx, sms(1), time.Time{}, time.Time{})
	noError(t, err)
	page := func(after int64, kind ledger.Kind, limit int) (versions []int64, next int64) {
		t.Helper()
		rows, next, err := e.Rows(ctx, statement, after, kind, limit)
		noError(t, err)
		for _, row := range rows {
			versions = append(versions, row.Version)
		}
		return versions, next
	}
	for _, tt := range []struct {
		after int64
		kind  ledger.Kind
		limit int
		want  []int64
		next  int64
	}{
		{0, ledger.Charge, 5, []int64{301}, scanned},
		{0, ledger.Charge, 1, []int64{301}, 301},
		{300, ledger.Charge, 5, []int64{301}, scanned + 300},
		{301, ledger.Charge, 5, nil, scanned + 301},
		{302, ledger.Charge, 5, []int64{scanned + 302}, scanned + 302},
		{scanned, ledger.Charge, 5, []int64{scanned + 302}, scanned + 302},
		{0, ledger.Refund, 5, nil, scanned},
		{scanned, ledger.Refund, 5, nil, scanned + 302},
		{scanned + 300, "", 5, []int64{scanned + 301, scanned + 302}, scanned + 302},
		{scanned + 300, "", 1, []int64{scanned + 301}, scanned + 301},
		{scanned + 302, "", 5, nil, scanned + 302},
	} {
		got, next := page(tt.after, tt.kind, tt.limit)
		check(t, fmt.Sprint("page of ", tt), got, tt.want)
		check(t, fmt.Sprint("where it goes on: ", tt), next, tt.next)
	}
	// All the rows at once are as many as one page looks at.
	got, next := page(0, "", 2*scanned)
	check(t, "rows and where they go on", []int64{int64(len(got)), next}, []int64{scanned, scanned})
}

// What a statement covers is fixed when it is made.
func TestStatementStays(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("a", 1, 5))
	statement, err := e.Statement(ctx, sms(1), time.Time{}, time.Time{})
	noError(t, err)
	ahead, err := e.Statement(ctx, sms(1), sampleTime.Add(time.Hour), time.Time{})
	noError(t, err)
	check(t, "a range that has not begun", *ahead, engine.Statement{Wallet: sms(1), Currency: "CNY", After: 1, Until: 1, Opening: 5, Closing: 5})
	same, err := e.Statement(ctx, sms(1), sampleTime, sampleTime)
	noError(t, err)
	check(t, "a range of no time", *same, engine.Statement{Wallet: sms(1), Currency: "CNY"})
	post(t, e, topUp("b", 1, 5))
	rows, next, err := e.Rows(ctx, statement, 0, "", 10)
	noError(t, err)
	check(t, "rows and where they go on", []any{len(rows), next}, []any{1, int64(1)})
	check(t, "its cause", rows[0].Cause.IdempotencyKey, "a")
}

// An entry whose transaction is missing has no row, and is no fault of a statement.
func TestRowsWithoutACause(t *testing.T) {
	t.Parallel()
	store, path := sample(t)
	plant(t, path, "DELETE FROM transactions WHERE id = "+literal("c2"))
	e := start(t, store, engine.Options{}, 0)
	statement, err := e.Statement(ctx, sms(1), time.Time{}, time.Time{})
	noError(t, err)
	var got []int64
	for next := int64(0); next < statement.Until; {
		rows, after, err := e.Rows(ctx, statement, next, "", 2)
		noError(t, err)
		for _, row := range rows {
			got = append(got, row.Version)
		}
		next = after
	}
	check(t, "rows", got, []int64{1, 2, 4, 5, 6})
}

func TestUsageQueries(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("fill", 1, 1000))
	day := 24 * time.Hour
	year := engine.UsageQuery{By: engine.ByDay, From: sampleTime, To: sampleTime.Add(366 * day), Limit: 10}
	_, err := e.Usage(ctx, year, time.UTC)
	noError(t, err)
	for _, change := range []func(*engine.UsageQuery){
		func(q *engine.UsageQuery) { q.By = "" },
		func(q *engine.UsageQuery) { q.By = "month" },
		func(q *engine.UsageQuery) { q.To = q.From },
		func(q *engine.UsageQuery) { q.To = q.From.Add(-time.Second) },
		func(q *engine.UsageQuery) { q.To = q.To.Add(time.Nanosecond) },
	} {
		query := year
		change(&query)
		rows, err := e.Usage(ctx, query, time.UTC)
		wantCode(t, err, ledger.InvalidRequest)
		check(t, "rows", rows, nil)
	}
	for _, by := range []engine.Grouping{engine.ByAccount, engine.ByWallet, engine.ByKind} {
		query := year
		query.By, query.To = by, sampleTime.AddDate(10, 0, 0) // No bound where days do not count.
		_, err := e.Usage(ctx, query, time.UTC)
		noError(t, err)
	}
}

// Each day has its rows, one for each currency, also where the clocks go forward
// at midnight, so that the day has none.
func TestUsageByDay(t *testing.T) {
	t.Parallel()
	havana, err := time.LoadLocation("America/Havana")
	if err != nil {
		t.Fatal(err)
	}
	store, _ := newStore(t)
	clock := storetest.NewClock(time.Date(2024, 3, 9, 22, 0, 0, 0, havana))
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	_, err = e.CreateAccount(ctx, ledger.Account{ID: 2, Name: "Example Ltd", Currency: "VND"})
	noError(t, err)
	post(t, e, topUp("fill-1", 1, 1000))
	post(t, e, topUp("fill-2", 2, 1000))
	for i := range 28 { // an hour each, from 22:00 on the 9th to 2:00 on the 11th
		paid := post(t, e, charge(fmt.Sprint("c", i), 1, 10))
		if i%2 == 0 {
			post(t, e, refund(fmt.Sprint("r", i), paid.ID, 1))
			post(t, e, charge(fmt.Sprint("d", i), 2, 5))
		}
		clock.Pass(time.Hour)
	}
	row := func(day, currency string, count int64, charged, refunded ledger.Amount) engine.UsageRow {
		r := engine.UsageRow{Day: day, Currency: currency, Count: count}
		r.Charged.Add(charged)
		r.Refunded.Add(refunded)
		return r
	}
	query := engine.UsageQuery{By: engine.ByDay, From: time.Date(2024, 3, 1, 0, 0, 0, 0, havana), To: clock.Now(), Limit: 100}
	rows, err := e.Usage(ctx, query, havana)
	noError(t, err)
	// The 10th has 23 hours.
	check(t, "usage", rows, []engine.UsageRow{
		row("2024-03-09", "CNY", 2, 20, 1), row("2024-03-09", "VND", 1, 5, 0),
		row("2024-03-10", "CNY", 23, 230, 12), row("2024-03-10", "VND", 12, 60, 0),
		row("2024-03-11", "CNY", 3, 30, 1), row("2024-03-11", "VND", 1, 5, 0),
	})
	query.Account = 2
	query.From, query.To = query.To.Add(-26*time.Hour), query.To.Add(-3*time.Hour)
	rows, err = e.Usage(ctx, query, havana)
	noError(t, err)
	check(t, "usage of one account in a day", rows, []engine.UsageRow{row("2024-03-10", "VND", 12, 60, 0)})
}

// A trial balance of a ledger that somebody tampered with tells of it.
func TestTrialBalanceOfADamagedLedger(t *testing.T) {
	t.Parallel()
	store, path := sample(t)
	e := start(t, store, engine.Options{}, 0)
	sums := func() (all []string) {
		t.Helper()
		balances, err := e.TrialBalance(ctx)
		noError(t, err)
		for _, b := range balances {
			all = append(all, fmt.Sprint(b.Currency, " ", &b.Wallets, " ", &b.Held, " ", len(b.System), " ", &b.Sum))
		}
		return all
	}
	check(t, "balances", sums(), []string{"CNY 0.00017 0.000019 3 0"})
	execute(t, path, "INSERT INTO system_accounts VALUES ('fund', 'CNY', '5'), ('funding', 'VND', '7')")
	check(t, "balances", sums(), []string{"CNY 0.00017 0.000019 4 0.000005"})
	execute(t, path, "UPDATE wallets SET balance = balance + 1, held = held + 2 WHERE account_id = 4")
	check(t, "balances", sums(), []string{"CNY 0.000172 0.000023 4 0.000007"})
	execute(t, path, "UPDATE system_accounts SET total = 'many' WHERE account = 'fund'")
	if balances, err := e.TrialBalance(ctx); err == nil || balances != nil {
		t.Errorf("a total of no number: %v", balances)
	}
}
