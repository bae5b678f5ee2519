package httpapi

import (
	"net/http"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// PostTransaction answers POST /v1/transactions. The reply to a retry is built
// from what was stored with the first, so the two are the same to the byte.
func (s *server) PostTransaction(w http.ResponseWriter, r *http.Request, params api.PostTransactionParams) {
	key, err := s.authenticate(w, r)
	if err == nil {
		err = requireScope(key, ledger.ScopeTransactionsWrite)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	request, err := readRequest(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	request.Scope = key.Account
	request.IdempotencyKey = params.IdempotencyKey
	transaction, replayed, err := s.engine.Post(r.Context(), request)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if err := transaction.Err(); err != nil {
		s.failTransaction(w, r, err, transaction.ID.String())
		return
	}
	w.Header().Set("Location", "/v1/transactions/"+transaction.ID.String())
	reply(w, http.StatusCreated, showTransaction(transaction))
}

// readRequest reads a movement from the body. What it asks for is checked by
// the ledger's own rules, not here.
func readRequest(w http.ResponseWriter, r *http.Request) (ledger.Request, error) {
	var body api.TransactionRequest
	if err := decode(w, r, &body); err != nil {
		return ledger.Request{}, err
	}
	amount, err := parseAmount("amount", body.Amount)
	if err != nil {
		return ledger.Request{}, err
	}
	request := ledger.Request{
		Kind:      ledger.Kind(body.Type),
		Wallet:    ledger.WalletRef{Account: ledger.AccountID(body.Account), Service: ledger.Service(body.Wallet)},
		To:        ledger.WalletRef{Account: ledger.AccountID(body.ToAccount), Service: ledger.Service(body.ToWallet)},
		Amount:    amount,
		Reference: body.Reference,
		Metadata:  ledger.Metadata(body.Metadata),
	}
	// Between two accounts a transfer usually stays within one service.
	if request.Kind == ledger.Transfer && request.To.Service == "" {
		request.To.Service = request.Wallet.Service
	}
	return request, nil
}

// GetTransaction answers GET /v1/transactions/{id}. To a customer, a
// transaction of another account does not exist.
func (s *server) GetTransaction(w http.ResponseWriter, r *http.Request, text api.TransactionID) {
	key, err := s.authenticate(w, r)
	if err == nil {
		err = requireScope(key, ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	id, err := ledger.ParseTransactionID(text)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	transaction, err := s.engine.Transaction(r.Context(), id)
	if err == nil && key.Account != ledger.Operator && transaction.Wallet.Account != key.Account {
		err = ledger.Errorf(ledger.NotFound, "there is no transaction %s", id)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, showTransaction(transaction))
}
