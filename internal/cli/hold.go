package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// holdCommands is "saldo hold".
type holdCommands struct {
	Place   holdPlace   `cmd:"" group:"client" help:"Reserve money of a wallet."`
	Show    holdShow    `cmd:"" group:"client" help:"Show a hold."`
	Get     holdShow    `cmd:"" group:"client" hidden:"" help:"Show a hold."` // the same, for those who know it by this name
	List    holdList    `cmd:"" group:"client" help:"List holds of a wallet, or with a reference."`
	Capture holdCapture `cmd:"" group:"client" help:"Charge what a hold reserves."`
	Release holdRelease `cmd:"" group:"client" help:"Give back what a hold reserves."`
	Extend  holdExtend  `cmd:"" group:"client" help:"Let a hold expire later."`
	Settle  holdSettle  `cmd:"" group:"client" help:"Settle holds by delivery reports."`
}

// holdPlace is "saldo hold place".
type holdPlace struct {
	ExpiresIn *seconds `placeholder:"DURATION" help:"When the hold ends by itself: 90s, 2h or 7d, at most 30d; by default 1d."`
	Movement  movement `embed:""`
}

// Help shows examples.
func (*holdPlace) Help() string {
	return `What is held is no longer available, and still in the balance. The id of the hold is that of the
transaction. Its reference is the name by which "saldo hold settle" finds it.

Examples:
  saldo hold place 9999 sms 0.0766 --reference msg-18
  saldo hold place 9999 voip 1.5 --expires-in 2h --idempotency-key call-9`
}

// Run places the hold.
func (c *holdPlace) Run(ctx context.Context, streams Streams) error {
	m := &c.Movement
	return m.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Hold(ctx, key, api.HoldRequest{
			Account: api.AccountID(m.Account), Wallet: m.Wallet, Amount: m.Amount, ExpiresIn: (*int)(c.ExpiresIn),
			Reference: m.Posting.Reference, Metadata: m.Posting.Metadata,
		})
	})
}

// holdShow is "saldo hold show".
type holdShow struct {
	ID string `arg:"" name:"id" help:"Id of the hold."`

	Globals
}

// Help shows examples.
func (*holdShow) Help() string {
	return `Examples:
  saldo hold show 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34`
}

// Run shows the hold.
func (c *holdShow) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		hold, err := saldo.GetHold(ctx, c.ID)
		if err == nil {
			p.hold(hold)
		}
		return err
	})
}

// holdList is "saldo hold list".
type holdList struct {
	Account   accountID `arg:"" optional:"" help:"Number of the account."`
	Wallet    string    `arg:"" optional:"" help:"Name of the wallet."`
	State     string    `enum:",open,captured,released,expired" default:"" placeholder:"STATE" help:"Only holds in this state: open, captured, released or expired. A wallet's are open ones by default."`
	Reference string    `placeholder:"TEXT" help:"Only holds that were placed with this reference."`
	Limit     uint      `default:"100" placeholder:"N" help:"Stop after this many holds; 0 lists all (default ${default})."`

	Globals
}

// Help shows examples.
func (*holdList) Help() string {
	return `Name a wallet, or a reference, or both. Holds come oldest first.

Examples:
  saldo hold list 9999 sms
  saldo hold list 9999 sms --state expired --limit 0
  saldo hold list --reference msg-18`
}

// Validate checks what kong's tags cannot say.
func (c *holdList) Validate() error {
	if c.Reference == "" && c.Wallet == "" {
		return errors.New("name an account and a wallet, or a --reference")
	}
	return nil
}

// Run lists the holds.
func (c *holdList) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		holds := saldo.Holds(ctx, client.HoldFilter{
			Account: api.AccountID(c.Account), Wallet: c.Wallet, State: api.HoldStatus(c.State), Reference: c.Reference,
		})
		t := p.table(text("ID"), status("STATUS"), figure("ACCOUNT"), text("WALLET"),
			money("AMOUNT"), money("CAPTURED"), money("REMAINING"), text("EXPIRES"), text("REFERENCE"))
		return list(p, holds, c.Limit, t, func(h api.Hold) {
			t.row(h.ID, string(h.Status), accountText(h.Account), h.Wallet, h.Amount, h.Captured, h.Remaining, h.ExpiresAt, h.Reference)
		})
	})
}

// holdArgs are what the commands have in common that change a hold.
type holdArgs struct {
	ID string `arg:"" name:"id" help:"Id of the hold."`
}

// holdCapture is "saldo hold capture".
type holdCapture struct {
	Hold     holdArgs `embed:""`
	Amount   *string  `arg:"" optional:"" help:"How much is charged; by default all that the hold still has."`
	KeepOpen bool     `help:"Keep the rest reserved, for more to be captured; by default it is released."`

	Posting posting `embed:""`
}

// Help shows examples.
func (*holdCapture) Help() string {
	return `More than what is held can be captured where the wallet has it available. The transaction has the
reference of the hold unless it is given one of its own.

Examples:
  saldo hold capture 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34
  saldo hold capture 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34 0.0383
  saldo hold capture 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34 0.1 --keep-open --idempotency-key call-9-minute-1`
}

// Run captures the hold.
func (c *holdCapture) Run(ctx context.Context, streams Streams) error {
	request := api.CaptureRequest{Amount: c.Amount, Reference: c.Posting.Reference, Metadata: c.Posting.Metadata}
	if c.KeepOpen {
		request.Final = new(false)
	}
	return c.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Capture(ctx, key, c.Hold.ID, request)
	})
}

// holdRelease is "saldo hold release".
type holdRelease struct {
	Hold    holdArgs `embed:""`
	Posting posting  `embed:""`
}

// Help shows examples.
func (*holdRelease) Help() string {
	return `Nothing is charged, and what the hold still has is available again.

Examples:
  saldo hold release 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34`
}

// Run releases the hold.
func (c *holdRelease) Run(ctx context.Context, streams Streams) error {
	return c.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Release(ctx, key, c.Hold.ID, api.ReleaseRequest{Reference: c.Posting.Reference, Metadata: c.Posting.Metadata})
	})
}

// holdExtend is "saldo hold extend".
type holdExtend struct {
	Hold      holdArgs `embed:""`
	ExpiresIn seconds  `arg:"" help:"When it ends by itself, counted from now: 90s, 2h or 7d, at most 30d."`

	Posting posting `embed:""`
}

// Help shows examples.
func (*holdExtend) Help() string {
	return `A hold is never made shorter: one that would last longer already stays as it is.

Examples:
  saldo hold extend 9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34 2h`
}

// Run extends the hold.
func (c *holdExtend) Run(ctx context.Context, streams Streams) error {
	return c.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Extend(ctx, key, c.Hold.ID, api.ExtendRequest{
			ExpiresIn: int(c.ExpiresIn), Reference: c.Posting.Reference, Metadata: c.Posting.Metadata,
		})
	})
}

// hold shows a hold.
func (p *printer) hold(h api.Hold) {
	p.show(h, func() {
		p.fields("hold", h.ID, "status", string(h.Status), "account", accountText(h.Account), "reference", h.Reference,
			"created", h.CreatedAt, "expires", h.ExpiresAt, "closed", h.ClosedAt)
		t := p.table(text("WALLET"), money("AMOUNT"), money("CAPTURED"), money("REMAINING"))
		t.row(h.Wallet, h.Amount, h.Captured, h.Remaining)
		p.write("\n")
		t.flush()
	})
}

// maxSeconds is how long a hold can be kept at most, by the contract.
const maxSeconds = 30 * 24 * 60 * 60

// seconds reads a duration of whole seconds. The standard library's reader of
// durations knows no days, and of those a hold may last thirty.
type seconds int

// UnmarshalText makes kong read seconds.
func (s *seconds) UnmarshalText(text []byte) error {
	var duration time.Duration
	var err error
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		duration = time.Duration(n) * 24 * time.Hour
	} else {
		duration, err = time.ParseDuration(string(text))
	}
	if err != nil || duration < time.Second || duration > maxSeconds*time.Second || duration%time.Second != 0 {
		return fmt.Errorf("a hold lasts from 1s to 30d, in whole seconds, not %q", text)
	}
	*s = seconds(duration / time.Second)
	return nil
}
