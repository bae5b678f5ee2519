package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

//nolint:gosec // The parts are constants.
var (
	insertWallet = "INSERT INTO wallets " + values("account_id, service, "+walletColumns)
	insertKey    = "INSERT INTO keys " + values(strings.Replace(keyColumns, "coalesce(account_id, 0)", "account_id", 1))
)

func (t *tx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	metadata, err := sqlrow.EncodeMetadata(holder.Metadata)
	if err != nil {
		return err
	}
	if holder.ID == 0 {
		if holder.ID, err = t.freeAccountID(ctx); err != nil {
			return err
		}
	}
	_, err = t.conn.ExecContext(ctx, `INSERT INTO accounts (id, name, currency, status, external_reference, metadata, time_zone, charge_on, created_at)
		VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?, ?, ?)`,
		int64(holder.ID), holder.Name, holder.Currency, string(holder.Status), holder.ExternalReference, metadata,
		holder.TimeZone, sqlrow.JoinWords(holder.ChargeOn), holder.CreatedAt.UnixMicro())
	if err != nil {
		return taken(err, map[string]string{
			"accounts.id":                 fmt.Sprintf("account %d exists already", holder.ID),
			"accounts.external_reference": "another account has this external reference",
		})
	}
	for i := range holder.Wallets {
		holder.Wallets[i].Account = holder.ID
		if err := t.InsertWallet(ctx, &holder.Wallets[i]); err != nil {
			return err
		}
	}
	return nil
}

// firstAccountID is where chosen ids begin; below is room for the operator's own.
const firstAccountID = 10000

// freeAccountID is one above the highest id in use, or, when an operator chose
// ids up to the very end, the lowest that is free from firstAccountID on.
func (t *tx) freeAccountID(ctx context.Context) (ledger.AccountID, error) {
	var id int64
	err := t.conn.QueryRowContext(ctx, `SELECT max(coalesce(max(id), 0) + 1, ?) FROM accounts`, firstAccountID).Scan(&id)
	if err == nil && id > int64(ledger.MaxAccountID) {
		err = t.conn.QueryRowContext(ctx, `SELECT coalesce(min(id), 0) FROM
			(SELECT ? AS id UNION ALL SELECT id + 1 FROM accounts WHERE id >= ? AND id < ?) AS next
			WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = next.id)`,
			firstAccountID, firstAccountID, int64(ledger.MaxAccountID)).Scan(&id)
		if err == nil && id == 0 {
			return 0, ledger.Errorf(ledger.Conflict, "no account id is free")
		}
	}
	return ledger.AccountID(id), err
}

func (t *tx) UpdateAccount(ctx context.Context, a *ledger.Account) error {
	metadata, err := sqlrow.EncodeMetadata(a.Metadata)
	if err != nil {
		return err
	}
	_, err = t.conn.ExecContext(ctx, `UPDATE accounts SET name = ?, status = ?, external_reference = nullif(?, ''), metadata = ?,
		time_zone = ?, charge_on = ? WHERE id = ?`,
		a.Name, string(a.Status), a.ExternalReference, metadata, a.TimeZone, sqlrow.JoinWords(a.ChargeOn), int64(a.ID))
	return taken(err, map[string]string{"accounts.external_reference": "another account has this external reference"})
}

func (t *tx) InsertWallet(ctx context.Context, w *ledger.Wallet) error {
	args := append([]any{int64(w.Account), string(w.Service), int64(w.Balance), int64(w.Held)}, settingsArgs(&w.Settings)...)
	args = append(args, int64(w.Spent.Day), int64(w.Spent.Today), int64(w.Spent.InMonth), w.Version, w.Head[:])
	_, err := t.conn.ExecContext(ctx, insertWallet, args...)
	return err
}

func (t *tx) UpdateWallet(ctx context.Context, ref ledger.WalletRef, settings *ledger.Settings) error {
	_, err := t.conn.ExecContext(ctx, `UPDATE wallets SET credit_limit = ?, suspended = ?, min_amount = ?, max_amount = ?,
		daily_cap = ?, monthly_cap = ? WHERE account_id = ? AND service = ?`,
		append(settingsArgs(settings), int64(ref.Account), string(ref.Service))...)
	return err
}

func (t *tx) InsertKey(ctx context.Context, key *ledger.Key) error {
	_, err := t.conn.ExecContext(ctx, insertKey, keyArgs(key)...)
	return taken(err, map[string]string{
		"keys.id":     fmt.Sprintf("key %s exists already", key.ID),
		"keys.digest": "this pair of id and secret reads the same as that of another key",
	})
}

func (t *tx) UpdateKey(ctx context.Context, id string, caps ledger.Caps) (*ledger.Key, error) {
	return t.changeKey(ctx, "daily_cap = ?, monthly_cap = ?", int64(caps.Daily), int64(caps.Monthly), id)
}

func (t *tx) RevokeKey(ctx context.Context, id string, at time.Time) (*ledger.Key, error) {
	return t.changeKey(ctx, "revoked_at = coalesce(revoked_at, ?)", at.UnixMicro(), id)
}

// changeKey sets columns of a key; args are their values and the key's id.
func (t *tx) changeKey(ctx context.Context, set string, args ...any) (*ledger.Key, error) {
	key, err := scanKey(t.conn.QueryRowContext(ctx, "UPDATE keys SET "+set+" WHERE id = ? RETURNING "+keyColumns, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ledger.Errorf(ledger.NotFound, "there is no such key")
	}
	return key, err
}

// taken turns a violated uniqueness into a Conflict with the message for its
// column. SQLite names the column in its text alone, in a form it keeps stable.
func taken(err error, messages map[string]string) error {
	var failure *sqlite.Error
	if !errors.As(err, &failure) ||
		failure.Code() != sqlite3.SQLITE_CONSTRAINT_UNIQUE && failure.Code() != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		return err
	}
	for column, message := range messages {
		if strings.Contains(failure.Error(), column) {
			return ledger.Errorf(ledger.Conflict, "%s", message)
		}
	}
	return err
}
