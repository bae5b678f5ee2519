package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/test/saldotest"
)

// oneUpstream starts another Saldo, and gives a file by which it is asked, as the
// provider "mine" in the dialect antgst.
func oneUpstream(t *testing.T) (file, secret string) {
	t.Helper()
	provider := &world{store: saldotest.SQLite}
	provider.db, provider.key = provider.store.NewLedger(t)
	provider.Server = saldotest.LaunchIn(t, "", saldotest.Environment(), "--listen", "127.0.0.1:0", "--db", provider.db)
	provider.Await()
	provider.operator = provider.Client(provider.key)
	account := provider.account(t, api.AccountRequest{}, map[string]string{"sms": "12.5"})
	key, err := provider.operator.CreateKey(t.Context(), account, api.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "upstreams.yaml")
	text := fmt.Sprintf("upstreams:\n- {name: mine, provider: antgst, base_url: %q, interval: 1s, min: 20, credentials: {auth_secret: %s}}\n", provider.URL, key.AuthSecret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key.AuthSecret
}

// testUpstreams reads all routes of an upstream when it has told its balance.
func (r *rest) testUpstreams(t *testing.T) {
	const told = `{"name":"mine","provider":"antgst","watched":true,"status":"ok","code":"","message":"","failures":0,"asked_at":"20`
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		reply := r.send(t, "operator", "GET", "/v1/upstreams", "")
		if strings.HasPrefix(reply.Body, `{"items":[`+told) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never told its balance: %+v", reply)
		}
	}
	r.walk(t, []step{
		{"operator", "GET", "/v1/upstreams/mine", ``, 200, told},
		{
			"operator", "GET", "/v1/upstreams/mine", ``, 200,
			`{"service":"sms","unit":"money","currency":"CNY","currency_source":"reply","amount":"12.5","credit_limit":null,"available":null,"pending":null,` +
				`"spendable":"12.5","min":"20","below_min":true,"empty":{"outlook":"unknown","reason":"`,
		},
		{"operator", "GET", "/v1/upstreams/none", ``, 404, "not_found"},
		{"operator", "GET", "/v1/upstreams/NONE", ``, 404, "not_found"},
		{"operator", "GET", "/v1/upstreams/mine/readings?limit=2", ``, 200, `"service":"sms","unit":"money","currency":"CNY","amount":"12.5","credit_limit":null,"available":null,"pending":null,"spendable":"12.5","rise":false}`},
		{"operator", "GET", "/v1/upstreams/mine/readings?step=3600&service=voip&currency=CNY", ``, 200, `{"from":"20`},
		{"operator", "GET", "/v1/upstreams/mine/readings?from=2026-01-01&to=2026-01-02&tz=Asia/Ho_Chi_Minh", ``, 200, `{"from":"2025-12-31T17:00:00.000000Z","to":"2026-01-01T17:00:00.000000Z","items":[]}`},
		{"operator", "GET", "/v1/upstreams/mine/readings?step=2678401", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/upstreams/mine/readings?currency=yuan", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/upstreams/mine/readings?service=", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/upstreams/mine/readings?cursor=eA", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/upstreams/none/readings", ``, 404, "not_found"},
		{"operator", "GET", "/v1/upstreams/mine/reconciliation", ``, 200, `"topped_up":"0","spent":"0","charges":[],"margin":null,"margin_percent":null,"reason":"`},
		{"operator", "GET", "/v1/upstreams/mine/reconciliation?from=2026-01-01&to=2026-01-02", ``, 200, `"time_zone":"UTC","buckets":[],"unmatched":[]}`},
		{"operator", "GET", "/v1/upstreams/mine/reconciliation?from=2024-01-01&to=2026-01-02", ``, 400, "invalid_request"},
		{"operator", "GET", "/v1/upstreams/none/reconciliation", ``, 404, "not_found"},
		{"operator", "GET", "/v1/reports/usage?upstream=mine", ``, 200, `"items":[]}`},
		{"operator", "GET", "/v1/reports/usage?upstream=MINE", ``, 400, "invalid_request"},
		{"nobody", "GET", "/v1/upstreams", ``, 401, "unauthorized"},
		{"nobody", "GET", "/v1/upstreams/mine", ``, 401, "unauthorized"},
		{"nobody", "GET", "/v1/upstreams/mine/readings", ``, 401, "unauthorized"},
		{"nobody", "GET", "/v1/upstreams/mine/reconciliation", ``, 401, "unauthorized"},
	})
}
