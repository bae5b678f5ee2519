package ha

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// settle sends every charge again, and then compares the whole ledger with what
// the clients know, and the servers with each other.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for _, lie := range w.lies {
		t.Errorf("one key, two replies: %s", lie)
	}
	var retries saldotest.Retries
	places := make(chan struct{}, clients)
	var sent sync.WaitGroup
	for i, c := range w.charges {
		places <- struct{}{}
		sent.Go(func() {
			defer func() { <-places }()
			retries.Again(t, c, func() (saldotest.Reply, error) { return w.post(i%nodes, c) }, func(path string) (saldotest.Reply, error) {
				return w.send(http.MethodGet, (i+1)%nodes, path, "")
			})
		})
	}
	sent.Wait()
	t.Logf("%d charges: %d were acknowledged in time; of the others %d were posted all the same, and %d were not; no acknowledgement was: %v",
		len(w.charges), len(w.posted), retries.Rescued.Load(), retries.Lost.Load(), w.failures)
	if len(w.charges) < 100**rounds {
		t.Errorf("only %d charges: that proves little", len(w.charges))
	}
	if t.Failed() {
		return // what follows would only repeat it
	}
	saldotest.CompareCharges(t, w.nodes[0].Load().Client(w.key), accounts, w.charges)
	saldotest.Verify(t, w.db)
	w.await(t, "the servers", w.same(t))
	for node := range nodes {
		w.nodes[node].Load().Stop()
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
