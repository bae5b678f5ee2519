package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func written(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A file gets its name where that is free, on file systems with links and on
// those without, and never in the place of another.
func TestPlace(t *testing.T) {
	t.Parallel()
	noLinks := func(string, string) error { return errors.ErrUnsupported }
	for name, link := range map[string]func(from, to string) error{"with links": os.Link, "without": noLinks} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			from, to := filepath.Join(folder, "from"), filepath.Join(folder, "to")
			written(t, from, "new")
			if err := place(from, to, link); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(to); err != nil || content(t, to) != "new" || info.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", info, err)
			}
			if err := os.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			written(t, from, "newer")
			if err := place(from, to, link); !errors.Is(err, fs.ErrExist) || content(t, to) != "new" || content(t, from) != "newer" {
				t.Errorf("%v", err)
			}
			if err := place(from, filepath.Join(folder, "none", "to"), link); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSyncFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := SyncFolder(filepath.Join(folder, "x")); err != nil {
		t.Error(err)
	}
	if err := SyncFolder(filepath.Join(folder, "none", "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
