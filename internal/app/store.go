package app

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// Store is a ledger with the readings of upstreams beside it, and can be closed.
type Store interface {
	engine.Store
	readings.Store
	Close() error
}

// OpenStore opens an existing ledger: the URL of a PostgreSQL database, or the
// path of a SQLite file, which may be written as sqlite:PATH.
func OpenStore(ctx context.Context, db string) (Store, error) {
	if postgres.Valid(db) {
		return wrapPostgres(postgres.Open(ctx, db))
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, path)
	return wrap(store, err)
}

// wrap keeps a nil *sqlite.Store from becoming a Store that is not nil, and
// tells an operator what to do about the usual failures.
func wrap(store *sqlite.Store, err error) (Store, error) {
	if err == nil {
		return store, nil
	}
	return nil, advise(err, sqliteAdvice)
}

// sqliteAdvice is what to do about the usual failures of a ledger in a file.
var sqliteAdvice = []advice{
	{sqlite.ErrNotFound, "create a ledger with: saldo init --db PATH"},
	{sqlite.ErrInUse, "stop the other process, or talk to it: saldo --help lists the commands that do"},
	{sqlite.ErrNotLedger, "create a ledger with: saldo init --db PATH"},
	{sqlite.ErrNewer, "run the version of Saldo that last served it, or a later one"},
	{sqlite.ErrExists, "serve it with: saldo serve --db PATH; saldo init never writes over a file"},
	{copier.ErrUnfinished, unfinishedHint},
}

// libpqKeyword is found in what PostgreSQL's own programs take beside a URL:
// settings such as host=db.example.com.
var libpqKeyword = regexp.MustCompile(`(?:^|\s)(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=`)

func sqlitePath(db string) (string, error) {
	scheme, path, found := strings.Cut(db, ":")
	switch {
	case db == "":
		return "", Hint(errors.New("no ledger was named"), "say --db PATH, or set SALDO_DB")
	case found && scheme == "sqlite":
		return strings.TrimPrefix(path, "//"), nil
	case libpqKeyword.MatchString(db): // the text is not shown: there may be a password in it
		return "", Hint(errors.New("a ledger cannot be named by the keywords of libpq"), "write it as postgres://USER@HOST/NAME, or as sqlite:PATH if it is a file")
	case found && strings.HasPrefix(path, "//"):
		return "", Hint(fmt.Errorf("a ledger cannot be kept at a %s URL", scheme), "name the path of a SQLite file, or a PostgreSQL database as postgres://…")
	}
	return db, nil
}

// Init creates a ledger and its first operator key, which has every scope. The
// secret is returned this once.
func Init(ctx context.Context, db string) (_ ledger.Credentials, err error) {
	store, err := create(ctx, db)
	if err != nil {
		return ledger.Credentials{}, err
	}
	credentials := engine.GenerateCredentials()
	defer func() {
		err = errors.Join(err, store.Close())
		if err != nil {
			// A ledger whose key nobody has seen is of no use, and in the way.
			err = errors.Join(err, Discard(db, credentials.ID))
		}
	}()
	key := ledger.Key{
		ID: credentials.ID, Digest: credentials.Digest(), Last4: credentials.Last4(), Scopes: ledger.Scopes,
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	if shared, ok := store.(*postgres.Store); ok { // others may make the same ledger at this moment
		return credentials, advise(shared.AddFirstKey(ctx, &key), postgresAdvice)
	}
	return credentials, store.Write(ctx, func(tx engine.Tx) error { return tx.InsertKey(ctx, &key) })
}

func create(ctx context.Context, db string) (Store, error) {
	if postgres.Valid(db) {
		return wrapPostgres(postgres.Create(ctx, db))
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	return wrap(sqlite.Create(ctx, path))
}

// Discard removes a ledger that nobody has open, for when its first key, the one
// with this id, could not be handed to anybody.
func Discard(db, key string) error {
	if postgres.Valid(db) {
		return discardPostgres(db, key)
	}
	path, err := sqlitePath(db)
	if err != nil {
		return err
	}
	return sqlite.Remove(path)
}

// Verify checks a whole ledger, also while it is being served.
func Verify(ctx context.Context, db string, options engine.VerifyOptions) (report *engine.Report, err error) {
	err = read(ctx, db, func(store engine.Reader) error {
		report, err = engine.Verify(ctx, store, options)
		return err
	})
	return report, err
}

// Checkpoint writes the heads of a ledger's chains to out and signs them, also
// while the ledger is being served. The time is that of now.
func Checkpoint(ctx context.Context, db string, now time.Time, key ed25519.PrivateKey, out io.Writer) (info *checkpoint.Info, err error) {
	err = read(ctx, db, func(store engine.Reader) error {
		w := checkpoint.NewWriter(out, now)
		if err := engine.Heads(ctx, store, w.Add); err != nil {
			return err
		}
		info, err = w.Sign(key)
		return err
	})
	return info, err
}

// read opens a ledger to read it.
func read(ctx context.Context, db string, do func(engine.Reader) error) (err error) {
	store, err := openReadOnly(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return advise(do(store), postgresAdvice)
}

func openReadOnly(ctx context.Context, db string) (Store, error) {
	if postgres.Valid(db) {
		return wrapPostgres(postgres.OpenReadOnly(ctx, db))
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	return wrap(sqlite.OpenReadOnly(ctx, path))
}

// Hint adds advice for the operator to an error. The command line finds it by
// its method Hint.
func Hint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

// Hint gives the advice.
func (h *hinted) Hint() string { return h.hint }

// Unwrap gives the error itself.
func (h *hinted) Unwrap() error { return h.error }
