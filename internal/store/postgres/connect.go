package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// This file is about the URL of a ledger, and the way to its server.

// Valid tells whether a name of a ledger is the URL of a PostgreSQL database.
func Valid(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// parse reads a URL as libpq does, and sets what it leaves open. What is said of
// the pool is about the readings.
func parse(url string) (*pgxpool.Config, error) {
	if !Valid(url) {
		return nil, ErrURL
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// A file that the URL names, such as a certificate, is no secret.
		if file, ok := errors.AsType[*fs.PathError](err); ok {
			return nil, fmt.Errorf("%w: %w", ErrFile, file)
		}
		return nil, ErrURL
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = int32(max(8, 2*runtime.GOMAXPROCS(0)))
	}
	if config.PingTimeout == 0 {
		// A connection that rested is looked at before it is used, and a server that
		// hangs would keep whoever does so for ever.
		config.PingTimeout = connectTimeout
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = applicationName()
	}
	return config, nil
}

// maxName is how long a name may be in PostgreSQL, in bytes.
const maxName = 63

// applicationName tells the administrator of the database which node a session
// belongs to.
func applicationName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "saldo"
	}
	name := "saldo@" + host
	return name[:min(len(name), maxName)]
}

// probe makes sure of the server with one connection, and finds out what stands
// on the way to it.
func (s *Store) probe(ctx context.Context, config *pgxpool.Config, url string) error {
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // It has shown what it should.
	s.exposed = exposed(conn.PgConn().Conn())
	if strings.Contains(url, "default_query_exec_mode=") {
		return nil
	}
	pooled, err := pooled(ctx, conn.PgConn())
	if pooled {
		// The server is told the text of each statement each time: what is
		// prepared by a name belongs to a session, which the next transaction may
		// not have.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return err
}

// pooled tells whether a pooler such as PgBouncer stands before the server. It
// gives each client a key of its own to cancel statements with, which does not
// name the process that serves them.
func pooled(ctx context.Context, conn *pgconn.PgConn) (bool, error) {
	results, err := conn.Exec(ctx, "SELECT pg_backend_pid()").ReadAll()
	if err != nil {
		return false, err
	}
	return string(results[0].Rows[0][0]) != strconv.FormatUint(uint64(conn.PID()), 10), nil
}

// exposed tells whether what is sent on a connection can be read on the way.
func exposed(conn net.Conn) bool {
	if _, ok := conn.(*tls.Conn); ok {
		return false
	}
	address, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && !address.IP.IsLoopback()
}

// Exposed tells whether the store is connected to another machine without TLS,
// so that others on the network may read along.
func (s *Store) Exposed() bool { return s.exposed }

// requirePrimary refuses a connection to a replica: what is read there may be
// older than what was answered already. Servers from PostgreSQL 14 on tell by
// themselves; of several hosts in a URL the next one is tried.
func requirePrimary(config *pgxpool.Config) {
	chosen := config.ConnConfig.ValidateConnect // by target_session_attrs
	config.ConnConfig.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if conn.ParameterStatus("in_hot_standby") == "on" {
			return ErrReplica
		}
		if chosen == nil {
			return nil
		}
		return chosen(ctx, conn)
	}
}

// Redact gives a URL without the passwords in it, to be shown. What is no URL
// is given as nothing at all.
func Redact(url string) string {
	config, err := pgx.ParseConfig(url)
	if err != nil || !Valid(url) {
		return "postgres://…"
	}
	user := config.User
	if user != "" {
		user += "@"
	}
	return fmt.Sprintf("postgres://%s%s:%d/%s", user, config.Host, config.Port, config.Database)
}
