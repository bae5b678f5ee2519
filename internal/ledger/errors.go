package ledger

import (
	"errors"
	"fmt"
)

// Code names one way in which a request can fail. Codes are part of the public
// contract: they stand in problem details, in logs and in stored outcomes.
type Code string

// The codes. Their HTTP statuses stand in one table, statuses.
const (
	InvalidRequest       Code = "invalid_request"
	Unauthorized         Code = "unauthorized"
	IPDenied             Code = "ip_denied"
	Forbidden            Code = "forbidden"
	NotFound             Code = "not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	RequestTimeout       Code = "request_timeout"
	Conflict             Code = "conflict"
	TooLarge             Code = "request_too_large"
	RateLimited          Code = "rate_limited"
	InsufficientFunds    Code = "insufficient_funds"
	AccountNotActive     Code = "account_not_active"
	WalletNotActive      Code = "wallet_not_active"
	HoldNotOpen          Code = "hold_not_open"
	HoldPastExpiry       Code = "hold_expired"
	AmountNotAllowed     Code = "amount_not_allowed"
	SpendCapReached      Code = "spend_cap_reached"
	RefundExceedsCharge  Code = "refund_exceeds_charge"
	BatchRejected        Code = "batch_rejected"
	CurrencyMismatch     Code = "currency_mismatch"
	AmountOutOfRange     Code = "amount_out_of_range"
	IdempotencyKeyReused Code = "idempotency_key_reused"
	Overloaded           Code = "overloaded"
	OutcomeUnknown       Code = "outcome_unknown"
	Internal             Code = "internal_error"
)

// statuses is the one table from codes to HTTP statuses.
var statuses = map[Code]int{
	InvalidRequest:       400,
	Unauthorized:         401,
	InsufficientFunds:    402,
	IPDenied:             403,
	Forbidden:            403,
	NotFound:             404,
	MethodNotAllowed:     405,
	RequestTimeout:       408,
	Conflict:             409,
	AccountNotActive:     409,
	WalletNotActive:      409,
	HoldNotOpen:          409,
	HoldPastExpiry:       409,
	BatchRejected:        409,
	TooLarge:             413,
	CurrencyMismatch:     422,
	AmountOutOfRange:     422,
	AmountNotAllowed:     422,
	SpendCapReached:      422,
	RefundExceedsCharge:  422,
	IdempotencyKeyReused: 422,
	RateLimited:          429,
	Internal:             500,
	Overloaded:           503,
	OutcomeUnknown:       503,
}

// HTTPStatus is the status that a REST reply with this code has; 500 for a code
// that is not in the table.
func (c Code) HTTPStatus() int {
	if status, ok := statuses[c]; ok {
		return status
	}
	return 500
}

// Error is a failure that a caller may see: a stable code, a message in plain
// words, and, where there is one, a hint at what to do.
type Error struct {
	Code    Code
	Message string
	Hint    string
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy that says what to do about it.
func (e *Error) WithHint(format string, args ...any) *Error {
	return &Error{Code: e.Code, Message: e.Message, Hint: fmt.Sprintf(format, args...)}
}

// Error gives code, message and hint in one line.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// CodeOf is the code of an error; Internal where the error is none of ours,
// because nothing else may leave the process. It is "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}
