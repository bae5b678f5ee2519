package upstream

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"

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
