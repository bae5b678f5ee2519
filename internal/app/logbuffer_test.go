package app_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
)

// Lines of many writers come out whole, all of them, each writer's in order.
func TestLogBuffer(t *testing.T) {
	t.Parallel()
	out := &locked{}
	b := app.NewLogBuffer(out)
	const writers, each = 8, 2000 // more than the buffer holds
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(b, "writer %d line %d\n", w, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	next := [writers]int{}
	for text := range strings.Lines(out.String()) {
		var w, i int
		if _, err := fmt.Sscanf(text, "writer %d line %d\n", &w, &i); err != nil || i != next[w] {
			t.Fatalf("%q comes after %d lines of its writer, %v", text, next[w], err)
		}
		next[w]++
	}
	for w, lines := range next {
		if lines != each {
			t.Errorf("writer %d has %d lines", w, lines)
		}
	}
}

// Whoever watches the log sees a line within a tenth of a second.
func TestLogBufferFlushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &locked{}
		b := app.NewLogBuffer(out)
		time.Sleep(30 * time.Millisecond)
		for _, text := range []string{"one\n", "two\n"} {
			if _, err := b.Write([]byte(text)); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if out.String() != "" {
			t.Errorf("%q is written at once", out)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if out.String() != "one\ntwo\n" {
			t.Errorf("%q is written after a tenth of a second", out)
		}
		_, _ = b.Write([]byte("three\n"))
		if err := b.Close(); err != nil || out.String() != "one\ntwo\nthree\n" {
			t.Errorf("after Close there is %q, %v", out, err)
		}
	})
}

// full is a disk without room, for a while.
type full struct {
	locked
	is bool
}

func (f *full) Write(p []byte) (int, error) {
	if f.is {
		return 0, errors.New("no space left on device")
	}
	return f.locked.Write(p)
}

// A disk that was full once must not end the log for good.
func TestLogBufferRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &full{is: true}
		b := app.NewLogBuffer(out)
		_, _ = b.Write([]byte("lost\n"))
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		large := make([]byte, 100<<10)
		if _, err := b.Write(large); err == nil {
			t.Error("a line larger than the buffer is written to a full disk")
		}
		out.is = false
		if _, err := b.Write([]byte("kept\n")); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil || out.String() != "kept\n" {
			t.Errorf("there is %q, %v", &out.locked, err)
		}
	})
}
