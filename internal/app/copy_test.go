package app_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
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
	for _, tt := range []struct{ from, to, err, hint string }{
		{from, from, "into itself", "another file"},
		{none, none + "2", "the ledger to copy: ", "saldo init"},
		{from, other, "there is a ledger already", "a new file"},
		{from, "https://host/db", "the copy: a ledger cannot be kept at a https URL", "name the path"},
		{from, "postgres://user:s3cr3t@127.0.0.1:1/db", "cannot be reached", "see that PostgreSQL runs"},
		{"postgres://user:s3cr3t@127.0.0.1:1/db", none, "cannot be reached", "see that PostgreSQL runs"},
		{from, filepath.Join(none, "x", "copy.db"), "", ""},
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
