package acceptance

import (
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// await PATTERN COMMAND ARGUMENTS... runs a command until its standard output
// matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) > 1, "await pattern command [argument...]")
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(upstreamWait); ; time.Sleep(200 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never %s: %v\n%s%s", args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// expand FILE puts the values of variables into a file, which only its owner may
// read from then on.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 1, "expand file")
	path := ts.MkAbs(args[0])
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.Remove(path))
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}
