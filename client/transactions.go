package client

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
	"slices"

	"github.com/saldo-ledger/saldo/api"
)

// Posted is a transaction as the methods that post one give it back.
type Posted struct {
	api.Transaction

	// Replayed tells that an earlier request with the same idempotency key
	// moved the money, and this one did not.
	Replayed bool `json:"-"`
}

// Post moves money: it posts a transaction of any type but expire, which is
// Saldo's own. A transaction that the ledger rejects is an *Error.
//
// Where the reply is lost or the server is busy, the request is sent again with
// the same idempotency key, which moves the money once whatever happened
// before. An empty key is replaced by a random one. A program that must finish
// a movement after a crash, or after Post itself has failed, gives a key of its
// own: its name for the message or call that is paid for.
//
// A topup, charge, adjustment and hold names account, wallet and amount; a
// transfer to_account as well; a refund charge and amount; a capture, release
// and extend the hold. Amounts are positive; that of an adjustment has a sign.
//
// Errors, which the ledger remembers under the key:
//   - api.ErrorCodeInsufficientFunds: more than what is available was asked for
//   - api.ErrorCodeAccountNotActive, api.ErrorCodeWalletNotActive: it is suspended or closed
//   - api.ErrorCodeAmountNotAllowed: below or above what the wallet allows
//   - api.ErrorCodeSpendCapReached: a cap of the wallet or of the key would be passed
//   - api.ErrorCodeRefundExceedsCharge: the refunds of one charge would be more than it
//   - api.ErrorCodeHoldNotOpen, api.ErrorCodeHoldExpired: the hold has ended
//   - api.ErrorCodeCurrencyMismatch, api.ErrorCodeAmountOutOfRange
//
// and those that it does not: api.ErrorCodeIdempotencyKeyReused, where the key
// stands for another request, api.ErrorCodeNotFound and api.ErrorCodeInvalidRequest.
func (c *Client) Post(ctx context.Context, idempotencyKey string, transaction api.TransactionRequest) (Posted, error) {
	params := api.PostTransactionParams{IdempotencyKey: named(idempotencyKey)}
	return posted(c.rest.PostTransaction(ctx, &params, transaction))
}

// Transaction reads a transaction, posted or rejected.
func (c *Client) Transaction(ctx context.Context, id string) (api.Transaction, error) {
	return read[api.Transaction](c.rest.GetTransaction(ctx, id))
}

// TransactionFilter says which transactions are looked for, by exactly one of
// their two names.
type TransactionFilter struct {
	Reference      string // of any number of transactions
	IdempotencyKey string // of one transaction at most

	// Account is whose transactions are found by a reference, 0 for those of
	// all. With an idempotency key it is whose key it is, 0 for the operator's
	// own. For a customer's key both are its own account.
	Account api.AccountID
}

// FindTransactions reads the transactions that have a name, posted or rejected,
// oldest first and a page at a time. None is no error. It stops after the first error.
func (c *Client) FindTransactions(ctx context.Context, filter TransactionFilter) iter.Seq2[api.Transaction, error] {
	return items(func(cursor *string) ([]api.Transaction, string, error) {
		params := api.FindTransactionsParams{
			Reference: given(filter.Reference), IdempotencyKey: given(filter.IdempotencyKey), Account: given(filter.Account),
			Limit: new(pageSize), Cursor: cursor,
		}
		page, err := read[api.TransactionPage](c.rest.FindTransactions(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// PostBatch posts 1 to 1000 transactions in one request of at most 4 MiB, in
// their order, each with its own idempotency key. An empty key is replaced by a
// random one. Where the reply is lost or the server is busy, the whole batch is
// sent again, which moves the money of each once.
//
// What came of each transaction is in the reply, in their order: Failure makes
// an error of an item's problem. What is posted or rejected is remembered. What
// has failed was not decided, and may be repaired and sent again with its key.
//
// An atomic batch is posted as a whole or not at all. Where it is not, the error
// is an *Error with the Index of the transaction that is to blame. If that was
// rejected, all of them are, the others with api.ErrorCodeBatchRejected, and to
// try again takes new keys. A retry must be the whole batch as it was.
func (c *Client) PostBatch(ctx context.Context, batch api.BatchRequest) (api.BatchReply, error) {
	batch.Transactions = slices.Clone(batch.Transactions)
	for i := range batch.Transactions {
		batch.Transactions[i].IdempotencyKey = named(batch.Transactions[i].IdempotencyKey)
	}
	return read[api.BatchReply](c.rest.PostBatch(repeatable(ctx), batch))
}

// named is an idempotency key, a random one where the caller has none.
func named(idempotencyKey string) string {
	if idempotencyKey == "" {
		return rand.Text()
	}
	return idempotencyKey
}

// posted decodes the reply to a posting.
func posted(resp *http.Response, err error) (Posted, error) {
	transaction, err := read[api.Transaction](resp, err)
	if err != nil {
		return Posted{}, err
	}
	return Posted{Transaction: transaction, Replayed: resp.Header.Get("Idempotent-Replayed") == "true"}, nil
}
