package esms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/dialect/dialecttest"
	"github.com/saldo-ledger/saldo/internal/dialect/internal/message"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
)

const (
	clientKey    = "KEYexample"
	clientSecret = "exampleS3CR3T"
)

// ask asks a provider that answers so. The pauses between attempts take none of the test's time.
func ask(t *testing.T, a *dialecttest.Answers) (balance *provider.Balance, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, failure := NewClient(provider.Options{Transport: a}, clientKey, clientSecret)
		if failure != nil {
			t.Fatal(failure)
		}
		defer client.Close()
		balance, err = client.Balance(t.Context())
	})
	return balance, err
}

// TestClient runs the suite of all clients.
func TestClient(t *testing.T) {
	t.Parallel()
	// The provider is made of what Saldo's own server reads and writes.
	fake := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := ledger.Credentials{ID: clientKey, Secret: clientSecret}
		if got, code := decodeJSON(body); r.URL.Path != root+"json/GetBalance_json" || code != CodeSuccess || got != want {
			message.Send(w, CodeUnauthorized.HTTPStatus(), formatJSON.contentType, appendFailureJSON(nil, CodeUnauthorized))
			return
		}
		message.Send(w, http.StatusOK, formatJSON.contentType, appendBalanceJSON(nil, balance{36693, 9999}))
	})
	want := &provider.Balance{Account: "9999", Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: decimal.New(36693, 0), Currency: "VND", CurrencySource: provider.FromDocumentation,
	}}}
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0], secrets[1])
		},
		Secrets: []string{clientKey, clientSecret},
		Decode:  decodeReply,
		Fake:    fake,
		Balance: want,
		Echo:    `{"Balance":0,"CodeResponse":"101","ErrorMessage":"%s"}`,
		Replies: []dialecttest.Reply{
			{File: "page-success.json", Want: want},
			{File: "page-failure.json", Err: provider.Error{Status: provider.Unauthorized, Code: "101", Message: "Authorize Failed"}},
			{File: "success.json", Want: want},
			{File: "failure.json", Err: provider.Error{Status: provider.Unauthorized, Code: "101", Message: "Authorize Failed"}},
			{Body: `{"CodeResponse":"100","UserID":9999}`, Err: provider.Error{Status: provider.Malformed, Message: "success without an amount"}},
			{Body: `{"Balance":"NaN","CodeResponse":"100"}`, Err: provider.Error{Status: provider.Malformed, Message: "an amount that cannot be read"}},
		},
		Coded: true,
	})
}

func TestClientCodes(t *testing.T) {
	t.Parallel()
	reply := func(code string) string {
		return `{"Balance":7,"CodeResponse":` + code + `,"ErrorMessage":"in other words","UserID":1}`
	}
	dialecttest.Codes(t, len(codes), []string{"98", "0"}, reply, ask)
}

// TestClientReadsServer: what Saldo's server sends with each code is what the
// client reads, and so is each balance, of which the server shows whole units.
func TestClientReadsServer(t *testing.T) {
	t.Parallel()
	for code := range codes {
		if code == CodeSuccess {
			continue
		}
		_, err := ask(t, &dialecttest.Answers{Status: code.HTTPStatus(), Body: string(appendFailureJSON(nil, code))})
		if diff := cmp.Diff(error(code.failure()), err); diff != "" {
			t.Errorf("%d (-want +got):\n%s", code, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int64().Draw(t, "units")
		id := rapid.Int32Range(1, int32(ledger.MaxAccountID)).Draw(t, "id")
		got, err := decodeReply(&provider.Reply{Status: 200, Body: appendBalanceJSON(nil, balance{units, ledger.AccountID(id)})})
		if err != nil || describe(got) != fmt.Sprintf("%d: %d", id, units) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

// describe writes a balance down, without what must be the same in all.
func describe(b *provider.Balance) string {
	if b == nil {
		return ""
	}
	if len(b.Buckets) != 1 {
		return fmt.Sprintf("%+v", b)
	}
	bucket := b.Buckets[0]
	rest := provider.Balance{Account: b.Account, Buckets: []provider.Bucket{{
		Service: "main", Unit: provider.Money, Amount: bucket.Amount, Currency: "VND", CurrencySource: provider.FromDocumentation,
	}}}
	if diff := cmp.Diff(&rest, b); diff != "" {
		return diff
	}
	return b.Account + ": " + bucket.Amount.String()
}

func TestClientReplies(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tests := []struct {
		name   string
		http   int
		body   string
		want   string
		status provider.Status
	}{
		{"texts", 200, `{"Balance":"36693","CodeResponse":"100","UserID":"9999"}`, "9999: 36693", provider.OK},
		{"numbers", 200, `{"Balance":36693,"CodeResponse":100,"UserID":9999}`, "9999: 36693", provider.OK},
		{"a double", 200, `{"Balance":36693.0,"CodeResponse":"100","UserID":9999}`, "9999: 36693", provider.OK},
		{"an exponent", 200, `{"Balance":1.26743233E+15,"CodeResponse":"100","UserID":9999}`, "9999: 1267432330000000", provider.OK},
		{"an exponent in text", 200, `{"Balance":" 1.5E+8\n","CodeResponse":"100","UserID":9999}`, "9999: 150000000", provider.OK},
		{"a fraction below zero", 200, `{"Balance":-0.25,"CodeResponse":"100","UserID":9999}`, "9999: -0.25", provider.OK},
		{"more digits than a double has", 200, `{"Balance":9007199254740993.01,"CodeResponse":"100","UserID":9999}`, "9999: 9007199254740993.01", provider.OK},
		{"an exact double", 200, `{"Balance":18.382999999999999118927007657475769519805908203125,"CodeResponse":"100","UserID":9999}`, "9999: 18.382999999999999118927007657475769519805908203125", provider.OK},
		{"user is a secret", 200, `{"Balance":5,"CodeResponse":"100","UserID":"` + clientSecret + `"}`, "[hidden]: 5", provider.OK},
		{"nothing left", 200, `{"Balance":0,"CodeResponse":"100","UserID":9999}`, "9999: 0", provider.OK},
		{"no user", 200, `{"Balance":1,"CodeResponse":"100"}`, ": 1", provider.OK},
		{"null user", 200, `{"Balance":1,"CodeResponse":"100","UserID":null}`, ": 1", provider.OK},
		{"user 0", 200, `{"Balance":1,"CodeResponse":"100","UserID":0}`, ": 1", provider.OK},
		{"user 0 in text", 200, `{"Balance":1,"CodeResponse":"100","UserID":"0"}`, ": 1", provider.OK},
		{"other members", 200, `{"balance":7,"ErrorMessage":"x","Balance":1,"codeResponse":"101","CodeResponse":"100","A":[{}]} ` + "\r\n", ": 1", provider.OK},
		{"a failure with an amount", 200, `{"Balance":36693,"CodeResponse":"143","UserID":9999}`, "", provider.Suspended},
		{"a failure with anything", 200, `{"Balance":{},"CodeResponse":140,"UserID":[]}`, "", provider.IPDenied},
		{"null amount", 200, `{"Balance":null,"CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"empty amount", 200, `{"Balance":"","CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"infinite", 200, `{"Balance":"INF","CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"thousands", 200, `{"Balance":"36,693","CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"a bomb", 200, `{"Balance":1E+999999999,"CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"true", 200, `{"Balance":true,"CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"a list of amounts", 200, `{"Balance":[1],"CodeResponse":"100","UserID":9999}`, "", provider.Malformed},
		{"user is true", 200, `{"Balance":1,"CodeResponse":"100","UserID":true}`, "", provider.Malformed},
		{"user is long", 200, `{"Balance":1,"CodeResponse":"100","UserID":"` + strings.Repeat("9", 65) + `"}`, "", provider.Malformed},
		{"no code", 200, `{"Balance":36693,"UserID":9999}`, "", provider.Malformed},
		{"null code", 200, `{"Balance":36693,"CodeResponse":null}`, "", provider.Malformed},
		{"code in words", 200, `{"Balance":36693,"CodeResponse":"OK"}`, "", provider.Malformed},
		{"code is true", 200, `{"Balance":36693,"CodeResponse":true}`, "", provider.Malformed},
		{"code is a list", 200, `{"Balance":36693,"CodeResponse":["100"]}`, "", provider.Malformed},
		{"code is no whole number", 200, `{"Balance":36693,"CodeResponse":100.5}`, "", provider.Malformed},
		{"XML", 200, read("success.xml"), "", provider.Malformed},
		{"two replies", 200, read("success.json") + read("success.json"), "", provider.Malformed},
		{"a list", 200, `[` + read("success.json") + `]`, "", provider.Malformed},
		{"text", 200, `"100"`, "", provider.Malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, &dialecttest.Answers{Status: tt.http, Body: tt.body})
			if describe(got) != tt.want || provider.StatusOf(err) != tt.status || (got == nil) != (err != nil) {
				t.Errorf("got %q, %v\nwant %q, %s", describe(got), err, tt.want, tt.status)
			}
		})
	}
}

// TestClientAsks looks at what is sent: the secret in the body, and nowhere else.
func TestClientAsks(t *testing.T) {
	t.Parallel()
	a := &dialecttest.Answers{Status: 200, Body: `{"CodeResponse":"101"}`}
	if _, err := ask(t, a); provider.StatusOf(err) != provider.Unauthorized {
		t.Fatal(err)
	}
	if got := a.Asked.Method + " " + a.Asked.URL.String(); got != "POST https://rest.esms.vn/MainService.svc/json/GetBalance_json" {
		t.Errorf("asked %s", got)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"saldo"}}
	if diff := cmp.Diff(want, a.Asked.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got := string(a.Sent); got != `{"ApiKey":"`+clientKey+`","SecretKey":"`+clientSecret+`"}` {
		t.Errorf("sent %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := ledger.Credentials{ID: rapid.StringN(1, -1, 100).Draw(t, "key"), Secret: rapid.StringN(1, -1, 100).Draw(t, "secret")}
		if got, code := decodeJSON(encodeRequest(want.ID, want.Secret)); code != CodeSuccess || got != want {
			t.Fatalf("the server reads %q %q, %d", got.ID, got.Secret, code)
		}
	})
}

// TestClientKeepsSecret: not even a provider that sends it back gets it printed.
func TestClientKeepsSecret(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"Balance":0,"CodeResponse":"101","ErrorMessage":"` + clientSecret + `"}`, `{"CodeResponse":98,"ErrorMessage":"` + clientSecret + `"}`,
		`{"CodeResponse":"` + clientSecret + `"}`, `{"CodeResponse":100,"Balance":"` + clientSecret + `"}`,
		`{"CodeResponse":100,"Balance":1,"UserID":["` + clientSecret + `"]}`, `<html>` + clientSecret, `{"` + clientSecret,
	} {
		for _, status := range []int{200, 302, 500} {
			balance, err := ask(t, &dialecttest.Answers{Status: status, Body: body})
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); balance != nil || err == nil || strings.Contains(text, clientSecret) {
				t.Errorf("%d %s: %v, %s", status, body, balance, text)
			}
		}
	}
	client, err := NewClient(provider.Options{}, clientKey, clientSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	encoded, _ := json.Marshal([]any{client, *client})
	texts := []string{string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, client), fmt.Sprintf(verb, *client))
	}
	for _, text := range texts {
		for _, form := range []string{"%s", "%x", "%d"} {
			if hidden := strings.Trim(fmt.Sprintf(form, []byte(clientSecret)), "[]"); strings.Contains(text, hidden) {
				t.Errorf("printed: %s", text)
			}
		}
	}
}

// FuzzReply: whatever a provider sends, there is a balance or a failure, never
// both; the balance is what encoding/json and math/big read; and what a failure
// says is short.
func FuzzReply(f *testing.F) {
	for _, body := range []string{
		`{"Balance":36693,"CodeResponse":"100","UserID":9999}`, `{"Balance":0,"CodeResponse":"101","ErrorMessage":"Authorize Failed"}`,
		`{"Balance":"1.26743233E+15","CodeResponse":100}`, `{"CodeResponse":"160"}`, `{"Balance":1,"CodeResponse":100,"CodeResponse":101}`, `[]`, `<html>`, ``,
		`{"Balance":1E+999999999,"CodeResponse":"100"}`, `{"Balance":null,"CodeResponse":"100"}`, `{"CodeResponse":null}`, "\ufeff{}",
	} {
		f.Add(200, []byte(body))
		f.Add(502, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got, err := decodeReply(&provider.Reply{Status: status, Body: body})
		if err != nil {
			failure, ok := errors.AsType[*provider.Error](err)
			if got != nil || !ok || failure.Status == provider.OK || len(err.Error()) > 200 {
				t.Errorf("%q: %v, %v", body, got, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil || strings.Trim(plain(members["CodeResponse"]), "+0") != "1" {
			t.Fatalf("%q: a balance", body)
		}
		want, ok := new(big.Rat).SetString(strings.TrimSpace(plain(members["Balance"])))
		if !ok || want.Cmp(got.Buckets[0].Amount.Rat()) != 0 {
			t.Errorf("%q: the balance is %s", body, got.Buckets[0].Amount)
		}
		if userID := plain(members["UserID"]); got.Account != userID && (got.Account != "" || userID != "0" && userID != "null") || len(got.Account) > maxUserID {
			t.Errorf("%q: the account is %q", body, got.Account)
		}
	})
}

// plain is a number or the content of a string.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text
	}
	return string(raw)
}
