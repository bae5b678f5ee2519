// Package ha runs Saldo as docs/high-availability.md shows it: three nodes over
// three PostgreSQL servers, of which Patroni makes one the leader and keeps
// another synchronous. It takes the leader away again and again, while clients
// charge accounts through all nodes, and checks that no reply was a lie.
package ha

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

func TestMain(m *testing.M) {
	if os.Getenv(guardVariable) != "" {
		if err := guard(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(saldotest.Main(m))
}

var (
	rounds = flag.Int("rounds", 2, "how often something is taken away")
	first  = flag.Int("first", 1, "with which of the losses the rounds begin")
	seed   = flag.Uint64("seed", 0, "repeats the random choices of a run; 0 for new ones")
)

// noService bounds how long no charge may be acknowledged in a round.
const noService = 90 * time.Second

// world is a ledger with all that serves it.
type world struct {
	*cluster
	*load

	db     string // URL of all servers
	config string // of the nodes
}

// loss is something that is taken away, and comes back.
type loss struct {
	name   string
	strike func(w *world, t *testing.T, leader int)
	// long tells that there is no leader for so long that every node has to
	// notice it.
	long bool
}

// losses come one after the other, and then again.
var losses = []loss{
	{"the leader's server killed", (*world).loseLeader, true},
	{"switchover, and a node of Saldo killed", (*world).switchOver, false},
	{"the leader's server killed", (*world).loseLeader, true},
	{"the synchronous server killed", (*world).loseSynchronous, false},
	{"the leader's PostgreSQL killed", (*world).losePostgres, false},
	{"the leader's server frozen", (*world).freezeLeader, true},
	{"the asynchronous server killed", (*world).loseAsynchronous, false},
}

func TestFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("to repeat the random choices: -seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	w := newWorld(t)
	begin(t, w.load, random)
	stop := sync.OnceFunc(w.end)
	defer stop()
	for round := range *rounds {
		time.Sleep(2*time.Second + time.Duration(random.IntN(1000))*time.Millisecond)
		w.round(t, round, losses[(*first-1+round)%len(losses)])
	}
	stop()
	w.settle(t)
}

// newWorld starts servers and nodes, and makes the accounts, with credit enough
// for every charge.
func newWorld(t *testing.T) *world {
	t.Helper()
	began := time.Now()
	w := &world{cluster: newCluster(t), load: &load{stop: make(chan struct{}), failures: map[string]int{}}}
	w.createDatabase(t)
	t.Setenv("PGPASSWORD", w.secrets["saldo"])
	settings := w.render(t, "saldo.yaml", 0)
	w.config = filepath.Join(t.TempDir(), "saldo.yaml")
	if err := os.WriteFile(w.config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(settings) {
		if db, ok := strings.CutPrefix(line, "db: "); ok {
			w.db = strings.TrimSpace(db)
		}
	}
	w.key = saldotest.Init(t, w.db)
	for node := range nodes {
		w.startNode(t, node)
	}
	operator := w.nodes[0].Load().Client(w.key)
	for id := range api.AccountID(accounts) {
		if _, err := operator.CreateAccount(t.Context(), api.AccountRequest{ID: id + 1, Name: "Charged", Currency: "VND"}); err != nil {
			t.Fatal(err)
		}
		if _, err := operator.PutWallet(t.Context(), id+1, "sms", api.WalletRequest{CreditLimit: "1000000000"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d servers and %d nodes were ready after %s", servers, nodes, time.Since(began).Round(100*time.Millisecond))
	return w
}

// startNode starts a node of Saldo, in the place of an earlier one.
func (w *world) startNode(t *testing.T, node int) {
	t.Helper()
	server := saldotest.LaunchIn(t, "", saldotest.Environment("PGPASSWORD="+w.secrets["saldo"]), "--config", w.config)
	server.Hide(w.secrets["saldo"], w.key)
	server.Await()
	w.nodes[node].Store(server)
}

// round takes something away, waits until charges are acknowledged again, gives
// back what was taken, and waits until all is as it was.
func (w *world) round(t *testing.T, number int, l loss) {
	t.Helper()
	// On a machine that is busy with other things the leader may have changed by itself.
	w.await(t, "the cluster before "+l.name, w.whole)
	leader, err := w.leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.observed()
	began := time.Now()
	l.strike(w, t, leader)
	w.serving(t)
	gap := w.gap(began)
	unready, slowest := w.observed()
	for i := range w.servers {
		w.start(t, i)
	}
	w.await(t, "the cluster after "+l.name, w.whole)
	next, err := w.leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("round %d: %s. Leader before %s, after %s. %s without an acknowledged charge; nodes not ready for %s; slowest reply %s; whole again after %s",
		number+1, l.name, w.servers[leader].name, w.servers[next].name, tenths(gap), tenths(unready[:]...), tenths(slowest), tenths(time.Since(began)))
	if gap > noService {
		t.Errorf("%s without service are too long", gap)
	}
	if l.long && gap > 15*time.Second && slices.Min(unready[:]) < time.Second {
		t.Errorf("a node said that it was ready while there was no leader: they were not for %s", tenths(unready[:]...))
	}
	w.await(t, "the nodes", w.ready)
}

func tenths(durations ...time.Duration) string {
	texts := make([]string, len(durations))
	for i, d := range durations {
		texts[i] = fmt.Sprintf("%.1f s", d.Seconds())
	}
	return strings.Join(texts, ", ")
}

// serving waits until every node acknowledges a new charge.
func (w *world) serving(t *testing.T) {
	t.Helper()
	for node := range nodes {
		c := saldotest.NewCharge(fmt.Sprintf("after-%d-%d", time.Now().UnixNano(), node), accounts, rand.New(rand.NewPCG(*seed, uint64(node))))
		w.asked(c)
		deadline := time.Now().Add(patience)
		for {
			reply, err := w.post(node, c)
			if err == nil && reply.Status == http.StatusCreated {
				w.acknowledged(t, c, reply)
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d does not come back: %+v, %v\n%s", node, reply, err, tail(w.nodes[node].Load().Log()))
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// ready tells, by an error, of a node that says that it is not ready.
func (w *world) ready(context.Context) error {
	for node := range nodes {
		reply, err := w.send(http.MethodGet, node, "/readyz", "")
		if err != nil || reply.Status != http.StatusOK {
			return fmt.Errorf("node %d: %+v, %w", node, reply, err)
		}
	}
	return nil
}

// tail is the end of a log, without the lines of requests that went well.
func tail(log string) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return strings.Contains(line, `"level":"INFO"`) })
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// loseLeader kills the leader's server, with its member of etcd.
func (w *world) loseLeader(t *testing.T, leader int) {
	w.servers[leader].kill(t)
	w.succession(t, leader)
}

// loseSynchronous kills the server that commits wait for.
func (w *world) loseSynchronous(t *testing.T, _ int) {
	synchronous, err := w.synchronous(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.servers[synchronous].kill(t)
}

// loseAsynchronous kills the server that nobody waits for.
func (w *world) loseAsynchronous(t *testing.T, leader int) {
	synchronous, err := w.synchronous(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.servers[servers-leader-synchronous].kill(t) // of 0, 1 and 2 the one that is neither
}

// losePostgres kills the PostgreSQL of the leader alone.
func (w *world) losePostgres(t *testing.T, leader int) {
	w.servers[leader].killPostgres(t)
	w.succession(t, leader)
}

// freezeLeader lets the leader hang until another has taken over, and then go
// on as if nothing had happened.
func (w *world) freezeLeader(t *testing.T, leader int) {
	w.servers[leader].freeze()
	defer w.servers[leader].thaw()
	w.succession(t, leader)
	w.serving(t)
}

// switchOver makes the synchronous server the leader, and kills a node of Saldo
// at the same time.
func (w *world) switchOver(t *testing.T, leader int) {
	victim := leader % nodes
	w.nodes[victim].Load().Kill()
	w.switchover(t, leader)
	// Patroni names the leader before its PostgreSQL takes writes, and a node that
	// begins just then ends again, for systemd to start it once more.
	w.await(t, "a server that takes writes", func(ctx context.Context) error { return pgtest.Exec(ctx, w.db, "SELECT 1") })
	w.startNode(t, victim)
}
