package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Transactions are found by what callers named them, posted or rejected, each by
// who may see it.
func TestFindTransactions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, httpapi.GateOptions{})
	h.topUp(1, 10*ledger.Scale, "seed")
	h.topUp(2, 10*ledger.Scale, "seed-2")
	customer := h.customer(1, ledger.ScopeTransactionsWrite)
	reader := h.customer(1, ledger.ScopeBalanceRead)
	id := func(scope ledger.AccountID, key string) string { return ledger.NewTransactionID(scope, key).String() }
	for i, tt := range []struct {
		by      ledger.Credentials
		account int
		amount  string
		status  int
	}{
		{h.root, 1, "1", 201},
		{customer, 1, "2", 201},
		{h.root, 2, "3", 201},
		{h.root, 1, "99", 402},
		{customer, 1, "5", 201},
	} {
		body := fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":%q,"reference":"msg 1"}`, tt.account, tt.amount)
		wantStatus(t, h.do("POST", "/v1/transactions", body, as(tt.by), idempotent(fmt.Sprint("k", i))), tt.status)
	}
	all := []string{id(0, "k0"), id(1, "k1"), id(0, "k2"), id(0, "k3"), id(1, "k4")}
	for _, tt := range []struct {
		query string
		by    ledger.Credentials
		want  []string
	}{
		{"reference=msg%201", h.root, all},
		{"reference=msg%201&account=1", h.root, []string{all[0], all[1], all[3], all[4]}},
		{"reference=msg%201&account=2", h.root, all[2:3]},
		{"reference=msg%201&account=3", h.root, nil},
		{"reference=msg%201", customer, []string{all[0], all[1], all[3], all[4]}},
		{"reference=msg%201&account=1", reader, []string{all[0], all[1], all[3], all[4]}},
		{"reference=msg", h.root, nil},
		{"idempotency_key=k0", h.root, all[:1]},
		{"idempotency_key=k3", h.root, all[3:4]},
		{"idempotency_key=k1", h.root, nil}, // the customer's, not the operator's
		{"idempotency_key=k1&account=1", h.root, all[1:2]},
		{"idempotency_key=k1&account=2", h.root, nil},
		{"idempotency_key=k1", reader, all[1:2]},
		{"idempotency_key=k0", reader, nil}, // the operator's, though on its account
	} {
		for _, size := range []int{1, 2, 500} {
			var got []string
			for cursor := ""; ; {
				rec := h.do("GET", fmt.Sprintf("/v1/transactions?%s&limit=%d%s", tt.query, size, cursor), "", as(tt.by))
				wantStatus(t, rec, 200)
				page := read[api.TransactionPage](t, rec)
				for _, transaction := range page.Items {
					got = append(got, transaction.ID)
				}
				if len(page.Items) > size || page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + page.NextCursor
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s with limit %d: %q, want %q", tt.query, size, got, tt.want)
			}
		}
	}
	// An item reads as the transaction does by itself.
	one := h.do("GET", "/v1/transactions/"+all[3], "", as(h.root)).Body.String()
	if list := h.do("GET", "/v1/transactions?idempotency_key=k3", "", as(h.root)); list.Body.String() != `{"items":[`+strings.TrimSpace(one)+"]}\n" {
		t.Errorf("%s", list.Body)
	}
	const exactly = "invalid_request: exactly one of reference and idempotency_key is needed"
	for query, want := range map[string]string{
		"":                                       exactly,
		"?account=1":                             exactly,
		"?reference=r&idempotency_key=k":         exactly,
		"?reference=":                            "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=" + strings.Repeat("r", 201): "invalid_request: reference must be 1 to 200 bytes of printable text",
		"?reference=r&account=0":                 "not_found: there is no account 0",
		"?reference=r&account=-1":                "not_found: there is no account -1",
		"?idempotency_key=k&account=-1":          "not_found: there is no account -1",
		"?idempotency_key=k&account=77":          "not_found: there is no account 77",
		"?reference=r&account=x":                 "invalid_request: account does not have the form that it should (/openapi.yaml describes it)",
		"?reference=r&limit=0":                   "invalid_request: limit must be between 1 and 500",
		"?reference=r&cursor=MQ":                 "invalid_request: the cursor is not one that a page gave (start again without a cursor)",
	} {
		if got := words(t, h.do("GET", "/v1/transactions"+query, "", as(h.root))); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
}
