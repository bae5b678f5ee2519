package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Ledger {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return storetest.Ledger{
			Open: func(ctx context.Context) (storetest.Store, error) {
				store, err := sqlite.Create(ctx, path)
				if errors.Is(err, sqlite.ErrExists) {
					store, err = sqlite.Open(ctx, path)
				}
				return store, err
			},
			Exec: func(statement string) error { return execute(path, statement) },
		}
	})
}

// execute runs a statement on a ledger's file, as the command line tool of SQLite would.
func execute(path, statement string) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}
