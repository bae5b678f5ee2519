package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// run runs a command that must have this exit status.
func run(t *testing.T, status int, args ...string) saldotest.Result {
	t.Helper()
	got := saldotest.Run(t, args...)
	if got.Status != status {
		t.Fatalf("%q: %+v", args, got)
	}
	return got
}

// serveOther starts a server of another ledger with the same keys.
func (w *world) serveOther(t *testing.T, db string) *world {
	t.Helper()
	other := &world{store: w.store, db: db, key: w.key}
	other.serve(t)
	return other
}

// get reads something as the operator.
func (w *world) get(t *testing.T, path string) string {
	t.Helper()
	reply := w.Send(t, http.MethodGet, path, "", "Authorization", "Bearer "+w.key)
	if reply.Status != http.StatusOK {
		t.Fatalf("%s: %+v", path, reply)
	}
	return reply.Body
}

// files lists the names in a folder.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// charges are those that a server has acknowledged: replies by idempotency key.
type charges struct {
	mu      sync.Mutex
	replies map[string]string
}

func (c *charges) copy() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.replies)
}

// await waits until there are so many.
func (c *charges) await(t *testing.T, n int) map[string]string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if replies := c.copy(); len(replies) >= n {
			return replies
		}
	}
	t.Fatalf("there are only %d charges", len(c.copy()))
	return nil
}

const oneCharge = `{"account":1042,"wallet":"sms","type":"charge","amount":"0.01"}`

// keepCharging lets clients charge account 1042 until stop is called.
func (w *world) keepCharging(t *testing.T) (c *charges, stop func()) {
	t.Helper()
	c = &charges{replies: map[string]string{}}
	ended := make(chan struct{})
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				default:
				}
				key := fmt.Sprintf("%d-%d", client, n)
				reply := w.Send(t, http.MethodPost, "/v1/transactions", oneCharge, "Authorization", "Bearer "+w.key, "Idempotency-Key", key)
				if reply.Status != http.StatusCreated {
					t.Errorf("%+v", reply)
					return
				}
				c.mu.Lock()
				c.replies[key] = reply.Body
				c.mu.Unlock()
			}
		})
	}
	return c, sync.OnceFunc(func() {
		close(ended)
		clients.Wait()
	})
}

// TestBackupWhileCharging makes a backup of a ledger that is being served and
// charged. It holds all that was acknowledged before, and a server of it gives
// the same replies.
func TestBackupWhileCharging(t *testing.T) {
	w := newWorld(t, saldotest.SQLite)
	w.account(t, api.AccountRequest{ID: 1042}, map[string]string{"sms": "100000", "voip": "7"})
	c, stop := w.keepCharging(t)
	defer stop()
	before := c.await(t, 100)
	folder := t.TempDir()
	file, restored := filepath.Join(folder, "backup.db"), filepath.Join(folder, "restored.db")
	made := run(t, 0, "backup", file, "--db", w.db, "--output", "json")
	after := c.copy()
	var said struct {
		Path                        string
		Size, Transactions, Entries int64
		LastTransaction             time.Time `json:"last_transaction_at"`
		Seconds                     float64
	}
	if err := json.Unmarshal([]byte(made.Stdout), &said); err != nil || said.Path != file || said.Entries < int64(len(before)) || said.Seconds <= 0 || made.Stderr != "" {
		t.Errorf("%+v, %v", made, err)
	}
	if len(after) == len(before) {
		t.Error("no charge was posted while the backup was made")
	}
	c.await(t, len(after)+100) // and they go on
	stop()
	saldotest.Verify(t, file)
	run(t, 0, "restore", file, "--db", restored)
	other := w.serveOther(t, restored)
	for key, body := range before {
		reply := other.Send(t, http.MethodPost, "/v1/transactions", oneCharge, "Authorization", "Bearer "+w.key, "Idempotency-Key", key)
		if reply.Body != body || reply.Header.Get("Idempotent-Replayed") != "true" {
			t.Fatalf("charge %s was answered\n%sand after the restore\n%+v", key, body, reply)
		}
	}
	other.Stop()
	saldotest.Verify(t, restored)

	// Nothing of what was posted in between is known there: that is what the warning says.
	quiet := filepath.Join(folder, "quiet.db")
	run(t, 0, "backup", file, "--db", w.db, "--force")
	said2 := run(t, 0, "restore", file, "--db", quiet)
	if !strings.Contains(said2.Stderr, "idempotency keys used since are forgotten") || !strings.HasSuffix(said2.Stdout, "\n  saldo serve --db "+quiet+"\n") {
		t.Errorf("%+v", said2)
	}
	same := w.serveOther(t, quiet)
	for _, path := range []string{
		"/v1/accounts", "/v1/accounts/1042/wallets/sms", "/v1/accounts/1042/wallets/voip", "/v1/accounts/1042/wallets/sms/statement?limit=500",
		"/v1/reports/trial-balance", "/v1/keys",
	} {
		if here, there := moment.ReplaceAllString(w.get(t, path), "{"), moment.ReplaceAllString(same.get(t, path), "{"); here != there {
			t.Errorf("%s\nthe ledger:   %s\nthe restored: %s", path, here, there)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*.partial*")); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// moment is when a report was made.
var moment = regexp.MustCompile(`^{"created_at":"[^"]*",`)

// TestRestoreRefusesOldLog restores where a ledger was that was killed, of which
// somebody moved the database away and not its log. SQLite would take the log
// for that of the new database.
func TestRestoreRefusesOldLog(t *testing.T) {
	w := newWorld(t, saldotest.SQLite)
	w.account(t, api.AccountRequest{ID: 1042}, map[string]string{"sms": "100"})
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	run(t, 0, "backup", file, "--db", w.db)
	w.post(t, api.TransactionRequest{Account: 1042, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("30")})
	w.Kill()
	log, err := os.ReadFile(w.db + "-wal")
	if err != nil || len(log) == 0 {
		t.Fatalf("the server left no log: %v", err)
	}
	there := run(t, 1, "restore", file, "--db", w.db)
	if !strings.Contains(there.Stderr, "a file is already there\nhint: a restore never replaces a ledger: move it away first, with the -wal and -shm files") {
		t.Errorf("%+v", there)
	}
	move := func(suffix string) {
		t.Helper()
		if err := os.Rename(w.db+suffix, filepath.Join(folder, "old.db"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	move("")
	for _, suffix := range []string{"-wal", "-shm"} {
		mixed := run(t, 1, "restore", file, "--db", w.db)
		if !strings.Contains(mixed.Stderr, w.db+suffix+": it was left by a ledger") || !strings.Contains(mixed.Stderr, "hint: SQLite would mix it with the new file: move "+w.db+suffix+" to where that ledger went") {
			t.Errorf("%+v", mixed)
		}
		if _, err := os.Lstat(w.db); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a ledger: %v", err)
		}
		move(suffix)
	}
	run(t, 0, "restore", file, "--db", w.db)
	// Each has what it had: the backup nothing of the charge, and the old ledger all of it.
	for db, balance := range map[string]string{w.db: "100.000000", filepath.Join(folder, "old.db"): "70.000000"} {
		other := w.serveOther(t, db)
		if got := other.get(t, "/v1/accounts/1042/wallets/sms"); !strings.Contains(got, `"balance":"`+balance+`"`) && !strings.Contains(got, `"balance":"`+strings.TrimSuffix(balance, ".000000")+`"`) {
			t.Errorf("%s: %s", db, got)
		}
		other.Stop()
		saldotest.Verify(t, db)
	}
}

// large makes a ledger that takes some time to copy and verify.
func large(t *testing.T) (db string) {
	t.Helper()
	w := newWorld(t, saldotest.SQLite)
	w.account(t, api.AccountRequest{ID: 1042}, map[string]string{"sms": "100000"})
	for batch := range 4 {
		request := api.BatchRequest{}
		for n := range 1000 {
			request.Transactions = append(request.Transactions, api.BatchTransaction{
				IdempotencyKey: fmt.Sprintf("%d-%d", batch, n), Account: 1042, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("0.01"),
			})
		}
		if _, err := w.operator.PostBatch(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	w.Stop()
	return w.db
}

// interrupt runs a command that makes a file, and sends it a signal as soon as
// it is at it. It gives what the command printed, and false when that was too
// quick for it.
func interrupt(t *testing.T, file string, signal os.Signal, args ...string) (saldotest.Result, bool) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.Command(saldotest.Binary(t), args...)
	command.Env = saldotest.Environment()
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for over := false; !over; {
		if info, err := os.Stat(file + ".partial"); err == nil && info.Size() > 0 {
			// A process that is gone already is seen by its exit status.
			_ = command.Process.Signal(signal)
			<-ended
			break
		}
		select {
		case <-ended:
			over = true
		case <-time.After(200 * time.Microsecond):
		}
	}
	return saldotest.Result{Stdout: stdout.String(), Stderr: stderr.String(), Status: command.ProcessState.ExitCode()}, command.ProcessState.ExitCode() != 0
}

// TestBackupInterrupted kills and interrupts backups and restores in the middle.
// There is no file under the final name, and the next one succeeds.
func TestBackupInterrupted(t *testing.T) {
	db := large(t)
	source := filepath.Join(t.TempDir(), "source.db")
	run(t, 0, "backup", source, "--db", db)
	for name, args := range map[string]func(file string) []string{
		"backup":  func(file string) []string { return []string{"backup", file, "--db", db} },
		"restore": func(file string) []string { return []string{"restore", source, "--db", file} },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			file := filepath.Join(folder, "file.db")
			for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
				got := caught(t, file, signal, args(file)...)
				left := files(t, folder)
				switch {
				case slices.Contains(left, "file.db"):
					t.Errorf("%s: there is %v after %+v", signal, left, got)
				case signal == syscall.SIGKILL && !slices.Contains(left, "file.db.partial"):
					t.Errorf("%s: there is %v", signal, left)
				case signal != syscall.SIGKILL && (len(left) > 0 || got.Status != 1 || !strings.Contains(got.Stderr, "saldo: interrupted")):
					t.Errorf("%s: there is %v after %+v", signal, left, got)
				}
			}
			run(t, 0, args(file)...)
			saldotest.Verify(t, file)
			if left := files(t, folder); !slices.Equal(left, []string{"file.db"}) {
				t.Errorf("there is %v", left)
			}
		})
	}
}

// caught interrupts a command in the middle, in one of several attempts.
func caught(t *testing.T, file string, signal os.Signal, args ...string) saldotest.Result {
	t.Helper()
	for range 20 {
		got, ok := interrupt(t, file, signal, args...)
		if ok {
			return got
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("it is always quicker than %s", signal)
	return saldotest.Result{}
}

// TestBackupWithoutRoom makes backups where they cannot be written.
func TestBackupWithoutRoom(t *testing.T) {
	db, _ := saldotest.SQLite.NewLedger(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	limited := exec.Command("bash", "-c", `ulimit -f 40 && exec "$@"`, "bash", saldotest.Binary(t), "backup", file, "--db", db)
	limited.Env = saldotest.Environment()
	output, err := limited.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "saldo: copy "+db+" to "+file+": disk I/O error") {
		t.Errorf("%v with %s", err, output)
	}
	if left := files(t, folder); len(left) > 0 {
		t.Errorf("there is %v", left)
	}
	nowhere := run(t, 1, "backup", filepath.Join(folder, "none", "backup.db"), "--db", db)
	if !strings.Contains(nowhere.Stderr, "backup.db cannot be written: no such file or directory\nhint: make the folder first") {
		t.Errorf("%+v", nowhere)
	}
	if os.Geteuid() == 0 {
		testFullDisk(t, db)
		return // who may write everywhere
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	refused := run(t, 1, "backup", file, "--db", db)
	if !strings.Contains(refused.Stderr, file+" cannot be written: permission denied\nhint: ") {
		t.Errorf("%+v", refused)
	}
}

// testFullDisk makes a backup on a disk that is too small, which only root can
// make, and may not everywhere.
func testFullDisk(t *testing.T, db string) {
	t.Helper()
	script := `mount -t tmpfs -o size=64k none "$1" || { echo no mount; exit; }
		"$2" backup "$1/backup.db" --db "$3"; echo "status $?"; ls -A "$1"`
	output, err := exec.Command("unshare", "-m", "bash", "-c", script, "bash", t.TempDir(), saldotest.Binary(t), db).CombinedOutput()
	if err != nil || strings.Contains(string(output), "no mount") {
		t.Logf("no disk can be made: %v, %s", err, output)
		return
	}
	if !strings.Contains(string(output), "no space left on the device") || !strings.Contains(string(output), "hint: make room there") || !strings.HasSuffix(string(output), "\nstatus 1\n") {
		t.Errorf("%s", output)
	}
}

// TestRestoreRefusesBadBackups changes backups in every way that is not meant.
func TestRestoreRefusesBadBackups(t *testing.T) {
	w := newWorld(t, saldotest.SQLite)
	w.account(t, api.AccountRequest{ID: 1042}, map[string]string{"sms": "100"})
	folder := t.TempDir()
	good, bad, restored := filepath.Join(folder, "good.db"), filepath.Join(folder, "bad.db"), filepath.Join(folder, "restored.db")
	run(t, 0, "backup", good, "--db", w.db)
	w.Stop()
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(content)
	flipped[len(flipped)-4096] ^= 0xff // what kind of page the last one is
	for name, test := range map[string]struct {
		content []byte
		forge   string
		want    string
	}{
		"cut off":       {content[:len(content)-5000], "", "the file is damaged"},
		"flipped":       {flipped, "", "the file is damaged"},
		"empty":         {nil, "", "not a Saldo ledger"},
		"text":          {[]byte("not a ledger, but long enough for a header that would be that of a SQLite file"), "", "not a Saldo ledger"},
		"forged wallet": {content, "UPDATE wallets SET balance = balance * 2", "the ledger is not sound"},
		"forged amount": {content, "UPDATE transactions SET amount = amount * 2", "the ledger is not sound"},
		"of the future": {content, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)", "of a later version of Saldo"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(bad, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if test.forge != "" {
				forge(t, saldotest.SQLite, bad, test.forge)
			}
			got := run(t, 1, "restore", bad, "--db", restored)
			if !strings.Contains(got.Stderr, test.want) || !strings.Contains(got.Stderr, "\nhint: ") || got.Stdout != "" {
				t.Errorf("%+v", got)
			}
			if left := files(t, folder); !slices.Equal(left, []string{"bad.db", "good.db"}) {
				t.Errorf("there is %v", left)
			}
		})
	}
}

// TestBackupOfPostgreSQL is refused, with a word about what to do, and without
// the password.
func TestBackupOfPostgreSQL(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	for _, args := range [][]string{{"backup", file}, {"restore", file}} {
		got := run(t, 1, append(args, "--db", "postgres://saldo:"+saldotest.Secret+"@127.0.0.1:1/saldo")...)
		if !strings.Contains(got.Stderr, "PostgreSQL") || !strings.Contains(got.Stderr, "docs/backup.md") || strings.Contains(got.Stderr, saldotest.Secret) {
			t.Errorf("%+v", got)
		}
	}
}
