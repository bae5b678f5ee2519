package main

import (
	"context"
	"fmt"
	"io"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// restoreCommand is "saldo restore".
type restoreCommand struct {
	File   string `arg:"" placeholder:"FILE" help:"The backup."`
	DB     string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"Where to put the ledger; nothing may be there yet."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help says what is lost, and shows examples.
func (*restoreCommand) Help() string {
	return `Copies a backup to PATH and verifies the copy there, as "saldo backup" does. PATH is there when it
is whole, verified and on disk, or not at all. A ledger that is there already is never replaced: move
it away first, together with the -wal and -shm files beside it.

A restored ledger knows nothing of what came after the backup. Transactions posted since are gone and
their idempotency keys forgotten: a caller that sends one of them again posts it again. What you post
anew from your own records, post with the keys that it had, or it is in the ledger twice when its
caller tries again too. Keys revoked since are valid again, and keys made since are gone. Accounts
suspended or closed since may spend again; limits, caps and settings are as they were.

Examples:
  saldo restore 2026-11-22.db --db ledger.db
  saldo verify --db ledger.db --checkpoint 2026-11-22.checkpoint --public-key saldo.pub.pem`
}

// Run restores a backup.
func (c *restoreCommand) Run(ctx context.Context, streams cli.Streams) error {
	err := runCopy(streams, c.DB, c.Output, func(options app.BackupOptions) (*app.Copied, error) {
		return app.Restore(ctx, c.File, c.DB, options)
	})
	if err != nil {
		return err
	}
	// Whoever restores is in a hurry, and has not read the help.
	_, err = io.WriteString(streams.Err, `warning: what happened after the backup was made is not in this ledger:
  idempotency keys used since are forgotten: whoever sends such a transaction again posts it again
  keys revoked since are valid again: revoke them once more; keys made since are gone
  accounts suspended or closed since may spend again; limits and settings are as they were
`)
	if err == nil && c.Output == "table" {
		_, err = fmt.Fprintf(streams.Out, "\n%s\n  saldo serve --db %s\n", streams.Dim("Next:"), c.DB)
	}
	return err
}
