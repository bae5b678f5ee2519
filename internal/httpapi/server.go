// Package httpapi is the REST door, version 1, and what all doors share:
// authentication, limits, logging and metrics. The contract is api/openapi.yaml.
package httpapi

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// server implements the generated interface of the contract.
type server struct {
	engine    *engine.Engine
	gate      *Gate
	metrics   *Metrics
	upstreams Upstreams
	limits    limits
	batches   *places // for batches that are held whole
	streams   *places // for streams of lines
	exports   *places // for statements that are streamed, and reports of long ranges
}

// limits are those that tests make smaller. A report ends well before the server's
// write time-out, and before PostgreSQL's 20 s for one reading, after which the
// database would seem to be gone.
type limits struct {
	batches, streams int           // at one time
	exports          int           // likewise
	each             int           // of those, for each customer
	idle             time.Duration // that a stream waits for its client to take or send anything
	usageRows        int           // of a report that comes whole
	report           time.Duration // that the making of one may take
	readings         int           // of upstreams that one report adds up
	readingsAtOnce   int           // of those
}

var usualLimits = limits{
	batches: 8, streams: 8, exports: 16, each: 2, idle: 30 * time.Second,
	usageRows: 10_000, report: 18 * time.Second, readings: 500_000, readingsAtOnce: 5000,
}

var _ api.ServerInterface = (*server)(nil)

// New makes the handler of every route in the contract. Any other path, and a
// wrong method, is answered with problem details too.
func New(e *engine.Engine, gate *Gate, metrics *Metrics, upstreams Upstreams) http.Handler {
	return newServer(e, gate, metrics, upstreams, usualLimits).handler()
}

func newServer(e *engine.Engine, gate *Gate, metrics *Metrics, upstreams Upstreams, limits limits) *server {
	return &server{
		engine: e, gate: gate, metrics: metrics, upstreams: upstreams, limits: limits,
		batches: newPlaces(limits.batches, limits.each),
		streams: newPlaces(limits.streams, limits.each),
		exports: newPlaces(limits.exports, limits.each),
	}
}

// handler puts the routes together.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.unmatched(w, r, mux) })
	routes := api.HandlerWithOptions(s, api.StdHTTPServerOptions{
		BaseRouter:       mux,
		ErrorHandlerFunc: s.failParameter,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect to the cleaned path. That is in no contract,
		// and repeats a secret that stands in the path of a dialect's request.
		if !isClean(r.URL.EscapedPath()) {
			s.fail(w, r, errNoPath)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

// isClean tells whether the mux would take a path as it is.
func isClean(escaped string) bool {
	cleaned := path.Clean(escaped)
	return cleaned == escaped || cleaned+"/" == escaped
}

var errNoPath = ledger.Errorf(ledger.NotFound, "there is nothing at this path").WithHint("/openapi.yaml lists the paths")

const hintIdempotency = "give each movement a key of its own, and its retries the same one"

// failParameter answers a request whose path, query or headers the generated
// code could not read. It does so before any handler runs, so whoever asks is
// made known here, as everywhere, before anything else is said.
func (s *server) failParameter(w http.ResponseWriter, r *http.Request, err error) {
	if _, err := s.authenticate(w, r); err != nil {
		s.fail(w, r, err)
		return
	}
	var missing *api.RequiredHeaderError
	var format *api.InvalidParamFormatError
	var many *api.TooManyValuesForParamError
	switch {
	case errors.As(err, &missing):
		err = ledger.Errorf(ledger.InvalidRequest, "the header %s is missing", missing.ParamName).
			WithHint(hintIdempotency)
	case errors.As(err, &format):
		err = ledger.Errorf(ledger.InvalidRequest, "%s does not have the form that it should", format.ParamName).
			WithHint("/openapi.yaml describes it")
	case errors.As(err, &many):
		err = ledger.Errorf(ledger.InvalidRequest, "%s stands more than once", many.ParamName)
	default:
		err = ledger.Errorf(ledger.InvalidRequest, "a parameter of the request cannot be read").WithHint("/openapi.yaml describes them")
	}
	s.fail(w, r, err)
}

// unmatched answers a request that no route takes.
func (s *server) unmatched(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.fail(w, r, errNoPath)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, r, ledger.Errorf(ledger.MethodNotAllowed, "this path takes %s", strings.Join(allowed, ", ")))
}

// GetHealth tells that the process lives.
func (s *server) GetHealth(w http.ResponseWriter, _ *http.Request) {
	replyHealth(w, http.StatusOK, api.Health{Status: "ok"})
}

func replyHealth(w http.ResponseWriter, status int, health api.Health) {
	reply(w, status, health) //nolint:errcheck // Words are always JSON.
}

// GetReadiness tells whether the ledger can be used. Whoever asks needs no key,
// so it says no more of the reason than any caller may know.
func (s *server) GetReadiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	err := s.engine.Ping(ctx)
	if err == nil {
		replyHealth(w, http.StatusOK, api.Health{Status: "ok"})
		return
	}
	health := api.Health{Status: "unavailable"}
	if expected, ok := errors.AsType[*ledger.Error](err); ok {
		health.Reason = expected.Message
	} else {
		s.gate.internal(ctx, err) //nolint:errcheck // The reply is the short word alone.
	}
	replyHealth(w, http.StatusServiceUnavailable, health)
}

// GetMetrics serves the metrics.
func (s *server) GetMetrics(w http.ResponseWriter, r *http.Request) {
	s.metrics.handler.ServeHTTP(w, r)
}

// GetOpenAPI serves the contract itself.
func (s *server) GetOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Write(api.Document) //nolint:errcheck // A client that went away cannot be told so.
}
