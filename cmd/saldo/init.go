package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
)

// initCommand is "saldo init".
type initCommand struct {
	DB     string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"Where to create the ledger; nothing may be there yet."`
	Output string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help shows examples.
func (*initCommand) Help() string {
	return `The operator key that is printed has every scope. It is shown this once: keep it.

Examples:
  saldo init --db ledger.db
  export SALDO_KEY=$(saldo init --db ledger.db --output json | jq -r .auth_secret)`
}

// Run creates the ledger.
func (c *initCommand) Run(ctx context.Context, streams cli.Streams) error {
	credentials, err := app.Init(ctx, c.DB)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(struct {
			ID         string `json:"id"`
			Secret     string `json:"secret"`
			AuthSecret string `json:"auth_secret"`
		}{credentials.ID, credentials.Secret, credentials.AuthSecret()})
	}
	fmt.Fprintf(streams.Out, `%s

id           %s
secret       %s
auth_secret  %s

%s
  saldo serve --db %s
  export SALDO_KEY=%s
  saldo account create --name "First customer" --currency CNY
`,
		streams.Bold("Created "+c.DB+". This operator key is shown once, so keep it now:"),
		credentials.ID, credentials.Secret, credentials.AuthSecret(),
		streams.Dim("Next:"), c.DB, credentials.AuthSecret())
	return nil
}
