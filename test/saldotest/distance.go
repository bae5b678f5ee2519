package saldotest

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Distant gives the URL of a database behind a line on which each answer takes
// up to so much longer, by chance, as from another data centre: what it tells was
// true when the answer set out, and a later one may overtake it.
func Distant(tb testing.TB, db string, delay time.Duration) string {
	tb.Helper()
	location, err := url.Parse(db)
	if err != nil {
		tb.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	l := &line{to: location.Host, delay: delay, open: map[net.Conn]bool{}}
	l.running.Go(func() { l.accept(listener) })
	tb.Cleanup(func() {
		if err := listener.Close(); err != nil {
			tb.Error(err)
		}
		l.hangUp()
	})
	location.Host = listener.Addr().String()
	return location.String()
}

// line passes connections on.
type line struct {
	to      string
	delay   time.Duration
	running sync.WaitGroup

	mu   sync.Mutex
	over bool
	open map[net.Conn]bool
}

// accept takes connections until the listener is closed.
func (l *line) accept(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.to)
		if err != nil || !l.keep(near, far) {
			_ = near.Close() // Whoever called sees that nobody is there.
			continue
		}
		l.running.Go(func() {
			_, _ = io.Copy(far, near) // An end of a connection is passed on, whatever it was.
			_ = far.Close()
		})
		l.running.Go(func() {
			l.answer(near, far)
			_ = near.Close()
		})
	}
}

// answer passes on what comes from the far end, each piece late.
func (l *line) answer(near io.Writer, far io.Reader) {
	type piece struct {
		due  time.Time
		data []byte
	}
	under := make(chan piece, 1024) // way
	l.running.Go(func() {
		defer close(under)
		for {
			data := make([]byte, 16<<10)
			n, err := far.Read(data)
			if err != nil {
				return
			}
			under <- piece{time.Now().Add(rand.N(l.delay)), data[:n]}
		}
	})
	for p := range under {
		time.Sleep(time.Until(p.due))
		_, _ = near.Write(p.data) // Where nobody is there any more, the rest is thrown away.
	}
}

// keep remembers the two ends of a connection, unless the line is down.
func (l *line) keep(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range ends {
		if l.over {
			_ = end.Close() // There is nobody to tell.
		} else {
			l.open[end] = true
		}
	}
	return !l.over
}

// hangUp ends all connections.
func (l *line) hangUp() {
	l.mu.Lock()
	l.over = true
	for end := range l.open {
		_ = end.Close() // It may be closed already.
	}
	l.mu.Unlock()
	l.running.Wait()
}
