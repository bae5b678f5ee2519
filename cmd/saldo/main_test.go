package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain clears the environment of whoever runs the tests: it may have a
// ledger and a key of its own.
func TestMain(m *testing.M) {
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "SALDO_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Unsetenv("COMP_LINE")
	// The server tunes the collector of its whole process, which are these tests here.
	_ = os.Setenv("GOGC", "100")
	_ = os.Setenv("GOMEMLIMIT", "off")
	goleak.VerifyTestMain(m)
}

// locked is a stream that a test can read while it is written.
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

// command runs one command line and gives what it printed and its exit status.
func command(t *testing.T, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e locked
	// A server that was not meant to start fails its test and does not block it.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	status = run(ctx, cli.Streams{In: strings.NewReader(""), Out: &o, Err: &e}, args)
	return o.String(), e.String(), status
}

// serving is a "saldo serve" that runs beside the test.
type serving struct {
	url      string
	out, err *locked
	stop     func() int // gives the exit status
}

// serve starts the command and waits until it says where it serves.
func serve(t *testing.T, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &serving{out: &locked{}, err: &locked{}}
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, cli.Streams{In: strings.NewReader(""), Out: s.out, Err: s.err}, append([]string{"serve"}, args...))
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		return <-status
	})
	t.Cleanup(func() { s.stop() })
	address := regexp.MustCompile(`https?://127\.0\.0\.1:[0-9]+`)
	for deadline := time.Now().Add(20 * time.Second); s.url == ""; time.Sleep(2 * time.Millisecond) {
		s.url = address.FindString(s.out.String() + s.err.String())
		select {
		case got := <-status:
			status <- got
			t.Fatalf("it ended with %d: %s%s", got, s.out, s.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not say where it serves: %s%s", s.out, s.err)
		}
	}
	return s
}

// list asks the server for the accounts, on a connection that does not stay.
func (s *serving) list(t *testing.T, secret string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/accounts", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func newLedger(t *testing.T) (db, secret string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "ledger.db")
	operator, err := app.Init(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return db, operator.AuthSecret()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "saldo.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The first thing that anybody sees is held to the word.
func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help": {"--help"}, "init": {"init", "--help"}, "serve": {"serve", "--help"}, "verify": {"verify", "--help"},
		"checkpoint": {"checkpoint", "--help"}, "backup": {"backup", "--help"}, "restore": {"restore", "--help"},
		"query": {"query", "--help"},
	} {
		out, errs, status := command(t, args...)
		if status != cli.ExitOK || errs != "" {
			t.Errorf("%s: status %d, %s", name, status, errs)
		}
		golden(t, name+".txt", out)
		for text := range strings.Lines(out) {
			if len([]rune(text)) > 101 || strings.TrimRight(text, " \n") != strings.TrimRight(text, "\n") && strings.TrimSpace(text) != "" {
				t.Errorf("%s: the line %q is too wide, or ends in spaces", name, text)
			}
		}
	}
	// Without a command there is nothing to do but help.
	bare, _, status := command(t)
	helped, _, _ := command(t, "--help")
	if bare != helped || status != cli.ExitOK {
		t.Errorf("status %d with %s", status, bare)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}

// parse gives the settings of "saldo serve" without serving.
func parse(t *testing.T, args ...string) (serveCommand, error) {
	t.Helper()
	var commands grammar
	parser, err := kong.New(&commands, kong.Configuration(loadYAML), kong.Exit(func(int) { t.Error("it exits") }), kong.Vars{"version": "v"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(append([]string{"serve"}, args...))
	return commands.Serve, err
}

// The command line has the last word, then the environment, then the file.
func TestPrecedence(t *testing.T) {
	file := writeFile(t, `
db: /from/file.db
listen: 127.0.0.1:1
rate-limit: 1
auth-failure-limit: 11
trusted-proxy: [10.0.0.0/8, "2001:db8::/32"]
path-secrets: false
log-level: warn
cache-size: 1_000
`)
	t.Setenv("SALDO_LISTEN", "127.0.0.1:2")
	t.Setenv("SALDO_RATE_LIMIT", "2")
	got, err := parse(t, "--config", file, "--listen", "127.0.0.1:3")
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "127.0.0.1:3" || got.RateLimit != 2 || got.AuthFailureLimit != 11 || got.AuthFailureBurst != 100 ||
		got.DB != "/from/file.db" || got.PathSecrets || got.LogLevel != "warn" || got.LogFormat != "json" || got.CacheSize != 1000 ||
		!slices.Equal(got.TrustedProxy, []string{"10.0.0.0/8", "2001:db8::/32"}) {
		t.Errorf("%+v", got)
	}
	t.Setenv("SALDO_TRUSTED_PROXY", "192.0.2.1,192.0.2.2")
	t.Setenv("SALDO_PATH_SECRETS", "true")
	t.Setenv("SALDO_CONFIG", file)
	got, err = parse(t)
	if err != nil || got.DB != "/from/file.db" || !got.PathSecrets || !slices.Equal(got.TrustedProxy, []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("with the file in the environment: %+v, %v", got, err)
	}
	got, err = parse(t, "--no-path-secrets", "--trusted-proxy", "192.0.2.3", "--trusted-proxy", "192.0.2.4")
	if err != nil || got.PathSecrets || !slices.Equal(got.TrustedProxy, []string{"192.0.2.3", "192.0.2.4"}) {
		t.Errorf("with flags: %+v, %v", got, err)
	}
}

func TestConfigurationFiles(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "db:\n", "trusted-proxy: []\n", "{}"} {
		got, err := parse(t, "--config", writeFile(t, text))
		if err != nil || got.DB != "" || got.RateLimit != 200 || len(got.TrustedProxy) != 0 {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	var flags []string
	for _, node := range kong.Must(&grammar{}, kong.Vars{"version": "v"}).Model.Children {
		for _, flag := range node.Flags {
			if node.Name == "serve" && flag.Name != "config" {
				flags = append(flags, flag.Name)
			}
		}
	}
	for _, tt := range []struct{ text, want string }{
		// Every misspelling of a limit, and every flag that is another command's,
		// would otherwise be without effect in silence.
		{"rate-limt: 5", `configuration file: there is no setting "rate-limt" (the settings are ` + strings.Join(flags, ", ") + ")"},
		{"rate_limit: 5", `there is no setting "rate_limit"`},
		{"RATE-LIMIT: 5", `there is no setting "RATE-LIMIT"`},
		{"timeout: 5s", `there is no setting "timeout"`},
		{"output: json", `there is no setting "output"`},
		{"config: other.yaml", `there is no setting "config"`},
		{"help: true", `there is no setting "help"`},
		{"rate-limit: -1", "--rate-limit cannot be negative"},
		{"rate-limit: many", "--rate-limit"},
		{"rate-limit: 1.5", "--rate-limit"},
		{"rate-limit: [1, 2]", "--rate-limit"},
		{"log-level: loud", "--log-level"},
		{"log-format: xml", "--log-format"},
		{"demo: true\ndb: x", "can't be used together"},
		{"tls-cert: " + os.Args[0], "tls-key"},
		{"db: [", "read the configuration file"},
		{"db: a\ndb: b", "read the configuration file"},
		{"- db", "read the configuration file"},
		{"just text", "read the configuration file"},
	} {
		_, errs, status := command(t, "serve", "--config", writeFile(t, tt.text))
		if status != cli.ExitUsage || !strings.Contains(errs, tt.want) || !strings.Contains(errs, `hint: run "saldo serve --help"`) {
			t.Errorf("%q: status %d with %s", tt.text, status, errs)
		}
	}
	_, errs, status := command(t, "serve", "--config", filepath.Join(t.TempDir(), "none.yaml"))
	if status != cli.ExitUsage || !strings.Contains(errs, "none.yaml: no such file") {
		t.Errorf("status %d with %s", status, errs)
	}
}

func TestUsageErrors(t *testing.T) {
	db, _ := newLedger(t)
	for _, tt := range []struct {
		args   []string
		want   string
		status int
	}{
		{[]string{"nonsense"}, "nonsense", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--demo"}, "can't be used together", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--rate-limit", "-1"}, "--rate-limit", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--rate-limit=-1"}, "--rate-limit cannot be negative", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--auth-failure-limit=-1"}, "--auth-failure-limit cannot be negative", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--auth-failure-burst=0"}, "--auth-failure-burst must be at least 1", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--cache-size=0"}, "--cache-size must be at least 1", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--log-level=loud"}, `"debug","info","warn","error"`, cli.ExitUsage},
		{[]string{"serve", "--db", db, "--log-format=xml"}, "--log-format", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--tls-cert", db}, "tls-key", cli.ExitUsage},
		{[]string{"serve", "--db", db, "--tls-cert", db + "x", "--tls-key", db}, "--tls-cert", cli.ExitUsage},
		{[]string{"init"}, "--db", cli.ExitUsage},
		{[]string{"verify"}, "--db", cli.ExitUsage},
		{[]string{"serve"}, "hint: say --db PATH, or set SALDO_DB", cli.ExitFailure},
		{[]string{"serve", "--db", db, "--trusted-proxy", "proxy.example.com"}, `hint: write 10.0.0.0/8 or 10.1.2.3`, cli.ExitFailure},
		{[]string{"serve", "--db", db, "--listen", "127.0.0.1:0", "--tls-cert", db, "--tls-key", db}, "load the TLS certificate", cli.ExitFailure},
		{[]string{"serve", "--db", db, "--listen", "203.0.113.7:0"}, "hint: choose another address with --listen", cli.ExitFailure},
		{[]string{"serve", "--demo", "--listen", ":0"}, "hint: leave --listen out", cli.ExitFailure},
		{[]string{"serve", "--db", db + "x"}, "hint: create a ledger with: saldo init", cli.ExitFailure},
		{[]string{"init", "--db", db}, "hint: serve it with: saldo serve", cli.ExitFailure},
		{[]string{"verify", "--db", db + "x"}, "hint: create a ledger with: saldo init", cli.ExitFailure},
		{[]string{"init", "--db", "https://u:s3cr3t@h/d"}, "hint: name the path of a SQLite file", cli.ExitFailure},
	} {
		out, errs, status := command(t, tt.args...)
		if status != tt.status || !strings.Contains(errs, tt.want) || out != "" || strings.Contains(errs, "s3cr3t") {
			t.Errorf("%q: status %d with %s%s", tt.args, status, out, errs)
		}
	}
}

func TestInitServeVerify(t *testing.T) {
	db := filepath.Join(t.TempDir(), "ledger.db")
	out, errs, status := command(t, "init", "--db", db, "--output", "json")
	var key struct {
		ID         string `json:"id"`
		Secret     string `json:"secret"`
		AuthSecret string `json:"auth_secret"`
	}
	if err := json.Unmarshal([]byte(out), &key); err != nil || status != cli.ExitOK || errs != "" || key.AuthSecret != key.ID+key.Secret || key.Secret == "" {
		t.Fatalf("status %d with %s%s, %v", status, out, errs, err)
	}
	s := serve(t, "--db", db, "--listen", "127.0.0.1:0")
	if got := s.list(t, key.AuthSecret); got != 200 {
		t.Errorf("status %d", got)
	}
	_, errs, status = command(t, "serve", "--db", db, "--listen", "127.0.0.1:0")
	if status != cli.ExitFailure || !strings.Contains(errs, "hint: stop the other process") {
		t.Errorf("a second server: status %d with %s", status, errs)
	}
	// The client's commands find the server by the environment that init tells to set.
	t.Setenv("SALDO_URL", s.url)
	t.Setenv("SALDO_KEY", key.AuthSecret)
	if _, errs, status = command(t, "account", "create", "--id", "7", "--name", "N", "--currency", "CNY"); status != cli.ExitOK {
		t.Errorf("account create: %d %s", status, errs)
	}
	if _, errs, status = command(t, "adjust", "7", "sms", "-1.5"); status != cli.ExitOK {
		t.Errorf("adjust: %d %s", status, errs)
	}
	out, errs, status = command(t, "verify", "--db", db)
	if status != cli.ExitOK || out != "2 wallets, 1 entries, 1 transactions with their refunds, 0 holds: everything adds up\n" || errs != "" {
		t.Errorf("verify: status %d with %s%s", status, out, errs)
	}
	out, _, status = command(t, "verify", "--db", db, "-o", "json")
	var report engine.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != cli.ExitOK || report.Wallets != 2 || report.ProblemCount != 0 {
		t.Errorf("verify: status %d with %s, %v", status, out, err)
	}
	if got := s.stop(); got != cli.ExitOK {
		t.Errorf("it stops with status %d", got)
	}
	logged := s.err.String()
	for _, want := range []string{`"msg":"serving"`, `"msg":"request"`, `"route":"POST /v1/transactions"`, `"msg":"stopping"`, `"msg":"stopped"`} {
		if !strings.Contains(logged, want) {
			t.Errorf("the log lacks %s:\n%s", want, logged)
		}
	}
	if s.out.String() != "" || strings.Contains(logged, key.Secret) || strings.Contains(logged, "unencrypted") {
		t.Errorf("out %s, log %s", s.out, logged)
	}
}

func TestInitForPeople(t *testing.T) {
	db := filepath.Join(t.TempDir(), "ledger.db")
	out, _, status := command(t, "init", "--db", db)
	secret := regexp.MustCompile(`secret +([A-Z2-7]{40})\n`).FindStringSubmatch(out)
	if status != cli.ExitOK || secret == nil || !strings.Contains(out, "saldo serve --db "+db+"\n") || strings.Contains(out, "\x1b") {
		t.Errorf("status %d with %s", status, out)
	}
}

func TestDemo(t *testing.T) {
	s := serve(t, "--demo", "--listen", "127.0.0.1:0")
	out := s.out.String()
	for _, want := range []string{
		"curl --location --request POST '" + s.url + "/user/account/balance'", `--data '{"authSecret": "DEMO-CNY-IDDEMO-CNY-SECRET"}'`,
		"curl --location '" + s.url + "/MainService.svc/json/GetBalance_json'", `"ApiKey":"DEMO-VND-ID"`, "export SALDO_URL=" + s.url + " SALDO_KEY=",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not print %s:\n%s", want, out)
		}
	}
	secret := regexp.MustCompile(`SALDO_KEY=(\S+)`).FindStringSubmatch(out)
	if secret == nil || s.list(t, secret[1]) != 200 || s.list(t, "wrong") != 401 {
		t.Errorf("the key that is printed does not work: %s", out)
	}
	if got := s.stop(); got != cli.ExitOK {
		t.Errorf("it stops with status %d", got)
	}
	// A line for each request would bury what the demo prints.
	if s.err.String() != "" {
		t.Errorf("the log says %s", s.err)
	}
}

// SALDO_DB is set for other commands too, and must not stand in a demo's way or
// become its ledger.
func TestDemoBesideALedger(t *testing.T) {
	db, secret := newLedger(t)
	t.Setenv("SALDO_DB", db)
	s := serve(t, "--demo", "--listen", "127.0.0.1:0")
	if got := s.list(t, secret); got != 401 {
		t.Errorf("the demo serves the ledger: status %d", got)
	}
}

func TestLogSettings(t *testing.T) {
	db, secret := newLedger(t)
	s := serve(t, "--db", db, "--listen", "127.0.0.1:0", "--log-format", "text")
	s.list(t, secret)
	s.stop()
	if text := s.err.String(); !strings.Contains(text, `level=INFO msg=request route="GET /v1/accounts" status=200`) {
		t.Errorf("the log says %s", text)
	}
}

// Whoever serves the world in plain HTTP is warned, whoever is behind TLS or alone is not.
func TestPlainTextWarning(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false,
		":1": true, "0.0.0.0:1": true, "[::]:1": true, "203.0.113.7:1": true, "saldo.example.com:1": true,
	} {
		for _, certificate := range []string{"", "cert.pem"} {
			var log locked
			c := serveCommand{Listen: listen, TLSCert: certificate, LogFormat: "json"}
			buffer := app.NewLogBuffer(&log)
			c.announce("http://"+listen, app.Options{Log: c.logger(buffer)})
			if err := buffer.Close(); err != nil {
				t.Error(err)
			}
			if got := strings.Contains(log.String(), "secrets travel unencrypted"); got != (want && certificate == "") {
				t.Errorf("%s with certificate %q: %s", listen, certificate, &log)
			}
		}
	}
}
