package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// house is a module whose packages have the names of those with wider tests.
var house = map[string]string{
	"go.mod":                    "module example.com/house\n\ngo 1.26\n",
	"internal/ledger/ledger.go": "package ledger\n\n// Larger tells whether a is larger.\nfunc Larger(a, b int) bool { return a > b }\n",
	// It is weak: it never asks about equal numbers.
	"internal/ledger/ledger_test.go": `package ledger

import "testing"

func TestLarger(t *testing.T) {
	if !Larger(2, 1) || Larger(1, 2) {
		t.Error("wrong")
	}
}
`,
	"internal/engine/engine.go": `package engine

func Smaller(a, b int) bool { return a < b }

func Count(n int) {
	for n > stop {
		n--
	}
}

var stop = len([1]int{5}) - 1

var names = []string{"only"}[:1]
`,
	// It knows nothing of Smaller, but the other package's does.
	"internal/engine/engine_test.go": `package engine

import "testing"

func TestCount(t *testing.T) {
	if stop != 0 || len(names) != 1 {
		t.Error("wrong")
	}
	Count(3)
}
`,
	"internal/store/sqlite/store_test.go": `package sqlite

import (
	"testing"

	"example.com/house/internal/engine"
)

func TestSmaller(t *testing.T) {
	if !engine.Smaller(1, 2) || engine.Smaller(2, 1) || engine.Smaller(1, 1) {
		t.Error("wrong")
	}
}
`,
	equivalentFile: "internal/engine/engine.go Count\n\tfor n > stop {\n\t> to >=\n\tOne more is not seen.\n",
}

// raise writes the house, with some files that read otherwise.
func raise(t *testing.T, changes map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	files := maps.Clone(house)
	maps.Copy(files, changes)
	for name, text := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// outcomes runs the program and gives what became of the mutants, by their names.
func outcomes(t *testing.T, o options) (map[string]outcome, report, error) {
	t.Helper()
	var stdout bytes.Buffer
	o.json, o.seed, o.jobs, o.timeout = true, 1, 2, 2*time.Second
	failed := run(t.Context(), o, &stdout, io.Discard)
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v: %v\n%s", err, failed, stdout.String())
	}
	got := map[string]outcome{}
	for _, m := range r.Mutants {
		got[m.Function+": "+m.Name] = m.Outcome
	}
	return got, r, failed
}

func TestOutcomes(t *testing.T) {
	root := raise(t, nil)
	got, r, err := outcomes(t, options{root: root, packages: []string{"internal/ledger", "internal/engine"}, minimum: 60})
	want := map[string]outcome{
		"Larger: > to >=":          survived,
		"Larger: > to <=":          caught,
		"Smaller: < to <=":         caught,
		"Smaller: < to >=":         caught,
		"Count: > to >=":           equivalent,
		"Count: > to <=":           survived, // nobody asks what it did
		"Count: statement removed": timedOut,
		"Count: -- to ++":          timedOut, // it takes long to come round
		"stop: 1 to 2":             caught,
		"stop: - to +":             caught,
		"stop: 1 to 2 #2":          caught,
		"stop: 5 to 6":             survived,
		"names: 1 to 2":            caught, // by the panic at the start
	}
	if !maps.Equal(got, want) {
		t.Errorf("the outcomes are %v, want %v", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "internal/ledger: the tests caught 50.0 %") || strings.Contains(err.Error(), "internal/engine") {
		t.Errorf("the error is %v, want one that says which score is too low", err)
	}
	if s := r.Packages[1]; s.Caught != 8 || s.TimedOut != 2 || s.Survived != 2 || s.Equivalent != 1 {
		t.Errorf("the score is %+v", s)
	}
	entries, err := os.ReadDir(filepath.Join(root, "internal", "engine"))
	if err != nil || len(entries) != 2 {
		t.Errorf("the tree has %v (%v), want it as it was", entries, err)
	}
}

// Better tests catch what weak ones let through.
func TestStrongTest(t *testing.T) {
	stronger := strings.Replace(house["internal/ledger/ledger_test.go"], "|| Larger(1, 2)", "|| Larger(1, 2) || Larger(1, 1)", 1)
	root := raise(t, map[string]string{"internal/ledger/ledger_test.go": stronger})
	got, _, err := outcomes(t, options{root: root, packages: []string{"internal/ledger"}, minimum: 100})
	if want := map[string]outcome{"Larger: > to >=": caught, "Larger: > to <=": caught}; err != nil || !maps.Equal(got, want) {
		t.Errorf("the outcomes are %v, want %v; %v", got, want, err)
	}
}

// What the compiler refuses is not counted, and what vet would say is no test.
func TestNotCompiled(t *testing.T) {
	root := raise(t, map[string]string{
		"internal/ledger/ledger.go": `package ledger

import "strings"

func Larger(a, b int) bool {
	strings.ToUpper("x")
	return a > b && a != 5 && a != 6
}
`,
	})
	got, r, err := outcomes(t, options{root: root, packages: []string{"internal/ledger"}})
	if err != nil {
		t.Fatal(err)
	}
	if got["Larger: statement removed"] != notCompiled || r.Packages[0].NotCompiled != 1 {
		t.Errorf("a mutant that leaves an import unused is %q", got["Larger: statement removed"])
	}
	if got["Larger: && to || #2"] == notCompiled {
		t.Error("vet refused a mutant")
	}
}

func TestBrokenTree(t *testing.T) {
	for name, test := range map[string]string{
		"fails":      "package ledger\n\nimport \"testing\"\n\nfunc TestLarger(t *testing.T) { t.Error(\"nobodyWasHere\") }\n",
		"not builds": "package ledger\n\nvar here = nobodyWasHere\n",
	} {
		root := raise(t, map[string]string{"internal/ledger/ledger_test.go": test})
		o := options{root: root, packages: []string{"internal/ledger"}, jobs: 1, timeout: time.Minute}
		if err := run(t.Context(), o, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "without a mutant") || !strings.Contains(err.Error(), "nobodyWasHere") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

// canceler stops the work when the first outcome is printed.
type canceler struct{ cancel func() }

func (c canceler) Write(b []byte) (int, error) {
	if strings.Contains(string(b), ": > to ") {
		c.cancel()
	}
	return len(b), nil
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	o := options{root: raise(t, nil), packages: []string{"internal/ledger"}, seed: 1, jobs: 1, timeout: time.Minute, verbose: true}
	err := run(ctx, o, &stdout, canceler{cancel})
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("the error is %v", err)
	}
	line := slices.IndexFunc(strings.Split(stdout.String(), "\n"), func(line string) bool {
		fields := strings.Fields(line) // package, score, %, caught, timed out, survived, untried
		return len(fields) > 6 && fields[0] == "internal/ledger" && fields[6] == "1"
	})
	if line < 0 {
		t.Errorf("the report does not say that one mutant is left:\n%s", stdout.String())
	}
}

func TestList(t *testing.T) {
	var stdout bytes.Buffer
	o := options{root: raise(t, nil), packages: []string{"internal/engine"}, list: true}
	if err := run(t.Context(), o, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"internal/engine/engine.go:3: < to <=, in Smaller\n",
		"internal/engine/engine.go:6: > to >=, in Count\n\tequivalent: One more is not seen.\n",
		"internal/engine: 11 mutants, 1 of them known to be equivalent\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the list does not have %q:\n%s", want, stdout.String())
		}
	}
}

func TestCommandLine(t *testing.T) {
	o, err := parse([]string{"-packages", "./internal/ledger, internal/engine/", "-output", "json"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.packages, []string{"internal/ledger", "internal/engine"}) || !o.json || o.seed == 0 || !filepath.IsAbs(o.root) {
		t.Errorf("the options are %+v", o)
	}
	for _, wrong := range [][]string{{"more"}, {"-output", "xml"}, {"-sample", "-1"}, {"-j", "0"}, {"-timeout", "-1s"}, {"-seed", "4294967296"}} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}

func TestReport(t *testing.T) {
	percent := 50.0
	r := report{
		Seed: 7, Seconds: 30, Stale: []string{"dir/file.go f: a: b"},
		Mutants: []*mutant{
			{File: "dir/file.go", Line: 3, Function: "f", Name: "< to <=", Before: []string{"\ta < b"}, After: []string{"\ta <= b"}, Outcome: survived},
			{File: "dir/file.go", Line: 4, Function: "f", Name: "< to <=", Outcome: caught},
		},
		Packages: []score{{Package: "dir", Caught: 1, Survived: 1, NotCompiled: 1, Percent: &percent}, {Package: "other"}},
	}
	var stdout bytes.Buffer
	if err := r.print(&stdout, options{}); err != nil {
		t.Fatal(err)
	}
	want := `dir/file.go:3: < to <=, in f
-	a < b
+	a <= b

                            score   caught  timed out  survived   untried  not compiled  equivalent
dir                        50.0 %        1          0         1         0             1           0
other                           -        0          0         0         0             0           0
3 mutants in 30 s, 6 a minute; -seed 7
no such mutant any more, in test/mutate/equivalent.txt: dir/file.go f: a: b
`
	if stdout.String() != want {
		t.Errorf("the report is\n%s\nwant\n%s", stdout.String(), want)
	}
	for minimum, wrong := range map[float64]bool{50: false, 50.1: true} {
		if err := r.verdict(options{minimum: minimum}); (err != nil) != wrong {
			t.Errorf("at least %g %% gives %v", minimum, err)
		}
	}
}
