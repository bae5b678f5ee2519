// Package sim drives the real engine over a real store with many clients, bad
// luck and restarts, all drawn from a seed, and checks every reply against a
// model of its own.
//
// A run is a sequence of rounds, each with a new ledger; a round is a sequence
// of windows. In a window the clients do as they will, all at once. At its end
// everything stands still: the transactions that the store has are replayed
// through the model in the order in which they were decided, and everything
// that any client was told must fit that order (check.go).
//
// A ledger is a SQLite file with one engine, or a PostgreSQL database with several,
// the nodes, which know nothing of each other. Then clients go from node to node,
// neighbours ask different nodes for the same things, the clocks of the nodes
// differ, and connections are cut, also in the middle of a commit. How the order
// of what was decided is found then stands in arrange.go, and what is right for a
// reading in parts.go.
//
// What every client does follows from the seed and nothing else; how the clients
// take turns does not. So a run that failed is repeated with its seed, and if
// the fault lies in how the clients met, perhaps more than once.
package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// Config says how to simulate. All but NewLedger has a default.
type Config struct {
	Seed uint64
	// Time is how long to go on; Rounds is how many rounds to end after, 0 for no end.
	Time   time.Duration
	Rounds int
	// Clients act at the same time, Window is how many operations they have
	// together before everything is checked, and Windows is how many of those a
	// ledger lives.
	Clients, Window, Windows int
	// NewLedger makes an empty ledger for a round.
	NewLedger func(round int) (Ledger, error)
	// Lie, where it is set, stands between the engine and the store and gives
	// wrong answers, so that a test can see that they are noticed.
	Lie func(engine.Store) engine.Store
	// tweak changes what clients were told, to the same end.
	tweak func([]*record)
	// ModelOnly leaves out engine.Verify, so that a test can see what is found without it.
	ModelOnly bool
	// Progress, where it is set, is told the statistics so far after each round.
	Progress func(*Stats)
}

func (c *Config) setDefaults() error {
	if c.NewLedger == nil {
		return errors.New("a simulation needs ledgers")
	}
	for at, value := range map[*int]int{&c.Clients: 96, &c.Window: 3000, &c.Windows: 20} {
		if *at == 0 {
			*at = value
		}
	}
	if c.Time == 0 && c.Rounds == 0 {
		c.Rounds = 1
	}
	return nil
}

// over tells whether the time is up.
func (c *Config) over(stats *Stats) bool { return c.Time > 0 && time.Since(stats.began) >= c.Time }

// Run simulates, and gives what it did. The error is a *MismatchError where the
// ledger was wrong.
func Run(ctx context.Context, config Config) (*Stats, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	stats := newStats()
	defer stats.end()
	for number := 1; config.Rounds == 0 || number <= config.Rounds; number++ {
		if err := runRound(ctx, &config, stats, number); err != nil {
			return stats, err
		}
		stats.rounds++
		if config.Progress != nil {
			config.Progress(stats)
		}
		if config.over(stats) {
			break
		}
	}
	return stats, nil
}

func runRound(ctx context.Context, config *Config, stats *Stats, number int) (err error) {
	ledger, err := config.NewLedger(number)
	if err != nil {
		return err
	}
	r := newRound(config, stats, number, ledger)
	defer func() {
		stats.addFaults(r.notes)
		if _, wrong := errors.AsType[*MismatchError](err); wrong {
			return // with the ledger left as it is, to be looked at
		}
		err = errors.Join(err, ledger.Remove())
	}()
	return r.run(ctx)
}

// MismatchError says where ledger and model differ, and how to see it again.
type MismatchError struct {
	Seed          uint64
	Round, Window int
	What          string
	Operation     string // that of the client, where it is one's
	Want, Got     string
	Trail         []string // the last transactions of the wallet
}

// Error tells all of it.
func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nround %d, window %d; to repeat it: SALDO_SIM_SEED=%d", e.What, e.Round, e.Window, e.Seed)
	for _, part := range []struct{ name, text string }{{"operation", e.Operation}, {"want", e.Want}, {"got", e.Got}} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%-9s %s", part.name, part.text)
		}
	}
	if len(e.Trail) > 0 {
		b.WriteString("\nthe last transactions of the wallet:")
	}
	for _, line := range e.Trail {
		b.WriteString("\n  " + line)
	}
	return b.String()
}
