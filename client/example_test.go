package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
	"github.com/saldo-ledger/saldo/internal/app"
)

// startServer serves a new ledger on a free port, for the examples. A program
// has a URL and a key from its operator instead.
func startServer() (url, operatorKey string, stop func()) { return startServerWith("") }

// startServerWith serves a ledger, and asks the upstreams of a file.
func startServerWith(upstreams string) (url, operatorKey string, stop func()) {
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
	server, err := app.Start(ctx, app.Options{DB: db, Listen: "127.0.0.1:0", Upstreams: upstreams, Log: slog.New(slog.DiscardHandler)})
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
	payment.Type, payment.Amount = api.TransactionTypeTopup, new("0.05")
	if _, err := c.Post(ctx, "invoice-2026-118", payment); err != nil {
		log.Fatal(err)
	}

	for _, message := range []string{"msg-17", "msg-17", "msg-18"} {
		charge := sms
		charge.Type, charge.Amount, charge.Reference = api.TransactionTypeCharge, new("0.0383"), message
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

// openAccount makes a client, and an account that has paid 10 CNY for SMS, for
// the examples that begin where others end.
func openAccount(ctx context.Context, url, operatorKey string) (*client.Client, api.AccountID) {
	c, err := client.New(url, operatorKey)
	if err != nil {
		log.Fatal(err)
	}
	account, err := c.CreateAccount(ctx, api.AccountRequest{Name: "Lotus Travel", Currency: "CNY"})
	if err != nil {
		log.Fatal(err)
	}
	payment := api.TransactionRequest{Account: account.ID, Wallet: "sms", Type: api.TransactionTypeTopup, Amount: new("10")}
	if _, err := c.Post(ctx, "invoice-2026-119", payment); err != nil {
		log.Fatal(err)
	}
	return c, account.ID
}

// What a message may cost is reserved before it is sent. Once it is known to
// have one part instead of two, that part is charged and the rest released.
func ExampleClient_Hold() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, account := openAccount(ctx, url, operatorKey)

	hold, err := c.Hold(ctx, "msg-18", api.HoldRequest{Account: account, Wallet: "sms", Amount: "0.0766", ExpiresIn: new(3600), Reference: "msg-18"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is held, %s is available\n", hold.Held, hold.Available)

	capture, err := c.Capture(ctx, "msg-18-sent", hold.ID, api.CaptureRequest{Amount: new("0.0383")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the hold is %s, %s is available\n", capture.Hold.Status, capture.Available)

	_, err = c.Release(ctx, "msg-18-lost", hold.ID, api.ReleaseRequest{})
	switch client.CodeOf(err) {
	case api.ErrorCodeHoldNotOpen, api.ErrorCodeHoldExpired:
		fmt.Println("there is nothing left to release")
	default:
		log.Fatal(err)
	}
	// Output:
	// 0.0766 is held, 9.9234 is available
	// the hold is captured, 9.9617 is available
	// there is nothing left to release
}

// Many messages are charged in one request. Each has an outcome of its own.
func ExampleClient_PostBatch() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, account := openAccount(ctx, url, operatorKey)

	// Voice has not been paid for, so the call is rejected, and the message is not.
	batch := api.BatchRequest{Transactions: []api.BatchTransaction{
		{IdempotencyKey: "msg-20", Account: account, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("0.0383")},
		{IdempotencyKey: "call-7", Account: account, Wallet: "voip", Type: api.TransactionTypeCharge, Amount: new("0.5")},
	}}
	reply, err := c.PostBatch(ctx, batch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Posted, "posted,", reply.Rejected, "rejected")
	for _, item := range reply.Items {
		if err := client.Failure(item.Error); err != nil {
			fmt.Println(batch.Transactions[item.Index].IdempotencyKey+":", client.CodeOf(err))
		}
	}

	// All or none: the whole batch is refused for the sake of one.
	_, err = c.PostBatch(ctx, api.BatchRequest{Atomic: true, Transactions: []api.BatchTransaction{
		{IdempotencyKey: "msg-21", Account: account, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("0.0383")},
		{IdempotencyKey: "call-8", Account: account, Wallet: "voip", Type: api.TransactionTypeCharge, Amount: new("0.5")},
	}})
	var refused *client.Error
	if errors.As(err, &refused) && refused.Index != nil {
		fmt.Println("nothing is posted because of transaction", *refused.Index)
	}
	// Output:
	// 1 posted, 1 rejected
	// call-7: insufficient_funds
	// nothing is posted because of transaction 1
}

// A month's messages go over one connection, and are never in memory together.
func ExampleClient_Stream() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, account := openAccount(ctx, url, operatorKey)

	messages := func(yield func(api.BatchTransaction) bool) {
		for i := range 1000 {
			if !yield(api.BatchTransaction{
				IdempotencyKey: fmt.Sprint("msg-", i), Account: account, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("0.0383"),
			}) {
				return
			}
		}
	}
	outcomes := map[api.BatchOutcome]int{}
	for item, err := range c.Stream(ctx, messages) {
		if err != nil {
			log.Fatal(err) // what has no outcome yet can be sent again
		}
		outcomes[item.Outcome]++
	}
	fmt.Println(outcomes)
	// Output:
	// map[posted:261 rejected:739]
}

// The pages of a statement are read as they are needed.
func ExampleClient_Statement() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, account := openAccount(ctx, url, operatorKey)

	charge := api.TransactionRequest{Account: account, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("0.0383"), Reference: "msg-17"}
	if _, err := c.Post(ctx, "msg-17", charge); err != nil {
		log.Fatal(err)
	}

	var closing string
	for page, err := range c.Statement(ctx, account, "sms", client.StatementQuery{From: "2000-01-01", TimeZone: "Asia/Ho_Chi_Minh"}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, row := range page.Items {
			fmt.Println(row.Type, row.Amount, row.Counterpart, row.Balance)
		}
		closing = page.ClosingBalance
	}
	fmt.Println("closing", closing)
	// Output:
	// topup 10 funding 10
	// charge -0.0383 revenue 9.9617
	// closing 9.9617
}

// An operator sees what is left at the providers that its server asks.
func ExampleClient_Upstreams() {
	url, operatorKey, stop := startAsking()
	defer stop()
	ctx := context.Background()
	operator, err := client.New(url, operatorKey)
	if err != nil {
		log.Fatal(err)
	}

	upstreams, err := operator.Upstreams(ctx)
	for ; err == nil && (len(upstreams) == 0 || upstreams[0].Balance == nil); upstreams, err = operator.Upstreams(ctx) {
		time.Sleep(50 * time.Millisecond) // it is asked for the first time
	}
	if err != nil {
		log.Fatal(err)
	}
	for _, upstream := range upstreams {
		for _, left := range upstream.Balance.Buckets {
			fmt.Println(upstream.Name, upstream.Status, left.Service, left.Amount, left.Currency)
		}
	}
	for page, err := range operator.UpstreamReadings(ctx, "antgst-sms", client.ReadingsQuery{Service: "sms"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("readings of sms:", len(page.Items))
	}
	// Output:
	// antgst-sms ok sms 10 CNY
	// antgst-sms ok voip 0 CNY
	// readings of sms: 1
}

// startAsking serves a ledger whose server asks another one for a balance.
func startAsking() (url, operatorKey string, stop func()) {
	ctx := context.Background()
	provider, providerKey, stopProvider := startServer()
	c, account := openAccount(ctx, provider, providerKey)
	key, err := c.CreateKey(ctx, account, api.KeyRequest{})
	if err != nil {
		log.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "saldo-example-")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(folder, "upstreams.yaml")
	text := fmt.Sprintf("upstreams: [{name: antgst-sms, provider: antgst, base_url: %q, interval: 1h, credentials: {auth_secret: %s}}]\n", provider, key.AuthSecret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}
	url, operatorKey, stopServer := startServerWith(file)
	return url, operatorKey, func() {
		stopServer()
		stopProvider()
		if err := os.RemoveAll(folder); err != nil {
			log.Fatal(err)
		}
	}
}

// The holds of messages are captured and released by what became of them.
func ExampleClient_Settle() {
	url, operatorKey, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, account := openAccount(ctx, url, operatorKey)

	for _, message := range []string{"msg-30", "msg-31", "msg-32"} {
		hold := api.HoldRequest{Account: account, Wallet: "sms", Amount: "0.0383", Reference: message}
		if _, err := c.Hold(ctx, message, hold); err != nil {
			log.Fatal(err)
		}
	}
	settled, err := c.Settle(ctx, []api.DeliveryReport{
		{Reference: "msg-30", Status: api.DeliveryStateDELIVRD},
		{Reference: "msg-31", Status: api.DeliveryStateUNDELIV},
		{Reference: "msg-32", Status: api.DeliveryStateENROUTE},
		{Reference: "msg-33", Status: api.DeliveryStateDELIVRD},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, report := range settled {
		fmt.Println(report.Reference, report.Outcome)
	}
	// Output:
	// msg-30 captured
	// msg-31 released
	// msg-32 waiting
	// msg-33 unknown_reference
}
