package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// plainEvery is how often progress is printed where it cannot be overwritten.
const plainEvery = 15 * time.Second

// progress tells how far the work is: in one line that is overwritten on a
// terminal, and now and then in a line of its own elsewhere.
type progress struct {
	mu       sync.Mutex
	to       io.Writer
	terminal bool
	verbose  bool
	total    int
	began    time.Time
	printed  time.Time
	counts   map[outcome]int
}

func newProgress(to io.Writer, total int, verbose bool) *progress {
	now := time.Now()
	return &progress{to: to, terminal: isTerminal(to), verbose: verbose, total: total, began: now, printed: now, counts: map[outcome]int{}}
}

func isTerminal(to io.Writer) bool {
	file, ok := to.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// done counts a mutant that has its outcome.
func (p *progress) done(m *mutant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[m.Outcome]++
	if p.verbose {
		p.erase()
		fmt.Fprintf(p.to, "%-12s %s\n", m.Outcome, m)
		if m.Outcome == notCompiled {
			fmt.Fprintf(p.to, "\t%s\n", strings.ReplaceAll(m.Output, "\n", "\n\t"))
		}
	}
	switch {
	case p.terminal:
		p.erase()
		fmt.Fprint(p.to, p.line())
	case time.Since(p.printed) >= plainEvery:
		p.printed = time.Now()
		fmt.Fprintln(p.to, p.line())
	}
}

// line is short, because what is wider than a terminal is not overwritten.
func (p *progress) line() string {
	tried := 0
	for _, n := range p.counts {
		tried += n
	}
	left := time.Since(p.began) / time.Duration(tried) * time.Duration(p.total-tried)
	return fmt.Sprintf("%d of %d tried, %d caught, %d survived, about %s left",
		tried, p.total, p.counts[caught]+p.counts[timedOut], p.counts[survived], left.Round(time.Second))
}

// erase takes the line back.
func (p *progress) erase() {
	if p.terminal {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// end leaves the terminal as it was.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}
