package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
	"github.com/saldo-ledger/saldo/internal/app"
)

// startServer serves a new ledger on a free port, for the examples. A program
// has a URL and a key from its operator instead.
func startServer() (url, operatorKey string, stop func()) {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "saldo-example-")
	if err != nil {
		log.Fatal(err)
	}
	db := filepath.Join(folder, "ledger.db")
	operator, err := app.Init(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	server, err := app.Start(ctx, app.Options{DB: db, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return server.URL(), operator.AuthSecret(), func() {
		if err := errors.Join(server.Close(ctx), os.RemoveAll(folder)); err != nil {
			log.Fatal(err)
		}
	}
}

// A customer reads its own balance.
func ExampleNew() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()

	operator, err := client.New(url, operatorKey)
	if err != nil {
		log.Fatal(err)
	}
	account, err := operator.CreateAccount(ctx, api.AccountRequest{Name: "Lotus Travel", Currency: "CNY"})
	if err != nil {
		log.Fatal(err)
	}
	key, err := operator.CreateKey(ctx, account.ID, api.KeyRequest{Scopes: api.Scopes{api.ScopeBalanceRead}})
	if err != nil {
		log.Fatal(err)
	}

	customer, err := client.New(url, key.AuthSecret)
	if err != nil {
		log.Fatal(err)
	}
	balance, err := customer.Balance(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, wallet := range balance.Wallets {
		fmt.Println(wallet.Wallet, wallet.Balance, balance.Currency)
	}
	// Output:
	// sms 0 CNY
	// voip 0 CNY
}

// Each message is charged once, under its own name, however often it is sent.
func ExampleClient_Post() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()

	c, err := client.New(url, operatorKey)
	if err != nil {
		log.Fatal(err)
	}
	account, err := c.CreateAccount(ctx, api.AccountRequest{Name: "Lotus Travel", Currency: "CNY"})
	if err != nil {
		log.Fatal(err)
	}
	sms := api.TransactionRequest{Account: account.ID, Wallet: "sms"}

	payment := sms
	payment.Type, payment.Amount = api.TransactionTypeTopup, "0.05"
	if _, err := c.Post(ctx, "invoice-2026-118", payment); err != nil {
		log.Fatal(err)
	}

	for _, message := range []string{"msg-17", "msg-17", "msg-18"} {
		charge := sms
		charge.Type, charge.Amount, charge.Reference = api.TransactionTypeCharge, "0.0383", message
		posted, err := c.Post(ctx, message, charge)
		var refused *client.Error
		switch {
		case errors.As(err, &refused) && refused.Code == api.ErrorCodeInsufficientFunds:
			fmt.Printf("%s is not sent: %s\n", message, refused.Detail)
		case err != nil:
			log.Fatal(err)
		case posted.Replayed:
			fmt.Printf("%s was charged before\n", message)
		default:
			fmt.Printf("%s is charged, %s is left\n", message, posted.Available)
		}
	}
	// Output:
	// msg-17 is charged, 0.0117 is left
	// msg-17 was charged before
	// msg-18 is not sent: 0.0117 is available, 0.0383 was asked for
}

// The pages of a long list are read as they are needed.
func ExampleClient_Accounts() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()

	c, err := client.New(url, operatorKey)
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"Lotus Travel", "Red River Couriers"} {
		if _, err := c.CreateAccount(ctx, api.AccountRequest{Name: name, Currency: "VND"}); err != nil {
			log.Fatal(err)
		}
	}

	for account, err := range c.Accounts(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(account.Name, account.Wallets[0].Available, account.Currency)
	}
	// Output:
	// Lotus Travel 0 VND
	// Red River Couriers 0 VND
}
