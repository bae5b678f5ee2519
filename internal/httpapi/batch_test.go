package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

const batchPath = "/v1/transactions/batch"

// charges makes a batch of charges on account 1, each of the amount given.
func charges(atomic bool, amounts ...string) string {
	list := make([]string, len(amounts))
	for i, amount := range amounts {
		list[i] = fmt.Sprintf(`{"idempotency_key":"b-%d","account":1,"wallet":"sms","type":"charge","amount":%q}`, i, amount)
	}
	return fmt.Sprintf(`{"atomic":%t,"transactions":[%s]}`, atomic, strings.Join(list, ","))
}

// outcomes puts a batch's reply into few words.
func outcomes(items []api.BatchItem) (words []string) {
	for i, item := range items {
		word := string(item.Outcome)
		if item.Error != nil {
			word += " " + string(item.Error.Code)
		}
		if item.Replayed {
			word += " again"
		}
		if item.Index != i {
			word += fmt.Sprint(" at ", item.Index)
		}
		words = append(words, word)
	}
	return words
}

// Each transaction of a batch is answered as if it had been sent alone, to the
// byte, and what one of them is refused for does not concern the others.
func TestBatch(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 3*ledger.Scale, "seed")
	id := func(key string) string { return ledger.NewTransactionID(ledger.Operator, key).String() }
	bodies := []string{
		`{"idempotency_key":"a","account":1,"wallet":"sms","type":"charge","amount":"1","reference":"<msg>","metadata":{"k":"荷"}}`,
		`{"idempotency_key":"b","account":1,"wallet":"sms","type":"charge","amount":"9"}`,
		`{"idempotency_key":"c","account":77,"wallet":"sms","type":"charge","amount":"1"}`,
		`{"idempotency_key":"d","account":1,"wallet":"sms","type":"charge","amount":1}`,
		`{"idempotency_key":"e","account":1,"wallet":"sms","type":"charge","amount":"1","wallt":"sms"}`,
		`{"account":1,"wallet":"sms","type":"charge","amount":"1"}`,
		`{"idempotency_key":"a b","account":1,"wallet":"sms","type":"charge","amount":"1"}`,
		`7`,
		`null`,
		`{"idempotency_key":"a","account":1,"wallet":"sms","type":"charge","amount":"2"}`,
		`{"idempotency_key":"a","account":1,"wallet":"sms","type":"charge","amount":"1","reference":"<msg>","metadata":{"k":"荷"}}`,
		`{"idempotency_key":"h","account":1,"wallet":"sms","type":"hold","amount":"2"}`,
		`{"idempotency_key":"i","type":"capture","hold":"` + id("h") + `","amount":"0.5"}`,
		`{"idempotency_key":"j","type":"refund","charge":"` + id("i") + `","amount":"0.1"}`,
		`{"idempotency_key":"k","account":1,"wallet":"sms","type":"charge","amount":"1","amount":"2"}`,
	}
	want := []string{
		"posted", "rejected insufficient_funds", "failed not_found", "failed invalid_request", "failed invalid_request", "failed invalid_request",
		"failed invalid_request", "failed invalid_request", "failed invalid_request", "failed idempotency_key_reused", "posted again",
		"posted", "posted", "posted", "failed invalid_request",
	}
	rec := h.do("POST", batchPath, `{"transactions":[`+strings.Join(bodies, ",")+`]}`, as(h.root))
	wantStatus(t, rec, 200)
	answer := read[api.BatchReply](t, rec)
	if diff := cmp.Diff(want, outcomes(answer.Items)); diff != "" {
		t.Error(diff)
	}
	if answer.Posted != 5 || answer.Rejected != 1 || answer.Failed != 9 {
		t.Errorf("%d, %d, %d", answer.Posted, answer.Rejected, answer.Failed)
	}
	var raw struct {
		Items []struct {
			Transaction json.RawMessage
			Error       json.RawMessage
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	for i, body := range bodies {
		if want[i] == "posted again" || i == 5 || i == 7 || i == 8 {
			continue
		}
		// Alone, with the idempotency key in the header.
		key := strings.Split(body, `"`)[3]
		alone := h.do("POST", "/v1/transactions", strings.Replace(body, fmt.Sprintf(`"idempotency_key":%q,`, key), "", 1), as(h.root), idempotent(key))
		got := raw.Items[i].Transaction
		if alone.Code >= 400 {
			got = raw.Items[i].Error
		}
		if string(got)+"\n" != alone.Body.String() {
			t.Errorf("%s\nin the batch %s\nalone        %s", body, got, alone.Body)
		}
		if stored := h.do("GET", "/v1/transactions/"+id(key), "", as(h.root)); stored.Code == 200 && i != 9 && string(raw.Items[i].Transaction)+"\n" != stored.Body.String() {
			t.Errorf("%s\nin the batch %s\nstored       %s", body, raw.Items[i].Transaction, stored.Body)
		}
	}
	// The whole batch again: what was decided stays so, to the byte.
	again := h.do("POST", batchPath, `{"transactions":[`+strings.Join(bodies, ",")+`]}`, as(h.root))
	if got := strings.ReplaceAll(again.Body.String(), `"replayed":true,`, ""); got != strings.ReplaceAll(rec.Body.String(), `"replayed":true,`, "") {
		t.Errorf("first %s\nthen  %s", rec.Body, again.Body)
	}
	for i, item := range read[api.BatchReply](t, again).Items {
		if item.Replayed != (item.Outcome != api.BatchOutcomeFailed) {
			t.Errorf("%d: %+v", i, item)
		}
	}
}

// An atomic batch is posted whole, or one problem says which transaction is to
// blame; the others are then remembered as rejected too.
func TestAtomicBatch(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 3*ledger.Scale, "seed")
	good := h.do("POST", batchPath, strings.ReplaceAll(charges(true, "0.5", "0.5"), "b-", "good-"), as(h.root))
	wantStatus(t, good, 200)
	answer := read[api.BatchReply](t, good)
	if diff := cmp.Diff([]string{"posted", "posted"}, outcomes(answer.Items)); diff != "" || answer.Posted != 2 {
		t.Error(diff)
	}
	if first, second := answer.Items[0].Transaction.Batch, answer.Items[1].Transaction.Batch; first == "" || first != second {
		t.Errorf("%q and %q", first, second)
	}
	again := h.do("POST", batchPath, strings.ReplaceAll(charges(true, "0.5", "0.5"), "b-", "good-"), as(h.root))
	if diff := cmp.Diff([]string{"posted again", "posted again"}, outcomes(read[api.BatchReply](t, again).Items)); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		rec := h.do("POST", batchPath, charges(true, "1", "0.5", "1", "9"), as(h.root))
		problem := wantProblem(t, rec, ledger.InsufficientFunds)
		if problem.Index == nil || *problem.Index != 2 || problem.Transaction != ledger.NewTransactionID(ledger.Operator, "b-2").String() ||
			problem.Detail != "0.5 is available, 1 was asked for" && problem.Detail != "2 is available, 1 was asked for" {
			t.Errorf("%s", rec.Body)
		}
	}
	if wallet := h.wallet(1); wallet.Balance != "2" {
		t.Errorf("%+v", wallet)
	}
	for i, want := range []ledger.Code{ledger.BatchRejected, ledger.BatchRejected, ledger.InsufficientFunds, ledger.BatchRejected} {
		stored := read[api.Transaction](t, h.do("GET", "/v1/transactions/"+ledger.NewTransactionID(ledger.Operator, fmt.Sprint("b-", i)).String(), "", as(h.root)))
		if stored.Rejection != api.ErrorCode(want) || stored.Batch == "" {
			t.Errorf("%d: %+v", i, stored)
		}
	}
	// A part of it, or one transaction alone, is another request.
	rec := h.do("POST", batchPath, charges(true, "1", "0.5"), as(h.root))
	if problem := wantProblem(t, rec, ledger.IdempotencyKeyReused); problem.Index == nil || *problem.Index != 0 {
		t.Errorf("%s", rec.Body)
	}
	rec = h.do("POST", batchPath, charges(false, "1"), as(h.root))
	if diff := cmp.Diff([]string{"failed idempotency_key_reused"}, outcomes(read[api.BatchReply](t, rec).Items)); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with an atomic batch before anything is decided is not
// remembered: repaired, it is posted with the same keys.
func TestAtomicBatchFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 3*ledger.Scale, "seed")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	for _, tt := range []struct {
		third string
		by    ledger.Credentials
		want  string
	}{
		{`{"idempotency_key":"c","account":1,"wallet":"sms","type":"charge","amount":"x"}`, h.root, "invalid_request: amount: not a decimal number such as 12.5 (no sign +, exponent, spaces or separators)"},
		{`{"account":1,"wallet":"sms","type":"charge","amount":"1"}`, h.root, "invalid_request: idempotency_key is missing (give each movement a key of its own, and its retries the same one)"},
		{`{"idempotency_key":"a","account":1,"wallet":"sms","type":"charge","amount":"1"}`, h.root, "invalid_request: the idempotency key stands twice in the batch"},
		{`{"idempotency_key":"c","account":77,"wallet":"sms","type":"charge","amount":"1"}`, h.root, "not_found: there is no account 77"},
		{`{"idempotency_key":"c","account":1,"wallet":"sms","type":"topup","amount":"1"}`, customer, "forbidden: a customer's key cannot post this topup (it can post charges, holds and what ends them, and transfers between the account's own wallets)"},
		{`[]`, h.root, "invalid_request: the transaction is not a JSON object"},
	} {
		body := `{"transactions":[{"idempotency_key":"a","account":1,"wallet":"sms","type":"charge","amount":"1"},
			{"idempotency_key":"b","account":1,"wallet":"sms","type":"charge","amount":"1"},` + tt.third + `],"atomic":true}`
		rec := h.do("POST", batchPath, body, as(tt.by))
		if got := words(t, rec); got != tt.want {
			t.Errorf("%s: %s", tt.third, got)
		}
		if problem := read[api.Problem](t, rec); problem.Index == nil || *problem.Index != 2 || problem.Transaction != "" {
			t.Errorf("%s", rec.Body)
		}
	}
	wantStatus(t, h.do("POST", batchPath, charges(true, "1", "1"), as(h.root)), 200)
}

// The form of a batch as such.
func TestBatchBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	many := func(n int) string { return charges(false, slices.Repeat([]string{"1"}, n)...) }
	for name, tt := range map[string]struct{ body, want string }{
		"empty":             {"", "invalid_request: the body is empty (send a JSON object)"},
		"array":             {"[]", "invalid_request: the body is not a JSON object"},
		"null":              {"null", "invalid_request: the body is not a JSON object"},
		"nothing":           {"{}", "invalid_request: a batch has 1 to 1000 transactions"},
		"none":              {`{"transactions":[]}`, "invalid_request: a batch has 1 to 1000 transactions"},
		"null inside":       {`{"transactions":null}`, "invalid_request: transactions cannot be a value other than an array"},
		"object inside":     {`{"transactions":{}}`, "invalid_request: transactions cannot be a value other than an array"},
		"too many":          {many(1001), "invalid_request: a batch has 1 to 1000 transactions"},
		"far too many":      {`{"transactions":[` + strings.Repeat("1,", 2_000_000) + "1]}", "invalid_request: a batch has 1 to 1000 transactions"},
		"too large":         {`{"transactions":[]}` + strings.Repeat(" ", 4<<20), "request_too_large: the body is over 4194304 bytes"},
		"atomic a text":     {`{"atomic":"yes","transactions":[]}`, "invalid_request: atomic cannot be a string"},
		"unknown member":    {`{"transaction":[]}`, `invalid_request: unknown member "transaction" (/openapi.yaml lists the members)`},
		"other case":        {`{"Atomic":true,"transactions":[]}`, `invalid_request: unknown member "Atomic" (/openapi.yaml lists the members, in lower case)`},
		"twice":             {`{"transactions":[],"transactions":[]}`, `invalid_request: member "transactions" stands twice`},
		"garbage behind":    {`{"transactions":[]}x`, "invalid_request: the body goes on after its end"},
		"not JSON":          {`{"transactions":[{]}`, "invalid_request: the body is not valid JSON"},
		"invalid UTF-8":     {"{\"transactions\":[\"\xff\"]}", "invalid_request: the body is not valid UTF-8"},
		"JSON in many rows": {many(1) + "\n" + many(1), "invalid_request: the body goes on after its end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := words(t, h.do("POST", batchPath, tt.body, as(h.root))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	rec := h.do("POST", batchPath, many(1000), as(h.root))
	wantStatus(t, rec, 200)
	if answer := read[api.BatchReply](t, rec); answer.Rejected != 1000 || answer.Items[999].Index != 999 {
		t.Errorf("%d, %d, %d", answer.Posted, answer.Rejected, answer.Failed)
	}
}

// The members of a batch's transaction are those of one that is sent alone, and
// its key; the contract says so twice.
func TestBatchTransactionMembers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	rec := h.do("POST", batchPath, `{"transactions":[{"idempotency_key":"k","type":"transfer","account":1,"wallet":"sms","amount":"1","reference":"r",
		"metadata":{"k":"v"},"to_account":1,"to_wallet":"voip","hold":"","charge":""}]}`, as(h.root))
	if diff := cmp.Diff([]string{"rejected insufficient_funds"}, outcomes(read[api.BatchReply](t, rec).Items)); diff != "" {
		t.Error(diff)
	}
	names := func(value any) []string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		var found []string
		for name := range members {
			found = append(found, name)
		}
		slices.Sort(found)
		return found
	}
	amount, expires, final := "1", 1, true
	batched := api.BatchTransaction{
		Account: 1, Amount: &amount, Charge: "c", ExpiresIn: &expires, Final: &final, Hold: "h", IdempotencyKey: "k",
		Metadata: api.Metadata{"k": "v"}, Reference: "r", ToAccount: 1, ToWallet: "w", Type: "t", Wallet: "w",
	}
	alone := api.TransactionRequest{
		Account: 1, Amount: &amount, Charge: "c", ExpiresIn: &expires, Final: &final, Hold: "h",
		Metadata: api.Metadata{"k": "v"}, Reference: "r", ToAccount: 1, ToWallet: "w", Type: "t", Wallet: "w",
	}
	want := append(names(alone), "idempotency_key")
	if slices.Sort(want); !slices.Equal(names(batched), want) || len(want) != 13 {
		t.Errorf("%q and %q", names(batched), want)
	}
}

// A customer's batch counts once for its rate, however long it is.
func TestBatchCountsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{RateLimit: 100})
	h.topUp(1, 1000*ledger.Scale, "seed")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	rec := h.do("POST", batchPath, charges(false, slices.Repeat([]string{"0.1"}, 500)...), as(customer))
	wantStatus(t, rec, 200)
	if left := rec.Header().Get("Ratelimit"); left != `"account";r=99;t=1` {
		t.Errorf("%s", left)
	}
	if answer := read[api.BatchReply](t, rec); answer.Posted != 500 {
		t.Errorf("%d, %d, %d", answer.Posted, answer.Rejected, answer.Failed)
	}
}

// Batches are held in memory, so only a few are taken at one time.
func TestFewBatchesAtATime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	handler := httpapi.NewImpatient(h.engine, h.gate, h.metrics, h.upstreams(), time.Minute)
	for _, contentType := range []string{"application/json", "application/x-ndjson"} {
		body, rest := io.Pipe()
		send := func(body io.Reader) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, batchPath, body)
			as(h.root)(r)
			r.Header.Set("Content-Type", contentType)
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			return rec
		}
		first := make(chan *httptest.ResponseRecorder, 1)
		go func() { first <- send(body) }()
		// Once it reads, it has its place.
		if _, err := io.WriteString(rest, " "); err != nil {
			t.Fatal(err)
		}
		second := send(strings.NewReader("{}"))
		if got := words(t, second); got != "overloaded: too many batches are under way (send the request again later)" || second.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %s", contentType, got)
		}
		rest.Close()
		if rec := <-first; rec.Code == 503 {
			t.Errorf("%s: %s", contentType, rec.Body)
		}
		// The place is free again.
		if rec := send(strings.NewReader("{}")); rec.Code == 503 {
			t.Errorf("%s: %s", contentType, rec.Body)
		}
	}
}
