package httpapi

import (
	"net/http"
	"time"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// PostTransaction answers POST /v1/transactions.
func (s *server) PostTransaction(w http.ResponseWriter, r *http.Request, params api.PostTransactionParams) {
	s.serve(w, r, posters, func(key *ledger.Key) error {
		body, err := decode[api.TransactionRequest](w, r)
		if err != nil {
			return err
		}
		return s.post(w, r, key, "/v1/transactions/", &movement{params.IdempotencyKey, *body})
	})
}

// movement is a transaction that is asked for, by a request or as one of a
// batch: api.BatchTransaction, whose members but one are those of the other.
type movement struct {
	IdempotencyKey string `json:"idempotency_key"`
	api.TransactionRequest
}

// post posts a movement and answers the request with it, which can be read under
// path from then on. The reply to a retry is built from what was stored with the
// first, so the two are the same to the byte.
func (s *server) post(w http.ResponseWriter, r *http.Request, key *ledger.Key, path string, asked *movement) error {
	request, err := asked.request(key)
	if err != nil {
		return err
	}
	transaction, replayed, err := s.engine.Post(r.Context(), request)
	if err != nil {
		return err
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	if err := refusal(transaction); err != nil {
		return err
	}
	w.Header().Set("Location", path+transaction.ID.String())
	return reply(w, http.StatusCreated, showTransaction(transaction))
}

// request is what a movement asks of the ledger. Whether it makes sense is
// checked by the ledger's own rules; here stands what those cannot see: whether
// a member was left out, or was there with the value that stands for its absence.
func (m *movement) request(key *ledger.Key) (ledger.Request, error) {
	request := ledger.Request{
		Scope:          key.Account,
		IdempotencyKey: m.IdempotencyKey,
		Kind:           ledger.Kind(m.Type),
		Wallet:         ledger.WalletRef{Account: ledger.AccountID(m.Account), Service: ledger.Service(m.Wallet)},
		To:             ledger.WalletRef{Account: ledger.AccountID(m.ToAccount), Service: ledger.Service(m.ToWallet)},
		Reference:      m.Reference,
		Metadata:       ledger.Metadata(m.Metadata),
	}
	// Between two accounts a transfer usually stays within one service.
	if request.Kind == ledger.Transfer && request.To.Service == "" {
		request.To.Service = request.Wallet.Service
	}
	// Only where there is a cap is it counted what a key spends.
	if key.Caps != (ledger.Caps{}) {
		request.Key = key.ID
	}
	for _, read := range []func(*ledger.Request) error{m.readAmount, m.readParent, m.readExpiry, m.readFinal} {
		if err := read(&request); err != nil {
			return ledger.Request{}, err
		}
	}
	return request, nil
}

func (m *movement) readAmount(request *ledger.Request) (err error) {
	kind := request.Kind
	noAmount := kind == ledger.Release || kind == ledger.Extend || kind == ledger.Expire
	if m.Amount == nil {
		if kind.Valid() && !noAmount && kind != ledger.Capture {
			return ledger.Errorf(ledger.InvalidRequest, "a transaction of type %s needs an amount", kind)
		}
		return nil
	}
	if request.Amount, err = parseAmount("amount", *m.Amount); err != nil {
		return err
	}
	switch {
	case noAmount:
		return ledger.Errorf(ledger.InvalidRequest, "a transaction of type %s has no amount", kind)
	case kind == ledger.Capture && request.Amount == 0:
		return ledger.Errorf(ledger.InvalidRequest, "amount must not be zero").
			WithHint("leave it out to capture all that remains, or release the hold to capture nothing")
	}
	return nil
}

// readParent reads the earlier transaction that a movement is about.
func (m *movement) readParent(request *ledger.Request) (err error) {
	parent := m.Hold
	if request.Kind == ledger.Refund {
		parent = m.Charge
	}
	if other := m.Hold + m.Charge; other != parent {
		return ledger.Errorf(ledger.InvalidRequest, "a refund names a charge, and only what ends or extends a hold names one")
	}
	if parent == "" {
		return nil
	}
	request.Parent, err = parseID(parent)
	return err
}

// parseID reads the id of a transaction, which is never zero: that stands for none.
func parseID(text string) (ledger.TransactionID, error) {
	id, err := ledger.ParseTransactionID(text)
	if err == nil && id.IsZero() {
		err = ledger.Errorf(ledger.NotFound, "there is no transaction %s", id)
	}
	return id, err
}

func (m *movement) readExpiry(request *ledger.Request) error {
	const most = int(ledger.MaxExpiresIn / time.Second)
	switch {
	case m.ExpiresIn == nil && request.Kind == ledger.PlaceHold:
		request.ExpiresIn = ledger.DefaultExpiresIn
	case m.ExpiresIn == nil:
	case *m.ExpiresIn < 1 || *m.ExpiresIn > most:
		return ledger.Errorf(ledger.InvalidRequest, "expires_in must be 1 to %d seconds", most)
	default:
		request.ExpiresIn = time.Duration(*m.ExpiresIn) * time.Second
	}
	return nil
}

func (m *movement) readFinal(request *ledger.Request) error {
	switch {
	case request.Kind == ledger.Capture:
		request.Final = m.Final == nil || *m.Final
	case m.Final != nil:
		return ledger.Errorf(ledger.InvalidRequest, "only a capture can be final")
	}
	return nil
}

// GetTransaction answers GET /v1/transactions/{id}. To a customer, a
// transaction of another account does not exist.
func (s *server) GetTransaction(w http.ResponseWriter, r *http.Request, text api.TransactionID) {
	s.serve(w, r, historians, func(key *ledger.Key) error {
		id, err := ledger.ParseTransactionID(text)
		if err != nil {
			return err
		}
		transaction, err := s.engine.Transaction(r.Context(), id)
		if err != nil {
			return err
		}
		if mayKnow(key, transaction.Wallet.Account) != nil {
			return ledger.Errorf(ledger.NotFound, "there is no transaction %s", id)
		}
		return reply(w, http.StatusOK, showTransaction(transaction))
	})
}

// FindTransactions answers GET /v1/transactions.
func (s *server) FindTransactions(w http.ResponseWriter, r *http.Request, params api.FindTransactionsParams) {
	s.serve(w, r, historians, func(key *ledger.Key) error {
		account := key.Account // the operator's own, or that of all
		if params.Account != nil {
			holder, err := s.holder(r, key, *params.Account)
			if err != nil {
				return err
			}
			account = holder.ID
		}
		size, after, err := placedPage(params.Limit, params.Cursor)
		if err != nil {
			return err
		}
		var found []*ledger.Transaction
		switch {
		case (params.Reference == nil) == (params.IdempotencyKey == nil):
			err = ledger.Errorf(ledger.InvalidRequest, "exactly one of reference and idempotency_key is needed")
		case params.Reference == nil:
			found, err = s.transactionOf(r, account, *params.IdempotencyKey)
		default:
			if err = checkReference(*params.Reference); err == nil {
				found, err = s.engine.TransactionsByReference(r.Context(), account, *params.Reference, after, size+1)
			}
		}
		if err != nil {
			return err
		}
		var page api.TransactionPage
		page.Items, page.NextCursor = pageItems(found, size, showTransaction,
			func(t *ledger.Transaction) string { return cursorAtPlace(t.CreatedAt, t.ID) })
		return reply(w, http.StatusOK, page)
	})
}

// transactionOf finds the transaction that an owner's idempotency key names, if there is one.
func (s *server) transactionOf(r *http.Request, owner ledger.AccountID, idempotencyKey string) ([]*ledger.Transaction, error) {
	transaction, err := s.engine.Transaction(r.Context(), ledger.NewTransactionID(owner, idempotencyKey))
	if ledger.CodeOf(err) == ledger.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []*ledger.Transaction{transaction}, nil
}
