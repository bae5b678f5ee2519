package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// endless gives lines of one length, and counts what was read of them.
type endless struct {
	line string
	at   int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.line[e.at:])
	e.at = (e.at + n) % len(e.line)
	e.read += n
	return n, nil
}

// Of a stream whose lines nobody takes, one chunk is read ahead, and no more.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ length, lines int }{
		{1, maxChunkLines},
		{1000, maxChunkLines},
		{10_000, maxChunk / 10_000},
		{maxLine, maxChunk / maxLine},
	} {
		t.Run(fmt.Sprint(tt.length), func(t *testing.T) {
			t.Parallel()
			body := &endless{line: strings.Repeat("x", tt.length) + "\n"}
			l := newLines(body, http.NewResponseController(httptest.NewRecorder()), time.Minute)
			for chunk := range 3 {
				waitFor(t, func() bool {
					l.mu.Lock()
					defer l.mu.Unlock()
					return len(l.waiting) == tt.lines
				})
				if next := l.next(); next != chunk*tt.lines {
					t.Errorf("the next line is %d", next)
				}
				if !l.wait() || l.failure() == nil {
					t.Error("the stream has ended")
				}
				if taken := l.take(); len(taken) != tt.lines || len(taken[0].text) != tt.length || taken[1].index != chunk*tt.lines+1 {
					t.Errorf("chunk %d has %d lines", chunk, len(taken))
				}
			}
			l.stop()
			// Besides the chunks there is one line that waits for its place, and
			// what the reader has in hand.
			if most := 4*tt.lines*(tt.length+1) + 2*(maxLine+1); body.read > most {
				t.Errorf("%d bytes were read, at most %d are held", body.read, most)
			}
		})
	}
}

// Whatever the pieces in which a stream arrives, its lines are the same.
func TestLinesInPieces(t *testing.T) {
	t.Parallel()
	text := "a\n\n" + strings.Repeat("b", maxLine) + "\n" + strings.Repeat("c", maxLine+1) + "\nd\r\n" + strings.Repeat("e", 3*maxLine) + "\n \nf"
	for _, size := range []int{1, 7, 4096, maxLine, maxLine + 1, len(text)} {
		l := newLines(&inPieces{text, size}, http.NewResponseController(httptest.NewRecorder()), time.Minute)
		var got []string
		for l.wait() {
			for _, line := range l.take() {
				word := fmt.Sprintf("%d:%d", line.index, len(line.text))
				if line.err != nil {
					word = fmt.Sprintf("%d:long", line.index)
				}
				got = append(got, word)
			}
		}
		if want := fmt.Sprintf("[0:1 2:%d 3:long 4:1 5:long 7:1]", maxLine); fmt.Sprint(got) != want || l.failure() != nil || l.next() != 8 {
			t.Errorf("in pieces of %d: %v, %v", size, got, l.failure())
		}
		l.stop()
	}
}

type inPieces struct {
	text string
	size int
}

func (p *inPieces) Read(into []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(into, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		time.Sleep(time.Millisecond)
	}
}
