package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/saldo-ledger/saldo/internal/app"
	"github.com/saldo-ledger/saldo/internal/cli"
	"github.com/saldo-ledger/saldo/internal/httpapi"
)

// drainTime is how long requests under way may take when the server stops.
const drainTime = 30 * time.Second

// serveCommand is "saldo serve". Its flags, SALDO_* variables and the members
// of a configuration file have the same names.
type serveCommand struct {
	Config kong.ConfigFlag `placeholder:"FILE" env:"SALDO_CONFIG" help:"Read settings from a YAML file whose members are named like these flags."`

	DB     string `name:"db" placeholder:"PATH" env:"SALDO_DB" help:"The ledger to serve: a path, or a postgres:// URL."`
	Demo   bool   `help:"Serve a throwaway ledger instead, with the accounts of the provider pages, to this machine alone."`
	Listen string `default:"127.0.0.1:8080" placeholder:"ADDRESS" env:"SALDO_LISTEN" help:"Address to serve at (default ${default})."`

	TLSCert string `name:"tls-cert" placeholder:"FILE" type:"existingfile" env:"SALDO_TLS_CERT" and:"tls" help:"Certificate chain, in PEM."`
	TLSKey  string `name:"tls-key" placeholder:"FILE" type:"existingfile" env:"SALDO_TLS_KEY" and:"tls" help:"Private key of the certificate, in PEM."`

	RateLimit        int      `default:"200" placeholder:"N" env:"SALDO_RATE_LIMIT" help:"Requests a second for each account's keys; 0 for no limit (default ${default})."`
	AuthFailureLimit int      `default:"50" placeholder:"N" env:"SALDO_AUTH_FAILURE_LIMIT" help:"Failed authentications a second for each client address; 0 for no limit (default ${default})."`
	AuthFailureBurst int      `default:"100" placeholder:"N" env:"SALDO_AUTH_FAILURE_BURST" help:"Failed authentications at once (default ${default})."`
	TrustedProxy     []string `placeholder:"CIDR" env:"SALDO_TRUSTED_PROXY" help:"Proxies whose X-Forwarded-For is believed; may be repeated."`
	PathSecrets      bool     `default:"true" negatable:"" env:"SALDO_PATH_SECRETS" help:"Serve the eSMS GET routes, whose path carries the secret (on unless --no-path-secrets)."`
	CacheSize        int      `default:"32768" placeholder:"N" env:"SALDO_CACHE_SIZE" help:"Accounts, and keys, kept in memory (default ${default})."`

	Upstreams string `placeholder:"FILE" type:"existingfile" env:"SALDO_UPSTREAMS" help:"Ask the providers in this YAML file for your balance there, and keep what they answer; it is read anew on SIGHUP."`

	LogLevel  string `default:"info" enum:"debug,info,warn,error" env:"SALDO_LOG_LEVEL" placeholder:"LEVEL" help:"debug, info, warn or error; info has a line for each request (default ${default})."`
	LogFormat string `default:"json" enum:"json,text" placeholder:"FORMAT" env:"SALDO_LOG_FORMAT" help:"json or text (default ${default})."`
}

// Help shows examples.
func (*serveCommand) Help() string {
	return `Examples:
  saldo serve --demo
  saldo serve --db ledger.db
  saldo serve --db ledger.db --listen :8443 --tls-cert cert.pem --tls-key key.pem
  saldo serve --db "postgres://saldo@db.example.com/ledger?sslmode=verify-full"
  saldo serve --db ledger.db --upstreams upstreams.yaml
  saldo serve --config /etc/saldo/saldo.yaml`
}

// Validate refuses what no server could mean.
func (c *serveCommand) Validate() error {
	switch {
	case c.Demo && c.DB != "" && c.DB != os.Getenv("SALDO_DB"): // the variable is meant for other commands too
		return errors.New("--db and --demo can't be used together: a demo has a ledger of its own")
	case c.RateLimit < 0:
		return errors.New("--rate-limit cannot be negative")
	case c.AuthFailureLimit < 0:
		return errors.New("--auth-failure-limit cannot be negative")
	case c.AuthFailureBurst < 1:
		return errors.New("--auth-failure-burst must be at least 1")
	case c.CacheSize < 1:
		return errors.New("--cache-size must be at least 1")
	}
	return nil
}

// Run serves until the process is told to stop.
func (c *serveCommand) Run(ctx context.Context, streams cli.Streams) error {
	reload := make(chan os.Signal, 1)
	if !c.Demo || c.Upstreams != "" { // A demo ends with its terminal.
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
	}
	tuneMemory()
	buffer := app.NewLogBuffer(streams.Err)
	defer buffer.Close() //nolint:errcheck // The last lines of a log that cannot be written are lost.
	options, err := c.options(c.logger(buffer))
	if err != nil {
		return err
	}
	if c.Demo {
		demo, err := app.StartDemo(ctx, options)
		if err != nil {
			return addressHint(err)
		}
		printDemo(streams, demo)
		return c.wait(ctx, reload, demo.App, demo.Close, options.Log)
	}
	running, err := app.Start(ctx, options)
	if err != nil {
		return addressHint(err)
	}
	c.announce(running.URL(), options)
	return c.wait(ctx, reload, running, running.Close, options.Log)
}

func (c *serveCommand) logger(buffer *app.LogBuffer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(c.LogLevel)) //nolint:errcheck // The flag takes the four names only.
	if c.Demo {
		// A line for each request would bury what the demo prints.
		level = max(level, slog.LevelWarn)
	}
	settings := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(buffer, settings))
	}
	return slog.New(slog.NewJSONHandler(buffer, settings))
}

func (c *serveCommand) options(log *slog.Logger) (app.Options, error) {
	var proxies []netip.Prefix
	for _, text := range c.TrustedProxy {
		network, err := httpapi.ParseNetwork(text)
		if err != nil {
			return app.Options{}, app.Hint(fmt.Errorf("--trusted-proxy %q is not a network", text), "write 10.0.0.0/8 or 10.1.2.3")
		}
		proxies = append(proxies, network)
	}
	return app.Options{
		DB:             c.DB,
		Listen:         c.Listen,
		TLSCert:        c.TLSCert,
		TLSKey:         c.TLSKey,
		RateLimit:      c.RateLimit,
		FailureLimit:   c.AuthFailureLimit,
		FailureBurst:   c.AuthFailureBurst,
		TrustedProxies: proxies,
		PathSecrets:    c.PathSecrets,
		CacheSize:      c.CacheSize,
		Upstreams:      c.Upstreams,
		Log:            log,
	}, nil
}

// announce logs that the server is up, and warns of what an operator may not have meant.
func (c *serveCommand) announce(url string, options app.Options) {
	options.Log.Info("serving", "url", url, "db", app.Shown(c.DB), "version", cli.Version())
	host, _, err := net.SplitHostPort(c.Listen)
	addr, parseErr := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && parseErr == nil && addr.IsLoopback()
	if !loopback && c.TLSCert == "" {
		options.Log.Warn("secrets travel unencrypted", "hint", "give --tls-cert and --tls-key, or keep this address behind a TLS proxy")
	}
}

// wait blocks until the process is told to stop, or serving ends by itself, and
// then closes down in order. Meanwhile SIGHUP has files read anew.
func (c *serveCommand) wait(ctx context.Context, reload <-chan os.Signal, running *app.App, shut func(context.Context) error, log *slog.Logger) error {
	var failure error
	for serving := true; serving; {
		select {
		case <-reload:
			running.Reload()
		case failure = <-running.Done():
			serving = false
		case <-ctx.Done():
			log.Info("stopping", "hint", "requests under way are finished first")
			serving = false
		}
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := errors.Join(failure, shut(drain))
	log.Info("stopped")
	return err
}

// addressHint says what to do when the address is taken.
func addressHint(err error) error {
	var failure *net.OpError
	if errors.As(err, &failure) && failure.Op == "listen" {
		return app.Hint(err, "choose another address with --listen, such as 127.0.0.1:8081")
	}
	return err
}
