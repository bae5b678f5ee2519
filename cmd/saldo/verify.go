package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// verifyCommand is "saldo verify".
type verifyCommand struct {
	DB     string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"The ledger to check; it may be in use."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help says what is checked, and shows examples.
func (*verifyCommand) Help() string {
	return `Checks one consistent state of the ledger: every balance is the sum of its entries, versions have no
gap, the chains of hashes are intact, every transaction has its entries, and all accounts of a currency
add up to zero. The exit status is 1 when anything is wrong.

Examples:
  saldo verify --db ledger.db
  saldo verify --db ledger.db --output json`
}

// errUnsound is the result of a verification that found problems, which are printed.
var errUnsound = errors.New("the ledger is not sound")

// Run checks the ledger.
func (c *verifyCommand) Run(ctx context.Context, streams cli.Streams) error {
	report, err := app.Verify(ctx, c.DB, c.progress(streams))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		err = json.NewEncoder(streams.Out).Encode(report)
	} else {
		err = printReport(streams, report)
	}
	if err == nil && report.ProblemCount > 0 {
		return errUnsound
	}
	return err
}

// progress overwrites one line while a terminal watches.
func (c *verifyCommand) progress(streams cli.Streams) func(engine.Report) {
	if !streams.ErrIsTerminal() {
		return nil
	}
	return func(r engine.Report) {
		fmt.Fprintf(streams.Err, "\r\x1b[Kchecked %d wallets, %d entries, %d transactions", r.Wallets, r.Entries, r.Transactions)
	}
}

func printReport(streams cli.Streams, report *engine.Report) error {
	if streams.ErrIsTerminal() {
		fmt.Fprint(streams.Err, "\r\x1b[K")
	}
	var text strings.Builder
	for _, problem := range report.Problems {
		fmt.Fprintln(&text, problem)
	}
	if more := report.ProblemCount - int64(len(report.Problems)); more > 0 {
		fmt.Fprintf(&text, "… and %d more\n", more)
	}
	verdict := "everything adds up"
	if report.ProblemCount > 0 {
		verdict = fmt.Sprintf("%d problems", report.ProblemCount)
	}
	fmt.Fprintf(&text, "%d wallets, %d entries, %d transactions: %s\n",
		report.Wallets, report.Entries, report.Transactions, streams.Bold(verdict))
	_, err := io.WriteString(streams.Out, text.String())
	return err
}
