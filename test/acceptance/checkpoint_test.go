package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// move posts a body to a path with the operator's key, and gives the id of the transaction.
func (w *world) move(t *testing.T, path, key, body string) (id string) {
	t.Helper()
	reply := w.Send(t, http.MethodPost, path, body, "Authorization", "Bearer "+w.key, "Idempotency-Key", key, "Content-Type", "application/json")
	var made struct{ ID json.RawMessage }
	if err := json.Unmarshal([]byte(reply.Body), &made); err != nil || reply.Status != http.StatusCreated {
		t.Fatalf("%s: %+v, %v", path, reply, err)
	}
	return strings.Trim(string(made.ID), `"`)
}

// TestCheckpointFindsCutTail takes the end of a wallet's history away with all
// that came of it, so that what is left adds up.
func TestCheckpointFindsCutTail(t *testing.T) { saldotest.OnEachStore(t, testCheckpointFindsCutTail) }

func testCheckpointFindsCutTail(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	folder := t.TempDir()
	private, public, file := filepath.Join(folder, "saldo.pem"), filepath.Join(folder, "saldo.pub.pem"), filepath.Join(folder, "saldo.checkpoint")
	run := func(want int, args ...string) saldotest.Result {
		t.Helper()
		got := saldotest.Run(t, args...)
		if got.Status != want {
			t.Fatalf("%q: %+v", args, got)
		}
		return got
	}
	compare := []string{"verify", "--db", w.db, "--checkpoint", file, "--public-key", public}
	run(0, "checkpoint", "--new-key", private)
	w.move(t, "/v1/accounts", "a", `{"id":1042,"name":"Lotus Travel","currency":"CNY"}`)
	w.move(t, "/v1/transactions", "b", `{"account":1042,"wallet":"sms","type":"topup","amount":"100"}`)
	w.move(t, "/v1/transactions", "c", `{"account":1042,"wallet":"voip","type":"topup","amount":"50"}`)
	hold := w.move(t, "/v1/holds", "d", `{"account":1042,"wallet":"sms","amount":"10"}`)
	w.move(t, "/v1/holds/"+hold+"/capture", "e", `{"amount":"8"}`)
	if made := run(0, "checkpoint", "--db", w.db, "--key", private, "--out", file); !strings.Contains(made.Stdout, ": 2 heads, ") {
		t.Errorf("%+v", made)
	}
	w.move(t, "/v1/transactions", "f", `{"account":1042,"wallet":"sms","type":"charge","amount":"5"}`)
	// The server has the ledger open; then nobody has.
	want := "5 entries, 5 transactions with their refunds, 1 holds: everything adds up\n"
	for range 2 {
		sound := run(0, compare...)
		if !strings.HasSuffix(sound.Stdout, want) || !strings.Contains(sound.Stdout, "compared with the checkpoint of 2") || !strings.Contains(sound.Stdout, ": 2 heads\n") {
			t.Errorf("%+v", sound)
		}
		w.Stop()
	}

	// The charge and the capture never were: the hold is open again.
	forge(t, w.store, w.db,
		"DELETE FROM transactions WHERE service = 'sms' AND version > 2",
		"DELETE FROM entries WHERE service = 'sms' AND version > 2",
		`UPDATE wallets SET (version, balance, held, head) = (SELECT version, balance, held, hash FROM entries WHERE service = 'sms' AND version = 2) WHERE service = 'sms'`,
		"UPDATE holds SET state = 'open', captured = 0, remaining = amount, closed_at = NULL",
		"UPDATE system_accounts SET total = '0' WHERE account = 'revenue'",
	)
	if blind := run(0, "verify", "--db", w.db); !strings.HasSuffix(blind.Stdout, "3 entries, 3 transactions with their refunds, 1 holds: everything adds up\n") {
		t.Errorf("%+v", blind)
	}
	found := run(1, compare...)
	if !strings.HasPrefix(found.Stdout, "wallet sms of account 1042: it ends at entry 2, the checkpoint has 3\ncompared with ") ||
		!strings.HasSuffix(found.Stdout, ": 1 problems\n") || !strings.Contains(found.Stderr, "not sound") {
		t.Errorf("%+v", found)
	}

	// Somebody who fills the gap has to know what was there.
	w.serve(t)
	for n := range 3 {
		w.move(t, "/v1/transactions", fmt.Sprint("g", n), `{"account":1042,"wallet":"sms","type":"charge","amount":"1"}`)
	}
	w.Stop()
	run(0, "verify", "--db", w.db)
	found = run(1, append(compare, "--output", "json")...)
	var report struct {
		Holds    int      `json:"holds"`
		Heads    int      `json:"checkpoint_heads"`
		Problems []string `json:"problems"`
	}
	if err := json.Unmarshal([]byte(found.Stdout), &report); err != nil || report.Holds != 1 || report.Heads != 2 || len(report.Problems) != 1 ||
		report.Problems[0] != "entry 3 of wallet sms of account 1042: it is not the one of the checkpoint" {
		t.Errorf("%+v, %v", found, err)
	}
}
