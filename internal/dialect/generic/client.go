package generic

import (
	"maps"
	"slices"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// DefaultBaseURL is "": the settings have a URL.
const DefaultBaseURL = ""

// Client asks for the balance of one account.
type Client struct{ *rest.Client }

// NewClient makes a Client from settings, and the secrets for which they have
// placeholders. A base URL of the options takes the place of scheme and host of
// the URL. What is wrong with the settings is a *SettingError.
func NewClient(options provider.Options, settings Settings, secrets map[string]string) (*Client, error) {
	d, err := settings.decoder()
	if err != nil {
		return nil, err
	}
	var credentials []rest.Credential
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		credentials = append(credentials, rest.Credential{
			Name: "secret " + name, Value: secrets[name], Identifier: name == settings.identifier(),
		})
	}
	base, request, err := settings.request(secrets)
	if err != nil {
		return nil, err
	}
	if base == "" && options.BaseURL == "" {
		return nil, wrong("url", "it has no host", "it is https://HOST/PATH")
	}
	client, err := rest.New(options, base, &rest.Question{Request: *request, Credentials: credentials, Decode: d.decode})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}

// decoder compiles the expressions. Nothing is compiled again when the provider is asked.
func (s *Settings) decoder() (*decoder, error) {
	if err := s.complete(); err != nil {
		return nil, err
	}
	d := &decoder{settings: *s}
	for _, e := range []struct {
		member, text string
		into         **expression
	}{
		{"amount", s.Amount, &d.amount},
		{"account", s.Account, &d.account},
		{"billing", s.Billing, &d.billing},
		{"error", s.Error, &d.failure},
	} {
		var err error
		if *e.into, err = compile(e.member, e.text); err != nil {
			return nil, err
		}
	}
	return d, nil
}
