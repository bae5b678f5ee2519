package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// BenchmarkCharges measures the statements of a batch of charges. The server of
// tests does not wait for its disk.
func BenchmarkCharges(b *testing.B) {
	ctx := context.Background()
	store, err := postgres.Create(ctx, pgtest.NewDatabase(b))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	e, err := engine.New(ctx, store, engine.Options{SweepInterval: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	const accounts = 2000
	for id := range ledger.AccountID(accounts) {
		if _, err := e.CreateAccount(ctx, ledger.Account{ID: id + 1, Name: "Example Ltd", Currency: "CNY"}); err != nil {
			b.Fatal(err)
		}
		if _, _, err := e.Post(ctx, ledger.Request{IdempotencyKey: fmt.Sprint("fill", id), Kind: ledger.TopUp, Wallet: sms(id + 1), Amount: 1e15}); err != nil {
			b.Fatal(err)
		}
	}
	posted := 0
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			began := time.Now()
			for b.Loop() {
				requests := make([]ledger.Request, size)
				for i := range requests {
					posted++
					requests[i] = ledger.Request{IdempotencyKey: fmt.Sprint("charge", posted), Kind: ledger.Charge, Wallet: sms(ledger.AccountID(posted%accounts) + 1), Amount: 1}
				}
				if _, err := e.PostBatch(ctx, requests, false); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size*b.N)/time.Since(began).Seconds(), "charges/s")
		})
	}
}
