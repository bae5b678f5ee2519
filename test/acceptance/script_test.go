package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// TestScripts runs the command lines in testdata/script on each store: $DB is
// where a ledger may be created. Those in the folders below are about one store,
// or about what no store has to do with. Beyond the commands of testscript they
// have those of the functions below.
func TestScripts(t *testing.T) {
	saldotest.OnEachStore(t, func(t *testing.T, store saldotest.Store) {
		runScripts(t, store, "testdata/script")
		runScripts(t, store, filepath.Join("testdata/script", string(store)))
	})
}

func runScripts(t *testing.T, store saldotest.Store, folder string) {
	t.Helper()
	binary := saldotest.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			// A server that is not told where gets a free port.
			e.Setenv("SALDO_LISTEN", "127.0.0.1:0")
			e.Setenv("SECRET", saldotest.Secret)
			e.Setenv("GORACE", saldotest.RaceOptions)
			e.Values["servers"] = map[string]*saldotest.Server{}
			tb := e.T().(testing.TB)
			e.Values["t"], e.Values["store"] = tb, store
			e.Setenv("DB", "ledger.db")
			if store == saldotest.PostgreSQL {
				e.Setenv("DB", store.NewPlace(tb))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serve, "halt": halt, "status": status, "capture": capture, "mode": mode, "certificate": certificate,
			"tamper": tamper, "dump": dump, "await": await, "expand": expand,
		},
	})
}

func arguments(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

// serve NAME ARGUMENTS... starts a server, waits for it, and sets $SALDO_URL.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) > 0, "serve name [argument...]")
	environment := saldotest.Environment("TMPDIR=" + ts.Getenv("TMPDIR"))
	for _, name := range []string{
		"DB", "LISTEN", "CONFIG", "TLS_CERT", "TLS_KEY", "RATE_LIMIT", "AUTH_FAILURE_LIMIT", "AUTH_FAILURE_BURST", "TRUSTED_PROXY",
		"PATH_SECRETS", "CACHE_SIZE", "LOG_LEVEL", "LOG_FORMAT",
	} {
		if value := ts.Getenv("SALDO_" + name); value != "" {
			environment = append(environment, "SALDO_"+name+"="+value)
		}
	}
	server := saldotest.LaunchIn(ts.Value("t").(testing.TB), ts.MkAbs("."), environment, args[1:]...)
	server.Await()
	servers := ts.Value("servers").(map[string]*saldotest.Server)
	servers[args[0]] = server
	ts.Setenv("SALDO_URL", server.URL)
}

// halt NAME stops a server and writes what it printed to NAME.log. It is not
// called stop, because that is a command of testscript itself, which comes first:
// it ends the script, and calls it passed.
func halt(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 1, "halt name")
	server, ok := ts.Value("servers").(map[string]*saldotest.Server)[args[0]]
	if !ok {
		ts.Fatalf("there is no server %s", args[0])
	}
	server.Stop()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".log"), []byte(server.Log()), 0o600))
}

// status NUMBER COMMAND ARGUMENTS... runs a command that must have this exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) > 1, "status number command [argument...]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if failure := new(exec.ExitError); errors.As(err, &failure) {
		got = failure.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// capture NAME PATTERN sets a variable to what the group in the pattern matched
// in the standard output of the last command.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 2, "capture name pattern")
	match := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(match) != 2 {
		ts.Fatalf("no match of %s in\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], match[1])
}

// mode MODE FILE... checks who may read files.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) > 1, "mode octal file...")
	for _, file := range args[1:] {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has the mode %s, want %s", file, got, args[0])
		}
	}
}

// place is where the ledger of a script is.
func place(ts *testscript.TestScript) (testing.TB, saldotest.Store, string) {
	store, db := ts.Value("store").(saldotest.Store), ts.Getenv("DB")
	if store == saldotest.SQLite {
		db = ts.MkAbs(db)
	}
	return ts.Value("t").(testing.TB), store, db
}

// tamper OLD NEW changes references of transactions behind Saldo's back.
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 2, "tamper old new")
	tb, store, db := place(ts)
	forge(tb, store, db, fmt.Sprintf("UPDATE transactions SET reference = '%s' WHERE reference = '%s'", args[1], args[0]))
}

// dump FILE writes everything that the ledger keeps to a file.
func dump(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 1, "dump file")
	tb, store, db := place(ts)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(content(tb, store, db)), 0o600))
}

// certificate CERTIFICATE KEY makes a self-signed certificate for 127.0.0.1.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	arguments(ts, neg, len(args) == 2, "certificate cert.pem key.pem")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "saldo"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
