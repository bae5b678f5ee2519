package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// Whatever an App starts ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

// newLedger makes a ledger in a file of its own.
func newLedger(t *testing.T) (db string, operator ledger.Credentials) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "ledger.db")
	operator, err := app.Init(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return db, operator
}

// options serve on a free port and log to out.
func options(db string, out io.Writer) app.Options {
	return app.Options{DB: db, Listen: "127.0.0.1:0", PathSecrets: true, Log: slog.New(slog.NewJSONHandler(out, nil))}
}

func start(t *testing.T, o app.Options) *app.App {
	t.Helper()
	a, err := app.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// closeApp is given to Cleanup, after which the test's own context is over.
func closeApp(t *testing.T, end func(context.Context) error) {
	t.Helper()
	if err := end(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// newClient has connections of its own, which end with the test.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// call sends a request and gives status and body.
func call(t *testing.T, c *http.Client, method, url, authorization, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "the-key")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// locked is a writer that a test can read while it is written.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		return ""
	}
	return hinted.Hint()
}

func TestStartAndClose(t *testing.T) {
	t.Parallel()
	db, operator := newLedger(t)
	bearer := "Bearer " + operator.AuthSecret()
	// A ledger that was closed can be opened again, with what was in it.
	for round, want := range []int{201, 409} {
		a := start(t, options(db, io.Discard))
		if !strings.HasPrefix(a.URL(), "http://127.0.0.1:") || strings.HasSuffix(a.URL(), ":0") {
			t.Errorf("the URL is %s", a.URL())
		}
		c := newClient(t)
		if status, body := call(t, c, "GET", a.URL()+"/readyz", "", ""); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		if status, body := call(t, c, "POST", a.URL()+"/v1/accounts", bearer, `{"id":7,"name":"N","currency":"CNY"}`); status != want {
			t.Errorf("round %d: %d %s, want %d", round, status, body, want)
		}
		closeApp(t, a.Close)
		if err := <-a.Done(); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
		if _, err := net.DialTimeout("tcp", strings.TrimPrefix(a.URL(), "http://"), time.Second); err == nil {
			t.Error("the closed App still listens")
		}
	}
}

func TestOneServerForALedger(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	a := start(t, options(db, io.Discard))
	_, err := app.Start(t.Context(), options(db, io.Discard))
	if !errors.Is(err, sqlite.ErrInUse) || !strings.Contains(hintOf(err), "stop the other process") {
		t.Errorf("error %v with hint %q", err, hintOf(err))
	}
	// The refused one must not have taken the lock of the first with it.
	if _, err = app.Start(t.Context(), options(db, io.Discard)); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("error %v", err)
	}
	closeApp(t, a.Close)
	closeApp(t, start(t, options(db, io.Discard)).Close)
}

// Whatever goes wrong on the way up, the ledger is free afterwards.
func TestFailedStarts(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for name, change := range map[string]func(*app.Options){
		"address taken":     func(o *app.Options) { o.Listen = taken.Addr().String() },
		"no address":        func(o *app.Options) { o.Listen = "nonsense" },
		"no certificate":    func(o *app.Options) { o.TLSCert, o.TLSKey = db+".crt", db+".key" },
		"no ledger":         func(o *app.Options) { o.DB += "x" },
		"a folder":          func(o *app.Options) { o.DB = filepath.Dir(db) },
		"no name":           func(o *app.Options) { o.DB = "" },
		"another database":  func(o *app.Options) { o.DB = "postgres://user:s3cr3t@127.0.0.1:1/db" },
		"not even SQLite":   func(o *app.Options) { o.DB = writeFile(t, "text.db", "This is only text, but long enough to be read.") },
		"an empty database": func(o *app.Options) { o.DB = filepath.Join(t.TempDir(), "none", "ledger.db") },
	} {
		o := options(db, io.Discard)
		change(&o)
		a, err := app.Start(t.Context(), o)
		if err == nil || a != nil {
			t.Errorf("%s: started, %v", name, err)
			continue
		}
		if strings.Contains(err.Error()+hintOf(err), "s3cr3t") {
			t.Errorf("%s: the error tells a password: %v", name, err)
		}
	}
	closeApp(t, start(t, options(db, io.Discard)).Close)
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// halfSent sends the head of a request whose body the handler then waits for.
func halfSent(t *testing.T, a *app.App, path, authorization string, length int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", path, authorization, length)
	if err != nil {
		t.Fatal(err)
	}
	// The server asks for the body, so the handler is at work.
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	return conn
}

// A request that is under way when the server is told to stop is answered, and is on disk.
func TestCloseFinishesRequests(t *testing.T) {
	t.Parallel()
	db, operator := newLedger(t)
	a := start(t, options(db, io.Discard))
	const body = `{"id":7,"name":"N","currency":"CNY"}`
	conn := halfSent(t, a, "/v1/accounts", "Bearer "+operator.AuthSecret(), len(body))
	closed := make(chan error, 1)
	go func() { closed <- a.Close(context.WithoutCancel(t.Context())) }()
	waitFor(t, "new connections are refused", func() bool {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(a.URL(), "http://"), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
		closed <- err
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Error(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 201 Created\r\n") {
		t.Errorf("the request is answered %q, %v", reply, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	again := start(t, options(db, io.Discard))
	defer closeApp(t, again.Close)
	if _, err := again.Engine().Holder(t.Context(), 7); err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this does not happen: %s", what)
		}
	}
}

// A client that never finishes cannot keep the server from stopping.
func TestCloseCutsOffInTheEnd(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	a := start(t, options(db, io.Discard))
	halfSent(t, a, "/user/account/balance", "", 10)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := a.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "requests were cut off") {
		t.Errorf("error %v", err)
	}
	closeApp(t, start(t, options(db, io.Discard)).Close)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	db, operator := newLedger(t)
	certificate, key, pool := selfSigned(t)
	o := options(db, io.Discard)
	o.TLSCert, o.TLSKey = certificate, key
	a := start(t, o)
	defer closeApp(t, a.Close)
	if !strings.HasPrefix(a.URL(), "https://") {
		t.Errorf("the URL is %s", a.URL())
	}
	c := newClient(t)
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	if status, body := call(t, c, "GET", a.URL()+"/v1/accounts", "Bearer "+operator.AuthSecret(), ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	// Neither plain text nor an old version gets through.
	if status, _ := call(t, newClient(t), "GET", strings.Replace(a.URL(), "https", "http", 1)+"/healthz", "", ""); status != 400 {
		t.Errorf("plain HTTP is answered %d", status)
	}
	old := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(a.URL(), "https://"), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(t *testing.T) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	return writeFile(t, "cert.pem", string(public)), writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))), pool
}

// The doors stand side by side, each with its own paths, and one setting closes
// the routes that carry a secret in their path.
func TestDoors(t *testing.T) {
	t.Parallel()
	for _, pathSecrets := range []bool{true, false} {
		db, _ := newLedger(t)
		log := &locked{}
		o := options(db, log)
		o.PathSecrets = pathSecrets
		a := start(t, o)
		defer closeApp(t, a.Close)
		if _, err := a.Engine().CreateAccount(t.Context(), ledger.Account{ID: 9999, Name: "N", Currency: "VND"}); err != nil {
			t.Fatal(err)
		}
		pair := engine.GenerateCredentials()
		if _, err := a.Engine().CreateKey(t.Context(), ledger.Key{Account: 9999, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}, pair); err != nil {
			t.Fatal(err)
		}
		c := newClient(t)
		inPath := 200
		if !pathSecrets {
			inPath = 404
		}
		both := fmt.Sprintf(`{"ApiKey":%q,"SecretKey":%q}`, pair.ID, pair.Secret)
		for _, tt := range []struct {
			method, path, body string
			want               int
		}{
			{"POST", "/user/account/balance", fmt.Sprintf(`{"authSecret":%q}`, pair.AuthSecret()), 200},
			{"POST", "/MainService.svc/json/GetBalance_json", both, 200},
			{"POST", "/mainservice.svc/json/getbalance_json", both, 200},
			{"GET", "/MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret, "", inPath},
			{"GET", "/mainservice.svc/json/getbalance/" + pair.ID + "/" + pair.Secret, "", inPath},
			{"GET", "//MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret, "", 404},
			{"GET", "/MainService.svc/../MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret, "", 404},
			{"GET", "/%4dainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret, "", 404},
			{"GET", "/healthz", "", 200},
		} {
			if status, body := call(t, c, tt.method, a.URL()+tt.path, "", tt.body); status != tt.want {
				t.Errorf("with path secrets %v, %s %s: %d %s, want %d", pathSecrets, tt.method, tt.path, status, body, tt.want)
			}
		}
		// What is not even HTTP never reaches a handler, but may hold a secret too.
		for _, text := range []string{
			"GET /MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret + "/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret + " HTTP/1.1\r\n\r\n",
			"GET /MainService.svc/json/GetBalance/" + pair.ID + "/" + pair.Secret + "\r\n\r\n",
			"GET " + pair.Secret + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer " + pair.Secret + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(pair.Secret, 2000) + "\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: " + pair.Secret + "\r\n\r\n",
			"CONNECT " + pair.Secret + ":443 HTTP/1.1\r\nHost: x\r\n\r\n",
			"\x16\x03\x01" + pair.Secret + "\r\n\r\n",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(conn, text)
			reply := make([]byte, 4096)
			n, _ := conn.Read(reply)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if strings.Contains(string(reply[:n]), pair.Secret) {
				t.Errorf("%.40q is answered with its secret: %s", text, reply[:n])
			}
		}
		if text := log.String(); strings.Contains(text, pair.Secret) || !strings.Contains(text, `"route":"POST /user/account/balance"`) {
			t.Errorf("the log says %s", text)
		}
	}
}

// Settings reach the gate.
func TestLimitsAreWired(t *testing.T) {
	t.Parallel()
	db, operator := newLedger(t)
	log := &locked{}
	o := options(db, log)
	o.FailureLimit, o.FailureBurst = 1, 1
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	o.CacheSize = 1
	a := start(t, o)
	defer closeApp(t, a.Close)
	c := newClient(t)
	get := func(key, forwarded string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1/accounts", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("X-Forwarded-For", forwarded)
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	got := []int{get("wrong", "203.0.113.7"), get(operator.AuthSecret(), "203.0.113.7"), get(operator.AuthSecret(), "203.0.113.8")}
	if fmt.Sprint(got) != "[401 429 200]" {
		t.Errorf("the statuses are %v", got)
	}
	if !strings.Contains(log.String(), `"client":"203.0.113.8"`) {
		t.Errorf("the log says %s", log)
	}
}

// A ledger is verified from another process, while this one writes it.
func TestVerifyWhileServed(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	a := start(t, options(db, io.Discard))
	defer closeApp(t, a.Close)
	e := a.Engine()
	if _, err := e.CreateAccount(t.Context(), ledger.Account{ID: 1, Name: "N", Currency: "CNY"}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			request := ledger.Request{
				IdempotencyKey: fmt.Sprint("k", i), Kind: ledger.TopUp, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: 1,
			}
			if _, _, err := e.Post(t.Context(), request); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var last int64
	for range 5 {
		ticks := 0
		report, err := app.Verify(t.Context(), db, engine.VerifyOptions{Progress: func(engine.Report) { ticks++ }})
		if err != nil {
			t.Fatal(err)
		}
		if report.ProblemCount != 0 || report.Wallets != 2 || report.Entries < last || report.Entries != report.Transactions || ticks == 0 {
			t.Errorf("%+v after %d ticks", report, ticks)
		}
		last = report.Entries
	}
	close(stop)
	writer.Wait()
}

func TestDemo(t *testing.T) {
	// t.Setenv keeps the demo's folder where this test can see it.
	t.Setenv("TMPDIR", t.TempDir())
	demo, err := app.StartDemo(t.Context(), options("", io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if made := folder(t, os.Getenv("TMPDIR")); len(made) != 1 || !strings.HasPrefix(made[0], "saldo-demo-") {
		t.Errorf("the demo made %v", made)
	}
	c := newClient(t)
	status, body := call(t, c, "POST", demo.URL()+"/user/account/balance", "", fmt.Sprintf(`{"authSecret":%q}`, app.DemoCNY.AuthSecret()))
	if status != 200 || !strings.Contains(body, "-18.383") {
		t.Errorf("%d %s", status, body)
	}
	status, body = call(t, c, "POST", demo.URL()+"/MainService.svc/json/GetBalance_json", "",
		fmt.Sprintf(`{"ApiKey":%q,"SecretKey":%q}`, app.DemoVND.ID, app.DemoVND.Secret))
	if status != 200 || !strings.Contains(body, "36693") || !strings.Contains(body, "9999") {
		t.Errorf("%d %s", status, body)
	}
	bearer := "Bearer " + demo.Operator.AuthSecret()
	status, body = call(t, c, "POST", demo.URL()+"/v1/transactions", bearer, `{"account":1000,"wallet":"sms","type":"topup","amount":"50"}`)
	if status != 201 || !strings.Contains(body, `"balance":"31.617"`) {
		t.Errorf("%d %s", status, body)
	}
	closeApp(t, demo.Close)
	if left := folder(t, os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("the demo leaves %v", left)
	}

	// Everybody knows the demo's keys, so it must not serve other machines. A
	// refused demo leaves nothing behind either.
	for _, listen := range []string{":8080", ":0", "0.0.0.0:0", "[::]:0", "203.0.113.7:0", "example.com:0", "[::ffff:203.0.113.7]:0", "localhost.example.com:0", "localhost", ""} {
		o := options("", io.Discard)
		o.Listen = listen
		refused, err := app.StartDemo(t.Context(), o)
		if err == nil {
			t.Errorf("it serves at %q", listen)
			closeApp(t, refused.Close)
		}
		if strings.Contains(listen, ":") && !strings.Contains(hintOf(err), "loopback") {
			t.Errorf("%q: error %v with hint %q", listen, err, hintOf(err))
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	o := options("", io.Discard)
	o.Listen = taken.Addr().String()
	if _, err := app.StartDemo(t.Context(), o); err == nil {
		t.Error("it serves at an address that is taken")
	}
	if left := folder(t, os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("refused demos leave %v", left)
	}
}

func TestDemoAtLoopback(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"localhost:0", "[::1]:0", "127.0.0.2:0", "[::ffff:127.0.0.1]:0"} {
		o := options("", io.Discard)
		o.Listen = listen
		demo, err := app.StartDemo(t.Context(), o)
		if _, missing := errors.AsType[*net.OpError](err); missing {
			t.Logf("this machine has no %s: %v", listen, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", listen, err)
			continue
		}
		if status, _ := call(t, newClient(t), "GET", demo.URL()+"/healthz", "", ""); status != 200 {
			t.Errorf("%s: status %d", listen, status)
		}
		closeApp(t, demo.Close)
	}
}

// folder lists the names in a folder.
func folder(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
