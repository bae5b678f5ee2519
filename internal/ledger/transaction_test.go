package ledger_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The golden values of this file were computed by another program (Python's
// hashlib and struct) from the description of the formats. They are on disk in
// every ledger: where one of these tests fails, the code is wrong, not the value.

func TestTransactionIDGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope ledger.AccountID
		key   string
		want  string
	}{
		{ledger.Operator, "order-1", "2a0f065e-da46-8982-a93d-0fa9fdbac35b"},
		{7, "order-1", "4375dfbd-b2f7-87b4-9943-386acce7b7cd"},
		{ledger.MaxAccountID, "order-1", "1c6fe369-9518-8d24-9757-314c0e36b4e6"},
		{ledger.Operator, "", "1f8f43eb-d078-86de-afa8-2520bc5d4623"},
		{ledger.Operator, strings.Repeat("k", 255), "65208f45-792d-8043-b1ce-06dfb6f22a98"},
	} {
		if got := ledger.NewTransactionID(tt.scope, tt.key).String(); got != tt.want {
			t.Errorf("id of %q in scope %d is %s, want %s", tt.key, tt.scope, got, tt.want)
		}
	}
}

func TestTransactionIDProperties(t *testing.T) {
	t.Parallel()
	key := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "ab", "\x00", "\x00a"}), rapid.String())
	scope := rapid.OneOf(rapid.Int32Range(0, 3), rapid.Int32Range(0, 1<<31-1))
	rapid.Check(t, func(t *rapid.T) {
		s1, k1 := ledger.AccountID(scope.Draw(t, "scope")), key.Draw(t, "key")
		id := ledger.NewTransactionID(s1, k1)
		text := id.String()
		if len(text) != 36 || text[14] != '8' || !strings.Contains("89ab", text[19:20]) || strings.ToLower(text) != text {
			t.Fatalf("%s is not a UUID of version 8 and the RFC's variant", text)
		}
		if back, err := ledger.ParseTransactionID(text); err != nil || back != id {
			t.Fatalf("%s is read as %s, %v", text, back, err)
		}
		// One id for each pair of scope and key: two customers may use one key.
		s2, k2 := ledger.AccountID(scope.Draw(t, "other scope")), key.Draw(t, "other key")
		if same := id == ledger.NewTransactionID(s2, k2); same != (s1 == s2 && k1 == k2) {
			t.Fatalf("(%d, %q) and (%d, %q) have the same id: %t", s1, k1, s2, k2, same)
		}
	})
}

func parseID(t *testing.T, text string) (id ledger.TransactionID, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("ParseTransactionID(%.60q) panics: %v", text, p)
			err = ledger.Errorf(ledger.InvalidRequest, "panic")
		}
	}()
	return ledger.ParseTransactionID(text)
}

func TestParseTransactionID(t *testing.T) {
	t.Parallel()
	const good = "5c146b14-3c52-8afd-938a-375d0df1fbf6"
	if id, err := parseID(t, good); err != nil || id.String() != good {
		t.Errorf("%s is read as %s, %v", good, id, err)
	}
	for _, bad := range []string{
		"", "-", "x", "5c", good[:35], good[1:],
		strings.ReplaceAll(good, "-", ""), strings.ToUpper(good), "{" + good + "}", "urn:uuid:" + good,
		" " + good, good + " ", good + "\n", "5c146b143-c52-8afd-938a-375d0df1fbf6", strings.ReplaceAll(good, "-", "_"),
		"5c146b14-3c52-8afd-938a-375d0df1fbfg", "5c146b14-3c52-8afd-938a-375d0df1fbé", strings.Repeat("-", 36), strings.Repeat("-", 1<<16),
		"zz" + strings.Repeat("0", 1<<16),
	} {
		id, err := parseID(t, bad)
		if id != (ledger.TransactionID{}) {
			t.Errorf("%.60q is read as %s", bad, id)
		}
		wantError(t, err, ledger.InvalidRequest, "is not a transaction id")
	}
}

// The id comes from a URL, so any text at all must get an answer.
func TestParseTransactionIDNeverPanics(t *testing.T) {
	t.Parallel()
	const good = "5c146b14-3c52-8afd-938a-375d0df1fbf6"
	for _, bad := range []string{
		good + "0", good + "00", good + good, strings.Repeat("0", 33), strings.Repeat("0", 34), strings.Repeat("0", 1<<16),
	} {
		_, err := parseID(t, bad)
		wantError(t, err, ledger.InvalidRequest, "is not a transaction id")
	}
}

func TestParseTransactionIDAnyText(t *testing.T) {
	t.Parallel()
	texts := rapid.OneOf(rapid.StringMatching(`[0-9a-fA-F-]{0,80}`), rapid.StringMatching(`[0-9a-f]{30,40}`), rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		text := texts.Draw(t, "text")
		if id, err := ledger.ParseTransactionID(text); err == nil && id.String() != text {
			t.Fatalf("%q is read as %s", text, id)
		}
	})
}

// sample is a request in which every field has a value of its own.
func sample() ledger.Request {
	return ledger.Request{
		Scope: 7, IdempotencyKey: "order-1", Kind: ledger.Transfer,
		Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS}, To: ledger.WalletRef{Account: 7, Service: ledger.VoIP},
		Amount: 1_500_000, Reference: "msg-1", Metadata: ledger.Metadata{"a": "1", "b": "2"},
	}
}

func TestRequestHashGolden(t *testing.T) {
	t.Parallel()
	full := sample()
	least := ledger.Request{IdempotencyKey: "k", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: 1}
	for _, tt := range []struct {
		request *ledger.Request
		want    string
	}{
		{&full, "2af829dd6e693a00d12a9eac2964aa258dc3efdb79f06e68e27969376fdf8942"},
		{&least, "767bf115d3d8b6bd2348d915560eeed5f183534beb9dcc899bd0ea83039afb7d"},
	} {
		hash := tt.request.Hash()
		if got := hex.EncodeToString(hash[:]); got != tt.want {
			t.Errorf("hash of %+v is %s, want %s", tt.request, got, tt.want)
		}
	}
}

func requests() *rapid.Generator[ledger.Request] {
	// Few short texts, so that two draws often differ in one place only, and
	// neighbouring texts often join to the same bytes.
	text := rapid.SampledFrom([]string{"", "a", "b", "ab", "aa", "\x00", "a\x00"})
	ref := rapid.Custom(func(t *rapid.T) ledger.WalletRef {
		return ledger.WalletRef{Account: ledger.AccountID(rapid.Int32Range(0, 2).Draw(t, "account")), Service: ledger.Service(text.Draw(t, "service"))}
	})
	return rapid.Custom(func(t *rapid.T) ledger.Request {
		return ledger.Request{
			Scope: ledger.AccountID(rapid.Int32Range(0, 1).Draw(t, "scope")), IdempotencyKey: text.Draw(t, "key"), Kind: ledger.Kind(text.Draw(t, "kind")),
			Wallet: ref.Draw(t, "wallet"), To: ref.Draw(t, "to"), Amount: amounts().Draw(t, "amount"), Reference: text.Draw(t, "reference"),
			Metadata: rapid.MapOfN(text, text, 0, 3).Draw(t, "metadata"),
		}
	})
}

// mutations changes one leaf of *target after the other, calls check with the
// name of what it changed, and puts the leaf back. It goes by reflection, so
// that a field added later is covered without a change here.
func mutations(t interface{ Fatalf(string, ...any) }, target any, check func(field string)) {
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Microsecond)))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		case v.CanInt():
			for _, bit := range []int{0, v.Type().Bits() - 1} { // the lowest and the sign: no byte may be cut off
				v.SetInt(before.Int() ^ int64(-1)<<bit)
				check(fmt.Sprintf("%s bit %d", name, bit))
			}
			v.Set(before)
			return
		case v.Kind() == reflect.String:
			v.SetString(before.String() + "x")
		case v.Kind() == reflect.Array:
			for _, i := range []int{0, v.Len() - 1} {
				walk(fmt.Sprintf("%s[%d]", name, i), v.Index(i))
			}
			return
		case v.CanUint():
			v.SetUint(before.Uint() ^ 1)
		case v.Type() == reflect.TypeFor[ledger.Metadata]():
			m := before.Interface().(ledger.Metadata)
			changed := func(change func(ledger.Metadata)) {
				copied := ledger.Metadata{}
				maps.Copy(copied, m)
				change(copied)
				v.Set(reflect.ValueOf(copied))
			}
			changed(func(c ledger.Metadata) { c["new"] = "" })
			check(name + " with one more")
			for k := range m {
				changed(func(c ledger.Metadata) { c[k] += "x" })
				check(name + " with another text")
				changed(func(c ledger.Metadata) { delete(c, k) })
				check(name + " with one less")
				changed(func(c ledger.Metadata) { c[k+"x"] = c[k]; delete(c, k) })
				check(name + " with another name")
			}
			v.Set(before)
			return
		default:
			t.Fatalf("%s has type %s, which this test cannot change yet", name, v.Type())
		}
		check(name)
		v.Set(before)
	}
	walk("", reflect.ValueOf(target).Elem())
}

func TestRequestHashCoversEveryField(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		before, seen := r.Hash(), 0
		mutations(t, &r, func(field string) {
			seen++
			if r.Hash() == before {
				t.Fatalf("a change of %s does not show in the hash", field)
			}
		})
		if seen < 10 || r.Hash() != before {
			t.Fatalf("%d mutations, hash put back: %t", seen, r.Hash() == before)
		}
	})
}

// Two requests are the same exactly when their hashes are.
func TestRequestHashIsIdentity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := requests().Draw(t, "a"), requests().Draw(t, "b")
		if rapid.Bool().Draw(t, "one field apart") {
			metadata := b.Metadata
			b = a
			b.Metadata = metadata
		}
		same := reflect.DeepEqual(a, b) || len(a.Metadata) == 0 && len(b.Metadata) == 0 && func() bool {
			a, b := a, b
			a.Metadata, b.Metadata = nil, nil
			return reflect.DeepEqual(a, b)
		}()
		if got := a.Hash() == b.Hash(); got != same {
			t.Fatalf("same hash: %t, same request: %t\n%+v\n%+v", got, same, a, b)
		}
	})
}

// Each row joins to the same bytes on both sides where lengths are left out.
func TestRequestHashIsUnambiguous(t *testing.T) {
	t.Parallel()
	type r = ledger.Request
	type m = ledger.Metadata
	tests := []struct {
		name string
		a, b r
	}{
		{"key and kind", r{IdempotencyKey: "k1", Kind: "charge"}, r{IdempotencyKey: "k", Kind: "1charge"}},
		{"wallets", r{Wallet: ledger.WalletRef{Service: "sms"}}, r{To: ledger.WalletRef{Service: "sms"}}},
		{"sender and receiver", r{Wallet: ledger.WalletRef{Account: 1}, To: ledger.WalletRef{Account: 2}}, r{Wallet: ledger.WalletRef{Account: 2}, To: ledger.WalletRef{Account: 1}}},
		{"reference and metadata", r{Reference: "ab", Metadata: m{"c": "d"}}, r{Reference: "a", Metadata: m{"bc": "d"}}},
		{"reference or metadata", r{Reference: "ab"}, r{Metadata: m{"a": "b"}}},
		{"name and text", r{Metadata: m{"ab": "c"}}, r{Metadata: m{"a": "bc"}}},
		{"one member or two", r{Metadata: m{"a": "b"}}, r{Metadata: m{"a": "", "b": ""}}},
		{"members", r{Metadata: m{"a": "bc", "d": ""}}, r{Metadata: m{"a": "b", "cd": ""}}},
		{"names exchanged", r{Metadata: m{"a": "1", "b": "2"}}, r{Metadata: m{"a": "2", "b": "1"}}},
		{"sign", r{Amount: 1}, r{Amount: -1}},
		{"scope and wallet", r{Scope: 1}, r{Wallet: ledger.WalletRef{Account: 1}}},
	}
	for _, tt := range tests {
		if tt.a.Hash() == tt.b.Hash() {
			t.Errorf("%s: the hashes are equal", tt.name)
		}
	}
}

func TestRequestHashIgnoresOrderOfMetadata(t *testing.T) {
	t.Parallel()
	up, down := sample(), sample()
	up.Metadata, down.Metadata = ledger.Metadata{}, ledger.Metadata{}
	for i := range 32 {
		up.Metadata[fmt.Sprint(i)], down.Metadata[fmt.Sprint(31-i)] = "x", "x"
	}
	want := up.Hash()
	for range 50 { // Go's own order differs from one walk to the next
		if up.Hash() != want || down.Hash() != want {
			t.Fatal("the hash depends on the order of the metadata")
		}
	}
	none, empty := sample(), sample()
	none.Metadata, empty.Metadata = nil, ledger.Metadata{}
	if none.Hash() != empty.Hash() {
		t.Error("no metadata and empty metadata differ: a store need not keep them apart")
	}
}

func TestRequestValidate(t *testing.T) {
	t.Parallel()
	type request = ledger.Request
	const invalid, forbidden = ledger.InvalidRequest, ledger.Forbidden
	own, other := ledger.WalletRef{Account: 7, Service: ledger.VoIP}, ledger.WalletRef{Account: 8, Service: ledger.SMS}
	kind := func(k ledger.Kind) func(*request) { return func(r *request) { r.Kind = k } }
	transfer := func(to ledger.WalletRef) func(*request) {
		return func(r *request) { r.Kind, r.To = ledger.Transfer, to }
	}
	all := func(changes ...func(*request)) func(*request) {
		return func(r *request) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	customer := func(r *request) { r.Scope = 7 }
	tests := []struct {
		name   string
		change func(*request)
		code   ledger.Code
		part   string
	}{
		{"charge", kind(ledger.Charge), "", ""},
		{"topup", kind(ledger.TopUp), "", ""},
		{"refund", kind(ledger.Refund), "", ""},
		{"adjustment up", kind(ledger.Adjustment), "", ""},
		{"adjustment down", all(kind(ledger.Adjustment), func(r *request) { r.Amount = -1 }), "", ""},
		{"lowest adjustment", all(kind(ledger.Adjustment), func(r *request) { r.Amount = -ledger.MaxAmount }), "", ""},
		{"transfer", transfer(other), "", ""},
		{"transfer within the account", transfer(own), "", ""},
		{"most", func(r *request) {
			r.IdempotencyKey = strings.Repeat("k", ledger.MaxIdempotencyKey)
			r.Wallet = ledger.WalletRef{Account: ledger.MaxAccountID, Service: "abcdefghijklmnop"}
			r.Amount, r.Reference, r.Metadata = ledger.MaxAmount, strings.Repeat("r", ledger.MaxReferenceLen), members(ledger.MaxMetadata)
		}, "", ""},
		{"any visible key", func(r *request) { r.IdempotencyKey = "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~" }, "", ""},

		{"no key", func(r *request) { r.IdempotencyKey = "" }, invalid, "idempotency key"},
		{"key too long", func(r *request) { r.IdempotencyKey = strings.Repeat("k", ledger.MaxIdempotencyKey+1) }, invalid, "idempotency key"},
		{"key with a space", func(r *request) { r.IdempotencyKey = "a b" }, invalid, "idempotency key"},
		{"key with a control", func(r *request) { r.IdempotencyKey = "a\x7f" }, invalid, "idempotency key"},
		{"key not ASCII", func(r *request) { r.IdempotencyKey = "é" }, invalid, "idempotency key"},
		{"key not UTF-8", func(r *request) { r.IdempotencyKey = "\xff" }, invalid, "idempotency key"},
		{"no kind", kind(""), invalid, "unknown type"},
		{"unknown kind", kind("hire"), invalid, `unknown type "hire"`},
		{"kind in capitals", kind("Charge"), invalid, "unknown type"},
		{"account zero", func(r *request) { r.Wallet.Account = 0 }, invalid, "account must"},
		{"account below zero", func(r *request) { r.Wallet.Account = -7 }, invalid, "account must"},
		{"no service", func(r *request) { r.Wallet.Service = "" }, invalid, "is not a wallet name"},
		{"service in capitals", func(r *request) { r.Wallet.Service = "SMS" }, invalid, `"SMS" is not a wallet name`},
		{"nothing", func(r *request) { r.Amount = 0 }, invalid, "must not be zero"},
		{"adjustment of nothing", all(kind(ledger.Adjustment), func(r *request) { r.Amount = 0 }), invalid, "must not be zero"},
		{"reference too long", func(r *request) { r.Reference = strings.Repeat("r", ledger.MaxReferenceLen+1) }, invalid, "reference must"},
		{"metadata", func(r *request) { r.Metadata = ledger.Metadata{"": ""} }, invalid, "metadata name"},

		{"transfer to nobody", transfer(ledger.WalletRef{}), invalid, "receiving account"},
		{"transfer to the operator", transfer(ledger.WalletRef{Account: 0, Service: ledger.SMS}), invalid, "receiving account"},
		{"transfer below zero", transfer(ledger.WalletRef{Account: -8, Service: ledger.SMS}), invalid, "receiving account"},
		{"transfer to no service", transfer(ledger.WalletRef{Account: 8}), invalid, "is not a wallet name"},
		{"transfer to itself", transfer(ledger.WalletRef{Account: 7, Service: ledger.SMS}), invalid, "two different wallets"},
		{"charge to another wallet", func(r *request) { r.To = other }, invalid, "only a transfer"},
		{"charge to half a wallet", func(r *request) { r.To.Service = ledger.SMS }, invalid, "only a transfer"},

		// What a customer's own key may do: spend, and move within the account.
		{"customer's charge", all(customer, kind(ledger.Charge)), "", ""},
		{"customer's transfer within", all(customer, transfer(own)), "", ""},
		{"customer's topup", all(customer, kind(ledger.TopUp)), forbidden, "cannot post this topup"},
		{"customer's refund", all(customer, kind(ledger.Refund)), forbidden, "cannot post this refund"},
		{"customer's adjustment", all(customer, kind(ledger.Adjustment)), forbidden, "cannot post this adjustment"},
		{"customer's adjustment down", all(customer, kind(ledger.Adjustment), func(r *request) { r.Amount = -1 }), forbidden, "cannot post"},
		{"customer's transfer away", all(customer, transfer(other)), forbidden, "cannot post this transfer"},
		{"customer's charge elsewhere", all(customer, kind(ledger.Charge), func(r *request) { r.Wallet.Account = 8 }), forbidden, "account 7 only"},
		{"customer draws from another", all(customer, transfer(own), func(r *request) { r.Wallet.Account = 8 }), forbidden, "account 7 only"},
		{"a scope that is no account", func(r *request) { r.Scope = -7 }, forbidden, "only"},
	}
	for _, k := range []ledger.Kind{ledger.Charge, ledger.TopUp, ledger.Refund, ledger.Transfer} {
		tests = append(tests, struct {
			name   string
			change func(*request)
			code   ledger.Code
			part   string
		}{fmt.Sprintf("%s below zero", k), all(kind(k), func(r *request) { r.Amount = -1 }), invalid, "must be positive"})
	}
	for _, bad := range notText {
		tests = append(tests, struct {
			name   string
			change func(*request)
			code   ledger.Code
			part   string
		}{fmt.Sprintf("reference %q", bad), func(r *request) { r.Reference = bad }, invalid, "reference must"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request{
				IdempotencyKey: "order-1", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS},
				Amount: 38_300, Reference: "msg-1", Metadata: ledger.Metadata{"country": "VN"},
			}
			tt.change(&r)
			wantError(t, r.Validate(), tt.code, tt.part)
		})
	}
}

// The one int64 that is no Amount: its negative is itself, so the system
// account's side of it could not be written.
func TestRequestValidateRefusesMinInt64(t *testing.T) {
	t.Parallel()
	r := ledger.Request{
		IdempotencyKey: "k", Kind: ledger.Adjustment, Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS},
		Amount: -ledger.MaxAmount - 1,
	}
	wantError(t, r.Validate(), ledger.InvalidRequest, "amount")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[ledger.Kind]ledger.SystemAccount{
		ledger.TopUp: "funding", ledger.Charge: "revenue", ledger.Refund: "revenue", ledger.Adjustment: "adjustment", ledger.Transfer: "",
	} {
		if !kind.Valid() || kind.Counterpart() != want {
			t.Errorf("%s is valid: %t, balanced against %q", kind, kind.Valid(), kind.Counterpart())
		}
	}
	for _, bad := range []ledger.Kind{"", "TOPUP", "hold", "charge "} {
		if bad.Valid() || bad.Counterpart() != "" {
			t.Errorf("%q is a kind", bad)
		}
	}
}

func TestNewTransaction(t *testing.T) {
	t.Parallel()
	r := sample()
	got := ledger.NewTransaction(r)
	want := ledger.Transaction{Request: r, ID: ledger.NewTransactionID(7, "order-1"), RequestHash: r.Hash()}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The words are part of the outcome that a retry is told, byte for byte: also
// a retry that comes after an upgrade.
func TestTransactionErrGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rejection ledger.Code
		want      string
	}{
		{ledger.InsufficientFunds, "insufficient_funds: -18.383 is available, 0.0383 was asked for (top the wallet up, then post again with a new idempotency key)"},
		{ledger.AccountNotActive, "account_not_active: the account's status does not allow this charge"},
		{ledger.CurrencyMismatch, "currency_mismatch: the two wallets are kept in different currencies"},
		{ledger.AmountOutOfRange, "amount_out_of_range: the wallet cannot carry this amount"},
	} {
		tx := ledger.Transaction{
			Request: ledger.Request{Kind: ledger.Charge, Amount: 38_300}, Rejection: tt.rejection,
			Balance: -20_000_000, Held: 1, Available: -18_383_000,
		}
		err := tx.Err()
		if err == nil || err.Error() != tt.want || ledger.CodeOf(err) != tt.rejection {
			t.Errorf("%s: the error is %q, want %q", tt.rejection, err, tt.want)
		}
	}
	if err := (&ledger.Transaction{}).Err(); err != nil {
		t.Errorf("a posted transaction has the error %v", err)
	}
}

// link is an entry in which every field has a value of its own.
func link() ledger.Entry {
	return ledger.Entry{
		WalletRef: ledger.WalletRef{Account: 7, Service: ledger.SMS}, Version: 1,
		Transaction: ledger.NewTransactionID(7, "order-1"), Amount: -1_500_000, Balance: 8_500_000, Held: 250_000,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC),
	}
}

func TestChainHashGolden(t *testing.T) {
	t.Parallel()
	r := sample()
	first := link()
	first.Hash = first.ChainHash(ledger.Hash{}, r.Hash())
	second := ledger.Entry{
		WalletRef: ledger.WalletRef{Account: 7, Service: ledger.VoIP}, Version: 2,
		Transaction: first.Transaction, Amount: 1_500_000, Balance: -3, CreatedAt: first.CreatedAt,
	}
	second.Hash = second.ChainHash(first.Hash, r.Hash())
	for _, tt := range []struct {
		got  ledger.Hash
		want string
	}{
		{first.Hash, "85f4c571218cdadb71bbd223b51be41aec93b7baa016d74fa6bbf4c103f0a1f6"},
		{second.Hash, "3131bdf35f9db1136758156eb6c5cc56ad7375a18d54f34ce08e420f46693132"},
	} {
		if got := hex.EncodeToString(tt.got[:]); got != tt.want {
			t.Errorf("chain hash is %s, want %s", got, tt.want)
		}
	}
}

func TestChainHashCoversEverything(t *testing.T) {
	t.Parallel()
	// Everything that goes into a link: the entry, and what it is tied to.
	type tied struct {
		Entry             ledger.Entry
		Previous, Request ledger.Hash
	}
	link := tied{Entry: link(), Previous: ledger.Hash{1}, Request: ledger.Hash{2}}
	before, seen := link.Entry.ChainHash(link.Previous, link.Request), 0
	mutations(t, &link, func(field string) {
		if strings.HasPrefix(field, ".Entry.Hash") {
			return // the result, which is not its own input
		}
		seen++
		if link.Entry.ChainHash(link.Previous, link.Request) == before {
			t.Errorf("a change of %s does not show in the chain", field)
		}
	})
	if seen < 15 {
		t.Errorf("only %d mutations", seen)
	}
	if link.Entry.ChainHash(link.Request, link.Previous) == before {
		t.Error("the entry before and the request can be exchanged")
	}
}

// A store keeps microseconds, in whatever zone its driver likes: the chain must
// verify for what comes back.
func TestChainHashSurvivesTheStore(t *testing.T) {
	t.Parallel()
	e := link()
	want := e.ChainHash(ledger.Hash{}, ledger.Hash{})
	e.Hash = want
	e.CreatedAt = e.CreatedAt.In(time.FixedZone("UTC+7", 7*3600)).Add(999 * time.Nanosecond)
	if e.ChainHash(ledger.Hash{}, ledger.Hash{}) != want {
		t.Error("zone, nanoseconds or the stored hash change the chain")
	}
}
