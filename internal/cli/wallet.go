package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// walletCommands is "saldo wallet".
type walletCommands struct {
	Show walletShow `cmd:"" group:"client" help:"Show a wallet, as it is or as it was."`
	Get  walletShow `cmd:"" group:"client" hidden:"" help:"Show a wallet, as it is or as it was."` // the same, for those who know it by this name
	Set  walletSet  `cmd:"" group:"client" help:"Set a wallet's credit limit, status and bounds."`
	Add  walletAdd  `cmd:"" group:"client" help:"Add a wallet to an account."`
}

// walletArgs name a wallet.
type walletArgs struct {
	Account accountID `arg:"" help:"Number of the account."`
	Wallet  string    `arg:"" help:"Name of the wallet: sms, voip or another service."`
}

// walletShow is "saldo wallet show".
type walletShow struct {
	Target   walletArgs `embed:""`
	At       string     `placeholder:"TIME" help:"Show it as it was at this time: 2026-11-01, or 2026-11-01T09:30:00Z."`
	TimeZone string     `name:"tz" placeholder:"ZONE" help:"Where the day of --at begins, such as Asia/Ho_Chi_Minh; by default UTC."`

	Globals
}

// Help shows examples.
func (*walletShow) Help() string {
	return `With --at it is the wallet after its last entry at or before that time. No history is kept of
settings, so neither the credit limit nor what was available is known then.

Examples:
  saldo wallet show 9999 sms
  saldo wallet show 9999 sms --at 2026-11-01 --tz Asia/Ho_Chi_Minh
  saldo wallet show 9999 sms --at 2026-11-01T09:30:00Z --output json`
}

// Validate checks what kong's tags cannot say.
func (c *walletShow) Validate() error {
	if c.TimeZone != "" && c.At == "" {
		return errors.New("--tz is the time zone of --at")
	}
	return nil
}

// Run shows the wallet.
func (c *walletShow) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		wallet, err := saldo.WalletAt(ctx, api.AccountID(c.Target.Account), c.Target.Wallet, c.At, c.TimeZone)
		if err == nil {
			p.wallet(wallet)
		}
		return err
	})
}

// walletSettings are the flags for what an operator sets on a wallet.
type walletSettings struct {
	CreditLimit     *string `placeholder:"AMOUNT" help:"How far below zero the wallet may be spent; 0 for no credit."`
	Status          *string `enum:"active,suspended" placeholder:"STATUS" help:"active or suspended. A suspended wallet spends nothing but can be paid and refunded."`
	MinAmount       *string `placeholder:"AMOUNT" help:"The least that one charge, hold or transfer may take; 0 for no bound."`
	MaxAmount       *string `placeholder:"AMOUNT" help:"The most that one charge, hold, capture or transfer may take; 0 for no bound."`
	DailySpendCap   *string `placeholder:"AMOUNT" help:"The most that may be spent in one day of the account's time zone; 0 for no cap."`
	MonthlySpendCap *string `placeholder:"AMOUNT" help:"The most that may be spent in one month; 0 for no cap."`
}

func (s *walletSettings) patch() api.WalletPatch {
	return api.WalletPatch{
		CreditLimit: s.CreditLimit, Status: (*api.WalletStatus)(s.Status), MinAmount: s.MinAmount, MaxAmount: s.MaxAmount,
		DailySpendCap: s.DailySpendCap, MonthlySpendCap: s.MonthlySpendCap,
	}
}

// walletSet is "saldo wallet set".
type walletSet struct {
	Target   walletArgs     `embed:""`
	Settings walletSettings `embed:""`

	Globals
}

// Help shows examples.
func (*walletSet) Help() string {
	return `Only the settings that are named change. They are in force for the next transaction. What counts
as spent are charges, and holds from the moment they are placed.

Examples:
  saldo wallet set 9999 sms --credit-limit 100
  saldo wallet set 9999 sms --daily-spend-cap 50 --monthly-spend-cap 0
  saldo wallet set 9999 sms --min-amount 0.01 --max-amount 5
  saldo wallet set 9999 sms --status suspended`
}

// Validate refuses a command that changes nothing.
func (c *walletSet) Validate() error {
	if c.Settings == (walletSettings{}) {
		return errors.New("name at least one setting to change")
	}
	return nil
}

// Run changes the settings.
func (c *walletSet) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		wallet, err := saldo.UpdateWallet(ctx, api.AccountID(c.Target.Account), c.Target.Wallet, c.Settings.patch())
		if err == nil {
			p.wallet(wallet)
		}
		return err
	})
}

// walletAdd is "saldo wallet add".
type walletAdd struct {
	Target   walletArgs     `embed:""`
	Settings walletSettings `embed:""`

	Globals
}

// Help shows examples.
func (*walletAdd) Help() string {
	return `Every account has the wallets sms and voip from the start; other services have a wallet of their
own. A wallet is never taken away.

Examples:
  saldo wallet add 9999 rcs
  saldo wallet add 9999 rcs --credit-limit 100`
}

// Run adds the wallet. The API would set a wallet that exists to the settings
// of the request, and to defaults where it has none, so that one is left alone.
func (c *walletAdd) Run(ctx context.Context, streams Streams) error {
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		account, err := saldo.Account(ctx, api.AccountID(c.Target.Account))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(account.Wallets, func(w api.Wallet) bool { return w.Wallet == c.Target.Wallet }) {
			return &Error{
				Status: ExitRejected, Message: fmt.Sprintf("account %d has a wallet %s already", account.ID, c.Target.Wallet),
				Hints: []string{fmt.Sprintf("its settings are changed by: saldo wallet set %d %s", account.ID, c.Target.Wallet)},
			}
		}
		patch := c.Settings.patch()
		request := api.WalletRequest{
			CreditLimit: "0", Status: patch.Status, MinAmount: patch.MinAmount, MaxAmount: patch.MaxAmount,
			DailySpendCap: patch.DailySpendCap, MonthlySpendCap: patch.MonthlySpendCap,
		}
		if patch.CreditLimit != nil {
			request.CreditLimit = *patch.CreditLimit
		}
		wallet, err := saldo.PutWallet(ctx, account.ID, c.Target.Wallet, request)
		if err == nil {
			p.wallet(wallet)
		}
		return err
	})
}

// wallet shows one wallet with its settings.
func (p *printer) wallet(w api.Wallet) {
	p.show(w, func() {
		p.fields(
			"account", accountText(w.Account), "currency", w.Currency, "status", string(w.Status), "as of", w.At,
			"amounts", boundsText(w.MinAmount, w.MaxAmount),
			"spent today", spentText(w.SpentToday, w.DailySpendCap), "spent this month", spentText(w.SpentThisMonth, w.MonthlySpendCap),
		)
		if w.At == "" {
			p.walletTable([]api.Wallet{w}, false, false)
			return
		}
		t := p.table(text("WALLET"), money("BALANCE"), money("HELD"))
		t.row(w.Wallet, w.Balance, w.Held)
		p.write("\n")
		t.flush()
	})
}

// wallets shows wallets under the fields of their account. What few accounts
// have is shown only where one of the wallets has it.
func (p *printer) wallets(wallets []api.Wallet) {
	capped := slices.ContainsFunc(wallets, func(w api.Wallet) bool { return w.DailySpendCap+w.MonthlySpendCap != "" })
	suspended := slices.ContainsFunc(wallets, func(w api.Wallet) bool { return w.Status == api.WalletStatusSuspended })
	p.walletTable(wallets, capped, suspended)
}

func (p *printer) walletTable(wallets []api.Wallet, capped, suspended bool) {
	columns := []column{text("WALLET"), money("BALANCE"), money("HELD"), money("CREDIT LIMIT"), money("AVAILABLE")}
	if capped {
		columns = append(columns, money("SPENT TODAY"), money("SPENT THIS MONTH"))
	}
	if suspended {
		columns = append(columns, status("STATUS"))
	}
	t := p.table(columns...)
	for _, w := range wallets {
		cells := []string{w.Wallet, w.Balance, w.Held, w.CreditLimit, w.Available}
		if capped {
			cells = append(cells, spentText(w.SpentToday, w.DailySpendCap), spentText(w.SpentThisMonth, w.MonthlySpendCap))
		}
		if suspended {
			cells = append(cells, string(w.Status))
		}
		t.row(cells...)
	}
	p.write("\n")
	t.flush()
}

// boundsText says what one movement may take; "" where nothing bounds it.
func boundsText(least, most string) string {
	switch {
	case least != "" && most != "":
		return least + " to " + most
	case least != "":
		return least + " or more"
	case most != "":
		return most + " or less"
	default:
		return ""
	}
}

// spentText is what was spent, and of what, where there is a cap.
func spentText(spent, most string) string {
	if most == "" {
		return spent
	}
	return spent + " of " + most
}
