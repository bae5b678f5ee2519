package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// client carries out its plans one after another.
type client struct {
	round   *round
	id      int
	number  int       // of its next operation
	records []*record // of this window
}

// run carries out plans until all clients together have used up what they may.
func (c *client) run(ctx context.Context) {
	for !c.round.config.over(c.round.stats) && c.round.budget.Add(-1) >= 0 {
		p := c.round.world.plan(c.id, c.number)
		c.number++
		c.round.clock.pass(p.passes)
		switch p.action {
		case doRestart, doCrash:
			if err := c.round.restart(ctx, c.node(), p.action == doCrash); err != nil {
				c.round.fail(err)
				return
			}
		default:
			c.records = append(c.records, c.step(p))
		}
	}
}

// node is the one that the client asks next. Neighbours, who ask for the same
// things, ask different nodes; and each comes around.
func (c *client) node() *node {
	const stay = 7 // so many operations at one node
	return c.round.nodes[(c.id+c.number/stay)%len(c.round.nodes)]
}

// step carries out one plan and writes down what came of it.
func (c *client) step(p *plan) *record {
	n := c.node()
	r := &record{plan: *p, client: c.id, node: n.number, number: c.number - 1}
	if p.change != nil {
		done := c.round.turn(p.change.target)
		defer done()
	}
	if p.otherKey {
		c.round.check.useOtherKey(r.requests)
	}
	at := n.process(p.stubborn)
	for range p.fault.times {
		at.faulty.plan(p.fault)
	}
	ctx := at.ctx
	if p.readFail || p.readSlow > 0 {
		ctx = context.WithValue(ctx, misfortuneKey{}, misfortune{p.readFail, p.readSlow})
	}
	if p.giveUp > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.giveUp)
		defer cancel()
	}
	c.round.carryOut(ctx, at, r)
	return r
}

// carryOut asks the engine, between two moments of the simulation's counter.
func (r *round) carryOut(ctx context.Context, at *process, record *record) {
	backwards := r.clock.backwards.Load()
	record.clockBegan = r.clock.now.Load() - at.behind.Microseconds()
	record.began = r.ticks.Add(1)
	ask(ctx, at.Engine, record, r.notes)
	record.ended = r.ticks.Add(1)
	record.turnedBack = r.clock.backwards.Load() != backwards
	record.unknown = at.faulty.dead.Load()
	record.excused = at.stopping.Load()
}

// ask calls the engine for a plan.
func ask(ctx context.Context, e *engine.Engine, r *record, notes *notes) {
	switch {
	case r.change != nil:
		// Nobody gives a change up: the next one of the target must come after it.
		notes.announce(r)
		r.makeChange(context.WithoutCancel(ctx), e)
	case len(r.requests) == 1:
		result := engine.Result{}
		result.Transaction, result.Replayed, r.err = e.Post(ctx, r.requests[0])
		r.results = []engine.Result{result}
	case len(r.requests) > 0:
		// The engine may fill in what the caller left out.
		r.results, r.err = e.PostBatch(ctx, slices.Clone(r.requests), r.atomic)
	case r.action == doSettle:
		r.settled, r.err = e.Settle(ctx, r.scope, r.reports)
	case r.action == doHolder:
		r.holder, r.err = e.Holder(ctx, r.account)
	case r.action == doHold:
		r.hold, r.err = e.Hold(ctx, r.id)
	case r.action == doRead:
		r.read, r.err = e.Transaction(ctx, r.id)
	case r.action == doSweep:
		_, r.err = e.Sweep(ctx)
	}
}

// makeChange asks for what the operator changes.
func (r *record) makeChange(ctx context.Context, e *engine.Engine) {
	c := r.change
	switch {
	case c.create != nil:
		r.holder, r.err = e.CreateAccount(ctx, *c.create)
	case c.newKey != nil:
		r.key, r.err = e.CreateKey(ctx, *c.newKey, ledger.Credentials{ID: c.target.key, Secret: "secret-of-" + c.target.key})
	case c.account != nil:
		r.holder, r.err = e.UpdateAccount(ctx, c.target.account, *c.account)
	case c.wallet != nil:
		r.holder, r.err = e.UpdateWallet(ctx, ledger.WalletRef{Account: c.target.account, Service: c.service}, *c.wallet)
	case c.put != nil:
		r.holder, _, r.err = e.PutWallet(ctx, ledger.WalletRef{Account: c.target.account, Service: c.service}, *c.put)
	case c.caps != nil:
		r.key, r.err = e.SetKeyCaps(ctx, c.target.key, func(caps *ledger.Caps) { *caps = *c.caps })
	}
}

// barrier is an operation that a single committer decides after every write before it.
func barrier(node, number int) *plan {
	return &plan{action: doPost, requests: []ledger.Request{{
		IdempotencyKey: fmt.Sprintf("barrier-%d-%d", node, number), Kind: ledger.TopUp, Amount: 1,
		Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS},
	}}}
}
