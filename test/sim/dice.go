package sim

import (
	"math/rand/v2"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// dice are the random choices of one operation. Each operation of each client
// has a generator of its own, seeded by nothing but the run's seed and its
// place, so that what it does follows from the seed alone, however the clients
// take turns; and so that one client can know what another one asks for.
type dice struct{ source rand.PCG }

// rollFor gives the dice of an operation.
func rollFor(seed uint64, round, client, number int) *dice {
	d := new(dice)
	place := uint64(round)<<48 ^ uint64(client)<<32 ^ uint64(number)
	d.source.Seed(scatter(seed), scatter(place))
	return d
}

// scatter spreads the bits of a number (the finalizer of SplitMix64), because
// neighbouring seeds should not make neighbouring choices.
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below gives a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.source.Uint64() % uint64(n)) }

// between gives a number from low to high.
func (d *dice) between(low, high int) int { return low + d.below(high-low+1) }

// percent is true in so many of a hundred cases.
func (d *dice) percent(n int) bool { return d.below(100) < n }

// oneIn is true once in so many cases.
func (d *dice) oneIn(n int) bool { return d.below(n) == 0 }

func pick[T any](d *dice, from ...T) T { return from[d.below(len(from))] }

// amount gives what a customer would pay or be charged.
func (d *dice) amount() ledger.Amount {
	units := pick(d, 1, 10, 100, 100, 1000)
	return ledger.Amount(1 + d.below(units*ledger.Scale))
}

// huge gives amounts about the largest that there can be.
func (d *dice) huge() ledger.Amount {
	return ledger.MaxAmount/ledger.Amount(pick(d, 1, 1, 2, 3)) - ledger.Amount(d.below(3))
}
