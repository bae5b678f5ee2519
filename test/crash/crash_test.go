// Package crash kills the real server again and again while clients charge
// accounts, and checks that no reply was a lie.
package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

func TestMain(m *testing.M) { os.Exit(saldotest.Main(m)) }

var (
	rounds = flag.Int("rounds", 20, "how often the server is killed; a quarter of it with -short")
	seed   = flag.Uint64("seed", 0, "repeats the random choices of a run; 0 for new ones")
)

const (
	clients  = 16
	accounts = 4
	longest  = 350 * time.Millisecond // from the first charge of a round to the kill
)

// dice gives the random choices of a test, and how many of all rounds it plays.
func dice(t *testing.T, share int) (*rand.Rand, int) {
	t.Helper()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("to repeat the random choices: -seed %d", *seed)
	if testing.Short() {
		share *= 4
	}
	return rand.New(rand.NewPCG(*seed, 0)), (*rounds + share - 1) / share
}

// TestKill is the crash test of the embedded store: SIGKILL at a random moment,
// in the middle of charges or of a start, then a start on the same file.
func TestKill(t *testing.T) {
	random, times := dice(t, 1)
	db, key := saldotest.SQLite.NewLedger(t)
	h := newHistory()
	prepare(t, db, key)
	for round := range times {
		if random.IntN(4) == 0 { // kill one that has not come up yet
			server := saldotest.Launch(t, "--db", db)
			time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
			server.Kill()
		}
		server := saldotest.Start(t, "--db", db)
		before := h.acknowledged()
		load(t, server, key, h, round, random)
		saldotest.Verify(t, db)
		t.Logf("round %d: %d acknowledged", round, h.acknowledged()-before)
	}
	server := saldotest.Start(t, "--db", db)
	settle(t, []*saldotest.Server{server}, key, h, 10*times)
	server.Stop()
	saldotest.Verify(t, db)
}

// prepare creates the accounts, with credit enough for every charge.
func prepare(t *testing.T, db, key string) {
	t.Helper()
	server := saldotest.Start(t, "--db", db)
	operator := server.Client(key)
	for id := range api.AccountID(accounts) {
		if _, err := operator.CreateAccount(t.Context(), api.AccountRequest{ID: id + 1, Name: "Charged", Currency: "VND"}); err != nil {
			t.Fatal(err)
		}
		if _, err := operator.PutWallet(t.Context(), id+1, "sms", api.WalletRequest{CreditLimit: "1000000000"}); err != nil {
			t.Fatal(err)
		}
	}
	server.Stop()
}

// load lets the clients charge until the server is killed under them.
func load(t *testing.T, server *saldotest.Server, key string, h *history, round int, random *rand.Rand) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range clients {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		workers.Go(func() {
			for n := 0; ; n++ {
				c := saldotest.NewCharge(fmt.Sprintf("r%d-w%d-n%d", round, worker, n), accounts, own)
				if earlier := h.any(); own.IntN(5) == 0 && earlier != nil {
					c = earlier // a retry, of this round or of one before a crash
				} else {
					h.asked(c)
				}
				copies := 1
				if own.IntN(8) == 0 {
					copies = 2 // at the same time
				}
				if !send(t, server, key, h, c, copies) {
					return
				}
			}
		})
	}
	time.Sleep(time.Duration(random.Int64N(int64(longest))))
	server.Kill()
	workers.Wait()
}

// send posts a charge, several times at once if asked to. It gives false when
// the server is gone.
func send(t *testing.T, server *saldotest.Server, key string, h *history, c *saldotest.Charge, copies int) bool {
	t.Helper()
	alive := make([]bool, copies)
	var sent sync.WaitGroup
	for i := range copies {
		sent.Go(func() {
			reply, err := post(t, server, key, c)
			switch {
			case err != nil: // it may be posted or not
			case reply.Status == http.StatusCreated:
				h.posted(c, reply.Body)
				alive[i] = true
			default:
				t.Errorf("%s: %+v", c.Key, reply)
			}
		})
	}
	sent.Wait()
	return !slices.Contains(alive, false)
}
