// Package crash kills the real server again and again while clients charge
// accounts, and checks that no reply was a lie.
package crash

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
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
	longest  = 350 * time.Millisecond // of a round, from the first charge to the kill
)

// charge is a transaction that was asked for, under an idempotency key.
type charge struct {
	key, body string
	account   api.AccountID
	amount    int64 // millionths
	// acknowledged is the body of a reply that said "posted"; "" while there was none.
	acknowledged string
}

// history is everything that clients asked for, in all rounds.
type history struct {
	mu      sync.Mutex
	charges map[string]*charge
	lies    []string // replies that contradict each other
}

// asked remembers a charge before it is sent.
func (h *history) asked(c *charge) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.charges[c.key] = c
}

// posted remembers an acknowledgement, and compares it with an earlier one.
func (h *history) posted(c *charge, body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.acknowledged != "" && c.acknowledged != body {
		h.lies = append(h.lies, fmt.Sprintf("%s\nfirst %s\nthen  %s", c.key, c.acknowledged, body))
	}
	c.acknowledged = body
}

// any gives a random charge of all that were asked for, nil where there is none.
func (h *history) any() *charge {
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
		if c.acknowledged != "" {
			count++
		}
	}
	return count
}

// TestKill is the crash test: SIGKILL at a random moment, in the middle of
// charges or of a start, then a start on the same file.
func TestKill(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if testing.Short() {
		*rounds = (*rounds + 3) / 4
	}
	t.Logf("to repeat the random choices: -seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	db, key := saldotest.SQLite.NewLedger(t)
	h := &history{charges: map[string]*charge{}}
	prepare(t, db, key)
	for round := range *rounds {
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
	for _, lie := range h.lies {
		t.Errorf("one key, two replies: %s", lie)
	}
	settle(t, db, key, h)
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
				c := newCharge(fmt.Sprintf("r%d-w%d-n%d", round, worker, n), own)
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

func newCharge(key string, random *rand.Rand) *charge {
	c := &charge{key: key, account: api.AccountID(1 + random.IntN(accounts)), amount: 1 + random.Int64N(5_000_000)}
	c.body = fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"%d.%06d","reference":%q}`, c.account, c.amount/1e6, c.amount%1e6, key)
	return c
}

// send posts a charge, several times at once if asked to. It gives false when
// the server is gone.
func send(t *testing.T, server *saldotest.Server, key string, h *history, c *charge, copies int) bool {
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
				t.Errorf("%s: %+v", c.key, reply)
			}
		})
	}
	sent.Wait()
	return !slices.Contains(alive, false)
}

func post(t *testing.T, server *saldotest.Server, key string, c *charge) (saldotest.Reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/transactions", strings.NewReader(c.body))
	if err != nil {
		return saldotest.Reply{}, err
	}
	// A transport repeats a request with an idempotency key by itself when its
	// connection is lost. Whether to do so is decided here.
	r.GetBody = nil
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Idempotency-Key", c.key)
	return saldotest.Exchange(server, r)
}

// settle retries what was never acknowledged, and then compares the whole
// ledger with what the clients know.
func settle(t *testing.T, db, key string, h *history) {
	t.Helper()
	server := saldotest.Start(t, "--db", db)
	lost, rescued := 0, 0
	charges := slices.SortedFunc(maps.Values(h.charges), func(a, b *charge) int { return strings.Compare(a.key, b.key) })
	for _, c := range charges {
		reply, err := post(t, server, key, c)
		if err != nil || reply.Status != http.StatusCreated {
			t.Fatalf("%s: %+v, %v", c.key, reply, err)
		}
		replayed := reply.Header.Get("Idempotent-Replayed") == "true"
		switch {
		case c.acknowledged == "" && replayed:
			rescued++ // posted before the crash, which only its reply did not survive
		case c.acknowledged == "":
			lost++
		case !replayed:
			t.Errorf("acknowledged and lost: %s", c.acknowledged)
		case reply.Body != c.acknowledged:
			t.Errorf("%s\nacknowledged %s\nreplayed     %s", c.key, c.acknowledged, reply.Body)
		}
		c.acknowledged = reply.Body
		if read := server.Send(t, http.MethodGet, reply.Header.Get("Location"), "", "Authorization", "Bearer "+key); read.Body != reply.Body {
			t.Errorf("%s\nposted %s\nread   %s", c.key, reply.Body, read.Body)
		}
	}
	t.Logf("%d charges; of those without a reply %d were posted and %d were not", len(charges), rescued, lost)
	if len(charges) < 10**rounds {
		t.Errorf("only %d charges: that proves little", len(charges))
	}
	compare(t, server, key, charges)
	server.Stop()
}

// compare adds up the charges of each account. Its wallet has one entry for each of
// them, and the balances after them are the running sums in the order of the entries.
func compare(t *testing.T, server *saldotest.Server, key string, charges []*charge) {
	t.Helper()
	operator := server.Client(key)
	for id := api.AccountID(1); id <= accounts; id++ {
		var sum int64
		balances := map[int64]int64{} // after a charge, to its amount
		for _, c := range charges {
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

// millionths reads an amount.
func millionths(t *testing.T, text string) int64 {
	t.Helper()
	units, fraction, _ := strings.Cut(text, ".")
	number, err := strconv.ParseInt(units+(fraction + "000000")[:6], 10, 64)
	if err != nil || len(fraction) > 6 {
		t.Fatal(errors.Join(errors.New("not an amount: "+text), err))
	}
	return number
}
