package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/sqlrow"
)

// values is the list of the parameters of an INSERT.
func values(columns string) string {
	var text strings.Builder
	for i := range strings.Count(columns, ",") + 1 {
		fmt.Fprintf(&text, ", $%d", i+1)
	}
	return "(" + columns + ") VALUES (" + text.String()[2:] + ")"
}

var (
	insertAccount = "INSERT INTO accounts " + values("id, name, currency, status, external_reference, metadata, time_zone, charge_on, created_at") +
		" ON CONFLICT (id) DO NOTHING"
	insertWallet = "INSERT INTO wallets " + values("account_id, service, "+walletColumns)
	insertKey    = "INSERT INTO keys " + values(strings.Replace(keyColumns, "coalesce(account_id, 0)", "account_id", 1))
)

func (t *tx) InsertAccount(ctx context.Context, holder *ledger.Holder) error {
	metadata, err := sqlrow.EncodeMetadata(holder.Metadata)
	if err != nil {
		return err
	}
	for chosen := holder.ID; ; {
		if chosen == 0 {
			if holder.ID, err = t.freeAccountID(ctx); err != nil {
				return err
			}
		}
		done, err := t.conn.Exec(ctx, insertAccount, int32(holder.ID), holder.Name, holder.Currency, string(holder.Status),
			textArg(holder.ExternalReference), metadata, holder.TimeZone, sqlrow.JoinWords(holder.ChargeOn), holder.CreatedAt.UnixMicro())
		switch {
		case err != nil:
			return taken(err)
		case done.RowsAffected() == 1:
			return t.insertWallets(ctx, holder)
		case chosen != 0:
			return ledger.Errorf(ledger.Conflict, "account %d exists already", holder.ID)
		}
		// Another node was given the same id, and has committed.
	}
}

func (t *tx) insertWallets(ctx context.Context, holder *ledger.Holder) error {
	for i := range holder.Wallets {
		holder.Wallets[i].Account = holder.ID
		if err := t.InsertWallet(ctx, &holder.Wallets[i]); err != nil {
			return err
		}
	}
	return nil
}

// textArg is a text, or NULL for none.
func textArg(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// firstAccountID is where chosen ids begin; below is room for the operator's own.
const firstAccountID = 10000

// freeAccountID is one above the highest id in use, or, when an operator chose
// ids up to the very end, the lowest that is free from firstAccountID on.
func (t *tx) freeAccountID(ctx context.Context) (ledger.AccountID, error) {
	var id int64
	err := t.conn.QueryRow(ctx, "SELECT greatest(coalesce(max(id), 0)::bigint + 1, $1::bigint) FROM accounts", int64(firstAccountID)).Scan(&id)
	if err == nil && id > int64(ledger.MaxAccountID) {
		err = t.conn.QueryRow(ctx, `SELECT coalesce(min(next.id), 0) FROM
			(SELECT $1::bigint AS id UNION ALL SELECT id::bigint + 1 FROM accounts WHERE id >= $1 AND id < $2::bigint) AS next
			WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = next.id)`,
			int64(firstAccountID), int64(ledger.MaxAccountID)).Scan(&id)
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
	_, err = t.conn.Exec(ctx, `UPDATE accounts SET name = $1, status = $2, external_reference = $3, metadata = $4,
		time_zone = $5, charge_on = $6 WHERE id = $7`,
		a.Name, string(a.Status), textArg(a.ExternalReference), metadata, a.TimeZone, sqlrow.JoinWords(a.ChargeOn), int32(a.ID))
	return taken(err)
}

func (t *tx) InsertWallet(ctx context.Context, w *ledger.Wallet) error {
	args := append([]any{int32(w.Account), string(w.Service), int64(w.Balance), int64(w.Held)}, settingsArgs(&w.Settings)...)
	args = append(args, int64(w.Spent.Day), int64(w.Spent.Today), int64(w.Spent.InMonth), w.Version, w.Head[:], int64(0))
	_, err := t.conn.Exec(ctx, insertWallet, args...)
	return err
}

func (t *tx) UpdateWallet(ctx context.Context, ref ledger.WalletRef, settings *ledger.Settings) error {
	_, err := t.conn.Exec(ctx, `UPDATE wallets SET credit_limit = $1, suspended = $2, min_amount = $3, max_amount = $4,
		daily_cap = $5, monthly_cap = $6 WHERE account_id = $7 AND service = $8`,
		append(settingsArgs(settings), int32(ref.Account), string(ref.Service))...)
	return err
}

func (t *tx) InsertKey(ctx context.Context, key *ledger.Key) error {
	_, err := t.conn.Exec(ctx, insertKey, keyArgs(key)...)
	return taken(err)
}

func (t *tx) UpdateKey(ctx context.Context, id string, caps ledger.Caps) (*ledger.Key, error) {
	return one(ctx, t.conn, errNoKey, scanKey, "UPDATE keys SET daily_cap = $1, monthly_cap = $2 WHERE id = $3 RETURNING "+keyColumns,
		int64(caps.Daily), int64(caps.Monthly), id)
}

func (t *tx) RevokeKey(ctx context.Context, id string, at time.Time) (*ledger.Key, error) {
	return one(ctx, t.conn, errNoKey, scanKey, "UPDATE keys SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2 RETURNING "+keyColumns,
		at.UnixMicro(), id)
}

// conflicts are the constraints whose violation is the caller's, with what it is told.
var conflicts = map[string]string{
	"accounts_by_reference": "another account has this external reference",
	"keys_by_id":            "a key with this id exists already",
	"keys_by_digest":        "this pair of id and secret reads the same as that of another key",
}

// taken turns a violated uniqueness into a Conflict.
func taken(err error) error {
	for constraint, message := range conflicts {
		if codeOf(err) == uniqueViolation && violates(err, constraint) {
			return ledger.Errorf(ledger.Conflict, "%s", message)
		}
	}
	return err
}

// lockEmpty has those wait for each other who put the first thing into a ledger.
const lockEmpty = "SELECT 1 FROM " + versionTable + " ORDER BY id FOR UPDATE"

// AddFirstKey adds a key to a ledger that Create has made, in which nothing is yet.
// Several processes may have made it at once: the first to add a key has it, and
// the others are given ErrExists.
//
// Rows that no other write touches are locked, because a row that is not there
// cannot be. Who had to wait for them sees with its next statement what was added.
func (s *Store) AddFirstKey(ctx context.Context, key *ledger.Key) error {
	return s.Write(ctx, func(t engine.Tx) error {
		conn := t.(*tx).conn
		if _, err := conn.Exec(ctx, lockEmpty); err != nil {
			return err
		}
		var used bool
		if err := conn.QueryRow(ctx, selectUsed+" OR EXISTS (SELECT 1 FROM copy_progress)").Scan(&used); err != nil {
			return err
		}
		if used {
			return ErrExists
		}
		return t.InsertKey(ctx, key)
	})
}

// Forget removes the key of a ledger in which nothing else is, for when its first
// key could not be handed to anybody. Create takes it as new.
func Forget(ctx context.Context, url, key string) (err error) {
	s, err := Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	_, err = s.writer.Exec(ctx, "DELETE FROM keys WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM accounts)", key)
	return err
}
