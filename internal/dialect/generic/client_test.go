package generic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// made is a provider that nobody has.
func made() Settings {
	return Settings{
		Method:    "POST",
		URL:       "https://provider.example/v1/${USER}/balance?key=${KEY}",
		Headers:   map[string]string{"Content-Type": "application/json", "X-Key": "${KEY}"},
		BasicAuth: "${USER}:${KEY}",
		Body:      `{"user": "${USER}", "key": "${KEY}"}`,
		Amount:    `.accounts[] | {service, amount: .left, currency, available: .usable, credit_limit: .limit, pending}`,
		Account:   ".id",
		Billing:   ".billing",
		Error:     `if .ok == false then {status, code, message: .reason} else null end`,
		Currency:  "USD",
	}
}

func secretsOf(values []string) map[string]string {
	return map[string]string{"USER": values[0], "KEY": values[1]}
}

func value(text string) *decimal.Decimal {
	amount := decimal.RequireFromString(text)
	return &amount
}

func TestClient(t *testing.T) {
	t.Parallel()
	secrets := []string{"made-up user", `k%y+&<made-up>`}
	decoder := newDecoder(t, made())
	fake := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		if user != secrets[0] || password != secrets[1] || r.Header.Get("X-Key") != secrets[1] || r.URL.Query().Get("key") != secrets[1] ||
			r.URL.Path != "/v1/made-up user/balance" || r.Method != http.MethodPost || string(body) != `{"user": "made-up user", "key": "k%y+\u0026\u003cmade-up\u003e"}` {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"ok":false,"reason":"who are you?"}`)
			return
		}
		_, _ = io.WriteString(w, `{"ok":true,"id":77,"billing":"prepaid","accounts":[{"left":0.30000000000000000000000000001}]}`)
	})
	want := func(billing provider.Billing, buckets ...provider.Bucket) *provider.Balance {
		return &provider.Balance{Account: "77", Billing: billing, Buckets: buckets}
	}
	dollars := provider.Bucket{
		Service: "main", Unit: provider.Money, Amount: *value("0.30000000000000000000000000001"), Currency: "USD", CurrencySource: provider.FromConfiguration,
	}
	euros := provider.Bucket{
		Service: "voip", Unit: provider.Money, Amount: *value("-3"), Currency: "EUR", CurrencySource: provider.FromReply,
		Available: value("7"), CreditLimit: value("10"), Pending: value("1.50"),
	}
	failed := func(status provider.Status, code, message string) provider.Error {
		return provider.Error{Status: status, Code: code, Message: message}
	}
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: "https://provider.example",
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, made(), secretsOf(secrets))
		},
		Secrets: secrets,
		Decode:  decoder.decode,
		Fake:    fake,
		Balance: want(provider.BillingPrepaid, dollars),
		Echo:    `{"ok":false,"status":"unauthorized","reason":"%s"}`,
		Replies: []dialecttest.Reply{
			{
				Body: `{"ok":true,"id":"77","billing":"postpaid","accounts":[{"service":"voip","left":"-3","currency":"eur","usable":7,"limit":1e1,"pending":"1.50"},{"left":0.30000000000000000000000000001}]}`,
				Want: want(provider.BillingPostpaid, euros, dollars),
			},
			{Body: `{"ok":true,"accounts":[]}`, Err: failed(provider.Malformed, "", "finds nothing")},
			{Body: `{"ok":true}`, Err: failed(provider.Malformed, "", "amount")},
			{Body: `{"ok":true,"accounts":[{}]}`, Err: failed(provider.Malformed, "", "none for main")},
			{Body: `{"ok":true,"accounts":[{"left":"a lot"}]}`, Err: failed(provider.Malformed, "", "amount")},
			{Body: `{"ok":true,"accounts":[{"left":true}]}`, Err: failed(provider.Malformed, "", "true")},
			{Body: `{"ok":true,"accounts":[{"left":1},{"left":2}]}`, Err: failed(provider.Malformed, "", "twice")},
			{Body: `{"ok":true,"accounts":[{"left":1,"currency":"points"}]}`, Err: failed(provider.Malformed, "", "points")},
			{Body: `{"ok":true,"billing":"barter","accounts":[{"left":1}]}`, Err: failed(provider.Malformed, "", "billing")},
			{Body: `{"ok":true,"id":[7],"accounts":[{"left":1}]}`, Err: failed(provider.Malformed, "", "account")},
			{Body: `{"ok":false,"status":"suspended","code":12,"reason":"closed"}`, Err: failed(provider.Suspended, "12", "closed")},
			{Body: `{"ok":false,"status":"ip_denied"}`, HTTP: 403, Err: failed(provider.IPDenied, "", "")},
			{Body: `{"ok":false,"code":"x"}`, HTTP: 429, Err: failed(provider.RateLimited, "x", "")},
			{Body: `{"ok":false,"code":"x"}`, HTTP: 422, Err: failed(provider.InvalidRequest, "x", "")},
			{Body: `{"ok":false,"code":"y"}`, Err: failed(provider.ProviderError, "y", "")},
			{Body: `{"ok":false,"status":"sleepy"}`, Err: failed(provider.Malformed, "", "sleepy")},
			{Body: `{"ok":false,"status":"ok"}`, Err: failed(provider.Malformed, "", "ok")},
			// What HTTP says counts, whatever the expression finds.
			{Body: `{"ok":true,"accounts":[{"left":1}]}`, HTTP: 401, Err: failed(provider.Unauthorized, "", "401")},
			{Body: `{"ok":true,"accounts":[{"left":1}]}`, HTTP: 404, Err: failed(provider.InvalidRequest, "", "404")},
		},
	})
}

func newDecoder(t *testing.T, settings Settings) *decoder {
	t.Helper()
	d, err := settings.decoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestExact keeps amounts away from floats, whatever an expression does with them.
func TestExact(t *testing.T) {
	t.Parallel()
	tests := []struct{ expression, body, want string }{
		{".a", `{"a":0.1}`, "0.1"},
		{".a", `{"a":100000000000000000000000000.01}`, "100000000000000000000000000.01"},
		{".a", `{"a":1.26743233E+15}`, "1267432330000000"},
		{".a", `{"a":123456789012345678901234567890}`, "123456789012345678901234567890"},
		{".a + .b", `{"a":1,"b":2}`, "3"},
		{".a + .b", `{"a":123456789012345678901234567890,"b":1}`, "123456789012345678901234567891"},
		{".a | tostring", `{"a":9007199254740993.01}`, "9007199254740993.01"},
		{".[0].a", `[{"a":-0.30000000000000000000000000001}]`, "-0.30000000000000000000000000001"},
		{".a + .b", `{"a":0.1,"b":0.2}`, ""},
		{".a * 100", `{"a":0.1}`, ""},
		{".a | tonumber", `{"a":"0.1"}`, ""},
		{".a / 100", `{"a":12345}`, ""},
		{".a", `{"a":1e999999}`, ""},
		{"nan", `{}`, ""},
		{"infinite", `{}`, ""},
	}
	for _, tt := range tests {
		balance, err := newDecoder(t, Settings{Amount: tt.expression}).decode(&provider.Reply{Status: 200, Body: []byte(tt.body)})
		switch {
		case tt.want == "" && (balance != nil || provider.StatusOf(err) != provider.Malformed):
			t.Errorf("%s of %s: %v, %v", tt.expression, tt.body, balance, err)
		case tt.want != "" && (err != nil || balance.Buckets[0].Amount.String() != tt.want):
			t.Errorf("%s of %s: %v, %v; want %s", tt.expression, tt.body, balance, err, tt.want)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	tests := []struct {
		expression, want string
	}{
		{"12345", "123.45"},
		{"{amount: 12345, scale: 4}", "1.2345"},
		{"{amount: 12345, scale: 0}", "12345"},
		{"{amount: 12345, scale: -1}", ""},
		{"{amount: 12345, scale: 99}", ""},
		{`{amount: 1, unit: "messages"}`, ""},
		{`{amount: 1, unit: "credits", currency: "USD"}`, ""},
		{`{amount: 1, service: "a\nb"}`, ""},
		{"{amount: 1, colour: null}", ""},
		{"[1]", ""},
		{"1, 2", ""},
		{"range(100) | {amount: ., service: tostring}", ""},
	}
	for _, tt := range tests {
		balance, err := newDecoder(t, Settings{Amount: tt.expression, Scale: 2}).decode(&provider.Reply{Status: 200, Body: []byte("{}")})
		switch {
		case tt.want == "" && (balance != nil || provider.StatusOf(err) != provider.Malformed):
			t.Errorf("%s: %v, %v", tt.expression, balance, err)
		case tt.want != "" && (err != nil || balance.Buckets[0].Amount.String() != tt.want):
			t.Errorf("%s: %v, %v; want %s", tt.expression, balance, err, tt.want)
		}
	}
}

// described asks a provider that gives this reply, by settings to which the
// request is added. USER and KEY are the credentials.
func described(t *testing.T, settings Settings, secrets map[string]string, body string) (*provider.Balance, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	defer server.Close()
	settings.URL = "/"
	client, err := NewClient(provider.Options{BaseURL: server.URL}, settings, secrets)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.Balance(t.Context())
}

// TestAccount shows who the account is, and no secret. Only the user of HTTP Basic
// beside a secret password is none.
func TestAccount(t *testing.T) {
	t.Parallel()
	tests := []struct{ basicAuth, id, want string }{
		{"${USER}:${KEY}", `"someone"`, "someone"},
		{"${USER}:${KEY}", "12345678901234567890", "12345678901234567890"},
		{"${USER}:${KEY}", `""`, ""},
		{"${USER}:${KEY}", "null", ""},
		{"${USER}:${KEY}", `"S3CR3T of someone"`, "[hidden] of someone"},
		{"${USER}:${KEY}", `"c29tZW9uZTpTM0NSM1Q="`, "[hidden]"},
		{"${KEY}:${USER}", `"someone"`, "[hidden]"},
		{"${USER}:x${KEY}", `"someone"`, "[hidden]"},
		{"x:${USER}${KEY}", `"someone"`, "[hidden]"},
	}
	for _, tt := range tests {
		settings := Settings{Amount: ".a", Account: ".id", BasicAuth: tt.basicAuth}
		balance, err := described(t, settings, map[string]string{"USER": "someone", "KEY": "S3CR3T"}, `{"a":1,"id":`+tt.id+`}`)
		if err != nil || balance.Account != tt.want {
			t.Errorf("%+v: %v, %v", tt, balance, err)
		}
	}
	short := Settings{Amount: ".a", Account: ".id", Service: "sms", Headers: map[string]string{"X-User": "${USER}", "X-Key": "${KEY}"}}
	balance, err := described(t, short, map[string]string{"USER": "sms", "KEY": "S3CR3T"}, `{"a":1,"id":"sms of S3CR3T"}`)
	if err != nil || balance.Account != "sms of [hidden]" || balance.Buckets[0].Service != "sms" {
		t.Errorf("%+v, %v", balance, err)
	}
	if balance, err := described(t, Settings{Amount: ".a", Account: ".id", BasicAuth: "${KEY}:x"}, map[string]string{"KEY": "S3CR3T"}, `{"a":1,"id":"S3CR3T"}`); err != nil || balance.Account != "[hidden]" {
		t.Errorf("%v, %v", balance, err)
	}
}

// TestSecretReplies has replies that repeat a secret, where an expression expects
// something else. Neither the secret nor its beginning is told, and what else is
// known is.
func TestSecretReplies(t *testing.T) {
	t.Parallel()
	const token = "sk_live_ABCDEFGHIJKLMNOPQRSTUVWXYZ\"0123456789"
	quoted, _ := json.Marshal(token)
	tests := []struct {
		settings   Settings
		body, want string // what is told, of the error or the balance
	}{
		{Settings{Amount: ".data.balance"}, "%s", "amount: expected an object but got: string"},
		{Settings{Amount: ".data.balance"}, `{"data":[%s]}`, "amount: expected an object but got: array"},
		{Settings{Amount: ".data[]"}, `{"data":%s}`, "amount: cannot iterate over: string"},
		{Settings{Amount: ".data[0]"}, `{"data":{"a":%s}}`, "amount: expected an array but got: object"},
		{Settings{Amount: ".data | fromjson"}, `{"data":%s}`, "amount: the expression fails on this reply"},
		{Settings{Amount: ".data | tonumber"}, `{"data":%s}`, "amount: the expression fails on this reply"},
		{Settings{Amount: ".data as $d | .a | split($d)"}, `{"a":1,"data":%s}`, "amount: the expression fails on this reply"},
		{Settings{Amount: ".data - 1"}, `{"data":%s}`, "amount: cannot subtract: string"},
		{Settings{Amount: ".a", Error: ".data.message"}, `{"a":1,"data":%s}`, "error: expected an object but got: string"},
		{Settings{Amount: ".a", Account: ".data.id"}, `{"a":1,"data":%s}`, "account: expected an object but got: string"},
		{Settings{Amount: ".a", Billing: ".data.paid"}, `{"a":1,"data":%s}`, "billing: expected an object but got: string"},
		{Settings{Amount: `error("nothing for \(.data)")`}, `{"data":%s}`, "amount: nothing for [hidden]"},
		{Settings{Amount: "error(.)"}, `{"data":%s}`, "amount: the expression fails on this reply"},
		{Settings{Amount: "."}, "%s", "an amount that cannot be read"},
		{Settings{Amount: "."}, "{%s:1}", "the member [hidden] is not known"},
		{Settings{Amount: "{amount: .a, currency: .data}"}, `{"a":1,"data":%s}`, `the currency "[hidden]" is none`},
		{Settings{Amount: "{amount: .a, unit: .data}"}, `{"a":1,"data":%s}`, `the unit "[hidden]" is neither`},
		{Settings{Amount: "{amount: .a, scale: .data}"}, `{"a":1,"data":%s}`, `"[hidden]"`},
		{Settings{Amount: ".a", Billing: ".data"}, `{"a":1,"data":%s}`, `"[hidden]" is none of prepaid`},
		{Settings{Amount: ".a", Error: "{status: .data}"}, `{"a":1,"data":%s}`, `"[hidden]" is no status`},
		{Settings{Amount: ".a", Error: ".data"}, `{"a":1,"data":%s}`, "provider_error: [hidden]"},
		{Settings{Amount: ".a", Error: "{message, code: .data}"}, `{"message":"no such token","data":%s}`, "no such token (the provider's code [hidden])"},
		{Settings{Amount: ".a", Account: ".data"}, `{"a":1,"data":%s}`, "Account:[hidden]"},
		{Settings{Amount: "{amount: .a, service: .data}"}, `{"a":1,"data":%s}`, "Service:[hidden]"},
	}
	for _, tt := range tests {
		tt.settings.Headers = map[string]string{"X-Key": "${KEY}"}
		body := strings.Replace(tt.body, "%s", string(quoted), 1)
		balance, err := described(t, tt.settings, map[string]string{"KEY": token}, body)
		told := fmt.Sprintf("%+v", balance)
		if err != nil {
			told = err.Error()
		}
		if !strings.Contains(told, tt.want) || strings.Contains(told, "sk_") {
			t.Errorf("%s of %s:\n%s\nwant %s", tt.settings.Amount, body, told, tt.want)
		}
	}
}

// TestText reads replies that are no JSON.
func TestText(t *testing.T) {
	t.Parallel()
	d := newDecoder(t, Settings{
		Format: "text", Unit: "credits", Amount: `split("|")[1]`,
		Error: `split("|") | if .[0] == "0" then null else {status: {"23": "unauthorized"}[.[0]], code: .[0], message: .[1]} end`,
	})
	balance, err := d.decode(&provider.Reply{Status: 200, Body: []byte("0|2101.15\r\n")})
	want := &provider.Balance{Buckets: []provider.Bucket{{Service: "main", Unit: provider.Credits, Amount: *value("2101.15")}}}
	if diff := cmp.Diff(want, balance); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for body, want := range map[string]provider.Status{
		"23|not you": provider.Unauthorized, "24|?": provider.ProviderError, "": provider.Malformed, "0": provider.Malformed, "\xff": provider.Malformed,
	} {
		if balance, err := d.decode(&provider.Reply{Status: 200, Body: []byte(body)}); balance != nil || provider.StatusOf(err) != want {
			t.Errorf("%q: %v, %v", body, balance, err)
		}
	}
}

// TestEndless stops expressions that never end.
func TestEndless(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{"def f: f; f", "last(repeat(1))", "[limit(5; repeat(1))] | until(false; .)"} {
		if _, err := newDecoder(t, Settings{Amount: expression}).decode(&provider.Reply{Status: 200, Body: []byte("{}")}); provider.StatusOf(err) != provider.Malformed {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestSealed makes sure that an expression sees the reply and nothing else.
func TestSealed(t *testing.T) {
	t.Setenv("SALDO_TEST_SECRET", "42")
	for _, expression := range []string{"env.SALDO_TEST_SECRET", "$ENV.SALDO_TEST_SECRET", "input", "[inputs][0]", "input_filename", "halt", "halt_error", `error("no")`} {
		settings := Settings{URL: "https://provider.example/", Amount: expression}
		d, err := settings.decoder()
		if err != nil {
			continue // it is refused at once
		}
		if balance, err := d.decode(&provider.Reply{Status: 200, Body: []byte("{}")}); balance != nil || provider.StatusOf(err) != provider.Malformed {
			t.Errorf("%s: %v, %v", expression, balance, err)
		}
	}
	for _, expression := range []string{`import "a" as a; 1`, `include "a"; 1`, "$secret", `get_search_list`} {
		settings := Settings{URL: "https://provider.example/", Amount: expression}
		if _, err := settings.decoder(); err == nil {
			t.Errorf("%s is compiled", expression)
		}
	}
}

// TestSettings has each mistake that an operator can make. The error names the
// member, says what to do, and keeps the secret.
func TestSettings(t *testing.T) {
	t.Parallel()
	const secret = "made/up:secret\"&"
	tests := []struct {
		name, member string
		change       func(*Settings)
	}{
		{"method", "method", func(s *Settings) { s.Method = "DELETE" }},
		{"format", "format", func(s *Settings) { s.Format = "yaml" }},
		{"unit", "unit", func(s *Settings) { s.Unit = "points" }},
		{"service", "service", func(s *Settings) { s.Service = "a\nb" }},
		{"currency", "currency", func(s *Settings) { s.Currency = "dollars" }},
		{"currency of credits", "currency", func(s *Settings) { s.Unit = "credits" }},
		{"scale", "scale", func(s *Settings) { s.Scale = -1 }},
		{"no amount", "amount", func(s *Settings) { s.Amount = "" }},
		{"amount", "amount", func(s *Settings) { s.Amount = ".a[" }},
		{"amount of an unknown function", "amount", func(s *Settings) { s.Amount = "balance" }},
		{"account", "account", func(s *Settings) { s.Account = "}" }},
		{"billing", "billing", func(s *Settings) { s.Billing = "if" }},
		{"error", "error", func(s *Settings) { s.Error = "$status" }},
		{"no URL", "url", func(s *Settings) { s.URL = "" }},
		{"no host", "url", func(s *Settings) { s.URL = "/balance?a=${KEY}" }},
		{"no path", "url", func(s *Settings) { s.URL = "https://provider.example" }},
		{"user in the URL", "url", func(s *Settings) { s.URL = "https://user:${KEY}@provider.example/" }},
		{"secret in the host", "url", func(s *Settings) { s.URL = "https://${KEY}.provider.example/" }},
		{"escaped slash", "url", func(s *Settings) { s.URL = "https://provider.example/a%2Fb?a=${KEY}" }},
		{"fragment", "url", func(s *Settings) { s.URL = "https://provider.example/#${KEY}" }},
		{"slash in the path", "url", func(s *Settings) { s.URL = "https://provider.example/${KEY}" }},
		{"name of a parameter", "url", func(s *Settings) { s.URL = "https://provider.example/?${KEY}=1" }},
		{"bad parameters", "url", func(s *Settings) { s.URL = "https://provider.example/?a=%zz&b=${KEY}" }},
		{"unknown secret", "headers.X-Key", func(s *Settings) { s.Headers["X-Key"] = "${TOKEN}" }},
		{"open placeholder", "headers.X-Key", func(s *Settings) { s.Headers["X-Key"] = "${KEY" }},
		{"odd placeholder", "headers.X-Key", func(s *Settings) { s.Headers["X-Key"] = "${a b}" }},
		{"name of a header", "headers", func(s *Settings) { s.Headers["X Key"] = "1" }},
		{"reserved header", "headers.host", func(s *Settings) { s.Headers["host"] = "1" }},
		{"header twice", "headers.x-key", func(s *Settings) { s.Headers["x-key"] = "1" }},
		{"no colon", "basic_auth", func(s *Settings) { s.BasicAuth = "${KEY}" }},
		{"colon in the name", "basic_auth", func(s *Settings) { s.BasicAuth = "${KEY}:x" }},
		{"two authorizations", "basic_auth", func(s *Settings) { s.Headers["Authorization"], s.BasicAuth = "Bearer ${KEY}", "a:b" }},
		{"body of GET", "body", func(s *Settings) { s.Body = "x" }},
		{"body without a type", "body", func(s *Settings) { s.Method, s.Body = "POST", "x" }},
		{"body that is no JSON", "body", func(s *Settings) {
			s.Method, s.Body, s.Headers["Content-Type"] = "POST", `{"key": ${KEY}}`, "application/json; charset=utf-8"
		}},
		{"unused secret", "secrets", func(s *Settings) { s.Headers = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			settings := Settings{URL: "https://provider.example/balance", Headers: map[string]string{"X-Key": "${KEY}"}, Amount: ".a", Currency: "USD"}
			tt.change(&settings)
			client, err := NewClient(provider.Options{}, settings, map[string]string{"KEY": secret})
			if err == nil {
				client.Close()
				t.Fatal("it is taken")
			}
			failure, ok := errors.AsType[*SettingError](err)
			if !ok || failure.Member != tt.member || strings.Contains(err.Error()+failure.Hint(), "made/up") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestBodies puts one secret into each kind of body.
func TestBodies(t *testing.T) {
	t.Parallel()
	const secret = `a"b&c<d`
	for contentType, want := range map[string]string{
		"application/json":                  `key="a\"b\u0026c\u003cd"`,
		"application/x-www-form-urlencoded": `key="a%22b%26c%3Cd"`,
		"application/xml":                   `key="a&#34;b&amp;c&lt;d"`,
		"text/plain":                        `key="a"b&c<d"`,
	} {
		template := `key="${KEY}"`
		if contentType == "application/json" {
			template, want = `{"key":"${KEY}"}`, `{`+strings.Replace(want, "key=", `"key":`, 1)+`}`
		}
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = string(body)
			_, _ = io.WriteString(w, "1")
		}))
		client, err := NewClient(provider.Options{BaseURL: server.URL}, Settings{
			Method: "POST", URL: "/", Body: template, Headers: map[string]string{"Content-Type": contentType}, Amount: ".",
		}, map[string]string{"KEY": secret})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Balance(t.Context()); err != nil || got != want {
			t.Errorf("%s: sent %s, %v; want %s", contentType, got, err, want)
		}
		client.Close()
		server.Close()
	}
}
