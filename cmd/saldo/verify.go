package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// verifyCommand is "saldo verify".
type verifyCommand struct {
	DB         string `name:"db" required:"" placeholder:"PATH" env:"SALDO_DB" help:"The ledger to check: a path, or a postgres:// URL. It may be in use."`
	Checkpoint string `placeholder:"FILE" help:"Compare with this checkpoint too."`
	PublicKey  string `placeholder:"FILE" help:"Public key of the checkpoint, in PEM."`
	Output     string `short:"o" default:"table" enum:"table,json" placeholder:"FORMAT" env:"SALDO_OUTPUT" help:"table or json (default ${default})."`
}

// Help says what is proven and what is not, and shows examples.
func (*verifyCommand) Help() string {
	return `Checks one consistent state of the ledger, entry by entry: every balance is the sum of its entries,
versions have no gap, the chains of hashes are intact, every transaction has its entries and says
what was posted, holds and refunds are what their transactions say, what is held is what remains of
the open holds, all accounts of a currency add up to zero, and the triggers are there by which the
database itself protects the history.

Not proven is what no chain covers: the outcome of a rejected transaction, and that none of them was
removed; names, statuses, limits, spend counts and keys, which are no history. Nor is it noticed that
entries were cut off a chain's end with all their effects, or that the whole file was written anew:
only a checkpoint that was kept elsewhere shows that, for what was posted before it.

The exit status is 0 for a ledger that is sound, 1 for one that is not or cannot be read, and 2
where a checkpoint or a key cannot be used, so that nothing is known of the ledger.

Examples:
  saldo verify --db ledger.db
  saldo verify --db ledger.db --output json
  saldo verify --db "postgres://saldo_read@replica.example.com/ledger?sslmode=verify-full"
  saldo verify --db ledger.db --checkpoint 2026-11-22.checkpoint --public-key saldo.pub.pem`
}

// Validate checks what kong's tags cannot say.
func (c *verifyCommand) Validate() error {
	switch {
	case c.Checkpoint != "" && c.PublicKey == "":
		return app.Hint(errors.New("--checkpoint needs --public-key"),
			"name the public key that you keep yourself: a signature that is checked with the key in the same file proves nothing")
	case c.Checkpoint == "" && c.PublicKey != "":
		return app.Hint(errors.New("--public-key needs --checkpoint"), "name the checkpoint to compare with")
	}
	return nil
}

// errUnsound is the result of a verification that found problems, which are printed.
var errUnsound = errors.New("the ledger is not sound")

// verification is what is reported of one.
type verification struct {
	*engine.Report

	// CheckpointCreatedAt is "" without a checkpoint.
	CheckpointCreatedAt string `json:"checkpoint_created_at,omitempty"`
}

// Run checks the ledger.
func (c *verifyCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	watch := progress{streams: streams, started: time.Now()}
	options := engine.VerifyOptions{Progress: watch.update()}
	var result verification
	if c.Checkpoint != "" {
		file, err := c.openCheckpoint()
		if err != nil {
			return unusable(err)
		}
		defer file.Close() //nolint:errcheck // It is only read.
		options.Evidence = file.Heads()
		result.CheckpointCreatedAt = file.CreatedAt.Format(timeLayout)
	}
	result.Report, err = app.Verify(ctx, c.DB, options)
	watch.end()
	if _, ok := errors.AsType[*checkpoint.Error](err); ok {
		return unusable(err)
	}
	if err != nil {
		return err
	}
	if c.Output == "json" {
		err = json.NewEncoder(streams.Out).Encode(result)
	} else {
		err = result.print(streams)
	}
	if err == nil && result.ProblemCount > 0 {
		return errUnsound
	}
	return err
}

// openCheckpoint reads the checkpoint once, for its signature.
func (c *verifyCommand) openCheckpoint() (*checkpoint.File, error) {
	file, err := open(c.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.PublicKey, err)
	}
	defer file.Close() //nolint:errcheck // It is only read.
	key, err := checkpoint.ReadPublicKey(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.PublicKey, err)
	}
	return checkpoint.Open(c.Checkpoint, key)
}

// print shows the result to people.
func (v *verification) print(streams cli.Streams) error {
	var text strings.Builder
	for _, problem := range v.Problems {
		fmt.Fprintln(&text, harmless(problem))
	}
	if more := v.ProblemCount - int64(len(v.Problems)); more > 0 {
		fmt.Fprintf(&text, "… and %d more\n", more)
	}
	if v.CheckpointCreatedAt != "" {
		fmt.Fprintf(&text, "compared with the checkpoint of %s: %d heads\n", v.CheckpointCreatedAt, v.Heads)
	}
	verdict := "everything adds up"
	if v.ProblemCount > 0 {
		verdict = fmt.Sprintf("%d problems", v.ProblemCount)
	}
	fmt.Fprintf(&text, "%d wallets, %d entries, %d transactions with their refunds, %d holds: %s\n",
		v.Wallets, v.Entries, v.Transactions, v.Holds, streams.Bold(verdict))
	_, err := io.WriteString(streams.Out, text.String())
	return err
}

// harmless keeps what somebody wrote into the ledger from steering the terminal,
// on which it could hide that the ledger is not sound.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// progressInterval is how often a terminal is told.
const progressInterval = 100 * time.Millisecond

// eraseLine brings the cursor to the beginning of its line, and the line away.
const eraseLine = "\r\x1b[K"

// progress overwrites one line while a terminal watches.
type progress struct {
	streams        cli.Streams
	started, shown time.Time
}

// update is called with what was checked so far; it is nil where nobody watches.
func (p *progress) update() func(engine.Report) {
	if !p.streams.ErrIsTerminal() {
		return nil
	}
	return p.show
}

func (p *progress) show(r engine.Report) {
	p.line(func(took time.Duration) string { return progressText(&r, took) })
}

// line shows a text in the place of the one before it, now and then.
func (p *progress) line(text func(took time.Duration) string) {
	if now := time.Now(); now.Sub(p.shown) >= progressInterval {
		p.shown = now
		fmt.Fprint(p.streams.Err, eraseLine+text(now.Sub(p.started)))
	}
}

// end takes the line away.
func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.streams.Err, eraseLine)
	}
}

func progressText(r *engine.Report, took time.Duration) string {
	text := fmt.Sprintf("%d wallets, %d entries, %d transactions, %d holds", r.Wallets, r.Entries, r.Transactions, r.Holds)
	if r.ProblemCount > 0 {
		text += fmt.Sprintf(", %d problems", r.ProblemCount)
	}
	checked := r.Wallets + r.Entries + r.Transactions + r.Holds
	if seconds := took.Seconds(); seconds > 0 {
		text += fmt.Sprintf("; %.0f/s", float64(checked)/seconds)
	}
	return text
}
