package engine

import (
	"context"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Grouping is what the rows of a usage report stand for.
type Grouping string

// The groupings.
const (
	ByDay     Grouping = "day"
	ByAccount Grouping = "account"
	ByWallet  Grouping = "wallet" // the service, over all accounts
	ByKind    Grouping = "type"
)

// Valid tells whether g is one of the groupings.
func (g Grouping) Valid() bool {
	return g == ByDay || g == ByAccount || g == ByWallet || g == ByKind
}

// UpstreamMember is the member of a transaction's metadata that names the
// provider's account through which it was sent.
const UpstreamMember = "upstream"

// UsageQuery says what a store adds up: posted charges, captures and refunds
// created in [From, To).
type UsageQuery struct {
	From, To time.Time
	By       Grouping         // not ByDay, which the engine asks for a day at a time
	Account  ledger.AccountID // Operator for all
	// Upstream counts only what was sent through one provider's account: what has
	// this value in its metadata under UpstreamMember, or, where it has no such member,
	// whose parent has it: the hold of a capture, the charge of a refund; for the refund
	// of a capture that has it not, the hold. "" for all.
	Upstream string
	// After and Limit page the accounts of ByAccount.
	After ledger.AccountID
	Limit int
}

// UsageRow is what was used in one group. Of Day, Account, Service and Kind,
// only the one that the rows are grouped by is set.
type UsageRow struct {
	Day      string
	Account  ledger.AccountID
	Service  ledger.Service
	Kind     ledger.Kind
	Currency string
	Count    int64 // of charges and captures; of refunds in a row of that kind
	Charged  ledger.Total
	Refunded ledger.Total
}

// maxUsageDays bounds a report by day.
const maxUsageDays = 366

// Usage reports what was charged and refunded in [From, To). zone says where
// days begin.
//
// Errors: InvalidRequest.
func (e *Engine) Usage(ctx context.Context, query UsageQuery, zone *time.Location) ([]UsageRow, error) {
	if !query.By.Valid() {
		return nil, ledger.Errorf(ledger.InvalidRequest, "usage cannot be grouped by %q", string(query.By)).
			WithHint("group by day, account, wallet or type")
	}
	if !query.From.Before(query.To) {
		return nil, ledger.Errorf(ledger.InvalidRequest, "from must be before to")
	}
	return bounded(e, func() ([]UsageRow, error) {
		if query.By != ByDay {
			return e.store.Usage(ctx, query)
		}
		return e.usageByDay(ctx, query, zone)
	})
}

// usageByDay asks for one day after another, because where a day begins is a
// matter of time zones, which no database needs to know.
func (e *Engine) usageByDay(ctx context.Context, query UsageQuery, zone *time.Location) ([]UsageRow, error) {
	if query.To.Sub(query.From) > maxUsageDays*24*time.Hour {
		return nil, ledger.Errorf(ledger.InvalidRequest, "a report by day covers at most %d days", maxUsageDays)
	}
	var rows []UsageRow
	end := query.To
	for from := query.From; from.Before(end); from = query.To {
		year, month, day := from.In(zone).Date()
		query.From, query.To = from, StartOfDay(year, month, day+1, zone)
		if query.To.After(end) {
			query.To = end
		}
		query.By = ByKind
		kinds, err := e.store.Usage(ctx, query)
		if err != nil {
			return nil, err
		}
		rows = append(rows, daily(from.In(zone).Format(time.DateOnly), kinds)...)
	}
	return rows, nil
}

// daily folds the kinds of a day into one row for each currency.
func daily(day string, kinds []UsageRow) []UsageRow {
	var rows []UsageRow
	place := map[string]int{}
	for i := range kinds {
		kind := &kinds[i]
		at, there := place[kind.Currency]
		if !there {
			at = len(rows)
			place[kind.Currency] = at
			rows = append(rows, UsageRow{Day: day, Currency: kind.Currency})
		}
		if kind.Kind != ledger.Refund {
			rows[at].Count += kind.Count
		}
		rows[at].Charged.AddTotal(&kind.Charged)
		rows[at].Refunded.AddTotal(&kind.Refunded)
	}
	return rows
}

// CurrencyBalance is the trial balance of one currency: all wallets together
// and each system account. They add up to zero.
type CurrencyBalance struct {
	Currency string
	Wallets  ledger.Total
	Held     ledger.Total // part of what the wallets have
	System   map[ledger.SystemAccount]*ledger.Total
	Sum      ledger.Total
}

// TrialBalance adds up the whole ledger as it is at one moment, in order of currencies.
func (e *Engine) TrialBalance(ctx context.Context) ([]CurrencyBalance, error) {
	return bounded(e, func() (balances []CurrencyBalance, err error) {
		err = e.store.Snapshot(ctx, func(snapshot Snapshot) error {
			balances, err = trialBalance(ctx, snapshot)
			return err
		})
		return balances, err
	})
}

func trialBalance(ctx context.Context, snapshot Snapshot) ([]CurrencyBalance, error) {
	wallets, err := snapshot.WalletTotals(ctx)
	if err != nil {
		return nil, err
	}
	system, err := snapshot.System(ctx)
	if err != nil {
		return nil, err
	}
	balances := make([]CurrencyBalance, len(wallets))
	place := map[string]int{}
	for i, total := range wallets {
		balances[i] = CurrencyBalance{
			Currency: total.Currency, Wallets: total.Balance, Held: total.Held,
			System: map[ledger.SystemAccount]*ledger.Total{ledger.Funding: {}, ledger.Revenue: {}, ledger.Adjustments: {}},
		}
		balances[i].Sum.AddTotal(&total.Balance)
		place[total.Currency] = i
	}
	for i := range system {
		at, there := place[system[i].Currency]
		if !there {
			continue // a currency without wallets; verify says so
		}
		if balances[at].System[system[i].Account] == nil { // a ledger that was tampered with; verify says so, too
			balances[at].System[system[i].Account] = new(ledger.Total)
		}
		balances[at].System[system[i].Account].AddTotal(&system[i].Total)
		balances[at].Sum.AddTotal(&system[i].Total)
	}
	return balances, nil
}
