package acceptance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

const antgstPath = "/user/account/balance"

var (
	antgstHeaders = map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"}
	// admitted are those of a reply to a key that was let in, where 1000 requests a second are allowed.
	antgstAdmitted = with(antgstHeaders, "RateLimit", `"account";r=N;t=1`, "RateLimit-Policy", `"account";q=1000;w=1`)
)

func authSecret(text string) string { return fmt.Sprintf(`{"authSecret":%q}`, text) }

// TestAntgst goes through every row of the tables of docs/wire/antgst.md.
func TestAntgst(t *testing.T) { saldotest.OnEachStore(t, testAntgst) }

func testAntgst(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store, "--rate-limit", "1000", "--auth-failure-limit", "0")
	c := w.newCast(t)
	ask := func(t *testing.T, body string, headers ...string) saldotest.Reply {
		t.Helper()
		return w.Send(t, http.MethodPost, antgstPath, body, headers...)
	}
	balance := want{200, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":-18.383,"voipBalance":7.0,"currency":"CNY"}}`, antgstAdmitted}
	failure := func(code int, msg string, headers map[string]string) want {
		return want{400, fmt.Sprintf(`{"msg":%q,"code":%d}`, msg, code), headers}
	}
	empty := failure(-20, "Params can't be empty!", antgstHeaders)
	format := failure(-21, "JSON format error!", antgstHeaders)
	secret := failure(-22, "auth secret error!", antgstHeaders)
	tooLong := failure(-25, "Params Too long!", antgstHeaders)
	params := failure(-27, "Params error!", antgstHeaders)
	wrongType := failure(-33, "Params type error!", antgstHeaders)
	missing := failure(400, "Required request body is missing", antgstHeaders)
	limit := strings.Repeat("x", 512-len(saldotest.Secret))
	for _, test := range []struct {
		name, body string
		headers    []string
		want       want
	}{
		{"200", authSecret(c.good.authSecret()), nil, balance},
		{"200 other members", `{"phone":["1"],"authSecret":"first","authSecret":"` + c.good.authSecret() + `"}`, nil, balance},
		{"200 any Content-Type", authSecret(c.good.authSecret()), []string{"Content-Type", "text/plain"}, balance},
		{"200 spaced", "\r\n\t " + authSecret(c.good.authSecret()) + "\n", []string{"Content-Encoding", "identity"}, balance},
		{"-20 missing", `{}`, nil, empty},
		{"-20 null", `{"authSecret":null}`, nil, empty},
		{"-20 empty", authSecret(""), nil, empty},
		{"-20 other case", `{"AuthSecret":"` + c.good.authSecret() + `"}`, nil, empty},
		{"-21 text", c.good.authSecret(), nil, format},
		{"-21 form", "authSecret=" + c.good.authSecret(), []string{"Content-Type", "application/x-www-form-urlencoded"}, format},
		{"-21 null", `null`, nil, format},
		{"-21 list", `[` + authSecret(c.good.authSecret()) + `]`, nil, format},
		{"-21 white space", " \n", nil, format},
		{"-21 two objects", authSecret(c.good.authSecret()) + `{}`, nil, format},
		{"-21 cut", `{"authSecret":"` + saldotest.Secret, nil, format},
		{"-22 unknown", authSecret("GOOD" + saldotest.Secret), nil, secret},
		{"-22 id alone", authSecret("GOOD"), nil, secret},
		{"-22 secret alone", authSecret(c.good.secret), nil, secret},
		{"-22 with a separator", authSecret(c.good.id + ":" + c.good.secret), nil, secret},
		{"-22 revoked", authSecret(c.revoked.authSecret()), nil, secret},
		{"-22 expired", authSecret(c.expired.authSecret()), nil, secret},
		{"-22 without the scope", authSecret(c.scopeless.authSecret()), nil, failure(-22, "auth secret error!", antgstAdmitted)},
		{"-22 operator", authSecret(c.operator.authSecret()), nil, secret},
		{"-22 longest", authSecret(saldotest.Secret + limit), nil, secret},
		{"-23 suspended", authSecret(c.suspended.authSecret()), nil, failure(-23, "Account exception!", antgstAdmitted)},
		{"-23 closed", authSecret(c.shut.authSecret()), nil, failure(-23, "Account exception!", antgstAdmitted)},
		{"-25 secret", authSecret(saldotest.Secret + limit + "x"), nil, tooLong},
		{"-25 body", `{"x":"` + strings.Repeat("x", 16<<10) + `"}`, nil, tooLong},
		{"-27 gzip", authSecret(c.good.authSecret()), []string{"Content-Encoding", "gzip"}, params},
		{"-29", authSecret(c.elsewhere.authSecret()), nil, failure(-29, "Ip whitelist error!", antgstHeaders)},
		{"-29 forged address", authSecret(c.elsewhere.authSecret()), []string{"X-Forwarded-For", "203.0.113.9"}, failure(-29, "Ip whitelist error!", antgstHeaders)},
		{"-33 number", `{"authSecret":1}`, nil, wrongType},
		{"-33 boolean", `{"authSecret":true}`, nil, wrongType},
		{"-33 array", `{"authSecret":["` + c.good.authSecret() + `"]}`, nil, wrongType},
		{"-33 object", `{"authSecret":{}}`, nil, wrongType},
		{"400", "", nil, missing},
		{"400 with Content-Type", "", []string{"Content-Type", "application/json"}, missing},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, ask(t, test.body, test.headers...), test.want) })
	}
	notFound := want{404, `{"msg":"Not Found url error","code":404}`, antgstHeaders}
	for _, path := range []string{
		"/user/", "/user/account", "/user/account/", antgstPath + "/", antgstPath + "/x", "/user//account/balance", "/user/./account/balance",
		"/user/account/Balance", "/user/account/%62alance", "/user/account%2Fbalance", "/user/sms/send", "/user/" + saldotest.Secret,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run("404 "+method+" "+path, func(t *testing.T) {
				check(t, w.Send(t, method, path, authSecret(c.good.authSecret())), notFound)
			})
		}
	}
	t.Run("200 query", func(t *testing.T) {
		check(t, w.Send(t, http.MethodPost, antgstPath+"?authSecret="+saldotest.Secret, authSecret(c.good.authSecret())), balance)
	})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		t.Run("405 "+method, func(t *testing.T) {
			refused := want{405, notFound.body, with(antgstHeaders, "Allow", "POST")}
			if method == http.MethodHead {
				refused.body = ""
			}
			check(t, w.Send(t, method, antgstPath, ""), refused)
		})
	}
	t.Run("-27 cut off", func(t *testing.T) {
		if status, body := sendPart(t, w, authSecret(c.good.authSecret())); status != "HTTP/1.1 400 Bad Request" || body != params.body {
			t.Errorf("got %s, %s", status, body)
		}
	})
}

// sendPart sends less than the request announces, and no more after it.
func sendPart(t *testing.T, w *world, part string) (status, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, conn)
	w.Count(1)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: saldo\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", antgstPath, len(part)+1, part)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(reply), "\r\n\r\n")
	status, _, _ = strings.Cut(head, "\r\n")
	return status, body
}
