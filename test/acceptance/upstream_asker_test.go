package acceptance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// upstreamWait bounds the wait for what takes a second or two. It is long,
// because it only passes where something is wrong.
const upstreamWait = 30 * time.Second

// newProvider starts a Saldo that plays the provider for another one, which
// sends it requests that the test does not count.
func newProvider(t *testing.T, args ...string) *world {
	t.Helper()
	w := &world{store: saldotest.SQLite}
	w.db, w.key = w.store.NewLedger(t)
	w.play(t, "127.0.0.1:0", args...)
	return w
}

func (w *world) play(t *testing.T, listen string, args ...string) {
	t.Helper()
	w.Server = saldotest.LaunchIn(t, "", saldotest.Environment(), append([]string{"--listen", listen, "--db", w.db}, args...)...)
	w.Await()
	w.operator = w.Client(w.key)
}

// asker is a Saldo that asks providers, with the file that says which.
type asker struct {
	*world

	file string
}

func newAsker(t *testing.T, store saldotest.Store, config string) *asker {
	t.Helper()
	a := &asker{world: &world{store: store}, file: filepath.Join(t.TempDir(), "upstreams.yaml")}
	a.db, a.key = store.NewLedger(t)
	write(t, a.file, config)
	a.serve(t, "--upstreams", a.file)
	return a
}

// write writes a file that nobody else may read.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload has the file read anew, and waits until the log says what came of it.
func (a *asker) reload(t *testing.T, config, logged string) {
	t.Helper()
	before := strings.Count(a.Log(), logged)
	write(t, a.file, config)
	a.Signal(syscall.SIGHUP)
	a.AwaitLog(logged, before+1)
}

// get asks the REST API, or for the metrics, in neither of which there is a secret.
func (a *asker) get(t *testing.T, path string) saldotest.Reply {
	t.Helper()
	reply := a.Send(t, http.MethodGet, path, "", "Authorization", "Bearer "+a.key)
	if strings.Contains(reply.Body, saldotest.Secret) {
		t.Errorf("a secret is in %s: %s", path, reply.Body)
	}
	validate(t, path, reply)
	return reply
}

// known is an upstream as the REST API shows it.
type known struct {
	Name, Provider, Status, Code, Message string

	Watched  bool
	Failures int
	AskedAt  time.Time `json:"asked_at"`
	DueAt    time.Time `json:"due_at"`
	Balance  *struct {
		At      time.Time
		Age     float64 `json:"age_seconds"`
		Buckets []struct{ Service, Currency, Amount string }
	}
}

// left is what there is for a service, "" where nobody knows.
func (k *known) left(service string) string {
	if k.Balance != nil {
		for _, b := range k.Balance.Buckets {
			if b.Service == service {
				return b.Amount
			}
		}
	}
	return ""
}

func (k *known) ok() bool { return k.Status == "ok" }

// upstream gives what is known of an upstream; nothing before it was asked.
func (a *asker) upstream(t *testing.T, name string) *known {
	t.Helper()
	reply := a.get(t, "/v1/upstreams/"+name)
	k := new(known)
	if reply.Status == http.StatusNotFound {
		return k
	}
	if err := json.Unmarshal([]byte(reply.Body), k); err != nil || reply.Status != http.StatusOK || k.Name != name {
		t.Fatalf("%+v, %v", reply, err)
	}
	return k
}

// await waits until what is known of an upstream is what it should be.
func (a *asker) await(t *testing.T, name, what string, is func(*known) bool) *known {
	t.Helper()
	for deadline := time.Now().Add(upstreamWait); ; time.Sleep(50 * time.Millisecond) {
		k := a.upstream(t, name)
		if is(k) {
			return k
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: never %s, but %+v %+v\n%s", name, what, *k, k.Balance, a.told())
		}
	}
}

// told is what the log says but for requests.
func (a *asker) told() string {
	var told strings.Builder
	for line := range strings.Lines(a.Log()) {
		if !strings.Contains(line, `"msg":"request"`) {
			told.WriteString(line)
		}
	}
	return told.String()
}

// metric is the value of a series of the metrics, as it is written there.
func (a *asker) metric(t *testing.T, series string) string {
	t.Helper()
	for line := range strings.Lines(a.get(t, "/metrics").Body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// awaitMetric waits until a series has a value: it may come a moment after the
// REST API shows the same.
func (a *asker) awaitMetric(t *testing.T, series, want string) {
	t.Helper()
	for deadline := time.Now().Add(upstreamWait); ; time.Sleep(50 * time.Millisecond) {
		got := a.metric(t, series)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %q, not %q", series, got, want)
		}
	}
}

// reading is one of the readings that the REST API shows.
type reading struct {
	At                        time.Time
	Service, Currency, Amount string
}

// readings are all that are kept of what is left for a service at an upstream.
func (a *asker) readings(t *testing.T, name, service string) []reading {
	t.Helper()
	var all []reading
	for cursor := ""; ; {
		reply := a.get(t, "/v1/upstreams/"+name+"/readings?service="+service+"&limit=100"+cursor)
		var page struct {
			Items      []reading
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(reply.Body), &page); err != nil || reply.Status != http.StatusOK {
			t.Fatalf("%+v, %v", reply, err)
		}
		all = append(all, page.Items...)
		if page.NextCursor == "" {
			return all
		}
		cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
	}
}

// front stands before a provider: it passes questions on and remembers them, and
// can be told to do something else.
type front struct {
	*httptest.Server

	mu      sync.Mutex
	instead map[string]http.HandlerFunc // answers upstreams of a name in the place of the provider
	rest    string                      // is the Retry-After in replies that have one
	asked   []question
}

// question is one that was answered, to the upstream of a name.
type question struct {
	name          string
	at, answered  time.Time
	status        int
	hadRetryAfter bool
}

// newFront makes a front. The base URL of an upstream is that of the front with
// the upstream's name as the path.
func newFront(t *testing.T, provider *world) *front {
	t.Helper()
	target, err := url.Parse(provider.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{instead: map[string]http.HandlerFunc{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.rest != "" && r.Header.Get("Retry-After") != "" {
				r.Header.Set("Retry-After", f.rest)
			}
			return nil
		},
		// A provider that is not there breaks the connection.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		r.URL.Path, r.URL.RawPath = "/"+path, ""
		f.mu.Lock()
		answer := f.instead[name]
		f.mu.Unlock()
		if answer == nil {
			answer = proxy.ServeHTTP
		}
		recorder := &statusRecorder{ResponseWriter: w}
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.asked = append(f.asked, question{name, began, time.Now(), recorder.status, w.Header().Get("Retry-After") != ""})
		}()
		answer(recorder, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// statusRecorder remembers the status of a reply.
type statusRecorder struct {
	http.ResponseWriter

	status int
}

// WriteHeader begins the reply.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = cmp.Or(r.status, status)
	r.ResponseWriter.WriteHeader(status)
}

// says has questions to an upstream answered by something else, or by the provider
// again where it is nil.
func (f *front) says(name string, instead http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead[name] = instead
}

// questions are those that were answered, in order.
func (f *front) questions() []question {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// page answers like a web server that knows nothing of balances.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = fmt.Fprint(w, "<!doctype html><html><body><h1>Maintenance. Balance: 0</h1></body></html>")
}
