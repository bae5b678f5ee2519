package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// ErrUnsound says that a ledger was copied, and that the copy, which is thrown
// away then, does not add up.
var ErrUnsound = errors.New("the ledger is not sound, so the copy of it was not kept")

// BackupOptions are what Backup and Restore can be told.
type BackupOptions struct {
	// Force lets a backup replace a file that is there already.
	Force bool
	// Copying and Verifying, if not nil, are called now and then.
	Copying   func(done, total int64) // in bytes
	Verifying func(engine.Report)
}

// Copied says what is in a copy of a ledger.
type Copied struct {
	// Report is of the verification of the copy.
	Report *engine.Report
	// Size is that of the file in bytes.
	Size int64
	// LastTransaction is the time of it, zero in a ledger without any.
	LastTransaction time.Time
}

// Backup copies one state of a ledger into a file and verifies the copy, also
// while the ledger is being served. The file is there when it is whole, verified
// and on disk, or not at all. With ErrUnsound comes what was found.
func Backup(ctx context.Context, db, file string, options BackupOptions) (*Copied, error) {
	if postgres.Valid(db) {
		return nil, Hint(errors.New("a ledger in PostgreSQL is backed up by PostgreSQL's own tools"),
			"use pg_dump, or pg_basebackup with an archive of the write-ahead log: docs/backup.md shows both")
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	copied, err := copyLedger(ctx, path, file, options)
	return copied, adviseOnCopy(err, []advice{
		{sqlite.ErrExists, "choose another name, or replace the file with --force once the new backup is verified"},
		{sqlite.ErrInUse, "the file is a ledger that is being served: choose another name"},
		{sqlite.ErrNotFound, "name the ledger that is to be backed up with --db PATH"},
		{sqlite.ErrSame, "name another file for the backup"},
		{sqlite.ErrDamaged, "find out more with: saldo verify --db PATH; restore the last good backup if the disk is at fault"},
		{ErrUnsound, "find out what is wrong with the ledger: saldo verify --db PATH; until then keep the last good backup"},
	})
}

// Restore makes a ledger of a backup, verified in the same way, where none is.
func Restore(ctx context.Context, file, db string, options BackupOptions) (*Copied, error) {
	if postgres.Valid(db) {
		return nil, Hint(errors.New("a backup of a SQLite ledger cannot be restored into PostgreSQL"),
			"use pg_restore, or recovery from the archive, for a backup of PostgreSQL: docs/backup.md shows both")
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	options.Force = false // the ledger that is there may be the only one that has what was posted last
	copied, err := copyLedger(ctx, file, path, options)
	return copied, adviseOnCopy(err, []advice{
		{sqlite.ErrExists, "a restore never replaces a ledger: move it away first, with the -wal and -shm files beside it, or name another path"},
		{sqlite.ErrInUse, "stop the server of the ledger that was there"},
		{sqlite.ErrNotFound, "name a file that saldo backup wrote"},
		{sqlite.ErrNotLedger, "name a file that saldo backup wrote"},
		{sqlite.ErrDamaged, "take another copy of the backup, or an older backup"},
		{ErrUnsound, "take another copy of the backup, or an older backup: somebody changed this one, or it was not made by saldo backup"},
	})
}

// copyLedger copies and verifies.
func copyLedger(ctx context.Context, from, to string, options BackupOptions) (*Copied, error) {
	if to == "-" || from == "-" {
		return nil, Hint(errors.New("a backup is a file: it cannot be a stream, because it is verified where it lies"), "name a file, and copy it from there")
	}
	var copied Copied
	err := sqlite.Backup(ctx, from, to, sqlite.BackupOptions{
		Replace:  options.Force,
		Progress: options.Copying,
		Check: func(ctx context.Context, store *sqlite.Store) (err error) {
			if copied.Report, err = engine.Verify(ctx, store, engine.VerifyOptions{Progress: options.Verifying}); err != nil {
				return err
			}
			if n := copied.Report.ProblemCount; n > 0 {
				return fmt.Errorf("%w: %d problems", ErrUnsound, n)
			}
			copied.LastTransaction, err = store.LastCommit(ctx)
			return err
		},
	})
	if err != nil {
		return &copied, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return &copied, err
	}
	copied.Size = info.Size()
	return &copied, nil
}

// common is what to do about failures of backups and restores alike.
var common = []advice{
	{sqlite.ErrCopying, "wait until it is done; what it writes ends in " + sqlite.Partial},
	{sqlite.ErrFull, "make room there, or name a place that has it: the copy is as large as the ledger"},
	{sqlite.ErrNotLedger, "name a ledger that saldo init made, or a backup of one"},
	{sqlite.ErrNewer, "run the version of Saldo that last served it, or a later one"},
	{fs.ErrNotExist, "make the folder first"},
	{fs.ErrPermission, "run it as the user that serves the ledger, and let that user write in the folder of the copy"},
}

// adviseOnCopy adds a hint to why a backup or a restore failed.
func adviseOnCopy(err error, known []advice) error {
	if left, ok := errors.AsType[sqlite.LeftoverError](err); ok {
		return Hint(err, fmt.Sprintf("SQLite would mix it with the new file: move %s to where that ledger went, since it may have commits that are nowhere else", left.Path))
	}
	return advise(err, known, common)
}
