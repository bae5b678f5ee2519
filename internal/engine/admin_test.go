package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
	"github.com/saldo-ledger/saldo/internal/store/storetest"
)

func TestAccountsGetDefaults(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{Clock: func() time.Time { return sampleTime }}, 0)
	account := ledger.Account{ID: 1, Name: "Example Ltd", Currency: "CNY", Status: ledger.Closed}
	holder, err := e.CreateAccount(ctx, account)
	noError(t, err)
	want := account
	want.Status, want.TimeZone, want.ChargeOn, want.CreatedAt = ledger.Active, "UTC", ledger.DefaultChargeOn, sampleTime
	check(t, "account", holder.Account, want)
	check(t, "wallets", holder.Wallets, []ledger.Wallet{{WalletRef: sms(1)}, {WalletRef: ledger.WalletRef{Account: 1, Service: ledger.VoIP}}})

	account.ID, account.TimeZone, account.ChargeOn = 2, "Asia/Ho_Chi_Minh", []ledger.DeliveryState{ledger.Enroute}
	holder, err = e.CreateAccount(ctx, account)
	noError(t, err)
	check(t, "zone and states", []any{holder.TimeZone, holder.ChargeOn}, []any{account.TimeZone, account.ChargeOn})
	account.ID, account.ChargeOn = 3, []ledger.DeliveryState{}
	holder, err = e.CreateAccount(ctx, account)
	noError(t, err)
	check(t, "no state", len(holder.ChargeOn), 0)
}

// What is no time zone, or no list of states, is refused, and nothing of it stays.
func TestAccountsThatAreNotValid(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	before, err := e.Holder(ctx, 1)
	noError(t, err)
	for _, zone := range []string{"Mars/Olympus", "Local", "./UTC", ".//UTC", "Asia//Tokyo", "Asia/./Tokyo", "../UTC", "/UTC", strings.Repeat("z", ledger.MaxTimeZone+1)} {
		_, err := e.CreateAccount(ctx, ledger.Account{ID: 9, Name: "Example Ltd", Currency: "CNY", TimeZone: zone})
		wantCode(t, err, ledger.InvalidRequest)
		_, err = e.UpdateAccount(ctx, 1, engine.AccountChange{TimeZone: &zone})
		wantCode(t, err, ledger.InvalidRequest)
		_, err = e.Zone(zone)
		wantCode(t, err, ledger.InvalidRequest)
	}
	for _, states := range [][]ledger.DeliveryState{{"DELIVERED"}, {ledger.Delivered, ledger.Delivered}} {
		_, err := e.CreateAccount(ctx, ledger.Account{ID: 9, Name: "Example Ltd", Currency: "CNY", ChargeOn: states})
		wantCode(t, err, ledger.InvalidRequest)
		_, err = e.UpdateAccount(ctx, 1, engine.AccountChange{ChargeOn: states})
		wantCode(t, err, ledger.InvalidRequest)
	}
	for _, read := range []func(context.Context, ledger.AccountID) (*ledger.Holder, error){e.Holder, store.Holder} {
		holder, err := read(ctx, 1)
		noError(t, err)
		check(t, "account", holder, before)
		_, err = read(ctx, 9)
		wantCode(t, err, ledger.NotFound)
	}
}

// A change changes what it names, and nothing else.
func TestUpdateAccount(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	first, err := e.Holder(ctx, 1)
	noError(t, err)
	want := *first
	for _, change := range []struct {
		engine.AccountChange
		apply func(*ledger.Account)
	}{
		{engine.AccountChange{}, func(*ledger.Account) {}},
		{engine.AccountChange{Name: new("changed")}, func(a *ledger.Account) { a.Name = "changed" }},
		{engine.AccountChange{Status: new(ledger.Suspended)}, func(a *ledger.Account) { a.Status = ledger.Suspended }},
		{engine.AccountChange{ExternalReference: new("crm-1")}, func(a *ledger.Account) { a.ExternalReference = "crm-1" }},
		{engine.AccountChange{Metadata: ledger.Metadata{"a": "b"}}, func(a *ledger.Account) { a.Metadata = ledger.Metadata{"a": "b"} }},
		{engine.AccountChange{TimeZone: new("Asia/Tokyo")}, func(a *ledger.Account) { a.TimeZone = "Asia/Tokyo" }},
		{engine.AccountChange{ChargeOn: []ledger.DeliveryState{ledger.Unknown}}, func(a *ledger.Account) { a.ChargeOn = []ledger.DeliveryState{ledger.Unknown} }},
		{engine.AccountChange{Status: new(ledger.Closed)}, func(a *ledger.Account) { a.Status = ledger.Closed }},
	} {
		change.apply(&want.Account)
		got, err := e.UpdateAccount(ctx, 1, change.AccountChange)
		noError(t, err)
		check(t, "account", got, &want)
		stored, err := store.Holder(ctx, 1)
		noError(t, err)
		check(t, "stored account", stored, &want)
	}
	got, err := e.UpdateAccount(ctx, 1, engine.AccountChange{ChargeOn: []ledger.DeliveryState{}, Metadata: ledger.Metadata{}})
	noError(t, err)
	check(t, "none of either", []int{len(got.ChargeOn), len(got.Metadata)}, []int{0, 0})
}

// Settings are changed one by one, or replaced together.
func TestWalletSettings(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	post(t, e, topUp("fill", 1, 10))
	want := wallet(t, e, 1)
	same := func(holder *ledger.Holder, err error) {
		t.Helper()
		noError(t, err)
		got, _ := holder.Wallet(ledger.SMS)
		check(t, "wallet", *got, want)
		check(t, "wallet of the cache", wallet(t, e, 1), want)
		stored, err := store.Holder(ctx, 1)
		noError(t, err)
		got, _ = stored.Wallet(ledger.SMS)
		check(t, "wallet of the store", *got, want)
	}
	for _, change := range []struct {
		engine.WalletChange
		apply func(*ledger.Settings)
	}{
		{engine.WalletChange{CreditLimit: new(ledger.Amount(5))}, func(s *ledger.Settings) { s.CreditLimit = 5 }},
		{engine.WalletChange{Suspended: new(true)}, func(s *ledger.Settings) { s.Suspended = true }},
		{engine.WalletChange{MinAmount: new(ledger.Amount(6))}, func(s *ledger.Settings) { s.MinAmount = 6 }},
		{engine.WalletChange{MaxAmount: new(ledger.Amount(7))}, func(s *ledger.Settings) { s.MaxAmount = 7 }},
		{engine.WalletChange{DailyCap: new(ledger.Amount(8))}, func(s *ledger.Settings) { s.Caps.Daily = 8 }},
		{engine.WalletChange{MonthlyCap: new(ledger.Amount(9))}, func(s *ledger.Settings) { s.Caps.Monthly = 9 }},
		{engine.WalletChange{}, func(*ledger.Settings) {}},
	} {
		change.apply(&want.Settings)
		same(e.UpdateWallet(ctx, sms(1), change.WalletChange))
	}
	want.Settings = ledger.Settings{MinAmount: 1}
	holder, created, err := e.PutWallet(ctx, sms(1), want.Settings)
	same(holder, err)
	check(t, "created", created, false)

	// What cannot be leaves it as it is.
	for _, change := range []engine.WalletChange{
		{CreditLimit: new(ledger.Amount(-1))},
		{MinAmount: new(ledger.Amount(-1))},
		{MaxAmount: new(ledger.Amount(-1))},
		{DailyCap: new(ledger.Amount(-1))},
		{MonthlyCap: new(ledger.Amount(-1))},
		{MinAmount: new(ledger.Amount(2)), MaxAmount: new(ledger.Amount(1))},
	} {
		_, err := e.UpdateWallet(ctx, sms(1), change)
		wantCode(t, err, ledger.InvalidRequest)
		settings := ledger.Settings{}
		if change.CreditLimit != nil {
			settings.CreditLimit = -1
		} else {
			settings.MaxAmount = -1
		}
		_, _, err = e.PutWallet(ctx, sms(1), settings)
		wantCode(t, err, ledger.InvalidRequest)
	}
	_, err = e.UpdateWallet(ctx, sms(1), engine.WalletChange{CreditLimit: new(ledger.MaxAmount)})
	wantCode(t, err, ledger.AmountOutOfRange)
	same(store.Holder(ctx, 1))
	for _, ref := range []ledger.WalletRef{sms(9), {Account: 1, Service: "fax"}} {
		_, err = e.UpdateWallet(ctx, ref, engine.WalletChange{Suspended: new(true)})
		wantCode(t, err, ledger.NotFound)
	}
	_, err = e.UpdateWallet(ctx, ledger.WalletRef{Account: 1, Service: "Not A Name"}, engine.WalletChange{})
	wantCode(t, err, ledger.InvalidRequest)
	for ref, code := range map[ledger.WalletRef]ledger.Code{
		{Account: 1, Service: ledger.Service(strings.Repeat("long", 20))}: ledger.InvalidRequest, {Account: 1}: ledger.InvalidRequest, sms(9): ledger.NotFound,
	} {
		holder, created, err := e.PutWallet(ctx, ref, ledger.Settings{})
		wantCode(t, err, code)
		if holder != nil || created {
			t.Errorf("%+v was added: %v", ref, holder)
		}
	}
}

// A wallet that is added has its settings, and its place among the others.
func TestPutWalletAddsOne(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	e := start(t, store, engine.Options{}, 1)
	settings := ledger.Settings{CreditLimit: 3, MinAmount: 1, Caps: ledger.Caps{Daily: 2}}
	for i, service := range []ledger.Service{"zz", "fax", "t"} {
		ref := ledger.WalletRef{Account: 1, Service: service}
		holder, created, err := e.PutWallet(ctx, ref, settings)
		noError(t, err)
		check(t, "created", created, true)
		check(t, "number of wallets", len(holder.Wallets), 3+i)
		got, ok := holder.Wallet(service)
		check(t, "it is there", ok, true)
		check(t, "wallet", *got, ledger.Wallet{WalletRef: ref, Settings: settings})
		if !slices.IsSortedFunc(holder.Wallets, func(a, b ledger.Wallet) int { return a.Compare(b.WalletRef) }) {
			t.Errorf("the wallets are in the order %v", holder.Wallets)
		}
		stored, err := store.Holder(ctx, 1)
		noError(t, err)
		check(t, "stored account", stored, holder)
		tx := post(t, e, ledger.Request{IdempotencyKey: fmt.Sprint(i), Kind: ledger.Charge, Wallet: ref, Amount: 2})
		check(t, "a charge on it", []ledger.Amount{tx.Balance, tx.CapLeft.Daily}, []ledger.Amount{-2, 0})
	}
}

// Caps of a key are in force for the next request, and what it spent without
// caps is not counted.
func TestKeyCaps(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(sampleTime)
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	post(t, e, topUp("fill", 1, 100))
	credentials := newKey(t, e)
	counted := func(want ledger.Amount) {
		t.Helper()
		keys, err := e.Keys(ctx, 1, "", 10)
		noError(t, err)
		check(t, "counted", keys[0].Spent.Today, want)
	}
	with := func(r ledger.Request) ledger.Request { r.Key = credentials.ID; return r }
	post(t, e, charge("a", 1, 10))
	counted(0)
	key, err := e.SetKeyCaps(ctx, credentials.ID, func(c *ledger.Caps) { c.Daily = 20 })
	noError(t, err)
	check(t, "caps", key.Caps, ledger.Caps{Daily: 20})
	post(t, e, with(charge("b", 1, 15)))
	counted(15)
	tx, _, err := e.Post(ctx, with(charge("c", 1, 6)))
	noError(t, err)
	check(t, "rejection", tx.Rejection, ledger.SpendCapReached)
	key, err = e.SetKeyCaps(ctx, credentials.ID, func(c *ledger.Caps) { c.Monthly = 21 })
	noError(t, err)
	check(t, "caps", key.Caps, ledger.Caps{Daily: 20, Monthly: 21})
	check(t, "what it spent stays", key.Spent, ledger.Spent{Day: 20260102, Today: 15, InMonth: 15})
	known, _, err := e.Authenticate(ctx, credentials)
	noError(t, err)
	check(t, "what a request finds", known.Caps, ledger.Caps{Daily: 20, Monthly: 21})
	check(t, "what the caps leave", post(t, e, with(charge("d", 1, 4))).CapLeft, ledger.CapLeft{Daily: 1, Monthly: 2})

	_, err = e.SetKeyCaps(ctx, credentials.ID, func(c *ledger.Caps) { c.Monthly = -1 })
	wantCode(t, err, ledger.InvalidRequest)
	_, err = e.SetKeyCaps(ctx, "none", func(*ledger.Caps) {})
	wantCode(t, err, ledger.NotFound)
	known, _, err = e.Authenticate(ctx, credentials)
	noError(t, err)
	check(t, "what a request finds", known.Caps, ledger.Caps{Daily: 20, Monthly: 21})
	_, err = e.CreateKey(ctx, ledger.Key{Scopes: ledger.Scopes, Caps: ledger.Caps{Daily: -1}}, engine.GenerateCredentials())
	wantCode(t, err, ledger.InvalidRequest)
	// A key that is not there has no caps.
	unknown := charge("e", 1, 30)
	unknown.Key = "none"
	check(t, "what no caps leave", post(t, e, unknown).CapLeft, ledger.CapLeft{Daily: ledger.NoCap, Monthly: ledger.NoCap})
}

// A key belongs to an account, and its days are those of the account, whoever ends its hold.
func TestDaysOfAKey(t *testing.T) {
	t.Parallel()
	store, _ := newStore(t)
	clock := storetest.NewClock(time.Date(2026, 1, 31, 18, 0, 0, 0, time.UTC)) // February in Vietnam
	e := start(t, store, engine.Options{Clock: clock.Now}, 1)
	_, err := e.UpdateAccount(ctx, 1, engine.AccountChange{TimeZone: new("Asia/Ho_Chi_Minh")})
	noError(t, err)
	check(t, "today", []ledger.Day{e.Today("Asia/Ho_Chi_Minh"), e.Today(""), e.Today("no zone at all")}, []ledger.Day{20260201, 20260131, 20260131})
	check(t, "now", e.Now(), clock.Now())
	credentials := engine.GenerateCredentials()
	_, err = e.CreateKey(ctx, ledger.Key{Account: 1, Scopes: []ledger.Scope{ledger.ScopeBalanceRead}, Caps: ledger.Caps{Monthly: 100}}, credentials)
	noError(t, err)
	post(t, e, topUp("fill", 1, 100))
	hold := place("hold", 1, 30)
	hold.Key = credentials.ID
	post(t, e, hold)
	clock.Pass(time.Hour)
	n, err := e.Sweep(ctx)
	noError(t, err)
	check(t, "expired", n, 1)
	keys, err := e.Keys(ctx, 1, "", 10)
	noError(t, err)
	check(t, "counted", keys[0].Spent, ledger.Spent{Day: 20260201})
}

// Where a day begins when the clocks go forward at midnight, or a day is left out.
func TestStartOfDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		zone             string
		year, month, day int
		want             string
	}{
		{"UTC", 2026, 2, 28, "2026-02-28T00:00:00Z"},
		{"UTC", 2026, 2, 29, "2026-03-01T00:00:00Z"},
		{"UTC", 2026, 13, 32, "2027-02-01T00:00:00Z"},
		{"America/New_York", 2026, 3, 8, "2026-03-08T05:00:00Z"},
		{"America/New_York", 2026, 3, 9, "2026-03-09T04:00:00Z"},
		{"America/Havana", 2024, 3, 10, "2024-03-10T05:00:00Z"}, // is 01:00 there
		{"America/Havana", 2024, 3, 11, "2024-03-11T04:00:00Z"},
		{"America/Sao_Paulo", 2018, 11, 4, "2018-11-04T03:00:00Z"},
		{"Africa/Cairo", 2024, 4, 26, "2024-04-25T22:00:00Z"},
		{"Pacific/Apia", 2011, 12, 30, "2011-12-30T10:00:00Z"}, // which was no day there
		{"Pacific/Apia", 2011, 12, 31, "2011-12-30T10:00:00Z"},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got := engine.StartOfDay(tt.year, time.Month(tt.month), tt.day, zone)
		check(t, fmt.Sprint(tt), got.UTC().Format(time.RFC3339), tt.want)
	}
}
