package dialecttest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// Answers is a transport to a provider that always answers the same.
type Answers struct {
	Status int
	Body   string
	Asked  *http.Request // the last one
	Sent   []byte        // the body of it
}

// RoundTrip answers.
func (a *Answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.Asked = r
	a.Sent, _ = io.ReadAll(r.Body)
	w := httptest.NewRecorder()
	w.WriteHeader(a.Status)
	_, _ = w.WriteString(a.Body)
	return w.Result(), nil
}

// documented reads testdata/codes.txt, with a code, its status and the provider's
// message, if any, in each line.
func documented(t *testing.T) (all []provider.Error) {
	t.Helper()
	text, err := os.ReadFile("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(text)) {
		if fields := strings.SplitN(strings.TrimSuffix(row, "\n")+" ", " ", 3); fields[0] != "#" {
			all = append(all, provider.Error{Code: fields[0], Status: provider.Status(fields[1]), Message: strings.TrimSuffix(fields[2], " ")})
		}
	}
	return all
}

// Codes checks that every code of the provider's table, as a number and as text
// and under any HTTP status, means the same, and that only one of them is a
// balance. So many are in the dialect's table; unknown are in none; and reply has a
// balance beside its code, whatever that is.
func Codes(t *testing.T, known int, unknown []string, reply func(code string) string, ask func(*testing.T, *Answers) (*provider.Balance, error)) {
	t.Helper()
	all := documented(t)
	if len(all) != known {
		t.Errorf("%d codes are documented, the table has %d", len(all), known)
	}
	for _, code := range unknown {
		all = append(all, provider.Error{Code: code, Status: provider.ProviderError, Message: "a code that its documentation does not have"})
	}
	for _, want := range all {
		for _, code := range []string{want.Code, strconv.Quote(want.Code)} {
			for _, status := range []int{200, 400, 401, 429, 500, 503} {
				balance, err := ask(t, &Answers{Status: status, Body: reply(code)})
				if want.Status == provider.OK {
					if err != nil || balance == nil {
						t.Errorf("%d %s: %v, %v", status, code, balance, err)
					}
					continue
				}
				failure, ok := errors.AsType[*provider.Error](err)
				if balance != nil || !ok || *failure != want {
					t.Errorf("%d %s: %v, %#v", status, code, balance, err)
				}
			}
		}
	}
}
