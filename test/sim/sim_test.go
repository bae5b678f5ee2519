package sim

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Tests{M: m}) }

var (
	runTime = flag.Duration("time", time.Minute, "how long to simulate; a tenth of it with -short")
	seed    = flag.Uint64("seed", 0, "repeats the choices of a run, as SALDO_SIM_SEED does; 0 for new ones")
	on      = flag.String("store", "", "sqlite, or postgres with several nodes; both have half of the time where it is empty")
)

// nodes is how many serve a PostgreSQL database.
const nodes = 3

// stores make ledgers for the rounds of a test.
var stores = map[string]func(t *testing.T) func(int) (Ledger, error){
	"sqlite": func(t *testing.T) func(int) (Ledger, error) {
		return func(int) (Ledger, error) { return NewSQLite(t.TempDir()), nil }
	},
	"postgres": func(t *testing.T) func(int) (Ledger, error) {
		return func(int) (Ledger, error) {
			place, err := NewPostgres(t.Context(), pgtest.NewDatabase(t), nodes)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { // also of one that was wrong
				if err := place.Remove(); err != nil {
					t.Error(err)
				}
			})
			return place, nil
		}
	},
}

// TestSim simulates for as long as -time says.
func TestSim(t *testing.T) {
	if text := os.Getenv("SALDO_SIM_SEED"); text != "" && *seed == 0 {
		var err error
		if *seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SALDO_SIM_SEED: %v", err)
		}
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	chosen, share := []string{*on}, *runTime
	if *on == "" {
		chosen, share = []string{"sqlite", "postgres"}, *runTime/2
	}
	if testing.Short() {
		share /= 10
	}
	for _, name := range chosen {
		t.Run(name, func(t *testing.T) {
			newLedger := stores[name]
			if newLedger == nil {
				t.Fatalf("-store is sqlite or postgres, not %q", name)
			}
			t.Logf("to repeat the choices of this run: SALDO_SIM_SEED=%d", *seed)
			stats, err := Run(t.Context(), Config{Seed: *seed, Time: share, NewLedger: newLedger(t)})
			if err != nil {
				t.Errorf("%v", err)
			}
			t.Logf("%s", stats)
		})
	}
}
