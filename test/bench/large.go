package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// measureLarge measures a ledger of many accounts and entries: how soon it is ready,
// how fast balances of accounts drawn at random are read, how much memory that
// takes, and how fast it is charged against a ledger that has nothing yet.
func (s *suite) measureLarge(ctx context.Context) error {
	if err := s.startStore(); err != nil {
		return err
	}
	empty, err := s.chargeEmpty(ctx)
	if err != nil {
		return err
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	began := time.Now()
	if s.saldo, err = s.startSaldo(ctx, s.db); err != nil {
		return err
	}
	ready := time.Since(began)
	about, err := s.about(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s\n\n", s.store, about)
	fmt.Printf("%-44s %10s   budget 2s %s\n", fmt.Sprintf("ready with %d accounts, %d entries", s.large, s.large*s.entries),
		ready.Round(time.Millisecond), verdict(ready < 2*time.Second))
	reads, err := s.readAtRandom(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%-44s %10.0f a second (%d reads)\n", "balance reads of accounts at random", reads.rate, reads.count)
	memory := s.saldo.peakMemory() >> 20
	fmt.Printf("%-44s %6d MiB   budget 300 MiB %s\n", "resident memory after them, at its highest", memory, verdict(memory < 300))
	fmt.Printf("%-44s %10.0f a second\n", "charges on an empty ledger, 1000 accounts", empty.rate)
	for _, among := range []int{accounts, s.large} {
		progressf("%s: charging", s.store)
		charges, err := chargeLoad(s.saldo, s.operator, fmt.Sprintf("large-%d", among), among).run(ctx)
		if err != nil {
			return err
		}
		progressf("")
		ratio := charges.rate / empty.rate
		fmt.Printf("%-44s %10.0f a second   ratio %.2f   budget 0.80 %s\n", fmt.Sprintf("charges on this one, among %d accounts", among),
			charges.rate, ratio, verdict(ratio >= 0.80))
	}
	fmt.Printf("%-44s %6d MiB\n\n", "resident memory after those too", s.saldo.peakMemory()>>20)
	return nil
}

// readAtRandom reads about as many balances as there are accounts.
func (s *suite) readAtRandom(ctx context.Context) (result, error) {
	progressf("%s: reading balances", s.store)
	defer progressf("")
	return load{
		servers: []*process{s.saldo}, connections: 32, duration: time.Duration(s.large) * 90 * time.Microsecond, status: 200,
		request: func(b []byte, _ int64) []byte {
			return antgstRequest(b, rand.IntN(s.large))
		},
	}.run(ctx)
}

// chargeLoad charges accounts over 128 connections.
func chargeLoad(saldo *process, operator ledger.Credentials, series string, among int) load {
	return load{
		servers: []*process{saldo}, connections: 128, duration: 10 * time.Second, status: 201,
		request: chargeRequest(operator, series, among),
	}
}

// chargeEmpty measures charges on a ledger that was just made.
func (s *suite) chargeEmpty(ctx context.Context) (_ result, err error) {
	progressf("%s: charging an empty ledger", s.store)
	defer progressf("")
	db, operator, err := s.newLedger(ctx)
	if err != nil {
		return result{}, err
	}
	saldo, err := launch(ctx, s.binary, s.folder, db)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, saldo.stop()) }()
	return chargeLoad(saldo, operator, "empty", accounts).run(ctx)
}

// peakMemory is the most memory that the process had resident, in bytes; 0 where the system does not tell.
func (p *process) peakMemory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
