package ha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// settle sends every charge again, and then compares the whole ledger with what
// the clients know, and the servers with each other.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, lie := range w.lies {
		t.Errorf("one key, two replies: %s", lie)
	}
	var rescued, lost atomic.Int64
	places := make(chan struct{}, clients)
	var sent sync.WaitGroup
	for i, c := range w.charges {
		places <- struct{}{}
		sent.Go(func() {
			defer func() { <-places }()
			w.again(t, i%nodes, c, &rescued, &lost)
		})
	}
	sent.Wait()
	t.Logf("%d charges: %d were acknowledged in time; of the others %d were posted all the same, and %d were not; no acknowledgement was: %v",
		len(w.charges), len(w.posted), rescued.Load(), lost.Load(), w.failures)
	if len(w.charges) < 100**rounds {
		t.Errorf("only %d charges: that proves little", len(w.charges))
	}
	if t.Failed() {
		return // what follows would only repeat it
	}
	w.compare(t)
	saldotest.Verify(t, w.db)
	w.await(t, "the servers", w.same(t))
	for node := range nodes {
		w.nodes[node].Load().Stop()
	}
}

// again sends a charge once more, and reads its transaction.
func (w *world) again(t *testing.T, node int, c *charge, rescued, lost *atomic.Int64) {
	reply, err := w.post(node, c)
	if err != nil || reply.Status != http.StatusCreated {
		t.Errorf("%s: %+v, %v", c.key, reply, err)
		return
	}
	replayed := reply.Header.Get("Idempotent-Replayed") == "true"
	switch {
	case c.acknowledged == "" && replayed:
		rescued.Add(1) // only its reply was lost
	case c.acknowledged == "":
		lost.Add(1)
	case !replayed:
		t.Errorf("acknowledged and lost: %s", c.acknowledged)
	case reply.Body != c.acknowledged:
		t.Errorf("%s\nacknowledged %s\nreplayed     %s", c.key, c.acknowledged, reply.Body)
	}
	c.acknowledged = reply.Body
	read, err := w.send(http.MethodGet, (node+1)%nodes, reply.Header.Get("Location"), "")
	if err != nil || read.Body != reply.Body {
		t.Errorf("%s\nposted %s\nread   %s, %v", c.key, reply.Body, read.Body, err)
	}
}

// compare adds up the charges of each account. Its wallet has one entry for each of
// them, and the balances after them are the running sums in the order of the entries.
func (w *world) compare(t *testing.T) {
	t.Helper()
	operator := w.nodes[0].Load().Client(w.key)
	for id := api.AccountID(1); id <= accounts; id++ {
		var sum int64
		balances := map[int64]int64{} // after a charge, to its amount
		for _, c := range w.charges {
			if c.account != id {
				continue
			}
			var posted api.Transaction
			if err := json.Unmarshal([]byte(c.acknowledged), &posted); err != nil {
				t.Fatal(err)
			}
			after := millionths(t, posted.Balance)
			if _, twice := balances[after]; twice || millionths(t, posted.Amount) != c.amount || posted.Reference != c.key {
				t.Errorf("%s: %s", c.key, c.acknowledged)
			}
			balances[after] = c.amount
			sum += c.amount
		}
		wallet, err := operator.Wallet(t.Context(), id, "sms")
		if err != nil {
			t.Fatal(err)
		}
		if millionths(t, wallet.Balance) != -sum || wallet.Version != int64(len(balances)) {
			t.Errorf("account %d: %d charges of %d millionths, and the wallet is %+v", id, len(balances), sum, wallet)
		}
		balance := int64(0)
		for _, after := range slices.Backward(slices.Sorted(maps.Keys(balances))) {
			if balance -= balances[after]; balance != after {
				t.Fatalf("account %d: a charge left %d millionths where %d were left", id, after, balance)
			}
		}
	}
}

// same tells whether the ledger is the same on all servers, and nothing is wrong
// with it on any of them: those that follow may be a moment behind.
func (w *world) same(t *testing.T) func(context.Context) error {
	return func(context.Context) error {
		var reports []string
		for _, s := range w.servers {
			checked := saldotest.Run(t, "verify", "--db", "postgres://saldo@127.0.0.1:"+s.ports["5432"]+"/saldo")
			if checked.Status != 0 {
				return fmt.Errorf("saldo verify on %s: %+v", s.name, checked)
			}
			reports = append(reports, checked.Stdout)
		}
		if len(slices.Compact(reports)) != 1 {
			return fmt.Errorf("the servers have not the same: %q", reports)
		}
		return nil
	}
}

// millionths reads an amount.
func millionths(t *testing.T, text string) int64 {
	t.Helper()
	units, fraction, _ := strings.Cut(text, ".")
	number, err := strconv.ParseInt(units+(fraction + "000000")[:6], 10, 64)
	if err != nil || len(fraction) > 6 {
		t.Error(errors.Join(errors.New("not an amount: "+text), err))
	}
	return number
}
