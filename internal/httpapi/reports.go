package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// GetTrialBalance answers GET /v1/reports/trial-balance.
func (s *server) GetTrialBalance(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, accountants, func(*ledger.Key) error {
		at := s.engine.Now()
		balances, err := s.engine.TrialBalance(r.Context())
		if err != nil {
			return err
		}
		report := api.TrialBalance{CreatedAt: showTime(at), Currencies: make([]api.TrialBalanceRow, len(balances))}
		for i := range balances {
			balance := &balances[i]
			report.Currencies[i] = api.TrialBalanceRow{
				Currency:   balance.Currency,
				Wallets:    balance.Wallets.String(),
				Held:       balance.Held.String(),
				Funding:    balance.System[ledger.Funding].String(),
				Revenue:    balance.System[ledger.Revenue].String(),
				Adjustment: balance.System[ledger.Adjustments].String(),
				Total:      balance.Sum.String(),
			}
		}
		return reply(w, http.StatusOK, report)
	})
}

// usualUsage is what a report covers that names no range.
const usualUsage = 30 * 24 * time.Hour

var errSlowReport = ledger.Errorf(ledger.InvalidRequest, "the report takes too long").WithHint("ask for a shorter range")

// timely makes a report within its time. It says so while there is time to: later
// the server would just break the connection. It cancels, and sets no deadline,
// because a reading that runs into one looks to a store like a database that is gone.
func timely[T any](ctx context.Context, limit time.Duration, report func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(limit, func() { cancel(errSlowReport) }).Stop()
	made, err := report(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSlowReport) {
		err = errSlowReport
	}
	return made, err
}

// GetUsage answers GET /v1/reports/usage.
func (s *server) GetUsage(w http.ResponseWriter, r *http.Request, params api.GetUsageParams) {
	s.serve(w, r, accountants, func(key *ledger.Key) error {
		query, zone, err := s.usageQuery(r, key, &params)
		if err != nil {
			return err
		}
		size := query.Limit
		query.Limit++ // one more tells whether there is more
		rows, err := timely(r.Context(), s.limits.report, func(ctx context.Context) ([]engine.UsageRow, error) {
			return s.engine.Usage(ctx, *query, zone)
		})
		if err != nil {
			return err
		}
		report := api.Usage{From: showTime(query.From), To: showTime(query.To), Group: api.UsageGroup(query.By)}
		report.Items, report.NextCursor = pageItems(rows, size, showUsage,
			func(last engine.UsageRow) string { return cursorAt(strconv.Itoa(int(last.Account))) })
		if report.NextCursor != "" && query.By != engine.ByAccount {
			return ledger.Errorf(ledger.InvalidRequest, "the report has over %d rows", s.limits.usageRows).
				WithHint("ask for a shorter range, or group by account")
		}
		return reply(w, http.StatusOK, report)
	})
}

func (s *server) usageQuery(r *http.Request, key *ledger.Key, params *api.GetUsageParams) (*engine.UsageQuery, *time.Location, error) {
	query := &engine.UsageQuery{By: engine.ByKind}
	if params.Group != nil {
		query.By = engine.Grouping(*params.Group)
	}
	if params.Account != nil {
		holder, err := s.holder(r, key, *params.Account)
		if err != nil {
			return nil, nil, err
		}
		query.Account = holder.ID
	}
	zone, from, to, err := s.timeRange(params.From, params.To, params.Tz)
	if err != nil {
		return nil, nil, err
	}
	if to.IsZero() {
		to = s.engine.Now()
	}
	if from.IsZero() {
		from = to.Add(-usualUsage)
	}
	query.From, query.To = from, to
	if params.Upstream != nil {
		if query.Upstream = *params.Upstream; !upstreamForm.MatchString(query.Upstream) {
			return nil, nil, ledger.Errorf(ledger.InvalidRequest, "upstream is not the name of one").WithHint("a name is 1 to 40 small letters, digits and hyphens")
		}
	}
	size, after, err := numberedPage(params.Limit, params.Cursor, int64(ledger.MaxAccountID))
	if err != nil {
		return nil, nil, err
	}
	query.Limit = s.limits.usageRows
	if query.By == engine.ByAccount {
		query.Limit, query.After = size, ledger.AccountID(after)
	}
	return query, zone, nil
}

func showUsage(row engine.UsageRow) api.UsageRow {
	net := row.Charged
	net.SubTotal(&row.Refunded)
	return api.UsageRow{
		Day:      row.Day,
		Account:  int32(row.Account),
		Wallet:   string(row.Service),
		Type:     api.TransactionType(row.Kind),
		Currency: row.Currency,
		Count:    row.Count,
		Charged:  row.Charged.String(),
		Refunded: row.Refunded.String(),
		Net:      net.String(),
	}
}
