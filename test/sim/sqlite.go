package sim

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// file is a ledger in a SQLite file.
type file struct {
	folder     string
	generation int // of the file: a crash leaves the ledger under another name
}

// NewSQLite is a Ledger in a SQLite file in a folder of its own.
func NewSQLite(folder string) Ledger { return &file{folder: folder} }

func (f *file) path() string {
	return filepath.Join(f.folder, fmt.Sprintf("ledger-%d.db", f.generation))
}

// Open opens the file, or makes it.
func (f *file) Open(ctx context.Context) (Store, error) {
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
func (f *file) Crash(_ context.Context, store Store) error {
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
	rows, err := db.QueryContext(ctx, `SELECT seq, id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service,
		amount, parent, expires_in, final, batch, reference, metadata, rejection, moved, balance, held, available, daily_left, monthly_left,
		remaining, expires_at, version, to_version, created_at FROM transactions WHERE seq > ? ORDER BY seq`, after)
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

// scan reads a row once more than the store does: what the store's own reading
// and writing get wrong alike would not be seen otherwise.
func scan(rows *sql.Rows) (place int64, t *ledger.Transaction, err error) {
	t = new(ledger.Transaction)
	var id, hash, parent, batch []byte
	var metadata string
	var seconds, created int64
	var expires *int64
	err = rows.Scan(&place, &id, &t.Scope, &t.IdempotencyKey, &hash, &t.Kind, &t.Wallet.Account, &t.Wallet.Service, &t.To.Account, &t.To.Service,
		&t.Amount, &parent, &seconds, &t.Final, &batch, &t.Reference, &metadata, &t.Rejection, &t.Moved, &t.Balance, &t.Held, &t.Available,
		&t.CapLeft.Daily, &t.CapLeft.Monthly, &t.Remaining, &expires, &t.Version, &t.ToVersion, &created)
	if err != nil {
		return 0, nil, err
	}
	copy(t.ID[:], id)
	copy(t.RequestHash[:], hash)
	copy(t.Parent[:], parent)
	copy(t.Batch[:], batch)
	t.ExpiresIn = time.Duration(seconds) * time.Second
	t.CreatedAt = time.UnixMicro(created).UTC()
	if expires != nil {
		t.ExpiresAt = time.UnixMicro(*expires).UTC()
	}
	if metadata != "" {
		err = json.Unmarshal([]byte(metadata), &t.Metadata)
	}
	return place, t, err
}
