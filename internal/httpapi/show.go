package httpapi

import (
	"encoding/base64"
	"time"

	"github.com/saldo-ledger/saldo/api"
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

func showAccount(h *ledger.Holder) api.Account {
	return api.Account{
		ID:                int32(h.ID),
		Name:              h.Name,
		Currency:          h.Currency,
		Status:            api.AccountStatus(h.Status),
		ExternalReference: h.ExternalReference,
		Metadata:          api.Metadata(h.Metadata),
		Wallets:           showWallets(h),
		CreatedAt:         showTime(h.CreatedAt),
	}
}

func showWallets(h *ledger.Holder) []api.Wallet {
	wallets := make([]api.Wallet, len(h.Wallets))
	for i := range h.Wallets {
		wallets[i] = showWallet(&h.Wallets[i], h.Currency)
	}
	return wallets
}

func showWallet(w *ledger.Wallet, currency string) api.Wallet {
	return api.Wallet{
		Account:     int32(w.Account),
		Wallet:      string(w.Service),
		Currency:    currency,
		Balance:     w.Balance.String(),
		Held:        w.Held.String(),
		CreditLimit: w.CreditLimit.String(),
		Available:   w.Available().String(),
		Version:     w.Version,
	}
}

func showKey(k *ledger.Key) api.Key {
	shown := api.Key{
		ID:        k.ID,
		Account:   int32(k.Account),
		Scopes:    make([]api.Scope, len(k.Scopes)),
		AllowList: make([]string, len(k.AllowList)),
		Last4:     k.Last4,
		Status:    api.KeyStatusActive,
		ExpiresAt: showTime(k.ExpiresAt),
		RevokedAt: showTime(k.RevokedAt),
		CreatedAt: showTime(k.CreatedAt),
	}
	for i, scope := range k.Scopes {
		shown.Scopes[i] = api.Scope(scope)
	}
	for i, network := range k.AllowList {
		shown.AllowList[i] = network.String()
	}
	if !k.RevokedAt.IsZero() {
		shown.Status = api.KeyStatusRevoked
	} else if !k.Usable(time.Now()) {
		shown.Status = api.KeyStatusExpired
	}
	return shown
}

func showTransaction(t *ledger.Transaction) api.Transaction {
	shown := api.Transaction{
		ID:        t.ID.String(),
		Status:    api.TransactionStatusPosted,
		Type:      api.TransactionType(t.Kind),
		Account:   int32(t.Wallet.Account),
		Wallet:    string(t.Wallet.Service),
		ToAccount: int32(t.To.Account),
		ToWallet:  string(t.To.Service),
		Amount:    t.Amount.String(),
		Balance:   t.Balance.String(),
		Held:      t.Held.String(),
		Available: t.Available.String(),
		Reference: t.Reference,
		Metadata:  api.Metadata(t.Metadata),
		CreatedAt: showTime(t.CreatedAt),
	}
	if t.Rejection != "" {
		shown.Status = api.TransactionStatusRejected
		shown.Rejection = api.ErrorCode(t.Rejection)
	}
	return shown
}

// Pages have 50 items unless a request asks for another number, up to 500.
const (
	defaultPage = 50
	maxPage     = 500
)

var errCursor = ledger.Errorf(ledger.InvalidRequest, "the cursor is not one that a page gave").
	WithHint("start again without a cursor")

// pageOf reads the limit of a page and the key after which it starts.
func pageOf(limit *int, cursor *string) (size int, after string, err error) {
	size = defaultPage
	if limit != nil {
		size = *limit
	}
	if size < 1 || size > maxPage {
		return 0, "", ledger.Errorf(ledger.InvalidRequest, "limit must be between 1 and %d", maxPage)
	}
	if cursor == nil {
		return size, "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*cursor)
	if err != nil || len(text) == 0 {
		return 0, "", errCursor
	}
	return size, string(text), nil
}

// cursorAt makes the cursor of the page after an item. It is opaque, so that
// its content can change.
func cursorAt(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }
