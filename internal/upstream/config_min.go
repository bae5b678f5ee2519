package upstream

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/provider"
)

// Minimum is how much should be left: one amount for everything at a provider,
// or one for each service, or for each service in a currency.
type Minimum struct {
	all  *decimal.Decimal
	each map[string]decimal.Decimal // by "sms" or "sms/CNY"
}

// ParseMinimum reads the amount of a minimum for everything.
func ParseMinimum(text string) (Minimum, error) {
	amount, err := provider.ParseAmount(text)
	if err != nil {
		return Minimum{}, hint(errors.New("this is not an amount"), "write a decimal number, such as 100 or 12.50")
	}
	return Minimum{all: &amount}, nil
}

// bucketForm is what a minimum may be for.
var bucketForm = regexp.MustCompile(`^[a-z0-9_-]{1,40}(/[A-Z]{3})?$`)

// minimum reads the member min.
func minimum(node ast.Node) (Minimum, error) {
	if _, ok := node.(*ast.MappingNode); !ok {
		return single(node)
	}
	found, err := named(node, bucketForm, "write sms: 100, or sms/CNY: 100 for one currency")
	if err != nil {
		return Minimum{}, err
	}
	m := Minimum{each: make(map[string]decimal.Decimal, len(found))}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		one, err := single(found[name])
		if err != nil {
			return Minimum{}, err
		}
		m.each[name] = *one.all
	}
	if len(m.each) == 0 {
		return Minimum{}, refuse(node, "write min: 100, or min: {sms: 100}", "there is no amount")
	}
	return m, nil
}

func single(node ast.Node) (Minimum, error) {
	text, err := scalar(node)
	if err != nil {
		return Minimum{}, err
	}
	m, err := ParseMinimum(text)
	if err != nil {
		return Minimum{}, refuse(node, "write a decimal number, such as 100 or 12.50", "this is not an amount")
	}
	return m, nil
}

// For is the minimum of a bucket, nil where it has none.
func (m Minimum) For(b *provider.Bucket) *decimal.Decimal {
	for _, key := range []string{b.Service + "/" + b.Currency, b.Service} {
		if amount, ok := m.each[key]; ok {
			return &amount
		}
	}
	return m.all
}

// check fails where something has a minimum and is not in the balance. An alarm
// that cannot ring must not look like silence.
func (m Minimum) check(balance *provider.Balance) error {
	if !balance.Billing.RunsOut() {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(m.each)) {
		service, currency, narrow := strings.Cut(key, "/")
		if !slices.ContainsFunc(balance.Buckets, func(b provider.Bucket) bool {
			return b.Service == service && (!narrow || b.Currency == currency)
		}) {
			return errAbsent(key)
		}
	}
	return nil
}

func errAbsent(service string) error {
	return provider.Errorf(provider.Malformed, "the reply has no balance for %s", service)
}
