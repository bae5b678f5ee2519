package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about failures of the server and of the way to it: their names,
// and what is made of them while a ledger is served.

// names are the usual failures that the server itself tells of, by their codes.
var names = map[string]error{
	invalidPassword:      ErrPassword,
	invalidAuthorization: ErrPassword,
	invalidDatabase:      ErrNoDatabase,
	noPrivilege:          ErrPrivilege,
	readOnlyTransaction:  ErrReplica,
	tooManyConnections:   ErrConnections,
	lockNotAvailable:     ErrSlow,
	queryCanceled:        ErrSlow,
	idleTooLong:          ErrSlow,
	serializationFailure: ErrContention,
	deadlockDetected:     ErrContention,
	adminShutdown:        ErrUnreachable,
	crashShutdown:        ErrUnreachable,
	cannotConnectNow:     ErrUnreachable,
	noSuchStatement:      ErrPrepared,
	statementExists:      ErrPrepared,
}

// named puts the name of a usual failure before what the server, or the network,
// says of it.
func named(err error) error {
	if name := nameOf(err); name != nil && !errors.Is(err, name) {
		return fmt.Errorf("%w: %w", name, err)
	}
	return err
}

// nameOf is the name of a usual failure, nil for any other error.
func nameOf(err error) error {
	code := codeOf(err)
	if name, ok := names[code]; ok {
		return name
	}
	failed, connecting := errors.AsType[*pgconn.ConnectError](err)
	switch {
	case errors.Is(err, ErrReplica), errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return ErrReplica
	case errors.Is(err, ErrClock):
		return ErrClock
	case strings.HasPrefix(code, resourceClass):
		return ErrResources
	case connecting && (code == unknownSetting || code == badSetting || code == protocolViolation):
		return ErrSetting
	case strings.HasPrefix(code, connectionClass):
		return ErrUnreachable
	case code != "":
		return nil
	case connecting:
		return nameOfConnecting(failed)
	case disconnected(err):
		return ErrUnreachable
	}
	return nil
}

// nameOfConnecting names a failure to connect of which the server says nothing.
func nameOfConnecting(err *pgconn.ConnectError) error {
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case untrusted, misnamed, unverified:
		return ErrCertificate
	case demandsTLS(err.Config) && strings.Contains(err.Error(), "server refused TLS connection"): // which has no name there
		return ErrNoTLS
	case errors.Is(err, pgconn.ErrPrimaryConnection):
		return ErrSetting // target_session_attrs=standby
	default:
		return ErrUnreachable
	}
}

// demandsTLS tells whether no attempt to connect does without TLS. Where one
// does, a refusal of TLS is not what made it fail.
func demandsTLS(config *pgconn.Config) bool {
	return config.TLSConfig != nil && !slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}

// disconnected tells whether a connection ended, or nothing came on it in time.
func disconnected(err error) bool {
	_, network := errors.AsType[net.Error](err) // which a deadline is, too
	return network || pgconn.Timeout(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

// outages are the failures that pass, with what callers are told of them: no
// host, no name and no text that comes from elsewhere.
var outages = map[error]string{
	ErrReplica:     "the database takes no writes: it is read-only, as that of a replica is",
	ErrUnreachable: "the database cannot be reached, or does not answer",
	ErrConnections: "the database has no connection free",
	ErrResources:   "the database has run out of room or memory",
	ErrSlow:        "the database did not do it in time: something holds a lock, or it is busy",
	ErrContention:  "transactions stand in each other's way in the database",
	ErrClock:       "the clocks of this node and of the database differ",
	ErrPassword:    notLetIn,
	ErrNoDatabase:  notLetIn,
	ErrCertificate: notLetIn,
	ErrNoTLS:       notLetIn,
	ErrSetting:     notLetIn,
}

// notLetIn is what callers are told while a node is refused for what its operator
// has to put right.
const notLetIn = "the database does not let this node in"

// outage is a failure that passes. It does not have the server's own error in
// its chain, because no single request caused it, and none is to be tried alone.
type outage struct {
	told   *ledger.Error
	name   error
	detail string
}

func (o *outage) Error() string   { return o.detail }
func (o *outage) Unwrap() []error { return []error{o.told, o.name} }

// told turns a failure that passes into one that a caller may know of, and has
// whoever watches told. Any other error stays as it is.
func (s *Store) told(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	name := nameOf(err)
	message, passes := outages[name]
	if !passes {
		return err
	}
	detail := named(err)
	s.watch.failed(name, detail)
	if errors.Is(err, engine.ErrCommitUnknown) {
		return err // Callers are told about that.
	}
	return &outage{ledger.Errorf(ledger.Overloaded, "%s", message).WithHint("nothing was done; send the request again later"), name, detail.Error()}
}

// quiet is how long nothing must have failed before an outage counts as over.
// While some requests fail and others do not, it is one outage.
const quiet = 2 * time.Second

// watch tells once of an outage, and once of its end.
type watch struct {
	mu       sync.Mutex
	changed  func(error)    // nil for nobody
	reported map[error]bool // by name; empty while nothing is wrong
	last     time.Time      // when something failed
}

// Watch has changed called when the database cannot be used, with the reason,
// and with nil when it can be used again; not for each request that fails. It is
// for those who begin to use a store.
func (s *Store) Watch(changed func(err error)) { s.watch.changed = changed }

func (w *watch) failed(name, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	if w.reported[name] || w.changed == nil {
		return
	}
	if w.reported == nil {
		w.reported = make(map[error]bool)
	}
	w.reported[name] = true
	w.changed(err)
}

func (w *watch) succeeded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reported) == 0 || time.Since(w.last) < quiet {
		return
	}
	clear(w.reported)
	w.changed(nil)
}
