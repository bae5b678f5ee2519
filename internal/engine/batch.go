package engine

import (
	"cmp"
	"context"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// MaxBatch is how many requests PostBatch takes at once.
const MaxBatch = 1000

// PostBatch decides many requests in one transaction of the store, in their
// order, and returns a result for each once all are durable.
//
// With atomic, all are posted or none: then every result has a failure, and
// FirstFailure tells which one is to blame. A retry must be the whole batch.
//
// Errors, which concern the whole batch: InvalidRequest for its size,
// Overloaded, OutcomeUnknown, Internal. What is wrong with one request is in its result.
func (e *Engine) PostBatch(ctx context.Context, requests []ledger.Request, atomic bool) ([]Result, error) {
	if len(requests) == 0 || len(requests) > MaxBatch {
		return nil, ledger.Errorf(ledger.InvalidRequest, "a batch has 1 to %d transactions", MaxBatch)
	}
	results := make([]Result, len(requests))
	good := e.completeAll(ctx, requests, results)
	if atomic {
		return e.postAtomic(ctx, requests, results)
	}
	if len(good) == 0 {
		return results, nil
	}
	postings := make([]ledger.Transaction, len(good))
	for i, at := range good {
		postings[i] = ledger.NewTransaction(requests[at])
	}
	decided, err := e.submit(ctx, &write{postings: postings})
	if err != nil {
		return nil, err
	}
	for i, at := range good {
		results[at] = decided[i]
	}
	return results, nil
}

// completeAll completes the requests, puts what is wrong with one into its
// result, and gives the places of the others.
func (e *Engine) completeAll(ctx context.Context, requests []ledger.Request, results []Result) (good []int) {
	earlier := make(map[ledger.TransactionID]*ledger.Request, len(requests))
	for i := range requests {
		r := &requests[i]
		if results[i].Err = e.complete(ctx, r, earlier); results[i].Err != nil {
			continue
		}
		if id := ledger.NewTransactionID(r.Scope, r.IdempotencyKey); earlier[id] == nil {
			earlier[id] = r
		}
		good = append(good, i)
	}
	return good
}

func (e *Engine) postAtomic(ctx context.Context, requests []ledger.Request, results []Result) ([]Result, error) {
	seen := make(map[string]bool, len(requests))
	for i := range requests {
		if results[i].Err == nil && seen[requests[i].IdempotencyKey] {
			results[i].Err = ledger.Errorf(ledger.InvalidRequest, "the idempotency key stands twice in the batch")
		}
		if results[i].Err != nil {
			return onlyFailure(results, i), nil //nolint:nilerr // It stands in its result.
		}
		seen[requests[i].IdempotencyKey] = true
	}
	name := ledger.NewBatchID(requests)
	postings := make([]ledger.Transaction, len(requests))
	for i := range requests {
		requests[i].Batch = name
		postings[i] = ledger.NewTransaction(requests[i])
	}
	return e.submit(ctx, &write{postings: postings, atomic: true})
}

// FirstFailure finds the request that is to blame for an atomic batch that was
// not posted, and why; -1 where it was.
func FirstFailure(results []Result) (int, error) {
	for i := range results {
		if err := results[i].failure(); err != nil && ledger.CodeOf(err) != ledger.BatchRejected {
			return i, err
		}
	}
	return -1, nil
}

// complete fills in what a request leaves to its hold or charge, and validates
// it. The hold or charge may be among the earlier requests of a batch.
func (e *Engine) complete(ctx context.Context, r *ledger.Request, earlier map[ledger.TransactionID]*ledger.Request) error {
	r.Metadata = kept(r.Metadata)
	if r.Parent.IsZero() || r.Scope == ledger.System { // which has read the hold
		return r.Validate()
	}
	parent, err := e.parent(ctx, r, earlier)
	if err != nil {
		return err
	}
	r.Wallet.Account = cmp.Or(r.Wallet.Account, parent.Wallet.Account)
	r.Wallet.Service = cmp.Or(r.Wallet.Service, parent.Wallet.Service)
	// To a customer, what another account has does not exist.
	if r.Wallet != parent.Wallet || r.Scope > ledger.Operator && parent.Wallet.Account != r.Scope {
		return errNoParent(r.Kind, r.Parent)
	}
	// A statement that shows the capture should say of which message.
	if r.Reference == "" {
		r.Reference = parent.Reference
	}
	return r.Validate()
}

// parent finds what a request is about. What is stored goes before what stands
// in the batch, which may turn out not to be what its idempotency key stands for.
func (e *Engine) parent(ctx context.Context, r *ledger.Request, earlier map[ledger.TransactionID]*ledger.Request) (*ledger.Request, error) {
	stored, err := e.Transaction(ctx, r.Parent)
	if err == nil {
		return &stored.Request, nil
	}
	if ledger.CodeOf(err) != ledger.NotFound {
		return nil, err
	}
	if inBatch := earlier[r.Parent]; inBatch != nil {
		return inBatch, nil
	}
	return nil, errNoParent(r.Kind, r.Parent)
}
