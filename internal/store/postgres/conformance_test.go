package postgres_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Ledger {
		url := pgtest.NewDatabase(t)
		return storetest.Ledger{
			Open: func(ctx context.Context) (storetest.Store, error) {
				store, err := postgres.Open(ctx, url)
				if errors.Is(err, postgres.ErrNotFound) {
					store, err = postgres.Create(ctx, url)
				}
				return store, err
			},
			Exec: func(statement string) error { return pgtest.Exec(context.Background(), url, statement) },
		}
	})
}
