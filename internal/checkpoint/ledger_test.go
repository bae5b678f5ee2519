package checkpoint_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/checkpoint"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// books is a ledger with a few accounts, and who tampers with it.
type books struct {
	t     *testing.T
	path  string
	store *sqlite.Store
	e     *engine.Engine
	count int
}

var sms = ledger.WalletRef{Account: 1042, Service: ledger.SMS}

func newBooks(t *testing.T) *books {
	t.Helper()
	b := &books{t: t, path: filepath.Join(t.TempDir(), "ledger.db")}
	store, err := sqlite.Create(t.Context(), b.path)
	if err != nil {
		t.Fatal(err)
	}
	b.store = store
	b.start()
	t.Cleanup(func() {
		b.e.Close()
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, id := range []ledger.AccountID{7, 1042, 2000} {
		if _, err := b.e.CreateAccount(t.Context(), ledger.Account{ID: id, Name: "Example Ltd", Currency: "CNY"}); err != nil {
			t.Fatal(err)
		}
		b.post(ledger.Request{Kind: ledger.TopUp, Wallet: ledger.WalletRef{Account: id, Service: ledger.SMS}, Amount: 100 * ledger.Scale})
	}
	return b
}

func (b *books) start() {
	b.t.Helper()
	e, err := engine.New(context.WithoutCancel(b.t.Context()), b.store, engine.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.e = e
}

func (b *books) post(r ledger.Request) *ledger.Transaction {
	b.t.Helper()
	b.count++
	r.IdempotencyKey = fmt.Sprintf("posting-%d", b.count)
	posted, _, err := b.e.Post(b.t.Context(), r)
	if err == nil {
		err = posted.Err()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return posted
}

// checkpoint writes one beside the ledger.
func (b *books) checkpoint() *checkpoint.File {
	b.t.Helper()
	private, public := keys(b.t)
	var text bytes.Buffer
	w := checkpoint.NewWriter(&text, time.Now())
	if err := engine.Heads(b.t.Context(), b.store, w.Add); err != nil {
		b.t.Fatal(err)
	}
	if _, err := w.Sign(private); err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join(b.t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.t.Fatal(err)
	}
	file, err := checkpoint.Open(path, public)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { file.Close() })
	return file
}

// verify gives the problems of the ledger, in the light of a checkpoint if there is one.
func (b *books) verify(file *checkpoint.File) []string {
	b.t.Helper()
	var options engine.VerifyOptions
	if file != nil {
		options.Evidence = file.Heads()
	}
	report, err := engine.Verify(b.t.Context(), b.store, options)
	if err != nil {
		b.t.Fatal(err)
	}
	if file != nil && report.Heads != file.Wallets {
		b.t.Errorf("%d heads are compared of %d", report.Heads, file.Wallets)
	}
	return report.Problems
}

// tamper changes the ledger past Saldo, and starts Saldo again over what is left.
func (b *books) tamper(statements ...string) {
	b.t.Helper()
	b.e.Close()
	if err := storetest.Forge(b.t.Context(), b.path, statements...); err != nil {
		b.t.Fatal(err)
	}
	b.start()
}

// toVersion brings back 1042's wallet sms, and all that depends on it, to what it
// was after one of its entries.
func toVersion(version int, revenue string) []string {
	return []string{
		fmt.Sprintf("DELETE FROM transactions WHERE account_id = 1042 AND service = 'sms' AND version > %d", version),
		fmt.Sprintf("DELETE FROM entries WHERE account_id = 1042 AND service = 'sms' AND version > %d", version),
		`UPDATE wallets SET (version, balance, held, head) = (SELECT version, balance, held, hash FROM entries
			WHERE account_id = 1042 AND service = 'sms' ORDER BY version DESC LIMIT 1) WHERE account_id = 1042 AND service = 'sms'`,
		"UPDATE system_accounts SET total = '" + revenue + "' WHERE account = 'revenue'",
	}
}

// The end of a chain that is cut off together with all its effects leaves books
// that add up. Only who remembers the end can tell.
func TestCutTail(t *testing.T) {
	b := newBooks(t)
	hold := b.post(ledger.Request{Kind: ledger.PlaceHold, Wallet: sms, Amount: 10 * ledger.Scale, ExpiresIn: time.Hour})
	b.post(ledger.Request{Kind: ledger.Capture, Wallet: sms, Parent: hold.ID, Final: true}) // version 3
	file := b.checkpoint()
	b.post(ledger.Request{Kind: ledger.Charge, Wallet: sms, Amount: 5 * ledger.Scale})
	if found := append(b.verify(nil), b.verify(file)...); len(found) > 0 {
		t.Fatalf("before anything is done: %q", found)
	}
	// What came after the checkpoint is not in it.
	b.tamper(toVersion(3, "10000000")...)
	if found := append(b.verify(nil), b.verify(file)...); len(found) > 0 {
		t.Fatalf("without what came after the checkpoint: %q", found)
	}
	b.tamper(append(toVersion(2, "0"), "UPDATE holds SET state = 'open', captured = 0, remaining = amount, closed_at = NULL")...)
	if found := b.verify(nil); len(found) > 0 {
		t.Fatalf("the cut is not clean: %q", found)
	}
	if found := b.verify(file); !slices.Equal(found, []string{"wallet sms of account 1042: it ends at entry 2, the checkpoint has 3"}) {
		t.Errorf("%q", found)
	}
	b.tamper(append(toVersion(1, "0"), "DELETE FROM holds")...)
	if found := b.verify(nil); len(found) > 0 {
		t.Fatalf("the cut is not clean: %q", found)
	}
	if found := b.verify(file); !slices.Equal(found, []string{"wallet sms of account 1042: it ends at entry 1, the checkpoint has 3"}) {
		t.Errorf("%q", found)
	}
	// Another history that is as long, and longer, is another one still.
	for range 3 {
		b.post(ledger.Request{Kind: ledger.Charge, Wallet: sms, Amount: ledger.Scale})
	}
	if found := b.verify(nil); len(found) > 0 {
		t.Fatalf("%q", found)
	}
	if found := b.verify(file); !slices.Equal(found, []string{"entry 3 of wallet sms of account 1042: it is not the one of the checkpoint"}) {
		t.Errorf("%q", found)
	}
	// The next checkpoint would bless it, which is why the last one is compared before.
	if found := b.verify(b.checkpoint()); len(found) > 0 {
		t.Errorf("%q", found)
	}
}

// Whole accounts can be gone too, at the beginning, in the middle and at the end.
func TestLostAccounts(t *testing.T) {
	for _, id := range []string{"7", "1042", "2000"} {
		b := newBooks(t)
		file := b.checkpoint()
		b.tamper(
			"DELETE FROM transactions WHERE account_id = "+id, "DELETE FROM entries WHERE account_id = "+id,
			"DELETE FROM wallets WHERE account_id = "+id, "DELETE FROM accounts WHERE id = "+id,
			"UPDATE system_accounts SET total = '-200000000'",
		)
		if found := b.verify(nil); len(found) > 0 {
			t.Fatalf("the cut is not clean: %q", found)
		}
		if found := b.verify(file); !slices.Equal(found, []string{"wallet sms of account " + id + ": the checkpoint has it, the ledger does not"}) {
			t.Errorf("%q", found)
		}
	}
}

// A ledger that has grown is still the one of its first checkpoint, and an empty
// one has a checkpoint too.
func TestGrowth(t *testing.T) {
	b := newBooks(t)
	first := b.checkpoint()
	for _, service := range []ledger.Service{"a", ledger.SMS, ledger.VoIP, "z"} {
		for _, account := range []ledger.AccountID{7, 1042, 2000} {
			w := ledger.WalletRef{Account: account, Service: service}
			if _, _, err := b.e.PutWallet(t.Context(), w, ledger.Settings{}); err != nil {
				t.Fatal(err)
			}
			b.post(ledger.Request{Kind: ledger.TopUp, Wallet: w, Amount: ledger.Scale})
		}
	}
	if found := append(b.verify(first), b.verify(b.checkpoint())...); len(found) > 0 || first.Wallets != 3 {
		t.Errorf("%q", found)
	}
	empty, err := sqlite.Create(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	report, err := engine.Verify(t.Context(), empty, engine.VerifyOptions{Evidence: first.Heads()})
	if err != nil || report.ProblemCount != 3 || !strings.HasPrefix(report.Problems[0], "wallet sms of account 7: ") {
		t.Errorf("%+v, %v", report, err)
	}
}
