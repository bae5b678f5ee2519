// Package antgst speaks the balance request of the SMS and voice provider
// Antgst, so that programs written for that provider work with Saldo unchanged.
// The source is the page "Retrieve balance" of https://doc.antgst.com with the
// pages on authentication, errors and rate limits that it links to;
// docs/wire/antgst.md tells what is the provider's word and what is Saldo's.
package antgst

import (
	"errors"
	"net/http"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Balances answers who the credentials belong to and what is left.
type Balances interface {
	// Balance authenticates the caller, applies allow-list, status and rate
	// limit, and returns the account with its wallets. It may set headers on w
	// (RateLimit, RateLimit-Policy, Retry-After) but writes neither status nor
	// body. Errors carry a ledger.Code; any other error is an internal one.
	Balance(w http.ResponseWriter, r *http.Request, c ledger.Credentials) (*ledger.Holder, error)
}

// Server answers everything under /user/.
type Server struct{ balances Balances }

// NewServer makes a Server that answers from b.
func NewServer(b Balances) *Server { return &Server{balances: b} }

// replySize is room for the longest successful reply, so that appending never grows.
const replySize = 160

// ServeHTTP answers one request. It sets r.Pattern before anything else: the
// access log and the metrics around it name the route by it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.EscapedPath() != Path {
		r.Pattern = "/user/"
		fail(w, CodeNotFound, http.StatusNotFound)
		return
	}
	r.Pattern = "POST " + Path
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		// The provider has no code for this. The nearest is that of an address
		// which does not exist; the HTTP status is the precise one.
		fail(w, CodeNotFound, http.StatusMethodNotAllowed)
		return
	}
	credentials, code := readRequest(w, r)
	if code != CodeSuccess {
		fail(w, code, code.HTTPStatus())
		return
	}
	holder, err := s.balances.Balance(w, r, credentials)
	if err != nil {
		code = codeOf(err)
		if code == CodeRequestLimit {
			message.SetRetryAfter(w)
		}
		fail(w, code, code.HTTPStatus())
		return
	}
	message.Send(w, http.StatusOK, contentType, appendBalance(make([]byte, 0, replySize), balanceOf(holder)))
}

// readRequest reads the credentials. The Content-Type is no condition, because
// the provider's own example, pasted as printed, sends none.
func readRequest(w http.ResponseWriter, r *http.Request) (ledger.Credentials, Code) {
	body, err := message.ReadBody(w, r)
	switch {
	case errors.Is(err, message.ErrTooLarge):
		return ledger.Credentials{}, CodeParamsTooLong
	case err != nil:
		return ledger.Credentials{}, CodeParams
	}
	return decodeRequest(body)
}

func fail(w http.ResponseWriter, code Code, status int) {
	message.Send(w, status, contentType, appendFailure(nil, code))
}
