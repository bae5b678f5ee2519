// Package pgtest gives tests databases of a PostgreSQL server of their own: one
// server for each process of tests, in a temporary folder, on a free port of the
// loopback address, gone when the process ends. A program that needs more than
// one, or one that is durable, starts its own.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tests are the tests of a package, after which the server is stopped if one of
// them started it. TestMain gives them to goleak, or runs them and exits.
type Tests struct{ *testing.M }

// Run runs the tests, and gives the status to exit with.
func (t Tests) Run() int {
	code := t.M.Run()
	if err := Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the PostgreSQL server of the tests:", err)
		return max(code, 1)
	}
	return code
}

// shared is the server of this process.
var shared struct {
	sync.Mutex
	server *Server
	err    error
}

var databases atomic.Int64

// NewDatabase makes an empty database and gives its URL. The first call starts
// the server. The database is gone when the test ends.
//
// The language of the database sorts text otherwise than its bytes do, so that a
// test notices a query that leaves the order to the language.
func NewDatabase(t testing.TB) string {
	t.Helper()
	s, err := running()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test%d", databases.Add(1))
	url, err := s.Create(context.Background(), name)
	if err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.execute(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return url
}

// Create makes an empty database of that name and gives its URL.
func (s *Server) Create(ctx context.Context, name string) (url string, err error) {
	err = s.execute(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 ENCODING 'UTF8'"+s.language)
	return s.url(name), err
}

// Exec runs statements in a database, as its command line tool would.
func Exec(ctx context.Context, database, statements string) (err error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	_, err = conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// Stop stops the server of this process, if there is one, and removes what it left.
func Stop() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		return nil
	}
	err := shared.server.Stop()
	shared.server, shared.err = nil, errors.New("the PostgreSQL server of the tests was stopped")
	return err
}

func running() (*Server, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Start(Options{})
	}
	return shared.server, shared.err
}

func (s *Server) url(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(user, s.password), Path: "/" + database,
		Host: fmt.Sprintf("127.0.0.1:%d", s.port), RawQuery: "sslmode=disable",
	}).String()
}

func (s *Server) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return Exec(ctx, s.url("postgres"), statement)
}
