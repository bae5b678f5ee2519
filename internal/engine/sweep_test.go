package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// expiries tells of each hold that expired.
type expiries chan struct{}

func (expiries) Committed(int, time.Duration) {}

func (x expiries) Decided(kind ledger.Kind, outcome string, replayed bool) {
	if kind == ledger.Expire && outcome == "posted" && !replayed {
		x <- struct{}{}
	}
}

// An engine expires holds by itself: what is due when it starts, and what becomes due later.
func TestHoldsExpireByThemselves(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]time.Duration{"by default": 0, "at an interval": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, _ := newStore(t)
			clock := storetest.NewClock(sampleTime)
			e := start(t, store, engine.Options{Clock: clock.Now}, 1)
			post(t, e, topUp("fill", 1, 10))
			post(t, e, place("hold", 1, 4))
			e.Close()
			clock.Pass(time.Hour)
			expired := make(expiries, 1)
			e = storetest.NewEngine(t, store, engine.Options{Clock: clock.Now, SweepInterval: interval, Observer: expired})
			<-expired
			check(t, "held", wallet(t, e, 1).Held, 0)
			if interval > 0 {
				post(t, e, place("later", 1, 5))
				clock.Pass(time.Hour)
				<-expired
				check(t, "held", wallet(t, e, 1).Held, 0)
			}
			e.Close()
			storetest.Verify(t, store)
		})
	}
}

// sweeping is a store of which a test decides how it lists what is due.
type sweeping struct {
	engine.Store

	asked  atomic.Int64
	limits sync.Map
	due    func(list func() ([]*ledger.Hold, error)) ([]*ledger.Hold, error)
}

func (s *sweeping) DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error) {
	s.asked.Add(1)
	s.limits.Store(limit, true)
	return s.due(func() ([]*ledger.Hold, error) { return s.Store.DueHolds(ctx, at, limit) })
}

// logs is a log that many may write, and a test may read.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// What cannot be expired now is tried again at the next tick, and the fault is told.
func TestSweeperOutlivesFaults(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, real, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("fill", 1, 10))
	post(t, e, place("hold", 1, 4))
	e.Close()
	clock.Pass(2 * time.Hour)
	var faults atomic.Int64
	store := &sweeping{Store: real, due: func(list func() ([]*ledger.Hold, error)) ([]*ledger.Hold, error) {
		if faults.Add(1) <= 3 {
			return nil, errDisk
		}
		return list()
	}}
	var log logs
	expired := make(expiries, 1)
	e = storetest.NewEngine(t, store, engine.Options{Clock: clock.Now, SweepInterval: time.Millisecond, Observer: expired, Logger: log.logger()})
	<-expired
	e.Close()
	// It is told when it begins and when it ends, however often it is tried.
	for _, line := range []string{"holds could not be expired", errDisk.Error(), "holds expire again"} {
		check(t, "how often the log says "+line, strings.Count(log.String(), line), 1)
	}
	store.due = func(func() ([]*ledger.Hold, error)) ([]*ledger.Hold, error) { return nil, errDisk }
	e = start(t, store, engine.Options{Clock: clock.Now}, 0)
	if n, err := e.Sweep(ctx); n != 0 || !errors.Is(err, errDisk) {
		t.Errorf("Sweep: %d, %v", n, err)
	}
}

// An engine that is closed in the middle of a sweep says nothing of it.
func TestCloseInASweep(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("fill", 1, 10))
	post(t, e, place("hold", 1, 4))
	e.Close()
	clock.Pass(2 * time.Hour)
	gate := storetest.NewGate(store)
	gate.Shut()
	var log logs
	e = storetest.NewEngine(t, gate, engine.Options{Clock: clock.Now, SweepInterval: time.Millisecond, Logger: log.logger()})
	gate.Arrived()
	var closing sync.WaitGroup
	closing.Go(e.Close)
	// The sweeper lets go of what it waits for, and then the engine refuses writes.
	for {
		_, _, err := e.Post(ctx, charge("late", 1, -1))
		wantCode(t, err, ledger.InvalidRequest)
		if _, err = e.UpdateWallet(given(t), sms(1), engine.WalletChange{}); strings.Contains(fmt.Sprint(err), "shutting down") {
			break
		}
	}
	gate.Open()
	closing.Wait()
	check(t, "log", log.String(), "")
	holder, err := store.Holder(ctx, 1)
	noError(t, err)
	check(t, "held", holder.Wallets[0].Held, 0) // What was admitted was finished.
	storetest.Verify(t, store)
}

// given is the context of a caller who waits a moment only.
func given(t *testing.T) context.Context {
	t.Helper()
	moment, cancel := context.WithTimeout(ctx, time.Millisecond)
	t.Cleanup(cancel)
	return moment
}

// A hold that gets more time, or is ended, after it was found to be due is no
// fault, and does not expire.
func TestSweepAgainstAnExtension(t *testing.T) {
	t.Parallel()
	real, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	var log logs
	store := &sweeping{Store: real}
	e := start(t, store, engine.Options{Clock: clock.Now, Logger: log.logger()}, 1)
	post(t, e, topUp("fill", 1, 100))
	extended, released, late := place("extended", 1, 1), place("released", 1, 2), place("late", 1, 4)
	for _, r := range []*ledger.Request{&extended, &released, &late} {
		post(t, e, *r)
	}
	store.due = func(list func() ([]*ledger.Hold, error)) ([]*ledger.Hold, error) {
		clock.Set(sampleTime.Add(time.Hour))
		holds, err := list()
		check(t, "due", len(holds), 3)
		// As if it were a moment earlier: the engine of another process has another clock.
		clock.Set(sampleTime.Add(time.Hour - time.Second))
		post(t, e, extend("more", idOf("extended"), time.Hour))
		post(t, e, release("enough", idOf("released")))
		clock.Set(sampleTime.Add(time.Hour))
		return holds, err
	}
	clock.Set(sampleTime.Add(time.Hour))
	n, err := e.Sweep(ctx)
	noError(t, err)
	check(t, "expired", n, 1)
	check(t, "asked for what is due", store.asked.Load(), 1)
	check(t, "log", log.String(), "")
	check(t, "held", wallet(t, e, 1).Held, 1)
	for key, want := range map[string]ledger.HoldState{"extended": ledger.HoldOpen, "released": ledger.HoldReleased, "late": ledger.HoldExpired} {
		hold, err := e.Hold(ctx, idOf(key))
		noError(t, err)
		check(t, key, hold.State, want)
	}
	storetest.Verify(t, real)
}

// One hold that cannot be expired does not keep the others from it, and is told.
func TestSweepGoesOnBesideDamage(t *testing.T) {
	t.Parallel()
	store, path := newStore(t)
	clock := storetest.NewClock(sampleTime)
	var log logs
	e := start(t, store, engine.Options{Clock: clock.Now, Logger: log.logger()}, 1)
	post(t, e, topUp("fill", 1, 100))
	for i := range 3 {
		post(t, e, place(fmt.Sprint("hold-", i), 1, 1))
	}
	id := idOf("hold-1")
	execute(t, path, "UPDATE holds SET service = 'gone' WHERE id = "+blob(id[:]))
	clock.Pass(2 * time.Hour)
	n, err := e.Sweep(ctx)
	noError(t, err)
	check(t, "expired", n, 2)
	if text := log.String(); strings.Count(text, "a hold could not be expired") != 1 || !strings.Contains(text, "hold="+id.String()) || !strings.Contains(text, "not_found") {
		t.Errorf("the log says %q", text)
	}
	n, err = e.Sweep(ctx)
	noError(t, err)
	check(t, "expired afterwards", n, 0)
}

// Pages of what is due have an end, and are asked for no more often than needed.
func TestSweepPages(t *testing.T) {
	t.Parallel()
	for _, many := range []int{0, 1, 499, 500, 501, 1000} {
		t.Run(fmt.Sprint(many, " holds"), func(t *testing.T) {
			t.Parallel()
			real, _ := newStore(t)
			clock := storetest.NewClock(sampleTime)
			store := &sweeping{Store: real, due: func(list func() ([]*ledger.Hold, error)) ([]*ledger.Hold, error) { return list() }}
			recorder := &recorder{Store: store}
			e := start(t, recorder, engine.Options{Clock: clock.Now}, 1)
			post(t, e, topUp("fill", 1, 2000))
			var requests []ledger.Request
			for i := range many {
				requests = append(requests, place(fmt.Sprint("hold-", i), 1, 1))
			}
			if many > 0 {
				_, err := e.PostBatch(ctx, requests, true)
				noError(t, err)
			}
			recorder.taken()
			clock.Pass(2 * time.Hour)
			n, err := e.Sweep(ctx)
			noError(t, err)
			check(t, "expired", n, many)
			check(t, "asked for what is due", store.asked.Load(), int64(many/500+1))
			check(t, "writes", len(recorder.taken()), (many+499)/500)
			store.limits.Range(func(limit, _ any) bool { check(t, "page", limit.(int), 500); return true })
			check(t, "held", wallet(t, e, 1).Held, 0)
		})
	}
}
