package sqlite

import (
	"context"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Upstreams gives what is known of upstreams.
func (s copySource) Upstreams(ctx context.Context, after string, limit int) ([]*readings.State, error) {
	if s.noUpstreams {
		return nil, nil
	}
	return page(ctx, s.tx, func(row scanner, into **readings.State) error {
		*into = new(readings.State)
		return scanState(row, *into)
	}, selectState+" WHERE name > ? ORDER BY name LIMIT ?", after, limit)
}

// Readings gives readings of all upstreams.
func (s copySource) Readings(ctx context.Context, after copier.ReadingPlace, limit int) ([]readings.Reading, error) {
	if s.noUpstreams {
		return nil, nil
	}
	const order = "upstream, at, service, unit, currency"
	return page(ctx, s.tx, scanReading, "SELECT "+readingColumns+" FROM upstream_readings WHERE ("+order+") > (?, ?, ?, ?, ?) ORDER BY "+order+" LIMIT ?",
		after.Upstream, after.At.UnixMicro(), after.Key.Service, string(after.Key.Unit), after.Key.Currency, limit)
}

func (s copySource) countUpstreams(ctx context.Context, counts *copier.Counts) error {
	if s.noUpstreams {
		return nil
	}
	return s.tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM upstreams), (SELECT count(*) FROM upstream_readings)").
		Scan(&counts.Upstreams, &counts.Readings)
}

// ClearUpstreams removes what the copy has of upstreams.
func (c *Copy) ClearUpstreams(ctx context.Context) error {
	return c.write(ctx, func(t *tx) error {
		_, err := t.conn.ExecContext(ctx, "DELETE FROM upstream_readings; DELETE FROM upstreams")
		return err
	})
}

// PutUpstreams writes what is known of upstreams. Who asks one of them in the
// source does not ask it here.
func (c *Copy) PutUpstreams(ctx context.Context, states []*readings.State) error {
	return c.write(ctx, func(t *tx) error {
		return t.many(ctx, "INSERT INTO upstreams "+values(stateColumns+", claimed_by"), len(states), func(i int) ([]any, error) {
			args, err := stateArgs(states[i])
			return append(args, ""), err
		})
	})
}

// PutReadings writes readings.
func (c *Copy) PutReadings(ctx context.Context, all []readings.Reading) error {
	return c.write(ctx, func(t *tx) error {
		return t.many(ctx, "INSERT INTO upstream_readings "+values(readingColumns), len(all), func(i int) ([]any, error) { return readingArgs(&all[i]), nil })
	})
}
