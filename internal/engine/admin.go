package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// CreateAccount adds an account with the wallets sms and voip. Its ID may be 0
// for one that is chosen, and its status is active. Without a time zone it gets
// UTC, and without (nil) charging states the usual ones.
//
// Errors: InvalidRequest; Conflict where the id or the external reference is taken.
func (e *Engine) CreateAccount(ctx context.Context, account ledger.Account) (*ledger.Holder, error) {
	account.Status = ledger.Active
	account.Metadata = kept(account.Metadata)
	account.TimeZone = cmp.Or(account.TimeZone, "UTC")
	if account.ChargeOn == nil {
		account.ChargeOn = ledger.DefaultChargeOn
	}
	checked := account
	if checked.ID == 0 {
		checked.ID = 1 // stands for the id that will be chosen
	}
	if err := checked.Validate(); err != nil {
		return nil, err
	}
	if _, err := e.zones.load(account.TimeZone); err != nil {
		return nil, err
	}
	var holder *ledger.Holder
	err := e.change(ctx, func(ctx context.Context, tx Tx) error {
		holder = &ledger.Holder{Account: account}
		holder.CreatedAt = e.now()
		for _, service := range []ledger.Service{ledger.SMS, ledger.VoIP} {
			holder.Wallets = append(holder.Wallets, ledger.Wallet{WalletRef: ledger.WalletRef{Service: service}})
		}
		return tx.InsertAccount(ctx, holder)
	}, func() { e.holders.put(holder.ID, holder) })
	return given(holder, err)
}

// kept is metadata as a store gives it back: none where it is empty, so that a
// reply reads the same before and after a restart.
func kept(metadata ledger.Metadata) ledger.Metadata {
	if len(metadata) == 0 {
		return nil
	}
	return metadata
}

// given returns a result only where there is no error: a caller that gave up
// must not read what the committer may still be writing.
func given[T any](value *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return value, nil
}

// AccountChange says what to change of an account; nil leaves a thing as it is.
type AccountChange struct {
	Name              *string
	Status            *ledger.Status
	ExternalReference *string
	Metadata          ledger.Metadata
	TimeZone          *string
	ChargeOn          []ledger.DeliveryState // not nil, but empty, for none
}

func (c *AccountChange) apply(a *ledger.Account) {
	set(&a.Name, c.Name)
	set(&a.Status, c.Status)
	set(&a.ExternalReference, c.ExternalReference)
	if c.Metadata != nil {
		a.Metadata = kept(c.Metadata)
	}
	set(&a.TimeZone, c.TimeZone)
	if c.ChargeOn != nil {
		a.ChargeOn = c.ChargeOn
	}
}

// UpdateAccount changes an account. A new status is in force for the next request.
//
// Errors: InvalidRequest; NotFound; Conflict where the external reference is taken.
func (e *Engine) UpdateAccount(ctx context.Context, id ledger.AccountID, change AccountChange) (*ledger.Holder, error) {
	var holder *ledger.Holder
	err := e.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		if holder, err = lockAccount(ctx, tx, id); err != nil {
			return err
		}
		if change.Status != nil && *change.Status == ledger.Closed {
			// Another process must not place a hold while this one looks for holds.
			if holder, err = lockAccount(ctx, tx, id, services(holder)...); err != nil {
				return err
			}
		}
		change.apply(&holder.Account)
		if err := e.checkChange(holder, &change); err != nil {
			return err
		}
		e.holders.hold(id)
		return tx.UpdateAccount(ctx, &holder.Account)
	}, func() { e.holders.put(id, holder) })
	return given(holder, err)
}

// checkChange says what is wrong with an account as a change would leave it.
func (e *Engine) checkChange(holder *ledger.Holder, change *AccountChange) error {
	if err := holder.Validate(); err != nil {
		return err
	}
	if _, err := e.zones.load(holder.TimeZone); err != nil {
		return err
	}
	// A closed account takes no movement, so nothing could end its holds.
	open := func(w ledger.Wallet) bool { return w.Held > 0 }
	if change.Status != nil && *change.Status == ledger.Closed && slices.ContainsFunc(holder.Wallets, open) {
		return ledger.Errorf(ledger.Conflict, "the account has open holds").
			WithHint("suspend it, release or capture its holds, then close it")
	}
	return nil
}

// lockAccount reads an account for a change. Every account has the wallet sms,
// so locking that one orders the changes of an account.
func lockAccount(ctx context.Context, tx Tx, id ledger.AccountID, services ...ledger.Service) (*ledger.Holder, error) {
	refs := []ledger.WalletRef{{Account: id, Service: ledger.SMS}}
	for _, service := range services {
		refs = append(refs, ledger.WalletRef{Account: id, Service: service})
	}
	slices.SortFunc(refs, ledger.WalletRef.Compare)
	holders, err := tx.Lock(ctx, slices.Compact(refs))
	if err != nil {
		return nil, err
	}
	holder, ok := holders[id]
	if !ok {
		return nil, errNoAccount(id)
	}
	return holder, nil
}

// services are the names of an account's wallets.
func services(holder *ledger.Holder) []ledger.Service {
	names := make([]ledger.Service, len(holder.Wallets))
	for i := range holder.Wallets {
		names[i] = holder.Wallets[i].Service
	}
	return names
}

// WalletChange says what to change of a wallet's settings; nil leaves a thing as it is.
type WalletChange struct {
	CreditLimit *ledger.Amount
	Suspended   *bool
	MinAmount   *ledger.Amount
	MaxAmount   *ledger.Amount
	DailyCap    *ledger.Amount
	MonthlyCap  *ledger.Amount
}

func (c *WalletChange) apply(s *ledger.Settings) {
	set(&s.CreditLimit, c.CreditLimit)
	set(&s.Suspended, c.Suspended)
	set(&s.MinAmount, c.MinAmount)
	set(&s.MaxAmount, c.MaxAmount)
	set(&s.Caps.Daily, c.DailyCap)
	set(&s.Caps.Monthly, c.MonthlyCap)
}

// set changes what a change names.
func set[T any](at, to *T) {
	if to != nil {
		*at = *to
	}
}

// UpdateWallet changes settings of a wallet.
//
// Errors: InvalidRequest; NotFound where there is no such wallet; AmountOutOfRange.
func (e *Engine) UpdateWallet(ctx context.Context, ref ledger.WalletRef, change WalletChange) (*ledger.Holder, error) {
	holder, _, err := e.setWallet(ctx, ref, false, change.apply)
	return holder, err
}

// PutWallet replaces the settings of a wallet. A wallet that the account does
// not have yet is added; created tells so.
//
// Errors: InvalidRequest; NotFound where there is no account; AmountOutOfRange.
func (e *Engine) PutWallet(ctx context.Context, ref ledger.WalletRef, settings ledger.Settings) (_ *ledger.Holder, created bool, err error) {
	if err := settings.Validate(); err != nil {
		return nil, false, err
	}
	return e.setWallet(ctx, ref, true, func(s *ledger.Settings) { *s = settings })
}

func (e *Engine) setWallet(ctx context.Context, ref ledger.WalletRef, add bool, apply func(*ledger.Settings)) (*ledger.Holder, bool, error) {
	if !ref.Service.Valid() {
		return nil, false, ledger.Errorf(ledger.InvalidRequest, "%q is not a wallet name", string(ref.Service[:min(len(ref.Service), ledger.MaxServiceLen)])).
			WithHint("a name is 1 to %d of a-z, 0-9, '-' and '_', and starts with a letter", ledger.MaxServiceLen)
	}
	var holder *ledger.Holder
	var created bool
	err := e.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		if holder, err = lockAccount(ctx, tx, ref.Account, ref.Service); err != nil {
			return err
		}
		e.holders.hold(ref.Account)
		wallet, there := holder.Wallet(ref.Service)
		created = !there
		if created && !add {
			return errNoWallet(ref)
		}
		if created {
			wallet = &ledger.Wallet{WalletRef: ref}
		}
		apply(&wallet.Settings)
		if err := wallet.Validate(); err != nil {
			return err
		}
		if err := wallet.Check(); err != nil {
			return err
		}
		if created {
			return addWallet(ctx, tx, holder, *wallet)
		}
		return tx.UpdateWallet(ctx, ref, &wallet.Settings)
	}, func() { e.holders.put(ref.Account, holder) })
	if err != nil {
		return nil, false, err
	}
	return holder, created, nil
}

func addWallet(ctx context.Context, tx Tx, holder *ledger.Holder, wallet ledger.Wallet) error {
	if len(holder.Wallets) >= ledger.MaxWallets {
		return ledger.Errorf(ledger.InvalidRequest, "an account has at most %d wallets", ledger.MaxWallets)
	}
	holder.Wallets = append(holder.Wallets, wallet)
	slices.SortFunc(holder.Wallets, func(a, b ledger.Wallet) int { return a.Compare(b.WalletRef) })
	return tx.InsertWallet(ctx, &wallet)
}

// CreateKey stores a key for the credentials. The secret itself is not kept.
//
// Errors: InvalidRequest; NotFound where there is no account; Conflict where
// the id or the pair is taken.
func (e *Engine) CreateKey(ctx context.Context, key ledger.Key, credentials ledger.Credentials) (*ledger.Key, error) {
	if err := credentials.ValidateImport(); err != nil {
		return nil, err
	}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	key.ID = credentials.ID
	key.Digest = credentials.Digest()
	key.Last4 = credentials.Last4()
	key.CreatedAt = e.now()
	key.ExpiresAt = key.ExpiresAt.UTC().Truncate(time.Microsecond)
	err := e.change(ctx, func(ctx context.Context, tx Tx) error {
		if key.Account != ledger.Operator {
			if _, err := lockAccount(ctx, tx, key.Account); err != nil {
				return err
			}
		}
		return tx.InsertKey(ctx, &key)
	}, func() { e.keys.put(key.Digest, &key) })
	return given(&key, err)
}

// SetKeyCaps replaces the spend caps of a key. Where it had none, what was spent
// before is not counted. NotFound if there is no such key.
func (e *Engine) SetKeyCaps(ctx context.Context, id string, change func(*ledger.Caps)) (*ledger.Key, error) {
	var key *ledger.Key
	err := e.change(ctx, func(ctx context.Context, tx Tx) error {
		found, err := tx.LockKeys(ctx, []string{id})
		if err != nil {
			return err
		}
		current, ok := found[id]
		if !ok {
			return ledger.Errorf(ledger.NotFound, "there is no key with this id")
		}
		caps := current.Caps
		change(&caps)
		if err := caps.Validate(); err != nil {
			return err
		}
		e.keys.hold(current.Digest)
		key, err = tx.UpdateKey(ctx, id, caps)
		return err
	}, func() { e.keys.put(key.Digest, key) })
	return given(key, err)
}

// RevokeKey ends a key for good, in force for the next request. Revoking a
// revoked key changes nothing. NotFound if there is no such key.
func (e *Engine) RevokeKey(ctx context.Context, id string) error {
	var key *ledger.Key
	return e.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		if key, err = tx.RevokeKey(ctx, id, e.now()); err != nil {
			return err
		}
		e.keys.hold(key.Digest)
		return nil
	}, func() { e.keys.put(key.Digest, key) })
}
