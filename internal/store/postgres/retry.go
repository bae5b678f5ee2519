package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A write is attempted again as a whole while there is reason to think that it
// will succeed, and not beyond these bounds: others wait for the committer.
const (
	maxAttempts  = 12
	retryFor     = 10 * time.Second
	firstPause   = 2 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// The codes of errors, of which PostgreSQL's manual has the list.
const (
	uniqueViolation      = "23505"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	completionUnknown    = "40003"
	readOnlyTransaction  = "25006"
	connectionClass      = "08"
	protocolViolation    = "08P01" // also what PgBouncer says of settings
	unknownSetting       = "42704"
	badSetting           = "22023"
	resourceClass        = "53"
	tooManyConnections   = "53300"
	lockNotAvailable     = "55P03"
	queryCanceled        = "57014"
	idleTooLong          = "25P03"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	noSuchStatement      = "26000"
	statementExists      = "42P05"
	invalidPassword      = "28P01"
	invalidAuthorization = "28000"
	invalidDatabase      = "3D000"
	noPrivilege          = "42501"
	undefinedTable       = "42P01"
)

// attemptsAt is how often a write is attempted that fails like this. Where the
// server takes no writes, another one is found at once or not for a while.
func attemptsAt(err error) int {
	if codeOf(err) == readOnlyTransaction {
		return 3
	}
	return maxAttempts
}

// passing tells whether the same statements may succeed in another attempt.
func passing(err error) bool {
	switch codeOf(err) {
	case serializationFailure, deadlockDetected:
		return true
	case uniqueViolation:
		// Another node has decided a transaction of this name meanwhile, and
		// about other wallets, or this one would have waited for it before it
		// looked. In the next attempt the look-up finds what was decided.
		//
		// Or it has added a wallet that was not there to be locked, which the next
		// attempt locks.
		return violates(err, transactionsByID) || violates(err, walletsByName)
	default:
		return false
	}
}

// codeOf is the code of an error of the server, "" of any other.
func codeOf(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}

// violates tells whether an error says that a constraint was violated.
func violates(err error, constraint string) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.ConstraintName == constraint
}

// transactionsByID is the constraint that lets an idempotency key be used once.
const transactionsByID = "transactions_by_id"

// walletsByName is the constraint that lets an account have one wallet of a name.
const walletsByName = "wallets_pkey"

// pause waits before the next attempt: longer each time, and by chance, so that
// those who met do not meet again.
func pause(ctx context.Context, attempt int) error {
	longest := min(firstPause<<attempt, longestPause)
	timer := time.NewTimer(rand.N(longest) + time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rolledBack tells whether an error of COMMIT says for sure that nothing was
// kept: the server answered, is still there, and does not say that it does not know.
func rolledBack(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	severity := failure.SeverityUnlocalized
	if severity == "" { // CockroachDB does not send it, nor does it translate the other one
		severity = failure.Severity
	}
	return severity == "ERROR" && failure.Code != completionUnknown && failure.Code[:2] != connectionClass
}
