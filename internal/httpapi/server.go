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
	engine  *engine.Engine
	gate    *Gate
	metrics *Metrics
}

var _ api.ServerInterface = (*server)(nil)

// New makes the handler of every route in the contract. Any other path, and a
// wrong method, is answered with problem details too.
func New(e *engine.Engine, gate *Gate, metrics *Metrics) http.Handler {
	s := &server{engine: e, gate: gate, metrics: metrics}
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
			WithHint("give each movement a key of its own, and its retries the same one")
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

// authenticate finds the key of a request, from either form of the header.
func (s *server) authenticate(w http.ResponseWriter, r *http.Request) (*ledger.Key, error) {
	var credentials ledger.Credentials
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		credentials.Secret = strings.TrimSpace(token)
	} else {
		credentials.ID, credentials.Secret, _ = r.BasicAuth()
	}
	if credentials.Secret == "" || len(credentials.AuthSecret()) > ledger.MaxAuthSecret {
		return nil, ledger.Errorf(ledger.Unauthorized, "the request shows no usable credentials").
			WithHint("send Authorization: Bearer <id><secret>, or Basic with id and secret")
	}
	return s.gate.Identify(w, r, credentials)
}

// operator authenticates a request that needs an operator's key with one of the scopes.
func (s *server) operator(w http.ResponseWriter, r *http.Request, scopes ...ledger.Scope) (*ledger.Key, error) {
	key, err := s.authenticate(w, r)
	if err != nil {
		return nil, err
	}
	if key.Account != ledger.Operator {
		return nil, ledger.Errorf(ledger.Forbidden, "this is for the operator's keys")
	}
	return key, requireScope(key, scopes...)
}

// reader authenticates a request to read an account: the operator may read
// any, a customer its own. To a customer, another account does not exist.
func (s *server) reader(w http.ResponseWriter, r *http.Request, account ledger.AccountID) error {
	key, err := s.authenticate(w, r)
	switch {
	case err != nil:
		return err
	case key.Account == ledger.Operator:
		return requireScope(key, ledger.ScopeAdmin, ledger.ScopeBalanceRead)
	case key.Account != account:
		return ledger.Errorf(ledger.NotFound, "there is no account %d", account)
	default:
		return requireScope(key, ledger.ScopeBalanceRead)
	}
}

// requireScope checks that the key has at least one of the scopes.
func requireScope(key *ledger.Key, scopes ...ledger.Scope) error {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		if key.Allows(scope) {
			return nil
		}
		names[i] = string(scope)
	}
	return ledger.Errorf(ledger.Forbidden, "the key lacks the scope %s", strings.Join(names, " or "))
}

// GetHealth tells that the process lives.
func (s *server) GetHealth(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, api.Health{Status: "ok"})
}

// GetReadiness tells whether the ledger can be read.
func (s *server) GetReadiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.engine.Ping(ctx); err != nil {
		s.gate.internal(ctx, err) //nolint:errcheck // The reply is the short word below.
		reply(w, http.StatusServiceUnavailable, api.Health{Status: "unavailable"})
		return
	}
	reply(w, http.StatusOK, api.Health{Status: "ok"})
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
