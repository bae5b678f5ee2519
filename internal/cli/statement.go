package cli

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// rowsByDefault is how many rows of a statement a table has, since somebody reads it.
const rowsByDefault = 100

// statementCommand is "saldo statement".
type statementCommand struct {
	Target   walletArgs `embed:""`
	From     string     `placeholder:"TIME" help:"Where it starts: 2026-11-01, or 2026-11-01T09:30:00Z. By default with the first entry."`
	To       string     `placeholder:"TIME" help:"Where it ends; this time itself is no longer in it. By default now."`
	TimeZone string     `name:"tz" placeholder:"ZONE" help:"Where days begin, such as Asia/Ho_Chi_Minh; by default UTC."`
	Type     string     `enum:",topup,charge,refund,adjustment,transfer,hold,capture,release,extend,expire" default:"" placeholder:"TYPE" help:"Only entries of transactions of this type: topup, charge, refund, adjustment, transfer, hold, capture, release, extend or expire."`
	Limit    *uint      `placeholder:"N" help:"Stop after this many entries; 0 shows all. By default 100 in a table, and all in JSON."`

	Connection `embed:""`
	Deadline   `embed:""`
	Output     string `short:"o" default:"table" enum:"table,json,csv,ndjson" env:"SALDO_OUTPUT" help:"table, json, csv or ndjson (default ${default})."`
}

// Help shows examples.
func (*statementCommand) Help() string {
	return `Entries come oldest first, with the balance after each. Amounts are what the balance changed by. The
opening and closing balance are those of the whole range, whatever the type.

csv and ndjson are files of the whole range. Their first row is of type opening, and their last of
type closing: a file without it was cut off. For a very long one give --timeout 0 as well.

Examples:
  saldo statement 9999 sms
  saldo statement 9999 sms --from 2026-11-01 --to 2026-12-01 --tz Asia/Ho_Chi_Minh
  saldo statement 9999 sms --type refund --limit 0
  saldo statement 9999 sms --from 2026-11-01 --to 2026-12-01 --output csv > november.csv`
}

// Validate checks what kong's tags cannot say.
func (c *statementCommand) Validate() error {
	if c.Limit != nil && (c.Output == "csv" || c.Output == "ndjson") {
		return errors.New("a file has the whole range: --limit is for table and json")
	}
	return nil
}

// Run shows the statement.
func (c *statementCommand) Run(ctx context.Context, streams Streams) error {
	query := client.StatementQuery{From: c.From, To: c.To, TimeZone: c.TimeZone, Type: api.TransactionType(c.Type)}
	return c.session(ctx, streams, c.Timeout, c.Output, func(ctx context.Context, saldo *client.Client, p *printer) error {
		if c.Output == "csv" || c.Output == "ndjson" {
			return c.file(ctx, saldo, p, query)
		}
		limit := uint(0)
		if !p.json {
			limit = rowsByDefault
		}
		if c.Limit != nil {
			limit = *c.Limit
		}
		return p.statement(saldo.Statement(ctx, api.AccountID(c.Target.Account), c.Target.Wallet, query), limit)
	})
}

// file copies the statement as the server writes it.
func (c *statementCommand) file(ctx context.Context, saldo *client.Client, p *printer, query client.StatementQuery) error {
	file, err := saldo.StatementFile(ctx, api.AccountID(c.Target.Account), c.Target.Wallet, query, api.StatementFormat(c.Output))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // what a close could report, the reading has reported
	// The printer keeps its own errors, so what the copy reports is the server's.
	_, err = io.Copy(writerFunc(func(text []byte) (int, error) {
		p.write(string(text))
		return len(text), nil
	}), file)
	return err
}

// statement prints the head of a statement and its rows, at most limit of them.
func (p *printer) statement(pages iter.Seq2[api.Statement, error], limit uint) error {
	t := p.table(figure("VERSION"), text("CREATED"), text("TYPE"), figure("AMOUNT"), money("BALANCE"), figure("HELD"), text("COUNTERPART"), text("REFERENCE"))
	return document(p, pages, limit, t, func(s api.Statement) (api.Statement, []string, []api.StatementRow) {
		items := s.Items
		s.Items, s.NextCursor = []api.StatementRow{}, ""
		return s, []string{
			"account", accountText(s.Account), "wallet", s.Wallet, "currency", s.Currency, "from", s.From, "to", s.To,
			"opening balance", s.OpeningBalance, "closing balance", s.ClosingBalance,
		}, items
	}, func(r api.StatementRow) {
		t.row(strconv.FormatInt(r.Version, 10), r.CreatedAt, string(r.Type), r.Amount, r.Balance, r.Held, r.Counterpart, r.Reference)
	})
}

// writerFunc is a function as a writer.
type writerFunc func([]byte) (int, error)

// Write calls the function.
func (f writerFunc) Write(text []byte) (int, error) { return f(text) }
