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

// Amounts are what the operator says of the buckets of a provider, such as how much
// should be left: one amount for everything, or one for each service, or for each
// service in a currency.
type Amounts struct {
	all  *decimal.Decimal
	each map[string]decimal.Decimal // by "sms" or "sms/CNY"
}

// ParseMinimum reads the amount of a minimum for everything.
func ParseMinimum(text string) (Amounts, error) {
	amount, err := provider.ParseAmount(text)
	if err != nil {
		return Amounts{}, hint(errors.New("this is not an amount"), amountAdvice)
	}
	return Amounts{all: &amount}, nil
}

const amountAdvice = "write a decimal number, such as 100 or 12.50"

// bucketForm is what an amount may be for.
var bucketForm = regexp.MustCompile(`^[a-z0-9_-]{1,40}(/[A-Z]{3})?$`)

// amounts reads a member such as min, of which one reads a single amount.
func amounts(node ast.Node, member string, one func(ast.Node) (decimal.Decimal, error)) (Amounts, error) {
	if _, ok := node.(*ast.MappingNode); !ok {
		amount, err := one(node)
		if err != nil {
			return Amounts{}, err
		}
		return Amounts{all: &amount}, nil
	}
	found, err := named(node, bucketForm, "write sms: 100, or sms/CNY: 100 for one currency")
	if err != nil {
		return Amounts{}, err
	}
	a := Amounts{each: make(map[string]decimal.Decimal, len(found))}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if a.each[name], err = one(found[name]); err != nil {
			return Amounts{}, err
		}
	}
	if len(a.each) == 0 {
		return Amounts{}, refuse(node, "write "+member+": 100, or "+member+": {sms: 100}", "there is no amount")
	}
	return a, nil
}

// anyAmount is an amount of min.
func anyAmount(node ast.Node) (decimal.Decimal, error) {
	text, err := scalar(node)
	if err != nil {
		return decimal.Decimal{}, err
	}
	amount, err := provider.ParseAmount(text)
	if err != nil {
		return decimal.Decimal{}, refuse(node, amountAdvice, "this is not an amount")
	}
	return amount, nil
}

// limitAmount is an amount of credit_limit.
func limitAmount(node ast.Node) (decimal.Decimal, error) {
	amount, err := anyAmount(node)
	if err == nil && amount.IsNegative() {
		err = refuse(node, "write 100 where the provider lets the balance fall to -100", "this must not be negative")
	}
	return amount, err
}

// For is the amount for a bucket, nil where it has none.
func (a Amounts) For(b *provider.Bucket) *decimal.Decimal {
	for _, key := range []string{b.Service + "/" + b.Currency, b.Service} {
		if amount, ok := a.each[key]; ok {
			return &amount
		}
	}
	return a.all
}

// check fails where something has an amount and is not in the balance. An alarm
// that cannot ring must not look like silence.
func (a Amounts) check(balance *provider.Balance) error {
	if !balance.Billing.RunsOut() {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(a.each)) {
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
