package client

import (
	"context"
	"iter"

	"github.com/saldo-ledger/saldo/api"
)

// TrialBalance reads the sums over the whole ledger, for each currency. In a
// sound ledger every total is "0". It takes an operator's key.
func (c *Client) TrialBalance(ctx context.Context) (api.TrialBalance, error) {
	return read[api.TrialBalance](c.rest.GetTrialBalance(ctx))
}

// UsageQuery says what a usage report adds up: charges, captures and refunds
// created in [From, To).
type UsageQuery struct {
	Group api.UsageGroup // what the rows stand for, by default types
	// From and To are in RFC 3339, or a date such as 2026-11-01, which stands
	// for the start of that day in TimeZone. By default it is the last 30 days.
	From, To api.TimeOrDate
	TimeZone api.TimeZone  // in which days begin, an IANA name; by default UTC
	Account  api.AccountID // 0 for all accounts
	// Upstream counts only what was sent through one account at a provider; "" for all.
	Upstream api.UpstreamName
}

// Usage reads what was charged and refunded, one page at a time. Only a report
// by accounts has more than one page; all of them cover the same range. It
// stops after the first error. It takes an operator's key.
//
// Errors: api.ErrorCodeInvalidRequest for more than 366 days where the group is
// days, and for a report of more than 10,000 rows.
func (c *Client) Usage(ctx context.Context, query UsageQuery) iter.Seq2[api.Usage, error] {
	return pages(func(cursor *string) (api.Usage, string, error) {
		params := api.GetUsageParams{
			Group: given(query.Group), From: given(query.From), To: given(query.To), Tz: given(query.TimeZone), Account: given(query.Account), Upstream: given(query.Upstream),
			Limit: new(pageSize), Cursor: cursor,
		}
		page, err := read[api.Usage](c.rest.GetUsage(ctx, &params))
		// Where the server chose the range, the next page has the same one.
		query.From, query.To = page.From, page.To
		return page, page.NextCursor, err
	})
}
