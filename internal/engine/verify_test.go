package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// plant does damage to a ledger, and leaves what refuses that as it was.
func plant(t testing.TB, path string, statements ...string) {
	t.Helper()
	if err := storetest.Forge(ctx, path, statements...); err != nil {
		t.Fatal(err)
	}
}

// sample gives a small ledger with a posting of every kind, a copy of one that is made once.
func sample(t *testing.T) (store engine.Store, path string) {
	t.Helper()
	sampleOnce.Do(func() { sampleFile = makeSample(t) })
	path = filepath.Join(t.TempDir(), "ledger.db")
	noError(t, os.WriteFile(path, sampleFile, 0o600))
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noError(t, s.Close()) })
	return s, path
}

var sampleTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var (
	sampleOnce sync.Once
	sampleFile []byte
)

func makeSample(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	clock := storetest.NewClock(sampleTime)
	e := start(t, s, engine.Options{Clock: clock.Now}, 4)
	then := func(r ledger.Request) {
		t.Helper()
		clock.Pass(time.Second)
		post(t, e, r)
	}
	then(topUp("fill", 1, 100))
	for i := range 3 {
		then(charge(fmt.Sprint("c", i+1), 1, 5))
	}
	then(transfer("t", 1, 2, 10))
	tx, _, err := e.Post(ctx, charge("rejected", 2, 1000))
	if err != nil || tx.Rejection == "" {
		t.Fatalf("the charge came out as %+v, %v", tx, err)
	}
	then(refund("refund", idOf("c1"), 2))
	then(ledger.Request{IdempotencyKey: "adjust", Kind: ledger.Adjustment, Wallet: sms(2), Amount: -1})

	// Account 3 has a hold of every state.
	then(topUp("fill-3", 3, 100))
	then(place("open", 3, 30))
	then(part("open-1", idOf("open"), 10))
	then(extend("open-2", idOf("open"), 2*time.Hour))
	then(place("captured", 3, 20))
	then(capture("captured-1", idOf("captured"), 5))
	then(place("released", 3, 10))
	then(release("released-1", idOf("released")))
	short := place("expired", 3, 7)
	short.ExpiresIn = time.Second
	then(short)
	then(part("expired-1", idOf("open"), 1))
	n, err := e.Sweep(ctx)
	check(t, "expired", n, 1)
	noError(t, err)
	e.Close()
	check(t, "report", *storetest.Verify(t, s), engine.Report{Wallets: 8, Entries: 19, Transactions: 19, Holds: 4, Problems: []string{}})
	noError(t, s.Close())
	content, err := os.ReadFile(path)
	noError(t, err)
	return content
}

// blob is a literal of SQL.
func blob(b []byte) string { return fmt.Sprintf("x'%x'", b) }

// literal is the id of the operator's transaction with a key, as a literal of SQL.
func literal(key string) string {
	id := idOf(key)
	return blob(id[:])
}

// problems are what Verify says of a ledger.
func problems(t testing.TB, store engine.Reader) []string {
	t.Helper()
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if report.ProblemCount != int64(len(report.Problems)) {
		t.Errorf("%d problems are counted, %d spelled out", report.ProblemCount, len(report.Problems))
	}
	return report.Problems
}

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	id := func(key string) string { return idOf(key).String() }
	tests := []struct {
		name   string
		damage []string
		want   []string // parts of what is found, each in a problem of its own or with others
	}{
		{
			"entry's amount",
			[]string{"UPDATE entries SET amount = -4 WHERE account_id = 1 AND version = 2"},
			[]string{"entry 2 of wallet sms of account 1: 0.0001 and -0.000004 do not make its balance", "its hash does not follow", "it is not what its transaction " + id("c1") + " does"},
		},
		{
			"entry's amount and balance",
			[]string{"UPDATE entries SET amount = -4, balance = balance + 1 WHERE account_id = 1 AND version = 2"},
			[]string{"entry 2 of wallet sms of account 1: its hash", "entry 3 of wallet sms of account 1: 0.000096 and -0.000005 do not make"},
		},
		{
			"entry's time",
			[]string{"UPDATE entries SET created_at = created_at + 1 WHERE account_id = 1 AND version = 2"},
			[]string{"entry 2 of wallet sms of account 1: its hash"},
		},
		{
			"entry's held amount",
			[]string{"UPDATE entries SET held = 1 WHERE account_id = 1 AND version = 6"},
			[]string{"its hash", "wallet sms of account 1: by its entries", "transaction " + id("refund") + ": its entry"},
		},
		{
			"entry's hash",
			[]string{"UPDATE entries SET hash = zeroblob(32) WHERE account_id = 1 AND version = 2"},
			[]string{"entry 2 of wallet sms of account 1: its hash", "entry 3 of wallet sms of account 1: its hash"},
		},
		{
			"entry's transaction",
			[]string{"UPDATE entries SET transaction_id = " + literal("c2") + " WHERE account_id = 1 AND version = 2"},
			[]string{"entry 2 of wallet sms of account 1: its hash", "transaction " + id("c1") + ": its entry 2"},
		},
		{
			"entry of a rejected transaction",
			[]string{"UPDATE entries SET transaction_id = " + literal("rejected") + " WHERE account_id = 1 AND version = 2"},
			[]string{"its transaction " + id("rejected") + " was rejected"},
		},
		{
			"middle entry deleted",
			[]string{"DELETE FROM entries WHERE account_id = 1 AND version = 3"},
			[]string{"entry 4 of wallet sms of account 1: it follows number 2", "transaction " + id("c2") + ": its entry 3 in wallet sms of account 1 is missing"},
		},
		{
			"first entry deleted",
			[]string{"DELETE FROM entries WHERE account_id = 1 AND version = 1"},
			[]string{"entry 2 of wallet sms of account 1: it follows number 0"},
		},
		{
			"last entry deleted",
			[]string{"DELETE FROM entries WHERE account_id = 1 AND version = 6"},
			[]string{"wallet sms of account 1: its last entry is number 5, the wallet says 6", "its chain does not end at the wallet's head", "transaction " + id("refund") + ": its entry 6"},
		},
		{"last entry deleted, and the wallet set back", []string{
			"DELETE FROM entries WHERE account_id = 1 AND version = 6",
			`UPDATE wallets SET (version, balance, head) = (SELECT version, balance, hash FROM entries WHERE account_id = 1 AND service = 'sms' AND version = 5)
				WHERE account_id = 1 AND service = 'sms'`,
		}, []string{"transaction " + id("refund") + ": its entry 6", "system account revenue in CNY: by the entries it has 0.000031, it says 0.000029"}},
		{"all entries deleted", []string{"DELETE FROM entries"}, []string{"wallet sms of account 1: its last entry is number 0", "system account funding in CNY: by the entries it has 0"}},
		{"entries swapped", []string{
			"UPDATE entries SET version = 100 WHERE account_id = 1 AND version = 2",
			"UPDATE entries SET version = 2 WHERE account_id = 1 AND version = 3",
			"UPDATE entries SET version = 3 WHERE account_id = 1 AND version = 100",
		}, []string{"entry 2 of wallet sms of account 1: its hash", "transaction " + id("c1") + ": its entry 2"}},
		{"entries renumbered over a gap", []string{
			"DELETE FROM entries WHERE account_id = 1 AND version = 2",
			"UPDATE entries SET version = version - 1 WHERE account_id = 1 AND version > 2",
		}, []string{"entry 2 of wallet sms of account 1: its hash", "its last entry is number 5, the wallet says 6"}},
		{
			"entry moved to another wallet",
			[]string{"UPDATE entries SET service = 'voip' WHERE account_id = 1 AND version = 6"},
			[]string{"entry 6 of wallet voip of account 1: it follows number 0", "wallet voip of account 1: its last entry"},
		},
		{"orphan entry between wallets", []string{
			`INSERT INTO entries SELECT 1, 'tuv', 1, transaction_id, amount, balance, held, created_at, hash FROM entries WHERE account_id = 1 AND version = 1`,
		}, []string{"entry 1 of wallet tuv of account 1: there is no such wallet"}},
		{"orphan entry at the end", []string{
			`INSERT INTO entries SELECT 99, 'sms', 1, transaction_id, amount, balance, held, created_at, hash FROM entries WHERE account_id = 1 AND version = 1`,
		}, []string{"entry 1 of wallet sms of account 99: there is no such wallet"}},
		{"orphan entry in a chain", []string{
			`INSERT INTO entries SELECT account_id, service, 7, zeroblob(16), 0, balance, held, created_at, hash FROM entries WHERE account_id = 1 AND version = 6`,
		}, []string{"entry 7 of wallet sms of account 1: its transaction 00000000-0000-0000-0000-000000000000 is missing"}},
		{
			"wallet's balance",
			[]string{"UPDATE wallets SET balance = balance + 1 WHERE account_id = 1 AND service = 'sms'"},
			[]string{"wallet sms of account 1: its entries add up to 0.000077, the wallet says 0.000078", "all accounts in CNY add up to 0.000001, not to zero"},
		},
		{
			"balance of a wallet without entries",
			[]string{"UPDATE wallets SET balance = 5 WHERE account_id = 3 AND service = 'voip'"},
			[]string{"wallet voip of account 3: its entries add up to 0, the wallet says 0.000005"},
		},
		{"two balances that make up for each other", []string{
			"UPDATE wallets SET balance = balance + 1 WHERE account_id = 1 AND service = 'sms'", "UPDATE wallets SET balance = balance - 1 WHERE account_id = 2 AND service = 'sms'",
		}, []string{"wallet sms of account 1: its entries add up", "wallet sms of account 2: its entries add up"}},
		{
			"wallet's head",
			[]string{"UPDATE wallets SET head = zeroblob(32) WHERE account_id = 1 AND service = 'sms'"},
			[]string{"wallet sms of account 1: its chain does not end at the wallet's head"},
		},
		{
			"wallet's version",
			[]string{"UPDATE wallets SET version = version + 1 WHERE account_id = 1 AND service = 'sms'"},
			[]string{"wallet sms of account 1: its last entry is number 6, the wallet says 7"},
		},
		{
			"wallet's held amount",
			[]string{"UPDATE wallets SET held = 1 WHERE account_id = 1 AND service = 'sms'"},
			[]string{"wallet sms of account 1: by its entries 0 is held, the wallet says 0.000001"},
		},
		{
			"wallet deleted",
			[]string{"DELETE FROM wallets WHERE account_id = 1 AND service = 'sms'"},
			[]string{"entry 1 of wallet sms of account 1: there is no such wallet", "all accounts in CNY"},
		},
		{"account deleted", []string{"DELETE FROM accounts WHERE id = 1"}, []string{"wallet sms of account 1: its account is missing"}},
		{"account's currency", []string{"UPDATE accounts SET currency = 'VND' WHERE id = 1"}, []string{"all accounts in VND", "all accounts in CNY", "system account funding in VND"}},
		{
			"transaction's reference",
			[]string{"UPDATE transactions SET reference = 'altered' WHERE id = " + literal("c2")},
			[]string{"transaction " + id("c2") + ": what it says is not what was posted"},
		},
		{
			"rejected transaction's reference",
			[]string{"UPDATE transactions SET reference = 'altered' WHERE id = " + literal("rejected")},
			[]string{"transaction " + id("rejected") + ": what it says"},
		},
		{"transaction's metadata", []string{`UPDATE transactions SET metadata = '{"a":"b"}' WHERE id = ` + literal("c2")}, []string{"what it says"}},
		{"transaction's key", []string{"UPDATE transactions SET idempotency_key = 'altered' WHERE id = " + literal("c2")}, []string{"what it says"}},
		{"transaction's amount and entry", []string{
			"UPDATE transactions SET amount = 4 WHERE id = " + literal("c2"), "UPDATE entries SET amount = -4 WHERE transaction_id = " + literal("c2"),
		}, []string{"what it says", "do not make its balance"}},
		{
			"transaction's hash",
			[]string{"UPDATE transactions SET request_hash = zeroblob(32) WHERE id = " + literal("c2")},
			[]string{"transaction " + id("c2") + ": what it says", "entry 3 of wallet sms of account 1: its hash"},
		},
		{
			"transaction's balance",
			[]string{"UPDATE transactions SET balance = 1 WHERE id = " + literal("c2")},
			[]string{"transaction " + id("c2") + ": its entry 3 in wallet sms of account 1 is missing or differs"},
		},
		{
			"transaction's time",
			[]string{"UPDATE transactions SET created_at = created_at + 1 WHERE id = " + literal("c2")},
			[]string{"it is not what its transaction " + id("c2") + " does"},
		},
		{"transaction's version", []string{"UPDATE transactions SET version = 2 WHERE id = " + literal("c2")}, []string{"transaction " + id("c2") + ": its entry 2"}},
		{"transfer's other version", []string{"UPDATE transactions SET to_version = 2 WHERE id = " + literal("t")}, []string{"transaction " + id("t") + ": its entry 2 in wallet sms of account 2"}},
		{
			"transaction made a rejection",
			[]string{"UPDATE transactions SET rejection = 'insufficient_funds' WHERE id = " + literal("c2")},
			[]string{"its transaction " + id("c2") + " was rejected"},
		},
		{
			"rejection made a posting",
			[]string{"UPDATE transactions SET rejection = '' WHERE id = " + literal("rejected")},
			[]string{"transaction " + id("rejected") + ": its entry 0"},
		},
		{
			"transaction deleted",
			[]string{"DELETE FROM transactions WHERE id = " + literal("c2")},
			[]string{"entry 3 of wallet sms of account 1: its transaction " + id("c2") + " is missing", "system account revenue"},
		},
		{
			"transfer deleted",
			[]string{"DELETE FROM transactions WHERE id = " + literal("t")},
			[]string{"entry 5 of wallet sms of account 1: its transaction", "entry 1 of wallet sms of account 2: its transaction"},
		},
		{
			"system total",
			[]string{"UPDATE system_accounts SET total = '-201' WHERE account = 'funding'"},
			[]string{"system account funding in CNY: by the entries it has -0.0002, it says -0.000201", "all accounts in CNY add up to -0.000001"},
		},
		{"two system totals that make up for each other", []string{
			"UPDATE system_accounts SET total = '-201' WHERE account = 'funding'", "UPDATE system_accounts SET total = '30' WHERE account = 'revenue'",
		}, []string{"system account funding", "system account revenue"}},
		{"system total deleted", []string{"DELETE FROM system_accounts WHERE account = 'funding'"}, []string{"system account funding in CNY: by the entries it has -0.0002, it is missing"}},
		{"system total too many", []string{"INSERT INTO system_accounts VALUES ('fund', 'CNY', '5')"}, []string{"system account fund in CNY: by the entries it has 0, it says 0.000005"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { findsDamage(t, tt.damage, tt.want) })
	}
}

// findsDamage plants damage in a sample, and checks that it is found.
func findsDamage(t *testing.T, damage, want []string) {
	t.Helper()
	t.Parallel()
	store, path := sample(t)
	plant(t, path, damage...)
	found := problems(t, store)
	if len(found) == 0 {
		t.Fatal("nothing was found")
	}
	for _, part := range want {
		if !slices.ContainsFunc(found, func(problem string) bool { return strings.Contains(problem, part) }) {
			t.Errorf("%q is not among the problems %q", part, found)
		}
	}
}

// Pages have an end, and nothing may be lost at it.
func TestVerifyGoesOnOverPages(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	const accounts, many = 1010, 1001
	fill(t, store, accounts)
	e := start(t, store, engine.Options{}, 0)
	post(t, e, topUp("fill-500", 500, 10000))
	for part := range slices.Chunk(manyTransactions(many), engine.MaxBatch) {
		results, err := e.PostBatch(ctx, part, true)
		noError(t, err)
		if _, err := engine.FirstFailure(results); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []ledger.AccountID{1, 999, 1000, 1001, 1010} {
		post(t, e, topUp(fmt.Sprint("fill-", id), id, 1))
	}
	heads := headsOf(t, store)
	var accountsOfHeads []ledger.AccountID
	for _, head := range heads {
		accountsOfHeads = append(accountsOfHeads, head.Account)
	}
	check(t, "wallets with heads", accountsOfHeads, []ledger.AccountID{1, 500, 999, 1000, 1001, 1010})
	var last engine.Report
	calledFor := 0
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{
		Progress: func(r engine.Report) { last, calledFor = r, calledFor+1 }, Evidence: evidence(heads...),
	})
	noError(t, err)
	want := engine.Report{Wallets: accounts, Entries: 6 + 3*many, Transactions: 6 + 3*many, Holds: many, Heads: 6, Problems: []string{}}
	check(t, "report", *report, want)
	check(t, "last progress", last, want)
	// For each page of wallets, entries, transactions and refunds; the last one of entries is empty.
	check(t, "progress was told so many times", calledFor, 2+5+4+2)
}

// manyTransactions are so many holds of account 500, with a capture and a refund of each.
func manyTransactions(n int) (requests []ledger.Request) {
	for i := range n {
		requests = append(requests, place(fmt.Sprint("h", i), 500, 2))
	}
	for i := range n {
		requests = append(requests, capture(fmt.Sprint("c", i), idOf(fmt.Sprint("h", i)), 2))
	}
	for i := range n {
		requests = append(requests, refund(fmt.Sprint("r", i), idOf(fmt.Sprint("c", i)), 1))
	}
	return requests
}

// Many problems are counted, and some of them spelled out.
func TestVerifyCountsProblems(t *testing.T) {
	t.Parallel()
	store, path := newStore(t)
	const accounts = 120
	fill(t, store, accounts)
	execute(t, path, "UPDATE wallets SET balance = balance + 1")
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{})
	noError(t, err)
	check(t, "counted and spelled out", []int{int(report.ProblemCount), len(report.Problems)}, []int{accounts + 1, 100})
}

// What belongs to no wallet is counted like the rest.
func TestVerifyCountsStrays(t *testing.T) {
	t.Parallel()
	store, path := sample(t)
	plant(t, path,
		"UPDATE holds SET account_id = 99 WHERE state <> 'open'", "UPDATE entries SET account_id = 0 WHERE account_id = 2")
	report, err := engine.Verify(ctx, store, engine.VerifyOptions{})
	noError(t, err)
	check(t, "counted", []int64{report.Wallets, report.Entries, report.Transactions, report.Holds}, []int64{8, 19, 19, 4})
	var strays int
	for _, problem := range report.Problems {
		if strings.Contains(problem, "there is no") {
			strays++
		}
	}
	check(t, "strays", strays, 3+2)
}

func TestVerifyReadsOrFails(t *testing.T) {
	t.Parallel()
	store, path := sample(t)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if report, err := engine.Verify(gone, store, engine.VerifyOptions{}); !errors.Is(err, context.Canceled) || report != nil {
		t.Errorf("a verification that was given up: %v, %v", report, err)
	}
	// What cannot be read as what it should be is an error, not a clean report.
	execute(t, path, "UPDATE system_accounts SET total = 'many' WHERE account = 'funding'")
	if report, err := engine.Verify(ctx, store, engine.VerifyOptions{}); err == nil {
		t.Errorf("a total of no number: %v", report)
	}
}

// A verification of one moment does not mistake the writes of the next for damage.
func TestVerifyWhileWriting(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			post(t, e, topUp(fmt.Sprint("f", i), 1, 2))
			post(t, e, transfer(fmt.Sprint("t", i), 1, 2, 1))
			post(t, e, transfer(fmt.Sprint("b", i), 2, 1, 1))
		}
	}()
	for verified := 0; ; verified++ {
		storetest.Verify(t, store)
		select {
		case <-done:
			if verified == 0 {
				t.Error("the writes were over too soon")
			}
			return
		default:
		}
	}
}
