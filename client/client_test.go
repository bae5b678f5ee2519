package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

const (
	secret    = "s3cr3t-that-must-not-leak"
	key       = "AK1:" + secret
	posted    = `{"id":"5c146b14-3c52-8afd-938a-375d0df1fbf6","status":"posted","amount":"1"}`
	oneCharge = `{"account":7,"amount":"1","type":"charge","wallet":"sms"}`
)

var charge = api.TransactionRequest{Account: 7, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("1")}

// serve starts a server and gives a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, server.URL)
}

func newClient(t *testing.T, baseURL string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(baseURL, key, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reply is what a scripted server answers with.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	body        string
}

func rejection(status int, code string) reply {
	return reply{
		status: status, contentType: "application/problem+json",
		body: fmt.Sprintf(`{"type":"urn:saldo:problem:%s","title":"T","status":%d,"code":%q,"detail":"d","hint":"h"}`, code, status, code),
	}
}

// script is a transport that answers from memory, one reply after the other and
// the last one for ever, and notes when it was called. It needs no network, so
// that tests of waiting can run on a false clock.
type script struct {
	replies []reply
	calls   []time.Time
}

func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	r := s.replies[min(len(s.calls), len(s.replies)-1)]
	s.calls = append(s.calls, time.Now())
	if r.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	header := http.Header{"Content-Type": {r.contentType}}
	if r.retryAfter != "" {
		header.Set("Retry-After", r.retryAfter)
	}
	return &http.Response{StatusCode: r.status, Header: header, Body: io.NopCloser(strings.NewReader(r.body))}, nil
}

// asError asserts that err is a reply of the server, and that it keeps the secret.
func asError(t *testing.T, err error) *client.Error {
	t.Helper()
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("error is %T %v, want *client.Error", err, err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, e), secret) {
		t.Errorf("the error tells the secret: %#v", e)
	}
	return e
}

func TestPostIsRetriedWithTheSameKey(t *testing.T) {
	var keys []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != oneCharge {
			t.Errorf("attempt %d has body %q, %v", len(keys)+1, body, err)
		}
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		switch len(keys) {
		case 1:
			panic(http.ErrAbortHandler) // the connection is cut before a reply
		case 2:
			w.Header().Set("Content-Length", "100") // and here in the middle of one
			_, _ = io.WriteString(w, posted[:20])
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Idempotent-Replayed", "true")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, posted)
		}
	})
	got, err := c.Post(t.Context(), "", charge)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Replayed || got.Status != api.TransactionStatusPosted || got.Amount != "1" {
		t.Errorf("got %+v", got)
	}
	if len(keys) != 4 || len(keys[0]) < 20 || len(slices.Compact(keys)) != 1 {
		t.Errorf("idempotency keys %q, want one random key four times", keys)
	}
}

func TestRetries(t *testing.T) {
	post := func(ctx context.Context, c *client.Client) error {
		_, err := c.Post(ctx, "k", charge)
		return err
	}
	get := func(ctx context.Context, c *client.Client) error {
		_, err := c.Balance(ctx)
		return err
	}
	create := func(ctx context.Context, c *client.Client) error {
		_, err := c.CreateAccount(ctx, api.AccountRequest{Name: "A", Currency: "CNY"})
		return err
	}
	revoke := func(ctx context.Context, c *client.Client) error { return c.RevokeKey(ctx, "AK2") }
	patch := func(ctx context.Context, c *client.Client) error {
		_, err := c.UpdateWallet(ctx, 7, "sms", api.WalletPatch{CreditLimit: new("1")})
		return err
	}
	hold := func(ctx context.Context, c *client.Client) error {
		_, err := c.Hold(ctx, "", api.HoldRequest{Account: 7, Wallet: "sms", Amount: "1"})
		return err
	}
	capture := func(ctx context.Context, c *client.Client) error {
		_, err := c.Capture(ctx, "", "9e0d", api.CaptureRequest{})
		return err
	}
	batch := func(ctx context.Context, c *client.Client) error {
		_, err := c.PostBatch(ctx, api.BatchRequest{Transactions: []api.BatchTransaction{{Type: api.TransactionTypeCharge}}})
		return err
	}
	settle := func(ctx context.Context, c *client.Client) error {
		_, err := c.Settle(ctx, []api.DeliveryReport{{Reference: "msg-1", Status: api.DeliveryStateDELIVRD}})
		return err
	}
	file := func(ctx context.Context, c *client.Client) error {
		_, err := c.StatementFile(ctx, 7, "sms", client.StatementQuery{}, api.StatementFormatCsv)
		return err
	}
	stream := func(ctx context.Context, c *client.Client) error {
		for _, err := range c.Stream(ctx, slices.Values([]api.BatchTransaction{{Type: api.TransactionTypeCharge}})) {
			return err
		}
		return nil
	}
	for _, tc := range []struct {
		name  string
		call  func(context.Context, *client.Client) error
		reply reply
		calls int
	}{
		{"post, network error", post, reply{}, 5},
		{"post, overloaded", post, rejection(503, "overloaded"), 5},
		{"post, outcome unknown", post, rejection(503, "outcome_unknown"), 5},
		{"post, too slow", post, rejection(408, "request_timeout"), 5},
		{"post, rate limited", post, rejection(429, "rate_limited"), 5},
		{"post, bad gateway", post, reply{status: 502}, 5},
		{"post, gateway timeout", post, reply{status: 504}, 5},
		{"post, rejected", post, rejection(402, "insufficient_funds"), 1},
		{"post, failed inside", post, rejection(500, "internal_error"), 1},
		{"get, network error", get, reply{}, 5},
		{"get, overloaded", get, rejection(503, "overloaded"), 5},
		{"get, not found", get, rejection(404, "not_found"), 1},
		{"create, network error", create, reply{}, 1},
		{"create, overloaded", create, rejection(503, "overloaded"), 1},
		{"revoke, overloaded", revoke, rejection(503, "overloaded"), 1},
		{"patch, overloaded", patch, rejection(503, "overloaded"), 1},
		{"hold, network error", hold, reply{}, 5},
		{"hold, rejected", hold, rejection(422, "spend_cap_reached"), 1},
		{"capture, outcome unknown", capture, rejection(503, "outcome_unknown"), 5},
		{"capture, closed", capture, rejection(409, "hold_not_open"), 1},
		{"batch, network error", batch, reply{}, 5},
		{"batch, overloaded", batch, rejection(503, "overloaded"), 5},
		{"batch, rejected", batch, rejection(402, "insufficient_funds"), 1},
		{"settle, network error", settle, reply{}, 5},
		{"settle, rate limited", settle, rejection(429, "rate_limited"), 5},
		{"statement file, network error", file, reply{}, 5},
		{"statement file, overloaded", file, rejection(503, "overloaded"), 5},
		{"statement file, not found", file, rejection(404, "not_found"), 1},
		{"stream, network error", stream, reply{}, 1},
		{"stream, overloaded", stream, rejection(503, "overloaded"), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{replies: []reply{tc.reply}}
				err := tc.call(t.Context(), newClient(t, "https://saldo.test", client.WithTransport(s)))
				if err == nil || len(s.calls) != tc.calls {
					t.Errorf("%d calls, error %v; want %d and an error", len(s.calls), err, tc.calls)
				}
				for i, call := range s.calls[1:] {
					wait, full := call.Sub(s.calls[i]), 100*time.Millisecond<<i
					if wait < full/2 || wait > full {
						t.Errorf("wait %d is %s, want %s to %s", i+1, wait, full/2, full)
					}
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	busy := func(retryAfter string) reply {
		r := rejection(429, "rate_limited")
		r.retryAfter = retryAfter
		return r
	}
	for _, tc := range []struct {
		name  string
		asked func() string
		wait  time.Duration
	}{
		{"seconds", func() string { return "7" }, 7 * time.Second},
		{"date", func() string { return time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat) }, 9 * time.Second},
		{"date that has passed", func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, 0},
		{"nonsense", func() string { return "soon" }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{replies: []reply{busy(tc.asked()), {status: 201, body: posted}}}
				_, err := newClient(t, "https://saldo.test", client.WithTransport(s)).Post(t.Context(), "k", charge)
				if err != nil {
					t.Fatal(err)
				}
				if wait := s.calls[1].Sub(s.calls[0]); wait < tc.wait || wait > tc.wait+100*time.Millisecond {
					t.Errorf("waited %s, want %s and a little", wait, tc.wait)
				}
			})
		})
	}
	t.Run("too long", func(t *testing.T) {
		s := &script{replies: []reply{busy("3600")}}
		_, err := newClient(t, "https://saldo.test", client.WithTransport(s)).Post(t.Context(), "k", charge)
		if e := asError(t, err); e.RetryAfter != time.Hour || len(s.calls) != 1 {
			t.Errorf("RetryAfter %s after %d calls, want an hour after one", e.RetryAfter, len(s.calls))
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		s := &script{replies: []reply{{status: 503, retryAfter: "20"}}}
		start := time.Now()
		_, err := newClient(t, "https://saldo.test", client.WithTransport(s)).Balance(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || asError(t, err).Status != 503 {
			t.Errorf("error %v, want the deadline and the 503 before it", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestWithAttempts(t *testing.T) {
	s := &script{replies: []reply{{status: 503}}}
	c := newClient(t, "https://saldo.test", client.WithTransport(s), client.WithAttempts(1))
	if _, err := c.Balance(t.Context()); err == nil || len(s.calls) != 1 {
		t.Errorf("%d calls, error %v; want one and an error", len(s.calls), err)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reply reply
		want  client.Error
		text  string
	}{
		{
			name: "problem",
			reply: reply{
				status: 402, contentType: "application/problem+json; charset=utf-8",
				body: `{"type":"urn:saldo:problem:insufficient_funds","title":"Payment Required","status":402,"code":"insufficient_funds",` +
					`"detail":"0 is available, 1 was asked for","hint":"top up","transaction":"5c14"}`,
			},
			want: client.Error{
				Status: 402, Code: api.ErrorCodeInsufficientFunds, Title: "Payment Required",
				Detail: "0 is available, 1 was asked for", Hint: "top up", Transaction: "5c14",
			},
			text: "saldo: 402 insufficient_funds: 0 is available, 1 was asked for (top up)",
		},
		{
			name: "atomic batch",
			reply: reply{
				status: 409, contentType: "application/problem+json",
				body: `{"type":"urn:saldo:problem:hold_expired","title":"Conflict","status":409,"code":"hold_expired","detail":"the hold has expired","index":0}`,
			},
			want: client.Error{Status: 409, Code: api.ErrorCodeHoldExpired, Title: "Conflict", Detail: "the hold has expired", Index: new(0)},
			text: "saldo: 409 hold_expired at index 0: the hold has expired",
		},
		{
			name:  "a proxy's page",
			reply: reply{status: 403, contentType: "text/html", body: "<h1>Forbidden</h1>" + secret},
			want: client.Error{
				Status: 403, Title: "Forbidden", Detail: "the reply does not come from Saldo",
				Hint: "look at the base URL and at the proxies in between",
			},
			text: "saldo: 403: the reply does not come from Saldo (look at the base URL and at the proxies in between)",
		},
		{
			name:  "a broken problem",
			reply: reply{status: 400, contentType: "application/problem+json", body: `{"detail":"` + secret},
			want: client.Error{
				Status: 400, Title: "Bad Request", Detail: "the reply does not come from Saldo",
				Hint: "look at the base URL and at the proxies in between",
			},
		},
		{
			name:  "a success that is none",
			reply: reply{status: 200, contentType: "text/html", body: "<h1>Sign in</h1>" + secret},
			want: client.Error{
				Status: 200, Title: "OK", Detail: "the reply cannot be read: it is not the JSON of the contract",
				Hint: "look at the base URL and at the server's version",
			},
		},
		{
			name:  "a success without end",
			reply: reply{status: 200, contentType: "application/json", body: strings.Repeat(" ", 40<<20)},
			want: client.Error{
				Status: 200, Title: "OK", Detail: "the reply cannot be read: it is over 33554432 bytes",
				Hint: "look at the base URL and at the server's version",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "https://saldo.test", client.WithTransport(&script{replies: []reply{tc.reply}}))
			_, err := c.Balance(t.Context())
			got := asError(t, err)
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Error(diff)
			}
			if tc.text != "" && got.Error() != tc.text {
				t.Errorf("text %q", got.Error())
			}
		})
	}
}

func TestCodeOfAndFailure(t *testing.T) {
	err := client.Failure(&api.Problem{Status: 402, Code: api.ErrorCodeInsufficientFunds, Title: "T", Detail: "d", Hint: "h", Transaction: "5c14"})
	want := client.Error{Status: 402, Code: api.ErrorCodeInsufficientFunds, Title: "T", Detail: "d", Hint: "h", Transaction: "5c14"}
	if diff := cmp.Diff(want, *asError(t, err)); diff != "" {
		t.Error(diff)
	}
	if code := client.CodeOf(fmt.Errorf("message 17: %w", err)); code != api.ErrorCodeInsufficientFunds {
		t.Errorf("code %q", code)
	}
	if client.Failure(nil) != nil || client.CodeOf(nil) != "" || client.CodeOf(io.EOF) != "" {
		t.Error("nothing has a code, or is a failure")
	}
}

func TestRedirectsAreRefused(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/"+secret, status) })
		_, err := c.Post(t.Context(), "k", charge)
		if e := asError(t, err); e.Status != status || !strings.Contains(e.Detail, "redirects") {
			t.Errorf("%d: %v", status, e)
		}
		_, err = c.Balance(t.Context())
		if e := asError(t, err); e.Status != status {
			t.Errorf("%d: %v", status, e)
		}
	}
}

func TestNetworkErrorsKeepTheSecret(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := newClient(t, server.URL, client.WithAttempts(1)).CreateKey(t.Context(), 7, api.KeyRequest{ID: "AK2", Secret: secret})
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
		t.Errorf("error %v", err)
	}
}

// pagesOf serves n accounts, two on each page, and fails at page failAt.
func pagesOf(t *testing.T, n, failAt int) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("limit") != "500" {
			t.Errorf("limit is %q", r.FormValue("limit"))
		}
		first, _ := strconv.Atoi(strings.TrimSuffix(r.FormValue("cursor"), "=&"))
		if first == failAt {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":"forbidden"}`)
			return
		}
		page := api.AccountPage{Items: []api.Account{}}
		for i := first; i < min(first+2, n); i++ {
			page.Items = append(page.Items, api.Account{ID: api.AccountID(i + 1), Name: "A"})
		}
		if first+2 < n {
			page.NextCursor = strconv.Itoa(first+2) + "=&" // a cursor may have any characters
		}
		_ = json.NewEncoder(w).Encode(page)
	}
}

func TestPaging(t *testing.T) {
	const never = -1
	for _, n := range []int{0, 1, 2, 5} {
		var ids []api.AccountID
		for account, err := range serve(t, pagesOf(t, n, never)).Accounts(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, account.ID)
		}
		if want := []api.AccountID{1, 2, 3, 4, 5}[:n]; !slices.Equal(ids, want) {
			t.Errorf("ids %v, want %v", ids, want)
		}
	}
	t.Run("stopped early", func(t *testing.T) {
		for account, err := range serve(t, pagesOf(t, 5, 2)).Accounts(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if account.ID == 2 {
				break // before the page that fails
			}
		}
	})
	t.Run("failing", func(t *testing.T) {
		var got, failures int
		for _, err := range serve(t, pagesOf(t, 5, 2)).Accounts(t.Context()) {
			if err != nil {
				failures++
				if e := asError(t, err); e.Code != api.ErrorCodeForbidden {
					t.Error(e)
				}
				continue
			}
			got++
		}
		if got != 2 || failures != 1 {
			t.Errorf("%d accounts and %d failures, want 2 and 1", got, failures)
		}
	})
}

// first is the first error of a sequence.
func first[T any](items iter.Seq2[T, error]) error {
	for _, err := range items {
		return err
	}
	return nil
}

// TestPaths checks that every method asks for what the contract describes.
func TestPaths(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.RequestURI()
		_, _ = io.WriteString(w, `{"items":[]}`)
	})
	ctx := t.Context()
	for want, call := range map[string]func() error{
		"POST /v1/accounts":                func() error { _, err := c.CreateAccount(ctx, api.AccountRequest{}); return err },
		"GET /v1/accounts/7":               func() error { _, err := c.Account(ctx, 7); return err },
		"GET /v1/accounts?limit=500":       func() error { return first(c.Accounts(ctx)) },
		"PATCH /v1/accounts/7":             func() error { _, err := c.UpdateAccount(ctx, 7, api.AccountPatch{}); return err },
		"PUT /v1/accounts/7/wallets/sms":   func() error { _, err := c.PutWallet(ctx, 7, "sms", api.WalletRequest{}); return err },
		"PATCH /v1/accounts/7/wallets/sms": func() error { _, err := c.UpdateWallet(ctx, 7, "sms", api.WalletPatch{}); return err },
		"GET /v1/accounts/7/wallets/sms":   func() error { _, err := c.Wallet(ctx, 7, "sms"); return err },
		"GET /v1/accounts/7/wallets/sms?at=2026-11-01&tz=Asia%2FHo_Chi_Minh": func() error {
			_, err := c.WalletAt(ctx, 7, "sms", "2026-11-01", "Asia/Ho_Chi_Minh")
			return err
		},
		"GET /v1/accounts/7/wallets/sms/statement?limit=500": func() error {
			return first(c.Statement(ctx, 7, "sms", client.StatementQuery{}))
		},
		"GET /v1/accounts/7/wallets/sms/statement?from=2026-11-01&to=2026-12-01&tz=UTC&type=charge&format=ndjson": func() error {
			query := client.StatementQuery{From: "2026-11-01", To: "2026-12-01", TimeZone: "UTC", Type: api.TransactionTypeCharge}
			file, err := c.StatementFile(ctx, 7, "sms", query, api.StatementFormatNdjson)
			return errors.Join(err, file.Close())
		},
		"POST /v1/accounts/7/keys":          func() error { _, err := c.CreateKey(ctx, 7, api.KeyRequest{}); return err },
		"GET /v1/accounts/7/keys?limit=500": func() error { return first(c.Keys(ctx, 7)) },
		"POST /v1/keys":                     func() error { _, err := c.CreateOperatorKey(ctx, api.OperatorKeyRequest{}); return err },
		"GET /v1/keys?limit=500":            func() error { return first(c.OperatorKeys(ctx)) },
		"DELETE /v1/keys/A%2FB%25%3F%23%2C": func() error { return c.RevokeKey(ctx, "A/B%?#,") },
		"PATCH /v1/keys/AK2":                func() error { _, err := c.PatchKey(ctx, "AK2", api.KeyPatch{}); return err },
		"POST /v1/transactions":             func() error { _, err := c.Post(ctx, "k", charge); return err },
		"GET /v1/transactions/5c14":         func() error { _, err := c.Transaction(ctx, "5c14"); return err },
		"GET /v1/transactions?reference=msg-1&account=7&limit=500": func() error {
			return first(c.FindTransactions(ctx, client.TransactionFilter{Reference: "msg-1", Account: 7}))
		},
		"GET /v1/transactions?idempotency_key=k+1&limit=500": func() error {
			return first(c.FindTransactions(ctx, client.TransactionFilter{IdempotencyKey: "k 1"}))
		},
		"POST /v1/transactions/batch":     func() error { _, err := c.PostBatch(ctx, api.BatchRequest{}); return err },
		"POST /v1/holds":                  func() error { _, err := c.Hold(ctx, "k", api.HoldRequest{}); return err },
		"GET /v1/holds/9e0d":              func() error { _, err := c.GetHold(ctx, "9e0d"); return err },
		"POST /v1/holds/9e0d/capture":     func() error { _, err := c.Capture(ctx, "k", "9e0d", api.CaptureRequest{}); return err },
		"POST /v1/holds/9e0d/release":     func() error { _, err := c.Release(ctx, "k", "9e0d", api.ReleaseRequest{}); return err },
		"POST /v1/holds/9e0d/extend":      func() error { _, err := c.Extend(ctx, "k", "9e0d", api.ExtendRequest{}); return err },
		"POST /v1/holds/settle":           func() error { _, err := c.Settle(ctx, nil); return err },
		"GET /v1/holds?limit=500":         func() error { return first(c.Holds(ctx, client.HoldFilter{})) },
		"GET /v1/balance":                 func() error { _, err := c.Balance(ctx); return err },
		"GET /v1/reports/trial-balance":   func() error { _, err := c.TrialBalance(ctx); return err },
		"GET /v1/reports/usage?limit=500": func() error { return first(c.Usage(ctx, client.UsageQuery{})) },
		"GET /v1/holds?account=7&wallet=sms&state=open&reference=m&limit=500": func() error {
			return first(c.Holds(ctx, client.HoldFilter{Account: 7, Wallet: "sms", State: api.HoldStatusOpen, Reference: "m"}))
		},
		"GET /v1/reports/usage?group=day&from=2026-11-01&to=2026-12-01&tz=UTC&account=7&limit=500": func() error {
			return first(c.Usage(ctx, client.UsageQuery{Group: api.UsageGroupDay, From: "2026-11-01", To: "2026-12-01", TimeZone: "UTC", Account: 7}))
		},
	} {
		if err := call(); err != nil || asked != want {
			t.Errorf("asked for %s, %v; want %s", asked, err, want)
		}
	}
}

func TestAuthorization(t *testing.T) {
	for given, want := range map[string]string{
		"AK1" + secret:  "Bearer AK1" + secret,
		"AK1:se:cr=et/": "Basic QUsxOnNlOmNyPWV0Lw==",
	} {
		var header string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header = r.Header.Get("Authorization")
			_, _ = io.WriteString(w, "{}")
		}))
		defer server.Close()
		c, err := client.New(server.URL, given)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Balance(t.Context()); err != nil || header != want {
			t.Errorf("header %q, %v; want %q", header, err, want)
		}
	}
}

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		baseURL, key string
		opts         []client.Option
		ok           bool
	}{
		{"https://saldo.example.com", key, nil, true},
		{"https://saldo.example.com:8443/behind/a/path/", key, nil, true},
		{"http://127.0.0.1:8080", key, nil, true},
		{"http://[::1]:8080", key, nil, true},
		{"http://localhost:8080", key, nil, true},
		{"http://10.0.0.7:8080", key, nil, false},
		{"http://localhost.example.com", key, nil, false},
		{"http://10.0.0.7:8080", key, []client.Option{client.AllowPlainHTTP()}, true},
		{"saldo.example.com", key, nil, false},
		{"ftp://saldo.example.com", key, nil, false},
		{"https://", key, nil, false},
		{"https://user:" + secret + "@saldo.example.com", key, nil, false},
		{"https://user:" + secret + "@saldo.example.com:port", key, nil, false},
		{"https://saldo.example.com/?x=" + secret, key, nil, false},
		{"https://saldo.example.com", "", nil, false},
		{"https://saldo.example.com", secret + "\r\nX: y", nil, false},
		{"https://saldo.example.com", secret + "é", nil, false},
	} {
		_, err := client.New(tc.baseURL, tc.key, tc.opts...)
		if (err == nil) != tc.ok {
			t.Errorf("New(%q, %q): %v", tc.baseURL, tc.key, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
