package httpapi

import (
	"net/http"
	"strings"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// access says whose keys may make a request, and with which scopes: one of them will do.
type access struct {
	operatorOnly bool
	scopes       []ledger.Scope
}

// Who may make which requests.
var (
	administrators = access{operatorOnly: true, scopes: []ledger.Scope{ledger.ScopeAdmin}}
	accountants    = access{operatorOnly: true, scopes: []ledger.Scope{ledger.ScopeAdmin, ledger.ScopeBalanceRead}}
	balanceReaders = access{scopes: []ledger.Scope{ledger.ScopeBalanceRead}}
	accountReaders = access{scopes: []ledger.Scope{ledger.ScopeAdmin, ledger.ScopeBalanceRead}}
	posters        = access{scopes: []ledger.Scope{ledger.ScopeTransactionsWrite}}
	historians     = access{scopes: []ledger.Scope{ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite}}
)

// check says why a key may not make the request; nil where it may.
func (a access) check(key *ledger.Key) error {
	if a.operatorOnly && key.Account != ledger.Operator {
		return ledger.Errorf(ledger.Forbidden, "this is for the operator's keys")
	}
	var names []string
	for _, scope := range a.scopes {
		if key.Allows(scope) {
			return nil
		}
		if scope != ledger.ScopeAdmin || key.Account == ledger.Operator { // no customer can have it
			names = append(names, string(scope))
		}
	}
	return ledger.Errorf(ledger.Forbidden, "the key lacks the scope %s", strings.Join(names, " or "))
}

// serve answers a request: by handle where the caller may make it, and with the
// error of whatever failed otherwise. A handler that has begun its reply
// returns nil.
func (s *server) serve(w http.ResponseWriter, r *http.Request, who access, handle func(key *ledger.Key) error) {
	key, err := s.authenticate(w, r)
	if err == nil {
		err = who.check(key)
	}
	if err == nil {
		err = checkQuery(r)
	}
	if err == nil {
		err = handle(key)
	}
	if err != nil {
		s.fail(w, r, err)
	}
}

// authenticate finds the key of a request.
func (s *server) authenticate(w http.ResponseWriter, r *http.Request) (*ledger.Key, error) {
	credentials, err := credentialsOf(r)
	if err != nil {
		return nil, err
	}
	return s.gate.Identify(w, r, credentials)
}

// credentialsOf reads the credentials of a request from either form of the header.
func credentialsOf(r *http.Request) (ledger.Credentials, error) {
	var credentials ledger.Credentials
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		credentials.Secret = strings.TrimSpace(token)
	} else {
		credentials.ID, credentials.Secret, _ = r.BasicAuth()
	}
	if credentials.Secret == "" || len(credentials.AuthSecret()) > ledger.MaxAuthSecret {
		return credentials, ledger.Errorf(ledger.Unauthorized, "the request shows no usable credentials").
			WithHint("send Authorization: Bearer <id><secret>, or Basic with id and secret")
	}
	return credentials, nil
}

// mayKnow lets the operator know of every account, and a customer of its own
// alone: to a customer, another account does not exist.
func mayKnow(key *ledger.Key, account ledger.AccountID) error {
	if account < 1 || key.Account != ledger.Operator && key.Account != account {
		return ledger.Errorf(ledger.NotFound, "there is no account %d", account)
	}
	return nil
}
