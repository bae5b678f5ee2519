package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// Limits of one batch of an import. The server takes more, but what is lost
// with one batch should not be much. A pipe that goes slow is not waited for.
const (
	importBatch      = 500
	importBatchBytes = 1 << 20
	importIdle       = 100 * time.Millisecond
)

// How long an import waits: between two attempts, and, once somebody wants it
// to end, for the batch that is under way.
const (
	importPause = time.Second
	importGrace = 10 * time.Second
)

// importCommand is "saldo import".
type importCommand struct {
	File     string        `arg:"" help:"File with the transactions, or - for standard input."`
	Name     string        `placeholder:"TEXT" help:"Name of this import, by which its lines are told from equal ones of another file."`
	Rejects  string        `placeholder:"PATH" help:"Where lines go that are not posted, with the reason; by default FILE.rejects.ndjson, and standard error for standard input."`
	DryRun   bool          `help:"Only read the file and check the form of its lines; nothing is sent."`
	Patience time.Duration `default:"5m" placeholder:"DURATION" help:"How long to keep trying when the server is gone in the middle (default ${default})."`

	Connection `embed:""`
	Format     `embed:""`
}

// Help shows examples.
func (*importCommand) Help() string {
	return `The file has a transaction on each line: a JSON object as the API takes it in a batch, or a line of a
CSV whose first line names the members: idempotency_key, type, account, wallet, amount, reference,
to_account, to_wallet, hold, charge, expires_in, final, and metadata.NAME. An empty cell is left out.

Lines are posted in their order. One without an idempotency key is given one that follows from what it
says, and from how many equal lines stand before it. So a file can be imported again after a failure,
whole, and nothing in it is posted twice; but a line that an earlier file has too is taken for the same
movement, unless each file has a --name.

A line that is rejected, or not well formed, goes to the rejects with its reason, and the exit status is
1. A rejection is remembered: to try it again takes a new key, or another --name.

Examples:
  saldo import november.ndjson
  saldo import november.csv --name 2026-11 --rejects refused.ndjson
  saldo import november.csv --dry-run
  zcat november.ndjson.gz | saldo import -
  jq -r .input november.ndjson.rejects.ndjson | saldo import - --name november-again`
}

// Run imports the file.
func (c *importCommand) Run(ctx context.Context, streams Streams) error {
	if c.Patience < 0 {
		return &Error{Status: ExitUsage, Message: "--patience cannot be negative"}
	}
	in, err := openInput(c.File, streams)
	if err != nil {
		return err
	}
	defer in.Close()
	run := &importRun{
		command: c, in: in, count: importCount{File: in.name, DryRun: c.DryRun},
		progress: newProgress(streams.Err, in.size, time.Now()), start: time.Now(),
	}
	if !c.DryRun {
		if run.saldo, err = c.connect(); err != nil {
			return err
		}
	}
	run.rejects = c.rejectFile(in, streams, run.progress)
	err = run.all(ctx)
	run.progress.clear()
	if closed := run.rejects.close(err == nil); err == nil {
		err = closed
	}
	if err == nil || run.count.Lines > 0 {
		p := newPrinter(streams, c.Output)
		run.show(p)
		if flushed := p.flush(); err == nil {
			err = flushed
		}
	}
	return run.conclude(err)
}

// rejectFile says where the rejects go.
func (c *importCommand) rejectFile(in *input, streams Streams, shown *progress) *rejectFile {
	switch {
	case c.Rejects != "":
		return &rejectFile{path: c.Rejects}
	case c.DryRun:
		return &rejectFile{} // to look is not to leave files behind
	case in.regular:
		return &rejectFile{path: filepath.Clean(c.File) + ".rejects.ndjson", stale: true}
	default:
		return &rejectFile{stream: streams.Err, before: shown.clear}
	}
}

// importCount is the result of an import, and its JSON.
type importCount struct {
	File     string `json:"file"`
	DryRun   bool   `json:"dry_run,omitempty"`
	Lines    int    `json:"lines"`
	Posted   int    `json:"posted"`
	Replayed int    `json:"replayed"` // by an earlier run
	Rejected int    `json:"rejected"`
	Failed   int    `json:"failed"` // not decided: malformed, or of what is not there
	Rejects  string `json:"rejects,omitempty"`
}

func (c *importCount) rejects() int { return c.Rejected + c.Failed }

// importRun is an import that is under way.
type importRun struct {
	command  *importCommand
	saldo    *client.Client // nil for a dry run
	in       *input
	count    importCount
	progress *progress
	rejects  *rejectFile
	start    time.Time

	line     int       // up to which everything is done
	bytes    int64     // of the file up to there
	answered bool      // the server did, at least once
	failing  time.Time // since when it does not
	likely   int       // replayed lines whose key was made here
	reasons  []string  // of the first rejects
}

// errInterrupted is the end of an import that somebody wanted to end.
var errInterrupted = errors.New("interrupted")

// importLine is what the reader of the file hands over.
type importLine struct {
	importItem
	err error // of the whole file
}

// all imports the whole file. It is read beside, so that the next lines are
// ready when a batch is done, and a pipe that says nothing keeps nobody waiting.
func (r *importRun) all(ctx context.Context) error {
	lines := make(chan importLine, importBatch)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer close(lines)
		for item, err := range importItems(r.in, r.command.Name) {
			select {
			case lines <- importLine{item, err}:
			case <-ended:
				return
			}
		}
	}()
	for {
		batch, more, err := r.gather(ctx, lines)
		if err == nil {
			err = r.post(ctx, batch)
		}
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		if now := time.Now(); r.progress.due(now) {
			r.progress.draw(now, &r.count, r.bytes, "")
		}
	}
}

// gather takes the next batch off the reader, and tells whether there is more after it.
func (r *importRun) gather(ctx context.Context, lines <-chan importLine) (batch []importItem, more bool, err error) {
	var idle <-chan time.Time
	for size := 0; len(batch) < importBatch && size < importBatchBytes; {
		select {
		case line, ok := <-lines:
			if !ok {
				return batch, false, nil
			}
			if line.err != nil {
				return nil, false, line.err
			}
			if batch = append(batch, line.importItem); idle == nil && !r.in.regular {
				idle = time.After(importIdle) // somebody may have said all that there is for now
			}
			size += line.size
		case <-idle:
			return batch, true, nil
		case <-ctx.Done():
			return nil, false, errInterrupted
		}
	}
	return batch, true, nil
}

// post sends a batch until all of it is decided, and counts what came of it.
func (r *importRun) post(ctx context.Context, batch []importItem) error {
	results := make([]api.BatchItem, len(batch))
	var pending []int
	for i := range batch {
		if batch[i].err == nil && r.saldo != nil {
			pending = append(pending, i)
		}
	}
	for len(pending) > 0 {
		reply, err := r.send(ctx, batch, pending)
		if err == nil {
			pending, err = assign(reply.Items, pending, results)
		}
		if err == nil {
			r.answered, r.failing = true, time.Time{}
			continue
		}
		if err := r.pause(ctx, err); err != nil {
			return err
		}
	}
	for i := range batch {
		if err := r.record(&batch[i], &results[i]); err != nil {
			return err
		}
	}
	return nil
}

// send sends those of a batch that are pending. Who interrupts does not mean
// the batch that is under way: its end is awaited for a while.
func (r *importRun) send(ctx context.Context, batch []importItem, pending []int) (api.BatchReply, error) {
	request := api.BatchRequest{Transactions: make([]api.BatchTransaction, len(pending))}
	for i, at := range pending {
		request.Transactions[i] = batch[at].transaction
	}
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(importGrace):
			cancel()
		case <-patient.Done():
		}
	})
	defer stop()
	return r.saldo.PostBatch(patient, request)
}

// assign puts the results of what was pending where they belong, and gives what
// the server was too busy for. The error is nil where anything was decided.
func assign(items []api.BatchItem, pending []int, results []api.BatchItem) (again []int, err error) {
	if len(items) != len(pending) {
		return nil, &Error{
			Status: ExitFailure, Message: fmt.Sprintf("the server was sent %d transactions and answered %d", len(pending), len(items)),
			Hints: []string{"look at the URL and at the server's version"},
		}
	}
	for i, item := range items {
		failure, ok := errors.AsType[*client.Error](client.Failure(item.Error))
		if ok && item.Outcome == api.BatchOutcomeFailed && failure.Temporary() {
			again, err = append(again, pending[i]), failure
			continue
		}
		results[pending[i]] = item
	}
	if len(again) < len(items) {
		err = nil
	}
	return again, err
}

// pause waits before the next attempt. It gives the error back where there is
// to be none: at the beginning, a wrong URL is more likely than a server that
// comes back.
func (r *importRun) pause(ctx context.Context, err error) error {
	reply, replied := errors.AsType[*client.Error](err)
	_, known := errors.AsType[*Error](err)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case known, replied && !reply.Temporary(), !r.answered:
		return err
	}
	now := time.Now()
	if r.failing.IsZero() {
		r.failing = now
	}
	wait := importPause
	if replied {
		wait = max(wait, reply.RetryAfter)
	}
	if now.Sub(r.failing)+wait > r.command.Patience {
		return err
	}
	r.progress.draw(now, &r.count, r.bytes, "waiting for the server")
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}

// record counts what came of a line, and puts it with the rejects where it belongs there.
func (r *importRun) record(item *importItem, result *api.BatchItem) error {
	r.count.Lines++
	r.line, r.bytes = item.line, item.end
	reject := reject{Line: item.line, Outcome: api.BatchOutcomeFailed, Input: item.text}
	switch {
	case item.err != nil:
		r.count.Failed++
		reject.Code, reject.Reason = api.ErrorCodeInvalidRequest, item.err.Error()
	case r.saldo == nil:
		return nil
	case result.Outcome == api.BatchOutcomePosted && result.Replayed:
		r.count.Replayed++
		if item.derived {
			r.likely++
		}
		return nil
	case result.Outcome == api.BatchOutcomePosted:
		r.count.Posted++
		return nil
	default:
		if reject.Outcome = result.Outcome; result.Outcome == api.BatchOutcomeRejected {
			r.count.Rejected++
		} else {
			r.count.Failed++
		}
		reject.IdempotencyKey = item.transaction.IdempotencyKey
		if problem := result.Error; problem != nil {
			reject.Code, reject.Reason, reject.Hint, reject.Transaction = problem.Code, problem.Detail, problem.Hint, problem.Transaction
		}
	}
	if len(r.reasons) < reasonsShown {
		r.reasons = append(r.reasons, fmt.Sprintf("line %d: %s (%s)", reject.Line, reject.Reason, reject.Code))
	}
	return r.rejects.write(reject)
}

// show prints the result.
func (r *importRun) show(p *printer) {
	r.count.Rejects = r.rejects.written()
	p.show(r.count, func() {
		took := time.Since(r.start)
		if r.count.DryRun {
			p.fields("file", r.count.File, "lines", grouped(r.count.Lines), "well formed", grouped(r.count.Lines-r.count.Failed), "malformed", grouped(r.count.Failed))
		} else {
			p.fields("file", r.count.File, "lines", grouped(r.count.Lines), "posted", grouped(r.count.Posted), "replayed", grouped(r.count.Replayed),
				"rejected", grouped(r.count.Rejected), "failed", grouped(r.count.Failed), "time", clock(took))
		}
		if r.rejects.stream == nil {
			for _, reason := range r.reasons {
				p.notef("note: %s", clean(reason))
			}
			if more := r.count.rejects() - len(r.reasons); more > 0 && len(r.reasons) > 0 {
				p.notef("note: … and %s more", grouped(more))
			}
		}
		if r.likely > 0 {
			p.notef("note: %s without a key %s posted by an earlier import; for new movements that look the same, give this import a --name",
				grouped(r.likely)+plural(r.likely, " line", " lines"), plural(r.likely, "was", "were"))
		}
	})
}

// conclude makes the error of the command: why it ended early and how to go
// on, or else that there are rejects.
func (r *importRun) conclude(err error) error {
	if err != nil {
		return r.explain(err)
	}
	rejects := r.count.rejects()
	if rejects == 0 {
		return nil
	}
	if r.count.DryRun {
		return &Error{
			Status: ExitFailure, Message: fmt.Sprintf("%s of %s lines %s not well formed", grouped(rejects), grouped(r.count.Lines), plural(rejects, "is", "are")),
			Hints: []string{"nothing was sent"},
		}
	}
	failure := &Error{Status: ExitFailure, Message: fmt.Sprintf("%s of %s lines %s not posted", grouped(rejects), grouped(r.count.Lines), plural(rejects, "was", "were"))}
	if path := r.rejects.written(); path != "" {
		failure.Hints = append(failure.Hints, path+" has them, each with its reason")
	}
	return failure
}

// explain makes an error of the whole import one that says how to go on.
func (r *importRun) explain(err error) error {
	var failure Error
	_, replied := errors.AsType[*client.Error](err)
	known, isKnown := errors.AsType[*Error](err)
	_, exchange := errors.AsType[*url.Error](err)
	again := "to go on, run the same command again"
	switch {
	case isKnown:
		failure = *known
	case errors.Is(err, errInterrupted):
		failure = Error{Status: ExitFailure, Message: "interrupted", Err: err}
	case replied:
		failure = *describe(err)
	case exchange:
		failure = *describe(r.command.explain(context.Background(), 0, err))
	default:
		failure = Error{Status: ExitFailure, Message: r.in.name + ": " + err.Error(), Err: err}
		again = "to go on, correct the file, and run the same command again"
	}
	if r.count.Lines == 0 || r.count.DryRun {
		return &failure
	}
	if r.in.file == nil {
		again += " with the same input"
	}
	failure.Hints = append(slices.Clip(failure.Hints),
		fmt.Sprintf("everything up to line %d is done; %s: what is posted is not posted twice", r.line, again))
	return &failure
}
