package cli

import (
	"context"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// transactionCommands is "saldo transaction".
type transactionCommands struct {
	Show transactionShow `cmd:"" group:"client" help:"Show a transaction."`
	Get  transactionShow `cmd:"" group:"client" hidden:"" help:"Show a transaction."` // the same, for those who know it by this name
	Find transactionFind `cmd:"" group:"client" help:"Find transactions by reference or idempotency key."`
}

// transactionShow is "saldo transaction show".
type transactionShow struct {
	ID string `arg:"" name:"id" help:"Id of the transaction."`

	Globals
}

// Help shows examples.
func (*transactionShow) Help() string {
	return `A rejected transaction is shown too, with the reason.

Examples:
  saldo transaction show 5c146b14-3c52-8afd-938a-375d0df1fbf6`
}

// Run shows the transaction.
func (c *transactionShow) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		transaction, err := saldo.Transaction(ctx, c.ID)
		if err == nil {
			p.transaction(transaction)
		}
		return err
	})
}

// transactionFind is "saldo transaction find".
type transactionFind struct {
	Reference      string    `required:"" xor:"name" placeholder:"TEXT" help:"Find the transactions with this reference."`
	IdempotencyKey string    `required:"" xor:"name" placeholder:"KEY" help:"Find the transaction with this idempotency key."`
	Account        accountID `placeholder:"N" help:"Only those of this account; with --idempotency-key, whose key it is, by default the operator's own."`
	Limit          uint      `default:"100" placeholder:"N" help:"Stop after this many transactions; 0 lists all (default ${default})."`

	Globals
}

// Help shows examples.
func (*transactionFind) Help() string {
	return `Posted and rejected transactions are found, oldest first. A customer's key finds those of its own
account.

Examples:
  saldo transaction find --reference msg-17
  saldo transaction find --reference msg-17 --account 9999 --output json
  saldo transaction find --idempotency-key invoice-2026-118`
}

// Run lists what is found.
func (c *transactionFind) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		found := saldo.FindTransactions(ctx, client.TransactionFilter{
			Reference: c.Reference, IdempotencyKey: c.IdempotencyKey, Account: api.AccountID(c.Account),
		})
		t := p.table(text("ID"), status("STATUS"), text("TYPE"), figure("ACCOUNT"), text("WALLET"),
			money("AMOUNT"), money("BALANCE"), text("CREATED"), text("REFERENCE"))
		return list(p, found, c.Limit, t, func(f api.Transaction) {
			t.row(f.ID, string(f.Status), string(f.Type), accountText(f.Account), f.Wallet, f.Amount, f.Balance, f.CreatedAt, f.Reference)
		})
	})
}

// transaction shows a transaction.
func (p *printer) transaction(t api.Transaction) {
	p.show(t, func() {
		fields := []string{
			"transaction", t.ID, "status", string(t.Status), "rejection", string(t.Rejection), "type", string(t.Type),
			"account", accountText(t.Account), "to account", accountText(t.ToAccount), "to wallet", t.ToWallet,
			"charge", t.Charge,
		}
		if t.Hold != nil {
			fields = append(fields, "hold", t.Hold.ID, "hold status", string(t.Hold.Status), "remaining", t.Hold.Remaining, "expires", t.Hold.ExpiresAt)
		}
		if t.SpendCap != nil {
			fields = append(fields, "left today", t.SpendCap.DailyRemaining, "left this month", t.SpendCap.MonthlyRemaining)
		}
		p.fields(append(fields,
			"batch", t.Batch, "reference", t.Reference, "metadata", metadataText(t.Metadata), "created", t.CreatedAt)...)
		wallet := p.table(text("WALLET"), money("AMOUNT"), money("BALANCE"), money("HELD"), money("AVAILABLE"))
		wallet.row(t.Wallet, t.Amount, t.Balance, t.Held, t.Available)
		p.write("\n")
		wallet.flush()
	})
}
