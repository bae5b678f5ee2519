package httpapi

import (
	"sync"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// places bounds how many requests of a costly sort are under way at one time,
// and how many of them are one customer's, so that none can keep all others out.
type places struct {
	most, each int

	mu    sync.Mutex
	taken int
	by    map[ledger.AccountID]int
}

func newPlaces(most, each int) *places {
	return &places{most: most, each: each, by: make(map[ledger.AccountID]int)}
}

// enter takes a place, if there is one for the account; leave gives it back. The
// operator may take all.
func (p *places) enter(account ledger.AccountID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.most || account != ledger.Operator && p.by[account] >= p.each {
		return false
	}
	p.taken++
	p.by[account]++
	return true
}

func (p *places) leave(account ledger.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.by[account]--; p.by[account] == 0 {
		delete(p.by, account)
	}
}
