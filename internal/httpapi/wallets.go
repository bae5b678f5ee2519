package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// clockSkew is how far the clocks of nodes may lie apart.
const clockSkew = 10 * time.Second

// GetWallet answers GET /v1/accounts/{account}/wallets/{wallet}.
func (s *server) GetWallet(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath, params api.GetWalletParams) {
	s.serve(w, r, accountReaders, func(key *ledger.Key) error {
		holder, err := s.holder(r, key, account)
		if err != nil {
			return err
		}
		zone, err := s.zone(params.Tz)
		if err != nil {
			return err
		}
		at, err := parseTime("at", params.At, zone)
		if err != nil {
			return err
		}
		// What is now may not be so then. The time may be that of another node's clock.
		if at.After(s.engine.Now().Add(clockSkew)) {
			return ledger.Errorf(ledger.InvalidRequest, "at must not be in the future").
				WithHint("leave at out to read the wallet as it is")
		}
		ref := ledger.WalletRef{Account: holder.ID, Service: ledger.Service(wallet)}
		if at.IsZero() {
			return s.replyWallet(w, http.StatusOK, holder, ref)
		}
		past, currency, err := s.engine.WalletAt(r.Context(), ref, at)
		if err != nil {
			return err
		}
		shown := showPosted(past, currency)
		shown.At = showTime(at)
		return reply(w, http.StatusOK, shown)
	})
}

func (s *server) replyWallet(w http.ResponseWriter, status int, holder *ledger.Holder, ref ledger.WalletRef) error {
	wallet, ok := holder.Wallet(ref.Service)
	if !ok {
		return ledger.Errorf(ledger.NotFound, "account %d has no such wallet", ref.Account)
	}
	return reply(w, status, showWallet(wallet, holder.Currency, s.engine.Today(holder.TimeZone)))
}

// PutWallet answers PUT /v1/accounts/{account}/wallets/{wallet}.
func (s *server) PutWallet(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath) {
	s.serve(w, r, administrators, func(*ledger.Key) error {
		body, err := decode[api.WalletRequest](w, r)
		if err != nil {
			return err
		}
		change, err := walletChange(&api.WalletPatch{
			CreditLimit:     &body.CreditLimit, // the one member that cannot be left out
			Status:          body.Status,
			MinAmount:       body.MinAmount,
			MaxAmount:       body.MaxAmount,
			DailySpendCap:   body.DailySpendCap,
			MonthlySpendCap: body.MonthlySpendCap,
		})
		if err != nil {
			return err
		}
		ref := ledger.WalletRef{Account: ledger.AccountID(account), Service: ledger.Service(wallet)}
		holder, created, err := s.engine.PutWallet(r.Context(), ref, ledger.Settings{
			CreditLimit: given(change.CreditLimit),
			Suspended:   given(change.Suspended),
			MinAmount:   given(change.MinAmount),
			MaxAmount:   given(change.MaxAmount),
			Caps:        ledger.Caps{Daily: given(change.DailyCap), Monthly: given(change.MonthlyCap)},
		})
		if err != nil {
			return err
		}
		status := http.StatusOK
		if created {
			w.Header().Set("Location", fmt.Sprintf("/v1/accounts/%d/wallets/%s", ref.Account, ref.Service))
			status = http.StatusCreated
		}
		return s.replyWallet(w, status, holder, ref)
	})
}

// given is what a request gives; the zero value where it leaves it out.
func given[T any](value *T) T {
	if value == nil {
		return *new(T)
	}
	return *value
}

// PatchWallet answers PATCH /v1/accounts/{account}/wallets/{wallet}.
func (s *server) PatchWallet(w http.ResponseWriter, r *http.Request, account api.AccountPath, wallet api.WalletPath) {
	s.serve(w, r, administrators, func(*ledger.Key) error {
		body, err := decode[api.WalletPatch](w, r)
		if err != nil {
			return err
		}
		change, err := walletChange(body)
		if err != nil {
			return err
		}
		ref := ledger.WalletRef{Account: ledger.AccountID(account), Service: ledger.Service(wallet)}
		holder, err := s.engine.UpdateWallet(r.Context(), ref, change)
		if err != nil {
			return err
		}
		return s.replyWallet(w, http.StatusOK, holder, ref)
	})
}

// walletChange reads what a request changes of a wallet's settings.
func walletChange(body *api.WalletPatch) (engine.WalletChange, error) {
	var read amounts
	change := engine.WalletChange{
		CreditLimit: read.amount("credit_limit", body.CreditLimit),
		MinAmount:   read.amount("min_amount", body.MinAmount),
		MaxAmount:   read.amount("max_amount", body.MaxAmount),
		DailyCap:    read.amount("daily_spend_cap", body.DailySpendCap),
		MonthlyCap:  read.amount("monthly_spend_cap", body.MonthlySpendCap),
	}
	if read.err != nil {
		return change, read.err
	}
	if body.Status != nil {
		if !body.Status.Valid() {
			return change, ledger.Errorf(ledger.InvalidRequest, "status must be active or suspended")
		}
		suspended := *body.Status == api.WalletStatusSuspended
		change.Suspended = &suspended
	}
	return change, nil
}
