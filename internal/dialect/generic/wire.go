package generic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/dialect/internal/rest"
	"github.com/saldo-ledger/saldo/internal/provider"
)

// statuses are what an expression may say of a failure.
var statuses = []provider.Status{
	provider.Unauthorized, provider.IPDenied, provider.Suspended, provider.RateLimited,
	provider.InvalidRequest, provider.ProviderError, provider.Malformed,
}

// bucketMembers are what an object may have that stands for a bucket.
var bucketMembers = []string{"amount", "available", "credit_limit", "currency", "pending", "scale", "service", "unit"}

// decoder finds a balance in a reply.
type decoder struct {
	settings                          Settings
	amount, account, billing, failure *expression
}

// decode says what a reply means.
func (d *decoder) decode(reply *provider.Reply) (*provider.Balance, error) {
	input, err := d.input(reply)
	if err != nil {
		return nil, err
	}
	if err := d.fails(input, reply); err != nil {
		return nil, err
	}
	values, err := d.amount.run(input, reply.Status)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if len(values) == 0 {
		return nil, malformed("amount: the expression finds nothing in the reply")
	}
	var balance provider.Balance
	for _, value := range values {
		bucket, err := d.bucket(value)
		if err != nil {
			return nil, malformed("amount: %v", err)
		}
		if slices.ContainsFunc(balance.Buckets, func(other provider.Bucket) bool {
			return other.Service == bucket.Service && other.Unit == bucket.Unit && other.Currency == bucket.Currency
		}) {
			return nil, malformed("amount: the expression yields %s twice", bucket.Service)
		}
		balance.Buckets = append(balance.Buckets, *bucket)
	}
	if balance.Billing, err = d.billed(input, reply.Status); err != nil {
		return nil, err
	}
	value, err := d.account.one(input, reply.Status)
	if err != nil {
		return nil, malformed("%v", err)
	}
	name, err := text(value)
	if err != nil {
		return nil, malformed("account: %v", err)
	}
	balance.Account = name
	return &balance, nil
}

func malformed(format string, args ...any) *provider.Error {
	return provider.Errorf(provider.Malformed, format, args...)
}

// input is a reply as expressions see it.
func (d *decoder) input(reply *provider.Reply) (any, error) {
	if d.settings.Format == "text" {
		body := strings.TrimSpace(string(reply.Body))
		if body == "" || !utf8.ValidString(body) {
			return nil, rest.NoReply(reply)
		}
		return body, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(reply.Body))
	decoder.UseNumber()
	var input any
	if decoder.Decode(&input) != nil || input == nil {
		return nil, rest.NoReply(reply)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, rest.NoReply(reply)
	}
	return input, nil
}

// fails is the failure that a reply means, nil for a success.
func (d *decoder) fails(input any, reply *provider.Reply) error {
	value, err := d.failure.one(input, reply.Status)
	switch {
	case !rest.OK(reply) && (err != nil || value == nil || value == false):
		return provider.Errorf(byHTTP(reply.Status), "HTTP status %d", reply.Status)
	case err != nil:
		return malformed("%v", err)
	case value == nil || value == false:
		return nil
	}
	failure := &provider.Error{Status: byHTTP(reply.Status)}
	members, ok := value.(map[string]any)
	if !ok {
		members = map[string]any{"message": value}
		if value == true {
			members = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		word, err := text(members[name])
		if err != nil {
			return malformed("error: the member %s: %v", name, err)
		}
		switch name {
		case "status":
			if word != "" && !slices.Contains(statuses, provider.Status(word)) {
				return malformed("error: %q is no status that is known", word)
			}
			if word != "" {
				failure.Status = provider.Status(word)
			}
		case "code":
			failure.Code = word
		case "message":
			failure.Message = word
		default:
			return malformed("error: the member %s is not known; there are status, code and message", name)
		}
	}
	return failure
}

// byHTTP is what a failure means of which nothing but the HTTP status is known.
func byHTTP(status int) provider.Status {
	if meaning := rest.ByHTTP(status); meaning != provider.ProviderError {
		return meaning
	}
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return provider.InvalidRequest
	}
	return provider.ProviderError
}

func (d *decoder) billed(input any, status int) (provider.Billing, error) {
	value, err := d.billing.one(input, status)
	if err != nil {
		return "", malformed("%v", err)
	}
	word, err := text(value)
	if err != nil {
		return "", malformed("billing: %v", err)
	}
	switch billing := provider.Billing(word); billing {
	case provider.BillingUnknown, provider.BillingPrepaid, provider.BillingPostpaid, provider.BillingUnlimited:
		return billing, nil
	}
	return "", malformed("billing: %q is none of prepaid, postpaid and unlimited", word)
}

// bucket reads what the expression for the amount yields: an amount, or an
// object. What such an object does not have is as the settings say.
func (d *decoder) bucket(value any) (*provider.Bucket, error) {
	members, ok := value.(map[string]any)
	if !ok {
		members = map[string]any{"amount": value}
	}
	bucket := &provider.Bucket{Service: d.settings.Service, Unit: provider.Unit(d.settings.Unit)}
	scale, amounts := d.settings.Scale, map[string]*decimal.Decimal{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(bucketMembers, name) {
			return nil, fmt.Errorf("the member %s is not known; there are %s", name, strings.Join(bucketMembers, ", "))
		}
		word, err := text(members[name])
		if err == nil && word != "" {
			switch name {
			case "service":
				bucket.Service = word
			case "unit":
				bucket.Unit = provider.Unit(word)
			case "currency":
				bucket.Currency, bucket.CurrencySource, err = rest.Currency(word)
			case "scale":
				scale, err = strconv.Atoi(word)
			default:
				amounts[name], err = amount(word)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the member %s: %w", name, err)
		}
	}
	if err := d.check(bucket, scale); err != nil {
		return nil, err
	}
	for name, value := range amounts {
		shifted := value.Shift(int32(-scale))
		amounts[name] = &shifted
	}
	if amounts["amount"] == nil {
		return nil, fmt.Errorf("there is none for %s", bucket.Service)
	}
	bucket.Amount = *amounts["amount"]
	bucket.CreditLimit, bucket.Available, bucket.Pending = amounts["credit_limit"], amounts["available"], amounts["pending"]
	return bucket, nil
}

// check sees to what an expression can get wrong, and adds the currency of the settings.
func (d *decoder) check(bucket *provider.Bucket, scale int) error {
	switch {
	case !shortName(bucket.Service):
		return errors.New("the service is no short name")
	case bucket.Unit != provider.Money && bucket.Unit != provider.Credits:
		return fmt.Errorf("the unit %q is neither money nor credits", bucket.Unit)
	case bucket.Unit == provider.Credits && bucket.Currency != "":
		return errors.New("credits have no currency")
	case scale < 0 || scale > maxScale:
		return errors.New("the scale is out of bounds")
	}
	if bucket.Unit == provider.Money && bucket.Currency == "" && d.settings.Currency != "" {
		bucket.Currency, bucket.CurrencySource = d.settings.Currency, provider.FromConfiguration
	}
	return nil
}

func amount(word string) (*decimal.Decimal, error) {
	value, err := provider.ParseAmount(word)
	return &value, err
}
