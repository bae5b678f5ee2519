package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// A batch that is sent again is the batch as it was, with the keys that it was
// given for want of others.
func TestPostBatchIsRetriedAsItWas(t *testing.T) {
	var bodies [][]byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if bodies = append(bodies, body); len(bodies) == 1 {
			panic(http.ErrAbortHandler) // after the batch was carried out, for all that is known
		}
		_, _ = io.WriteString(w, `{"posted":1,"rejected":1,"failed":1,"items":[
			{"index":0,"outcome":"posted","replayed":true,"transaction":`+posted+`},
			{"index":1,"outcome":"rejected","error":{"status":402,"code":"insufficient_funds","detail":"d","transaction":"5c14"}},
			{"index":2,"outcome":"failed","error":{"status":404,"code":"not_found","detail":"d"}}]}`)
	})
	batch := []api.BatchTransaction{
		{IdempotencyKey: "k", Account: 7, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("1")},
		{Account: 7, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("1")},
		{Account: 7, Wallet: "sms", Type: api.TransactionTypeCharge, Amount: new("1")},
	}
	got, err := c.PostBatch(t.Context(), api.BatchRequest{Transactions: batch})
	if err != nil {
		t.Fatal(err)
	}
	if got.Posted != 1 || got.Rejected != 1 || got.Failed != 1 || !got.Items[0].Replayed || client.Failure(got.Items[0].Error) != nil {
		t.Errorf("got %+v", got)
	}
	if e := asError(t, client.Failure(got.Items[1].Error)); e.Code != api.ErrorCodeInsufficientFunds || e.Transaction != "5c14" {
		t.Errorf("the second is %v", e)
	}
	var sent api.BatchRequest
	if err := json.Unmarshal(bodies[0], &sent); err != nil || len(bodies) != 2 || !bytes.Equal(bodies[0], bodies[1]) {
		t.Fatalf("%d bodies, %v:\n%s", len(bodies), err, bytes.Join(bodies, []byte("\n")))
	}
	keys := map[string]bool{}
	for _, transaction := range sent.Transactions {
		keys[transaction.IdempotencyKey] = true
	}
	if len(keys) != 3 || !keys["k"] || batch[1].IdempotencyKey != "" {
		t.Errorf("the keys are %v, and the caller's %q", keys, batch[1].IdempotencyKey)
	}
}

func TestSettleIsRetried(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if want := `[{"reference":"msg-1","status":"DELIVRD"},{"account":7,"reference":"msg-2","status":"ENROUTE"}]`; string(bytes.TrimSpace(body)) != want {
			t.Errorf("body %s", body)
		}
		_, _ = io.WriteString(w, `{"items":[{"reference":"msg-1","status":"DELIVRD","outcome":"captured","amount":"1"},{"reference":"msg-2","status":"ENROUTE","outcome":"waiting"}]}`)
	})
	got, err := c.Settle(t.Context(), []api.DeliveryReport{
		{Reference: "msg-1", Status: api.DeliveryStateDELIVRD}, {Reference: "msg-2", Status: api.DeliveryStateENROUTE, Account: 7},
	})
	if err != nil || len(got) != 2 || got[0].Outcome != api.SettlementOutcomeCaptured || got[1].Outcome != api.SettlementOutcomeWaiting {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What is left out of a request about a hold is not sent.
func TestHoldRequests(t *testing.T) {
	var body string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = r.Header.Get("Idempotency-Key") + " " + string(bytes.TrimSpace(text))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id":"41d9","status":"posted","type":"capture","amount":"1","hold":{"id":"9e0d","status":"captured","remaining":"0"},"final":true}`)
	})
	ctx := t.Context()
	for want, call := range map[string]func() (client.Posted, error){
		`k {"account":7,"amount":"1","expires_in":60,"wallet":"sms"}`: func() (client.Posted, error) {
			return c.Hold(ctx, "k", api.HoldRequest{Account: 7, Wallet: "sms", Amount: "1", ExpiresIn: new(60)})
		},
		`k {}`: func() (client.Posted, error) { return c.Capture(ctx, "k", "9e0d", api.CaptureRequest{}) },
		`k {"amount":"1","final":false}`: func() (client.Posted, error) {
			return c.Capture(ctx, "k", "9e0d", api.CaptureRequest{Amount: new("1"), Final: new(false)})
		},
		`k {"reference":"r"}`: func() (client.Posted, error) { return c.Release(ctx, "k", "9e0d", api.ReleaseRequest{Reference: "r"}) },
		`k {"expires_in":1}`:  func() (client.Posted, error) { return c.Extend(ctx, "k", "9e0d", api.ExtendRequest{ExpiresIn: 1}) },
		`k {"hold":"9e0d","type":"capture"}`: func() (client.Posted, error) {
			return c.Post(ctx, "k", api.TransactionRequest{Type: api.TransactionTypeCapture, Hold: "9e0d"})
		},
	} {
		got, err := call()
		if err != nil || body != want || got.Hold == nil || got.Hold.Status != api.HoldStatusCaptured || got.Final == nil || !*got.Final {
			t.Errorf("sent %s, want %s; got %+v, %v", body, want, got, err)
		}
	}
}

// Pages of a statement come with the sums of the whole, and those of a usage
// report keep the range that the server chose for the first.
func TestReportPages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		second := r.FormValue("cursor") == "next"
		switch {
		case r.URL.Path == "/v1/reports/usage" && !second:
			_, _ = io.WriteString(w, `{"from":"2026-11-01T00:00:00Z","to":"2026-12-01T00:00:00Z","group":"account","items":[{"account":1}],"next_cursor":"next"}`)
		case r.URL.Path == "/v1/reports/usage":
			if r.FormValue("from") != "2026-11-01T00:00:00Z" || r.FormValue("to") != "2026-12-01T00:00:00Z" {
				t.Errorf("the second page covers %s to %s", r.FormValue("from"), r.FormValue("to"))
			}
			_, _ = io.WriteString(w, `{"items":[{"account":2}]}`)
		case !second:
			_, _ = io.WriteString(w, `{"opening_balance":"1","closing_balance":"3","items":[],"next_cursor":"next"}`)
		default:
			_, _ = io.WriteString(w, `{"opening_balance":"1","closing_balance":"3","items":[{"version":4}]}`)
		}
	})
	var usage, statement string
	for page, err := range c.Usage(t.Context(), client.UsageQuery{Group: api.UsageGroupAccount}) {
		usage += fmt.Sprintln(len(page.Items), page.Items[0].Account, err)
	}
	for page, err := range c.Statement(t.Context(), 7, "sms", client.StatementQuery{}) {
		statement += fmt.Sprintln(len(page.Items), page.OpeningBalance, page.ClosingBalance, err)
	}
	if usage != "1 1 <nil>\n1 2 <nil>\n" || statement != "0 1 3 <nil>\n1 1 3 <nil>\n" {
		t.Errorf("got\n%s%s", usage, statement)
	}
}

// A statement's file is handed on as it comes, and is not read before.
func TestStatementFile(t *testing.T) {
	more := make(chan bool)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); r.FormValue("format") != "csv" || accept == "" {
			t.Errorf("format %q, Accept %q", r.FormValue("format"), accept)
		}
		for <-more {
			_, _ = io.WriteString(w, "line\n")
			_ = http.NewResponseController(w).Flush()
		}
		if r.FormValue("type") == "charge" {
			panic(http.ErrAbortHandler)
		}
	})
	for _, kind := range []api.TransactionType{"", api.TransactionTypeCharge} {
		go func() { more <- true }()
		file, err := c.StatementFile(t.Context(), 7, "sms", client.StatementQuery{Type: kind}, api.StatementFormatCsv)
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 5)
		for range 3 {
			if _, err := io.ReadFull(file, line); err != nil || string(line) != "line\n" {
				t.Fatalf("read %q, %v", line, err)
			}
			go func() { more <- true }()
		}
		_, _ = io.ReadFull(file, line)
		go func() { more <- false }()
		if _, err = file.Read(line); err == nil || kind != "" && errors.Is(err, io.EOF) {
			t.Errorf("type %q: at its end it gives %v", kind, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A server that accepts a request for a file and says nothing is given up, and asked again.
func TestStatementFileIsNotAwaitedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		silent := transport(func(r *http.Request) (*http.Response, error) {
			calls++
			<-r.Context().Done()
			return nil, fmt.Errorf("call "+strconv.Itoa(calls)+": %w", r.Context().Err())
		})
		start := time.Now()
		_, err := newClient(t, "https://saldo.test", client.WithTransport(silent)).
			StatementFile(t.Context(), 7, "sms", client.StatementQuery{}, api.StatementFormatCsv)
		if took := time.Since(start); err == nil || calls != 5 || took < 150*time.Second || took > 155*time.Second {
			t.Errorf("%d calls in %s, %v", calls, took, err)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
