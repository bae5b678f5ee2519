package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// contract is api/openapi.yaml as a judge of exchanges.
type contract struct {
	document *openapi3.T
	router   routers.Router
}

var loadContract = sync.OnceValues(func() (*contract, error) {
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/csv", openapi3filter.PlainBodyDecoder)
	document, err := openapi3.NewLoader().LoadFromData(api.Document)
	if err != nil {
		return nil, err
	}
	router, err := legacy.NewRouter(document)
	return &contract{document, router}, err
})

// options make the library say no to a status or a body that the contract does
// not have. Keywords that are new in OpenAPI 3.1, such as dependentRequired,
// are judged by the library's validator of JSON Schema 2020-12.
func options() *openapi3filter.Options {
	return &openapi3filter.Options{
		IncludeResponseStatus:             true,
		RejectWhenRequestBodyNotSpecified: true,
		MultiError:                        true,
		SkipSettingDefaults:               true,
		AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc,
		SchemaValidationOptions:           []openapi3.SchemaValidationOption{openapi3.EnableFormatValidation(), openapi3.EnableJSONSchema2020()},
	}
}

// judge checks an exchange against the contract. A request that breaks it must
// be refused, or the part of it that does. id is the operation, "" where the
// contract has none at this path with this method.
func (c *contract) judge(r *http.Request, body []byte, reply saldotest.Reply) (id string, err error) {
	// The router compares the path with the server's, which is "/".
	request := r.Clone(r.Context())
	request.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	request.Body = io.NopCloser(bytes.NewReader(body))
	if request.Method == http.MethodHead {
		return "", nil
	}
	route, parameters, err := c.router.FindRoute(request)
	// The router takes /v1/accounts for /v1/accounts/{account} with an empty
	// account, and thinks nothing of a slash at the end.
	if err != nil || slices.Contains(slices.Collect(maps.Values(parameters)), "") || strings.HasSuffix(r.URL.Path, "/") {
		return "", c.judgeUnknown(reply)
	}
	input := &openapi3filter.RequestValidationInput{Request: request, PathParams: parameters, Route: route, Options: options()}
	requestErr := openapi3filter.ValidateRequest(r.Context(), input)
	if reply.Status >= 400 || strings.Contains(reply.Body, `"code":"invalid_request"`) {
		requestErr = nil
	}
	response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: reply.Status, Header: reply.Header, Options: options()}
	response.SetBodyBytes([]byte(reply.Body))
	responseErr := openapi3filter.ValidateResponse(r.Context(), response)
	if reply.Status >= 400 {
		responseErr = errors.Join(responseErr, c.judgeProblem(route.Path, reply))
	}
	return route.Operation.OperationID, errors.Join(requestErr, responseErr, c.judgeLines(route.Operation.OperationID, reply))
}

// judgeLines checks each line of a reply that has JSON on lines, of which the
// contract can only say in words what they are.
func (c *contract) judgeLines(id string, reply saldotest.Reply) error {
	if reply.Header.Get("Content-Type") != "application/x-ndjson" {
		return nil
	}
	name := map[string]string{"postBatch": "BatchItem", "getStatement": "StatementRow"}[id]
	if name == "" {
		return fmt.Errorf("%s answers with lines", id)
	}
	var values []any
	for line := range strings.Lines(reply.Body) {
		var value map[string]any
		if err := decodeJSON(line, &value); err != nil {
			return err
		}
		if kind := value["type"]; name == "StatementRow" && (kind == "opening" || kind == "closing") {
			delete(value, "created_at") // only where the range has an end there
			if _, ok := value["balance"].(string); !ok || len(value) != 2 {
				return fmt.Errorf("an end of a statement is %s", line)
			}
			continue
		}
		values = append(values, value)
	}
	// The library prepares a schema each time, which takes longer than all lines do.
	list := openapi3.NewArraySchema().WithItems(c.document.Components.Schemas[name].Value)
	return list.VisitJSON(values, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}

// samples are the paths of the contract with values in the place of their
// parameters, in order.
func (c *contract) samples() []string {
	fill := strings.NewReplacer("{account}", "1042", "{wallet}", "sms", "{key}", "OLD", "{name}", "mine", "{id}", "5c146b14-3c52-8afd-938a-375d0df1fbf6")
	var paths []string
	for path := range c.document.Paths.Map() {
		paths = append(paths, fill.Replace(path))
	}
	slices.Sort(paths)
	return paths
}

// allowed are the methods that the contract has for a path, in the order in
// which the server lists them. Of /v1/holds/settle they are those of
// /v1/holds/{id} too, because it could be the id of one.
func (c *contract) allowed(path string) []string {
	methods := map[string]bool{}
	for template, item := range c.document.Paths.Map() {
		if !fits(template, path) {
			continue
		}
		for method := range item.Operations() {
			methods[method] = true
		}
	}
	methods["HEAD"] = methods["GET"]
	var list []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if methods[method] {
			list = append(list, method)
		}
	}
	return list
}

// fits tells whether a path is one of a template, such as /v1/keys/{key}.
func fits(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(of, part string) bool {
		return of == part || strings.HasPrefix(of, "{")
	})
}

// judgeUnknown checks the reply at a path or to a method that is not in the
// contract, which its description promises to be a problem too.
func (c *contract) judgeUnknown(reply saldotest.Reply) error {
	switch {
	case reply.Status != http.StatusNotFound && reply.Status != http.StatusMethodNotAllowed:
		return fmt.Errorf("status %d where the contract has no operation", reply.Status)
	case (reply.Status == http.StatusMethodNotAllowed) != (reply.Header.Get("Allow") != ""):
		return fmt.Errorf("status %d with Allow %q", reply.Status, reply.Header.Get("Allow"))
	default:
		return c.judgeProblem("", reply)
	}
}

// judgeProblem checks what a schema cannot say of a problem: that its parts agree.
func (c *contract) judgeProblem(path string, reply saldotest.Reply) error {
	if path == "/readyz" {
		return nil // for machines, in their format
	}
	problem, err := decodeProblem(reply)
	if err != nil {
		return err
	}
	schema := c.document.Components.Schemas["Problem"].Value
	var value any
	if err := decodeJSON(reply.Body, &value); err != nil {
		return err
	}
	if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
		return err
	}
	if problem.Status != reply.Status || problem.Title != http.StatusText(reply.Status) || problem.Type != "urn:saldo:problem:"+string(problem.Code) {
		return fmt.Errorf("a problem that contradicts itself: %d %+v", reply.Status, problem)
	}
	return nil
}

func decodeProblem(reply saldotest.Reply) (api.Problem, error) {
	var problem api.Problem
	if mediaType := reply.Header.Get("Content-Type"); mediaType != "application/problem+json" {
		return problem, fmt.Errorf("status %d has the Content-Type %q", reply.Status, mediaType)
	}
	return problem, decodeJSON(reply.Body, &problem)
}

// validate judges a reply to GET.
func validate(t *testing.T, path string, reply saldotest.Reply) {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://saldo"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.judge(r, nil, reply); err != nil {
		t.Errorf("%s: %v\n%d %s", path, err, reply.Status, reply.Body)
	}
}

// judged is a transport that judges every exchange, and keeps count of the
// operations and statuses that it has seen.
type judged struct {
	t        *testing.T
	contract *contract
	next     http.RoundTripper

	mu    sync.Mutex
	seen  map[string]map[int]int // operation, status
	codes map[string]bool        // of errors, also of one among many
}

func newJudged(t *testing.T, next http.RoundTripper) *judged {
	t.Helper()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return &judged{t: t, contract: c, next: next, seen: map[string]map[int]int{}, codes: map[string]bool{}}
}

// RoundTrip makes an exchange and judges it.
func (j *judged) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	reply, err := saldotest.Exchange(j.next, r)
	if err != nil {
		return nil, err
	}
	id, err := j.contract.judge(r, body, reply)
	if err != nil {
		j.t.Errorf("%s %s breaks the contract: %v\n%s\n%d %v\n%s", r.Method, r.URL.Path, err, clip(string(body)), reply.Status, reply.Header, clip(reply.Body))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.seen[id] == nil {
		j.seen[id] = map[int]int{}
	}
	j.seen[id][reply.Status]++
	for _, match := range coded.FindAllStringSubmatch(reply.Body, -1) {
		j.codes[match[1]] = true
	}
	return &http.Response{
		StatusCode: reply.Status, Header: reply.Header, Request: r, ContentLength: int64(len(reply.Body)),
		Body: io.NopCloser(strings.NewReader(reply.Body)),
	}, nil
}

// missing names the operations that no request has succeeded at.
func (j *judged) missing() []string {
	var missing []string
	for path, item := range j.contract.document.Paths.Map() {
		for method, operation := range item.Operations() {
			if j.seen[operation.OperationID][200]+j.seen[operation.OperationID][201]+j.seen[operation.OperationID][204] == 0 {
				missing = append(missing, method+" "+path)
			}
		}
	}
	return missing
}

// coded finds the codes of problems and of rejected transactions.
var coded = regexp.MustCompile(`"(?:code|rejection)":"([a-z_]+)"`)

// unseen are the codes of errors that no reply has had. It does not miss those
// of a server that is overrun or fails, which tests of their own make happen.
func (j *judged) unseen() []string {
	elsewhere := []string{"request_timeout", "rate_limited", "overloaded", "outcome_unknown", "internal_error"}
	var unseen []string
	for _, value := range j.contract.document.Components.Schemas["ErrorCode"].Value.Enum {
		if code, ok := value.(string); !ok || !j.codes[code] && !slices.Contains(elsewhere, code) {
			unseen = append(unseen, fmt.Sprint(value))
		}
	}
	return unseen
}

func clip(text string) string {
	const most = 2000
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// TestJudge checks that the judge sees what is wrong: a library that overlooks
// a keyword of OpenAPI 3.1 would let everything pass.
func TestJudge(t *testing.T) {
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	const (
		wallet  = `{"account":1,"wallet":"sms","currency":"CNY","balance":"1.5","held":"0","credit_limit":"0","available":"1.5","version":1}`
		problem = `{"type":"urn:saldo:problem:not_found","title":"Not Found","status":404,"code":"not_found","detail":"x"}`
		key     = `{"id":"A","secret":"B","auth_secret":"AB","scopes":["balance:read"],"allow_list":[],"last4":"","status":"active","created_at":"2026-11-01T00:00:00.000000Z"}`
	)
	const reading = `{"from":"2026-11-01T00:00:00.000000Z","to":"2026-11-02T00:00:00.000000Z","items":[{"at":"2026-11-01T00:00:00.000000Z","service":"sms",` +
		`"unit":"money","currency":"CNY","amount":"1.5","credit_limit":null,"available":null,"pending":null,"spendable":"1.5","rise":false}]}`
	plain := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}
	details := http.Header{"Content-Type": {"application/problem+json"}}
	lines := http.Header{"Content-Type": {"application/x-ndjson"}}
	const (
		statement = "/v1/accounts/1/wallets/sms/statement?format=ndjson"
		ends      = `{"type":"opening","balance":"0"}` + "\n" + `{"type":"closing","balance":"0","created_at":"2026-11-01T00:00:00.000000Z"}` + "\n"
		batch     = `{"transactions":[{"idempotency_key":"k","type":"charge","amount":1}]}`
		failed    = `{"posted":0,"rejected":0,"failed":1,"items":[{"index":0,"outcome":"failed","error":` +
			`{"type":"urn:saldo:problem:invalid_request","title":"Bad Request","status":400,"code":"invalid_request","detail":"x"}}]}`
	)
	for _, test := range []struct {
		name, method, path, request string
		status                      int
		header                      http.Header
		reply                       string
		right                       bool
	}{
		{"right", "GET", "/v1/accounts/1/wallets/sms", ``, 200, plain, wallet, true},
		{"status", "GET", "/v1/accounts/1/wallets/sms", ``, 202, plain, wallet, false},
		{"media type", "GET", "/v1/accounts/1/wallets/sms", ``, 200, http.Header{"Content-Type": {"text/plain"}}, wallet, false},
		{"number for text", "GET", "/v1/accounts/1/wallets/sms", ``, 200, plain, strings.Replace(wallet, `"1.5"`, `1.5`, 1), false},
		{"no amount", "GET", "/v1/accounts/1/wallets/sms", ``, 200, plain, strings.Replace(wallet, `"1.5"`, `"1e3"`, 1), false},
		{"member missing", "GET", "/v1/accounts/1/wallets/sms", ``, 200, plain, strings.Replace(wallet, `"held":"0",`, ``, 1), false},
		{"integer range", "GET", "/v1/accounts/1/wallets/sms", ``, 200, plain, strings.Replace(wallet, `"account":1`, `"account":0`, 1), false},
		{"Location missing", "PUT", "/v1/accounts/1/wallets/sms", `{"credit_limit":"0"}`, 201, plain, wallet, false},
		{"unknown member sent", "PUT", "/v1/accounts/1/wallets/sms", `{"credit_limit":"0","x":1}`, 200, plain, wallet, false},
		{"unknown member refused", "PUT", "/v1/accounts/1/wallets/sms", `{"credit_limit":"0","x":1}`, 404, details, problem, true},
		{"path parameter", "GET", "/v1/accounts/1/wallets/SMS", ``, 200, plain, wallet, false},
		{"right key", "POST", "/v1/keys", `{"scopes":["admin"],"id":"A","secret":"B"}`, 201, plain, key, true},
		{"dependentRequired", "POST", "/v1/keys", `{"scopes":["admin"],"id":"A"}`, 201, plain, key, false},
		{"uniqueItems", "POST", "/v1/keys", `{"scopes":["admin","admin"]}`, 201, plain, key, false},
		{"enum", "POST", "/v1/keys", `{"scopes":["admin"]}`, 201, plain, strings.Replace(key, "active", "alive", 1), false},
		{"date", "POST", "/v1/keys", `{"scopes":["admin"]}`, 201, plain, strings.Replace(key, "-11-01T", "-11-01 ", 1), false},
		{"right problem", "GET", "/v1/accounts/1", ``, 404, details, problem, true},
		{"other status", "GET", "/v1/accounts/1", ``, 403, details, problem, false},
		{"unknown code", "GET", "/v1/accounts/1", ``, 404, details, strings.ReplaceAll(problem, "not_found", "lost"), false},
		{"no problem", "GET", "/v1/accounts/1", ``, 404, plain, problem, false},
		{"Retry-After missing", "GET", "/v1/accounts/1", ``, 429, details, strings.NewReplacer("not_found", "rate_limited", "404", "429", "Not Found", "Too Many Requests").Replace(problem), false},
		{"right unknown path", "GET", "/nowhere", ``, 404, details, problem, true},
		{"redirect", "GET", "/nowhere", ``, 307, plain, ``, false},
		{"right lines", "GET", statement, ``, 200, lines, ends, true},
		{"row with members missing", "GET", statement, ``, 200, lines, ends + `{"type":"charge","balance":"1"}`, false},
		{"end without a balance", "GET", statement, ``, 200, lines, `{"type":"opening"}`, false},
		{"end with more", "GET", statement, ``, 200, lines, `{"type":"closing","balance":"1","held":"0"}`, false},
		{"no lines", "GET", statement, ``, 200, lines, `[]`, false},
		{"part refused", "POST", "/v1/transactions/batch", batch, 200, plain, failed, true},
		{"part not refused", "POST", "/v1/transactions/batch", batch, 200, plain, strings.ReplaceAll(failed, "invalid_request", "forbidden"), false},
		{"right reading", "GET", "/v1/upstreams/mine/readings", ``, 200, plain, reading, true},
		{"null for an amount", "GET", "/v1/upstreams/mine/readings", ``, 200, plain, strings.Replace(reading, `"1.5"`, `null`, 1), false},
		{"number for null", "GET", "/v1/upstreams/mine/readings", ``, 200, plain, strings.Replace(reading, `"pending":null`, `"pending":0`, 1), false},
		{"null left out", "GET", "/v1/upstreams/mine/readings", ``, 200, plain, strings.Replace(reading, `"pending":null,`, ``, 1), false},
		{"without a body", "DELETE", "/v1/keys/A", ``, 204, http.Header{}, ``, true},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, "http://saldo"+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if test.request != "" {
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = int64(len(test.request))
		}
		_, err = c.judge(r, []byte(test.request), saldotest.Reply{Status: test.status, Header: test.header, Body: test.reply})
		if (err == nil) != test.right {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
