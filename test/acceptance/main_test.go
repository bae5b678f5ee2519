// Package acceptance tests the real binary from outside: what it answers at
// every door, to the byte, and what its commands print.
package acceptance

import (
	"encoding/base64"
	"io"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

func TestMain(m *testing.M) { os.Exit(saldotest.Main(m)) }

// world is a server over a new ledger, and its operator.
type world struct {
	*saldotest.Server

	store    saldotest.Store
	db       string
	key      string
	operator *client.Client
}

func newWorld(t *testing.T, store saldotest.Store, args ...string) *world {
	t.Helper()
	w := &world{store: store}
	w.db, w.key = store.NewLedger(t)
	w.serve(t, args...)
	return w
}

// serve starts a server of the ledger.
func (w *world) serve(t *testing.T, args ...string) {
	t.Helper()
	w.Server = saldotest.Start(t, append([]string{"--db", w.db}, args...)...)
	w.operator = w.Client(w.key)
}

// account creates an account with the given balances.
func (w *world) account(t *testing.T, request api.AccountRequest, balances map[string]string) api.AccountID {
	t.Helper()
	if request.Name == "" {
		request.Name = "Lotus Travel"
	}
	if request.Currency == "" {
		request.Currency = "CNY"
	}
	account, err := w.operator.CreateAccount(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	for wallet, balance := range balances {
		if _, err := w.operator.PutWallet(t.Context(), account.ID, wallet, api.WalletRequest{CreditLimit: "100"}); err != nil {
			t.Fatal(err)
		}
		w.post(t, api.TransactionRequest{Account: account.ID, Wallet: wallet, Type: api.TransactionTypeAdjustment, Amount: &balance})
	}
	return account.ID
}

func (w *world) post(t *testing.T, request api.TransactionRequest) client.Posted {
	t.Helper()
	posted, err := w.operator.Post(t.Context(), "", request)
	if err != nil {
		t.Fatal(err)
	}
	return posted
}

func (w *world) status(t *testing.T, account api.AccountID, status api.AccountStatus) {
	t.Helper()
	if _, err := w.operator.UpdateAccount(t.Context(), account, api.AccountPatch{Status: &status}); err != nil {
		t.Fatal(err)
	}
}

// pair is a key as its owner has it.
type pair struct{ id, secret string }

func (p pair) authSecret() string { return p.id + p.secret }

// basic is the value of a header Authorization.
func (p pair) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.id+":"+p.secret))
}

func (p pair) bearer() string { return "Bearer " + p.authSecret() }

// importKey imports a pair as a key of the account.
func (w *world) importKey(t *testing.T, account api.AccountID, id string, request api.KeyRequest) pair {
	t.Helper()
	p := pair{id, saldotest.Secret + "-of-" + id}
	request.ID, request.Secret = p.id, p.secret
	if _, err := w.operator.CreateKey(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return p
}

// cast is one key for each thing that can be right or wrong with a key.
type cast struct {
	account                                                       api.AccountID
	good, revoked, expired, elsewhere, scopeless, suspended, shut pair
	operator                                                      pair
}

// newCast makes the keys. The account of the good one owes 18.383 for SMS and
// has 7 for voice.
func (w *world) newCast(t *testing.T) cast {
	t.Helper()
	var c cast
	c.account = w.account(t, api.AccountRequest{ID: 1000}, map[string]string{"sms": "-18.383", "voip": "7"})
	expiry := time.Now().Add(time.Second)
	c.expired = w.importKey(t, c.account, "EXPIRED", api.KeyRequest{ExpiresAt: expiry.Format(time.RFC3339Nano)})
	c.good = w.importKey(t, c.account, "GOOD", api.KeyRequest{})
	c.revoked = w.importKey(t, c.account, "REVOKED", api.KeyRequest{})
	if err := w.operator.RevokeKey(t.Context(), "REVOKED"); err != nil {
		t.Fatal(err)
	}
	c.elsewhere = w.importKey(t, c.account, "ELSEWHERE", api.KeyRequest{AllowList: api.AllowList{"203.0.113.0/24", "2001:db8::/32"}})
	c.scopeless = w.importKey(t, c.account, "SCOPELESS", api.KeyRequest{Scopes: api.Scopes{api.ScopeTransactionsWrite}})
	suspended := w.account(t, api.AccountRequest{}, nil)
	c.suspended = w.importKey(t, suspended, "SUSPENDED", api.KeyRequest{})
	w.status(t, suspended, api.AccountStatusSuspended)
	shut := w.account(t, api.AccountRequest{}, nil)
	c.shut = w.importKey(t, shut, "SHUT", api.KeyRequest{})
	w.status(t, shut, api.AccountStatusClosed)
	c.operator = pair{"OPERATOR", saldotest.Secret + "-of-operator"}
	_, err := w.operator.CreateOperatorKey(t.Context(), api.OperatorKeyRequest{ID: c.operator.id, Secret: c.operator.secret, Scopes: api.Scopes{api.ScopeBalanceRead}})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(expiry) + 10*time.Millisecond)
	return c
}

// want is what a reply must be. A header that is not named must be absent.
type want struct {
	status  int
	body    string
	headers map[string]string
}

// watched are the headers that are part of the contract of a dialect.
var watched = []string{
	"Allow", "Cache-Control", "Content-Type", "Location", "Idempotent-Replayed",
	"RateLimit", "RateLimit-Policy", "Retry-After", "Set-Cookie", "WWW-Authenticate",
}

// remaining is the part of a header RateLimit that depends on the speed of the test.
var remaining = regexp.MustCompile(`r=\d+`)

func check(t *testing.T, got saldotest.Reply, want want) {
	t.Helper()
	if got.Status != want.status || got.Body != want.body {
		t.Errorf("got  %d %s\nwant %d %s", got.Status, got.Body, want.status, want.body)
	}
	for _, name := range watched {
		value := strings.Join(got.Header.Values(name), " | ")
		if name == "RateLimit" {
			value = remaining.ReplaceAllString(value, "r=N")
		}
		if value != want.headers[name] {
			t.Errorf("header %s: got %q, want %q", name, value, want.headers[name])
		}
	}
}

// shut closes what a test is done with.
func shut(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error(err)
	}
}

// with adds headers to others.
func with(headers map[string]string, pairs ...string) map[string]string {
	result := make(map[string]string, len(headers)+len(pairs)/2)
	maps.Copy(result, headers)
	for i := 0; i < len(pairs); i += 2 {
		result[pairs[i]] = pairs[i+1]
	}
	return result
}
