package main

import (
	"os"
	"runtime/debug"
)

// collectorPercent is how much the heap may grow between two collections.
const collectorPercent = 300

// tuneMemory lets the garbage collector run less often than its default, which
// suits programs with a larger heap: here each request leaves a little garbage
// over a small live heap, and collecting it early took a tenth of the
// processor. GOGC has its say as always.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}
