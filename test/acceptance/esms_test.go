package acceptance

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// esmsForm is one of the operations of the dialect, and how a key is sent to it.
type esmsForm struct {
	method, path string // path without the credentials
	xml          bool
}

var esmsForms = []esmsForm{
	{http.MethodPost, "/MainService.svc/json/GetBalance_json", false},
	{http.MethodPost, "/MainService.svc/xml/GetBalance_json", true},
	{http.MethodGet, "/MainService.svc/json/GetBalance", false},
	{http.MethodGet, "/MainService.svc/xml/GetBalance", true},
}

// request gives path and body with the credentials in them.
func (f esmsForm) request(p pair) (path, body string) {
	switch {
	case f.method == http.MethodGet:
		return f.path + "/" + url.PathEscape(p.id) + "/" + url.PathEscape(p.secret), ""
	case f.xml:
		return f.path, "<ApiModel><ApiKey>" + escapeXML(p.id) + "</ApiKey><SecretKey>" + escapeXML(p.secret) + "</SecretKey></ApiModel>"
	default:
		return f.path, fmt.Sprintf(`{"ApiKey":%q,"SecretKey":%q}`, p.id, p.secret)
	}
}

func escapeXML(text string) string {
	var escaped strings.Builder
	xml.EscapeText(&escaped, []byte(text))
	return escaped.String()
}

func (f esmsForm) headers() map[string]string {
	contentType := "application/json; charset=utf-8"
	if f.xml {
		contentType = "application/xml; charset=utf-8"
	}
	return map[string]string{"Content-Type": contentType, "Cache-Control": "no-store"}
}

func (f esmsForm) admitted() map[string]string {
	return with(f.headers(), "RateLimit", `"account";r=N;t=1`, "RateLimit-Policy", `"account";q=1000;w=1`)
}

func (f esmsForm) failure(status int, code, message string, headers map[string]string) want {
	body := fmt.Sprintf(`{"Balance":0,"CodeResponse":%q,"ErrorMessage":%q}`, code, message)
	if f.xml {
		body = "<MemberModel><Balance>0</Balance><ErrorMessage>" + message + "</ErrorMessage><CodeResponse>" + code + "</CodeResponse></MemberModel>"
	}
	return want{status, body, headers}
}

func (f esmsForm) balance(units int, id api.AccountID, headers map[string]string) want {
	body := fmt.Sprintf(`{"Balance":%d,"CodeResponse":"100","UserID":%d}`, units, id)
	if f.xml {
		body = fmt.Sprintf("<MemberModel><Balance>%d</Balance><UserID>%d</UserID><CodeResponse>100</CodeResponse></MemberModel>", units, id)
	}
	return want{200, body, headers}
}

// TestESMS goes through every row of the tables of docs/wire/esms.md, at every
// operation in every spelling.
func TestESMS(t *testing.T) { saldotest.OnEachStore(t, testESMS) }

func testESMS(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--rate-limit", "1000", "--auth-failure-limit", "0")
	c := w.newCast(t)
	for _, documented := range esmsForms {
		for _, form := range []esmsForm{documented, {documented.method, strings.ToLower(documented.path), documented.xml}} {
			for _, tail := range []string{"", "/", "?v=1", "/?v=1&ApiKey=" + saldotest.Secret} {
				t.Run(form.method+" "+form.path+tail, func(t *testing.T) { testESMSForm(t, w, c, form, tail) })
			}
		}
	}
	t.Run("bodies", func(t *testing.T) { testESMSBodies(t, w, c) })
	t.Run("paths", func(t *testing.T) { testESMSPaths(t, w, c) })
}

func testESMSForm(t *testing.T, w *world, c cast, form esmsForm, tail string) {
	t.Helper()
	unauthorized := form.failure(200, "101", "Authorize Failed", form.headers())
	inactive := form.failure(200, "143", "Account is not active or locked", form.admitted())
	for _, test := range []struct {
		name string
		key  pair
		want want
	}{
		{"100", c.good, form.balance(-19, c.account, form.admitted())}, // -18.383, rounded down
		{"101 unknown", pair{"NOBODY", saldotest.Secret}, unauthorized},
		{"101 wrong secret", pair{c.good.id, saldotest.Secret}, unauthorized},
		{"101 split elsewhere", pair{c.good.id + c.good.secret[:1], c.good.secret[1:]}, unauthorized},
		{"101 no secret", pair{c.good.authSecret(), ""}, unauthorized},
		{"101 no key", pair{"", c.good.authSecret()}, unauthorized},
		{"101 nothing", pair{}, unauthorized},
		{"101 revoked", c.revoked, unauthorized},
		{"101 expired", c.expired, unauthorized},
		{"101 without the scope", c.scopeless, form.failure(200, "101", "Authorize Failed", form.admitted())},
		{"101 operator", c.operator, unauthorized},
		{"140", c.elsewhere, form.failure(200, "140", "IP is not whitelisted", form.headers())},
		{"143 suspended", c.suspended, inactive},
		{"143 closed", c.shut, inactive},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, body := form.request(test.key)
			check(t, w.Send(t, form.method, path+tail, body), test.want)
		})
	}
	other := http.MethodGet
	if form.method == http.MethodGet {
		other = http.MethodPost
	}
	for _, method := range []string{other, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		t.Run("405 "+method, func(t *testing.T) {
			path, body := form.request(c.good)
			refused := form.failure(405, "405", "Method not allowed", with(form.headers(), "Allow", form.method))
			if method == http.MethodHead {
				refused.body, body = "", ""
			}
			check(t, w.Send(t, method, path+tail, body), refused)
		})
	}
}

func testESMSBodies(t *testing.T, w *world, c cast) {
	t.Helper()
	id, secret := c.good.id, c.good.secret
	object := fmt.Sprintf(`{"ApiKey":%q,"SecretKey":%q}`, id, secret)
	model := "<ApiModel><ApiKey>" + id + "</ApiKey><SecretKey>" + secret + "</SecretKey></ApiModel>"
	large := strings.Repeat("x", 16<<10)
	inJSON, inXML := esmsForms[0], esmsForms[1]
	for _, test := range []struct {
		form       esmsForm
		name, body string
		headers    []string
		code       string
	}{
		{inJSON, "members of other operations", `{"Phone":"1","ApiKey":"` + id + `","SmsType":2,"SecretKey":"` + secret + `","IsUnicode":null}`, nil, "100"},
		{inJSON, "as clients send it", object, []string{"Content-Type", "application/json; charset=utf-8", "Authorization", "Basic " + saldotest.Secret}, "100"},
		{inJSON, "null", `{"ApiKey":null,"SecretKey":"` + secret + `"}`, nil, "101"},
		{inJSON, "missing", `{"ApiKey":"` + id + `"}`, nil, "101"},
		{inJSON, "other case", `{"apikey":"` + id + `","secretkey":"` + secret + `"}`, nil, "101"},
		{inJSON, "empty", "", nil, "210"},
		{inJSON, "literal", "null", nil, "210"},
		{inJSON, "list", "[" + object + "]", nil, "210"},
		{inJSON, "two objects", object + object, nil, "210"},
		{inJSON, "cut", object[:len(object)-1], nil, "210"},
		{inJSON, "XML", model, nil, "210"},
		{inJSON, "number", `{"ApiKey":1,"SecretKey":"` + secret + `"}`, nil, "210"},
		{inJSON, "array", `{"ApiKey":"` + id + `","SecretKey":["` + secret + `"]}`, nil, "210"},
		{inJSON, "too large", `{"x":"` + large + `"}`, nil, "210"},
		{inJSON, "gzip", object, []string{"Content-Encoding", "gzip"}, "210"},
		{inXML, "declaration", "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?>\n" + model + "\n", []string{"Content-Type", "text/xml"}, "100"},
		{inXML, "namespaces", `<ApiModel xmlns="http://schemas.datacontract.org/2004/07/x" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Phone i:nil="true"/><SecretKey>` + secret + `</SecretKey><ApiKey>` + id + `</ApiKey></ApiModel>`, nil, "100"},
		{inXML, "missing", "<ApiModel><ApiKey>" + id + "</ApiKey></ApiModel>", nil, "101"},
		{inXML, "empty model", "<ApiModel/>", nil, "101"},
		{inXML, "empty elements", "<ApiModel><ApiKey/><SecretKey/></ApiModel>", nil, "101"},
		{inXML, "empty", "", nil, "210"},
		{inXML, "other root", "<Model>" + model + "</Model>", nil, "210"},
		{inXML, "two roots", model + model, nil, "210"},
		{inXML, "cut", model[:len(model)-1], nil, "210"},
		{inXML, "JSON", object, nil, "210"},
		{inXML, "element in a member", "<ApiModel><ApiKey><x/></ApiKey></ApiModel>", nil, "210"},
		{inXML, "document type", "<!DOCTYPE x [<!ENTITY e 'x'>]>" + model, nil, "210"},
		{inXML, "too large", "<ApiModel>" + large + "</ApiModel>", nil, "210"},
		{inXML, "gzip", model, []string{"Content-Encoding", "gzip"}, "210"},
	} {
		t.Run(test.form.path+" "+test.name, func(t *testing.T) {
			expected := map[string]want{
				"100": test.form.balance(-19, c.account, test.form.admitted()),
				"101": test.form.failure(200, "101", "Authorize Failed", test.form.headers()),
				"210": test.form.failure(400, "210", "Incorrect payload", test.form.headers()),
			}[test.code]
			check(t, w.Send(t, http.MethodPost, test.form.path, test.body, test.headers...), expected)
		})
	}
}

func testESMSPaths(t *testing.T, w *world, c cast) {
	t.Helper()
	id, secret := c.good.id, c.good.secret
	for _, path := range []string{
		"/MainService.svc/", "/MainService.svc/json", "/MainService.svc/json/", "/MainService.svc/json/GetBalanceX/a/" + secret,
		"/MainService.svc/json/SendMultipleMessage_V4_post_json/", "/MainService.svc/JSON/GetBalance_json", "/MainService.svc/json/getbalance_json",
		"/mainservice.svc/json/GetBalance_json", "/MainService.svc/json/GetBalance_json//", "/MainService.svc/json/GetBalance_json/x",
		"/MainService.svc//json/GetBalance_json", "/MainService.svc/./json/GetBalance_json", "/MainService.svc/json/GetBalance/" + id + "/" + secret + "/x",
		"/MainService.svc/json/GetBalance/" + id + "/" + secret + "//", "/MainService.svc/json/GetBalance%2F" + id + "/" + secret,
		"/MainService.svc/xml/", "/mainservice.svc/xml/x", "/MainService.svc/xml/GetBalance/" + id + "/" + secret + "/x", "/MainService.svc/xml/../xml/GetBalance_json",
	} {
		form := esmsForm{xml: strings.Contains(path, "/xml/")}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run("404 "+method+" "+path, func(t *testing.T) {
				check(t, w.Send(t, method, path, ""), form.failure(404, "404", "Unknown operation", form.headers()))
			})
		}
	}
	// In a path a slash of the secret is escaped, and a percent sign is itself.
	odd := w.account(t, api.AccountRequest{ID: 2147483647, Currency: "VND"}, map[string]string{"sms": "36693"})
	key := pair{"a/b%2F?c=#é"[:10], saldotest.Secret + `/../%25+;=&<"'`}
	if _, err := w.operator.CreateKey(t.Context(), odd, api.KeyRequest{ID: key.id, Secret: key.secret}); err != nil {
		t.Fatal(err)
	}
	for _, form := range esmsForms {
		t.Run("odd key "+form.method+" "+form.path, func(t *testing.T) {
			path, body := form.request(key)
			check(t, w.Send(t, form.method, path, body), form.balance(36693, odd, form.admitted()))
		})
	}
	for _, path := range []string{"/json/GetBalance/" + id, "/json/GetBalance/", "/json/GetBalance//" + secret} {
		form := esmsForms[2]
		t.Run("101 "+path, func(t *testing.T) {
			check(t, w.Send(t, http.MethodGet, "/MainService.svc"+path, ""), form.failure(200, "101", "Authorize Failed", form.headers()))
		})
	}
}
