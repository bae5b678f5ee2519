package httpapi

import (
	"net/http"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
)

// NewImpatient is New with other limits on streams and batches.
func NewImpatient(e *engine.Engine, gate *Gate, metrics *Metrics, idle time.Duration, places int) http.Handler {
	s := &server{
		engine: e, gate: gate, metrics: metrics,
		batches: make(chan struct{}, places), streams: make(chan struct{}, places), idle: idle,
	}
	return s.handler()
}
