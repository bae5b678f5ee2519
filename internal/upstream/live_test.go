package upstream

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

func TestMain(m *testing.M) { os.Exit(saldotest.Main(m)) }

// counterpart is a Saldo process that plays the provider for a desk.
type counterpart struct {
	*saldotest.Server

	desk     *desk
	db, key  string
	operator *client.Client
	account  api.AccountID
}

func newCounterpart(d *desk, left string) *counterpart {
	d.Helper()
	c := &counterpart{desk: d}
	c.db, c.key = saldotest.SQLite.NewLedger(d.T)
	c.serve("127.0.0.1:0")
	account, err := c.operator.CreateAccount(d.Context(), api.AccountRequest{Name: "Lotus Travel", Currency: "CNY"})
	if err != nil {
		d.Fatal(err)
	}
	c.account = account.ID
	c.move("sms", api.TransactionTypeTopup, left)
	c.move("voip", api.TransactionTypeTopup, "50")
	return c
}

// serve starts the process. What the desk asks it is not counted.
func (c *counterpart) serve(address string) {
	c.desk.Helper()
	c.Server = saldotest.LaunchIn(c.desk.T, "", saldotest.Environment(), "--listen", address, "--db", c.db, "--rate-limit", "0")
	c.Await()
	c.operator = c.Client(c.key)
	c.desk.url = c.URL
}

func (c *counterpart) move(wallet string, kind api.TransactionType, amount string) {
	c.desk.Helper()
	if _, err := c.operator.Post(c.desk.Context(), "", api.TransactionRequest{Account: c.account, Wallet: wallet, Type: kind, Amount: &amount}); err != nil {
		c.desk.Fatal(err)
	}
}

// connect makes the watch of the account, with a new key.
func (c *counterpart) connect() *watch {
	c.desk.Helper()
	key, err := c.operator.CreateKey(c.desk.Context(), c.account, api.KeyRequest{})
	if err != nil {
		c.desk.Fatal(err)
	}
	c.Hide(key.Secret)
	text := fmt.Sprintf("upstreams:\n- {name: a, provider: antgst, timeout: 2s, interval: 1m, base_url: %q}", c.URL)
	config, err := load(c.desk.T, text, func(string) (string, bool) { return key.AuthSecret, true })
	if err != nil {
		c.desk.Fatal(err)
	}
	return c.desk.node(config)
}

// takeTurn gives the watch its turn when it is due, and what is known after it.
func (d *desk) takeTurn(w *watch, due time.Time) (readings.State, time.Time) {
	d.Helper()
	d.at(due)
	due = w.turn(d.Context())
	return d.state(), due
}

// A provider's process is gone for an hour, and then there again. The hour is
// that of the desk's clock.
func TestGoneForAnHour(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := newCounterpart(d, "1000")
	w := c.connect()
	// Every minute 0.1 is spent.
	state, due := d.takeTurn(w, d.clock())
	for range 90 {
		c.move("sms", api.TransactionTypeCharge, "0.1")
		state, due = d.takeTurn(w, due)
	}
	d.wantStatus(state, provider.OK, 0, "991")
	good := state.Good
	d.wantForecast(good, 991, 5, 7)

	c.Kill()
	state, due = d.hourWithout(w, good, due)
	c.serve(strings.TrimPrefix(c.URL, "http://"))
	c.move("sms", api.TransactionTypeCharge, "6")
	failures := state.Failures
	state, _ = d.takeTurn(w, due)
	d.wantStatus(state, provider.OK, 0, "985")
	if !state.Good.At.Equal(d.clock().Truncate(time.Microsecond)) || !near(state.DueAt.Sub(d.clock()), time.Minute) {
		t.Errorf("back at %s: read at %s, due at %s", d.clock(), state.Good.At, state.DueAt)
	}
	d.wantForecast(state.Good, 985, 5, 7)
	text := d.logged()
	if strings.Count(text, "WARN") != 1 || strings.Count(text, "does not tell its balance") != 1 ||
		strings.Count(text, fmt.Sprintf("tells its balance again\" upstream=a provider=antgst failures=%d", failures)) != 1 {
		t.Errorf("it should be told once that it is gone, and once that it is back: %s", text)
	}
}

// hourWithout takes the turns of more than an hour in which nobody answers, and
// checks each. It gives what is known at the end.
func (d *desk) hourWithout(w *watch, good *readings.Balance, due time.Time) (readings.State, time.Time) {
	d.Helper()
	var state readings.State
	began := d.clock()
	longest := longestBackOff + longestBackOff/jitter
	for failures := 1; d.clock().Sub(began) < time.Hour; failures++ {
		if failures > 12 {
			d.Fatalf("asked %d times in %s", failures, d.clock().Sub(began))
		}
		state, due = d.takeTurn(w, due)
		d.wantStatus(state, provider.Unreachable, failures, "991")
		now := d.clock().Truncate(time.Microsecond)
		if pause := due.Sub(now); pause > longest || failures > 5 && pause < longestBackOff-longestBackOff/jitter {
			d.Errorf("failure %d is followed up in %s", failures, pause)
		}
		if !state.Good.At.Equal(good.At) || state.Good.Age(now) != now.Sub(good.At) || !state.AskedAt.Equal(now) {
			d.Errorf("failure %d: %+v", failures, state)
		}
		// What was forecast is true still.
		if empty, _ := state.Good.Buckets[0].AsOf(state.Good.At, now); empty.Outlook != forecast.OutlookFalling || !empty.At.Equal(good.Buckets[0].Empty.At) {
			d.Errorf("failure %d: the forecast became %+v", failures, empty)
		}
	}
	return state, due
}

// wantForecast wants a balance to be gone at a rate between two, in an hour.
func (d *desk) wantForecast(good *readings.Balance, left, least, most int) {
	d.Helper()
	f := good.Buckets[0].Empty
	hours := func(perHour int) time.Duration { return time.Duration(left) * time.Hour / time.Duration(perHour) }
	if until := f.At.Sub(good.At); f.Outlook != forecast.OutlookFalling || until < hours(most) || until > hours(least) {
		d.Errorf("with %d left and %d to %d spent in an hour, it is gone in %s: %+v", left, least, most, until, f)
	}
}
