package cli

import (
	"context"
	"errors"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// balanceCommand is "saldo balance".
type balanceCommand struct {
	Account accountID `arg:"" optional:"" help:"Number of the account; by default the one that the key belongs to."`

	Globals
}

// Help shows examples.
func (*balanceCommand) Help() string {
	return `A customer's key sees its own account, without an argument. An operator's key belongs to no
account and names one. The JSON has the same form in both cases.

Examples:
  saldo balance
  saldo balance 9999
  saldo balance 9999 --output json`
}

// Run shows the balance.
func (c *balanceCommand) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		balance, err := c.read(ctx, saldo)
		if reply, ok := errors.AsType[*client.Error](err); ok && c.Account == 0 && reply.Code == api.ErrorCodeForbidden {
			// The server advises in its own terms, routes; here they are commands.
			failure := describe(err)
			failure.Hints = []string{"with an operator's key, name the account: saldo balance ACCOUNT"}
			return failure
		}
		if err != nil {
			return err
		}
		p.show(balance, func() {
			p.fields("account", accountText(balance.Account), "status", string(balance.Status), "currency", balance.Currency)
			p.wallets(balance.Wallets)
		})
		return nil
	})
}

// read gives an operator's view of an account the form of a customer's, so that
// a script need not know which key it runs with.
func (c *balanceCommand) read(ctx context.Context, saldo *client.Client) (api.Balance, error) {
	if c.Account == 0 {
		return saldo.Balance(ctx)
	}
	account, err := saldo.Account(ctx, api.AccountID(c.Account))
	return api.Balance{
		Account: account.ID, Currency: account.Currency, Status: account.Status, Wallets: account.Wallets,
	}, err
}
