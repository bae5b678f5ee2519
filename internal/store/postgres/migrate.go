package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// versionTable marks a database as a ledger, and says of which version its
// tables are. Its name is our own, because goose's usual one may be another
// program's.
const versionTable = "saldo_version"

// checkTables refuses a database without a ledger, and a ledger whose tables a
// later version has changed. It changes nothing.
func (s *Store) checkTables(ctx context.Context) error {
	var tables int
	var ours bool
	// Tables alone count: an extension that every database has may bring views.
	err := s.reader.QueryRow(ctx, `SELECT count(*), coalesce(bool_or(c.relname::text = $1), false)
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f')`, versionTable).Scan(&tables, &ours)
	switch {
	case err != nil:
		return err
	case tables == 0:
		return ErrNotFound
	case !ours:
		return ErrNotLedger
	}
	version, known, err := s.versions(ctx)
	switch {
	case err != nil:
		return err
	case version == 0: // the making of the tables ended before the first
		return ErrNotFound
	case version > known:
		return ErrNewer
	}
	return nil
}

// checkCurrent refuses a ledger whose tables are not those of this version.
func (s *Store) checkCurrent(ctx context.Context) error {
	version, known, err := s.versions(ctx)
	if err == nil && version < known {
		return ErrOlder
	}
	return err
}

// versions gives the version of the tables, and the one that this program knows.
func (s *Store) versions(ctx context.Context) (version, known int, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, 0, err
	}
	known = len(files) // they are numbered from 1
	err = s.reader.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable).Scan(&version)
	return version, known, err
}

// truncateVersion is the migration that CockroachDB does without.
const truncateVersion = 2

func (s *Store) isCockroach(ctx context.Context) bool {
	var version string
	err := s.reader.QueryRow(ctx, "SELECT version()").Scan(&version)
	return err == nil && strings.HasPrefix(version, "CockroachDB")
}

// migrateAttempts lets nodes that start at once meet: each migration is one
// transaction, so that one of them succeeds and the others fail. They find the
// work done when they look again. A lock held for a session would do without
// that, and would not work behind PgBouncer.
//
// A node may lose to others at each migration.
const migrateAttempts = 10

func (s *Store) migrate(ctx context.Context) error { return s.migrateWith(ctx, "") }

// migrateWith runs a statement, if it is not empty, in the transaction that makes
// the tables, where it is this process that makes them.
func (s *Store) migrateWith(ctx context.Context, first string) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	versions, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithStore(noted{versions.(database.StoreExtender), first}), goose.WithDisableGlobalRegistry(true)}
	if s.isCockroach(ctx) {
		options = append(options, goose.WithExcludeVersions([]int64{truncateVersion}))
	}
	// What goose says of a missing right is that there is no table.
	var allowed *bool
	if err := s.reader.QueryRow(ctx, "SELECT has_schema_privilege(current_schema(), 'CREATE')").Scan(&allowed); err != nil {
		return err
	}
	if allowed == nil || !*allowed {
		return fmt.Errorf("%w: it cannot make tables", ErrPrivilege)
	}
	db := stdlib.OpenDBFromPool(s.writer)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectCustom, db, files, options...)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		_, err = provider.Up(ctx)
		if err == nil {
			return nil
		}
		if attempt == migrateAttempts || pause(ctx, attempt) != nil {
			return fmt.Errorf("bring the tables up to date: %w", err)
		}
	}
}

// noted is where goose notes what it has done, in the transaction that does it.
type noted struct {
	database.StoreExtender
	first string // a statement that belongs to the first migration
}

// Insert notes that a migration was made.
func (n noted) Insert(ctx context.Context, db database.DBTxConn, request database.InsertRequest) error {
	err := n.StoreExtender.Insert(ctx, db, request)
	if err == nil && request.Version == 1 && n.first != "" {
		_, err = db.ExecContext(ctx, n.first)
	}
	return err
}
