package main

import (
	"os"
	"runtime/debug"
)

const (
	// ballastBytes is what the garbage collector is made to count on top of what
	// is really there.
	ballastBytes = 160 << 20
	// collectAt is how much garbage, in percent of live heap and ballast, may
	// gather before the garbage collector runs.
	collectAt = 50
)

// ballast is never touched, so the system gives no memory for it.
var ballast []byte //nolint:unused // It is there to be counted.

// tuneMemory lets the garbage collector run when there are 80 MiB of garbage
// and half the live heap, and not, as by default, when there is as much garbage
// as live heap: over the small heap of a server that has just started that is
// many times a second, and took a tenth of the processor; over that of a large
// ledger with a full cache it is memory that could be spared. A memory limit
// would do the first, but could stand below what a full cache needs, and then
// the collector would never rest. Whoever sets GOGC or GOMEMLIMIT decides for
// themselves.
func tuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastBytes)
		debug.SetGCPercent(collectAt)
	}
}
