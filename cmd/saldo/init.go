package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// initCommand is "saldo init".
type initCommand struct {
	DB     string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"Where to create the ledger: a path, or a postgres:// URL. Nothing may be there yet."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help shows examples.
func (*initCommand) Help() string {
	return `The operator key that is printed has every scope. It is shown this once: keep it.

Examples:
  saldo init --db ledger.db
  PGPASSWORD=... saldo init --db "postgres://saldo@db.example.com/ledger?sslmode=verify-full"
  export SALDO_KEY=$(saldo init --db ledger.db --output json | jq -r .auth_secret)`
}

// operatorKey is how the new key reads in JSON.
type operatorKey struct {
	ID         string `json:"id"`
	Secret     string `json:"secret"`
	AuthSecret string `json:"auth_secret"`
}

// Run creates the ledger.
func (c *initCommand) Run(ctx context.Context, streams cli.Streams) error {
	credentials, err := app.Init(ctx, c.DB)
	if err != nil {
		return err
	}
	if err := c.print(streams, operatorKey{credentials.ID, credentials.Secret, credentials.AuthSecret()}); err != nil {
		// Nobody has seen the key, and nothing else opens the ledger.
		return errors.Join(fmt.Errorf("the operator key could not be printed, so the ledger is removed again: %w", err), app.Discard(c.DB, credentials.ID))
	}
	return nil
}

func (c *initCommand) print(streams cli.Streams, key operatorKey) error {
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(key)
	}
	_, err := fmt.Fprintf(streams.Out, `%s

id           %s
secret       %s
auth_secret  %s

%s
  saldo serve --db %s
  export SALDO_KEY=%s
  saldo account create --name "First customer" --currency CNY
`,
		streams.Bold("Created "+app.Shown(c.DB)+". This operator key is shown once, so keep it now:"),
		key.ID, key.Secret, key.AuthSecret,
		streams.Dim("Next:"), app.Shown(c.DB), key.AuthSecret)
	return err
}
