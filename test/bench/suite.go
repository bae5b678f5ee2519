package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// suite measures Saldo on one store.
type suite struct {
	options
	store  string
	folder string
	server *pgtest.Server // where the store is PostgreSQL

	bare     *process
	saldo    *process
	others   []*process // further nodes, while they are measured
	db       string     // the ledger that saldo serves
	operator ledger.Credentials

	ledgers int
	loads   int
	stops   []func() error // in order of what was started
}

// measure takes the rows by turns, so that what else the machine does in the
// meantime does to all of them.
func (s *suite) measure(ctx context.Context) error {
	rows := s.rows()
	if err := s.start(ctx); err != nil {
		return err
	}
	about, err := s.about(ctx)
	if err != nil {
		return err
	}
	for round := range s.rounds {
		for _, m := range rows {
			progressf("%s, round %d of %d: %s", s.store, round+1, s.rounds, m.name)
			r, err := m.take(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			m.taken = append(m.taken, r)
		}
	}
	progressf("")
	show(s.store, about, rows, s.markdown)
	return nil
}

// rows are what is asked for, with what that is compared with.
func (s *suite) rows() []*measurement {
	rows := s.all()
	needed := map[string]bool{}
	for _, m := range slices.Backward(rows) {
		if needed[m.name] || strings.Contains(m.name, s.only) {
			needed[m.name], needed[m.base] = true, true
		}
	}
	return slices.DeleteFunc(rows, func(m *measurement) bool { return !needed[m.name] })
}

// all is what can be measured on the store. A base stands before what is compared
// with it.
func (s *suite) all() []*measurement {
	antgst, esms := everyCustomer(antgstRequest), everyCustomer(esmsRequest)
	reads := func(budget float64) []*measurement {
		return []*measurement{
			{name: "bare antgst, 32 connections", take: s.reads(&s.bare, antgst, 32)},
			{name: "balance read antgst, 32 connections", take: s.reads(&s.saldo, antgst, 32), base: "bare antgst, 32 connections", budget: budget},
			{name: "bare esms, 32 connections", take: s.reads(&s.bare, esms, 32)},
			{name: "balance read esms, 32 connections", take: s.reads(&s.saldo, esms, 32), base: "bare esms, 32 connections", budget: budget},
		}
	}
	if s.store == embedded {
		return append(reads(0.85), []*measurement{
			{name: "bare antgst, 128 connections", take: s.reads(&s.bare, antgst, 128)},
			{name: "SQL loop, 1 in a transaction", take: s.loop(1, 1)},
			{name: "SQL loop, 32 in a transaction", take: s.loop(32, 1)},
			{name: "SQL loop, 128 in a transaction", take: s.loop(128, 1)},
			{name: "charge, 1 connection", take: s.charges(1, 1), base: "SQL loop, 1 in a transaction"},
			{name: "charge, 32 connections", take: s.charges(32, 1), base: "SQL loop, 32 in a transaction"},
			{name: "charge, 128 connections", take: s.charges(128, 1), base: "bare antgst, 128 connections", budget: 0.30},
			{name: "SQL loop, 100 in a transaction", take: s.loop(batchSize, 1)},
			{name: "batches of 100 charges, 8 connections", take: s.charges(8, batchSize), base: "SQL loop, 100 in a transaction", budget: 0.50},
		}...)
	}
	return append(reads(0.50), []*measurement{
		{name: "pgx loop, 1 connection", take: s.pgxLoop(1)},
		{name: "pgx loop, 8 connections", take: s.pgxLoop(8)},
		{name: "charge, 1 connection", take: s.charges(1, 1), base: "pgx loop, 1 connection"},
		{name: "charge, 32 connections", take: s.charges(32, 1), base: "pgx loop, 8 connections"},
		{name: "charge, 128 connections", take: s.charges(128, 1), base: "pgx loop, 8 connections", budget: 2.00},
		{name: "charge, 128 connections, 3 nodes", take: s.nodes(3, s.charges(128, 1)), base: "charge, 128 connections"},
		{name: "array loop of 100, 1 connection", take: s.loop(batchSize, 1)},
		{name: "array loop of 100, 8 connections", take: s.loop(batchSize, 8)},
		{name: "batches of 100 charges, 1 connection", take: s.charges(1, batchSize), base: "array loop of 100, 1 connection"},
		{name: "batches of 100 charges, 8 connections", take: s.charges(8, batchSize), base: "array loop of 100, 8 connections", budget: 0.50},
	}...)
}

// start starts what all rows have in common.
func (s *suite) start(ctx context.Context) (err error) {
	if err := s.startStore(); err != nil {
		return err
	}
	progressf("%s: making a ledger", s.store)
	if s.db, s.operator, err = s.newLedger(ctx); err != nil {
		return err
	}
	if s.bare, err = startBare(); err != nil {
		return err
	}
	s.stops = append(s.stops, s.bare.stop)
	s.saldo, err = s.startSaldo(ctx, s.db)
	return err
}

// startStore starts the database server, where the store has one.
func (s *suite) startStore() (err error) {
	if s.store != database {
		return nil
	}
	progressf("starting PostgreSQL")
	if s.server, err = pgtest.Start(pgtest.Options{Folder: s.folder, Durable: true}); err == nil {
		s.stops = append(s.stops, s.server.Stop)
	}
	return err
}

// stop stops what was started, the last first.
func (s *suite) stop() error {
	progressf("")
	var failures []error
	for _, stop := range slices.Backward(s.stops) {
		failures = append(failures, stop())
	}
	s.stops = nil
	return errors.Join(failures...)
}

// place is where a new ledger can be: the path of a file, or the URL of a database.
func (s *suite) place(ctx context.Context) (db string, err error) {
	s.ledgers++
	if s.store == database {
		return s.server.Create(ctx, fmt.Sprintf("ledger%d", s.ledgers))
	}
	return filepath.Join(s.folder, fmt.Sprintf("ledger%d.db", s.ledgers)), nil
}

// about says of the store what its numbers depend on, as the store itself tells it.
func (s *suite) about(ctx context.Context) (text string, err error) {
	if s.store != database {
		return "SQLite, WAL, synchronous=FULL", nil
	}
	conn, err := pgx.Connect(ctx, s.db)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	err = conn.QueryRow(ctx, `SELECT 'PostgreSQL ' || current_setting('server_version') || ', ' || string_agg(name || '=' || current_setting(name), ', ' ORDER BY name)
		FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'shared_buffers')`).Scan(&text)
	return text, err
}

// everyCustomer makes a request for each account, once, so that making them is no
// part of what is measured.
func everyCustomer(request func(b []byte, i int) []byte) [][]byte {
	all := make([][]byte, accounts)
	for i := range all {
		all[i] = request(nil, i)
	}
	return all
}

// reads measures requests of all customers: those of a single one would be a
// single row to read.
func (s *suite) reads(server **process, requests [][]byte, connections int) func(context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		return load{
			servers: []*process{*server}, connections: connections, duration: s.duration, status: 200,
			request: func(b []byte, n int64) []byte { return append(b, requests[nth(n, accounts)-firstAccount]...) },
		}.run(ctx)
	}
}

// charges measures charges over HTTP, so many in each request.
func (s *suite) charges(connections, each int) func(context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		s.loads++
		// The idempotency keys of one load are in no other one.
		name := strconv.Itoa(s.loads)
		l := load{
			servers: append([]*process{s.saldo}, s.others...), connections: connections, duration: s.duration,
			status: 201, request: chargeRequest(s.operator, name, accounts),
		}
		if each > 1 {
			l.status, l.each, l.request = 200, each, batchRequest(s.operator, name, accounts, each)
		}
		return l.run(ctx)
	}
}

// nodes takes a measurement over so many servers of the one ledger.
func (s *suite) nodes(count int, take func(context.Context) (result, error)) func(context.Context) (result, error) {
	return func(ctx context.Context) (_ result, err error) {
		defer func() {
			for _, node := range s.others {
				err = errors.Join(err, node.stop())
			}
			s.others = nil
		}()
		for range count - 1 {
			node, err := launch(ctx, s.binary, s.folder, s.db)
			if err != nil {
				return result{}, err
			}
			s.others = append(s.others, node)
		}
		return take(ctx)
	}
}

// loop measures the statements of the store in a bare loop.
func (s *suite) loop(size, connections int) func(context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		db, _, err := s.newLedger(ctx)
		if err != nil {
			return result{}, err
		}
		return storeLoop(ctx, db, size, connections, s.duration)
	}
}

// pgxLoop measures one charge after another in transactions of their own.
func (s *suite) pgxLoop(connections int) func(context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		db, _, err := s.newLedger(ctx)
		if err != nil {
			return result{}, err
		}
		return pgxLoop(ctx, db, connections, s.duration)
	}
}

// startSaldo serves a ledger until the suite stops.
func (s *suite) startSaldo(ctx context.Context, db string) (*process, error) {
	saldo, err := launch(ctx, s.binary, s.folder, db)
	if err == nil {
		s.stops = append(s.stops, saldo.stop)
	}
	return saldo, err
}

// newLedger makes a ledger with accounts that have money.
func (s *suite) newLedger(ctx context.Context) (db string, operator ledger.Credentials, err error) {
	if db, err = s.place(ctx); err == nil {
		operator, err = prepare(ctx, db)
	}
	if err == nil && s.store == database {
		// In a ledger that has been used for a minute the server has done that by itself.
		err = pgtest.Exec(ctx, db, "VACUUM ANALYZE")
	}
	return db, operator, err
}
