package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The messages are what a programmer sees at the first try, so they are held to the word.
func TestBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const (
		accounts     = "POST /v1/accounts"
		patch        = "PATCH /v1/accounts/1"
		keys         = "POST /v1/accounts/1/keys"
		wallet       = "PUT /v1/accounts/1/wallets/sms"
		transactions = "POST /v1/transactions"
		quotes       = ` (write money in quotes, such as "0.0383": JSON numbers lose digits on the way)`
		members      = " (/openapi.yaml lists the members)"
	)
	full := func(length int) string {
		const front, back = `{"name":"`, `"}`
		return front + strings.Repeat("x", length-len(front)-len(back)) + back
	}
	for _, tt := range []struct{ name, route, body, want string }{
		{"empty", accounts, "", "invalid_request: the body is empty (send a JSON object)"},
		{"white space", accounts, " \r\n\t", "invalid_request: the body is empty (send a JSON object)"},
		{"null", accounts, "null", "invalid_request: the body is not a JSON object"},
		{"null, patch", patch, " null ", "invalid_request: the body is not a JSON object"},
		{"null, key", keys, "\nnull", "invalid_request: the body is not a JSON object"},
		{"array", accounts, "[]", "invalid_request: the body is not a JSON object"},
		{"string", accounts, `"{}"`, "invalid_request: the body is not a JSON object"},
		{"number", accounts, "1", "invalid_request: the body is not a JSON object"},
		{"true", accounts, "true", "invalid_request: the body is not a JSON object"},
		{"a form", accounts, "name=N&currency=CNY", "invalid_request: the body is not valid JSON"},
		{"cut off", accounts, `{"name":"N"`, "invalid_request: the body is not valid JSON"},
		{"single quotes", accounts, `{'name':'N'}`, "invalid_request: the body is not valid JSON"},
		{"comma at the end", accounts, `{"name":"N",}`, "invalid_request: the body is not valid JSON"},
		{"byte order mark", accounts, "\ufeff{}", "invalid_request: the body is not valid JSON"},
		{"invalid UTF-8", accounts, "{\"name\":\"a\xffb\",\"currency\":\"CNY\"}", "invalid_request: the body is not valid UTF-8"},
		{"two objects", accounts, `{"name":"N","currency":"CNY"}{}`, "invalid_request: the body goes on after its end"},
		{"garbage behind", accounts, `{"name":"N","currency":"CNY"}]`, "invalid_request: the body goes on after its end"},
		{"null behind", accounts, `{"name":"N","currency":"CNY"} null`, "invalid_request: the body goes on after its end"},
		{"unknown member", accounts, `{"full_name":"N"}`, `invalid_request: unknown member "full_name"` + members},
		{"unknown member, long", accounts, `{"` + strings.Repeat("é", 5000) + `":1}`, `invalid_request: unknown member "` + strings.Repeat("é", 39) + "…" + members},
		{"member of a reply", accounts, `{"name":"N","currency":"CNY","status":"closed"}`, `invalid_request: unknown member "status"` + members},
		{"a balance", wallet, `{"credit_limit":"0","balance":"1000"}`, `invalid_request: unknown member "balance"` + members},
		{"deep", accounts, `{"name":` + strings.Repeat("[", 20_000), "invalid_request: the body is not valid JSON"},
		{"deep, unknown", accounts, `{"x":` + strings.Repeat(`{"x":`, 9_990) + "1" + strings.Repeat("}", 9_991), `invalid_request: unknown member "x"` + members},
		{"at the limit", patch, full(64 << 10), "invalid_request: name must be 1 to 200 bytes of printable text"},
		{"over the limit", patch, full(64<<10 + 1), "request_too_large: the body is over 65536 bytes"},
		{"over the limit behind the object", patch, `{}` + strings.Repeat(" ", 64<<10), "request_too_large: the body is over 65536 bytes"},
		{"over the limit and no JSON", patch, strings.Repeat("x", 1<<20), "request_too_large: the body is over 65536 bytes"},

		{"amount as a number", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":0.0383}`, "invalid_request: amount must be a string, not a number" + quotes},
		{"amount as an array", transactions, `{"amount":["1"]}`, "invalid_request: amount must be a string, not an array" + quotes},
		{"amount as an object", transactions, `{"amount":{}}`, "invalid_request: amount must be a string, not an object" + quotes},
		{"limit as a number", wallet, `{"credit_limit":100}`, "invalid_request: credit_limit must be a string, not a number" + quotes},
		{"account as a string", transactions, `{"account":"1"}`, "invalid_request: account cannot be a string"},
		{"account as a fraction", transactions, `{"account":1.5}`, "invalid_request: account cannot be the number 1.5"},
		{"account too large", transactions, `{"account":2147483648}`, "invalid_request: account cannot be the number 2147483648"},
		{"account far too large", transactions, `{"account":` + strings.Repeat("9", 60_000) + `}`, "invalid_request: account cannot be the number " + strings.Repeat("9", 73) + "…"},
		{"name as a boolean", accounts, `{"name":true}`, "invalid_request: name cannot be a bool"},
		{"name as an object", accounts, `{"name":{}}`, "invalid_request: name cannot be an object"},
		{"metadata as an array", accounts, `{"metadata":[]}`, "invalid_request: metadata cannot be an array"},
		{"metadata with a number", accounts, `{"metadata":{"tier":1}}`, "invalid_request: a value of metadata must be a string, not a number"},
		{"scopes as a string", keys, `{"scopes":"admin"}`, "invalid_request: scopes cannot be a string"},

		{"no amount", transactions, `{"account":1,"wallet":"sms","type":"charge"}`, "invalid_request: a transaction of type charge needs an amount"},
		{"an amount of a null", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":null}`, "invalid_request: amount cannot be null (leave out what is not set)"},
		{"an empty amount", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":""}`, "invalid_request: amount: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)"},
		{"an exponent", transactions, `{"amount":"1e3"}`, "invalid_request: amount: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)"},
		{"a seventh digit", transactions, `{"amount":"0.0000001"}`, "invalid_request: amount: more than six digits after the decimal point"},
		{"out of range", transactions, `{"amount":"9223372036854.775808"}`, "invalid_request: amount: outside ±9223372036854.775807"},
		{"zero", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":"0"}`, "invalid_request: amount must not be zero"},
		{"negative", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":"-1"}`, "invalid_request: amount must be positive (the type says which way the money goes; only an adjustment has a sign)"},
		{"no account", transactions, `{"wallet":"sms","type":"charge","amount":"1"}`, "invalid_request: account must be between 1 and 2147483647"},
		{"no wallet", transactions, `{"account":1,"type":"charge","amount":"1"}`, `invalid_request: "" is not a wallet name (every account has the wallets sms and voip)`},
		{"no such type", transactions, `{"account":1,"wallet":"sms","type":"gift","amount":"1"}`, `invalid_request: unknown type "gift" (the types are topup, charge, refund, adjustment, transfer, hold, capture, release and extend)`},
		{"no receiver", transactions, `{"account":1,"wallet":"sms","type":"transfer","amount":"1"}`, "invalid_request: a transfer needs a receiving account between 1 and 2147483647"},
		{"a receiver too many", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":"1","to_wallet":"voip"}`, "invalid_request: only a transfer has a receiving wallet"},
		{"to itself", transactions, `{"account":1,"wallet":"sms","type":"transfer","amount":"1","to_account":1}`, "invalid_request: a transfer needs two different wallets"},
		{"no such account", transactions, `{"account":77,"wallet":"sms","type":"charge","amount":"1"}`, "not_found: there is no account 77"},
		{"no such wallet", transactions, `{"account":1,"wallet":"fax","type":"charge","amount":"1"}`, "not_found: account 1 has no wallet fax"},
		{"no funds", transactions, `{"account":1,"wallet":"sms","type":"charge","amount":"1"}`, "insufficient_funds: 0 is available, 1 was asked for (top the wallet up, then post again with a new idempotency key)"},
		{"other currency", transactions, `{"account":1,"wallet":"sms","type":"transfer","amount":"1","to_account":3}`, "currency_mismatch: the two wallets are kept in different currencies"},

		{"no name", accounts, `{"currency":"CNY"}`, "invalid_request: name must be 1 to 200 bytes of printable text"},
		{"a line in a name", accounts, `{"name":"a\nb","currency":"CNY"}`, "invalid_request: name must be 1 to 200 bytes of printable text"},
		{"small currency", accounts, `{"name":"N","currency":"cny"}`, `invalid_request: currency "cny" is not an ISO 4217 code (three capital letters, such as CNY or VND)`},
		{"negative id", accounts, `{"id":-1,"name":"N","currency":"CNY"}`, "invalid_request: id must be between 1 and 2147483647"},
		{"taken id", accounts, `{"id":1,"name":"N","currency":"CNY"}`, "conflict: account 1 exists already"},
		{"unknown status", patch, `{"status":"gone"}`, "invalid_request: status must be active, suspended or closed"},
		{"empty name", patch, `{"name":""}`, "invalid_request: name must be 1 to 200 bytes of printable text"},
		{"negative limit", wallet, `{"credit_limit":"-1"}`, "invalid_request: credit_limit must not be negative"},
		{"no limit", wallet, `{}`, "invalid_request: credit_limit: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)"},

		{"unknown scope", keys, `{"scopes":["balance:reed"]}`, `invalid_request: unknown scope "balance:reed" (the scopes are balance:read, transactions:write and admin)`},
		{"scope twice", keys, `{"scopes":["balance:read","balance:read"]}`, "invalid_request: scope balance:read stands twice"},
		{"admin for a customer", keys, `{"scopes":["admin"]}`, "invalid_request: a customer's key cannot have the scope admin"},
		{"no scope for the operator", "POST /v1/keys", `{}`, "invalid_request: a key needs at least one scope"},
		{"id without secret", keys, `{"id":"A"}`, "invalid_request: id and secret come together, or neither (leave both out for a new pair)"},
		{"secret without id", keys, `{"secret":"A"}`, "invalid_request: id and secret come together, or neither (leave both out for a new pair)"},
		{"colon in the id", keys, `{"id":"a:b","secret":"c"}`, "invalid_request: key id must be 1 to 128 visible ASCII characters other than ':'"},
		{"no network", keys, `{"allow_list":["10.0.0.0/40"]}`, "invalid_request: allow_list: not a network or address (write 203.0.113.0/24, 203.0.113.7 or 2001:db8::/32)"},
		{"no time", keys, `{"expires_at":"tomorrow"}`, "invalid_request: expires_at must be an RFC 3339 time in the future (such as 2027-01-31T00:00:00Z)"},
		{"past", keys, `{"expires_at":"2020-01-31T00:00:00Z"}`, "invalid_request: expires_at must be an RFC 3339 time in the future (such as 2027-01-31T00:00:00Z)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			method, target, _ := strings.Cut(tt.route, " ")
			rec := h.do(method, target, tt.body, as(h.root), idempotent(strings.ReplaceAll("body "+tt.name, " ", "-")))
			if rec.Code < 400 {
				t.Fatalf("status %d: %s", rec.Code, rec.Body)
			}
			code, _, _ := strings.Cut(tt.want, ":")
			problem := wantProblem(t, rec, ledger.Code(code))
			got := (&ledger.Error{Code: ledger.Code(problem.Code), Message: problem.Detail, Hint: problem.Hint}).Error()
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Of two members with one name a program reads the first and another the last,
// so such a body says two things at once.
func TestMembersStandOnceAndAsSpelled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for body, want := range map[string]string{
		`{"name":"first","name":"last","currency":"CNY"}`:                     `invalid_request: member "name" stands twice`,
		` {"NAME":"first","currency":"CNY"}`:                                  `invalid_request: unknown member "NAME" (/openapi.yaml lists the members, in lower case)`,
		`{"n\u0061me":"first","currency":"CNY"}`:                              `invalid_request: unknown member "n\\u0061me" (/openapi.yaml lists the members, in lower case)`,
		`{"metadata":{"a":"1","B":"{\"name\":"},"name":"x","currency":"CNY"}`: "",
	} {
		rec := h.do("POST", "/v1/accounts", body, as(h.root))
		if want == "" {
			wantStatus(t, rec, 201)
			continue
		}
		problem := wantProblem(t, rec, ledger.InvalidRequest)
		got := string(problem.Code) + ": " + problem.Detail
		if problem.Hint != "" {
			got += " (" + problem.Hint + ")"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// A body that ends before its time is the caller's trouble, not the server's.
func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	broken := io.MultiReader(strings.NewReader(`{"name":`), iotest.ErrReader(errors.New("connection reset")))
	r := httptest.NewRequest(http.MethodPost, "/v1/accounts", broken)
	as(h.root)(r)
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	wantProblem(t, rec, ledger.InvalidRequest)
}

// A good request that is slow, or cut short, on its way is not taken for a wrong
// one: the same may arrive the next time.
func TestBodyIsSlow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	// The reply must have time on a busy machine as well, so this server is more
	// patient with it than with the request.
	server := httptest.NewUnstartedServer(h.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = time.Second, 10*time.Second
	server.Start()
	t.Cleanup(server.Close)
	for _, tt := range []struct {
		path, part, want string
		broken           bool
	}{
		{"/v1/transactions", `{"account":1,`, "the request did not arrive within 1s", false},
		{"/v1/holds/settle", `[{"reference":`, "the request did not arrive within 1s", false},
		{batchPath, `{"transactions":[`, "the request did not arrive within 1s", false},
		{"/v1/transactions", `{"account":1,`, "the request broke off", true},
	} {
		conn, in := raw(t, server, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n\r\n%s", tt.path, h.root.AuthSecret(), tt.part)
		if tt.broken {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		reply, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		var problem api.Problem
		err = json.NewDecoder(reply.Body).Decode(&problem)
		reply.Body.Close()
		if err != nil || reply.StatusCode != http.StatusRequestTimeout || reply.Close == tt.broken || problem.Code != "request_timeout" || problem.Detail != tt.want || problem.Hint == "" {
			t.Errorf("%s: %d %v %+v, %v", tt.path, reply.StatusCode, reply.Header, problem, err)
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const (
		again     = " (start again without a cursor)"
		described = " (/openapi.yaml describes it)"
	)
	for target, want := range map[string]string{
		"/v1/accounts/0":                            "not_found: there is no account 0",
		"/v1/accounts/-5":                           "not_found: there is no account -5",
		"/v1/accounts/77":                           "not_found: there is no account 77",
		"/v1/accounts/abc":                          "invalid_request: account does not have the form that it should" + described,
		"/v1/accounts/1.0":                          "invalid_request: account does not have the form that it should" + described,
		"/v1/accounts/2147483648":                   "invalid_request: account does not have the form that it should" + described,
		"/v1/accounts/%20":                          "invalid_request: account does not have the form that it should" + described,
		"/v1/accounts/0/keys":                       "not_found: there is no account 0",
		"/v1/accounts/-1/keys":                      "not_found: there is no account -1",
		"/v1/accounts/77/keys":                      "not_found: there is no account 77",
		"/v1/accounts/1/wallets/fax":                "not_found: account 1 has no such wallet",
		"/v1/accounts/1/wallets/SMS":                "not_found: account 1 has no such wallet",
		"/v1/accounts/1/wallets/%00%FF":             "not_found: account 1 has no such wallet",
		"/v1/accounts?limit=0":                      "invalid_request: limit must be between 1 and 500",
		"/v1/accounts?limit=-1":                     "invalid_request: limit must be between 1 and 500",
		"/v1/accounts?limit=501":                    "invalid_request: limit must be between 1 and 500",
		"/v1/keys?limit=501":                        "invalid_request: limit must be between 1 and 500",
		"/v1/accounts?limit=many":                   "invalid_request: limit does not have the form that it should" + described,
		"/v1/accounts?limit=":                       "invalid_request: limit does not have the form that it should" + described,
		"/v1/accounts?limit=1&limit=2":              "invalid_request: limit does not have the form that it should" + described,
		"/v1/accounts?limit=99999999999999999999":   "invalid_request: limit does not have the form that it should" + described,
		"/v1/accounts?cursor=":                      "invalid_request: the cursor is not one that a page gave" + again,
		"/v1/accounts?cursor=garbage!":              "invalid_request: the cursor is not one that a page gave" + again,
		"/v1/accounts?cursor=MQ%3D%3D":              "invalid_request: the cursor is not one that a page gave" + again, // "1", but padded
		"/v1/accounts?cursor=LTE":                   "invalid_request: the cursor is not one that a page gave" + again, // "-1"
		"/v1/accounts?cursor=MjE0NzQ4MzY0OA":        "invalid_request: the cursor is not one that a page gave" + again, // "2147483648"
		"/v1/accounts?cursor=YWJj":                  "invalid_request: the cursor is not one that a page gave" + again, // "abc"
		"/v1/keys?cursor=AA":                        "invalid_request: the cursor is not one that a page gave" + again, // NUL
		"/v1/keys?cursor=_w":                        "invalid_request: the cursor is not one that a page gave" + again, // no UTF-8
		"/v1/keys?cursor=garbage!":                  "invalid_request: the cursor is not one that a page gave" + again,
		"/v1/transactions/abc":                      `invalid_request: "abc" is not a transaction id (an id looks like 5c146b14-3c52-8afd-938a-375d0df1fbf6)`,
		"/v1/transactions/" + strings.ToUpper(seed): `invalid_request: "` + strings.ToUpper(seed) + `" is not a transaction id (an id looks like 5c146b14-3c52-8afd-938a-375d0df1fbf6)`,
		"/v1/transactions/" + seed:                  "not_found: there is no transaction " + seed,
	} {
		rec := h.do("GET", target, "", as(h.root))
		code, _, _ := strings.Cut(want, ":")
		problem := wantProblem(t, rec, ledger.Code(code))
		got := (&ledger.Error{Code: ledger.Code(problem.Code), Message: problem.Detail, Hint: problem.Hint}).Error()
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", target, got, want)
		}
	}
	for route, want := range map[string]ledger.Code{
		"DELETE /v1/keys/NOBODY":                                ledger.NotFound,
		"DELETE /v1/keys/%00":                                   ledger.NotFound,
		"DELETE /v1/keys/" + h.root.ID:                          ledger.Conflict,
		"PATCH /v1/accounts/0":                                  ledger.NotFound,
		"PATCH /v1/accounts/-1":                                 ledger.NotFound,
		"POST /v1/accounts/0/keys":                              ledger.NotFound,
		"POST /v1/accounts/-1/keys":                             ledger.NotFound,
		"POST /v1/accounts/77/keys":                             ledger.NotFound,
		"PUT /v1/accounts/77/wallets/sms":                       ledger.NotFound,
		"PUT /v1/accounts/0/wallets/sms":                        ledger.NotFound,
		"PUT /v1/accounts/1/wallets/SMS":                        ledger.InvalidRequest,
		"PUT /v1/accounts/1/wallets/1st":                        ledger.InvalidRequest,
		"PUT /v1/accounts/1/wallets/a.b":                        ledger.InvalidRequest,
		"PUT /v1/accounts/1/wallets/a%2Fb":                      ledger.InvalidRequest,
		"PUT /v1/accounts/1/wallets/%E7%9F%AD":                  ledger.InvalidRequest,
		"PUT /v1/accounts/1/wallets/" + strings.Repeat("w", 17): ledger.InvalidRequest,
	} {
		method, target, _ := strings.Cut(route, " ")
		body := `{}`
		if method == "PUT" {
			body = `{"credit_limit":"1"}`
		}
		rec := h.do(method, target, body, as(h.root))
		if rec.Code < 400 {
			t.Errorf("%s: status %d", route, rec.Code)
			continue
		}
		wantProblem(t, rec, want)
	}
	// Account 0 means the operator elsewhere, and a stranger is told nothing at all.
	wantProblem(t, h.do("POST", "/v1/accounts/0/keys", `{"scopes":["admin"]}`), ledger.Unauthorized)
	for _, route := range []string{"GET /v1/accounts/0/keys", "GET /v1/accounts/abc", "GET /v1/accounts?limit=many", "POST /v1/transactions"} {
		method, target, _ := strings.Cut(route, " ")
		wantProblem(t, h.do(method, target, "{}"), ledger.Unauthorized)
	}
	longest := strings.Repeat("w", 16)
	wantStatus(t, h.do("PUT", "/v1/accounts/1/wallets/"+longest, `{"credit_limit":"1"}`, as(h.root)), 201)
	wantStatus(t, h.do("PUT", "/v1/accounts/1/wallets/"+longest, `{"credit_limit":"2"}`, as(h.root)), 200)
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const (
		body  = `{"account":1,"wallet":"sms","type":"topup","amount":"1"}`
		shape = "the idempotency key must be 1 to 255 visible ASCII characters" +
			" (send a header Idempotency-Key that is new for each movement and the same for its retries)"
	)
	for _, tt := range []struct {
		name string
		keys []string
		want string
	}{
		{"missing", nil, "the header Idempotency-Key is missing (give each movement a key of its own, and its retries the same one)"},
		{"empty", []string{""}, "Idempotency-Key does not have the form that it should (/openapi.yaml describes it)"},
		{"two", []string{"a", "b"}, "Idempotency-Key stands more than once"},
		{"too long", []string{strings.Repeat("k", 256)}, shape},
		{"a space", []string{"a b"}, shape},
		{"not ASCII", []string{"schlüssel"}, shape},
		{"Latin-1", []string{"schl\xfcssel"}, shape},
		{"a control character", []string{"a\x7fb"}, shape},
	} {
		options := []option{as(h.root)}
		if tt.keys != nil {
			options = append(options, header("Idempotency-Key", tt.keys...))
		}
		rec := h.do("POST", "/v1/transactions", body, options...)
		problem := wantProblem(t, rec, ledger.InvalidRequest)
		got := problem.Detail
		if problem.Hint != "" {
			got += " (" + problem.Hint + ")"
		}
		if got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
	// What a program may make of a message id goes through unchanged: no comma,
	// percent sign or quote is read as something else.
	for _, key := range []string{"k", strings.Repeat("k", 255), `a,b`, `"quoted"`, `%41`, `a;b=c/d?e`, `[1]`, `{x}`, `\`} {
		rec := h.do("POST", "/v1/transactions", body, as(h.root), idempotent(key))
		wantStatus(t, rec, 201)
		if got, want := read[api.Transaction](t, rec).ID, ledger.NewTransactionID(ledger.Operator, key).String(); got != want {
			t.Errorf("%s became transaction %s, want %s", key, got, want)
		}
	}
}

// A name that a query does not have is refused: what it was to narrow down would
// come whole. A stranger learns nothing of it.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const none = " (this request has no parameters)"
	for route, want := range map[string]string{
		"GET /v1/holds?account=1&wallet=sms&status=captured":     `unknown parameter "status" (the parameters are account, wallet, state, reference, limit, cursor)`,
		"GET /v1/accounts/1/wallets/sms/statement?form=csv":      `unknown parameter "form" (the parameters are from, to, tz, type, format, limit, cursor)`,
		"GET /v1/accounts/1/wallets/sms?At=2026-11-01":           `unknown parameter "At" (the parameters are at, tz)`,
		"GET /v1/reports/usage?groups=day":                       `unknown parameter "groups" (the parameters are group, from, to, tz, account, upstream, limit, cursor)`,
		"GET /v1/accounts?limit=1&page=2&first=1":                `unknown parameter "first" (the parameters are limit, cursor)`,
		"HEAD /v1/accounts?page=2":                               "",
		"GET /v1/accounts/1?=":                                   `unknown parameter ""` + none,
		"GET /v1/balance?x":                                      `unknown parameter "x"` + none,
		"POST /v1/transactions?dry_run=true":                     `unknown parameter "dry_run"` + none,
		"GET /v1/accounts?limit=1;cursor=x":                      "the query is not well formed (in a URL, write % as %25 and ; as %3B)",
		"GET /v1/transactions?idempotency_key=50%&reference=abc": "the query is not well formed (in a URL, write % as %25 and ; as %3B)",
	} {
		method, target, _ := strings.Cut(route, " ")
		rec := h.do(method, target, "{}", as(h.root), idempotent("k"))
		if got := words(t, rec); got != "invalid_request: "+want && method != "HEAD" || rec.Code != 400 {
			t.Errorf("%s: %s", route, got)
		}
		wantProblem(t, h.do(method, target, "{}", idempotent("k")), ledger.Unauthorized)
	}
	for _, target := range []string{"/v1/accounts?", "/v1/accounts?&", "/v1/accounts?limit=1&", "/healthz?from=here"} {
		wantStatus(t, h.do("GET", target, "", as(h.root)), 200)
	}
	// Each operation has its names, and they are those of the contract.
	document, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			var want []string
			for _, parameter := range append(slices.Clone(item.Parameters), operation.Parameters...) {
				if parameter.Value.In == "query" {
					want = append(want, parameter.Value.Name)
				}
			}
			if got := api.QueryNames[method+" "+path]; !slices.Equal(got, want) {
				t.Errorf("%s %s has the names %q, not %q", method, path, got, want)
			}
		}
	}
}

// Pages join without a gap or an overlap, whatever is deleted or added in between.
func TestPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for i := range 4 {
		rec := h.do("POST", "/v1/accounts", fmt.Sprintf(`{"id":%d,"name":"N","currency":"CNY"}`, 10+i), as(h.root))
		wantStatus(t, rec, 201)
		if got, want := rec.Header().Get("Location"), fmt.Sprintf("/v1/accounts/%d", 10+i); got != want {
			t.Errorf("Location is %s", got)
		}
		h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, ledger.Credentials{ID: fmt.Sprintf("K%d", i), Secret: "s"})
	}
	for size, want := range map[int]int{1: 7, 2: 4, 3: 3, 6: 2, 7: 1, 8: 1, 500: 1} {
		var ids []int32
		pages := 0
		for cursor := ""; ; {
			target := fmt.Sprintf("/v1/accounts?limit=%d", size)
			if cursor != "" {
				target += "&cursor=" + cursor
			}
			page := read[api.AccountPage](t, h.do("GET", target, "", as(h.root)))
			pages++
			for _, account := range page.Items {
				ids = append(ids, account.ID)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if fmt.Sprint(ids) != "[1 2 3 10 11 12 13]" || pages != want {
			t.Errorf("limit %d: %d pages with %v, want %d", size, pages, ids, want)
		}
	}
	first := read[api.KeyPage](t, h.do("GET", "/v1/accounts/1/keys?limit=2", "", as(h.root)))
	second := read[api.KeyPage](t, h.do("GET", "/v1/accounts/1/keys?limit=2&cursor="+first.NextCursor, "", as(h.root)))
	if len(first.Items) != 2 || len(second.Items) != 2 || second.Items[0].ID != "K2" || second.NextCursor != "" {
		t.Errorf("%+v and %+v", first, second)
	}
	// An empty list is a list, not null.
	if rec := h.do("GET", "/v1/accounts/2/keys", "", as(h.root)); rec.Body.String() != "{\"items\":[]}\n" {
		t.Errorf("%s", rec.Body)
	}
	if rec := h.do("GET", "/v1/accounts?cursor=MjE0NzQ4MzY0Nw", "", as(h.root)); !bytes.Equal(rec.Body.Bytes(), []byte("{\"items\":[]}\n")) {
		t.Errorf("after the largest id: %s", rec.Body)
	}
}

// A client that goes away is no fault of the server's, so it stands in no
// alarm: neither as an error in the log nor as a status of 5xx.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequest(http.MethodGet, "/v1/accounts", nil).WithContext(gone)
	as(h.root)(r)
	h.handler.ServeHTTP(httptest.NewRecorder(), r)
	log := h.log.String()
	if !strings.Contains(log, `"status":499`) || strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log says %s", log)
	}
}
