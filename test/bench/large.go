package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// large measures a ledger of many accounts and entries: how soon it is ready,
// how fast balances of accounts drawn at random are read, how much memory that
// takes, and how fast it is charged against a ledger that has nothing yet.
func large(ctx context.Context, binary string, count, entries int) error {
	dir, err := os.MkdirTemp(".", ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	empty, err := chargeEmpty(ctx, binary, dir)
	if err != nil {
		return err
	}
	db := filepath.Join(dir, "ledger.db")
	operator, err := seed(ctx, db, count, entries)
	if err != nil {
		return err
	}
	began := time.Now()
	saldo, err := startSaldo(ctx, binary, db)
	if err != nil {
		return err
	}
	defer saldo.stop()
	ready := time.Since(began)
	fmt.Printf("%-44s %10s   budget 2s %s\n", fmt.Sprintf("ready with %d accounts, %d entries", count, count*entries), ready.Round(time.Millisecond), verdict(ready < 2*time.Second))

	reads, err := load{
		server: saldo, connections: 32, duration: time.Duration(count) * 90 * time.Microsecond, status: 200,
		request: func(b []byte, _ int64) []byte {
			return post(b, "/user/account/balance", "", []byte(`{"authSecret":"`+seededKey(rand.IntN(count)).AuthSecret()+`"}`))
		},
	}.run()
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %10.0f a second (%d reads)\n", "balance reads of accounts at random", reads.rate, reads.count)
	memory := saldo.peakMemory() >> 20
	fmt.Printf("%-44s %6d MiB   budget 300 MiB %s\n", "resident memory after them, at its highest", memory, verdict(memory < 300))
	fmt.Printf("%-44s %10.0f a second\n", "charges on an empty ledger, 1000 accounts", empty.rate)
	for _, among := range []int{accounts, count} {
		charges, err := chargeLoad(saldo, operator, fmt.Sprintf("large-%d", among), among).run()
		if err != nil {
			return err
		}
		ratio := charges.rate / empty.rate
		fmt.Printf("%-44s %10.0f a second   ratio %.2f   budget 0.80 %s\n", fmt.Sprintf("charges on this one, among %d accounts", among),
			charges.rate, ratio, verdict(ratio >= 0.80))
	}
	fmt.Printf("%-44s %6d MiB\n", "resident memory after those too", saldo.peakMemory()>>20)
	return nil
}

// chargeLoad charges accounts over 128 connections.
func chargeLoad(saldo *process, operator ledger.Credentials, series string, among int) load {
	return load{server: saldo, connections: 128, duration: 10 * time.Second, status: 201, request: chargeRequest(operator, series, among)}
}

// chargeEmpty measures charges on a ledger that was just made.
func chargeEmpty(ctx context.Context, binary, dir string) (result, error) {
	db := filepath.Join(dir, "empty.db")
	operator, err := prepare(ctx, db)
	if err != nil {
		return result{}, err
	}
	saldo, err := startSaldo(ctx, binary, db)
	if err != nil {
		return result{}, err
	}
	defer saldo.stop()
	return chargeLoad(saldo, operator, "empty", accounts).run()
}

// verdict says in a word whether a budget was met.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func seededKey(i int) ledger.Credentials {
	return ledger.Credentials{ID: fmt.Sprintf("AK%08d", i), Secret: "0123456789abcdefghijklmnopqrstuvwxyz"}
}

// seed fills a ledger with accounts, each with a key, money and charges, many in
// one transaction, by the store's own methods. The index of ids is made at the
// end, because to keep it up on the way takes many times as long.
func seed(ctx context.Context, db string, count, entries int) (operator ledger.Credentials, err error) {
	if operator, err = app.Init(ctx, db); err != nil {
		return operator, err
	}
	if err := execute(ctx, db, "DROP INDEX transactions_by_id"); err != nil {
		return operator, err
	}
	store, err := sqlite.Open(ctx, db)
	if err != nil {
		return operator, err
	}
	const many = 2000
	for first := 0; first < count && err == nil; first += many {
		fmt.Fprintf(os.Stderr, "\r\x1b[Kaccounts: %d of %d", first, count)
		err = store.Write(ctx, func(tx engine.Tx) error {
			batch := &engine.Batch{}
			for i := first; i < min(first+many, count); i++ {
				if err := seedAccount(ctx, tx, i, entries, batch); err != nil {
					return err
				}
			}
			return tx.Append(ctx, batch)
		})
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	if err := errors.Join(err, store.Close()); err != nil {
		return operator, err
	}
	return operator, execute(ctx, db, "PRAGMA cache_size = -1000000; CREATE UNIQUE INDEX transactions_by_id ON transactions (id)")
}

// execute runs statements past the store.
func execute(ctx context.Context, path, statements string) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statements)
	return err
}

func seedAccount(ctx context.Context, tx engine.Tx, i, entries int, batch *engine.Batch) error {
	id := ledger.AccountID(firstAccount + i)
	sms := ledger.WalletRef{Account: id, Service: ledger.SMS}
	holder := &ledger.Holder{
		Account: ledger.Account{ID: id, Name: "Customer " + strconv.Itoa(i), Currency: "CNY", Status: ledger.Active, CreatedAt: time.Now()},
		Wallets: []ledger.Wallet{{WalletRef: sms}, {WalletRef: ledger.WalletRef{Account: id, Service: ledger.VoIP}}},
	}
	if err := tx.InsertAccount(ctx, holder); err != nil {
		return err
	}
	credentials := seededKey(i)
	err := tx.InsertKey(ctx, &ledger.Key{
		ID: credentials.ID, Digest: credentials.Digest(), Account: id,
		Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, CreatedAt: time.Now(),
	})
	if err != nil {
		return err
	}
	side := ledger.Side{Wallet: holder.Wallets[0], Currency: "CNY", Status: ledger.Active}
	for n := range entries {
		request := ledger.Request{IdempotencyKey: fmt.Sprintf("seed-%d-%d", i, n), Kind: ledger.Charge, Wallet: sms, Amount: 38_300}
		if n == 0 {
			request.Kind, request.Amount = ledger.TopUp, 1000*ledger.Scale
		}
		t := ledger.NewTransaction(request)
		batch.Entries = append(batch.Entries, t.Decide(ledger.State{From: &side}, seedTime)...)
		batch.Transactions = append(batch.Transactions, &t)
		total := engine.SystemTotal{Account: t.Kind.Counterpart(), Currency: "CNY"}
		total.Total.Add(-t.Delta())
		batch.System = addTotal(batch.System, total)
	}
	batch.Wallets = append(batch.Wallets, &side.Wallet)
	return nil
}

// seedTime is that of everything in the ledger before it is measured.
var seedTime = time.Now()

// addTotal folds a total into those of its batch.
func addTotal(totals []engine.SystemTotal, add engine.SystemTotal) []engine.SystemTotal {
	for i := range totals {
		if totals[i].Account == add.Account {
			totals[i].Total.AddTotal(&add.Total)
			return totals
		}
	}
	return append(totals, add)
}

// peakMemory is the most memory that the process had resident, in bytes; 0 where the system does not tell.
func (p *process) peakMemory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
