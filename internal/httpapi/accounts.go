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
	var body api.AccountRequest
	if _, err := s.operator(w, r, ledger.ScopeAdmin); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := decode(w, r, &body); err != nil {
		s.fail(w, r, err)
		return
	}
	holder, err := s.engine.CreateAccount(r.Context(), ledger.Account{
		ID:                ledger.AccountID(body.ID),
		Name:              body.Name,
		Currency:          body.Currency,
		ExternalReference: body.ExternalReference,
		Metadata:          ledger.Metadata(body.Metadata),
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Location", fmt.Sprintf("/v1/accounts/%d", holder.ID))
	reply(w, http.StatusCreated, showAccount(holder))
}

// ListAccounts answers GET /v1/accounts.
func (s *server) ListAccounts(w http.ResponseWriter, r *http.Request, params api.ListAccountsParams) {
	if _, err := s.operator(w, r, ledger.ScopeAdmin, ledger.ScopeBalanceRead); err != nil {
		s.fail(w, r, err)
		return
	}
	limit, after, err := pageOf(params.Limit, params.Cursor)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	id := 0
	if after != "" {
		if id, err = strconv.Atoi(after); err != nil || id < 0 || id > int(ledger.MaxAccountID) {
			s.fail(w, r, errCursor)
			return
		}
	}
	// One more than asked for tells whether there is a next page.
	holders, err := s.engine.Holders(r.Context(), ledger.AccountID(id), limit+1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := api.AccountPage{Items: []api.Account{}}
	for i, holder := range holders {
		if i == limit {
			page.NextCursor = cursorAt(strconv.Itoa(int(holders[limit-1].ID)))
			break
		}
		page.Items = append(page.Items, showAccount(holder))
	}
	reply(w, http.StatusOK, page)
}

// GetAccount answers GET /v1/accounts/{account}.
func (s *server) GetAccount(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	holder, err := s.readHolder(w, r, account)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, showAccount(holder))
}

func (s *server) readHolder(w http.ResponseWriter, r *http.Request, account api.AccountPath) (*ledger.Holder, error) {
	id := ledger.AccountID(account)
	if err := s.reader(w, r, id); err != nil {
		return nil, err
	}
	return s.engine.Holder(r.Context(), id)
}

// UpdateAccount answers PATCH /v1/accounts/{account}.
func (s *server) UpdateAccount(w http.ResponseWriter, r *http.Request, account api.AccountPath) {
	var body api.AccountPatch
	if _, err := s.operator(w, r, ledger.ScopeAdmin); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := decode(w, r, &body); err != nil {
		s.fail(w, r, err)
		return
	}
	change := engine.AccountChange{
		Name:              body.Name,
		Status:            (*ledger.Status)(body.Status),
		ExternalReference: body.ExternalReference,
		Metadata:          body.Metadata,
	}
	holder, err := s.engine.UpdateAccount(r.Context(), ledger.AccountID(account), change)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, showAccount(holder))
}

// PutWallet answers PUT /v1/accounts/{account}/wallets/{wallet}.
func (s *server) PutWallet(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath) {
	var body api.WalletRequest
	if _, err := s.operator(w, r, ledger.ScopeAdmin); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := decode(w, r, &body); err != nil {
		s.fail(w, r, err)
		return
	}
	limit, err := parseAmount("credit_limit", body.CreditLimit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ref := ledger.WalletRef{Account: ledger.AccountID(account), Service: ledger.Service(wallet)}
	holder, created, err := s.engine.SetCreditLimit(r.Context(), ref, limit)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	status := http.StatusOK
	if created {
		w.Header().Set("Location", fmt.Sprintf("/v1/accounts/%d/wallets/%s", ref.Account, ref.Service))
		status = http.StatusCreated
	}
	s.replyWallet(w, r, status, holder, ref)
}

// GetWallet answers GET /v1/accounts/{account}/wallets/{wallet}.
func (s *server) GetWallet(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath) {
	holder, err := s.readHolder(w, r, account)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.replyWallet(w, r, http.StatusOK, holder, ledger.WalletRef{Account: holder.ID, Service: ledger.Service(wallet)})
}

func (s *server) replyWallet(w http.ResponseWriter, r *http.Request, status int, holder *ledger.Holder, ref ledger.WalletRef) {
	wallet, ok := holder.Wallet(ref.Service)
	if !ok {
		s.fail(w, r, ledger.Errorf(ledger.NotFound, "account %d has no such wallet", ref.Account))
		return
	}
	reply(w, status, showWallet(wallet, holder.Currency))
}

// GetBalance answers GET /v1/balance.
func (s *server) GetBalance(w http.ResponseWriter, r *http.Request) {
	key, err := s.authenticate(w, r)
	if err == nil {
		err = requireScope(key, ledger.ScopeBalanceRead)
	}
	if err == nil && key.Account == ledger.Operator {
		err = ledger.Errorf(ledger.Forbidden, "an operator's key has no account of its own").
			WithHint("read /v1/accounts/{account}")
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	holder, err := s.engine.Holder(r.Context(), key.Account)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, api.Balance{
		Account:  int32(holder.ID),
		Currency: holder.Currency,
		Status:   api.AccountStatus(holder.Status),
		Wallets:  showWallets(holder),
	})
}
