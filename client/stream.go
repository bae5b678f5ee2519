package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client/internal/rest"
)

const ndjson = "application/x-ndjson"

// streamAhead is how many transactions of a stream wait to be sent at most.
const streamAhead = 64

// Stream posts any number of transactions over one connection, each with its
// own idempotency key, and yields what came of each, in their order, while the
// later ones are still being sent. Only a few of them are in memory at a time.
// An empty key is replaced by a random one.
//
// A transaction that is rejected or failed is an item like a posted one;
// Failure makes an error of its problem. The sequence ends after the first
// error, which is one of the whole stream. A stream is never sent again by
// itself. Where it breaks, all that had no item yet can be sent again with the
// same keys, which moves the money once whatever happened before.
//
// The transactions are read on a goroutine of their own, and the loop over the
// items ends when that does: a source that waits must end with the context, and
// the caller cancels it when the loop is left. The server ends a stream over
// which nothing comes for 30 seconds.
func (c *Client) Stream(ctx context.Context, transactions iter.Seq[api.BatchTransaction]) iter.Seq2[api.BatchItem, error] {
	return func(yield func(api.BatchItem, error) bool) {
		callers := ctx
		ctx, cancel := context.WithCancel(ctx)
		out := &outbox{lines: make(chan []byte, streamAhead), done: ctx.Done()}
		var sending sync.WaitGroup
		sending.Go(func() { out.fill(callers, transactions) })
		defer sending.Wait()
		defer cancel()

		req, err := rest.NewPostBatchRequestWithBody(c.rest.Server, ndjson, out)
		if err != nil {
			yield(api.BatchItem{}, fmt.Errorf("saldo: %w", err))
			return
		}
		req.Header.Set("Accept", ndjson+", application/problem+json")
		c.sender.sign(req)
		resp, err := c.sender.open(req.WithContext(ctx), 0) // the first item may be long in coming
		if err != nil {
			yield(api.BatchItem{}, err)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // what a close could report, the reading has reported
		decoder := json.NewDecoder(resp.Body)
		var last *api.Problem // of an item; the server's last word, where it breaks off
		for count := int64(0); ; count++ {
			var item api.BatchItem
			err := decoder.Decode(&item)
			if errors.Is(err, io.EOF) && out.complete(count) {
				return
			}
			if err == nil && int64(item.Index) >= out.sent.Load() {
				err, last = io.EOF, item.Error // it is about nothing that was sent
			}
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx) // what the connection says of its end may be something else
			}
			if err != nil {
				yield(api.BatchItem{}, brokenStream(resp.StatusCode, count, last, err))
				return
			}
			if last = item.Error; !yield(item, nil) {
				return
			}
		}
	}
}

// brokenStream is the error for a stream whose reply ended in another way than it should.
func brokenStream(status int, count int64, last *api.Problem, err error) error {
	_, noJSON := errors.AsType[*json.SyntaxError](err)
	_, otherJSON := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case noJSON || otherJSON:
		return unexpected(status, "it is not the NDJSON of the contract")
	case !errors.Is(err, io.EOF):
	case last != nil:
		err = Failure(last)
	default:
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("saldo: the reply broke off after %d transactions: %w", count, err)
}

// outbox is the body of a streaming request: what is put in while the network
// is busy goes out together.
type outbox struct {
	lines chan []byte
	done  <-chan struct{} // of the stream's context
	rest  []byte          // of the line that is being read
	sent  atomic.Int64
	ended atomic.Bool
}

// fill puts the transactions in, as lines, until they end or the stream does.
func (o *outbox) fill(ctx context.Context, transactions iter.Seq[api.BatchTransaction]) {
	for transaction := range transactions {
		transaction.IdempotencyKey = named(transaction.IdempotencyKey)
		line, err := json.Marshal(transaction)
		if err != nil {
			panic(fmt.Sprintf("saldo: a transaction that has no JSON: %v", err)) // it is texts and numbers
		}
		o.sent.Add(1)
		select {
		case o.lines <- append(line, '\n'):
		case <-o.done:
			return
		}
	}
	if ctx.Err() == nil { // or else the source may have ended for that
		o.ended.Store(true)
		close(o.lines)
	}
}

// complete tells whether so many items are all that there can be.
func (o *outbox) complete(items int64) bool { return o.ended.Load() && o.sent.Load() == items }

// Read gives what there is, and waits only where there is nothing.
func (o *outbox) Read(p []byte) (n int, err error) {
	if len(o.rest) == 0 {
		select {
		case line, more := <-o.lines:
			if !more {
				return 0, io.EOF
			}
			o.rest = line
		case <-o.done:
			return 0, context.Canceled
		}
	}
	for {
		copied := copy(p[n:], o.rest)
		n, o.rest = n+copied, o.rest[copied:]
		if n == len(p) {
			return n, nil
		}
		select {
		case line, more := <-o.lines:
			if !more {
				return n, nil
			}
			o.rest = line
		default:
			return n, nil
		}
	}
}
