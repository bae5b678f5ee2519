package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/saldo-ledger/saldo/api"
)

// TestDocument checks the document against the rules of OpenAPI, and every
// example in it against its schema.
func TestDocument(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Summary == "" || operation.Description == "" || len(operation.Tags) != 1 {
				t.Errorf("%s %s lacks a summary, a description or its tag", method, path)
			}
		}
	}
}

// routes is a server that says which operation was called, with what.
type routes struct {
	api.ServerInterface

	called string
}

func (s *routes) GetAccount(_ http.ResponseWriter, _ *http.Request, id api.AccountID) {
	s.called = fmt.Sprint("account ", id)
}

func (s *routes) RevokeKey(_ http.ResponseWriter, _ *http.Request, key api.KeyID) {
	s.called = "key " + key
}

func (s *routes) PostTransaction(_ http.ResponseWriter, _ *http.Request, params api.PostTransactionParams) {
	s.called = "post " + params.IdempotencyKey
}

func (s *routes) ListAccounts(_ http.ResponseWriter, _ *http.Request, params api.ListAccountsParams) {
	text, err := json.Marshal(params)
	s.called = fmt.Sprintf("list %s %v", text, err)
}

// TestRoutes checks what the generated server makes of paths, queries and
// headers that are odd but right, and that it reports wrong ones to its owner.
func TestRoutes(t *testing.T) {
	const visible = "!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~"
	for _, tc := range []struct{ method, target, header, want string }{
		{"GET", "/v1/accounts/7", "", "account 7"},
		{"GET", "/v1/accounts/2147483648", "", "error"},
		{"GET", "/v1/accounts/-", "", "error"},
		{"GET", "/v1/accounts", "", "list {} <nil>"},
		{"GET", "/v1/accounts?limit=0", "", `list {"limit":0} <nil>`},
		{"GET", "/v1/accounts?limit=10&cursor=a%2Cb%3D", "", `list {"limit":10,"cursor":"a,b="} <nil>`},
		{"GET", "/v1/accounts?limit=x", "", "error"},
		{"DELETE", "/v1/keys/AK1", "", "key AK1"},
		{"DELETE", "/v1/keys/A%2F%2FB%25,%3F%23+", "", "key A//B%,?#+"},
		{"POST", "/v1/transactions", visible, "post " + visible},
		{"POST", "/v1/transactions", "", "error"},
	} {
		server := &routes{}
		handler := api.HandlerWithOptions(server, api.StdHTTPServerOptions{
			ErrorHandlerFunc: func(http.ResponseWriter, *http.Request, error) { server.called = "error" },
		})
		req := httptest.NewRequest(tc.method, tc.target, http.NoBody)
		if tc.header != "" {
			req.Header.Set("Idempotency-Key", tc.header)
		}
		handler.ServeHTTP(httptest.NewRecorder(), req)
		if server.called != tc.want {
			t.Errorf("%s %s: %q, want %q", tc.method, tc.target, server.called, tc.want)
		}
	}
}

// TestPatch checks the one place where absent and empty mean different things.
func TestPatch(t *testing.T) {
	for _, text := range []string{`{}`, `{"external_reference":"","metadata":{},"name":"","status":""}`} {
		var patch api.AccountPatch
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&patch); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(patch); err != nil || string(again) != text {
			t.Errorf("%s became %s, %v", text, again, err)
		}
	}
}
