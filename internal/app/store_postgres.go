package app

import (
	"context"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/store/postgres"
)

// discardTimeout bounds how long a ledger that failed to be made is cleaned up.
const discardTimeout = 15 * time.Second

// wrapPostgres is wrap for a ledger in PostgreSQL.
func wrapPostgres(store *postgres.Store, err error) (Store, error) {
	if err == nil {
		return store, nil
	}
	for _, advice := range postgresAdvice {
		if errors.Is(err, advice.about) {
			return nil, Hint(err, advice.hint)
		}
	}
	return nil, err
}

// postgresAdvice is what to do about the usual failures.
var postgresAdvice = []struct {
	about error
	hint  string
}{
	{postgres.ErrURL, "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password as %XX; settings of libpq follow a '?'"},
	{postgres.ErrNotFound, "create a ledger with: saldo init --db URL"},
	{postgres.ErrExists, "serve it with: saldo serve --db URL"},
	{postgres.ErrNotLedger, "give the ledger a database of its own"},
	{postgres.ErrNewer, "run the version of Saldo that last served it, or a later one"},
	{postgres.ErrOlder, "serve it with this version once, which brings its tables up to date"},
	{postgres.ErrReplica, "name the primary, or several hosts with target_session_attrs=read-write"},
	{postgres.ErrClock, "set both clocks by NTP"},
	{postgres.ErrPassword, "check the user and the password in the URL, or in PGPASSWORD or ~/.pgpass"},
	{postgres.ErrNoDatabase, "create it with: createdb --owner USER DATABASE"},
	{postgres.ErrPrivilege, "let the user own the database"},
	{postgres.ErrUnreachable, "see that PostgreSQL runs there, and that it may be reached from here"},
}

// discardPostgres makes a ledger in PostgreSQL as good as new.
func discardPostgres(db string) error {
	ctx, cancel := context.WithTimeout(context.Background(), discardTimeout)
	defer cancel()
	return postgres.Forget(ctx, db)
}

// Shown is the name of a ledger as it may be printed: without a password.
func Shown(db string) string {
	if postgres.Valid(db) {
		return postgres.Redact(db)
	}
	return db
}
