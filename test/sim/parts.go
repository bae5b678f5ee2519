package sim

import (
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about readings of an account that several nodes write at a time.
// Its wallets, and the account itself, are parts that each have an order, while
// commits about different parts may become visible in either order. So a reading
// is right if there is a place in the order of each part at which
//
//   - the part was as it was read, no earlier than what was known when the
//     reading began, and not later than what was written before it ended;
//   - each commit is seen in all the parts that it is about, or in none, and no
//     half of a commit is seen;
//   - nothing is seen that was written after something was known which is not.

// step is a part of an account as an event left it; the first is that of before.
type step struct {
	*event

	position int
	state    accountState
}

// partsOf are the parts of an account.
func (w *window) partsOf(id ledger.AccountID) []ledger.WalletRef {
	parts := []ledger.WalletRef{{Account: id}}
	for _, service := range services {
		parts = append(parts, ledger.WalletRef{Account: id, Service: service})
	}
	return parts
}

// history gives the steps of each part of an account in this window.
func (w *window) history(id ledger.AccountID) map[ledger.WalletRef][]step {
	if history, there := w.histories[id]; there {
		return history
	}
	states := w.states[id]
	if len(states) == 0 {
		states = []stateAt{{-1, w.model.state(id)}}
	}
	history := map[ledger.WalletRef][]step{}
	for _, part := range w.partsOf(id) {
		history[part] = append(history[part], step{event: &event{attempt: &attempt{}}, position: -1, state: states[0].accountState})
	}
	for _, s := range states[1:] {
		e := &w.events[s.position]
		for _, part := range w.parts(e) {
			if part.Account == id {
				history[part] = append(history[part], step{event: e, position: s.position, state: s.accountState})
			}
		}
	}
	w.histories[id] = history
	return history
}

// readParts checks what was read of an account, or changed and read again: then
// it is not of one moment, for only what is changed is locked.
func (w *window) readParts(r *record, id ledger.AccountID, atOnce bool) error {
	history := w.history(id)
	parts := w.partsOf(id)
	candidates := make([][]int, len(parts))
	for i, part := range parts {
		low, high := w.span(r, part)
		steps := history[part]
		for j, s := range steps {
			last := j == len(steps)-1
			switch {
			case s.position > high && j > 0, !last && steps[j+1].position <= low, !last && steps[j+1].attempt == s.attempt:
			case s.state.samePart(part.Service, r.holder):
				candidates[i] = append(candidates[i], j)
			}
		}
		if len(candidates[i]) == 0 {
			return w.wrong(r, w.lastOf(id), atNoMoment, fmt.Sprintf("%q as in one of the events %d to %d: %+v", part.Service, low, high, steps[len(steps)-1].state),
				fmt.Sprintf("%+v", *r.holder))
		}
	}
	if atOnce && !atOneMoment(history, parts, candidates, nil) {
		return w.wrong(r, w.lastOf(id), "of an account parts were read that did not belong together", fmt.Sprintf("%+v", candidates), fmt.Sprintf("%+v", *r.holder))
	}
	return nil
}

// atOneMoment tells whether there is a choice of a candidate for each part, after
// those that are chosen already, by which everything was read at once.
func atOneMoment(history map[ledger.WalletRef][]step, parts []ledger.WalletRef, candidates [][]int, chosen []int) bool {
	if n := len(chosen); n < len(parts) {
		for _, candidate := range candidates[n] {
			if atOneMoment(history, parts, candidates, append(chosen, candidate)) {
				return true
			}
		}
		return false
	}
	seen := map[*attempt]bool{}
	newest, missing := int64(0), int64(beyondAll)
	for i, part := range parts {
		for j, s := range history[part][1:] {
			sees := j+1 <= chosen[i]
			if before, there := seen[s.attempt]; there && before != sees {
				return false
			}
			seen[s.attempt] = sees
			if sees {
				newest = max(newest, s.written)
			} else {
				missing = min(missing, s.known)
			}
		}
	}
	return newest < missing
}

// samePart tells whether what the ledger says of a part of an account is this state.
func (s *accountState) samePart(service ledger.Service, h *ledger.Holder) bool {
	if service == "" {
		return s.sameAccount(h)
	}
	var here, there *wallet
	for i := range s.wallets {
		if s.wallets[i].service == service {
			here = &s.wallets[i].wallet
		}
	}
	for i := range h.Wallets {
		if h.Wallets[i].Service == service {
			there = new(seen(&h.Wallets[i], never(time.UTC)))
		}
	}
	if here == nil || there == nil {
		return here == there
	}
	return *here == *there
}
