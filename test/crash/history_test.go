package crash

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// history is everything that clients asked for, in all rounds.
type history struct {
	mu      sync.Mutex
	charges map[string]*saldotest.Charge
	lies    []string // replies that contradict each other
}

func newHistory() *history { return &history{charges: map[string]*saldotest.Charge{}} }

// asked remembers a charge before it is sent.
func (h *history) asked(c *saldotest.Charge) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.charges[c.Key] = c
}

// posted remembers an acknowledgement, and compares it with an earlier one.
func (h *history) posted(c *saldotest.Charge, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Acknowledged != "" && c.Acknowledged != body {
		h.lies = append(h.lies, fmt.Sprintf("%s\nfirst %s\nthen  %s", c.Key, c.Acknowledged, body))
	}
	c.Acknowledged = body
}

// any gives a random charge of all that were asked for, nil where there is none.
func (h *history) any() *saldotest.Charge {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.charges {
		return c // a map begins anywhere
	}
	return nil
}

// acknowledged counts the charges that a client was told are posted.
func (h *history) acknowledged() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, c := range h.charges {
		if c.Acknowledged != "" {
			count++
		}
	}
	return count
}

func post(t *testing.T, server *saldotest.Server, key string, c *saldotest.Charge) (saldotest.Reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/transactions", strings.NewReader(c.Body))
	if err != nil {
		return saldotest.Reply{}, err
	}
	// A transport repeats a request with an idempotency key by itself when its
	// connection is lost. Whether to do so is decided here.
	r.GetBody = nil
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Idempotency-Key", c.Key)
	return saldotest.Exchange(server, r)
}

// settle retries every charge at the servers in turn, also those that were never
// acknowledged, and then compares the whole ledger with what the clients know.
func settle(t *testing.T, servers []*saldotest.Server, key string, h *history, least int) {
	t.Helper()
	for _, lie := range h.lies {
		t.Errorf("one key, two replies: %s", lie)
	}
	charges := slices.SortedFunc(maps.Values(h.charges), func(a, b *saldotest.Charge) int { return strings.Compare(a.Key, b.Key) })
	if len(charges) < least {
		t.Errorf("only %d charges: that proves little", len(charges))
	}
	var retries saldotest.Retries
	var workers sync.WaitGroup
	for worker := range clients {
		workers.Go(func() {
			for i := worker; i < len(charges); i += clients {
				replay(t, servers[i%len(servers)], key, charges[i], &retries)
			}
		})
	}
	workers.Wait()
	t.Logf("%d charges; of those without a reply %d were posted and %d were not", len(charges), retries.Rescued.Load(), retries.Lost.Load())
	saldotest.CompareCharges(t, servers[0].Client(key), accounts, charges)
}

// replay retries a charge, and reads it.
func replay(t *testing.T, server *saldotest.Server, key string, c *saldotest.Charge, retries *saldotest.Retries) {
	t.Helper()
	retries.Again(t, c, func() (saldotest.Reply, error) { return post(t, server, key, c) }, func(path string) (saldotest.Reply, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			return saldotest.Reply{}, err
		}
		r.Header.Set("Authorization", "Bearer "+key)
		return saldotest.Exchange(server, r)
	})
}
