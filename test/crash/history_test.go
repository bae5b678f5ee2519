package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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

func newHistory() *history { return &history{charges: map[string]*charge{}} }

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

func newCharge(key string, random *rand.Rand) *charge {
	c := &charge{key: key, account: api.AccountID(1 + random.IntN(accounts)), amount: 1 + random.Int64N(5_000_000)}
	c.body = fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"%d.%06d","reference":%q}`, c.account, c.amount/1e6, c.amount%1e6, key)
	return c
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

// settle retries every charge at the servers in turn, also those that were never
// acknowledged, and then compares the whole ledger with what the clients know.
func settle(t *testing.T, servers []*saldotest.Server, key string, h *history, least int) {
	t.Helper()
	for _, lie := range h.lies {
		t.Errorf("one key, two replies: %s", lie)
	}
	charges := slices.SortedFunc(maps.Values(h.charges), func(a, b *charge) int { return strings.Compare(a.key, b.key) })
	if len(charges) < least {
		t.Errorf("only %d charges: that proves little", len(charges))
	}
	var lost, rescued atomic.Int64
	var workers sync.WaitGroup
	for worker := range clients {
		workers.Go(func() {
			for i := worker; i < len(charges); i += clients {
				replay(t, servers[i%len(servers)], key, charges[i], &lost, &rescued)
			}
		})
	}
	workers.Wait()
	t.Logf("%d charges; of those without a reply %d were posted and %d were not", len(charges), rescued.Load(), lost.Load())
	compare(t, servers[0], key, charges)
}

// replay retries a charge, and reads it.
func replay(t *testing.T, server *saldotest.Server, key string, c *charge, lost, rescued *atomic.Int64) {
	t.Helper()
	reply, err := post(t, server, key, c)
	if err != nil || reply.Status != http.StatusCreated {
		t.Errorf("%s: %+v, %v", c.key, reply, err)
		return
	}
	replayed := reply.Header.Get("Idempotent-Replayed") == "true"
	switch {
	case c.acknowledged == "" && replayed:
		rescued.Add(1) // posted before the crash, which only its reply did not survive
	case c.acknowledged == "":
		lost.Add(1)
	case !replayed:
		t.Errorf("acknowledged and lost: %s", c.acknowledged)
	case reply.Body != c.acknowledged:
		t.Errorf("%s\nacknowledged %s\nreplayed     %s", c.key, c.acknowledged, reply.Body)
	}
	c.acknowledged = reply.Body
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+reply.Header.Get("Location"), http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if read, err := saldotest.Exchange(server, r); err != nil || read.Body != reply.Body {
		t.Errorf("%s, %v\nposted %s\nread   %s", c.key, err, reply.Body, read.Body)
	}
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
