package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/readings"
)

// Lists and prunings find what they want by the key, in its order: none of them
// reads all readings, or sorts them.
func TestReadingsAreFoundByKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	store := newStore(t)
	between := betweenArgs("main", time.Time{}, time.Now(), readings.Place{})
	later := slices.Concat(between, laterArgs(time.Now(), time.Hour), []any{10})
	for what, tt := range map[string]struct {
		text string
		args []any
	}{
		"a page":                {"SELECT " + readingColumns + betweenTimes + inOrder, slices.Concat(between, []any{10})},
		"a page of steps":       {"SELECT " + readingColumns + betweenTimes + " AND NOT EXISTS (SELECT 1" + laterInStep + ")" + inOrder, later},
		"what is thinned":       {"SELECT r.at" + betweenTimes + needless + inOrder, later},
		"the next upstream":     {nextUpstream, []any{"main"}},
		"a reading that goes":   {removeReading, []any{"main", 1, "", "", ""}},
		"the place of a record": {recordUpstream, make([]any, strings.Count(recordUpstream, "?"))},
	} {
		rows, err := store.readDB.QueryContext(ctx, "EXPLAIN QUERY PLAN "+tt.text, tt.args...)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		plan, err := collect(rows, func(row scanner, step *string) error { return row.Scan(new(int), new(int), new(sql.RawBytes), step) })
		if err != nil || len(plan) == 0 {
			t.Fatal(err)
		}
		for _, step := range plan {
			if strings.Contains(step, "SCAN") || strings.Contains(step, "TEMP") {
				t.Errorf("%s: %q", what, plan)
			}
		}
		if strings.Contains(tt.text, betweenTimes) && !strings.Contains(plan[0], "(upstream=? AND at>? AND at<?)") {
			t.Errorf("%s: %q", what, plan)
		}
	}
}
