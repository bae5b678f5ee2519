package engine

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// sweepPage is how many holds are expired in one write.
const sweepPage = 500

// sweepLoop expires holds until ctx ends. Where it fails it tries again at the
// next tick: a hold that is due stays due.
func (e *Engine) sweepLoop(ctx context.Context) {
	ticker := time.NewTicker(e.options.SweepInterval)
	defer ticker.Stop()
	failing := false
	for {
		_, err := e.Sweep(ctx)
		switch {
		case err == nil && failing:
			failing = false
			e.options.Logger.LogAttrs(ctx, slog.LevelInfo, "holds expire again")
		case err != nil && ctx.Err() == nil && !failing: // once, for it is tried each second
			failing = true
			e.options.Logger.LogAttrs(ctx, slog.LevelError, "holds could not be expired", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep expires every hold that is due now, however many gathered while nobody
// did, and returns how many it expired. An engine does so by itself.
//
// The expiry of a hold is a transaction whose idempotency key follows from the
// hold and the time at which it expires. So it happens once, also when several
// processes sweep, or when one dies in the middle of it.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	expired := 0
	now := e.now()
	page := min(sweepPage, max(1, e.options.QueueSize/2)) // more would never be admitted at once
	for {
		due, err := e.store.DueHolds(ctx, now, page)
		if err != nil || len(due) == 0 {
			return expired, err
		}
		requests := make([]ledger.Request, len(due))
		for i, hold := range due {
			requests[i] = ledger.Request{
				Scope:          ledger.System,
				IdempotencyKey: "expire:" + hold.ID.String() + ":" + strconv.FormatInt(hold.ExpiresAt.UnixMicro(), 10),
				Kind:           ledger.Expire,
				Wallet:         hold.WalletRef,
				Parent:         hold.ID,
				Reference:      hold.Reference,
			}
		}
		n, err := e.expire(ctx, requests)
		expired += n
		if err != nil || n == 0 || len(due) < page {
			return expired, err
		}
	}
}

// expire posts the expiry of holds, and counts those that it expired.
func (e *Engine) expire(ctx context.Context, requests []ledger.Request) (n int, err error) {
	results, err := e.PostBatch(ctx, requests, false)
	if err != nil {
		return 0, err
	}
	for i := range results {
		switch err := results[i].failure(); {
		case err == nil:
			n++
		case ledger.CodeOf(err) != ledger.Conflict: // which says that somebody was quicker
			e.options.Logger.LogAttrs(ctx, slog.LevelWarn, "a hold could not be expired",
				slog.String("hold", requests[i].Parent.String()), slog.Any("error", err))
		}
	}
	return n, nil
}
