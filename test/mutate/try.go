package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"time"
)

// try tries mutants, as many at a time as the options say, and writes into each
// what became of it. When ctx ends, it returns nil and leaves the others untried.
func try(ctx context.Context, o options, mutants []*mutant, stderr io.Writer) error {
	work, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	t := tester{root: o.root, seed: o.seed, limits: map[string]time.Duration{}}
	if err := t.baseline(ctx, work, o); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	// What is wrong with the tree ends the run; ctx itself is asked later
	// whether somebody interrupted it.
	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	shown := newProgress(stderr, len(mutants), o.verbose)
	defer shown.end()
	queue := make(chan *mutant)
	var workers sync.WaitGroup
	for range o.jobs {
		workers.Go(func() {
			for m := range queue {
				if err := t.judge(working, work, m); err != nil {
					fail(err)
					return
				}
				shown.done(m)
			}
		})
	}
	for _, m := range mutants {
		select {
		case queue <- m:
			continue
		case <-working.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(working)
}

// baseline makes sure that the tests pass without a mistake, because otherwise every
// mutant would seem caught, and sees how long they take.
func (t tester) baseline(ctx context.Context, work string, o options) error {
	for _, name := range o.packages {
		for _, suite := range suites(name) {
			dir, err := os.MkdirTemp(work, "")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			t.limits[suite] = cmp.Or(o.timeout, mostLimit)
			output, err := t.build(ctx, dir, suite, nil)
			began := time.Now()
			if err == nil {
				output, err = t.run(ctx, dir, suite)
			}
			if err != nil {
				return fmt.Errorf("%s without a mutant: %w\n%s", suite, err, output)
			}
			if o.timeout == 0 {
				t.limits[suite] = min(max(leastLimit, (slowness*time.Since(began)).Round(time.Second)), mostLimit)
			}
		}
	}
	return nil
}

// judge tries a mutant. An error is the fault of the tree or of the machine, or
// tells that ctx ended, and then the mutant stays untried: a test that was killed has not failed.
func (t tester) judge(ctx context.Context, work string, m *mutant) error {
	last := untried // it has survived only when all of them have let it through
	for _, suite := range suites(m.Package) {
		o, output, err := t.ask(ctx, work, suite, m)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		last, m.Output = o, output
		if o != survived {
			break
		}
	}
	m.Outcome = last
	return nil
}

// ask asks the tests of one package about a mutant.
func (t tester) ask(ctx context.Context, work, suite string, m *mutant) (outcome, string, error) {
	dir, err := os.MkdirTemp(work, "")
	if err != nil {
		return untried, "", err
	}
	defer os.RemoveAll(dir)
	output, err := t.build(ctx, dir, suite, &change{m.File, m.apply()})
	if errors.Is(err, errNotBuilt) {
		return notCompiled, output, t.blame(ctx, dir, suite, m, output)
	}
	if err != nil {
		return untried, output, err
	}
	output, err = t.run(ctx, dir, suite)
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return survived, output, nil
	case errors.Is(err, errTimedOut):
		return timedOut, output, nil
	case errors.As(err, &exit):
		return caught, output, nil
	}
	return untried, output, err
}

// blame makes sure that it is the mutant that does not compile. What the compiler
// says of another file may come from the mutant, but also from whoever is working there.
func (t tester) blame(ctx context.Context, dir, suite string, m *mutant, output string) error {
	if strings.Contains(output, path.Base(m.File)+":") {
		return nil
	}
	if output, err := t.build(ctx, dir, suite, nil); err != nil {
		return fmt.Errorf("without it too: %w\n%s", err, output)
	}
	return nil
}
