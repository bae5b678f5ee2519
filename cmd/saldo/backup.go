package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// backupCommand is "saldo backup".
type backupCommand struct {
	File   string `arg:"" placeholder:"FILE" help:"Where to put the backup; nothing may be there yet."`
	DB     string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"The ledger; it may be in use."`
	Force  bool   `help:"Replace what is at FILE, once the new backup is verified."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help says what a backup is, and shows examples.
func (*backupCommand) Help() string {
	return `Copies one state of the ledger, with all that was posted before, while the server goes on. The copy
is verified like a ledger by "saldo verify", and every page of it is checked. FILE is there when it
is whole, verified and on disk, or not at all; until then it is FILE.partial.

A backup is a ledger in one file: "saldo verify" and "saldo checkpoint" read it as it is. It has the
digests of all keys in it and is not encrypted.

A ledger in PostgreSQL is backed up by PostgreSQL's own tools: see docs/backup.md.

Examples:
  saldo backup 2026-11-22.db --db ledger.db
  saldo backup /srv/backup/latest.db --db ledger.db --force
  saldo backup 2026-11-22.db --db ledger.db --output json`
}

// Run makes a backup.
func (c *backupCommand) Run(ctx context.Context, streams cli.Streams) error {
	return runCopy(streams, c.File, c.Output, func(options app.BackupOptions) (*app.Copied, error) {
		options.Force = c.Force
		return app.Backup(ctx, c.DB, c.File, options)
	})
}

// runCopy makes a backup or restores one, while it shows how far it is, and
// reports what is in it.
func runCopy(streams cli.Streams, path, output string, do func(app.BackupOptions) (*app.Copied, error)) error {
	started := time.Now()
	watch := progress{streams: streams, started: started}
	var options app.BackupOptions
	if streams.ErrIsTerminal() {
		options.Copying, options.Verifying = watch.showCopy, watch.showCheck
	}
	copied, err := do(options)
	watch.end()
	if err != nil {
		if copied != nil && copied.Report != nil {
			printProblems(streams, copied.Report)
		}
		return err
	}
	return printCopied(streams, path, output, copied, time.Since(started))
}

// printProblems says what is wrong with a ledger that was not copied.
func printProblems(streams cli.Streams, report *engine.Report) {
	for _, problem := range report.Problems {
		fmt.Fprintln(streams.Err, harmless(problem))
	}
	if more := report.ProblemCount - int64(len(report.Problems)); more > 0 {
		fmt.Fprintf(streams.Err, "… and %d more\n", more)
	}
}

// printCopied says what is in a new backup, or in a ledger that was restored.
func printCopied(streams cli.Streams, path, output string, copied *app.Copied, took time.Duration) error {
	var last *string // null for a ledger in which nothing was posted
	if !copied.LastTransaction.IsZero() {
		last = new(copied.LastTransaction.Format(timeLayout))
	}
	if output == "json" {
		return json.NewEncoder(streams.Out).Encode(struct {
			Path            string  `json:"path"`
			Size            int64   `json:"size"`
			Transactions    int64   `json:"transactions"`
			Entries         int64   `json:"entries"`
			LastTransaction *string `json:"last_transaction_at"`
			Seconds         float64 `json:"seconds"`
		}{path, copied.Size, copied.Report.Transactions, copied.Report.Entries, last, took.Round(time.Millisecond).Seconds()})
	}
	until := ""
	if last != nil {
		until = ", the last of " + *last
	}
	_, err := fmt.Fprintf(streams.Out, "%s: %d transactions%s; %d entries, %d bytes, verified: everything adds up\n",
		streams.Bold(path), copied.Report.Transactions, until, copied.Report.Entries, copied.Size)
	return err
}

// showCopy shows how much is copied, and what comes then.
func (p *progress) showCopy(done, total int64) {
	if done == total {
		p.shown = time.Time{} // or else the line before it would stay for as long as that takes
	}
	p.line(func(time.Duration) string {
		if done == total {
			return "copied; checking every page"
		}
		return fmt.Sprintf("copied %d of %d MiB", done>>20, total>>20)
	})
}

// showCheck shows how much of the copy is verified.
func (p *progress) showCheck(r engine.Report) {
	p.line(func(took time.Duration) string { return "verifying: " + progressText(&r, took) })
}
