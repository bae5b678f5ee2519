package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
)

// ledger is the least that can answer batches: it knows idempotency keys, rejects
// amounts of 13, has no wallet fax, and is too busy for what is called busy, once.
type ledger struct {
	mu      sync.Mutex
	before  func(batch int) (status int) // may fail whole batches, counted from 1; 0 is no failure
	batches int
	known   map[string]api.BatchOutcome
	order   []string // of references, as they were decided
	sizes   []int    // of the batches
	busy    map[string]bool
}

func (l *ledger) start(t *testing.T) {
	t.Helper()
	l.known, l.busy = map[string]api.BatchOutcome{}, map[string]bool{}
	running := httptest.NewServer(l)
	t.Cleanup(running.Close)
	t.Setenv("SALDO_URL", running.URL)
	t.Setenv("SALDO_KEY", key)
	t.Setenv("SALDO_OUTPUT", "table")
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch api.BatchRequest
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path != "/v1/transactions/batch" || json.Unmarshal(body, &batch) != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches++
	if l.before != nil {
		if status := l.before(l.batches); status != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, problem(status, "test", "no", ""))
			return
		}
	}
	l.sizes = append(l.sizes, len(batch.Transactions))
	reply := api.BatchReply{Items: []api.BatchItem{}}
	for i := range batch.Transactions {
		reply.Items = append(reply.Items, l.decide(i, &batch.Transactions[i]))
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func (l *ledger) decide(index int, t *api.BatchTransaction) api.BatchItem {
	failure := func(status int, code api.ErrorCode) *api.Problem {
		return &api.Problem{Status: status, Code: code, Detail: "no " + cmp.Or(t.Reference, t.Wallet)}
	}
	if strings.HasPrefix(t.Reference, "busy") && !l.busy[t.Reference] {
		l.busy[t.Reference] = true
		return api.BatchItem{Index: index, Outcome: api.BatchOutcomeFailed, Error: failure(503, api.ErrorCodeOverloaded)}
	}
	if t.Wallet == "fax" {
		return api.BatchItem{Index: index, Outcome: api.BatchOutcomeFailed, Error: failure(404, api.ErrorCodeNotFound)}
	}
	outcome, replayed := l.known[t.IdempotencyKey]
	if !replayed {
		outcome = api.BatchOutcomePosted
		if t.Amount != nil && *t.Amount == "13" {
			outcome = api.BatchOutcomeRejected
		}
		l.known[t.IdempotencyKey] = outcome
		l.order = append(l.order, t.Reference)
	}
	item := api.BatchItem{Index: index, Outcome: outcome, Replayed: replayed, Transaction: &api.Transaction{ID: "5c146b14"}}
	if outcome == api.BatchOutcomeRejected {
		item.Error = failure(402, api.ErrorCodeInsufficientFunds)
		item.Error.Transaction = "5c146b14"
	}
	return item
}

// write writes a file into a new folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// imported imports a file and gives the counts that it prints.
func imported(t *testing.T, status int, stdin string, args ...string) importCount {
	t.Helper()
	got := run(t, stdin, append([]string{"import", "-o", "json"}, args...)...)
	var count importCount
	if err := json.Unmarshal([]byte(got.out), &count); err != nil || got.status != status {
		t.Fatalf("status %d, want %d: %s%s", got.status, status, got.out, got.err)
	}
	return count
}

const mixed = `idempotency_key,type,account,wallet,amount,reference,metadata.crm,hold,expires_in,final
k1,topup,1042,sms,500,a,C-77,,,
,charge,1042,sms,0.0383,b,,,,
,charge,1042,sms,0.0383,b,,,,
k2,hold,1042,sms,1,"c, ""quoted""",,,3600,
,capture,,,,d,,9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34,,false
,charge,1042,sms,13,e,,,,
,charge,1042,fax,1,f,,,,

,charge,1042,sms,-1,g,,,,
`

func TestImport(t *testing.T) {
	l := &ledger{}
	l.start(t)
	file := write(t, "mixed.csv", mixed)
	dir := filepath.Dir(file)
	table := run(t, "", "import", file)
	rejects, err := os.ReadFile(file + ".rejects.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	again := run(t, "", "import", file, "--output", "json")
	dry := run(t, "", "import", file, "--dry-run")
	hidden := strings.NewReplacer(dir, "/files", "time      0:01", "time      0:00")
	golden(t, "import", hidden.Replace(fmt.Sprintf(
		"$ cat mixed.csv\n%s\n$ saldo import mixed.csv\n%s--- stderr\n%s\n$ cat mixed.csv.rejects.ndjson\n%s\n$ saldo import mixed.csv --output json\n%s--- stderr\n%s\n$ saldo import mixed.csv --dry-run\n%s--- stderr\n%s",
		mixed, table.out, table.err, rejects, again.out, again.err, dry.out, dry.err)))
	if table.status != 1 || again.status != 1 || dry.status != 1 {
		t.Errorf("status %d, %d, %d", table.status, again.status, dry.status)
	}
	if want := []string{"a", "b", "b", `c, "quoted"`, "d", "e"}; !slices.Equal(l.order, want) {
		t.Errorf("decided in the order %q, want %q", l.order, want)
	}
}

// The same movements have the same keys, in whatever format and place they come.
func TestImportKeysAreStable(t *testing.T) {
	l := &ledger{}
	l.start(t)
	csv := "type,account,wallet,amount,reference\ncharge,1,sms,1,a\ncharge,1,sms,1,a\ncharge,1,sms,2,b\n"
	moved := "\ufeffreference,amount,wallet,account,type\r\nb,2,sms,1,charge\r\nnew,3,sms,1,charge\r\na,1,sms,1,charge\r\na,1,sms,1,charge\r\n"
	lines := `
		{"type":"charge","account":1,"wallet":"sms","amount":"1","reference":"a"}

		{"reference":"b", "type":"charge","account":1,"wallet":"sms","amount":"2"}
		{"type":"charge","account":1,"wallet":"sms","amount":"1","reference":"a"}`
	for i, step := range []struct {
		text             string
		args             []string
		posted, replayed int
	}{
		{csv, nil, 3, 0},
		{csv, nil, 0, 3},
		{moved, nil, 1, 3},
		{lines, nil, 0, 3},
		{csv, []string{"--name", "2026-11"}, 3, 0},
		{csv, []string{"--name", "2026-11"}, 0, 3},
	} {
		count := imported(t, 0, step.text, append(step.args, "-")...)
		if count.Posted != step.posted || count.Replayed != step.replayed || count.File != "standard input" {
			t.Errorf("step %d: %+v", i, count)
		}
	}
	got := run(t, csv, "import", "-")
	if !strings.Contains(got.err, "3 lines without a key were posted by an earlier import") {
		t.Errorf("nothing is said of lines that look the same: %s", got.err)
	}
	for key := range l.known {
		if len(key) < 41 || !strings.HasPrefix(key, "import:") {
			t.Errorf("key %s", key)
		}
	}
}

// Batches are full, in order, and not too large.
func TestImportBatches(t *testing.T) {
	l := &ledger{}
	l.start(t)
	var text strings.Builder
	want := make([]string, 1200)
	for i := range want {
		want[i] = fmt.Sprintf("r%d", i)
		fmt.Fprintf(&text, `{"type":"charge","account":1,"wallet":"sms","amount":"1","reference":%q}`+"\n", want[i])
	}
	file := write(t, "many.ndjson", text.String())
	if count := imported(t, 0, "", file); count.Posted != 1200 || count.Lines != 1200 {
		t.Errorf("%+v", count)
	}
	if !slices.Equal(l.order, want) || slices.Max(l.sizes) > importBatch || len(l.sizes) > 20 {
		t.Errorf("batches of %d", l.sizes)
	}
	l.sizes = nil
	large := fmt.Sprintf(`{"type":"charge","account":1,"wallet":"sms","amount":"1","metadata":{"a":%q}}`+"\n", strings.Repeat("x", 60_000))
	if count := imported(t, 0, "", write(t, "large.ndjson", strings.Repeat(large, 40))); count.Posted != 40 || slices.Max(l.sizes) > 19 {
		t.Errorf("%+v in batches of %d", count, l.sizes)
	}
}

// A server that is gone for a while is waited for, once it has answered; one
// transaction that it was too busy for is sent again alone.
func TestImportWaitsForTheServer(t *testing.T) {
	l := &ledger{}
	l.start(t)
	csv := func(from, to int) string {
		text := "type,account,wallet,amount,reference\n"
		for i := from; i < to; i++ {
			text += fmt.Sprintf("charge,1,sms,1,r%d\n", i)
		}
		return text
	}
	l.before = func(batch int) int {
		if batch >= 2 && batch <= 7 { // the client itself tries five times
			return http.StatusServiceUnavailable
		}
		return 0
	}
	file := write(t, "many.csv", csv(0, 700))
	if count := imported(t, 0, "", file); count.Posted != 700 {
		t.Errorf("%+v", count)
	}
	l.before = nil
	l.sizes = nil
	if count := imported(t, 0, "type,account,wallet,amount,reference\ncharge,1,sms,1,a\ncharge,1,sms,2,busy\ncharge,1,sms,3,c\n", "-"); count.Posted != 3 || !slices.Equal(l.sizes, []int{3, 1}) {
		t.Errorf("%+v in batches of %d", count, l.sizes)
	}
	for status, want := range map[int]struct {
		status int
		hint   string
	}{
		http.StatusServiceUnavailable:  {ExitUnavailable, "everything up to line 501 is done"},
		http.StatusUnauthorized:        {ExitUnauthorized, "everything up to line 501 is done"},
		http.StatusInternalServerError: {ExitFailure, "everything up to line 501 is done"},
	} {
		l.batches = 0
		l.before = func(batch int) int {
			if batch == 1 {
				return 0
			}
			return status
		}
		got := run(t, "", "import", file, "--patience", "0s")
		if got.status != want.status || !strings.Contains(got.err, want.hint) || !strings.Contains(got.out, "lines     500\n") {
			t.Errorf("%d: %+v", status, got)
		}
	}
	l.before = func(int) int { return http.StatusServiceUnavailable }
	if got := run(t, csv(0, 1), "import", "-"); got.status != ExitUnavailable || got.out != "" || strings.Contains(got.err, "is done") {
		t.Errorf("a server that never answered: %+v", got)
	}
}

// Who interrupts gets the batch that is under way, and nothing after it.
func TestImportIsInterrupted(t *testing.T) {
	l := &ledger{}
	l.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	l.before = func(int) int {
		cancel()
		time.Sleep(20 * time.Millisecond) // nothing tells when a cancelled command would have given up
		return 0
	}
	reader, writer := io.Pipe() // which says nothing more
	defer writer.Close()
	go func() {
		_, _ = io.WriteString(writer, "type,account,wallet,amount\n"+strings.Repeat("charge,1,sms,1\n", importBatch+1))
	}()
	var out, errs bytes.Buffer
	command := importCommand{File: "-", Patience: time.Minute}
	command.URL, command.Key, command.Output = os.Getenv("SALDO_URL"), key, "json"
	streams := Streams{In: reader, Out: &out, Err: &errs}
	status := Report(streams, command.Run(ctx, streams))
	var count importCount
	if err := json.Unmarshal(out.Bytes(), &count); err != nil || status != ExitFailure || count.Posted == 0 || count.Posted > importBatch ||
		!strings.HasPrefix(errs.String(), fmt.Sprintf("saldo: interrupted\nhint: everything up to line %d is done", count.Posted+1)) ||
		!strings.Contains(errs.String(), "run the same command again with the same input") {
		t.Errorf("status %d: %s%s", status, &out, &errs)
	}
}

// A pipe that goes slow is not waited for: what it has said is posted.
func TestImportOfASlowPipe(t *testing.T) {
	posted := make(chan bool, 10)
	l := &ledger{before: func(int) int { posted <- true; return 0 }}
	l.start(t)
	reader, writer := io.Pipe()
	done := make(chan result)
	go func() {
		var out, errs bytes.Buffer
		command := importCommand{File: "-"}
		command.URL, command.Key = os.Getenv("SALDO_URL"), key
		streams := Streams{In: reader, Out: &out, Err: &errs}
		status := Report(streams, command.Run(t.Context(), streams))
		done <- result{out.String(), errs.String(), status}
	}()
	for i := range 3 {
		fmt.Fprintf(writer, `{"type":"charge","account":1,"wallet":"sms","amount":"1","reference":"r%d"}`+"\n", i)
		<-posted
	}
	_ = writer.Close()
	if got := <-done; got.status != 0 || len(l.order) != 3 {
		t.Errorf("%+v", got)
	}
}

func TestRejects(t *testing.T) {
	l := &ledger{}
	l.start(t)
	bad, good := "type,account,wallet,amount\ncharge,1,sms,13\n", "type,account,wallet,amount\ncharge,1,sms,1\n"
	file := write(t, "a.csv", bad)
	other := filepath.Join(filepath.Dir(file), "other")

	// By default beside the file, and gone when there are none any more.
	if count := imported(t, 1, "", file); count.Rejects != file+".rejects.ndjson" || count.Rejected != 1 {
		t.Errorf("%+v", count)
	}
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if count := imported(t, 0, "", file); count.Rejects != "" {
		t.Errorf("%+v", count)
	}
	if _, err := os.Stat(file + ".rejects.ndjson"); !os.IsNotExist(err) {
		t.Errorf("old rejects are left: %v", err)
	}
	// Where they are wanted.
	imported(t, 1, bad, "-", "--rejects", other)
	var r reject
	text, err := os.ReadFile(other)
	if err != nil || json.Unmarshal(text, &r) != nil || r.Line != 2 || r.Input != "charge,1,sms,13" || r.Code != api.ErrorCodeInsufficientFunds ||
		r.Outcome != api.BatchOutcomeRejected || r.Transaction != "5c146b14" || !strings.HasPrefix(r.IdempotencyKey, "import:") {
		t.Errorf("%s, %v", text, err)
	}
	// Of standard input on standard error, and there is no other note of them.
	got := run(t, bad, "import", "-")
	if want := string(text) + "saldo: 1 of 1 lines was not posted\n"; got.err != want {
		t.Errorf("got %s, want %s", got.err, want)
	}
	// What cannot be kept ends the import.
	got = run(t, bad, "import", "-", "--rejects", filepath.Dir(file))
	if got.status != 1 || !strings.Contains(got.err, "cannot keep the rejects") || !strings.Contains(got.err, "--rejects") {
		t.Errorf("%+v", got)
	}
}

// TestForms has a line for each rule of what a transaction may look like.
func TestForms(t *testing.T) {
	const id = "9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34"
	for _, line := range []string{
		`{"type":"topup","account":1,"wallet":"sms","amount":"500"}`,
		`{"type":"adjustment","account":1,"wallet":"sms","amount":"-0.5"}`,
		`{"type":"transfer","account":1,"wallet":"sms","amount":"20","to_account":2,"to_wallet":"voip","metadata":{"Any name":"x"}}`,
		`{"type":"refund","charge":"` + id + `","amount":"1.0000000"}`,
		`{"type":"capture","hold":"` + id + `"}`,
		`{"type":"capture","hold":"` + id + `","amount":"1","final":false,"account":1,"wallet":"sms"}`,
		`{"type":"release","hold":"` + id + `","idempotency_key":"k"}`,
		`{"type":"extend","hold":"` + id + `","expires_in":60}`,
	} {
		for item, err := range importItems(strings.NewReader(line), "") {
			if err != nil || item.err != nil {
				t.Errorf("%s: %v, %v", line, err, item.err)
			}
		}
	}
	for line, want := range map[string]string{
		`{"type":"charge"`:                                                   "it is no JSON object: its end is missing",
		`{"type":charge}`:                                                    "it is no JSON",
		`{"type":"charge"} {}`:                                               "something stands after the object",
		`{"type":"charge","Amount":1}`:                                       `unknown member "Amount"`,
		`{"type":"charge","amuont":1}`:                                       `unknown member "amuont"`,
		`{"type":"charge","type":"x"}`:                                       `the member "type" stands twice`,
		`{"type":"charge","account":1,"wallet":"sms","amount":5}`:            "amount must be a text in quotes, not a JSON number",
		`{"type":"charge","account":"1","wallet":"sms","amount":"5"}`:        "account must be a whole number in its range, not a JSON string",
		`{"type":"charge","account":9999999999,"wallet":"sms","amount":"5"}`: "account must be a whole number in its range",
		`{"type":"charge","account":-1,"wallet":"sms","amount":"5"}`:         "an account is a number from 1",
		`{"type":"charge","metadata":{"a":1}}`:                               "must be a text in quotes",
		`{"type":"capture","hold":"` + id + `","final":"no"}`:                "final must be true or false",
		`{}`:                                    `the type is "", not topup`,
		`{"type":"expire","hold":"` + id + `"}`: `the type is "expire", not topup`,
		`{"type":"charge","wallet":"sms","amount":"1"}`:                                                     "account is missing, which a charge needs",
		`{"type":"charge","account":1,"wallet":"SMS","amount":"1"}`:                                         `"SMS" is no name of a wallet`,
		`{"type":"transfer","account":1,"wallet":"sms","amount":"1","to_account":2,"to_wallet":"a wallet"}`: `"a wallet" is no name of a wallet`,
		`{"type":"charge","account":1,"wallet":"sms"}`:                                                      "amount is missing",
		`{"type":"charge","account":1,"wallet":"sms","amount":"1,5"}`:                                       "no decimal number",
		`{"type":"charge","account":1,"wallet":"sms","amount":"0.0000001"}`:                                 "no decimal number",
		`{"type":"charge","account":1,"wallet":"sms","amount":"0.00"}`:                                      "the amount is zero",
		`{"type":"charge","account":1,"wallet":"sms","amount":"-1"}`:                                        "the amount is negative",
		`{"type":"charge","account":1,"wallet":"sms","amount":"1","expires_in":60}`:                         "a charge has no expires_in",
		`{"type":"hold","account":1,"wallet":"sms","amount":"1","expires_in":0}`:                            "expires_in must be from 1",
		`{"type":"release","hold":"` + id + `","amount":"1"}`:                                               "a release has no amount",
		`{"type":"release","hold":"msg-1"}`:                                                                 `"msg-1" is no id of a hold`,
		`{"type":"refund","charge":"msg-1","amount":"1"}`:                                                   `"msg-1" is no id of a charge`,
		`{"type":"release","hold":"` + id + `","idempotency_key":"a b"}`:                                    "an idempotency key is",
		`{"type":"release","hold":"` + id + `","reference":"` + strings.Repeat("x", 201) + `"}`:             "the reference is over 200 bytes",
		`{"type":"` + strings.Repeat("x", 70_000) + `"}`:                                                    "the line is over 65536 bytes",
	} {
		count := 0
		for item, err := range importItems(strings.NewReader(line+"\n"+`{"type":"release","hold":"`+id+`"}`), "") {
			if count++; count == 1 && (err != nil || item.err == nil || !strings.Contains(item.err.Error(), want) || item.line != 1) {
				t.Errorf("%.100s: %v, %v; want %s", line, err, item.err, want)
			}
		}
		if count != 2 {
			t.Errorf("%.100s: %d lines", line, count)
		}
	}
}

// What is wrong with a whole file ends its reading, and nothing is guessed.
func TestBadFiles(t *testing.T) {
	l := &ledger{}
	l.start(t)
	for text, want := range map[string]string{
		"type,account,Wallet\n": `standard input: its first line: there is no column "Wallet" (the columns are account, amount, charge, `,
		"type,metadata.\n":      `there is no column "metadata."`,
		"type,type\n":           `the column "type" stands twice`,
		"charge;1;sms;1\n":      `there is no column "charge;1;sms;1"`,
		"type\n\"" + strings.Repeat("charge\n", 40_000):      "is a quote not closed?",
		"type,account,wallet,amount\ncharge,1,sms,\"1\n2\nx": "line 2: extraneous or missing \" in quoted-field; is a quote not closed?",
		strings.Repeat(" ", 70_000):                          "nothing but white space",
	} {
		got := run(t, text, "import", "-")
		if got.status != 1 || got.out != "" || !strings.Contains(got.err, want) {
			t.Errorf("%.40q: %+v, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "\n\n", "\ufeff", "type,account\n"} {
		if count := imported(t, 0, text, "-"); count != (importCount{File: "standard input"}) {
			t.Errorf("%q: %+v", text, count)
		}
	}
	// A line that is no CSV is one reject, and the others are none.
	if count := imported(t, 1, "type,account,wallet,amount\ncharge,1,sms,1\nch\"arge,1,sms,1\ncharge,1,sms\ncharge,1,sms,2\n", "-"); count.Posted != 2 || count.Failed != 2 {
		t.Errorf("%+v", count)
	}
	// Nor is one in another encoding, which would be read as something else.
	for _, text := range []string{"type,account,wallet,amount,reference\ncharge,1,sms,1,caf\xe9\n", `{"type":"charge","account":1,"wallet":"sms","amount":"1","reference":"caf` + "\xe9\"}"} {
		if got := run(t, text, "import", "-"); got.status != 1 || !strings.Contains(got.err, "not valid UTF-8") || !strings.Contains(got.err, `caf\ufffd`) {
			t.Errorf("%+v", got)
		}
	}
	if l.batches != 1 {
		t.Errorf("%d batches were sent", l.batches)
	}
	for _, args := range [][]string{{"nowhere.csv"}, {t.TempDir()}, {"-", "--patience", "-1s"}} {
		if got := run(t, "", append([]string{"import"}, args...)...); got.status != ExitUsage || got.out != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// A number has commas, a duration colons, and a line of progress both.
func TestProgress(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{400 * time.Millisecond: "0:00", 59600 * time.Millisecond: "1:00", time.Hour + 2*time.Minute + 3*time.Second: "1:02:03"} {
		if got := clock(d); got != want {
			t.Errorf("%s is %s", d, got)
		}
	}
	var out bytes.Buffer
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	p := &progress{out: &out, size: 1000, start: start}
	p.clear() // what is not there
	count := &importCount{Lines: 12_000, Rejected: 2, Failed: 1}
	p.draw(start.Add(4*time.Second), count, 400, "waiting for the server")
	if p.due(start.Add(4*time.Second)) || !p.due(start.Add(5*time.Second)) {
		t.Error("it is drawn too often, or never again")
	}
	p.clear()
	if want := "\r\x1b[K 40% ━━━━━━━━────────────  12,000 lines  3,000/s  0:06 left  3 rejects  waiting for the server\r\x1b[K"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	p.size = 0 // a pipe
	if got := p.line(start.Add(4*time.Second), &importCount{Lines: 8}, 400, ""); got != "8 lines  2/s" {
		t.Errorf("got %q", got)
	}
	p.size, p.colours = 400, true
	if got := p.line(start.Add(4*time.Second), &importCount{Lines: 8, Failed: 1}, 400, ""); got != "100% \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[2m\x1b[0m  8 lines  2/s  \x1b[31m1 reject\x1b[0m" {
		t.Errorf("got %q", got)
	}
	silent := newProgress(&out, 5, start)
	out.Reset()
	silent.draw(start, count, 1, "")
	silent.clear()
	if silent.due(start.Add(time.Hour)) || out.Len() != 0 {
		t.Errorf("what is no terminal gets %q", out.String())
	}
}
