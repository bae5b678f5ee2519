package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The ledger that is measured: charges go round these accounts.
const (
	accounts     = 1000
	firstAccount = 1000
)

// batchSize is how many charges a batch has.
const batchSize = 100

// prepare makes the ledger: accounts with money, each with a key.
func prepare(ctx context.Context, db string) (operator ledger.Credentials, err error) {
	if operator, err = app.Init(ctx, db); err != nil {
		return operator, err
	}
	store, err := app.OpenStore(ctx, db)
	if err != nil {
		return operator, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	topUps := make([]ledger.Request, accounts)
	// In one transaction, for this is done before each loop.
	err = store.Write(ctx, func(tx engine.Tx) error {
		for i := range topUps {
			holder := newHolder(i)
			if err := errors.Join(tx.InsertAccount(ctx, holder), tx.InsertKey(ctx, newKey(i))); err != nil {
				return err
			}
			topUps[i] = ledger.Request{
				IdempotencyKey: fmt.Sprintf("prepare-%d", i),
				Kind:           ledger.TopUp,
				Wallet:         holder.Wallets[0].WalletRef,
				Amount:         1_000_000 * ledger.Scale,
			}
		}
		return nil
	})
	if err != nil {
		return operator, err
	}
	e, err := engine.New(ctx, store, engine.Options{})
	if err != nil {
		return operator, err
	}
	defer e.Close()
	results, err := e.PostBatch(ctx, topUps, true)
	if err != nil {
		return operator, err
	}
	_, err = engine.FirstFailure(results)
	return operator, err
}

// newHolder is the i-th account, with the wallets that every account has.
func newHolder(i int) *ledger.Holder {
	id := ledger.AccountID(firstAccount + i)
	return &ledger.Holder{
		Account: ledger.Account{ID: id, Name: "Customer " + strconv.Itoa(i), Currency: "CNY", Status: ledger.Active, CreatedAt: time.Now()},
		Wallets: []ledger.Wallet{
			{WalletRef: ledger.WalletRef{Account: id, Service: ledger.SMS}},
			{WalletRef: ledger.WalletRef{Account: id, Service: ledger.VoIP}},
		},
	}
}

// customer is the key of the i-th account.
func customer(i int) ledger.Credentials {
	return ledger.Credentials{ID: fmt.Sprintf("AK%08d", i), Secret: "0123456789abcdefghijklmnopqrstuvwxyz"}
}

func newKey(i int) *ledger.Key {
	credentials := customer(i)
	return &ledger.Key{
		ID: credentials.ID, Digest: credentials.Digest(), Account: ledger.AccountID(firstAccount + i),
		Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, CreatedAt: time.Now(),
	}
}

// antgstRequest asks for the balance of the i-th account as Antgst's customers do.
func antgstRequest(b []byte, i int) []byte {
	return post(b, "/user/account/balance", "", []byte(`{"authSecret":"`+customer(i).AuthSecret()+`"}`))
}

// esmsRequest asks for it as eSMS.vn's customers do.
func esmsRequest(b []byte, i int) []byte {
	c := customer(i)
	return post(b, "/MainService.svc/json/GetBalance_json", "", []byte(`{"ApiKey":"`+c.ID+`","SecretKey":"`+c.Secret+`"}`))
}

// nth is the account of the n-th charge. The order looks random: the stride is a prime.
func nth(n int64, accounts int) ledger.AccountID {
	return ledger.AccountID(firstAccount + n*7919%int64(accounts))
}

// chargeRequest makes charges of one message each.
func chargeRequest(operator ledger.Credentials, series string, accounts int) func([]byte, int64) []byte {
	return func(b []byte, n int64) []byte {
		headers := "Authorization: Bearer " + operator.AuthSecret() + "\r\nIdempotency-Key: " + series + "-" + strconv.FormatInt(n, 10) + "\r\n"
		return post(b, "/v1/transactions", headers, append(appendCharge([]byte("{"), n, accounts), '}'))
	}
}

// batchRequest makes batches of such charges.
func batchRequest(operator ledger.Credentials, series string, accounts, each int) func([]byte, int64) []byte {
	headers := "Authorization: Bearer " + operator.AuthSecret() + "\r\n"
	return func(b []byte, n int64) []byte {
		body := []byte(`{"transactions":[`)
		for i := range int64(each) {
			number := n*int64(each) + i
			body = append(body, `{"idempotency_key":"`+series+`-`...)
			body = strconv.AppendInt(body, number, 10)
			body = append(appendCharge(append(body, `",`...), number, accounts), `},`...)
		}
		return post(b, "/v1/transactions/batch", headers, append(body[:len(body)-1], `]}`...))
	}
}

func appendCharge(b []byte, n int64, accounts int) []byte {
	b = append(b, `"account":`...)
	b = strconv.AppendInt(b, int64(nth(n, accounts)), 10)
	b = append(b, `,"wallet":"sms","type":"charge","amount":"0.0383","reference":"msg-`...)
	return append(strconv.AppendInt(b, n, 10), '"')
}

// loopCharge is the same charge for a loop without HTTP.
func loopCharge(n int64, account ledger.AccountID) ledger.Transaction {
	return ledger.NewTransaction(ledger.Request{
		IdempotencyKey: fmt.Sprintf("loop-%d", n),
		Kind:           ledger.Charge,
		Wallet:         ledger.WalletRef{Account: account, Service: ledger.SMS},
		Amount:         38_300,
		Reference:      fmt.Sprintf("msg-%d", n),
	})
}

// post makes a request with a body.
func post(b []byte, path, headers string, body []byte) []byte {
	b = append(b, "POST "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"...)
	b = append(b, headers...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	return append(b, body...)
}
