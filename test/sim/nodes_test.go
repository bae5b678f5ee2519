package sim

import (
	"context"
	"sync"
	"testing"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// smallNodes is small over several nodes.
func smallNodes(t *testing.T, seed uint64) Config {
	config := small(t, seed)
	config.NewLedger = stores["postgres"](t)
	config.Clients, config.Window, config.Windows = 24, 600, 2
	return config
}

// TestHonestNodes is the control: without a lie nothing is found.
func TestHonestNodes(t *testing.T) {
	if _, err := Run(t.Context(), smallNodes(t, 1)); err != nil {
		t.Error(err)
	}
}

// careless is a store of a node that does not mind the other nodes.
type careless struct {
	engine.Store

	cache    bool // says that it is alone, so that the engine caches
	stale    *sync.Map
	unlocked bool // reads wallets without locking them
	blind    bool // does not find what was decided before
}

func (c *careless) Exclusive() bool { return c.cache || c.Store.Exclusive() }

func (c *careless) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	holder, err := c.Store.Holder(ctx, id)
	if err != nil || c.stale == nil {
		return holder, err
	}
	before, _ := c.stale.Swap(id, holder)
	if before == nil {
		return holder, nil
	}
	return before.(*ledger.Holder), nil
}

func (c *careless) Write(ctx context.Context, fn func(engine.Tx) error) error {
	return c.Store.Write(ctx, func(tx engine.Tx) error { return fn(&carelessTx{tx, c}) })
}

type carelessTx struct {
	engine.Tx

	of *careless
}

func (t *carelessTx) Lock(ctx context.Context, wallets []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error) {
	if !t.of.unlocked {
		return t.Tx.Lock(ctx, wallets)
	}
	holders := map[ledger.AccountID]*ledger.Holder{}
	for _, ref := range wallets {
		holder, err := t.of.Store.Holder(ctx, ref.Account)
		switch {
		case err == nil:
			holders[ref.Account] = holder
		case ledger.CodeOf(err) != ledger.NotFound:
			return nil, err
		}
	}
	return holders, nil
}

func (t *carelessTx) Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error) {
	if t.of.blind {
		return map[ledger.TransactionID]*ledger.Transaction{}, nil
	}
	return t.Tx.Decided(ctx, ids)
}

// TestCarelessNodes wants it to be noticed when nodes do not mind each other. The
// database itself refuses most of what they would do, and that counts.
func TestCarelessNodes(t *testing.T) {
	const refused = "the store failed by itself"
	for name, test := range map[string]struct {
		careless careless
		words    []string
	}{
		"a cache":           {careless{cache: true}, []string{refused, atNoMoment, outcomes}},
		"an old reading":    {careless{stale: new(sync.Map)}, []string{atNoMoment}},
		"no lock":           {careless{unlocked: true}, []string{refused, outcomes, "its time is before"}},
		"no earlier result": {careless{blind: true}, []string{refused}},
	} {
		t.Run(name, func(t *testing.T) {
			config := smallNodes(t, 17)
			config.Lie = func(store engine.Store) engine.Store {
				of := test.careless
				of.Store = store
				return &of
			}
			mustNotice(t, config, test.words...)
		})
	}
}
