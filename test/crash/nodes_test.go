package crash

import (
	"encoding/json"
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
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

const (
	// recovery is how long the nodes may take to serve again once the database does.
	recovery = 10 * time.Second
	// answered is how long any request may take, whatever happens to the database.
	answered = 20 * time.Second
	// further is how many charges have to be posted before something else is broken.
	further = 20
)

// cluster is three nodes over one ledger in PostgreSQL, and clients that charge
// accounts through any of them, and send what was not posted again.
type cluster struct {
	t       *testing.T
	server  *pgtest.Server
	db, key string
	history *history

	mu    sync.Mutex
	nodes []*saldotest.Server

	broken   atomic.Bool // the database: a request may fail now
	posted   atomic.Int64
	refused  atomic.Int64
	unknown  atomic.Int64 // of those, whose outcome was not known
	longest  atomic.Int64 // of all requests, in nanoseconds
	finished chan struct{}
	clients  sync.WaitGroup
}

// newCluster starts a database of its own, and the nodes.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	server, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	db, err := server.Create(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, server: server, db: db, key: saldotest.Init(t, db), history: newHistory(), finished: make(chan struct{})}
	prepare(t, c.db, c.key)
	for range 3 {
		c.nodes = append(c.nodes, saldotest.Start(t, "--db", c.db))
	}
	return c
}

// node gives one of the nodes, by chance.
func (c *cluster) node(random *rand.Rand) *saldotest.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[random.IntN(len(c.nodes))]
}

// serves tells whether a node is one of those that are meant to be alive.
func (c *cluster) serves(node *saldotest.Server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.nodes, node)
}

// replace puts another node, nil for none, in the place of one.
func (c *cluster) replace(node, by *saldotest.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nodes := slices.DeleteFunc(slices.Clone(c.nodes), func(alive *saldotest.Server) bool { return alive == node })
	if by != nil {
		nodes = append(nodes, by)
	}
	c.nodes = nodes
}

// begin lets the clients charge until end.
func (c *cluster) begin(random *rand.Rand) {
	for client := range clients {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		c.clients.Go(func() {
			for n := 0; ; n++ {
				next := saldotest.NewCharge(fmt.Sprintf("c%d-n%d", client, n), accounts, own)
				if earlier := c.history.any(); own.IntN(5) == 0 && earlier != nil {
					next = earlier
				} else {
					c.history.asked(next)
				}
				for !c.send(next, own) {
					select {
					case <-c.finished:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
				select {
				case <-c.finished:
					return
				default:
				}
			}
		})
	}
}

func (c *cluster) end() {
	close(c.finished)
	c.clients.Wait()
}

// send posts a charge through a node, now and then through two at the same time.
func (c *cluster) send(next *saldotest.Charge, random *rand.Rand) bool {
	nodes := []*saldotest.Server{c.node(random)}
	if random.IntN(8) == 0 {
		nodes = append(nodes, c.node(random))
	}
	var done atomic.Bool
	var sent sync.WaitGroup
	for _, node := range nodes {
		sent.Go(func() {
			if c.post(node, next) {
				done.Store(true)
			}
		})
	}
	sent.Wait()
	return done.Load()
}

// post tells whether a charge is posted. Whoever is not told so is told in time,
// and so that a program knows what to do.
func (c *cluster) post(node *saldotest.Server, next *saldotest.Charge) bool {
	broken, began := c.broken.Load(), time.Now()
	reply, err := post(c.t, node, c.key, next)
	took := time.Since(began)
	for longest := c.longest.Load(); int64(took) > longest && !c.longest.CompareAndSwap(longest, int64(took)); {
		longest = c.longest.Load()
	}
	if took > answered {
		c.t.Errorf("%s was answered after %s: %+v, %v", next.Key, took, reply, err)
	}
	if err == nil && reply.Status == http.StatusCreated {
		c.history.posted(next, reply.Body)
		c.posted.Add(1)
		return true
	}
	c.refused.Add(1)
	var problem api.Problem
	switch {
	case err != nil && !c.serves(node):
		c.unknown.Add(1)
	case err != nil:
		c.t.Errorf("%s: a node that lives gave no reply: %v", next.Key, err)
	case !broken && !c.broken.Load():
		c.t.Errorf("%s was refused though the database served: %+v", next.Key, reply)
	case json.Unmarshal([]byte(reply.Body), &problem) != nil || reply.Status != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" || problem.Hint == "" ||
		problem.Code != api.ErrorCodeOverloaded && problem.Code != api.ErrorCodeOutcomeUnknown:
		c.t.Errorf("%s: %+v", next.Key, reply)
	case problem.Code == api.ErrorCodeOutcomeUnknown:
		c.unknown.Add(1)
	}
	return false
}

// further waits until the clients were told of more charges.
func (c *cluster) further() {
	c.t.Helper()
	began, wanted := time.Now(), c.posted.Load()+further
	for c.posted.Load() < wanted {
		if time.Since(began) > recovery {
			c.t.Fatalf("%d charges were posted in %s", c.posted.Load()+further-wanted, time.Since(began))
		}
		time.Sleep(time.Millisecond)
	}
}

// settle compares what the clients know with what there is, through all nodes.
func (c *cluster) settle(random *rand.Rand, least int) {
	c.t.Helper()
	c.t.Logf("%d acknowledgements, %d requests without, of which %d may have been carried out; the longest took %s", c.posted.Load(), c.refused.Load(), c.unknown.Load(), time.Duration(c.longest.Load()).Round(time.Millisecond))
	random.Shuffle(len(c.nodes), func(i, k int) { c.nodes[i], c.nodes[k] = c.nodes[k], c.nodes[i] })
	settle(c.t, c.nodes, c.key, c.history, least)
	for _, node := range c.nodes {
		node.Stop()
	}
	saldotest.Verify(c.t, c.db)
}

func pause(random *rand.Rand) { time.Sleep(time.Duration(random.Int64N(int64(longest)))) }

// TestKillNode kills one node of three in the middle of charges. The others go
// on: what the dead one had locked is free again, and what it had posted is
// found by whoever asks again.
func TestKillNode(t *testing.T) {
	random, times := dice(t, 5)
	c := newCluster(t)
	c.begin(random)
	for range times {
		pause(random)
		victim := c.node(random)
		c.replace(victim, nil)
		victim.Kill()
		c.further()
		c.replace(nil, saldotest.Start(t, "--db", c.db))
		c.further()
	}
	c.end()
	c.settle(random, 2*further*times)
}

// TestKillPostgreSQL kills the database itself, with all its connections, in the
// middle of charges through three nodes, and starts it again. The nodes serve
// again by themselves.
func TestKillPostgreSQL(t *testing.T) {
	random, times := dice(t, 4)
	c := newCluster(t)
	c.begin(random)
	for round := range times {
		pause(random)
		c.broken.Store(true)
		if err := c.server.Kill(); err != nil {
			t.Fatal(err)
		}
		pause(random)
		if err := c.server.Restart(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i, node := range c.nodes {
			c.awaitReady(node, i)
		}
		c.broken.Store(false)
		c.further()
		t.Logf("round %d: %s after the database all nodes were ready and had charged", round, time.Since(began).Round(time.Millisecond))
	}
	c.end()
	for _, node := range c.nodes {
		c.checkLog(node, times)
	}
	c.settle(random, further*times)
}

// awaitReady waits until a node says that it is ready.
func (c *cluster) awaitReady(node *saldotest.Server, i int) {
	c.t.Helper()
	deadline := time.Now().Add(recovery)
	for {
		reply := node.Send(c.t, http.MethodGet, "/readyz", "")
		if reply.Status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("node %d is not ready: %+v\n%s", i, reply, node.Log())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// complaints are more lines than a node may write because of one outage, and
// fewer than there are requests in it.
const complaints = 30

// checkLog checks that the log of a node tells of the outages, and not of each
// request that met them.
func (c *cluster) checkLog(node *saldotest.Server, outages int) {
	c.t.Helper()
	var lines []string
	for line := range strings.Lines(node.Log()) {
		if strings.Contains(line, `"level":"WARN"`) || strings.Contains(line, `"level":"ERROR"`) {
			lines = append(lines, line)
		}
	}
	told := strings.Join(lines, "")
	if !strings.Contains(told, "the database cannot be used") || len(lines) > outages*complaints {
		c.t.Errorf("%d outages made %d lines:\n%.4000s", outages, len(lines), told)
	}
}
