package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// TestUpstreamReconciliation sends messages through a provider: it takes 0.04 for
// each, and the customer is charged more. What both sides say is told exactly.
func TestUpstreamReconciliation(t *testing.T) {
	t.Parallel()
	saldotest.OnEachStore(t, func(t *testing.T, store saldotest.Store) {
		t.Helper()
		t.Parallel()
		provider := newProvider(t)
		there := provider.account(t, api.AccountRequest{}, map[string]string{"sms": "100", "voip": "50"})
		key := provider.importKey(t, there, "RECONCILED", api.KeyRequest{})
		a := newAsker(t, store, fmt.Sprintf("upstreams:\n- {name: a, provider: antgst, base_url: %q, interval: 1s, credentials: {auth_secret: %s}}\n",
			provider.URL, key.authSecret()))
		left := func(sms, voip string, since time.Time) {
			t.Helper()
			a.await(t, "a", "left with "+sms, func(k *known) bool {
				return k.left("sms") == sms && k.left("voip") == voip && k.Balance.At.After(since)
			})
		}
		left("100", "50", time.Time{})
		from := time.Now()
		movement(t, provider, there, "sms", api.TransactionTypeCharge, "0.04")
		movement(t, provider, there, "sms", api.TransactionTypeCharge, "0.04")
		movement(t, provider, there, "sms", api.TransactionTypeCharge, "0.04")
		movement(t, provider, there, "voip", api.TransactionTypeCharge, "1.5")
		left("99.88", "48.5", from)
		movement(t, provider, there, "sms", api.TransactionTypeTopup, "10")
		left("109.88", "48.5", from)
		movement(t, provider, there, "sms", api.TransactionTypeCharge, "0.04")
		sell(t, a.world)
		left("109.84", "48.5", time.Now())
		checkReconciliation(t, a, from)
		a.Stop()
		saldotest.Verify(t, a.db)
	})
}

func movement(t *testing.T, w *world, account api.AccountID, wallet string, kind api.TransactionType, amount string) {
	t.Helper()
	w.post(t, api.TransactionRequest{Account: account, Wallet: wallet, Type: kind, Amount: &amount})
}

// sell charges a customer in all ways: through the upstream "a", and otherwise.
func sell(t *testing.T, w *world) {
	t.Helper()
	customer := w.account(t, api.AccountRequest{}, map[string]string{"sms": "100", "voip": "100"})
	charge := func(wallet, amount string, metadata api.Metadata) api.TransactionID {
		t.Helper()
		posted := w.post(t, api.TransactionRequest{Account: customer, Wallet: wallet, Type: api.TransactionTypeCharge, Amount: &amount, Metadata: metadata})
		return posted.ID
	}
	through := api.Metadata{"upstream": "a", "message": "17"}
	var last api.TransactionID
	for range 4 {
		last = charge("sms", "0.05", through)
	}
	charge("voip", "2", through)
	charge("sms", "7", api.Metadata{"upstream": "b"})
	charge("sms", "9", api.Metadata{"note": `"upstream":"a"`})
	charge("sms", "11", nil)
	// A refund belongs to its charge, and a capture to its hold.
	amount := "0.05"
	w.post(t, api.TransactionRequest{Type: api.TransactionTypeRefund, Charge: last, Amount: &amount})
	hold, err := w.operator.Hold(t.Context(), "", api.HoldRequest{Account: customer, Wallet: "sms", Amount: "1", Metadata: through})
	if err != nil {
		t.Fatal(err)
	}
	taken := "0.06"
	if _, err := w.operator.Capture(t.Context(), "", hold.ID, api.CaptureRequest{Amount: &taken}); err != nil {
		t.Fatal(err)
	}
}

func checkReconciliation(t *testing.T, a *asker, from time.Time) {
	t.Helper()
	reply := a.get(t, "/v1/upstreams/a/reconciliation?from="+url.QueryEscape(from.UTC().Format(time.RFC3339Nano))+"&tz="+url.QueryEscape(calmZone()))
	var got api.Reconciliation
	if err := json.Unmarshal([]byte(reply.Body), &got); err != nil || reply.Status != http.StatusOK {
		t.Fatalf("%+v, %v", reply, err)
	}
	type row struct{ Opening, ToppedUp, Spent, Closing, Charged, Refunded, Net, Margin, Percent, Drift, Cost string }
	rows := map[string]row{}
	for _, b := range got.Buckets {
		if len(b.Charges) != 1 || len(b.Rows) != 1 || b.Reason != "" || b.LargestDrift != nil || b.Margin == nil || b.MarginPercent == nil ||
			b.Rows[0].Drift == nil || b.Rows[0].CostPerCharge == nil {
			t.Fatalf("%+v", reply)
		}
		charges := b.Charges[0]
		rows[fmt.Sprint(b.Service, " ", b.Currency, " ", charges.Wallet, " ", charges.Count)] = row{
			b.Opening.Amount, b.ToppedUp, b.Spent, b.Closing.Amount, charges.Charged, charges.Refunded, charges.Net, *b.Margin, *b.MarginPercent,
			*b.Rows[0].Drift, *b.Rows[0].CostPerCharge,
		}
	}
	want := map[string]row{
		"sms CNY sms 5":   {"100", "10", "0.16", "109.84", "0.26", "0.05", "0.21", "0.05", "23.81", "0", "0.032"},
		"voip CNY voip 1": {"50", "0", "1.5", "48.5", "2", "0", "2", "0.5", "25.00", "0", "1.5"},
	}
	if diff := cmp.Diff(want, rows); diff != "" || len(got.Unmatched) != 0 {
		t.Errorf("%s\n%s", diff, reply.Body)
	}
}
