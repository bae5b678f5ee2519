package app

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The keys of the demo. They are known to everybody, which is why a demo serves
// this machine alone and its ledger is thrown away.
var (
	DemoCNY = ledger.Credentials{ID: "DEMO-CNY-ID", Secret: "DEMO-CNY-SECRET"}
	DemoVND = ledger.Credentials{ID: "DEMO-VND-ID", Secret: "DEMO-VND-SECRET"}
)

// Demo is a running Saldo over a throwaway ledger.
type Demo struct {
	*App
	Operator ledger.Credentials // made anew each time, with every scope
	folder   string
}

// StartDemo serves a fresh ledger with the two accounts of the provider pages:
// 1000, which owes 18.383 CNY for SMS, and 9999, with 36693 VND. The address
// must be one of this machine's own.
func StartDemo(ctx context.Context, options Options) (_ *Demo, err error) {
	if err := requireLoopback(options.Listen); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "saldo-demo-")
	if err != nil {
		return nil, err
	}
	d := &Demo{folder: folder}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close(ctx))
		}
	}()
	options.DB = filepath.Join(folder, "demo.db")
	if d.Operator, err = Init(ctx, options.DB); err != nil {
		return nil, err
	}
	// The ledger is filled before it is served, because whoever waits for the port
	// would otherwise be told that the keys of the demo are wrong.
	if err := fillLedger(ctx, options.DB); err != nil {
		return nil, err
	}
	d.App, err = Start(ctx, options)
	return d, err
}

func fillLedger(ctx context.Context, db string) (err error) {
	store, err := OpenStore(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	e, err := engine.New(ctx, store, engine.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	return fill(ctx, e)
}

// Close stops serving and removes the ledger.
func (d *Demo) Close(ctx context.Context) error {
	var err error
	if d.App != nil {
		err = d.App.Close(ctx)
	}
	return errors.Join(err, os.RemoveAll(d.folder))
}

func requireLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return nil
	}
	return Hint(errors.New("the demo has keys that everybody knows, so it serves this machine alone"),
		"leave --listen out, or name a loopback address such as 127.0.0.1:8080")
}

// fill posts what leads to the balances of the provider pages.
func fill(ctx context.Context, e *engine.Engine) error {
	accounts := []struct {
		account     ledger.Account
		credit      ledger.Amount
		kind        ledger.Kind
		amount      ledger.Amount
		credentials ledger.Credentials
	}{
		{ledger.Account{ID: 1000, Name: "Antgst example", Currency: "CNY"}, 100 * ledger.Scale, ledger.Charge, 18_383_000, DemoCNY},
		{ledger.Account{ID: 9999, Name: "eSMS example", Currency: "VND"}, 0, ledger.TopUp, 36_693 * ledger.Scale, DemoVND},
	}
	for _, a := range accounts {
		if _, err := e.CreateAccount(ctx, a.account); err != nil {
			return err
		}
		sms := ledger.WalletRef{Account: a.account.ID, Service: ledger.SMS}
		if _, _, err := e.PutWallet(ctx, sms, ledger.Settings{CreditLimit: a.credit}); err != nil {
			return err
		}
		request := ledger.Request{IdempotencyKey: "demo-" + a.credentials.ID, Kind: a.kind, Wallet: sms, Amount: a.amount}
		posted, _, err := e.Post(ctx, request)
		if err == nil {
			err = posted.Err()
		}
		if err != nil {
			return err
		}
		key := ledger.Key{Account: a.account.ID, Scopes: []ledger.Scope{ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite}}
		if _, err := e.CreateKey(ctx, key, a.credentials); err != nil {
			return err
		}
	}
	return nil
}
