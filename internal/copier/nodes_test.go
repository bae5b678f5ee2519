package copier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// node serves a ledger by a clock of its own.
func node(t *testing.T, b books, now time.Time) *engine.Engine {
	t.Helper()
	s := b.mustOpen(t)
	e, err := engine.New(t.Context(), s, engine.Options{Clock: storetest.NewClock(now).Now, SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func topUp(t *testing.T, e *engine.Engine, key string, account ledger.AccountID) {
	t.Helper()
	posted, _, err := e.Post(t.Context(), ledger.Request{IdempotencyKey: key, Kind: ledger.TopUp, Wallet: sms(account), Amount: 1})
	if err != nil || posted.Err() != nil {
		t.Fatalf("%+v, %v", posted, err)
	}
}

// A node whose clock is behind can commit what is older than what was copied.
// Young transactions wait for that, and whoever promised that there is no such
// node is told where there was one.
func TestLateTransaction(t *testing.T) {
	t.Parallel()
	for name, newTarget := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := kinds["postgres"](t), newTarget(t)
			newWorld(11).found(t, from)
			behind, ahead := node(t, from, start.Add(time.Hour)), node(t, from, start.Add(time.Hour+time.Second))
			topUp(t, ahead, "early", 1)
			mustCopy(t, from, to, 0)
			topUp(t, behind, "late", 2)
			if _, err := run(t, t.Context(), from, to, copier.Options{}); !errors.Is(err, copier.ErrDiffers) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// What is too young is waited for, and copied when nothing more came.
func TestWaits(t *testing.T) {
	t.Parallel()
	for name, newTarget := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := kinds["postgres"](t), newTarget(t)
			newWorld(12).found(t, from)
			topUp(t, node(t, from, time.Now()), "young", 1)
			waited := false
			report, err := run(t, t.Context(), from, to, copier.Options{Settle: 2 * time.Second, Progress: func(p copier.Progress) {
				waited = waited || p.Stage == copier.Waiting
			}})
			if err != nil || !report.Finished || !waited {
				t.Fatalf("%+v, %v, waited %v", report, err, waited)
			}
			same(t, from, to)
		})
	}
}

// A ledger that is being written is copied as far as that can be.
func TestLeft(t *testing.T) {
	t.Parallel()
	for name, newTarget := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := kinds["postgres"](t), newTarget(t)
			newWorld(13).found(t, from)
			busy := node(t, from, time.Now().Add(time.Hour))
			topUp(t, busy, "first", 1)
			report, err := run(t, t.Context(), from, to, copier.Options{Settle: time.Millisecond})
			if err != nil || report.Finished || report.Left != 1 || report.Copied != report.Ledger.Transactions-1 || report.Verified != nil {
				t.Fatalf("%+v, %v", report, err)
			}
			if _, err := to.open(t.Context()); !errors.Is(err, copier.ErrUnfinished) {
				t.Errorf("the copy is opened: %v", err)
			}
			topUp(t, busy, "second", 2)
			if rest := mustCopy(t, from, to, 0); rest.Copied != 2 {
				t.Errorf("%+v", rest)
			}
			same(t, from, to)
		})
	}
}

// Of two processes that write one copy the later one goes on.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	from, to := kinds["sqlite"](t), kinds["postgres"](t)
	newWorld(14).found(t, from)
	taken := false
	_, err := run(t, t.Context(), from, to, copier.Options{Page: 3, Progress: func(p copier.Progress) {
		if p.Done == 6 && !taken {
			taken = true
			mustCopy(t, from, to, 0)
		}
	}})
	if !taken || !errors.Is(err, copier.ErrTakenOver) {
		t.Errorf("the error is %v", err)
	}
	same(t, from, to)
}

// The same where the other one is at work just before this one begins.
func TestTakenOverAtTheStart(t *testing.T) {
	t.Parallel()
	from, to := kinds["sqlite"](t), kinds["postgres"](t)
	newWorld(16).found(t, from)
	source := opened(t)(from.read(t.Context()))
	defer source.Close()
	late := lateTarget{to.openCopy(t), func() { mustCopy(t, from, to, 0) }}
	defer late.Close()
	if _, err := copier.Run(t.Context(), source, late, copier.Options{}); !errors.Is(err, copier.ErrTakenOver) {
		t.Errorf("the error is %v", err)
	}
	mustCopy(t, from, to, 0)
	same(t, from, to)
}

// lateTarget lets something happen before it begins.
type lateTarget struct {
	target
	before func()
}

func (l lateTarget) Begin(ctx context.Context, source ledger.Hash) error {
	l.before()
	return l.target.Begin(ctx, source)
}
