package client

import (
	"context"
	"iter"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// Upstreams lists the operator's accounts at providers that were ever asked for
// their balances, in the order of their names. It takes an operator's key.
func (c *Client) Upstreams(ctx context.Context) ([]api.Upstream, error) {
	list, err := read[api.UpstreamList](c.rest.ListUpstreams(ctx))
	return list.Items, err
}

// Upstream reads what is left in one account at a provider. Its balance is nil
// before there was one, and stays through failures: AgeSeconds says how old it is.
// It takes an operator's key.
//
// Errors: api.ErrorCodeNotFound where it was never asked.
func (c *Client) Upstream(ctx context.Context, name api.UpstreamName) (api.Upstream, error) {
	return read[api.Upstream](c.rest.GetUpstream(ctx, name))
}

// ReadingsQuery says which readings of an upstream are listed: those in [From, To).
type ReadingsQuery struct {
	// From and To are in RFC 3339, or a date such as 2026-11-01, which stands
	// for the start of that day in TimeZone. By default it is the last 24 hours.
	From, To api.TimeOrDate
	TimeZone api.TimeZone // in which days begin, an IANA name; by default UTC
	// Step lists, of each balance, only the last reading of each step, which is whole
	// seconds and at most 31 days; 0 lists all.
	Step     time.Duration
	Service  api.UpstreamService // "" for all
	Currency api.Currency        // "" for all
}

// UpstreamReadings reads what an upstream had left in time, oldest first, one page
// at a time, of which all cover the same range. It stops after the first error. It
// takes an operator's key. A page may have no items where the query names a service
// or a currency.
func (c *Client) UpstreamReadings(ctx context.Context, name api.UpstreamName, query ReadingsQuery) iter.Seq2[api.ReadingPage, error] {
	return pages(func(cursor *string) (api.ReadingPage, string, error) {
		params := api.ListReadingsParams{
			From: given(query.From), To: given(query.To), Tz: given(query.TimeZone), Step: given(int(query.Step / time.Second)),
			Service: given(query.Service), Currency: given(query.Currency), Limit: new(pageSize), Cursor: cursor,
		}
		page, err := read[api.ReadingPage](c.rest.ListReadings(ctx, name, &params))
		// Where the server chose the range, the next page has the same one.
		query.From, query.To = page.From, page.To
		return page, page.NextCursor, err
	})
}

// ReconcileQuery says over which range an upstream is reconciled.
type ReconcileQuery struct {
	// From and To are in RFC 3339, or a date such as 2026-11-01, which stands
	// for the start of that day in TimeZone. By default it is the last 30 days.
	From, To api.TimeOrDate
	TimeZone api.TimeZone // in which days begin, an IANA name; by default UTC
}

// ReconcileUpstream compares what a provider took with what was charged through
// it: with what has the upstream's name in the metadata member "upstream". It
// takes an operator's key.
//
// Errors: api.ErrorCodeInvalidRequest for more than 400 days, and for more than
// 500,000 readings.
func (c *Client) ReconcileUpstream(ctx context.Context, name api.UpstreamName, query ReconcileQuery) (api.Reconciliation, error) {
	params := api.ReconcileUpstreamParams{From: given(query.From), To: given(query.To), Tz: given(query.TimeZone)}
	return read[api.Reconciliation](c.rest.ReconcileUpstream(ctx, name, &params))
}
