package sim

import (
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// change is one thing that the operator changes; of account, wallet, put and
// caps exactly one is set.
type change struct {
	target target
	// create is an account that is made, or newKey a key: both before the clients start.
	create  *ledger.Account
	newKey  *ledger.Key
	account *engine.AccountChange
	service ledger.Service // of wallet and put
	wallet  *engine.WalletChange
	put     *ledger.Settings
	caps    *ledger.Caps
}

// target is what a change is about. Only one change of a target is under way at
// a time, so that what the store writes can be told to be that change.
type target struct {
	account ledger.AccountID // 0 where a key is changed
	key     string
}

// accountState is an account with its wallets at one moment.
type accountState struct {
	account

	wallets []walletState // in order of their services
}

type walletState struct {
	service ledger.Service
	wallet
}

// state gives an account as it is now.
func (m *model) state(id ledger.AccountID) accountState {
	s := accountState{account: m.accounts[id]}
	for _, service := range services {
		if w, there := m.wallets[ledger.WalletRef{Account: id, Service: service}]; there {
			s.wallets = append(s.wallets, walletState{service, w})
		}
	}
	return s
}

// apply lets the model follow a change, unless it is refused.
func (m *model) apply(c *change) ledger.Code {
	switch {
	case c.newKey != nil:
		m.keys[c.target.key] = key{owner: c.newKey.Account, daily: int64(c.newKey.Caps.Daily), monthly: int64(c.newKey.Caps.Monthly)}
		return ""
	case c.caps != nil:
		k, there := m.keys[c.target.key]
		if !there {
			return ledger.NotFound
		}
		k.daily, k.monthly = int64(c.caps.Daily), int64(c.caps.Monthly)
		m.keys[c.target.key] = k
		return ""
	case c.create != nil:
		m.create(c.create)
		return ""
	}
	s := m.state(c.target.account)
	if code := s.apply(c); code != "" {
		return code
	}
	m.accounts[c.target.account] = s.account
	for _, w := range s.wallets {
		m.wallets[ledger.WalletRef{Account: c.target.account, Service: w.service}] = w.wallet
	}
	return ""
}

func (m *model) create(a *ledger.Account) {
	m.accounts[a.ID] = account{
		name: a.Name, currency: a.Currency, status: ledger.Active, zoneName: a.TimeZone, zone: zone(a.TimeZone),
		chargeOn: a.ChargeOn,
	}
	for _, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
		m.wallets[ledger.WalletRef{Account: a.ID, Service: service}] = wallet{}
	}
}

// zone gives a time zone that the simulation uses, which there is.
func zone(name string) *time.Location {
	at, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return at
}

// apply changes a state, or says why it must not be changed so.
func (s *accountState) apply(c *change) ledger.Code {
	if s.currency == "" {
		return ledger.NotFound // every account has one
	}
	if c.account != nil {
		return s.applyAccount(c.account)
	}
	at := slices.IndexFunc(s.wallets, func(w walletState) bool { return w.service == c.service })
	if at < 0 && c.put == nil {
		return ledger.NotFound
	}
	var w wallet
	if at >= 0 {
		w = s.wallets[at].wallet
	}
	w.change(c)
	switch {
	case w.limit < 0 || w.least < 0 || w.most < 0 || w.daily < 0 || w.monthly < 0, w.most > 0 && w.least > w.most:
		return ledger.InvalidRequest
	case !w.fits():
		return ledger.AmountOutOfRange
	}
	if at < 0 {
		s.wallets = append(s.wallets, walletState{service: c.service})
		slices.SortFunc(s.wallets, func(a, b walletState) int { return slices.Compare([]byte(a.service), []byte(b.service)) })
		at = slices.IndexFunc(s.wallets, func(w walletState) bool { return w.service == c.service })
	}
	s.wallets[at].wallet = w
	return ""
}

func (s *accountState) applyAccount(c *engine.AccountChange) ledger.Code {
	after := s.account
	if c.Status != nil {
		after.status = *c.Status
		held := func(w walletState) bool { return w.held > 0 }
		if after.status == ledger.Closed && slices.ContainsFunc(s.wallets, held) {
			return ledger.Conflict
		}
	}
	if c.Name != nil {
		after.name = *c.Name
	}
	if c.TimeZone != nil {
		after.zoneName, after.zone = *c.TimeZone, zone(*c.TimeZone)
	}
	if c.ChargeOn != nil {
		after.chargeOn = c.ChargeOn
	}
	s.account = after
	return ""
}

// change sets what a change names of the settings.
func (w *wallet) change(c *change) {
	if c.put != nil {
		w.settings = settings{
			limit: int64(c.put.CreditLimit), suspended: c.put.Suspended, least: int64(c.put.MinAmount), most: int64(c.put.MaxAmount),
			daily: int64(c.put.Caps.Daily), monthly: int64(c.put.Caps.Monthly),
		}
		return
	}
	for at, to := range map[*int64]*ledger.Amount{
		&w.limit: c.wallet.CreditLimit, &w.least: c.wallet.MinAmount, &w.most: c.wallet.MaxAmount,
		&w.daily: c.wallet.DailyCap, &w.monthly: c.wallet.MonthlyCap,
	} {
		if to != nil {
			*at = int64(*to)
		}
	}
	if c.wallet.Suspended != nil {
		w.suspended = *c.wallet.Suspended
	}
}

// same tells whether what the ledger says of an account is this state. Counts of
// what was spent are compared as a day finds them.
func (s *accountState) same(h *ledger.Holder, day func(*time.Location) int) bool {
	if !s.sameAccount(h) || len(h.Wallets) != len(s.wallets) {
		return false
	}
	for i := range h.Wallets {
		if h.Wallets[i].Service != s.wallets[i].service || seen(&h.Wallets[i], day(s.zone)) != s.wallets[i].onDay(day(s.zone)) {
			return false
		}
	}
	return true
}

// sameAccount is same without the wallets.
func (s *accountState) sameAccount(h *ledger.Holder) bool {
	return h.Name == s.name && h.Currency == s.currency && h.Status == s.status && h.TimeZone == s.zoneName && slices.Equal(h.ChargeOn, s.chargeOn)
}

// onDay is the wallet with its counts as a day finds them.
func (w walletState) onDay(day int) wallet {
	w.spent = w.spent.on(day)
	return w.wallet
}

// seen is a wallet of the ledger in the terms of the model.
func seen(w *ledger.Wallet, day int) wallet {
	return wallet{
		settings: settings{
			limit: int64(w.CreditLimit), suspended: w.Suspended, least: int64(w.MinAmount), most: int64(w.MaxAmount),
			daily: int64(w.Caps.Daily), monthly: int64(w.Caps.Monthly),
		},
		balance: int64(w.Balance), held: int64(w.Held), version: w.Version, spent: seenCount(w.Spent, day),
	}
}

func seenCount(s ledger.Spent, day int) count {
	return count{day: int(s.Day), today: int64(s.Today), month: int64(s.InMonth)}.on(day)
}
