package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Upstreams is what is known of the balances at providers.
type Upstreams interface {
	// UpstreamStates lists what is known of every upstream, in order of their names.
	UpstreamStates(ctx context.Context) ([]readings.State, error)
	// UpstreamReadings lists readings, see readings.Store.
	UpstreamReadings(ctx context.Context, query readings.Query) ([]readings.Reading, error)
	// Watches tells whether this node has an upstream in its configuration.
	Watches(name string) bool
}

// ListUpstreams answers GET /v1/upstreams.
func (s *server) ListUpstreams(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, accountants, func(*ledger.Key) error {
		states, err := s.upstreams.UpstreamStates(r.Context())
		if err != nil {
			return err
		}
		list := api.UpstreamList{Items: make([]api.Upstream, len(states))}
		for i := range states {
			list.Items[i] = s.showUpstream(&states[i])
		}
		return reply(w, http.StatusOK, list)
	})
}

// GetUpstream answers GET /v1/upstreams/{name}.
func (s *server) GetUpstream(w http.ResponseWriter, r *http.Request, name api.UpstreamPath) {
	s.serve(w, r, accountants, func(*ledger.Key) error {
		state, err := s.upstream(r.Context(), name)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, s.showUpstream(state))
	})
}

// upstream finds what is known of one upstream. There are few, so that to read
// them all costs no more than an index would.
func (s *server) upstream(ctx context.Context, name string) (*readings.State, error) {
	states, err := s.upstreams.UpstreamStates(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(states, func(state readings.State) bool { return state.Name == name })
	if at < 0 {
		return nil, ledger.Errorf(ledger.NotFound, "no upstream of this name was asked yet").WithHint("the list of upstreams has those that were")
	}
	return &states[at], nil
}

const (
	// usualReadings is what a list of readings covers that names no beginning.
	usualReadings = 24 * time.Hour
	maxStep       = 31 * 24 * time.Hour
	maxService    = 64
)

var (
	upstreamForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
)

// ListReadings answers GET /v1/upstreams/{name}/readings.
func (s *server) ListReadings(w http.ResponseWriter, r *http.Request, name api.UpstreamPath, params api.ListReadingsParams) {
	s.serve(w, r, accountants, func(*ledger.Key) error {
		query, err := s.readingsQuery(&params)
		if err != nil {
			return err
		}
		if _, err := s.upstream(r.Context(), name); err != nil {
			return err
		}
		query.Upstream = name
		size := query.Limit
		query.Limit++ // one more tells whether there is more
		found, err := s.upstreams.UpstreamReadings(r.Context(), *query)
		if err != nil {
			return err
		}
		page := api.ReadingPage{From: showTime(query.From), To: showTime(query.To), Items: []api.Reading{}}
		if len(found) > size {
			found = found[:size]
			page.NextCursor = cursorAtReading(&found[size-1])
		}
		for i := range found {
			if wanted(params.Service, found[i].Service) && wanted(params.Currency, found[i].Currency) {
				page.Items = append(page.Items, showReading(&found[i]))
			}
		}
		return reply(w, http.StatusOK, page)
	})
}

func wanted(of *string, text string) bool { return of == nil || *of == text }

func (s *server) readingsQuery(params *api.ListReadingsParams) (*readings.Query, error) {
	_, from, to, err := s.pastRange(params.From, params.To, params.Tz, usualReadings)
	if err != nil {
		return nil, err
	}
	query := &readings.Query{From: from, To: to}
	if params.Step != nil {
		if *params.Step < 0 || *params.Step > int(maxStep/time.Second) {
			return nil, ledger.Errorf(ledger.InvalidRequest, "step must be between 0 and %d seconds", maxStep/time.Second).
				WithHint("0, or no step, lists every reading")
		}
		query.Step = time.Duration(*params.Step) * time.Second
	}
	switch {
	case params.Service != nil && (*params.Service == "" || len(*params.Service) > maxService):
		return nil, ledger.Errorf(ledger.InvalidRequest, "service must be 1 to %d bytes", maxService).WithHint("such as sms, voip or main")
	case params.Currency != nil && !currencyForm.MatchString(*params.Currency):
		return nil, ledger.Errorf(ledger.InvalidRequest, "currency must be an ISO 4217 code").WithHint("such as CNY")
	}
	var place string
	if query.Limit, place, err = pageOf(params.Limit, params.Cursor); err != nil {
		return nil, err
	}
	if place != "" {
		query.After, err = readReadingPlace(place)
	}
	return query, err
}

// pastRange reads the range of time of a query about what is past: without an end
// it is now, and without a beginning so much before the end.
func (s *server) pastRange(from, to, tz *string, usual time.Duration) (zone *time.Location, start, end time.Time, err error) {
	zone, start, end, err = s.timeRange(from, to, tz)
	if err != nil {
		return nil, start, end, err
	}
	if end.IsZero() {
		end = s.engine.Now()
	}
	if start.IsZero() {
		start = end.Add(-usual)
	}
	if !start.Before(end) {
		return nil, start, end, ledger.Errorf(ledger.InvalidRequest, "from must be before to")
	}
	return zone, start, end, nil
}

// readingPlace is a place in a list of readings, as a cursor has it. Services are
// the operator's words, so they are quoted.
type readingPlace struct {
	Micros   int64         `json:"t"`
	Service  string        `json:"s"`
	Unit     provider.Unit `json:"u"`
	Currency string        `json:"c"`
}

func cursorAtReading(r *readings.Reading) string {
	text, err := json.Marshal(readingPlace{r.At.UnixMicro(), r.Service, r.Unit, r.Currency})
	if err != nil {
		panic("httpapi: a cursor that has no JSON: " + err.Error()) // it has numbers and texts
	}
	return cursorAt(string(text))
}

func readReadingPlace(text string) (readings.Place, error) {
	var place readingPlace
	if err := json.Unmarshal([]byte(text), &place); err != nil || place.Micros < 0 || place.Service == "" {
		return readings.Place{}, errCursor
	}
	return readings.Place{
		At: time.UnixMicro(place.Micros).UTC(), Key: readings.Key{Service: place.Service, Unit: place.Unit, Currency: place.Currency},
	}, nil
}
