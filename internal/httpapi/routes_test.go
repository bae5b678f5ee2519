package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// route is one operation of the contract with what each caller is answered.
type route struct {
	pattern string // of the log and the metrics
	target  string // NEW stands for a new hold each time
	body    string
	// want has a status for each of callers.
	want [7]int
}

// callers are every kind of key, in the order of route.want.
var callers = [7]string{
	"no key", "customer balance:read", "customer transactions:write",
	"operator balance:read", "operator transactions:write", "operator admin", "operator with every scope",
}

// routes are keyed by their names in api.ServerInterface.
var routes = map[string]route{
	"GetHealth":    {"GET /healthz", "/healthz", "", [7]int{200, 200, 200, 200, 200, 200, 200}},
	"GetReadiness": {"GET /readyz", "/readyz", "", [7]int{200, 200, 200, 200, 200, 200, 200}},
	"GetMetrics":   {"GET /metrics", "/metrics", "", [7]int{200, 200, 200, 200, 200, 200, 200}},
	"GetOpenAPI":   {"GET /openapi.yaml", "/openapi.yaml", "", [7]int{200, 200, 200, 200, 200, 200, 200}},

	"ListAccounts":  {"GET /v1/accounts", "/v1/accounts", "", [7]int{401, 403, 403, 200, 403, 200, 200}},
	"CreateAccount": {"POST /v1/accounts", "/v1/accounts", `{"name":"N","currency":"CNY"}`, [7]int{401, 403, 403, 403, 403, 201, 201}},
	"GetAccount":    {"GET /v1/accounts/{account}", "/v1/accounts/1", "", [7]int{401, 200, 403, 200, 403, 200, 200}},
	"GetStatement": {
		"GET /v1/accounts/{account}/wallets/{wallet}/statement", "/v1/accounts/1/wallets/sms/statement", "",
		[7]int{401, 200, 403, 200, 403, 200, 200},
	},
	"PatchWallet": {
		"PATCH /v1/accounts/{account}/wallets/{wallet}", "/v1/accounts/1/wallets/sms", `{"max_amount":"50"}`,
		[7]int{401, 403, 403, 403, 403, 200, 200},
	},
	"UpdateAccount": {"PATCH /v1/accounts/{account}", "/v1/accounts/1", `{"name":"N"}`, [7]int{401, 403, 403, 403, 403, 200, 200}},
	"GetWallet": {
		"GET /v1/accounts/{account}/wallets/{wallet}", "/v1/accounts/1/wallets/sms", "",
		[7]int{401, 200, 403, 200, 403, 200, 200},
	},
	"PutWallet": {
		"PUT /v1/accounts/{account}/wallets/{wallet}", "/v1/accounts/1/wallets/sms", `{"credit_limit":"5"}`,
		[7]int{401, 403, 403, 403, 403, 200, 200},
	},

	"ListAccountKeys": {"GET /v1/accounts/{account}/keys", "/v1/accounts/1/keys", "", [7]int{401, 403, 403, 403, 403, 200, 200}},
	// A key grants only scopes that it has, so admin alone makes no customer's
	// key: it could make itself one that reads and charges.
	"CreateAccountKey":  {"POST /v1/accounts/{account}/keys", "/v1/accounts/1/keys", `{}`, [7]int{401, 403, 403, 403, 403, 403, 201}},
	"ListOperatorKeys":  {"GET /v1/keys", "/v1/keys", "", [7]int{401, 403, 403, 403, 403, 200, 200}},
	"CreateOperatorKey": {"POST /v1/keys", "/v1/keys", `{"scopes":["admin"]}`, [7]int{401, 403, 403, 403, 403, 201, 201}},
	"RevokeKey":         {"DELETE /v1/keys/{key}", "/v1/keys/SPARE", "", [7]int{401, 403, 403, 403, 403, 204, 204}},

	"PatchKey": {"PATCH /v1/keys/{key}", "/v1/keys/SPARE", `{"daily_spend_cap":"5"}`, [7]int{401, 403, 403, 403, 403, 200, 200}},

	"CreateHold": {
		"POST /v1/holds", "/v1/holds", `{"account":1,"wallet":"sms","amount":"0.5"}`,
		[7]int{401, 403, 201, 403, 201, 403, 201},
	},
	"ListHolds": {
		"GET /v1/holds", "/v1/holds?account=1&wallet=sms", "",
		[7]int{401, 200, 200, 200, 200, 403, 200},
	},
	"GetHold":     {"GET /v1/holds/{id}", "/v1/holds/NEW", "", [7]int{401, 200, 200, 200, 200, 403, 200}},
	"CaptureHold": {"POST /v1/holds/{id}/capture", "/v1/holds/NEW/capture", `{}`, [7]int{401, 403, 201, 403, 201, 403, 201}},
	"ReleaseHold": {"POST /v1/holds/{id}/release", "/v1/holds/NEW/release", `{}`, [7]int{401, 403, 201, 403, 201, 403, 201}},
	"ExtendHold":  {"POST /v1/holds/{id}/extend", "/v1/holds/NEW/extend", `{"expires_in":60}`, [7]int{401, 403, 201, 403, 201, 403, 201}},
	"SettleHolds": {
		"POST /v1/holds/settle", "/v1/holds/settle", `[{"reference":"none","status":"DELIVRD"}]`,
		[7]int{401, 403, 200, 403, 200, 403, 200},
	},

	"PostBatch": {
		"POST /v1/transactions/batch", "/v1/transactions/batch",
		`{"transactions":[{"idempotency_key":"k","account":1,"wallet":"sms","type":"charge","amount":"0.5"}]}`,
		[7]int{401, 403, 200, 403, 200, 403, 200},
	},
	"FindTransactions": {
		"GET /v1/transactions", "/v1/transactions?reference=none", "",
		[7]int{401, 200, 200, 200, 200, 403, 200},
	},
	"ListUpstreams": {"GET /v1/upstreams", "/v1/upstreams", "", [7]int{401, 403, 403, 200, 403, 200, 200}},
	"GetUpstream":   {"GET /v1/upstreams/{name}", "/v1/upstreams/mine", "", [7]int{401, 403, 403, 200, 403, 200, 200}},
	"ListReadings":  {"GET /v1/upstreams/{name}/readings", "/v1/upstreams/mine/readings", "", [7]int{401, 403, 403, 200, 403, 200, 200}},
	"ReconcileUpstream": {
		"GET /v1/upstreams/{name}/reconciliation", "/v1/upstreams/mine/reconciliation", "",
		[7]int{401, 403, 403, 200, 403, 200, 200},
	},
	"GetTrialBalance": {"GET /v1/reports/trial-balance", "/v1/reports/trial-balance", "", [7]int{401, 403, 403, 200, 403, 200, 200}},
	"GetUsage":        {"GET /v1/reports/usage", "/v1/reports/usage", "", [7]int{401, 403, 403, 200, 403, 200, 200}},

	"PostTransaction": {
		"POST /v1/transactions", "/v1/transactions", `{"account":1,"wallet":"sms","type":"charge","amount":"0.5"}`,
		[7]int{401, 403, 201, 403, 201, 403, 201},
	},
	"GetTransaction": {
		"GET /v1/transactions/{id}", "/v1/transactions/" + seed, "",
		[7]int{401, 200, 200, 200, 200, 403, 200},
	},
	"GetBalance": {"GET /v1/balance", "/v1/balance", "", [7]int{401, 200, 403, 403, 403, 403, 403}},
}

// seed is the id of a transaction that the house of TestRoutes has.
var seed = ledger.NewTransactionID(ledger.Operator, "seed").String()

// One table says who may do what on every route, and a route that is not in it fails.
func TestRoutes(t *testing.T) {
	t.Parallel()
	contract := reflect.TypeFor[api.ServerInterface]()
	for method := range contract.Methods() {
		if _, ok := routes[method.Name]; !ok {
			t.Errorf("%s is new in the contract: say here who may use it", method.Name)
		}
	}
	if len(routes) != contract.NumMethod() {
		t.Errorf("the table has %d routes, the contract %d", len(routes), contract.NumMethod())
	}
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1000*ledger.Scale, "seed")
	h.told(h.engine.Now(), left("sms", "10"))
	h.keyFor(ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, ledger.Credentials{ID: "SPARE", Secret: "spare"})
	keys := [7]ledger.Credentials{
		{},
		h.customer(1, ledger.ScopeBalanceRead),
		h.customer(1, ledger.ScopeTransactionsWrite),
		h.customer(ledger.Operator, ledger.ScopeBalanceRead),
		h.customer(ledger.Operator, ledger.ScopeTransactionsWrite),
		h.customer(ledger.Operator, ledger.ScopeAdmin),
		h.root,
	}
	h.log.take(t)
	for name, route := range routes {
		method, _, _ := strings.Cut(route.pattern, " ")
		for i, caller := range callers {
			options := []option{idempotent(name + strings.ReplaceAll(caller, " ", "-"))}
			if i > 0 {
				options = append(options, as(keys[i]))
			}
			target := route.target
			if strings.Contains(target, "NEW") {
				placed := h.post(ledger.Request{
					Scope: 1, IdempotencyKey: name + fmt.Sprint(i), Kind: ledger.PlaceHold,
					Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: ledger.Scale, ExpiresIn: time.Hour,
				})
				target = strings.Replace(target, "NEW", placed.ID.String(), 1)
			}
			rec := h.do(method, target, route.body, options...)
			if rec.Code != route.want[i] {
				t.Errorf("%s by %s: status %d, want %d: %s", name, caller, rec.Code, route.want[i], rec.Body)
			}
			switch rec.Code {
			case 401:
				wantProblem(t, rec, ledger.Unauthorized)
			case 403:
				wantProblem(t, rec, ledger.Forbidden)
			}
			// A line says the pattern, whose key it was and of which account.
			logged := h.log.take(t)
			if len(logged) != 1 || logged[0].Msg != "request" || logged[0].Route != route.pattern || logged[0].Status != rec.Code || logged[0].Client != "192.0.2.1" {
				t.Fatalf("%s by %s: the log says %+v", name, caller, logged)
			}
			open := route.want[0] == 200
			if (logged[0].Key != keys[i].ID) != open && i > 0 || (logged[0].Account != nil) != (!open && (i == 1 || i == 2)) {
				t.Errorf("%s by %s: the log says %+v", name, caller, logged[0])
			}
		}
	}
}

// To a customer, another account does not exist: what is there and what is not
// are told in the same words.
func TestOthersDoNotExist(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(2, ledger.Scale, "of-account-2")
	customer := h.customer(1, ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite)
	hold := h.post(ledger.Request{
		Scope: 2, IdempotencyKey: "hold", Kind: ledger.PlaceHold, Reference: "r",
		Wallet: ledger.WalletRef{Account: 2, Service: ledger.SMS}, Amount: ledger.Scale, ExpiresIn: time.Hour,
	}).ID.String()
	there, missing := ledger.NewTransactionID(ledger.Operator, "of-account-2").String(), ledger.NewTransactionID(ledger.Operator, "none").String()
	for _, pair := range [][3]string{
		{"/v1/accounts/%", "2", "77"},
		{"/v1/accounts/%/wallets/sms", "2", "77"},
		{"/v1/accounts/%/wallets/nothing", "2", "77"},
		{"/v1/accounts/%/wallets/sms?at=2026-11-01", "2", "77"},
		{"/v1/accounts/%/wallets/sms/statement", "2", "77"},
		{"/v1/transactions/%", there, missing},
		{"/v1/transactions?reference=r&account=%", "2", "77"},
		{"/v1/transactions?idempotency_key=of-account-2&account=%", "2", "77"},
		{"/v1/holds/%", hold, missing},
		{"/v1/holds?wallet=sms&account=%", "2", "77"},
		{"/v1/holds?reference=r&account=%", "2", "77"},
	} {
		var bodies [2]string
		for i, id := range pair[1:] {
			rec := h.do("GET", strings.Replace(pair[0], "%", id, 1), "", as(customer))
			wantProblem(t, rec, ledger.NotFound)
			bodies[i] = strings.ReplaceAll(rec.Body.String(), id, "ID")
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: %s and %s", pair[0], bodies[0], bodies[1])
		}
	}
	wantStatus(t, h.do("GET", "/v1/transactions/"+there, "", as(h.root)), 200)
	// Neither by its reference, nor by acting on it.
	for _, list := range []string{"/v1/transactions?reference=r", "/v1/holds?reference=r", "/v1/transactions?idempotency_key=hold"} {
		if rec := h.do("GET", list, "", as(customer)); rec.Body.String() != "{\"items\":[]}\n" {
			t.Errorf("%s: %s", list, rec.Body)
		}
	}
	for _, act := range []string{"capture", "release"} {
		var bodies [2]string
		for i, id := range []string{hold, missing} {
			rec := h.do("POST", "/v1/holds/"+id+"/"+act, `{}`, as(customer), idempotent("k"))
			wantProblem(t, rec, ledger.NotFound)
			bodies[i] = strings.ReplaceAll(rec.Body.String(), id, "ID")
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s: %s and %s", act, bodies[0], bodies[1])
		}
	}
}

// Everything that is in no contract is answered with problem details too, and
// a wrong method is told the right ones.
func TestUnmatched(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	allowed := map[string][]string{}
	for _, route := range routes {
		method, _, _ := strings.Cut(route.pattern, " ")
		target, _, _ := strings.Cut(route.target, "?")
		allowed[target] = append(allowed[target], method)
		if method == http.MethodGet {
			allowed[target] = append(allowed[target], http.MethodHead)
		}
	}
	// To GET, these last segments read like ids.
	for _, target := range []string{"/v1/transactions/batch", "/v1/holds/settle"} {
		allowed[target] = append(allowed[target], http.MethodGet, http.MethodHead)
	}
	h.log.take(t)
	all := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"}
	for target, methods := range allowed {
		for _, method := range all {
			if slices.Contains(methods, method) {
				continue
			}
			r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
			r.Method = method
			rec := httptest.NewRecorder()
			h.handler.ServeHTTP(rec, r)
			wantProblem(t, rec, ledger.MethodNotAllowed)
			got := slices.Sorted(slices.Values(strings.Split(rec.Header().Get("Allow"), ", ")))
			if !slices.Equal(got, slices.Compact(slices.Sorted(slices.Values(methods)))) {
				t.Errorf("%s %s: Allow is %q, want %q", method, target, got, methods)
			}
		}
	}
	for _, target := range []string{
		"/", "/v1", "/v1/", "/v1/accounts/", "/v1/accounts/1/", "/v1/accounts/1/wallets", "/v1/accounts/1/wallets/sms/x", "/v2/accounts",
		"/healthz/", "/favicon.ico", "/v1/accounts%2F1", "/V1/accounts",
		// The mux of the standard library would redirect these.
		"//v1/accounts", "/v1//accounts", "/v1/./accounts", "/v1/keys/../accounts", "/v1/accounts//keys", "/./", "/..",
		"//MainService.svc/json/GetBalance/ID/SECRET", "/x/../MainService.svc/json/GetBalance/ID/SECRET", "/.//user/account/balance",
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "BREW"} {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Method = method
			r.URL.Path, r.URL.RawPath = strings.ReplaceAll(target, "%2F", "/"), target
			rec := httptest.NewRecorder()
			h.handler.ServeHTTP(rec, r)
			problem := wantProblem(t, rec, ledger.NotFound)
			if problem.Detail != "there is nothing at this path" || rec.Header().Get("Location") != "" {
				t.Errorf("%s %s: %+v, %v", method, target, problem, rec.Header())
			}
		}
	}
	for _, one := range h.log.take(t) {
		if one.Route != "unmatched" {
			t.Errorf("the log says %+v", one)
		}
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	rec := newHouse(t, httpapi.GateOptions{}).do("GET", "/openapi.yaml", "")
	if rec.Header().Get("Content-Type") != "application/yaml" || rec.Body.String() != string(api.Document) {
		t.Errorf("%v with %d bytes", rec.Header(), rec.Body.Len())
	}
}

// Ready means that the ledger can be read; alive, that the process answers at all.
func TestHealth(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	if rec := h.do("GET", "/readyz", ""); rec.Code != 200 || rec.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	if rec := h.do("GET", "/readyz", ""); rec.Code != 503 || rec.Body.String() != "{\"status\":\"unavailable\"}\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := h.do("GET", "/healthz", ""); rec.Code != 200 || rec.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
