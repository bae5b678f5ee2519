package app

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/upstream"
)

// loadUpstreams reads the file that says which providers are asked.
func loadUpstreams(path string, log *slog.Logger) (*upstream.Config, error) {
	config, err := upstream.Load(path, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("upstreams: %w", err)
	}
	for _, warning := range config.Warnings {
		log.Warn("upstreams: "+warning, "file", path)
	}
	return config, nil
}

// watchUpstreams begins to ask the providers.
func (a *App) watchUpstreams(store readings.Store, config *upstream.Config, metrics *httpapi.Metrics) error {
	a.watcher = upstream.NewWatcher(store, upstream.WatcherOptions{Log: a.options.Log, Asked: metrics.Asked})
	metrics.WatchUpstreams(a.watcher.Known, time.Now)
	if err := a.watcher.Apply(config); err != nil {
		return err
	}
	a.options.Log.Info("asking upstreams", "upstreams", len(config.Upstreams), "file", a.options.Upstreams)
	return nil
}

// Reload reads the file of the upstreams anew. Where it cannot be used, those that
// were configured before are asked on.
func (a *App) Reload() {
	log := a.options.Log
	if a.watcher == nil {
		log.Info("nothing is reloaded", "hint", "only the upstreams of --upstreams FILE are")
		return
	}
	config, err := loadUpstreams(a.options.Upstreams, log)
	if err == nil {
		err = a.watcher.Apply(config)
	}
	if err != nil {
		log.Error("the upstreams could not be reloaded; those configured before are asked on", "error", err, "hint", hintIn(err))
		return
	}
	log.Info("the upstreams are reloaded", "upstreams", len(config.Upstreams), "file", a.options.Upstreams)
}

// known is what the doors show of upstreams: what the store has, whoever asked.
type known struct {
	readings.Store

	watcher *upstream.Watcher // nil where this process asks none
}

// Watches implements httpapi.Upstreams.
func (k known) Watches(name string) bool { return k.watcher != nil && k.watcher.Watches(name) }
