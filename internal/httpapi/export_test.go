package httpapi

import (
	"net/http"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// NewImpatient is New with small limits; streams and reports have the same time.
func NewImpatient(e *engine.Engine, gate *Gate, metrics *Metrics, upstreams Upstreams, patience time.Duration) http.Handler {
	return newServer(e, gate, metrics, upstreams, limits{
		batches: 1, streams: 1, exports: 1, each: 1, idle: patience, usageRows: 3, report: patience, readings: 6, readingsAtOnce: 2,
	}).handler()
}
