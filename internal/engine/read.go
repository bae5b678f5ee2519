package engine

import (
	"context"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// errUnauthorized is the one answer to wrong credentials, whatever is wrong
// with them, so that nobody can learn which ids exist.
var errUnauthorized = ledger.Errorf(ledger.Unauthorized, "no such key, or it is revoked or expired")

// bounded runs a read of the store, unless too many are under way.
func bounded[T any](e *Engine, read func() (T, error)) (T, error) {
	select {
	case e.reads <- struct{}{}:
		defer func() { <-e.reads }()
		return read()
	default:
		var none T
		return none, ledger.Errorf(ledger.Overloaded, "too many reads are waiting").WithHint("send the request again later")
	}
}

// Authenticate finds the usable key that the credentials open; Unauthorized if
// there is none. An unknown id and a wrong secret take the same path. Where the
// account of the key was read along with it, it is given, too; otherwise it is nil.
func (e *Engine) Authenticate(ctx context.Context, credentials ledger.Credentials) (_ *ledger.Key, holder *ledger.Holder, _ error) {
	digest := credentials.Digest()
	key, err := e.keys.load(digest, func() (*ledger.Key, error) {
		return bounded(e, func() (key *ledger.Key, err error) {
			key, holder, err = e.store.KeyByDigest(ctx, digest)
			return key, err
		})
	})
	if ledger.CodeOf(err) == ledger.NotFound {
		return nil, nil, errUnauthorized
	}
	if err != nil {
		return nil, nil, err
	}
	if !credentials.Matches(key) || !e.usable(key) {
		return nil, nil, errUnauthorized
	}
	return key, holder, nil
}

// usable is key.Usable now. The clock is read only for a key that can expire:
// on a balance read, each look at it counts.
func (e *Engine) usable(key *ledger.Key) bool {
	if key.ExpiresAt.IsZero() {
		return key.RevokedAt.IsZero()
	}
	return key.Usable(e.now())
}

// Holder reads an account with its wallets; NotFound if there is none. The
// result is shared and must not be changed.
func (e *Engine) Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error) {
	return e.holders.load(id, func() (*ledger.Holder, error) {
		return bounded(e, func() (*ledger.Holder, error) { return e.store.Holder(ctx, id) })
	})
}

// Holders lists accounts with an id above after.
func (e *Engine) Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error) {
	return bounded(e, func() ([]*ledger.Holder, error) { return e.store.Holders(ctx, after, limit) })
}

// Keys lists the keys of an account, or of the operator, with an id above after.
func (e *Engine) Keys(ctx context.Context, owner ledger.AccountID, after string, limit int) ([]*ledger.Key, error) {
	if owner != ledger.Operator {
		if _, err := e.Holder(ctx, owner); err != nil {
			return nil, err
		}
	}
	return bounded(e, func() ([]*ledger.Key, error) { return e.store.Keys(ctx, owner, after, limit) })
}

// Transaction reads a decided transaction, posted or rejected; NotFound if there is none.
func (e *Engine) Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error) {
	return bounded(e, func() (*ledger.Transaction, error) { return e.store.Transaction(ctx, id) })
}

// TransactionsByReference lists the transactions with a reference, oldest
// first: those of an account, or of all for Operator.
func (e *Engine) TransactionsByReference(ctx context.Context, account ledger.AccountID, reference string, after Place, limit int) ([]*ledger.Transaction, error) {
	return bounded(e, func() ([]*ledger.Transaction, error) {
		return e.store.TransactionsByReference(ctx, account, reference, after, limit)
	})
}

// Hold reads a hold; NotFound if there is none.
func (e *Engine) Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error) {
	return bounded(e, func() (*ledger.Hold, error) { return e.store.Hold(ctx, id) })
}

// Holds lists the holds of a wallet in one state, oldest first.
func (e *Engine) Holds(ctx context.Context, wallet ledger.WalletRef, state ledger.HoldState, after Place, limit int) ([]*ledger.Hold, error) {
	return bounded(e, func() ([]*ledger.Hold, error) { return e.store.Holds(ctx, wallet, state, after, limit) })
}

// HoldsByReference lists the latest holds with a reference, open ones first:
// those of an account, or of all for Operator.
func (e *Engine) HoldsByReference(ctx context.Context, wanted HoldReference, limit int) ([]*ledger.Hold, error) {
	return bounded(e, func() ([]*ledger.Hold, error) {
		found, err := e.store.HoldsByReference(ctx, []HoldReference{wanted}, limit)
		if err != nil {
			return nil, err
		}
		return found[0], nil
	})
}
