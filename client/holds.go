package client

import (
	"context"
	"iter"

	"github.com/saldo-ledger/saldo/api"
)

// Hold reserves money of a wallet for a message or call: it is no longer
// available, and still in the balance, until Capture, Release or Settle ends the
// hold, or its time is over. Expires_in is in seconds, a day where it is left out.
//
// The id of the hold is that of the transaction. Idempotency keys and errors
// are those of Post.
func (c *Client) Hold(ctx context.Context, idempotencyKey string, hold api.HoldRequest) (Posted, error) {
	params := api.CreateHoldParams{IdempotencyKey: named(idempotencyKey)}
	return posted(c.rest.CreateHold(ctx, &params, hold))
}

// Capture charges what a hold reserves: all of it, or the amount of the request
// and no more, so that the rest is released. With Final: new(false) the hold
// stays open as long as anything remains. More than what the hold has may be
// captured where the wallet has it available.
//
// Errors: those of Post; api.ErrorCodeHoldNotOpen where the hold has ended, and
// api.ErrorCodeHoldExpired where its time is over.
func (c *Client) Capture(ctx context.Context, idempotencyKey, hold string, capture api.CaptureRequest) (Posted, error) {
	params := api.CaptureHoldParams{IdempotencyKey: named(idempotencyKey)}
	return posted(c.rest.CaptureHold(ctx, hold, &params, capture))
}

// Release ends a hold without a charge: what it still has is available again.
//
// Errors: those of Capture.
func (c *Client) Release(ctx context.Context, idempotencyKey, hold string, release api.ReleaseRequest) (Posted, error) {
	params := api.ReleaseHoldParams{IdempotencyKey: named(idempotencyKey)}
	return posted(c.rest.ReleaseHold(ctx, hold, &params, release))
}

// Extend lets an open hold expire later, so many seconds from now. A hold that
// would last longer already stays as it is.
//
// Errors: those of Capture.
func (c *Client) Extend(ctx context.Context, idempotencyKey, hold string, extend api.ExtendRequest) (Posted, error) {
	params := api.ExtendHoldParams{IdempotencyKey: named(idempotencyKey)}
	return posted(c.rest.ExtendHold(ctx, hold, &params, extend))
}

// GetHold reads a hold, open or closed.
func (c *Client) GetHold(ctx context.Context, id string) (api.Hold, error) {
	return read[api.Hold](c.rest.GetHold(ctx, id))
}

// HoldFilter says which holds are listed. An operator's key names account and
// wallet, or a reference.
type HoldFilter struct {
	Account   api.AccountID
	Wallet    string
	State     api.HoldStatus // of a wallet's holds, open ones where it is left out
	Reference string
}

// Holds reads holds, oldest first and a page at a time. It stops after the first error.
func (c *Client) Holds(ctx context.Context, filter HoldFilter) iter.Seq2[api.Hold, error] {
	return items(func(cursor *string) ([]api.Hold, string, error) {
		params := api.ListHoldsParams{
			Account: given(filter.Account), Wallet: given(filter.Wallet), State: given(filter.State), Reference: given(filter.Reference),
			Limit: new(pageSize), Cursor: cursor,
		}
		page, err := read[api.HoldPage](c.rest.ListHolds(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// Settle captures or releases the holds of 1 to 1000 messages by their delivery
// reports, as each account's charge_on says. The hold of a message is the one
// with its reference.
//
// It tells what came of each report, in their order; Failure makes an error of
// the problem of one whose outcome is failed. The same report has the same
// outcome however often it comes, so the request is sent again where the reply
// is lost or the server is busy.
func (c *Client) Settle(ctx context.Context, reports []api.DeliveryReport) ([]api.SettledReport, error) {
	settlement, err := read[api.Settlement](c.rest.SettleHolds(repeatable(ctx), reports))
	return settlement.Items, err
}
