package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/saldo-ledger/saldo/api"
)

// rowsAtOnce bounds how much of a long list waits for its columns to be
// measured. Later rows use the widths of earlier ones, or wider.
const rowsAtOnce = 500

// printer shows results. It remembers the first failure to write, which flush
// reports, so that the code in between need not look.
type printer struct {
	out     *bufio.Writer
	notes   io.Writer
	json    bool
	colours bool
}

func newPrinter(streams Streams, output string) *printer {
	return &printer{
		out: bufio.NewWriter(streams.Out), notes: streams.Err,
		json: output == "json", colours: streams.colours(),
	}
}

// flush writes out what is left.
func (p *printer) flush() error {
	if err := p.out.Flush(); err != nil {
		return &Error{Status: ExitFailure, Message: "cannot write the result: " + err.Error(), Err: err}
	}
	return nil
}

// notef tells the person at the terminal something that is no result, below
// what is already printed. A note that cannot be written does not make a
// command fail.
func (p *printer) notef(format string, args ...any) {
	_ = p.out.Flush() // flush reports the error
	_, _ = fmt.Fprintf(p.notes, format+"\n", args...)
}

func (p *printer) write(text string) {
	_, _ = p.out.WriteString(text) // flush reports the error
}

// show prints a value of the API as JSON, or as human shows it.
func (p *printer) show(value any, human func()) {
	if !p.json {
		human()
		return
	}
	p.write(indented(value, "") + "\n")
}

// indented is the value in JSON as the API writes it, for people to read.
func indented(value any, prefix string) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // an & is no danger in a terminal
	encoder.SetIndent(prefix, "  ")
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("cli: a result that has no JSON: %v", err)) // they are structs of texts and numbers
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// list prints items as they come, at most limit of them, as a page of the API or as rows of a table.
func list[T any](p *printer, items iter.Seq2[T, error], limit uint, t *table, row func(T)) error {
	// Nothing is printed before the first item, so that a failure before any
	// leaves standard output empty.
	l := &listing{p: p, t: t, limit: limit}
	for item, err := range items {
		if err != nil {
			t.flush() // what came before the failure is still true
			return err
		}
		if l.shown == 0 {
			l.open("{\n  \"items\": []\n}")
		}
		if !l.add(item, func() { row(item) }) {
			break
		}
	}
	if l.shown == 0 {
		l.open("{\n  \"items\": []\n}")
	}
	l.end()
	return nil
}

// document prints a list that has members before its items, and comes in pages.
// split takes a page apart: into itself without items, what a table has above
// its rows, and the items.
func document[P, T any](p *printer, pages iter.Seq2[P, error], limit uint, t *table, split func(P) (P, []string, []T), row func(T)) error {
	l := &listing{p: p, t: t, limit: limit, gap: true}
	begun := false
	for page, err := range pages {
		if err != nil {
			t.flush()
			return err
		}
		head, fields, items := split(page)
		if !begun {
			begun = true
			l.open(indented(head, ""))
			if !p.json {
				p.fields(fields...)
			}
		}
		for _, item := range items {
			if !l.add(item, func() { row(item) }) {
				l.end()
				return nil
			}
		}
	}
	l.end()
	return nil
}

// listing prints items one after the other, as JSON or into a table.
type listing struct {
	p     *printer
	t     *table
	limit uint // 0 is none
	gap   bool // between the table and what stands above it
	shown uint
	more  bool // than the limit
}

// open prints the JSON of a list without items, up to where they stand, which
// is at its end.
func (l *listing) open(empty string) {
	if l.p.json {
		l.p.write(strings.TrimSuffix(empty, "]\n}"))
	}
}

// add prints an item, unless that would be one too many.
func (l *listing) add(item any, human func()) bool {
	if l.more = l.limit > 0 && l.shown == l.limit; l.more {
		return false
	}
	l.shown++
	switch {
	case !l.p.json:
		if l.gap && l.shown == 1 {
			l.p.write("\n")
		}
		human()
	case l.shown == 1:
		l.p.write("\n    " + indented(item, "    "))
	default:
		l.p.write(",\n    " + indented(item, "    "))
	}
	return true
}

// end prints what comes after the last item.
func (l *listing) end() {
	switch {
	case !l.p.json && l.shown == 0:
		l.p.notef("note: there are none")
	case !l.p.json:
		l.t.flush()
	case l.shown == 0:
		l.p.write("]\n}\n")
	default:
		l.p.write("\n  ]\n}\n")
	}
	if l.more {
		l.p.notef("note: there are more; only the first %d are shown (--limit 0 shows all)", l.limit)
	}
}

// fields prints names and values, two columns, without those that are empty.
func (p *printer) fields(pairs ...string) {
	width := 0
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			width = max(width, len(pair[0]))
		}
	}
	for pair := range slices.Chunk(pairs, 2) {
		if name, value := pair[0], pair[1]; value != "" {
			p.write(paint(p.colours, "2", name) + strings.Repeat(" ", width-len(name)+2) +
				paint(p.colours, statusColour(value), clean(value)) + "\n")
		}
	}
}

// column is one column of a table.
type column struct {
	title  string
	right  bool
	colour func(text string) string // the SGR code for a cell; may be nil
}

func text(title string) column   { return column{title: title} }
func status(title string) column { return column{title: title, colour: statusColour} }
func figure(title string) column { return column{title: title, right: true} }
func money(title string) column {
	return column{title: title, right: true, colour: amountColour}
}

// table prints rows in columns. The standard library's tabwriter cannot align
// one column to the right and the next to the left.
type table struct {
	p       *printer
	columns []column
	widths  []int
	rows    [][]string
	started bool
}

func (p *printer) table(columns ...column) *table {
	t := &table{p: p, columns: columns, widths: make([]int, len(columns))}
	for i, c := range columns {
		t.widths[i] = utf8.RuneCountInString(c.title)
	}
	return t
}

// row adds a row, a text for each column.
func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = clean(cell)
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
	}
	t.rows = append(t.rows, cells)
	if len(t.rows) == rowsAtOnce {
		t.flush()
	}
}

// flush prints the rows so far, under the titles if they are the first.
func (t *table) flush() {
	if len(t.rows) > 0 && !t.started {
		t.started = true
		titles := make([]string, len(t.columns))
		for i, c := range t.columns {
			titles[i] = c.title
		}
		t.line(titles, func(int) string { return "2" })
	}
	for _, cells := range t.rows {
		t.line(cells, func(i int) string {
			if colour := t.columns[i].colour; colour != nil {
				return colour(cells[i])
			}
			return ""
		})
	}
	t.rows = t.rows[:0]
}

// line prints one line. Colours go on after the padding is known, because they
// have no width; nothing is padded at the end of a line.
func (t *table) line(cells []string, colour func(int) string) {
	var line strings.Builder
	for i, cell := range cells {
		padding := strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell))
		painted := paint(t.p.colours && cell != "", colour(i), cell)
		if t.columns[i].right {
			line.WriteString(padding + painted + "  ")
		} else {
			line.WriteString(painted + padding + "  ")
		}
	}
	t.p.write(strings.TrimRight(line.String(), " ") + "\n")
}

// statusColour is the SGR code for a status.
func statusColour(text string) string {
	switch text {
	case string(api.AccountStatusActive), string(api.TransactionStatusPosted), string(api.HoldStatusCaptured):
		return "32" // green
	case string(api.AccountStatusSuspended), string(api.KeyStatusExpired), string(api.HoldStatusOpen), string(api.SettlementOutcomeWaiting):
		return "33" // yellow
	case string(api.AccountStatusClosed), string(api.KeyStatusRevoked), string(api.TransactionStatusRejected),
		string(api.SettlementOutcomeFailed), string(api.SettlementOutcomeUnknownReference), string(api.SettlementOutcomeAmbiguousReference):
		return "31" // red
	default:
		return ""
	}
}

// amountColour is red for a debt.
func amountColour(text string) string {
	if strings.HasPrefix(text, "-") {
		return "31"
	}
	return ""
}

// clean makes text harmless to a terminal: names, references and metadata are
// other people's words, and an escape sequence among them would be obeyed.
func clean(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) && utf8.ValidString(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// metadataText is metadata in one line, in the order of the names.
func metadataText(metadata api.Metadata) string {
	pairs := make([]string, 0, len(metadata))
	for name, value := range metadata {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ", ")
}
