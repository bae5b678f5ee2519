package copier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Run copies a ledger, or goes on with a copy that is not complete or whose
// source has grown. It compares the copy with the source, verifies it, and makes
// it a ledger where both found nothing wrong: what they found is in the report.
//
// An error leaves a copy with which a later run goes on, if one was begun.
func Run(ctx context.Context, source Source, target Target, options Options) (*Report, error) {
	r := &run{Options: options, source: source, target: target, report: &Report{Problems: []string{}}}
	if r.Page == 0 {
		r.Page = defaultPage
	}
	snapshot := func() error {
		return source.CopySnapshot(ctx, r.Settle, func(from Snapshot) error { return r.copy(ctx, from) })
	}
	err := snapshot()
	if err == nil && r.report.Left > 0 {
		// If nobody writes the source any more, all of it is old enough after this.
		if err = r.wait(ctx); err == nil {
			err = snapshot()
		}
	}
	if err == nil && r.report.Left == 0 {
		err = r.finish(ctx)
	}
	if err != nil {
		if ctx.Err() != nil { // which a store may tell in words of its own
			err = errors.Join(ctx.Err(), err)
		}
		return nil, err
	}
	return r.report, nil
}

// Check makes sure that a ledger can be copied at all, before anything is made at
// the place of the copy. Errors: ErrNeverUsed.
func Check(ctx context.Context, source Source) error {
	return source.CopySnapshot(ctx, 0, func(from Snapshot) error {
		_, err := oldestKey(ctx, from)
		return err
	})
}

func oldestKey(ctx context.Context, from Snapshot) (ledger.Hash, error) {
	digest, err := from.OldestKey(ctx)
	if ledger.CodeOf(err) == ledger.NotFound {
		err = ErrNeverUsed
	}
	return digest, err
}

type run struct {
	Options
	source Source
	target Target
	state  *State // of the copy; nil before the first snapshot was looked at
	report *Report
	shown  Progress
}

func (r *run) show(stage Stage) {
	r.shown.Stage = stage
	if r.Progress != nil {
		r.Progress(r.shown)
	}
}

// copy copies what one snapshot of the source has and the copy does not.
func (r *run) copy(ctx context.Context, from Snapshot) (err error) {
	r.show(Counting)
	if r.state == nil {
		err = r.begin(ctx, from)
	} else {
		err = r.check(ctx, from)
	}
	if err != nil {
		return err
	}
	if r.report.Ledger, err = from.Counts(ctx); err != nil {
		return err
	}
	if err := r.history(ctx, from); err != nil {
		return err
	}
	if r.report.Left = r.report.Ledger.Transactions - r.state.Transactions; r.report.Left != 0 {
		// The rest of the snapshot is newer than the history that was copied.
		return nil
	}
	if err := r.rest(ctx, from); err != nil {
		return err
	}
	return r.compare(ctx, from)
}

// begin makes sure that the copy is one of this source, or a new one.
func (r *run) begin(ctx context.Context, from Snapshot) error {
	state, err := r.target.State(ctx)
	if err != nil {
		return err
	}
	if !state.Begun() {
		state = new(State)
		state.Source, err = oldestKey(ctx, from)
	} else {
		var same bool
		if same, err = from.HasKey(ctx, state.Source); err == nil && !same {
			return ErrOtherSource
		}
	}
	if err != nil {
		return err
	}
	r.state = state
	if err := r.check(ctx, from); err != nil {
		return err
	}
	if err := r.target.Begin(ctx, state.Source); err != nil {
		return err
	}
	// From here on nobody else writes the copy; until here somebody may have.
	begun, err := r.target.State(ctx)
	if err == nil && (!begun.Begun() || begun.Transactions != state.Transactions) {
		err = ErrTakenOver
	}
	return err
}

// check makes sure that the source has all of the copied history, and nothing
// else before its end. That is not so where the source was put back to an earlier
// backup, or a transaction came late though nobody was to write any more.
func (r *run) check(ctx context.Context, from Snapshot) error {
	if r.state.Last.IsZero() {
		return nil
	}
	copied, err := r.target.Transaction(ctx, r.state.Last)
	if err != nil {
		return err
	}
	original, err := r.source.Transaction(ctx, r.state.Last)
	if ledger.CodeOf(err) == ledger.NotFound {
		return ErrDiffers
	}
	if err != nil {
		return err
	}
	count, err := from.CountUpTo(ctx, r.state.Last)
	if err == nil && (count != r.state.Transactions || !equal(copied, original)) {
		err = ErrDiffers
	}
	return err
}

// history copies transactions with what belongs to them.
func (r *run) history(ctx context.Context, from Snapshot) error {
	r.shown.Before, r.shown.Total = r.state.Transactions-r.report.Copied, r.report.Ledger.Transactions
	for {
		r.shown.Done = r.state.Transactions
		r.show(Copying)
		page, err := from.History(ctx, r.state.Last, r.Page)
		if err != nil {
			return err
		}
		n := len(page.Transactions)
		if n == 0 {
			return nil
		}
		if err := r.target.AppendHistory(ctx, page, r.state.Transactions+int64(n)); err != nil {
			return err
		}
		r.state.Transactions += int64(n)
		r.state.Last = page.Transactions[n-1].ID
		r.report.Copied += int64(n)
	}
}

// rest copies everything that is no history.
func (r *run) rest(ctx context.Context, from Snapshot) error {
	r.show(Copying)
	err := each(ctx, r.Page, from.Holders, accountOf, r.target.PutHolders)
	if err == nil {
		err = each(ctx, r.Page, from.Keys, keyOf, r.target.PutKeys)
	}
	if err != nil {
		return err
	}
	totals, err := from.System(ctx)
	if err != nil {
		return err
	}
	if err := r.target.PutSystem(ctx, totals); err != nil {
		return err
	}
	if err := r.upstreams(ctx, from); err != nil {
		return err
	}
	return r.target.Loaded(ctx)
}

// upstreams copies what is known of upstreams, in the place of what an earlier
// run has left: the source has thinned that out since.
func (r *run) upstreams(ctx context.Context, from Snapshot) error {
	err := r.target.ClearUpstreams(ctx)
	if err == nil {
		err = each(ctx, r.Page, from.Upstreams, upstreamOf, r.target.PutUpstreams)
	}
	if err == nil {
		err = each(ctx, r.Page, from.Readings, readingOf, r.target.PutReadings)
	}
	return err
}

func accountOf(h *ledger.Holder) ledger.AccountID { return h.ID }
func keyOf(k *ledger.Key) string                  { return k.ID }
func upstreamOf(s *readings.State) string         { return s.Name }

func readingOf(r readings.Reading) ReadingPlace {
	return ReadingPlace{Upstream: r.Upstream, Place: readings.Place{At: r.At, Key: r.Key}}
}

// each reads all pages of a list, and hands each one on.
func each[T any, P any](ctx context.Context, limit int, read func(context.Context, P, int) ([]T, error), place func(T) P,
	put func(context.Context, []T) error,
) error {
	var after P
	for {
		page, err := read(ctx, after, limit)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := put(ctx, page); err != nil {
			return err
		}
		after = place(page[len(page)-1])
	}
}

// wait lets the latest transactions become old enough.
func (r *run) wait(ctx context.Context) error {
	const step = time.Second
	r.shown.Before, r.shown.Total = 0, int64(r.Settle/step)
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < r.Settle; {
		r.shown.Done = int64(time.Since(began) / step)
		r.show(Waiting)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// finish verifies the copy, and makes it a ledger if it is sound.
func (r *run) finish(ctx context.Context) error {
	verified, err := engine.Verify(ctx, r.target, engine.VerifyOptions{Progress: func(so engine.Report) {
		r.shown.Verified = so
		r.show(Verifying)
	}})
	if err != nil {
		return err
	}
	r.report.Verified = verified
	for _, problem := range verified.Problems {
		r.problemf("%s", problem)
	}
	r.report.ProblemCount += verified.ProblemCount - int64(len(verified.Problems))
	if r.report.ProblemCount > 0 {
		return nil
	}
	// Whoever interrupts this has what they waited for.
	err = r.target.Finish(context.WithoutCancel(ctx))
	r.report.Finished = err == nil
	if errors.Is(err, engine.ErrCommitUnknown) {
		err = fmt.Errorf("the copy is complete and sound, but may not be marked as such: %w", err)
	}
	return err
}

func (r *run) problemf(format string, args ...any) {
	r.report.ProblemCount++
	if len(r.report.Problems) < maxProblems {
		r.report.Problems = append(r.report.Problems, fmt.Sprintf(format, args...))
	}
}
