package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// copyCommand is "saldo copy".
type copyCommand struct {
	From    string `required:"" placeholder:"LEDGER" env:"SALDO_COPY_FROM" help:"The ledger to copy, a file or a postgres:// URL; it may be in use."`
	To      string `required:"" placeholder:"LEDGER" env:"SALDO_COPY_TO" help:"Where to: a new file, an empty database, or an earlier copy that was never served."`
	Stopped bool   `help:"Promise that nothing writes to --from any more. Spares the wait for a PostgreSQL ledger to come to rest."`
	Output  string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help says how a ledger is moved, and shows examples.
func (*copyCommand) Help() string {
	return `Copies everything: accounts, wallets, keys, and the whole history with its chains of hashes. The copy
is compared with the ledger and verified, and only then can it be served.

The same command goes on where it was interrupted, and brings over what was posted since. So a large
ledger moves with little downtime: copy it while it is served, stop its server, copy once more, and
serve the copy. From then on the copy has a history of its own, and takes nothing more.

A PostgreSQL ledger that was written to in the last 90 seconds is waited for, because a transaction of
that time may still be on its way; --stopped spares that.

The exit status is 0 for a copy that is complete and sound, 1 for one that is not sound or cannot be
made, and 5 for one that is not complete because --from is being written.

Examples:
  saldo copy --from ledger.db --to postgres://saldo@db.example.com/saldo
  saldo copy --from postgres://saldo@db.example.com/saldo --to ledger.db --stopped
  SALDO_COPY_TO=postgres://saldo:PASSWORD@db.example.com/saldo saldo copy --from ledger.db --output json`
}

// copyResult is what is reported of a copy.
type copyResult struct {
	From string `json:"from"`
	To   string `json:"to"`
	*app.CopyReport
	Seconds float64 `json:"seconds"`
}

// Run copies the ledger.
func (c *copyCommand) Run(ctx context.Context, streams cli.Streams) error {
	watch := copyProgress{streams: streams, started: time.Now()}
	report, err := app.Copy(ctx, c.From, c.To, app.CopyOptions{Stopped: c.Stopped, Progress: watch.update()})
	watch.end()
	if err != nil {
		return err
	}
	result := copyResult{app.Shown(c.From), app.Shown(c.To), report, time.Since(watch.started).Seconds()}
	if c.Output == "json" {
		err = json.NewEncoder(streams.Out).Encode(result)
	} else {
		err = result.print(streams)
	}
	switch {
	case err != nil:
		return err
	case report.Left > 0:
		return &cli.Error{
			Status: cli.ExitUnavailable, Message: fmt.Sprintf("the copy is not complete: %s is being written", result.From),
			Hints: []string{"stop all servers of " + result.From + " and run the same command again, which brings over the rest"},
		}
	case !report.Finished:
		return app.Hint(errors.New("the copy is not sound, and cannot be served"),
			"see whether the ledger itself is: saldo verify --db "+result.From)
	}
	return nil
}

// print shows the result to people.
func (c *copyResult) print(streams cli.Streams) error {
	var text strings.Builder
	for _, problem := range c.Problems {
		fmt.Fprintln(&text, harmless(problem))
	}
	if more := c.ProblemCount - int64(len(c.Problems)); more > 0 {
		fmt.Fprintf(&text, "… and %d more\n", more)
	}
	fmt.Fprintf(&text, "copied %d transactions to %s in %.1f s", c.Copied, streams.Bold(c.To), c.Seconds)
	switch {
	case c.Left > 0:
		fmt.Fprintf(&text, "; %d are left\n", c.Left)
	case !c.Finished:
		fmt.Fprintf(&text, ": %s\n", streams.Bold(fmt.Sprintf("%d problems", c.ProblemCount)))
	default:
		fmt.Fprintf(&text, "\nit has %d accounts, %d wallets, %d keys, %d transactions, %d entries and %d holds: %s\n", c.Ledger.Accounts, c.Ledger.Wallets,
			c.Ledger.Keys, c.Ledger.Transactions, c.Ledger.Entries, c.Ledger.Holds, streams.Bold("everything is there and adds up"))
		fmt.Fprintf(&text, "\n%s\n  saldo serve --db %s\n", streams.Dim("Next:"), c.To)
	}
	_, err := io.WriteString(streams.Out, text.String())
	return err
}
