package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// A ledger in PostgreSQL is made, opened, verified and given up like any other.
func TestPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.NewDatabase(t)
	if _, err := app.OpenStore(t.Context(), db); !errors.Is(err, postgres.ErrNotFound) || hintOf(err) == "" {
		t.Errorf("a database without a ledger: %v with hint %q", err, hintOf(err))
	}
	// A ledger whose key could not be handed to anybody does not stand in the way.
	unseen, err := app.Init(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Discard(db, unseen.ID); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Init(cancelled, db); err == nil {
		t.Error("a ledger was made by nobody")
	}
	operator, err := app.Init(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Init(t.Context(), db); !errors.Is(err, postgres.ErrExists) || hintOf(err) == "" {
		t.Errorf("a second ledger: %v with hint %q", err, hintOf(err))
	}
	store, err := app.OpenStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := engine.New(t.Context(), store, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, _, err := e.Authenticate(t.Context(), operator); err != nil {
		t.Error(err)
	}
	report, err := app.Verify(t.Context(), db, engine.VerifyOptions{})
	if err != nil || report.ProblemCount != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if shown := app.Shown(db); !strings.HasPrefix(shown, "postgres://saldo@127.0.0.1:") || strings.Contains(shown, "sslmode") {
		t.Errorf("it is shown as %s", shown)
	}
	if shown := app.Shown("ledger.db"); shown != "ledger.db" {
		t.Errorf("a file is shown as %s", shown)
	}
	wrong := strings.Replace(db, "saldo:", "nobody:", 1)
	if _, err := app.OpenStore(t.Context(), wrong); !errors.Is(err, postgres.ErrPassword) || hintOf(err) == "" {
		t.Errorf("another user: %v with hint %q", err, hintOf(err))
	}
	none := strings.Replace(db, "/test", "/none", 1)
	if _, err := app.OpenStore(t.Context(), none); !errors.Is(err, postgres.ErrNoDatabase) || hintOf(err) == "" {
		t.Errorf("another database: %v with hint %q", err, hintOf(err))
	}
}
