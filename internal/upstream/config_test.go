package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/dialect/generic"
	"github.com/saldo-ledger/saldo/internal/provider"
)

func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// write makes a file that only its owner can read.
func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads a configuration from a text.
func load(t *testing.T, text string, lookup Lookup) (*Config, error) {
	t.Helper()
	return Load(write(t, t.TempDir(), "upstreams.yaml", text), lookup)
}

const full = `# Two accounts at one provider, and one at another.
upstreams:
  - name: antgst-sms
    provider: antgst
    base_url: http://10.1.2.3:8080/sms
    plain_http: true
    timeout: 2s
    interval: 30s
    min:
      sms: 100.50
      voip/CNY: -7
    credentials:
      auth_secret: ${ANT_SECRET}
  - name: esms
    provider: esms
    min: 0.1000000000000000000000001
    credentials:
      api_key: 0123456789012345678901234567890
      secret_key: {file: esms.key}
  - {name: antgst-2, provider: antgst, credentials: {auth_secret: "${ANTGST_AUTH_SECRET}"}}
  - name: antgst-3
    provider: antgst
  - name: own
    provider: http
    credentials:
      TOKEN: ${ANT_SECRET}
    http:
      method: POST
      url: https://sms.example.com/balance
      headers:
        Authorization: Bearer ${TOKEN}
        Content-Type: application/json
      body: |
        {"all": true}
      amount: .data.balance
      currency: USD
      scale: 2
`

func TestLoad(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "esms.key", "s3cr3t from a file\r\n")
	path := write(t, folder, "upstreams.yaml", full)
	config, err := Load(path, given(map[string]string{"ANT_SECRET": "s3cr3t", "ANTGST_AUTH_SECRET": "another"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Upstreams) != 5 || len(config.Warnings) > 0 {
		t.Fatalf("%v", config)
	}
	ant, esms := config.Upstreams[0], config.Upstreams[1]
	if ant.Name != "antgst-sms" || ant.Provider.Name != "antgst" || ant.BaseURL != "http://10.1.2.3:8080/sms" || !ant.PlainHTTP ||
		ant.Timeout != 2*time.Second || ant.Interval != 30*time.Second || ant.secret("auth_secret") != "s3cr3t" {
		t.Errorf("%+v", ant)
	}
	if got := ant.Min.For(&provider.Bucket{Service: "sms", Currency: "USD"}); got == nil || got.String() != "100.5" {
		t.Errorf("sms: %v", got)
	}
	if got := ant.Min.For(&provider.Bucket{Service: "voip", Currency: "CNY"}); got == nil || got.String() != "-7" {
		t.Errorf("voip: %v", got)
	}
	if got := ant.Min.For(&provider.Bucket{Service: "voip", Currency: "USD"}); got != nil {
		t.Errorf("voip in another currency: %v", got)
	}
	if esms.Timeout != provider.DefaultTimeout || esms.Interval != DefaultInterval || esms.PlainHTTP || esms.BaseURL != "" ||
		esms.secret("api_key") != "0123456789012345678901234567890" || esms.secret("secret_key") != "s3cr3t from a file" {
		t.Errorf("%+v", esms)
	}
	if got := esms.Min.For(&provider.Bucket{Service: "main"}); got == nil || got.String() != "0.1000000000000000000000001" {
		t.Errorf("an amount loses digits: %v", got)
	}
	for _, u := range config.Upstreams[2:4] {
		if u.secret("auth_secret") != "another" || u.HTTP != nil {
			t.Errorf("%+v", u)
		}
	}
	want := &generic.Settings{
		Method: "POST", URL: "https://sms.example.com/balance", Body: "{\"all\": true}\n", Amount: ".data.balance", Currency: "USD", Scale: 2,
		Headers: map[string]string{"Authorization": "Bearer ${TOKEN}", "Content-Type": "application/json"},
	}
	if own := config.Upstreams[4]; own.secret("TOKEN") != "s3cr3t" || !reflect.DeepEqual(own.HTTP, want) {
		t.Errorf("%+v, %+v", own, own.HTTP)
	}
}

func TestSelect(t *testing.T) {
	config, err := load(t, "upstreams:\n- {name: a, provider: antgst}\n- {name: b, provider: antgst}\n- {name: c, provider: antgst}\n", anything)
	if err != nil {
		t.Fatal(err)
	}
	names := func(list []*Upstream) (text string) {
		for _, u := range list {
			text += u.Name
		}
		return text
	}
	for _, tt := range []struct {
		names []string
		want  string
	}{{nil, "abc"}, {[]string{"b"}, "b"}, {[]string{"c", "a", "c"}, "ac"}} {
		if got, err := config.Select(tt.names); err != nil || names(got) != tt.want {
			t.Errorf("%v: %s, %v", tt.names, names(got), err)
		}
	}
	if _, err := config.Select([]string{"a", "x"}); err == nil || err.Error() != `there is no upstream "x"` || hintOf(err) != "the upstreams are a, b, c" {
		t.Errorf("%v, hint %s", err, hintOf(err))
	}
	if names(config.Upstreams) != "abc" {
		t.Error("a selection changes the configuration")
	}
}

// TestLoadRefuses holds what is wrong with a file to the line and the word.
func TestLoadRefuses(t *testing.T) {
	one := func(lines string) string { return "upstreams:\n- name: a\n  provider: antgst\n" + lines }
	described := func(lines string) string {
		return "upstreams:\n-   name: a\n    provider: http\n    timeout: 5s\n    http:\n      url: https://sms.example.com/balance\n" + lines
	}
	tests := []struct{ name, text, want, hint string }{
		{"empty", "", "there are no upstreams", "begin with"},
		{"comment", "# nothing\n", "there are no upstreams", "begin with"},
		{"empty list", "upstreams: []\n", "line 1: there are no upstreams", "begin with"},
		{"no list", "upstreams: a\n", "line 1: there are no upstreams", ""},
		{"list alone", "- name: a\n", "line 1: there must be members", "upstreams"},
		{"two documents", one("") + "---\n" + one(""), "line 5: the file has more than one document", ""},
		{"another member", one("") + "listen: :8080\n", `line 4: there is no member "listen"`, "the members here are upstreams"},
		{"misspelt member", one("  tiemout: 5s\n"), `line 4: upstream a: there is no member "tiemout"`, "timeout"},
		{"twice", one("  timeout: 5s\n  timeout: 6s\n"), "line 5: this member is there twice, for the first time on line 4", "leave one of them out"},
		{"credential twice", one("  credentials: {auth_secret: s3cr3t-a, auth_secret: s3cr3t-b}\n"), "line 4: this member is there twice, for the first time on line 4", "leave one"},
		{"not YAML", "upstreams:\n- name: \"a\n", "this is not YAML", "indentation"},
		{"scalar upstream", "upstreams:\n- antgst\n", "line 2: there must be members", "name, provider"},
		{"no name", "upstreams:\n- provider: antgst\n", "line 2: an upstream has no name", "name: "},
		{"name", "upstreams:\n- {name: Ä B, provider: antgst}\n", "line 2: an upstream cannot have this name", "a-z"},
		{"long name", "upstreams:\n- {name: " + strings.Repeat("a", 41) + ", provider: antgst}\n", "cannot have this name", ""},
		{"name twice", one("") + "- {name: a, provider: esms}\n", "line 4: upstream a: this name is there twice", ""},
		{"no provider", "upstreams:\n- name: a\n", "line 2: upstream a: it has no provider", "--list"},
		{"provider", "upstreams:\n- name: a\n  provider: nobody\n", `line 3: upstream a: there is no provider "nobody"`, "antgst"},
		{"plain_http", one("  plain_http: yes\n"), "line 4: upstream a: plain_http: this must be true or false", ""},
		{"number as time", one("  timeout: 15\n"), "line 4: upstream a: timeout: this must be a time from 100ms to 5m0s", "30s"},
		{"short time", one("  timeout: 99ms\n"), "timeout: this must be", ""},
		{"long time", one("  interval: 12h1s\n"), "interval: this must be a time from 1s to 12h0m0s", ""},
		{"list as time", one("  timeout: [1s]\n"), "line 4: upstream a: timeout: there must be one text", ""},
		{"no time", one("  timeout:\n"), "line 4: upstream a: timeout: there is no value", ""},
		{
			"shared account", "upstreams:\n- {name: a, provider: smsc, interval: 11s}\n- {name: b, provider: smsc, interval: 12s}\n",
			"line 2: upstream a: interval: smsc lets an account ask 10 a minute, and 2 upstreams ask this one: 12s is the least", "ask the account once",
		},
		{"few days", "keep_days: 7\nupstreams:\n- {name: a, provider: antgst}\n", "line 1: keep_days: this must be a number of days from 8 to 3660", "leave keep_days out for 400"},
		{"many days", "keep_days: 3661\nupstreams:\n- {name: a, provider: antgst}\n", "line 1: keep_days: this must be a number of days from 8 to 3660", "leave keep_days out for 400"},
		{"no days", "keep_days: 1w\nupstreams:\n- {name: a, provider: antgst}\n", "line 1: keep_days: this must be a number of days from 8 to 3660", "leave keep_days out for 400"},
		{"too often", "upstreams:\n- name: a\n  provider: smsc\n  interval: 5s\n", "line 4: upstream a: interval: smsc lets an account ask 10 a minute, which is once in 6s", "longer"},
		{"min", one("  min: much\n"), "line 4: upstream a: min: this is not an amount", "12.50"},
		{"min of nothing", one("  min: {}\n"), "min: there is no amount", "sms: 100"},
		{"min of a sentence", one("  min: {all of it: 1}\n"), "min: this cannot be a name here", "sms/CNY"},
		{"min for a list", one("  min: {sms: [1]}\n"), "min: there must be one text", ""},
		{"base URL", one("  base_url: ftp://example.com\n"), "line 4: upstream a: the base URL cannot be used", "write https://HOST"},
		{"variable as base URL", one("  base_url: \"${XURL}\"\n"), "line 4: upstream a: base_url: a variable cannot stand here", "${NAME} is for credentials alone"},
		{"variable as time", one("  timeout: ${T}\n"), "line 4: upstream a: timeout: a variable cannot stand here", "${NAME} is for credentials alone"},
		{"base URL of a description", described("      amount: .a\n") + "    base_url: ftp://example.com\n", "line 8: upstream a: the base URL cannot be used", "write https://HOST"},
		{"plain HTTP", one("  base_url: http://sms.example.com\n"), "unencrypted to sms.example.com", "plain_http: true"},
		{"credit limit", one("  credit_limit: much\n"), "line 4: upstream a: credit_limit: this is not an amount", "12.50"},
		{"credit limit of nothing", one("  credit_limit: {}\n"), "credit_limit: there is no amount", "credit_limit: {sms: 100}"},
		{"credit limit of a sentence", one("  credit_limit: {all of it: 1}\n"), "credit_limit: this cannot be a name here", "sms/CNY"},
		{"negative credit limit", one("  credit_limit: -100\n"), "line 4: upstream a: credit_limit: this must not be negative", "write 100 where"},
		{"one negative credit limit", one("  credit_limit:\n    sms: 5\n    voip: -0.01\n"), "line 6: upstream a: credit_limit: this must not be negative", ""},
		{"another credential", one("  credentials:\n    auth_secret: x\n    s3cr3t: y\n"), "line 6: upstream a: credentials: there is no such member", "auth_secret"},
		{"scalar credentials", one("  credentials: s3cr3t\n"), "line 4: upstream a: credentials: there must be members", "auth_secret"},
		{"missing credential", one("  credentials: {}\n"), "upstream a: credentials: auth_secret is missing", ""},
		{"empty credential", one("  credentials:\n    auth_secret: \"\"\n"), "line 5: upstream a: credentials: auth_secret is empty", ""},
		{"no credential", one("  credentials:\n    auth_secret:\n"), "line 5: upstream a: credentials: auth_secret: there is no value", ""},
		{"variable", one("  credentials:\n    auth_secret: ${NOWHERE}\n"), "line 5: upstream a: credentials: auth_secret is in the variable NOWHERE, which is not set", "set it for the process"},
		{"empty variable", one("  credentials:\n    auth_secret: ${EMPTY}\n"), "auth_secret is in the variable EMPTY, which is empty", ""},
		{"more than a variable", one("  credentials:\n    auth_secret: s3cr3t${NOWHERE}\n"), "line 5: upstream a: credentials: auth_secret is more than a reference", "{file: PATH}"},
		{"control", one("  credentials:\n    auth_secret: \"s3cr3t\\n\"\n"), "auth_secret has characters that cannot be", ""},
		{"no file", one("  credentials:\n    auth_secret: {file: nowhere}\n"), "line 5: upstream a: credentials: auth_secret: open ", "relative to the configuration file"},
		{"empty reference", one("  credentials:\n    auth_secret: {}\n"), "auth_secret names no file", "{file: PATH}"},
		{"another reference", one("  credentials:\n    auth_secret: {vault: s3cr3t}\n"), "credentials: auth_secret: there is no such member", "file"},
		{"description", one("  http: {url: https://example.com/}\n"), "line 4: upstream a: http: antgst needs no description", "provider: http"},
		{"no description", "upstreams:\n- name: a\n  provider: http\n", "line 2: upstream a: http: the description of the provider is missing", "amount"},
		{"member of a description", described("      amont: .a\n"), `line 7: upstream a: http: there is no member "amont"`, "amount"},
		{"header", described("      headers: {A B: c}\n"), "line 7: upstream a: http: headers: this cannot be a name here", ""},
		{"list as header", described("      headers: {A: [c]}\n"), "line 7: upstream a: http: headers: A: there must be one text", ""},
		{"scale", described("      scale: two\n"), "line 7: upstream a: http: scale: this must be a whole number", ""},
		{"setting", described("      amount: .a\n      unit: miles\n"), "upstream a: http: unit: ", ""},
		{"unused secret", described("      amount: .a\n") + "    credentials: {TOKEN: s3cr3t}\n", "upstream a: http: secrets: TOKEN is used nowhere", ""},
		{"name of a secret", described("      amount: .a\n") + "    credentials: {s3cr3t here: x}\n", "upstream a: credentials: this cannot be a name here", "${NAME}"},
		{"alias", "upstreams:\n- &a {name: a, provider: antgst}\n- *a\n", "there must be members", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, err := load(t, tt.text, given(map[string]string{"ANTGST_AUTH_SECRET": "s3cr3t", "SMSC_LOGIN": "l", "SMSC_PASSWORD": "p", "EMPTY": ""}))
			if err == nil || config != nil {
				t.Fatalf("it is taken: %v", config)
			}
			if text := err.Error(); !strings.Contains(text, "upstreams.yaml: "+tt.want) && !strings.Contains(text, tt.want) || !strings.Contains(hintOf(err), tt.hint) || strings.Contains(text+hintOf(err), "s3cr3t") || hintOf(err) == "" {
				t.Errorf("%v\nhint: %s", err, hintOf(err))
			}
		})
	}
	var many strings.Builder
	many.WriteString("upstreams:\n")
	for i := range maxUpstreams + 1 {
		fmt.Fprintf(&many, "- {name: a%d, provider: antgst}\n", i)
	}
	if _, err := load(t, many.String(), anything); err == nil || !strings.Contains(err.Error(), "more than 256 upstreams") {
		t.Error(err)
	}
	if _, err := load(t, strings.Repeat("#", maxFile+1), anything); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere.yaml"), anything); !errors.Is(err, os.ErrNotExist) || hintOf(err) == "" {
		t.Error(err)
	}
}

// The variables are named too where an upstream says nothing of credentials.
func TestMissingVariable(t *testing.T) {
	_, err := load(t, "upstreams:\n- {name: vn, provider: esms}\n", given(map[string]string{"ESMS_API_KEY": "s3cr3t"}))
	if err == nil || !strings.HasSuffix(err.Error(), "line 2: upstream vn: ESMS_SECRET_KEY is not set") || !strings.Contains(hintOf(err), "credentials: {api_key: …, secret_key: …}") {
		t.Errorf("%v, hint %s", err, hintOf(err))
	}
}

// However a file is damaged, no error and no print of it shows a credential.
func TestNothingSecretIsShown(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "esms.key", "s3cr3t-in-a-file\n")
	text := "upstreams:\n- name: ant\n  provider: antgst\n  credentials:\n    auth_secret: s3cr3t-literal\n" +
		"- name: vn\n  provider: esms\n  min: {sms: 5}\n  credentials:\n    api_key: \"s3cr3t-quoted\"\n    secret_key: {file: esms.key}\n" +
		"- name: ant-2\n  provider: antgst\n  timeout: 5s\n  credentials: {auth_secret: 's3cr3t-flow'}\n" +
		"- name: own\n  provider: http\n  http: {url: 'https://a.example/b?key=s3cr3t-url', basic_auth: 'u:s3cr3t-basic', headers: {X-Key: s3cr3t-header}, amount: .a}\n"
	path := write(t, folder, "upstreams.yaml", text)
	lookup := given(map[string]string{"S": "s3cr3t-in-a-variable"})
	try := func(damaged string) {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(path, lookup)
		shown := fmt.Sprintf("%v %+v %#v %s", config, config, config, err)
		if config != nil {
			for _, u := range config.Upstreams {
				encoded, _ := json.Marshal(u.Credentials)
				shown += fmt.Sprintf("%v %+v %#v %s %x %s", *u, *u, *u, u.Credentials, u.Credentials, encoded)
			}
		}
		if err != nil {
			shown += fmt.Sprintf("%+v %#v %s", err, err, hintOf(err))
		}
		if strings.Contains(shown, "s3cr3t-") || strings.Contains(shown, fmt.Sprintf("%x", "s3cr3t-")) {
			t.Fatalf("of\n%s\nit shows\n%s", damaged, shown)
		}
	}
	try(text)
	inserts := []string{"", ":", "\"", "{", "[", "\n", "- ", "*", "&", "!", "|", "%", "${S}", "\t", "#", "'", "? "}
	for at := range text {
		for i := range 3 { // another three at the next place
			try(text[:at] + inserts[(3*at+i)%len(inserts)] + text[at:])
		}
		try(text[:at] + text[at+1:])
		try(text[:at])
	}
}

// Whoever can read a file of credentials can use them.
func TestWarnings(t *testing.T) {
	folder := t.TempDir()
	key := write(t, folder, "esms.key", "k")
	path := write(t, folder, "upstreams.yaml", "upstreams:\n- name: a\n  provider: esms\n  credentials: {api_key: literal, secret_key: {file: esms.key}}\n")
	warnings := func() string {
		t.Helper()
		config, err := Load(path, anything)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(config.Warnings, "\n")
	}
	if got := warnings(); got != "" {
		t.Error(got)
	}
	for _, mode := range []os.FileMode{0o640, 0o644} {
		for _, file := range []string{key, path} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			got := warnings()
			if warned := strings.HasPrefix(got, file+" has credentials"); warned != (mode == 0o644) {
				t.Errorf("%s %o: %s", file, mode, got)
			}
			if err := os.Chmod(file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A file without credentials of its own may be read by everybody.
	write(t, folder, "upstreams.yaml", "upstreams:\n- name: a\n  provider: esms\n  credentials:\n    api_key: ${K}\n    secret_key: {file: esms.key}\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := warnings(); got != "" {
		t.Error(got)
	}
}

// The secrets of a description may stand in the file itself: it is warned of like
// any other, and what they are is hidden in what a provider says.
func TestLiterals(t *testing.T) {
	var question *http.Request
	said := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question = r
		w.WriteHeader(http.StatusUnauthorized) // It is not asked again.
		fmt.Fprintf(w, `{"error": %q}`, said)
	}))
	defer server.Close()
	tests := []struct {
		description string // beside amount and error
		literal     bool
		said, want  string // by the provider, and what is told of it
	}{
		{"basic_auth: 'user:s3cr3t pass'", true, "no s3cr3t pass or s3cr3t+pass for user", "no [hidden] or [hidden] for user"},
		{"basic_auth: '${TOKEN}:s3cr3t'", true, "no s3cr3t", "no [hidden]"},
		{"basic_auth: 'user:${TOKEN}'", false, "no user with token-value", "no user with [hidden]"},
		{"basic_auth: 's3cr3t:'", true, "no s3cr3t", "no [hidden]"},
		{"basic_auth: 's3cr3t:x'", true, "no s3cr3t exists", "no [hidden] exists"},
		{"headers: {Authorization: Bearer s3cr3t}", true, "no Bearer s3cr3t", "no Bearer [hidden]"},
		{"headers: {authorization: s3cr3t}", true, "no s3cr3t", "no [hidden]"},
		{"headers: {Authorization: 'Bearer ${TOKEN}'}", false, "no token-value", "no [hidden]"},
		{"headers: {X-API-Key: s3cr3t, My_Secret: another, X-Auth: '1'}", true, "1 s3cr3t and another", "1 [hidden] and [hidden]"},
		{"headers: {Accept: text/plain}", false, "no text/plain", "no text/plain"},
		{"url: '/balance?user=me&apiKey=s3cr%33t+key&TOKEN=another'", true, "no s3cr3t key, another or me", "no [hidden], [hidden] or me"},
		{"url: '/balance?pwd=s3cr3t&psw=another&sig=f00ba4'", true, "no s3cr3t, another or f00ba4", "no [hidden], [hidden] or [hidden]"},
		{"url: '/balance?auth_id=acme&author=someone'", false, "no acme or someone", "no acme or someone"},
		{"headers: {X-Auth-User: acme, X-Auth-Type: token}", false, "no token for acme", "no token for acme"},
		{"url: '/balance?key=${TOKEN}&all=true&auth=1'", false, "no true 1 token-value", "no true 1 [hidden]"},
	}
	for _, tt := range tests {
		t.Run(tt.description, func(t *testing.T) {
			description := tt.description + "\n    amount: .amount\n    error: .error\n"
			if !strings.HasPrefix(tt.description, "url") {
				description = "url: /balance?user=me\n    " + description
			}
			text := "upstreams:\n- name: own\n  provider: http\n  base_url: " + server.URL + "\n"
			if strings.Contains(tt.description, "${TOKEN}") {
				text += "  credentials: {TOKEN: \"${TOKEN}\"}\n"
			}
			path := write(t, t.TempDir(), "upstreams.yaml", text+"  http:\n    "+description)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			config, err := Load(path, given(map[string]string{"TOKEN": "token-value"}))
			if err != nil {
				t.Fatal(err)
			}
			if warned := len(config.Warnings) == 1 && strings.HasPrefix(config.Warnings[0], path); warned != tt.literal {
				t.Errorf("warnings: %v", config.Warnings)
			}
			said = tt.said
			if got := Query(t.Context(), config.Upstreams, "")[0]; got.Message != tt.want {
				t.Errorf("it says %q", got.Message)
			}
		})
	}
	// They are sent as they stand in the file.
	text := "upstreams:\n- name: own\n  provider: http\n  base_url: " + server.URL + "\n  credentials: {literal: cr3dential}\n  http:\n" +
		"    {url: '/b?key=a%26b+c%2B&x=1', basic_auth: 'me:pass:word', headers: {X-Key: 'k:ey \"', X-Other: '${literal}'}, amount: .amount}\n"
	config, err := load(t, text, anything)
	if err != nil {
		t.Fatal(err)
	}
	Query(t.Context(), config.Upstreams, "")
	user, password, _ := question.BasicAuth()
	if query := question.URL.Query(); query.Get("key") != "a&b c+" || query.Get("x") != "1" || user != "me" || password != "pass:word" ||
		question.Header.Get("X-Key") != "k:ey \"" || question.Header.Get("X-Other") != "cr3dential" {
		t.Errorf("%s %v", question.URL, question.Header)
	}
}

func TestReadCredentials(t *testing.T) {
	folder := t.TempDir()
	path := write(t, folder, "saldo.env", "# comment\n\nESMS_API_KEY=a=b \r\nexport ESMS_SECRET_KEY = \"quoted\"\nOTHER=\n")
	lookup, warning, err := ReadCredentials(path)
	if err != nil || warning != "" {
		t.Fatal(warning, err)
	}
	for name, want := range map[string]string{"ESMS_API_KEY": "a=b", "ESMS_SECRET_KEY": `"quoted"`, "OTHER": ""} {
		if got, ok := lookup(name); got != want || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	if _, ok := lookup("PATH"); ok {
		t.Error("the environment shows through")
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, warning, err := ReadCredentials(path); err != nil || !strings.HasPrefix(warning, path) {
		t.Errorf("%s, %v", warning, err)
	}
	for text, want := range map[string]string{
		"A=1\ns3cr3t\n": "saldo.env:2 is not NAME=VALUE", "=s3cr3t": "saldo.env:1 is not", "A=1\nA=s3cr3t": "saldo.env:2: this name is there twice",
		strings.Repeat("s3cr3t\n", 200_000): "longer than",
	} {
		_, _, err := ReadCredentials(write(t, folder, "saldo.env", text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, _, err := ReadCredentials(folder); err == nil {
		t.Error("a folder is taken")
	}
}

// TestDocumentation loads the files that the documentation shows, with whatever
// they refer to.
func TestDocumentation(t *testing.T) {
	for _, name := range []string{"query.md", "providers.md", "upstreams.md"} {
		page, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no file", name)
		}
		for _, block := range blocks {
			folder := t.TempDir()
			for _, match := range regexp.MustCompile(`\{file: ([^}]+)\}`).FindAllStringSubmatch(block[1], -1) {
				write(t, folder, match[1], "secret\n")
			}
			config, err := Load(write(t, folder, "upstreams.yaml", block[1]), anything)
			if err != nil {
				t.Errorf("%s: %s\n%v", name, block[1], err)
			} else if len(config.Warnings) > 0 {
				t.Error(config.Warnings)
			}
		}
	}
}

// Every setting of a description can stand in a file, and arrives.
func TestDescription(t *testing.T) {
	var text strings.Builder
	text.WriteString("http:\n")
	settings := reflect.TypeFor[generic.Settings]()
	for field := range settings.Fields() {
		switch name := field.Tag.Get("yaml"); field.Type.Kind() {
		case reflect.Map:
			fmt.Fprintf(&text, "  %s: {A: b}\n", name)
		default:
			fmt.Fprintf(&text, "  %s: 7\n", name)
		}
	}
	root, err := parseYAML([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	found, err := fields(root, false, "http")
	if err != nil {
		t.Fatal(err)
	}
	got, err := description(&Provider{Name: "http", Described: true}, root, found["http"])
	if err != nil {
		t.Fatal(err)
	}
	for i := range settings.NumField() {
		if field := reflect.ValueOf(*got).Field(i); field.IsZero() || field.Kind() == reflect.String && field.String() != "7" {
			t.Errorf("%s is %v", settings.Field(i).Name, field)
		}
	}
}
