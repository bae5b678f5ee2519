package acceptance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// TestStoreFailure takes the database away under a running server: what cannot
// be read must never look like a balance.
func TestStoreFailure(t *testing.T) { saldotest.OnEachStore(t, testStoreFailure) }

func testStoreFailure(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	c := w.newCast(t)
	w.Stop() // and with that everything is in the database file, and nothing in a cache
	w.serve(t)
	ruin(t, store, w.db)
	t.Run("antgst", func(t *testing.T) {
		check(t, w.Send(t, http.MethodPost, antgstPath, authSecret(c.good.authSecret())),
			want{500, `{"msg":"Something goes wrong with our servers.","code":500}`, antgstHeaders})
	})
	for _, form := range esmsForms {
		t.Run("esms "+form.method+" "+form.path, func(t *testing.T) {
			path, body := form.request(c.good)
			check(t, w.Send(t, form.method, path, body), form.failure(500, "99", "Internal error, try again later", form.headers()))
		})
	}
	t.Run("rest", func(t *testing.T) {
		for _, path := range []string{"/v1/balance", "/v1/accounts", "/v1/transactions/5c146b14-3c52-8afd-938a-375d0df1fbf6"} {
			reply := w.Send(t, http.MethodGet, path, "", "Authorization", c.good.bearer())
			validate(t, path, reply)
			if reply.Status != 500 || !strings.Contains(reply.Body, `"code":"internal_error"`) {
				t.Errorf("%s: %+v", path, reply)
			}
			for _, detail := range []string{"sqlite", "malformed", "database", "SELECT", "relation", w.db} {
				if strings.Contains(strings.ToLower(reply.Body), strings.ToLower(detail)) {
					t.Errorf("%s tells a caller: %s", path, reply.Body)
				}
			}
		}
	})
	w.AwaitLog(`"level":"ERROR"`, 8) // one for each failure
	w.Kill()                         // over ruins a server need not stop cleanly
	if strings.Contains(w.Log(), saldotest.Secret) {
		t.Errorf("the log has a secret:\n%s", w.Log())
	}
}

// ruin makes a ledger unreadable: the tables are gone from a database, and of a
// file every page is overwritten but the first, which has the format of the file
// and which every reader looks at.
func ruin(t *testing.T, store saldotest.Store, path string) {
	t.Helper()
	if store == saldotest.PostgreSQL {
		forge(t, store, path, "DROP SCHEMA public CASCADE")
		return
	}
	const page = 4096
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, file)
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		t.Fatal("there is a write-ahead log, which the server would read instead")
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte{0xA5}, int(info.Size())-page), page); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyFindsTampering changes history behind Saldo's back.
func TestVerifyFindsTampering(t *testing.T) { saldotest.OnEachStore(t, testVerifyFindsTampering) }

func testVerifyFindsTampering(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	account := w.account(t, api.AccountRequest{}, nil)
	posted := w.post(t, api.TransactionRequest{Account: account, Wallet: "sms", Type: api.TransactionTypeTopup, Amount: new("5"), Reference: "paid-in-cash"})
	w.Stop()
	saldotest.Verify(t, w.db)
	forge(t, store, w.db, "UPDATE transactions SET reference = 'paid-by-card'")
	found := saldotest.Run(t, "verify", "--db", w.db)
	if found.Status != 1 || !strings.Contains(found.Stdout, posted.ID) || !strings.Contains(found.Stderr, "not sound") {
		t.Errorf("got %+v", found)
	}
	found = saldotest.Run(t, "verify", "--db", w.db, "--output", "json")
	var report struct {
		Transactions int      `json:"transactions"`
		ProblemCount int      `json:"problem_count"`
		Problems     []string `json:"problems"`
	}
	if err := json.Unmarshal([]byte(found.Stdout), &report); err != nil || found.Status != 1 ||
		report.Transactions != 1 || report.ProblemCount == 0 || len(report.Problems) != report.ProblemCount {
		t.Errorf("got %+v, %v", found, err)
	}
}
