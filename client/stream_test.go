package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// charges yields n charges, named k0, k1 and so on, after waiting for the one before.
func charges(n int, wait func(i int)) iter.Seq[api.BatchTransaction] {
	return func(yield func(api.BatchTransaction) bool) {
		for i := range n {
			wait(i)
			if !yield(api.BatchTransaction{IdempotencyKey: fmt.Sprintf("k%d", i), Account: 7, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("1")}) {
				return
			}
		}
	}
}

func at(int) {}

// answer answers each line as it is read, as long as next says so.
func answer(t *testing.T, next func(i int) bool) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != "application/x-ndjson" || !strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
			t.Errorf("headers %v", r.Header)
		}
		reply := http.NewResponseController(w)
		if err := reply.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Connection", "close") // net/http gets confused by the rest of a request that it did not read
		lines := bufio.NewReader(r.Body)
		for i := 0; ; i++ {
			line, err := lines.ReadBytes('\n')
			if err != nil || !next(i) {
				return
			}
			var transaction api.BatchTransaction
			if err := json.Unmarshal(line, &transaction); err != nil || transaction.IdempotencyKey == "" {
				t.Errorf("line %s, %v", line, err)
			}
			fmt.Fprintf(w, `{"index":%d,"outcome":"posted","transaction":{"id":%q}}`+"\n", i, transaction.IdempotencyKey)
			_ = reply.Flush()
		}
	}
}

func always(int) bool { return true }

// Each transaction is sent only when the one before has come back.
func TestStreamIsFullDuplex(t *testing.T) {
	c := serve(t, answer(t, always))
	came := make(chan int, 1)
	came <- -1
	count := 0
	for item, err := range c.Stream(t.Context(), charges(100, func(i int) {
		if last := <-came; last != i-1 {
			t.Errorf("%d came before %d", last, i)
		}
	})) {
		if err != nil || item.Index != count || item.Transaction.ID != fmt.Sprintf("k%d", count) {
			t.Fatalf("item %d is %+v, %v", count, item, err)
		}
		came <- count
		count++
	}
	if count != 100 {
		t.Errorf("%d items", count)
	}
}

func TestStreamOfMany(t *testing.T) {
	c := serve(t, answer(t, always))
	for _, n := range []int{0, 1, 5000} {
		count := 0
		for item, err := range c.Stream(t.Context(), charges(n, at)) {
			if err != nil || item.Index != count {
				t.Fatalf("item %d is %+v, %v", count, item, err)
			}
			count++
		}
		if count != n {
			t.Errorf("%d items, want %d", count, n)
		}
	}
}

// However a stream ends early, it says so, and what came before is true.
func TestBrokenStreams(t *testing.T) {
	for name, end := range map[string]func(){
		"cut off":       func() { panic(http.ErrAbortHandler) },
		"ended cleanly": func() {},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answer(t, func(i int) bool {
				if i == 3 {
					end()
				}
				return i < 3
			}))
			var got int
			var failure error
			for _, err := range c.Stream(t.Context(), charges(1000, at)) {
				if failure != nil {
					t.Error("it goes on after the error")
				}
				if failure = err; err == nil {
					got++
				}
			}
			// A connection that is cut may take with it what was on its way.
			if failure == nil || got > 3 || !strings.Contains(failure.Error(), fmt.Sprintf("saldo: the reply broke off after %d transactions: ", got)) {
				t.Errorf("%d items, then %v", got, failure)
			}
		})
	}
	t.Run("with a reason", func(t *testing.T) {
		reason := `{"index":%d,"outcome":"failed","error":{"status":429,"code":"rate_limited","detail":"d"}}` + "\n"
		for lines, want := range map[int]int{3: 3, 100: 4} { // the reason may be that of a transaction, or of none that was sent
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				for i := range 3 {
					fmt.Fprintf(w, `{"index":%d,"outcome":"posted"}`+"\n", i)
				}
				fmt.Fprintf(w, reason, 3)
			})
			var got int
			var failure error
			for _, err := range c.Stream(t.Context(), charges(lines, at)) {
				if failure = err; err == nil {
					got++
				}
			}
			if got != want || asError(t, failure).Code != api.ErrorCodeRateLimited {
				t.Errorf("of %d: %d items, want %d; then %v", lines, got, want, failure)
			}
		}
	})
	t.Run("nonsense", func(t *testing.T) {
		for _, body := range []string{"<h1>Sign in</h1>", `{"index":"0"}`} {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			if e := asError(t, first(c.Stream(t.Context(), charges(1, at)))); !strings.Contains(e.Detail, "NDJSON") {
				t.Error(e)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"status":403,"code":"forbidden","detail":"d"}`)
		})
		if e := asError(t, first(c.Stream(t.Context(), charges(1<<30, at)))); e.Code != api.ErrorCodeForbidden {
			t.Error(e)
		}
	})
}

// The source is not asked for more than can be sent, and ends with the loop.
func TestStreamIsBounded(t *testing.T) {
	var asked, ended atomic.Int64
	source := func(yield func(api.BatchTransaction) bool) {
		defer ended.Add(1)
		for asked.Add(1); yield(api.BatchTransaction{}); asked.Add(1) {
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	stuck := transport(func(r *http.Request) (*http.Response, error) {
		for asked.Load() < 65 { // all that fit, and one that does not
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	c := newClient(t, "https://saldo.test", client.WithTransport(stuck))
	if err := first(c.Stream(ctx, source)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if asked.Load() != 65 || ended.Load() != 1 {
		t.Errorf("the source was asked %d times, and ended %d times", asked.Load(), ended.Load())
	}

	c = serve(t, answer(t, always))
	asked.Store(0)
	for _, err := range c.Stream(t.Context(), source) {
		if err != nil {
			t.Error(err)
		}
		break // whoever has seen enough
	}
	if ended.Load() != 2 {
		t.Error("the source goes on after the loop")
	}
}

// A caller's source may wait for ever, as long as it ends with the context.
func TestStreamEndsWithTheContext(t *testing.T) {
	c := serve(t, answer(t, always))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var failure error
	for _, err := range c.Stream(ctx, func(yield func(api.BatchTransaction) bool) {
		if yield(api.BatchTransaction{Type: api.TransactionTypeCharge}) {
			<-ctx.Done()
		}
	}) {
		if err == nil {
			cancel()
		}
		failure = err
	}
	if !errors.Is(failure, context.Canceled) {
		t.Errorf("it ends with %v", failure)
	}
}
