package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// A retry is answered as the first request was, to the byte, whatever has
// happened to the account since, and whichever key of the same owner sends it.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		body   string
		status int
	}{
		{"posted", `{"account":1,"wallet":"sms","type":"charge","amount":"0.5","reference":"msg-17","metadata":{"b":"2","a":"<1>"}}`, 201},
		{"a transfer", `{"account":1,"wallet":"sms","type":"transfer","amount":"0.5","to_account":2}`, 201},
		{"a hold", `{"account":1,"wallet":"sms","type":"hold","amount":"0.5","expires_in":60}`, 201},
		{"no funds to hold", `{"account":1,"wallet":"sms","type":"hold","amount":"2"}`, 402},
		{"no funds", `{"account":1,"wallet":"sms","type":"charge","amount":"2"}`, 402},
		{"other currency", `{"account":1,"wallet":"sms","type":"transfer","amount":"1","to_account":3}`, 422},
		{"out of range", `{"account":1,"wallet":"sms","type":"topup","amount":"9223372036854.775807"}`, 422},
		{"not active", `{"account":2,"wallet":"sms","type":"charge","amount":"1"}`, 409},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, httpapi.GateOptions{})
			h.topUp(1, ledger.Scale, "seed")
			if tt.name == "not active" {
				wantStatus(t, h.do("PATCH", "/v1/accounts/2", `{"status":"suspended"}`, as(h.root)), 200)
			}
			first := h.do("POST", "/v1/transactions", tt.body, as(h.root), idempotent("the-key"))
			wantStatus(t, first, tt.status)
			if first.Header().Get("Idempotent-Replayed") != "" {
				t.Error("the first reply says that it is a replay")
			}
			// Now every account has plenty, and none is suspended.
			wantStatus(t, h.do("PATCH", "/v1/accounts/2", `{"status":"active"}`, as(h.root)), 200)
			for account := range ledger.AccountID(3) {
				h.topUp(account+1, 100*ledger.Scale, fmt.Sprintf("more-%d", account))
			}
			second := h.key(ledger.Key{Scopes: []ledger.Scope{ledger.ScopeTransactionsWrite}})
			for _, key := range []ledger.Credentials{h.root, second} {
				// What is asked for counts, not how it is written.
				again := h.do("POST", "/v1/transactions", " "+tt.body+"\n", as(key), idempotent("the-key"))
				if again.Header().Get("Idempotent-Replayed") != "true" {
					t.Error("the second reply does not say that it is a replay")
				}
				again.Header().Del("Idempotent-Replayed")
				if again.Code != first.Code || again.Body.String() != first.Body.String() {
					t.Errorf("first %d %s\nthen  %d %s", first.Code, first.Body, again.Code, again.Body)
				}
				if diff := cmp.Diff(first.Header(), again.Header()); diff != "" {
					t.Errorf("the headers differ: %s", diff)
				}
			}
			other := h.do("POST", "/v1/transactions", strings.Replace(tt.body, `"wallet":"sms"`, `"wallet":"voip"`, 1), as(h.root), idempotent("the-key"))
			wantProblem(t, other, ledger.IdempotencyKeyReused)
			if other.Header().Get("Idempotent-Replayed") != "" {
				t.Error("a refusal says that it is a replay")
			}
			// The movement can be read later, rejected or not, under the id in the reply.
			id := ledger.NewTransactionID(ledger.Operator, "the-key").String()
			stored := h.do("GET", "/v1/transactions/"+id, "", as(h.root))
			transaction := read[api.Transaction](t, stored)
			if tt.status == 201 {
				if stored.Body.String() != first.Body.String() || first.Header().Get("Location") != "/v1/transactions/"+id {
					t.Errorf("stored %s at %s\nfirst  %s", stored.Body, first.Header().Get("Location"), first.Body)
				}
				return
			}
			problem := wantProblem(t, first, ledger.Code(transaction.Rejection))
			if problem.Transaction != id || transaction.Status != api.TransactionStatusRejected || first.Header().Get("Location") != "" {
				t.Errorf("%+v is stored as %+v", problem, transaction)
			}
		})
	}
}

// What was refused before it was decided is not remembered: it can be sent
// again as it is, once the reason is gone.
func TestRefusalsAreNotRemembered(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	const body = `{"account":77,"wallet":"sms","type":"topup","amount":"1"}`
	wantProblem(t, h.do("POST", "/v1/transactions", body, as(h.root), idempotent("k")), ledger.NotFound)
	wantStatus(t, h.do("POST", "/v1/accounts", `{"id":77,"name":"N","currency":"CNY"}`, as(h.root)), 201)
	rec := h.do("POST", "/v1/transactions", body, as(h.root), idempotent("k"))
	wantStatus(t, rec, 201)
	if rec.Header().Get("Idempotent-Replayed") != "" {
		t.Error("a refusal was remembered")
	}
}

// However many send the same request at once, the money moves once.
func TestReplayAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	replies := make([]*httptest.ResponseRecorder, 20)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() {
			replies[i] = h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"topup","amount":"1"}`, as(h.root), idempotent("k"))
		})
	}
	all.Wait()
	firsts := 0
	for _, rec := range replies {
		if wantStatus(t, rec, 201); rec.Header().Get("Idempotent-Replayed") == "" {
			firsts++
		}
		if rec.Body.String() != replies[0].Body.String() {
			t.Errorf("%s and %s", rec.Body, replies[0].Body)
		}
	}
	wallet := read[api.Wallet](t, h.do("GET", "/v1/accounts/1/wallets/sms", "", as(h.root)))
	if firsts != 1 || wallet.Balance != "1" || wallet.Version != 1 {
		t.Errorf("%d first replies, and the wallet has %+v", firsts, wallet)
	}
}

// A customer can spend its own money and nothing else: whoever could post a
// top-up or a refund would print money.
func TestCustomersMayOnlySpend(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for account := range ledger.AccountID(2) {
		h.topUp(account+1, 100*ledger.Scale, fmt.Sprintf("seed-%d", account))
	}
	customer := h.customer(1, ledger.ScopeTransactionsWrite, ledger.ScopeBalanceRead)
	charged := ledger.NewTransactionID(1, "k-0").String()
	for i, tt := range []struct {
		body string
		want int
	}{
		{`{"account":1,"wallet":"sms","type":"charge","amount":"1"}`, 201},
		{`{"account":1,"wallet":"sms","type":"transfer","amount":"1","to_account":1,"to_wallet":"voip"}`, 201},
		{`{"account":1,"wallet":"voip","type":"charge","amount":"1"}`, 201},
		{`{"account":1,"wallet":"voip","type":"charge","amount":"1"}`, 402},
		{`{"account":1,"wallet":"sms","type":"topup","amount":"1"}`, 403},
		{`{"account":1,"wallet":"sms","type":"refund","amount":"1","charge":"` + charged + `"}`, 403},
		{`{"type":"refund","amount":"1","charge":"` + charged + `"}`, 403},
		{`{"account":1,"wallet":"sms","type":"expire","hold":"` + charged + `"}`, 403},
		{`{"account":1,"wallet":"sms","type":"adjustment","amount":"1"}`, 403},
		{`{"account":1,"wallet":"sms","type":"adjustment","amount":"-1"}`, 403},
		{`{"account":1,"wallet":"sms","type":"transfer","amount":"1","to_account":2}`, 403},
		{`{"account":2,"wallet":"sms","type":"transfer","amount":"1","to_account":1}`, 403},
		{`{"account":2,"wallet":"sms","type":"charge","amount":"1"}`, 403},
		{`{"account":77,"wallet":"sms","type":"charge","amount":"1"}`, 403},
		{`{"account":1,"wallet":"sms","type":"charge","amount":"-1"}`, 400},
	} {
		rec := h.do("POST", "/v1/transactions", tt.body, as(customer), idempotent(fmt.Sprintf("k-%d", i)))
		if wantStatus(t, rec, tt.want); tt.want == 403 {
			wantProblem(t, rec, ledger.Forbidden)
		}
	}
	balance := read[api.Balance](t, h.do("GET", "/v1/balance", "", as(customer)))
	if balance.Wallets[0].Balance != "98" || balance.Wallets[1].Balance != "0" {
		t.Errorf("the wallets have %+v", balance.Wallets)
	}
	// The names of movements are an owner's own: another's do not meet them.
	const charge = `{"account":1,"wallet":"sms","type":"charge","amount":"1"}`
	ids := map[string]bool{}
	for _, key := range []ledger.Credentials{h.root, customer} {
		rec := h.do("POST", "/v1/transactions", charge, as(key), idempotent("shared-name"))
		wantStatus(t, rec, 201)
		ids[read[api.Transaction](t, rec).ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("two owners share a transaction: %v", ids)
	}
	// A transaction that the operator posted on the account is the customer's to read.
	byOperator := ledger.NewTransactionID(ledger.Operator, "shared-name").String()
	wantStatus(t, h.do("GET", "/v1/transactions/"+byOperator, "", as(customer)), 200)
}

// The amounts of a reply are exact text, and a wallet's members add up.
func TestTransactionReply(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	wantStatus(t, h.do("PUT", "/v1/accounts/1/wallets/sms", `{"credit_limit":"100"}`, as(h.root)), 200)
	rec := h.do("POST", "/v1/transactions",
		`{"account":1,"wallet":"sms","type":"charge","amount":"18.3830000","reference":"msg <17>","metadata":{"k":"荷"}}`, as(h.root), idempotent("k"))
	wantStatus(t, rec, 201)
	got := read[api.Transaction](t, rec)
	want := api.Transaction{
		ID: ledger.NewTransactionID(ledger.Operator, "k").String(), Status: api.TransactionStatusPosted, Type: api.TransactionTypeCharge,
		Account: 1, Wallet: "sms", Amount: "18.383", Balance: "-18.383", Held: "0", Available: "81.617",
		Reference: "msg <17>", Metadata: api.Metadata{"k": "荷"}, CreatedAt: got.CreatedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.CreatedAt) != len("2026-11-01T00:00:00.000000Z") || !strings.HasSuffix(got.CreatedAt, "Z") {
		t.Errorf("created at %s", got.CreatedAt)
	}
	rec = h.do("GET", "/v1/accounts/1/wallets/sms", "", as(h.root))
	const wallet = `{"account":1,"wallet":"sms","currency":"CNY","balance":"-18.383","held":"0","credit_limit":"100","available":"81.617","version":1,"status":"active","spent_today":"18.383","spent_this_month":"18.383"}` + "\n"
	if rec.Body.String() != wallet {
		t.Errorf("%s", rec.Body)
	}
}

// Absent and empty mean different things in a patch.
func TestUpdateAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	for _, tt := range []struct{ body, name, reference, tier string }{
		{`{"external_reference":"crm-77","metadata":{"tier":"gold"}}`, "Example Ltd", "crm-77", "gold"},
		{`{}`, "Example Ltd", "crm-77", "gold"},
		{`{"name":"Lotus"}`, "Lotus", "crm-77", "gold"},
		{`{"metadata":{}}`, "Lotus", "crm-77", ""},
		{`{"external_reference":""}`, "Lotus", "", ""},
	} {
		rec := h.do("PATCH", "/v1/accounts/1", tt.body, as(h.root))
		wantStatus(t, rec, 200)
		for _, got := range []api.Account{read[api.Account](t, rec), read[api.Account](t, h.do("GET", "/v1/accounts/1", "", as(h.root)))} {
			if got.Name != tt.name || got.ExternalReference != tt.reference || got.Metadata["tier"] != tt.tier || len(got.Wallets) != 2 {
				t.Errorf("after %s: %+v", tt.body, got)
			}
		}
	}
	// A closed account can be read, in REST at least, and its owner sees why nothing moves.
	customer := h.customer(1, ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite)
	wantStatus(t, h.do("PATCH", "/v1/accounts/1", `{"status":"closed"}`, as(h.root)), 200)
	if balance := read[api.Balance](t, h.do("GET", "/v1/balance", "", as(customer))); balance.Status != api.AccountStatusClosed {
		t.Errorf("%+v", balance)
	}
	rec := h.do("POST", "/v1/transactions", `{"account":1,"wallet":"sms","type":"charge","amount":"1"}`, as(customer), idempotent("k"))
	wantProblem(t, rec, ledger.AccountNotActive)
}
