package sim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about what was decided: the model is asked to do the same in the
// same order, and must come to the same outcomes.

// replay lets the model follow the events.
func (w *window) replay() error {
	for i := 0; i < len(w.events); {
		e := &w.events[i]
		if e.change != nil {
			if err := w.change(i); err != nil {
				return err
			}
			i++
			continue
		}
		size := w.together(i)
		if err := w.decideAll(i, size); err != nil {
			return err
		}
		i += size
	}
	return nil
}

// change lets the model follow a change, which must be allowed where it stands.
func (w *window) change(at int) error {
	r := w.events[at].change
	id := r.change.target.account
	if id != 0 {
		w.remember(id)
	}
	if r.change.account != nil && w.round.many() {
		w.changedAccounts = append(w.changedAccounts, changedAccount{w.events[at].attempt, id, w.model.accounts[id]})
	}
	if code := w.model.apply(r.change); code != "" {
		return w.wrong(r, nil, "a change was made that must be refused", string(code), "done")
	}
	if id != 0 {
		w.states[id] = append(w.states[id], stateAt{at, w.model.state(id)})
	}
	if r.key == nil && r.holder == nil {
		return nil // nobody was told, since the outcome was unknown
	}
	if r.key != nil {
		k := w.model.keys[r.change.target.key]
		if int64(r.key.Caps.Daily) != k.daily || int64(r.key.Caps.Monthly) != k.monthly || seenCount(r.key.Spent, 0) != k.spent {
			return w.wrong(r, nil, "the reply is not the key as it was changed", fmt.Sprintf("%+v", k), fmt.Sprintf("%+v", *r.key))
		}
		return nil
	}
	// Of several nodes another one may change the other wallets of the account
	// meanwhile; then the reply is a reading like others, see changed.
	if s := w.model.state(id); !w.round.many() && !s.same(r.holder, never) {
		return w.wrong(r, nil, "the reply is not the account as it was changed", fmt.Sprintf("%+v", s), fmt.Sprintf("%+v", *r.holder))
	}
	return nil
}

// remember keeps an account as it is before the first event of the window that touches it.
func (w *window) remember(id ledger.AccountID) {
	if len(w.states[id]) == 0 {
		w.states[id] = append(w.states[id], stateAt{-1, w.model.state(id)})
	}
}

// together is how many rows from one on are decided as one: those of an atomic batch.
func (w *window) together(at int) int {
	size := 1
	if batch := w.events[at].row.Batch; !batch.IsZero() {
		for at+size < len(w.events) && w.events[at+size].row != nil && w.events[at+size].row.Batch == batch &&
			w.events[at+size].attempt == w.events[at].attempt {
			size++
		}
	}
	return size
}

// decideAll lets the model decide rows that belong together, and compares.
func (w *window) decideAll(at, size int) error {
	rows := make([]*row, size)
	for i := range rows {
		rows[i] = w.events[at+i].row
		if err := w.request(rows[i]); err != nil {
			return err
		}
		if err := w.timely(rows[i]); err != nil {
			return err
		}
		w.remember(rows[i].Wallet.Account)
		if rows[i].Kind == ledger.Transfer {
			w.remember(rows[i].To.Account)
		}
		w.rememberHold(rows[i])
	}
	if err := w.undivided(rows); err != nil {
		return err
	}
	if err := w.agree(rows, w.older(at)); err != nil {
		return err
	}
	for i, r := range rows {
		w.follow(at+i, r)
	}
	return nil
}

// timely sees that no time runs backwards: with a single node in all of the
// ledger, with several in each wallet.
func (w *window) timely(r *row) error {
	refs := []ledger.WalletRef{everything}
	if w.round.many() {
		refs = []ledger.WalletRef{r.Wallet}
		if r.Kind == ledger.Transfer {
			refs = append(refs, r.To)
		}
	}
	for _, ref := range refs {
		last := w.model.last[ref]
		if r.CreatedAt.Before(last) || r.CreatedAt.UnixMicro() > w.round.clock.highest.Load() {
			return w.failure(r, "its time is before that of the decision before it, or in the future", last, r.CreatedAt)
		}
		// What is refused leaves nothing in the wallet by which another node
		// could know of its time.
		if r.Rejection == "" || !w.round.many() {
			w.model.last[ref] = r.CreatedAt
		}
	}
	return nil
}

// agree lets the model decide rows, which must come out as they are stored. An
// account may still have been as it was before a change.
func (w *window) agree(rows []*row, older []changedAccount) error {
	var before *memory
	if len(older) > 0 {
		before = w.model.memory(rows)
	}
	mismatch := w.decide(rows)
	for i := 0; mismatch != nil && i < len(older); i++ {
		id := older[i].id
		before.restore(w.model)
		now := w.model.accounts[id]
		w.model.accounts[id] = older[i].before
		if w.decide(rows) == nil {
			mismatch = nil
			w.round.stats.older++
		}
		w.model.accounts[id] = now
	}
	if mismatch != nil {
		return mismatch
	}
	return nil
}

// decide lets the model decide rows, and says in what they differ; nil for nothing.
func (w *window) decide(rows []*row) *MismatchError {
	wanted, err := w.model.batch(rows)
	if err != nil {
		return w.failure(rows[0], err.Error(), "", "")
	}
	for i, r := range rows {
		want := wanted[i]
		want.RequestHash = r.asked.Hash()
		want.Key = r.Key
		if !reflect.DeepEqual(want, r.Transaction) {
			expected, got := differences(want, r.Transaction)
			return w.failure(r, "the outcome is not what the rules say", expected, got)
		}
	}
	return nil
}

// changedAccount is an account as it was before an attempt changed it.
type changedAccount struct {
	*attempt

	id     ledger.AccountID
	before account
}

// older gives the accounts of an event that another node had changed, but
// perhaps not committed yet, when the event was decided: an account is read
// without a lock of its own. The decision counts as made before the change.
func (w *window) older(at int) []changedAccount {
	var older []changedAccount
	e := &w.events[at]
	for _, c := range slices.Backward(w.changedAccounts) {
		if (c.id == e.row.Wallet.Account || c.id == e.row.To.Account) && (c.ended > e.looked || !c.sure) {
			older = append(older, c)
		}
	}
	return older
}

// undivided sees that the rows of an atomic batch are all that were asked for together.
func (w *window) undivided(rows []*row) error {
	if rows[0].Batch.IsZero() || len(rows[0].askers) == 0 {
		return nil
	}
	asked := w.completed[rows[0].askers[0].record]
	same := len(asked) == len(rows)
	for i := 0; same && i < len(rows); i++ {
		same = asked[i].id == rows[i].ID
	}
	if !same {
		return w.failure(rows[0], "an atomic batch was not decided as a whole and in its order",
			fmt.Sprintf("%d transactions", len(asked)), fmt.Sprintf("%d of them", len(rows)))
	}
	return nil
}

// request finds out what a row was asked for, where no client says so: the
// ledger itself expires holds, and settles them by reports.
func (w *window) request(r *row) error {
	if r.asked != nil {
		return nil
	}
	h, there := w.model.holds[r.Parent]
	if r.Scope != ledger.System || !there {
		return w.failure(r, "the ledger did by itself what it has no reason for", "", "")
	}
	asked := ledger.Request{Scope: ledger.System, Kind: r.Kind, Wallet: h.wallet, Parent: r.Parent, Reference: h.reference}
	switch r.Kind {
	case ledger.Expire:
		// It names the expiry that was read. Extended since, the hold may be due
		// again by the time of the decision, which is what matters.
		var expiry int64
		if _, err := fmt.Sscanf(r.IdempotencyKey, "expire:"+r.Parent.String()+":%d", &expiry); err != nil || expiry > h.expires.UnixMicro() {
			return w.failure(r, "the key does not follow from the hold and its expiry", h.expires, r.IdempotencyKey)
		}
		asked.IdempotencyKey = fmt.Sprintf("expire:%s:%d", r.Parent, expiry)
	case ledger.Capture, ledger.Release:
		asked.IdempotencyKey = fmt.Sprintf("settle:%s:%s", r.Kind, r.Parent)
		asked.Final = r.Kind == ledger.Capture
	default:
		return w.failure(r, "the ledger did by itself what only others do", "", "")
	}
	r.asked = &asked
	return nil
}

// batch decides rows: one, or those of an atomic batch. Where one of those is
// refused, all are.
func (m *model) batch(rows []*row) ([]*ledger.Transaction, error) {
	var before *memory
	if !rows[0].Batch.IsZero() {
		before = m.memory(rows)
	}
	wanted := make([]*ledger.Transaction, len(rows))
	for i, r := range rows {
		t, failure := m.decide(r.asked, r.CreatedAt)
		if failure != "" {
			return nil, fmt.Errorf("it was decided, and could not be: %s", failure)
		}
		wanted[i] = t
		if t.Rejection == "" || r.Batch.IsZero() {
			continue
		}
		before.restore(m)
		for j, other := range rows {
			reason := ledger.BatchRejected
			if i == j {
				reason = t.Rejection
			}
			if wanted[j], failure = m.refuse(other.asked, reason, r.CreatedAt); failure != "" {
				return nil, fmt.Errorf("it was refused, and could not be: %s", failure)
			}
		}
		break
	}
	return wanted, nil
}

// memory is what rows may change of a model, as it was before.
type memory struct {
	wallets map[ledger.WalletRef]wallet
	holds   map[ledger.TransactionID]hold
	charges map[ledger.TransactionID]charge
	rest    model // keys and system accounts, of which there are few
	ids     []ledger.TransactionID
}

func (m *model) memory(rows []*row) *memory {
	b := &memory{wallets: map[ledger.WalletRef]wallet{}, holds: map[ledger.TransactionID]hold{}, charges: map[ledger.TransactionID]charge{}}
	b.rest = model{keys: maps.Clone(m.keys), system: maps.Clone(m.system)}
	for _, r := range rows {
		for _, ref := range []ledger.WalletRef{r.Wallet, r.To} {
			if w, there := m.wallets[ref]; there {
				b.wallets[ref] = w
			}
		}
		b.ids = append(b.ids, r.ID, r.Parent)
	}
	for _, id := range b.ids {
		if h, there := m.holds[id]; there {
			b.holds[id] = h
		}
		if c, there := m.charges[id]; there {
			b.charges[id] = c
		}
	}
	return b
}

func (b *memory) restore(m *model) {
	for _, id := range b.ids {
		delete(m.holds, id)
		delete(m.charges, id)
	}
	maps.Copy(m.wallets, b.wallets)
	maps.Copy(m.holds, b.holds)
	maps.Copy(m.charges, b.charges)
	m.keys, m.system = b.rest.keys, b.rest.system
}

// rememberHold keeps the hold of a row as it is before the first event of the
// window that touches it.
func (w *window) rememberHold(r *row) {
	id := r.HoldID()
	if id.IsZero() || len(w.holds[id]) > 0 {
		return
	}
	h, there := w.model.holds[id]
	w.holds[id] = append(w.holds[id], holdAt{-1, there, h})
}

// follow writes down how a row left its accounts and its hold.
func (w *window) follow(at int, r *row) {
	stats := w.round.stats
	stats.kinds[r.Kind]++
	if r.Rejection != "" {
		return
	}
	ids := []ledger.AccountID{r.Wallet.Account}
	if r.Kind == ledger.Transfer && r.To.Account != r.Wallet.Account {
		ids = append(ids, r.To.Account)
	}
	for _, id := range ids {
		w.states[id] = append(w.states[id], stateAt{at, w.model.state(id)})
	}
	if id := r.HoldID(); !id.IsZero() {
		w.holds[id] = append(w.holds[id], holdAt{at, true, w.model.holds[id]})
	}
	if r.Kind == ledger.PlaceHold && r.Reference != "" {
		w.byReference[r.Reference] = append(w.byReference[r.Reference], r.ID)
	}
}
