package app_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
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

// Of several who make a ledger in one database at the same moment, one gets a key,
// and the others are told that there is a ledger.
func TestPostgresInitAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		db := pgtest.NewDatabase(t)
		var mu sync.Mutex
		var made []ledger.Credentials
		var all sync.WaitGroup
		ready := make(chan struct{})
		for range 6 {
			all.Go(func() {
				<-ready
				operator, err := app.Init(t.Context(), db)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made = append(made, operator)
				} else if !errors.Is(err, postgres.ErrExists) || !strings.Contains(hintOf(err), "saldo serve") {
					t.Errorf("%v with hint %q", err, hintOf(err))
				}
			})
		}
		close(ready)
		all.Wait()
		store, err := app.OpenStore(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := store.Keys(t.Context(), ledger.Operator, "", 10)
		if err != nil || len(made) != 1 || len(keys) != 1 || keys[0].ID != made[0].ID {
			t.Errorf("%d were made, and there are %d: %v", len(made), len(keys), err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What ends a command that reads a whole ledger is said with a hint, as what
// keeps it from beginning is.
func TestPostgresSnapshotEnds(t *testing.T) {
	t.Parallel()
	db := pgtest.NewDatabase(t)
	if _, err := app.Init(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(t.Context()))
	if _, err := other.PgConn().Exec(t.Context(), "BEGIN; LOCK TABLE wallets").ReadAll(); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func(ctx context.Context, db string) error{
		"verify": func(ctx context.Context, db string) error {
			_, err := app.Verify(ctx, db, engine.VerifyOptions{})
			return err
		},
		"copy": func(ctx context.Context, db string) error {
			_, err := app.Copy(ctx, db, filepath.Join(t.TempDir(), "copy.db"), app.CopyOptions{Stopped: true})
			return err
		},
	} {
		if err := read(t.Context(), db+"&statement_timeout=300ms"); !errors.Is(err, postgres.ErrSlow) || !strings.Contains(hintOf(err), "statement_timeout") {
			t.Errorf("%s that takes too long: %v with hint %q", what, err, hintOf(err))
		}
		ended := make(chan error, 1)
		go func() { ended <- read(t.Context(), db) }()
		const terminate = `SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`
		for n, deadline := 0, time.Now().Add(8*time.Second); n == 0; time.Sleep(10 * time.Millisecond) {
			if err := other.QueryRow(t.Context(), terminate).Scan(&n); err != nil || time.Now().After(deadline) {
				t.Fatalf("nobody waits: %v", err)
			}
			// Within a transaction the activity is that of its first look.
			if _, err := other.Exec(t.Context(), "SELECT pg_stat_clear_snapshot()"); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ended; !errors.Is(err, postgres.ErrUnreachable) || hintOf(err) == "" {
			t.Errorf("%s that is ended: %v with hint %q", what, err, hintOf(err))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := read(ctx, db); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, postgres.ErrUnreachable) {
			t.Errorf("%s that is given up: %v", what, err)
		}
		cancel()
	}
}
