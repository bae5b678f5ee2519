package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// newBooks makes a ledger with an account 1042, 100 CNY for SMS.
func newBooks(t *testing.T) (db string) {
	t.Helper()
	db, _ = newLedger(t)
	work(t, db, func(e *engine.Engine) error {
		_, err := e.CreateAccount(t.Context(), ledger.Account{ID: 1042, Name: "Lotus Travel", Currency: "CNY"})
		return err
	})
	post(t, db, "topup", ledger.TopUp, 100)
	return db
}

// work does something with a ledger that is not served.
func work(t *testing.T, db string, do func(*engine.Engine) error) {
	t.Helper()
	store, err := app.OpenStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(context.WithoutCancel(t.Context()), store, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = do(e)
	e.Close()
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
}

func post(t *testing.T, db, key string, kind ledger.Kind, units ledger.Amount) {
	t.Helper()
	work(t, db, func(e *engine.Engine) error {
		posted, _, err := e.Post(t.Context(), ledger.Request{
			IdempotencyKey: key, Kind: kind, Wallet: ledger.WalletRef{Account: 1042, Service: ledger.SMS}, Amount: units * ledger.Scale,
		})
		if err == nil {
			err = posted.Err()
		}
		return err
	})
}

// report is what verify prints in JSON.
type report struct {
	Wallets             *int64   `json:"wallets"`
	Entries             *int64   `json:"entries"`
	Transactions        *int64   `json:"transactions"`
	Holds               *int64   `json:"holds"`
	Heads               *int64   `json:"checkpoint_heads"`
	CheckpointCreatedAt string   `json:"checkpoint_created_at"`
	ProblemCount        *int64   `json:"problem_count"`
	Problems            []string `json:"problems"`
}

func verifyJSON(t *testing.T, args ...string) (report, int) {
	t.Helper()
	out, _, status := command(t, append([]string{"verify", "--output", "json"}, args...)...)
	var got report
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Wallets == nil || got.Entries == nil || got.Transactions == nil ||
		got.Holds == nil || got.Heads == nil || got.ProblemCount == nil || got.Problems == nil {
		t.Fatalf("%s, %v", out, err)
	}
	return got, status
}

// An unsound ledger is a failure for scripts, and told in words for people.
func TestVerifyReports(t *testing.T) {
	var out locked
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard}
	result := verification{Report: &engine.Report{
		Wallets: 2, Entries: 3, Transactions: 4, Holds: 5, ProblemCount: 103, Problems: []string{"one", "two\x1b[2J\r\n", "三"},
	}}
	if err := result.print(streams); err != nil {
		t.Error(err)
	}
	// What a tamperer wrote must not steer the terminal.
	if want := "one\ntwo�[2J��\n三\n… and 100 more\n2 wallets, 3 entries, 4 transactions with their refunds, 5 holds: 103 problems\n"; out.String() != want {
		t.Errorf("%s", &out)
	}
	if status := cli.Report(streams, fmt.Errorf("wrapped: %w", errUnsound)); status != cli.ExitFailure {
		t.Errorf("status %d", status)
	}
	out = locked{}
	result = verification{Report: &engine.Report{Heads: 7}, CheckpointCreatedAt: "2026-11-22T03:00:00.000000Z"}
	if err := result.print(streams); err != nil {
		t.Error(err)
	}
	if want := "compared with the checkpoint of 2026-11-22T03:00:00.000000Z: 7 heads\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%s", &out)
	}
}

// Whoever waits for a large ledger sees that it goes on, and how fast.
func TestVerifyProgress(t *testing.T) {
	r := engine.Report{Wallets: 1000, Entries: 20_000, Transactions: 3000, Holds: 1000}
	for _, tt := range []struct {
		took     time.Duration
		problems int64
		want     string
	}{
		{0, 0, "1000 wallets, 20000 entries, 3000 transactions, 1000 holds"},
		{2 * time.Second, 0, "1000 wallets, 20000 entries, 3000 transactions, 1000 holds; 12500/s"},
		{time.Second / 2, 3, "1000 wallets, 20000 entries, 3000 transactions, 1000 holds, 3 problems; 50000/s"},
	} {
		r.ProblemCount = tt.problems
		if got := progressText(&r, tt.took); got != tt.want {
			t.Errorf("%s", got)
		}
	}
	var out locked
	watch := progress{streams: cli.Streams{Err: &out}, started: time.Now()}
	if watch.update() != nil {
		t.Error("it overwrites a line where nobody watches")
	}
	watch.end()
	if out.String() != "" {
		t.Errorf("%q", &out)
	}
	for range 1000 {
		watch.show(r)
	}
	if got := strings.Count(out.String(), eraseLine); got < 1 || got > 10 {
		t.Errorf("it is shown %d times at once", got)
	}
	watch.end()
	if !strings.HasSuffix(out.String(), eraseLine) {
		t.Errorf("%q", &out)
	}
}

func TestVerifyWithCheckpoint(t *testing.T) {
	db := newBooks(t)
	key, file := makeCheckpoint(t, db)
	post(t, db, "charge", ledger.Charge, 1)
	out, errs, status := command(t, "verify", "--db", db, "--checkpoint", file, "--public-key", key)
	lines := strings.Split(out, "\n")
	if status != cli.ExitOK || errs != "" || len(lines) != 3 || !strings.HasPrefix(lines[0], "compared with the checkpoint of 20") ||
		!strings.HasSuffix(lines[0], "Z: 1 heads") || lines[1] != "2 wallets, 2 entries, 2 transactions with their refunds, 0 holds: everything adds up" {
		t.Errorf("status %d with %s%s", status, out, errs)
	}
	got, status := verifyJSON(t, "--db", db, "--checkpoint", file, "--public-key", key)
	if status != cli.ExitOK || *got.Heads != 1 || *got.Entries != 2 || got.CheckpointCreatedAt == "" ||
		!strings.Contains(lines[0], got.CheckpointCreatedAt) {
		t.Errorf("status %d with %+v", status, got)
	}
	got, status = verifyJSON(t, "--db", db)
	if status != cli.ExitOK || *got.Heads != 0 || got.CheckpointCreatedAt != "" {
		t.Errorf("status %d with %+v", status, got)
	}
	// Against the books of somebody else, nothing is as the checkpoint says.
	other, _ := newLedger(t)
	got, status = verifyJSON(t, "--db", other, "--checkpoint", file, "--public-key", key)
	if status != cli.ExitFailure || *got.ProblemCount != 1 || got.Problems[0] != "wallet sms of account 1042: the checkpoint has it, the ledger does not" {
		t.Errorf("status %d with %+v", status, got)
	}
}

// With what cannot be used nothing is known of the ledger, and scripts can tell.
func TestUnusableCheckpoints(t *testing.T) {
	db := newBooks(t)
	key, file := makeCheckpoint(t, db)
	otherKey, _ := makeCheckpoint(t, db)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := func(text string) string { return writeFile(t, text) }
	private := strings.TrimSuffix(key, ".pub.pem") + ".pem"
	for _, tt := range []struct{ checkpoint, key, want, hint string }{
		{file, otherKey, "the checkpoint was signed with another key, MCow", "name the public key that belongs to it"},
		{with(strings.Replace(string(text), " sms 1 ", " sms 2 ", 1)), key, "the file is not as it was signed", "somebody changed it"},
		{with(string(text[:len(text)-50])), key, "the file ends before its signature", "copy it again"},
		{with(""), key, "the file ends before its signature", "copy it again"},
		{with(strings.Replace(string(text), ":1,", ":7,", 1)), key, "does not know: 7", "run the version of Saldo that wrote it"},
		{with(strings.Replace(string(text), `"signature":"`, `"signature":"AAAA`, 1)), key, "the signature does not fit", "somebody changed the file and could not sign it again"},
		{with("hello"), key, "the file is not a checkpoint", `name a file that "saldo checkpoint" wrote`},
		{db, key, "the file is not a checkpoint", `name a file that "saldo checkpoint" wrote`},
		{filepath.Dir(db), key, "the checkpoint must be a file", "copy it into a file first"},
		{file + "x", key, file + "x: no such file or directory", ""},
		{file, key + "x", key + "x: no such file or directory", ""},
		{file, file, file + ": not a public key of Ed25519 in PEM", "openssl pkey"},
		{file, private, private + ": this is a private key, and a public one is needed", "name KEY.pub.pem"},
		{file, "", "--checkpoint needs --public-key", "a signature that is checked with the key in the same file proves nothing"},
		{"", key, "--public-key needs --checkpoint", "name the checkpoint"},
	} {
		out, errs, status := command(t, "verify", "--db", db, "--checkpoint="+tt.checkpoint, "--public-key="+tt.key)
		if status != cli.ExitUsage || out != "" || !strings.Contains(errs, tt.want) || !strings.Contains(errs, tt.hint) {
			t.Errorf("%+v: status %d with %s%s", tt, status, out, errs)
		}
	}
	// A ledger that cannot be read is the ledger's failure.
	_, errs, status := command(t, "verify", "--db", db+"x", "--checkpoint", file, "--public-key", key)
	if status != cli.ExitFailure || !strings.Contains(errs, "no ledger there") {
		t.Errorf("status %d with %s", status, errs)
	}
}
