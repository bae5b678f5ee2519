// Package saldotest runs the real saldo binary for the tests of the whole: it
// builds it once for each test process, runs its commands, and starts and stops
// servers of it.
package saldotest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// Secret begins every secret that a test makes up, whether a key has it or it is
// wrong. Stop looks for it in the log of a server, where no secret may be.
const Secret = "S3CR3T"

// RaceOptions are the value of GORACE for the binary: by default the race
// detector lets a process sleep for a second at its end.
const RaceOptions = "atexit_sleep_ms=0"

var (
	folder string // of the binary; Main makes and removes it
	build  = sync.OnceValues(buildBinary)
)

// Main runs the tests of a package, removes the binary afterwards, and stops
// the PostgreSQL server if a test needed one. It is what TestMain calls, and
// gives the exit status.
func Main(m *testing.M) (status int) {
	var err error
	if folder, err = os.MkdirTemp("", "saldo-test-"); err != nil {
		panic(err)
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil {
			panic(err)
		}
	}()
	return pgtest.Tests{M: m}.Run()
}

// Binary is the path of the saldo binary, which the first call builds. It has
// the race detector where the tests have it.
func Binary(tb testing.TB) string {
	tb.Helper()
	path, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

func buildBinary() (string, error) {
	if folder == "" {
		return "", errors.New("the package has no TestMain that calls saldotest.Main")
	}
	path := filepath.Join(folder, "saldo")
	args := []string{"build", "-o", path}
	if raceDetector() {
		// SQLite's own code is left alone, as in "make test".
		args = append(args, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false")
	}
	output, err := exec.Command("go", append(args, "github.com/saldo-ledger/saldo/cmd/saldo")...).CombinedOutput()
	if err != nil {
		return "", errors.New("go build: " + err.Error() + "\n" + string(output))
	}
	return path, nil
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Environment is that of this process without the settings of saldo that
// whoever runs the tests may have, and with those that are given.
func Environment(settings ...string) []string {
	inherited := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "SALDO_")
	})
	return append(append(inherited, "GORACE="+RaceOptions), settings...)
}

// Result is what a command of the binary did.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Run runs a command of the binary to its end.
func Run(tb testing.TB, args ...string) Result {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(tb.Context(), Binary(tb), args...)
	command.Env = Environment()
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if failure := new(exec.ExitError); err != nil && !errors.As(err, &failure) {
		tb.Fatal(err)
	}
	return Result{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// Verify runs "saldo verify" and fails the test where anything is wrong with the ledger.
func Verify(tb testing.TB, db string) {
	tb.Helper()
	if checked := Run(tb, "verify", "--db", db); checked.Status != 0 {
		tb.Fatalf("saldo verify: %+v", checked)
	}
}
