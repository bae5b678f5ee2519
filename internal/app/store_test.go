package app_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

func TestInit(t *testing.T) {
	t.Parallel()
	db, operator := newLedger(t)
	if len(operator.ID) != 20 || len(operator.Secret) != 40 {
		t.Errorf("the key is %d and %d characters long", len(operator.ID), len(operator.Secret))
	}
	info, err := os.Stat(db)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the ledger has mode %v, %v", info.Mode(), err)
	}
	// The ledger that is there is left as it is.
	before, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Init(t.Context(), db)
	if !errors.Is(err, sqlite.ErrExists) || !strings.Contains(hintOf(err), "never writes over a file") {
		t.Errorf("error %v with hint %q", err, hintOf(err))
	}
	if after, err := os.ReadFile(db); err != nil || string(after) != string(before) {
		t.Errorf("a second init changed the ledger, %v", err)
	}
	text := writeFile(t, "notes.txt", "not a ledger")
	if _, err = app.Init(t.Context(), text); !errors.Is(err, sqlite.ErrExists) {
		t.Errorf("error %v", err)
	}
	if kept, err := os.ReadFile(text); err != nil || string(kept) != "not a ledger" {
		t.Errorf("init changed a file that is none of its own: %q, %v", kept, err)
	}
}

// An init that is interrupted, wherever it is, leaves no ledger whose key
// nobody has seen, and nothing else in the way of a second try.
func TestInitLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	failed, made := 0, 0
	for patience := time.Duration(0); made == 0; patience = patience*5/4 + 100*time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := app.Init(ctx, filepath.Join(path, "ledger.db"))
		cancel()
		left := folder(t, path)
		if err == nil {
			made++
			continue
		}
		failed++
		if len(left) != 0 {
			t.Fatalf("after %s and %v there is %v", patience, err, left)
		}
		if patience > 10*time.Second {
			t.Fatal(err)
		}
	}
	if failed < 5 {
		t.Errorf("only %d of the tries failed, which says little", failed)
	}
	if _, err := app.Init(t.Context(), filepath.Join(path, "none", "ledger.db")); err == nil {
		t.Error("a ledger is made where there is no folder")
	}
}

func TestOpenStore(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	for _, name := range []string{db, "sqlite:" + db, "sqlite://" + db} {
		store, err := app.OpenStore(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct{ name, err, hint string }{
		{"", "no ledger was named", "say --db PATH, or set SALDO_DB"},
		{"postgres://user:s3cr3t@127.0.0.1:1/db", "the database server cannot be reached", "see that PostgreSQL runs there"},
		{"postgresql://user:s3cr3t%@host/db", "the URL of the ledger cannot be understood", "special characters of the password"},
		{"https://host/db", "a ledger cannot be kept at a https URL", "name the path of a SQLite file"},
		{"sqlite:", "", ""},
		{"sqlite:" + db + "x", db + "x: no ledger there", "create a ledger with: saldo init --db PATH"},
		{db + "x", db + "x: no ledger there", "create a ledger with: saldo init --db PATH"},
		{filepath.Join(filepath.Dir(db), "a:b"), "no ledger there", "create a ledger with"},
	} {
		store, err := app.OpenStore(t.Context(), tt.name)
		if err == nil || store != nil {
			t.Errorf("%q: opened %v, %v", tt.name, store, err)
			continue
		}
		if !strings.Contains(err.Error(), tt.err) || !strings.Contains(hintOf(err), tt.hint) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: error %v with hint %q", tt.name, err, hintOf(err))
		}
	}
	// The same names are understood by the others.
	for what, err := range map[string]error{
		"init": func() error { _, err := app.Init(t.Context(), "https://host/db"); return err }(),
		"verify": func() error {
			_, err := app.Verify(t.Context(), "https://host/db", engine.VerifyOptions{})
			return err
		}(),
		"checkpoint": func() error {
			_, err := app.Checkpoint(t.Context(), "https://host/db", time.Now(), signer, io.Discard)
			return err
		}(),
		"start": func() error { _, err := app.Start(t.Context(), options("https://host/db", io.Discard)); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "https URL") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := app.Verify(t.Context(), db+"x", engine.VerifyOptions{}); !errors.Is(err, sqlite.ErrNotFound) || hintOf(err) == "" {
		t.Errorf("error %v", err)
	}
	if _, err := app.Checkpoint(t.Context(), db+"x", time.Now(), signer, io.Discard); !errors.Is(err, sqlite.ErrNotFound) || hintOf(err) == "" {
		t.Errorf("error %v", err)
	}
	if left := folder(t, filepath.Dir(db)); len(left) != 2 { // the ledger and its lock
		t.Errorf("there is %v", left)
	}
}

// signer is a key for checkpoints.
var signer = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// A checkpoint is made, and compared with, while the ledger grows: it is of one
// state of it, which every later one goes through.
func TestCheckpointWhileServing(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	a := start(t, options(db, io.Discard))
	t.Cleanup(func() { closeApp(t, a.Close) })
	for id := range ledger.AccountID(3) {
		if _, err := a.Engine().CreateAccount(t.Context(), ledger.Account{ID: id + 1, Name: "N", Currency: "CNY"}); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			wallet := ledger.WalletRef{Account: ledger.AccountID(n%3 + 1), Service: ledger.SMS}
			request := ledger.Request{IdempotencyKey: fmt.Sprint("n-", n), Kind: ledger.TopUp, Wallet: wallet, Amount: 1}
			if posted, _, err := a.Engine().Post(context.WithoutCancel(t.Context()), request); err != nil || posted.Err() != nil {
				t.Errorf("%v, %v", posted, err)
				return
			}
		}
	})
	public := signer.Public().(ed25519.PublicKey)
	for i := range 5 {
		path := filepath.Join(t.TempDir(), fmt.Sprint("checkpoint-", i))
		now := time.Date(2026, 11, 22, 3, i, 0, 0, time.UTC)
		err := checkpoint.Create(path, 0o600, func(out io.Writer) error {
			info, err := app.Checkpoint(t.Context(), db, now, signer, out)
			if err == nil && (!info.CreatedAt.Equal(now) || !info.PublicKey.Equal(public)) {
				t.Errorf("%+v", info)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := checkpoint.Open(path, public)
		if err != nil {
			t.Fatal(err)
		}
		report, err := app.Verify(t.Context(), db, engine.VerifyOptions{Evidence: file.Heads()})
		if err != nil || report.ProblemCount != 0 || report.Heads != file.Wallets {
			t.Errorf("%+v, %v", report, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	writer.Wait()
}

// What cannot be written is no checkpoint.
func TestCheckpointFails(t *testing.T) {
	t.Parallel()
	db, _ := newLedger(t)
	if info, err := app.Checkpoint(t.Context(), db, time.Now(), signer, fullDisk{}); !errors.Is(err, io.ErrShortWrite) || info != nil {
		t.Errorf("%+v, %v", info, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if info, err := app.Checkpoint(gone, db, time.Now(), signer, io.Discard); !errors.Is(err, context.Canceled) || info != nil {
		t.Errorf("%+v, %v", info, err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A hint is added to an error, not put in its place.
func TestHint(t *testing.T) {
	t.Parallel()
	err := app.Hint(sqlite.ErrInUse, "wait")
	if !errors.Is(err, sqlite.ErrInUse) || err.Error() != sqlite.ErrInUse.Error() || hintOf(errors.Join(io.EOF, err)) != "wait" {
		t.Errorf("%v with hint %q", err, hintOf(err))
	}
}
