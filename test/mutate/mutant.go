package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// mutant is one small mistake in one file.
type mutant struct {
	Package  string `json:"package"`
	File     string `json:"file"` // from the module's root, with slashes
	Line     int    `json:"line"`
	Function string `json:"function"` // "Type.method" for a method; what is declared, outside of functions
	// Text is the line where the mistake begins, without the space around it.
	Text string `json:"text"`
	// Name says what the mistake is. With the file, the function and the text, it
	// names the mutant however the lines above it move.
	Name    string   `json:"name"`
	Before  []string `json:"before"` // the lines that it changes
	After   []string `json:"after"`
	Outcome outcome  `json:"outcome"`
	Reason  string   `json:"reason,omitempty"` // why it is equivalent
	Output  string   `json:"-"`                // what the go command or the tests printed last

	source     []byte // of the file as it is
	start, end int    // the bytes of it that are replaced
	with       string
}

// outcome is what became of a mutant.
type outcome string

// The outcomes. Only the first three are counted in the score.
const (
	caught      outcome = "caught"
	timedOut    outcome = "timed out" // which counts as caught
	survived    outcome = "survived"
	notCompiled outcome = "not compiled"
	equivalent  outcome = "equivalent"
	untried     outcome = "not tried"
)

// apply gives the file with the mistake in it.
func (m *mutant) apply() []byte {
	return slices.Concat(m.source[:m.start], []byte(m.with), m.source[m.end:])
}

// String says in one line where the mutant is and what it is.
func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d: %s, in %s", m.File, m.Line, m.Name, m.Function)
}

// diff shows the mistake as a patch would.
func (m *mutant) diff() string {
	var b strings.Builder
	for _, line := range m.Before {
		b.WriteString("-" + line + "\n")
	}
	for _, line := range m.After {
		b.WriteString("+" + line + "\n")
	}
	return b.String()
}

// describe fills in the lines around the mistake.
func (m *mutant) describe() {
	first := lineStart(m.source, m.start)
	last := m.end
	for last < len(m.source) && m.source[last] != '\n' {
		last++
	}
	m.Before = strings.Split(string(m.source[first:last]), "\n")
	m.Text = strings.TrimSpace(m.Before[0])
	m.After = []string{}
	after := string(m.source[first:m.start]) + m.with + string(m.source[m.end:last])
	for line := range strings.SplitSeq(after, "\n") {
		if strings.TrimSpace(line) != "" {
			m.After = append(m.After, strings.TrimRight(line, " \t"))
		}
	}
}

func lineStart(source []byte, at int) int {
	for at > 0 && source[at-1] != '\n' {
		at--
	}
	return at
}

// number sorts the mutants of one file and makes their names unique: the second
// of one name on lines that read the same in one function is "NAME #2".
func number(mutants []*mutant) {
	slices.SortStableFunc(mutants, func(a, b *mutant) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	seen := map[equivalentKey]int{}
	for _, m := range mutants {
		key := keyOf(m)
		seen[key]++
		if n := seen[key]; n > 1 {
			m.Name = fmt.Sprintf("%s #%d", m.Name, n)
		}
	}
}
