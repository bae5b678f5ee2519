// Package upstream knows the providers that Saldo can ask, and which accounts
// with them an operator has: it reads the configuration and asks for the balances.
package upstream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
	"github.com/saldo-ledger/saldo/internal/dialect/esms"
	"github.com/saldo-ledger/saldo/internal/dialect/generic"
	"github.com/saldo-ledger/saldo/internal/dialect/messagebird"
	"github.com/saldo-ledger/saldo/internal/dialect/smsc"
	"github.com/saldo-ledger/saldo/internal/dialect/speedsms"
	"github.com/saldo-ledger/saldo/internal/dialect/telnyx"
	"github.com/saldo-ledger/saldo/internal/dialect/twilio"
	"github.com/saldo-ledger/saldo/internal/dialect/vonage"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Client is a provider's client with the connections that it keeps.
type Client interface {
	provider.Client
	Close()
}

// Provider is a service of which Saldo speaks the format.
type Provider struct {
	Name string
	// Members are the credentials, as a configuration file names them.
	Members []string
	// BaseURL is where the provider is by its documentation, "" where that names no host.
	BaseURL string
	Limit   Limit
	// Described tells that it is no certain provider, but the one that the member
	// http of an upstream describes.
	Described bool

	connect func(provider.Options, *Upstream) (Client, error)
}

// Limit is how often a provider lets an account ask, as documented; the zero
// value where the documentation names no limit.
type Limit struct {
	Requests int
	Per      time.Duration
}

// Interval is the time between two questions that the limit leaves, 0 without one.
func (l Limit) Interval() time.Duration {
	if l.Requests == 0 {
		return 0
	}
	return l.Per / time.Duration(l.Requests)
}

// String is the limit in words, "" without one.
func (l Limit) String() string {
	units := map[time.Duration]string{time.Second: "a second", time.Minute: "a minute"}
	if l.Requests == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", l.Requests, units[l.Per])
}

// providers is the registry, in the order in which it is shown.
var providers = []*Provider{
	{
		Name: "antgst", Members: []string{"auth_secret"}, BaseURL: antgst.DefaultBaseURL, Limit: Limit{200, time.Second},
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(antgst.NewClient(o, u.secret("auth_secret")))
		},
	},
	{
		Name: "esms", Members: []string{"api_key", "secret_key"}, BaseURL: esms.DefaultBaseURL,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(esms.NewClient(o, u.secret("api_key"), u.secret("secret_key")))
		},
	},
	{
		Name: "speedsms", Members: []string{"token"}, BaseURL: speedsms.DefaultBaseURL, Limit: Limit{60, time.Minute},
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(speedsms.NewClient(o, u.secret("token")))
		},
	},
	{
		Name: "twilio", Members: []string{"account_sid", "auth_token"}, BaseURL: twilio.DefaultBaseURL,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(twilio.NewClient(o, u.secret("account_sid"), u.secret("auth_token")))
		},
	},
	{
		Name: "telnyx", Members: []string{"api_key"}, BaseURL: telnyx.DefaultBaseURL,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(telnyx.NewClient(o, u.secret("api_key")))
		},
	},
	{
		Name: "vonage", Members: []string{"api_key", "api_secret"}, BaseURL: vonage.DefaultBaseURL,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(vonage.NewClient(o, u.secret("api_key"), u.secret("api_secret")))
		},
	},
	{
		Name: "messagebird", Members: []string{"access_key"}, BaseURL: messagebird.DefaultBaseURL,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(messagebird.NewClient(o, u.secret("access_key")))
		},
	},
	{
		Name: "smsc", Members: []string{"login", "password"}, BaseURL: smsc.DefaultBaseURL, Limit: Limit{10, time.Minute},
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(smsc.NewClient(o, u.secret("login"), u.secret("password")))
		},
	},
	{
		Name: "http", BaseURL: generic.DefaultBaseURL, Described: true,
		connect: func(o provider.Options, u *Upstream) (Client, error) {
			return connected(generic.NewClient(o, *u.HTTP, u.Credentials.texts()))
		},
	},
}

// connected hands on what a constructor gave. A nil of its own type in an
// interface would not be nil.
func connected[C Client](client C, err error) (Client, error) {
	if err != nil {
		return nil, err
	}
	return client, nil
}

// Providers are all that Saldo knows.
func Providers() []*Provider { return slices.Clone(providers) }

// Find gives the provider of a name.
func Find(name string) (*Provider, error) {
	for _, p := range providers {
		if p.Name == name {
			return p, nil
		}
	}
	names := make([]string, len(providers))
	for i, p := range providers {
		names[i] = p.Name
	}
	return nil, hint(fmt.Errorf("there is no provider %q", name), "the providers are "+strings.Join(names, ", "))
}

// Variable is the environment variable of a credential: ANTGST_AUTH_SECRET for
// the member auth_secret of antgst.
func (p *Provider) Variable(member string) string {
	return strings.ToUpper(p.Name + "_" + member)
}

// Variables are the environment variables of all credentials.
func (p *Provider) Variables() []string {
	names := make([]string, len(p.Members))
	for i, member := range p.Members {
		names[i] = p.Variable(member)
	}
	return names
}

// Credentials looks the credentials up by the names of their variables.
func (p *Provider) Credentials(lookup Lookup) (Credentials, error) {
	found := Credentials{}
	for _, member := range p.Members {
		name := p.Variable(member)
		value, ok := lookup(name)
		if !ok || value == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
		secret, err := newSecret(value)
		if err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
		found[member] = secret
	}
	return found, nil
}

// advised is an error with advice.
type advised struct {
	error

	advice string
}

func hint(err error, advice string) error { return &advised{err, advice} }

// Unwrap gives the error itself.
func (a *advised) Unwrap() error { return a.error }

// Hint is what to do about it.
func (a *advised) Hint() string { return a.advice }
