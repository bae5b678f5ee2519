// Command bench measures Saldo against the least that could do the same work,
// in one run on one machine, and prints the ratios. The absolute numbers say
// little: the machine, and what else runs on it, make them.
//
// It is run by "make bench". Every server listens on loopback and is stopped
// at the end; every loop ends by time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// The ledger that is measured: charges go round these accounts.
const (
	accounts     = 1000
	firstAccount = 1000
)

var customer = ledger.Credentials{ID: "AKBENCH", Secret: "0123456789abcdefghijklmnopqrstuvwxyz"}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "bare" {
		exit(bare())
	}
	binary := flag.String("saldo", "bin/saldo", "the binary to measure")
	duration := flag.Duration("duration", 3*time.Second, "how long each measurement lasts")
	rounds := flag.Int("rounds", 3, "how often each is taken, by turns; the median counts")
	only := flag.String("only", "", "measure only the rows whose names have this in them, and what they are compared with")
	many := flag.Int("large", 0, "measure a ledger of this many accounts instead")
	entries := flag.Int("entries", 10, "entries for each account of the large ledger")
	flag.Parse()
	if *many > 0 {
		exit(large(context.Background(), *binary, *many, *entries))
	}
	exit(run(context.Background(), *binary, *duration, *rounds, *only))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// measurement is one row of the table.
type measurement struct {
	name   string
	take   func() (result, error)
	base   string  // the row that it is compared with
	budget float64 // the least ratio to it, 0 for none
	taken  []result
}

func run(ctx context.Context, binary string, duration time.Duration, rounds int, only string) (err error) {
	dir, err := os.MkdirTemp(".", ".bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db := filepath.Join(dir, "ledger.db")
	operator, err := prepare(ctx, db)
	if err != nil {
		return err
	}
	base, err := startBare(ctx)
	if err != nil {
		return err
	}
	defer base.stop()
	saldo, err := startSaldo(ctx, binary, db)
	if err != nil {
		return err
	}
	defer saldo.stop()

	rows := table(ctx, dir, base, saldo, operator, duration)
	needed := map[string]bool{}
	for _, m := range rows {
		if strings.Contains(m.name, only) {
			needed[m.name], needed[m.base] = true, true
		}
	}
	rows = slices.DeleteFunc(rows, func(m *measurement) bool { return !needed[m.name] })
	for round := range rounds {
		for _, m := range rows {
			fmt.Fprintf(os.Stderr, "\r\x1b[Kround %d of %d: %s", round+1, rounds, m.name)
			r, err := m.take()
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			m.taken = append(m.taken, r)
		}
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	show(rows)
	return nil
}

func table(ctx context.Context, dir string, base, saldo *process, operator ledger.Credentials, duration time.Duration) []*measurement {
	antgst := post(nil, "/user/account/balance", "", []byte(`{"authSecret":"`+customer.AuthSecret()+`"}`))
	esms := post(nil, "/MainService.svc/json/GetBalance_json", "", []byte(`{"ApiKey":"`+customer.ID+`","SecretKey":"`+customer.Secret+`"}`))
	read := func(server *process, request []byte, connections int) func() (result, error) {
		return load{
			server: server, connections: connections, duration: duration, status: 200,
			request: func(b []byte, _ int64) []byte { return append(b, request...) },
		}.run
	}
	loops := 0
	loop := func(size int) func() (result, error) {
		return func() (result, error) {
			loops++
			rate, err := sqlLoop(ctx, filepath.Join(dir, fmt.Sprintf("loop-%d.db", loops)), size, duration)
			return result{rate: rate}, err
		}
	}
	runID := strconv.FormatInt(time.Now().UnixNano(), 36)
	series := 0
	charge := func(connections, each int) func() (result, error) {
		return func() (result, error) {
			series++
			name := fmt.Sprintf("%s-%d", runID, series)
			l := load{server: saldo, connections: connections, duration: duration, status: 201, request: chargeRequest(operator, name, accounts)}
			if each > 1 {
				l.status, l.each, l.request = 200, each, batchRequest(operator, name, accounts, each)
			}
			return l.run()
		}
	}
	return []*measurement{
		{name: "bare antgst, 32 connections", take: read(base, antgst, 32)},
		{name: "balance read antgst, 32 connections", take: read(saldo, antgst, 32), base: "bare antgst, 32 connections", budget: 0.85},
		{name: "bare esms, 32 connections", take: read(base, esms, 32)},
		{name: "balance read esms, 32 connections", take: read(saldo, esms, 32), base: "bare esms, 32 connections", budget: 0.85},
		{name: "bare antgst, 128 connections", take: read(base, antgst, 128)},
		{name: "SQL loop, 1 in a transaction", take: loop(1)},
		{name: "SQL loop, 32 in a transaction", take: loop(32)},
		{name: "SQL loop, 128 in a transaction", take: loop(128)},
		{name: "charge, 1 connection", take: charge(1, 1), base: "SQL loop, 1 in a transaction"},
		{name: "charge, 32 connections", take: charge(32, 1), base: "SQL loop, 32 in a transaction"},
		{name: "charge, 128 connections", take: charge(128, 1), base: "bare antgst, 128 connections", budget: 0.30},
		{name: "SQL loop, 100 in a transaction", take: loop(batchSize)},
		{name: "batches of 100 charges, 8 connections", take: charge(8, batchSize), base: "SQL loop, 100 in a transaction", budget: 0.50},
	}
}

// batchSize is how many charges a batch has.
const batchSize = 100

// chargeRequest makes charges of one message each, from every account in an order that
// looks random: the stride is a prime.
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
	b = strconv.AppendInt(b, firstAccount+n*7919%int64(accounts), 10)
	b = append(b, `,"wallet":"sms","type":"charge","amount":"0.0383","reference":"msg-`...)
	return append(strconv.AppendInt(b, n, 10), '"')
}

// prepare makes the ledger: accounts with money, and a customer's key.
func prepare(ctx context.Context, db string) (operator ledger.Credentials, err error) {
	if operator, err = app.Init(ctx, db); err != nil {
		return operator, err
	}
	store, err := sqlite.Open(ctx, db)
	if err != nil {
		return operator, err
	}
	defer store.Close()
	e, err := engine.New(ctx, store, engine.Options{})
	if err != nil {
		return operator, err
	}
	defer e.Close()
	for i := range accounts {
		id := ledger.AccountID(firstAccount + i)
		if _, err := e.CreateAccount(ctx, ledger.Account{ID: id, Name: "bench", Currency: "CNY"}); err != nil {
			return operator, err
		}
		_, _, err := e.Post(ctx, ledger.Request{
			IdempotencyKey: fmt.Sprintf("prepare-%d", i),
			Kind:           ledger.TopUp,
			Wallet:         ledger.WalletRef{Account: id, Service: ledger.SMS},
			Amount:         1_000_000 * ledger.Scale,
		})
		if err != nil {
			return operator, err
		}
	}
	key := ledger.Key{Account: firstAccount, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}}
	_, err = e.CreateKey(ctx, key, customer)
	return operator, err
}

// show prints the medians, and how they stand to what they are compared with.
func show(rows []*measurement) {
	medians := map[string]float64{}
	fmt.Printf("%-38s %10s %10s %10s %10s %8s %8s\n", "", "a second", "p50", "p99", "server cpu", "ratio", "budget")
	for _, m := range rows {
		slices.SortFunc(m.taken, func(a, b result) int { return int(a.rate - b.rate) })
		median := m.taken[len(m.taken)/2]
		medians[m.name] = median.rate
		line := fmt.Sprintf("%-38s %10.0f", m.name, median.rate)
		if median.p50 > 0 {
			line += fmt.Sprintf(" %10s %10s %10s", median.p50.Round(time.Microsecond), median.p99.Round(time.Microsecond), median.cpu.Round(100*time.Nanosecond))
		} else {
			line += strings.Repeat(" ", 33)
		}
		if base := medians[m.base]; base > 0 {
			line += fmt.Sprintf(" %8.2f", median.rate/base)
		}
		if m.budget > 0 {
			line += fmt.Sprintf(" %8.2f %s", m.budget, verdict(median.rate/medians[m.base] >= m.budget))
		}
		fmt.Println(line)
	}
}
