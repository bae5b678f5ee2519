package httpapi

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about what a query says: pages, times and names.

// checkQuery refuses a name that the contract does not have in this query, so
// that a misspelt one does not silently widen what is asked for.
func checkQuery(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	asked, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ledger.Errorf(ledger.InvalidRequest, "the query is not well formed").
			WithHint("in a URL, write %% as %%25 and ; as %%3B")
	}
	known := api.QueryNames[r.Pattern]
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		if slices.Contains(known, name) {
			continue
		}
		unknown := ledger.Errorf(ledger.InvalidRequest, "unknown parameter %q", clip(name))
		if len(known) == 0 {
			return unknown.WithHint("this request has no parameters")
		}
		return unknown.WithHint("the parameters are %s", strings.Join(known, ", "))
	}
	return nil
}

// Pages have 50 items unless a request asks for another number, up to 500.
const (
	defaultPage = 50
	maxPage     = 500
)

var errCursor = ledger.Errorf(ledger.InvalidRequest, "the cursor is not one that a page gave").
	WithHint("start again without a cursor")

// pageOf reads the limit of a page and the key after which it starts.
func pageOf(limit *int, cursor *string) (size int, after string, err error) {
	size = defaultPage
	if limit != nil {
		size = *limit
	}
	if size < 1 || size > maxPage {
		return 0, "", ledger.Errorf(ledger.InvalidRequest, "limit must be between 1 and %d", maxPage)
	}
	if cursor == nil {
		return size, "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*cursor)
	if err != nil || len(text) == 0 || !ledger.Storable(string(text)) {
		return 0, "", errCursor
	}
	return size, string(text), nil
}

// cursorAt makes the cursor of the page after an item. It is opaque, so that
// its content can change.
func cursorAt(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// numberedPage is pageOf for what is listed by a number, from 0 to most.
func numberedPage(limit *int, cursor *string, most int64) (size int, after int64, err error) {
	size, text, err := pageOf(limit, cursor)
	if err != nil || text == "" {
		return size, 0, err
	}
	after, err = strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 || after > most {
		return 0, 0, errCursor
	}
	return size, after, nil
}

// placedPage is pageOf for what is listed by time.
func placedPage(limit *int, cursor *string) (size int, after engine.Place, err error) {
	size, text, err := pageOf(limit, cursor)
	if err != nil || text == "" {
		return size, after, err
	}
	micros, id, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err == nil {
		after.ID, err = ledger.ParseTransactionID(id)
	}
	if err != nil {
		return 0, after, errCursor
	}
	after.CreatedAt = time.UnixMicro(at).UTC()
	return size, after, nil
}

// cursorAtPlace makes the cursor that placedPage reads.
func cursorAtPlace(at time.Time, id ledger.TransactionID) string {
	return cursorAt(strconv.FormatInt(at.UnixMicro(), 10) + " " + id.String())
}

// pageItems shows the items of a page, of which one more was read than it has
// where there is a next page, with the cursor of that.
func pageItems[T, S any](found []T, size int, show func(T) S, cursor func(T) string) (shown []S, next string) {
	if len(found) > size {
		next = cursor(found[size-1])
		found = found[:size]
	}
	shown = make([]S, len(found)) // an empty list is a list, not null
	for i, item := range found {
		shown[i] = show(item)
	}
	return shown, next
}

// zone reads the time zone in which the days of a query begin.
func (s *server) zone(name *string) (*time.Location, error) {
	if name == nil {
		return time.UTC, nil
	}
	if *name == "" || len(*name) > ledger.MaxTimeZone {
		return nil, ledger.Errorf(ledger.InvalidRequest, "tz is not the name of a time zone").WithHint("write it like Asia/Ho_Chi_Minh or UTC")
	}
	return s.engine.Zone(*name)
}

// parseTime reads a time of a query, or a date, which stands for the start of
// that day; the zero time where it is left out.
func parseTime(name string, text *string, zone *time.Location) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, *text)
	if err == nil {
		at = engine.StartOfDay(at.Year(), at.Month(), at.Day(), zone)
	} else {
		at, err = time.Parse(time.RFC3339Nano, *text)
	}
	at = at.UTC()
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, ledger.Errorf(ledger.InvalidRequest, "%s must be an RFC 3339 time or a date, since 1970", name).
			WithHint("such as 2026-11-01 or 2026-11-01T00:00:00Z; in a URL, write the + of an offset as %%2B")
	}
	return at, nil
}

// timeRange reads the range of time of a query. A time that is left out is zero.
func (s *server) timeRange(from, to, tz *string) (zone *time.Location, start, end time.Time, err error) {
	if zone, err = s.zone(tz); err != nil {
		return nil, start, end, err
	}
	if start, err = parseTime("from", from, zone); err != nil {
		return nil, start, end, err
	}
	end, err = parseTime("to", to, zone)
	return zone, start, end, err
}

// checkReference says what is wrong with a reference that is looked for.
func checkReference(reference string) error {
	if reference == "" || len(reference) > ledger.MaxReferenceLen || !ledger.Storable(reference) {
		return ledger.Errorf(ledger.InvalidRequest, "reference must be 1 to %d bytes of printable text", ledger.MaxReferenceLen)
	}
	return nil
}
