package copier_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// damages are what somebody could do to a ledger past Saldo, in SQL that both
// databases know.
var damages = map[string]string{
	"an entry says something else":       "UPDATE entries SET amount = amount + 1 WHERE account_id = 1 AND version = 1",
	"an entry is gone":                   "DELETE FROM entries WHERE account_id = 1 AND version = 1",
	"an entry is there twice":            "INSERT INTO entries SELECT account_id, service, version + 1000, transaction_id, amount, balance, held, created_at, hash FROM entries WHERE account_id = 1 AND version = 1",
	"a wallet has more":                  "UPDATE wallets SET balance = balance + 5 WHERE account_id = 1 AND service = 'sms'",
	"a transaction is gone":              "DELETE FROM transactions WHERE kind = 'charge' AND rejection = '' AND account_id = 2",
	"a request says something else":      "UPDATE transactions SET reference = 'other' WHERE kind = 'charge' AND rejection = ''",
	"two transactions claim one version": "UPDATE transactions SET version = 1 WHERE account_id = 1 AND rejection = '' AND service = 'sms'",
	"a hold is gone":                     "DELETE FROM holds WHERE state = 'open'",
	"a hold has more":                    "UPDATE holds SET captured = captured + 1",
	"a refund is not counted":            "UPDATE refunds SET refunded = refunded - 1 WHERE refunded > 1",
	"a total is another one":             "UPDATE system_accounts SET total = '5'",
	"a hold of nobody":                   "INSERT INTO holds SELECT id, 1, 'sms', 0, '', '', 'released', 1, 0, 0, 1, 2, 2 FROM transactions WHERE kind = 'charge' ORDER BY id LIMIT 1",
}

// forge runs statements past the store, and past what refuses to change history.
func (b books) forge(t *testing.T, statements ...string) {
	t.Helper()
	if b.url != "" {
		// Triggers do not run for what a replica is told by its primary.
		b.exec(t, "SET session_replication_role = replica;\n"+strings.Join(statements, ";\n"))
		return
	}
	if err := storetest.Forge(t.Context(), b.name, statements...); err != nil {
		t.Fatal(err)
	}
}

// clones gives as many equal ledgers as are asked for.
func clones(t *testing.T, seed uint64) func(t *testing.T) books {
	t.Helper()
	first := kinds["sqlite"](t)
	w := newWorld(seed)
	w.found(t, first)
	w.with(t, first, func(e *engine.Engine) { w.work(t, e, 60) })
	w.ask(t, first, 3)
	content, err := os.ReadFile(first.name)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) books {
		t.Helper()
		b := kinds["sqlite"](t)
		if err := os.WriteFile(b.name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// A copy of a ledger that was tampered with, or damaged, is not served.
func TestDamaged(t *testing.T) {
	t.Parallel()
	clone := clones(t, 9)
	for what, statement := range damages {
		t.Run(strings.ReplaceAll(what, " ", "_"), func(t *testing.T) {
			from := clone(t)
			from.forge(t, statement)
			unsound(t, from, kinds["sqlite"](t))
		})
	}
}

// The same between the other stores.
func TestDamagedElsewhere(t *testing.T) {
	ways(t, func(t *testing.T, from, to books) {
		w := newWorld(15)
		w.found(t, from)
		from.forge(t, damages["two transactions claim one version"], damages["a hold has more"])
		unsound(t, from, to)
	})
}

// A copy has the triggers that refuse to change history, also where they were
// taken away from the ledger.
func TestGuardsComeBack(t *testing.T) {
	t.Parallel()
	from := clones(t, 16)(t)
	from.exec(t, "DROP TRIGGER entries_no_update", "DROP TRIGGER holds_no_delete")
	mustCopy(t, from, kinds["sqlite"](t), 20)
}

func unsound(t *testing.T, from, to books) {
	t.Helper()
	report, err := run(t, t.Context(), from, to, copier.Options{Page: 20})
	if err != nil {
		t.Fatal(err)
	}
	if report.Finished || report.ProblemCount == 0 || len(report.Problems) == 0 {
		t.Fatalf("%+v", report)
	}
	if _, err := to.open(t.Context()); !errors.Is(err, copier.ErrUnfinished) {
		t.Errorf("the copy is opened: %v", err)
	}
}

// What comes out of the copy's own database otherwise than it went in is noticed,
// also where no chain covers it.
func TestCompared(t *testing.T) {
	t.Parallel()
	clone := clones(t, 10)
	for what, statement := range map[string]string{
		"a name":         "UPDATE accounts SET name = 'Other' WHERE id = 2",
		"a key":          "UPDATE keys SET expires_at = 5 WHERE id = 'key-3'",
		"a limit":        "UPDATE wallets SET credit_limit = 10 WHERE account_id = 3",
		"a total":        "UPDATE system_accounts SET total = '7' WHERE account = 'funding'",
		"a new key":      "INSERT INTO keys SELECT 'key-9', head, '', NULL, '', '', 0, 0, 0, 0, 0, NULL, NULL, 0 FROM wallets WHERE account_id = 1 AND service = 'sms'",
		"a refusal":      "DELETE FROM transactions WHERE rejection <> ''",
		"an upstream":    "UPDATE upstreams SET message = '' WHERE name = 'main'",
		"a reading":      "UPDATE upstream_readings SET amount = amount || '0' WHERE upstream = 'main-2' AND service = 'sms'",
		"a reading less": "DELETE FROM upstream_readings WHERE upstream = 'main' AND rise = 1",
	} {
		for kind, newTarget := range kinds {
			t.Run(strings.ReplaceAll(what, " ", "_")+"_in_"+kind, func(t *testing.T) {
				from, to := clone(t), newTarget(t)
				done := false
				report, err := run(t, t.Context(), from, to, copier.Options{Progress: func(p copier.Progress) {
					if p.Stage == copier.Comparing && !done { // all is written
						done = true
						to.forge(t, statement)
					}
				}})
				if err != nil || report.Finished || report.ProblemCount == 0 {
					t.Fatalf("%+v, %v", report, err)
				}
			})
		}
	}
}
