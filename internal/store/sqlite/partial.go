package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"

	"github.com/saldo-ledger/saldo/internal/atomicfile"
)

// Partial is what the name of a copy ends in while it is made.
const Partial = ".partial"

// lockAttempts bounds how often a lock is sought that others throw away meanwhile.
const lockAttempts = 100

// LeftoverError says that files of another database lie beside the path of a
// copy. SQLite would take what they say for a part of it.
type LeftoverError struct{ Path string }

// Error names the file.
func (e LeftoverError) Error() string {
	return e.Path + ": it was left by a ledger that was there before"
}

// free tells whether a path may be copied to.
func free(from, to string, replace bool) error {
	old, err := os.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !replace:
		return fmt.Errorf("%s: %w", to, ErrExists)
	case !old.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", to)
	default:
		if ledger, err := os.Stat(from); err == nil && os.SameFile(old, ledger) {
			return fmt.Errorf("%s: %w", to, ErrSame)
		}
	}
	for _, suffix := range sideFiles {
		if _, err := os.Lstat(to + suffix); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, LeftoverError{to + suffix})
		}
	}
	return unserved(to)
}

// sideFiles are those in which SQLite keeps what is not in the database yet, or
// not any more. Which database they belong to is known by their names alone.
var sideFiles = []string{"-wal", "-shm", "-journal"}

// unserved tells whether no process has a ledger at the path open to write,
// which it would go on doing when the file has lost its name.
func unserved(path string) error {
	if _, err := os.Lstat(path + ".lock"); errors.Is(err, fs.ErrNotExist) {
		return nil // whoever opens a ledger makes this first
	}
	lock := flock.New(path + ".lock")
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%s: %w", path, ErrInUse)
	}
	return errors.Join(err, lock.Unlock())
}

// lockPartial makes this process the only one that writes a copy to a path. A
// process that is killed leaves the file of its lock, and not the lock.
func lockPartial(to string) (*flock.Flock, error) {
	partial := to + Partial
	for range lockAttempts {
		lock := flock.New(partial+".lock", flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		if failure, ok := errors.AsType[*fs.PathError](err); ok { // which names the lock
			err = fmt.Errorf("%s cannot be written: %w", to, failure.Err)
		}
		if err != nil || !locked {
			if err == nil {
				err = fmt.Errorf("%s: %w", partial, ErrCopying)
			}
			return nil, errors.Join(err, lock.Unlock())
		}
		// Whoever had it may have removed the file just before it was locked
		// here: a lock on a file without a name keeps nobody away.
		mine, err := lock.Stat()
		if named, missing := os.Stat(lock.Path()); err == nil && missing == nil && os.SameFile(mine, named) {
			return lock, nil
		}
		if err := errors.Join(err, lock.Unlock()); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", partial, ErrCopying)
}

// makeCopy makes a file by some steps, alone and under its partial name, and gives
// it its name last. from and replace are as in free. Whatever ends it leaves nothing
// at the path.
func makeCopy(from, to string, replace bool, steps ...func(partial string) error) (err error) {
	partial := to + Partial
	lock, err := lockPartial(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Remove(partial), lock.Unlock()) }()
	if err := create(partial); err != nil {
		return err
	}
	for _, step := range steps {
		if err := step(partial); err != nil {
			return err
		}
	}
	return name(from, to, replace)
}

// create makes an empty file that its owner alone can read. What is there was
// left by a process that was killed. It is removed and not written over: that
// process may have died after it gave the file its final name too.
func create(partial string) error {
	for _, suffix := range append([]string{""}, sideFiles...) {
		if err := os.Remove(partial + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// sync puts a file on disk.
func sync(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// name gives a copy its name. The path is looked at once more, since much time
// has passed.
func name(from, to string, replace bool) error {
	if err := free(from, to, replace); err != nil {
		return err
	}
	var err error
	if replace {
		err = os.Rename(to+Partial, to)
	} else {
		err = atomicfile.Place(to+Partial, to)
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", to, ErrExists)
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncFolder(to)
}
