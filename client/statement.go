package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client/internal/rest"
)

// StatementQuery says which entries of a wallet are read: those created in
// [From, To) by transactions of a type. All of it may be left out.
type StatementQuery struct {
	// From and To are in RFC 3339, or a date such as 2026-11-01, which stands
	// for the start of that day in TimeZone. By default the range starts with
	// the first entry, and ends now.
	From, To api.TimeOrDate
	TimeZone api.TimeZone // an IANA name, by default UTC
	Type     api.TransactionType
}

func (q *StatementQuery) params() api.GetStatementParams {
	return api.GetStatementParams{From: given(q.From), To: given(q.To), Tz: given(q.TimeZone), Type: given(q.Type)}
}

// Statement reads the entries of a wallet, oldest first, one page at a time. It
// stops after the first error.
//
// Every page has the opening and closing balance of the whole range. Amounts of
// rows are what the balance changed by, negative where money left the wallet. A
// page may have no rows where the query names a type.
func (c *Client) Statement(ctx context.Context, account api.AccountID, wallet string, query StatementQuery) iter.Seq2[api.Statement, error] {
	return pages(func(cursor *string) (api.Statement, string, error) {
		params := query.params()
		params.Limit, params.Cursor = new(pageSize), cursor
		page, err := read[api.Statement](c.rest.GetStatement(ctx, account, wallet, &params))
		return page, page.NextCursor, err
	})
}

// StatementFile reads a statement as a file of api.StatementFormatCsv or
// api.StatementFormatNdjson, as it comes. It has a row for each entry, and a
// row of type opening before them and one of type closing after them: a file
// without the latter was cut off. The caller closes it.
//
// The context holds for the reading too.
func (c *Client) StatementFile(ctx context.Context, account api.AccountID, wallet string, query StatementQuery, format api.StatementFormat) (io.ReadCloser, error) {
	params := query.params()
	params.Format = &format
	req, err := rest.NewGetStatementRequest(c.rest.Server, account, wallet, &params)
	if err != nil {
		return nil, fmt.Errorf("saldo: %w", err)
	}
	req.Header.Set("Accept", "text/csv, application/x-ndjson, application/json, application/problem+json")
	resp, err := c.sender.send(req.WithContext(ctx), func(req *http.Request) (*http.Response, error) { return c.sender.open(req, attemptTimeout) })
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
