package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// equivalentKey names a mutant in a way that outlives a change elsewhere in its file.
type equivalentKey struct{ file, function, text, name string }

func keyOf(m *mutant) equivalentKey {
	return equivalentKey{m.File, m.Function, m.Text, m.Name}
}

// equivalents are the mutants that are known to do the same as the code, with the reasons.
type equivalents map[equivalentKey]string

// readEquivalents reads the file of that name, which need not be there.
func readEquivalents(name string) (equivalents, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseEquivalents(string(text))
}

// parseEquivalents reads blocks with an empty line between: a line with the file
// and the function, then the line of code, the name of the mutation, and the reason, which
// may go on over more lines. The space before a line does not count, and a line
// that starts with # is a comment.
func parseEquivalents(text string) (equivalents, error) {
	known := equivalents{}
	var block []string
	for number, line := range slices.All(append(strings.Split(text, "\n"), "")) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "#"):
		case line != "":
			block = append(block, line)
		case len(block) > 0:
			if err := known.add(block); err != nil {
				return nil, fmt.Errorf("%s: before line %d: %w", equivalentFile, number+1, err)
			}
			block = nil
		}
	}
	return known, nil
}

func (e equivalents) add(block []string) error {
	file, function, ok := strings.Cut(block[0], " ")
	if !ok || len(block) < 4 {
		return errors.New("it takes a line with the file and the function, then the line of code, the mutation and the reason")
	}
	key := equivalentKey{file, strings.TrimSpace(function), block[1], block[2]}
	if _, twice := e[key]; twice {
		return errors.New("it stands there twice")
	}
	e[key] = strings.Join(block[3:], " ")
	return nil
}

// mark sets apart the mutants that are known to be equivalent. It returns what is
// listed for these packages, and is no mutant any more.
func (e equivalents) mark(mutants []*mutant, packages []string) (stale []string) {
	used := map[equivalentKey]bool{}
	for _, m := range mutants {
		if reason, ok := e[keyOf(m)]; ok {
			m.Outcome, m.Reason = equivalent, reason
			used[keyOf(m)] = true
		}
	}
	for key := range e {
		if !used[key] && slices.Contains(packages, path.Dir(key.file)) {
			stale = append(stale, fmt.Sprintf("%s %s: %s: %s", key.file, key.function, key.text, key.name))
		}
	}
	slices.Sort(stale)
	return stale
}
