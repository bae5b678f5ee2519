package copier_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

// books is a place for a ledger: a file, or a database.
type books struct {
	driver, name string // of its tables, for who goes past the store
	url          string
}

// kinds are the kinds of stores that a ledger is copied between.
var kinds = map[string]func(t *testing.T) books{
	"sqlite": func(t *testing.T) books {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return books{driver: "sqlite", name: path}
	},
	"postgres": func(t *testing.T) books {
		url := pgtest.NewDatabase(t)
		return books{driver: "pgx", name: url, url: url}
	},
}

// ways runs a test for each way between two stores.
func ways(t *testing.T, test func(t *testing.T, from, to books)) {
	t.Parallel()
	for from, newFrom := range kinds {
		for to, newTo := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				test(t, newFrom(t), newTo(t))
			})
		}
	}
}

type store interface {
	engine.Store
	readings.Store
	copier.Source
	Close() error
}

type target interface {
	copier.Target
	Close() error
}

func (b books) create(t testing.TB) store {
	t.Helper()
	if b.url != "" {
		return opened(t)(postgres.Create(t.Context(), b.url))
	}
	return opened(t)(sqlite.Create(t.Context(), b.name))
}

// open opens a ledger to be served.
func (b books) open(ctx context.Context) (store, error) {
	if b.url != "" {
		s, err := postgres.Open(ctx, b.url)
		return s, err
	}
	s, err := sqlite.Open(ctx, b.name)
	return s, err
}

func (b books) mustOpen(t testing.TB) store {
	t.Helper()
	return opened(t)(b.open(t.Context()))
}

func (b books) read(ctx context.Context) (store, error) {
	if b.url != "" {
		s, err := postgres.OpenReadOnly(ctx, b.url)
		return s, err
	}
	s, err := sqlite.OpenReadOnly(ctx, b.name)
	return s, err
}

func (b books) openCopy(t testing.TB) target {
	t.Helper()
	var s target
	var err error
	if b.url != "" {
		s, err = postgres.OpenCopy(t.Context(), b.url)
	} else {
		s, err = sqlite.OpenCopy(t.Context(), b.name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opened(t testing.TB) func(s store, err error) store {
	return func(s store, err error) store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// run copies, and closes both sides.
func run(t *testing.T, ctx context.Context, from, to books, options copier.Options) (*copier.Report, error) {
	t.Helper()
	source, err := from.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target := to.openCopy(t)
	defer target.Close()
	return copier.Run(ctx, source, target, options)
}

// mustCopy copies to the end.
func mustCopy(t *testing.T, from, to books, page int) *copier.Report {
	t.Helper()
	report, err := run(t, t.Context(), from, to, copier.Options{Page: page})
	if err != nil || !report.Finished || report.ProblemCount != 0 || report.Left != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	return report
}

// exec runs a statement past the store.
func (b books) exec(t *testing.T, statements ...string) {
	t.Helper()
	db, err := sql.Open(b.driver, b.name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// tables are the columns that both stores have, with the order of their rows.
var tables = []struct{ name, columns, order string }{
	{"accounts", "id, name, currency, status, external_reference, metadata, time_zone, charge_on, created_at", "id"},
	{"wallets", "account_id, service, balance, held, credit_limit, suspended, min_amount, max_amount, daily_cap, monthly_cap, " +
		"spent_on, spent_today, spent_month, version, head", "account_id, service"},
	{"transactions", "id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service, amount, parent, " +
		"expires_in, final, batch, reference, metadata, rejection, moved, balance, held, available, daily_left, monthly_left, " +
		"remaining, expires_at, version, to_version, created_at", "id"},
	{"entries", "account_id, service, version, transaction_id, amount, balance, held, created_at, hash", "account_id, service, version"},
	{"holds", "id, account_id, service, scope, key_id, reference, state, amount, captured, remaining, created_at, expires_at, closed_at", "id"},
	{"refunds", "charge_id, refunded", "charge_id"},
	{"keys", "id, digest, last4, account_id, scopes, allow_list, daily_cap, monthly_cap, spent_on, spent_today, spent_month, " +
		"expires_at, revoked_at, created_at", "id"},
	// All but who asks.
	{"upstreams", "name, provider, interval_us, due_at, barred_at, asked_at, status, code, message, failures, good_at, account, billing, buckets", "name"},
	{"upstream_readings", "upstream, at, service, unit, currency, amount, credit_limit, available, pending, rise", "upstream, at, service, unit, currency"},
}

// rows reads all tables past the stores, each row as a text.
func (b books) rows(t *testing.T) map[string][]string {
	t.Helper()
	db, err := sql.Open(b.driver, b.name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string][]string{}
	for _, table := range tables {
		all[table.name] = query(t, db, "SELECT "+table.columns+" FROM "+table.name+" ORDER BY "+table.order)
	}
	system := "SELECT account, currency, total FROM system_accounts ORDER BY account, currency"
	if b.url != "" { // it has shards
		system = "SELECT account, currency, sum(total)::text AS total FROM system_accounts GROUP BY account, currency ORDER BY account, currency"
	}
	all["system_accounts"] = query(t, db, system)
	return all
}

func query(t *testing.T, db *sql.DB, text string) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var line strings.Builder
		for i, value := range values {
			if blob, ok := value.([]byte); ok {
				value = hex.EncodeToString(blob)
			}
			fmt.Fprintf(&line, "%s=%v ", columns[i], value)
		}
		all = append(all, line.String())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// same checks that two ledgers have the same rows, and give the same answers.
func same(t *testing.T, from, to books) {
	t.Helper()
	want, got := from.rows(t), to.rows(t)
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s differ (-source +copy):\n%s", name, diff)
		}
	}
	original, err := from.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	copied, err := to.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	if diff := cmp.Diff(answers(t, original), answers(t, copied), exactly...); diff != "" {
		t.Errorf("answers differ (-source +copy):\n%s", diff)
	}
}

// sameOrder checks that a copy has the history in the order of the source.
func sameOrder(t *testing.T, from, to books) {
	t.Helper()
	read := func(b books, order string) []string {
		db, err := sql.Open(b.driver, b.name)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		return query(t, db, "SELECT id FROM transactions ORDER BY "+order)
	}
	original, copied := "seq", "seq"
	if from.url != "" { // what was rejected has no version
		original = "created_at, version = 0, version, place, id"
	}
	if to.url != "" {
		copied = "created_at, place"
	}
	if diff := cmp.Diff(read(from, original), read(to, copied)); diff != "" {
		t.Errorf("the order differs (-source +copy):\n%s", diff)
	}
}

var exactly = cmp.Options{cmp.Transformer("total", func(t ledger.Total) string { return t.Millionths() })}

// answers reads what depends on the order of rows.
func answers(t *testing.T, s engine.Reader) (all []any) {
	t.Helper()
	add := func(answer any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, answer)
	}
	add(s.LastCommit(t.Context()))
	for _, reference := range references {
		add(s.TransactionsByReference(t.Context(), ledger.Operator, reference, engine.Place{}, 1000))
		add(s.HoldsByReference(t.Context(), []engine.HoldReference{{Reference: reference}}, 1000))
	}
	for account := range ledger.AccountID(accounts) {
		add(s.Entries(t.Context(), ledger.WalletRef{Account: account + 1, Service: ledger.SMS}, 0, 1000, 1000))
	}
	for _, from := range []time.Time{start, start.Add(time.Hour), start.Add(30 * 24 * time.Hour)} {
		for _, by := range []engine.Grouping{engine.ByAccount, engine.ByWallet, engine.ByKind} {
			add(s.Usage(t.Context(), engine.UsageQuery{From: from, To: from.Add(time.Hour), By: by, Limit: 1000}))
		}
	}
	err := s.Snapshot(t.Context(), func(snapshot engine.Snapshot) error {
		holds, err := snapshot.Holds(t.Context(), new(ledger.Hold), 10000)
		for i := range holds {
			// What was rejected in the same moment has no order.
			holds[i].Transactions = slices.DeleteFunc(holds[i].Transactions, func(x ledger.Transaction) bool { return x.Rejection != "" })
		}
		add(holds, err)
		add(snapshot.System(t.Context()))
		add(snapshot.WalletTotals(t.Context()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
