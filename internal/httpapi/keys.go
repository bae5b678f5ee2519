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
	s.createKey(w, r, func(key *ledger.Key) (ledger.AccountID, error) { return keyOwner(key, account) })
}

// CreateOperatorKey answers POST /v1/keys.
func (s *server) CreateOperatorKey(w http.ResponseWriter, r *http.Request) {
	s.createKey(w, r, theOperator)
}

// keyOwner is the account of a path whose keys a request is about. 0 must not
// get further: it would mean the operator.
func keyOwner(key *ledger.Key, account api.AccountPath) (ledger.AccountID, error) {
	id := ledger.AccountID(account)
	return id, mayKnow(key, id)
}

func theOperator(*ledger.Key) (ledger.AccountID, error) { return ledger.Operator, nil }

// createKey makes a key for an account or for the operator. The two requests
// have the same members.
func (s *server) createKey(w http.ResponseWriter, r *http.Request, ownerOf func(*ledger.Key) (ledger.AccountID, error)) {
	s.serve(w, r, administrators, func(caller *ledger.Key) error {
		owner, err := ownerOf(caller)
		if err != nil {
			return err
		}
		body, err := decode[api.KeyRequest](w, r)
		if err != nil {
			return err
		}
		key, credentials, err := newKey(owner, body, s.engine.Now())
		if err != nil {
			return err
		}
		if err := key.Validate(); err != nil { // a misspelt scope is not one that the caller lacks
			return err
		}
		for _, scope := range key.Scopes {
			if !caller.Allows(scope) {
				return ledger.Errorf(ledger.Forbidden, "a key can grant only scopes that it has")
			}
		}
		created, err := s.engine.CreateKey(r.Context(), key, credentials)
		if err != nil {
			return err
		}
		shown := s.showKey(created, "")
		return reply(w, http.StatusCreated, api.NewKey{
			ID:              shown.ID,
			Secret:          credentials.Secret,
			AuthSecret:      credentials.AuthSecret(),
			Account:         shown.Account,
			Scopes:          shown.Scopes,
			AllowList:       shown.AllowList,
			Last4:           shown.Last4,
			Status:          shown.Status,
			ExpiresAt:       shown.ExpiresAt,
			CreatedAt:       shown.CreatedAt,
			DailySpendCap:   shown.DailySpendCap,
			MonthlySpendCap: shown.MonthlySpendCap,
		})
	})
}

// newKey reads a key from its request, and makes credentials unless an
// existing pair is imported.
func newKey(owner ledger.AccountID, body *api.KeyRequest, now time.Time) (ledger.Key, ledger.Credentials, error) {
	key := ledger.Key{Account: owner, Scopes: convert[ledger.Scope](body.Scopes)}
	credentials := ledger.Credentials{ID: body.ID, Secret: body.Secret}
	switch {
	case body.ID == "" && body.Secret == "":
		credentials = engine.GenerateCredentials()
	case body.ID == "" || body.Secret == "":
		return key, credentials, ledger.Errorf(ledger.InvalidRequest, "id and secret come together, or neither").
			WithHint("leave both out for a new pair")
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
		if err != nil || !expires.After(now) {
			return key, credentials, ledger.Errorf(ledger.InvalidRequest, "expires_at must be an RFC 3339 time in the future").
				WithHint("such as 2027-01-31T00:00:00Z")
		}
		key.ExpiresAt = expires
	}
	change, err := capsChange(body.DailySpendCap, body.MonthlySpendCap)
	if err != nil {
		return key, credentials, err
	}
	change(&key.Caps)
	return key, credentials, nil
}

// capsChange reads what a request changes of spend caps.
func capsChange(daily, monthly *string) (func(*ledger.Caps), error) {
	var read amounts
	newDaily, newMonthly := read.amount("daily_spend_cap", daily), read.amount("monthly_spend_cap", monthly)
	return func(caps *ledger.Caps) {
		if newDaily != nil {
			caps.Daily = *newDaily
		}
		if newMonthly != nil {
			caps.Monthly = *newMonthly
		}
	}, read.err
}

// errNoKey is what is said of a name that is no text, and so of no key.
var errNoKey = ledger.Errorf(ledger.NotFound, "there is no key with this id")

// PatchKey answers PATCH /v1/keys/{key}.
func (s *server) PatchKey(w http.ResponseWriter, r *http.Request, id api.KeyID) {
	s.serve(w, r, administrators, func(*ledger.Key) error {
		if !ledger.Storable(id) {
			return errNoKey
		}
		body, err := decode[api.KeyPatch](w, r)
		if err != nil {
			return err
		}
		change, err := capsChange(body.DailySpendCap, body.MonthlySpendCap)
		if err != nil {
			return err
		}
		key, err := s.engine.SetKeyCaps(r.Context(), id, change)
		if err != nil {
			return err
		}
		zone, err := s.zoneOf(r, key.Account)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, s.showKey(key, zone))
	})
}

// zoneOf is the time zone in which the days of an owner's keys begin.
func (s *server) zoneOf(r *http.Request, owner ledger.AccountID) (string, error) {
	if owner == ledger.Operator {
		return "", nil
	}
	holder, err := s.engine.Holder(r.Context(), owner)
	if err != nil {
		return "", err
	}
	return holder.TimeZone, nil
}

// ListAccountKeys answers GET /v1/accounts/{account}/keys.
func (s *server) ListAccountKeys(w http.ResponseWriter, r *http.Request, account api.AccountPath, params api.ListAccountKeysParams) {
	s.listKeys(w, r, func(key *ledger.Key) (ledger.AccountID, error) { return keyOwner(key, account) }, params.Limit, params.Cursor)
}

// ListOperatorKeys answers GET /v1/keys.
func (s *server) ListOperatorKeys(w http.ResponseWriter, r *http.Request, params api.ListOperatorKeysParams) {
	s.listKeys(w, r, theOperator, params.Limit, params.Cursor)
}

func (s *server) listKeys(w http.ResponseWriter, r *http.Request, ownerOf func(*ledger.Key) (ledger.AccountID, error), limit *int, cursor *string) {
	s.serve(w, r, administrators, func(caller *ledger.Key) error {
		owner, err := ownerOf(caller)
		if err != nil {
			return err
		}
		size, after, err := pageOf(limit, cursor)
		if err != nil {
			return err
		}
		zone, err := s.zoneOf(r, owner)
		if err != nil {
			return err
		}
		keys, err := s.engine.Keys(r.Context(), owner, after, size+1)
		if err != nil {
			return err
		}
		var page api.KeyPage
		page.Items, page.NextCursor = pageItems(keys, size,
			func(key *ledger.Key) api.Key { return s.showKey(key, zone) },
			func(key *ledger.Key) string { return cursorAt(key.ID) })
		return reply(w, http.StatusOK, page)
	})
}

// RevokeKey answers DELETE /v1/keys/{key}. A key cannot revoke itself, so that
// nobody shuts themselves out by one slip.
func (s *server) RevokeKey(w http.ResponseWriter, r *http.Request, id api.KeyID) {
	s.serve(w, r, administrators, func(caller *ledger.Key) error {
		if caller.ID == id {
			return ledger.Errorf(ledger.Conflict, "a key cannot revoke itself").WithHint("use another operator's key")
		}
		if !ledger.Storable(id) {
			return errNoKey
		}
		if err := s.engine.RevokeKey(r.Context(), id); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}
