package main

import (
	"context"
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

// large measures a ledger of many accounts: how soon it is ready, how fast
// balances of accounts drawn at random are read, and how much memory that takes.
func large(ctx context.Context, binary string, count int) error {
	dir, err := os.MkdirTemp(".", ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db := filepath.Join(dir, "ledger.db")
	operator, err := seed(ctx, db, count)
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
	fmt.Printf("%-40s %12s   budget 2s %s\n", fmt.Sprintf("ready with %d accounts", count), ready.Round(time.Millisecond), verdict(ready < 2*time.Second))

	reads, err := load{saldo, 32, time.Duration(count) * 90 * time.Microsecond, 200, func(b []byte, _ int64) []byte {
		return post(b, "/user/account/balance", "", []byte(`{"authSecret":"`+seededKey(rand.IntN(count)).AuthSecret()+`"}`))
	}}.run()
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %12.0f a second (%d reads)\n", "balance reads of accounts at random", reads.rate, reads.count)
	memory := saldo.peakMemory() >> 20
	fmt.Printf("%-40s %8d MiB   budget 300 MiB %s\n", "resident memory after them, at its highest", memory, verdict(memory < 300))
	charges, err := load{saldo, 128, 10 * time.Second, 201, chargeRequest(operator, "large", count)}.run()
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %12.0f a second\n", "charges on accounts at random", charges.rate)
	fmt.Printf("%-40s %8d MiB\n", "resident memory after those too", saldo.peakMemory()>>20)
	return nil
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

// seed fills a ledger with accounts, each with money and a key, many in one
// transaction, by the store's own methods.
func seed(ctx context.Context, db string, count int) (operator ledger.Credentials, err error) {
	if operator, err = app.Init(ctx, db); err != nil {
		return operator, err
	}
	store, err := sqlite.Open(ctx, db)
	if err != nil {
		return operator, err
	}
	defer store.Close()
	const many = 5000
	for first := 0; first < count; first += many {
		fmt.Fprintf(os.Stderr, "\r\x1b[Kaccounts: %d of %d", first, count)
		err := store.Write(ctx, func(tx engine.Tx) error {
			batch := &engine.Batch{}
			for i := first; i < min(first+many, count); i++ {
				if err := seedAccount(ctx, tx, i, batch); err != nil {
					return err
				}
			}
			return tx.Append(ctx, batch)
		})
		if err != nil {
			return operator, err
		}
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	return operator, nil
}

func seedAccount(ctx context.Context, tx engine.Tx, i int, batch *engine.Batch) error {
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
	t := ledger.NewTransaction(ledger.Request{IdempotencyKey: fmt.Sprintf("seed-%d", i), Kind: ledger.TopUp, Wallet: sms, Amount: 1000 * ledger.Scale})
	side := ledger.Side{Wallet: holder.Wallets[0], Currency: "CNY", Status: ledger.Active}
	batch.Entries = append(batch.Entries, t.Decide(&side, nil, time.Now())...)
	batch.Transactions = append(batch.Transactions, &t)
	batch.Wallets = append(batch.Wallets, &side.Wallet)
	total := engine.SystemTotal{Account: ledger.Funding, Currency: "CNY"}
	total.Total.Add(-t.Amount)
	batch.System = append(batch.System, total)
	return nil
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
