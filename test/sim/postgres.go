package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres"
)

// database is a ledger in a PostgreSQL database, which several nodes serve.
type database struct {
	url     *url.URL
	proxies []*proxy // one for each node
}

// NewPostgres is a Ledger in an empty PostgreSQL database, which its URL's user
// may administer, served by so many nodes.
func NewPostgres(ctx context.Context, address string, nodes int) (_ Ledger, err error) {
	d := new(database)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Remove())
		}
	}()
	if d.url, err = url.Parse(address); err != nil {
		return nil, errors.New("the URL of the database cannot be understood")
	}
	for range nodes {
		p, err := newProxy(d.url.Host)
		if err != nil {
			return nil, err
		}
		d.proxies = append(d.proxies, p)
	}
	store, err := postgres.Create(ctx, address)
	if err != nil {
		return nil, err
	}
	return d, store.Close()
}

// Nodes is how many nodes serve the ledger.
func (d *database) Nodes() int { return len(d.proxies) }

// Open opens the database for a node, through its proxy and under its name, or
// without either for an observer.
func (d *database) Open(ctx context.Context, node int) (Store, error) {
	at := *d.url
	if node != Observer {
		at.Host = d.proxies[node].address()
		query := at.Query()
		query.Set("application_name", name(node))
		at.RawQuery = query.Encode()
	}
	store, err := postgres.Open(ctx, at.String())
	if err != nil {
		return nil, err // without a nil *postgres.Store in an interface
	}
	return store, nil
}

// name is how the server knows the sessions of a node.
func name(node int) string { return fmt.Sprintf("node-%d", node) }

// Cut cuts the connections of a node: all there are, or the one of its next commit.
func (d *database) Cut(node int, when cut) {
	if when == uncut {
		d.proxies[node].cutAll()
		return
	}
	d.proxies[node].arm(when)
}

// Terminate lets the server end the sessions of a node.
func (d *database) Terminate(ctx context.Context, node int) error {
	return d.query(ctx, func(rows pgx.Rows) error { return nil },
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1", name(node))
}

// Crash closes what is left of a node whose connections were cut.
func (d *database) Crash(_ context.Context, _ int, store Store) error { return store.Close() }

// Rest waits until the server has ended the transactions of nodes that are gone.
func (d *database) Rest(ctx context.Context) error {
	for patience := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		var busy int
		err := d.query(ctx, func(rows pgx.Rows) error { return rows.Scan(&busy) }, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_xid IS NOT NULL`)
		switch {
		case err != nil || busy == 0:
			return err
		case time.Now().After(patience):
			return fmt.Errorf("%d transactions of nodes that are gone come to no end", busy)
		}
	}
}

// Excused tells whether an error is that of a connection that was cut.
func (d *database) Excused(err error) bool {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		const adminShutdown = "57P01"
		return failure.Code == adminShutdown
	}
	if errors.Is(err, engine.ErrCommitUnknown) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	_, network := errors.AsType[net.Error](err)
	return network || strings.Contains(err.Error(), "conn closed")
}

// Remove ends the proxies. The database is its owner's to remove.
func (d *database) Remove() error {
	var errs []error
	for _, p := range d.proxies {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// query runs a statement on a connection of its own.
func (d *database) query(ctx context.Context, row func(pgx.Rows) error, statement string, args ...any) (err error) {
	conn, err := pgx.Connect(ctx, d.url.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Transactions reads the table. The place of a row is the number of the database
// transaction that wrote it, so what was committed together has one place; it
// grows from one rest to the next, and between them says nothing of the order.
func (d *database) Transactions(ctx context.Context, after int64, fn func(int64, *ledger.Transaction) error) error {
	return d.query(ctx, func(rows pgx.Rows) error {
		place, t, err := scan(rows)
		if err != nil {
			return err
		}
		return fn(place, t)
	}, "SELECT xmin::text::bigint AS written, "+transactionColumns+" FROM transactions WHERE xmin::text::bigint > $1 ORDER BY written, place", after)
}
