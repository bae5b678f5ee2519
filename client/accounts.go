package client

import (
	"context"
	"iter"

	"github.com/saldo-ledger/saldo/api"
)

// CreateAccount creates an account with its first wallets, sms and voip.
//
// Errors: api.ErrorCodeConflict where the id or the external reference is taken.
func (c *Client) CreateAccount(ctx context.Context, account api.AccountRequest) (api.Account, error) {
	return read[api.Account](c.rest.CreateAccount(ctx, account))
}

// Account reads an account with its wallets.
func (c *Client) Account(ctx context.Context, id api.AccountID) (api.Account, error) {
	return read[api.Account](c.rest.GetAccount(ctx, id))
}

// Accounts reads all accounts in the order of their ids, a page at a time. It
// stops after the first error.
func (c *Client) Accounts(ctx context.Context) iter.Seq2[api.Account, error] {
	return items(func(cursor *string) ([]api.Account, string, error) {
		params := api.ListAccountsParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.AccountPage](c.rest.ListAccounts(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// UpdateAccount changes the members of an account that the patch names.
//
// Errors: api.ErrorCodeConflict where the external reference is taken, and
// where an account that is to be closed has open holds.
func (c *Client) UpdateAccount(ctx context.Context, id api.AccountID, patch api.AccountPatch) (api.Account, error) {
	return read[api.Account](c.rest.UpdateAccount(ctx, id, patch))
}

// PutWallet sets everything that is set on a wallet: what the request leaves
// out gets its default. Where the account has no wallet of this name, an empty
// one is added. UpdateWallet changes one setting and leaves the others alone.
func (c *Client) PutWallet(ctx context.Context, account api.AccountID, wallet string, settings api.WalletRequest) (api.Wallet, error) {
	return read[api.Wallet](c.rest.PutWallet(ctx, account, wallet, settings))
}

// UpdateWallet changes the settings of a wallet that the patch names: the
// credit limit, the status, and the bounds of what may be spent, of which "0"
// is none. They are in force for the next transaction.
//
// Errors: api.ErrorCodeNotFound where the account has no such wallet; none is added.
func (c *Client) UpdateWallet(ctx context.Context, account api.AccountID, wallet string, patch api.WalletPatch) (api.Wallet, error) {
	return read[api.Wallet](c.rest.PatchWallet(ctx, account, wallet, patch))
}

// Wallet reads one wallet of an account.
func (c *Client) Wallet(ctx context.Context, account api.AccountID, wallet string) (api.Wallet, error) {
	return read[api.Wallet](c.rest.GetWallet(ctx, account, wallet, &api.GetWalletParams{}))
}

// WalletAt reads a wallet as it was after its last entry at a time or before
// it. The time is in RFC 3339, or a date such as 2026-11-01, which stands for
// the start of that day in the time zone (an IANA name; "" is UTC).
//
// Such a wallet has its balance, what was held, and its version, and neither a
// credit limit nor what was available: no history is kept of settings.
func (c *Client) WalletAt(ctx context.Context, account api.AccountID, wallet string, at api.TimeOrDate, zone api.TimeZone) (api.Wallet, error) {
	params := api.GetWalletParams{At: given(at), Tz: given(zone)}
	return read[api.Wallet](c.rest.GetWallet(ctx, account, wallet, &params))
}

// Balance reads the account that the client's key belongs to.
//
// Errors: api.ErrorCodeForbidden for an operator's key, which belongs to none.
func (c *Client) Balance(ctx context.Context) (api.Balance, error) {
	return read[api.Balance](c.rest.GetBalance(ctx))
}

// CreateKey creates or imports a key of a customer. The secret in the reply is shown this once.
func (c *Client) CreateKey(ctx context.Context, account api.AccountID, key api.KeyRequest) (api.NewKey, error) {
	return read[api.NewKey](c.rest.CreateAccountKey(ctx, account, key))
}

// Keys reads all keys of a customer, without secrets. It stops after the first error.
func (c *Client) Keys(ctx context.Context, account api.AccountID) iter.Seq2[api.Key, error] {
	return items(func(cursor *string) ([]api.Key, string, error) {
		params := api.ListAccountKeysParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.KeyPage](c.rest.ListAccountKeys(ctx, account, &params))
		return page.Items, page.NextCursor, err
	})
}

// CreateOperatorKey creates or imports a key of the operator. The secret in the reply is shown this once.
func (c *Client) CreateOperatorKey(ctx context.Context, key api.OperatorKeyRequest) (api.NewKey, error) {
	return read[api.NewKey](c.rest.CreateOperatorKey(ctx, key))
}

// OperatorKeys reads all keys of the operator, without secrets. It stops after the first error.
func (c *Client) OperatorKeys(ctx context.Context) iter.Seq2[api.Key, error] {
	return items(func(cursor *string) ([]api.Key, string, error) {
		params := api.ListOperatorKeysParams{Limit: new(pageSize), Cursor: cursor}
		page, err := read[api.KeyPage](c.rest.ListOperatorKeys(ctx, &params))
		return page.Items, page.NextCursor, err
	})
}

// PatchKey changes the spend caps of a key that the patch names; "0" is no cap.
// Nothing else of a key ever changes.
func (c *Client) PatchKey(ctx context.Context, id string, patch api.KeyPatch) (api.Key, error) {
	return read[api.Key](c.rest.PatchKey(ctx, id, patch))
}

// RevokeKey revokes a key for good.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	resp, err := c.rest.RevokeKey(ctx, id)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
