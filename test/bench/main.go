// Command bench measures Saldo against the least that could do the same work,
// in one run on one machine, and prints the ratios. The absolute numbers say
// little: the machine, and what else runs on it, make them.
//
// It is run by "make bench", on both stores. For PostgreSQL it starts a server
// of its own, which waits for its disk like any other that keeps money. Every
// server listens on loopback and is stopped at the end; every loop ends by time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// The names of the stores.
const (
	embedded = "sqlite"
	database = "postgres"
)

// options are what the command line says.
type options struct {
	binary   string
	folder   string
	duration time.Duration
	rounds   int
	only     string
	markdown bool
	large    int
	entries  int
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "bare" {
		exit(bare())
	}
	var o options
	flag.StringVar(&o.binary, "saldo", "bin/saldo", "the `binary` to measure")
	flag.StringVar(&o.folder, "folder", ".", "where the ledgers are: on the disk to measure, and in no folder that is closed to other users")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "how long each measurement lasts")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is taken, by turns; the median counts")
	flag.StringVar(&o.only, "only", "", "measure only the rows whose names have this in them, and what they are compared with")
	flag.BoolVar(&o.markdown, "markdown", false, "print the tables as a README has them")
	flag.IntVar(&o.large, "large", 0, "measure a ledger of this many accounts instead")
	flag.IntVar(&o.entries, "entries", 10, "entries for each account of the large ledger")
	store := flag.String("store", "both", "sqlite, postgres or both")
	flag.Parse()
	stores := map[string][]string{embedded: {embedded}, database: {database}, "both": {embedded, database}}[*store]
	if stores == nil || flag.NArg() > 0 || o.rounds < 1 || o.duration <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	// An interrupt ends the measurement, so that what was started is stopped.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, stores)
	cancel()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options, stores []string) error {
	stores = slices.DeleteFunc(stores, func(store string) bool {
		return o.large == 0 && len((&suite{options: o, store: store}).rows()) == 0
	})
	if len(stores) == 0 {
		return fmt.Errorf("no row has %q in its name", o.only)
	}
	for _, store := range stores {
		err := onStore(ctx, o, store)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
	}
	return nil
}

// onStore measures one store in a folder of its own, of which nothing is left.
func onStore(ctx context.Context, o options, store string) (err error) {
	folder, err := os.MkdirTemp(o.folder, ".bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	// PostgreSQL does not run as root, but as a user who must find its folder.
	if err := os.Chmod(folder, 0o711); err != nil {
		return err
	}
	s := &suite{options: o, store: store, folder: folder}
	defer func() { err = errors.Join(err, s.stop()) }()
	if o.large > 0 {
		return s.measureLarge(ctx)
	}
	return s.measure(ctx)
}

// progressf says on the terminal what is being done, in place of what it said
// before; with nothing to say it clears the line.
func progressf(format string, args ...any) {
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	fmt.Fprintf(os.Stderr, format, args...)
}
