// Command mutate measures the tests instead of the code: it makes one small
// mistake at a time in a package, a mutant, and looks whether a test fails. A
// mutant that no test notices, a survivor, is a line that is run and not checked.
//
// It is run by "go run ./test/mutate". The tree is never touched: "go test
// -overlay" compiles each mutant from a file elsewhere. A mutant is tried on the
// tests of its own package, and when it survives these, on those of the packages
// that wider names for it. What does not compile is not counted, and what does not end
// is caught. All mutants take long, so -sample N tries N of them that -seed chooses.
//
// The mutants are in operators.go and statements.go, what is left alone because it
// cannot change what the code does is in skip.go, and equivalent.txt lists, with
// reasons, the mutants that were found to do the same as the code.
//
// The tree has to stand still meanwhile. Each mutant leaves up to ten megabytes in the
// cache of the go command, which forgets them after some days; set GOCACHE to
// keep them apart and to remove them at once. The tests write files and wait for the
// disk, so all is quicker with TMPDIR on a disk in memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// equivalentFile is where the mutants stand that are known to be equivalent.
const equivalentFile = "test/mutate/equivalent.txt"

// options are what the command line says.
type options struct {
	root     string   // of the module
	packages []string // folders from the root, with slashes
	sample   int      // how many mutants to try, 0 for all
	seed     uint32
	jobs     int
	timeout  time.Duration // of the tests of one package; 0 goes by how long they take
	minimum  float64       // percent
	verbose  bool
	list     bool
	json     bool
}

func main() {
	// The first signal ends the work and prints what is known; the next one finds no
	// handler any more, and ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	packages := flags.String("packages", "internal/ledger,internal/engine", "the packages to make mutants of, with commas between")
	flags.IntVar(&o.sample, "sample", 0, "try only so many mutants, chosen at random; 0 tries all")
	seed := flags.Uint("seed", 0, "what chooses the sample and the order; 0 takes a new one")
	flags.IntVar(&o.jobs, "j", runtime.NumCPU(), "how many mutants to try at a time")
	flags.DurationVar(&o.timeout, "timeout", 0, "how long the tests of one package may take, beyond which a mutant is caught; 0 is ten times as long as without one, but 20s to 2m")
	flags.Float64Var(&o.minimum, "min", 90, "fail where a package's score is below this many percent")
	flags.BoolVar(&o.verbose, "v", false, "print every mutant and what became of it")
	flags.BoolVar(&o.list, "list", false, "print the mutants and try none")
	output := flags.String("output", "text", "how to print the result: text or json")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case *output != "text" && *output != "json":
		return o, fmt.Errorf("-output is text or json, not %q", *output)
	case o.sample < 0 || o.jobs < 1 || o.timeout < 0:
		return o, errors.New("-sample and -timeout must not be negative, -j must be positive")
	case uint64(*seed) > 1<<32-1:
		return o, errors.New("-seed must fit 32 bits")
	}
	o.json = *output == "json"
	for name := range strings.SplitSeq(*packages, ",") {
		o.packages = append(o.packages, filepath.ToSlash(filepath.Clean(strings.TrimSpace(name))))
	}
	o.seed = uint32(*seed)
	for o.seed == 0 {
		o.seed = rand.Uint32()
	}
	root, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	o.root = strings.TrimSpace(string(root))
	return o, err
}

// run does what the options say. Its error tells also that a score is too low.
func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	mutants, err := collect(o.root, o.packages)
	if err != nil {
		return err
	}
	known, err := readEquivalents(filepath.Join(o.root, filepath.FromSlash(equivalentFile)))
	if err != nil {
		return err
	}
	r := report{Seed: o.seed, Stale: known.mark(mutants, o.packages)}
	chosen := choose(mutants, o.sample, o.seed)
	began := time.Now()
	if !o.list {
		fmt.Fprintf(stderr, "mutate: trying %d of %d mutants, -seed %d\n", len(chosen), len(mutants), o.seed)
		if err := try(ctx, o, chosen, stderr); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	r.Interrupted = ctx.Err() != nil
	r.add(o.packages, mutants)
	if err := r.print(stdout, o); err != nil {
		return err
	}
	return r.verdict(o)
}

// choose gives the mutants to try, in an order that looks random, so that a run
// that is interrupted has tried a fair sample too.
func choose(mutants []*mutant, sample int, seed uint32) []*mutant {
	chosen := make([]*mutant, 0, len(mutants))
	for _, m := range mutants {
		if m.Outcome != equivalent {
			chosen = append(chosen, m)
		}
	}
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	random.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	if sample > 0 && sample < len(chosen) {
		chosen = chosen[:sample]
	}
	return chosen
}
