// Package app puts the rooms of Saldo together and runs them: it opens the
// ledger, starts the engine, and serves every door on one address. Tests start
// the same thing on port 0.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/dialect/antgst"
	"github.com/saldo-ledger/saldo/internal/dialect/esms"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/httpapi"
	"github.com/saldo-ledger/saldo/internal/upstream"
)

// Options say what to serve and how.
type Options struct {
	DB     string // a path or a URL, see OpenStore
	Listen string // host:port; port 0 picks a free one

	TLSCert, TLSKey string // files in PEM; both or neither

	RateLimit      int            // requests a second for each account, 0 for no limit
	FailureLimit   int            // failed authentications a second for each client address, 0 for no limit
	FailureBurst   int            // failed authentications at once
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For is believed
	PathSecrets    bool           // serve the eSMS routes that carry the secret in their path
	CacheSize      int            // accounts, and keys, kept in memory; 0 for the default
	Upstreams      string         // the file that says which providers are asked; "" for none

	Log *slog.Logger
}

// Time-outs and limits of the HTTP server. A balance query is a few hundred
// bytes, so a client that needs longer than this is not a client.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// App is a running Saldo.
type App struct {
	store    Store
	engine   *engine.Engine
	watcher  *upstream.Watcher
	server   *http.Server
	listener net.Listener
	served   chan error
	tls      bool
	options  Options
}

// Start opens the ledger and serves it. The caller closes the App.
func Start(ctx context.Context, options Options) (_ *App, err error) {
	a := &App{served: make(chan error, 1), tls: options.TLSCert != "", options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.release())
		}
	}()
	var upstreams *upstream.Config
	if options.Upstreams != "" {
		if upstreams, err = loadUpstreams(options.Upstreams, options.Log); err != nil {
			return nil, err
		}
	}
	if a.store, err = OpenStore(ctx, options.DB); err != nil {
		return nil, err
	}
	watchPostgres(a.store, options.Log)
	metrics := httpapi.NewMetrics()
	a.engine, err = engine.New(ctx, a.store, engine.Options{CacheSize: options.CacheSize, Observer: metrics, Logger: options.Log})
	if err != nil {
		return nil, err
	}
	metrics.WatchQueue(a.engine.QueueDepth)
	if err := a.listen(ctx, options); err != nil {
		return nil, err
	}
	if upstreams != nil {
		if err := a.watchUpstreams(a.store, upstreams, metrics); err != nil {
			return nil, err
		}
	}
	a.server = &http.Server{
		Handler:           handler(a.engine, options, metrics, known{a.store, a.watcher}),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(options.Log.Handler(), slog.LevelWarn),
	}
	go func() { a.served <- a.server.Serve(a.listener) }()
	return a, nil
}

func (a *App) listen(ctx context.Context, options Options) error {
	var config *tls.Config
	if a.tls {
		certificate, err := tls.LoadX509KeyPair(options.TLSCert, options.TLSKey)
		if err != nil {
			return fmt.Errorf("load the TLS certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Listen)
	if err != nil {
		return err
	}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	a.listener = listener
	return nil
}

// handler puts the doors side by side. The dialects get their requests as they
// came, not through a mux: its redirects to cleaned paths would repeat a secret
// that stands in a path.
func handler(e *engine.Engine, options Options, metrics *httpapi.Metrics, upstreams httpapi.Upstreams) http.Handler {
	gate := httpapi.NewGate(e, httpapi.GateOptions{
		RateLimit:      options.RateLimit,
		FailureLimit:   options.FailureLimit,
		FailureBurst:   options.FailureBurst,
		TrustedProxies: options.TrustedProxies,
	}, metrics, options.Log)
	rest := httpapi.New(e, gate, metrics, upstreams)
	antgstServer := antgst.NewServer(gate)
	var esmsOptions []esms.Option
	if !options.PathSecrets {
		esmsOptions = append(esmsOptions, esms.WithoutSecretsInPaths())
	}
	esmsServer := esms.NewServer(gate, esmsOptions...)
	doors := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/user/"):
			antgstServer.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/MainService.svc/"), strings.HasPrefix(path, "/mainservice.svc/"):
			esmsServer.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	return httpapi.Observe(doors, options.TrustedProxies, metrics, options.Log)
}

// URL is where the App is served.
func (a *App) URL() string {
	scheme := "http"
	if a.tls {
		scheme = "https"
	}
	return scheme + "://" + a.listener.Addr().String()
}

// Engine gives the ledger that is served, for those who start an App in their own process.
func (a *App) Engine() *engine.Engine { return a.engine }

// Done gives the error with which serving ended, should it end before Close.
func (a *App) Done() <-chan error { return a.served }

// Close stops serving: it takes no new request, finishes those under way until
// ctx ends, writes what was admitted, and closes the ledger.
func (a *App) Close(ctx context.Context) error {
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off: %w", err), a.server.Close())
	}
	return errors.Join(err, a.release())
}

// release closes what Start had opened.
func (a *App) release() error {
	var errs []error
	if a.listener != nil {
		if err := a.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.watcher != nil {
		a.watcher.Close()
	}
	if a.engine != nil {
		a.engine.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	return errors.Join(errs...)
}
