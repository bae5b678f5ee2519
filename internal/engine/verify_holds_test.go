package engine_test

import (
	"testing"
)

// What stands about holds and refunds has to be what their transactions say.
func TestVerifyFindsDamagedHolds(t *testing.T) {
	t.Parallel()
	id := func(key string) string { return idOf(key).String() }
	where := " WHERE id = "
	held := "wallet sms of account 3: its open holds add up to "
	is := func(key, column, want, got string) string {
		return "hold " + id(key) + ": by its transactions " + column + " is " + want + ", it says " + got
	}
	for _, tt := range []struct {
		name   string
		damage []string
		want   []string
	}{
		{
			"remaining",
			[]string{"UPDATE holds SET remaining = remaining + 1" + where + literal("open")},
			[]string{is("open", "remaining", "0.000019", "0.00002"), held + "0.00002, the wallet says 0.000019"},
		},
		{
			"captured",
			[]string{"UPDATE holds SET captured = captured + 1" + where + literal("open")},
			[]string{is("open", "captured", "0.000011", "0.000012")},
		},
		{
			"amount",
			[]string{"UPDATE holds SET amount = amount + 1" + where + literal("open")},
			[]string{is("open", "amount", "0.00003", "0.000031")},
		},
		{
			"state",
			[]string{"UPDATE holds SET state = 'released', remaining = 0" + where + literal("open")},
			[]string{is("open", "state", "open", "released"), held + "0, the wallet says 0.000019"},
		},
		{
			"state of a closed hold",
			[]string{"UPDATE holds SET state = 'expired'" + where + literal("released")},
			[]string{is("released", "state", "released", "expired")},
		},
		{
			"closed hold opened",
			[]string{"UPDATE holds SET state = 'open', remaining = 10, closed_at = NULL" + where + literal("released")},
			[]string{is("released", "state", "released", "open"), held + "0.000029, the wallet says 0.000019"},
		},
		{
			"expiry",
			[]string{"UPDATE holds SET expires_at = expires_at + 1" + where + literal("open")},
			[]string{is("open", "expires_at", "2026-01-02T05:04:16.000000Z", "2026-01-02T05:04:16.000001Z")},
		},
		{
			"creation",
			[]string{"UPDATE holds SET created_at = created_at + 1" + where + literal("open")},
			[]string{is("open", "created_at", "2026-01-02T03:04:14.000000Z", "2026-01-02T03:04:14.000001Z")},
		},
		{
			"closing",
			[]string{"UPDATE holds SET closed_at = closed_at + 1" + where + literal("captured")},
			[]string{is("captured", "closed_at", "2026-01-02T03:04:18.000000Z", "2026-01-02T03:04:18.000001Z")},
		},
		{
			"closing taken back",
			[]string{"UPDATE holds SET closed_at = NULL" + where + literal("captured")},
			[]string{is("captured", "closed_at", "2026-01-02T03:04:18.000000Z", "none")},
		},
		{"scope", []string{"UPDATE holds SET scope = 3" + where + literal("open")}, []string{is("open", "scope", "0", "3")}},
		{"reference", []string{"UPDATE holds SET reference = 'altered'" + where + literal("open")}, []string{is("open", "reference", `""`, `"altered"`)}},
		{
			"wallet",
			[]string{"UPDATE holds SET service = 'voip'" + where + literal("open")},
			[]string{is("open", "service", "sms", "voip"), held + "0,", "wallet voip of account 3: its open holds add up to 0.000019, the wallet says 0"},
		},
		{
			"account",
			[]string{"UPDATE holds SET account_id = 99" + where + literal("open")},
			[]string{"hold " + id("open") + ": there is no wallet sms of account 99", held + "0,"},
		},
		{
			"service between",
			[]string{"UPDATE holds SET account_id = 2, service = 'tuv'" + where + literal("released")},
			[]string{"hold " + id("released") + ": there is no wallet tuv of account 2"},
		},
		{
			"an open hold from nothing",
			[]string{"INSERT INTO holds VALUES (x'00112233445566778899aabbccddeeff', 1, 'sms', 0, '', '', 'open', 5, 0, 5, 0, 0, NULL)"},
			[]string{"hold 00112233-4455-6677-8899-aabbccddeeff: the transaction that placed it is missing", "wallet sms of account 1: its open holds add up to 0.000005, the wallet says 0"},
		},
		{
			"a closed hold from nothing",
			[]string{"INSERT INTO holds VALUES (x'00112233445566778899aabbccddeeff', 1, 'sms', 0, '', '', 'released', 5, 0, 0, 0, 0, 0)"},
			[]string{"hold 00112233-4455-6677-8899-aabbccddeeff: the transaction that placed it is missing"},
		},
		{
			"a hold from a charge",
			[]string{"INSERT INTO holds SELECT " + literal("c2") + ", 1, 'sms', 0, '', '', 'released', 5, 0, 0, created_at, created_at, created_at FROM holds" + where + literal("open")},
			[]string{"hold " + id("c2") + ": the transaction that placed it is missing"},
		},
		{
			"a hold from a capture",
			[]string{"INSERT INTO holds SELECT " + literal("open-1") + ", 3, 'sms', 0, '', '', 'released', 5, 0, 0, created_at, created_at, created_at FROM holds" + where + literal("open")},
			[]string{"hold " + id("open-1") + ": the transaction that placed it is missing"},
		},
		{
			"an open hold missing",
			[]string{"DELETE FROM holds" + where + literal("open")},
			[]string{"transaction " + id("open") + ": its hold, or the count", held + "0, the wallet says 0.000019"},
		},
		{"a closed hold missing", []string{"DELETE FROM holds" + where + literal("expired")}, []string{"transaction " + id("expired") + ": its hold, or the count"}},
		{
			"forged held amount",
			[]string{"UPDATE wallets SET held = held - 1 WHERE account_id = 3 AND service = 'sms'"},
			[]string{held + "0.000019, the wallet says 0.000018", "wallet sms of account 3: by its entries 0.000019 is held, the wallet says 0.000018"},
		},
		{
			"held amount and hold",
			[]string{
				"UPDATE wallets SET held = held - 1 WHERE account_id = 3 AND service = 'sms'", "UPDATE holds SET remaining = remaining - 1" + where + literal("open"),
			},
			[]string{"by its entries 0.000019 is held", is("open", "remaining", "0.000019", "0.000018")},
		},
		{
			"placing transaction deleted",
			[]string{"DELETE FROM transactions" + where + literal("open")},
			[]string{"hold " + id("open") + ": the transaction that placed it is missing", "entry 2 of wallet sms of account 3: its transaction"},
		},
		{
			"placing transaction made a rejection",
			[]string{"UPDATE transactions SET rejection = 'insufficient_funds'" + where + literal("open")},
			[]string{"hold " + id("open") + ": the transaction that placed it is missing"},
		},
		{
			"capture deleted",
			[]string{"DELETE FROM transactions" + where + literal("open-1")},
			[]string{is("open", "captured", "0.000001", "0.000011"), "hold " + id("open") + ": transaction " + id("open-2") + " is not what"},
		},
		{
			"release made a rejection",
			[]string{"UPDATE transactions SET rejection = 'hold_not_open'" + where + literal("released-1")},
			[]string{is("released", "state", "open", "released")},
		},
		{
			"capture of another hold",
			[]string{"UPDATE transactions SET parent = " + literal("captured") + where + literal("open-1")},
			[]string{
				"transaction " + id("open-1") + ": what it says is not what was posted",
				"hold " + id("captured") + ": transaction " + id("open-1") + " is not what", "hold " + id("open") + ": by its transactions",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) { findsDamage(t, tt.damage, tt.want) })
	}
}

func TestVerifyFindsDamagedRefunds(t *testing.T) {
	t.Parallel()
	id := func(key string) string { return idOf(key).String() }
	for _, tt := range []struct {
		name   string
		damage []string
		want   []string
	}{
		{"count", []string{"UPDATE refunds SET refunded = 1"}, []string{"charge " + id("c1") + ": its refunds add up to 0.000002, it says 0.000001"}},
		{"count set back", []string{"UPDATE refunds SET refunded = 0"}, []string{"charge " + id("c1") + ": its refunds add up to 0.000002, it says 0"}},
		{
			"count above the charge",
			[]string{"UPDATE refunds SET refunded = 6"},
			[]string{"charge " + id("c1") + ": its refunds add up to 0.000002, it says 0.000006", "charge " + id("c1") + ": 0.000006 was refunded of 0.000005"},
		},
		{"count missing", []string{"DELETE FROM refunds"}, []string{"transaction " + id("refund") + ": its hold, or the count of its charge's refunds, is missing"}},
		{
			"count of another charge",
			[]string{"UPDATE refunds SET charge_id = " + literal("c2")},
			[]string{"transaction " + id("refund") + ": its hold, or the count", "charge " + id("c2") + ": its refunds add up to 0, it says 0.000002"},
		},
		{"count too many", []string{"INSERT INTO refunds VALUES (" + literal("c2") + ", 1)"}, []string{"charge " + id("c2") + ": its refunds add up to 0, it says 0.000001"}},
		{"count of no charge", []string{"INSERT INTO refunds VALUES (x'00112233445566778899aabbccddeeff', 0)"}, []string{"refunds of 00112233-4455-6677-8899-aabbccddeeff: there is no such charge"}},
		{"count of a top-up", []string{"INSERT INTO refunds VALUES (" + literal("fill") + ", 0)"}, []string{"refunds of " + id("fill") + ": there is no such charge"}},
		{"count of a rejected charge", []string{"INSERT INTO refunds VALUES (" + literal("rejected") + ", 0)"}, []string{"refunds of " + id("rejected") + ": there is no such charge"}},
		{"charge deleted", []string{"DELETE FROM transactions WHERE id = " + literal("c1")}, []string{"refunds of " + id("c1") + ": there is no such charge"}},
		{
			"refund repointed",
			[]string{"UPDATE transactions SET parent = " + literal("c2") + " WHERE id = " + literal("refund")},
			[]string{
				"transaction " + id("refund") + ": what it says is not what was posted", "transaction " + id("refund") + ": its hold, or the count",
				"charge " + id("c1") + ": its refunds add up to 0, it says 0.000002",
			},
		},
		{
			"refund repointed with its count", []string{
				"UPDATE transactions SET parent = " + literal("c2") + " WHERE id = " + literal("refund"), "UPDATE refunds SET charge_id = " + literal("c2"),
			}, []string{"transaction " + id("refund") + ": what it says is not what was posted"},
		},
		{
			"charge of another wallet",
			[]string{"UPDATE transactions SET service = 'voip' WHERE id = " + literal("c1")},
			[]string{"transaction " + id("refund") + ": it cannot be about charge " + id("c1")},
		},
		{
			"another kind about a charge",
			[]string{"UPDATE transactions SET parent = " + literal("c1") + " WHERE id = " + literal("c3")},
			[]string{"transaction " + id("c3") + ": it cannot be about charge " + id("c1"), "charge " + id("c1") + ": its refunds add up to 0.000007, it says 0.000002"},
		},
		{
			"refund made a rejection",
			[]string{"UPDATE transactions SET rejection = 'refund_exceeds_charge' WHERE id = " + literal("refund")},
			[]string{"charge " + id("c1") + ": its refunds add up to 0, it says 0.000002"},
		},
		{"refund deleted", []string{"DELETE FROM transactions WHERE id = " + literal("refund")}, []string{"charge " + id("c1") + ": its refunds add up to 0, it says 0.000002"}},
		{"refund's amount", []string{"UPDATE transactions SET moved = 3 WHERE id = " + literal("refund")}, []string{"charge " + id("c1") + ": its refunds add up to 0.000003, it says 0.000002"}},
	} {
		t.Run(tt.name, func(t *testing.T) { findsDamage(t, tt.damage, tt.want) })
	}
}
