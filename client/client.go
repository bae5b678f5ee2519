// Package client is the Go client of Saldo's REST API.
//
// It takes the parts that every program gets wrong once: a movement of money is
// sent again only with the idempotency key that it had before, a busy server is
// given the time that it asks for, and a secret goes to no other host.
package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client/internal/rest"
)

// Limits of a client. Options change those that a caller may want otherwise.
const (
	attemptTimeout  = 30 * time.Second
	defaultAttempts = 5
	pageSize        = 500 // the largest that the server gives
	idleConns       = 128 // the standard library keeps 2, which starves a busy program
)

// Client calls one Saldo server with one key. It is safe for concurrent use.
type Client struct {
	rest *rest.Client
}

// Option changes how a client works.
type Option func(*options)

type options struct {
	plainHTTP bool
	attempts  int
	transport http.RoundTripper
}

// AllowPlainHTTP lets the client send its secret without TLS to a host other
// than this one: to a TLS proxy next to it, for example, on a network that nobody else reads.
func AllowPlainHTTP() Option {
	return func(o *options) { o.plainHTTP = true }
}

// WithAttempts sets how often a request that may be repeated is sent at most; 1
// means that it is never repeated.
func WithAttempts(n int) Option {
	return func(o *options) { o.attempts = n }
}

// WithTransport replaces the HTTP transport, for a private root certificate or
// a pool of another size.
func WithTransport(transport http.RoundTripper) Option {
	return func(o *options) { o.transport = transport }
}

// New makes a client of the server at baseURL, such as https://saldo.example.com.
//
// The key is an auth_secret, or "id:secret". A secret that contains a colon
// itself must be given in the second form.
func New(baseURL, key string, opts ...Option) (*Client, error) {
	o := options{attempts: defaultAttempts}
	for _, opt := range opts {
		opt(&o)
	}
	server, err := checkURL(baseURL, o.plainHTTP)
	if err != nil {
		return nil, err
	}
	authorization, err := authorize(key)
	if err != nil {
		return nil, err
	}
	if o.transport == nil {
		o.transport = defaultTransport()
	}
	return &Client{rest: &rest.Client{
		Server: server,
		Client: &sender{
			authorization: authorization,
			attempts:      o.attempts,
			http: &http.Client{
				Transport: o.transport,
				Timeout:   attemptTimeout,
				// A redirect is handed back as a reply, and then refused: to
				// follow it would carry the secret wherever it points.
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
		},
	}}, nil
}

// checkURL gives the base URL with a slash at its end. Its errors do not repeat
// the URL, in which somebody may have put a password.
func checkURL(baseURL string, plainHTTP bool) (string, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("saldo: the base URL must look like https://saldo.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("saldo: the base URL must not have a user, a query or a fragment (the key is given apart from it)")
	case u.Scheme == "http" && !plainHTTP && !isLoopback(u.Hostname()):
		return "", errors.New("saldo: plain http would show the secret to the network (use https, or allow plain http explicitly)")
	}
	return strings.TrimSuffix(u.String(), "/") + "/", nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// authorize gives the Authorization header for a key. Its errors do not repeat the key.
func authorize(key string) (string, error) {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("saldo: the key must be visible ASCII characters: an auth_secret, or id:secret")
	}
	if strings.Contains(key, ":") {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(key)), nil
	}
	return "Bearer " + key, nil
}

func defaultTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the program has put its own in place
	}
	transport := standard.Clone()
	transport.MaxIdleConnsPerHost = idleConns
	transport.MaxIdleConns = idleConns
	return transport
}

// CreateAccount creates an account with its first wallets.
func (c *Client) CreateAccount(ctx context.Context, account api.AccountRequest) (api.Account, error) {
	return read[api.Account](c.rest.CreateAccount(ctx, account))
}

// Account reads an account with its wallets.
func (c *Client) Account(ctx context.Context, id api.AccountID) (api.Account, error) {
	return read[api.Account](c.rest.GetAccount(ctx, id))
}

// Accounts reads all accounts in the order of their ids, a page at a time. It
// stops after the first error.
func (c *Client) Accounts(ctx context.Context) iter.Seq2[api.Account, error] {
	return pages(func(cursor *string) ([]api.Account, string, error) {
		params := api.ListAccountsParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.AccountPage](c.rest.ListAccounts(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// UpdateAccount changes the members of an account that the patch names.
func (c *Client) UpdateAccount(ctx context.Context, id api.AccountID, patch api.AccountPatch) (api.Account, error) {
	return read[api.Account](c.rest.UpdateAccount(ctx, id, patch))
}

// PutWallet sets a wallet's credit limit, and adds the wallet where there is none of this name.
func (c *Client) PutWallet(ctx context.Context, account api.AccountID, wallet string, settings api.WalletRequest) (api.Wallet, error) {
	return read[api.Wallet](c.rest.PutWallet(ctx, account, wallet, settings))
}

// Wallet reads one wallet of an account.
func (c *Client) Wallet(ctx context.Context, account api.AccountID, wallet string) (api.Wallet, error) {
	return read[api.Wallet](c.rest.GetWallet(ctx, account, wallet))
}

// CreateKey creates or imports a key of a customer. The secret in the reply is shown this once.
func (c *Client) CreateKey(ctx context.Context, account api.AccountID, key api.KeyRequest) (api.NewKey, error) {
	return read[api.NewKey](c.rest.CreateAccountKey(ctx, account, key))
}

// Keys reads all keys of a customer, without secrets. It stops after the first error.
func (c *Client) Keys(ctx context.Context, account api.AccountID) iter.Seq2[api.Key, error] {
	return pages(func(cursor *string) ([]api.Key, string, error) {
		params := api.ListAccountKeysParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.KeyPage](c.rest.ListAccountKeys(ctx, account, &params))
		return page.Items, page.NextCursor, err
	})
}

// CreateOperatorKey creates or imports a key of the operator. The secret in the reply is shown this once.
func (c *Client) CreateOperatorKey(ctx context.Context, key api.OperatorKeyRequest) (api.NewKey, error) {
	return read[api.NewKey](c.rest.CreateOperatorKey(ctx, key))
}

// OperatorKeys reads all keys of the operator, without secrets. It stops after the first error.
func (c *Client) OperatorKeys(ctx context.Context) iter.Seq2[api.Key, error] {
	return pages(func(cursor *string) ([]api.Key, string, error) {
		params := api.ListOperatorKeysParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.KeyPage](c.rest.ListOperatorKeys(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// RevokeKey revokes a key for good.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	resp, err := c.rest.RevokeKey(ctx, id)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Posted is a transaction as Post gives it back.
type Posted struct {
	api.Transaction

	// Replayed tells that an earlier request with the same idempotency key
	// moved the money, and this one did not.
	Replayed bool `json:"-"`
}

// Post moves money. A transaction that the ledger rejects is an *Error.
//
// Where the reply is lost or the server is busy, the request is sent again with
// the same idempotency key, which moves the money once whatever happened
// before. An empty key is replaced by a random one. A program that must finish
// a movement after a crash, or after Post itself has failed, gives a key of its
// own: its name for the message or call that is paid for.
func (c *Client) Post(ctx context.Context, idempotencyKey string, transaction api.TransactionRequest) (Posted, error) {
	if idempotencyKey == "" {
		idempotencyKey = rand.Text()
	}
	params := api.PostTransactionParams{IdempotencyKey: idempotencyKey}
	resp, err := c.rest.PostTransaction(ctx, &params, transaction)
	posted, err := read[api.Transaction](resp, err)
	if err != nil {
		return Posted{}, err
	}
	return Posted{Transaction: posted, Replayed: resp.Header.Get("Idempotent-Replayed") == "true"}, nil
}

// Transaction reads a transaction, posted or rejected.
func (c *Client) Transaction(ctx context.Context, id string) (api.Transaction, error) {
	return read[api.Transaction](c.rest.GetTransaction(ctx, id))
}

// Balance reads the account that the client's key belongs to.
func (c *Client) Balance(ctx context.Context) (api.Balance, error) {
	return read[api.Balance](c.rest.GetBalance(ctx))
}

// pages turns a reader of one page into a sequence of all items.
func pages[T any](page func(cursor *string) (items []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor := (*string)(nil); ; {
			items, next, err := page(cursor)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = &next
		}
	}
}
