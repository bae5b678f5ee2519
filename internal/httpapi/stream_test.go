package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// narrow is how many bytes a connection holds on its way, or about: a server
// must not get far ahead of its client.
const narrow = 32 << 10

// listen serves a handler on a real connection. Like the real server it gives a
// request and its reply a time, here a short one.
func (h *house) listen(handler http.Handler, timeout time.Duration) *httptest.Server {
	h.t.Helper()
	server := httptest.NewUnstartedServer(httpapi.Observe(handler, nil, h.metrics, discard))
	server.Config.ReadTimeout, server.Config.WriteTimeout = timeout, 2*timeout
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateNew {
			_ = conn.(*net.TCPConn).SetWriteBuffer(narrow)
		}
	}
	server.Start()
	h.t.Cleanup(server.Close)
	return server
}

// stream is a request with a line for each transaction, and its reply, both of
// which are under way.
type stream struct {
	t     *testing.T
	lines *io.PipeWriter
	reply *http.Response
	items *bufio.Scanner
}

func (h *house) stream(server *httptest.Server, caller ledger.Credentials) *stream {
	h.t.Helper()
	body, lines := io.Pipe()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, server.URL+batchPath, body)
	if err != nil {
		h.t.Fatal(err)
	}
	as(caller)(r)
	r.Header.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	reply, err := server.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		lines.Close()
		reply.Body.Close()
	})
	return &stream{t: h.t, lines: lines, reply: reply, items: bufio.NewScanner(reply.Body)}
}

func (s *stream) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.lines, text); err != nil {
		s.t.Fatal(err)
	}
}

// next reads one outcome.
func (s *stream) next() api.BatchItem {
	s.t.Helper()
	if !s.items.Scan() {
		s.t.Fatalf("the reply ends: %v", s.items.Err())
	}
	var item api.BatchItem
	if err := json.Unmarshal(s.items.Bytes(), &item); err != nil {
		s.t.Fatal(err)
	}
	return item
}

// rest reads the outcomes that are left.
func (s *stream) rest() (items []api.BatchItem) {
	s.t.Helper()
	for s.items.Scan() {
		var item api.BatchItem
		if err := json.Unmarshal(s.items.Bytes(), &item); err != nil {
			s.t.Fatal(err)
		}
		items = append(items, item)
	}
	if err := s.items.Err(); err != nil {
		s.t.Error(err)
	}
	return items
}

func chargeLine(key, amount string) string {
	return fmt.Sprintf(`{"idempotency_key":%q,"account":1,"wallet":"sms","type":"charge","amount":%q}`, key, amount) + "\n"
}

// A client may wait for each outcome before it sends the next line, and go on
// for longer than the server gives a request.
func TestStreamInStep(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1_000_000*ledger.Scale, "seed")
	const timeout = 300 * time.Millisecond
	s := h.stream(h.listen(h.handler, timeout), h.root)
	if s.reply.StatusCode != http.StatusOK || s.reply.Header.Get("Content-Type") != "application/x-ndjson" || s.reply.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", s.reply.StatusCode, s.reply.Header)
	}
	lines := 0
	for began := time.Now(); time.Since(began) < 3*timeout; lines++ {
		s.send(chargeLine(fmt.Sprint("k", lines), "0.01"))
		if item := s.next(); item.Outcome != "posted" || item.Index != lines || item.Transaction.Amount != "0.01" {
			t.Fatalf("%+v", item)
		}
	}
	s.lines.Close()
	if left := s.rest(); len(left) != 0 {
		t.Errorf("%+v", left)
	}
	if wallet := h.wallet(1); int(wallet.Version) != 1+lines {
		t.Errorf("%d lines, and %+v", lines, wallet)
	}
}

// Every line is answered with one, in their order, whatever is wrong with some.
func TestStreamLines(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	longest := chargeLine("long", "0.1")
	longest = longest[:len(longest)-2] + strings.Repeat(" ", 64<<10-len(longest)+1) + "}"
	if len(longest) != 64<<10 {
		t.Fatal(len(longest))
	}
	body := chargeLine("a", "0.1") + // 0
		"\n \t\r\n" + // 1, 2: empty
		"{\"idempotency_key\":\n" + // 3
		strings.TrimSuffix(chargeLine("b", "0.1"), "\n") + "\r\n" + // 4
		chargeLine("c", "5") + // 5
		longest + "\n" + // 6
		longest + " \n" + // 7
		strings.Repeat("x", 1<<20) + "\n" + // 8
		chargeLine("a", "0.1") + // 9
		`{"account":1,"wallet":"sms","type":"charge","amount":"0.1"}` + "\n" + // 10
		"null\n" + // 11
		"\xff\n" + // 12
		chargeLine("d", "0.1") + chargeLine("d", "0.1") + // 13, 14
		`{"idempotency_key":"e","account":1,"wallet":"sms","type":"charge","amount":0.1}` + "\n" + // 15
		`{"idempotency_key":"e","account":9,"wallet":"sms","type":"charge","amount":"0.1"}` + "\n" + // 16
		strings.TrimSpace(chargeLine("f", "0.1")) // 17, without an end
	want := []string{
		"0 posted", "3 failed the line is not valid JSON", "4 posted", "5 rejected 0.8 is available, 5 was asked for",
		"6 posted", "7 failed the line is over 65536 bytes", "8 failed the line is over 65536 bytes", "9 posted again",
		"10 failed idempotency_key is missing", "11 failed the line is not a JSON object", "12 failed the line is not valid UTF-8",
		"13 posted", "14 posted again", "15 failed amount must be a string, not a number", "16 failed there is no account 9", "17 posted",
	}
	s := h.stream(h.listen(h.handler, time.Minute), h.root)
	go func() {
		_, _ = io.WriteString(s.lines, body)
		s.lines.Close()
	}()
	check := func(items []api.BatchItem) {
		t.Helper()
		var got []string
		for _, item := range items {
			text := fmt.Sprint(item.Index, " ", item.Outcome)
			if item.Error != nil {
				text += " " + item.Error.Detail
			}
			if item.Replayed {
				text += " again"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	check(s.rest())
	// The same without a network, from a body that is there already.
	for i := range want {
		if strings.HasSuffix(want[i], "posted") || strings.Contains(want[i], "rejected") {
			want[i] += " again"
		}
	}
	rec := h.do("POST", batchPath, body, as(h.root), header("Content-Type", "application/x-ndjson"))
	wantStatus(t, rec, 200)
	var items []api.BatchItem
	for decoder := json.NewDecoder(rec.Body); decoder.More(); {
		var item api.BatchItem
		if err := decoder.Decode(&item); err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	check(items)
	// Nothing at all is a stream, too.
	for _, body := range []string{"", "\n", "\n\n \n"} {
		rec := h.do("POST", batchPath, body, as(h.root), header("Content-Type", "application/x-ndjson"))
		if rec.Code != 200 || rec.Body.Len() != 0 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
}

// generator makes lines as they are read.
type generator struct {
	next, end int
	line      func(i int) string
	rest      string
}

func (g *generator) Read(p []byte) (int, error) {
	if g.rest == "" {
		if g.next == g.end {
			return 0, io.EOF
		}
		g.rest = g.line(g.next)
		g.next++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// A large import runs through in chunks, and takes no memory for what it has
// behind it: neither the lines nor the outcomes are kept. It runs alone, because
// the memory of others would count.
func TestStreamOfManyLines(t *testing.T) {
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1_000_000*ledger.Scale, "seed")
	count := 20_000
	if testing.Short() {
		count = 5_000
	}
	metadata := strings.Repeat("m", 500) // 10 MB in all
	s := h.stream(h.listen(h.handler, 10*time.Second), h.root)
	go func() {
		_, _ = io.Copy(s.lines, &generator{end: count, line: func(i int) string {
			return strings.Replace(chargeLine(fmt.Sprint("k", i), "0.01"), "}\n", `,"metadata":{"m":"`+metadata+"\"}}\n", 1)
		}})
		s.lines.Close()
	}()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	before, most := memory.HeapInuse, uint64(0)
	for i := range count {
		if item := s.next(); item.Index != i || item.Outcome != "posted" {
			t.Fatalf("%d: %+v", i, item)
		}
		if i%1000 == 999 {
			runtime.GC()
			runtime.ReadMemStats(&memory)
			most = max(most, memory.HeapInuse)
		}
	}
	if s.items.Scan() {
		t.Errorf("one more: %s", s.items.Bytes())
	}
	// SQLite's cache and the race detector take their part.
	if most > before+96<<20 {
		t.Errorf("%d MiB became %d MiB", before>>20, most>>20)
	}
	if wallet := h.wallet(1); wallet.Version != int64(1+count) || wallet.Balance != fmt.Sprint(1_000_000-count/100) {
		t.Errorf("%+v", wallet)
	}
	commits := scrape(t, h)["saldo_commit_batch_size"].GetMetric()[0].GetHistogram()
	if commits.GetSampleCount() > uint64(count/10) {
		t.Errorf("%d lines took %d commits", count, commits.GetSampleCount())
	}
}

// A client that is cut off sends all again: each line is posted once.
func TestStreamIsCutOffAndSentAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1000*ledger.Scale, "seed")
	server := h.listen(h.handler, time.Minute)
	const count = 3000
	all := func(i int) string { return chargeLine(fmt.Sprint("k", i), "0.01") }
	for _, cut := range []int{1, 700, 1500} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000000\r\n\r\n", batchPath, h.root.AuthSecret())
		go func() {
			_, _ = io.Copy(conn, &generator{end: cut, line: all})
			_, _ = io.WriteString(conn, `{"idempotency_key":"half","account":1,"wallet":"sms","type":"charge","am`)
		}()
		// It reads some outcomes, and goes away in the middle of a line.
		reader := bufio.NewReader(conn)
		for range cut / 2 {
			if _, err := reader.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
	}
	s := h.stream(server, h.root)
	go func() {
		_, _ = io.Copy(s.lines, &generator{end: count, line: all})
		s.lines.Close()
	}()
	replayed := 0
	items := s.rest()
	for i, item := range items {
		if item.Index != i || item.Outcome != "posted" {
			t.Fatalf("%d: %+v", i, item)
		}
		if item.Replayed {
			replayed++
		}
	}
	if len(items) != count || replayed < 700/2 {
		t.Errorf("%d outcomes, %d of them again", len(items), replayed)
	}
	if wallet := h.wallet(1); wallet.Version != 1+count || wallet.Balance != "970" {
		t.Errorf("%+v", wallet)
	}
	if rec := h.do("GET", "/v1/transactions?idempotency_key=half", "", as(h.root)); rec.Body.String() != "{\"items\":[]}\n" {
		t.Errorf("%s", rec.Body)
	}
}

// A request that breaks off while its reply can still be written is told where.
func TestStreamBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	server := h.listen(h.handler, time.Minute)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 10000\r\n\r\n", batchPath, h.root.AuthSecret())
	_, _ = io.WriteString(conn, chargeLine("a", "0.1")+"\n"+`{"idempotency_key":"b","acc`)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	items := (&stream{t: t, items: bufio.NewScanner(reply.Body)}).rest()
	if len(items) != 2 || items[0].Outcome != "posted" || items[1].Index != 2 || items[1].Outcome != "failed" || items[1].Error.Detail != "the request broke off" {
		t.Errorf("%+v", items)
	}
}

// A client that waits to be told to send is told so.
func TestStreamExpectsContinue(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	server := h.listen(h.handler, time.Minute)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line := chargeLine("a", "0.1")
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		batchPath, h.root.AuthSecret(), len(line))
	reader := bufio.NewReader(conn)
	if told, err := reader.ReadString('\n'); err != nil || told != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", told, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, line)
	reply, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if items := (&stream{t: t, items: bufio.NewScanner(reply.Body)}).rest(); reply.StatusCode != http.StatusOK || len(items) != 1 || items[0].Outcome != "posted" {
		t.Errorf("%d %+v", reply.StatusCode, items)
	}
}

// A stream on which nothing comes ends, and says so where the next line would be.
func TestStreamIdles(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	server := h.listen(httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), 500*time.Millisecond), time.Minute)
	s := h.stream(server, h.root)
	s.send(chargeLine("a", "0.1") + `{"half":`)
	items := s.rest()
	if len(items) != 2 || items[0].Outcome != "posted" || items[1].Index != 1 || items[1].Outcome != "failed" || items[1].Error.Detail != "no line came for 500ms" {
		t.Errorf("%+v", items)
	}
	// Its place is free for the next one.
	next := h.stream(server, h.root)
	next.send(chargeLine("a", "0.1"))
	if item := next.next(); !item.Replayed {
		t.Errorf("%+v", item)
	}
}

// A client that takes no outcomes stops the stream, and in the end loses it. What
// it sends meanwhile is not read.
func TestStreamOfSlowReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1000*ledger.Scale, "seed")
	handler := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), 100*time.Millisecond)
	ended := make(chan struct{})
	server := h.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		handler.ServeHTTP(w, r)
	}), time.Minute)
	s := h.stream(server, h.root)
	metadata := strings.Repeat("m", 500)
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(s.lines, &generator{end: 1_000_000, line: func(i int) string {
			return strings.Replace(chargeLine(fmt.Sprint("k", i%100), "0.01"), "}\n", `,"metadata":{"m":"`+metadata+"\"}}\n", 1)
		}})
		sent <- n
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the stream goes on")
	}
	// The network's buffers took some of it.
	if n := <-sent; n > 64<<20 {
		t.Errorf("%d MiB were taken", n>>20)
	}
}

// A key that is revoked posts no more, also on a stream that it began before.
func TestStreamOfRevokedKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	s := h.stream(h.listen(h.handler, time.Minute), customer)
	s.send(chargeLine("a", "0.1"))
	if item := s.next(); item.Outcome != "posted" {
		t.Fatalf("%+v", item)
	}
	wantStatus(t, h.do("DELETE", "/v1/keys/"+customer.ID, "", as(h.root)), 204)
	s.send("\n" + chargeLine("b", "0.1"))
	if items := s.rest(); len(items) != 1 || items[0].Index != 2 || items[0].Error.Code != "unauthorized" {
		t.Errorf("%+v", items)
	}
	if wallet := h.wallet(1); wallet.Balance != "0.9" {
		t.Errorf("%+v", wallet)
	}
}

// A stream over the account's rate is slowed down, not refused.
func TestStreamIsSlowedDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{RateLimit: 20})
	h.topUp(1, 1000*ledger.Scale, "seed")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	s := h.stream(h.listen(h.handler, time.Minute), customer)
	if left := s.reply.Header.Get("Ratelimit"); left != `"account";r=19;t=1` {
		t.Errorf("%s", left)
	}
	began := time.Now()
	for i := range 30 {
		s.send(chargeLine(fmt.Sprint("k", i), "0.01"))
		if item := s.next(); item.Outcome != "posted" {
			t.Fatalf("%+v", item)
		}
	}
	// The request counted for the first line; nine of the others had to wait.
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	// What waits gathers into one chunk, which counts once.
	go func() {
		_, _ = io.Copy(s.lines, &generator{end: 400, line: func(i int) string { return chargeLine(fmt.Sprint("m", i), "0.01") }})
		s.lines.Close()
	}()
	began = time.Now()
	if items := s.rest(); len(items) != 400 || time.Since(began) > 10*time.Second {
		t.Errorf("%d items in %s", len(items), time.Since(began))
	}
}

// What fails for a whole chunk is said for each line, and the stream goes on.
func TestStreamOfStoppedEngine(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	s := h.stream(h.listen(h.handler, time.Minute), h.root)
	s.send(chargeLine("a", "0.1"))
	s.next()
	h.engine.Close()
	s.send(chargeLine("b", "0.1") + "{\n" + chargeLine("c", "0.1"))
	s.lines.Close()
	var got []string
	for _, item := range s.rest() {
		got = append(got, fmt.Sprint(item.Index, " ", item.Outcome, " ", item.Error.Code))
	}
	if want := []string{"1 failed overloaded", "2 failed invalid_request", "3 failed overloaded"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A client that gives up its request ends it.
func TestStreamIsCanceled(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	ended := make(chan struct{})
	server := h.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		h.handler.ServeHTTP(w, r)
	}), time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	body, lines := io.Pipe()
	defer lines.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+batchPath, body)
	if err != nil {
		t.Fatal(err)
	}
	as(h.root)(r)
	r.Header.Set("Content-Type", "application/x-ndjson")
	reply, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on without its client")
	}
}

// raw sends a request on a connection of its own, and leaves the connection open.
func raw(t *testing.T, server *httptest.Server, format string, args ...any) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, format, args...)
	return conn, bufio.NewReader(conn)
}

// What a client sends after the server has given its request up is the rest of
// that request, and never one of its own: a proxy, or a line, may say anything.
func TestRestOfARequestIsNoRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, ledger.Scale, "seed")
	const patience = 300 * time.Millisecond
	var smuggled atomic.Int32
	handler := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), patience)
	server := h.listen(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			smuggled.Add(1)
		}
		handler.ServeHTTP(w, r)
	}), patience)
	line := chargeLine("a", "0.1")
	const half = `{"half":`
	large := strings.Repeat("x", 5<<20)
	for name, tt := range map[string]struct{ path, head, body, want string }{
		"a stream in chunks":     {batchPath, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s%s\r\n", len(line+half), line, half), "no line came for 300ms"},
		"a stream of a length":   {batchPath, "Content-Type: application/x-ndjson\r\nContent-Length: 10000", line + half, "no line came for 300ms"},
		"a stream, half a chunk": {batchPath, "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s%s", 10000, line, half), "no line came for 300ms"},
		"a slow body in chunks":  {"/v1/accounts", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(half), half), "request_timeout"},
		"a slow body":            {"/v1/accounts", "Content-Length: 10000", half, "request_timeout"},
		"a slow batch":           {batchPath, "Content-Length: 10000", half, "request_timeout"},
		"slow reports":           {"/v1/holds/settle", "Content-Length: 10000", "[", "request_timeout"},
		"a body too large":       {"/v1/accounts", "Content-Length: 6000000", large, "request_too_large"},
		"a body of a reader":     {"/v1/accounts/1", "Content-Length: 10000", half, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := raw(t, server, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s", tt.path, h.root.AuthSecret(), tt.head, tt.body)
			reply, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Body.Close()
			body, err := io.ReadAll(reply.Body)
			if err != nil || !reply.Close || !strings.Contains(string(body), tt.want) {
				t.Errorf("%d %v %q, %v", reply.StatusCode, reply.Header, body, err)
			}
			fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if more, _ := io.ReadAll(in); len(more) != 0 || smuggled.Load() != 0 {
				t.Errorf("%d requests, %q", smuggled.Load(), more)
			}
		})
	}
}

// A busy client is told why its stream was ended, although it goes on sending.
func TestStreamIsEndedWhileItComes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 1000*ledger.Scale, "seed")
	server := h.listen(h.handler, time.Minute)
	for range 20 {
		customer := h.customer(1, ledger.ScopeTransactionsWrite)
		s := h.stream(server, customer)
		go func() {
			_, _ = io.Copy(s.lines, &generator{end: 1_000_000, line: func(i int) string { return chargeLine(fmt.Sprint("k", i%100), "0.01") }})
		}()
		s.next()
		wantStatus(t, h.do("DELETE", "/v1/keys/"+customer.ID, "", as(h.root)), 204)
		if items := s.rest(); len(items) == 0 || items[len(items)-1].Error == nil || items[len(items)-1].Error.Code != "unauthorized" {
			t.Errorf("%d items, no word of the key", len(items))
		}
	}
}
