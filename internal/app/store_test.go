package app_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
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
		{"postgres://user:s3cr3t@host/db", "a ledger cannot be kept at a postgres URL", "name the path of a SQLite file"},
		{"postgresql://host/db", "a ledger cannot be kept at a postgresql URL", "name the path of a SQLite file"},
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
		"init":   func() error { _, err := app.Init(t.Context(), "postgres://host/db"); return err }(),
		"verify": func() error { _, err := app.Verify(t.Context(), "postgres://host/db", nil); return err }(),
		"start":  func() error { _, err := app.Start(t.Context(), options("postgres://host/db", io.Discard)); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "postgres URL") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := app.Verify(t.Context(), db+"x", nil); !errors.Is(err, sqlite.ErrNotFound) || hintOf(err) == "" {
		t.Errorf("error %v", err)
	}
	if left := folder(t, filepath.Dir(db)); len(left) != 2 { // the ledger and its lock
		t.Errorf("there is %v", left)
	}
}

// A hint is added to an error, not put in its place.
func TestHint(t *testing.T) {
	t.Parallel()
	err := app.Hint(sqlite.ErrInUse, "wait")
	if !errors.Is(err, sqlite.ErrInUse) || err.Error() != sqlite.ErrInUse.Error() || hintOf(errors.Join(io.EOF, err)) != "wait" {
		t.Errorf("%v with hint %q", err, hintOf(err))
	}
}
