package sim

import (
	"context"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Store is a store that can be closed.
type Store interface {
	engine.Store
	Close() error
}

// Observer is the node that is none: the simulation itself, which looks at the
// ledger while the others rest.
const Observer = -1

// Ledger is where a round is kept. Each of its nodes opens it, closes it or
// dies, and opens it again. The nodes have numbers from 0.
type Ledger interface {
	// Nodes is how many nodes serve the ledger, each by a store of its own.
	Nodes() int
	// Open opens the ledger, which is empty at first. A ledger of a single node
	// has no place for an Observer.
	Open(ctx context.Context, node int) (Store, error)
	// Cut cuts the connections of a node to the store: for uncut all that there
	// are, else that of its next commit. It does nothing where there are none.
	Cut(node int, when cut)
	// Terminate lets the server of the store end what it does for a node.
	Terminate(ctx context.Context, node int) error
	// Excused tells whether an error may follow from Cut or Terminate.
	Excused(err error) bool
	// Crash closes a store that nothing uses any more, and leaves the ledger as
	// it would be found after the death of the process.
	Crash(ctx context.Context, node int, store Store) error
	// Rest waits until nothing happens any more that a node had begun.
	Rest(ctx context.Context) error
	// Transactions gives the transactions beyond a place, each with its place and
	// as it is stored, in the order of the places, and within one place in that of
	// their decisions. It reads them by other means than those of the store. The
	// first place is above 0; what is written after a rest has places above all
	// that were written before it.
	//
	// With a single node every transaction has a place of its own, and the order
	// is that of the decisions. With several nodes a place is a commit, and the
	// order says nothing.
	Transactions(ctx context.Context, after int64, fn func(place int64, t *ledger.Transaction) error) error
	// Remove removes a ledger that nobody has open.
	Remove() error
}

// alone is what a ledger says that one process serves, without any server.
type alone struct{}

// Nodes is one.
func (alone) Nodes() int { return 1 }

// Cut does nothing: there is no connection.
func (alone) Cut(int, cut) {}

// Terminate does nothing: there is no server.
func (alone) Terminate(context.Context, int) error { return nil }

// Excused is false: what never happens excuses nothing.
func (alone) Excused(error) bool { return false }

// Rest has nothing to wait for.
func (alone) Rest(context.Context) error { return nil }
