package engine

import (
	"context"
	"errors"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// ErrCommitUnknown is in the chain of an error from Store.Write when the
// transaction may or may not have been committed, a connection lost during
// COMMIT for example. The idempotency keys tell which, once the store answers again.
var ErrCommitUnknown = errors.New("commit outcome unknown")

// Store keeps a ledger. Package storetest is the suite that every store passes.
//
// Failures that a caller caused (nothing found, a name taken) are *ledger.Error;
// any other error is a fault of the store.
type Store interface {
	Reader
	// Write runs fn in one transaction and returns once it is durable. When fn
	// or the commit fails, nothing of it is kept. fn may run more than once, so
	// it must not change anything but the transaction and what it computes anew.
	Write(ctx context.Context, fn func(Tx) error) error
	// Exclusive tells whether this process is the only writer, so that what it
	// has committed or read may be cached and decided upon.
	Exclusive() bool
}

// Reader is the reading side of a store. It sees committed data only.
type Reader interface {
	// Holder reads an account with all its wallets; NotFound if there is none.
	Holder(ctx context.Context, id ledger.AccountID) (*ledger.Holder, error)
	// Holders lists accounts with an id above after, in order of their ids.
	Holders(ctx context.Context, after ledger.AccountID, limit int) ([]*ledger.Holder, error)
	// KeyByDigest finds a key by its digest; NotFound if there is none. A store
	// for which that costs less than another reading gives the key's account, too.
	KeyByDigest(ctx context.Context, digest ledger.Hash) (*ledger.Key, *ledger.Holder, error)
	// Keys lists an owner's keys with an id above after, in order of their ids.
	Keys(ctx context.Context, owner ledger.AccountID, after string, limit int) ([]*ledger.Key, error)
	// Transaction reads a decided transaction; NotFound if there is none.
	Transaction(ctx context.Context, id ledger.TransactionID) (*ledger.Transaction, error)
	// TransactionsByReference lists the transactions with a reference, those of
	// an account or, for Operator, of all, after a place in time, oldest first.
	TransactionsByReference(ctx context.Context, account ledger.AccountID, reference string, after Place, limit int) ([]*ledger.Transaction, error)
	// Hold reads a hold; NotFound if there is none.
	Hold(ctx context.Context, id ledger.TransactionID) (*ledger.Hold, error)
	// Holds lists the holds of a wallet in one state after a place in time, oldest first.
	Holds(ctx context.Context, wallet ledger.WalletRef, state ledger.HoldState, after Place, limit int) ([]*ledger.Hold, error)
	// HoldsByReference finds the holds with each reference, at most limit, open
	// ones first and then the latest.
	HoldsByReference(ctx context.Context, wanted []HoldReference, limit int) ([][]*ledger.Hold, error)
	// DueHolds lists open holds that expire at a time or before it, those that
	// are due longest first.
	DueHolds(ctx context.Context, at time.Time, limit int) ([]*ledger.Hold, error)
	// Entry reads the entry at a place in a wallet's chain; NotFound if there is none.
	Entry(ctx context.Context, wallet ledger.WalletRef, version int64) (*ledger.Entry, error)
	// Entries lists a wallet's entries with a version above after and up to
	// until, each with the transaction that caused it, in their order.
	Entries(ctx context.Context, wallet ledger.WalletRef, after, until int64, limit int) ([]EntryRow, error)
	// Usage adds up what was charged and refunded, in order of the rows' keys.
	Usage(ctx context.Context, query UsageQuery) ([]UsageRow, error)
	// LastCommit is the latest creation time of any transaction, zero in an empty ledger.
	LastCommit(ctx context.Context) (time.Time, error)
	// Ping tells whether the store answers.
	Ping(ctx context.Context) error
	// Snapshot runs fn over one consistent state of the whole ledger.
	Snapshot(ctx context.Context, fn func(Snapshot) error) error
}

// Tx is a write transaction. Every method takes and gives many at once, so that
// a batch costs a store few statements.
type Tx interface {
	// Lock locks the wallets, which are in order and distinct, and reads their
	// accounts, each with all its wallets. What does not exist is left out.
	Lock(ctx context.Context, wallets []ledger.WalletRef) (map[ledger.AccountID]*ledger.Holder, error)
	// Latest is the time of the latest entry in the locked wallets, or a later
	// one, which a process with another clock may have written. It is zero where
	// this process is the only writer, and knows by itself.
	Latest() time.Time
	// Decided reads the transactions among ids that are already decided.
	Decided(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Transaction, error)
	// Holds reads holds. Their wallets are locked. What does not exist is left out.
	Holds(ctx context.Context, ids []ledger.TransactionID) (map[ledger.TransactionID]*ledger.Hold, error)
	// Refunded reads how much of each charge was given back so far. Their wallets
	// are locked. Those of which nothing was are left out.
	Refunded(ctx context.Context, charges []ledger.TransactionID) (map[ledger.TransactionID]ledger.Amount, error)
	// LockKeys locks keys, which are in order and distinct, and reads them. What
	// does not exist is left out.
	LockKeys(ctx context.Context, ids []string) (map[string]*ledger.Key, error)
	// Append writes a batch of decisions.
	Append(ctx context.Context, batch *Batch) error

	// InsertAccount adds an account with its wallets. An id of 0 is replaced by
	// a free one. Conflict if the id or the external reference is taken.
	InsertAccount(ctx context.Context, holder *ledger.Holder) error
	// UpdateAccount replaces what may change of an account: name, status,
	// external reference, metadata, time zone, charging states. Conflict if the reference is taken.
	UpdateAccount(ctx context.Context, account *ledger.Account) error
	// InsertWallet adds a wallet to an account.
	InsertWallet(ctx context.Context, wallet *ledger.Wallet) error
	// UpdateWallet replaces a wallet's settings.
	UpdateWallet(ctx context.Context, wallet ledger.WalletRef, settings *ledger.Settings) error
	// InsertKey adds a key. Conflict if the id or the pair is taken.
	InsertKey(ctx context.Context, key *ledger.Key) error
	// UpdateKey replaces a key's caps and returns the key; NotFound if there is none.
	UpdateKey(ctx context.Context, id string, caps ledger.Caps) (*ledger.Key, error)
	// RevokeKey marks a key as revoked, keeps an earlier revocation as it is,
	// and returns the key; NotFound if there is none.
	RevokeKey(ctx context.Context, id string, at time.Time) (*ledger.Key, error)
}

// Batch is what one write transaction adds to the ledger.
type Batch struct {
	Transactions []*ledger.Transaction
	Entries      []ledger.Entry
	Wallets      []*ledger.Wallet // each touched wallet once, as it is after the batch
	System       []SystemTotal    // what the batch adds to each system account

	// Each of these that the batch touches stands here once, as it is after it.
	Holds    []*ledger.Hold // old and new ones
	Refunded []*ledger.Refundable
	Keys     []KeySpent
}

// KeySpent is the spend count of a key.
type KeySpent struct {
	ID    string
	Spent ledger.Spent
}

// Place is where a list by time goes on: after the item that was created then
// and has this id. The zero Place is before all.
type Place struct {
	CreatedAt time.Time
	ID        ledger.TransactionID
}

// HoldReference names holds by their reference. An account, or a scope, of
// Operator stands for all.
type HoldReference struct {
	Account   ledger.AccountID
	Scope     ledger.AccountID // whose keys placed them
	Reference string
}

// SystemTotal is the balance of a system account in one currency, or what is added to it.
type SystemTotal struct {
	Account  ledger.SystemAccount
	Currency string
	Total    ledger.Total
}

// Snapshot reads a whole ledger as it was at one moment, a page at a time.
type Snapshot interface {
	// Wallets gives wallets after one, in order of WalletRef.
	Wallets(ctx context.Context, after ledger.WalletRef, limit int) ([]WalletRow, error)
	// Entries gives entries after one, in order of WalletRef and version.
	Entries(ctx context.Context, after ledger.WalletRef, version int64, limit int) ([]EntryRow, error)
	// Transactions gives transactions after one, in order of their ids.
	Transactions(ctx context.Context, after ledger.TransactionID, limit int) ([]TransactionRow, error)
	// System lists the balances of the system accounts.
	System(ctx context.Context) ([]SystemTotal, error)
	// WalletTotals adds up all wallets of each currency.
	WalletTotals(ctx context.Context) ([]WalletTotal, error)
	// Holds gives holds after one (the zero Hold for the first), in order of
	// WalletRef and, within a wallet, in any order that stays the same.
	Holds(ctx context.Context, after *ledger.Hold, limit int) ([]HoldRow, error)
	// Refunds gives charges of which something was refunded, after one, in order of their ids.
	Refunds(ctx context.Context, after ledger.TransactionID, limit int) ([]RefundRow, error)
	// MissingGuards names the triggers that are not in force of those with which
	// the database itself refuses to change history, in order of their names.
	MissingGuards(ctx context.Context) ([]string, error)
}

// WalletTotal is the sum of all wallets of one currency.
type WalletTotal struct {
	Currency string
	Balance  ledger.Total
	Held     ledger.Total
}

// WalletRow is a wallet with its account's currency.
type WalletRow struct {
	ledger.Wallet
	Currency string
}

// EntryRow is an entry with the transaction that caused it, nil where that is missing.
type EntryRow struct {
	ledger.Entry
	Cause *ledger.Transaction
}

// TransactionRow is a transaction with what else stands about it, each nil
// where it is missing: the entries at its versions, and for a refund the row
// that counts the refunds of its charge.
type TransactionRow struct {
	ledger.Transaction
	Entry, ToEntry *ledger.Entry
	Counted        bool // the hold, or the refunded charge, of a posted one has a row
}

// HoldRow is a hold with its transactions in the order in which they were decided.
type HoldRow struct {
	ledger.Hold
	Transactions []ledger.Transaction // the one that placed it first, if it is there
}

// RefundRow is how much of a charge was refunded, with the charge (nil where it
// is missing) and its refunds.
type RefundRow struct {
	ID       ledger.TransactionID
	Refunded ledger.Amount
	Charge   *ledger.Transaction
	Refunds  []ledger.Transaction
}
