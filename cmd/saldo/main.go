// Command saldo is the balance service for prepaid messaging and voice: the
// server, and the commands that talk to one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/saldo-ledger/saldo/internal/cli"
)

// grammar is the whole command line.
type grammar struct {
	Init       initCommand       `cmd:"" group:"server" help:"Create a ledger and its first operator key."`
	Serve      serveCommand      `cmd:"" group:"server" help:"Serve a ledger, or a demo."`
	Verify     verifyCommand     `cmd:"" group:"server" help:"Check a whole ledger, entry by entry."`
	Checkpoint checkpointCommand `cmd:"" group:"server" help:"Sign the state of a ledger, to verify it by later."`
	Backup     backupCommand     `cmd:"" group:"server" help:"Copy a ledger while it is served, and verify the copy."`
	Restore    restoreCommand    `cmd:"" group:"server" help:"Make a ledger of a backup."`
	Copy       copyCommand       `cmd:"" group:"server" help:"Move a ledger with its history to another file or database."`
	Query      queryCommand      `cmd:"" group:"provider" help:"Ask providers what is left of your balance there."`

	cli.Commands
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, should stopping take too long.
	context.AfterFunc(ctx, stop)
	streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	status := run(ctx, streams, os.Args[1:])
	stop()
	os.Exit(status)
}

// run carries out one command line and gives the exit status.
func run(ctx context.Context, streams cli.Streams, args []string) (status int) {
	var commands grammar
	exited := -1
	parser := kong.Must(&commands,
		kong.Name("saldo"),
		kong.Description("The balance service for prepaid messaging and voice."),
		kong.Configuration(loadYAML),
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(func(status int) { exited = status }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Commands that work on a ledger themselves:"},
			{Key: "provider", Title: "Commands that ask the providers you buy from:"},
			{Key: "client", Title: "Commands that talk to a server (SALDO_URL, SALDO_KEY):"},
			{Key: "other", Title: "Other commands:"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams),
		kong.Vars{"version": cli.Version()},
	)
	if cli.Complete(parser) {
		return cli.ExitOK
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(cli.Arguments(args))
	if exited >= 0 { // --help has printed what was asked for
		return exited
	}
	if err != nil && forNagios(args) {
		return cli.Report(streams, nagiosUnusable(streams, err))
	}
	if err != nil {
		return cli.Usage(streams, err)
	}
	return cli.Report(streams, parsed.Run())
}
