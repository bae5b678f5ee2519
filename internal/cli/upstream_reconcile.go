package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// upstreamReconcile is "saldo upstream reconcile".
type upstreamReconcile struct {
	Upstream upstreamArg `embed:""`
	From     string      `placeholder:"TIME" help:"Where it starts: 2026-11-01, or 2026-11-01T09:30:00Z. By default 30 days before its end."`
	To       string      `placeholder:"TIME" help:"Where it ends. By default now."`
	TimeZone string      `name:"tz" placeholder:"ZONE" help:"Where days begin, such as Asia/Ho_Chi_Minh; by default UTC."`

	Globals
}

// Help shows examples.
func (*upstreamReconcile) Help() string {
	return `Compares what the balance at a provider fell by with what the ledger charged through it: whatever has
the upstream's name in the metadata member "upstream", or whose hold or charge has it.

The range is cut at the readings that end each day, so both sides are of exactly the same times. MARGIN
is what was charged, net of refunds, less what was spent; it needs one currency on both sides. DRIFT is
what the provider took in an interval beyond its part, had all charges cost it the same part. It is in
the provider's unit, and all drifts add up to zero: look where it is large, for messages that nobody
was charged for, or for a changed price.

Examples:
  saldo charge 1042 sms 0.0383 --metadata upstream=antgst-sms
  saldo upstream reconcile antgst-sms
  saldo upstream reconcile antgst-sms --from 2026-11-01 --to 2026-12-01 --tz Asia/Ho_Chi_Minh
  saldo upstream reconcile antgst-sms --from 2026-11-01 --output json`
}

// Run shows the comparison.
func (c *upstreamReconcile) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		query := client.ReconcileQuery{From: c.From, To: c.To, TimeZone: c.TimeZone}
		found, err := saldo.ReconcileUpstream(ctx, c.Upstream.Name, query)
		if err != nil {
			return err
		}
		p.show(found, func() { p.reconciliation(&found) })
		return nil
	})
}

func (p *printer) reconciliation(r *api.Reconciliation) {
	p.fields("upstream", r.Upstream, "from", r.From, "to", r.To, "time zone", r.TimeZone)
	for i := range r.Buckets {
		p.write("\n")
		p.reconciledBucket(&r.Buckets[i])
	}
	if len(r.Buckets) == 0 {
		p.notef("note: there are no readings in this range")
	}
	if len(r.Unmatched) > 0 {
		p.notef("note: these charges are held against no balance:")
		for _, row := range r.Unmatched {
			p.notef("  %s %s for %s", row.Net, row.Currency, clean(row.Wallet))
		}
	}
}

func (p *printer) reconciledBucket(b *api.ReconciledBucket) {
	word := unitWord(b.Unit, b.Currency)
	drift := ""
	if d := b.LargestDrift; d != nil {
		drift = with(d.Drift, word) + " from " + d.From + " to " + d.To
	}
	p.fields("service", b.Service, "opening", with(b.Opening.Amount, word)+" at "+b.Opening.At, "closing", with(b.Closing.Amount, word)+" at "+b.Closing.At,
		"topped up", with(b.ToppedUp, word), "spent", with(b.Spent, word), "charged", chargedText(b.Charges), "margin", marginText(b, word),
		"largest drift", drift, "note", b.Reason)
	if len(b.Rows) == 0 {
		return
	}
	p.write("\n")
	t := p.table(text("FROM"), text("TO"), figure("TOPPED UP"), figure("SPENT"), money("CHARGED"), figure("COUNT"), figure("COST EACH"), money("DRIFT"))
	for i := range b.Rows {
		r := &b.Rows[i]
		t.row(r.From, r.To, r.ToppedUp, r.Spent, told(r.Net), strconv.FormatInt(r.Count, 10), told(r.CostPerCharge), told(r.Drift))
	}
	t.flush()
}

// with is an amount with what it counts, where that is known.
func with(amount, word string) string { return strings.TrimSpace(amount + " " + word) }

// marginText is the margin with its part of the charges, "" where there is none.
func marginText(b *api.ReconciledBucket, word string) string {
	if b.Margin == nil {
		return ""
	}
	text := with(*b.Margin, word)
	if b.MarginPercent != nil {
		text += " (" + *b.MarginPercent + " %)"
	}
	return text
}

// chargedText lists what was charged in which wallets, net of refunds.
func chargedText(charges []api.UsageRow) string {
	var parts []string
	for i := range charges {
		c := &charges[i]
		parts = append(parts, c.Net+" "+c.Currency+" for "+c.Wallet+" ("+strconv.FormatInt(c.Count, 10)+")")
	}
	return strings.Join(parts, ", ")
}
