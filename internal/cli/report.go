package cli

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// reportCommands is "saldo report".
type reportCommands struct {
	TrialBalance reportTrialBalance `cmd:"" group:"client" help:"Show all money in the ledger and where it came from."`
	Usage        reportUsage        `cmd:"" group:"client" help:"Show what was charged and refunded."`
}

// reportTrialBalance is "saldo report trial-balance".
type reportTrialBalance struct {
	Globals
}

// Help shows examples.
func (*reportTrialBalance) Help() string {
	return `Each row adds up one currency: what all wallets have, and the accounts on the other side of top-ups
(funding), of charges and refunds (revenue), and of adjustments. Together they are 0 in a sound
ledger; otherwise the exit status is 1. What is held is a part of what the wallets have.

Examples:
  saldo report trial-balance
  saldo report trial-balance --output json`
}

// Run shows the trial balance.
func (c *reportTrialBalance) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		balance, err := saldo.TrialBalance(ctx)
		if err != nil {
			return err
		}
		var wrong []string
		for _, row := range balance.Currencies {
			if row.Total != "0" {
				wrong = append(wrong, row.Total+" "+row.Currency)
			}
		}
		p.show(balance, func() {
			t := p.table(text("CURRENCY"), figure("WALLETS"), figure("HELD"), figure("FUNDING"), figure("REVENUE"), figure("ADJUSTMENT"),
				column{title: "TOTAL", right: true, colour: totalColour})
			for _, row := range balance.Currencies {
				t.row(row.Currency, row.Wallets, row.Held, row.Funding, row.Revenue, row.Adjustment, row.Total)
			}
			p.fields("created", balance.CreatedAt)
			if len(balance.Currencies) > 0 {
				p.write("\n")
			}
			t.flush()
		})
		if wrong != nil {
			return &Error{
				Status: ExitFailure, Message: "the ledger does not add up: the total is " + strings.Join(wrong, " and "),
				Hints: []string{`"saldo verify" on the machine of the server says what is wrong`},
			}
		}
		return nil
	})
}

// totalColour is green for a total as it must be, and red for any other.
func totalColour(text string) string {
	if text == "0" {
		return "32"
	}
	return "31"
}

// reportUsage is "saldo report usage".
type reportUsage struct {
	Group    string    `default:"type" enum:"day,account,wallet,type" placeholder:"GROUP" help:"What the rows stand for: day, account, wallet or type (default ${default})."`
	From     string    `placeholder:"TIME" help:"Where it starts: 2026-11-01, or 2026-11-01T09:30:00Z. By default 30 days before its end."`
	To       string    `placeholder:"TIME" help:"Where it ends; this time itself is no longer in it. By default now."`
	TimeZone string    `name:"tz" placeholder:"ZONE" help:"Where days begin, such as Asia/Ho_Chi_Minh; by default UTC."`
	Account  accountID `placeholder:"N" help:"Only this account; by default all."`
	Upstream string    `placeholder:"NAME" help:"Only what was sent through this upstream, by the member upstream of its metadata."`

	Globals
}

// Help shows examples.
func (*reportUsage) Help() string {
	return `Charges and captures are charged, refunds are refunded, and net is the difference. COUNT is that of
charges and captures; in the row of the type refund, that of refunds.

Examples:
  saldo report usage
  saldo report usage --group day --from 2026-11-01 --to 2026-12-01 --tz Asia/Ho_Chi_Minh
  saldo report usage --group account --from 2026-11-01 --output json
  saldo report usage --group wallet --account 9999
  saldo report usage --group day --upstream antgst-sms`
}

// Run shows the report.
func (c *reportUsage) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		pages := saldo.Usage(ctx, client.UsageQuery{
			Group: api.UsageGroup(c.Group), From: c.From, To: c.To, TimeZone: c.TimeZone, Account: api.AccountID(c.Account), Upstream: c.Upstream,
		})
		return p.usage(pages, c.Group)
	})
}

// usage prints a report of any number of pages.
func (p *printer) usage(pages iter.Seq2[api.Usage, error], group string) error {
	t := p.table(text(strings.ToUpper(group)), text("CURRENCY"), figure("COUNT"), figure("CHARGED"), figure("REFUNDED"), money("NET"))
	return document(p, pages, 0, t, func(u api.Usage) (api.Usage, []string, []api.UsageRow) {
		items := u.Items
		u.Items, u.NextCursor = []api.UsageRow{}, ""
		return u, []string{"from", u.From, "to", u.To}, items
	}, func(r api.UsageRow) {
		// A row has the one of these that it stands for.
		name := r.Day + accountText(r.Account) + r.Wallet + string(r.Type)
		t.row(name, r.Currency, strconv.FormatInt(r.Count, 10), r.Charged, r.Refunded, r.Net)
	})
}
