package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file is about the part of Verify that concerns holds and refunds.

func (v *verifier) holdReader() *pageReader[HoldRow] {
	return &pageReader[HoldRow]{read: func(ctx context.Context, last *HoldRow) ([]HoldRow, error) {
		return v.snapshot.Holds(ctx, &last.Hold, verifyPage)
	}}
}

// strayHolds reports holds that come before the next wallet, or before the end.
func (v *verifier) strayHolds(ctx context.Context, holds *pageReader[HoldRow], next *ledger.WalletRef) error {
	for {
		hold, err := holds.peek(ctx)
		if err != nil || hold == nil || next != nil && hold.Compare(*next) >= 0 {
			return err
		}
		v.Holds++
		v.problemf("hold %s: there is no wallet %s of account %d", hold.ID, hold.Service, hold.Account)
		holds.skip()
	}
}

// holds checks the holds of a wallet, and that what remains of the open ones is
// what the wallet holds.
func (v *verifier) holds(ctx context.Context, row *WalletRow, holds *pageReader[HoldRow]) error {
	if err := v.strayHolds(ctx, holds, &row.WalletRef); err != nil {
		return err
	}
	var remaining ledger.Total
	for {
		hold, err := holds.peek(ctx)
		if err != nil {
			return err
		}
		if hold == nil || hold.WalletRef != row.WalletRef {
			break
		}
		v.Holds++
		v.hold(hold)
		if hold.State == ledger.HoldOpen {
			remaining.Add(hold.Remaining)
		}
		holds.skip()
	}
	var held ledger.Total
	held.Add(row.Held)
	if !remaining.Equal(&held) {
		v.problemf("wallet %s of account %d: its open holds add up to %s, the wallet says %s", row.Service, row.Account, &remaining, row.Held)
	}
	return nil
}

// hold replays the transactions of a hold and compares.
func (v *verifier) hold(row *HoldRow) {
	where := fmt.Sprintf("hold %s", row.ID)
	if len(row.Transactions) == 0 || row.Transactions[0].ID != row.ID || row.Transactions[0].HoldState() == "" || row.Transactions[0].Kind != ledger.PlaceHold {
		v.problemf("%s: the transaction that placed it is missing", where)
		return
	}
	run := ledger.NewHold(&row.Transactions[0])
	run.Key = row.Key // which no transaction keeps
	for i := range row.Transactions[1:] {
		t := &row.Transactions[i+1]
		if t.Rejection != "" {
			continue
		}
		if !follows(t, run) {
			v.problemf("%s: transaction %s is not what could be done with it then", where, t.ID)
		}
		run.Apply(t)
	}
	if !sameHold(run, &row.Hold) {
		column, want, got := differing(run, &row.Hold)
		v.problemf("%s: by its transactions %s is %s, it says %s", where, column, want, got)
	}
}

// differing gives the first column in which two holds differ, with both values.
func differing(a, b *ledger.Hold) (column, ofA, ofB string) {
	columns := holdColumns(b)
	for i, c := range holdColumns(a) {
		column, ofA, ofB = c[0], c[1], columns[i][1]
		if ofA != ofB {
			break
		}
	}
	return column, ofA, ofB
}

// holdColumns are all columns of a hold with their values as texts. What is most
// likely to be the reason why others differ comes first.
func holdColumns(h *ledger.Hold) [][2]string {
	at := func(t time.Time) string {
		if t.IsZero() {
			return "none"
		}
		return t.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	return [][2]string{
		{"state", string(h.State)},
		{"captured", h.Captured.String()},
		{"remaining", h.Remaining.String()},
		{"amount", h.Amount.String()},
		{"account_id", fmt.Sprint(h.Account)},
		{"service", string(h.Service)},
		{"scope", fmt.Sprint(h.Scope)},
		{"key_id", strconv.Quote(h.Key)},
		{"reference", strconv.Quote(h.Reference)},
		{"created_at", at(h.CreatedAt)},
		{"expires_at", at(h.ExpiresAt)},
		{"closed_at", at(h.ClosedAt)},
		{"id", h.ID.String()},
	}
}

// follows tells whether a posted transaction could be done to a hold as it was.
func follows(t *ledger.Transaction, hold *ledger.Hold) bool {
	if hold.State != ledger.HoldOpen || t.Parent != hold.ID || t.Wallet != hold.WalletRef {
		return false
	}
	switch t.Kind {
	case ledger.Capture:
		left := hold.Remaining - min(t.Moved, hold.Remaining)
		if t.Amount == 0 && t.Moved != hold.Remaining { // which asks for all of it
			return false
		}
		return t.Moved > 0 && (t.Remaining == left || t.Final && t.Remaining == 0) && t.CreatedAt.Before(hold.ExpiresAt)
	case ledger.Release:
		return t.Moved == hold.Remaining && t.Remaining == 0 && t.CreatedAt.Before(hold.ExpiresAt)
	case ledger.Expire:
		return t.Moved == hold.Remaining && t.Remaining == 0 && !t.CreatedAt.Before(hold.ExpiresAt)
	case ledger.Extend:
		return t.Moved == 0 && t.Remaining == hold.Remaining && !t.ExpiresAt.Before(hold.ExpiresAt) && t.CreatedAt.Before(hold.ExpiresAt)
	default:
		return false
	}
}

// sameHold compares holds with their times as moments.
func sameHold(a, b *ledger.Hold) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) || !a.ExpiresAt.Equal(b.ExpiresAt) || !a.ClosedAt.Equal(b.ClosedAt) {
		return false
	}
	same := *a
	same.CreatedAt, same.ExpiresAt, same.ClosedAt = b.CreatedAt, b.ExpiresAt, b.ClosedAt
	return same == *b
}

// refunds checks that what was refunded of each charge is the sum of its
// refunds, and not more than the charge.
func (v *verifier) refunds(ctx context.Context) error {
	var after ledger.TransactionID
	for {
		page, err := v.snapshot.Refunds(ctx, after, verifyPage)
		if err != nil {
			return err
		}
		for i := range page {
			v.refund(&page[i])
		}
		v.tick()
		if len(page) < verifyPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

func (v *verifier) refund(row *RefundRow) {
	var charge *ledger.Refundable
	if row.Charge != nil {
		charge = row.Charge.Refundable()
	}
	if charge == nil {
		v.problemf("refunds of %s: there is no such charge", row.ID)
		return
	}
	var sum, counted ledger.Total
	counted.Add(row.Refunded)
	for i := range row.Refunds {
		refund := &row.Refunds[i]
		if refund.Rejection != "" {
			continue
		}
		if refund.Kind != ledger.Refund || refund.Wallet != charge.WalletRef {
			v.problemf("transaction %s: it cannot be about charge %s", refund.ID, row.ID)
		}
		sum.Add(refund.Moved)
	}
	if !sum.Equal(&counted) {
		v.problemf("charge %s: its refunds add up to %s, it says %s", row.ID, &sum, row.Refunded)
	}
	if row.Refunded > charge.Amount {
		v.problemf("charge %s: %s was refunded of %s", row.ID, row.Refunded, charge.Amount)
	}
}
