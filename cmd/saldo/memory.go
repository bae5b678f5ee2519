package main

import (
	"os"
	"runtime/debug"
)

// tuneMemory lets the garbage collector run less often than its default, which
// suits programs with a larger heap: here each request leaves a little garbage
// over a small live heap, and collecting it early took a tenth of the
// processor. The limit keeps the gain from costing memory: near it the
// collector works as usual. GOGC and GOMEMLIMIT have their say as always.
func tuneMemory(cacheSize int) {
	const base, perCached = 64 << 20, 1 << 10
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(base + 2*perCached*int64(cacheSize)) // accounts and keys
	}
}
