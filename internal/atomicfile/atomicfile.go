// Package atomicfile gives files their names once they are whole and on disk,
// so that under its name a file is either complete or not there at all.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Place gives a file, which is on disk already, its name, if nothing has that
// name: the error is fs.ErrExist otherwise. Whether the file keeps its former
// name too is up to the file system; the caller removes it. SyncFolder makes
// the name durable.
func Place(from, to string) error { return place(from, to, os.Link) }

// place gives a file its name if that is free. A link is one step, and never
// replaces; a rename does. Some file systems have no links: there the name is
// taken with an empty file, for the moment before that is replaced.
func place(from, to string, link func(from, to string) error) error {
	err := link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	claim, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(claim.Close(), os.Rename(from, to))
}

// SyncFolder makes the names in the folder of a file durable, where the file
// system can.
func SyncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, folder.Close())
}
