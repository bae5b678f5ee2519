package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// result is what was measured.
type result struct {
	count    int
	rate     float64 // requests a second, or what they count for
	p50, p99 time.Duration
	cpu      time.Duration // of the servers, for each of these; 0 where there is none
}

// timed runs workers until a time has passed, and measures what they did, each
// of which counts for so many.
func timed(duration time.Duration, workers, each int, work func(worker int, end time.Time) ([]time.Duration, error)) (result, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failures []error
	began := time.Now()
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			took, err := work(worker, began.Add(duration))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failures = append(failures, err)
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	if len(failures) > 0 { // of which the others are like the first, as a rule
		return result{}, failures[0]
	}
	slices.Sort(all)
	return result{
		count: len(all) * each,
		rate:  float64(len(all)*each) / elapsed.Seconds(),
		p50:   all[len(all)/2],
		p99:   all[len(all)*99/100],
	}, nil
}

// repeat does a thing again and again until a time has come, and measures each.
func repeat(ctx context.Context, end time.Time, do func(n int) error) (took []time.Duration, err error) {
	took = make([]time.Duration, 0, 1<<16)
	for n := 0; ; n++ {
		began := time.Now()
		if len(took) > 0 && began.After(end) {
			return took, nil
		}
		if err := errors.Join(ctx.Err(), do(n)); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
}
