package cli

import (
	"context"
	"strconv"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// accountCommands is "saldo account".
type accountCommands struct {
	Create      accountCreate      `cmd:"" group:"client" help:"Create an account."`
	List        accountList        `cmd:"" group:"client" help:"List accounts with their wallets."`
	Show        accountShow        `cmd:"" group:"client" help:"Show an account with its wallets."`
	Suspend     accountSuspend     `cmd:"" group:"client" help:"Stop an account from spending."`
	Activate    accountActivate    `cmd:"" group:"client" help:"Let a suspended account spend again."`
	Close       accountClose       `cmd:"" group:"client" help:"Close an account to all movements."`
	CreditLimit accountCreditLimit `cmd:"" group:"client" help:"Set how far below zero a wallet may be spent."`
}

// accountCreate is "saldo account create".
type accountCreate struct {
	Name              string       `required:"" placeholder:"NAME" help:"The customer's name."`
	Currency          string       `required:"" placeholder:"CODE" help:"ISO 4217 code such as CNY. It never changes."`
	ID                accountID    `name:"id" placeholder:"N" help:"Number of the account; by default the server chooses."`
	ExternalReference string       `placeholder:"TEXT" help:"Your own, unique name for the customer."`
	Metadata          api.Metadata `placeholder:"NAME=VALUE" mapsep:"none" help:"Data of your own; may be repeated."`

	Globals
}

// Help shows examples.
func (*accountCreate) Help() string {
	return `The account starts with the empty wallets sms and voip. A request with --id or
--external-reference can be repeated safely: the second one is rejected.

Examples:
  saldo account create --name "Lotus Travel" --currency CNY
  saldo account create --name "Lotus Travel" --currency CNY --id 9999 --external-reference crm-77
  saldo account create --name Test --currency VND --metadata tier=gold --metadata region=south -o json`
}

// Run creates the account.
func (c *accountCreate) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.CreateAccount(ctx, api.AccountRequest{
			ID: api.AccountID(c.ID), Name: c.Name, Currency: c.Currency,
			ExternalReference: c.ExternalReference, Metadata: c.Metadata,
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
		t := p.table(column{title: "ID", right: true}, status("STATUS"), text("CURRENCY"), text("WALLET"),
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
	return `A closed account takes no movement at all. Its history stays.

Examples:
  saldo account close 9999`
}

// Run closes the account.
func (c *accountClose) Run(ctx context.Context, streams Streams) error {
	return c.Account.set(ctx, streams, api.AccountStatusClosed)
}

// accountCreditLimit is "saldo account credit-limit".
type accountCreditLimit struct {
	ID     accountID `arg:"" name:"id" help:"Number of the account."`
	Wallet string    `arg:"" help:"Name of the wallet: sms, voip or another service."`
	Amount string    `arg:"" help:"How far below zero the wallet may be spent; 0 for no credit."`

	Globals
}

// Help shows examples.
func (*accountCreditLimit) Help() string {
	return `A wallet that the account does not have yet is added.

Examples:
  saldo account credit-limit 9999 sms 100
  saldo account credit-limit 9999 rcs 0`
}

// Run sets the credit limit.
func (c *accountCreditLimit) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		wallet, err := saldo.PutWallet(ctx, api.AccountID(c.ID), c.Wallet, api.WalletRequest{CreditLimit: c.Amount})
		if err != nil {
			return err
		}
		p.show(wallet, func() {
			p.fields("account", accountText(wallet.Account), "currency", wallet.Currency)
			p.wallets([]api.Wallet{wallet})
		})
		return nil
	})
}

// account shows an account.
func (p *printer) account(a api.Account) {
	p.show(a, func() {
		p.fields(
			"account", accountText(a.ID), "name", a.Name, "status", string(a.Status), "currency", a.Currency,
			"reference", a.ExternalReference, "metadata", metadataText(a.Metadata), "created", a.CreatedAt,
		)
		p.wallets(a.Wallets)
	})
}

// wallets shows wallets under the fields of their account.
func (p *printer) wallets(wallets []api.Wallet) {
	t := p.table(text("WALLET"), money("BALANCE"), money("HELD"), money("CREDIT LIMIT"), money("AVAILABLE"))
	for _, w := range wallets {
		t.row(w.Wallet, w.Balance, w.Held, w.CreditLimit, w.Available)
	}
	p.write("\n")
	t.flush()
}

// accountText is an account's number; "" where there is none.
func accountText(id api.AccountID) string {
	if id == 0 {
		return ""
	}
	return strconv.Itoa(int(id))
}
