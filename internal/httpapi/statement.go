package httpapi

import (
	"encoding/csv"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// statementQuery is what a request wants to see of a wallet.
type statementQuery struct {
	wallet   ledger.WalletRef
	from, to time.Time // zero where the range is open
	kind     ledger.Kind
	format   api.StatementFormat
	after    int64 // the version after which it goes on
	until    int64 // the version with which its first page said that it ends; 0 on that page
	limit    int   // of rows on a page; a file has all
}

// GetStatement answers GET /v1/accounts/{account}/wallets/{wallet}/statement.
func (s *server) GetStatement(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath, params api.GetStatementParams) {
	s.serve(w, r, accountReaders, func(key *ledger.Key) error {
		if err := mayKnow(key, ledger.AccountID(account)); err != nil {
			return err
		}
		query, err := s.statementQuery(r, &params)
		if err != nil {
			return err
		}
		query.wallet = ledger.WalletRef{Account: ledger.AccountID(account), Service: ledger.Service(wallet)}
		statement, err := s.engine.Statement(r.Context(), query.wallet, query.from, query.to)
		if err == nil {
			err = s.engine.EndAt(r.Context(), statement, query.until)
		}
		if err != nil {
			return err
		}
		if query.format != api.StatementFormatJSON {
			if !s.exports.enter(key.Account) {
				return ledger.Errorf(ledger.Overloaded, "too many statements are being sent").WithHint("send the request again later")
			}
			defer s.exports.leave(key.Account)
		}
		switch query.format {
		case api.StatementFormatCsv:
			return s.streamStatement(w, r, statement, query, "text/csv; charset=utf-8", newCSVRows)
		case api.StatementFormatNdjson:
			return s.streamStatement(w, r, statement, query, ndjson, newJSONRows)
		default:
			return s.replyStatement(w, r, statement, query)
		}
	})
}

func (s *server) statementQuery(r *http.Request, params *api.GetStatementParams) (*statementQuery, error) {
	var query statementQuery
	var err error
	if _, query.from, query.to, err = s.timeRange(params.From, params.To, params.Tz); err != nil {
		return nil, err
	}
	if params.Type != nil {
		if query.kind = ledger.Kind(*params.Type); !query.kind.Valid() {
			return nil, ledger.Errorf(ledger.InvalidRequest, "type is not one of a transaction").WithHint("/openapi.yaml lists the types")
		}
	}
	query.format = accepted(r)
	if params.Format != nil {
		if query.format = *params.Format; !query.format.Valid() {
			return nil, ledger.Errorf(ledger.InvalidRequest, "format must be json, csv or ndjson")
		}
	}
	var place string
	if query.limit, place, err = pageOf(params.Limit, params.Cursor); err != nil {
		return nil, err
	}
	if place != "" {
		if query.after, query.until, err = readVersions(place); err != nil {
			return nil, err
		}
	}
	if params.Limit != nil && query.format != api.StatementFormatJSON {
		return nil, ledger.Errorf(ledger.InvalidRequest, "limit does not go with %s, which has all rows and no place for a cursor", query.format).
			WithHint("leave limit out, or read pages with format=json")
	}
	return &query, nil
}

// versionsCursor makes the cursor of a statement's next page: where it goes on,
// and where it ends, however much has been posted since.
func versionsCursor(after, until int64) string {
	return cursorAt(strconv.FormatInt(after, 10) + " " + strconv.FormatInt(until, 10))
}

func readVersions(text string) (after, until int64, err error) {
	first, second, _ := strings.Cut(text, " ")
	after, err = strconv.ParseInt(first, 10, 64)
	if err == nil {
		until, err = strconv.ParseInt(second, 10, 64)
	}
	if err != nil || after < 1 || until < after {
		return 0, 0, errCursor
	}
	return after, until, nil
}

// accepted is the format that a request's header asks for most, JSON where it
// asks for none of them.
func accepted(r *http.Request) api.StatementFormat {
	formats := map[string]api.StatementFormat{
		"application/json": api.StatementFormatJSON, "text/csv": api.StatementFormatCsv, ndjson: api.StatementFormatNdjson,
	}
	best, most := api.StatementFormatJSON, 0.0
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		name, parameters, err := mime.ParseMediaType(part)
		format, known := formats[name]
		if err != nil || !known {
			continue
		}
		quality, err := strconv.ParseFloat(parameters["q"], 64)
		if err != nil {
			quality = 1
		}
		if quality > most {
			best, most = format, quality
		}
	}
	return best
}

// replyStatement answers with one page.
func (s *server) replyStatement(w http.ResponseWriter, r *http.Request, statement *engine.Statement, query *statementQuery) error {
	rows, next, err := s.engine.Rows(r.Context(), statement, query.after, query.kind, query.limit)
	if err != nil {
		return err
	}
	page := api.Statement{
		Account:        int32(statement.Wallet.Account),
		Wallet:         string(statement.Wallet.Service),
		Currency:       statement.Currency,
		From:           showTime(query.from),
		To:             showTime(query.to),
		OpeningBalance: statement.Opening.String(),
		ClosingBalance: statement.Closing.String(),
		Items:          make([]api.StatementRow, len(rows)),
	}
	for i := range rows {
		page.Items[i] = showRow(&rows[i])
	}
	if next < statement.Until {
		page.NextCursor = versionsCursor(next, statement.Until)
	}
	return reply(w, http.StatusOK, page)
}

// rowWriter writes the rows of a statement in one format.
type rowWriter interface {
	// end writes the first or the last row, which have a balance alone, and the
	// time where the range has one.
	end(name string, at time.Time, balance ledger.Amount) error
	row(row *api.StatementRow) error
	// flush hands what was written to the outflow.
	flush() error
}

// streamStatement answers with as many rows as there are, in chunks, so that
// neither the memory nor the reading of the ledger grows with the statement.
//
// The first row is left out where the request goes on after a page. A file that
// was cut off lacks the last one.
func (s *server) streamStatement(w http.ResponseWriter, r *http.Request, statement *engine.Statement, query *statementQuery,
	contentType string, open func(*outflow) rowWriter,
) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return nil
	}
	out := newOutflow(w, http.NewResponseController(w), s.limits.idle)
	err := s.writeRows(r, out, open(out), statement, query)
	if err != nil && out.pieces.begun {
		// It is too late for a problem. A client that is still there sees the
		// connection break, and a file without its last row.
		panic(http.ErrAbortHandler)
	}
	return err
}

func (s *server) writeRows(r *http.Request, out *outflow, to rowWriter, statement *engine.Statement, query *statementQuery) error {
	if query.after == 0 {
		if err := to.end("opening", query.from, statement.Opening); err != nil {
			return err
		}
	}
	for after := max(query.after, statement.After); after < statement.Until; {
		rows, next, err := s.engine.Rows(r.Context(), statement, after, query.kind, maxPage)
		if err != nil {
			return s.gate.internal(r.Context(), err)
		}
		for i := range rows {
			row := showRow(&rows[i])
			if err := to.row(&row); err != nil {
				return err
			}
		}
		if err := to.flush(); err != nil {
			return err
		}
		if err := out.send(); err != nil {
			return err
		}
		after = next
	}
	if err := to.end("closing", query.to, statement.Closing); err != nil {
		return err
	}
	if err := to.flush(); err != nil {
		return err
	}
	return out.send()
}

// jsonRows writes a JSON object on each line.
type jsonRows struct{ out *outflow }

func newJSONRows(out *outflow) rowWriter { return jsonRows{out} }

func (j jsonRows) end(name string, at time.Time, balance ledger.Amount) error {
	return newEncoder(j.out).Encode(struct {
		Type      string `json:"type"`
		Balance   string `json:"balance"`
		CreatedAt string `json:"created_at,omitempty"`
	}{name, balance.String(), showTime(at)})
}

func (j jsonRows) row(row *api.StatementRow) error { return newEncoder(j.out).Encode(row) }
func (j jsonRows) flush() error                    { return nil }

// csvRows writes a CSV with a header.
type csvRows struct{ *csv.Writer }

func newCSVRows(out *outflow) rowWriter {
	rows := csvRows{csv.NewWriter(out)}
	rows.Write([]string{"version", "created_at", "transaction", "type", "amount", "balance", "held", "reference", "counterpart"}) //nolint:errcheck // The next row fails too.
	return rows
}

func (c csvRows) end(name string, at time.Time, balance ledger.Amount) error {
	return c.Write([]string{"", showTime(at), "", name, "", balance.String(), "", "", ""})
}

func (c csvRows) row(row *api.StatementRow) error {
	return c.Write([]string{
		strconv.FormatInt(row.Version, 10), row.CreatedAt, row.Transaction, string(row.Type),
		row.Amount, row.Balance, row.Held, harmless(row.Reference), row.Counterpart,
	})
}

func (c csvRows) flush() error {
	c.Flush()
	return c.Error()
}

// harmless keeps a spreadsheet from running somebody's text as a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@", rune(text[0])) {
		return "'" + text
	}
	return text
}
