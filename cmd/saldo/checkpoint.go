package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// timeLayout is the API's: UTC, in the microseconds that the ledger keeps.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// checkpointCommand is "saldo checkpoint".
type checkpointCommand struct {
	DB     string `name:"db" placeholder:"PATH" env:"SALDO_DB" help:"The ledger: a path, or a postgres:// URL. It may be in use."`
	Key    string `placeholder:"FILE" help:"Private key to sign with: Ed25519, in PEM. - is standard input."`
	Out    string `placeholder:"FILE" help:"Where to put the checkpoint; nothing may be there yet. By default it goes to standard output."`
	NewKey string `placeholder:"FILE" help:"Make a private key here instead, and its public key beside it, as .pub.pem."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json, for what is said of a file or a key (default ${default})."`
}

// Help says what a checkpoint is for, and shows examples.
func (*checkpointCommand) Help() string {
	return `A checkpoint is a file with the end of every wallet's chain, signed. "saldo verify" compares a
ledger with it, and so notices entries that were cut off or written anew since. It proves as much as
the file and the key are safe from whoever could change the ledger: keep both on other machines.

Compare with the last checkpoint before you make the next one: a checkpoint says what the ledger
is, not that it is right.

Examples:
  saldo checkpoint --new-key saldo.pem
  saldo checkpoint --db ledger.db --key saldo.pem --out 2026-11-22.checkpoint
  saldo checkpoint --db postgres://saldo_read@replica/ledger --key saldo.pem > today.checkpoint
  ssh server saldo checkpoint --db ledger.db --key - < saldo.pem > 2026-11-22.checkpoint
  saldo verify --db ledger.db --checkpoint 2026-11-22.checkpoint --public-key saldo.pub.pem`
}

// Validate checks what kong's tags cannot say.
func (c *checkpointCommand) Validate() error {
	switch {
	case c.NewKey != "" && (c.Key != "" || c.Out != ""):
		return errors.New("--new-key makes a key and no checkpoint, so --key and --out cannot be used with it")
	case c.NewKey != "":
		return nil
	case c.DB == "":
		return app.Hint(errors.New("no ledger was named"), "say --db PATH, or set SALDO_DB")
	case c.Key == "":
		return app.Hint(errors.New("a checkpoint is signed, so it needs --key"), "make a key with: saldo checkpoint --new-key KEY.pem")
	}
	return nil
}

// Run makes a checkpoint, or a key.
func (c *checkpointCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.NewKey != "" {
		return c.makeKey(streams)
	}
	key, err := c.readKey(streams)
	if err != nil {
		return unusable(fmt.Errorf("%s: %w", c.Key, err))
	}
	if c.Out == "" {
		_, err := app.Checkpoint(ctx, c.DB, time.Now(), key, streams.Out)
		return err
	}
	var info *checkpoint.Info
	err = checkpoint.Create(c.Out, 0o600, func(out io.Writer) error {
		info, err = app.Checkpoint(ctx, c.DB, time.Now(), key, out)
		return err
	})
	if err != nil {
		return err
	}
	return c.print(streams, info)
}

// print says what was put into a file.
func (c *checkpointCommand) print(streams cli.Streams, info *checkpoint.Info) error {
	createdAt := info.CreatedAt.Format(timeLayout)
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(struct {
			File      string `json:"file"`
			CreatedAt string `json:"created_at"`
			Wallets   int64  `json:"wallets"`
			Digest    string `json:"digest"`
		}{c.Out, createdAt, info.Wallets, fmt.Sprintf("%x", info.Digest)})
	}
	_, err := fmt.Fprintf(streams.Out, "%s: %d heads, signed at %s\n", streams.Bold(c.Out), info.Wallets, createdAt)
	return err
}

// readKey reads the private key.
func (c *checkpointCommand) readKey(streams cli.Streams) (ed25519.PrivateKey, error) {
	if c.Key == "-" {
		return checkpoint.ReadPrivateKey(streams.In)
	}
	file, err := open(c.Key)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // It is only read.
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(streams.Err, "warning: others on this machine may read %s; keep it to its owner: chmod 600 %s\n", c.Key, c.Key)
	}
	return checkpoint.ReadPrivateKey(file)
}

// makeKey makes a key and says what to do with it.
func (c *checkpointCommand) makeKey(streams cli.Streams) error {
	public, err := checkpoint.NewKey(c.NewKey)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(struct {
			PrivateKey string `json:"private_key"`
			PublicKey  string `json:"public_key"`
		}{c.NewKey, public})
	}
	_, err = fmt.Fprintf(streams.Out, `%s

private key  %s
public key   %s

%s
  move %s to where checkpoints are signed: whoever has it can sign a ledger that was changed
  copy %s to where ledgers are verified: nobody has to keep it secret, and nobody may exchange it
`,
		streams.Bold("Created a key for checkpoints:"), c.NewKey, public, streams.Dim("Next:"), c.NewKey, public)
	return err
}

// open opens a file for reading. Its errors do not repeat the name, which those
// that report them know.
func open(path string) (*os.File, error) {
	file, err := os.Open(path)
	if failure, ok := errors.AsType[*os.PathError](err); ok {
		return nil, failure.Err
	}
	return file, err
}

// unusable is the error for a key or a checkpoint with which nothing can be done.
// Its exit status is not that of an unsound ledger: nothing is known of the ledger.
func unusable(err error) error {
	failure := &cli.Error{Status: cli.ExitUsage, Message: err.Error(), Err: err}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		failure.Hints = []string{hinted.Hint()}
	}
	return failure
}
