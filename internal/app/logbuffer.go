package app

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// LogBuffer gathers log lines and writes them out in larger pieces, every
// tenth of a second at the latest. A system call for each line would cost a
// balance read as much as its lookup does.
type LogBuffer struct {
	mu     sync.Mutex
	out    *bufio.Writer
	stop   chan struct{}
	closed sync.WaitGroup
}

// NewLogBuffer makes a buffer before out. Close writes out what is left.
func NewLogBuffer(out io.Writer) *LogBuffer {
	b := &LogBuffer{out: bufio.NewWriterSize(out, 64<<10), stop: make(chan struct{})}
	b.closed.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				b.flush() //nolint:errcheck // A log that cannot be written has nowhere to say so.
			case <-b.stop:
				return
			}
		}
	})
	return b
}

// Write takes a line.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(line)
}

func (b *LogBuffer) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Flush()
}

// Close writes out what is left. It is called once, when nobody writes any more.
func (b *LogBuffer) Close() error {
	close(b.stop)
	b.closed.Wait()
	return b.flush()
}
