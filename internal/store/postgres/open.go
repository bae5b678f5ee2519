// Package postgres keeps a ledger in a PostgreSQL database, which several
// processes may serve at once.
//
// Nothing is cached and nothing is remembered of a session: each decision is
// made on rows that its transaction has locked, and each statement may run on
// another connection of the server, behind PgBouncer for example. What keeps
// the nodes from each other's way is said where it is done: the order of locks
// in write.go, repeated attempts in retry.go.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

//go:embed migrations/*.sql
var migrations embed.FS

var (
	// ErrURL says that the URL cannot be understood. What it says does not stand
	// in the error, because there may be a password in it.
	ErrURL = errors.New("the URL of the ledger cannot be understood")
	// ErrNotFound says that there is nothing in the database.
	ErrNotFound = errors.New("no ledger there")
	// ErrExists says that there is a ledger already where one should be created.
	ErrExists = errors.New("a ledger is already there")
	// ErrNotLedger says that there are tables in the database that are none of a ledger's.
	ErrNotLedger = errors.New("the database has tables of something else")
	// ErrNewer says that a later version of Saldo has changed the ledger's tables.
	ErrNewer = errors.New("the ledger is of a later version of Saldo")
	// ErrOlder says that the tables are those of an earlier version, which a store
	// that was opened to read does not change.
	ErrOlder = errors.New("the ledger is of an earlier version of Saldo")
	// ErrReplica says that the server takes no writes, as a replica does.
	ErrReplica = errors.New("the database is read-only, as that of a replica is")
	// ErrClock says that the clocks of this machine and of the server differ.
	ErrClock = errors.New("the clock of this machine is not that of the database server")
	// ErrUnreachable says that there is no connection to the server.
	ErrUnreachable = errors.New("the database server cannot be reached")
	// ErrPassword says that the server does not know the user, or another password.
	ErrPassword = errors.New("the database server does not let the user in")
	// ErrNoDatabase says that there is no database of the name.
	ErrNoDatabase = errors.New("there is no such database")
	// ErrNoTLS says that the URL asks for TLS and the server does not have it.
	ErrNoTLS = errors.New("the database server does not speak TLS")
	// ErrCertificate says that the server's certificate is not one to be trusted,
	// or that of another host.
	ErrCertificate = errors.New("the certificate of the database server is not to be trusted")
	// ErrFile says that a file that the URL names cannot be read.
	ErrFile = errors.New("a file that the URL of the ledger names cannot be read")
	// ErrSetting says that the server, or a pooler before it, does not take a
	// setting that the URL has.
	ErrSetting = errors.New("the database server does not take a setting of the URL")
	// ErrPrepared says that a pooler stands in the way of prepared statements.
	ErrPrepared = errors.New("prepared statements do not work on the way to the database")
	// ErrConnections says that the server has as many connections as it may have.
	ErrConnections = errors.New("the database server takes no further connection")
	// ErrResources says that the server is short of something, such as disk space.
	ErrResources = errors.New("the database server has run out of room or memory")
	// ErrSlow says that the server gave up after one of the time-outs.
	ErrSlow = errors.New("the database server did not do it in time")
	// ErrContention says that the server ended a transaction for the sake of others,
	// after a deadlock for example, and again in each further attempt.
	ErrContention = errors.New("the database server gave it up, because something else stood in its way")
	// ErrPrivilege says that the user may not do what a ledger needs.
	ErrPrivilege = errors.New("the database user may not do that")
	// ErrReadOnly is given by a write to a store that was opened to read.
	ErrReadOnly = errors.New("the ledger was opened read-only")
)

// Limits in time. A node that dies or is cut off must not keep a wallet locked
// for the others, so the server ends its transaction before the others give up
// waiting; and a server that is cut off must not keep a node waiting for ever.
const (
	connectTimeout   = 5 * time.Second
	idleTimeout      = 5 * time.Second  // between two statements of a write, the server's
	lockTimeout      = 10 * time.Second // for one lock, the server's
	statementTimeout = 15 * time.Second // for one statement of a write, the server's
	writeTimeout     = 20 * time.Second // for a whole write, on this side
	readTimeout      = 20 * time.Second // for one reading, on this side
)

// maxSkew is how far the clocks may differ. Decisions have the node's time, and
// time never runs backwards, so a clock that is ahead would take all nodes along.
const maxSkew = 5 * time.Second

// writeConnections are enough for the committer, for the two writes of upstreams
// that a node makes at one time, and for those who ask whether it takes writes.
const writeConnections = 4

// systemShards is how many rows a system account may have in one currency. A
// write takes one by chance, which it rarely shares with another one.
const systemShards = 256

// Store is a ledger in a PostgreSQL database. It implements engine.Store.
type Store struct {
	// Writes have connections of their own: reads, however many there are, do
	// not keep the committer waiting, nor does a write that waits for a lock keep
	// the readings waiting that its lock's holder may need.
	writer *pgxpool.Pool // nil when read-only
	reader *pgxpool.Pool
	begin  string // how a write begins

	holders    gather[ledger.AccountID, *ledger.Holder]
	identities gather[ledger.Hash, identity]

	exposed bool
	watch   watch
}

var _ engine.Store = (*Store)(nil)

// selectUsed tells whether something is in a ledger.
const selectUsed = "SELECT EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM keys)"

// Create makes a ledger in an empty database and opens it. A ledger in which
// nothing is yet, not even a key, counts as empty: an earlier attempt may have
// ended there. Errors: ErrURL, ErrExists, ErrNotLedger, ErrReplica, ErrClock,
// copier.ErrUnfinished.
func Create(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, own(func(ctx context.Context, s *Store) error {
		switch err := s.checkTables(ctx); {
		case errors.Is(err, ErrNotFound):
			return s.migrate(ctx)
		case err != nil:
			return err
		}
		var used bool
		err := s.reader.QueryRow(ctx, selectUsed).Scan(&used)
		if err != nil && codeOf(err) != undefinedTable { // which another node is about to make
			return err
		}
		if used {
			return ErrExists
		}
		return s.migrate(ctx)
	}))
}

// Open opens an existing ledger for reading and writing and brings its tables
// up to date. Errors: ErrURL, ErrNotFound, ErrNotLedger, ErrNewer, ErrReplica,
// ErrClock, copier.ErrUnfinished.
func Open(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, own(func(ctx context.Context, s *Store) error {
		err := s.checkTables(ctx)
		if err == nil {
			// Where nothing is to be done, nobody needs the right to do it.
			if err = s.checkCurrent(ctx); errors.Is(err, ErrOlder) {
				err = s.migrate(ctx)
			}
		}
		if err != nil {
			return err
		}
		return s.checkPrivileges(ctx)
	}))
}

// open connects, and prepares a ledger to be written.
func open(ctx context.Context, url string, prepare func(context.Context, *Store) error) (*Store, error) {
	s, err := connect(ctx, url, requirePrimary)
	if err != nil {
		return nil, err
	}
	config := s.reader.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = writeConnections, 0, 0
	if s.writer, err = pgxpool.NewWithConfig(ctx, config); err == nil {
		err = s.ping(ctx)
	}
	if err == nil {
		s.begin, err = s.beginning(ctx)
	}
	if err == nil {
		err = prepare(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(named(err), s.Close())
	}
	return s, nil
}

// OpenReadOnly opens an existing ledger for reading, also on a replica. Errors:
// ErrURL, ErrNotFound, ErrNotLedger, ErrNewer, ErrOlder, copier.ErrUnfinished.
func OpenReadOnly(ctx context.Context, url string) (*Store, error) {
	s, err := connect(ctx, url, func(*pgxpool.Config) {})
	if err != nil {
		return nil, err
	}
	if err = s.checkTables(ctx); err == nil {
		err = s.checkCurrent(ctx)
	}
	if err == nil {
		err = s.checkCopy(ctx)
	}
	if err != nil {
		return nil, errors.Join(named(err), s.Close())
	}
	return s, nil
}

// connect makes sure of the server, and opens the connections for readings.
func connect(ctx context.Context, url string, adapt func(*pgxpool.Config)) (*Store, error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	adapt(config)
	s := &Store{}
	if err := s.probe(ctx, config, url); err != nil {
		return nil, named(err)
	}
	if s.reader, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	s.holders.query, s.identities.query = gathered(s, s.readHolders), gathered(s, s.readIdentities)
	return s, nil
}

// Close closes all connections.
func (s *Store) Close() error {
	s.reader.Close()
	if s.writer != nil {
		s.writer.Close()
	}
	return nil
}

// Exclusive is false: other nodes may write the same ledger.
func (s *Store) Exclusive() bool { return false }

// beginning is how each write begins: in one message, and set for this one
// transaction only, because the next one may run on another session.
//
// READ COMMITTED is enough, see Write, and it is said because a database may
// have another default.
func (s *Store) beginning(ctx context.Context) (string, error) {
	limits, err := s.limits(ctx)
	if err != nil {
		return "", err
	}
	text := "BEGIN ISOLATION LEVEL READ COMMITTED" + limits
	var durable, plans *string
	err = s.reader.QueryRow(ctx, "SELECT current_setting('synchronous_commit', true), current_setting('plan_cache_mode', true)").Scan(&durable, &plans)
	if err != nil {
		return "", err
	}
	if durable != nil && *durable != "remote_apply" { // which waits for even more
		// Whoever set less, or sets it while nodes run, does not mind what is lost.
		// Here it is money.
		text += "; SET LOCAL synchronous_commit = on"
	}
	if plans != nil {
		// Each statement finds rows by their keys, so there is one right way to carry
		// it out, whatever the arrays hold and however small the tables were when its
		// plan was made: through the indexes, one key after another. To plan anew each
		// time took as long as to do it, and in a small ledger gave a reading of all
		// wallets.
		text += "; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off" +
			"; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
	}
	return text, nil
}

// limits are the time-outs of a write. Where the URL, the role or the database has
// a shorter one, it stays.
func (s *Store) limits(ctx context.Context) (string, error) {
	var text strings.Builder
	for _, limit := range []struct {
		name string
		ours time.Duration
	}{
		{"lock_timeout", lockTimeout}, {"statement_timeout", statementTimeout}, {"idle_in_transaction_session_timeout", idleTimeout},
	} {
		var theirs int64 // in milliseconds; 0 for none
		err := s.reader.QueryRow(ctx, "SELECT CAST(extract(epoch FROM CAST(current_setting($1) AS interval)) * 1000 AS bigint)", limit.name).Scan(&theirs)
		if err != nil {
			return "", err
		}
		if ours := limit.ours.Milliseconds(); theirs == 0 || theirs > ours {
			theirs = ours
		}
		fmt.Fprintf(&text, "; SET LOCAL %s = %d", limit.name, theirs)
	}
	return text.String(), nil
}

// Ping tells whether the server answers. Of a ledger that was opened to be
// written it also tells whether the server takes writes now, which may end when
// another server takes over, and whether the clocks agree.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := s.ping(ctx)
	if err == nil {
		s.watch.succeeded()
	}
	return s.told(err)
}

func (s *Store) ping(ctx context.Context) error {
	pool := s.reader
	if s.writer != nil {
		pool = s.writer
	}
	var readOnly string
	var micro int64
	asked := time.Now()
	err := pool.QueryRow(ctx, `SELECT current_setting('transaction_read_only'),
		CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)`).Scan(&readOnly, &micro)
	if err != nil || s.writer == nil {
		return err
	}
	if readOnly == "on" {
		// Other connections may lead to the server that took over.
		s.writer.Reset()
		s.reader.Reset()
		return ErrReplica
	}
	// The server looked at its clock at some time between the two looks at ours.
	theirs := fromMicro(micro)
	if skew := max(asked.Sub(theirs), time.Until(theirs)); skew > maxSkew {
		return fmt.Errorf("%w: they differ by %s", ErrClock, skew.Round(time.Millisecond))
	}
	return nil
}
