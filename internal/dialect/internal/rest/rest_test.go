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
	credentials := []Credential{{"key", "the key"}, {"password", "the key of keys&locks"}}
	for text, want := range map[string]string{
		"no secret":                             "no secret",
		"the key is wrong":                      "[hidden] is wrong",
		"<the key of keys&locks>":               "<[hidden]>", // not the shorter one and the rest
		"?psw=the+key+of+keys%26locks":          "?psw=[hidden]",
		"/the%20key%20of%20keys&locks":          "/[hidden]",
		Basic("user", "the password"):           "Basic [hidden]",
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

// What a provider names is shown in terminals and kept in databases.
func TestNames(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	client, err := New(provider.Options{BaseURL: server.URL}, "", &Question{
		Request: provider.Request{Method: http.MethodGet, Path: "/"},
		Decode: func(*provider.Reply) (*provider.Balance, error) {
			return &provider.Balance{Account: "AC\x00\x1b[2J1", Buckets: []provider.Bucket{{Service: "s\x00ms", Currency: strings.Repeat("X", 999)}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	balance, err := client.Balance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b := balance.Buckets[0]; balance.Account != "AC [2J1" || b.Service != "s ms" || len(b.Currency) > maxCode {
		t.Errorf("%+v", balance)
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
