package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// report is the result of a run.
type report struct {
	Seed        uint32  `json:"seed"`
	Seconds     float64 `json:"seconds"`
	Interrupted bool    `json:"interrupted"`
	Packages    []score `json:"packages"`
	// Stale is what equivalent.txt lists and nobody finds any more.
	Stale   []string  `json:"stale"`
	Mutants []*mutant `json:"mutants"` // those that were not tried too
}

// score is the result of a package.
type score struct {
	Package     string `json:"package"`
	Mutants     int    `json:"mutants"`
	Caught      int    `json:"caught"` // those that timed out included
	TimedOut    int    `json:"timed_out"`
	Survived    int    `json:"survived"`
	NotCompiled int    `json:"not_compiled"`
	Equivalent  int    `json:"equivalent"`
	Untried     int    `json:"not_tried"`
	// Percent is the part of the mutants that was caught, of those that were
	// tried and do compile; nil where there are none.
	Percent *float64 `json:"percent"`
}

// add counts the mutants of packages.
func (r *report) add(packages []string, mutants []*mutant) {
	r.Mutants = append([]*mutant{}, mutants...) // not nil, which JSON would call null
	r.Stale = append([]string{}, r.Stale...)
	for _, name := range packages {
		counts := map[outcome]int{}
		total := 0
		for _, m := range mutants {
			if m.Package == name {
				counts[m.Outcome]++
				total++
			}
		}
		s := score{
			Package: name, Mutants: total, Caught: counts[caught] + counts[timedOut], TimedOut: counts[timedOut],
			Survived: counts[survived], NotCompiled: counts[notCompiled], Equivalent: counts[equivalent], Untried: counts[untried],
		}
		if counted := s.Caught + s.Survived; counted > 0 {
			percent := 100 * float64(s.Caught) / float64(counted)
			s.Percent = &percent
		}
		r.Packages = append(r.Packages, s)
	}
}

// print prints the report as the options say.
func (r *report) print(to io.Writer, o options) error {
	switch {
	case o.json:
		encoder := json.NewEncoder(to)
		encoder.SetEscapeHTML(false) // for the operators
		encoder.SetIndent("", "\t")
		return encoder.Encode(r)
	case o.list:
		r.printList(to)
	default:
		r.printSurvivors(to)
		r.printScores(to)
	}
	for _, entry := range r.Stale {
		fmt.Fprintf(to, "no such mutant any more, in %s: %s\n", equivalentFile, entry)
	}
	return nil
}

func (r *report) printList(to io.Writer) {
	for _, m := range r.Mutants {
		fmt.Fprintln(to, m)
		if m.Reason != "" {
			fmt.Fprintf(to, "\tequivalent: %s\n", m.Reason)
		}
	}
	for _, s := range r.Packages {
		fmt.Fprintf(to, "%s: %d mutants, %d of them known to be equivalent\n", s.Package, s.Mutants, s.Equivalent)
	}
}

func (r *report) printSurvivors(to io.Writer) {
	for _, m := range r.Mutants {
		if m.Outcome == survived {
			fmt.Fprintf(to, "%s\n%s\n", m, m.diff())
		}
	}
}

func (r *report) printScores(to io.Writer) {
	fmt.Fprintf(to, "%-24s %8s %8s %10s %9s %9s %13s %11s\n", "", "score", "caught", "timed out", "survived", "untried", "not compiled", "equivalent")
	for _, s := range r.Packages {
		percent := "-"
		if s.Percent != nil {
			percent = fmt.Sprintf("%.1f %%", *s.Percent)
		}
		fmt.Fprintf(to, "%-24s %8s %8d %10d %9d %9d %13d %11d\n", s.Package, percent, s.Caught, s.TimedOut, s.Survived, s.Untried, s.NotCompiled, s.Equivalent)
	}
	tried := 0
	for _, s := range r.Packages {
		tried += s.Caught + s.Survived + s.NotCompiled
	}
	fmt.Fprintf(to, "%d mutants in %.0f s, %.0f a minute; -seed %d\n", tried, r.Seconds, float64(tried)*60/max(r.Seconds, 1), r.Seed)
}

// verdict is an error where the run was interrupted or a package's score is too low.
func (r *report) verdict(o options) error {
	if o.list {
		return nil
	}
	if r.Interrupted {
		return errors.New("interrupted")
	}
	low := slices.DeleteFunc(slices.Clone(r.Packages), func(s score) bool { return s.Percent == nil || *s.Percent >= o.minimum })
	errs := make([]error, len(low))
	for i, s := range low {
		errs[i] = fmt.Errorf("%s: the tests caught %.1f %% of the mutants, less than %g %%", s.Package, *s.Percent, o.minimum)
	}
	return errors.Join(errs...)
}
