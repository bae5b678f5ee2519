package app

import (
	"context"
	"errors"
	"fmt"

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
	if from == to {
		return nil, Hint(errors.New("a ledger cannot be copied into itself"), "name another file or database as --to")
	}
	source, err := openSource(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("the ledger to copy: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openTarget(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("the copy: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	settings := copier.Options{Settle: copier.Settle, Progress: options.Progress}
	if options.Stopped {
		settings.Settle = 0
	}
	report, err = copier.Run(ctx, source, target, settings)
	if hint := hintOn(err, copyAdvice); hint != "" {
		return nil, Hint(err, hint)
	}
	return report, err
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
		_, err = wrap(nil, err)
		return nil, err
	}
	return copied, nil
}
