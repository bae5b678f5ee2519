package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wider are the packages whose tests also test another one, and are asked only when its
// own tests let a mutant through, because they take longer to build and to run.
var wider = map[string][]string{
	"internal/engine": {"internal/store/sqlite"}, // the suite for stores drives an engine
}

// suites are the packages whose tests test a package, its own first.
func suites(name string) []string { return append([]string{name}, wider[name]...) }

const (
	// testBinary is what the go command builds, in a folder of its own.
	testBinary = "suite.test"
	// memoryKiB bounds a test, because a mutant may collect without an end.
	memoryKiB = 4 << 20
	// outputBytes is how much is kept of what a test prints: the end of it.
	outputBytes = 64 << 10
	// grace is how long tests may take beyond their time-out to say that they ran into it.
	grace = 10 * time.Second
	// leastLimit and mostLimit bound the time-out of tests, and between them they may take
	// slowness times as long as without a mutant. A deadlock is then waited for
	// no longer than it takes to tell it from a busy machine.
	leastLimit = 20 * time.Second
	mostLimit  = 2 * time.Minute
	slowness   = 10
)

// tester builds and runs the tests of a module with a change in it.
type tester struct {
	root string
	seed uint32
	// limits are how long the tests of each package may take.
	limits map[string]time.Duration
}

// change is a file of the tree that reads otherwise for the compiler; nil for the tree as it is.
type change struct {
	file   string // from the root
	source []byte
}

// The ways in which tests come to no result.
var (
	errNotBuilt = errors.New("the tests do not build")
	errTimedOut = errors.New("the tests ran into their time-out")
)

// build builds the tests of a package with a change, into a folder that the
// caller removes. It returns the end of what was printed, and errNotBuilt where
// the go command refuses.
func (t tester) build(ctx context.Context, dir, suite string, c *change) (output string, err error) {
	temp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return "", err
	}
	// Linking is most of the work, so nothing is linked for debuggers. What vet
	// would say of a mutant is no test.
	arguments := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", filepath.Join(dir, testBinary)}
	if c != nil {
		overlay, err := t.overlay(dir, c)
		if err != nil {
			return "", err
		}
		arguments = append(arguments, "-overlay", overlay)
	}
	output, err = runAll(t.command(ctx, t.root, temp, "go", append(arguments, "./"+suite)...))
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return output, errNotBuilt
	}
	return output, err
}

// run runs the tests that build has built, in the folder of their package. It
// returns the end of what they printed. When they fail, the error is an
// *exec.ExitError, or errTimedOut.
func (t tester) run(ctx context.Context, dir, suite string) (output string, err error) {
	binary := filepath.Join(dir, testBinary)
	if _, err := os.Stat(binary); err != nil {
		return "", fmt.Errorf("%s has no tests", suite)
	}
	limit := t.limits[suite]
	ctx, cancel := context.WithTimeout(ctx, limit+grace)
	defer cancel()
	// The shell bounds the memory and becomes the test. Where it cannot bound it, it
	// runs the test all the same.
	script := "ulimit -v " + strconv.Itoa(memoryKiB) + ` 2>/dev/null; exec "$0" "$@"`
	command := t.command(ctx, filepath.Join(t.root, filepath.FromSlash(suite)), filepath.Join(dir, "tmp"), "sh", "-c", script,
		binary, "-test.count=1", "-test.failfast", "-test.paniconexit0", "-test.timeout="+limit.String())
	began := time.Now()
	output, err = runAll(command)
	if err != nil && time.Since(began) >= limit {
		return output, errTimedOut
	}
	return output, err
}

// overlay writes the changed file, and the file that puts it into its place.
func (t tester) overlay(dir string, c *change) (string, error) {
	source := filepath.Join(dir, path.Base(c.file)) // which is what the compiler calls it
	if err := os.WriteFile(source, c.source, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(t.root, filepath.FromSlash(c.file)): source},
	})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

// command prepares a command that is ended with all that it started. It is in a
// process group of its own also because an interrupt from the keyboard, which
// goes to the group in front, would look like a test that failed.
func (t tester) command(ctx context.Context, dir, temp, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	command.Env = append(os.Environ(),
		"PWD="+dir,
		"TMPDIR="+temp,          // a test that is killed leaves its files there
		"RAPID_NOFAILFILE=true", // they would go into the tree
		"RAPID_SHRINKTIME=0s",   // nobody reads what a caught mutant failed with
		"RAPID_SEED="+strconv.FormatUint(uint64(t.seed), 10), // one seed has one outcome
	)
	return command
}

// runAll runs a command and returns the end of what it printed.
func runAll(command *exec.Cmd) (string, error) {
	var output tail
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it passed, and left something behind that holds its output open
	}
	return strings.TrimSpace(string(output)), err
}

// tail keeps the end of what is written to it.
type tail []byte

// Write keeps b, and of what was written before it as much as still fits.
func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b...)
	if len(*t) > 2*outputBytes { // so that it is not moved at each write
		*t = append((*t)[:0], (*t)[len(*t)-outputBytes:]...)
	}
	return len(b), nil
}
