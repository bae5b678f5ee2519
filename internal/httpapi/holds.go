package httpapi

import (
	"net/http"
	"slices"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// CreateHold answers POST /v1/holds.
func (s *server) CreateHold(w http.ResponseWriter, r *http.Request, params api.CreateHoldParams) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		body, err := decode[api.HoldRequest](w, r)
		if err != nil {
			return err
		}
		return s.post(w, r, key, "/v1/holds/", &movement{params.IdempotencyKey, api.TransactionRequest{
			Type:      api.TransactionTypeHold,
			Account:   body.Account,
			Wallet:    body.Wallet,
			Amount:    &body.Amount,
			ExpiresIn: body.ExpiresIn,
			Reference: body.Reference,
			Metadata:  body.Metadata,
		}})
	})
}

// CaptureHold answers POST /v1/holds/{id}/capture.
func (s *server) CaptureHold(w http.ResponseWriter, r *http.Request, id api.HoldPath, params api.CaptureHoldParams) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		body, err := decode[api.CaptureRequest](w, r)
		if err != nil {
			return err
		}
		return s.post(w, r, key, "/v1/transactions/", &movement{params.IdempotencyKey, api.TransactionRequest{
			Type:      api.TransactionTypeCapture,
			Hold:      id,
			Amount:    body.Amount,
			Final:     body.Final,
			Reference: body.Reference,
			Metadata:  body.Metadata,
		}})
	})
}

// ReleaseHold answers POST /v1/holds/{id}/release.
func (s *server) ReleaseHold(w http.ResponseWriter, r *http.Request, id api.HoldPath, params api.ReleaseHoldParams) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		body, err := decode[api.ReleaseRequest](w, r)
		if err != nil {
			return err
		}
		return s.post(w, r, key, "/v1/transactions/", &movement{params.IdempotencyKey, api.TransactionRequest{
			Type:      api.TransactionTypeRelease,
			Hold:      id,
			Reference: body.Reference,
			Metadata:  body.Metadata,
		}})
	})
}

// ExtendHold answers POST /v1/holds/{id}/extend.
func (s *server) ExtendHold(w http.ResponseWriter, r *http.Request, id api.HoldPath, params api.ExtendHoldParams) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		body, err := decode[api.ExtendRequest](w, r)
		if err != nil {
			return err
		}
		return s.post(w, r, key, "/v1/transactions/", &movement{params.IdempotencyKey, api.TransactionRequest{
			Type:      api.TransactionTypeExtend,
			Hold:      id,
			ExpiresIn: &body.ExpiresIn,
			Reference: body.Reference,
			Metadata:  body.Metadata,
		}})
	})
}

// GetHold answers GET /v1/holds/{id}. To a customer, a hold of another account
// does not exist.
func (s *server) GetHold(w http.ResponseWriter, r *http.Request, text api.HoldPath) {
	s.serve(w, r, historians, func(key *ledger.Key) error {
		id, err := ledger.ParseTransactionID(text)
		if err != nil {
			return err
		}
		hold, err := s.engine.Hold(r.Context(), id)
		if err != nil {
			return err
		}
		if mayKnow(key, hold.Account) != nil {
			return ledger.Errorf(ledger.NotFound, "there is no hold %s", id)
		}
		return reply(w, http.StatusOK, showHold(hold))
	})
}

// ListHolds answers GET /v1/holds.
func (s *server) ListHolds(w http.ResponseWriter, r *http.Request, params api.ListHoldsParams) {
	s.serve(w, r, historians, func(key *ledger.Key) error {
		account := key.Account // the operator's stands for all
		if params.Account != nil {
			holder, err := s.holder(r, key, *params.Account)
			if err != nil {
				return err
			}
			account = holder.ID
		}
		if params.State != nil && !params.State.Valid() {
			return ledger.Errorf(ledger.InvalidRequest, "state must be open, captured, released or expired")
		}
		size, after, err := placedPage(params.Limit, params.Cursor)
		if err != nil {
			return err
		}
		var holds []*ledger.Hold
		if params.Reference != nil {
			holds, err = s.holdsByReference(r, account, &params, after)
		} else {
			holds, err = s.holdsOfWallet(r, account, &params, after, size+1)
		}
		if err != nil {
			return err
		}
		var page api.HoldPage
		page.Items, page.NextCursor = pageItems(holds, size, showHold,
			func(h *ledger.Hold) string { return cursorAtPlace(h.CreatedAt, h.ID) })
		return reply(w, http.StatusOK, page)
	})
}

// holdsOfWallet lists the holds of a wallet in one state, the open ones unless
// the request names another.
func (s *server) holdsOfWallet(r *http.Request, account ledger.AccountID, params *api.ListHoldsParams, after engine.Place, limit int) ([]*ledger.Hold, error) {
	if account == ledger.Operator || params.Wallet == nil {
		return nil, ledger.Errorf(ledger.InvalidRequest, "account and wallet, or reference, are needed").
			WithHint("such as ?account=1042&wallet=sms; a customer's key need not name its account")
	}
	holder, err := s.engine.Holder(r.Context(), account)
	if err != nil {
		return nil, err
	}
	wallet, ok := holder.Wallet(ledger.Service(*params.Wallet))
	if !ok {
		return nil, ledger.Errorf(ledger.NotFound, "account %d has no such wallet", account)
	}
	state := ledger.HoldOpen
	if params.State != nil {
		state = ledger.HoldState(*params.State)
	}
	return s.engine.Holds(r.Context(), wallet.WalletRef, state, after, limit)
}

// holdsByReference lists the latest holds with a reference, in whatever state
// unless the request names one. A reference should have one hold, or few, so
// that more than a page of them is not worth an index.
func (s *server) holdsByReference(r *http.Request, account ledger.AccountID, params *api.ListHoldsParams, after engine.Place) ([]*ledger.Hold, error) {
	if err := checkReference(*params.Reference); err != nil {
		return nil, err
	}
	wanted := engine.HoldReference{Account: account, Reference: *params.Reference}
	holds, err := s.engine.HoldsByReference(r.Context(), wanted, maxPage)
	if err != nil {
		return nil, err
	}
	place := func(h *ledger.Hold) engine.Place { return engine.Place{CreatedAt: h.CreatedAt, ID: h.ID} }
	holds = slices.DeleteFunc(holds, func(h *ledger.Hold) bool {
		return params.State != nil && h.State != ledger.HoldState(*params.State) ||
			params.Wallet != nil && h.Service != ledger.Service(*params.Wallet) ||
			comparePlaces(place(h), after) <= 0
	})
	slices.SortFunc(holds, func(a, b *ledger.Hold) int { return comparePlaces(place(a), place(b)) })
	return holds, nil
}

func comparePlaces(a, b engine.Place) int {
	if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
		return c
	}
	return slices.Compare(a.ID[:], b.ID[:])
}

// maxReports bounds the body of a settlement, in bytes: a thousand reports with
// the longest references fit in a third of it.
const maxReports = 1 << 20

// SettleHolds answers POST /v1/holds/settle.
func (s *server) SettleHolds(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		reports, err := readReports(w, r)
		if err != nil {
			return err
		}
		settled, err := s.engine.Settle(r.Context(), key.Account, reports)
		if err != nil {
			return err
		}
		settlement := api.Settlement{Items: make([]api.SettledReport, len(settled))}
		for i := range settled {
			settlement.Items[i] = s.showSettled(r, &reports[i], &settled[i])
		}
		return reply(w, http.StatusOK, settlement)
	})
}

// readReports reads delivery reports. One that is not of the right form spoils
// the request, because a reply could not say which one it is by its reference.
func readReports(w http.ResponseWriter, r *http.Request) ([]ledger.DeliveryReport, error) {
	bodies, err := decodeItems(w, r, maxReports)
	if err != nil {
		return nil, err
	}
	if len(bodies) == 0 || len(bodies) > engine.MaxBatch {
		return nil, ledger.Errorf(ledger.InvalidRequest, "1 to %d reports are settled at once", engine.MaxBatch)
	}
	reports := make([]ledger.DeliveryReport, len(bodies))
	for i, body := range bodies {
		report, err := parse[api.DeliveryReport]("report", body)
		if err != nil {
			return nil, &itemError{i, err}
		}
		reports[i] = ledger.DeliveryReport{
			Reference: report.Reference, Status: ledger.DeliveryState(report.Status), Account: ledger.AccountID(report.Account),
		}
	}
	return reports, nil
}

func (s *server) showSettled(r *http.Request, report *ledger.DeliveryReport, settled *engine.Settled) api.SettledReport {
	shown := api.SettledReport{
		Reference: report.Reference,
		Status:    api.DeliveryState(report.Status),
		Outcome:   api.SettlementOutcome(settled.Outcome),
	}
	if settled.Hold != nil {
		shown.Hold = settled.Hold.ID.String()
	}
	if settled.Transaction != nil {
		shown.Transaction = settled.Transaction.ID.String()
		shown.Amount = settled.Transaction.Moved.String()
	}
	if settled.Err != nil {
		shown.Error = s.problem(r.Context(), settled.Err)
	}
	return shown
}
