package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// A copy that was interrupted is opened by nothing but the next one, which says so.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	from, _ := newLedger(t)
	for _, to := range []string{filepath.Join(t.TempDir(), "copy.db"), pgtest.NewDatabase(t)} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := app.Copy(ctx, from, to, app.CopyOptions{Progress: func(p app.CopyProgress) {
			if p.Stage == copier.Comparing {
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) || !strings.Contains(hintOf(err), "goes on where") {
			t.Fatalf("%v with hint %q", err, hintOf(err))
		}
		for what, try := range map[string]func() error{
			"open":   func() error { _, err := app.OpenStore(t.Context(), to); return err },
			"verify": func() error { _, err := app.Verify(t.Context(), to, engine.VerifyOptions{}); return err },
			"copy":   func() error { _, err := app.Copy(t.Context(), to, to+"2", app.CopyOptions{}); return err },
		} {
			if err := try(); !errors.Is(err, copier.ErrUnfinished) || !strings.Contains(hintOf(err), "saldo copy again") {
				t.Errorf("%s: %v with hint %q", what, err, hintOf(err))
			}
		}
		if _, err := app.Init(t.Context(), to); err == nil {
			t.Error("a ledger was made over it")
		}
		report, err := app.Copy(t.Context(), from, to, app.CopyOptions{})
		if err != nil || !report.Finished {
			t.Fatalf("%+v, %v", report, err)
		}
		store, err := app.OpenStore(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if _, err := app.Copy(t.Context(), from, to, app.CopyOptions{}); !errors.Is(err, copier.ErrNotCopy) || hintOf(err) == "" {
			t.Errorf("%v with hint %q", err, hintOf(err))
		}
	}
}

// Errors have no password in them, and say what to do.
func TestCopyRefused(t *testing.T) {
	t.Parallel()
	from, _ := newLedger(t)
	other, _ := newLedger(t)
	none := filepath.Join(t.TempDir(), "none.db")
	taken := filepath.Join(t.TempDir(), "taken.db")
	lock := flock.New(taken + sqlite.Partial + ".lock")
	if locked, err := lock.TryLock(); err != nil || !locked {
		t.Fatal(locked, err)
	}
	defer lock.Unlock()
	for _, tt := range []struct{ from, to, err, hint string }{
		{from, from, "into itself", "another file"},
		{none, none + "2", "the ledger to copy: ", "saldo init"},
		{from, other, "there is a ledger already", "a new file"},
		{from, "https://host/db", "the copy: a ledger cannot be kept at a https URL", "name the path"},
		{from, "postgres://user:s3cr3t@127.0.0.1:1/db", "cannot be reached", "see that PostgreSQL runs"},
		{"postgres://user:s3cr3t@127.0.0.1:1/db", none, "cannot be reached", "see that PostgreSQL runs"},
		{from, filepath.Join(none, "copy.db"), filepath.Join(none, "copy.db") + " cannot be written: no such file or directory", "make the folder first"},
		{from, taken, "another backup, restore or copy is writing there", "wait until it is done"},
	} {
		report, err := app.Copy(t.Context(), tt.from, tt.to, app.CopyOptions{})
		if err == nil || report != nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(hintOf(err), tt.hint) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s to %s: %+v, %v with hint %q", tt.from, tt.to, report, err, hintOf(err))
		}
	}
	if left := folder(t, filepath.Dir(none)); len(left) != 0 {
		t.Errorf("there is %v", left)
	}
}

// A copy that its source refuses leaves nothing at its place.
func TestCopyRefusedBySource(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.db")
	store, err := sqlite.Create(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for _, to := range []string{filepath.Join(to, "copy.db"), pgtest.NewDatabase(t)} {
		if _, err := app.Copy(t.Context(), empty, to, app.CopyOptions{}); !errors.Is(err, copier.ErrNeverUsed) || hintOf(err) == "" {
			t.Errorf("%v with hint %q", err, hintOf(err))
		}
		if _, err := app.OpenStore(t.Context(), to); !errors.Is(err, sqlite.ErrNotFound) && !errors.Is(err, postgres.ErrNotFound) {
			t.Errorf("it can be opened: %v", err)
		}
	}
	if left := folder(t, to); len(left) != 0 {
		t.Errorf("there is %v", left)
	}
}

// Whenever a first copy is stopped, there is nothing, or a copy that is not
// finished, and never a ledger without a key that could be served.
func TestCopyStopped(t *testing.T) {
	t.Parallel()
	from, _ := newLedger(t)
	began := time.Now()
	if _, err := app.Copy(t.Context(), from, filepath.Join(t.TempDir(), "copy.db"), app.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	for patience := time.Duration(0); patience < whole; patience += whole / 20 {
		path := t.TempDir()
		to := filepath.Join(path, "copy.db")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := app.Copy(ctx, from, to, app.CopyOptions{})
		cancel()
		left := folder(t, path)
		if err == nil || len(left) == 0 {
			continue // how far a try comes in its time is the machine's affair
		}
		if _, err := app.OpenStore(t.Context(), to); !errors.Is(err, copier.ErrUnfinished) {
			t.Fatalf("after %s there is %v: %v", patience, left, err)
		}
		if report, err := app.Copy(t.Context(), from, to, app.CopyOptions{}); err != nil || !report.Finished {
			t.Fatalf("after %s: %+v, %v", patience, report, err)
		}
	}
}

// A ledger is not copied into itself, by whatever name, and stays as it is.
func TestCopyIntoItself(t *testing.T) {
	t.Parallel()
	from, _ := newLedger(t)
	folder := t.TempDir()
	file, symlink, hardLink := filepath.Join(folder, "copy.db"), filepath.Join(folder, "symlink.db"), filepath.Join(folder, "link.db")
	database := pgtest.NewDatabase(t)
	for _, to := range []string{file, database} {
		if _, err := app.Copy(t.Context(), from, to, app.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(file, symlink), os.Link(file, hardLink)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, to string }{
		{file, "sqlite:" + file},
		{file, folder + "/./copy.db"},
		{symlink, file},
		{file, hardLink},
		{database, strings.Replace(database, "postgres:", "postgresql:", 1)},
		{database, strings.Replace(database, "127.0.0.1", "localhost", 1) + "&application_name=other"},
	} {
		report, err := app.Copy(t.Context(), tt.from, tt.to, app.CopyOptions{Stopped: true})
		if err == nil || report != nil || !strings.Contains(err.Error(), "into itself") || !strings.Contains(hintOf(err), "another file") {
			t.Errorf("%s to %s: %+v, %v with hint %q", tt.from, tt.to, report, err, hintOf(err))
		}
	}
	for _, db := range []string{file, database} {
		if report, err := app.Copy(t.Context(), from, db, app.CopyOptions{}); err != nil || !report.Finished {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

// Two ledgers in one database, each in a schema of its own, are two.
func TestCopyBetweenSchemas(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	if err := pgtest.Exec(t.Context(), database, "CREATE SCHEMA one; CREATE SCHEMA two"); err != nil {
		t.Fatal(err)
	}
	from, to := database+"&search_path=one", database+"&search_path=two"
	if _, err := app.Init(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	if report, err := app.Copy(t.Context(), from, to, app.CopyOptions{Stopped: true}); err != nil || !report.Finished {
		t.Errorf("%+v, %v", report, err)
	}
}

// What libpq takes as a connection string is no file, and its password is not
// shown.
func TestKeywordsOfLibpq(t *testing.T) {
	t.Parallel()
	ledger, _ := newLedger(t)
	none := filepath.Join(t.TempDir(), "none.db")
	for _, db := range []string{"host=/run/postgresql password=s3cr3t", "dbname = saldo user=saldo password = 's3cr3t'", "password=s3cr3t"} {
		for what, try := range map[string]func() error{
			"open":   func() error { _, err := app.OpenStore(t.Context(), db); return err },
			"init":   func() error { _, err := app.Init(t.Context(), db); return err },
			"verify": func() error { _, err := app.Verify(t.Context(), db, engine.VerifyOptions{}); return err },
			"backup": func() error { _, err := app.Backup(t.Context(), db, none, app.BackupOptions{}); return err },
			"from":   func() error { _, err := app.Copy(t.Context(), db, none, app.CopyOptions{}); return err },
			"to":     func() error { _, err := app.Copy(t.Context(), ledger, db, app.CopyOptions{}); return err },
		} {
			err := try()
			if err == nil || strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(hintOf(err), "postgres://USER@HOST/NAME") {
				t.Errorf("%s: %v with hint %q", what, err, hintOf(err))
			}
		}
	}
	named := filepath.Join(t.TempDir(), "user=7 port.db")
	if _, err := app.Init(t.Context(), named); err != nil {
		t.Error(err)
	}
}
