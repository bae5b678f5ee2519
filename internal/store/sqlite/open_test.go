package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// openEnv names a ledger to this test's own binary, which then only tries to open it.
const openEnv = "SALDO_TEST_OPEN"

func TestMain(m *testing.M) {
	if path := os.Getenv(openEnv); path != "" {
		store, err := sqlite.Open(context.Background(), path)
		if err == nil {
			err = store.Close()
		}
		fmt.Println(errors.Is(err, sqlite.ErrInUse), err)
		return
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

// created makes a ledger with account 7 that the test's end closes.
func created(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, store) })
	insert(t, store, 7)
	return store
}

func holder(id ledger.AccountID) *ledger.Holder {
	return &ledger.Holder{
		Account: ledger.Account{ID: id, Name: "Example Ltd", Currency: "CNY", Status: ledger.Active},
		Wallets: []ledger.Wallet{{WalletRef: ledger.WalletRef{Service: ledger.SMS}}},
	}
}

func insert(t *testing.T, store engine.Store, id ledger.AccountID) {
	t.Helper()
	if err := store.Write(ctx, func(tx engine.Tx) error {
		return tx.InsertAccount(ctx, holder(id))
	}); err != nil {
		t.Errorf("insert account %d: %v", id, err)
	}
}

func closed(t *testing.T, store *sqlite.Store) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func mustHave(t *testing.T, store engine.Reader, id ledger.AccountID) {
	t.Helper()
	if _, err := store.Holder(ctx, id); err != nil {
		t.Errorf("account %d: %v", id, err)
	}
}

func TestCreateAndOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	for name, open := range map[string]func(context.Context, string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenReadOnly": sqlite.OpenReadOnly} {
		if store, err := open(ctx, path); !errors.Is(err, sqlite.ErrNotFound) || store != nil {
			t.Errorf("%s where there is nothing: %v, %v", name, store, err)
		}
		if _, err := open(ctx, filepath.Dir(path)); err == nil {
			t.Errorf("%s opened a directory", name)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("what could not be opened left %v, %v", left, err)
	}
	store := created(t, path)
	if store, err := sqlite.Create(ctx, path); !errors.Is(err, sqlite.ErrExists) || store != nil {
		t.Errorf("Create where a ledger is: %v, %v", store, err)
	}
	mustHave(t, store, 7)
	if !store.Exclusive() {
		t.Error("a store whose file is locked is exclusive")
	}
}

// Nothing that is there already is written over, whatever it is.
func TestCreateSparesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(path, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "gone"), dangling); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, dangling, dir} {
		if store, err := sqlite.Create(ctx, path); !errors.Is(err, sqlite.ErrExists) || store != nil {
			t.Errorf("Create at %s: %v, %v", path, store, err)
		}
	}
	if content, err := os.ReadFile(path); string(content) != "notes" {
		t.Errorf("the file now says %q, %v", content, err)
	}
	if store, err := sqlite.Create(ctx, filepath.Join(dir, "no", "such", "directory")); !errors.Is(err, fs.ErrNotExist) || store != nil {
		t.Errorf("Create in a directory that is not there: %v, %v", store, err)
	}
}

// Money and hashes of secrets are nobody else's to read.
func TestFilesAreTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	created(t, path)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 4 {
		t.Errorf("the files are %q, %v; ledger, log, its index and the lock are expected", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}

func TestOneWriterAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "ledger.db"), filepath.Join(dir, "link.db")
	store := created(t, path)
	if err := os.Symlink("ledger.db", link); err != nil {
		t.Fatal(err)
	}
	// The ledger is the same by whatever name.
	for _, name := range []string{path, link, filepath.Join(dir, ".", "ledger.db"), dir + "//ledger.db"} {
		if second, err := sqlite.Open(ctx, name); !errors.Is(err, sqlite.ErrInUse) || second != nil {
			t.Errorf("a second Open of %s: %v, %v", name, second, err)
		}
	}
	if got := openElsewhere(t, path); !strings.HasPrefix(got, "true") {
		t.Errorf("another process was told: %s", got)
	}
	// Who was refused has not taken the lock away from who has it.
	if got := openElsewhere(t, link); !strings.HasPrefix(got, "true") {
		t.Errorf("another process was told: %s", got)
	}
	insert(t, store, 8)
}

// openElsewhere tries to open a ledger in another process.
func openElsewhere(t *testing.T, path string) string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), openEnv+"="+path)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return string(output)
}

func TestClosedLedgerIsFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	insert(t, store, 7)
	closed(t, store)
	if got := openElsewhere(t, path); !strings.HasPrefix(got, "false <nil>") {
		t.Errorf("another process was told: %s", got)
	}
	// What was in the log is in the file, which can be copied alone.
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a log was left: %v", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err = sqlite.Open(ctx, copied)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, store, 7)
	closed(t, store)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	writing := created(t, path)
	reading, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, reading, 7)
	// It sees what is written meanwhile, and does not see what is not committed.
	insert(t, writing, 8)
	mustHave(t, reading, 8)
	if err := writing.Write(ctx, func(tx engine.Tx) error {
		if err := tx.InsertAccount(ctx, holder(9)); err != nil {
			return err
		}
		if _, err := reading.Holder(ctx, 9); ledger.CodeOf(err) != ledger.NotFound {
			t.Errorf("an account that is not committed: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	storetest.Verify(t, reading)
	if err := reading.Write(ctx, func(engine.Tx) error { return errors.New("was called") }); !errors.Is(err, sqlite.ErrReadOnly) {
		t.Errorf("Write: %v", err)
	}
	closed(t, reading)
	insert(t, writing, 10)
}

// A ledger at rest can be read, too, and the reader takes no lock from a writer.
func TestReadOnlyWithoutWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	insert(t, store, 7)
	closed(t, store)
	reading, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, reading, 7)
	if store, err = sqlite.Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	insert(t, store, 8)
	mustHave(t, reading, 8)
	closed(t, store)
	mustHave(t, reading, 8)
	closed(t, reading)
}

func TestUnusualPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"with space.db", "what?.db", "a#b.db", "100%.db", "%41.db", "a&mode=memory.db", "?mode=memory", "số dư 余额 🙂.db",
		"a:b.db", ":memory:", "file:x.db", "+.db", "quote'\".db", "a;b.db", "~", "back\\slash.db", "new\nline.db", "no extension", strings.Repeat("n", 200),
	} {
		path := filepath.Join(dir, name)
		store, err := sqlite.Create(ctx, path)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		insert(t, store, 7)
		if info, err := os.Stat(path); err != nil || info.Size()+sizeOf(path+"-wal") < 4096 {
			t.Errorf("%q: the ledger is not in its file: %v", name, err)
		}
		reading, err := sqlite.OpenReadOnly(ctx, path)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		} else {
			mustHave(t, reading, 7)
			closed(t, reading)
		}
		closed(t, store)
	}
	// Nothing was made beside them, such as the part of a name before a '?'.
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2*19 {
		t.Errorf("%d files are there for 19 ledgers, each with its lock: %v", len(files), err)
	}
	// A path may begin with two slashes, which a URL would take for a host.
	store := created(t, "/"+filepath.Join(dir, "slashes.db"))
	mustHave(t, store, 7)
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// A name without a directory is a file of the working directory.
func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"ledger.db", "a:b.db", "./c.db", "-.db"} {
		store, err := sqlite.Create(ctx, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		insert(t, store, 7)
		closed(t, store)
		if info, err := os.Stat(name); err != nil || info.Size() < 4096 {
			t.Errorf("%q: the ledger is not in its file: %v", name, err)
		}
	}
}

// damaged makes a ledger of some size and changes its bytes.
func damaged(t *testing.T, change func(content []byte) []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	insert(t, store, 7)
	e := storetest.NewEngine(t, store, engine.Options{})
	for i := range 50 {
		_, _, err := e.Post(ctx, ledger.Request{
			IdempotencyKey: fmt.Sprint(i), Kind: ledger.TopUp, Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS}, Amount: 1,
			Reference: strings.Repeat("x", 150),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	closed(t, store)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file that is damaged gives errors: no panic, and never a clean bill of health.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(content []byte) []byte{
		"not a database":     func([]byte) []byte { return bytes.Repeat([]byte("not a database "), 1000) },
		"first bytes":        func(b []byte) []byte { copy(b, "SQLite format 4"); return b },
		"tables wiped":       func(b []byte) []byte { clear(b[100:4096]); return b },
		"second half wiped":  func(b []byte) []byte { clear(b[len(b)/2:]); return b },
		"all but the header": func(b []byte) []byte { clear(b[4096:]); return b },
		"all pages garbled": func(b []byte) []byte {
			for i := 4096; i < len(b); i += 7 {
				b[i] ^= 0x55
			}
			return b
		},
		"cut in the middle": func(b []byte) []byte { return b[:len(b)/2] },
		"cut in a page":     func(b []byte) []byte { return b[:len(b)/2+100] },
		"cut to a page":     func(b []byte) []byte { return b[:4096] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := damaged(t, change)
			for name, open := range map[string]func(context.Context, string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenReadOnly": sqlite.OpenReadOnly} {
				store, err := open(ctx, path)
				if err != nil {
					continue // as it should be, where the damage is in what is read first
				}
				report, err := engine.Verify(ctx, store, engine.VerifyOptions{})
				if err == nil && report.ProblemCount == 0 {
					t.Errorf("%s: the damaged ledger verifies: %+v", name, report)
				}
				_, err = store.Holder(ctx, 7)
				_, err2 := store.LastCommit(ctx)
				t.Logf("%s: verify %v, %v; Holder %v; LastCommit %v", name, report, err, err, err2)
				closed(t, store)
			}
		})
	}
}

// Another program's database is refused, and left as it is.
func TestAnotherDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.db")
	if err := execute(path, "CREATE TABLE accounts (name TEXT)"); err != nil {
		t.Fatal(err)
	}
	if store, err := sqlite.Open(ctx, path); err == nil {
		t.Error("another program's database was opened as a ledger")
		closed(t, store)
	}
	if store, err := sqlite.OpenReadOnly(ctx, path); err == nil {
		t.Error("another program's database was opened as a ledger")
		closed(t, store)
	}
	if err := execute(path, "INSERT INTO accounts VALUES ('still there')"); err != nil {
		t.Error(err)
	}
}

// A refused Open leaves no lock and nothing that runs.
func TestFailedOpenLetsGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, store)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, open := range map[string]func(context.Context, string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenReadOnly": sqlite.OpenReadOnly} {
		if store, err := open(cancelled, path); err == nil || store != nil {
			t.Errorf("%s by somebody who gave up: %v, %v", name, store, err)
		}
	}
	never := filepath.Join(t.TempDir(), "never.db")
	if store, err := sqlite.Create(cancelled, never); err == nil || store != nil {
		t.Errorf("Create by somebody who gave up: %v, %v", store, err)
	}
	if _, err := os.Stat(never); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a ledger was left: %v", err)
	}
	if store, err = sqlite.Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	closed(t, store)
}

// A write that gives up at any instant leaves the writer usable: neither a lost
// connection nor an open transaction stands in the way of the next.
func TestWriterOutlivesThoseWhoGiveUp(t *testing.T) {
	t.Parallel()
	store := created(t, filepath.Join(t.TempDir(), "ledger.db"))
	for i := range 200 {
		given, cancel := context.WithTimeout(ctx, time.Duration(i%40)*10*time.Microsecond)
		id := ledger.AccountID(100 + i)
		err := store.Write(given, func(tx engine.Tx) error {
			return tx.InsertAccount(given, holder(id))
		})
		cancel()
		_, there := store.Holder(ctx, id)
		if (err == nil) != (there == nil) && !errors.Is(err, engine.ErrCommitUnknown) {
			t.Errorf("write %d gave %v, and then reading gave %v", i, err, there)
		}
	}
	insert(t, store, 8)
}

// What is no ledger is refused before anything in it is changed, and a ledger of
// a later version is refused.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty, text, foreign, newer := filepath.Join(dir, "empty"), filepath.Join(dir, "text"), filepath.Join(dir, "foreign"), filepath.Join(dir, "newer")
	for path, content := range map[string]string{empty: "", text: strings.Repeat("not a database ", 100)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Create(ctx, newer)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, store)
	for path, statement := range map[string]string{
		foreign: "CREATE TABLE another (program TEXT)",
		newer:   "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)",
	} {
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]error{empty: sqlite.ErrNotLedger, text: sqlite.ErrNotLedger, foreign: sqlite.ErrNotLedger, newer: sqlite.ErrNewer} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func(context.Context, string) (*sqlite.Store, error){"Open": sqlite.Open, "OpenReadOnly": sqlite.OpenReadOnly} {
			if _, err := open(ctx, path); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %s: %v, want %v", name, path, err, want)
			}
		}
		after, err := os.ReadFile(path)
		if err != nil || errors.Is(want, sqlite.ErrNotLedger) && string(after) != string(before) {
			t.Errorf("%s was changed: %v", path, err)
		}
	}
}
