package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// nodes are three servers over one ledger in PostgreSQL. What is done at one of
// them must hold at the others for the very next request, so each test asks the
// others first, before time can help.
type nodes []*world

// newNodes starts the servers, without limits on the rate of requests. One
// stands beside the database, and the others at a distance from it: a change
// that is posted here meets answers there that are under way and older.
func newNodes(t *testing.T) nodes {
	t.Helper()
	db, key := saldotest.PostgreSQL.NewLedger(t)
	n := make(nodes, 3)
	for i := range n {
		n[i] = &world{store: saldotest.PostgreSQL, db: db, key: key}
		if i > 0 {
			n[i].db = saldotest.Distant(t, db, time.Duration(4*i)*time.Millisecond)
		}
		n[i].serve(t, "--rate-limit", "0", "--auth-failure-limit", "0")
	}
	return n
}

// turn is one of the nodes: 0 is the one at which a round makes its change, and
// comes last where all are asked.
func (n nodes) turn(round, i int) *world { return n[(round+i)%len(n)] }

// stop ends the servers, and verifies what they leave.
func (n nodes) stop(t *testing.T) {
	t.Helper()
	for _, w := range n {
		w.Stop()
	}
	saldotest.Verify(t, n[0].db)
}

// crowd asks for the balance of a key at all nodes, again and again, until it is
// stopped: an answer that is shared by several requests, or kept for a moment,
// would be an old one for some of them.
func (n nodes) crowd(t *testing.T, key pair) (stop func()) {
	t.Helper()
	var group sync.WaitGroup
	done := make(chan struct{})
	for i := range 2 * len(n) {
		w := n[i%len(n)]
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+antgstPath, strings.NewReader(authSecret(key.authSecret())))
				if err == nil {
					_, err = saldotest.Exchange(w, r)
				}
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond) // there are only so many processors
			}
		})
	}
	return func() {
		close(done)
		group.Wait()
	}
}

// charge asks a node to charge an account's wallet sms.
func (w *world) charge(t *testing.T, key pair, account api.AccountID, idempotency, amount string) saldotest.Reply {
	t.Helper()
	body := fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":%q}`, account, amount)
	return w.Send(t, http.MethodPost, "/v1/transactions", body, "Authorization", key.bearer(), "Idempotency-Key", idempotency)
}

// everywhere asks for a balance at every node and door, those of other nodes first.
func (n nodes) everywhere(t *testing.T, round int, key pair, check func(door string, reply saldotest.Reply) bool) {
	t.Helper()
	for i := 1; i <= len(n); i++ {
		for _, door := range doors {
			if reply := door.ask(t, n.turn(round, i), key); !check(door.name, reply) {
				t.Errorf("round %d, node %d, %s: %+v", round, i, door.name, reply)
			}
		}
	}
}

// nodesRounds is how often what could come too late is tried.
const nodesRounds = 5

// TestNodesInForce checks that what the operator changes through one node counts
// at every other for the very next request, at every door.
func TestNodesInForce(t *testing.T) {
	n := newNodes(t)
	for round := range nodesRounds {
		account := n.turn(round, 1).account(t, api.AccountRequest{TimeZone: calmZone()}, map[string]string{"sms": "1000"})
		key := n.turn(round, 0).importKey(t, account, fmt.Sprint("KEY", round), api.KeyRequest{Scopes: api.Scopes{api.ScopeBalanceRead, api.ScopeTransactionsWrite}})
		stop := n.crowd(t, key)
		n.testStatuses(t, round, account, key)
		n.testWallet(t, round, account, key)
		n.testKey(t, round, account, key)
		n.testMoney(t, round, account, key)
		stop()
	}
	n.stop(t)
}

// TestNodesRevoked revokes keys through one node, of which the others have
// answers under way.
func TestNodesRevoked(t *testing.T) {
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	for round := range 4 * nodesRounds {
		key := n.turn(round, 1).importKey(t, account, fmt.Sprint("KEY", round), api.KeyRequest{Scopes: api.Scopes{api.ScopeBalanceRead, api.ScopeTransactionsWrite}})
		stop := n.crowd(t, key)
		n.charged(t, round, account, key, "before", "1", 201, "posted")
		if err := n.turn(round, 0).operator.RevokeKey(t.Context(), key.id); err != nil {
			t.Fatal(err)
		}
		n.everywhere(t, round, key, func(_ string, reply saldotest.Reply) bool {
			return reply.Status == http.StatusUnauthorized || strings.Contains(reply.Body, `"code":-22`) || strings.Contains(reply.Body, "Authorize Failed")
		})
		n.charged(t, round, account, key, "after", "1", 401, "unauthorized")
		stop()
	}
	n.stop(t)
}

// charged asks each node, the others first, for a charge of its own.
func (n nodes) charged(t *testing.T, round int, account api.AccountID, key pair, name, amount string, status int, has string) {
	t.Helper()
	for i := 1; i <= len(n); i++ {
		reply := n.turn(round, i).charge(t, key, account, fmt.Sprintf("%s-%d-%d", name, round, i), amount)
		if reply.Status != status || !strings.Contains(reply.Body, has) {
			t.Errorf("round %d, node %d, %s: %+v", round, i, name, reply)
		}
	}
}

func (n nodes) testStatuses(t *testing.T, round int, account api.AccountID, key pair) {
	t.Helper()
	for i, status := range []api.AccountStatus{api.AccountStatusSuspended, api.AccountStatusActive} {
		n.turn(round, i).status(t, account, status)
		n.everywhere(t, round+i, key, func(door string, reply saldotest.Reply) bool {
			switch {
			case door == "rest":
				return strings.Contains(reply.Body, `"status":"`+string(status)+`","wallets"`)
			case status == api.AccountStatusActive:
				return strings.Contains(reply.Body, `"code":200`) || strings.Contains(reply.Body, "100")
			default:
				return strings.Contains(reply.Body, `"code":-23`) || strings.Contains(reply.Body, "143")
			}
		})
		if status == api.AccountStatusSuspended {
			n.charged(t, round+i, account, key, fmt.Sprint("suspended-", i), "1", 409, "account_not_active")
		} else {
			n.charged(t, round+i, account, key, fmt.Sprint("active-", i), "1", 201, "posted")
		}
	}
}

// testWallet has 3 charges of 1 of today before it.
func (n nodes) testWallet(t *testing.T, round int, account api.AccountID, key pair) {
	t.Helper()
	patch := func(i int, change api.WalletPatch) {
		t.Helper()
		if _, err := n.turn(round, i).operator.UpdateWallet(t.Context(), account, "sms", change); err != nil {
			t.Fatal(err)
		}
	}
	suspended, active := api.WalletStatusSuspended, api.WalletStatusActive
	patch(0, api.WalletPatch{Status: &suspended})
	n.charged(t, round, account, key, "wallet-suspended", "1", 409, "wallet_not_active")
	patch(1, api.WalletPatch{Status: &active, DailySpendCap: new("7")})
	n.charged(t, round+1, account, key, "under-cap", "1", 201, "spend_cap")
	patch(2, api.WalletPatch{DailySpendCap: new("6.5")})
	n.charged(t, round+2, account, key, "above-cap", "1", 422, "spend_cap_reached")
	patch(0, api.WalletPatch{DailySpendCap: new("0"), MaxAmount: new("0.5")})
	n.charged(t, round, account, key, "above-bound", "1", 422, "amount_not_allowed")
	patch(1, api.WalletPatch{MaxAmount: new("0"), CreditLimit: new("0")})
	n.charged(t, round+1, account, key, "no-credit", "1000", 402, "insufficient_funds")
	patch(2, api.WalletPatch{CreditLimit: new("3000")})
	n.charged(t, round+2, account, key, "credit", "1000", 201, "posted")
}

// testKey lowers the cap of the key itself, which has spent 3006 by now.
func (n nodes) testKey(t *testing.T, round int, account api.AccountID, key pair) {
	t.Helper()
	patch := func(i int, cap string) {
		t.Helper()
		reply := n.turn(round, i).Send(t, http.MethodPatch, "/v1/keys/"+key.id, fmt.Sprintf(`{"daily_spend_cap":%q}`, cap), "Authorization", "Bearer "+n[0].key)
		if reply.Status != http.StatusOK {
			t.Fatalf("%+v", reply)
		}
	}
	patch(0, "5000")
	n.charged(t, round, account, key, "key-under-cap", "1", 201, "spend_cap")
	patch(1, "2")
	n.charged(t, round+1, account, key, "key-above-cap", "1", 422, "spend_cap_reached")
	patch(2, "0")
	n.charged(t, round+2, account, key, "key-free", "1", 201, "posted")
}

// testMoney has a balance of 1000 - 3 - 3 - 3000 - 6 before it, and checks what
// each door of each node shows after each posting: whole units, rounded down, at
// some of them.
func (n nodes) testMoney(t *testing.T, round int, account api.AccountID, key pair) {
	t.Helper()
	balance := -2012
	for i := range n {
		balance--
		if reply := n.turn(round, i).charge(t, key, account, fmt.Sprintf("money-%d-%d", round, i), "1"); reply.Status != http.StatusCreated {
			t.Fatalf("%+v", reply)
		}
		n.everywhere(t, round+i, key, func(door string, reply saldotest.Reply) bool {
			return strings.Contains(reply.Body, map[string]string{
				"antgst":        fmt.Sprintf(`"smsBalance":%d.0`, balance),
				"esms json":     fmt.Sprintf(`"Balance":%d,`, balance),
				"esms xml path": fmt.Sprintf(`<Balance>%d</Balance>`, balance),
				"rest":          fmt.Sprintf(`"balance":"%d"`, balance),
			}[door])
		})
	}
}

// atOnce sends one request so many times to each node, all let go at one
// instant, and gives the replies.
func (n nodes) atOnce(t *testing.T, times int, send func(w *world, i int) saldotest.Reply) []saldotest.Reply {
	t.Helper()
	var group sync.WaitGroup
	ready := make(chan struct{})
	replies := make([]saldotest.Reply, times*len(n))
	for i := range replies {
		group.Go(func() {
			<-ready
			replies[i] = send(n[i%len(n)], i)
		})
	}
	close(ready)
	group.Wait()
	return replies
}

// TestNodesSameKey sends one request through all nodes at one instant: it is
// decided once, and all are told the same bytes.
func TestNodesSameKey(t *testing.T) {
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	operator := "Bearer " + n[0].key
	for round := range nodesRounds {
		for _, test := range []struct {
			path, body string
			status     int
		}{
			{"/v1/transactions", `{"account":%d,"wallet":"sms","type":"charge","amount":"1","reference":"a","metadata":{"z":"1","a":"<&>"}}`, 201},
			{"/v1/transactions", `{"account":%d,"wallet":"sms","type":"charge","amount":"1000000"}`, 402},
			{"/v1/holds", `{"account":%d,"wallet":"sms","amount":"1","expires_in":3600}`, 201},
			{"/v1/transactions/batch", `{"atomic":true,"transactions":[{"idempotency_key":"{key}-1","account":%d,"wallet":"sms","type":"charge","amount":"1"},` +
				`{"idempotency_key":"{key}-2","account":%[1]d,"wallet":"voip","type":"topup","amount":"1"}]}`, 200},
		} {
			key := fmt.Sprintf("same-%d-%d", round, len(test.body))
			body := strings.ReplaceAll(fmt.Sprintf(test.body, account), "{key}", key)
			replies := n.atOnce(t, 2, func(w *world, _ int) saldotest.Reply {
				return w.Send(t, http.MethodPost, test.path, body, "Authorization", operator, "Idempotency-Key", key)
			})
			n.checkSame(t, body, test.status, replies)
		}
	}
	wallet, err := n[2].operator.Wallet(t.Context(), account, "sms")
	if err != nil || wallet.Version != 1+3*nodesRounds || wallet.Balance != fmt.Sprint(1000-2*nodesRounds) || wallet.Held != fmt.Sprint(nodesRounds) {
		t.Errorf("%+v, %v", wallet, err)
	}
	n.stop(t)
}

// checkSame checks that of several replies to one request one is the first, and
// all are the same, at a later look too.
func (n nodes) checkSame(t *testing.T, body string, status int, replies []saldotest.Reply) {
	t.Helper()
	first := 0
	once := func(body string) string { return strings.ReplaceAll(body, `"replayed":true,`, "") } // of each item of a batch
	for _, reply := range replies {
		if reply.Header.Get("Idempotent-Replayed") != "true" && once(reply.Body) == reply.Body {
			first++
		}
		if reply.Status != status || once(reply.Body) != once(replies[0].Body) || reply.Header.Get("Location") != replies[0].Header.Get("Location") {
			t.Errorf("%s\ngot    %+v\nbeside %+v", body, reply, replies[0])
		}
	}
	if first != 1 {
		t.Errorf("%s\nwas decided %d times: %+v", body, first, replies)
	}
	location := replies[0].Header.Get("Location")
	if location == "" {
		return
	}
	for _, w := range n {
		read := w.Send(t, http.MethodGet, strings.Replace(location, "/holds/", "/transactions/", 1), "", "Authorization", "Bearer "+w.key)
		if read.Body != replies[0].Body {
			t.Errorf("posted %s\nread   %s", replies[0].Body, read.Body)
		}
	}
}

// TestNodesReusedKey sends different requests under one key through the nodes:
// one of them is decided, and the others are told that the key is used.
func TestNodesReusedKey(t *testing.T) {
	n := newNodes(t)
	accounts := make([]api.AccountID, len(n))
	for i := range accounts {
		accounts[i] = n[i].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	}
	operator := pair{"", n[0].key}
	for round := range nodesRounds {
		replies := n.atOnce(t, 1, func(w *world, i int) saldotest.Reply {
			account := accounts[i]
			if round%2 == 0 {
				account = accounts[0] // under one lock, and under different ones
			}
			return w.charge(t, operator, account, fmt.Sprint("reused-", round), fmt.Sprint(1+i))
		})
		statuses := map[int]int{}
		for _, reply := range replies {
			statuses[reply.Status]++
		}
		if statuses[201] != 1 || statuses[422] != len(n)-1 {
			t.Errorf("%+v", replies)
		}
	}
	n.stop(t)
}

// TestNodesLastUnit charges a wallet through all nodes at once until nothing is
// left: exactly the money that was there is charged.
func TestNodesLastUnit(t *testing.T) {
	const money, each = 40, 25
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, nil)
	n[0].post(t, api.TransactionRequest{Account: account, Wallet: "sms", Type: api.TransactionTypeTopup, Amount: new(fmt.Sprint(money))})
	operator := pair{"", n[0].key}
	statuses, left := map[int]int{}, map[string]bool{}
	for _, reply := range n.atOnce(t, each, func(w *world, i int) saldotest.Reply {
		return w.charge(t, operator, account, fmt.Sprint("last-", i), "1")
	}) {
		statuses[reply.Status]++
		if reply.Status == http.StatusCreated {
			var posted api.Transaction
			if err := decodeJSON(reply.Body, &posted); err != nil {
				t.Fatal(err)
			}
			left[posted.Balance] = true
		}
	}
	if statuses[201] != money || statuses[402] != each*len(n)-money || len(left) != money || !left["0"] {
		t.Errorf("statuses %v, and %d balances after", statuses, len(left))
	}
	for _, w := range n {
		wallet, err := w.operator.Wallet(t.Context(), account, "sms")
		if err != nil || wallet.Balance != "0" || wallet.Version != money+1 {
			t.Errorf("%+v, %v", wallet, err)
		}
	}
	n.stop(t)
}

// TestNodesHolds has each step in the life of a hold at another node.
func TestNodesHolds(t *testing.T) {
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	for round := range nodesRounds {
		reference := fmt.Sprint("msg-", round)
		hold := n.turn(round, 0).move(t, "/v1/holds", reference, fmt.Sprintf(`{"account":%d,"wallet":"sms","amount":"3","expires_in":60,"reference":%q}`, account, reference))
		n.turn(round, 1).move(t, "/v1/holds/"+hold+"/extend", reference+"-extend", `{"expires_in":3600}`)
		n.turn(round, 2).move(t, "/v1/holds/"+hold+"/capture", reference+"-part", `{"amount":"1","final":false}`)
		settled := n.turn(round, 1).Send(t, http.MethodPost, "/v1/holds/settle", fmt.Sprintf(`[{"reference":%q,"status":"DELIVRD"}]`, reference), "Authorization", "Bearer "+n[0].key)
		if settled.Status != http.StatusOK || !strings.Contains(settled.Body, `"outcome":"captured"`) {
			t.Errorf("%+v", settled)
		}
		for i := range n {
			shown := n.turn(round, i).Send(t, http.MethodGet, "/v1/holds/"+hold, "", "Authorization", "Bearer "+n[0].key)
			if !strings.Contains(shown.Body, `"status":"captured","amount":"3","captured":"3"`) {
				t.Errorf("node %d: %+v", i, shown)
			}
		}
		// Whoever comes last to a hold is refused, wherever it is.
		open := n.turn(round, 0).move(t, "/v1/holds", reference+"-race", fmt.Sprintf(`{"account":%d,"wallet":"sms","amount":"2"}`, account))
		won := 0
		for _, reply := range n.atOnce(t, 1, func(w *world, i int) saldotest.Reply {
			path := "/v1/holds/" + open + []string{"/capture", "/release", "/capture"}[i]
			return w.Send(t, http.MethodPost, path, `{}`, "Authorization", "Bearer "+w.key, "Idempotency-Key", fmt.Sprint(reference, "-race-", i))
		}) {
			if reply.Status == http.StatusCreated {
				won++
			} else if reply.Status != http.StatusConflict || !strings.Contains(reply.Body, "hold_not_open") {
				t.Errorf("%+v", reply)
			}
		}
		if won != 1 {
			t.Errorf("the hold was ended %d times", won)
		}
	}
	n.stop(t)
}

// TestNodesExpiry lets holds expire: of three sweepers each hold meets one, and
// the money is free at all nodes.
func TestNodesExpiry(t *testing.T) {
	const holds = 60
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	n.atOnce(t, holds/len(n), func(w *world, i int) saldotest.Reply {
		w.move(t, "/v1/holds", fmt.Sprint("short-", i), fmt.Sprintf(`{"account":%d,"wallet":"sms","amount":"1","expires_in":1}`, account))
		return saldotest.Reply{}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		wallet, err := n[1].operator.Wallet(t.Context(), account, "sms")
		if err != nil {
			t.Fatal(err)
		}
		if wallet.Held == "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", wallet)
		}
	}
	for _, w := range n {
		wallet, err := w.operator.Wallet(t.Context(), account, "sms")
		if err != nil || wallet.Balance != "1000" || wallet.Held != "0" || wallet.Version != 1+2*holds {
			t.Errorf("%+v, %v", wallet, err)
		}
		var statement api.Statement
		reply := w.Send(t, http.MethodGet, fmt.Sprintf("/v1/accounts/%d/wallets/sms/statement?type=expire&limit=500", account), "", "Authorization", "Bearer "+w.key)
		if err := decodeJSON(reply.Body, &statement); err != nil || len(statement.Items) != holds {
			t.Errorf("%d holds have expired, %v", len(statement.Items), err)
		}
	}
	for _, w := range n {
		for line := range strings.Lines(w.Log()) {
			if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN"`) {
				t.Errorf("a sweeper stumbled over another: %s", line)
			}
		}
	}
	n.stop(t)
}

// TestNodesRead reads at other nodes what one has just answered as posted: in
// the statement, by its id, and by its reference.
func TestNodesRead(t *testing.T) {
	n := newNodes(t)
	account := n[0].account(t, api.AccountRequest{}, map[string]string{"sms": "1000"})
	operator := "Bearer " + n[0].key
	for round := range 3 * nodesRounds {
		reference := fmt.Sprint("ref-", round)
		body := fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"1","reference":%q}`, account, reference)
		posted := n.turn(round, 0).Send(t, http.MethodPost, "/v1/transactions", body, "Authorization", operator, "Idempotency-Key", reference)
		var transaction api.Transaction
		if err := json.Unmarshal([]byte(posted.Body), &transaction); err != nil || posted.Status != http.StatusCreated {
			t.Fatalf("%v: %+v", err, posted)
		}
		statement := fmt.Sprintf("/v1/accounts/%d/wallets/sms/statement?from=%s", account, transaction.CreatedAt)
		for i := 1; i < len(n); i++ {
			for _, look := range []struct{ path, has string }{
				{statement, `"transaction":"` + transaction.ID + `","type":"charge","amount":"-1","balance":"` + transaction.Balance + `"`},
				{statement, `"closing_balance":"` + transaction.Balance + `"`},
				{fmt.Sprintf("/v1/accounts/%d/wallets/sms", account), `"balance":"` + transaction.Balance + `"`},
				{"/v1/transactions/" + transaction.ID, strings.TrimSpace(posted.Body)},
				{"/v1/transactions?reference=" + reference, transaction.ID},
				{"/v1/transactions?idempotency_key=" + reference, transaction.ID},
			} {
				if read := n.turn(round, i).Send(t, http.MethodGet, look.path, "", "Authorization", operator); read.Status != http.StatusOK || !strings.Contains(read.Body, look.has) {
					t.Errorf("round %d, node %d, %s: %+v, want %s", round, i, look.path, read, look.has)
				}
			}
		}
	}
	n.stop(t)
}
