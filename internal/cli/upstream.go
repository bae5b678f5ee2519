package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// upstreamCommands is "saldo upstream".
type upstreamCommands struct {
	List      upstreamList      `cmd:"" group:"client" help:"List the balances at providers, and when they run out."`
	Show      upstreamShow      `cmd:"" group:"client" help:"Show an upstream with all that its provider tells."`
	Get       upstreamShow      `cmd:"" group:"client" hidden:"" help:"Show an upstream."` // the same, for those who know it by this name
	Readings  upstreamReadings  `cmd:"" group:"client" help:"Show what an upstream had left in time."`
	Reconcile upstreamReconcile `cmd:"" group:"client" help:"Compare what a provider took with what was charged."`
}

// upstreamList is "saldo upstream list".
type upstreamList struct {
	Globals
}

// Help shows examples.
func (*upstreamList) Help() string {
	return `Shows what the server last read at each provider that it asks (saldo serve --upstreams), with the
age of the reading. EMPTY IN is by what is usually spent, or by what is spent now where that is much
more. An account that is paid later, or without limit, has that word for a BALANCE; "saldo upstream
show" has its amounts. "saldo query" asks the providers themselves, without a server.

Examples:
  saldo upstream list
  saldo upstream list --output json`
}

// Run lists the upstreams.
func (c *upstreamList) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		upstreams, err := saldo.Upstreams(ctx)
		if err != nil {
			return err
		}
		p.show(api.UpstreamList{Items: upstreams}, func() { p.upstreams(upstreams) })
		return nil
	})
}

// upstreams prints a line for each balance, and one for each upstream that has none.
func (p *printer) upstreams(upstreams []api.Upstream) {
	if len(upstreams) == 0 {
		p.notef("note: there are none; \"saldo serve --upstreams FILE\" asks them")
		return
	}
	t := p.table(text("NAME"), text("PROVIDER"), column{title: "STATUS", colour: upstreamColour}, figure("AGE"), text("SERVICE"),
		money("BALANCE"), text("CURRENCY"), figure("MIN"), figure("EMPTY IN"))
	for i := range upstreams {
		u := &upstreams[i]
		if u.Balance == nil || len(u.Balance.Buckets) == 0 {
			t.row(u.Name, u.Provider, listStatus(u, nil), ageOf(u), "", amountOf(u, ""), "", "", "")
			continue
		}
		for j := range u.Balance.Buckets {
			b := &u.Balance.Buckets[j]
			t.row(u.Name, u.Provider, listStatus(u, b), ageOf(u), b.Service, amountOf(u, b.Amount), unitWord(b.Unit, b.Currency), told(b.Min), emptyIn(b.Empty))
		}
	}
	t.flush()
}

// listStatus is what a list has for a status: that of an upstream which nobody
// asks any more is old, and would look as if it were watched.
func listStatus(u *api.Upstream, b *api.UpstreamBucket) string {
	if !u.Watched {
		return "not watched"
	}
	return statusWords(u, b)
}

// amountOf is an amount, or how the account is paid where amounts do not run out:
// zero would be an empty wallet.
func amountOf(u *api.Upstream, amount string) string {
	if b := u.Balance; b != nil && (b.Billing == api.UpstreamBillingPostpaid || b.Billing == api.UpstreamBillingUnlimited) {
		return string(b.Billing)
	}
	return amount
}

// statusWords is the status for people. That there is too little goes before that
// all is well, and not before a failure.
func statusWords(u *api.Upstream, b *api.UpstreamBucket) string {
	if u.Status == api.UpstreamStatusOk && b != nil && b.BelowMin {
		return "below min"
	}
	return strings.ReplaceAll(string(u.Status), "_", " ")
}

// upstreamColour is red for what needs a person, and yellow for what may pass.
func upstreamColour(words string) string {
	switch words {
	case "ok":
		return "32"
	case "below min", "unauthorized", "ip denied", "suspended", "invalid request":
		return "31"
	case "pending":
		return ""
	default:
		return "33"
	}
}

func ageOf(u *api.Upstream) string {
	if u.Balance == nil {
		return ""
	}
	return spanText(u.Balance.AgeSeconds)
}

// unitWord is what an amount counts: a currency, or credits.
func unitWord(unit api.UpstreamUnit, currency string) string {
	if unit == api.UpstreamUnitCredits {
		return string(unit)
	}
	return currency
}

// told is what a provider may not tell.
func told(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// emptyIn is a forecast in a word or a time, "" where there is none.
func emptyIn(f *api.Forecast) string {
	switch {
	case f == nil:
		return ""
	case f.Outlook == api.ForecastOutlookReached:
		return "now"
	case f.Outlook == api.ForecastOutlookIdle:
		return "over a year"
	case f.InSeconds == nil:
		return string(f.Outlook)
	default:
		return spanText(*f.InSeconds)
	}
}

// spanText is a span of time in its two largest units.
func spanText(seconds int64) string {
	minutes, hours, days := seconds/60, seconds/3600, seconds/86400
	switch {
	case minutes == 0:
		return fmt.Sprintf("%ds", seconds)
	case hours == 0:
		return fmt.Sprintf("%dm", minutes)
	case days == 0:
		return fmt.Sprintf("%dh %dm", hours, minutes%60)
	default:
		return fmt.Sprintf("%dd %dh", days, hours%24)
	}
}

// upstreamArg is the upstream that a command is about.
type upstreamArg struct {
	Name string `arg:"" help:"Name of the upstream, as in the configuration of the server."`
}

// upstreamShow is "saldo upstream show".
type upstreamShow struct {
	Upstream upstreamArg `embed:""`

	Globals
}

// Help shows examples.
func (*upstreamShow) Help() string {
	return `The last balance stays through failures, with its age. EARLIEST is by the fastest day of the last
week, or by what is spent now: the time to warn by. LATEST is by the slowest day. LOW is when the
minimum is reached.

Examples:
  saldo upstream show antgst-sms
  saldo upstream show antgst-sms --output json`
}

// Run shows the upstream.
func (c *upstreamShow) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		upstream, err := saldo.Upstream(ctx, c.Upstream.Name)
		if err != nil {
			return err
		}
		p.show(upstream, func() { p.upstream(&upstream) })
		return nil
	})
}

// bucketColumns are those of an upstream's balances. What no provider tells is left out.
var bucketColumns = []Column{
	{Title: "SERVICE"},
	{Title: "BALANCE", Right: true, Colour: amountColour},
	{Title: "CURRENCY"},
	{Title: "CREDIT LIMIT", Right: true},
	{Title: "AVAILABLE", Right: true, Colour: amountColour},
	{Title: "PENDING", Right: true},
	{Title: "MIN", Right: true},
	{Title: "SPENT/HOUR", Right: true},
	{Title: "LATELY", Right: true},
	{Title: "EMPTY IN", Right: true},
	{Title: "EMPTY"},
	{Title: "EARLIEST"},
	{Title: "LATEST"},
	{Title: "LOW"},
	{Title: "NOTE"},
}

func (p *printer) upstream(u *api.Upstream) {
	watched, interval, failures := "no: it is not in the configuration of this server", "", ""
	if u.Watched {
		watched = "yes"
	}
	if u.IntervalSeconds > 0 {
		interval = (time.Duration(u.IntervalSeconds) * time.Second).String()
	}
	if u.Failures > 0 {
		failures = strconv.Itoa(u.Failures)
	}
	head := []string{
		"name", u.Name, "provider", u.Provider, "status", statusWords(u, nil), "code", u.Code, "message", u.Message,
		"failures", failures, "watched", watched, "asked", told(u.AskedAt), "next", u.DueAt, "interval", interval,
	}
	b := u.Balance
	if b == nil {
		p.fields(head...)
		return
	}
	p.fields(append(head, "read", b.At, "age", spanText(b.AgeSeconds), "account", b.Account, "billing", string(b.Billing))...)
	var rows [][]string
	for i := range b.Buckets {
		rows = append(rows, bucketCells(&b.Buckets[i]))
	}
	if rows != nil {
		p.write("\n")
		p.dense(bucketColumns, rows)
	}
}

func bucketCells(b *api.UpstreamBucket) []string {
	empty, low := cmp.Or(b.Empty, &api.Forecast{}), cmp.Or(b.Low, &api.Forecast{})
	note := empty.Reason
	if empty.Burst {
		note = "spent much faster than usual"
	}
	spend, recent := empty.SpendPerHour, empty.RecentPerHour
	if empty.Outlook == api.ForecastOutlookUnknown {
		spend, recent = "", "" // zeroes would say that nothing is spent
	}
	return []string{
		b.Service, b.Amount, unitWord(b.Unit, b.Currency), told(b.CreditLimit), told(b.Available), told(b.Pending), told(b.Min),
		spend, recent, emptyIn(b.Empty), about(empty.At), about(empty.Earliest), about(empty.Latest), about(low.At), note,
	}
}

// about is a time that is forecast: to the minute, for more would be pretence.
func about(at *string) string {
	const minutes = len("2026-11-22T09:30")
	text := told(at)
	if len(text) < minutes {
		return text
	}
	return text[:minutes] + "Z"
}

// upstreamReadings is "saldo upstream readings".
type upstreamReadings struct {
	Upstream upstreamArg   `embed:""`
	From     string        `placeholder:"TIME" help:"Where it starts: 2026-11-01, or 2026-11-01T09:30:00Z. By default 24 hours before its end."`
	To       string        `placeholder:"TIME" help:"Where it ends; this time itself is no longer in it. By default now."`
	TimeZone string        `name:"tz" placeholder:"ZONE" help:"Where days begin, such as Asia/Ho_Chi_Minh; by default UTC."`
	Step     time.Duration `placeholder:"DURATION" help:"Show only the last reading of each step, such as 10m or 1h; by default every one."`
	Service  string        `placeholder:"NAME" help:"Only this service, such as sms."`
	Currency string        `placeholder:"CODE" help:"Only this currency."`
	Limit    *uint         `placeholder:"N" help:"Stop after this many readings; 0 shows all. By default 100 in a table, and all otherwise."`

	Connection `embed:""`
	Deadline   `embed:""`
	Output     string `short:"o" default:"table" enum:"table,json,csv,ndjson" env:"SALDO_OUTPUT" help:"table, json, csv or ndjson (default ${default})."`
}

// Help shows examples.
func (*upstreamReadings) Help() string {
	return `Readings come oldest first. Those of more than eight days ago are thinned to one in an hour. RISE
marks that more could be spent than before: a top-up, most likely.

Examples:
  saldo upstream readings antgst-sms
  saldo upstream readings antgst-sms --step 1h --from 2026-11-01 --to 2026-12-01 --tz Asia/Ho_Chi_Minh
  saldo upstream readings antgst-sms --service sms --from 2026-11-01 --output csv > november.csv`
}

// Validate checks what kong's tags cannot say.
func (c *upstreamReadings) Validate() error {
	if c.Step < 0 || c.Step > 31*24*time.Hour || c.Step%time.Second != 0 {
		return errors.New("--step is whole seconds, at most 31 days (744h)")
	}
	return nil
}

// Run shows the readings.
func (c *upstreamReadings) Run(ctx context.Context, streams Streams) error {
	query := client.ReadingsQuery{From: c.From, To: c.To, TimeZone: c.TimeZone, Step: c.Step, Service: c.Service, Currency: c.Currency}
	return c.session(ctx, streams, c.Timeout, c.Output, func(ctx context.Context, saldo *client.Client, p *printer) error {
		limit := uint(0)
		if c.Output == "table" {
			limit = rowsByDefault
		}
		if c.Limit != nil {
			limit = *c.Limit
		}
		pages := saldo.UpstreamReadings(ctx, c.Upstream.Name, query)
		switch c.Output {
		case "csv":
			return p.readingsFile(pages, limit, readingsHeader, csvLines(p))
		case "ndjson":
			return p.readingsFile(pages, limit, "", p.jsonLine)
		default:
			return p.readings(pages, limit)
		}
	})
}
