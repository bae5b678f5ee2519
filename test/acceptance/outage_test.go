package acceptance

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// outage is a server of a ledger whose database the test stops.
type outage struct {
	*world

	database *pgtest.Server
	account  api.AccountID
	good     pair
	charges  int // that are posted; the next one is refused as long as the database is gone
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	database, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Stop(); err != nil {
			t.Error(err)
		}
	})
	db, err := database.Create(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	o := &outage{world: &world{store: saldotest.PostgreSQL, db: db, key: saldotest.Init(t, db)}, database: database}
	o.serve(t, "--rate-limit", "0")
	o.account = o.world.account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	o.good = o.importKey(t, o.account, "GOOD", api.KeyRequest{Scopes: api.Scopes{api.ScopeBalanceRead, api.ScopeTransactionsWrite}})
	return o
}

// check asks for everything at once and compares the replies with what they must
// begin with, in time. The rest is a reply of the REST API to a request that
// needs the database, but for a posting.
func (o *outage) check(t *testing.T, within time.Duration, ready, antgst, esms, rest, posting string) {
	t.Helper()
	var group sync.WaitGroup
	for _, test := range []struct {
		want string
		ask  func() saldotest.Reply
	}{
		{`200 {"status":"ok"}`, func() saldotest.Reply { return o.get(t, "/healthz") }},
		{`200 `, func() saldotest.Reply { return o.Send(t, http.MethodGet, "/metrics", "") }},
		{ready, func() saldotest.Reply { return o.get(t, "/readyz") }},
		{antgst, func() saldotest.Reply { return doors[0].ask(t, o.world, o.good) }},
		{esms, func() saldotest.Reply { return doors[1].ask(t, o.world, o.good) }},
		{rest, func() saldotest.Reply { return o.get(t, "/v1/balance") }},
		{rest, func() saldotest.Reply {
			return o.get(t, fmt.Sprintf("/v1/accounts/%d/wallets/sms/statement", o.account))
		}},
		{posting, func() saldotest.Reply { return o.charge(t, o.good, o.account, fmt.Sprint("charge-", o.charges), "1") }},
	} {
		group.Go(func() {
			began := time.Now()
			reply := test.ask()
			begins(t, reply, test.want)
			if took := time.Since(began); took > within {
				t.Errorf("it took %s until %+v", took, reply)
			}
			if reply.Status == http.StatusServiceUnavailable && strings.Contains(reply.Body, "urn:saldo:problem") &&
				(reply.Header.Get("Retry-After") == "" || !strings.Contains(reply.Body, `"hint":"`)) {
				t.Errorf("it does not say what to do: %+v", reply)
			}
		})
	}
	group.Wait()
}

// get asks the REST API, and holds the exchange against its contract.
func (o *outage) get(t *testing.T, path string) saldotest.Reply {
	t.Helper()
	reply := o.Send(t, http.MethodGet, path, "", "Authorization", o.good.bearer())
	validate(t, path, reply)
	return reply
}

// checkGone checks the replies while the database is gone.
func (o *outage) checkGone(t *testing.T, within time.Duration) {
	t.Helper()
	const unreachable = `503 {"type":"urn:saldo:problem:overloaded","title":"Service Unavailable","status":503,"code":"overloaded","detail":"the database cannot be reached`
	o.check(t, within,
		`503 {"status":"unavailable","reason":"the database cannot be reached`,
		`500 {"msg":"Something goes wrong with our servers.","code":500}`,
		`500 {"Balance":0,"CodeResponse":"99","ErrorMessage":"Internal error, try again later"}`,
		unreachable, unreachable)
}

// checkServed checks them while it is there, after the node has noticed that.
// The charge that was refused is posted now, and once, however often it is sent.
func (o *outage) checkServed(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		ready := o.get(t, "/readyz")
		if ready.Status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the database is back, and the node is not: %+v", ready)
		}
	}
	begins(t, o.charge(t, o.good, o.account, fmt.Sprint("charge-", o.charges), "1"), `201 {"id":"`)
	left := 1000 - (o.charges + 1)
	o.check(t, 10*time.Second, `200 {"status":"ok"}`,
		fmt.Sprintf(`200 {"msg":"SUCCESS","code":200,"result":{"smsBalance":%d.0`, left),
		fmt.Sprintf(`200 {"Balance":%d,`, left),
		`200 {"account":`, `201 {"id":"`)
	o.charges++
}

// awaitEnd waits until the node says that the outage is over, which it does when
// nothing has failed for a while.
func (o *outage) awaitEnd(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(o.Log(), `"msg":"the database can be used again"`); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say that the database is back:\n%s", o.Log())
		}
		o.get(t, "/readyz")
	}
}

// TestOutage kills the database under a running server, and starts it again.
func TestOutage(t *testing.T) {
	t.Parallel() // with the other one, since both wait for most of their time
	o := newOutage(t)
	o.checkServed(t)
	if err := o.database.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		o.checkGone(t, 5*time.Second)
	}
	if err := o.database.Restart(); err != nil {
		t.Fatal(err)
	}
	o.end(t)
}

// TestHang makes the database as silent as one behind a network that is cut: a
// request is answered all the same, and before the server would cut it off.
func TestHang(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.checkServed(t)
	if err := o.database.Freeze(); err != nil {
		t.Fatal(err)
	}
	o.checkGone(t, 28*time.Second)
	if err := o.database.Thaw(); err != nil {
		t.Fatal(err)
	}
	o.end(t)
}

// end checks that all is well again after an outage.
func (o *outage) end(t *testing.T) {
	t.Helper()
	o.checkServed(t)
	o.awaitEnd(t)
	o.checkLog(t)
	o.Stop()
	saldotest.Verify(t, o.db)
}

// checkLog checks that the log tells of the outage and of what to do, and not
// once for each request that met it.
func (o *outage) checkLog(t *testing.T) {
	t.Helper()
	told, lines := 0, 0
	for line := range strings.Lines(o.Log()) {
		if strings.Contains(line, `"msg":"the database cannot be used"`) && strings.Contains(line, `"hint":"`) {
			told++
		}
		if !strings.Contains(line, `"level":"INFO"`) {
			lines++
		}
	}
	const most = 40 // where 100 requests failed; some are of the seconds that passed
	if told == 0 || lines > most {
		t.Errorf("the outage is told %d times in %d lines:\n%s", told, lines, o.Log())
	}
}
