package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// sound is the check of a copy of which nothing more is to be known.
func sound(context.Context, *sqlite.Store) error { return nil }

// backedUp makes a backup that must succeed.
func backedUp(t *testing.T, from, to string, options sqlite.BackupOptions) {
	t.Helper()
	if options.Check == nil {
		options.Check = sound
	}
	if err := sqlite.Backup(ctx, from, to, options); err != nil {
		t.Fatal(err)
	}
}

// refused makes a backup that must fail with an error, and leave the folder as it was.
func refused(t *testing.T, from, to string, options sqlite.BackupOptions, want error) {
	t.Helper()
	before := folder(t, filepath.Dir(to))
	if options.Check == nil {
		options.Check = sound
	}
	if err := sqlite.Backup(ctx, from, to, options); !errors.Is(err, want) {
		t.Errorf("backup of %s to %s: %v, want %v", from, to, err, want)
	}
	if after := folder(t, filepath.Dir(to)); !slices.Equal(after, before) {
		t.Errorf("it leaves %v of %v", after, before)
	}
}

// folder lists the files of a folder with their sizes.
func folder(t *testing.T, path string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprint(entry.Name(), " ", info.Size()))
	}
	return files
}

// hasAccounts opens a ledger and tells which of the accounts it has.
func hasAccounts(t *testing.T, path string, ids ...ledger.AccountID) (has []bool) {
	t.Helper()
	store, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, store)
	for _, id := range ids {
		_, err := store.Holder(ctx, id)
		has = append(has, err == nil)
	}
	return has
}

// enlarge makes a ledger so large that it is copied in several steps.
func enlarge(t *testing.T, path string) {
	t.Helper()
	for _, statement := range []string{"CREATE TABLE filler (x BLOB)", "INSERT INTO filler VALUES (zeroblob(12000000))"} {
		if err := execute(path, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A backup is one state of a ledger that goes on being written.
func TestBackup(t *testing.T) {
	t.Parallel()
	path, file := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "backup.db")
	store := created(t, path)
	enlarge(t, path)
	var done []int64
	checked := false
	copying, cancel := context.WithCancel(ctx)
	defer cancel()
	err := sqlite.Backup(copying, path, file, sqlite.BackupOptions{
		Progress: func(copied, total int64) {
			// A commit in the middle neither waits nor is seen, nor does it make the copy begin anew.
			insert(t, store, ledger.AccountID(100+len(done)))
			if done = append(done, copied); copied > total || len(done) > 10 {
				cancel()
			}
		},
		Check: func(_ context.Context, copied *sqlite.Store) error {
			checked = true
			mustHave(t, copied, 7)
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it has its name before it is checked: %v", err)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatalf("%v, after %v", err, done)
	}
	if !slices.IsSorted(done) || len(done) < 3 || !checked {
		t.Errorf("progress was %v, checked %v", done, checked)
	}
	if got := hasAccounts(t, file, 7, 100, 101); !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("of accounts 7, 100 and 101 it has %v", got)
	}
	mustHave(t, store, 101)
	// It is one file, for its owner alone, without a log: so it stays when it is read.
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || len(folder(t, filepath.Dir(file))) != 1 {
		t.Errorf("%v, %v, %v", info, err, folder(t, filepath.Dir(file)))
	}
	if header, err := os.ReadFile(file); err != nil || header[18] != 1 || header[19] != 1 {
		t.Errorf("the file has a log, %v", err)
	}
}

// A backup is a ledger: it can be backed up, restored and written.
func TestBackupOfBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file, second, restored := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "1.db"), filepath.Join(dir, "2.db"), filepath.Join(dir, "3.db")
	asked(t, created(t, path), time.Unix(1, 0))
	backedUp(t, path, file, sqlite.BackupOptions{})
	backedUp(t, file, second, sqlite.BackupOptions{})
	backedUp(t, second, restored, sqlite.BackupOptions{})
	one, err1 := os.ReadFile(file)
	two, err2 := os.ReadFile(second)
	// The first 100 bytes count the changes of the file.
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(one[100:], two[100:]) {
		t.Errorf("a backup of a backup differs, %v", err)
	}
	store, err := sqlite.Open(ctx, restored)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, store)
	hasReadings(t, store, 1)
	insert(t, store, 8)
	if got := hasAccounts(t, restored, 7, 8); !slices.Equal(got, []bool{true, true}) {
		t.Errorf("of accounts 7 and 8 it has %v", got)
	}
}

// A restored ledger has no log until a server begins one. That does not pass
// over a reader in silence: a server without a log would let readers stop it.
func TestServeWhileBackupIsRead(t *testing.T) {
	t.Parallel()
	path, file := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "backup.db")
	created(t, path)
	backedUp(t, path, file, sqlite.BackupOptions{})
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	reading, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wallets int
	if err := reading.QueryRowContext(ctx, "SELECT count(*) FROM wallets").Scan(&wallets); err != nil {
		t.Fatal(err)
	}
	if store, err := sqlite.Open(ctx, file); err == nil {
		closed(t, store)
		t.Error("it is opened while somebody reads it, and so without a log")
	}
	if err := errors.Join(reading.Rollback(), db.Close()); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(ctx, file)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, store)
}

// What is there is replaced on demand only, in one step, and not when it is
// something else than an old backup.
func TestBackupReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	store := created(t, path)
	backedUp(t, path, file, sqlite.BackupOptions{})
	insert(t, store, 8)
	refused(t, path, file, sqlite.BackupOptions{}, sqlite.ErrExists)
	backedUp(t, path, file, sqlite.BackupOptions{Replace: true, Check: func(context.Context, *sqlite.Store) error {
		if got := hasAccounts(t, file, 8); got[0] {
			t.Error("the old one is gone before the new one is checked")
		}
		return nil
	}})
	if got := hasAccounts(t, file, 8); !got[0] {
		t.Error("the old backup is still there")
	}
	replace := sqlite.BackupOptions{Replace: true}
	refused(t, path, path, replace, sqlite.ErrSame)
	link := filepath.Join(dir, "link.db")
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	refused(t, path, link, replace, sqlite.ErrSame)
	other := filepath.Join(dir, "other.db")
	served := created(t, other)
	refused(t, path, other, sqlite.BackupOptions{}, sqlite.ErrExists)
	refused(t, file, other, replace, sqlite.LeftoverError{Path: other + "-wal"})
	mustHave(t, served, 7)
	if err := sqlite.Backup(ctx, path, dir, replace); err == nil {
		t.Error("it replaces a folder")
	}
}

// A server goes on writing files that have lost their names.
func TestBackupSparesServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file, moved := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db"), filepath.Join(dir, "moved.db")
	created(t, path)
	backedUp(t, path, file, sqlite.BackupOptions{})
	// Its files were moved away under a server, which holds the lock still.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, moved+suffix); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, file, path, sqlite.BackupOptions{}, sqlite.ErrInUse)
	refused(t, file, path, sqlite.BackupOptions{Replace: true}, sqlite.ErrInUse)
}

// Files that SQLite would take for a part of the copy are in its way, whoever
// left them.
func TestBackupRefusesLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	created(t, path)
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		left := file + suffix
		if err := os.WriteFile(left, []byte("commits of another time"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path, file, sqlite.BackupOptions{}, sqlite.LeftoverError{Path: left})
		refused(t, path, file, sqlite.BackupOptions{Replace: true}, sqlite.LeftoverError{Path: left})
		if err := os.Remove(left); err != nil {
			t.Fatal(err)
		}
	}
	backedUp(t, path, file, sqlite.BackupOptions{})
}

// What a killed process left is removed, and nothing that has another name.
func TestBackupAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	created(t, path)
	for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".lock"} {
		if err := os.WriteFile(file+sqlite.Partial+suffix, bytes.Repeat([]byte("half"), 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	backedUp(t, path, file, sqlite.BackupOptions{})
	if _, err := os.Lstat(file + sqlite.Partial); !errors.Is(err, fs.ErrNotExist) || len(folder(t, dir)) != 5 {
		t.Errorf("there is %v, %v", folder(t, dir), err)
	}
	// One was killed after its file had the final name too, and before it had lost the other.
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, file+sqlite.Partial); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("not good enough")
	err = sqlite.Backup(ctx, path, file, sqlite.BackupOptions{Replace: true, Check: func(context.Context, *sqlite.Store) error { return failed }})
	if after, err2 := os.ReadFile(file); !errors.Is(err, failed) || err2 != nil || !bytes.Equal(before, after) {
		t.Errorf("the backup that was there has changed: %v, %v", err, err2)
	}
	if len(folder(t, dir)) != 5 {
		t.Errorf("there is %v", folder(t, dir))
	}
}

// Two do not write one file.
func TestBackupsToOnePath(t *testing.T) {
	t.Parallel()
	path, file := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "backup.db")
	created(t, path)
	backedUp(t, path, file, sqlite.BackupOptions{Check: func(context.Context, *sqlite.Store) error {
		refused(t, path, file, sqlite.BackupOptions{}, sqlite.ErrCopying)
		return nil
	}})
	// What comes into the way meanwhile is seen too.
	if err := sqlite.Backup(ctx, path, file+"2", sqlite.BackupOptions{Check: func(context.Context, *sqlite.Store) error {
		return os.WriteFile(file+"2-wal", []byte("commits of another time"), 0o600)
	}}); !errors.Is(err, sqlite.LeftoverError{Path: file + "2-wal"}) {
		t.Error(err)
	}
	// Nor is a file replaced that somebody else has put there.
	late := filepath.Join(t.TempDir(), "late.db")
	err := sqlite.Backup(ctx, path, late, sqlite.BackupOptions{Check: func(context.Context, *sqlite.Store) error {
		return os.WriteFile(late, []byte("somebody else's"), 0o600)
	}})
	if text, err2 := os.ReadFile(late); !errors.Is(err, sqlite.ErrExists) || err2 != nil || string(text) != "somebody else's" {
		t.Errorf("%v, %q, %v", err, text, err2)
	}
}

// A copy that is given up leaves nothing, wherever it is.
func TestBackupGivenUp(t *testing.T) {
	t.Parallel()
	path, file := filepath.Join(t.TempDir(), "ledger.db"), filepath.Join(t.TempDir(), "backup.db")
	created(t, path)
	enlarge(t, path)
	copying, cancel := context.WithCancel(ctx)
	err := sqlite.Backup(copying, path, file, sqlite.BackupOptions{Check: sound, Progress: func(done, total int64) {
		if done == total {
			t.Error("it does not stop")
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	checking, cancel := context.WithCancel(ctx)
	err = sqlite.Backup(checking, path, file, sqlite.BackupOptions{Check: func(ctx context.Context, _ *sqlite.Store) error {
		cancel()
		return ctx.Err()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := folder(t, filepath.Dir(file)); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
}

func TestBackupErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, file := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "backup.db")
	created(t, path)
	refused(t, filepath.Join(dir, "none.db"), file, sqlite.BackupOptions{}, sqlite.ErrNotFound)
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, text, file, sqlite.BackupOptions{}, sqlite.ErrNotLedger)
	if err := sqlite.Backup(ctx, path, filepath.Join(dir, "none", "backup.db"), sqlite.BackupOptions{Check: sound}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := sqlite.Backup(ctx, path, filepath.Join(text, "backup.db"), sqlite.BackupOptions{Check: sound}); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// What the disk or a transfer did to a file is found, also where no command
// would read it.
func TestBackupFindsDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, good, bad := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "good.db"), filepath.Join(dir, "bad.db")
	created(t, path)
	enlarge(t, path)
	backedUp(t, path, good, sqlite.BackupOptions{})
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", good)
	if err != nil {
		t.Fatal(err)
	}
	var page int
	err = db.QueryRowContext(ctx, "SELECT rootpage FROM sqlite_schema WHERE name = 'keys_by_account'").Scan(&page)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"half":               content[:len(content)/2],
		"all but a page":     content[:len(content)-4096],
		"header alone":       content[:100],
		"an index":           slices.Concat(content[:(page-1)*4096], bytes.Repeat([]byte{0xff}, 4096), content[page*4096:]),
		"the schema":         slices.Concat(content[:100], bytes.Repeat([]byte{0}, 3996), content[4096:]),
		"other format":       slices.Concat(content[:16], []byte{0xff, 0xff}, content[18:]),
		"nothing but zeroes": slices.Concat(content[:4096], make([]byte, len(content)-4096)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(bad, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			restored := filepath.Join(t.TempDir(), "restored.db")
			refused(t, bad, restored, sqlite.BackupOptions{}, sqlite.ErrDamaged)
		})
	}
}
