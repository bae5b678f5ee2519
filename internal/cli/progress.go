package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Measures of the line that shows how far an import has come.
const (
	barWidth      = 20
	progressEvery = 100 * time.Millisecond
)

// progress overwrites one line of a terminal. The zero value shows nothing,
// which is what everything but a terminal sees.
type progress struct {
	out     io.Writer
	colours bool
	size    int64 // of the file, 0 where it is not known
	start   time.Time
	drawn   time.Time
	visible bool
}

// newProgress shows on a terminal only.
func newProgress(out io.Writer, size int64, start time.Time) *progress {
	if !isTerminal(out) {
		return &progress{}
	}
	return &progress{out: out, colours: colours(out), size: size, start: start}
}

// due tells whether the line is old enough to be drawn again.
func (p *progress) due(now time.Time) bool { return p.out != nil && now.Sub(p.drawn) >= progressEvery }

// draw shows how far the import is.
func (p *progress) draw(now time.Time, count *importCount, bytes int64, state string) {
	if p.out == nil {
		return
	}
	p.drawn, p.visible = now, true
	_, _ = fmt.Fprint(p.out, "\r\x1b[K"+p.line(now, count, bytes, state))
}

// clear takes the line away, so that something else can be written.
func (p *progress) clear() {
	if p.visible {
		p.visible = false
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// line is what draw shows: how much of the file, how many lines, how fast, how
// long it will still take, and what went wrong.
func (p *progress) line(now time.Time, count *importCount, bytes int64, state string) string {
	elapsed := now.Sub(p.start).Seconds()
	var parts []string
	if p.size > 0 {
		share := min(float64(bytes)/float64(p.size), 1)
		full := int(share * barWidth)
		bar := paint(p.colours, "32", strings.Repeat("━", full)) + paint(p.colours, "2", strings.Repeat("─", barWidth-full))
		parts = append(parts, fmt.Sprintf("%3d%% %s", int(share*100), bar))
	}
	parts = append(parts, grouped(count.Lines)+" lines")
	if elapsed > 0 && count.Lines > 0 {
		parts = append(parts, grouped(int(float64(count.Lines)/elapsed))+"/s")
		if p.size > bytes && bytes > 0 {
			left := elapsed / float64(bytes) * float64(p.size-bytes)
			parts = append(parts, clock(time.Duration(left*float64(time.Second)))+" left")
		}
	}
	if rejects := count.rejects(); rejects > 0 {
		parts = append(parts, paint(p.colours, "31", grouped(rejects)+plural(rejects, " reject", " rejects")))
	}
	if state != "" {
		parts = append(parts, paint(p.colours, "33", state))
	}
	return strings.Join(parts, "  ")
}

// clock is a duration as a clock shows it: 0:07, 12:30, 1:02:03.
func clock(d time.Duration) string {
	seconds := int((d + time.Second/2) / time.Second)
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// plural chooses the word for a count.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// grouped is a count with a comma before every third digit from the right.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	var text strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			text.WriteByte(',')
		}
		text.WriteRune(digit)
	}
	return text.String()
}
