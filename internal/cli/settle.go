package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// reportsAtOnce is how many delivery reports go into one request.
const reportsAtOnce = 1000

// wholeNumber is the form of a cell that is a number in JSON.
var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})$`)

// reportColumns are the columns of a CSV of delivery reports.
var reportColumns = columns{
	known:   map[string]*regexp.Regexp{"reference": nil, "status": nil, "account": wholeNumber},
	implied: []string{"reference", "status", "account"},
}

// holdSettle is "saldo hold settle".
type holdSettle struct {
	File string `arg:"" optional:"" default:"-" help:"File with the delivery reports; by default, and for -, standard input."`

	Globals
}

// Help shows examples.
func (*holdSettle) Help() string {
	return `A report has the reference of a message's hold, a status (ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV,
ACCEPTD, UNKNOWN or REJECTD) and, where several accounts may use the reference, an account. Reports
come as a JSON array, as JSON objects one a line, or as CSV with the columns reference, status and
account, with or without a line that names them. All are read before the first is sent.

Whether a status charges the message or releases its hold, the account's settings say ("saldo account
set --charge-on"). To settle the same reports again changes nothing, so a command that ran out of time is
repeated, with --timeout 0 for a very long file. The exit status is 1 where a hold was not found, or a
report failed.

Examples:
  saldo hold settle reports.csv
  echo msg-18,DELIVRD | saldo hold settle
  saldo hold settle reports.ndjson --output json`
}

// Run settles the reports.
func (c *holdSettle) Run(ctx context.Context, streams Streams) error {
	in, err := openInput(c.File, streams)
	if err != nil {
		return err
	}
	defer in.Close()
	reports, err := readReports(in)
	if err != nil {
		return &Error{
			Status: ExitUsage, Message: in.name + ": " + err.Error(), Err: err,
			Hints: []string{`a report is a line such as msg-18,DELIVRD or {"reference":"msg-18","status":"DELIVRD"}; nothing was sent`},
		}
	}
	return c.session(ctx, streams, func(ctx context.Context, saldo *client.Client, p *printer) error {
		var result settlement
		t := p.table(text("REFERENCE"), text("REPORT"), status("OUTCOME"), money("AMOUNT"), text("HOLD"))
		if err := list(p, result.settle(ctx, saldo, reports), 0, t, func(s api.SettledReport) {
			t.row(s.Reference, string(s.Status), string(s.Outcome), s.Amount, s.Hold)
		}); err != nil {
			return err
		}
		return result.conclude(p)
	})
}

// settlement counts what came of delivery reports.
type settlement struct {
	reports, open int
	reasons       []string // why some failed, the first few
}

// reasonsShown is how many reasons a table is followed by at most.
const reasonsShown = 5

// settle sends the reports, and yields what comes of each.
func (s *settlement) settle(ctx context.Context, saldo *client.Client, reports []api.DeliveryReport) iter.Seq2[api.SettledReport, error] {
	return func(yield func(api.SettledReport, error) bool) {
		for some := range slices.Chunk(reports, reportsAtOnce) {
			settled, err := saldo.Settle(ctx, some)
			if err != nil {
				yield(api.SettledReport{}, err)
				return
			}
			for _, report := range settled {
				s.count(report)
				if !yield(report, nil) {
					return
				}
			}
		}
	}
}

func (s *settlement) count(report api.SettledReport) {
	s.reports++
	switch report.Outcome {
	case api.SettlementOutcomeFailed, api.SettlementOutcomeUnknownReference, api.SettlementOutcomeAmbiguousReference:
		s.open++
	default: // the report did what there is for it to do
	}
	if report.Error != nil && len(s.reasons) < reasonsShown {
		s.reasons = append(s.reasons, fmt.Sprintf("%s: %s (%s)", report.Reference, report.Error.Detail, report.Error.Code))
	}
}

// conclude says what is left to do, if anything is.
func (s *settlement) conclude(p *printer) error {
	if s.open == 0 {
		return nil
	}
	if !p.json {
		for _, reason := range s.reasons {
			p.notef("note: %s", clean(reason))
		}
	}
	return &Error{
		Status: ExitFailure, Message: fmt.Sprintf("%s of %s reports settled nothing", grouped(s.open), grouped(s.reports)),
		Hints: []string{"look at those with the outcome failed, unknown_reference or ambiguous_reference; to settle the others again does no harm"},
	}
}

// readReports reads all delivery reports in a file.
func readReports(file io.Reader) ([]api.DeliveryReport, error) {
	r := bufio.NewReaderSize(file, maxLine)
	first, err := firstByte(r)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if err == nil && first == '[' {
		return reportArray(r)
	}
	var reports []api.DeliveryReport
	for row, err := range rows(r, reportColumns) {
		if err != nil {
			return nil, err
		}
		var report api.DeliveryReport
		if err := row.err; err != nil {
			return nil, fmt.Errorf("line %d: %w", row.line, err)
		}
		if err := decodeReport(row.object, &report); err != nil {
			return nil, fmt.Errorf("line %d: %w", row.line, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// reportArray reads a JSON array of delivery reports.
func reportArray(r io.Reader) ([]api.DeliveryReport, error) {
	var objects []json.RawMessage
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(&objects); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands after the array")
	}
	if len(objects) == 0 {
		return nil, errors.New("it is empty")
	}
	reports := make([]api.DeliveryReport, len(objects))
	for i, object := range objects {
		if err := decodeReport(object, &reports[i]); err != nil {
			return nil, fmt.Errorf("report %d: %w", i+1, err)
		}
	}
	return reports, nil
}

func decodeReport(object []byte, report *api.DeliveryReport) error {
	if err := decodeObject(object, report); err != nil {
		return err
	}
	switch {
	case report.Reference == "":
		return errors.New("a report needs a reference")
	case !report.Status.Valid():
		return fmt.Errorf("%q is no status of a report (ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD)", string(report.Status))
	case report.Account < 0:
		return fmt.Errorf("there is no account %d", report.Account)
	}
	return nil
}
