package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// askers are three processes over one ledger in PostgreSQL that are configured to
// ask the same upstreams, "a" and "b", each through a front of its own.
type askers struct {
	nodes  []*asker
	fronts []*front
}

const (
	// askersInterval is longer than the second for which nobody may ask again at all.
	askersInterval = 3 * time.Second
	askersTimeout  = time.Second
	// askersClaim is how long the claim of a node lasts that has died: the time-out
	// and 15 seconds, and then others come within two.
	askersClaim = askersTimeout + 15*time.Second + 2*time.Second
)

func newAskers(t *testing.T, provider *world) *askers {
	t.Helper()
	account := provider.account(t, api.AccountRequest{}, map[string]string{"sms": "5"})
	key := provider.importKey(t, account, "SHARED", api.KeyRequest{})
	db, operator := saldotest.PostgreSQL.NewLedger(t)
	s := new(askers)
	for i := range 3 {
		front := newFront(t, provider)
		a := &asker{world: &world{store: saldotest.PostgreSQL, db: db, key: operator}, file: filepath.Join(t.TempDir(), "upstreams.yaml")}
		write(t, a.file, fmt.Sprintf(`upstreams:
- {name: a, provider: antgst, base_url: "%[1]s/a", interval: %[2]s, timeout: %[3]s, credentials: {auth_secret: %[4]s%[5]s}}
- {name: b, provider: esms, base_url: "%[1]s/b", interval: %[2]s, timeout: %[3]s, credentials: {api_key: %[4]s, secret_key: %[5]s}}
`, front.URL, askersInterval, askersTimeout, key.id, key.secret))
		s.nodes, s.fronts = append(s.nodes, a), append(s.fronts, front)
		if i > 0 { // Even one that is far from the database.
			a.db = saldotest.Distant(t, db, time.Duration(4*i)*time.Millisecond)
		}
		a.serve(t, "--upstreams", a.file)
	}
	return s
}

// asked gives the questions to an upstream that any node asked after a time, and
// when the first and the last was.
func (s *askers) asked(name string, after time.Time) (count int, first, last time.Time) {
	for _, f := range s.fronts {
		for _, q := range f.questions() {
			if q.name != name || !q.at.After(after) {
				continue
			}
			count++
			if first.IsZero() || q.at.Before(first) {
				first = q.at
			}
			if q.at.After(last) {
				last = q.at
			}
		}
	}
	return count, first, last
}

// awaitAsked waits until an upstream was asked so often.
func (s *askers) awaitAsked(t *testing.T, name string, times int, after time.Time, within time.Duration) (first, last time.Time) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		count, first, last := s.asked(name, after)
		if count >= times {
			return first, last
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was asked %d times, not %d", name, count, times)
		}
	}
}

// awaitEach waits until each node has asked each upstream: it does so once as soon
// as it may when it begins.
func (s *askers) awaitEach(t *testing.T) {
	t.Helper()
	for i, f := range s.fronts {
		for deadline := time.Now().Add(upstreamWait); ; time.Sleep(20 * time.Millisecond) {
			asked := map[string]bool{}
			for _, q := range f.questions() {
				asked[q.name] = true
			}
			if len(asked) == 2 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("node %d has asked %v", i, asked)
			}
		}
	}
}

// TestUpstreamsOfNodes: whatever the number of nodes, each upstream is asked once
// in an interval, and when the node that asks dies, another one goes on.
func TestUpstreamsOfNodes(t *testing.T) {
	t.Parallel()
	s := newAskers(t, newProvider(t, "--rate-limit", "0"))
	s.awaitEach(t)
	began := time.Now()
	for _, name := range []string{"a", "b"} {
		s.awaitAsked(t, name, 5, began, upstreamWait)
		count, first, last := s.asked(name, began)
		// By chance a pause is a twentieth shorter than the interval. The first question
		// may have come late to the front.
		if most := int((last.Sub(first)+askersInterval/2)/(askersInterval*19/20)) + 1; count > most {
			t.Errorf("%s was asked %d times in %s by three nodes, and may be %d times", name, count, last.Sub(first), most)
		}
		for _, a := range s.nodes {
			k := a.await(t, name, "known everywhere", (*known).ok)
			if !k.Watched {
				t.Errorf("%s: %+v", name, k)
			}
			a.awaitMetric(t, fmt.Sprintf("saldo_upstream_up{provider=%q,upstream=%q}", k.Provider, name), "1")
		}
	}
	s.testDeath(t)
}

// testDeath kills the node that asks for "a", while it waits for the answer.
func (s *askers) testDeath(t *testing.T) {
	t.Helper()
	caught := make(chan int, 100)
	for i, f := range s.fronts {
		f.says("a", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // without that the server does not see that the caller is gone
			caught <- i
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
	}
	var dead int
	select {
	case dead = <-caught:
	case <-time.After(upstreamWait):
		t.Fatal("nobody asks")
	}
	s.nodes[dead].Kill()
	died := time.Now()
	for _, f := range s.fronts {
		f.says("a", nil)
	}
	for _, name := range []string{"a", "b"} {
		first, _ := s.awaitAsked(t, name, 2, died, askersClaim+upstreamWait)
		// The claim of the dead node keeps the others away until it ends.
		if pause := first.Sub(died); name == "a" && pause < askersClaim/2 {
			t.Errorf("%s was asked again after %s, while the dead node had claimed it", name, pause)
		}
		for i, a := range s.nodes {
			if i != dead {
				a.await(t, name, "ok again", func(k *known) bool { return k.ok() && k.Balance.At.After(died) })
			}
		}
	}
	for i, a := range s.nodes {
		if i != dead {
			a.Stop()
		}
	}
	saldotest.Verify(t, s.nodes[0].db)
}
