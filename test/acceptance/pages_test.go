package acceptance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/test/saldotest"
)

// The requests of the provider pages, letter for letter.
const (
	// antgstPage lacks the line continuations, and so sends no body.
	antgstPage = `curl --location --request POST 'https://api.antgst.com/user/account/balance' 
--header 'Content-Type: application/json' 
--data '{"authSecret": "YOUR_API_KEY"}'
`
	esmsPage = `curl --location 'http://rest.esms.vn/MainService.svc/json/GetBalance_json' \
--header 'Content-Type: application/json' \
--data '{
"ApiKey":"{{ApiKey}}",
"SecretKey":"{{SecretKey}}"
}'
`
)

// compacted is a body of a provider page without its white space.
func compacted(t *testing.T, file string) string {
	t.Helper()
	body, err := os.ReadFile("../../internal/dialect/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

// TestProviderPages sends the requests of the provider pages, with curl, to a
// demo. Its replies are those of the pages, byte for byte.
func TestProviderPages(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	demo := saldotest.Start(t, "--demo")
	antgst := strings.ReplaceAll(antgstPage, "https://api.antgst.com", demo.URL)
	antgstMended := strings.ReplaceAll(antgst, "' \n", "' \\\n")
	esms := strings.NewReplacer("http://rest.esms.vn", demo.URL, "{{ApiKey}}", "DEMO-VND-ID").Replace(esmsPage)
	for _, test := range []struct{ name, script, want string }{
		{"antgst as printed", antgst, `{"msg":"Required request body is missing","code":400}`},
		{"antgst success", strings.ReplaceAll(antgstMended, "YOUR_API_KEY", "DEMO-CNY-IDDEMO-CNY-SECRET"), compacted(t, "antgst/testdata/page-success.json")},
		{"antgst failure", antgstMended, compacted(t, "antgst/testdata/page-failure.json")},
		{"esms success", strings.ReplaceAll(esms, "{{SecretKey}}", "DEMO-VND-SECRET"), compacted(t, "esms/testdata/page-success.json")},
		{"esms failure", esms, compacted(t, "esms/testdata/page-failure.json")},
	} {
		t.Run(test.name, func(t *testing.T) {
			// As printed, the first page's second line is no command, so the script fails at its end.
			got, err := exec.CommandContext(t.Context(), "sh", "-c", test.script).Output()
			if string(got) != test.want {
				t.Errorf("got %s (%v)\nwant %s", got, err, test.want)
			}
		})
	}
	t.Run("printed", func(t *testing.T) {
		for _, line := range []string{
			"curl --location --request POST '" + demo.URL + "/user/account/balance' \\\n",
			`--data '{"authSecret": "DEMO-CNY-IDDEMO-CNY-SECRET"}'`,
			"curl --location '" + demo.URL + "/MainService.svc/json/GetBalance_json' \\\n",
			`"SecretKey":"DEMO-VND-SECRET"`,
		} {
			if !strings.Contains(demo.Demo, line) {
				t.Errorf("the demo does not print %s\n%s", line, demo.Demo)
			}
		}
	})
}

// TestOnePair uses one pair at every door, in every form that a door knows.
func TestOnePair(t *testing.T) { saldotest.OnEachStore(t, testOnePair) }

func testOnePair(t *testing.T, store saldotest.Store) {
	t.Helper()
	w := newWorld(t, store)
	c := w.newCast(t)
	for _, authorization := range []string{c.good.bearer(), c.good.basic(), "bearer " + c.good.authSecret()} {
		reply := w.Send(t, http.MethodGet, "/v1/balance", "", "Authorization", authorization)
		if reply.Status != 200 || !strings.Contains(reply.Body, `"wallet":"sms","currency":"CNY","balance":"-18.383"`) {
			t.Errorf("%s: %+v", authorization[:6], reply)
		}
	}
	if reply := w.Send(t, http.MethodPost, antgstPath, authSecret(c.good.authSecret())); !strings.Contains(reply.Body, `"smsBalance":-18.383,"voipBalance":7.0`) {
		t.Errorf("antgst: %+v", reply)
	}
	for _, form := range esmsForms {
		path, body := form.request(c.good)
		if reply := w.Send(t, form.method, path, body); !strings.Contains(reply.Body, "-19") {
			t.Errorf("esms: %+v", reply)
		}
	}
	split := pair{c.good.id + c.good.secret[:1], c.good.secret[1:]}
	for _, authorization := range []string{
		split.basic(), pair{"", c.good.authSecret()}.bearer() + "x", "Bearer", "Bearer ", "Basic " + saldotest.Secret, "Digest " + c.good.authSecret(), "", c.good.authSecret(),
	} {
		reply := w.Send(t, http.MethodGet, "/v1/balance", "", "Authorization", authorization)
		if reply.Status != 401 || reply.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %+v", authorization, reply)
		}
	}
}
