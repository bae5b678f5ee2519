// Package provider is what Saldo knows of the services from which messages and
// calls are bought, whatever their formats: what a balance is, in which ways
// asking for it fails, and how to ask with care. The dialects speak the formats.
package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"
)

// Client asks one provider, with one set of credentials.
type Client interface {
	// Balance asks once, with retries where these can help. Its errors are
	// *Error, whatever went wrong; a failure never comes with a balance.
	Balance(ctx context.Context) (*Balance, error)
}

// Balance is what an account at a provider has left.
type Balance struct {
	// Account is the provider's name of the account, "" where it gives none.
	Account string
	// Billing says how the account is paid. With postpaid and unlimited ones an
	// amount of zero, or a round million, does not mean what it says.
	Billing Billing
	// Buckets are what is left of what, one for each service and currency.
	Buckets []Bucket
}

// Billing is how an account is paid.
type Billing string

// The ways to pay. Unknown is that of a provider that does not say; its amounts
// are taken at their word.
const (
	BillingUnknown   Billing = ""
	BillingPrepaid   Billing = "prepaid"
	BillingPostpaid  Billing = "postpaid"
	BillingUnlimited Billing = "unlimited"
)

// Bucket is what is left for one service. What a provider does not tell is nil:
// absent is not zero.
type Bucket struct {
	Service string // "sms", "voip", or "main" where all services share it
	Unit    Unit
	// Amount is what is left, exactly as the provider wrote it. It is negative
	// where a credit line is used.
	Amount decimal.Decimal
	// Currency is an ISO 4217 code, "" for credits and where nobody knows.
	Currency       string
	CurrencySource CurrencySource
	CreditLimit    *decimal.Decimal // how far below zero the amount may go
	Available      *decimal.Decimal // what can be spent, with the credit limit
	Pending        *decimal.Decimal // taken off, or about to be, but not yet counted
}

// Spendable is what can still be spent: with the credit limit where the provider
// tells one, and just the amount where it does not.
func (b *Bucket) Spendable() decimal.Decimal {
	switch {
	case b.Available != nil:
		return *b.Available
	case b.CreditLimit != nil:
		return b.Amount.Add(*b.CreditLimit)
	default:
		return b.Amount
	}
}

// Text is what can be spent, with what it counts.
func (b *Bucket) Text() string {
	text := b.Spendable().String()
	if word := b.Word(); word != "" {
		text += " " + word
	}
	return text
}

// Word is what the amount counts: a currency, or credits.
func (b *Bucket) Word() string {
	if b.Unit == Credits {
		return string(Credits)
	}
	return b.Currency
}

// RunsOut tells whether amounts mean anything: an account that is paid later, or
// without limit, is not about to be empty when it shows zero.
func (b Billing) RunsOut() bool { return b != BillingPostpaid && b != BillingUnlimited }

// Unit is what an amount counts.
type Unit string

// The units.
const (
	Money   Unit = "money"
	Credits Unit = "credits" // messages, or points, by the provider's own prices
)

// CurrencySource says where a currency comes from.
type CurrencySource string

// The sources of a currency.
const (
	FromReply         CurrencySource = "reply"         // the provider said it with the amount
	FromDocumentation CurrencySource = "documentation" // its documentation says it for all accounts
	FromConfiguration CurrencySource = "configuration" // the operator says it
)

// Status is the outcome of a question, in words that are the same for all providers.
type Status string

// The outcomes.
const (
	OK             Status = "ok"
	Unauthorized   Status = "unauthorized"    // no such key, or a wrong secret
	IPDenied       Status = "ip_denied"       // the provider does not let this address in
	Suspended      Status = "suspended"       // the account is locked or closed
	RateLimited    Status = "rate_limited"    // too many questions
	InvalidRequest Status = "invalid_request" // the provider does not understand the question
	ProviderError  Status = "provider_error"  // the provider says that it failed
	Malformed      Status = "malformed"       // what came is no reply of this provider's
	Unreachable    Status = "unreachable"     // nothing came, or not in time
)

// Error is why there is no balance. It never holds a secret: what it quotes of
// a reply is the provider's code and message, in a bounded length.
type Error struct {
	Status  Status
	Code    string // the provider's own, "" where there is none
	Message string // in plain words
	// RetryAfter is how long the provider wants to be left alone, 0 where it did not say.
	RetryAfter time.Duration
}

// Error gives the status, and what is known beside it.
func (e *Error) Error() string {
	text := string(e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Code != "" {
		text += " (the provider's code " + e.Code + ")"
	}
	return text
}

// Errorf makes an Error.
func Errorf(status Status, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Advice is what to do about it, "" where only the provider knows.
func (e *Error) Advice() string {
	switch {
	case e.RetryAfter > 0:
		return fmt.Sprintf("try again in %s", e.RetryAfter.Round(time.Second))
	case e.Status == Unauthorized:
		return "check the credentials, and whether they are those of this provider"
	case e.Status == IPDenied:
		return "let the address of this machine in, in the settings of the provider"
	case e.Status == Suspended:
		return "ask the provider: messages are probably refused too"
	case e.Status == Unreachable:
		return "is the base URL right? A provider that is slow gets more time with the time-out"
	default:
		return ""
	}
}

// ErrorOf is the failure in an error of a Client, a ProviderError for one that is
// no *Error.
func ErrorOf(err error) *Error {
	if failure, ok := errors.AsType[*Error](err); ok {
		return failure
	}
	return &Error{Status: ProviderError, Message: err.Error()}
}

// StatusOf is the status of an error of a Client, OK for nil and ProviderError
// for one that is no *Error.
func StatusOf(err error) Status {
	if err == nil {
		return OK
	}
	return ErrorOf(err).Status
}
