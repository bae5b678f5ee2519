package httpapi

import (
	"cmp"
	"fmt"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about how the ledger's types read on the wire.

// showTime prints UTC with microseconds; the zero time is left out of replies.
func showTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// showSome prints an amount that is left out where it is zero.
func showSome(a ledger.Amount) string {
	if a == 0 {
		return ""
	}
	return a.String()
}

// convert turns a list of one kind of text into one of another. What is nil
// stays so, because a list that is left out is not an empty one.
func convert[To, From ~string](list []From) []To {
	if list == nil {
		return nil
	}
	converted := make([]To, len(list))
	for i, text := range list {
		converted[i] = To(text)
	}
	return converted
}

func (s *server) showAccount(h *ledger.Holder) api.Account {
	shown := api.Account{
		ID:                int32(h.ID),
		Name:              h.Name,
		Currency:          h.Currency,
		Status:            api.AccountStatus(h.Status),
		ExternalReference: h.ExternalReference,
		Metadata:          api.Metadata(h.Metadata),
		TimeZone:          cmp.Or(h.TimeZone, "UTC"),
		ChargeOn:          convert[api.DeliveryState](h.ChargeOn),
		Wallets:           s.showWallets(h),
		CreatedAt:         showTime(h.CreatedAt),
	}
	if shown.ChargeOn == nil {
		shown.ChargeOn = api.ChargeOn{} // an empty list is a list, not null
	}
	return shown
}

func (s *server) showWallets(h *ledger.Holder) []api.Wallet {
	today := s.engine.Today(h.TimeZone)
	wallets := make([]api.Wallet, len(h.Wallets))
	for i := range h.Wallets {
		wallets[i] = showWallet(&h.Wallets[i], h.Currency, today)
	}
	return wallets
}

func showWallet(w *ledger.Wallet, currency string, today ledger.Day) api.Wallet {
	shown := showPosted(w, currency)
	shown.CreditLimit = w.CreditLimit.String()
	shown.Available = w.Available().String()
	shown.Status = api.WalletStatusActive
	if w.Suspended {
		shown.Status = api.WalletStatusSuspended
	}
	shown.MinAmount = showSome(w.MinAmount)
	shown.MaxAmount = showSome(w.MaxAmount)
	shown.DailySpendCap = showSome(w.Caps.Daily)
	shown.MonthlySpendCap = showSome(w.Caps.Monthly)
	spent := w.Spent.On(today)
	shown.SpentToday = spent.Today.String()
	shown.SpentThisMonth = spent.InMonth.String()
	return shown
}

// showPosted shows what the entries say of a wallet.
func showPosted(w *ledger.Wallet, currency string) api.Wallet {
	return api.Wallet{
		Account:  int32(w.Account),
		Wallet:   string(w.Service),
		Currency: currency,
		Balance:  w.Balance.String(),
		Held:     w.Held.String(),
		Version:  w.Version,
	}
}

// showKey shows a key of an owner whose days begin in a time zone.
func (s *server) showKey(k *ledger.Key, zone string) api.Key {
	shown := api.Key{
		ID:              k.ID,
		Account:         int32(k.Account),
		Scopes:          convert[api.Scope](k.Scopes),
		AllowList:       make([]string, len(k.AllowList)),
		Last4:           k.Last4,
		Status:          api.KeyStatusActive,
		ExpiresAt:       showTime(k.ExpiresAt),
		RevokedAt:       showTime(k.RevokedAt),
		CreatedAt:       showTime(k.CreatedAt),
		DailySpendCap:   showSome(k.Caps.Daily),
		MonthlySpendCap: showSome(k.Caps.Monthly),
	}
	for i, network := range k.AllowList {
		shown.AllowList[i] = network.String()
	}
	if !k.RevokedAt.IsZero() {
		shown.Status = api.KeyStatusRevoked
	} else if !k.Usable(s.engine.Now()) {
		shown.Status = api.KeyStatusExpired
	}
	if k.Caps != (ledger.Caps{}) {
		spent := k.Spent.On(s.engine.Today(zone))
		shown.SpentToday, shown.SpentThisMonth = spent.Today.String(), spent.InMonth.String()
	}
	return shown
}

// showTransaction depends on stored fields alone, so that a replay reads as the
// first reply did, to the byte.
func showTransaction(t *ledger.Transaction) api.Transaction {
	shown := api.Transaction{
		ID:        t.ID.String(),
		Status:    api.TransactionStatusPosted,
		Type:      api.TransactionType(t.Kind),
		Account:   int32(t.Wallet.Account),
		Wallet:    string(t.Wallet.Service),
		ToAccount: int32(t.To.Account),
		ToWallet:  string(t.To.Service),
		Amount:    t.Moved.String(),
		Balance:   t.Balance.String(),
		Held:      t.Held.String(),
		Available: t.Available.String(),
		Reference: t.Reference,
		Metadata:  api.Metadata(t.Metadata),
		CreatedAt: showTime(t.CreatedAt),
		Hold:      showHoldOf(t),
		Batch:     showID(t.Batch),
		SpendCap:  showSpendCap(t.CapLeft),
	}
	if t.Rejection != "" {
		shown.Status = api.TransactionStatusRejected
		shown.Rejection = api.ErrorCode(t.Rejection)
		shown.Amount = t.Amount.String() // what was asked for
	}
	if t.Kind == ledger.Refund {
		shown.Charge = t.Parent.String()
	}
	if t.Kind == ledger.Capture {
		shown.Final = &t.Final
	}
	return shown
}

// showID prints an id; the zero id is left out of replies.
func showID(id ledger.TransactionID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// showHoldOf shows the hold that a transaction is about, as it left it.
func showHoldOf(t *ledger.Transaction) *api.TransactionHold {
	id := t.HoldID()
	switch {
	case id.IsZero():
		return nil
	case t.Rejection != "":
		return &api.TransactionHold{ID: id.String()}
	default:
		return &api.TransactionHold{
			ID:        id.String(),
			Status:    api.HoldStatus(t.HoldState()),
			Remaining: t.Remaining.String(),
			ExpiresAt: showTime(t.ExpiresAt),
		}
	}
}

// showSpendCap shows what the spend caps leave; nil where there are none.
func showSpendCap(left ledger.CapLeft) *api.SpendCap {
	var shown api.SpendCap
	if left.Daily != ledger.NoCap {
		shown.DailyRemaining = left.Daily.String()
	}
	if left.Monthly != ledger.NoCap {
		shown.MonthlyRemaining = left.Monthly.String()
	}
	if shown == (api.SpendCap{}) {
		return nil
	}
	return &shown
}

func showHold(h *ledger.Hold) api.Hold {
	return api.Hold{
		ID:        h.ID.String(),
		Account:   int32(h.Account),
		Wallet:    string(h.Service),
		Status:    api.HoldStatus(h.State),
		Amount:    h.Amount.String(),
		Captured:  h.Captured.String(),
		Remaining: h.Remaining.String(),
		Reference: h.Reference,
		CreatedAt: showTime(h.CreatedAt),
		ExpiresAt: showTime(h.ExpiresAt),
		ClosedAt:  showTime(h.ClosedAt),
	}
}

// showRow shows an entry with the transaction that made it.
func showRow(row *engine.EntryRow) api.StatementRow {
	cause := row.Cause
	shown := api.StatementRow{
		Version:     row.Version,
		CreatedAt:   showTime(row.CreatedAt),
		Transaction: row.Transaction.String(),
		Type:        api.TransactionType(cause.Kind),
		Amount:      row.Amount.String(),
		Balance:     row.Balance.String(),
		Held:        row.Held.String(),
		Reference:   cause.Reference,
		Counterpart: string(cause.Kind.Counterpart()),
		Hold:        showID(cause.HoldID()),
	}
	if cause.Kind == ledger.Refund {
		shown.Charge = cause.Parent.String()
	}
	if cause.Kind == ledger.Transfer {
		other := cause.To
		if other == row.WalletRef {
			other = cause.Wallet
		}
		shown.Counterpart = fmt.Sprintf("%d/%s", other.Account, other.Service)
	}
	return shown
}
