package antgst

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

const clientSecret = "AKIDexampleS3CR3T"

// ask asks a provider that answers so. The pauses between attempts take none of the test's time.
func ask(t *testing.T, a *dialecttest.Answers) (balance *provider.Balance, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, failure := NewClient(provider.Options{Transport: a}, clientSecret)
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
		if got, code := decodeRequest(body); r.URL.Path != Path || code != CodeSuccess || got.Secret != clientSecret {
			message.Send(w, CodeAuthSecret.HTTPStatus(), contentType, appendFailure(nil, CodeAuthSecret))
			return
		}
		message.Send(w, http.StatusOK, contentType, appendBalance(nil, balance{-18_383_000, 0, "CNY"}))
	})
	bucket := provider.Bucket{Service: "sms", Unit: provider.Money, Amount: decimal.RequireFromString("-18.383"), Currency: "CNY", CurrencySource: provider.FromReply}
	want := &provider.Balance{Buckets: []provider.Bucket{bucket, bucket}}
	want.Buckets[1].Service, want.Buckets[1].Amount = "voip", decimal.Zero
	dialecttest.Run(t, &dialecttest.Dialect{
		DefaultBaseURL: DefaultBaseURL,
		New: func(options provider.Options, secrets []string) (dialecttest.Client, error) {
			return NewClient(options, secrets[0])
		},
		Secrets: []string{clientSecret},
		Decode:  decodeReply,
		Fake:    fake,
		Balance: want,
		Echo:    `{"msg":"%s","code":-22}`,
		Replies: []dialecttest.Reply{
			{File: "page-success.json", Want: want},
			{File: "page-failure.json", HTTP: 400, Err: provider.Error{Status: provider.Unauthorized, Code: "-22", Message: "auth secret error!"}},
			{File: "success.json", Want: want},
			{File: "failure.json", HTTP: 400, Err: provider.Error{Status: provider.Unauthorized, Code: "-22", Message: "auth secret error!"}},
			{Body: `{"code":200,"result":{"smsBalance":1}}`, Err: provider.Error{Status: provider.Malformed, Message: "success without both amounts"}},
			{Body: `{"code":200,"result":{"smsBalance":1,"voipBalance":"much"}}`, Err: provider.Error{Status: provider.Malformed, Message: "an amount that cannot be read"}},
			{Body: `{"code":200,"result":{"smsBalance":1,"voipBalance":2,"currency":156}}`, Err: provider.Error{Status: provider.Malformed, Message: "currency"}},
		},
		Coded: true,
	})
}

func TestClientCodes(t *testing.T) {
	t.Parallel()
	reply := func(code string) string {
		return `{"msg":"in other words","code":` + code + `,"result":{"smsBalance":1,"voipBalance":2,"currency":"CNY"}}`
	}
	dialecttest.Codes(t, len(codes), []string{"-99", "0"}, reply, ask)
}

// TestClientReadsServer: what Saldo's server sends with each code is what the
// client reads.
func TestClientReadsServer(t *testing.T) {
	t.Parallel()
	for code := range codes {
		if code == CodeSuccess {
			continue
		}
		_, err := ask(t, &dialecttest.Answers{Status: code.HTTPStatus(), Body: string(appendFailure([]byte(" "), code))})
		if diff := cmp.Diff(error(code.failure()), err); diff != "" {
			t.Errorf("%d (-want +got):\n%s", code, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.Int64Range(-int64(ledger.MaxAmount), int64(ledger.MaxAmount))
		sms, voip := ledger.Amount(amounts.Draw(t, "sms")), ledger.Amount(amounts.Draw(t, "voip"))
		got, err := decodeReply(&provider.Reply{Status: 200, Body: appendBalance(nil, balance{sms, voip, "CNY"})})
		if err != nil || describe(got) != fmt.Sprintf("sms %s CNY reply, voip %s CNY reply", sms, voip) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

// describe writes a balance down, without what must be the same in all.
func describe(b *provider.Balance) string {
	if b == nil {
		return ""
	}
	var parts []string
	for _, bucket := range b.Buckets {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", bucket.Service, bucket.Amount, bucket.Currency, bucket.CurrencySource)))
		if bucket.Unit != provider.Money || bucket.CreditLimit != nil || bucket.Available != nil || bucket.Pending != nil {
			return fmt.Sprintf("%+v", bucket)
		}
	}
	if b.Account != "" || b.Billing != provider.BillingUnknown {
		return fmt.Sprintf("%+v", b)
	}
	return strings.Join(parts, ", ")
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
	result := func(text string) string { return `{"msg":"SUCCESS","code":200,"result":` + text + `}` }
	const both = "sms 1.5 CNY reply, voip 2 CNY reply"
	tests := []struct {
		name   string
		http   int
		body   string
		want   string
		status provider.Status
	}{
		{"texts", 200, `{"code":"200","result":{"smsBalance":"1.50","voipBalance":" 2 ","currency":"CNY"}}`, both, provider.OK},
		{"many digits", 200, result(`{"smsBalance":123456789012345678901234567890.000000000000000000000000000001,"voipBalance":0.1,"currency":"CNY"}`), "sms 123456789012345678901234567890.000000000000000000000000000001 CNY reply, voip 0.1 CNY reply", provider.OK},
		{"exponents", 200, result(`{"smsBalance":1.5E+8,"voipBalance":-25e-1,"currency":"USD"}`), "sms 150000000 USD reply, voip -2.5 USD reply", provider.OK},
		{"zero", 200, result(`{"smsBalance":0,"voipBalance":-0.0,"currency":"CNY"}`), "sms 0 CNY reply, voip 0 CNY reply", provider.OK},
		{"in a list", 200, result(`[{"smsBalance":1.5,"voipBalance":2,"currency":"CNY"}]`), both, provider.OK},
		{"other members", 200, `{"result":{"a":[{}],"smsBalance":1.5,"voipBalance":2,"SMSBALANCE":7,"currency":"CNY"},"Code":-22,"code":200}` + "\r\n", both, provider.OK},
		{"exact doubles", 200, result(`{"smsBalance":18.382999999999999118927007657475769519805908203125,"voipBalance":0.1000000000000000055511151231257827021181583404541015625}`), "sms 18.382999999999999118927007657475769519805908203125, voip 0.1000000000000000055511151231257827021181583404541015625", provider.OK},
		{"currency in small letters", 200, result(`{"smsBalance":1.5,"voipBalance":2,"currency":" cny\n"}`), both, provider.OK},
		{"no currency", 200, result(`{"smsBalance":1.5,"voipBalance":2}`), "sms 1.5, voip 2", provider.OK},
		{"no known currency", 200, result(`{"smsBalance":1.5,"voipBalance":2,"currency":"points"}`), "sms 1.5, voip 2", provider.OK},
		{"a failure with a list", 200, `{"code":-22,"result":[]}`, "", provider.Unauthorized},
		{"a failure with amounts", 200, `{"code":-23,"result":{"smsBalance":0,"voipBalance":0,"currency":"CNY"}}`, "", provider.Suspended},
		{"a failure with anything", 200, `{"code":"-29","result":"x","msg":{}}`, "", provider.IPDenied},
		{"no result", 200, `{"msg":"SUCCESS","code":200}`, "", provider.Malformed},
		{"null result", 200, result(`null`), "", provider.Malformed},
		{"result in text", 200, result(`"{}"`), "", provider.Malformed},
		{"empty list", 200, result(`[]`), "", provider.Malformed},
		{"two results", 200, result(`[{"smsBalance":1,"voipBalance":2},{"smsBalance":1,"voipBalance":2}]`), "", provider.Malformed},
		{"a list in a list", 200, result(`[[{"smsBalance":1,"voipBalance":2}]]`), "", provider.Malformed},
		{"no amounts", 200, result(`{}`), "", provider.Malformed},
		{"the other amount", 200, result(`{"voipBalance":1,"currency":"CNY"}`), "", provider.Malformed},
		{"null amount", 200, result(`{"smsBalance":1,"voipBalance":null,"currency":"CNY"}`), "", provider.Malformed},
		{"empty amount", 200, result(`{"smsBalance":"","voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"hexadecimal", 200, result(`{"smsBalance":"0x10","voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"thousands", 200, result(`{"smsBalance":"1,000","voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"a bomb", 200, result(`{"smsBalance":1E+999999999,"voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"true", 200, result(`{"smsBalance":true,"voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"a list of amounts", 200, result(`{"smsBalance":[1],"voipBalance":2,"currency":"CNY"}`), "", provider.Malformed},
		{"no code", 200, `{"msg":"SUCCESS","result":{"smsBalance":1,"voipBalance":2,"currency":"CNY"}}`, "", provider.Malformed},
		{"null code", 200, `{"code":null,"result":{"smsBalance":1,"voipBalance":2,"currency":"CNY"}}`, "", provider.Malformed},
		{"code in words", 200, `{"code":"SUCCESS"}`, "", provider.Malformed},
		{"code is true", 200, `{"code":true}`, "", provider.Malformed},
		{"code is a list", 200, `{"code":[200]}`, "", provider.Malformed},
		{"code is no whole number", 200, `{"code":200.5}`, "", provider.Malformed},
		{"code is too long", 200, `{"code":` + strings.Repeat("2", 400) + `}`, "", provider.Malformed},
		{"two replies", 200, read("success.json") + read("success.json"), "", provider.Malformed},
		{"a list", 200, `[` + read("success.json") + `]`, "", provider.Malformed},
		{"text", 200, `"SUCCESS"`, "", provider.Malformed},
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
	a := &dialecttest.Answers{Status: 400, Body: `{"code":-22}`}
	if _, err := ask(t, a); provider.StatusOf(err) != provider.Unauthorized {
		t.Fatal(err)
	}
	if got := a.Asked.Method + " " + a.Asked.URL.String(); got != "POST https://api.antgst.com/user/account/balance" {
		t.Errorf("asked %s", got)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"saldo"}}
	if diff := cmp.Diff(want, a.Asked.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got := string(a.Sent); got != `{"authSecret":"`+clientSecret+`"}` {
		t.Errorf("sent %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		authSecret := rapid.StringN(1, -1, ledger.MaxAuthSecret).Draw(t, "secret")
		if got, code := decodeRequest(encodeRequest(authSecret)); code != CodeSuccess || got.Secret != authSecret {
			t.Fatalf("the server reads %q as %q, %d", authSecret, got.Secret, code)
		}
	})
}

// TestClientKeepsSecret: not even a provider that sends it back gets it printed.
func TestClientKeepsSecret(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"msg":"auth secret error! ` + clientSecret + `","code":-22}`, `{"msg":"` + clientSecret + `","code":-99}`, `{"code":"` + clientSecret + `"}`,
		`{"code":200,"result":"` + clientSecret + `"}`, `{"code":200,"result":{"smsBalance":"` + clientSecret + `","voipBalance":2,"currency":"CNY"}}`,
		`{"code":200,"result":{"smsBalance":1,"voipBalance":2,"currency":["` + clientSecret + `"]}}`, `<html>` + clientSecret, `{"` + clientSecret,
	} {
		for _, status := range []int{200, 302, 500} {
			balance, err := ask(t, &dialecttest.Answers{Status: status, Body: body})
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); balance != nil || err == nil || strings.Contains(text, clientSecret) {
				t.Errorf("%d %s: %v, %s", status, body, balance, text)
			}
		}
	}
	client, err := NewClient(provider.Options{}, clientSecret)
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
		`{"msg":"SUCCESS","code":200,"result":{"smsBalance":-18.383,"voipBalance":0.0,"currency":"CNY"}}`, `{"msg":"auth secret error!","code":-22}`,
		`{"code":"200","result":[{"smsBalance":"1","voipBalance":"2E+3"}]}`, `{"code":"-32"}`, `{"code":200,"code":-22}`, `[]`, `<html>`, ``, `{"code":1e2}`,
		`{"code":200,"result":{"smsBalance":1E+999999999,"voipBalance":0}}`, `{"code":200,"result":[]}`, `{"code":null}`, "\ufeff{}",
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
		checkReply(t, body, got)
	})
}

// checkReply reads a reply with a balance once more, by other means.
func checkReply(t *testing.T, body []byte, got *provider.Balance) {
	t.Helper()
	var members, result map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || strings.Trim(plain(members["code"]), "+0") != "2" {
		t.Fatalf("%q: a balance", body)
	}
	if err := json.Unmarshal(members["result"], &result); err != nil {
		var list []map[string]json.RawMessage
		if err := json.Unmarshal(members["result"], &list); err != nil || len(list) != 1 {
			t.Fatalf("%q: a balance without a result", body)
		}
		result = list[0]
	}
	for i, name := range []string{"smsBalance", "voipBalance"} {
		want, ok := new(big.Rat).SetString(strings.TrimSpace(plain(result[name])))
		if !ok || want.Cmp(got.Buckets[i].Amount.Rat()) != 0 {
			t.Errorf("%q: %s is %s", body, name, got.Buckets[i].Amount)
		}
	}
	if currency := got.Buckets[0].Currency; currency != "" && !strings.EqualFold(currency, strings.TrimSpace(plain(result["currency"]))) || currency != got.Buckets[1].Currency {
		t.Errorf("%q: the currency is %q", body, currency)
	}
}

// plain is a number or the content of a string.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}
