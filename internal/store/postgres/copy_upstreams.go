package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/saldo-ledger/saldo/internal/copier"
	"github.com/saldo-ledger/saldo/internal/readings"
)

// Upstreams reads what is known of upstreams, in order of their names.
func (s copySource) Upstreams(ctx context.Context, after string, limit int) ([]*readings.State, error) {
	return list(ctx, s.tx, scanState, "SELECT "+stateColumns+" FROM upstreams WHERE name > $1 ORDER BY name LIMIT $2", after, limit)
}

// Readings reads the readings of all upstreams, in order of their keys.
func (s copySource) Readings(ctx context.Context, after copier.ReadingPlace, limit int) ([]readings.Reading, error) {
	return page(ctx, s.tx, scanReading, "SELECT "+readingColumns+` FROM upstream_readings
		WHERE (upstream, at, service, unit, currency) > ($1, $2, $3, $4, $5) ORDER BY upstream, at, service, unit, currency LIMIT $6`,
		replan, after.Upstream, after.At.UnixMicro(), after.Key.Service, string(after.Key.Unit), after.Key.Currency, limit)
}

// ClearUpstreams removes all states and readings: what was pruned in the source
// since an earlier run must not stay in the copy.
func (c *Copy) ClearUpstreams(ctx context.Context) error {
	var batch pgx.Batch
	batch.Queue("TRUNCATE upstreams, upstream_readings")
	return c.write(ctx, &batch)
}

// PutUpstreams adds what is known of upstreams. Who has claimed them in the source
// knows nothing of the copy.
func (c *Copy) PutUpstreams(ctx context.Context, states []*readings.State) error {
	var batch pgx.Batch
	for _, state := range states {
		args, err := stateArgs(state)
		if err != nil {
			return err
		}
		batch.Queue("INSERT INTO upstreams "+values(stateColumns+", claimed_by"), append(args, "")...)
	}
	return c.write(ctx, &batch)
}

// PutReadings adds readings.
func (c *Copy) PutReadings(ctx context.Context, all []readings.Reading) error {
	var batch pgx.Batch
	batch.Queue(insertReadings, readingArgs(all)...)
	return c.write(ctx, &batch)
}
