package upstream

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/saldo-ledger/saldo/internal/dialect/generic"
)

var (
	secretForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	headerForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// secrets reads the credentials of a described provider, whose names are free.
func (l *loader) secrets(node ast.Node) (Credentials, error) {
	credentials := Credentials{}
	if node == nil {
		return credentials, nil
	}
	found, err := named(node, secretForm, "names have letters, digits and _; the description uses them as ${NAME}")
	if err != nil {
		return nil, in("credentials", err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if credentials[name], err = l.credential(name, found[name]); err != nil {
			return nil, err
		}
	}
	return credentials, nil
}

// description reads the member http, which one provider needs and no other has.
func description(p *Provider, upstream, node ast.Node) (*generic.Settings, error) {
	switch {
	case !p.Described && node != nil:
		return nil, refuse(node, "leave it out, or set provider: http", "http: %s needs no description", p.Name)
	case !p.Described:
		return nil, nil
	case node == nil:
		return nil, refuse(upstream, "begin with: http: {url: https://HOST/PATH, amount: .balance}", "http: the description of the provider is missing")
	}
	s := &generic.Settings{Method: http.MethodGet}
	texts := map[string]*string{
		"method": &s.Method, "url": &s.URL, "basic_auth": &s.BasicAuth, "body": &s.Body, "format": &s.Format,
		"amount": &s.Amount, "account": &s.Account, "billing": &s.Billing, "error": &s.Error,
		"service": &s.Service, "unit": &s.Unit, "currency": &s.Currency,
	}
	found, err := fields(node, false, append(slices.Sorted(maps.Keys(texts)), "headers", "scale")...)
	if err != nil {
		return nil, in("http", err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		value := found[name]
		switch name {
		case "headers":
			s.Headers, err = headers(value)
		case "scale":
			s.Scale, err = integer(value)
		default:
			*texts[name], err = scalar(value)
		}
		if err != nil {
			return nil, in("http", in(name, err))
		}
	}
	return s, nil
}

func headers(node ast.Node) (map[string]string, error) {
	found, err := named(node, headerForm, "write Name: value")
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if texts[name], err = scalar(found[name]); err != nil {
			return nil, in(name, err)
		}
	}
	return texts, nil
}

func integer(node ast.Node) (int, error) {
	text, err := scalar(node)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return 0, refuse(node, "", "this must be a whole number")
	}
	return number, nil
}

// secretWords are in the names of headers and parameters whose values are secrets,
// but for those that end as names of what only says who somebody is.
var (
	secretWords = regexp.MustCompile(`(?i)key|token|secret|pass|pwd|psw|auth|sig|hash`)
	publicWords = regexp.MustCompile(`(?i)(user|email|id|type|name|login|author)$`)
)

func namesSecret(name string) bool {
	return secretWords.MatchString(name) && !publicWords.MatchString(name)
}

// minLiteral is how long a text is, in bytes, to be taken for a secret and not for a
// choice, as in auth=1: to hide each 1 would spoil what a provider says.
const minLiteral = 4

// conceal makes credentials of the secrets that stand in a description itself, and
// puts placeholders in their places. So whatever keeps credentials to itself keeps
// these too.
func (l *loader) conceal(u *Upstream) error {
	s := u.HTTP
	var err error
	if s.BasicAuth, err = l.concealBasic(u, s.BasicAuth); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Headers)) {
		value, scheme := s.Headers[name], ""
		if strings.EqualFold(name, "Authorization") {
			if before, _, ok := strings.Cut(value, " "); ok {
				scheme = before + " "
			}
		} else if !namesSecret(name) {
			continue
		}
		value, err = l.literal(u, "headers: "+name, strings.TrimPrefix(value, scheme))
		if err != nil {
			return err
		}
		s.Headers[name] = scheme + value
	}
	s.URL, err = l.concealQuery(u, s.URL)
	return err
}

// concealBasic hides the password, or the key that stands before the colon with
// nothing behind it, or just an x.
func (l *loader) concealBasic(u *Upstream, text string) (string, error) {
	user, password, ok := strings.Cut(text, ":")
	if !ok {
		return text, nil // It is refused when the request is made.
	}
	part := &password
	if len(password) < minLiteral {
		part = &user
	}
	var err error
	*part, err = l.literal(u, "basic_auth", *part)
	return user + ":" + password, err
}

// concealQuery hides those parameters of a URL whose names say that they are secret.
func (l *loader) concealQuery(u *Upstream, text string) (string, error) {
	address, query, ok := strings.Cut(text, "?")
	if !ok {
		return text, nil
	}
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		name, escaped, _ := strings.Cut(parameter, "=")
		value, err := url.QueryUnescape(escaped)
		if err != nil || !namesSecret(name) {
			continue // What is badly escaped is refused when the request is made.
		}
		concealed, err := l.literal(u, "url: a parameter", value)
		if err != nil {
			return "", err
		}
		if concealed != value {
			parameters[i] = name + "=" + concealed
		}
	}
	return address + "?" + strings.Join(parameters, "&"), nil
}

// literal makes a credential of a text, and gives the placeholder for it. A text that
// is no secret, or has a placeholder itself, stays as it is.
func (l *loader) literal(u *Upstream, member, text string) (string, error) {
	if len(text) < minLiteral || strings.Contains(text, "${") {
		return text, nil
	}
	secret, err := newSecret(text)
	if err != nil {
		return "", fmt.Errorf("%s %w", member, err)
	}
	name := "literal"
	for slices.Contains(u.HTTP.Secrets(), name) || u.Credentials[name].text != nil {
		name += "_"
	}
	u.Credentials[name] = secret
	l.literals = true
	return "${" + name + "}", nil
}
