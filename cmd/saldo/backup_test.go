package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// copied is what backup and restore print in JSON.
type copied struct {
	Path            string   `json:"path"`
	Size            int64    `json:"size"`
	Transactions    *int64   `json:"transactions"`
	Entries         *int64   `json:"entries"`
	LastTransaction *string  `json:"last_transaction_at"`
	Seconds         *float64 `json:"seconds"`
}

func readCopied(t *testing.T, out string) (c copied) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &c); err != nil || strings.Count(out, "\n") != 1 || c.Transactions == nil || c.Entries == nil || c.Seconds == nil {
		t.Fatalf("%s, %v", out, err)
	}
	return c
}

func TestBackupAndRestore(t *testing.T) {
	db := newBooks(t)
	s := serve(t, "--db", db, "--listen", "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "backup.db")
	out, errs, status := command(t, "backup", file, "--db", db)
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(file) + `: 1 transactions, the last of 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z; 1 entries, \d+ bytes, verified: everything adds up\n$`)
	if status != cli.ExitOK || errs != "" || !want.MatchString(out) {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	out, errs, status = command(t, "backup", file, "--db", db)
	if status != cli.ExitFailure || out != "" || !strings.Contains(errs, file+": a file is already there\nhint: choose another name, or replace the file with --force") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	out, errs, status = command(t, "backup", file, "--db", db, "--force", "--output", "json")
	made := readCopied(t, out)
	info, err := os.Stat(file)
	if err != nil || status != cli.ExitOK || errs != "" || made.Path != file || made.Size != info.Size() || *made.Transactions != 1 || *made.Entries != 1 || *made.Seconds < 0 {
		t.Errorf("status %d with %s%s, %v", status, out, errs, err)
	}
	if last, err := time.Parse(timeLayout, *made.LastTransaction); err != nil || time.Since(last) < 0 || time.Since(last) > time.Hour {
		t.Errorf("the last transaction was at %s, %v", *made.LastTransaction, err)
	}
	if s.stop() != cli.ExitOK {
		t.Error("the server did not stop well")
	}

	// The ledger itself is not replaced, nor what would be mixed into the new one.
	out, errs, status = command(t, "restore", file, "--db", db)
	if status != cli.ExitFailure || out != "" || !strings.Contains(errs, db+": a file is already there\nhint: a restore never replaces a ledger: move it away first") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	restored := filepath.Join(t.TempDir(), "restored.db")
	if err := os.WriteFile(restored+"-wal", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status = command(t, "restore", file, "--db", restored)
	if status != cli.ExitFailure || out != "" || !strings.Contains(errs, restored+"-wal: it was left by a ledger that was there before\nhint: SQLite would mix it with the new file: move "+restored+"-wal") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	if err := os.Remove(restored + "-wal"); err != nil {
		t.Fatal(err)
	}
	out, errs, status = command(t, "restore", file, "--db", restored)
	if status != cli.ExitOK || !strings.HasPrefix(out, restored+": 1 transactions, the last of ") || !strings.HasSuffix(out, "\n\nNext:\n  saldo serve --db "+restored+"\n") ||
		!strings.Contains(errs, "idempotency keys used since are forgotten") || !strings.Contains(errs, "keys revoked since are valid again") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	if got, status := verifyJSON(t, "--db", restored); status != cli.ExitOK || *got.Transactions != 1 || *got.Entries != 1 {
		t.Errorf("status %d with %+v", status, got)
	}
	again := filepath.Join(t.TempDir(), "again.db")
	out, errs, status = command(t, "restore", file, "--db", "sqlite:"+again, "-o", "json")
	if got := readCopied(t, out); status != cli.ExitOK || got.Size != made.Size || *got.LastTransaction != *made.LastTransaction || !strings.HasPrefix(errs, "warning: ") {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
}

// A ledger in which nothing was posted has a backup too.
func TestBackupOfEmptyLedger(t *testing.T) {
	db, _ := newLedger(t)
	file := filepath.Join(t.TempDir(), "backup.db")
	out, _, status := command(t, "backup", file, "--db", db, "-o", "json")
	if made := readCopied(t, out); status != cli.ExitOK || made.LastTransaction != nil || *made.Transactions != 0 || !strings.Contains(out, `"last_transaction_at":null`) {
		t.Errorf("status %d with %s", status, out)
	}
	out, _, status = command(t, "backup", file, "--db", db, "--force")
	if status != cli.ExitOK || !strings.HasPrefix(out, file+": 0 transactions; 0 entries, ") {
		t.Errorf("status %d with %s", status, out)
	}
}

func TestBackupErrors(t *testing.T) {
	db := newBooks(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "backup.db")
	for _, tt := range []struct {
		args   []string
		want   string
		hint   string
		status int
	}{
		{[]string{"backup", file}, "missing flags: --db=PATH", "", cli.ExitUsage},
		{[]string{"backup", "--db", db}, `expected "<file>"`, "", cli.ExitUsage},
		{[]string{"backup", "-", "--db", db}, "it cannot be a stream", "name a file", cli.ExitFailure},
		{[]string{"backup", file, "--db", db + "x"}, "no ledger there", "name the ledger", cli.ExitFailure},
		{[]string{"backup", file, "--db", "https://h/d"}, "cannot be kept at", "name the path of a SQLite file", cli.ExitFailure},
		{[]string{"backup", file, "--db", "postgres://u:hidden@127.0.0.1:1/d"}, "backed up by PostgreSQL's own tools", "use pg_dump, or pg_basebackup", cli.ExitFailure},
		{[]string{"backup", db, "--db", db}, "a file is already there", "--force", cli.ExitFailure},
		{[]string{"backup", db, "--db", db, "--force"}, "this is the ledger itself", "name another file", cli.ExitFailure},
		{[]string{"backup", folder, "--db", db, "--force"}, "not a regular file", "", cli.ExitFailure},
		{[]string{"backup", filepath.Join(folder, "none", "x"), "--db", db}, filepath.Join(folder, "none", "x") + " cannot be written: no such file or directory", "make the folder first", cli.ExitFailure},
		{[]string{"restore", db}, "missing flags: --db=PATH", "", cli.ExitUsage},
		{[]string{"restore", "-", "--db", file}, "it cannot be a stream", "name a file", cli.ExitFailure},
		{[]string{"restore", db + "x", "--db", file}, "no ledger there", "name a file that saldo backup wrote", cli.ExitFailure},
		{[]string{"restore", writeFile(t, "text"), "--db", file}, "not a Saldo ledger", "name a file that saldo backup wrote", cli.ExitFailure},
		{[]string{"restore", db, "--db", "postgres://u:hidden@127.0.0.1:1/d"}, "cannot be restored into PostgreSQL", "use pg_restore", cli.ExitFailure},
	} {
		out, errs, status := command(t, tt.args...)
		if status != tt.status || out != "" || !strings.Contains(errs, tt.want) || !strings.Contains(errs, tt.hint) || strings.Contains(errs, "hidden") {
			t.Errorf("%q: status %d with %s%s", tt.args, status, out, errs)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// tamper changes a ledger's file behind Saldo's back.
func tamper(t *testing.T, db, statement string) {
	t.Helper()
	file, err := sql.Open("sqlite", db)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.ExecContext(t.Context(), statement)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// What does not add up is no backup, and restores nothing.
func TestUnsoundBackup(t *testing.T) {
	db := newBooks(t)
	tamper(t, db, "UPDATE wallets SET balance = balance + 1000000 WHERE service = 'sms'")
	folder := t.TempDir()
	for _, args := range [][]string{
		{"backup", filepath.Join(folder, "backup.db"), "--db", db},
		{"restore", db, "--db", filepath.Join(folder, "ledger.db")},
	} {
		out, errs, status := command(t, args...)
		if status != cli.ExitFailure || out != "" || !strings.Contains(errs, "wallet sms of account 1042: its entries add up to 100, the wallet says 101\n") ||
			!strings.Contains(errs, "saldo: the ledger is not sound, so the copy of it was not kept: 2 problems\nhint: ") {
			t.Errorf("%q: status %d with %s%s", args, status, out, errs)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("there is %v, %v", left, err)
	}
}

// Whoever waits for a large ledger sees what is being done.
func TestBackupProgress(t *testing.T) {
	var errs locked
	p := progress{streams: cli.Streams{Err: &errs}, started: time.Now()}
	p.showCopy(3<<20, 10<<20)
	p.showCopy(4<<20, 10<<20) // too soon to be shown
	p.showCopy(10<<20, 10<<20)
	p.shown = time.Time{}
	p.showCheck(engine.Report{Wallets: 1, Entries: 2})
	p.end()
	lines := strings.Split(errs.String(), eraseLine)
	if len(lines) != 5 || !slices.Equal(lines[:3], []string{"", "copied 3 of 10 MiB", "copied; checking every page"}) ||
		!strings.HasPrefix(lines[3], "verifying: 1 wallets, 2 entries, 0 transactions, 0 holds; ") || lines[4] != "" {
		t.Errorf("%q", lines)
	}
}

// A backup has what was posted before it, and a restored ledger forgets the rest:
// that is what the warning is about.
func TestRestoredLedgerForgets(t *testing.T) {
	db := newBooks(t)
	file, restored := filepath.Join(t.TempDir(), "backup.db"), filepath.Join(t.TempDir(), "restored.db")
	if out, errs, status := command(t, "backup", file, "--db", db); status != cli.ExitOK {
		t.Fatalf("status %d with %s%s", status, out, errs)
	}
	post(t, db, "after", ledger.Charge, 30)
	if out, errs, status := command(t, "restore", file, "--db", restored); status != cli.ExitOK {
		t.Fatalf("status %d with %s%s", status, out, errs)
	}
	work(t, restored, func(e *engine.Engine) error {
		charge := ledger.Request{IdempotencyKey: "after", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 1042, Service: ledger.SMS}, Amount: 30 * ledger.Scale}
		posted, replayed, err := e.Post(t.Context(), charge)
		if err != nil || replayed || posted.Balance != 70*ledger.Scale {
			t.Errorf("%+v, replayed %v, %v", posted, replayed, err)
		}
		topUp := ledger.Request{IdempotencyKey: "topup", Kind: ledger.TopUp, Wallet: charge.Wallet, Amount: 100 * ledger.Scale}
		if _, replayed, err = e.Post(t.Context(), topUp); err != nil || !replayed {
			t.Errorf("what was posted before the backup is posted again: %v", err)
		}
		return nil
	})
	if _, err := app.Backup(t.Context(), restored, file, app.BackupOptions{Force: true}); err != nil {
		t.Error(err)
	}
}
