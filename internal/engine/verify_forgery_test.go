package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

// forgeable gives a small ledger, each transaction of it a second after the one before.
func forgeable(t *testing.T) (store engine.Store, path string) {
	t.Helper()
	store, path = newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 2)
	for _, r := range []ledger.Request{
		topUp("fill", 1, 100), charge("d1", 1, 5), charge("d2", 1, 6), refund("back", idOf("d1"), 2), place("hold", 1, 10), capture("taken", idOf("hold"), 0),
		topUp("fill-2", 2, 100),
	} {
		post(t, e, r)
		clock.Pass(time.Second)
	}
	e.Close()
	check(t, "problems", problems(t, store), []string{})
	return store, path
}

// forge replaces the entries of account 1's wallet sms by others, with chain,
// outcomes, wallet and revenue made to fit, as somebody would who knows the format.
func forge(t *testing.T, store engine.Store, path string, change func(rows []engine.EntryRow) []engine.EntryRow) {
	t.Helper()
	const where = " WHERE account_id = 1 AND service = 'sms'"
	rows, err := store.Entries(ctx, sms(1), 0, 100, 100)
	noError(t, err)
	before := rows[len(rows)-1].Balance
	var last ledger.Entry
	statements := []string{"DELETE FROM entries" + where}
	for i, row := range change(rows) {
		e, cause := row.Entry, row.Cause
		e.Version, e.Balance = int64(i+1), last.Balance+e.Amount
		cause.Balance, cause.Available = e.Balance, e.Balance-e.Held
		if i < len(rows) {
			cause.Version = e.Version
		}
		e.Hash = e.ChainHash(last.Hash, cause)
		statements = append(statements,
			fmt.Sprintf("INSERT INTO entries VALUES (1, 'sms', %d, %s, %d, %d, %d, %d, %s)",
				e.Version, blob(e.Transaction[:]), e.Amount, e.Balance, e.Held, e.CreatedAt.UnixMicro(), blob(e.Hash[:])),
			fmt.Sprintf("UPDATE transactions SET amount = %d, moved = %d, balance = %d, held = %d, available = %d, remaining = %d, version = %d, created_at = %d, request_hash = %s WHERE id = %s",
				cause.Amount, cause.Moved, cause.Balance, cause.Held, cause.Available, cause.Remaining, cause.Version, cause.CreatedAt.UnixMicro(),
				blob(cause.RequestHash[:]), blob(cause.ID[:])))
		if !cause.Parent.IsZero() {
			statements = append(statements, fmt.Sprintf("UPDATE transactions SET parent = %s WHERE id = %s", blob(cause.Parent[:]), blob(cause.ID[:])))
		}
		last = e
	}
	statements = append(statements,
		fmt.Sprintf("UPDATE wallets SET balance = %d, held = %d, version = %d, head = %s"+where, last.Balance, last.Held, last.Version, blob(last.Hash[:])),
		fmt.Sprintf("UPDATE system_accounts SET total = CAST(total - (%d) AS TEXT) WHERE account = 'revenue'", last.Balance-before))
	plant(t, path, statements...)
}

// at finds the entry that the operator's transaction with a key has.
func at(rows []engine.EntryRow, key string) *engine.EntryRow {
	i := slices.IndexFunc(rows, func(r engine.EntryRow) bool { return r.Cause.IdempotencyKey == key })
	return &rows[i]
}

// Chains and sums can be made to fit by somebody who knows how. What a request
// asked for still stands against it.
func TestVerifyFindsForgery(t *testing.T) {
	t.Parallel()
	taken := "transaction " + idOf("d2").String()
	for _, tt := range []struct {
		name   string
		change func(rows []engine.EntryRow) []engine.EntryRow
		want   []string
	}{
		{"nothing but the same again", func(rows []engine.EntryRow) []engine.EntryRow { return rows }, []string{}},
		{"an entry's amount", func(rows []engine.EntryRow) []engine.EntryRow {
			at(rows, "d2").Amount = -1
			return rows
		}, []string{"entry 3 of wallet sms of account 1: it is not what its " + taken + " does"}},
		{"an amount that was moved", func(rows []engine.EntryRow) []engine.EntryRow {
			row := at(rows, "d2")
			row.Amount, row.Cause.Moved = -1, 1
			return rows
		}, []string{taken + ": it moved 0.000001, 0.000006 was asked for"}},
		{"an amount that was asked for", func(rows []engine.EntryRow) []engine.EntryRow {
			row := at(rows, "d2")
			row.Amount, row.Cause.Moved, row.Cause.Amount = -1, 1, 1
			return rows
		}, []string{taken + ": what it says is not what was posted"}},
		{"the way of an amount", func(rows []engine.EntryRow) []engine.EntryRow {
			at(rows, "d2").Amount = 6
			return rows
		}, []string{"entry 3 of wallet sms of account 1: it is not what its " + taken + " does"}},
		{"one movement twice", func(rows []engine.EntryRow) []engine.EntryRow {
			return append(rows, *at(rows, "d2"))
		}, []string{
			"entry 7 of wallet sms of account 1: it is older than the entry before it",
			"entry 7 of wallet sms of account 1: it is not what its " + taken + " does", taken + ": its entry 3 in wallet sms of account 1 is missing or differs",
			// What its transaction tells is that of the second time, so the first is not it.
			"entry 3 of wallet sms of account 1: its hash does not follow from what it says",
		}},
		{"times swapped", func(rows []engine.EntryRow) []engine.EntryRow {
			a, b := at(rows, "d1"), at(rows, "d2")
			a.CreatedAt, b.CreatedAt = b.CreatedAt, a.CreatedAt
			a.Cause.CreatedAt, b.Cause.CreatedAt = a.CreatedAt, b.CreatedAt
			return rows
		}, []string{"entry 3 of wallet sms of account 1: it is older than the entry before it"}},
		{"an entry's time", func(rows []engine.EntryRow) []engine.EntryRow {
			row := at(rows, "d2")
			row.CreatedAt = row.CreatedAt.Add(time.Microsecond)
			return rows
		}, []string{"entry 3 of wallet sms of account 1: it is not what its " + taken + " does"}},
		{"order of entries", func(rows []engine.EntryRow) []engine.EntryRow {
			a, b := at(rows, "d1"), at(rows, "d2")
			*a, *b = *b, *a
			a.CreatedAt, b.CreatedAt = b.CreatedAt, a.CreatedAt
			a.Cause.CreatedAt, b.Cause.CreatedAt = a.CreatedAt, b.CreatedAt
			return rows
		}, []string{}}, // which is as good: nothing but a checkpoint tells
		{"a refund of another charge", func(rows []engine.EntryRow) []engine.EntryRow {
			cause := at(rows, "back").Cause
			cause.Parent = idOf("d2")
			cause.RequestHash = cause.Hash()
			return rows
		}, []string{
			"transaction " + idOf("back").String() + ": its hold, or the count of its charge's refunds, is missing",
			"charge " + idOf("d1").String() + ": its refunds add up to 0, it says 0.000002",
		}},
		{"more taken of a hold than there was", func(rows []engine.EntryRow) []engine.EntryRow {
			row := at(rows, "taken")
			row.Amount, row.Cause.Moved = -9, 9
			return rows
		}, []string{
			"hold " + idOf("hold").String() + ": transaction " + idOf("taken").String() + " is not what could be done with it then",
			"hold " + idOf("hold").String() + ": by its transactions captured is 0.000009, it says 0.00001",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, path := forgeable(t)
			heads := headsOf(t, store)
			forge(t, store, path, tt.change)
			found, want := problems(t, store), slices.Clone(tt.want)
			slices.Sort(found)
			slices.Sort(want)
			check(t, "problems", found, want)
			// With the heads of before, nothing goes unseen of what stood then.
			seen := slices.ContainsFunc(against(t, store, heads...), func(p string) bool { return strings.Contains(p, "checkpoint") })
			check(t, "it is seen by the checkpoint", seen, tt.name != "nothing but the same again" && tt.name != "one movement twice")
		})
	}
}

// A history that is all of one piece, but not the one that was: only a
// checkpoint from before tells.
func TestOnlyEvidenceTells(t *testing.T) {
	t.Parallel()
	const wallet1 = " WHERE account_id = 1 AND service = 'sms'"
	for _, tt := range []struct {
		name   string
		damage []string
		want   []string
	}{
		{"the end cut off", []string{
			"DELETE FROM entries" + wallet1 + " AND version > 4", "DELETE FROM transactions WHERE id IN (" + literal("hold") + ", " + literal("taken") + ")",
			"DELETE FROM holds",
			"UPDATE wallets SET (version, balance, held, head) = (SELECT version, balance, held, hash FROM entries AS e WHERE e.account_id = 1 AND e.service = 'sms' AND e.version = 4)" + wallet1,
			"UPDATE system_accounts SET total = '9' WHERE account = 'revenue'",
		}, []string{"wallet sms of account 1: it ends at entry 4, the checkpoint has 6"}},
		{"everything of a wallet cut off", []string{
			"DELETE FROM entries WHERE account_id = 2", "DELETE FROM transactions WHERE account_id = 2",
			"UPDATE wallets SET version = 0, balance = 0, head = zeroblob(32) WHERE account_id = 2", "UPDATE system_accounts SET total = '-100' WHERE account = 'funding'",
		}, []string{"wallet sms of account 2: it ends at entry 0, the checkpoint has 1"}},
		{"a wallet removed", []string{
			"DELETE FROM entries WHERE account_id = 2", "DELETE FROM transactions WHERE account_id = 2",
			"DELETE FROM wallets WHERE account_id = 2", "DELETE FROM accounts WHERE id = 2", "UPDATE system_accounts SET total = '-100' WHERE account = 'funding'",
		}, []string{"wallet sms of account 2: the checkpoint has it, the ledger does not"}},
		{"everything removed", []string{
			"DELETE FROM entries", "DELETE FROM transactions", "DELETE FROM holds", "DELETE FROM refunds", "DELETE FROM wallets", "DELETE FROM accounts", "DELETE FROM system_accounts",
		}, []string{"wallet sms of account 1: the checkpoint has it, the ledger does not", "wallet sms of account 2: the checkpoint has it, the ledger does not"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, path := forgeable(t)
			heads := headsOf(t, store)
			plant(t, path, tt.damage...)
			check(t, "problems without evidence", problems(t, store), []string{})
			check(t, "problems with evidence", against(t, store, heads...), tt.want)
		})
	}
	t.Run("rewritten from a request on", func(t *testing.T) {
		t.Parallel()
		store, path := forgeable(t)
		heads := headsOf(t, store)
		forge(t, store, path, func(rows []engine.EntryRow) []engine.EntryRow {
			row := at(rows, "d2")
			row.Amount, row.Cause.Moved, row.Cause.Amount = -1, 1, 1
			row.Cause.RequestHash = row.Cause.Hash()
			return rows
		})
		check(t, "problems without evidence", problems(t, store), []string{})
		check(t, "problems with evidence", against(t, store, heads...), []string{"entry 6 of wallet sms of account 1: it is not the one of the checkpoint"})
	})
}
