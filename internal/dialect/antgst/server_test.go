package antgst_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

const (
	secret  = "AKIDexample0123456789secretABCDEF"
	request = `{"authSecret":"` + secret + `"}`
)

// stub knows one pair of credentials.
type stub struct {
	holder     *ledger.Holder
	err        error
	retryAfter string
}

func (s stub) Balance(w http.ResponseWriter, _ *http.Request, c ledger.Credentials) (*ledger.Holder, error) {
	if s.retryAfter != "" {
		w.Header().Set("Retry-After", s.retryAfter)
	}
	if s.err != nil {
		return nil, s.err
	}
	if c != (ledger.Credentials{Secret: secret}) {
		return nil, ledger.Errorf(ledger.Unauthorized, "no such key")
	}
	return s.holder, nil
}

func holder(sms, voip ledger.Amount) *ledger.Holder {
	return &ledger.Holder{
		Account: ledger.Account{ID: 9999, Currency: "CNY"},
		Wallets: []ledger.Wallet{
			{WalletRef: ledger.WalletRef{Service: ledger.SMS}, Balance: sms},
			{WalletRef: ledger.WalletRef{Service: ledger.VoIP}, Balance: voip},
		},
	}
}

// ask sends a request through the whole handler.
func ask(b antgst.Balances, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	antgst.NewServer(b).ServeHTTP(w, r)
	return w
}

func post(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, antgst.Path, strings.NewReader(body))
}

func golden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// TestProviderPage holds the replies against the bodies that the provider's
// page prints, and against the bytes that Saldo makes of them.
func TestProviderPage(t *testing.T) {
	t.Parallel()
	known := stub{holder: holder(-18_383_000, 0)}
	tests := []struct {
		name, request, page, saldo string
		status                     int
	}{
		{"success", request, "page-success.json", "success.json", 200},
		{"failure", `{"authSecret": "YOUR_API_KEY"}`, "page-failure.json", "failure.json", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(known, post(tt.request))
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(golden(t, tt.saldo), w.Body.String()); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			var page bytes.Buffer
			if err := json.Compact(&page, []byte(golden(t, tt.page))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(page.String(), w.Body.String()); diff != "" {
				t.Errorf("provider's page (-want +got):\n%s", diff)
			}
			want := http.Header{
				"Content-Type":   {"application/json"},
				"Content-Length": {strconv.Itoa(w.Body.Len())},
				"Cache-Control":  {"no-store"},
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShownBalance(t *testing.T) {
	t.Parallel()
	held := holder(100_000_000, 5_500_000)
	held.Wallets[0].Held = 30_250_000
	held.Wallets[0].CreditLimit = 1_000_000_000
	tests := []struct {
		name      string
		holder    *ledger.Holder
		sms, voip string
	}{
		{"zero", holder(0, 0), "0.0", "0.0"},
		{"whole", holder(100_000_000, -7_000_000), "100.0", "-7.0"},
		{"smallest", holder(1, -1), "0.000001", "-0.000001"},
		{"largest", holder(ledger.MaxAmount, -ledger.MaxAmount), "9223372036854.775807", "-9223372036854.775807"},
		{"without what is held and without credit", held, "69.75", "5.5"},
		{"no wallets", &ledger.Holder{Account: ledger.Account{Currency: "CNY"}}, "0.0", "0.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := `{"msg":"SUCCESS","code":200,"result":{"smsBalance":` + tt.sms + `,"voipBalance":` + tt.voip + `,"currency":"CNY"}}`
			if got := ask(stub{holder: tt.holder}, post(request)).Body.String(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	const (
		ok      = `{"msg":"SUCCESS","code":200,"result":{"smsBalance":1.0,"voipBalance":0.0,"currency":"CNY"}}`
		empty   = `{"msg":"Params can't be empty!","code":-20}`
		format  = `{"msg":"JSON format error!","code":-21}`
		unknown = `{"msg":"auth secret error!","code":-22}`
		long    = `{"msg":"Params Too long!","code":-25}`
		kind    = `{"msg":"Params type error!","code":-33}`
		missing = `{"msg":"Required request body is missing","code":400}`
	)
	pad := func(n int) string { return strings.Repeat("x", n) }
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"plain", request, 200, ok},
		{"spaced", " {\n\t\"authSecret\" : \"" + secret + "\" }\r\n", 200, ok},
		{"other members", `{"a":{"authSecret":1},"authSecret":"` + secret + `","b":[null]}`, 200, ok},
		{"last of two", `{"authSecret":1,"authSecret":"` + secret + `"}`, 200, ok},
		{"escaped", `{"authSecret":"\u0041` + secret[1:] + `"}`, 200, ok},
		{"largest body", request + strings.Repeat(" ", 16<<10-len(request)), 200, ok},
		{"no member", `{}`, 400, empty},
		{"null", `{"authSecret":null}`, 400, empty},
		{"empty text", `{"authSecret":""}`, 400, empty},
		{"other case", `{"authsecret":"` + secret + `"}`, 400, empty},
		{"white space", " \n", 400, format},
		{"null body", `null`, 400, format},
		{"array body", `[` + request + `]`, 400, format},
		{"string body", `"` + secret + `"`, 400, format},
		{"two objects", request + request, 400, format},
		{"cut off", request[:20], 400, format},
		{"a form", `authSecret=` + secret, 400, format},
		{"another secret", `{"authSecret":"` + secret + `x"}`, 400, unknown},
		{"longest secret", `{"authSecret":"` + pad(512) + `"}`, 400, unknown},
		{"too long", `{"authSecret":"` + pad(513) + `"}`, 400, long},
		{"too long in bytes", `{"authSecret":"` + strings.Repeat("é", 257) + `"}`, 400, long},
		{"body too large", request + strings.Repeat(" ", 16<<10), 400, long},
		{"number", `{"authSecret":42}`, 400, kind},
		{"boolean", `{"authSecret":false}`, 400, kind},
		{"array", `{"authSecret":["` + secret + `"]}`, 400, kind},
		{"object", `{"authSecret":{}}`, 400, kind},
		{"no body", "", 400, missing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := post(tt.body)
			w := ask(stub{holder: holder(ledger.Scale, 0)}, r)
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if r.Pattern != "POST /user/account/balance" {
				t.Errorf("pattern %q", r.Pattern)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const failure = `{"msg":"Params error!","code":-27}`
	known := stub{holder: holder(0, 0)}
	tests := []struct {
		name   string
		header http.Header
		body   io.Reader
		code   int
	}{
		{"content type of a form", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(request), 200},
		{"identity", http.Header{"Content-Encoding": {"identity"}}, strings.NewReader(request), 200},
		{"gzip", http.Header{"Content-Encoding": {"gzip"}}, strings.NewReader(request), 400},
		{"cut off", nil, io.MultiReader(strings.NewReader(request), iotest.ErrReader(io.ErrUnexpectedEOF)), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, antgst.Path, tt.body)
			r.Header = tt.header
			w := ask(known, r)
			if w.Code != tt.code || w.Code != 200 && w.Body.String() != failure {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.code)
			}
		})
	}
}

// TestRefusals goes through every way in which Balances refuses.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const serverError = `{"msg":"Something goes wrong with our servers.","code":500}`
	refused := func(code ledger.Code) stub { return stub{err: ledger.Errorf(code, "detail for the log")} }
	tests := []struct {
		name       string
		balances   stub
		status     int
		want       string
		retryAfter string
	}{
		{"unauthorized", refused(ledger.Unauthorized), 400, `{"msg":"auth secret error!","code":-22}`, ""},
		{"forbidden", refused(ledger.Forbidden), 400, `{"msg":"auth secret error!","code":-22}`, ""},
		{"address", refused(ledger.IPDenied), 400, `{"msg":"Ip whitelist error!","code":-29}`, ""},
		{"account", refused(ledger.AccountNotActive), 400, `{"msg":"Account exception!","code":-23}`, ""},
		{"rate", refused(ledger.RateLimited), 429, `{"msg":"The number has reached the request limit","code":-32}`, "1"},
		{
			"rate with a time",
			stub{err: ledger.Errorf(ledger.RateLimited, ""), retryAfter: "7"},
			429, `{"msg":"The number has reached the request limit","code":-32}`, "7",
		},
		{"overload", stub{err: ledger.Errorf(ledger.Overloaded, ""), retryAfter: "2"}, 500, serverError, "2"},
		{"internal", refused(ledger.Internal), 500, serverError, ""},
		{"not a code of the dialect", refused(ledger.NotFound), 500, serverError, ""},
		{"not a ledger error", stub{err: errors.New("dsn with a password")}, 500, serverError, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(tt.balances, post(request))
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, tt.retryAfter)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	const (
		notFound = `{"msg":"Not Found url error","code":404}`
		success  = `{"msg":"SUCCESS","code":200,"result":{"smsBalance":0.0,"voipBalance":0.0,"currency":"CNY"}}`
		route    = "POST /user/account/balance"
	)
	tests := []struct {
		method, target string
		status         int
		want, pattern  string
	}{
		{"POST", "/user/account/balance", 200, success, route},
		{"POST", "/user/account/balance?lang=en", 200, success, route},
		{"GET", "/user/account/balance", 405, notFound, route},
		{"HEAD", "/user/account/balance", 405, notFound, route},
		{"PUT", "/user/account/balance", 405, notFound, route},
		{"POST", "/user/account/balance/", 404, notFound, "/user/"},
		{"POST", "/user/account//balance", 404, notFound, "/user/"},
		{"POST", "/user/account%2Fbalance", 404, notFound, "/user/"},
		{"POST", "/user/x/../account/balance", 404, notFound, "/user/"},
		{"POST", "/user/Account/Balance", 404, notFound, "/user/"},
		{"GET", "/user/" + secret, 404, notFound, "/user/"},
		{"POST", "/user/", 404, notFound, "/user/"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(request))
			w := ask(stub{holder: holder(0, 0)}, r)
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if r.Pattern != tt.pattern {
				t.Errorf("pattern %q, want %q", r.Pattern, tt.pattern)
			}
			wantAllow := map[int]string{405: "POST"}[tt.status]
			if got := w.Header().Get("Allow"); got != wantAllow {
				t.Errorf("Allow %q, want %q", got, wantAllow)
			}
		})
	}
}
