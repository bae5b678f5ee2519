package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/saldo-ledger/saldo/client"
)

// The exit statuses of every command. Scripts decide on them.
const (
	ExitOK           = 0
	ExitFailure      = 1 // whatever has no status of its own
	ExitUsage        = 2 // the command line or a setting is wrong; nothing was sent
	ExitRejected     = 3 // the ledger refused: 402, 409, 422
	ExitUnauthorized = 4 // the key is wrong or may not do this: 401, 403
	ExitUnavailable  = 5 // the server cannot be reached or is busy: try again later
)

// Error is a failure with an exit status and advice.
type Error struct {
	Status  int      // one of the exit statuses
	Message string   // what went wrong
	Hints   []string // what to do about it, a line each
	Err     error    // the reason; may be nil, and is not printed
}

// Error gives the message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// Report prints an error on standard error, with advice where there is some,
// and gives the exit status of the process. It prints nothing for nil.
//
// An error may bring its own advice with a method Hint() string.
func Report(streams Streams, err error) int {
	if err == nil {
		return ExitOK
	}
	failure := describe(err)
	// What is printed may come from a server: it must not steer the terminal.
	// A failed write has no better place to be reported.
	_, _ = fmt.Fprintf(streams.Err, "saldo: %s\n", clean(failure.Message))
	for _, hint := range failure.Hints {
		if hint != "" { // An error that can bring advice need not have any.
			_, _ = fmt.Fprintf(streams.Err, "hint: %s\n", clean(hint))
		}
	}
	return failure.Status
}

// Usage prints an error of kong's parser, and where to look up the command. It
// gives the exit status.
func Usage(streams Streams, err error) int {
	failure := &Error{Status: ExitUsage, Message: err.Error(), Err: err}
	command := "saldo"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			command = node.FullPath()
		}
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		failure.Hints = append(failure.Hints, hinted.Hint())
	}
	failure.Hints = append(failure.Hints, fmt.Sprintf("run %q for the flags and examples", command+" --help"))
	return Report(streams, failure)
}

// describe finds status, message and advice for an error.
func describe(err error) *Error {
	var failure *Error
	if errors.As(err, &failure) {
		return failure
	}
	if reply, ok := errors.AsType[*client.Error](err); ok {
		return describeReply(reply)
	}
	failure = &Error{Status: ExitFailure, Message: strings.TrimPrefix(err.Error(), "saldo: "), Err: err}
	if errors.Is(err, context.Canceled) {
		failure.Message = "interrupted"
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		failure.Hints = []string{hinted.Hint()}
	}
	return failure
}

// describeReply makes an Error of what the server said.
func describeReply(reply *client.Error) *Error {
	failure := &Error{Status: exitStatus(reply.Status), Message: reply.Detail, Err: reply}
	switch {
	case reply.Code == "":
		failure.Message += fmt.Sprintf(" (status %d)", reply.Status)
	case reply.Transaction != "":
		failure.Message += fmt.Sprintf(" (%s, transaction %s)", reply.Code, reply.Transaction)
	default:
		failure.Message += fmt.Sprintf(" (%s)", reply.Code)
	}
	if reply.Hint != "" {
		failure.Hints = append(failure.Hints, reply.Hint)
	}
	if reply.Status == http.StatusUnauthorized && reply.Hint == "" {
		failure.Hints = append(failure.Hints, "SALDO_KEY must be the auth_secret, or id:secret, of an active key")
	}
	if reply.RetryAfter > 0 {
		failure.Hints = append(failure.Hints, fmt.Sprintf("try again in %s", reply.RetryAfter))
	}
	return failure
}

// exitStatus is the one table from HTTP statuses to exit statuses.
func exitStatus(status int) int {
	switch status {
	case http.StatusPaymentRequired, http.StatusConflict, http.StatusUnprocessableEntity:
		return ExitRejected
	case http.StatusUnauthorized, http.StatusForbidden:
		return ExitUnauthorized
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ExitUnavailable
	default:
		return ExitFailure
	}
}

// decided tells whether a reply settles for good what happened to a movement.
// Everything else may hide an earlier attempt that did move the money: the
// client sends again after a lost connection, and then may find a busy server.
func decided(err error) bool {
	var reply *client.Error
	if !errors.As(err, &reply) || reply.Code == "" {
		return false
	}
	return reply.Status >= 400 && reply.Status <= 499 && exitStatus(reply.Status) != ExitUnavailable
}

// cause is the reason of a failed exchange without the request around it.
func cause(err error) string {
	if exchange, ok := errors.AsType[*url.Error](err); ok {
		err = exchange.Err
	}
	return strings.TrimPrefix(err.Error(), "saldo: ")
}
