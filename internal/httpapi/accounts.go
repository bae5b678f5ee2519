package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// CreateAccount answers POST /v1/accounts.
func (s *server) CreateAccount(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, administrators, func(*ledger.Key) error {
		body, err := decode[api.AccountRequest](w, r)
		if err != nil {
			return err
		}
		holder, err := s.engine.CreateAccount(r.Context(), ledger.Account{
			ID:                ledger.AccountID(body.ID),
			Name:              body.Name,
			Currency:          body.Currency,
			ExternalReference: body.ExternalReference,
			Metadata:          ledger.Metadata(body.Metadata),
			TimeZone:          body.TimeZone,
			ChargeOn:          convert[ledger.DeliveryState](body.ChargeOn),
		})
		if err != nil {
			return err
		}
		w.Header().Set("Location", fmt.Sprintf("/v1/accounts/%d", holder.ID))
		return reply(w, http.StatusCreated, s.showAccount(holder))
	})
}

// ListAccounts answers GET /v1/accounts.
func (s *server) ListAccounts(w http.ResponseWriter, r *http.Request, params api.ListAccountsParams) {
	s.serve(w, r, accountants, func(*ledger.Key) error {
		size, after, err := numberedPage(params.Limit, params.Cursor, int64(ledger.MaxAccountID))
		if err != nil {
			return err
		}
		// One more than asked for tells whether there is a next page.
		holders, err := s.engine.Holders(r.Context(), ledger.AccountID(after), size+1)
		if err != nil {
			return err
		}
		var page api.AccountPage
		page.Items, page.NextCursor = pageItems(holders, size, s.showAccount,
			func(h *ledger.Holder) string { return cursorAt(strconv.Itoa(int(h.ID))) })
		return reply(w, http.StatusOK, page)
	})
}

// GetAccount answers GET /v1/accounts/{account}.
func (s *server) GetAccount(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	s.serve(w, r, accountReaders, func(key *ledger.Key) error {
		holder, err := s.holder(r, key, account)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, s.showAccount(holder))
	})
}

// holder reads an account that the key may know of.
func (s *server) holder(r *http.Request, key *ledger.Key, account api.AccountPath) (*ledger.Holder, error) {
	id := ledger.AccountID(account)
	if err := mayKnow(key, id); err != nil {
		return nil, err
	}
	return s.engine.Holder(r.Context(), id)
}

// UpdateAccount answers PATCH /v1/accounts/{account}.
func (s *server) UpdateAccount(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	s.serve(w, r, administrators, func(*ledger.Key) error {
		body, err := decode[api.AccountPatch](w, r)
		if err != nil {
			return err
		}
		if body.TimeZone != nil && *body.TimeZone == "" { // which would be UTC
			return ledger.Errorf(ledger.InvalidRequest, "time_zone cannot be empty").WithHint("write it like Asia/Ho_Chi_Minh or UTC")
		}
		holder, err := s.engine.UpdateAccount(r.Context(), ledger.AccountID(account), engine.AccountChange{
			Name:              body.Name,
			Status:            (*ledger.Status)(body.Status),
			ExternalReference: body.ExternalReference,
			Metadata:          body.Metadata,
			TimeZone:          body.TimeZone,
			ChargeOn:          convert[ledger.DeliveryState](body.ChargeOn),
		})
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, s.showAccount(holder))
	})
}

// GetBalance answers GET /v1/balance.
func (s *server) GetBalance(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, balanceReaders, func(key *ledger.Key) error {
		if key.Account == ledger.Operator {
			return ledger.Errorf(ledger.Forbidden, "an operator's key has no account of its own").
				WithHint("read /v1/accounts/{account}")
		}
		holder, err := s.engine.Holder(r.Context(), key.Account)
		if err != nil {
			return err
		}
		return reply(w, http.StatusOK, api.Balance{
			Account:  int32(holder.ID),
			Currency: holder.Currency,
			Status:   api.AccountStatus(holder.Status),
			Wallets:  s.showWallets(holder),
		})
	})
}
