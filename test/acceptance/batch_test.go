package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

const (
	batchPath = "/v1/transactions/batch"
	ndjson    = "application/x-ndjson"
)

// rawItem is what came of one transaction of a batch, with the bytes of its parts.
type rawItem struct {
	Index       int
	Outcome     api.BatchOutcome
	Replayed    bool
	Transaction json.RawMessage
	Error       json.RawMessage
}

// sentence puts an item into few words.
func (i *rawItem) sentence(t *testing.T) string {
	t.Helper()
	words := string(i.Outcome)
	if i.Error != nil {
		var problem api.Problem
		if err := json.Unmarshal(i.Error, &problem); err != nil {
			t.Fatal(err)
		}
		words += " " + string(problem.Code)
	}
	if i.Replayed {
		words += " again"
	}
	return words
}

// batch posts a batch that is answered with 200, and gives what came of each
// transaction.
func (r *rest) batch(t *testing.T, as, body string) (counts api.BatchReply, items []rawItem) {
	t.Helper()
	reply := r.send(t, as, "POST", batchPath, body)
	if reply.Status != 200 {
		t.Fatalf("%d %s", reply.Status, clip(reply.Body))
	}
	var raw struct{ Items []rawItem }
	if err := decodeJSON(reply.Body, &counts); err != nil {
		t.Fatal(err)
	}
	if err := decodeJSON(reply.Body, &raw); err != nil {
		t.Fatal(err)
	}
	for i, item := range raw.Items {
		if item.Index != i {
			t.Errorf("the item %d has the index %d", i, item.Index)
		}
	}
	return counts, raw.Items
}

func (r *rest) testBatches(t *testing.T) {
	r.account(t, api.AccountRequest{ID: 31}, map[string]string{"sms": "1000"})
	r.account(t, api.AccountRequest{ID: 32}, map[string]string{"sms": "1000"})
	r.signIn(t, "sender", 31, api.ScopeTransactionsWrite)
	t.Run("mixed", r.testMixedBatch)
	t.Run("atomic", r.testAtomicBatch)
	t.Run("atomic and refused", r.testAtomicRefusals)
	t.Run("limits", r.testBatchLimits)
	t.Run("lines", r.testLines)
	t.Run("lines both ways", r.testLinesBothWays)
}

// testMixedBatch checks that each of 200 transactions has an outcome of its own,
// and that it is what the transaction is ever after.
func (r *rest) testMixedBatch(t *testing.T) {
	kinds := []struct{ rest, want string }{
		{`"account":31,"wallet":"sms","type":"charge","amount":"0.01","reference":"bulk","metadata":{"a":"<&>"}`, "posted"},
		{`"account":31,"wallet":"sms","type":"charge","amount":"1000000"`, "rejected insufficient_funds"},
		{`"account":31,"wallet":"sms","type":"hold","amount":"0.5","expires_in":3600`, "posted"},
		{`"account":7,"wallet":"sms","type":"charge","amount":"1"`, "failed not_found"},
		{`"account":31,"wallet":"sms","type":"charge","amount":1`, "failed invalid_request"},
	}
	var bodies []string
	for i := range 200 {
		bodies = append(bodies, fmt.Sprintf(`{"idempotency_key":"bulk-%d",%s}`, i, kinds[i%len(kinds)].rest))
	}
	body := `{"transactions":[` + strings.Join(bodies, ",") + `]}`
	counts, items := r.batch(t, "operator", body)
	if counts.Posted != 80 || counts.Rejected != 40 || counts.Failed != 80 || len(items) != 200 {
		t.Fatalf("%d posted, %d rejected, %d failed of %d", counts.Posted, counts.Rejected, counts.Failed, len(items))
	}
	counts, again := r.batch(t, "operator", body)
	if counts.Posted != 80 || counts.Rejected != 40 || counts.Failed != 80 {
		t.Errorf("then %d posted, %d rejected, %d failed", counts.Posted, counts.Rejected, counts.Failed)
	}
	for i, item := range items {
		want := kinds[i%len(kinds)].want
		if got := item.sentence(t); got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
		if item.Outcome != api.BatchOutcomeFailed {
			want += " again"
		}
		if got := again[i].sentence(t); got != want || string(again[i].Transaction) != string(item.Transaction) || string(again[i].Error) != string(item.Error) {
			t.Errorf("%d: again %s, want %s\n%s\n%s", i, got, want, item.Transaction, again[i].Transaction)
		}
		if item.Transaction == nil || i%20 > 2 {
			continue
		}
		var transaction api.Transaction
		if err := json.Unmarshal(item.Transaction, &transaction); err != nil {
			t.Fatal(err)
		}
		if stored := r.send(t, "operator", "GET", "/v1/transactions/"+transaction.ID, ""); stored.Body != string(item.Transaction)+"\n" {
			t.Errorf("%d: stored %s\nanswered %s", i, stored.Body, item.Transaction)
		}
	}
	r.walk(t, []step{
		{"operator", "GET", "/v1/accounts/31/wallets/sms", ``, 200, `"balance":"999.6","held":"20"`},
		// What failed may be repaired, and one that is sent alone is the same as in a batch.
		{"operator", "POST", "/v1/transactions#bulk-4", `{"account":31,"wallet":"sms","type":"charge","amount":"0.1"}`, 201, `"balance":"999.5"`},
		{"operator", "POST", "/v1/transactions#bulk-1", `{` + kinds[1].rest + `}`, 402, "insufficient_funds"},
	})
}

func (r *rest) testAtomicBatch(t *testing.T) {
	const (
		good = `{"atomic":true,"transactions":[{"idempotency_key":"at-1","account":32,"wallet":"sms","type":"charge","amount":"1"},` +
			`{"idempotency_key":"at-2","account":32,"wallet":"sms","type":"transfer","amount":"2","to_account":31},` +
			`{"idempotency_key":"at-3","account":32,"wallet":"sms","type":"hold","amount":"3"}]}`
		bad = `{"atomic":true,"transactions":[{"idempotency_key":"at-4","account":32,"wallet":"sms","type":"charge","amount":"1"},` +
			`{"idempotency_key":"at-5","account":32,"wallet":"sms","type":"charge","amount":"2"},` +
			`{"idempotency_key":"at-6","account":32,"wallet":"sms","type":"charge","amount":"5000"},` +
			`{"idempotency_key":"at-7","account":32,"wallet":"sms","type":"charge","amount":"1"}]}`
	)
	counts, items := r.batch(t, "operator", good)
	if counts.Posted != 3 {
		t.Errorf("%+v", counts)
	}
	batch := counts.Items[0].Transaction.Batch
	_, again := r.batch(t, "operator", good)
	for i := range items {
		if again[i].sentence(t) != "posted again" || string(again[i].Transaction) != string(items[i].Transaction) || counts.Items[i].Transaction.Batch != batch || batch == "" {
			t.Errorf("%d: %s, then %s", i, items[i].Transaction, again[i].Transaction)
		}
	}
	first := r.send(t, "operator", "POST", batchPath, bad)
	var problem api.Problem
	if err := decodeJSON(first.Body, &problem); err != nil || first.Status != 402 || problem.Code != "insufficient_funds" || problem.Index == nil || *problem.Index != 2 || problem.Transaction == "" {
		t.Errorf("%v: %+v", err, first)
	}
	if first.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("%v", first.Header)
	}
	replay := r.send(t, "operator", "POST", batchPath, bad)
	if replay.Body != first.Body || replay.Status != first.Status || replay.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %+v\nthen  %+v", first, replay)
	}
	r.walk(t, []step{
		{"operator", "GET", "/v1/transactions?idempotency_key=at-4", ``, 200, `"status":"rejected","rejection":"batch_rejected"`},
		{"operator", "GET", "/v1/transactions?idempotency_key=at-5", ``, 200, `"rejection":"batch_rejected"`},
		{"operator", "GET", "/v1/transactions?idempotency_key=at-6", ``, 200, `{"items":[{"id":"` + problem.Transaction + `","status":"rejected","rejection":"insufficient_funds"`},
		{"operator", "GET", "/v1/transactions?idempotency_key=at-7", ``, 200, `"rejection":"batch_rejected"`},
		{"operator", "GET", "/v1/accounts/32/wallets/sms", ``, 200, `"balance":"997","held":"3"`},
		// A part of it is another request.
		{"operator", "POST", "/v1/transactions#at-4", `{"account":32,"wallet":"sms","type":"charge","amount":"1"}`, 422, "idempotency_key_reused"},
		{"operator", "POST", batchPath, strings.Replace(bad, "at-7", "at-8", 1), 422, "idempotency_key_reused"},
		{"operator", "POST", batchPath, strings.Replace(bad, "true", "false", 1), 200, `{"posted":0,"rejected":0,"failed":4,`},
	})
}

// testAtomicRefusals checks that what is wrong before anything is decided names
// its place, and is not remembered.
func (r *rest) testAtomicRefusals(t *testing.T) {
	post := func(last string) string {
		return `{"atomic":true,"transactions":[{"idempotency_key":"re-1","account":31,"wallet":"sms","type":"charge","amount":"0.5"},` + last + `]}`
	}
	for _, test := range []struct {
		as, last string
		status   int
		code     string
	}{
		{"operator", `{"idempotency_key":"re-2","account":7,"wallet":"sms","type":"charge","amount":"1"}`, 404, "not_found"},
		{"operator", `{"idempotency_key":"re-2","account":31,"wallet":"sms","type":"charge","amount":"x"}`, 400, "invalid_request"},
		{"operator", `{"account":31,"wallet":"sms","type":"charge","amount":"1"}`, 400, "invalid_request"},
		{"operator", `{"idempotency_key":"re-1","account":31,"wallet":"sms","type":"charge","amount":"1"}`, 400, "invalid_request"},
		{"operator", `{"idempotency_key":"bulk-0","account":31,"wallet":"sms","type":"charge","amount":"1"}`, 422, "idempotency_key_reused"},
		{"operator", `{"idempotency_key":"re-2","type":"release","hold":"5c146b14-3c52-8afd-938a-375d0df1fbf6"}`, 404, "not_found"},
		{"sender", `{"idempotency_key":"re-2","account":31,"wallet":"sms","type":"topup","amount":"1"}`, 403, "forbidden"},
	} {
		reply := r.send(t, test.as, "POST", batchPath, post(test.last))
		var problem api.Problem
		if err := decodeJSON(reply.Body, &problem); err != nil || reply.Status != test.status || string(problem.Code) != test.code ||
			problem.Index == nil || *problem.Index != 1 || problem.Transaction != "" {
			t.Errorf("%s: %v, %d %s", test.last, err, reply.Status, reply.Body)
		}
	}
	// Within a batch, a hold may be used by what comes after it.
	place := `{"idempotency_key":"re-3","account":31,"wallet":"sms","type":"hold","amount":"1"}`
	counts, _ := r.batch(t, "operator", post(place))
	if counts.Posted != 2 {
		t.Errorf("%+v", counts)
	}
}

func (r *rest) testBatchLimits(t *testing.T) {
	const one = `{"idempotency_key":"many","account":31,"wallet":"sms","type":"charge","amount":"0.000001"}`
	r.walk(t, []step{
		{"operator", "POST", batchPath, `{"transactions":[` + strings.Repeat(one+",", 1000) + one + `]}`, 400, "invalid_request"},
		{"operator", "POST", batchPath, `{"transactions":[` + one + `]}` + strings.Repeat(" ", 4<<20), 413, "request_too_large"},
		{"operator", "POST", batchPath, `{"transactions":[]}`, 400, "invalid_request"},
		{"operator", "POST", batchPath, `{}`, 400, "invalid_request"},
		{"operator", "POST", batchPath, ``, 400, "invalid_request"},
		{"operator", "POST", batchPath, `[` + one + `]`, 400, "invalid_request"},
		{"operator", "POST", batchPath, `{"atomic":"yes","transactions":[` + one + `]}`, 400, "invalid_request"},
		{"operator", "POST", batchPath, `{"transaction":[` + one + `]}`, 400, "invalid_request"},
		{"nobody", "POST", batchPath, `{"transactions":[` + one + `]}`, 401, "unauthorized"},
		{"reader", "POST", batchPath, `{"transactions":[` + one + `]}`, 403, "forbidden"},
		// A body of almost four MiB is read.
		{"sender", "POST", batchPath, `{"transactions":[` + one + `]}` + strings.Repeat(" ", 4<<20-200), 200, `{"posted":1,"rejected":0,"failed":0,"items":[{"index":0,"outcome":"posted","transaction":`},
		{"sender", "POST", batchPath, `{"transactions":[` + one + "," + strings.Replace(one, "31", "32", 1) + `]}`, 200, `{"posted":1,"rejected":0,"failed":1,`},
	})
	var bodies []string
	for i := range 1000 {
		bodies = append(bodies, strings.Replace(one, "many", fmt.Sprint("many-", i), 1))
	}
	counts, _ := r.batch(t, "sender", `{"transactions":[`+strings.Join(bodies, ",")+`]}`)
	if counts.Posted != 1000 {
		t.Errorf("%d are posted", counts.Posted)
	}
}

// readLine reads one line of a stream, and what it says.
func readLine(t *testing.T, from *bufio.Reader) (text string, item rawItem) {
	t.Helper()
	text, err := from.ReadString('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, text)
	}
	if err := json.Unmarshal([]byte(text), &item); err != nil {
		t.Fatal(err)
	}
	return text, item
}

// testLines sends a whole stream of lines at once.
func (r *rest) testLines(t *testing.T) {
	line := func(key, rest string) string {
		return fmt.Sprintf(`{"idempotency_key":%q,"account":31,"wallet":"sms",%s}`, key, rest)
	}
	const charge = `"type":"charge","amount":"0.01"`
	lines := []string{
		line("li-0", charge), "", line("li-2", `"type":"charge","amount":"1000000"`), "not JSON",
		line("li-4", charge+`,"metadata":{"x":"`+strings.Repeat("x", 64<<10)+`"}`), line("li-5", charge) + "\r", "  ", line("li-0", charge), line("li-0", `"type":"charge","amount":"0.02"`),
	}
	want := []string{
		"0 posted", "2 rejected insufficient_funds", "3 failed invalid_request", "4 failed request_too_large", "5 posted",
		"7 posted again", "8 failed idempotency_key_reused",
	}
	post := func(body string) (got []string) {
		reply := r.send(t, "sender", "POST", batchPath, body, "Content-Type", ndjson)
		if reply.Status != 200 || reply.Header.Get("Content-Type") != ndjson {
			t.Fatalf("%+v", reply)
		}
		from := bufio.NewReader(strings.NewReader(reply.Body))
		for range strings.Count(reply.Body, "\n") {
			_, item := readLine(t, from)
			got = append(got, fmt.Sprint(item.Index, " ", item.sentence(t)))
		}
		return got
	}
	if got := post(strings.Join(lines, "\n")); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want = []string{"0 posted again", "1 rejected insufficient_funds again"}
	if got := post(lines[0] + "\n" + lines[2] + "\n"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := post("\n\n"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	r.walk(t, []step{{"operator", "GET", "/v1/transactions?idempotency_key=li-0&account=31", ``, 200, `"amount":"0.01"`}})
	if reply := r.send(t, "reader", "POST", batchPath, lines[0], "Content-Type", ndjson); reply.Status != 403 {
		t.Errorf("%+v", reply)
	}
	var many strings.Builder
	for i := range 1200 {
		many.WriteString(line(fmt.Sprint("li-many-", i), `"type":"charge","amount":"0.000001"`) + "\n")
	}
	got := post(many.String())
	if len(got) != 1200 || got[1199] != "1199 posted" {
		t.Errorf("%d lines, %q", len(got), got[max(0, len(got)-3):])
	}
}

// testLinesBothWays checks that a client can wait for the outcome of each line
// before it sends the next one.
func (r *rest) testLinesBothWays(t *testing.T) {
	body, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+batchPath, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", r.keys["sender"])
	request.Header.Set("Content-Type", ndjson)
	resp, err := r.RoundTrip(request) // the reply begins before the first line
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, resp.Body)
	from := bufio.NewReader(resp.Body)
	var sent, got string
	for i := range 5 {
		line := fmt.Sprintf(`{"idempotency_key":"both-%d","account":31,"wallet":"sms","type":"charge","amount":"0.01"}`+"\n", i)
		sent += line
		if _, err := io.WriteString(send, line); err != nil {
			t.Fatal(err)
		}
		text, item := readLine(t, from)
		if item.Index != i || item.sentence(t) != "posted" {
			t.Errorf("%d: %s", i, text)
		}
		got += text
	}
	shut(t, send)
	if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
		t.Errorf("%v, %q", err, rest)
	}
	id, err := r.judged.contract.judge(request, []byte(sent), saldotest.Reply{Status: resp.StatusCode, Header: resp.Header, Body: got})
	if id != "postBatch" || err != nil {
		t.Errorf("%s: %v", id, err)
	}
}
