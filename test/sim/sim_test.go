package sim

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	runTime = flag.Duration("time", 40*time.Second, "how long to simulate; a tenth of it with -short")
	seed    = flag.Uint64("seed", 0, "repeats the choices of a run, as SALDO_SIM_SEED does; 0 for new ones")
)

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
	if testing.Short() {
		*runTime /= 10
	}
	t.Logf("to repeat the choices of this run: SALDO_SIM_SEED=%d", *seed)
	stats, err := Run(t.Context(), Config{
		Seed: *seed, Time: *runTime,
		NewLedger: func(int) (Ledger, error) { return NewSQLite(t.TempDir()), nil },
	})
	if err != nil {
		t.Errorf("%v", err)
	}
	t.Logf("%s", stats)
}
