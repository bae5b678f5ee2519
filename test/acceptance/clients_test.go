package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
	"github.com/saldo-ledger/saldo/internal/dialect/esms"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// spoken is a dialect as its client and its server speak it, and as the provider does.
type spoken struct {
	client  func(options provider.Options, key pair) (asking, error)
	server  func(b balances) http.Handler
	account api.AccountRequest
	sms     string // its balance; there is none for voice
	// recorded are the provider's replies: bodies, or files with them, by outcome.
	recorded map[provider.Status]string
	want     *provider.Balance
}

type asking interface {
	provider.Client
	Close()
}

var dialects = map[string]spoken{
	"antgst": {
		client:  func(o provider.Options, key pair) (asking, error) { return antgst.NewClient(o, key.authSecret()) },
		server:  func(b balances) http.Handler { return antgst.NewServer(b) },
		account: api.AccountRequest{ID: 1000, Currency: "CNY"},
		sms:     "-18.383",
		recorded: map[provider.Status]string{
			provider.OK:           "../../internal/dialect/antgst/testdata/page-success.json",
			provider.Unauthorized: "../../internal/dialect/antgst/testdata/page-failure.json",
			provider.IPDenied:     `{"msg":"Ip whitelist error!","code":"-29","result":[]}`,
			provider.Suspended:    `{"msg":"Account exception!","code":-23}`,
			provider.RateLimited:  `{"msg":"The number has reached the request limit","code":-32}`,
		},
		want: &provider.Balance{Buckets: []provider.Bucket{
			{Service: "sms", Unit: provider.Money, Amount: decimal.RequireFromString("-18.383"), Currency: "CNY", CurrencySource: provider.FromReply},
			{Service: "voip", Unit: provider.Money, Currency: "CNY", CurrencySource: provider.FromReply},
		}},
	},
	"esms": {
		client:  func(o provider.Options, key pair) (asking, error) { return esms.NewClient(o, key.id, key.secret) },
		server:  func(b balances) http.Handler { return esms.NewServer(b) },
		account: api.AccountRequest{ID: 9999, Currency: "VND"},
		sms:     "36693",
		recorded: map[provider.Status]string{
			provider.OK:           "../../internal/dialect/esms/testdata/page-success.json",
			provider.Unauthorized: "../../internal/dialect/esms/testdata/page-failure.json",
			provider.IPDenied:     `{"Balance":0,"CodeResponse":"140","ErrorMessage":"IP is not whitelisted"}`,
			provider.Suspended:    `{"Balance":0,"CodeResponse":143,"ErrorMessage":"Account is not active or locked","UserID":0}`,
			provider.RateLimited:  `{"Balance":0,"CodeResponse":"160","ErrorMessage":"Exceed TPS"}`,
		},
		want: &provider.Balance{Account: "9999", Buckets: []provider.Bucket{
			{Service: "main", Unit: provider.Money, Amount: decimal.NewFromInt(36693), Currency: "VND", CurrencySource: provider.FromDocumentation},
		}},
	},
}

// outcomes are the keys, and what becomes of a question with them.
var outcomes = map[provider.Status]pair{
	provider.OK:           {"GOOD", saldotest.Secret + "-of-GOOD"},
	provider.Unauthorized: {"UNKNOWN", saldotest.Secret + "-of-UNKNOWN"},
	provider.IPDenied:     {"ELSEWHERE", saldotest.Secret + "-of-ELSEWHERE"},
	provider.Suspended:    {"SUSPENDED", saldotest.Secret + "-of-SUSPENDED"},
	provider.RateLimited:  {"BUSY", saldotest.Secret + "-of-BUSY"},
}

// TestClients runs one test over each dialect, three ways: client and server in
// one process, against Saldo's own server, and against replies as the provider sends them.
func TestClients(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			t.Run("in process", func(t *testing.T) {
				testClient(t, d, provider.Options{BaseURL: "http://localhost", Transport: inProcess{d.server(balances{d})}})
			})
			t.Run("recorded", func(t *testing.T) {
				server := httptest.NewServer(recorded(t, d))
				defer server.Close()
				testClient(t, d, provider.Options{BaseURL: server.URL})
			})
			t.Run("Saldo", func(t *testing.T) {
				saldotest.OnEachStore(t, func(t *testing.T, store saldotest.Store) {
					t.Helper()
					w := newWorld(t, store, "--rate-limit", "1")
					w.newOutcomes(t, d)
					testClient(t, d, provider.Options{BaseURL: w.URL, Transport: w.Server})
				})
			})
		})
	}
}

// testClient asks with each of the keys.
func testClient(t *testing.T, d spoken, options provider.Options) {
	t.Helper()
	for want, key := range outcomes {
		t.Run(string(want), func(t *testing.T) {
			options := options
			if want == provider.RateLimited {
				options.Timeout = 900 * time.Millisecond // shorter than any Retry-After, else the client would wait and come back
			}
			client, err := d.client(options, key)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			balance, err := client.Balance(t.Context())
			// A busy account is one that has just asked, and not long ago.
			for deadline := time.Now().Add(time.Minute); want == provider.RateLimited && provider.StatusOf(err) != want && time.Now().Before(deadline); {
				balance, err = client.Balance(t.Context())
			}
			if provider.StatusOf(err) != want {
				t.Fatalf("got %v, %v", balance, err)
			}
			if want == provider.OK {
				if diff := cmp.Diff(d.want, balance); diff != "" {
					t.Errorf("balance (-want +got):\n%s", diff)
				}
				return
			}
			if balance != nil {
				t.Errorf("a failure came with %+v", balance)
			}
			if strings.Contains(fmt.Sprintf("%#v %v %#v", err, client, client), saldotest.Secret) {
				t.Errorf("the secret can be read in %#v, or in %#v", err, client)
			}
		})
	}
}

// inProcess is a transport to a handler in this process.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// balances answer a server of the dialect as the ledger does.
type balances struct{ d spoken }

func (b balances) Balance(w http.ResponseWriter, _ *http.Request, c ledger.Credentials) (*ledger.Holder, error) {
	code := ledger.Unauthorized
	switch c.AuthSecret() {
	case outcomes[provider.OK].authSecret():
		amount, err := ledger.ParseAmount(b.d.sms)
		return &ledger.Holder{
			Account: ledger.Account{ID: ledger.AccountID(b.d.account.ID), Currency: b.d.account.Currency},
			Wallets: []ledger.Wallet{{WalletRef: ledger.WalletRef{Service: ledger.SMS}, Balance: amount}},
		}, err
	case outcomes[provider.IPDenied].authSecret():
		code = ledger.IPDenied
	case outcomes[provider.Suspended].authSecret():
		code = ledger.AccountNotActive
	case outcomes[provider.RateLimited].authSecret():
		w.Header().Set("Retry-After", "60")
		code = ledger.RateLimited
	}
	return nil, ledger.Errorf(code, "no")
}

// recorded answers as the provider does to the keys, which it finds in the body.
func recorded(t *testing.T, d spoken) http.HandlerFunc {
	t.Helper()
	replies := map[provider.Status]string{}
	for status, body := range d.recorded {
		if strings.HasSuffix(body, ".json") {
			text, err := os.ReadFile(body)
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		replies[status] = body
	}
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for status, key := range outcomes {
			if strings.Contains(string(body), key.secret) {
				io.WriteString(w, replies[status])
			}
		}
	}
}

// newOutcomes makes the accounts and keys in a ledger.
func (w *world) newOutcomes(t *testing.T, d spoken) {
	t.Helper()
	put := func(outcome provider.Status, account api.AccountID, request api.KeyRequest) {
		request.ID, request.Secret = outcomes[outcome].id, outcomes[outcome].secret
		if _, err := w.operator.CreateKey(t.Context(), account, request); err != nil {
			t.Fatal(err)
		}
	}
	account := w.account(t, d.account, map[string]string{"sms": d.sms})
	put(provider.OK, account, api.KeyRequest{})
	put(provider.IPDenied, account, api.KeyRequest{AllowList: api.AllowList{"203.0.113.0/24"}})
	suspended := w.account(t, api.AccountRequest{}, nil)
	put(provider.Suspended, suspended, api.KeyRequest{})
	w.status(t, suspended, api.AccountStatusSuspended)
	put(provider.RateLimited, w.account(t, api.AccountRequest{}, nil), api.KeyRequest{})
}
