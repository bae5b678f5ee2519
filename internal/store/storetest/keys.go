package storetest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

var zeroTime time.Time

// key is an ordinary key of account 7.
func key(id string, change ...func(*ledger.Key)) *ledger.Key {
	k := &ledger.Key{
		ID: id, Digest: ledger.Credentials{ID: id, Secret: "-secret"}.Digest(), Account: 7,
		Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, CreatedAt: start,
	}
	for _, c := range change {
		c(k)
	}
	return k
}

func (s *suite) insertKeys(keys ...*ledger.Key) {
	s.Helper()
	s.write(func(tx engine.Tx) error {
		for _, k := range keys {
			if err := tx.InsertKey(s.Context(), k); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *suite) key(digest ledger.Hash) *ledger.Key {
	s.Helper()
	key, holder, err := s.store.KeyByDigest(s.Context(), digest)
	if holder != nil {
		check(s, "the account along with a key", holder, must[*ledger.Holder](s)(s.store.Holder(s.Context(), key.Account)))
	}
	return must[*ledger.Key](s)(key, err)
}

func testKeys(s *suite) {
	s.open()
	s.insert(account(7))
	visible := ""
	var visibleSb48 strings.Builder
	for c := byte('!'); c <= '~'; c++ {
		visibleSb48.WriteString(string(c))
	}
	visible += visibleSb48.String()
	keys := []*ledger.Key{
		key("AK1"),
		key("ak1"), // Another key: ids differ by case.
		key(visible, func(k *ledger.Key) { k.Last4 = `"';%` }),
		key("operator", func(k *ledger.Key) { k.Account, k.Scopes = ledger.Operator, slices.Clone(ledger.Scopes) }),
		// The order of scopes is the caller's.
		key("scopes", func(k *ledger.Key) { k.Scopes = []ledger.Scope{ledger.ScopeTransactionsWrite, ledger.ScopeBalanceRead} }),
		key("networks", func(k *ledger.Key) {
			for _, network := range []string{"10.0.0.0/8", "192.0.2.7/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128", "10.1.2.3/8"} {
				k.AllowList = append(k.AllowList, netip.MustParsePrefix(network))
			}
		}),
		key("expires", func(k *ledger.Key) { k.ExpiresAt = start.Add(time.Microsecond) }),
		// A moment is not "never" because a database counts from it.
		key("expired in 1970", func(k *ledger.Key) { k.ExpiresAt, k.RevokedAt = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC() }),
		key("expired before", func(k *ledger.Key) { k.ExpiresAt = time.Unix(-1, 0).UTC() }),
		key("revoked", func(k *ledger.Key) { k.RevokedAt = start }),
		key("caps", func(k *ledger.Key) {
			k.Caps = ledger.Caps{Daily: 1, Monthly: ledger.MaxAmount}
			k.Spent = ledger.Spent{Day: 99991231, Today: ledger.MaxAmount, InMonth: 2}
		}),
		key("digest", func(k *ledger.Key) { k.Digest = ledger.Hash{} }),
		key("digest, high", func(k *ledger.Key) {
			for i := range k.Digest {
				k.Digest[i] = 0xff
			}
		}),
	}
	s.insertKeys(keys...)
	for range 2 {
		for _, want := range keys {
			check(s, "key "+want.ID, s.key(want.Digest), want)
		}
		s.reopen()
	}
	_, _, err := s.store.KeyByDigest(s.Context(), ledger.Hash{2})
	wantCode(s, "another digest", err, ledger.NotFound)
}

func testKeyConflicts(s *suite) {
	store := s.open()
	ctx := s.Context()
	s.insert(account(7))
	s.insertKeys(key("AK1"))
	for name, k := range map[string]*ledger.Key{
		"id":     key("AK1", func(k *ledger.Key) { k.Digest = ledger.Hash{9} }),
		"pair":   key("AK2", func(k *ledger.Key) { k.Digest = key("AK1").Digest }),
		"both":   key("AK1"),
		"owners": key("AK1", func(k *ledger.Key) { k.Account, k.Digest = ledger.Operator, ledger.Hash{9} }),
	} {
		wantCode(s, name, store.Write(ctx, func(tx engine.Tx) error { return tx.InsertKey(ctx, k) }), ledger.Conflict)
	}
	check(s, "the first key", s.key(key("AK1").Digest), key("AK1"))
	check(s, "keys", must[[]*ledger.Key](s)(store.Keys(ctx, 7, "", 10)), []*ledger.Key{key("AK1")})
	if err := store.Write(ctx, func(tx engine.Tx) error {
		return tx.InsertKey(ctx, key("AK3", func(k *ledger.Key) { k.Account = 8 }))
	}); err == nil {
		s.Error("a key was added to an account that is not there")
	}
}

func testKeyLists(s *suite) {
	store := s.open()
	s.insert(account(7), account(8))
	// In order of their bytes, which is not the order of any language.
	ids := []string{"!", "10", "9", "A", "AA", "Aa", "B", "Z", "_", "a", "aA", "b", "~"}
	byOwner := map[ledger.AccountID][]string{}
	for _, i := range []int{4, 12, 0, 7, 3, 9, 1, 11, 6, 2, 10, 5, 8} {
		for _, owner := range []ledger.AccountID{ledger.Operator, 7} {
			s.insertKeys(key(fmt.Sprint(ids[i], owner), func(k *ledger.Key) { k.Account = owner }))
		}
	}
	for _, owner := range []ledger.AccountID{ledger.Operator, 7} {
		for _, id := range ids {
			byOwner[owner] = append(byOwner[owner], fmt.Sprint(id, owner))
		}
		slices.Sort(byOwner[owner])
	}
	for _, owner := range []ledger.AccountID{ledger.Operator, 7, 8, 9} {
		for _, limit := range []int{1, 4, 13, 14} {
			var got []string
			after := ""
			for {
				page := must[[]*ledger.Key](s)(store.Keys(s.Context(), owner, after, limit))
				if len(page) > limit {
					s.Fatalf("a page of %d has %d keys", limit, len(page))
				}
				for _, k := range page {
					got = append(got, k.ID)
					check(s, "owner", k.Account, owner)
				}
				if len(page) < limit {
					break
				}
				after = page[len(page)-1].ID
			}
			check(s, fmt.Sprintf("keys of %d, %d at a time", owner, limit), got, byOwner[owner])
		}
	}
}

func testKeySpending(s *suite) {
	s.open()
	ctx := s.Context()
	s.insert(account(7))
	one, two := key("AK1", func(k *ledger.Key) { k.RevokedAt = start }), key("AK2", func(k *ledger.Key) {
		k.Account, k.Caps, k.Spent = ledger.Operator, ledger.Caps{Daily: 3}, ledger.Spent{Day: 20260102, Today: 1, InMonth: 2}
	})
	other := key("AK3", func(k *ledger.Key) {
		k.Caps, k.Spent = ledger.Caps{Monthly: 5}, ledger.Spent{Day: 20260101, Today: 3, InMonth: 3}
	})
	s.insertKeys(one, two, other)
	same := func() {
		s.Helper()
		for _, want := range []*ledger.Key{one, two, other} {
			check(s, "stored key", s.key(want.Digest), want)
		}
		s.write(func(tx engine.Tx) error {
			got := must[map[string]*ledger.Key](s)(tx.LockKeys(ctx, []string{"AK1", "AK2", "none"}))
			check(s, "locked keys", got, map[string]*ledger.Key{"AK1": one, "AK2": two})
			check(s, "locked of none", len(must[map[string]*ledger.Key](s)(tx.LockKeys(ctx, nil))), 0)
			return nil
		})
	}
	same()
	one.Spent, two.Spent = ledger.Spent{Day: 20260103, Today: 7, InMonth: 8}, ledger.Spent{Day: 20260104, Today: 9, InMonth: ledger.MaxAmount}
	s.write(func(tx engine.Tx) error {
		if err := tx.Append(ctx, &engine.Batch{Keys: []engine.KeySpent{{ID: "AK1", Spent: one.Spent}, {ID: "AK2", Spent: two.Spent}}}); err != nil {
			return err
		}
		check(s, "keys of this transaction", must[map[string]*ledger.Key](s)(tx.LockKeys(ctx, []string{"AK1"})), map[string]*ledger.Key{"AK1": one})
		return nil
	})
	same()
	for _, caps := range []ledger.Caps{{Daily: 11, Monthly: 12}, {Monthly: 1}, {}} {
		one.Caps = caps
		s.write(func(tx engine.Tx) error {
			check(s, "changed key", must[*ledger.Key](s)(tx.UpdateKey(ctx, "AK1", caps)), one)
			return nil
		})
		same()
	}
	s.reopen()
	same()
	wantCode(s, "no such key", s.store.Write(ctx, func(tx engine.Tx) error {
		_, err := tx.UpdateKey(ctx, "ak1", ledger.Caps{})
		return err
	}), ledger.NotFound)
}

func testRevokeKey(s *suite) {
	store := s.open()
	ctx := s.Context()
	s.insert(account(7))
	s.insertKeys(key("AK1"), key("AK2"))
	revoke := func(id string, at time.Time) (revoked *ledger.Key) {
		s.write(func(tx engine.Tx) (err error) {
			revoked, err = tx.RevokeKey(ctx, id, at)
			return err
		})
		return revoked
	}
	want := key("AK1", func(k *ledger.Key) { k.RevokedAt = start.Add(time.Second) })
	check(s, "revoked key", revoke("AK1", start.Add(time.Second)), want)
	check(s, "key revoked later", revoke("AK1", start.Add(time.Hour)), want)
	check(s, "key revoked earlier", revoke("AK1", start), want)
	check(s, "stored key", s.key(want.Digest), want)
	check(s, "another key", s.key(key("AK2").Digest), key("AK2"))
	wantCode(s, "no such key", store.Write(ctx, func(tx engine.Tx) error {
		_, err := tx.RevokeKey(ctx, "ak1", start)
		return err
	}), ledger.NotFound)
	s.reopen()
	check(s, "stored key after reopening", s.key(want.Digest), want)
}
