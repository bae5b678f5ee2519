package main

import (
	"os"
)

// ballastBytes is what the garbage collector is made to count on top of what
// is really there.
const ballastBytes = 96 << 20

// ballast is never touched, so the system gives no memory for it.
var ballast []byte //nolint:unused // It is there to be counted.

// tuneMemory lets the garbage collector run when there are about 100 MiB of
// garbage, and not, as by default, when there is as much garbage as live heap:
// over the small heap of a server that has just started that is many times a
// second, and took a tenth of the processor. A memory limit would do the same,
// but could stand below what a full cache needs, and then the collector would
// never rest. Whoever sets GOGC or GOMEMLIMIT decides for themselves.
func tuneMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		ballast = make([]byte, ballastBytes)
	}
}
