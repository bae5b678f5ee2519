package esms_test

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

	"github.com/saldo-ledger/saldo/internal/dialect/esms"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

const (
	key    = "KeyABC123"
	secret = "SecretDEF456"

	jsonPath = "/MainService.svc/json/GetBalance_json"
	xmlPath  = "/MainService.svc/xml/GetBalance_json"
	jsonGet  = "/MainService.svc/json/GetBalance"
	xmlGet   = "/MainService.svc/xml/GetBalance"

	jsonBody = `{"ApiKey":"` + key + `","SecretKey":"` + secret + `"}`
	xmlBody  = `<ApiModel><ApiKey>` + key + `</ApiKey><SecretKey>` + secret + `</SecretKey></ApiModel>`

	success      = `{"Balance":36693,"CodeResponse":"100","UserID":9999}`
	unauthorized = `{"Balance":0,"CodeResponse":"101","ErrorMessage":"Authorize Failed"}`
	payload      = `{"Balance":0,"CodeResponse":"210","ErrorMessage":"Incorrect payload"}`
	notFound     = `{"Balance":0,"CodeResponse":"404","ErrorMessage":"Unknown operation"}`
	notAllowed   = `{"Balance":0,"CodeResponse":"405","ErrorMessage":"Method not allowed"}`

	successXML      = `<MemberModel><Balance>36693</Balance><UserID>9999</UserID><CodeResponse>100</CodeResponse></MemberModel>`
	unauthorizedXML = `<MemberModel><Balance>0</Balance><ErrorMessage>Authorize Failed</ErrorMessage><CodeResponse>101</CodeResponse></MemberModel>`
	payloadXML      = `<MemberModel><Balance>0</Balance><ErrorMessage>Incorrect payload</ErrorMessage><CodeResponse>210</CodeResponse></MemberModel>`
	notFoundXML     = `<MemberModel><Balance>0</Balance><ErrorMessage>Unknown operation</ErrorMessage><CodeResponse>404</CodeResponse></MemberModel>`
	notAllowedXML   = `<MemberModel><Balance>0</Balance><ErrorMessage>Method not allowed</ErrorMessage><CodeResponse>405</CodeResponse></MemberModel>`
)

// stub knows one pair of credentials, split where the key is split.
type stub struct {
	holder     *ledger.Holder
	pair       ledger.Credentials
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
	if c != s.pair {
		return nil, ledger.Errorf(ledger.Unauthorized, "no such key")
	}
	return s.holder, nil
}

var known = stub{holder: holder(36_693_000_000), pair: ledger.Credentials{ID: key, Secret: secret}}

func holder(sms ledger.Amount) *ledger.Holder {
	return &ledger.Holder{
		Account: ledger.Account{ID: 9999, Currency: "VND"},
		Wallets: []ledger.Wallet{
			{WalletRef: ledger.WalletRef{Service: ledger.SMS}, Balance: sms},
			{WalletRef: ledger.WalletRef{Service: ledger.VoIP}, Balance: 5},
		},
	}
}

// ask sends a request through the whole handler.
func ask(b esms.Balances, r *http.Request, options ...esms.Option) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	esms.NewServer(b, options...).ServeHTTP(w, r)
	return w
}

func post(path, body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
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
// page prints, and against the bytes that Saldo makes of them. The page prints
// no XML.
func TestProviderPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		request           *http.Request
		page, saldo, kind string
	}{
		{"success", post(jsonPath, jsonBody), "page-success.json", "success.json", "application/json; charset=utf-8"},
		{"failure", post(jsonPath, `{"ApiKey":"{{ApiKey}}","SecretKey":"{{SecretKey}}"}`), "page-failure.json", "failure.json", "application/json; charset=utf-8"},
		{"success in XML", post(xmlPath, xmlBody), "", "success.xml", "application/xml; charset=utf-8"},
		{"failure in XML", post(xmlPath, `<ApiModel/>`), "", "failure.xml", "application/xml; charset=utf-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(known, tt.request)
			if w.Code != 200 {
				t.Errorf("status %d", w.Code)
			}
			if diff := cmp.Diff(golden(t, tt.saldo), w.Body.String()); diff != "" {
				t.Errorf("reply (-want +got):\n%s", diff)
			}
			want := http.Header{
				"Content-Type":   {tt.kind},
				"Content-Length": {strconv.Itoa(w.Body.Len())},
				"Cache-Control":  {"no-store"},
			}
			if diff := cmp.Diff(want, w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if tt.page == "" {
				return
			}
			var page bytes.Buffer
			if err := json.Compact(&page, []byte(golden(t, tt.page))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(page.String(), w.Body.String()); diff != "" {
				t.Errorf("provider's page (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShownBalance(t *testing.T) {
	t.Parallel()
	held := holder(100_000_000)
	held.Wallets[0].Held = 30_250_000
	held.Wallets[0].CreditLimit = 1_000_000_000
	tests := []struct {
		name   string
		holder *ledger.Holder
		want   string
	}{
		{"zero", holder(0), "0"},
		{"fraction above zero", holder(999_999), "0"},
		{"fraction below zero", holder(-1), "-1"},
		{"largest", holder(ledger.MaxAmount), "9223372036854"},
		{"smallest", holder(-ledger.MaxAmount), "-9223372036855"},
		{"without what is held and without credit", held, "69"},
		{"no wallets", &ledger.Holder{Account: ledger.Account{ID: 9999}}, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := stub{holder: tt.holder, pair: known.pair}
			want := `{"Balance":` + tt.want + `,"CodeResponse":"100","UserID":9999}`
			if got := ask(b, post(jsonPath, jsonBody)).Body.String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			want = `<MemberModel><Balance>` + tt.want + `</Balance><UserID>9999</UserID><CodeResponse>100</CodeResponse></MemberModel>`
			if got := ask(b, post(xmlPath, xmlBody)).Body.String(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	const (
		postJSON = "POST " + jsonPath
		postXML  = "POST " + xmlPath
		getJSON  = "GET " + jsonGet + "/{ApiKey}/{SecretKey}"
		getXML   = "GET " + xmlGet + "/{ApiKey}/{SecretKey}"
		unknown  = "/MainService.svc/"
		pair     = "/" + key + "/" + secret
	)
	tests := []struct {
		method, target string
		status         int
		want, pattern  string
	}{
		{"POST", jsonPath, 200, success, postJSON},
		{"POST", jsonPath + "/", 200, success, postJSON},
		{"POST", jsonPath + "?a=b;%zz", 200, success, postJSON},
		{"POST", "/mainservice.svc/json/getbalance_json", 200, success, postJSON},
		{"POST", "/mainservice.svc/json/getbalance_json/?x", 200, success, postJSON},
		{"POST", jsonPath + "//", 404, notFound, unknown},
		{"POST", jsonPath + "/x", 404, notFound, unknown},
		{"POST", "/MainService.svc/json/getbalance_json", 404, notFound, unknown},
		{"POST", "/mainservice.svc/json/GetBalance_json", 404, notFound, unknown},
		{"POST", "/MAINSERVICE.SVC/json/GetBalance_json", 404, notFound, unknown},
		{"POST", "/MainService.svc/json%2FGetBalance_json", 404, notFound, unknown},
		{"POST", "/MainService.svc//json/GetBalance_json", 404, notFound, unknown},
		{"POST", "/MainService.svc/", 404, notFound, unknown},
		{"POST", "/MainService.svc/json/SendMultipleMessage_V4_post_json/", 404, notFound, unknown},
		{"GET", jsonPath, 405, notAllowed, postJSON},
		{"PUT", "/mainservice.svc/json/getbalance_json/", 405, notAllowed, postJSON},

		{"POST", xmlPath, 200, successXML, postXML},
		{"POST", xmlPath + "/?x=1", 200, successXML, postXML},
		{"POST", "/mainservice.svc/xml/getbalance_json", 200, successXML, postXML},
		{"GET", xmlPath, 405, notAllowedXML, postXML},
		{"GET", "/MainService.svc/xml/GetAccount" + pair, 404, notFoundXML, unknown},
		{"GET", "/mainservice.svc/xml/" + secret, 404, notFoundXML, unknown},

		{"GET", jsonGet + pair, 200, success, getJSON},
		{"GET", jsonGet + pair + "/", 200, success, getJSON},
		{"GET", jsonGet + pair + "?x", 200, success, getJSON},
		{"GET", "/mainservice.svc/json/getbalance" + pair, 200, success, getJSON},
		{"GET", jsonGet + "/%4BeyABC123/Secret%44EF456", 200, success, getJSON},
		{"GET", jsonGet + strings.ToLower(pair), 200, unauthorized, getJSON},
		{"GET", jsonGet, 200, unauthorized, getJSON},
		{"GET", jsonGet + "/", 200, unauthorized, getJSON},
		{"GET", jsonGet + "//", 200, unauthorized, getJSON},
		{"GET", jsonGet + "/" + key, 200, unauthorized, getJSON},
		{"GET", jsonGet + "/" + key + "/", 200, unauthorized, getJSON},
		{"GET", jsonGet + "//" + secret, 200, unauthorized, getJSON},
		{"GET", jsonGet + "/KeyABC/123SecretDEF456", 200, unauthorized, getJSON},
		{"GET", jsonGet + pair + "//", 404, notFound, unknown},
		{"GET", jsonGet + pair + "/x", 404, notFound, unknown},
		{"GET", "/mainservice.svc/json/GetBalance" + pair, 404, notFound, unknown},
		{"POST", jsonGet + pair, 405, notAllowed, getJSON},
		{"HEAD", jsonGet + pair, 405, notAllowed, getJSON},

		{"GET", xmlGet + pair, 200, successXML, getXML},
		{"GET", "/mainservice.svc/xml/getbalance" + pair + "/", 200, successXML, getXML},
		{"GET", xmlGet + "/" + secret, 200, unauthorizedXML, getXML},
		{"DELETE", xmlGet + pair, 405, notAllowedXML, getXML},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			t.Parallel()
			body := jsonBody
			if strings.Contains(tt.target, "/xml/") {
				body = xmlBody
			}
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(body))
			w := ask(known, r)
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
			if r.Pattern != tt.pattern {
				t.Errorf("pattern %q, want %q", r.Pattern, tt.pattern)
			}
			wantAllow := ""
			if tt.status == http.StatusMethodNotAllowed {
				wantAllow, _, _ = strings.Cut(tt.pattern, " ")
			}
			if got := w.Header().Get("Allow"); got != wantAllow {
				t.Errorf("Allow %q, want %q", got, wantAllow)
			}
		})
	}
}

// TestEscapedSlash: a credential may hold any character, escaped or not.
func TestEscapedSlash(t *testing.T) {
	t.Parallel()
	b := stub{holder: known.holder, pair: ledger.Credentials{ID: "a/b", Secret: "c+d %é"}}
	for _, path := range []string{"/a%2Fb/c+d%20%25%C3%A9", "/a%2fb/c%2Bd%20%25%c3%a9/"} {
		if got := ask(b, httptest.NewRequest(http.MethodGet, jsonGet+path, nil)).Body.String(); got != success {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestWithoutSecretsInPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, target string
		status         int
		want           string
	}{
		{"GET", jsonGet + "/" + key + "/" + secret, 404, notFound},
		{"GET", "/mainservice.svc/json/getbalance/" + key + "/" + secret, 404, notFound},
		{"GET", xmlGet + "/" + key + "/" + secret, 404, notFoundXML},
		{"POST", jsonGet + "/" + key + "/" + secret, 404, notFound},
		{"POST", jsonPath, 200, success},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(jsonBody))
		w := ask(known, r, esms.WithoutSecretsInPaths())
		if w.Code != tt.status || w.Body.String() != tt.want {
			t.Errorf("%s %s: got %d %s, want %d %s", tt.method, tt.target, w.Code, w.Body, tt.status, tt.want)
		}
	}
}

// TestSecretsStayInside: whatever becomes of a request, neither the reply nor
// the pattern that logs and metrics read holds any part of the credentials.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	const other = "OtherSecret789"
	servers := map[string]*esms.Server{
		"known":       esms.NewServer(known),
		"refused":     esms.NewServer(stub{err: ledger.Errorf(ledger.Forbidden, "key %s may not", key)}),
		"broken":      esms.NewServer(stub{err: errors.New(jsonGet + "/" + key + "/" + secret)}),
		"without GET": esms.NewServer(known, esms.WithoutSecretsInPaths()),
	}
	paths := []string{
		jsonGet + "/" + key + "/" + secret, xmlGet + "/" + key + "/" + secret, xmlGet + "/" + key + "/" + other,
		"/mainservice.svc/json/getbalance/" + key + "/" + secret, "/mainservice.svc/json/GetBalance/" + key + "/" + secret,
		jsonGet + "/" + key + "/" + secret + "/x", jsonGet + "/" + key, "/MainService.svc/" + secret, "/MainService.svc/xml/" + secret,
	}
	for name, server := range servers {
		for _, path := range paths {
			for _, method := range []string{"GET", "POST"} {
				r := httptest.NewRequest(method, path, nil)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				var seen strings.Builder
				if err := w.Header().Write(&seen); err != nil {
					t.Fatal(err)
				}
				seen.WriteString(w.Body.String() + r.Pattern)
				for _, part := range []string{key, secret, other} {
					if strings.Contains(seen.String(), part) {
						t.Errorf("%s: %s %s gives away %s:\n%s", name, method, path, part, &seen)
					}
				}
			}
		}
	}
}

func TestJSONRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"plain", jsonBody, 200, success},
		{"spaced", "\r\n{ \"SecretKey\" : \"" + secret + "\",\t\"ApiKey\":\"" + key + "\" }\n", 200, success},
		{"other members", `{"Phone":["0"],"ApiKey":"` + key + `","SecretKey":"` + secret + `","IsUnicode":0,"x":{"ApiKey":1}}`, 200, success},
		{"last of two", `{"ApiKey":1,"ApiKey":"` + key + `","SecretKey":"` + secret + `"}`, 200, success},
		{"largest body", jsonBody + strings.Repeat(" ", 16<<10-len(jsonBody)), 200, success},
		{"no members", `{}`, 200, unauthorized},
		{"no key", `{"SecretKey":"` + secret + `"}`, 200, unauthorized},
		{"no secret", `{"ApiKey":"` + key + `"}`, 200, unauthorized},
		{"null key", `{"ApiKey":null,"SecretKey":"` + secret + `"}`, 200, unauthorized},
		{"empty key", `{"ApiKey":"","SecretKey":"` + key + secret + `"}`, 200, unauthorized},
		{"empty secret", `{"ApiKey":"` + key + secret + `","SecretKey":""}`, 200, unauthorized},
		{"split elsewhere", `{"ApiKey":"KeyABC","SecretKey":"123SecretDEF456"}`, 200, unauthorized},
		{"other case", `{"apikey":"` + key + `","secretkey":"` + secret + `"}`, 200, unauthorized},
		{"wrong secret", `{"ApiKey":"` + key + `","SecretKey":"secretdef456"}`, 200, unauthorized},
		{"number", `{"ApiKey":1,"SecretKey":"` + secret + `"}`, 400, payload},
		{"boolean", `{"ApiKey":"` + key + `","SecretKey":true}`, 400, payload},
		{"array", `{"ApiKey":["` + key + `"]}`, 400, payload},
		{"object", `{"SecretKey":{}}`, 400, payload},
		{"no body", "", 400, payload},
		{"white space", " ", 400, payload},
		{"null body", "null", 400, payload},
		{"array body", "[" + jsonBody + "]", 400, payload},
		{"two objects", jsonBody + jsonBody, 400, payload},
		{"cut off", jsonBody[:20], 400, payload},
		{"XML", xmlBody, 400, payload},
		{"body too large", jsonBody + strings.Repeat(" ", 16<<10), 400, payload},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(known, post(jsonPath, tt.body))
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

func TestXMLRequests(t *testing.T) {
	t.Parallel()
	const (
		apiKey    = `<ApiKey>` + key + `</ApiKey>`
		secretKey = `<SecretKey>` + secret + `</SecretKey>`
	)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"plain", xmlBody, 200, successXML},
		{"declaration", `<?xml version="1.0" encoding="utf-8"?>` + "\n" + xmlBody + "\n", 200, successXML},
		{"byte order mark", "\ufeff" + xmlBody, 200, successXML},
		{"namespace", `<ApiModel xmlns="http://schemas.example/x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` + apiKey + secretKey + `</ApiModel>`, 200, successXML},
		{"prefix", `<a:ApiModel xmlns:a="x"><a:SecretKey>` + secret + `</a:SecretKey><a:ApiKey>` + key + `</a:ApiKey></a:ApiModel>`, 200, successXML},
		{"comments", `<!-- a -->` + `<ApiModel> <!-- b --> ` + apiKey + `<SecretKey>Secret<!-- c -->DEF456</SecretKey></ApiModel><!-- d -->`, 200, successXML},
		{"entities", `<ApiModel><ApiKey>&#75;eyABC123</ApiKey><SecretKey><![CDATA[` + secret + `]]></SecretKey></ApiModel>`, 200, successXML},
		{"other members", `<ApiModel><Phone/>` + apiKey + `<Params><string>a</string><ApiKey>no</ApiKey></Params>` + secretKey + `</ApiModel>`, 200, successXML},
		{"last of two", `<ApiModel><ApiKey>no</ApiKey>` + apiKey + secretKey + `</ApiModel>`, 200, successXML},
		{"no members", `<ApiModel/>`, 200, unauthorizedXML},
		{"no key", `<ApiModel>` + secretKey + `</ApiModel>`, 200, unauthorizedXML},
		{"empty key", `<ApiModel><ApiKey/>` + secretKey + `</ApiModel>`, 200, unauthorizedXML},
		{"empty after text", `<ApiModel>` + apiKey + secretKey + `<SecretKey></SecretKey></ApiModel>`, 200, unauthorizedXML},
		{"spaces count", `<ApiModel><ApiKey> ` + key + `</ApiKey>` + secretKey + `</ApiModel>`, 200, unauthorizedXML},
		{"other case", `<ApiModel><apikey>` + key + `</apikey>` + secretKey + `</ApiModel>`, 200, unauthorizedXML},
		{"wrong type", `<ApiModel><ApiKey><string>` + key + `</string></ApiKey>` + secretKey + `</ApiModel>`, 400, payloadXML},
		{"other root", `<Model>` + apiKey + secretKey + `</Model>`, 400, payloadXML},
		{"root of other case", `<apimodel>` + apiKey + secretKey + `</apimodel>`, 400, payloadXML},
		{"document type", `<!DOCTYPE ApiModel>` + xmlBody, 400, payloadXML},
		{"document type inside", `<ApiModel><!DOCTYPE a>` + apiKey + secretKey + `</ApiModel>`, 400, payloadXML},
		{"unknown entity", `<ApiModel><ApiKey>&a;</ApiKey>` + secretKey + `</ApiModel>`, 400, payloadXML},
		{"text before", "x" + xmlBody, 400, payloadXML},
		{"text after", xmlBody + "x", 400, payloadXML},
		{"text between", `<ApiModel>x` + apiKey + secretKey + `</ApiModel>`, 400, payloadXML},
		{"two documents", xmlBody + xmlBody, 400, payloadXML},
		{"not closed", xmlBody[:len(xmlBody)-3], 400, payloadXML},
		{"crossed", `<ApiModel><ApiKey>a</SecretKey></ApiModel>`, 400, payloadXML},
		{"other encoding", `<?xml version="1.0" encoding="utf-16"?>` + xmlBody, 400, payloadXML},
		{"no body", "", 400, payloadXML},
		{"white space", "\n", 400, payloadXML},
		{"JSON", jsonBody, 400, payloadXML},
		{"body too large", xmlBody + strings.Repeat(" ", 16<<10), 400, payloadXML},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ask(known, post(xmlPath, tt.body))
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	encoded := post(jsonPath, jsonBody)
	encoded.Header.Set("Content-Encoding", "gzip")
	cut := httptest.NewRequest(http.MethodPost, jsonPath, io.MultiReader(strings.NewReader(jsonBody), iotest.ErrReader(io.ErrUnexpectedEOF)))
	for name, r := range map[string]*http.Request{"encoded": encoded, "cut off": cut} {
		if w := ask(known, r); w.Code != 400 || w.Body.String() != payload {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
}

// TestRefusals goes through every way in which Balances refuses.
func TestRefusals(t *testing.T) {
	t.Parallel()
	refused := func(code ledger.Code) stub { return stub{err: ledger.Errorf(code, "detail for the log")} }
	tests := []struct {
		name          string
		balances      stub
		status        int
		code, message string
		retryAfter    string
	}{
		{"unauthorized", refused(ledger.Unauthorized), 200, "101", "Authorize Failed", ""},
		{"forbidden", refused(ledger.Forbidden), 200, "101", "Authorize Failed", ""},
		{"address", refused(ledger.IPDenied), 200, "140", "IP is not whitelisted", ""},
		{"account", refused(ledger.AccountNotActive), 200, "143", "Account is not active or locked", ""},
		{"rate", refused(ledger.RateLimited), 429, "160", "Exceed TPS", "1"},
		{"rate with a time", stub{err: ledger.Errorf(ledger.RateLimited, ""), retryAfter: "7"}, 429, "160", "Exceed TPS", "7"},
		{"overload", stub{err: ledger.Errorf(ledger.Overloaded, ""), retryAfter: "2"}, 500, "99", "Internal error, try again later", "2"},
		{"internal", refused(ledger.Internal), 500, "99", "Internal error, try again later", ""},
		{"not a code of the dialect", refused(ledger.NotFound), 500, "99", "Internal error, try again later", ""},
		{"not a ledger error", stub{err: errors.New("dsn with a password")}, 500, "99", "Internal error, try again later", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wants := map[string]string{
				jsonGet: `{"Balance":0,"CodeResponse":"` + tt.code + `","ErrorMessage":"` + tt.message + `"}`,
				xmlGet:  `<MemberModel><Balance>0</Balance><ErrorMessage>` + tt.message + `</ErrorMessage><CodeResponse>` + tt.code + `</CodeResponse></MemberModel>`,
			}
			for path, want := range wants {
				w := ask(tt.balances, httptest.NewRequest(http.MethodGet, path+"/"+key+"/"+secret, nil))
				if w.Code != tt.status || w.Body.String() != want {
					t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.status, want)
				}
				if got := w.Header().Get("Retry-After"); got != tt.retryAfter {
					t.Errorf("Retry-After %q, want %q", got, tt.retryAfter)
				}
			}
		})
	}
}
