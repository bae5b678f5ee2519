package checkpoint

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/saldo-ledger/saldo/internal/atomicfile"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// Create makes a file of what write writes. It appears under its name when it
// is whole and on disk, or not at all, and never in the place of another:
// ErrExists. An older checkpoint may be the only witness of what was done since.
func Create(path string, mode os.FileMode, write func(io.Writer) error) (err error) {
	if err := vacant(path); err != nil { // before a long time is spent on it
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.Remove(file.Name()); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}()
	for _, step := range []func() error{
		func() error { return write(file) },
		func() error { return file.Chmod(mode) },
		file.Sync,
	} {
		if err := step(); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := atomicfile.Place(file.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s: %w", path, ErrExists)
		}
		return err
	}
	return atomicfile.SyncFolder(path)
}

func vacant(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("%s: %w", path, ErrExists)
	}
}

// File is a checkpoint that was checked.
type File struct {
	Info

	file *os.File
}

// Open opens a checkpoint and checks it with a public key.
func Open(path string, key ed25519.PublicKey) (_ *File, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
		}
	}()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, ErrNotSeekable
	}
	info, err := Check(file, key)
	if err != nil {
		return nil, err
	}
	return &File{*info, file}, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Heads reads the heads, once more from the beginning. Should the file not be
// the one that was checked any more, an error comes last; no conclusion may be
// drawn before the end. Every error of it is an *Error.
func (f *File) Heads() iter.Seq2[engine.Head, error] {
	return func(yield func(engine.Head, error) bool) {
		if err := f.again(yield); err != nil && !errors.Is(err, errStop) {
			yield(engine.Head{}, err)
		}
	}
}

func (f *File) again(yield func(engine.Head, error) bool) error {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return f.changed(err)
	}
	info, _, err := read(f.file, func(head engine.Head) error {
		if !yield(head, nil) {
			return errStop
		}
		return nil
	})
	switch {
	case errors.Is(err, errStop):
		return err
	case err != nil:
		return f.changed(err)
	// The digest covers the time, and every head.
	case info.Digest != f.Digest:
		return f.changed(ErrChanged)
	}
	return nil
}

// changed is the error for a file that cannot be read a second time as it was before.
func (f *File) changed(err error) error {
	return &Error{
		fmt.Sprintf("%s: the checkpoint cannot be read again as it was checked: %v", f.file.Name(), err),
		"nobody may write to it meanwhile: try again, with a copy of it",
	}
}
