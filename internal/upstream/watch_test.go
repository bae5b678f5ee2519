package upstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/forecast"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

const watchSecret = "WATCH-S3CR3T"

// desk is a ledger's store, a clock that moves when a test says so, and a
// provider that answers what a test says.
type desk struct {
	*testing.T

	path  string
	store *sqlite.Store
	url   string

	mu     sync.Mutex
	now    time.Time
	answer http.HandlerFunc
	asked  int
	log    bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, path: filepath.Join(t.TempDir(), "ledger.db"), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	store, err := sqlite.Create(t.Context(), d.path)
	if err != nil {
		t.Fatal(err)
	}
	d.store = store
	t.Cleanup(func() { d.store.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		d.asked++
		answer := d.answer
		d.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	d.balance("100")
	return d
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// at moves the clock to a time, which is not before now.
func (d *desk) at(t time.Time) {
	d.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.Before(d.now) {
		d.Fatalf("%s is before %s", t, d.now)
	}
	d.now = t
}

func (d *desk) says(answer http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// balance has the provider tell this.
func (d *desk) balance(sms string) {
	d.says(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":%s,"voipBalance":0.0,"currency":"CNY"}}`, sms)
	})
}

// fails has the provider answer a failure.
func (d *desk) fails(status, code int, header ...string) {
	d.says(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"msg":"no","code":%d}`, code)
	})
}

func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// config is a file with one upstream, and more members of it.
func (d *desk) config(members string) *Config {
	d.Helper()
	text := fmt.Sprintf("upstreams:\n- name: a\n  provider: antgst\n  timeout: 5s\n  base_url: %s\n%s", d.url, members)
	config, err := load(d.T, text, func(string) (string, bool) { return watchSecret, true })
	if err != nil {
		d.Fatal(err)
	}
	return config
}

func (d *desk) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// logged gives what was logged since it was last asked.
func (d *desk) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := d.log.String()
	d.log.Reset()
	if strings.Contains(text, watchSecret) {
		d.Errorf("the secret is in the log: %s", text)
	}
	return text
}

// node is a watch of another process than all before. The test says when it has a turn.
func (d *desk) node(config *Config) *watch {
	d.Helper()
	w := NewWatcher(d.store, WatcherOptions{Log: d.logger(), Now: d.clock})
	d.Cleanup(w.Close)
	client, err := config.Upstreams[0].Connect()
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(client.Close)
	return &watch{Watcher: w, node: rand.Text(), upstream: config.Upstreams[0], client: client}
}

// turn has a node take its turn, and wants so many questions to be asked in it.
func (d *desk) turn(w *watch, questions int) (readings.State, time.Time) {
	d.Helper()
	before := d.count()
	due := w.turn(d.Context())
	if asked := d.count() - before; asked != questions {
		d.Fatalf("%d questions were asked at %s, not %d", asked, d.clock(), questions)
	}
	return d.state(), due
}

// state is what the store knows.
func (d *desk) state() readings.State {
	d.Helper()
	states, err := d.store.UpstreamStates(d.Context())
	if err != nil || len(states) != 1 {
		d.Fatalf("%d states, %v", len(states), err)
	}
	return states[0]
}

func (d *desk) wantStatus(state readings.State, want provider.Status, failures int, sms string) {
	d.Helper()
	left := "none"
	if state.Good != nil {
		left = state.Good.Buckets[0].Amount.String()
	}
	if state.Status != want || state.Failures != failures || left != sms {
		d.Errorf("status %s (%s), %d failures, %s left; want %s, %d, %s", state.Status, state.Message, state.Failures, left, want, failures, sms)
	}
}

// near tells whether a pause is an interval, give or take the jitter.
func near(got, want time.Duration) bool {
	return got >= want-want/jitter && got <= want+want/jitter
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 1m\n"))
	state, due := d.turn(w, 1)
	d.wantStatus(state, provider.OK, 0, "100")
	asked := d.clock()
	if !due.Equal(state.DueAt) || !near(due.Sub(asked), time.Minute) || !state.AskedAt.Equal(asked) || !state.Good.At.Equal(asked) {
		t.Errorf("due %s, known to be due %s, asked at %s, read at %s", due, state.DueAt, state.AskedAt, state.Good.At)
	}
	d.at(due.Add(-time.Microsecond))
	if _, again := d.turn(w, 0); again.Before(due) {
		t.Errorf("due again at %s, before %s", again, due)
	}
	d.at(due)
	d.balance("99.999999999999999999")
	state, _ = d.turn(w, 1)
	d.wantStatus(state, provider.OK, 0, "99.999999999999999999")
	found, err := d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", From: asked, To: due.Add(time.Second), Limit: 10})
	if err != nil || len(found) != 4 || found[0].Amount.String() != "100" || found[2].Amount.String() != "99.999999999999999999" || found[2].Rise {
		t.Errorf("%+v, %v", found, err)
	}
}

// A failure leaves the last balance as it is, also in a process that begins
// later, and is followed up more and more rarely, but not less often than every
// ten minutes.
func TestBackOff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	config := d.config("  interval: 1m\n")
	w := d.node(config)
	state, due := d.turn(w, 1)
	good := state.Good.At
	d.fails(200, -22)
	for i, minutes := range []int{1, 2, 4, 8, 10, 10, 10} {
		d.at(due)
		if i == 3 { // The process begins anew.
			if err := d.store.Close(); err != nil {
				t.Fatal(err)
			}
			store, err := sqlite.Open(t.Context(), d.path)
			if err != nil {
				t.Fatal(err)
			}
			d.store = store
			w = d.node(config)
		}
		state, due = d.turn(w, 1)
		d.wantStatus(state, provider.Unauthorized, i+1, "100")
		if !near(due.Sub(d.clock()), time.Duration(minutes)*time.Minute) || !state.Good.At.Equal(good) || state.Code != "-22" {
			t.Errorf("failure %d: due in %s, not %d minutes; balance of %s; code %s", i+1, due.Sub(d.clock()), minutes, state.Good.At, state.Code)
		}
	}
	d.at(due)
	d.balance("90")
	state, due = d.turn(w, 1)
	d.wantStatus(state, provider.OK, 0, "90")
	if !near(due.Sub(d.clock()), time.Minute) {
		t.Errorf("due in %s", due.Sub(d.clock()))
	}
}

// The longest pause is the interval where that is longer than ten minutes.
func TestBackOffOfLongIntervals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fails(200, -22)
	w := d.node(d.config("  interval: 1h\n"))
	for range 3 {
		_, due := d.turn(w, 1)
		if !near(due.Sub(d.clock()), time.Hour) {
			t.Errorf("due in %s", due.Sub(d.clock()))
		}
		d.at(due)
	}
}

// Until a provider's Retry-After is over nobody asks, not even a process with
// another configuration.
func TestBarred(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fails(429, -32, "Retry-After", "3600")
	w := d.node(d.config("  interval: 1m\n"))
	_, due := d.turn(w, 1)
	if left := due.Sub(d.clock()); left != time.Hour {
		t.Errorf("due in %s", left)
	}
	fresh := d.node(d.config("  interval: 30s\n"))
	fresh.early = true
	d.pass(time.Hour - time.Second)
	_, again := d.turn(fresh, 0)
	if again.Before(due) || again.After(due.Add(3*time.Second)) {
		t.Errorf("due again at %s, not %s", again, due)
	}
	d.at(again)
	d.balance("5")
	state, _ := d.turn(fresh, 1)
	d.wantStatus(state, provider.OK, 0, "5")
}

// A configuration that has changed is tried at once, whatever the back-off says.
func TestEarly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fails(200, -22)
	w := d.node(d.config("  interval: 1h\n"))
	d.turn(w, 1)
	d.balance("7")
	d.pass(2 * time.Second)
	fresh := d.node(d.config("  interval: 1h\n"))
	fresh.early = true
	state, _ := d.turn(fresh, 1)
	d.wantStatus(state, provider.OK, 0, "7")
	d.pass(2 * time.Second)
	d.turn(fresh, 0) // Once is enough.
}

// Of many nodes one asks; one that has died, in its question, is replaced when
// its claim has ended; and what it finds out after that is not kept.
func TestOneNodeAtATime(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	config := d.config("  interval: 1m\n")
	var nodes []*watch
	for range 8 {
		nodes = append(nodes, d.node(config))
	}
	for round := range 5 {
		var group sync.WaitGroup
		for _, w := range nodes {
			group.Go(func() { w.turn(context.Background()) })
		}
		group.Wait()
		if d.count() != round+1 {
			t.Fatalf("%d questions in %d rounds", d.count(), round+1)
		}
		d.at(d.state().DueAt)
	}
	slow := nodes[0]
	hung := make(chan struct{})
	d.says(func(w http.ResponseWriter, _ *http.Request) {
		<-hung
		fmt.Fprint(w, `{"msg":"SUCCESS","code":200,"result":{"smsBalance":1,"voipBalance":0,"currency":"CNY"}}`)
	})
	slow.client = patient{slow.client, hung, d}
	done := make(chan time.Time)
	go func() { done <- slow.turn(context.Background()) }()
	for d.count() < 6 {
		time.Sleep(time.Millisecond)
	}
	claim := d.state().DueAt
	d.balance("50")
	d.at(claim.Add(-time.Microsecond))
	d.turn(nodes[1], 0)
	d.at(claim)
	state, _ := d.turn(nodes[1], 1)
	d.wantStatus(state, provider.OK, 0, "50")
	close(hung)
	<-done
	d.wantStatus(d.state(), provider.OK, 0, "50")
}

// patient is a client that waits for longer than its claim lasts, as one does
// whose machine was asleep.
type patient struct {
	Client

	hung chan struct{}
	desk *desk
}

func (p patient) Balance(ctx context.Context) (*provider.Balance, error) {
	_, _ = p.Client.Balance(ctx) // It ends before the provider answers.
	<-p.hung
	return &provider.Balance{Buckets: []provider.Bucket{{Service: "sms", Unit: provider.Money, Amount: decimal.NewFromInt(1)}}}, nil
}

// TestOutcomes: no failure yields a balance, or loses one.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   provider.Status
		asked  int
	}{
		{"wrong key", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"msg":"auth secret error!","code":-22}`) }, provider.Unauthorized, 1},
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>maintenance</html>`) }, provider.Malformed, 1},
		{"a failure with a balance", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"msg":"no","code":-23,"result":{"smsBalance":0,"voipBalance":0,"currency":"CNY"}}`)
		}, provider.Suspended, 1},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, provider.Unreachable, 1},
		{"breaks off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, provider.Unreachable, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			w := d.node(d.config("  interval: 1m\n"))
			_, due := d.turn(w, 1)
			d.at(due)
			d.says(tt.answer)
			before := d.count()
			w.turn(t.Context())
			if tt.asked > 0 && d.count()-before != tt.asked {
				t.Errorf("asked %d times", d.count()-before)
			}
			state := d.state()
			d.wantStatus(state, tt.want, 1, "100")
			found, err := d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", To: due.Add(time.Hour), Limit: 10})
			if err != nil || len(found) != 2 {
				t.Errorf("%d readings, %v", len(found), err)
			}
		})
	}
}

// What should be watched and is not in the answer is a failure, not silence.
func TestMissingBucket(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 1m\n  min: {fax: 5}\n"))
	state, _ := d.turn(w, 1)
	d.wantStatus(state, provider.Malformed, 1, "none")
	if !strings.Contains(state.Message, "no balance for fax") {
		t.Error(state.Message)
	}
}

// A Watcher forecasts from what it has seen, warns once, and tells when it is over.
func TestForecastAndWarnings(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 1h\n  min: {sms: 40}\n"))
	const start = 100
	var state readings.State
	var due time.Time
	for hour := range 40 {
		d.balance(fmt.Sprint(start - hour))
		state, due = d.turn(w, 1)
		if hour < 39 {
			d.at(due)
		}
	}
	sms := state.Good.Buckets[0]
	left := sms.Empty.At.Sub(d.clock())
	if sms.Empty.Outlook != forecast.OutlookFalling || left < 50*time.Hour || left > 72*time.Hour {
		t.Errorf("%d left, one an hour, gone in %s: %+v", start-39, left, sms.Empty)
	}
	if low := sms.Low.At.Sub(d.clock()); low < 15*time.Hour || low > 27*time.Hour {
		t.Errorf("21 more than there should be, one an hour, too little in %s", low)
	}
	if voip := state.Good.Buckets[1]; voip.Empty.Outlook != forecast.OutlookReached || voip.Low != nil {
		t.Errorf("%+v", voip)
	}
	if text := d.logged(); strings.Contains(text, "minimum") {
		t.Error(text)
	}
	// Faster now.
	for _, left := range []int{50, 39, 20, 19} {
		d.at(due)
		d.balance(fmt.Sprint(left))
		state, due = d.turn(w, 1)
	}
	text := d.logged()
	if strings.Count(text, "below its minimum") != 1 || strings.Count(text, "gone within a day") != 1 {
		t.Errorf("not warned of each once: %s", text)
	}
	if state.Good.Buckets[0].BelowMin() != true {
		t.Error("19 is not below 40")
	}
	d.at(due)
	d.balance("500")
	_, due = d.turn(w, 1)
	found, err := d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", From: d.clock(), To: d.clock().Add(time.Hour), Limit: 9})
	if err != nil || !found[0].Rise || found[1].Rise {
		t.Errorf("%+v, %v", found, err)
	}
	d.at(due)
	d.fails(500, 500)
	before := d.count()
	_ = w.turn(t.Context())
	if d.count() == before {
		t.Error("not asked")
	}
	d.at(d.state().DueAt)
	w.turn(t.Context())
	d.at(d.state().DueAt)
	d.balance("499")
	d.turn(w, 1)
	text = d.logged()
	if strings.Count(text, "does not tell its balance") != 1 || strings.Count(text, "tells its balance again") != 1 {
		t.Errorf("not told of each once: %s", text)
	}
}

// A negative balance within a credit line is not empty, and that the line was put
// into the configuration, changed or taken out is neither a top-up nor spending.
func TestCreditLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 10m\n"))
	var state readings.State
	spent := 0
	spend := func(turns int) {
		t.Helper()
		for range turns {
			d.balance(fmt.Sprintf("%d.383", -18-spent)) // six an hour
			var due time.Time
			state, due = d.turn(w, 1)
			d.at(due)
			spent++
		}
	}
	hours := func() float64 {
		empty := state.Good.Buckets[0].Empty
		if empty.Outlook != forecast.OutlookFalling {
			t.Errorf("%+v", empty)
		}
		return empty.At.Sub(state.Good.At).Hours()
	}
	spend(13)
	if empty := state.Good.Buckets[0].Empty; empty.Outlook != forecast.OutlookReached {
		t.Errorf("30 are owed, and nobody knows of a credit line: %+v", empty)
	}
	d.logged()
	w = d.node(d.config("  interval: 10m\n  credit_limit: {sms: 630}\n  min: {sms: 10}\n"))
	spend(1)
	if left := hours(); left < 95 || left > 105 {
		t.Errorf("with 599 to spend, it is gone in %.1f hours", left)
	}
	if b := state.Good.Buckets[0]; b.BelowMin() || b.Spendable().String() != "598.617" {
		t.Errorf("%+v", b)
	}
	spend(3)
	w = d.node(d.config("  interval: 10m\n  credit_limit: {sms: 500}\n"))
	spend(3)
	w = d.node(d.config("  interval: 10m\n  credit_limit: {sms: 337}\n"))
	spend(1)
	if empty := state.Good.Buckets[0].Empty; hours() < 47 || hours() > 53 || empty.Burst || empty.Earliest.Sub(state.Good.At).Hours() < 47 {
		t.Errorf("with 299 to spend: %+v", empty)
	}
	if text := d.logged(); strings.Contains(text, "WARN") {
		t.Error(text)
	}
	found, err := d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", To: d.clock(), Limit: 99})
	if err != nil || len(found) != 42 {
		t.Errorf("%d readings, %v", len(found), err)
	}
	for i := range found {
		if found[i].Rise {
			t.Errorf("a top-up that was none: %+v", found[i])
		}
	}
	d.balance("5")
	d.turn(w, 1)
	found, err = d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", From: d.clock(), To: d.clock().Add(time.Hour), Limit: 9})
	if err != nil || !found[0].Rise || found[0].CreditLimit.String() != "337" {
		t.Errorf("a top-up: %+v, %v", found, err)
	}
}

// A provider that has no such service leaves a credit line without effect.
func TestCreditLineOfNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  credit_limit: {voice: 5}\n"))
	state, _ := d.turn(w, 1)
	if state.Status != provider.Malformed || state.Message != "the reply has no balance for voice" {
		t.Errorf("%+v", state)
	}
}

// An account that is paid later has neither a minimum nor a forecast.
func TestPostpaid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  min: 10\n"))
	good, added := w.balance(&provider.Balance{Billing: provider.BillingPostpaid, Buckets: []provider.Bucket{bucket("main", "0", "EUR")}}, nil, d.clock())
	w.predict(t.Context(), nil, good)
	if b := good.Buckets[0]; b.Min != nil || b.BelowMin() || b.Empty != nil || b.Low != nil || len(added) != 1 {
		t.Errorf("%+v", b)
	}
}

// The whole Watcher: what is unchanged goes on, what is changed is asked again,
// what is gone is asked no more, and Close takes back what is under way.
func TestApply(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := NewWatcher(d.store, WatcherOptions{Log: d.logger(), Asked: func(upstream, provider string, status provider.Status) {
		if upstream != "a" || provider != "antgst" || status != "ok" {
			t.Errorf("%s %s %s", upstream, provider, status)
		}
	}})
	closed := false
	defer func() {
		if !closed {
			w.Close()
		}
	}()
	apply := func(config *Config, questions int) {
		t.Helper()
		if err := w.Apply(config); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); d.count() < questions; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d questions, not %d", d.count(), questions)
			}
		}
	}
	one := d.config("  interval: 1h\n")
	apply(one, 1)
	for deadline := time.Now().Add(20 * time.Second); len(w.Known()) == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	apply(d.config("  interval: 1h\n"), 1)
	if !w.Watches("a") || len(w.Known()) != 1 {
		t.Errorf("watches %v, knows %v", w.Watches("a"), w.Known())
	}
	apply(d.config("  interval: 2h\n"), 2)
	apply(&Config{Keep: DefaultKeep}, 2)
	if w.Watches("a") || len(w.Known()) != 0 {
		t.Error("it is still watched")
	}
	hung := make(chan struct{})
	defer close(hung)
	d.says(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	})
	apply(d.config("  interval: 3h\n"), 3)
	w.Close()
	closed = true
	if state := d.state(); state.Status != provider.OK || state.DueAt.After(time.Now()) {
		t.Errorf("a question that was taken back left %+v", state)
	}
	if text := d.logged(); strings.Contains(text, "WARN") {
		t.Error(text)
	}
}

// A store that fails is told of once, and tried again.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config(""))
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if due := w.turn(t.Context()); due.Sub(d.clock()) != storePause {
			t.Errorf("due in %s", due.Sub(d.clock()))
		}
	}
	if text := d.logged(); strings.Count(text, "does not take readings") != 1 {
		t.Error(text)
	}
	// One that was told to stop has nothing to complain of.
	stopped := d.node(d.config(""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stopped.turn(ctx)
	if text := d.logged(); text != "" {
		t.Error(text)
	}
}

// failing is a real store that does not take what should be kept.
type failing struct {
	readings.Store

	fails bool
}

func (f *failing) RecordUpstream(ctx context.Context, node string, state *readings.State, added []readings.Reading) (bool, error) {
	if f.fails {
		return false, errors.New("no room on the disk")
	}
	return f.Store.RecordUpstream(ctx, node, state, added)
}

// What came of a question is kept as soon as the store takes it, without another
// question; and how long a provider wants to be left alone counts even where the
// store never took it.
func TestRecordFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 1m\n"))
	store := &failing{Store: d.store, fails: true}
	w.store = store
	_, due := d.turn(w, 1)
	d.at(due)
	_, due = d.turn(w, 0)
	store.fails = false
	d.at(due)
	state, due := d.turn(w, 0)
	d.wantStatus(state, provider.OK, 0, "100")
	if !due.Equal(state.DueAt) {
		t.Errorf("due %s, known to be due %s", due, state.DueAt)
	}
	if text := d.logged(); strings.Count(text, "does not take readings") != 1 {
		t.Error(text)
	}
	d.at(due)
	d.fails(429, -32, "Retry-After", "3600")
	store.fails = true
	_, due = d.turn(w, 1)
	began := d.clock()
	for d.clock().Before(began.Add(w.upstream.Timeout + slack)) {
		d.at(due)
		_, due = d.turn(w, 0)
	}
	store.fails = false
	d.at(due)
	if _, due = d.turn(w, 0); due.Before(began.Add(time.Hour)) {
		t.Errorf("it is asked again in %s", due.Sub(began))
	}
}

// A question that was taken back may have been counted by the provider.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	config := d.config("")
	config.Upstreams[0].Pace = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	d.says(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // or the server would not notice that the client is gone
		cancel()
		<-r.Context().Done()
	})
	w := d.node(config)
	w.turn(ctx)
	d.balance("100")
	next := d.node(config)
	next.early = true
	d.pass(time.Minute - time.Second)
	d.turn(next, 0)
	d.pass(3 * time.Second)
	d.turn(next, 1)
}

// eager is a client that answers just as it is told to stop.
type eager struct {
	Client

	stop context.CancelFunc
}

func (e eager) Balance(ctx context.Context) (*provider.Balance, error) {
	balance, err := e.Client.Balance(ctx)
	e.stop()
	return balance, err
}

// An answer that is there is kept, though the Watcher was told to stop.
func TestStoppedWithAnAnswer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config(""))
	ctx, cancel := context.WithCancel(t.Context())
	w.client = eager{w.client, cancel}
	w.turn(ctx)
	d.wantStatus(d.state(), provider.OK, 0, "100")
	if text := d.logged(); strings.Contains(text, "WARN") {
		t.Error(text)
	}
}

// What the store knows is known from the beginning, before a provider has answered.
func TestKnownAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.turn(d.node(d.config("")), 1)
	hung := make(chan struct{})
	defer close(hung)
	d.says(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	})
	w := NewWatcher(d.store, WatcherOptions{Log: d.logger()})
	defer w.Close()
	if err := w.Apply(d.config("  interval: 2m\n")); err != nil {
		t.Fatal(err)
	}
	if known := w.Known(); len(known) != 1 || known[0].Good.Buckets[0].Amount.String() != "100" {
		t.Errorf("%+v", known)
	}
}

// What was told once is not told again while the forecast swings about a day.
func TestWarnedOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	falling := func(hours int) *forecast.Forecast {
		earliest := now.Add(time.Duration(hours) * time.Hour)
		return &forecast.Forecast{Outlook: forecast.OutlookFalling, Earliest: earliest}
	}
	unknown := &forecast.Forecast{Outlook: forecast.OutlookUnknown}
	steps := []struct {
		empty *forecast.Forecast
		want  bool
	}{
		{unknown, false},
		{falling(25), false},
		{falling(23), true},
		{falling(25), true}, // It swings,
		{unknown, true},     // or a top-up is too young to tell.
		{falling(47), true},
		{&forecast.Forecast{Outlook: forecast.OutlookReached}, true},
		{falling(49), false},
		{falling(47), false},
		{falling(23), true},
		{&forecast.Forecast{Outlook: forecast.OutlookIdle}, false},
		{falling(1), true},
		{nil, false},
	}
	var old *readings.Bucket
	for i, step := range steps {
		b := &readings.Bucket{Empty: step.empty}
		b.Warned = warned(old, b, now)
		if b.Warned != step.want {
			t.Errorf("step %d: %v", i, b.Warned)
		}
		old = b
	}
}

// A balance that falls steadily is warned of once, a day before it is gone.
func TestSteadyFall(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{10, 30, 60} {
		t.Run(fmt.Sprint(minutes), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			w := d.node(d.config(fmt.Sprintf("  interval: %dm\n", minutes)))
			const start = 30 * 60 // one a minute
			begin := d.clock()
			var told []time.Duration
			for passed := time.Duration(0); passed < 26*time.Hour; passed = d.clock().Sub(begin) {
				d.balance(fmt.Sprint(start - int(passed.Minutes())))
				_, due := d.turn(w, 1)
				if n := strings.Count(d.logged(), "gone within a day"); n > 0 {
					told = append(told, passed)
				}
				d.at(due)
			}
			if len(told) != 1 || told[0] < 5*time.Hour || told[0] > 8*time.Hour {
				t.Errorf("told after %v", told)
			}
		})
	}
}

// A minimum that is no more has no forecast, and a balance that passes zero, or
// rises, has a new one at once.
func TestForecastIsTrue(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 1m\n  min: {sms: 5}\n"))
	empty := func(sms string, low bool) forecast.Outlook {
		t.Helper()
		d.balance(sms)
		state, due := d.turn(w, 1)
		d.at(due)
		if b := state.Good.Buckets[0]; (b.Low != nil) != low {
			t.Errorf("minimum %v, forecast of it %+v", b.Min, b.Low)
		}
		return state.Good.Buckets[0].Empty.Outlook
	}
	empty("10", true)
	if outlook := empty("0", true); outlook != forecast.OutlookReached {
		t.Errorf("0 left: %s", outlook)
	}
	if outlook := empty("500", true); outlook == forecast.OutlookReached {
		t.Errorf("500 left: %s", outlook)
	}
	w.upstream = d.config("  interval: 1m\n").Upstreams[0]
	empty("499", false)
	if outlook := empty("0", false); outlook != forecast.OutlookReached {
		t.Errorf("0 left without a minimum: %s", outlook)
	}
}

// TestPruning: what is old goes, what is new stays, and what was looked at is not
// looked at again.
func TestPruning(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	w := d.node(d.config("  interval: 10m\n"))
	began := d.clock()
	count := func() int {
		t.Helper()
		found, err := d.store.UpstreamReadings(t.Context(), readings.Query{Upstream: "a", Key: &readings.Key{Service: "sms", Unit: provider.Money, Currency: "CNY"}, To: d.clock().Add(time.Hour), Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for hour := range 3 {
		for i := range 4 {
			d.balance(fmt.Sprint(100 - 4*hour - i))
			d.turn(w, 1)
			w.barred = time.Time{}
			d.at(began.Add(time.Duration(hour)*time.Hour + time.Duration(i+1)*15*time.Minute))
		}
	}
	for _, step := range []struct {
		age  time.Duration
		left int
	}{
		{whole, 12},              // all of them are of the last eight days
		{whole + 2*time.Hour, 6}, // two hours are thinned, to one each
		{whole + 4*time.Hour, 3}, // and the third
		{DefaultKeep, 3},         // kept to the day
		{DefaultKeep + time.Hour, 2},
		{DefaultKeep + 4*time.Hour, 0},
	} {
		d.at(began.Add(step.age))
		from := time.Time{}
		if step.age > whole+3*time.Hour { // as a process that has thinned before
			from = d.clock().Add(-whole - 24*time.Hour)
		}
		next := w.pruneFrom(t.Context(), from)
		if left := count(); left != step.left {
			t.Errorf("after %s %d are left, not %d", step.age, left, step.left)
		}
		if next.After(d.clock().Add(-whole)) || next.Before(d.clock().Add(-whole-26*time.Hour)) {
			t.Errorf("after %s it looks from %s on", step.age, next)
		}
	}
}
