package copier_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// ask has a ledger know of some upstreams, each with readings of two buckets over
// some minutes. The last one is being asked when it is left.
func (w *world) ask(t *testing.T, b books, minutes int) {
	t.Helper()
	s := b.mustOpen(t)
	defer s.Close()
	now := w.clock.Now().UTC().Truncate(time.Microsecond)
	for i, name := range []string{"chính", "main", "main-2", "短信"} {
		claim := readings.Claim{Name: name, Provider: "esms", Node: fmt.Sprint("node ", now), Now: now, Until: now.Add(time.Minute)}
		_, claimed, err := s.ClaimUpstream(t.Context(), claim)
		if err != nil || !claimed {
			t.Fatalf("claim %s: %t, %v", name, claimed, err)
		}
		limit := decimal.RequireFromString("100.00")
		sms := provider.Bucket{Service: "sms", Unit: provider.Money, Amount: decimal.New(-12345, -3), Currency: "VND", CreditLimit: &limit}
		var added []readings.Reading
		for minute := range minutes {
			at := now.Add(time.Duration(minute-minutes) * time.Minute)
			sms.Amount = sms.Amount.Sub(decimal.New(w.dice.Int64N(1e18), -10))
			added = append(added,
				readings.Reading{Upstream: name, Key: readings.KeyOf(&sms), At: at, Amount: sms.Amount, CreditLimit: &limit, Rise: minute == 1},
				readings.Reading{Upstream: name, Key: readings.Key{Service: "voip", Unit: provider.Credits}, At: at, Amount: decimal.New(1, 30)})
		}
		state := readings.State{
			Name: name, Provider: "esms", Interval: time.Minute, DueAt: now, AskedAt: now, Status: provider.Suspended, Code: "102", Message: "账户", Failures: i,
			Good: &readings.Balance{At: now, Account: "Tài khoản", Billing: provider.BillingPrepaid, Buckets: []readings.Bucket{{Bucket: sms, Min: &limit}}},
		}
		if i == 0 {
			state.Good = nil
		}
		done, err := s.RecordUpstream(t.Context(), claim.Node, &state, added)
		if err != nil || !done {
			t.Fatalf("record %s: %t, %v", name, done, err)
		}
		if i == 3 {
			if _, claimed, err := s.ClaimUpstream(t.Context(), claim); err != nil || !claimed {
				t.Fatalf("claim %s again: %t, %v", name, claimed, err)
			}
		}
	}
}

// forget has a ledger thin its readings out.
func (w *world) forget(t *testing.T, b books) {
	t.Helper()
	s := b.mustOpen(t)
	defer s.Close()
	now := w.clock.Now()
	removed := must(t)(s.PruneUpstreams(t.Context(), readings.Pruning{ThinTo: now.Add(-10 * time.Minute), Step: time.Hour})).(int64)
	if removed < 50 {
		t.Fatalf("%d readings were removed", removed)
	}
}

// What is known of upstreams comes along, on each run as it is then. Who asks an
// upstream in the source has no part in the copy.
func TestUpstreams(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(20)
		w.found(t, from)
		w.ask(t, from, 30)
		report := mustCopy(t, from, to, 7)
		if report.Ledger.Upstreams != 4 || report.Ledger.Readings != 4*30*2 {
			t.Errorf("%+v", report.Ledger)
		}
		same(t, from, to)
		w.clock.Pass(time.Hour)
		w.ask(t, from, 30)
		w.forget(t, from)
		mustCopy(t, from, to, 100)
		same(t, from, to)
		w.clock.Pass(time.Second)
		now := w.clock.Now()
		s := to.mustOpen(t)
		defer s.Close()
		claim := readings.Claim{Name: "短信", Provider: "esms", Node: "another", Now: now, Until: now.Add(time.Minute), Early: true}
		state, claimed, err := s.ClaimUpstream(t.Context(), claim)
		if err != nil || !claimed || state.Good == nil {
			t.Errorf("%+v, %t, %v", state, claimed, err)
		}
	})
}

// A backup of the time before upstreams is copied as it is.
func TestBeforeUpstreams(t *testing.T) {
	t.Parallel()
	for name, newTarget := range kinds {
		t.Run(name, func(t *testing.T) {
			from, to := kinds["sqlite"](t), newTarget(t)
			w := newWorld(21)
			w.found(t, from)
			w.with(t, from, func(e *engine.Engine) { w.work(t, e, 10) })
			from.exec(t, "DROP TABLE upstreams", "DROP TABLE upstream_readings", "DELETE FROM goose_db_version WHERE version_id = 2")
			report := mustCopy(t, from, to, 0)
			if report.Ledger.Upstreams != 0 || report.Ledger.Readings != 0 || report.Copied == 0 {
				t.Errorf("%+v", report)
			}
			// Serving it brings its tables up to date.
			w.ask(t, from, 30)
			mustCopy(t, from, to, 0)
			same(t, from, to)
		})
	}
}
