package acceptance

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// trials are a Saldo that plays the provider, and one that asks it in both
// dialects: as "direct" and "esms" without anything in between, and as "fronted"
// through a front.
type trials struct {
	*asker

	provider *world
	front    *front
	account  api.AccountID
	secret   string            // the file with the auth_secret of "direct"
	config   string            // the file of the upstreams
	left     map[string]string // for which upstream
}

// serviceAt is where an upstream of the trials has its money.
var serviceAt = map[string]string{"direct": "sms", "esms": "main", "fronted": "sms"}

// TestUpstreams lets a provider do all that providers do, one after the other.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	saldotest.OnEachStore(t, func(t *testing.T, store saldotest.Store) {
		t.Helper()
		t.Parallel()
		u := newTrials(t, store)
		u.testChange(t)
		u.testSuspension(t)
		u.testWrongKey(t)
		u.testBrokenFile(t)
		u.testSilence(t)
		u.testPage(t)
		u.testGone(t)
		u.Stop()
		saldotest.Verify(t, u.db)
	})
}

func newTrials(t *testing.T, store saldotest.Store) *trials {
	t.Helper()
	u := &trials{provider: newProvider(t, "--rate-limit", "0"), secret: filepath.Join(t.TempDir(), "direct.key")}
	u.front = newFront(t, u.provider)
	// More digits than a float has.
	u.account = u.provider.account(t, api.AccountRequest{}, map[string]string{"sms": "1234567890123.456789", "voip": "-7.5"})
	u.left = map[string]string{"direct": "1234567890123.456789", "esms": "1234567890123", "fronted": "1234567890123.456789"}
	first := u.provider.importKey(t, u.account, "FIRST", api.KeyRequest{})
	other := u.provider.importKey(t, u.account, "OTHER", api.KeyRequest{})
	write(t, u.secret, first.authSecret()+"\n")
	u.config = fmt.Sprintf(`upstreams:
- {name: direct, provider: antgst, base_url: "%[1]s", interval: 1s, timeout: 1s, credentials: {auth_secret: {file: %[2]s}}}
- {name: esms, provider: esms, base_url: "%[1]s", interval: 1s, timeout: 1s, credentials: {api_key: %[3]s, secret_key: %[4]s}}
- {name: fronted, provider: antgst, base_url: "%[5]s/fronted", interval: 1s, timeout: 1s, credentials: {auth_secret: %[3]s%[4]s}}
`, u.provider.URL, u.secret, other.id, other.secret, u.front.URL)
	u.asker = newAsker(t, store, u.config)
	u.awaitAll(t, time.Time{})
	return u
}

// awaitAll waits until every upstream has answered since, with what is left there.
func (u *trials) awaitAll(t *testing.T, since time.Time) {
	t.Helper()
	for name, left := range u.left {
		k := u.await(t, name, "ok with "+left, func(k *known) bool {
			return k.ok() && k.AskedAt.After(since) && k.left(serviceAt[name]) == left
		})
		if k.Failures != 0 || k.Code != "" || k.Message != "" || !k.Watched || !k.Balance.At.Equal(k.AskedAt) {
			t.Errorf("%s: %+v", name, k)
		}
		u.awaitMetric(t, u.series("up", name), "1")
	}
}

func (u *trials) series(metric, name string, labels ...string) string {
	provider := map[string]string{"direct": "antgst", "esms": "esms", "fronted": "antgst"}[name]
	all := append([]string{fmt.Sprintf("provider=%q", provider), fmt.Sprintf("upstream=%q", name)}, labels...)
	slices.Sort(all)
	return "saldo_upstream_" + metric + "{" + strings.Join(all, ",") + "}"
}

// trouble has something happen to upstreams, of which each fails with a status
// and the code of its provider. What was left there before stays known. The other
// upstreams do not notice, and all is well again when the trouble is over.
func (u *trials) trouble(t *testing.T, status string, codes map[string]string, begin, end func()) {
	t.Helper()
	began := time.Now()
	begin()
	for name, code := range codes {
		k := u.await(t, name, status, func(k *known) bool { return k.Status == status })
		if k.Failures < 1 || k.Code != code || k.Message == "" || !k.DueAt.After(k.AskedAt) {
			t.Errorf("%s: %+v, code %s", name, k, code)
		}
		u.checkKept(t, name, k)
		u.awaitMetric(t, u.series("up", name), "0")
		u.awaitMetric(t, u.series("status", name, fmt.Sprintf("status=%q", status)), "1")
		if asked := u.metric(t, u.series("questions_total", name, fmt.Sprintf("status=%q", status))); asked == "" || asked == "0" {
			t.Errorf("%s: %q questions with %s", name, asked, status)
		}
		if age, err := strconv.ParseFloat(u.metric(t, u.series("reading_age_seconds", name)), 64); err != nil || age <= 0 {
			t.Errorf("%s: the age of the reading is %v, %v", name, age, err)
		}
	}
	for name := range u.left {
		if _, concerned := codes[name]; !concerned {
			u.await(t, name, "ok meanwhile", func(k *known) bool { return k.ok() && k.AskedAt.After(began) })
		}
	}
	end()
	u.awaitAll(t, time.Now())
}

// checkKept checks that a failure has left the last balance, with its time.
func (u *trials) checkKept(t *testing.T, name string, k *known) {
	t.Helper()
	if k.left(serviceAt[name]) != u.left[name] || !k.Balance.At.Before(k.AskedAt) || k.Balance.At.IsZero() || k.Balance.Age < 0 {
		t.Errorf("%s: asked at %s, and kept %+v", name, k.AskedAt, k.Balance)
	}
}

// testChange spends, and tops up, in the last digit.
func (u *trials) testChange(t *testing.T) {
	t.Helper()
	change := func(kind api.TransactionType, amount, now string) {
		t.Helper()
		u.provider.post(t, api.TransactionRequest{Account: u.account, Wallet: "sms", Type: kind, Amount: &amount})
		u.left["direct"], u.left["fronted"] = now, now
		u.awaitAll(t, time.Time{})
	}
	change(api.TransactionTypeCharge, "0.000001", "1234567890123.456788")
	change(api.TransactionTypeTopup, "0.000002", "1234567890123.45679")
	if voip := u.upstream(t, "direct").left("voip"); voip != "-7.5" {
		t.Errorf("%s left for voice", voip)
	}
	var amounts []string
	last := time.Time{}
	for _, r := range u.readings(t, "direct", "sms") {
		if !r.At.After(last) || r.Service != "sms" || r.Currency != "CNY" {
			t.Errorf("%+v, after %s", r, last)
		}
		last, amounts = r.At, append(amounts, r.Amount)
	}
	want := []string{"1234567890123.456789", "1234567890123.456788", "1234567890123.45679"}
	if got := slices.Compact(amounts); !slices.Equal(got, want) {
		t.Errorf("the readings are %s, want %s", got, want)
	}
	// A gauge is a float, and rounds.
	u.awaitMetric(t, u.series("balance", "direct", `currency="CNY"`, `service="voip"`), "-7.5")
	if value := u.metric(t, u.series("balance", "direct", `currency="CNY"`, `service="sms"`)); !strings.HasPrefix(value, "1.23456789012345") {
		t.Errorf("the gauge is %s", value)
	}
}

func (u *trials) testSuspension(t *testing.T) {
	t.Helper()
	u.trouble(t, "suspended", map[string]string{"direct": "-23", "esms": "143", "fronted": "-23"},
		func() { u.provider.status(t, u.account, api.AccountStatusSuspended) },
		func() { u.provider.status(t, u.account, api.AccountStatusActive) })
}

// testWrongKey revokes a key, and puts a new one into the file.
func (u *trials) testWrongKey(t *testing.T) {
	t.Helper()
	u.trouble(t, "unauthorized", map[string]string{"direct": "-22"},
		func() {
			if err := u.provider.operator.RevokeKey(t.Context(), "FIRST"); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			second := u.provider.importKey(t, u.account, "SECOND", api.KeyRequest{})
			write(t, u.secret, second.authSecret())
			u.reload(t, u.config, "the upstreams are reloaded")
		})
	if log := u.Log(); !strings.Contains(log, "check the credentials") {
		t.Errorf("the log has no hint: %s", log)
	}
}

// testBrokenFile has a file read that is no good: what was configured stays.
func (u *trials) testBrokenFile(t *testing.T) {
	t.Helper()
	for _, broken := range []string{
		strings.Replace(u.config, "provider: esms", "provider: nobody", 1),
		strings.Replace(u.config, u.secret, u.secret+".gone", 1),
		"upstreams: [",
		"",
	} {
		u.reload(t, broken, "the upstreams could not be reloaded")
	}
	if log := u.Log(); !strings.Contains(log, `"hint":"the providers are antgst, `) {
		t.Errorf("the log has no hint: %s", log)
	}
	u.awaitAll(t, time.Now())
	u.reload(t, u.config, "the upstreams are reloaded")
}

// testSilence stops the provider's process, but not its port.
func (u *trials) testSilence(t *testing.T) {
	t.Helper()
	goOn := func() { u.provider.Signal(syscall.SIGCONT) }
	stopped := true
	defer func() {
		if stopped {
			goOn()
		}
	}()
	u.trouble(t, "unreachable", map[string]string{"direct": "", "esms": "", "fronted": ""},
		func() { u.provider.Signal(syscall.SIGSTOP) },
		func() { goOn(); stopped = false })
}

func (u *trials) testPage(t *testing.T) {
	t.Helper()
	u.trouble(t, "malformed", map[string]string{"fronted": ""}, func() { u.front.says("fronted", page) }, func() { u.front.says("fronted", nil) })
}

// testGone kills the provider. Meanwhile the asking process begins anew, and
// finds in its ledger what it knew.
func (u *trials) testGone(t *testing.T) {
	t.Helper()
	all := map[string]string{"direct": "", "esms": "", "fronted": ""}
	address := strings.TrimPrefix(u.provider.URL, "http://")
	u.trouble(t, "unreachable", all, func() { u.provider.Kill() }, func() {
		before, read := map[string]*known{}, map[string][]reading{}
		for name := range all {
			before[name] = u.await(t, name, "failing twice", func(k *known) bool { return k.Failures >= 2 })
			u.checkKept(t, name, before[name])
			read[name] = u.readings(t, name, serviceAt[name])
		}
		u.Stop()
		u.serve(t, "--upstreams", u.file)
		for name, old := range before {
			k := u.upstream(t, name)
			u.checkKept(t, name, k)
			if k.ok() || k.Failures < old.Failures || !k.Balance.At.Equal(old.Balance.At) {
				t.Errorf("%s: a process that began anew knows %+v, the last one %+v", name, k, old)
			}
			if again := u.readings(t, name, serviceAt[name]); !slices.Equal(again, read[name]) || len(again) < 4 {
				t.Errorf("%s: %d readings became %d", name, len(read[name]), len(again))
			}
		}
		u.provider.play(t, address, "--rate-limit", "0")
	})
}

// TestUpstreamRateLimit has two upstreams share an account that may ask once a
// second. The one that is refused does not ask again before it may, and when it
// is alone it gets its answer.
func TestUpstreamRateLimit(t *testing.T) {
	t.Parallel()
	const rest = 3 * time.Second // Saldo itself never says more than 1 here
	provider := newProvider(t, "--rate-limit", "1")
	front := newFront(t, provider)
	front.rest = "3"
	account := provider.account(t, api.AccountRequest{}, map[string]string{"sms": "5"})
	key := provider.importKey(t, account, "LIMITED", api.KeyRequest{})
	configured := map[string]string{}
	for _, name := range []string{"one", "two"} {
		configured[name] = fmt.Sprintf("- {name: %[1]s, provider: antgst, base_url: %[2]s/%[1]s, interval: 1s, timeout: 1s, credentials: {auth_secret: %[3]s}}\n",
			name, front.URL, key.authSecret())
	}
	a := newAsker(t, saldotest.SQLite, "upstreams:\n"+configured["one"]+configured["two"])
	limited := a.awaitLimited(t, "one", "two")
	if limited.Code != "-32" || limited.Failures < 1 || limited.DueAt.Sub(limited.AskedAt) < rest {
		t.Errorf("%+v", limited)
	}
	a.reload(t, "upstreams:\n"+configured[limited.Name], "the upstreams are reloaded")
	a.await(t, limited.Name, "ok", func(k *known) bool { return k.ok() && k.AskedAt.After(limited.AskedAt) && k.left("sms") == "5" })
	a.Stop()
	waited := 0
	last := map[string]question{}
	for _, q := range front.questions() {
		if before, ok := last[q.name]; ok && before.status == http.StatusTooManyRequests {
			waited++
			if pause := q.at.Sub(before.answered); pause < rest || !before.hadRetryAfter {
				t.Errorf("%s was told to wait for %s, and asked again after %s", q.name, rest, pause)
			}
		}
		last[q.name] = q
	}
	if waited == 0 {
		t.Error("nobody asked again")
	}
}

// awaitLimited waits until one of the upstreams is refused.
func (a *asker) awaitLimited(t *testing.T, names ...string) *known {
	t.Helper()
	for deadline := time.Now().Add(upstreamWait); ; time.Sleep(20 * time.Millisecond) {
		for _, name := range names {
			if k := a.upstream(t, name); k.Status == "rate_limited" {
				return k
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody is refused: %s", a.told())
		}
	}
}
