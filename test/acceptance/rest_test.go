package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

func decodeJSON(text string, into any) error { return json.Unmarshal([]byte(text), into) }

// rest is a world whose every REST exchange is held against the contract.
type rest struct {
	*world

	t      *testing.T // of the whole, which outlives its parts
	judged *judged
	keys   map[string]string // values of the header Authorization, by who it is
	ids    map[string]string // of transactions, by their idempotency keys
}

func newREST(t *testing.T, store saldotest.Store, args ...string) *rest {
	t.Helper()
	r := &rest{world: newWorld(t, store, args...), t: t, ids: map[string]string{}}
	r.watch()
	r.keys = map[string]string{"operator": "Bearer " + r.key, "nobody": "", "stranger": "Bearer " + saldotest.Secret}
	return r
}

func (r *rest) watch() {
	r.t.Helper()
	r.judged = newJudged(r.t, r.Server)
	r.operator = r.Client(r.key, client.WithTransport(r.judged))
}

// send makes a request as one of the keys.
func (r *rest) send(t *testing.T, as, method, path, body string, headers ...string) saldotest.Reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	authorization, ok := r.keys[as]
	if !ok {
		t.Fatalf("there is no key of %s", as)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	reply, err := saldotest.Exchange(r.judged, request)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// step is a request and what its reply must have. In a path, a body and what the
// reply must have, an idempotency key in braces stands for the id of the
// transaction that an earlier step, or this one, has posted with it.
type step struct {
	as, method, path, body string
	status                 int
	has                    string // in the body; for a failure the code alone
}

// split takes the idempotency key off a path, where it stands behind a #.
func (s step) split() (path string, headers []string) {
	path, key, named := strings.Cut(s.path, "#")
	if named {
		headers = []string{"Idempotency-Key", key}
	}
	return path, headers
}

var braced = regexp.MustCompile(`\{[a-z][a-z0-9-]*\}`)

// fill puts ids in the place of idempotency keys in braces.
func (r *rest) fill(t *testing.T, text string) string {
	t.Helper()
	return braced.ReplaceAllStringFunc(text, func(name string) string {
		id, ok := r.ids[name[1:len(name)-1]]
		if !ok {
			t.Fatalf("there is no transaction %s", name)
		}
		return id
	})
}

// remember keeps the id of the transaction that a reply is about, posted or rejected.
func (r *rest) remember(t *testing.T, key string, reply saldotest.Reply) {
	t.Helper()
	var about struct{ ID, Transaction string }
	if err := decodeJSON(reply.Body, &about); err != nil {
		t.Fatalf("%v: %+v", err, reply)
	}
	if id := about.ID + about.Transaction; id != "" {
		r.ids[key] = id
	}
}

// walk takes the steps in turn.
func (r *rest) walk(t *testing.T, steps []step) {
	t.Helper()
	for _, s := range steps {
		path, headers := s.split()
		reply := r.send(t, s.as, s.method, r.fill(t, path), r.fill(t, s.body), headers...)
		if headers != nil {
			r.remember(t, headers[1], reply)
		}
		has := r.fill(t, s.has)
		if s.status >= 400 {
			has = `"code":"` + s.has + `"`
		}
		if reply.Status != s.status || !strings.Contains(reply.Body, has) {
			t.Errorf("%s: %s %s %s\ngot  %d %s\nwant %d %s", s.as, s.method, s.path, clip(s.body), reply.Status, clip(reply.Body), s.status, has)
		}
		if s.status == http.StatusUnauthorized && reply.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: there is no WWW-Authenticate", s.path)
		}
	}
}

// signIn makes a key of the account, of the operator for 0, and remembers it under a name.
func (r *rest) signIn(t *testing.T, name string, account api.AccountID, scopes ...api.Scope) api.NewKey {
	t.Helper()
	var key api.NewKey
	var err error
	if account == 0 {
		key, err = r.operator.CreateOperatorKey(t.Context(), api.OperatorKeyRequest{Scopes: scopes})
	} else {
		key, err = r.operator.CreateKey(t.Context(), account, api.KeyRequest{Scopes: scopes})
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Hide(key.Secret)
	r.keys[name] = "Bearer " + key.AuthSecret
	return key
}

// TestREST exercises every operation of the contract, and holds every exchange against it.
func TestREST(t *testing.T) { saldotest.OnEachStore(t, testREST) }

func testREST(t *testing.T, store saldotest.Store) {
	t.Helper()
	file, secret := oneUpstream(t)
	r := newREST(t, store, "--upstreams", file)
	r.Hide(secret)
	t.Run("upstreams", r.testUpstreams)
	t.Run("accounts", r.testAccounts)
	t.Run("wallets", r.testWallets)
	t.Run("keys", r.testKeys)
	t.Run("scopes", r.testScopes)
	t.Run("transactions", r.testTransactions)
	t.Run("customers", r.testCustomers)
	t.Run("pages", r.testPages)
	t.Run("holds", r.testHolds)
	t.Run("batches", r.testBatches)
	t.Run("statements", r.testStatements)
	t.Run("settings", r.testSettings)
	t.Run("find", r.testFind)
	t.Run("reports", r.testReports)
	t.Run("service", r.testService)
	t.Run("unmatched", r.testUnmatched)
	if missing := r.judged.missing(); len(missing) > 0 {
		t.Errorf("no request succeeded at %s", strings.Join(missing, ", "))
	}
	if unseen := r.judged.unseen(); len(unseen) > 0 {
		t.Errorf("no reply has the codes %v", unseen)
	}
	r.Stop()
	saldotest.Verify(t, r.db)
}

func (r *rest) testAccounts(t *testing.T) {
	long := strings.Repeat("ü", 101)
	r.walk(t, []step{
		{
			"operator", "POST", "/v1/accounts", `{"name":"Lotus Travel","currency":"CNY","id":1042,"external_reference":"crm-77","metadata":{"tier":"gold"}}`, 201,
			`{"id":1042,"name":"Lotus Travel","currency":"CNY","status":"active","external_reference":"crm-77","metadata":{"tier":"gold"},"time_zone":"UTC","charge_on":["DELIVRD","ACCEPTD"],"wallets":[` +
				`{"account":1042,"wallet":"sms","currency":"CNY","balance":"0","held":"0","credit_limit":"0","available":"0","version":0,"status":"active","spent_today":"0","spent_this_month":"0"},` +
				`{"account":1042,"wallet":"voip","currency":"CNY","balance":"0","held":"0","credit_limit":"0","available":"0","version":0,"status":"active","spent_today":"0","spent_this_month":"0"}],"created_at":"20`,
		},
		{"operator", "POST", "/v1/accounts", `{"name":"Lotus Travel","currency":"CNY","id":1042}`, 409, "conflict"},
		{"operator", "POST", "/v1/accounts", `{"name":"Lotus Travel","currency":"CNY","external_reference":"crm-77"}`, 409, "conflict"},
		{"operator", "POST", "/v1/accounts", `{"name":"花","currency":"VND"}`, 201, `"name":"花","currency":"VND"`},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY","balance":"5"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"currency":"CNY"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"yuan"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"` + long + `","currency":"CNY"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"a\nb","currency":"CNY"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY","id":-1}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY","id":2147483648}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY","id":"7"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY","metadata":{"a":1}}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", ``, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `[]`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"x","currency":"CNY"}{}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts", `{"name":"` + strings.Repeat("x", 64<<10) + `","currency":"CNY"}`, 413, "request_too_large"},
		{"nobody", "POST", "/v1/accounts", `{"name":"x","currency":"CNY"}`, 401, "unauthorized"},
		{"stranger", "POST", "/v1/accounts", `{"name":"x","currency":"CNY"}`, 401, "unauthorized"},
		{"operator", "GET", "/v1/accounts/1042", ``, 200, `"id":1042`},
		{"operator", "GET", "/v1/accounts/7", ``, 404, "not_found"},
		{"operator", "GET", "/v1/accounts/x", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/accounts/4294968338", ``, 400, "invalid_request"}, // 1042 in its last 32 bits
		{"nobody", "GET", "/v1/accounts/1042", ``, 401, "unauthorized"},
		{"operator", "PATCH", "/v1/accounts/1042", `{"status":"suspended"}`, 200, `"status":"suspended","external_reference":"crm-77","metadata":{"tier":"gold"}`},
		{"operator", "PATCH", "/v1/accounts/1042", `{"name":"Lotus","metadata":{"south":"1"}}`, 200, `"name":"Lotus","currency":"CNY","status":"suspended","external_reference":"crm-77","metadata":{"south":"1"}`},
		{"operator", "PATCH", "/v1/accounts/1042", `{"external_reference":"","metadata":{},"status":"active"}`, 200, `"status":"active","time_zone":"UTC","charge_on":["DELIVRD","ACCEPTD"],"wallets"`},
		{"operator", "PATCH", "/v1/accounts/1042", `{}`, 200, `"name":"Lotus","currency":"CNY","status":"active","time_zone":"UTC","charge_on":["DELIVRD","ACCEPTD"],"wallets"`},
		{"operator", "PATCH", "/v1/accounts/1042", `{"currency":"USD"}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/accounts/1042", `{"status":"gone"}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/accounts/1042", `{"name":""}`, 400, "invalid_request"},
		{"operator", "PATCH", "/v1/accounts/7", `{"name":"x"}`, 404, "not_found"},
		{"operator", "POST", "/v1/accounts", `{"name":"Taken","currency":"USD","external_reference":"crm-78"}`, 201, `"crm-78"`},
		{"operator", "PATCH", "/v1/accounts/1042", `{"external_reference":"crm-78"}`, 409, "conflict"},
	})
	reply := r.send(t, "operator", "POST", "/v1/accounts", `{"name":"Located","currency":"CNY"}`)
	if location := reply.Header.Get("Location"); r.send(t, "operator", "GET", location, "").Body != reply.Body {
		t.Errorf("%s is not the new account", location)
	}
}

func (r *rest) testWallets(t *testing.T) {
	r.walk(t, []step{
		{
			"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"100.5"}`, 200,
			`{"account":1042,"wallet":"sms","currency":"CNY","balance":"0","held":"0","credit_limit":"100.5","available":"100.5","version":0,"status":"active","spent_today":"0","spent_this_month":"0"}`,
		},
		{"operator", "PUT", "/v1/accounts/1042/wallets/rcs", `{"credit_limit":"0"}`, 201, `"wallet":"rcs"`},
		{"operator", "PUT", "/v1/accounts/1042/wallets/rcs", `{"credit_limit":"1"}`, 200, `"credit_limit":"1"`},
		{"operator", "GET", "/v1/accounts/1042/wallets/rcs", ``, 200, `"credit_limit":"1","available":"1"`},
		{"operator", "GET", "/v1/accounts/1042/wallets/fax", ``, 404, "not_found"},
		{"operator", "GET", "/v1/accounts/7/wallets/sms", ``, 404, "not_found"},
		{"operator", "PUT", "/v1/accounts/7/wallets/sms", `{"credit_limit":"1"}`, 404, "not_found"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/SMS", `{"credit_limit":"1"}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":100.5}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"-1"}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"1e3"}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"0.0000001"}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{"limit":"1"}`, 400, "invalid_request"},
		{"operator", "PUT", "/v1/accounts/1042/wallets/sms", `{}`, 400, "invalid_request"},
		{"nobody", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"1"}`, 401, "unauthorized"},
	})
	for i := range 29 {
		r.walk(t, []step{{"operator", "PUT", fmt.Sprintf("/v1/accounts/1042/wallets/w%d", i), `{"credit_limit":"0"}`, 201, `"balance":"0"`}})
	}
	r.walk(t, []step{{"operator", "PUT", "/v1/accounts/1042/wallets/one-more", `{"credit_limit":"0"}`, 400, "invalid_request"}})
}

func (r *rest) testKeys(t *testing.T) {
	const odd = `a/b%c?d#e&f+g"h`
	r.walk(t, []step{
		{"operator", "POST", "/v1/accounts/1042/keys", `{}`, 201, `"account":1042,"scopes":["balance:read"],"allow_list":[]`},
		{
			"operator", "POST", "/v1/accounts/1042/keys", `{"id":"OLD","secret":"S3CR3T-0123456789","allow_list":["203.0.113.9","2001:DB8::1/32"],"expires_at":"2099-01-31T01:00:00+01:00"}`, 201,
			`{"id":"OLD","secret":"S3CR3T-0123456789","auth_secret":"OLDS3CR3T-0123456789","account":1042,"scopes":["balance:read"],"allow_list":["203.0.113.9/32","2001:db8::/32"],"expires_at":"2099-01-31T00:00:00.000000Z","last4":"6789","status":"active","created_at":"20`,
		},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"OLD","secret":"S3CR3T-other"}`, 409, "conflict"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"OL","secret":"DS3CR3T-0123456789"}`, 409, "conflict"}, // the same authSecret
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"NEW"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"secret":"S3CR3T"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"a:b","secret":"S3CR3T"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"NEW","secret":"S3CR3T ` + `with space"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"scopes":["admin"]}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"scopes":["balance:read","balance:read"]}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"allow_list":["everywhere"]}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"expires_at":"2001-01-31T00:00:00Z"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"expires_at":"tomorrow"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/1042/keys", `{"account":7}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/accounts/7/keys", `{}`, 404, "not_found"},
		{"operator", "POST", "/v1/accounts/0/keys", `{"scopes":["admin"]}`, 404, "not_found"}, // 0 would be the operator
		{"operator", "GET", "/v1/accounts/0/keys", ``, 404, "not_found"},
		{"operator", "GET", "/v1/accounts/7/keys", ``, 404, "not_found"},
		{"nobody", "POST", "/v1/accounts/1042/keys", `{}`, 401, "unauthorized"},
		{"nobody", "GET", "/v1/accounts/1042/keys", ``, 401, "unauthorized"},
		{"operator", "POST", "/v1/keys", `{"scopes":["transactions:write"]}`, 201, `"scopes":["transactions:write"]`},
		{"operator", "POST", "/v1/keys", `{}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/keys", `{"scopes":["root"]}`, 400, "invalid_request"},
		{"operator", "GET", "/v1/keys", ``, 200, `"last4":"`},
		{"operator", "GET", "/v1/accounts/1042/keys", ``, 200, `{"id":"OLD","account":1042,"scopes":["balance:read"],"allow_list":["203.0.113.9/32","2001:db8::/32"],"last4":"6789","status":"active","expires_at":"2099-01-31T00:00:00.000000Z"`},
		{"operator", "POST", "/v1/accounts/1042/keys", fmt.Sprintf(`{"id":%q,"secret":"S3CR3T"}`, odd), 201, `"last4":""`}, // of a short secret
		{"operator", "DELETE", "/v1/keys/" + url.PathEscape(odd), ``, 204, ``},
		{"operator", "DELETE", "/v1/keys/OLD", ``, 204, ``},
		{"operator", "DELETE", "/v1/keys/OLD", ``, 204, ``},
		{"operator", "GET", "/v1/accounts/1042/keys", ``, 200, `"last4":"6789","status":"revoked","expires_at":"2099-01-31T00:00:00.000000Z","revoked_at":"20`},
		{"operator", "DELETE", "/v1/keys/NONE", ``, 404, "not_found"},
		{"nobody", "DELETE", "/v1/keys/OLD", ``, 401, "unauthorized"},
	})
	r.keys["far"] = "Bearer FARS3CR3T-0123456789"
	r.walk(t, []step{
		{"operator", "POST", "/v1/accounts/1042/keys", `{"id":"FAR","secret":"S3CR3T-0123456789","allow_list":["203.0.113.9"]}`, 201, `"id":"FAR"`},
		{"far", "GET", "/v1/balance", ``, 403, "ip_denied"},
	})
	for key, err := range r.operator.OperatorKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(r.key, key.ID) {
			r.walk(t, []step{{"operator", "DELETE", "/v1/keys/" + key.ID, ``, 409, "conflict"}}) // itself
		}
	}
	if reply := r.send(t, "operator", "GET", "/v1/accounts/1042/keys", ""); strings.Contains(reply.Body, "S3CR3T") {
		t.Errorf("a list of keys has a secret: %s", reply.Body)
	}
}

func (r *rest) testScopes(t *testing.T) {
	key := r.signIn(t, "admin", 0, api.ScopeAdmin)
	r.signIn(t, "reader", 0, api.ScopeBalanceRead)
	r.signIn(t, "writer", 0, api.ScopeTransactionsWrite)
	const topup = `{"account":1042,"wallet":"sms","type":"topup","amount":"1"}`
	r.walk(t, []step{
		// A key can grant only scopes that it has.
		{"admin", "POST", "/v1/keys", `{"scopes":["admin"]}`, 201, `"scopes":["admin"]`},
		{"admin", "POST", "/v1/keys", `{"scopes":["admin","transactions:write"]}`, 403, "forbidden"},
		{"admin", "POST", "/v1/keys", `{"scopes":["balance:read"]}`, 403, "forbidden"},
		{"admin", "POST", "/v1/accounts/1042/keys", `{}`, 403, "forbidden"},
		{"admin", "POST", "/v1/accounts/1042/keys", `{"scopes":["transactions:write"]}`, 403, "forbidden"},
		// Each scope is for itself.
		{"admin", "GET", "/v1/accounts", ``, 200, `"items"`},
		{"admin", "GET", "/v1/accounts/1042", ``, 200, `"id":1042`},
		{"admin", "POST", "/v1/transactions#s1", topup, 403, "forbidden"},
		{"admin", "GET", "/v1/transactions/5c146b14-3c52-8afd-938a-375d0df1fbf6", ``, 403, "forbidden"},
		{"reader", "GET", "/v1/accounts", ``, 200, `"items"`},
		{"reader", "GET", "/v1/accounts/1042", ``, 200, `"id":1042`},
		{"reader", "GET", "/v1/accounts/1042/wallets/sms", ``, 200, `"wallet":"sms"`},
		{"reader", "GET", "/v1/transactions/5c146b14-3c52-8afd-938a-375d0df1fbf6", ``, 404, "not_found"},
		{"reader", "GET", "/v1/balance", ``, 403, "forbidden"},
		{"reader", "POST", "/v1/transactions#s2", topup, 403, "forbidden"},
		{"reader", "POST", "/v1/accounts", `{"name":"x","currency":"CNY"}`, 403, "forbidden"},
		{"reader", "PATCH", "/v1/accounts/1042", `{}`, 403, "forbidden"},
		{"reader", "PUT", "/v1/accounts/1042/wallets/sms", `{"credit_limit":"1"}`, 403, "forbidden"},
		{"reader", "POST", "/v1/accounts/1042/keys", `{}`, 403, "forbidden"},
		{"reader", "GET", "/v1/accounts/1042/keys", ``, 403, "forbidden"},
		{"reader", "POST", "/v1/keys", `{"scopes":["balance:read"]}`, 403, "forbidden"},
		{"reader", "GET", "/v1/keys", ``, 403, "forbidden"},
		{"reader", "DELETE", "/v1/keys/" + key.ID, ``, 403, "forbidden"},
		{"writer", "POST", "/v1/transactions#s3", topup, 201, `"status":"posted"`},
		{"writer", "GET", "/v1/accounts", ``, 403, "forbidden"},
		{"writer", "GET", "/v1/accounts/1042", ``, 403, "forbidden"},
		{"operator", "DELETE", "/v1/keys/" + key.ID, ``, 204, ``},
		{"admin", "GET", "/v1/accounts", ``, 401, "unauthorized"},
	})
}

func (r *rest) testTransactions(t *testing.T) {
	a := r.account(t, api.AccountRequest{ID: 1, Name: "A", Currency: "CNY"}, nil)
	b := r.account(t, api.AccountRequest{ID: 2, Name: "B", Currency: "CNY"}, nil)
	r.account(t, api.AccountRequest{ID: 3, Name: "C", Currency: "VND"}, nil)
	move := func(kind, amount, rest string) string {
		return fmt.Sprintf(`{"account":1,"wallet":"sms","type":%q,"amount":%q%s}`, kind, amount, rest)
	}
	r.walk(t, []step{
		{"operator", "POST", "/v1/transactions#t1", move("topup", "500", `,"metadata":{"invoice":"2026-118"}`), 201, `"type":"topup","account":1,"wallet":"sms","amount":"500","balance":"500","held":"0","available":"500","metadata":{"invoice":"2026-118"},"created_at":"20`},
		{"operator", "POST", "/v1/transactions#t2", move("charge", "0.0383", `,"reference":"msg-17"`), 201, `"amount":"0.0383","balance":"499.9617","held":"0","available":"499.9617","reference":"msg-17"`},
		{"operator", "POST", "/v1/transactions#t3", move("refund", "0.0383000", `,"charge":"{t2}"`), 201, `"type":"refund","account":1,"wallet":"sms","amount":"0.0383","balance":"500"`},
		{"operator", "POST", "/v1/transactions#t4", move("adjustment", "-0.000001", ``), 201, `"amount":"-0.000001","balance":"499.999999"`},
		{"operator", "POST", "/v1/transactions#t5", move("transfer", "20", `,"to_account":2`), 201, `"to_account":2,"to_wallet":"sms","amount":"20","balance":"479.999999"`},
		{"operator", "POST", "/v1/transactions#t6", move("transfer", "20", `,"to_account":1,"to_wallet":"voip"`), 201, `"balance":"459.999999"`},
		{"operator", "POST", "/v1/transactions#t7", move("refund", "0.000001", `,"charge":"{t2}"`), 422, "refund_exceeds_charge"},
		{"operator", "POST", "/v1/transactions#t8", move("refund", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#t9", move("refund", "1", `,"charge":"{t1}"`), 409, "conflict"},
		// Replays and reuse of keys.
		{"operator", "POST", "/v1/transactions#t2", move("charge", "0.0384", `,"reference":"msg-17"`), 422, "idempotency_key_reused"},
		{"operator", "POST", "/v1/transactions#t2", move("charge", "0.0383", ``), 422, "idempotency_key_reused"},
		// Rejections.
		{"operator", "POST", "/v1/transactions#r1", move("charge", "460", ``), 402, "insufficient_funds"},
		{"operator", "POST", "/v1/transactions#r2", move("transfer", "1", `,"to_account":3`), 422, "currency_mismatch"},
		{"operator", "POST", "/v1/transactions#r3", move("topup", "9223372036854.775807", ``), 422, "amount_out_of_range"},
		{"operator", "POST", "/v1/transactions#r4", move("topup", "9223372036854.775808", ``), 400, "invalid_request"},
		// What is wrong whatever the ledger holds.
		{"operator", "POST", "/v1/transactions#w1", `{"account":1,"wallet":"sms","type":"charge","amount":0.0383}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w2", move("charge", "0", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w3", move("charge", "-1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w4", move("charge", "1,5", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w5", move("charge", "0.0000001", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w6", move("charge", "", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w7", move("gift", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w8", move("charge", "1", `,"total":"2"`), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w9", move("charge", "1", `,"to_account":2`), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w10", move("transfer", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w11", move("transfer", "1", `,"to_account":1`), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w12", move("charge", "1", `,"reference":"`+strings.Repeat("x", 201)+`"`), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w13", `{"wallet":"sms","type":"charge","amount":"1"}`, 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions", move("charge", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#" + strings.Repeat("x", 256), move("charge", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#two words", move("charge", "1", ``), 400, "invalid_request"},
		{"operator", "POST", "/v1/transactions#w14", move("charge", "1", `,"metadata":{"x":"`+strings.Repeat("x", 64<<10)+`"}`), 413, "request_too_large"},
		{"operator", "POST", "/v1/transactions#w15", `{"account":9,"wallet":"sms","type":"charge","amount":"1"}`, 404, "not_found"},
		{"operator", "POST", "/v1/transactions#w16", `{"account":1,"wallet":"fax","type":"charge","amount":"1"}`, 404, "not_found"},
		{"nobody", "POST", "/v1/transactions#w17", move("charge", "1", ``), 401, "unauthorized"},
		// None of these was remembered.
		{"operator", "POST", "/v1/transactions#w1", move("charge", "1", ``), 201, `"balance":"458.999999"`},
		{"operator", "POST", "/v1/transactions#w15", move("charge", "1", ``), 201, `"balance":"457.999999"`},
		{"operator", "GET", "/v1/accounts/1", ``, 200, `"wallet":"sms","currency":"CNY","balance":"457.999999","held":"0","credit_limit":"0","available":"457.999999","version":8,"status":"active","spent_today":"`},
		{"operator", "GET", "/v1/accounts/1/wallets/voip", ``, 200, `"balance":"20"`},
		{"operator", "GET", "/v1/accounts/2/wallets/sms", ``, 200, `"balance":"20"`},
		{"operator", "GET", "/v1/transactions/5c146b14-3c52-8afd-938a-375d0df1fbf6", ``, 404, "not_found"},
		{"operator", "GET", "/v1/transactions/5C146B14-3C52-8AFD-938A-375D0DF1FBF6", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/transactions/t1", ``, 400, "invalid_request"},
		// Statuses.
		{"operator", "POST", "/v1/transactions#s9", `{"account":2,"wallet":"sms","type":"charge","amount":"1"}`, 201, `"balance":"19"`},
		{"operator", "PATCH", "/v1/accounts/2", `{"status":"suspended"}`, 200, `"suspended"`},
		{"operator", "POST", "/v1/transactions#s10", `{"account":2,"wallet":"sms","type":"charge","amount":"1"}`, 409, "account_not_active"},
		{"operator", "POST", "/v1/transactions#s11", `{"type":"refund","amount":"0.4","charge":"{s9}"}`, 201, `"account":2,"wallet":"sms","amount":"0.4","balance":"19.4"`},
		{"operator", "PATCH", "/v1/accounts/2", `{"status":"closed"}`, 200, `"closed"`},
		{"operator", "POST", "/v1/transactions#s12", `{"account":2,"wallet":"sms","type":"refund","amount":"0.4","charge":"{s9}"}`, 409, "account_not_active"},
		{"operator", "POST", "/v1/transactions#s13", move("transfer", "1", `,"to_account":2`), 409, "account_not_active"},
	})
	r.testReplays(t, a, b)
}

// testReplays checks that a retry is answered with the same bytes, also after a restart.
func (r *rest) testReplays(t *testing.T, a, b api.AccountID) {
	t.Helper()
	requests := []step{
		{path: "p1", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"1.5","reference":"a","metadata":{"z":"1","a":"<&>"}}`, a), status: 201},
		{path: "p2", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"100000"}`, a), status: 402},
		{path: "p3", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"1"}`, b), status: 409},
		{path: "p4", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"topup","amount":"9223372036854"}`, a), status: 422},
		{path: "p5", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"transfer","amount":"1","to_account":3}`, a), status: 422},
		{path: "p6!#$%&'()*+,-./:;<=>?@[]^_`{|}~", body: fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"transfer","amount":"1","to_account":%d,"to_wallet":"voip"}`, a, a), status: 201},
	}
	first := make([]saldotest.Reply, len(requests))
	post := func(t *testing.T, s step) saldotest.Reply {
		t.Helper()
		return r.send(t, "operator", "POST", "/v1/transactions", s.body, "Idempotency-Key", s.path)
	}
	for i, s := range requests {
		first[i] = post(t, s)
		if first[i].Status != s.status || first[i].Header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: %+v", s.path, first[i])
		}
	}
	compare := func(t *testing.T) {
		t.Helper()
		for i, s := range requests {
			again := post(t, s)
			if again.Status != first[i].Status || again.Body != first[i].Body || again.Header.Get("Location") != first[i].Header.Get("Location") ||
				again.Header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s\ngot  %+v\nwant %+v", s.path, again, first[i])
			}
			if location := first[i].Header.Get("Location"); location != "" {
				if read := r.send(t, "operator", "GET", location, ""); read.Body != first[i].Body {
					t.Errorf("%s\nread   %s\nposted %s", s.path, read.Body, first[i].Body)
				}
				continue
			}
			var problem api.Problem
			if err := decodeJSON(first[i].Body, &problem); err != nil {
				t.Fatal(err)
			}
			read := r.send(t, "operator", "GET", "/v1/transactions/"+problem.Transaction, "")
			if !strings.Contains(read.Body, `"status":"rejected","rejection":"`+string(problem.Code)+`"`) {
				t.Errorf("%s: rejected as %+v", s.path, read)
			}
		}
	}
	t.Run("replays", compare)
	r.Stop()
	saldotest.Verify(t, r.db)
	before := r.judged
	r.serve(r.t)
	r.watch()
	r.judged.seen, r.judged.codes = before.seen, before.codes
	t.Run("replays after a restart", compare)
	// What comes before the same members in another order or spelling is the same request.
	same := fmt.Sprintf(` { "metadata":{"a":"\u003c&>","z":"1"}, "reference":"a", "amount":"1.500", "type":"charge", "wallet":"sms", "account":%d } `, a)
	if again := r.send(t, "operator", "POST", "/v1/transactions", same, "Idempotency-Key", "p1"); again.Body != first[0].Body {
		t.Errorf("got %+v", again)
	}
}

func (r *rest) testCustomers(t *testing.T) {
	r.account(t, api.AccountRequest{ID: 11, Currency: "CNY"}, map[string]string{"sms": "10"})
	r.account(t, api.AccountRequest{ID: 12, Currency: "CNY"}, map[string]string{"sms": "10"})
	both := []api.Scope{api.ScopeBalanceRead, api.ScopeTransactionsWrite}
	r.signIn(t, "eleven", 11, both...)
	r.signIn(t, "twelve", 12, both...)
	r.signIn(t, "looker", 11, api.ScopeBalanceRead)
	r.signIn(t, "spender", 11, api.ScopeTransactionsWrite)
	move := func(kind, amount, rest string) string {
		return fmt.Sprintf(`{"account":11,"wallet":"sms","type":%q,"amount":%q%s}`, kind, amount, rest)
	}
	r.walk(t, []step{
		{"eleven", "GET", "/v1/balance", ``, 200, `{"account":11,"currency":"CNY","status":"active","wallets":[{"account":11,"wallet":"sms","currency":"CNY","balance":"10","held":"0","credit_limit":"100","available":"110","version":1,"status":"active","spent_today":"0","spent_this_month":"0"}`},
		{"eleven", "GET", "/v1/accounts/11", ``, 200, `"id":11`},
		{"eleven", "GET", "/v1/accounts/11/wallets/sms", ``, 200, `"balance":"10"`},
		{"eleven", "GET", "/v1/accounts/12", ``, 404, "not_found"},
		{"eleven", "GET", "/v1/accounts/12/wallets/sms", ``, 404, "not_found"},
		{"eleven", "GET", "/v1/accounts/999999", ``, 404, "not_found"},
		{"eleven", "GET", "/v1/accounts", ``, 403, "forbidden"},
		{"eleven", "POST", "/v1/accounts", `{"name":"x","currency":"CNY"}`, 403, "forbidden"},
		{"eleven", "PATCH", "/v1/accounts/11", `{"status":"active"}`, 403, "forbidden"},
		{"eleven", "PUT", "/v1/accounts/11/wallets/sms", `{"credit_limit":"1000"}`, 403, "forbidden"},
		{"eleven", "POST", "/v1/accounts/11/keys", `{}`, 403, "forbidden"},
		{"eleven", "GET", "/v1/accounts/11/keys", ``, 403, "forbidden"},
		{"eleven", "POST", "/v1/keys", `{"scopes":["balance:read"]}`, 403, "forbidden"},
		{"eleven", "GET", "/v1/keys", ``, 403, "forbidden"},
		{"eleven", "DELETE", "/v1/keys/OLD", ``, 403, "forbidden"},
		{"eleven", "POST", "/v1/transactions#c1", move("charge", "1", ``), 201, `"balance":"9"`},
		{"eleven", "POST", "/v1/transactions#c2", move("transfer", "1", `,"to_account":11,"to_wallet":"voip"`), 201, `"balance":"8"`},
		{"eleven", "POST", "/v1/transactions#c3", move("transfer", "1", `,"to_account":12`), 403, "forbidden"},
		{"eleven", "POST", "/v1/transactions#c4", move("topup", "1", ``), 403, "forbidden"},
		{"eleven", "POST", "/v1/transactions#c5", move("refund", "1", `,"charge":"{c1}"`), 403, "forbidden"},
		{"eleven", "POST", "/v1/transactions#c6", move("adjustment", "1", ``), 403, "forbidden"},
		{"twelve", "POST", "/v1/transactions#c7", move("charge", "1", ``), 403, "forbidden"},
		// Idempotency keys of one customer never meet those of another, or the operator's.
		{"twelve", "POST", "/v1/transactions#c1", strings.Replace(move("charge", "2", ``), "11", "12", 1), 201, `"balance":"8"`},
		{"operator", "POST", "/v1/transactions#c1", move("charge", "3", ``), 201, `"balance":"5"`},
		{"eleven", "POST", "/v1/transactions#c1", move("charge", "1", ``), 201, `"balance":"9"`},
		{"looker", "GET", "/v1/balance", ``, 200, `"balance":"5"`},
		{"looker", "POST", "/v1/transactions#c8", move("charge", "1", ``), 403, "forbidden"},
		{"spender", "GET", "/v1/balance", ``, 403, "forbidden"},
		{"spender", "GET", "/v1/accounts/11", ``, 403, "forbidden"},
		{"spender", "POST", "/v1/transactions#c1", move("charge", "1", ``), 201, `"balance":"9"`},
		{"nobody", "GET", "/v1/balance", ``, 401, "unauthorized"},
	})
	posted := r.send(t, "eleven", "POST", "/v1/transactions", move("charge", "1", ``), "Idempotency-Key", "c1")
	path := posted.Header.Get("Location")
	for as, status := range map[string]int{"eleven": 200, "looker": 200, "spender": 200, "operator": 200, "reader": 200, "twelve": 404, "nobody": 401} {
		if reply := r.send(t, as, "GET", path, ""); reply.Status != status {
			t.Errorf("%s: %+v", as, reply)
		}
	}
	if posted.Header.Get("Ratelimit-Policy") != `"account";q=200;w=1` {
		t.Errorf("RateLimit-Policy is %q", posted.Header.Get("Ratelimit-Policy"))
	}
}

func (r *rest) testPages(t *testing.T) {
	for i := range 7 {
		r.signIn(t, fmt.Sprint("page", i), 12)
	}
	for _, path := range []string{"/v1/accounts", "/v1/keys", "/v1/accounts/12/keys"} {
		t.Run(path, func(t *testing.T) {
			type page struct {
				Items      []json.RawMessage `json:"items"`
				NextCursor *string           `json:"next_cursor"`
			}
			read := func(query string) page {
				var p page
				reply := r.send(t, "operator", "GET", path+query, "")
				if err := decodeJSON(reply.Body, &p); err != nil || reply.Status != 200 {
					t.Fatalf("%v: %+v", err, reply)
				}
				return p
			}
			all := read("?limit=500")
			if all.NextCursor != nil || len(all.Items) < 5 {
				t.Fatalf("got %+v", all)
			}
			for _, limit := range []int{1, 2, len(all.Items) - 1, len(all.Items)} {
				var gathered []json.RawMessage
				p := read(fmt.Sprintf("?limit=%d", limit))
				gathered = append(gathered, p.Items...)
				for p.NextCursor != nil {
					if len(p.Items) != limit {
						t.Fatalf("a page of %d has %d items and a next one", limit, len(p.Items))
					}
					p = read(fmt.Sprintf("?limit=%d&cursor=%s", limit, url.QueryEscape(*p.NextCursor)))
					gathered = append(gathered, p.Items...)
				}
				if !slices.EqualFunc(gathered, all.Items, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
					t.Errorf("pages of %d: got %d items, want %d", limit, len(gathered), len(all.Items))
				}
			}
			for _, query := range []string{"?limit=0", "?limit=501", "?limit=x", "?limit=-1", "?cursor=", "?cursor=%21", "?limit=99999999999999999999"} {
				r.walk(t, []step{{"operator", "GET", path + query, ``, 400, "invalid_request"}})
			}
		})
	}
	r.walk(t, []step{{"operator", "GET", "/v1/accounts?cursor=eA", ``, 400, "invalid_request"}}) // a cursor of keys
}

func (r *rest) testService(t *testing.T) {
	r.walk(t, []step{
		{"nobody", "GET", "/healthz", ``, 200, `{"status":"ok"}`},
		{"nobody", "GET", "/readyz", ``, 200, `{"status":"ok"}`},
	})
	if reply := r.send(t, "nobody", "GET", "/openapi.yaml", ""); reply.Body != string(api.Document) || reply.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d %v %s", reply.Status, reply.Header, clip(reply.Body))
	}
	r.walk(t, []step{
		{"operator", "POST", "/v1/transactions#m1", `{"account":11,"wallet":"sms","type":"charge","amount":"1"}`, 201, ""},
		{"operator", "POST", "/v1/transactions#m1", `{"account":11,"wallet":"sms","type":"charge","amount":"1"}`, 201, ""},
		{"operator", "POST", "/v1/transactions#m2", `{"account":11,"wallet":"sms","type":"charge","amount":"1000000"}`, 402, "insufficient_funds"},
		{"operator", "POST", "/v1/transactions#m3", `{"account":11,"wallet":"voip","type":"topup","amount":"1"}`, 201, ""},
		{"stranger", "GET", "/v1/balance", ``, 401, "unauthorized"},
	})
	r.Send(t, http.MethodPost, antgstPath, "")
	path, _ := esmsForms[2].request(pair{"ID", saldotest.Secret})
	r.Send(t, http.MethodGet, path, "")
	metrics := r.send(t, "nobody", "GET", "/metrics", "").Body
	for _, series := range []string{
		`saldo_http_request_duration_seconds_count{dialect="antgst",route="POST /user/account/balance",status="400"} 1`,
		`saldo_http_request_duration_seconds_count{dialect="esms",route="GET /MainService.svc/json/GetBalance/{ApiKey}/{SecretKey}",status="200"} 1`,
		`saldo_http_request_duration_seconds_count{dialect="rest",route="GET /v1/accounts/{account}",status="200"} `,
		`saldo_http_request_duration_seconds_bucket{dialect="none",route="GET /healthz",status="200",le="+Inf"} 1`,
		`saldo_commit_batch_size_count `,
		`saldo_commit_duration_seconds_count `,
		`saldo_queue_depth 0`,
		`saldo_postings_total{outcome="posted",type="topup"} `,
		`saldo_postings_total{outcome="posted",type="charge"} `,
		`saldo_postings_total{outcome="replayed",type="charge"} `,
		`saldo_postings_total{outcome="insufficient_funds",type="charge"} `,
		`saldo_authentication_failures_total{reason="unauthorized"} `,
		`process_resident_memory_bytes `,
		`go_goroutines `,
	} {
		if !strings.Contains(metrics, "\n"+series) {
			t.Errorf("there is no %s in\n%s", series, metrics)
		}
	}
	for _, word := range []string{saldotest.Secret, `"1042"`, "Lotus"} {
		if strings.Contains(metrics, word) {
			t.Errorf("the metrics have %s", word)
		}
	}
}

func (r *rest) testUnmatched(t *testing.T) {
	for _, path := range r.judged.contract.samples() {
		allowed := r.judged.contract.allowed(path)
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if slices.Contains(allowed, method) {
				continue
			}
			reply := r.send(t, "operator", method, path, "")
			if reply.Status != 405 || reply.Header.Get("Allow") != strings.Join(allowed, ", ") || !strings.Contains(reply.Body, `"code":"method_not_allowed"`) {
				t.Errorf("%s %s: %+v", method, path, reply)
			}
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/accounts", "/v1/accounts/", "/v1/accounts/1042/", "/v1/accounts/1042/wallets", "/v1/reports", "/v1/reports/usage/x", "/v1/holds/x/y", "/favicon.ico", "/metrics/x"} {
		for _, method := range []string{"GET", "POST"} {
			reply := r.send(t, "nobody", method, path, "")
			if reply.Status != 404 || !strings.Contains(reply.Body, `"code":"not_found"`) {
				t.Errorf("%s %s: %+v", method, path, reply)
			}
		}
	}
}
