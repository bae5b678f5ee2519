package generic

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// examples are the settings in docs/providers.md, by the names of the upstreams.
func examples(t *testing.T) map[string]Settings {
	t.Helper()
	page, err := os.ReadFile("../../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Settings{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		var file struct {
			Upstreams []struct {
				Name        string            `yaml:"name"`
				Provider    string            `yaml:"provider"`
				Credentials map[string]string `yaml:"credentials"`
				HTTP        Settings          `yaml:"http"`
			} `yaml:"upstreams"`
		}
		if err := yaml.UnmarshalWithOptions([]byte(block[1]), &file, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		for _, u := range file.Upstreams {
			if u.Provider != "http" {
				t.Errorf("%s has the provider %q", u.Name, u.Provider)
			}
			if names := slices.Sorted(maps.Keys(u.Credentials)); !slices.Equal(names, u.HTTP.Secrets()) {
				t.Errorf("%s has the credentials %v, and placeholders for %v", u.Name, names, u.HTTP.Secrets())
			}
			found[u.Name] = u.HTTP
		}
	}
	return found
}

func bucket(service, amount string, unit provider.Unit, currency string, source provider.CurrencySource) provider.Bucket {
	return provider.Bucket{Service: service, Unit: unit, Amount: *value(amount), Currency: currency, CurrencySource: source}
}

// example is a reply that a provider documents, and what the settings in the
// documentation make of it.
type example struct {
	provider, file string
	status         int
	want           *provider.Balance
	failure        provider.Status
}

func TestExamples(t *testing.T) {
	t.Parallel()
	credits := func(billing provider.Billing, amount string) *provider.Balance {
		return &provider.Balance{Billing: billing, Buckets: []provider.Bucket{bucket("sms", amount, provider.Credits, "", "")}}
	}
	plivo := func(billing provider.Billing, amount string) *provider.Balance {
		return &provider.Balance{Account: "MA0123456789", Billing: billing, Buckets: []provider.Bucket{bucket("main", amount, provider.Money, "USD", provider.FromConfiguration)}}
	}
	shillings := &provider.Balance{Buckets: []provider.Bucket{bucket("main", "1785.50", provider.Money, "KES", provider.FromReply)}}
	tests := []example{
		{provider: "plivo", file: "plivo.json", want: plivo(provider.BillingPrepaid, "1.809")},
		{provider: "plivo", file: "plivo-postpaid.json", want: plivo(provider.BillingPostpaid, "0")},
		{provider: "plivo", file: "plivo-failure.json", status: 401, failure: provider.Unauthorized},
		{provider: "africastalking", file: "africastalking.json", want: shillings},
		{provider: "africastalking", file: "africastalking-other.json", want: shillings},
		{provider: "africastalking", file: "africastalking-failure.txt", status: 401, failure: provider.Unauthorized},
		{provider: "smsfactor", file: "smsfactor.json", want: credits(provider.BillingPrepaid, "44690")},
		{provider: "smsfactor", file: "smsfactor-postpaid.json", want: credits(provider.BillingPostpaid, "0")},
		{provider: "smsfactor", file: "smsfactor-unlimited.json", want: credits(provider.BillingUnlimited, "0")},
		{provider: "smsfactor", file: "smsfactor-failure.json", failure: provider.Unauthorized},
		{provider: "smsfactor", file: "smsfactor-unknown.json", failure: provider.ProviderError},
		{provider: "mobtexting", file: "mobtexting.json", want: &provider.Balance{Billing: provider.BillingPrepaid, Buckets: []provider.Bucket{
			bucket("promotional", "69", provider.Credits, "", ""), bucket("transactional", "-4", provider.Credits, "", ""), bucket("V", "0", provider.Credits, "", ""),
		}}},
	}
	described, seen := examples(t), map[string]bool{}
	for _, tt := range tests {
		seen[tt.provider] = true
		settings, ok := described[tt.provider]
		if !ok {
			t.Fatalf("docs/providers.md does not describe %s", tt.provider)
		}
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			tt.run(t, settings)
		})
	}
	for name := range described {
		if !seen[name] {
			t.Errorf("no reply shows that the description of %s works", name)
		}
	}
}

func (tt *example) run(t *testing.T, settings Settings) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", tt.file))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(sent(r), "made-up") {
			t.Errorf("the secret is not in %s", sent(r))
		}
		if tt.status != 0 {
			w.WriteHeader(tt.status)
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	secrets := map[string]string{}
	for _, name := range settings.Secrets() {
		secrets[name] = "made-up-" + name
	}
	client, err := NewClient(provider.Options{BaseURL: server.URL}, settings, secrets)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	balance, err := client.Balance(t.Context())
	if diff := cmp.Diff(tt.want, balance); diff != "" || tt.failure != "" && provider.StatusOf(err) != tt.failure {
		t.Errorf("%v\n%s", err, diff)
	}
}

// sent is where secrets are in a request.
func sent(r *http.Request) string {
	_, password, _ := r.BasicAuth()
	return r.URL.String() + r.Header.Get("Apikey") + r.Header.Get("Authorization") + password
}
