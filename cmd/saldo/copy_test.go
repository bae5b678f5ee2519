package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/engine"
)

// The report says for scripts what is said to people.
func TestCopyReports(t *testing.T) {
	t.Parallel()
	db := newBooks(t)
	to := filepath.Join(t.TempDir(), "copy.db")
	out, errs, status := command(t, "copy", "--from", db, "--to", to, "--output", "json")
	var got struct {
		From, To string
		Finished bool
		Copied   int64 `json:"copied_transactions"`
		Problems []string
		Verified *engine.Report
		Seconds  float64
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != cli.ExitOK || errs != "" {
		t.Fatalf("status %d: %s%s, %v", status, out, errs, err)
	}
	if got.From != db || got.To != to || !got.Finished || got.Copied != 1 || got.Problems == nil || got.Verified.Entries != 1 || got.Seconds <= 0 {
		t.Errorf("%+v", got)
	}
	out, errs, status = command(t, "copy", "--from", db, "--to", to)
	if status != cli.ExitOK || errs != "" || !strings.HasPrefix(out, "copied 0 transactions to "+to+" in ") || !strings.Contains(out, "saldo serve --db "+to) {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
	if _, errs, status := command(t, "copy", "--from", to, "--to", db); status != cli.ExitFailure || !strings.Contains(errs, "hint: copy into a new file") {
		t.Errorf("status %d: %s", status, errs)
	}
}

// What is wrong is shown, and cannot steer the terminal.
func TestCopyShowsProblems(t *testing.T) {
	t.Parallel()
	var out locked
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard}
	result := copyResult{From: "a", To: "b", Seconds: 1.25, CopyReport: &app.CopyReport{Copied: 7, ProblemCount: 3, Problems: []string{"one\x1b[2J", "two"}}}
	if err := result.print(streams); err != nil {
		t.Fatal(err)
	}
	const want = "one\ufffd[2J\ntwo\n… and 1 more\ncopied 7 transactions to b in 1.2 s: 3 problems\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out = locked{}
	result.CopyReport = &app.CopyReport{Copied: 7, Left: 2}
	if err := result.print(streams); err != nil || out.String() != "copied 7 transactions to b in 1.2 s; 2 are left\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestCopyProgress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		so   app.CopyProgress
		took time.Duration
		want string
	}{
		{app.CopyProgress{Stage: "counting"}, 0, "counting…"},
		{app.CopyProgress{Stage: "copying", Done: 250, Total: 1000}, time.Millisecond, "copying     25% ━━━━━───────────────  250 of 1000"},
		{app.CopyProgress{Stage: "copying", Done: 600, Before: 200, Total: 1000}, 4 * time.Second, "copying     60% ━━━━━━━━━━━━────────  600 of 1000; 100/s, 4s left"},
		{app.CopyProgress{Stage: "verifying", Total: 9, Verified: engine.Report{Wallets: 2, Entries: 8}}, time.Second, "verifying  2 wallets, 8 entries, 0 transactions, 0 holds; 10/s"},
	} {
		if got := copyText(&tt.so, tt.took); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
