package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/saldo-ledger/saldo/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	key       = "AK1:s3cr3t-that-must-not-leak"
	lotus     = `{"id":1042,"name":"Lotus & Co. 荷花","currency":"CNY","status":"active","external_reference":"crm-77","metadata":{"tier":"gold","region":"south"},"time_zone":"Asia/Ho_Chi_Minh","charge_on":["DELIVRD","ACCEPTD"],"wallets":[{"account":1042,"wallet":"sms","currency":"CNY","balance":"-18.383","held":"0","credit_limit":"100","available":"81.617","version":12,"status":"suspended","daily_spend_cap":"50","spent_today":"3.83","spent_this_month":"71.24"},{"account":1042,"wallet":"voip","currency":"CNY","balance":"1250","held":"0.5","credit_limit":"0","available":"1249.5","version":1,"status":"active","spent_today":"0","spent_this_month":"0"}],"created_at":"2026-11-01T00:00:00.000000Z"}`
	closed    = `{"id":7,"name":"Old","currency":"VND","status":"closed","time_zone":"UTC","charge_on":[],"wallets":[{"account":7,"wallet":"sms","currency":"VND","balance":"0","held":"0","credit_limit":"0","available":"0","version":0,"status":"active","spent_today":"0","spent_this_month":"0"}],"created_at":"2026-10-01T00:00:00.000000Z"}`
	wallet    = `{"account":1042,"wallet":"sms","currency":"CNY","balance":"18.383","held":"0","credit_limit":"100","available":"118.383","version":12,"status":"active","spent_today":"0","spent_this_month":"0"}`
	walletNow = `{"account":1042,"wallet":"sms","currency":"CNY","balance":"18.383","held":"0","credit_limit":"100","available":"118.383","version":12,"status":"suspended","min_amount":"0.01","max_amount":"5","daily_spend_cap":"50","spent_today":"3.83","spent_this_month":"71.24"}`
	walletWas = `{"account":1042,"wallet":"sms","currency":"CNY","balance":"20","held":"0.5","version":4,"at":"2026-11-01T00:00:00.000000Z"}`
	balance   = `{"account":1042,"currency":"CNY","status":"suspended","wallets":[` + wallet + `]}`
	newKey    = `{"id":"AK7M2QX4ZPLNTW3B","secret":"fresh-secret","auth_secret":"AK7M2QX4ZPLNTW3Bfresh-secret","account":1042,"scopes":["balance:read"],"allow_list":[],"last4":"cret","status":"active","created_at":"2026-11-01T00:00:00.000000Z"}`
	oldKey    = `{"id":"AK7M2QX4ZPLNTW3B","account":1042,"scopes":["balance:read","transactions:write"],"allow_list":["203.0.113.0/24"],"last4":"9f3a","status":"active","expires_at":"2027-01-31T00:00:00.000000Z","created_at":"2026-11-01T00:00:00.000000Z"}`
	goneKey   = `{"id":"OLD","scopes":["admin"],"allow_list":[],"last4":"0000","status":"revoked","revoked_at":"2026-11-02T00:00:00.000000Z","created_at":"2026-11-01T00:00:00.000000Z"}`
	cappedKey = `{"id":"AK7M2QX4ZPLNTW3B","account":1042,"scopes":["transactions:write"],"allow_list":[],"last4":"9f3a","status":"active","created_at":"2026-11-01T00:00:00.000000Z","daily_spend_cap":"20","spent_today":"3.83","spent_this_month":"71.24"}`
	refund    = `{"id":"7a05c1d2-0b6e-8f43-9a51-c2d8e6f70b14","status":"posted","type":"refund","account":1042,"wallet":"sms","amount":"0.0383","balance":"18.383","held":"0","available":"18.383","reference":"msg-17","created_at":"2026-11-01T00:00:00.000000Z","charge":"5c146b14-3c52-8afd-938a-375d0df1fbf6"}`
	placed    = `{"id":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","status":"posted","type":"hold","account":1042,"wallet":"sms","amount":"0.0766","balance":"18.3447","held":"0.0766","available":"18.2681","reference":"msg-18","created_at":"2026-11-01T00:00:00.000000Z","hold":{"id":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","status":"open","remaining":"0.0766","expires_at":"2026-11-01T01:00:00.000000Z"},"spend_cap":{"daily_remaining":"46.0934","monthly_remaining":"428.76"}}`
	captured  = `{"id":"41d98c07-6f2e-8d15-9c7b-e3a05b84f6d2","status":"posted","type":"capture","account":1042,"wallet":"sms","amount":"0.0383","balance":"18.3064","held":"0","available":"18.3064","reference":"msg-18","created_at":"2026-11-01T00:05:00.000000Z","hold":{"id":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","status":"captured","remaining":"0","expires_at":"2026-11-01T01:00:00.000000Z"},"final":true,"batch":"27b1f0c6-90de-8b5e-8f3a-c41d6e0a9b72"}`
	openHold  = `{"id":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","account":1042,"wallet":"sms","status":"open","amount":"0.0766","captured":"0","remaining":"0.0766","reference":"msg-18","created_at":"2026-11-01T00:00:00.000000Z","expires_at":"2026-11-01T01:00:00.000000Z"}`
	doneHold  = `{"id":"b7602e4d-c918-8f05-9d3b-14a6e87c5f20","account":1042,"wallet":"voip","status":"captured","amount":"1.5","captured":"1.75","remaining":"0","created_at":"2026-11-01T00:00:00.000000Z","expires_at":"2026-11-01T01:00:00.000000Z","closed_at":"2026-11-01T00:05:00.000000Z"}`
	statement = `{"account":1042,"wallet":"sms","currency":"CNY","from":"2026-11-01T00:00:00.000000Z","opening_balance":"20","closing_balance":"19.9617","items":[{"version":12,"created_at":"2026-11-01T08:30:00.000000Z","transaction":"5c146b14-3c52-8afd-938a-375d0df1fbf6","type":"charge","amount":"-0.0383","balance":"19.9617","held":"0","reference":"msg-17","counterpart":"revenue"},{"version":13,"created_at":"2026-11-01T08:30:01.000000Z","transaction":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","type":"hold","amount":"0","balance":"19.9617","held":"0.0766","reference":"msg-18","hold":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34"}]}`
	noEntries = `{"account":1042,"wallet":"sms","currency":"CNY","opening_balance":"0","closing_balance":"0","items":[]}`
	trial     = `{"created_at":"2026-11-01T00:00:00.000000Z","currencies":[{"currency":"CNY","wallets":"461.6553","held":"0.0766","funding":"-500","revenue":"38.3447","adjustment":"0","total":"0"},{"currency":"VND","wallets":"36693","held":"0","funding":"-36693","revenue":"0","adjustment":"0","total":"0"}]}`
	usage     = `{"from":"2026-11-01T00:00:00.000000Z","to":"2026-11-03T00:00:00.000000Z","group":"day","items":[{"day":"2026-11-01","currency":"CNY","count":250,"charged":"9.575","refunded":"0.0383","net":"9.5367"},{"day":"2026-11-02","currency":"CNY","count":100,"charged":"3.83","refunded":"0","net":"3.83"}]}`
	settled   = `{"items":[{"reference":"msg-18","status":"DELIVRD","outcome":"captured","hold":"9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34","transaction":"41d98c07-6f2e-8d15-9c7b-e3a05b84f6d2","amount":"0.0766"},{"reference":"msg-19","status":"ENROUTE","outcome":"waiting","hold":"b7602e4d-c918-8f05-9d3b-14a6e87c5f20"}]}`
	batchDone = `{"posted":2,"rejected":0,"failed":0,"items":[{"index":0,"outcome":"posted","transaction":` + charge + `},{"index":1,"outcome":"posted","replayed":true,"transaction":` + charge + `}]}`
	chargeID  = "5c146b14-3c52-8afd-938a-375d0df1fbf6"
	holdID    = "9e0d6b52-41f7-8c3a-b6d8-20c97f1e5a34"
	charge    = `{"id":"5c146b14-3c52-8afd-938a-375d0df1fbf6","status":"posted","type":"charge","account":1042,"wallet":"sms","amount":"0.0383","balance":"18.3447","held":"0","available":"18.3447","reference":"msg-17","created_at":"2026-11-01T00:00:00.000000Z"}`
	rejected  = `{"id":"5c146b14-3c52-8afd-938a-375d0df1fbf6","status":"rejected","rejection":"insufficient_funds","type":"transfer","account":1042,"wallet":"sms","to_account":7,"to_wallet":"voip","amount":"20","balance":"1","held":"0","available":"1","metadata":{"evil":"a\u001b[2Jb"},"created_at":"2026-11-01T00:00:00.000000Z"}`
	operators = `/v1/keys`
)

// server answers each path with canned JSON and remembers the last request.
type server struct {
	replies map[string]string // method and path to body
	status  int
	header  http.Header

	request *http.Request
	body    string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.request, s.body = r, string(body)
	reply, ok := s.replies[r.Method+" "+r.URL.Path]
	if !ok {
		reply = problem(404, "not_found", "there is no "+r.URL.Path, "")
		s.status = 404
	}
	maps.Copy(w.Header(), s.header)
	contentType := "application/json"
	if s.status >= 400 {
		contentType = "application/problem+json"
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(max(s.status, 200))
	_, _ = io.WriteString(w, reply)
}

func problem(status int, code, detail, hint string) string {
	text, _ := json.Marshal(api.Problem{
		Type: "urn:saldo:problem:" + code, Title: http.StatusText(status), Status: status, Code: api.ErrorCode(code), Detail: detail, Hint: hint,
	})
	return string(text)
}

// start serves and points the commands to the server.
func (s *server) start(t *testing.T) {
	t.Helper()
	running := httptest.NewServer(s)
	t.Cleanup(running.Close)
	t.Setenv("SALDO_URL", running.URL)
	t.Setenv("SALDO_KEY", key)
	t.Setenv("SALDO_OUTPUT", "table") // whoever runs the tests may like JSON
}

// result is what a command line did.
type result struct {
	out, err string
	status   int
}

// run does what main does.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return runContext(t.Context(), t, stdin, args...)
}

func runContext(ctx context.Context, t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	streams := Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs}
	exited := -1
	var grammar struct{ Commands }
	parser := kong.Must(&grammar, kong.Name("saldo"), kong.Writers(&out, &errs), kong.Exit(func(status int) { exited = status }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams))
	parsed, err := parser.Parse(Arguments(args))
	status := exited
	switch {
	case exited >= 0:
	case err != nil:
		status = Usage(streams, err)
	default:
		status = Report(streams, parsed.Run())
	}
	got := result{out.String(), errs.String(), status}
	if strings.Contains(got.out+got.err, "s3cr3t") {
		t.Errorf("a secret is printed:\n%s%s", got.out, got.err)
	}
	return got
}

func TestGolden(t *testing.T) {
	page := `{"items":[` + closed + `,` + lotus + `],"next_cursor":""}`
	keys := `{"items":[` + oldKey + `,` + cappedKey + `,` + goneKey + `]}`
	for _, test := range []struct {
		name, route, reply string
		args               []string
		body               string // of the request
	}{
		{"account-create", "POST /v1/accounts", lotus, []string{"account", "create", "--name", "Lotus & Co.", "--currency", "CNY", "--id", "1042", "--external-reference", "crm-77", "--metadata", "tier=gold;x", "--metadata", "region=south"}, `{"currency":"CNY","external_reference":"crm-77","id":1042,"metadata":{"region":"south","tier":"gold;x"},"name":"Lotus \u0026 Co."}`},
		{"account-show", "GET /v1/accounts/1042", lotus, []string{"account", "show", "1042"}, ""},
		{"account-suspend", "PATCH /v1/accounts/1042", lotus, []string{"account", "suspend", "1042"}, `{"status":"suspended"}`},
		{"account-activate", "PATCH /v1/accounts/1042", lotus, []string{"account", "activate", "1042"}, `{"status":"active"}`},
		{"account-close", "PATCH /v1/accounts/7", closed, []string{"account", "close", "7"}, `{"status":"closed"}`},
		{"account-list", "GET /v1/accounts", page, []string{"account", "list"}, ""},
		{"account-list-limit", "GET /v1/accounts", page, []string{"account", "list", "--limit", "1"}, ""},
		{"account-list-empty", "GET /v1/accounts", `{"items":[]}`, []string{"account", "list"}, ""},
		{"account-create-settings", "POST /v1/accounts", lotus, []string{"account", "create", "--name", "L", "--currency", "CNY", "--time-zone", "Asia/Ho_Chi_Minh", "--charge-on", "none"}, `{"charge_on":[],"currency":"CNY","name":"L","time_zone":"Asia/Ho_Chi_Minh"}`},
		{"account-set", "PATCH /v1/accounts/1042", lotus, []string{"account", "set", "1042", "--name", "L", "--charge-on", "DELIVRD, ACCEPTD", "--time-zone", "Asia/Ho_Chi_Minh", "--metadata", "tier=gold"}, `{"charge_on":["DELIVRD","ACCEPTD"],"metadata":{"tier":"gold"},"name":"L","time_zone":"Asia/Ho_Chi_Minh"}`},
		{"account-set-clear", "PATCH /v1/accounts/7", closed, []string{"account", "set", "7", "--external-reference", "", "--no-metadata"}, `{"external_reference":"","metadata":{}}`},
		{"wallet-show", "GET /v1/accounts/1042/wallets/sms", walletNow, []string{"wallet", "show", "1042", "sms"}, ""},
		{"wallet-show-at", "GET /v1/accounts/1042/wallets/sms", walletWas, []string{"wallet", "get", "1042", "sms", "--at", "2026-11-01", "--tz", "UTC"}, ""},
		{"wallet-set", "PATCH /v1/accounts/1042/wallets/sms", walletNow, []string{"wallet", "set", "1042", "sms", "--status", "suspended", "--credit-limit", "100", "--min-amount", "0.01", "--max-amount", "5", "--daily-spend-cap", "50", "--monthly-spend-cap", "0"}, `{"credit_limit":"100","daily_spend_cap":"50","max_amount":"5","min_amount":"0.01","monthly_spend_cap":"0","status":"suspended"}`},
		{"key-create", "POST /v1/accounts/1042/keys", newKey, []string{"key", "create", "--account", "1042", "--scope", "balance:read", "--allow", "203.0.113.0/24", "--expires-at", "2027-01-31T08:00:00+08:00"}, `{"allow_list":["203.0.113.0/24"],"expires_at":"2027-01-31T00:00:00Z","scopes":["balance:read"]}`},
		{"key-create-operator", "POST /v1/keys", newKey, []string{"key", "create", "--operator", "--scope", "admin", "--scope", "transactions:write"}, `{"scopes":["admin","transactions:write"]}`},
		{"key-list", "GET /v1/accounts/1042/keys", keys, []string{"key", "list", "--account", "1042"}, ""},
		{"key-list-operator", "GET " + operators, `{"items":[` + goneKey + `]}`, []string{"key", "list"}, ""},
		{"key-create-caps", "POST /v1/accounts/1042/keys", newKey, []string{"key", "create", "--account", "1042", "--daily-spend-cap", "20", "--monthly-spend-cap", "300"}, `{"daily_spend_cap":"20","monthly_spend_cap":"300"}`},
		{"key-set", "PATCH /v1/keys/AK7M2QX4ZPLNTW3B", cappedKey, []string{"key", "set", "AK7M2QX4ZPLNTW3B", "--daily-spend-cap", "20"}, `{"daily_spend_cap":"20"}`},
		{"key-revoke", "DELETE /v1/keys/AK1", "", []string{"key", "revoke", "AK1"}, ""},
		{"charge", "POST /v1/transactions", charge, []string{"charge", "1042", "sms", "0.0383", "--reference", "msg-17", "--metadata", "a=b", "--idempotency-key", "k1"}, `{"account":1042,"amount":"0.0383","metadata":{"a":"b"},"reference":"msg-17","type":"charge","wallet":"sms"}`},
		{"adjust", "POST /v1/transactions", charge, []string{"adjust", "1042", "sms", "-5", "--idempotency-key", "k1"}, `{"account":1042,"amount":"-5","type":"adjustment","wallet":"sms"}`},
		{"topup", "POST /v1/transactions", charge, []string{"topup", "1042", "sms", "5", "--idempotency-key", "k1"}, `{"account":1042,"amount":"5","type":"topup","wallet":"sms"}`},
		{"refund", "POST /v1/transactions", refund, []string{"refund", chargeID, "0.0383", "--idempotency-key", "k1"}, `{"amount":"0.0383","charge":"` + chargeID + `","type":"refund"}`},
		{"transfer", "POST /v1/transactions", charge, []string{"transfer", "1042", "sms", "20", "--to-account", "7", "--to-wallet", "voip", "--idempotency-key", "k1"}, `{"account":1042,"amount":"20","to_account":7,"to_wallet":"voip","type":"transfer","wallet":"sms"}`},
		{"hold-place", "POST /v1/holds", placed, []string{"hold", "place", "1042", "sms", "0.0766", "--expires-in", "1h", "--reference", "msg-18", "--idempotency-key", "k1"}, `{"account":1042,"amount":"0.0766","expires_in":3600,"reference":"msg-18","wallet":"sms"}`},
		{"hold-show", "GET /v1/holds/" + holdID, openHold, []string{"hold", "show", holdID}, ""},
		{"hold-list", "GET /v1/holds", `{"items":[` + openHold + `,` + doneHold + `]}`, []string{"hold", "list", "1042", "sms", "--state", "open"}, ""},
		{"hold-capture", "POST /v1/holds/" + holdID + "/capture", captured, []string{"hold", "capture", holdID, "0.0383", "--keep-open", "--idempotency-key", "k1"}, `{"amount":"0.0383","final":false}`},
		{"hold-capture-all", "POST /v1/holds/" + holdID + "/capture", captured, []string{"hold", "capture", holdID, "--idempotency-key", "k1"}, `{}`},
		{"hold-release", "POST /v1/holds/" + holdID + "/release", captured, []string{"hold", "release", holdID, "--reference", "lost", "--idempotency-key", "k1"}, `{"reference":"lost"}`},
		{"hold-extend", "POST /v1/holds/" + holdID + "/extend", placed, []string{"hold", "extend", holdID, "7d", "--idempotency-key", "k1"}, `{"expires_in":604800}`},
		{"hold-settle", "POST /v1/holds/settle", settled, []string{"hold", "settle", "testdata/reports.csv"}, `[{"reference":"msg-18","status":"DELIVRD"},{"account":1042,"reference":"msg-19","status":"ENROUTE"}]`},
		{"transaction-find", "GET /v1/transactions", `{"items":[` + charge + `,` + rejected + `]}`, []string{"transaction", "find", "--reference", "msg-17"}, ""},
		{"statement", "GET /v1/accounts/1042/wallets/sms/statement", statement, []string{"statement", "1042", "sms", "--from", "2026-11-01"}, ""},
		{"statement-empty", "GET /v1/accounts/1042/wallets/sms/statement", noEntries, []string{"statement", "1042", "sms"}, ""},
		{"statement-limit", "GET /v1/accounts/1042/wallets/sms/statement", statement, []string{"statement", "1042", "sms", "--limit", "1"}, ""},
		{"trial-balance", "GET /v1/reports/trial-balance", trial, []string{"report", "trial-balance"}, ""},
		{"usage", "GET /v1/reports/usage", usage, []string{"report", "usage", "--group", "day", "--from", "2026-11-01", "--to", "2026-11-03"}, ""},
		{"upstream-list", "GET /v1/upstreams", `{"items":[` + goodUpstream + `,` + failingUpstream + `,` + newUpstream + `,` + postpaidUpstream + `,` + unlimitedUpstream + `]}`, []string{"upstream", "list"}, ""},
		{"upstream-list-empty", "GET /v1/upstreams", `{"items":[]}`, []string{"upstream", "list"}, ""},
		{"upstream-show", "GET /v1/upstreams/antgst-sms", goodUpstream, []string{"upstream", "show", "antgst-sms"}, ""},
		{"upstream-show-failing", "GET /v1/upstreams/esms", failingUpstream, []string{"upstream", "show", "esms"}, ""},
		{"upstream-show-new", "GET /v1/upstreams/new", newUpstream, []string{"upstream", "show", "new"}, ""},
		{"upstream-readings", "GET /v1/upstreams/antgst-sms/readings", readingsPage, []string{"upstream", "readings", "antgst-sms", "--step", "1h"}, ""},
		{"upstream-readings-empty", "GET /v1/upstreams/antgst-sms/readings", noReadings, []string{"upstream", "readings", "antgst-sms"}, ""},
		{"upstream-reconcile", "GET /v1/upstreams/antgst-sms/reconciliation", reconciled, []string{"upstream", "reconcile", "antgst-sms", "--from", "2026-11-01", "--to", "2026-11-03"}, ""},
		{"upstream-reconcile-empty", "GET /v1/upstreams/antgst-sms/reconciliation", notReconciled, []string{"upstream", "reconcile", "antgst-sms"}, ""},
		{"transaction-show", "GET /v1/transactions/5c146b14", rejected, []string{"transaction", "show", "5c146b14"}, ""},
		{"balance", "GET /v1/balance", balance, []string{"balance"}, ""},
		{"balance-account", "GET /v1/accounts/1042", lotus, []string{"balance", "1042"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &server{replies: map[string]string{test.route: test.reply}}
			s.start(t)
			table := run(t, "", test.args...)
			if s.request == nil || strings.TrimSpace(s.body) != test.body {
				t.Errorf("the request is\n%s\nwant\n%s", s.body, test.body)
			}
			asJSON := run(t, "", append(test.args, "-o", "json")...)
			if table.status != 0 || asJSON.status != 0 {
				t.Errorf("status %d and %d", table.status, asJSON.status)
			}
			if asJSON.out != "" && !json.Valid([]byte(asJSON.out)) {
				t.Errorf("no JSON: %s", asJSON.out)
			}
			golden(t, test.name, fmt.Sprintf("$ saldo %s\n%s--- stderr\n%s\n$ … --output json\n%s--- stderr\n%s",
				strings.Join(test.args, " "), table.out, table.err, asJSON.out, asJSON.err))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What --output json prints is the API's own JSON, whatever route it takes.
func TestJSONIsTheAPIs(t *testing.T) {
	s := &server{replies: map[string]string{
		"GET /v1/accounts/1042": lotus,
		"GET /v1/accounts":      `{"items":[` + closed + `,` + lotus + `]}`,
	}}
	s.start(t)
	for path, args := range map[string][]string{
		"GET /v1/accounts/1042": {"account", "show", "1042", "--output", "json"},
		"GET /v1/accounts":      {"account", "list", "--output", "json"},
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(s.replies[path]), "", "  "); err != nil {
			t.Fatal(err)
		}
		got := run(t, "", args...).out
		if lines(got) != lines(want.String()) {
			t.Errorf("got\n%s\nwant\n%s", got, want.String())
		}
	}
}

// lines leaves out the members of metadata, whose order is not the API's to keep.
func lines(text string) string {
	kept := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool {
		return strings.Contains(line, `"tier"`) || strings.Contains(line, `"region"`)
	})
	return strings.Join(kept, "\n")
}

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   int
	}{
		{400, "invalid_request", 1},
		{401, "unauthorized", 4},
		{402, "insufficient_funds", 3},
		{403, "ip_denied", 4},
		{404, "not_found", 1},
		{409, "account_not_active", 3},
		{413, "request_too_large", 1},
		{422, "currency_mismatch", 3},
		{429, "rate_limited", 5},
		{500, "internal_error", 1},
		{503, "overloaded", 5},
	} {
		t.Run(test.code, func(t *testing.T) {
			s := &server{
				status: test.status, header: http.Header{"Retry-After": {"3600"}},
				replies: map[string]string{"POST /v1/transactions": problem(test.status, test.code, "it failed\x1b[2J", "do better")},
			}
			s.start(t)
			got := run(t, "", "charge", "1042", "sms", "1", "-o", "json")
			if got.status != test.want || got.out != "" {
				t.Errorf("status %d, want %d; output %q", got.status, test.want, got.out)
			}
			if want := fmt.Sprintf("saldo: it failed\uFFFD[2J (%s)\nhint: do better\n", test.code); !strings.HasPrefix(got.err, want) {
				t.Errorf("got %q, want %q", got.err, want)
			}
			unknown := test.status >= 500 || test.status == 429
			if strings.Contains(got.err, "--idempotency-key=cli-") != unknown {
				t.Errorf("the flag to repeat with: want %v in\n%s", unknown, got.err)
			}
		})
	}
}

func TestRejectionNamesTheTransaction(t *testing.T) {
	reply := strings.TrimSuffix(problem(402, "insufficient_funds", "0 is available", ""), "}") + `,"transaction":"5c146b14"}`
	s := &server{status: 402, replies: map[string]string{"POST /v1/transactions": reply}}
	s.start(t)
	got := run(t, "", "charge", "1042", "sms", "1", "--idempotency-key", "k")
	if got != (result{"", "saldo: 0 is available (insufficient_funds, transaction 5c146b14)\n", 3}) {
		t.Errorf("got %+v", got)
	}
}

func TestBalanceOfAnOperator(t *testing.T) {
	s := &server{status: 403, replies: map[string]string{"GET /v1/balance": problem(403, "forbidden", "it has no account", "read a route")}}
	s.start(t)
	got := run(t, "", "balance")
	if want := "saldo: it has no account (forbidden)\nhint: with an operator's key, name the account: saldo balance ACCOUNT\n"; got != (result{"", want, 4}) {
		t.Errorf("got %+v", got)
	}
}

// The key that is printed before is the one that is sent, and the one to repeat with.
func TestIdempotencyKey(t *testing.T) {
	s := &server{replies: map[string]string{"POST /v1/transactions": charge}}
	s.start(t)
	got := run(t, "", "charge", "1042", "sms", "1")
	if want := "note: to repeat this command safely, add --idempotency-key=" + s.request.Header.Get("Idempotency-Key") + "\n"; got.err != want {
		t.Errorf("got %q, want %q", got.err, want)
	}
	s.header = http.Header{"Idempotent-Replayed": {"true"}}
	if got = run(t, "", "charge", "1042", "sms", "1", "-o", "json", "--idempotency-key", "k1"); !strings.Contains(got.err, "moved nothing") {
		t.Errorf("a replay is not told: %q", got.err)
	}
	if got := repeatFlag(`a'b$c`); got != `--idempotency-key='a'\''b$c'` {
		t.Errorf("got %s", got)
	}
}

func TestUnknownOutcome(t *testing.T) {
	t.Run("unreachable", func(t *testing.T) {
		t.Setenv("SALDO_URL", "http://127.0.0.1:1")
		t.Setenv("SALDO_KEY", key)
		got := run(t, "", "topup", "1042", "sms", "1", "--idempotency-key", "k 1")
		if got.status != 5 || !strings.Contains(got.err, "cannot reach http://127.0.0.1:1: dial tcp") || !strings.Contains(got.err, `--idempotency-key='k 1'`) {
			t.Errorf("got %+v", got)
		}
	})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	t.Setenv("SALDO_URL", slow.URL)
	t.Setenv("SALDO_KEY", key)
	t.Run("timeout", func(t *testing.T) {
		got := run(t, "", "topup", "1042", "sms", "1", "--timeout", "50ms")
		if got.status != 5 || !strings.Contains(got.err, "did not answer within 50ms") || !strings.Contains(got.err, "repeat the command with --idempotency-key=cli-") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		got := runContext(ctx, t, "", "topup", "1042", "sms", "1", "-o", "json")
		if got.status != 1 || !strings.HasPrefix(got.err, "saldo: interrupted\n") || !strings.Contains(got.err, "--idempotency-key=cli-") {
			t.Errorf("got %+v", got)
		}
	})
}

// A result that cannot be written is a failure, after the money has moved.
func TestFullDisk(t *testing.T) {
	s := &server{replies: map[string]string{"POST /v1/transactions": charge}}
	s.start(t)
	var errs bytes.Buffer
	streams := Streams{Out: failing{}, Err: &errs}
	m := movement{Account: 1042, Wallet: "sms", Amount: "1", Posting: posting{IdempotencyKey: "k1"}}
	m.Posting.URL, m.Posting.Key = os.Getenv("SALDO_URL"), key
	status := Report(streams, m.post(t.Context(), streams, api.TransactionTypeTopup, 0, ""))
	if status != 1 || !strings.Contains(errs.String(), "cannot write the result: disk full") || !strings.Contains(errs.String(), "--idempotency-key=k1") {
		t.Errorf("status %d: %s", status, errs.String())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }

func TestUsage(t *testing.T) {
	s := &server{}
	s.start(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"nothing"}, "unexpected argument nothing"},
		{[]string{"account"}, `"create"`},
		{[]string{"account", "show", "x"}, `not "x"`},
		{[]string{"account", "create", "--name", "x"}, "--currency"},
		{[]string{"account", "create", "--name", "x", "--currency", "CNY", "--id", "0"}, "from 1 to 2147483647"},
		{[]string{"key", "create"}, "--account"},
		{[]string{"key", "create", "--operator"}, "--scope"},
		{[]string{"key", "create", "--account", "1", "--operator", "--scope", "admin"}, "can't be used together"},
		{[]string{"key", "create", "--account", "1", "--id", "A"}, "--secret-file"},
		{[]string{"key", "create", "--account", "1", "--secret", "s3cr3t"}, "--id"},
		{[]string{"key", "create", "--account", "1", "--id", "A", "--secret", "-s3cr3t"}, "--secret=VALUE"},
		{[]string{"key", "create", "--account", "1", "--id", "A", "--secret", "--operator"}, "--secret=VALUE"},
		{[]string{"key", "create", "--account", "1", "--scope", "all"}, "must be one of"},
		{[]string{"key", "create", "--account", "1", "--expires-at", "tomorrow"}, "tomorrow"},
		{[]string{"key", "create", "--account", "1", "--id", "A", "--secret-file", "/nonexistent"}, "/nonexistent"},
		{[]string{"account", "set", "1"}, "at least one thing"},
		{[]string{"account", "set", "1", "--metadata", "a=b", "--no-metadata"}, "can't be used together"},
		{[]string{"account", "set", "1", "--charge-on", "DELIVRD,DELIVERED"}, `"DELIVERED" is no state`},
		{[]string{"wallet", "set", "1", "sms"}, "at least one setting"},
		{[]string{"wallet", "set", "1", "sms", "--status", "closed"}, "must be one of"},
		{[]string{"wallet", "show", "1", "sms", "--tz", "UTC"}, "--at"},
		{[]string{"key", "set", "AK1"}, "at least one cap"},
		{[]string{"refund", "5c146b14"}, "<amount>"},
		{[]string{"hold", "place", "1", "sms", "1", "--expires-in", "0s"}, `not "0s"`},
		{[]string{"hold", "place", "1", "sms", "1", "--expires-in", "1.5s"}, `not "1.5s"`},
		{[]string{"hold", "extend", "9e0d", "31d"}, `not "31d"`},
		{[]string{"hold", "extend", "9e0d", "3600"}, `not "3600"`},
		{[]string{"hold", "list"}, "--reference"},
		{[]string{"hold", "list", "1"}, "--reference"},
		{[]string{"hold", "list", "1", "sms", "--state", "gone"}, "must be one of"},
		{[]string{"hold", "settle", "nowhere"}, "nowhere"},
		{[]string{"transaction", "find"}, "--reference"},
		{[]string{"transaction", "find", "--reference", "a", "--idempotency-key", "b"}, "can't be used together"},
		{[]string{"statement", "1", "sms", "-o", "csv", "--limit", "5"}, "--limit is for table and json"},
		{[]string{"statement", "1", "sms", "--type", "tax"}, "must be one of"},
		{[]string{"report", "usage", "--group", "month"}, "must be one of"},
		{[]string{"upstream", "show"}, "<name>"},
		{[]string{"upstream", "readings", "u", "--step", "1500ms"}, "whole seconds"},
		{[]string{"upstream", "readings", "u", "--step", "745h"}, "at most 31 days"},
		{[]string{"upstream", "readings", "u", "--step=-1s"}, "whole seconds"},
		{[]string{"upstream", "list", "-o", "csv"}, "must be one of"},
		{[]string{"adjust", "1", "sms", "7", "--reference", "-5"}, "--reference"},
		{[]string{"adjust", "1", "sms", "--reference", "-5", "7"}, "--reference"},
		{[]string{"balance", "-o", "xml"}, "must be one of"},
		{[]string{"balance", "--timeout", "-1s"}, "--timeout"},
		{[]string{"balance", "--url", "ftp://x"}, "https://"},
		{[]string{"balance", "--url", "http://saldo.example.com"}, "--allow-plain-http"},
		{[]string{"balance", "--key", "s3cr3t with a space"}, "visible ASCII"},
		{[]string{"balance", "--key"}, "--key=VALUE"},
		{[]string{"balance", "--key", ""}, "no key"},
	} {
		got := run(t, "", test.args...)
		if got.status != 2 || got.out != "" || !strings.HasPrefix(got.err, "saldo: ") || !strings.Contains(got.err, test.want) || !strings.Contains(got.err, "\nhint: ") {
			t.Errorf("%q: got %+v", test.args, got)
		}
	}
	if s.request != nil {
		t.Errorf("a request was sent: %s", s.request.URL)
	}
}

func TestNoKey(t *testing.T) {
	t.Setenv("SALDO_KEY", "")
	got := run(t, "", "balance")
	if want := "saldo: there is no key to sign in with\nhint: set SALDO_KEY to the auth_secret that \"saldo init\" or \"saldo key create\" showed\n"; got.err != want || got.status != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestImportedSecret(t *testing.T) {
	reply := strings.ReplaceAll(newKey, "fresh-secret", "s3cr3t")
	s := &server{replies: map[string]string{"POST /v1/accounts/1042/keys": reply}}
	s.start(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cr3t\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for stdin, source := range map[string]string{"s3cr3t\n": "--secret-file=-", "": "--secret-file=" + file, " ": "--secret=s3cr3t"} {
		got := run(t, stdin, "key", "create", "--account", "1042", "--id", "OLD", source)
		if want := `{"id":"OLD","secret":"s3cr3t"}`; got.status != 0 || strings.TrimSpace(s.body) != want {
			t.Errorf("%s: %+v sent %s", source, got, s.body)
		}
	}
	for _, content := range []string{"", "\n", "two\nlines\n", strings.Repeat("x", 2000)} {
		if got := run(t, content, "key", "create", "--account", "1042", "--id", "OLD", "--secret-file", "-"); got.status != 2 {
			t.Errorf("%.20q: %+v", content, got)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"adjust 1 sms 5 -o json", "adjust 1 sms 5 -o json"},
		{"adjust 1 sms -5 -o json", "adjust 1 sms -o json -- -5"},
		{"adjust -5", "adjust -- -5"},
		{"adjust 1 sms -.5", "adjust 1 sms -- -.5"},
		{"adjust 1 sms --reference -5 7", "adjust 1 sms --reference -5 7"},
		{"adjust 1 sms -o json -- -5", "adjust 1 sms -o json -- -5"},
		{"adjust 1 -5 -- -7", "adjust 1 -- -5 -7"},
	} {
		if got := strings.Join(Arguments(strings.Fields(test.line)), " "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.line, got, test.want)
		}
	}
}

// Every command explains itself with examples, and its help shows no secret.
func TestHelp(t *testing.T) {
	t.Setenv("SALDO_KEY", key)
	var grammar struct{ Commands }
	parser := kong.Must(&grammar)
	for _, leaf := range parser.Model.Leaves(false) {
		if leaf.Help == "" || !strings.Contains(leaf.Detail, "Examples:\n  saldo ") && leaf.Name != "completion" {
			t.Errorf("%s has no help with examples", leaf.Path())
		}
		if leaf.Group == nil {
			t.Errorf("%s has no group", leaf.Path())
		}
		args := append(strings.Fields(strings.Split(leaf.Path(), " <")[0]), "--help")
		if got := run(t, "", args...); got.status != 0 || !strings.Contains(got.out, "Usage: saldo") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestVersion(t *testing.T) {
	var b buildInfo
	got := run(t, "", "version", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &b); err != nil || b.Version != Version() || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("got %+v, %v", got, err)
	}
	if got = run(t, "", "version"); !strings.Contains(got.out, "version   "+Version()) {
		t.Errorf("got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := run(t, "", "completion", shell); got.status != 0 || !strings.Contains(got.out, "saldo") || strings.Contains(got.out, "NAME") {
			t.Errorf("%s: %+v", shell, got)
		}
	}
	complete := func(line string) string {
		t.Setenv("COMP_LINE", line)
		var out bytes.Buffer
		var grammar struct{ Commands }
		asked := Complete(kong.Must(&grammar, kong.Name("saldo"), kong.Writers(&out, io.Discard)))
		if asked != (line != "") {
			t.Errorf("%q: asked is %v", line, asked)
		}
		words := strings.Fields(out.String())
		slices.Sort(words)
		return strings.Join(words, " ")
	}
	for line, want := range map[string]string{
		"":                           "",
		"saldo t":                    "topup transaction transfer",
		"saldo account s":            "set show suspend",
		"saldo hold ":                "capture extend list place release settle show",
		"saldo account show 7 --out": "--output",
		"saldo balance --output ":    "json table",
		"saldo upstream ":            "list readings reconcile show",
		"saldo key create --scope t": "transactions:write",
		"saldo completion ":          "bash fish zsh",
	} {
		if got := complete(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// Colours change nothing but colours, and a long list keeps its columns.
func TestTable(t *testing.T) {
	draw := func(colours bool) string {
		var out bytes.Buffer
		p := newPrinter(Streams{Out: &out}, "table")
		p.colours = colours
		table := p.table(text("NAME"), money("AMOUNT"), status("STATUS"))
		for i := range rowsAtOnce + 1 {
			table.row("n", fmt.Sprintf("-%d", i), "active")
		}
		table.flush()
		p.fields("status", "closed", "empty", "")
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plain, painted := draw(false), draw(true)
	for _, want := range []string{"NAME  AMOUNT  STATUS\nn         -0  active\n", "\nn       -500  active\n", "status  closed\n"} {
		if !strings.Contains(plain, want) {
			t.Errorf("%q is missing in\n%s", want, plain)
		}
	}
	if !strings.Contains(painted, "\x1b[31m-500\x1b[0m  \x1b[32mactive\x1b[0m\n") {
		t.Errorf("no colours in %q", painted[len(painted)-100:])
	}
	for _, code := range []string{"0", "2", "31", "32"} {
		painted = strings.ReplaceAll(painted, "\x1b["+code+"m", "")
	}
	if painted != plain {
		t.Error("colours change the layout")
	}
}

func TestReportOfOtherErrors(t *testing.T) {
	var errs bytes.Buffer
	if status := Report(Streams{Err: &errs}, nil); status != 0 || errs.Len() != 0 {
		t.Errorf("nil: status %d, %q", status, errs.String())
	}
	if status := Report(Streams{Err: &errs}, fmt.Errorf("open: %w", hinted{})); status != 1 || errs.String() != "saldo: open: it is taken\nhint: take another\n" {
		t.Errorf("status %d, %q", status, errs.String())
	}
}

type hinted struct{}

func (hinted) Error() string { return "it is taken" }
func (hinted) Hint() string  { return "take another" }
