package rest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/saldo-ledger/saldo/internal/provider"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "",
		"plain":                 "plain",
		" two\r\n lines\t":      "two lines",
		"\x1b[31mred\x00":       "[31mred",
		"a \xff b":              "a ? b",
		"1234567890":            "1234567890",
		"12345678901":           "1234567…",
		"ééééé":                 "ééééé",
		"éééééé":                "ééé…", // the half of a letter goes, too
		"\u202egnp.exe":         "gnp.exe",
		strings.Repeat(" ", 99): "",
	} {
		got := Plain(text, 10)
		if got != want || len(got) > 10 || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// says asks a client of a provider that fails with these words.
func says(t *testing.T, code, message string, credentials ...Credential) *provider.Error {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client, err := New(provider.Options{BaseURL: server.URL}, "", &Question{
		Request:     provider.Request{Method: http.MethodGet, Path: "/", Header: http.Header{"Authorization": {Basic("user", "the password")}}},
		Credentials: credentials,
		Decode: func(*provider.Reply) (*provider.Balance, error) {
			return nil, &provider.Error{Status: provider.Unauthorized, Code: code, Message: message}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Balance(t.Context())
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		t.Fatal(err)
	}
	return failure
}

// Names of buckets are cleaned first and compared then, as what comes of them is
// by what readings are told apart.
func TestBucketsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxCode)
	bucket := func(service, currency string, unit provider.Unit) provider.Bucket {
		return provider.Bucket{Service: service, Currency: currency, Unit: unit}
	}
	for name, test := range map[string]struct {
		buckets []provider.Bucket
		want    string // of the failure, "" for none
	}{
		"different":            {[]provider.Bucket{bucket("sms", "CNY", provider.Money), bucket("sms", "USD", provider.Money), bucket("sms", "", provider.Money), bucket("sms", "", provider.Credits), bucket("voip", "CNY", provider.Money)}, ""},
		"the same":             {[]provider.Bucket{bucket("sms", "CNY", provider.Money), bucket("sms", "CNY", provider.Money)}, "the balance of sms is there twice"},
		"the same when cut":    {[]provider.Bucket{bucket(long+"1", "", provider.Credits), bucket(long+"2", "", provider.Credits)}, "x… is there twice"},
		"the same to a reader": {[]provider.Bucket{bucket("sms", "", provider.Credits), bucket("sms\x00", "", provider.Credits)}, "the balance of sms is there twice"},
		"nothing to read":      {[]provider.Bucket{bucket("\x1b\x00", "", provider.Credits)}, "a service without a name"},
	} {
		server := httptest.NewServer(http.NotFoundHandler())
		client, err := New(provider.Options{BaseURL: server.URL}, "", &Question{
			Request: provider.Request{Method: http.MethodGet, Path: "/"},
			Decode:  func(*provider.Reply) (*provider.Balance, error) { return &provider.Balance{Buckets: test.buckets}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		balance, err := client.Balance(t.Context())
		client.Close()
		server.Close()
		if test.want == "" {
			if err != nil || len(balance.Buckets) != len(test.buckets) {
				t.Errorf("%s: %+v, %v", name, balance, err)
			}
		} else if provider.StatusOf(err) != provider.Malformed || !strings.Contains(err.Error(), test.want) || balance != nil {
			t.Errorf("%s: %+v, %v", name, balance, err)
		}
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	credentials := []Credential{{Name: "key", Value: "the key"}, {Name: "password", Value: "the key of keys&locks"}, {Name: "login", Value: "someone", Identifier: true}, {Name: "pin", Value: `"a/b,1"`}}
	for text, want := range map[string]string{
		"no secret":                             "no secret",
		"the key is wrong":                      "[hidden] is wrong",
		"<the key of keys&locks>":               "<[hidden]>", // not the shorter one and the rest
		"?psw=the+key+of+keys%26locks":          "?psw=[hidden]",
		"/the%20key%20of%20keys&locks":          "/[hidden]",
		Basic("user", "the password"):           "Basic [hidden]",
		"dXNlcjp0aGUgcGFzc3dvcmQ":               "[hidden]", // without its padding
		`{\"the key of keys\u0026locks\"}`:      `{\"[hidden]\"}`,
		"<a>the key of keys&amp;locks</a>":      "<a>[hidden]</a>",
		`the currency "\"a/b,1\""`:              `the currency "[hidden]"`,
		"GET /%22a/b,1%22":                      "GET /[hidden]",
		"someone is not known":                  "[hidden] is not known",
		strings.Repeat("x", 250) + "the key of": strings.Repeat("x", 250) + "[hi…", // never the beginning of one
	} {
		if got := says(t, "1", text, credentials...).Message; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := says(t, "the key", "", credentials...).Code; got != "[hidden]" {
		t.Errorf("the code is %q", got)
	}
	if got := says(t, strings.Repeat("1", 1000), strings.Repeat("1", 1000), credentials...); len(got.Code) > maxCode || len(got.Message) > maxMessage {
		t.Errorf("the failure has %d bytes", len(got.Code)+len(got.Message))
	}
}

// What a provider names is shown in terminals and kept in databases. It is clean,
// short, and no secret; an identifier may be shown.
func TestNames(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	header := Basic("AC1", "S3CR3T")
	var name string
	client, err := New(provider.Options{BaseURL: server.URL}, "", &Question{
		Request:     provider.Request{Method: http.MethodGet, Path: "/", Header: http.Header{"Authorization": {header}}},
		Credentials: []Credential{{Name: "SID", Value: "AC1", Identifier: true}, {Name: "token", Value: "S3CR3T"}},
		Decode: func(*provider.Reply) (*provider.Balance, error) {
			return &provider.Balance{Account: name, Buckets: []provider.Bucket{{Service: name, Currency: strings.Repeat("X", 999)}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for text, want := range map[string]string{
		"AC\x00\x1b[2J1": "AC [2J1", "AC1": "AC1", "S3CR3T": "[hidden]", "AC1 S3CR3T": "AC1 [hidden]", header: "Basic [hidden]",
		strings.Repeat("x", 999):           strings.Repeat("x", maxCode-len("…")) + "…",
		strings.Repeat("x", 60) + "S3CR3T": strings.Repeat("x", 60) + "[…", // never the beginning of one
	} {
		name = text
		balance, err := client.Balance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b := balance.Buckets[0]; balance.Account != want || b.Service != want || len(b.Currency) > maxCode {
			t.Errorf("%q: %+v", text, balance)
		}
	}
}

// A reply without the provider's code is decided by HTTP, like that of any other
// provider; one that has a code is not.
func TestCoded(t *testing.T) {
	t.Parallel()
	for body, page := range map[string]bool{`<html>`: true, `{}`: true, `{"code":[]}`: true, `{"code":"x"}`: true, `{"code":"7"}`: false, `{"code":7}`: false} {
		for status, want := range map[int]provider.Status{
			200: provider.Malformed, 401: provider.Unauthorized, 403: provider.Malformed, 429: provider.RateLimited, 500: provider.ProviderError,
		} {
			_, code, err := Coded(&provider.Reply{Status: status, Body: []byte(body)}, "code")
			if page && (provider.StatusOf(err) != want || code != 0) || !page && (err != nil || code != 7) {
				t.Errorf("%d %s: %d, %v", status, body, code, err)
			}
		}
	}
}

// An amount that cannot be read is no page of somebody else's.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"a":"much"}`: "an amount that cannot be read", `{"a":{"b":1}}`: "an amount that cannot be read", `{"a":1`: "no reply of this provider's",
	} {
		var into struct{ A provider.Amount }
		err := Decode(&provider.Reply{Status: 200, Body: []byte(body)}, &into)
		if provider.StatusOf(err) != provider.Malformed || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
		if err := Decode(&provider.Reply{Status: 401, Body: []byte(body)}, &into); provider.StatusOf(err) != provider.Unauthorized {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestCurrency(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"USD": "USD", " usd\n": "USD", "": "", "US": "?", "DOLLARS": "?", "U5D": "?", "€": "?", "元": "?"} {
		got, source, err := Currency(text)
		if provider.StatusOf(err) == provider.Malformed {
			got = "?"
		}
		if got != want || (source == provider.FromReply) != (len(got) == 3) {
			t.Errorf("%q: %q from %q, %v", text, got, source, err)
		}
	}
}
