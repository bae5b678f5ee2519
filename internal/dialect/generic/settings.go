// Package generic asks any provider that is described by settings: the request
// with its secrets, and expressions of jq that find the balance in the reply.
package generic

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// Settings describe a provider. docs/providers.md explains each member. In URL,
// Headers, BasicAuth and Body, ${NAME} stands for the secret of that name.
type Settings struct {
	Method    string            `yaml:"method"` // GET, which is the default, or POST
	URL       string            `yaml:"url"`
	Headers   map[string]string `yaml:"headers"`
	BasicAuth string            `yaml:"basic_auth"` // "${USER}:${PASSWORD}"
	Body      string            `yaml:"body"`
	Format    string            `yaml:"format"` // of the reply: json, which is the default, or text

	// The expressions. Only the first is required.
	Amount  string `yaml:"amount"`  // yields amounts, or objects with the members of a bucket
	Account string `yaml:"account"` // yields the provider's name of the account
	Billing string `yaml:"billing"` // yields prepaid, postpaid or unlimited
	Error   string `yaml:"error"`   // yields null for a success, or what failed

	// What an expression leaves open.
	Service  string `yaml:"service"`  // main where it is empty
	Unit     string `yaml:"unit"`     // money, which is the default, or credits
	Currency string `yaml:"currency"` // an ISO 4217 code
	Scale    int    `yaml:"scale"`    // how many digits of an amount are behind its point: 2 where it counts cents
}

// SettingError says what is wrong with a setting. It never has a secret.
type SettingError struct{ Member, Reason, Advice string }

// Error names the member and what is wrong with it.
func (e *SettingError) Error() string { return e.Member + ": " + e.Reason }

// Hint is what to do about it, "" where the reason says enough.
func (e *SettingError) Hint() string { return e.Advice }

func wrong(member, reason, advice string) error {
	return &SettingError{Member: member, Reason: reason, Advice: advice}
}

// Secrets are the names for which the settings have placeholders, sorted.
func (s *Settings) Secrets() []string {
	templates := append(slices.Collect(maps.Values(s.Headers)), s.URL, s.BasicAuth, s.Body)
	var names []string
	for _, template := range templates {
		for _, match := range placeholder.FindAllStringSubmatch(template, -1) {
			names = append(names, match[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// identifier is the name of the secret that only says whose account it is: the
// user of HTTP Basic, where another secret is the password. It is "" for none.
func (s *Settings) identifier() string {
	found := placeholder.FindAllStringSubmatch(s.BasicAuth, -1)
	if len(found) != 2 || found[0][1] == found[1][1] || s.BasicAuth != found[0][0]+":"+found[1][0] {
		return ""
	}
	return found[0][1]
}

// maxScale is more than any currency, or price list, has.
const maxScale = 12

// complete checks what is plain text, and fills in what is left out.
func (s *Settings) complete() error {
	for _, member := range []struct {
		name    string
		value   *string
		allowed []string // the first is the default
	}{
		{"method", &s.Method, []string{http.MethodGet, http.MethodPost}},
		{"format", &s.Format, []string{"json", "text"}},
		{"unit", &s.Unit, []string{string(provider.Money), string(provider.Credits)}},
	} {
		if *member.value == "" {
			*member.value = member.allowed[0]
		}
		if !slices.Contains(member.allowed, *member.value) {
			return wrong(member.name, fmt.Sprintf("%q is not known", *member.value), "it is one of "+strings.Join(member.allowed, ", "))
		}
	}
	if s.Service == "" {
		s.Service = "main"
	}
	if !shortName(s.Service) {
		return wrong("service", "it is no short name", "such as main, sms or voip")
	}
	code, _, err := rest.Currency(s.Currency)
	switch {
	case err != nil:
		return wrong("currency", fmt.Sprintf("%q is no currency", s.Currency), "it is an ISO 4217 code such as USD")
	case code != "" && s.Unit == string(provider.Credits):
		return wrong("currency", "credits have none", "leave it out, or set unit to money")
	case s.Scale < 0 || s.Scale > maxScale:
		return wrong("scale", "it is out of bounds", fmt.Sprintf("it is from 0 to %d: 2 where an amount counts cents", maxScale))
	case s.Amount == "":
		return wrong("amount", "it is missing", "it is the expression that finds the balance, such as .data.balance")
	}
	s.Currency = code
	return nil
}

// shortName tells whether a text is fit for a label: printable, on one line, and short.
func shortName(text string) bool {
	return text != "" && rest.Plain(text, maxName) == text
}

// reserved are the headers that net/http and Asker set by themselves.
var reserved = []string{"Accept-Encoding", "Connection", "Content-Length", "Host", "Transfer-Encoding", "User-Agent"}

// request makes the request, and the base URL before its path.
func (s *Settings) request(secrets map[string]string) (string, *provider.Request, error) {
	fill := filler{secrets: secrets, used: map[string]bool{}}
	request := &provider.Request{Method: s.Method, Header: http.Header{}}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		member := "headers." + name
		if !headerName.MatchString(name) {
			return "", nil, wrong("headers", fmt.Sprintf("%q is no name of a header", name), "")
		}
		if slices.Contains(reserved, http.CanonicalHeaderKey(name)) {
			return "", nil, wrong(member, "it cannot be set", "it is made from the request")
		}
		if request.Header.Get(name) != "" {
			return "", nil, wrong(member, "it is there twice", "names of headers do not differ by case")
		}
		value, err := fill.in(member, s.Headers[name], headerValue)
		if err != nil {
			return "", nil, err
		}
		request.Header.Set(name, value)
	}
	if err := s.authorize(&fill, request); err != nil {
		return "", nil, err
	}
	base, err := s.address(&fill, request)
	if err != nil {
		return "", nil, err
	}
	if err := s.body(&fill, request); err != nil {
		return "", nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if !fill.used[name] {
			return "", nil, wrong("secrets", name+" is used nowhere", "write ${"+name+"} where it belongs, or leave it out")
		}
	}
	if request.Header.Get("Accept") == "" && s.Format == "json" {
		request.Header.Set("Accept", "application/json")
	}
	return base, request, nil
}

// authorize adds HTTP Basic, for which a template alone cannot do the encoding.
func (s *Settings) authorize(fill *filler, request *provider.Request) error {
	if s.BasicAuth == "" {
		return nil
	}
	if request.Header.Get("Authorization") != "" {
		return wrong("basic_auth", "there is a header Authorization as well", "leave one of them out")
	}
	user, password, ok := strings.Cut(s.BasicAuth, ":")
	if !ok {
		return wrong("basic_auth", "it has no colon", "it is ${USER}:${PASSWORD}")
	}
	user, err := fill.in("basic_auth", user, func(value string) (string, error) {
		if strings.Contains(value, ":") {
			return "", errColon
		}
		return value, nil
	})
	if err != nil {
		return err
	}
	password, err = fill.in("basic_auth", password, verbatim)
	request.Header.Set("Authorization", rest.Basic(user, password))
	return err
}
