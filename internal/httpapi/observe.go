package httpapi

import (
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Observe writes one line of log and one measurement for each request that
// next serves, and turns a panic into status 500.
//
// A line names the route by its pattern, never by its path: the path of one
// dialect's route carries a secret.
func Observe(next http.Handler, trusted []netip.Prefix, metrics *Metrics, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			failure := recover()
			aborted := failure == http.ErrAbortHandler //nolint:errorlint // net/http compares it this way too.
			if failure != nil && !aborted {
				log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.Any("panic", failure), slog.String("stack", string(debug.Stack())))
				if rec.status == 0 {
					rec.WriteHeader(http.StatusInternalServerError)
				}
			}
			if r.Context().Err() != nil {
				rec.status = statusClientGone
			}
			ended := time.Now()
			took := ended.Sub(began)
			route := routeOf(r)
			metrics.request(route, rec.status, took)
			if log.Enabled(r.Context(), slog.LevelInfo) {
				// The logger's own methods would read the clock and the call stack again.
				line := slog.NewRecord(ended, slog.LevelInfo, "request", 0)
				line.AddAttrs(rec.attrs(r, route, took, trusted)...)
				log.Handler().Handle(r.Context(), line) //nolint:errcheck // A log that cannot be written has nowhere to say so.
			}
			if aborted {
				panic(failure) // net/http cuts the connection
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// statusClientGone is logged and counted where the client went away before its
// reply. It is the number that proxies use for it, and no server's fault.
const statusClientGone = 499

// routeOf is the pattern that served the request.
func routeOf(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return "unmatched"
	}
	return r.Pattern
}

// recorder notes what a reply was and whose request it answered.
type recorder struct {
	http.ResponseWriter
	status int
	key    *ledger.Key
}

func (rec *recorder) attrs(r *http.Request, route string, took time.Duration, trusted []netip.Prefix) []slog.Attr {
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs,
		slog.String("route", route), // with its method
		slog.Int("status", rec.status),
		slog.Int64("us", took.Microseconds()),
		slog.String("client", ClientAddr(r, trusted).String()))
	if rec.key != nil {
		attrs = append(attrs, slog.String("key", rec.key.ID))
		if rec.key.Account != ledger.Operator {
			attrs = append(attrs, slog.Int("account", int(rec.key.Account)))
		}
	}
	return attrs
}

// noteKey tells the log whose request it is.
func noteKey(w http.ResponseWriter, key *ledger.Key) {
	if rec, ok := w.(*recorder); ok {
		rec.key = key
	}
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(b []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return rec.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the writer below.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }
