// Package cli holds the commands that talk to a Saldo server, and what every
// command of the binary has in common: its streams, its errors, its exit status.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/saldo-ledger/saldo/client"
)

// Commands is the grammar of the commands that need no ledger of their own. The
// main package embeds it next to the server's commands.
type Commands struct {
	Account     accountCommands     `cmd:"" group:"client" help:"Create, read and change accounts."`
	Wallet      walletCommands      `cmd:"" group:"client" help:"Read and set what an account's wallets may spend."`
	Key         keyCommands         `cmd:"" group:"client" help:"Create, list, change and revoke keys."`
	Topup       topupCommand        `cmd:"" group:"client" help:"Add money that a customer paid."`
	Charge      chargeCommand       `cmd:"" group:"client" help:"Take money for a service."`
	Refund      refundCommand       `cmd:"" group:"client" help:"Give back a charge, or a part of one."`
	Adjust      adjustCommand       `cmd:"" group:"client" help:"Correct a balance, up or down."`
	Transfer    transferCommand     `cmd:"" group:"client" help:"Move money to another wallet."`
	Hold        holdCommands        `cmd:"" group:"client" help:"Reserve money until the fate of a message or call is known."`
	Import      importCommand       `cmd:"" group:"client" help:"Post the transactions in a file."`
	Transaction transactionCommands `cmd:"" group:"client" help:"Read transactions."`
	Balance     balanceCommand      `cmd:"" group:"client" help:"Show a balance."`
	Statement   statementCommand    `cmd:"" group:"client" help:"Show what happened in a wallet."`
	Report      reportCommands      `cmd:"" group:"client" help:"Show sums over the whole ledger."`
	Upstream    upstreamCommands    `cmd:"" group:"client" help:"Show what is left at the providers that the server asks."`
	Version     versionCommand      `cmd:"" group:"other" help:"Show the version of this binary."`
	Completion  completionCommand   `cmd:"" group:"other" help:"Print the script for tab completion in a shell."`
}

// Streams are where a command reads and writes, so that a test can look.
type Streams struct {
	In  io.Reader
	Out io.Writer // results only: a program may parse them
	Err io.Writer // notes, warnings and errors
}

// Bold makes text bold where standard output shows colours.
func (s Streams) Bold(text string) string { return paint(s.colours(), "1", text) }

// Dim makes text dim where standard output shows colours.
func (s Streams) Dim(text string) string { return paint(s.colours(), "2", text) }

// ErrIsTerminal tells whether somebody watches standard error.
func (s Streams) ErrIsTerminal() bool { return isTerminal(s.Err) }

// colours tells whether standard output is a terminal whose owner wants colours
// (https://no-color.org: any value but the empty one means no).
func (s Streams) colours() bool { return colours(s.Out) }

func colours(stream io.Writer) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(stream io.Writer) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

func paint(colours bool, code, text string) string {
	if !colours || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// negative is an amount that a shell user writes without thinking of flags.
var negative = regexp.MustCompile(`^-\.?[0-9]`)

// Arguments lets an amount be negative without a "--" before it: kong would
// take -5 for a flag. The amount is the last argument of every command that has
// one, so it is moved behind a "--" at the end. After something that could be a
// flag without its value it stays, and is refused: a wrong guess moves money.
func Arguments(args []string) []string {
	var front, back []string
	for i, arg := range args {
		if arg == "--" {
			return append(front, append(append([]string{"--"}, back...), args[i+1:]...)...)
		}
		if negative.MatchString(arg) && (i == 0 || !strings.HasPrefix(args[i-1], "-")) {
			back = append(back, arg)
			continue
		}
		front = append(front, arg)
	}
	if back == nil {
		return args
	}
	return append(append(front, "--"), back...)
}

// Format is how a command shows its result.
type Format struct {
	Output string `short:"o" default:"table" enum:"table,json" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Connection is how to reach a server.
type Connection struct {
	URL            string     `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" env:"SALDO_URL" help:"Server to talk to (default ${default})."`
	Key            credential `placeholder:"KEY" env:"SALDO_KEY" help:"Key to sign in with, an auth_secret or id:secret. Better in the environment, since others can see a command line."`
	AllowPlainHTTP bool       `name:"allow-plain-http" help:"Send the key without TLS to a server that is not this machine."`
}

// Deadline is how long a command may take.
type Deadline struct {
	Timeout time.Duration `default:"1m" placeholder:"DURATION" help:"How long the whole command may take; 0 for no limit (default ${default})."`
}

// Globals are the flags of every command that talks to a server, but for the
// few with formats or time limits of their own.
type Globals struct {
	Connection `embed:""`
	Deadline   `embed:""`
	Format     `embed:""`
}

// connect makes the client that the flags describe.
func (c *Connection) connect() (*client.Client, error) {
	if c.Key == "" {
		return nil, &Error{
			Status: ExitUsage, Message: "there is no key to sign in with",
			Hints: []string{`set SALDO_KEY to the auth_secret that "saldo init" or "saldo key create" showed`},
		}
	}
	var options []client.Option
	if c.AllowPlainHTTP {
		options = append(options, client.AllowPlainHTTP())
	}
	saldo, err := client.New(c.URL, string(c.Key), options...)
	if err != nil {
		return nil, &Error{
			Status: ExitUsage, Message: strings.TrimPrefix(err.Error(), "saldo: "),
			Hints: []string{"the URL is --url or SALDO_URL, the key is SALDO_KEY; plain http to another machine takes --allow-plain-http"},
		}
	}
	return saldo, nil
}

// session is Connection.session with the flags that most commands have.
func (g *Globals) session(ctx context.Context, streams Streams, do func(context.Context, *client.Client, *printer) error) error {
	return g.Connection.session(ctx, streams, g.Timeout, g.Output, do)
}

// session connects, calls do, and makes an error of do one that a person
// understands. Errors of do come from the client only: the printer keeps its own.
func (c *Connection) session(ctx context.Context, streams Streams, timeout time.Duration, output string, do func(context.Context, *client.Client, *printer) error) error {
	if timeout < 0 {
		return &Error{Status: ExitUsage, Message: "--timeout cannot be negative"}
	}
	saldo, err := c.connect()
	if err != nil {
		return err
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	p := newPrinter(streams, output)
	err = c.explain(ctx, timeout, do(ctx, saldo, p))
	if flushed := p.flush(); err == nil {
		err = flushed
	}
	return err
}

// explain tells an error before there was a reply from one after it. The
// former says nothing of the server but its address, so the URL is added.
func (c *Connection) explain(ctx context.Context, timeout time.Duration, err error) error {
	var reply *client.Error
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(ctx.Err(), context.Canceled) && !decided(err):
		return &Error{Status: ExitFailure, Message: "interrupted", Err: err}
	case errors.As(err, &reply):
		return err
	case ctx.Err() != nil:
		return &Error{
			Status: ExitUnavailable, Message: fmt.Sprintf("%s did not answer within %s", c.URL, timeout), Err: err,
			Hints: []string{"give it longer with --timeout, or look at what the server is doing"},
		}
	default:
		return &Error{
			Status: ExitUnavailable, Message: fmt.Sprintf("cannot reach %s: %s", c.URL, cause(err)), Err: err,
			Hints: []string{`is it running there? Another server is named with --url or SALDO_URL; "saldo serve --demo" starts one to try`},
		}
	}
}

// accountID reads the number of an account, so that a misspelt one is refused
// before anything is sent. (An --id 0 would otherwise ask for any id.)
type accountID int32

// UnmarshalText makes kong read an accountID.
func (a *accountID) UnmarshalText(text []byte) error {
	id, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || id < 1 {
		return fmt.Errorf("an account is a number from 1 to 2147483647, not %q", text)
	}
	*a = accountID(id)
	return nil
}

// credential is a flag that nothing prints.
type credential string

// String keeps the value out of everything that formats it.
func (credential) String() string { return "[secret]" }

// GoString keeps the value out of %#v.
func (credential) GoString() string { return "[secret]" }

// Decode reads the value without repeating it in an error, as kong's own
// reader of texts does with one that begins with a hyphen.
func (c *credential) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Pop()
	text, ok := token.Value.(string)
	if !ok || !token.IsValue() {
		return fmt.Errorf("needs a value; one that begins with a hyphen is written --%s=VALUE", ctx.Value.Name)
	}
	*c = credential(text)
	return nil
}
