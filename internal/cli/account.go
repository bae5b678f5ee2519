package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// accountCommands is "saldo account".
type accountCommands struct {
	Create   accountCreate   `cmd:"" group:"client" help:"Create an account."`
	List     accountList     `cmd:"" group:"client" help:"List accounts with their wallets."`
	Show     accountShow     `cmd:"" group:"client" help:"Show an account with its wallets."`
	Set      accountSet      `cmd:"" group:"client" help:"Change an account's name, time zone and the like."`
	Suspend  accountSuspend  `cmd:"" group:"client" help:"Stop an account from spending."`
	Activate accountActivate `cmd:"" group:"client" help:"Let a suspended account spend again."`
	Close    accountClose    `cmd:"" group:"client" help:"Close an account to all movements."`
}

// accountCreate is "saldo account create".
type accountCreate struct {
	Name              string       `required:"" placeholder:"NAME" help:"The customer's name."`
	Currency          string       `required:"" placeholder:"CODE" help:"ISO 4217 code such as CNY. It never changes."`
	ID                accountID    `name:"id" placeholder:"N" help:"Number of the account; by default the server chooses."`
	ExternalReference string       `placeholder:"TEXT" help:"Your own, unique name for the customer."`
	Metadata          api.Metadata `placeholder:"NAME=VALUE" mapsep:"none" help:"Data of your own; may be repeated."`
	TimeZone          string       `placeholder:"ZONE" help:"Where the account's days and months begin, such as Asia/Ho_Chi_Minh; by default UTC."`
	ChargeOn          chargeOn     `placeholder:"STATE,..." help:"States of delivery reports that charge a message, or none; by default DELIVRD,ACCEPTD."`

	Globals
}

// Help shows examples.
func (*accountCreate) Help() string {
	return `The account starts with the empty wallets sms and voip. A request with --id or
--external-reference can be repeated safely: the second one is rejected.

Examples:
  saldo account create --name "Lotus Travel" --currency CNY
  saldo account create --name "Lotus Travel" --currency CNY --id 9999 --external-reference crm-77
  saldo account create --name "Red River" --currency VND --time-zone Asia/Ho_Chi_Minh --charge-on DELIVRD
  saldo account create --name Test --currency VND --metadata tier=gold --metadata region=south -o json`
}

// Run creates the account.
func (c *accountCreate) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.CreateAccount(ctx, api.AccountRequest{
			ID: api.AccountID(c.ID), Name: c.Name, Currency: c.Currency,
			ExternalReference: c.ExternalReference, Metadata: c.Metadata,
			TimeZone: c.TimeZone, ChargeOn: c.ChargeOn.states,
		})
		if err == nil {
			p.account(account)
		}
		return err
	})
}

// accountList is "saldo account list".
type accountList struct {
	Limit uint `default:"100" placeholder:"N" help:"Stop after this many accounts; 0 lists all (default ${default})."`

	Globals
}

// Help shows examples.
func (*accountList) Help() string {
	return `Accounts come in the order of their numbers, with a row for each wallet. For a very long list
give --timeout 0 as well.

Examples:
  saldo account list
  saldo account list --limit 0 --timeout 0 --output json`
}

// Run lists the accounts.
func (c *accountList) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		// The name is last, because its width on a terminal is not known: it may be in any script.
		t := p.table(figure("ID"), status("STATUS"), text("CURRENCY"), text("WALLET"),
			money("BALANCE"), money("HELD"), money("AVAILABLE"), text("NAME"))
		return list(p, saldo.Accounts(ctx), c.Limit, t, func(a api.Account) {
			for _, w := range a.Wallets {
				t.row(accountText(a.ID), string(a.Status), a.Currency, w.Wallet, w.Balance, w.Held, w.Available, a.Name)
			}
		})
	})
}

// accountShow is "saldo account show".
type accountShow struct {
	ID accountID `arg:"" name:"id" help:"Number of the account."`

	Globals
}

// Help shows examples.
func (*accountShow) Help() string {
	return `Examples:
  saldo account show 9999
  saldo account show 9999 --output json`
}

// Run shows the account.
func (c *accountShow) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.Account(ctx, api.AccountID(c.ID))
		if err == nil {
			p.account(account)
		}
		return err
	})
}

// accountSet is "saldo account set".
type accountSet struct {
	ID                accountID    `arg:"" name:"id" help:"Number of the account."`
	Name              *string      `placeholder:"NAME" help:"The customer's name."`
	ExternalReference *string      `placeholder:"TEXT" help:"Your own, unique name for the customer; \"\" takes it away."`
	Metadata          api.Metadata `xor:"metadata" placeholder:"NAME=VALUE" mapsep:"none" help:"Data of your own, in place of all that was there; may be repeated."`
	NoMetadata        bool         `xor:"metadata" help:"Take all metadata away."`
	TimeZone          *string      `placeholder:"ZONE" help:"Where the account's days and months begin, such as Asia/Ho_Chi_Minh."`
	ChargeOn          chargeOn     `placeholder:"STATE,..." help:"States of delivery reports that charge a message, or none. The other final ones release it."`

	Globals
}

// Help shows examples.
func (*accountSet) Help() string {
	return `Only what is named is changed. The states of delivery reports are those of SMPP: ENROUTE, DELIVRD,
EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN and REJECTD.

Examples:
  saldo account set 9999 --name "Lotus Travel" --time-zone Asia/Ho_Chi_Minh
  saldo account set 9999 --charge-on DELIVRD,ACCEPTD,UNDELIV
  saldo account set 9999 --external-reference "" --no-metadata`
}

// Validate refuses a command that changes nothing.
func (c *accountSet) Validate() error {
	if c.Name == nil && c.ExternalReference == nil && c.Metadata == nil && !c.NoMetadata && c.TimeZone == nil && c.ChargeOn.states == nil {
		return errors.New("name at least one thing to change")
	}
	return nil
}

// Run changes the account.
func (c *accountSet) Run(ctx context.Context, streams Streams) error {
	patch := api.AccountPatch{
		Name: c.Name, ExternalReference: c.ExternalReference, Metadata: c.Metadata, TimeZone: c.TimeZone, ChargeOn: c.ChargeOn.states,
	}
	if c.NoMetadata {
		patch.Metadata = map[string]string{}
	}
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.UpdateAccount(ctx, api.AccountID(c.ID), patch)
		if err == nil {
			p.account(account)
		}
		return err
	})
}

// chargeOn reads states of delivery reports. "none" is the empty list, and no
// flag at all is nil.
type chargeOn struct{ states api.ChargeOn }

// UnmarshalText makes kong read a chargeOn.
func (c *chargeOn) UnmarshalText(text []byte) error {
	c.states = api.ChargeOn{}
	if string(text) == "none" {
		return nil
	}
	for name := range strings.SplitSeq(string(text), ",") {
		state := api.DeliveryState(strings.TrimSpace(name))
		if !state.Valid() {
			return fmt.Errorf("%q is no state of a delivery report (ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD), nor none", name)
		}
		c.states = append(c.states, state)
	}
	return nil
}

// accountStatus is what the commands that change a status have in common.
type accountStatus struct {
	ID accountID `arg:"" name:"id" help:"Number of the account."`

	Globals
}

func (c *accountStatus) set(ctx context.Context, streams Streams, status api.AccountStatus) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.UpdateAccount(ctx, api.AccountID(c.ID), api.AccountPatch{Status: &status})
		if err == nil {
			p.account(account)
		}
		return err
	})
}

// accountSuspend is "saldo account suspend".
type accountSuspend struct {
	Account accountStatus `embed:""`
}

// Help shows examples.
func (*accountSuspend) Help() string {
	return `A suspended account spends nothing, but can be paid and refunded.

Examples:
  saldo account suspend 9999`
}

// Run suspends the account.
func (c *accountSuspend) Run(ctx context.Context, streams Streams) error {
	return c.Account.set(ctx, streams, api.AccountStatusSuspended)
}

// accountActivate is "saldo account activate".
type accountActivate struct {
	Account accountStatus `embed:""`
}

// Help shows examples.
func (*accountActivate) Help() string {
	return `Examples:
  saldo account activate 9999`
}

// Run activates the account.
func (c *accountActivate) Run(ctx context.Context, streams Streams) error {
	return c.Account.set(ctx, streams, api.AccountStatusActive)
}

// accountClose is "saldo account close".
type accountClose struct {
	Account accountStatus `embed:""`
}

// Help shows examples.
func (*accountClose) Help() string {
	return `A closed account takes no movement at all. Its history stays. One with open holds cannot be
closed: capture or release them first.

Examples:
  saldo account close 9999`
}

// Run closes the account.
func (c *accountClose) Run(ctx context.Context, streams Streams) error {
	return c.Account.set(ctx, streams, api.AccountStatusClosed)
}

// account shows an account.
func (p *printer) account(a api.Account) {
	p.show(a, func() {
		p.fields(
			"account", accountText(a.ID), "name", a.Name, "status", string(a.Status), "currency", a.Currency,
			"reference", a.ExternalReference, "metadata", metadataText(a.Metadata),
			"time zone", a.TimeZone, "charge on", chargeOnText(a.ChargeOn), "created", a.CreatedAt,
		)
		p.wallets(a.Wallets)
	})
}

// chargeOnText is what charges a message, in one line.
func chargeOnText(states api.ChargeOn) string {
	if len(states) == 0 {
		return "nothing"
	}
	texts := make([]string, len(states))
	for i, state := range states {
		texts[i] = string(state)
	}
	return strings.Join(texts, ", ")
}

// accountText is an account's number; "" where there is none.
func accountText(id api.AccountID) string {
	if id == 0 {
		return ""
	}
	return strconv.Itoa(int(id))
}
