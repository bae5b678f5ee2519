package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// GateOptions say who may come in, and how often.
type GateOptions struct {
	// RateLimit is how many requests a second each account's keys may make
	// together, over all doors; 0 for no limit. The operator's keys have none.
	RateLimit int
	// FailureLimit is how many failed authentications a second one client
	// address may cause, and FailureBurst how many at once; 0 for no limit.
	FailureLimit int
	FailureBurst int
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
}

// maxLimiters bounds the accounts, and the client addresses, whose rate is
// remembered at one time.
const maxLimiters = 65536

// Gate authenticates requests for every door: REST and the dialects. It also
// keeps the limits that hold at all of them.
type Gate struct {
	engine   *engine.Engine
	options  GateOptions
	rates    *limiters[ledger.AccountID]
	failures *limiters[netip.Prefix]
	policy   string
	metrics  *Metrics
	log      *slog.Logger
}

// NewGate makes the gate before an engine.
func NewGate(e *engine.Engine, options GateOptions, metrics *Metrics, log *slog.Logger) *Gate {
	return &Gate{
		engine:   e,
		options:  options,
		rates:    newLimiters[ledger.AccountID](options.RateLimit, options.RateLimit, maxLimiters),
		failures: newLimiters[netip.Prefix](options.FailureLimit, options.FailureBurst, maxLimiters),
		policy:   `"account";q=` + strconv.Itoa(options.RateLimit) + `;w=1`,
		metrics:  metrics,
		log:      log,
	}
}

// Identify finds the key that the credentials open and checks that this caller
// may use it now. It sets the headers on w that describe limits.
//
// Errors: Unauthorized, IPDenied, RateLimited, Internal.
func (g *Gate) Identify(w http.ResponseWriter, r *http.Request, credentials ledger.Credentials) (*ledger.Key, error) {
	key, _, err := g.identify(w, r, credentials)
	return key, err
}

// identify also gives the key's account where that was read along with the key.
func (g *Gate) identify(w http.ResponseWriter, r *http.Request, credentials ledger.Credentials) (*ledger.Key, *ledger.Holder, error) {
	addr := ClientAddr(r, g.options.TrustedProxies)
	// An address that has used up its failures is refused before anything is
	// looked up: it learns nothing more, and costs no more.
	source := failureSource(addr)
	if wait, limited := g.failures.exhausted(source); limited {
		g.metrics.authFailed("limited")
		return nil, nil, rateLimited(w, wait, "too many failed authentications from this address")
	}
	key, holder, err := g.engine.Authenticate(r.Context(), credentials)
	if err != nil {
		if ledger.CodeOf(err) != ledger.Unauthorized {
			return nil, nil, g.internal(r.Context(), err)
		}
		g.failures.take(source)
		g.metrics.authFailed("unauthorized")
		return nil, nil, err
	}
	noteKey(w, key)
	if !key.Admits(addr) {
		g.metrics.authFailed("ip_denied")
		return nil, nil, ledger.Errorf(ledger.IPDenied, "this address is not on the key's allow-list")
	}
	if key.Account != ledger.Operator && g.options.RateLimit > 0 {
		if err := g.countRequest(w, key.Account); err != nil {
			return nil, nil, err
		}
	}
	return key, holder, nil
}

// countRequest takes a request off an account's rate, and says in the headers
// of the IETF's RateLimit draft how many are left.
func (g *Gate) countRequest(w http.ResponseWriter, account ledger.AccountID) error {
	left, wait, ok := g.rates.take(account)
	header := w.Header()
	header["Ratelimit-Policy"] = []string{g.policy}
	header["Ratelimit"] = []string{`"account";r=` + strconv.Itoa(left) + `;t=1`}
	if !ok {
		return rateLimited(w, wait, "the account is over its request rate")
	}
	return nil
}

// await takes a further request off an account's rate as soon as there is one.
// It is for a stream, which is slowed down where it cannot be refused any more.
func (g *Gate) await(ctx context.Context, account ledger.AccountID) error {
	if account == ledger.Operator {
		return nil
	}
	for {
		_, wait, ok := g.rates.take(account)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

func rateLimited(w http.ResponseWriter, wait time.Duration, message string) error {
	seconds := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return ledger.Errorf(ledger.RateLimited, "%s", message).WithHint("wait %d s and try again", seconds)
}

// Balance answers who the credentials belong to and what is left, for the
// dialects. It is theirs to put the answer, or the error, into their words.
//
// Errors: those of Identify; Forbidden; AccountNotActive.
func (g *Gate) Balance(w http.ResponseWriter, r *http.Request, credentials ledger.Credentials) (*ledger.Holder, error) {
	key, holder, err := g.identify(w, r, credentials)
	if err != nil {
		return nil, err
	}
	if key.Account == ledger.Operator || !key.Allows(ledger.ScopeBalanceRead) {
		return nil, ledger.Errorf(ledger.Forbidden, "this key has no balance to read")
	}
	if holder == nil {
		if holder, err = g.engine.Holder(r.Context(), key.Account); err != nil {
			return nil, g.internal(r.Context(), err)
		}
	}
	if holder.Status != ledger.Active {
		return nil, ledger.Errorf(ledger.AccountNotActive, "the account is %s", holder.Status)
	}
	return holder, nil
}

// internal logs what went wrong and returns what a caller may know of it. A
// caller that went away has no fault of ours to show, and knows nothing any more.
func (g *Gate) internal(ctx context.Context, err error) *ledger.Error {
	if expected, ok := errors.AsType[*ledger.Error](err); ok {
		return expected
	}
	if ctx.Err() != nil {
		return errInternal
	}
	g.log.LogAttrs(ctx, slog.LevelError, "request failed", slog.Any("error", err))
	return errInternal
}

var errInternal = ledger.Errorf(ledger.Internal, "something went wrong here").
	WithHint("the server's log says what; the request may be sent again")
