package cli

import (
	"context"
	"crypto/rand"
	"regexp"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// posting is what all commands that post a transaction have in common.
type posting struct {
	IdempotencyKey string       `placeholder:"KEY" help:"Your name for this movement, which then happens once however often the command is repeated. By default a random one."`
	Reference      string       `placeholder:"TEXT" help:"Your own name for what is paid, such as a message id."`
	Metadata       api.Metadata `placeholder:"NAME=VALUE" mapsep:"none" help:"Data of your own; may be repeated."`

	Globals
}

// post posts a transaction with the key that send is given.
//
// The idempotency key is known before anything is sent, because the one moment
// in which it matters is the one after which nothing more can be printed.
func (c *posting) post(ctx context.Context, streams Streams, send func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error)) error {
	key, sent := c.IdempotencyKey, false
	if key == "" {
		key = "cli-" + rand.Text()
	}
	err := c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		if c.IdempotencyKey == "" && !p.json {
			p.notef("note: to repeat this command safely, add %s", repeatFlag(key))
		}
		sent = true
		posted, err := send(ctx, saldo, key)
		if err != nil {
			return err
		}
		if posted.Replayed {
			p.notef("note: an earlier command with this idempotency key moved the money; this one moved nothing")
		}
		p.transaction(posted.Transaction)
		return nil
	})
	if err == nil || !sent || decided(err) {
		return err
	}
	failure := *describe(err)
	failure.Hints = append(slices.Clip(failure.Hints),
		"the money may have moved; to find out, and to move it once in any case, repeat the command with "+repeatFlag(key))
	return &failure
}

// movement is what all commands that move money of a named wallet have in common.
type movement struct {
	Account accountID `arg:"" help:"Number of the account."`
	Wallet  string    `arg:"" help:"Name of the wallet: sms, voip or another service."`
	Amount  string    `arg:"" help:"Decimal number with at most six digits after the point."`

	Posting posting `embed:""`
}

// post posts a movement of the given kind; to is for transfers only.
func (m *movement) post(ctx context.Context, streams Streams, kind api.TransactionType, toAccount accountID, toWallet string) error {
	return m.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Post(ctx, key, api.TransactionRequest{
			Account: api.AccountID(m.Account), Wallet: m.Wallet, Type: kind, Amount: &m.Amount,
			ToAccount: api.AccountID(toAccount), ToWallet: toWallet,
			Reference: m.Posting.Reference, Metadata: m.Posting.Metadata,
		})
	})
}

// plainKey is an idempotency key that every shell leaves alone.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9._:/@+-]+$`)

// repeatFlag is the flag to repeat a movement with, ready to paste.
func repeatFlag(key string) string {
	if !plainKey.MatchString(key) {
		key = "'" + strings.ReplaceAll(key, "'", `'\''`) + "'"
	}
	return "--idempotency-key=" + key
}

// topupCommand is "saldo topup".
type topupCommand struct {
	Movement movement `embed:""`
}

// Help shows examples.
func (*topupCommand) Help() string {
	return `Examples:
  saldo topup 9999 sms 500
  saldo topup 9999 sms 500 --idempotency-key invoice-2026-118 --metadata invoice=2026-118`
}

// Run posts the top-up.
func (c *topupCommand) Run(ctx context.Context, streams Streams) error {
	return c.Movement.post(ctx, streams, api.TransactionTypeTopup, 0, "")
}

// chargeCommand is "saldo charge".
type chargeCommand struct {
	Movement movement `embed:""`
}

// Help shows examples.
func (*chargeCommand) Help() string {
	return `A charge of more than what is available is rejected, and the exit status is 3.

Examples:
  saldo charge 9999 sms 0.0383 --reference msg-17
  saldo charge 9999 sms 0.0383 --idempotency-key msg-17 --output json`
}

// Run posts the charge.
func (c *chargeCommand) Run(ctx context.Context, streams Streams) error {
	return c.Movement.post(ctx, streams, api.TransactionTypeCharge, 0, "")
}

// refundCommand is "saldo refund".
type refundCommand struct {
	Charge string `arg:"" help:"Id of the charge, or of the capture, that is given back."`
	Amount string `arg:"" help:"How much of it: a decimal number with at most six digits after the point."`

	Posting posting `embed:""`
}

// Help shows examples.
func (*refundCommand) Help() string {
	return `The money goes back to the wallet that was charged. The refunds of one charge are never more than
the charge: money beyond that is given by an adjustment. "saldo transaction find" finds the id.

Examples:
  saldo refund 5c146b14-3c52-8afd-938a-375d0df1fbf6 0.0383
  saldo refund 5c146b14-3c52-8afd-938a-375d0df1fbf6 0.01 --idempotency-key refund-msg-17`
}

// Run posts the refund.
func (c *refundCommand) Run(ctx context.Context, streams Streams) error {
	return c.Posting.post(ctx, streams, func(ctx context.Context, saldo *client.Client, key string) (client.Posted, error) {
		return saldo.Post(ctx, key, api.TransactionRequest{
			Type: api.TransactionTypeRefund, Charge: c.Charge, Amount: &c.Amount, Reference: c.Posting.Reference, Metadata: c.Posting.Metadata,
		})
	})
}

// adjustCommand is "saldo adjust".
type adjustCommand struct {
	Movement movement `embed:""`
}

// Help shows examples.
func (*adjustCommand) Help() string {
	return `The sign of the amount says which way the money goes. A negative amount may stand after the
wallet like any other; directly after a flag it needs -- before it, at the end of the line.

Examples:
  saldo adjust 9999 sms 5 --reference "goodwill"
  saldo adjust 9999 sms -5 --reference "booked twice"
  saldo adjust 9999 sms --allow-plain-http -- -5`
}

// Run posts the adjustment.
func (c *adjustCommand) Run(ctx context.Context, streams Streams) error {
	return c.Movement.post(ctx, streams, api.TransactionTypeAdjustment, 0, "")
}

// transferCommand is "saldo transfer".
type transferCommand struct {
	Movement  movement  `embed:""`
	ToAccount accountID `required:"" placeholder:"N" help:"The account that the money goes to."`
	ToWallet  string    `placeholder:"WALLET" help:"The wallet that it goes to; by default the one of the same name."`
}

// Help shows examples.
func (*transferCommand) Help() string {
	return `Both wallets have the same currency.

Examples:
  saldo transfer 9999 sms 20 --to-account 9999 --to-wallet voip
  saldo transfer 9999 sms 20 --to-account 1042`
}

// Run posts the transfer.
func (c *transferCommand) Run(ctx context.Context, streams Streams) error {
	return c.Movement.post(ctx, streams, api.TransactionTypeTransfer, c.ToAccount, c.ToWallet)
}
