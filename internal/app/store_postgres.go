package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
)

// discardTimeout bounds how long a ledger that failed to be made is cleaned up.
const discardTimeout = 15 * time.Second

// wrapPostgres is wrap for a ledger in PostgreSQL.
func wrapPostgres(store *postgres.Store, err error) (Store, error) {
	if err == nil {
		return store, nil
	}
	return nil, advise(err, postgresAdvice)
}

// watchPostgres logs what an operator should know of the database while a ledger
// in it is served.
func watchPostgres(store Store, log *slog.Logger) {
	s, ok := store.(*postgres.Store)
	if !ok {
		return
	}
	if s.Exposed() {
		log.Warn("the connection to the database is not encrypted", "hint", "say sslmode=verify-full in the URL, with sslrootcert=FILE where its CA is your own")
	}
	s.Watch(func(err error) {
		if err == nil {
			log.Info("the database can be used again")
			return
		}
		log.Warn("the database cannot be used", "error", err, "hint", hintOn(err, postgresAdvice))
	})
}

// postgresAdvice is what to do about the usual failures.
var postgresAdvice = []advice{
	{postgres.ErrURL, "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters of the password as %XX; settings of libpq follow a '?'"},
	{postgres.ErrNotFound, "create a ledger with: saldo init --db URL"},
	{postgres.ErrExists, "serve it with: saldo serve --db URL"},
	{copier.ErrUnfinished, unfinishedHint},
	{postgres.ErrNotLedger, "give the ledger a database of its own"},
	{postgres.ErrNewer, "run the version of Saldo that last served it, or a later one"},
	{postgres.ErrOlder, "serve it with this version once, which brings its tables up to date"},
	{postgres.ErrReplica, "name the primary, or several hosts with target_session_attrs=read-write"},
	{postgres.ErrClock, "set both clocks by NTP"},
	{postgres.ErrPassword, "check the user and the password in the URL, or in PGPASSWORD or ~/.pgpass"},
	{postgres.ErrNoDatabase, "create it with: createdb --owner USER DATABASE"},
	{postgres.ErrPrivilege, "docs/postgresql.md lists what to grant; tables are made and changed by their owner alone: let it run saldo init, and serve once after an upgrade"},
	{postgres.ErrCertificate, "name the CA of the server by sslrootcert=FILE; with sslmode=verify-full the URL must name the host as the certificate does"},
	{postgres.ErrNoTLS, "turn ssl on in the server, or say sslmode=disable where nobody else can listen on the way"},
	{postgres.ErrFile, "check the path, and that the user of this process may read it"},
	{postgres.ErrSetting, "check the spelling of what follows the '?', and whether a server fits target_session_attrs; behind PgBouncer set it by ALTER ROLE … SET, or list it in ignore_startup_parameters"},
	{postgres.ErrPrepared, "leave default_query_exec_mode out of the URL, or say cache_describe"},
	{postgres.ErrConnections, "raise max_connections, lower pool_max_conns in the URL, or put PgBouncer in between"},
	{postgres.ErrResources, "make room on its disk, or see its log for what is short"},
	{postgres.ErrSlow, "look in pg_stat_activity for who holds a lock, or what keeps the server busy; the role may have a short statement_timeout"},
	{postgres.ErrContention, "see in the server's log what it was; on a replica set hot_standby_feedback = on"},
	{postgres.ErrUnreachable, "see that PostgreSQL runs there, and that it may be reached from here"},
}

// discardPostgres makes a ledger in PostgreSQL as good as new.
func discardPostgres(db, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), discardTimeout)
	defer cancel()
	return postgres.Forget(ctx, db, key)
}

// Shown is the name of a ledger as it may be printed: without a password.
func Shown(db string) string {
	if postgres.Valid(db) {
		return postgres.Redact(db)
	}
	return db
}
