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
	sink   io.Writer
	mu     sync.Mutex
	out    *bufio.Writer
	stop   chan struct{}
	closed sync.WaitGroup
}

// NewLogBuffer makes a buffer before out. Close writes out what is left.
func NewLogBuffer(out io.Writer) *LogBuffer {
	b := &LogBuffer{sink: out, out: bufio.NewWriterSize(out, 64<<10), stop: make(chan struct{})}
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
	n, err := b.out.Write(line)
	b.reset(err)
	return n, err
}

func (b *LogBuffer) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.out.Flush()
	b.reset(err)
	return err
}

// reset drops what could not be written. Without it the writer would refuse
// every later line too, and a disk that was full once would end the log for good.
func (b *LogBuffer) reset(err error) {
	if err != nil {
		b.out.Reset(b.sink)
	}
}

// Close writes out what is left. It is called once, when nobody writes any more.
func (b *LogBuffer) Close() error {
	close(b.stop)
	b.closed.Wait()
	return b.flush()
}
