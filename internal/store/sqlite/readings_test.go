package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/provider"
	"github.com/saldo-ledger/saldo/internal/readings"
	"github.com/saldo-ledger/saldo/internal/store/sqlite"
)

// asked has a ledger know of an upstream, with readings at some moments.
func asked(t *testing.T, store *sqlite.Store, moments ...time.Time) {
	t.Helper()
	var added []readings.Reading
	for _, at := range moments {
		key := readings.Key{Service: "sms", Unit: provider.Money, Currency: "VND"}
		added = append(added, readings.Reading{Upstream: "main", Key: key, At: at, Amount: decimal.New(-5, -1)})
	}
	now := time.Unix(0, 0)
	if _, claimed, err := store.ClaimUpstream(ctx, readings.Claim{Name: "main", Provider: "esms", Node: "a", Now: now, Until: now}); err != nil || !claimed {
		t.Fatalf("claim: %t, %v", claimed, err)
	}
	if done, err := store.RecordUpstream(ctx, "a", &readings.State{Name: "main", Provider: "esms", DueAt: now}, added); err != nil || !done {
		t.Fatalf("record: %t, %v", done, err)
	}
}

// hasReadings checks that a ledger knows of the upstream, and has so many readings.
func hasReadings(t *testing.T, store *sqlite.Store, want int) {
	t.Helper()
	states, err := store.UpstreamStates(ctx)
	if err != nil || len(states) != min(want, 1) {
		t.Errorf("the states are %v, %v", states, err)
	}
	found, err := store.UpstreamReadings(ctx, readings.Query{Upstream: "main", To: time.Now(), Limit: 100_000})
	if err != nil || len(found) != want {
		t.Errorf("%d readings, want %d, %v", len(found), want, err)
	}
}

// A ledger of the time before upstreams is read as it is, and gets their tables
// when it is opened to be written.
func TestBeforeUpstreams(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store, err := sqlite.Create(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	insert(t, store, 7)
	closed(t, store)
	for _, statement := range []string{"DROP TABLE upstreams", "DROP TABLE upstream_readings", "DELETE FROM goose_db_version WHERE version_id > 1"} {
		if err := execute(path, statement); err != nil {
			t.Fatal(err)
		}
	}
	reading, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, reading, 7)
	hasReadings(t, reading, 0)
	closed(t, reading)
	if store, err = sqlite.Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	defer closed(t, store)
	mustHave(t, store, 7)
	hasReadings(t, store, 0)
	asked(t, store, time.Unix(1, 0))
	hasReadings(t, store, 1)
}

// Whoever only reads does not claim.
func TestReadOnlyDoesNotAsk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	asked(t, created(t, path), time.Unix(1, 0))
	store, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, store)
	hasReadings(t, store, 1)
	if _, claimed, err := store.ClaimUpstream(ctx, readings.Claim{Name: "main", Now: time.Now(), Until: time.Now()}); err == nil || claimed {
		t.Errorf("claimed: %t, %v", claimed, err)
	}
	if _, err := store.PruneUpstreams(ctx, readings.Pruning{Expired: time.Now()}); err == nil {
		t.Error("it was pruned")
	}
	hasReadings(t, store, 1)
}

// Writes to the ledger come in between while many readings are removed.
func TestPruningLetsOthersWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	store := created(t, path)
	const many = 15_000
	moments := make([]time.Time, many)
	for i := range moments {
		moments[i] = time.Unix(int64(i), 0)
	}
	asked(t, store, moments...)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	done := make(chan error, 1)
	go func() {
		removed, err := store.PruneUpstreams(ctx, readings.Pruning{ThinTo: time.Unix(many, 0), Step: many * time.Second})
		if removed != many-1 {
			t.Errorf("%d readings were removed", removed)
		}
		done <- err
	}()
	between := 0
	for id, left := ledger.AccountID(100), many; left > 1 && len(done) == 0; id++ {
		insert(t, store, id)
		if err := db.QueryRow("SELECT count(*) FROM upstream_readings").Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left > 1 && left < many {
			between++
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if between == 0 {
		t.Error("nothing was written before all was removed")
	}
	hasReadings(t, store, 1)
}
