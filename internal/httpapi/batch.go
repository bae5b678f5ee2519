package httpapi

import (
	"context"
	"mime"
	"net/http"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// maxBatchBody bounds the body of a batch, in bytes. One that is held whole takes
// some ten times as much memory, so only a few are taken at one time; one more is
// refused with 503.
const maxBatchBody = 4 << 20

// PostBatch answers POST /v1/transactions/batch. For an account's rate it is one
// request, however many transactions it has; a stream of lines is one for each
// chunk that is posted.
func (s *server) PostBatch(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		if contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && contentType == ndjson {
			return s.postStream(w, r, key)
		}
		if !s.batches.enter(key.Account) {
			return errManyBatches
		}
		defer s.batches.leave(key.Account)
		return s.postBatch(w, r, key)
	})
}

var errManyBatches = ledger.Errorf(ledger.Overloaded, "too many batches are under way").WithHint("send the request again later")

// batchRequest is api.BatchRequest with transactions that are not read yet.
type batchRequest struct {
	Atomic       bool  `json:"atomic"`
	Transactions items `json:"transactions"`
}

func (s *server) postBatch(w http.ResponseWriter, r *http.Request, key *ledger.Key) error {
	body, err := decodeUpTo[batchRequest](w, r, maxBatchBody)
	if err != nil {
		return err
	}
	if len(body.Transactions) == 0 || len(body.Transactions) > engine.MaxBatch {
		return ledger.Errorf(ledger.InvalidRequest, "a batch has 1 to %d transactions", engine.MaxBatch)
	}
	post := s.postAtomic
	if !body.Atomic {
		post = s.postSingly
	}
	results, err := post(w, r, key, body.Transactions)
	if err != nil {
		return err
	}
	answer := api.BatchReply{Items: make([]api.BatchItem, len(results))}
	for i := range results {
		item := s.showResult(r.Context(), i, &results[i])
		answer.Items[i] = item
		switch item.Outcome {
		case api.BatchOutcomePosted:
			answer.Posted++
		case api.BatchOutcomeRejected:
			answer.Rejected++
		case api.BatchOutcomeFailed:
			answer.Failed++
		}
	}
	return reply(w, http.StatusOK, answer)
}

func (s *server) postSingly(_ http.ResponseWriter, r *http.Request, key *ledger.Key, bodies items) ([]engine.Result, error) {
	all := make([]unread, len(bodies))
	for i, body := range bodies {
		all[i] = unread{index: i, text: body}
	}
	return s.postEach(r.Context(), key, "transaction", all)
}

// postAtomic posts all transactions of a batch or none. Where it posts none, its
// error says which one is to blame.
func (s *server) postAtomic(w http.ResponseWriter, r *http.Request, key *ledger.Key, bodies items) ([]engine.Result, error) {
	requests := make([]ledger.Request, len(bodies))
	for i, body := range bodies {
		var err error
		if requests[i], err = readBatched("transaction", key, body); err != nil {
			return nil, &itemError{i, err}
		}
	}
	results, err := s.engine.PostBatch(r.Context(), requests, true)
	if err != nil {
		return nil, err
	}
	blamed, err := engine.FirstFailure(results)
	if blamed < 0 {
		return results, nil
	}
	result := &results[blamed]
	if result.Replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if result.Err == nil {
		err = refusal(result.Transaction)
	}
	return nil, &itemError{blamed, err}
}

// unread is one transaction of a batch that is still to be read.
type unread struct {
	index int
	text  []byte
	err   error // why it cannot be read
}

// postEach posts each transaction of a batch for itself. One that cannot be
// read has its error among the results. An error that is returned is that of all
// the others.
func (s *server) postEach(ctx context.Context, key *ledger.Key, what string, bodies []unread) ([]engine.Result, error) {
	results := make([]engine.Result, len(bodies))
	var requests []ledger.Request
	var places []int
	for i := range bodies {
		request, err := ledger.Request{}, bodies[i].err
		if err == nil {
			request, err = readBatched(what, key, bodies[i].text)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		requests, places = append(requests, request), append(places, i)
	}
	if len(requests) == 0 {
		return results, nil
	}
	posted, err := s.engine.PostBatch(ctx, requests, false)
	for i, at := range places {
		if err != nil {
			results[at].Err = err
		} else {
			results[at] = posted[i]
		}
	}
	return results, err
}

// readBatched reads one transaction of a batch.
func readBatched(what string, key *ledger.Key, text []byte) (ledger.Request, error) {
	asked, err := parse[movement](what, text)
	if err != nil {
		return ledger.Request{}, err
	}
	if asked.IdempotencyKey == "" {
		return ledger.Request{}, ledger.Errorf(ledger.InvalidRequest, "idempotency_key is missing").WithHint(hintIdempotency)
	}
	return asked.request(key)
}

// showResult shows what came of one transaction of a batch.
func (s *server) showResult(ctx context.Context, index int, result *engine.Result) api.BatchItem {
	item := api.BatchItem{Index: index, Outcome: api.BatchOutcomeFailed, Replayed: result.Replayed}
	err := result.Err
	if err == nil {
		transaction := showTransaction(result.Transaction)
		item.Transaction = &transaction
		item.Outcome = api.BatchOutcomePosted
		if err = refusal(result.Transaction); err != nil {
			item.Outcome = api.BatchOutcomeRejected
		}
	}
	if err != nil {
		item.Error = s.problem(ctx, err)
	}
	return item
}
