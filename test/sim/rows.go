package sim

import (
	"encoding/json"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file reads rows once more than the stores do: what a store's own reading
// and writing get wrong alike would not be seen otherwise.

const transactionColumns = `id, scope, idempotency_key, request_hash, kind, account_id, service, to_account_id, to_service,
	amount, parent, expires_in, final, batch, reference, metadata, rejection, moved, balance, held, available, daily_left, monthly_left,
	remaining, expires_at, version, to_version, created_at`

// scan reads a place and transactionColumns.
func scan(rows interface{ Scan(into ...any) error }) (place int64, t *ledger.Transaction, err error) {
	t = new(ledger.Transaction)
	var id, hash, parent, batch []byte
	var metadata string
	var seconds, created, final int64
	var expires *int64
	err = rows.Scan(&place, &id, &t.Scope, &t.IdempotencyKey, &hash, &t.Kind, &t.Wallet.Account, &t.Wallet.Service, &t.To.Account, &t.To.Service,
		&t.Amount, &parent, &seconds, &final, &batch, &t.Reference, &metadata, &t.Rejection, &t.Moved, &t.Balance, &t.Held, &t.Available,
		&t.CapLeft.Daily, &t.CapLeft.Monthly, &t.Remaining, &expires, &t.Version, &t.ToVersion, &created)
	if err != nil {
		return 0, nil, err
	}
	copy(t.ID[:], id)
	copy(t.RequestHash[:], hash)
	copy(t.Parent[:], parent)
	copy(t.Batch[:], batch)
	t.Final = final != 0
	t.ExpiresIn = time.Duration(seconds) * time.Second
	t.CreatedAt = time.UnixMicro(created).UTC()
	if expires != nil {
		t.ExpiresAt = time.UnixMicro(*expires).UTC()
	}
	if metadata != "" {
		err = json.Unmarshal([]byte(metadata), &t.Metadata)
	}
	return place, t, err
}
