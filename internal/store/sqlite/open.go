// Package sqlite keeps a ledger in one SQLite file, for the one process that
// has it open.
//
// There is one connection that writes and a pool that only reads; SQLite's
// write-ahead log lets both go on at once. Every commit is on disk before it is
// answered (synchronous=FULL).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/saldo-ledger/saldo/internal/engine"
)

//go:embed migrations/*.sql
var migrations embed.FS

// minVersion is the first SQLite release without a rare corruption that a
// checkpoint could cause when it met a write of another connection.
const minVersion = "3.51.3"

// checkpointPages is how large the write-ahead log grows, in pages of 4 KiB,
// before a commit copies it into the database: 32 MiB keep that copy, which a
// commit waits for, rare.
const checkpointPages = 8192

var (
	// ErrNotFound says that there is no database file at the path.
	ErrNotFound = errors.New("no ledger there")
	// ErrExists says that there is already a file where one should be created.
	ErrExists = errors.New("a file is already there")
	// ErrInUse says that another process has the ledger open for writing.
	ErrInUse = errors.New("the ledger is in use by another process")
	// ErrNotLedger says that the file is something else than a ledger.
	ErrNotLedger = errors.New("the file is not a Saldo ledger")
	// ErrNewer says that a later version of Saldo has changed the ledger's tables.
	ErrNewer = errors.New("the ledger is of a later version of Saldo")
	// ErrReadOnly is given by a write to a store that was opened to read.
	ErrReadOnly = errors.New("the ledger was opened read-only")
)

// Store is a ledger in a SQLite file. It implements engine.Store.
type Store struct {
	lock   *flock.Flock // nil when read-only
	writer *writer      // nil when read-only
	readDB *sql.DB
	read   readStatements
	tables int // the version of the tables; an old one only where read-only
}

var _ engine.Store = (*Store)(nil)

// Create makes a new ledger at path and opens it. The file is readable by its
// owner alone. Errors: ErrExists.
func Create(ctx context.Context, path string) (*Store, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	// SQLite takes what comes after two slashes for a host.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if err := brand(ctx, path); err != nil {
		return nil, errors.Join(err, Remove(path))
	}
	store, err := Open(ctx, path)
	if err != nil {
		return nil, errors.Join(err, Remove(path))
	}
	return store, nil
}

// Remove removes a ledger that nobody has open, with the files that SQLite and
// the lock leave next to it.
func Remove(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Open opens an existing ledger for reading and writing and brings its tables
// up to date. Errors: ErrNotFound, ErrInUse, copier.ErrUnfinished.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := openToWrite(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := s.leaveCopy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.Close())
	}
	return s, nil
}

// openToWrite opens a ledger, or a copy that is not finished.
func openToWrite(ctx context.Context, path string) (_ *Store, err error) {
	if path, err = resolve(path); err != nil {
		return nil, err
	}
	s := &Store{lock: flock.New(path+".lock", flock.SetPermissions(0o600))}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	locked, err := s.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.lock.Path(), err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if s.writer, err = openWriter(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, s.openReader(ctx, path)
}

// OpenReadOnly opens an existing ledger for reading, also while another process
// writes it. Errors: ErrNotFound, copier.ErrUnfinished.
func OpenReadOnly(ctx context.Context, path string) (_ *Store, err error) {
	if path, err = resolve(path); err != nil {
		return nil, err
	}
	s := &Store{}
	if err := s.openReader(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.checkCopy(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), s.Close())
	}
	return s, nil
}

// resolve gives the file's own name, because the lock must be the same one by
// whatever links the ledger is opened.
func resolve(path string) (string, error) {
	file, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", path, ErrNotFound)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = checkBrand(file)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// Close closes the ledger and lets another process open it.
func (s *Store) Close() error {
	var errs []error
	if s.readDB != nil {
		errs = append(errs, s.readDB.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Unlock())
	}
	return errors.Join(errs...)
}

// Exclusive is true: the lock keeps every other writer out.
func (s *Store) Exclusive() bool { return true }

// recursiveTriggers lets INSERT OR REPLACE meet the triggers that refuse a DELETE.
const recursiveTriggers = "recursive_triggers(1)"

// dsn names the file to the driver, with what every connection is set to. The
// settings stand here and not in statements of their own, because a pool opens
// connections when it likes.
func dsn(path string, mode string, pragmas ...string) string {
	query := url.Values{"mode": {mode}, "_txlock": {"immediate"}}
	for _, pragma := range append(pragmas, "busy_timeout(2000)", "foreign_keys(1)", "trusted_schema(0)", recursiveTriggers) {
		query.Add("_pragma", pragma)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(), RawQuery: query.Encode()}).String()
}

func openDB(path, mode string, connections int, pragmas ...string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, mode, pragmas...))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func (s *Store) openReader(ctx context.Context, path string) (err error) {
	connections := max(4, runtime.GOMAXPROCS(0))
	if s.readDB, err = openDB(path, "ro", connections, "query_only(1)", "cache_size(-8192)"); err != nil {
		return err
	}
	if s.tables, err = checkSchema(ctx, s.readDB); err == nil {
		s.read, err = prepareReads(ctx, s.readDB)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// applicationID marks a SQLite file as a ledger, in the place of its header that
// is meant for it: "SALD" in ASCII.
const applicationID = 0x53414c44

// brand writes the mark into a new file. It does so before the file has a
// write-ahead log, so that the mark is in the file itself from the start.
func brand(ctx context.Context, path string) (err error) {
	db, err := openDB(path, "rw", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

// checkBrand refuses a file that is no ledger before anything is changed in
// it, or left beside it. The place of the mark is in SQLite's file format.
func checkBrand(path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	header := make([]byte, 72)
	_, err = io.ReadFull(file, header)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrNotLedger
	case err != nil:
		return err
	case string(header[:16]) != "SQLite format 3\x00", binary.BigEndian.Uint32(header[68:]) != applicationID:
		return ErrNotLedger
	}
	return nil
}

// upstreamsVersion is the version of the tables that has upstreams.
const upstreamsVersion = 2

// older tells whether the tables are of a version before this one. A backup is
// read as it is, and what its tables do not have is not there.
func (s *Store) older(version int) bool { return s.tables < version }

// checkSchema gives the version of a ledger's tables, and refuses a ledger whose
// tables a later version has changed.
func checkSchema(ctx context.Context, db *sql.DB) (version int, err error) {
	known, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		return 0, err
	}
	if version > len(known) { // they are numbered from 1
		return 0, ErrNewer
	}
	return version, nil
}

// checkVersion refuses a SQLite library that is too old to be trusted.
func checkVersion(ctx context.Context, db *sql.DB) error {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	if versionNumber(version) < versionNumber(minVersion) {
		return fmt.Errorf("SQLite %s is too old, %s or later is needed", version, minVersion)
	}
	return nil
}

// versionNumber makes 3.51.3 comparable: 3051003.
func versionNumber(version string) int {
	number := 0
	for _, part := range strings.SplitN(version+".0.0", ".", 4)[:3] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		number = number*1000 + n
	}
	return number
}

func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return nil
}
