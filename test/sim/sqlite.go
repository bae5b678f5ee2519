package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// file is a ledger in a SQLite file, which one process serves.
type file struct {
	alone

	folder     string
	generation int // of the file: a crash leaves the ledger under another name
}

// NewSQLite is a Ledger in a SQLite file in a folder of its own.
func NewSQLite(folder string) Ledger { return &file{folder: folder} }

func (f *file) path() string {
	return filepath.Join(f.folder, fmt.Sprintf("ledger-%d.db", f.generation))
}

// Open opens the file, or makes it.
func (f *file) Open(ctx context.Context, _ int) (Store, error) {
	store, err := sqlite.Open(ctx, f.path())
	if errors.Is(err, sqlite.ErrNotFound) {
		store, err = sqlite.Create(ctx, f.path())
	}
	if err != nil {
		return nil, err // without a nil *sqlite.Store in an interface
	}
	return store, nil
}

// largestCopy is how large a file is copied for a crash.
const largestCopy = 256 << 20

// Crash copies what is in the file and its write-ahead log while the store is
// open, since closing it tidies up, and goes on with the copy: the next to open
// it has to recover. A file that would take long to copy is closed in good order.
func (f *file) Crash(_ context.Context, _ int, store Store) error {
	old := f.path()
	info, err := os.Stat(old)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	if info.Size() > largestCopy {
		return store.Close()
	}
	f.generation++
	return errors.Join(copyFile(f.path(), old), copyFile(f.path()+"-wal", old+"-wal"), store.Close(), sqlite.Remove(old))
}

// copyFile copies a file, if it is there.
func copyFile(to, from string) error {
	source, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// Remove removes the file.
func (f *file) Remove() error { return sqlite.Remove(f.path()) }

// Transactions reads the table with a connection of its own.
func (f *file) Transactions(ctx context.Context, after int64, fn func(int64, *ledger.Transaction) error) (err error) {
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: f.path()}).EscapedPath(), RawQuery: "mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(2000)"}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT seq, "+transactionColumns+" FROM transactions WHERE seq > ? ORDER BY seq", after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		place, t, err := scan(rows)
		if err != nil {
			return err
		}
		if err := fn(place, t); err != nil {
			return err
		}
	}
	return rows.Err()
}
