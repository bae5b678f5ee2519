package upstream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/saldo-ledger/saldo/internal/dialect/generic"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Bounds of a configuration.
const (
	maxFile      = 1 << 20
	maxUpstreams = 256

	minTimeout  = 100 * time.Millisecond
	maxTimeout  = 5 * time.Minute
	minInterval = time.Second
	maxInterval = 12 * time.Hour // a forecast is told for a day after its reading
	minKeepDays = 8              // of which a forecast looks at seven
	maxKeepDays = 3660

	// DefaultInterval is the time between two questions where none is configured.
	DefaultInterval = time.Minute
)

// Upstream is an account at a provider.
type Upstream struct {
	Name      string // chosen by the operator, and unique
	Provider  *Provider
	BaseURL   string // "" for the provider's own
	PlainHTTP bool   // let credentials travel unencrypted to another machine
	Timeout   time.Duration
	Interval  time.Duration
	// Pace is at least so long between two questions, by the provider's limit: longer
	// than the limit itself where other upstreams ask the same account.
	Pace time.Duration
	Min  Amounts
	// CreditLimit is what the provider lets one owe, where it does not tell that itself.
	CreditLimit Amounts

	Credentials Credentials
	HTTP        *generic.Settings // of the provider http, nil for all others
}

// Connect makes the client. It sends nothing yet.
func (u *Upstream) Connect() (Client, error) {
	client, err := u.Provider.connect(provider.Options{
		BaseURL: u.BaseURL, PlainHTTP: u.PlainHTTP, Timeout: u.Timeout, Pace: u.Pace,
	}, u)
	if err != nil {
		return nil, err
	}
	return &completed{client, u.CreditLimit}, nil
}

// completed is a Client whose balances have what the operator knows and the provider
// does not tell.
type completed struct {
	Client

	limit Amounts
}

// Balance asks the provider.
func (c *completed) Balance(ctx context.Context) (*provider.Balance, error) {
	balance, err := c.Client.Balance(ctx)
	if err == nil {
		err = c.limit.check(balance)
	}
	if err != nil {
		return nil, err
	}
	for i := range balance.Buckets {
		// Where the provider tells what can be spent, it has counted in what it grants.
		if b := &balance.Buckets[i]; b.CreditLimit == nil && b.Available == nil {
			b.CreditLimit = c.limit.For(b)
		}
	}
	return balance, nil
}

// Config is a configuration file with everything that it refers to.
type Config struct {
	Upstreams []*Upstream   // in the order of the file
	Keep      time.Duration // how long readings are kept
	Warnings  []string      // what the operator may not have meant
}

// Select gives the upstreams of these names, in the order of the file, or all
// where there is none.
func (c *Config) Select(names []string) ([]*Upstream, error) {
	if len(names) == 0 {
		return c.Upstreams, nil
	}
	var known []string
	for _, u := range c.Upstreams {
		known = append(known, u.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, hint(fmt.Errorf("there is no upstream %q", name), "the upstreams are "+strings.Join(known, ", "))
		}
	}
	selected := slices.Clone(c.Upstreams)
	return slices.DeleteFunc(selected, func(u *Upstream) bool { return !slices.Contains(names, u.Name) }), nil
}

// Load reads a configuration file, and the variables and files that it names.
// It refuses all that it does not know: a misspelt member must not silently be a
// default.
func Load(path string, lookup Lookup) (*Config, error) {
	content, public, err := readBounded(path, maxFile)
	if err != nil {
		return nil, hint(err, "this must be the file of the upstreams, and the user that Saldo runs as must be able to read it")
	}
	l := &loader{path: path, lookup: lookup, keep: DefaultKeep}
	if err := l.load([]byte(content)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if l.literals && public {
		l.warnings = append(l.warnings, publicWarning(path, public))
	}
	return &Config{Upstreams: l.upstreams, Keep: l.keep, Warnings: l.warnings}, nil
}

// loader reads one configuration file.
type loader struct {
	path      string
	lookup    Lookup
	upstreams []*Upstream
	keep      time.Duration
	warnings  []string
	literals  bool // a credential stands in the file itself
}

func (l *loader) load(content []byte) error {
	root, err := parseYAML(content)
	if err != nil {
		return err
	}
	if root == nil {
		return &ConfigError{Message: "there are no upstreams", Advice: "begin with: upstreams: [{name: …, provider: …}]"}
	}
	found, err := fields(root, false, "upstreams", "keep_days")
	if err != nil {
		return err
	}
	if days, ok := found["keep_days"]; ok {
		if l.keep, err = dayCount(days); err != nil {
			return in("keep_days", err)
		}
	}
	list, ok := found["upstreams"].(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 {
		return refuse(root, "begin with: upstreams: [{name: …, provider: …}]", "there are no upstreams")
	}
	if len(list.Values) > maxUpstreams {
		return refuse(root, "", "there are more than %d upstreams", maxUpstreams)
	}
	for _, node := range list.Values {
		u := new(Upstream)
		if err := l.upstream(node, u); err != nil {
			return at(node, nameOf(node), err)
		}
		l.upstreams = append(l.upstreams, u)
	}
	return l.share(list)
}

// share makes those who ask the same account keep its limit together. It is known
// by its credentials: there may be more than one way to a provider.
func (l *loader) share(list *ast.SequenceNode) error {
	for i, u := range l.upstreams {
		sharing := 0
		for _, other := range l.upstreams {
			if other.Provider == u.Provider && reflect.DeepEqual(other.Credentials, u.Credentials) {
				sharing++
			}
		}
		u.Pace = time.Duration(sharing) * u.Provider.Limit.Interval()
		if u.Interval < u.Pace {
			return at(list.Values[i], u.Name, refuse(list.Values[i], "make the interval of each longer, or ask the account once",
				"interval: %s lets an account ask %s, and %d upstreams ask this one: %s is the least", u.Provider.Name, u.Provider.Limit, sharing, u.Pace))
		}
	}
	return nil
}

// at completes an error with the upstream, and with its place where there is none yet.
func at(node ast.Node, name string, err error) error {
	failure, ok := errors.AsType[*ConfigError](err)
	if !ok {
		failure = refuse(node, "", "%v", err)
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			failure.Advice = hinted.Hint()
		}
	}
	if failure.Upstream == "" {
		failure.Upstream = name
	}
	return failure
}

// nameForm is what an upstream may be called: it is a label of metrics and a
// part of paths.
var nameForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// nameOf is the name of an upstream about which something is wrong, maybe even
// its name: then it is "".
func nameOf(node ast.Node) string {
	if mapping, ok := node.(*ast.MappingNode); ok {
		for _, pair := range mapping.Values {
			if key, ok := pair.Key.(*ast.StringNode); ok && key.Value == "name" {
				if name, err := scalar(pair.Value); err == nil && nameForm.MatchString(name) {
					return name
				}
			}
		}
	}
	return ""
}

// upstream reads one of the list.
func (l *loader) upstream(node ast.Node, u *Upstream) error {
	found, err := fields(node, false, "name", "provider", "base_url", "plain_http", "timeout", "interval", "min", "credit_limit", "credentials", "http")
	if err != nil {
		return err
	}
	if err := l.identity(node, found, u); err != nil {
		return err
	}
	if err := u.settings(found); err != nil {
		return err
	}
	if err := u.times(found, node); err != nil {
		return err
	}
	if u.Credentials, err = l.credentials(u.Provider, found["credentials"]); err != nil {
		return err
	}
	if u.HTTP, err = description(u.Provider, node, found["http"]); err != nil {
		return err
	}
	if u.HTTP != nil {
		if err := l.conceal(u); err != nil {
			return at(found["http"], "", in("http", err))
		}
	}
	client, err := u.Connect()
	switch {
	case err == nil:
		client.Close()
		return nil
	case errors.Is(err, provider.ErrBaseURL) && found["base_url"] != nil:
		return refuse(found["base_url"], "write https://HOST, or leave it out; http:// to another machine takes plain_http: true", "%v", err)
	case u.HTTP != nil:
		return at(found["http"], "", in("http", err))
	default:
		return err
	}
}

// settings reads the members that are on their own.
func (u *Upstream) settings(found map[string]ast.Node) error {
	for _, member := range []struct {
		name string
		read func(ast.Node) error
	}{
		{"base_url", func(n ast.Node) (err error) { u.BaseURL, err = scalar(n); return err }},
		{"plain_http", func(n ast.Node) (err error) { u.PlainHTTP, err = boolean(n); return err }},
		{"timeout", func(n ast.Node) (err error) { u.Timeout, err = duration(n, minTimeout, maxTimeout); return err }},
		{"interval", func(n ast.Node) (err error) { u.Interval, err = duration(n, minInterval, maxInterval); return err }},
		{"min", func(n ast.Node) (err error) { u.Min, err = amounts(n, "min", anyAmount); return err }},
		{"credit_limit", func(n ast.Node) (err error) { u.CreditLimit, err = amounts(n, "credit_limit", limitAmount); return err }},
	} {
		value, ok := found[member.name]
		if !ok {
			continue
		}
		if text, err := scalar(value); err == nil && strings.Contains(text, "${") {
			return refuse(value, "write the value itself: ${NAME} is for credentials alone", "%s: a variable cannot stand here", member.name)
		}
		if err := member.read(value); err != nil {
			return in(member.name, err)
		}
	}
	return nil
}

// in says in which member something is wrong.
func in(member string, err error) error {
	if failure, ok := errors.AsType[*ConfigError](err); ok {
		failure.Message = member + ": " + failure.Message
		return failure
	}
	return fmt.Errorf("%s: %w", member, err)
}

// identity reads name and provider, which everything else depends on.
func (l *loader) identity(node ast.Node, found map[string]ast.Node, u *Upstream) error {
	value, ok := found["name"]
	if !ok {
		return refuse(node, "choose one for it: name: antgst-sms", "an upstream has no name")
	}
	name, err := scalar(value)
	if err != nil || !nameForm.MatchString(name) {
		return refuse(value, "1 to 40 of the characters a-z, 0-9 and -", "an upstream cannot have this name")
	}
	u.Name = name
	if slices.ContainsFunc(l.upstreams, func(other *Upstream) bool { return other.Name == name }) {
		return refuse(value, "give each a name of its own", "this name is there twice")
	}
	value, ok = found["provider"]
	if !ok {
		return refuse(node, "saldo query --list shows them", "it has no provider")
	}
	if name, err = scalar(value); err != nil {
		return in("provider", err)
	}
	if u.Provider, err = Find(name); err != nil {
		return at(value, "", err)
	}
	return nil
}

// times fills in what is left out, and holds the interval against the
// provider's limit.
func (u *Upstream) times(found map[string]ast.Node, node ast.Node) error {
	if u.Timeout == 0 {
		u.Timeout = provider.DefaultTimeout
	}
	if u.Interval == 0 {
		u.Interval = DefaultInterval
	}
	u.Pace = u.Provider.Limit.Interval()
	if least := u.Provider.Limit.Interval(); u.Interval < least {
		if value, ok := found["interval"]; ok {
			node = value
		}
		return refuse(node, "leave interval out, or make it longer", "interval: %s lets an account ask %s, which is once in %s",
			u.Provider.Name, u.Provider.Limit, least)
	}
	return nil
}

// credentials reads what the provider needs. Where the member is left out, they
// are in the variables that "saldo query PROVIDER" reads.
func (l *loader) credentials(p *Provider, node ast.Node) (Credentials, error) {
	if p.Described {
		return l.secrets(node)
	}
	if node == nil {
		credentials, err := p.Credentials(l.lookup)
		if err != nil {
			return nil, hint(err, "set it, or say where they are: credentials: {"+strings.Join(p.Members, ": …, ")+": …}")
		}
		return credentials, nil
	}
	found, err := fields(node, true, p.Members...)
	if err != nil {
		return nil, in("credentials", err)
	}
	credentials := Credentials{}
	for _, member := range p.Members {
		value, ok := found[member]
		if !ok {
			return nil, refuse(node, "", "credentials: %s is missing", member)
		}
		if credentials[member], err = l.credential(member, value); err != nil {
			return nil, err
		}
	}
	return credentials, nil
}

// credential reads one: a value, a reference to a variable, or {file: PATH}.
func (l *loader) credential(member string, node ast.Node) (Secret, error) {
	if _, ok := node.(*ast.MappingNode); ok {
		return l.fileCredential(member, node)
	}
	text, err := scalar(node)
	if err != nil {
		return Secret{}, in("credentials: "+member, err)
	}
	secret, literal, err := resolve(text, l.lookup)
	if err != nil {
		return Secret{}, at(node, "", fmt.Errorf("credentials: %s %w", member, err))
	}
	l.literals = l.literals || literal
	return secret, nil
}

func (l *loader) fileCredential(member string, node ast.Node) (Secret, error) {
	found, err := fields(node, true, "file")
	if err != nil {
		return Secret{}, in("credentials: "+member, err)
	}
	value, ok := found["file"]
	if !ok {
		return Secret{}, refuse(node, "write {file: PATH}", "credentials: %s names no file", member)
	}
	path, err := scalar(value)
	if err != nil {
		return Secret{}, in("credentials: "+member, err)
	}
	secret, warning, err := readSecret(beside(l.path, path))
	if err != nil {
		return Secret{}, refuse(value, "a path is relative to the configuration file, ${NAME} is not replaced in it, and the file has the credential alone, for Saldo's user to read",
			"credentials: %s: %v", member, err)
	}
	if warning != "" && !slices.Contains(l.warnings, warning) {
		l.warnings = append(l.warnings, warning)
	}
	return secret, nil
}
