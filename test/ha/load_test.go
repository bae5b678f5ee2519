package ha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

const (
	nodes    = 3
	clients  = 12
	accounts = 6
	// longest is how long a client waits for a reply, and shorter than Saldo
	// lets a write take: a client gives up first.
	longest = 15 * time.Second
)

// load is the clients of a ledger, with everything that they asked for and were told.
type load struct {
	nodes [nodes]atomic.Pointer[saldotest.Server]
	key   string // of the operator
	stop  chan struct{}
	work  sync.WaitGroup

	mu       sync.Mutex
	charges  []*saldotest.Charge
	posted   []time.Time          // of each first acknowledgement
	balances [accounts + 1]int64  // the least that was acknowledged
	failures map[string]int       // replies that were no acknowledgement
	slowest  time.Duration        // of all replies
	unready  [nodes]time.Duration // how long a node said that it was not ready
	lies     []string             // replies that contradict each other
}

// begin lets the clients charge until end is called.
func begin(t *testing.T, l *load, random *rand.Rand) {
	t.Helper()
	for worker := range clients {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		l.work.Go(func() { l.client(t, worker, own) })
	}
	for node := range nodes {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		l.work.Go(func() { l.watch(t, node, own) })
	}
}

// end stops the clients, whatever they wait for.
func (l *load) end() {
	close(l.stop)
	l.work.Wait()
}

// over tells whether the clients are to stop, after a while.
func (l *load) over(while time.Duration) bool {
	select {
	case <-l.stop:
		return true
	case <-time.After(while):
		return false
	}
}

// client charges, one charge after the other, and retries each until it is
// acknowledged. Some are sent through two nodes at once, and some are sent
// again long after they were acknowledged.
func (l *load) client(t *testing.T, worker int, random *rand.Rand) {
	for n := 0; !l.over(time.Duration(30+random.IntN(60)) * time.Millisecond); n++ {
		c := saldotest.NewCharge(fmt.Sprintf("w%d-n%d", worker, n), accounts, random)
		if n > 0 && random.IntN(8) == 0 {
			c = l.any(random)
		} else {
			l.asked(c)
		}
		copies := 1
		if random.IntN(8) == 0 {
			copies = 2
		}
		var sent sync.WaitGroup
		for range copies {
			own := rand.New(rand.NewPCG(random.Uint64(), 0))
			sent.Go(func() { l.deliver(t, c, own) })
		}
		sent.Wait()
	}
}

// asked remembers a charge before it is sent.
func (l *load) asked(c *saldotest.Charge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.charges = append(l.charges, c)
}

// any gives one of the charges that were asked for.
func (l *load) any(random *rand.Rand) *saldotest.Charge {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.charges[random.IntN(len(l.charges))]
}

// deliver sends a charge to one node after the other, under the same
// idempotency key, until one says that it is posted.
func (l *load) deliver(t *testing.T, c *saldotest.Charge, random *rand.Rand) {
	for {
		node := random.IntN(nodes)
		reply, err := l.post(node, c)
		switch {
		case err == nil && reply.Status == http.StatusCreated:
			l.acknowledged(t, c, reply)
			return
		case err != nil:
			l.failed(err)
		case reply.Status < http.StatusInternalServerError:
			t.Errorf("%s: %+v", c.Key, reply)
			return
		case reply.Status != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "":
			t.Errorf("a failure that passes: %+v\n%s", reply, tail(l.nodes[node].Load().Log()))
			return
		default:
			l.failed(problem(reply))
		}
		if l.over(time.Duration(50+random.IntN(200)) * time.Millisecond) {
			return
		}
	}
}

// problem is the name of a failure in a reply.
func problem(reply saldotest.Reply) error {
	var problem api.Problem
	if err := json.Unmarshal([]byte(reply.Body), &problem); err != nil || problem.Status != reply.Status {
		return fmt.Errorf("%d with a body that is no problem: %s", reply.Status, reply.Body)
	}
	return fmt.Errorf("%d %s", reply.Status, problem.Code)
}

// failed counts a reply that was none, or no acknowledgement.
func (l *load) failed(err error) {
	what := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		what = fmt.Sprintf("no reply within %s", longest)
	case !strings.HasPrefix(what, "5"):
		what = "the connection to the node was lost or refused"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[what]++
}

// acknowledged remembers an acknowledgement, and compares it with an earlier one.
func (l *load) acknowledged(t *testing.T, c *saldotest.Charge, reply saldotest.Reply) {
	var posted api.Transaction
	if err := json.Unmarshal([]byte(reply.Body), &posted); err != nil {
		t.Error(err)
		return
	}
	balance := saldotest.Millionths(t, posted.Balance)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c.Acknowledged {
	case "":
		l.posted = append(l.posted, time.Now())
	case reply.Body:
	default:
		l.lies = append(l.lies, fmt.Sprintf("%s\nfirst %s\nthen  %s", c.Key, c.Acknowledged, reply.Body))
	}
	c.Acknowledged = reply.Body
	l.balances[c.Account] = min(l.balances[c.Account], balance)
}

func (l *load) post(node int, c *saldotest.Charge) (saldotest.Reply, error) {
	return l.send(http.MethodPost, node, "/v1/transactions", c.Body, "Idempotency-Key", c.Key)
}

// send sends a request to a node. Headers are pairs of names and values.
func (l *load) send(method string, node int, path, body string, headers ...string) (saldotest.Reply, error) {
	// The requests of clients end before the test, and so with their own limit alone.
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	server := l.nodes[node].Load()
	r, err := http.NewRequestWithContext(ctx, method, server.URL+path, strings.NewReader(body))
	if err != nil {
		return saldotest.Reply{}, err
	}
	// A transport repeats a request with an idempotency key by itself when its
	// connection is lost. Whether to do so is decided here.
	r.GetBody = nil
	r.Header.Set("Authorization", "Bearer "+l.key)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	sent := time.Now()
	reply, err := saldotest.Exchange(server, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(sent))
	return reply, err
}

// watch reads balances through one node, and how it says that it is. A charge
// that was acknowledged through any node is in each balance that is read later.
func (l *load) watch(t *testing.T, node int, random *rand.Rand) {
	last := time.Now()
	for !l.over(100 * time.Millisecond) {
		id := 1 + random.IntN(accounts)
		l.mu.Lock()
		known := l.balances[id]
		l.mu.Unlock()
		reply, err := l.send(http.MethodGet, node, fmt.Sprintf("/v1/accounts/%d/wallets/sms", id), "")
		if err == nil && reply.Status == http.StatusOK {
			var wallet api.Wallet
			if err := json.Unmarshal([]byte(reply.Body), &wallet); err != nil {
				t.Error(err)
			} else if saldotest.Millionths(t, wallet.Balance) > known {
				t.Errorf("node %d says that account %d has %s after a charge that left %d millionths", node, id, wallet.Balance, known)
			}
		} else if err == nil && reply.Status < http.StatusInternalServerError {
			t.Errorf("a read: %+v", reply)
		}
		reply, err = l.send(http.MethodGet, node, "/readyz", "")
		now := time.Now()
		if err == nil && reply.Status != http.StatusOK {
			l.mu.Lock()
			l.unready[node] += now.Sub(last)
			l.mu.Unlock()
		}
		last = now
	}
}

// gap is the longest time from then on in which no charge was acknowledged.
func (l *load) gap(began time.Time) (longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := began
	for _, at := range append(slices.Clip(l.posted), time.Now()) {
		if at.After(began) {
			longest = max(longest, at.Sub(last))
			last = at
		}
	}
	return longest
}

// observed gives how long each node was not ready, and the slowest reply, and
// begins to count anew.
func (l *load) observed() (unready [nodes]time.Duration, slowest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	unready, slowest = l.unready, l.slowest
	l.unready, l.slowest = [nodes]time.Duration{}, 0
	return unready, slowest
}
