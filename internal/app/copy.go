package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// CopyProgress is how far Copy is.
type CopyProgress = copier.Progress

// CopyReport is what Copy did and found.
type CopyReport = copier.Report

// CopyOptions are what Copy can be given beside the ledgers.
type CopyOptions struct {
	// Stopped promises that nobody writes the source any more. A SQLite file needs
	// no promise: its state is one of the whole ledger.
	Stopped bool
	// Progress, if not nil, is called now and then.
	Progress func(CopyProgress)
}

// Copy copies a whole ledger, or goes on with a copy. The source may be in use,
// the target may not. The report says whether the target is a ledger then.
func Copy(ctx context.Context, from, to string, options CopyOptions) (report *CopyReport, err error) {
	if sameFile(from, to) {
		return nil, errItself
	}
	source, err := openSource(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("the ledger to copy: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	// A target is made where there is none, so whatever is wrong with the source
	// must be known before.
	if err := copier.Check(ctx, source); err != nil {
		return nil, advise(err, copyAdvice, postgresAdvice)
	}
	target, err := openTarget(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("the copy: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if same, err := sameDatabase(ctx, source, target); err != nil || same {
		return nil, cmp.Or(err, errItself)
	}
	settings := copier.Options{Settle: copier.Settle, Progress: options.Progress}
	if options.Stopped {
		settings.Settle = 0
	}
	report, err = copier.Run(ctx, source, target, settings)
	return report, advise(err, copyAdvice, postgresAdvice)
}

var errItself = Hint(errors.New("a ledger cannot be copied into itself"), "name another file or database as --to")

// sameFile tells whether two names are those of one SQLite file. A link is one more
// name of a file.
func sameFile(from, to string) bool {
	var files [2]fs.FileInfo
	for i, db := range []string{from, to} {
		if postgres.Valid(db) {
			return false
		}
		path, err := sqlitePath(db)
		if err != nil {
			return false // opening it says why
		}
		if files[i], err = os.Stat(path); err != nil {
			return false
		}
	}
	return os.SameFile(files[0], files[1])
}

// sameDatabase tells whether source and target are one ledger in PostgreSQL.
// Opening it has changed nothing in it then, because it has all of its tables.
func sameDatabase(ctx context.Context, from source, to target) (bool, error) {
	left, ok := from.(*postgres.Store)
	right, both := to.(*postgres.Copy)
	if !ok || !both {
		return false, nil
	}
	return left.Same(ctx, right.Store)
}

// copyAdvice is what to do about a copy that ends early.
var copyAdvice = []advice{
	{context.Canceled, "the same command goes on where this one stopped"},
	{copier.ErrNotCopy, "copy into a new file, or an empty database; a ledger that was served is never written over"},
	{copier.ErrOtherSource, "copy into a new file, or an empty database"},
	{copier.ErrDiffers, "remove the copy, which was never served, and copy again"},
	{copier.ErrTakenOver, "let that one finish; only one saldo copy may write a copy at a time"},
	{copier.ErrNeverUsed, "make a ledger with: saldo init --db LEDGER"},
	{postgres.ErrReplica, "copy from the primary: a replica may lack what was answered already"},
}

// unfinishedHint is what to do about a ledger that is none yet.
const unfinishedHint = "run the same saldo copy again, which goes on where it stopped"

type source interface {
	copier.Source
	Close() error
}

func openSource(ctx context.Context, db string) (source, error) {
	store, err := openReadOnly(ctx, db)
	if err != nil {
		return nil, err
	}
	return store.(source), nil
}

type target interface {
	copier.Target
	Close() error
}

func openTarget(ctx context.Context, db string) (target, error) {
	if postgres.Valid(db) {
		copied, err := postgres.OpenCopy(ctx, db)
		if err != nil {
			_, err = wrapPostgres(nil, err)
			return nil, err
		}
		return copied, nil
	}
	path, err := sqlitePath(db)
	if err != nil {
		return nil, err
	}
	copied, err := sqlite.OpenCopy(ctx, path)
	if err != nil {
		return nil, adviseOnCopy(err, sqliteAdvice)
	}
	return copied, nil
}
