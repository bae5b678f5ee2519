package httpapi

import (
	"net/http"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// CreateAccountKey answers POST /v1/accounts/{account}/keys.
func (s *server) CreateAccountKey(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	if account < 1 {
		s.failNoAccount(w, r, account)
		return
	}
	s.createKey(w, r, ledger.AccountID(account))
}

// failNoAccount answers a request about the keys of an account that cannot
// exist. 0 must not get further: it would mean the operator.
func (s *server) failNoAccount(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	_, err := s.operator(w, r, ledger.ScopeAdmin)
	if err == nil {
		err = ledger.Errorf(ledger.NotFound, "there is no account %d", account)
	}
	s.fail(w, r, err)
}

// CreateOperatorKey answers POST /v1/keys.
func (s *server) CreateOperatorKey(w http.ResponseWriter, r *http.Request) {
	s.createKey(w, r, ledger.Operator)
}

// createKey makes a key for an account or for the operator. The two requests
// have the same members.
func (s *server) createKey(w http.ResponseWriter, r *http.Request, owner ledger.AccountID) {
	caller, err := s.operator(w, r, ledger.ScopeAdmin)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var body api.KeyRequest
	if err := decode(w, r, &body); err != nil {
		s.fail(w, r, err)
		return
	}
	key, credentials, err := newKey(owner, &body)
	if err == nil {
		err = key.Validate() // a misspelt scope is not one that the caller lacks
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for _, scope := range key.Scopes {
		if !caller.Allows(scope) {
			s.fail(w, r, ledger.Errorf(ledger.Forbidden, "a key can grant only scopes that it has"))
			return
		}
	}
	created, err := s.engine.CreateKey(r.Context(), key, credentials)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	shown := showKey(created)
	reply(w, http.StatusCreated, api.NewKey{
		ID:         shown.ID,
		Secret:     credentials.Secret,
		AuthSecret: credentials.AuthSecret(),
		Account:    shown.Account,
		Scopes:     shown.Scopes,
		AllowList:  shown.AllowList,
		Last4:      shown.Last4,
		Status:     shown.Status,
		ExpiresAt:  shown.ExpiresAt,
		CreatedAt:  shown.CreatedAt,
	})
}

// newKey reads a key from its request, and makes credentials unless an
// existing pair is imported.
func newKey(owner ledger.AccountID, body *api.KeyRequest) (ledger.Key, ledger.Credentials, error) {
	key := ledger.Key{Account: owner}
	credentials := ledger.Credentials{ID: body.ID, Secret: body.Secret}
	switch {
	case body.ID == "" && body.Secret == "":
		credentials = engine.GenerateCredentials()
	case body.ID == "" || body.Secret == "":
		return key, credentials, ledger.Errorf(ledger.InvalidRequest, "id and secret come together, or neither").
			WithHint("leave both out for a new pair")
	}
	for _, scope := range body.Scopes {
		key.Scopes = append(key.Scopes, ledger.Scope(scope))
	}
	if len(key.Scopes) == 0 && owner != ledger.Operator {
		key.Scopes = []ledger.Scope{ledger.ScopeBalanceRead}
	}
	for _, text := range body.AllowList {
		network, err := ParseNetwork(text)
		if err != nil {
			return key, credentials, ledger.Errorf(ledger.InvalidRequest, "allow_list: not a network or address").
				WithHint("write 203.0.113.0/24, 203.0.113.7 or 2001:db8::/32")
		}
		key.AllowList = append(key.AllowList, network)
	}
	if body.ExpiresAt != "" {
		expires, err := time.Parse(time.RFC3339Nano, body.ExpiresAt)
		if err != nil || !expires.After(time.Now()) {
			return key, credentials, ledger.Errorf(ledger.InvalidRequest, "expires_at must be an RFC 3339 time in the future").
				WithHint("such as 2027-01-31T00:00:00Z")
		}
		key.ExpiresAt = expires
	}
	return key, credentials, nil
}

// ListAccountKeys answers GET /v1/accounts/{account}/keys.
func (s *server) ListAccountKeys(w http.ResponseWriter, r *http.Request, account api.AccountPath, params api.ListAccountKeysParams) {
	if account < 1 {
		s.failNoAccount(w, r, account)
		return
	}
	s.listKeys(w, r, ledger.AccountID(account), params.Limit, params.Cursor)
}

// ListOperatorKeys answers GET /v1/keys.
func (s *server) ListOperatorKeys(w http.ResponseWriter, r *http.Request, params api.ListOperatorKeysParams) {
	s.listKeys(w, r, ledger.Operator, params.Limit, params.Cursor)
}

func (s *server) listKeys(w http.ResponseWriter, r *http.Request, owner ledger.AccountID, limitParam *int, cursor *string) {
	if _, err := s.operator(w, r, ledger.ScopeAdmin); err != nil {
		s.fail(w, r, err)
		return
	}
	limit, after, err := pageOf(limitParam, cursor)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	keys, err := s.engine.Keys(r.Context(), owner, after, limit+1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := api.KeyPage{Items: []api.Key{}}
	for i, key := range keys {
		if i == limit {
			page.NextCursor = cursorAt(keys[limit-1].ID)
			break
		}
		page.Items = append(page.Items, showKey(key))
	}
	reply(w, http.StatusOK, page)
}

// RevokeKey answers DELETE /v1/keys/{key}. A key cannot revoke itself, so that
// nobody shuts themselves out by one slip.
func (s *server) RevokeKey(w http.ResponseWriter, r *http.Request, id api.KeyID) {
	caller, err := s.operator(w, r, ledger.ScopeAdmin)
	if err == nil && caller.ID == id {
		err = ledger.Errorf(ledger.Conflict, "a key cannot revoke itself").WithHint("use another operator's key")
	}
	if err == nil {
		err = s.engine.RevokeKey(r.Context(), id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
