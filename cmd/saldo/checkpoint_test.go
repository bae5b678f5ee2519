package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/cli"
)

// newKey makes a pair of keys.
func newKey(t *testing.T) (private, public string) {
	t.Helper()
	private = filepath.Join(t.TempDir(), "saldo.pem")
	out, errs, status := command(t, "checkpoint", "--new-key", private, "--output", "json")
	var made struct {
		PrivateKey string `json:"private_key"`
		PublicKey  string `json:"public_key"`
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || status != cli.ExitOK || errs != "" || made.PrivateKey != private {
		t.Fatalf("status %d with %s%s, %v", status, out, errs, err)
	}
	return private, made.PublicKey
}

// makeCheckpoint makes a checkpoint, and the key that it is checked with.
func makeCheckpoint(t *testing.T, db string) (public, file string) {
	t.Helper()
	private, public := newKey(t)
	file = filepath.Join(t.TempDir(), "ledger.checkpoint")
	if _, errs, status := command(t, "checkpoint", "--db", db, "--key", private, "--out", file); status != cli.ExitOK || errs != "" {
		t.Fatalf("status %d with %s", status, errs)
	}
	return public, file
}

func TestCheckpoint(t *testing.T) {
	db := newBooks(t)
	private, public := newKey(t)
	file := filepath.Join(t.TempDir(), "ledger.checkpoint")
	out, errs, status := command(t, "checkpoint", "--db", db, "--key", private, "--out", file, "-o", "json")
	var made struct {
		File      string `json:"file"`
		CreatedAt string `json:"created_at"`
		Wallets   int    `json:"wallets"`
		Digest    string `json:"digest"`
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || status != cli.ExitOK || errs != "" || made.File != file || made.Wallets != 1 ||
		!bytes.Contains(text, []byte(`"created_at":"`+made.CreatedAt+`"`)) || !bytes.Contains(text, []byte(`"digest":"`+made.Digest+`"`)) {
		t.Errorf("status %d with %s%s, %v\n%s", status, out, errs, err, text)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	// What is there is evidence, and is not written over.
	out, errs, status = command(t, "checkpoint", "--db", db, "--key", private, "--out", file)
	if after, err := os.ReadFile(file); status != cli.ExitFailure || out != "" || !strings.Contains(errs, file+": a file is already there\nhint: choose another name") ||
		err != nil || !bytes.Equal(after, text) {
		t.Errorf("status %d with %s%s, %v", status, out, errs, err)
	}
	other := filepath.Join(t.TempDir(), "other.checkpoint")
	out, _, status = command(t, "checkpoint", "--db", db, "--key", private, "--out", other)
	if want := regexp.MustCompile(`^` + regexp.QuoteMeta(other) + `: 1 heads, signed at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\n$`); status != cli.ExitOK || !want.MatchString(out) {
		t.Errorf("status %d with %s", status, out)
	}
	// Without a place it is what is printed, and nothing else is.
	out, errs, status = command(t, "checkpoint", "--db", db, "--key", private)
	piped := writeFile(t, out)
	if _, second, again := command(t, "verify", "--db", db, "--checkpoint", piped, "--public-key", public); status != cli.ExitOK || errs != "" || again != cli.ExitOK {
		t.Errorf("status %d with %s%s, then %d with %s", status, out, errs, again, second)
	}
}

// A private key may pass by and never be on the disk of the ledger's machine.
func TestCheckpointKeyFromStandardInput(t *testing.T) {
	db := newBooks(t)
	private, public := newKey(t)
	key, err := os.ReadFile(private)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs locked
	status := run(t.Context(), cli.Streams{In: bytes.NewReader(key), Out: &out, Err: &errs}, []string{"checkpoint", "--db", db, "--key", "-"})
	if status != cli.ExitOK || errs.String() != "" {
		t.Fatalf("status %d with %s", status, &errs)
	}
	if _, errs, status := command(t, "verify", "--db", db, "--checkpoint", writeFile(t, out.String()), "--public-key", public); status != cli.ExitOK {
		t.Errorf("status %d with %s", status, errs)
	}
}

func TestNewKeyForPeople(t *testing.T) {
	path := filepath.Join(t.TempDir(), "saldo.pem")
	t.Setenv("SALDO_DB", "none.db") // which is set for other commands
	out, errs, status := command(t, "checkpoint", "--new-key", path)
	public := strings.TrimSuffix(path, ".pem") + ".pub.pem"
	if status != cli.ExitOK || errs != "" || !strings.Contains(out, "\nprivate key  "+path+"\npublic key   "+public+"\n") || strings.Contains(out, "\x1b") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, strings.Split(string(before), "\n")[1]) {
		t.Errorf("the private key is printed: %s", out)
	}
	out, errs, status = command(t, "checkpoint", "--new-key", path)
	if after, err := os.ReadFile(path); status != cli.ExitFailure || out != "" || !strings.Contains(errs, "a file is already there\nhint: ") || err != nil || !bytes.Equal(before, after) {
		t.Errorf("status %d with %s%s, %v", status, out, errs, err)
	}
}

func TestCheckpointErrors(t *testing.T) {
	db := newBooks(t)
	private, public := newKey(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "ledger.checkpoint")
	for _, tt := range []struct {
		args   []string
		want   string
		hint   string
		status int
	}{
		{nil, "no ledger was named", "say --db PATH, or set SALDO_DB", cli.ExitUsage},
		{[]string{"--db", db}, "a checkpoint is signed, so it needs --key", "saldo checkpoint --new-key KEY.pem", cli.ExitUsage},
		{[]string{"--new-key", file, "--key", private}, "--new-key makes a key and no checkpoint", "", cli.ExitUsage},
		{[]string{"--new-key", file, "--out", file}, "--new-key makes a key and no checkpoint", "", cli.ExitUsage},
		{[]string{"--new-key", filepath.Join(file, "x")}, "ledger.checkpoint", "", cli.ExitFailure},
		{[]string{"--db", db, "--key", private + "x", "--out", file}, private + "x: no such file or directory", "", cli.ExitUsage},
		{[]string{"--db", db, "--key", public, "--out", file}, public + ": not a private key of Ed25519 in PEM (PKCS #8)", "make one with", cli.ExitUsage},
		{[]string{"--db", db, "--key", db, "--out", file}, db + ": not a private key", "make one with", cli.ExitUsage},
		{[]string{"--db", db, "--key", "-", "--out", file}, "-: not a private key", "make one with", cli.ExitUsage},
		{[]string{"--db", db, "--key", folder, "--out", file}, folder + ": ", "", cli.ExitUsage},
		{[]string{"--db", db + "x", "--key", private, "--out", file}, "no ledger there", "create a ledger with", cli.ExitFailure},
		{[]string{"--db", "https://h/d", "--key", private, "--out", file}, "cannot be kept at", "name the path of a SQLite file", cli.ExitFailure},
		{[]string{"--db", db, "--key", private, "--out", filepath.Join(folder, "none", "x")}, "no such file or directory", "", cli.ExitFailure},
	} {
		out, errs, status := command(t, append([]string{"checkpoint"}, tt.args...)...)
		if status != tt.status || out != "" || !strings.Contains(errs, tt.want) || !strings.Contains(errs, tt.hint) {
			t.Errorf("%q: status %d with %s%s", tt.args, status, out, errs)
		}
	}
	// An interrupted one leaves nothing either.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs locked
	if status := run(gone, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, []string{"checkpoint", "--db", db, "--key", private, "--out", file}); status != cli.ExitFailure {
		t.Errorf("status %d with %s%s", status, &out, &errs)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// A private key that others can read is used, with a word about it.
func TestReadableKey(t *testing.T) {
	db := newBooks(t)
	private, _ := newKey(t)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		if err := os.Chmod(private, mode); err != nil {
			t.Fatal(err)
		}
		_, errs, status := command(t, "checkpoint", "--db", db, "--key", private)
		if got := strings.Contains(errs, "warning: others on this machine may read "+private); status != cli.ExitOK || got != warned {
			t.Errorf("mode %o: status %d with %s", mode, status, errs)
		}
	}
}

// A server that has the ledger open is no obstacle.
func TestCheckpointWhileServing(t *testing.T) {
	db := newBooks(t)
	s := serve(t, "--db", db, "--listen", "127.0.0.1:0")
	public, file := makeCheckpoint(t, db)
	_, errs, status := command(t, "verify", "--db", db, "--checkpoint", file, "--public-key", public)
	if status != cli.ExitOK || s.stop() != cli.ExitOK {
		t.Errorf("status %d with %s", status, errs)
	}
	// Nothing of it stays beside the ledger.
	left, err := os.ReadDir(filepath.Dir(db))
	if err != nil || slices.ContainsFunc(left, func(f os.DirEntry) bool { return !strings.HasPrefix(f.Name(), "ledger.db") }) {
		t.Errorf("there is %v, %v", left, err)
	}
}
