package ledger_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
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
		{ledger.System, "order-1", "9b79ed08-18cb-82fc-8bdf-e0f24c8763c6"},
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
	scope := rapid.OneOf(rapid.Int32Range(-1, 3), rapid.Int32Range(0, 1<<31-1))
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

func TestTransactionIDIsZero(t *testing.T) {
	t.Parallel()
	if !(ledger.TransactionID{}).IsZero() {
		t.Error("the zero id names something")
	}
	for i := range len(ledger.TransactionID{}) {
		id := ledger.TransactionID{}
		id[i] = 1
		if id.IsZero() {
			t.Errorf("%s names nothing", id)
		}
	}
}

// sample is a request in which every field has a value of its own. No valid request has all of them.
func sample() ledger.Request {
	return ledger.Request{
		Scope: 7, IdempotencyKey: "order-1", Kind: ledger.Transfer,
		Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS}, To: ledger.WalletRef{Account: 7, Service: ledger.VoIP},
		Amount: 1_500_000, Parent: ledger.NewTransactionID(7, "hold-1"), ExpiresIn: 24 * time.Hour, Final: true,
		Reference: "msg-1", Metadata: ledger.Metadata{"a": "1", "b": "2"},
		Batch: ledger.TransactionID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Key: "AKID7",
	}
}

// least is a request with nothing that can be left out.
func least() ledger.Request {
	return ledger.Request{IdempotencyKey: "k", Kind: ledger.Charge, Wallet: ledger.WalletRef{Account: 1, Service: ledger.SMS}, Amount: 1}
}

func TestRequestHashGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		request ledger.Request
		want    string
	}{
		{sample(), "5658c72818ed79aca418cd546bc98e08bce9d4b9c7c9e02630f37d88362f7a99"},
		{least(), "c770eb0aae0a83c31c420a86a39c6f15b6d193dcab8b1f4bc8df87eb2e6d632b"},
		// Numbers at their ends: all bytes of each are there, and the sign.
		{ledger.Request{
			Scope: ledger.System, IdempotencyKey: "k", Kind: ledger.Adjustment, Amount: -1, ExpiresIn: ledger.MaxExpiresIn,
			Wallet: ledger.WalletRef{Account: ledger.MaxAccountID, Service: ledger.SMS},
		}, "fdb2db70a08d9324f1b538a23c685085892ea4a17b25abf277ecd3ddaea08e08"},
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
	id := rapid.Map(rapid.ByteRange(0, 2), func(b byte) ledger.TransactionID { return ledger.TransactionID{b} })
	return rapid.Custom(func(t *rapid.T) ledger.Request {
		return ledger.Request{
			Scope: ledger.AccountID(rapid.Int32Range(-1, 1).Draw(t, "scope")), IdempotencyKey: text.Draw(t, "key"), Kind: ledger.Kind(text.Draw(t, "kind")),
			Wallet: ref.Draw(t, "wallet"), To: ref.Draw(t, "to"), Amount: amounts().Draw(t, "amount"),
			Parent: id.Draw(t, "parent"), ExpiresIn: time.Duration(rapid.IntRange(0, 2).Draw(t, "expires in")) * time.Second, Final: rapid.Bool().Draw(t, "final"),
			Reference: text.Draw(t, "reference"), Metadata: rapid.MapOfN(text, text, 0, 3).Draw(t, "metadata"),
			Batch: id.Draw(t, "batch"), Key: text.Draw(t, "access key"),
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
		case v.Type() == reflect.TypeFor[time.Duration](): // whole seconds: nothing finer is valid
			v.SetInt(before.Int() + int64(time.Second))
		case v.Kind() == reflect.Bool:
			v.SetBool(!before.Bool())
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
			// A retry may come with another key of the account, and is the same request.
			if same := r.Hash() == before; same != (field == ".Key") {
				t.Fatalf("after a change of %s the hash is the same: %t", field, same)
			}
		})
		if seen < 20 || r.Hash() != before {
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
			metadata, key := b.Metadata, b.Key
			b = a
			b.Metadata, b.Key = metadata, key
		}
		plain := func(r ledger.Request) ledger.Request {
			if len(r.Metadata) == 0 {
				r.Metadata = nil
			}
			r.Key = ""
			return r
		}
		same := reflect.DeepEqual(plain(a), plain(b))
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
		{"parent and batch", r{Parent: ledger.TransactionID{1}}, r{Batch: ledger.TransactionID{1}}},
		{"amount and expiry", r{Amount: 1}, r{ExpiresIn: time.Second}},
		{"final and batch", r{Final: true}, r{Batch: ledger.TransactionID{0: 0, 15: 1}}},
		{"final and expiry", r{Final: true}, r{ExpiresIn: 256 * time.Second}},
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

// kinds are all there are, each once.
var kinds = []ledger.Kind{
	ledger.TopUp, ledger.Charge, ledger.Refund, ledger.Adjustment, ledger.Transfer,
	ledger.PlaceHold, ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire,
}

// valid is a request of a kind that its scope may post: the ledger an expiry, the operator all else.
func valid(kind ledger.Kind) ledger.Request {
	r := ledger.Request{
		IdempotencyKey: "order-1", Kind: kind, Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS},
		Amount: 38_300, Reference: "msg-1", Metadata: ledger.Metadata{"country": "VN"},
	}
	switch kind {
	case ledger.Transfer:
		r.To = ledger.WalletRef{Account: 7, Service: ledger.VoIP}
	case ledger.PlaceHold, ledger.Extend:
		r.ExpiresIn = ledger.DefaultExpiresIn
	case ledger.Expire:
		r.Scope = ledger.System
	default:
	}
	switch kind {
	case ledger.Release, ledger.Extend, ledger.Expire:
		r.Amount = 0
	default:
	}
	switch kind {
	case ledger.Refund, ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
		r.Parent = ledger.NewTransactionID(7, "hold-1")
	default:
	}
	return r
}

// refusal is a change to a valid request, and what is then wrong with it.
type refusal struct {
	name   string
	kind   ledger.Kind
	change func(*ledger.Request)
	code   ledger.Code // "" where it stays valid
	part   string
}

func checkRefusals(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, tt := range refusals {
		t.Run(fmt.Sprintf("%s %s", tt.kind, tt.name), func(t *testing.T) {
			t.Parallel()
			r := valid(tt.kind)
			tt.change(&r)
			wantError(t, r.Validate(), tt.code, tt.part)
		})
	}
}

func TestRequestValidate(t *testing.T) {
	t.Parallel()
	type request = ledger.Request
	const invalid = ledger.InvalidRequest
	other := ledger.WalletRef{Account: 8, Service: ledger.SMS}
	to := func(ref ledger.WalletRef) func(*request) { return func(r *request) { r.To = ref } }
	tests := []refusal{
		{"to another account", ledger.Transfer, to(other), "", ""},
		{"of the most", ledger.Charge, func(r *request) {
			r.IdempotencyKey = strings.Repeat("k", ledger.MaxIdempotencyKey)
			r.Wallet = ledger.WalletRef{Account: ledger.MaxAccountID, Service: "abcdefghijklmnop"}
			r.Amount, r.Reference, r.Metadata = ledger.MaxAmount, strings.Repeat("r", ledger.MaxReferenceLen), members(ledger.MaxMetadata)
		}, "", ""},
		{"of the first account", ledger.Charge, func(r *request) { r.Wallet.Account = 1 }, "", ""},
		{"to the first account", ledger.Transfer, to(ledger.WalletRef{Account: 1, Service: ledger.SMS}), "", ""},
		{"with any visible key", ledger.Charge, func(r *request) { r.IdempotencyKey = "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~" }, "", ""},

		{"without a key", ledger.Charge, func(r *request) { r.IdempotencyKey = "" }, invalid, "idempotency key must be 1 to 255 visible ASCII characters (send a header Idempotency-Key"},
		{"with a key too long", ledger.Charge, func(r *request) { r.IdempotencyKey = strings.Repeat("k", ledger.MaxIdempotencyKey+1) }, invalid, "idempotency key"},
		{"with a space in the key", ledger.Charge, func(r *request) { r.IdempotencyKey = "a b" }, invalid, "idempotency key"},
		{"with a control in the key", ledger.Charge, func(r *request) { r.IdempotencyKey = "a\x7f" }, invalid, "idempotency key"},
		{"with a key not ASCII", ledger.Charge, func(r *request) { r.IdempotencyKey = "é" }, invalid, "idempotency key"},
		{"with a key not UTF-8", ledger.Charge, func(r *request) { r.IdempotencyKey = "\xff" }, invalid, "idempotency key"},
		{"of no kind", ledger.Charge, func(r *request) { r.Kind = "" }, invalid, "unknown type"},
		{"of an unknown kind", ledger.Charge, func(r *request) { r.Kind = "hire" }, invalid, `unknown type "hire" (the types are topup, charge, refund, adjustment, transfer, hold, capture, release and extend)`},
		{"in capitals", ledger.Charge, func(r *request) { r.Kind = "Charge" }, invalid, "unknown type"},
		{"of account zero", ledger.Charge, func(r *request) { r.Wallet.Account = 0 }, invalid, "account must be between 1 and 2147483647"},
		{"of an account below zero", ledger.Charge, func(r *request) { r.Wallet.Account = -7 }, invalid, "account must"},
		{"of no service", ledger.Charge, func(r *request) { r.Wallet.Service = "" }, invalid, "is not a wallet name"},
		{"of a service in capitals", ledger.Charge, func(r *request) { r.Wallet.Service = "SMS" }, invalid, `"SMS" is not a wallet name (every account has the wallets sms and voip)`},
		{"with a reference too long", ledger.Charge, func(r *request) { r.Reference = strings.Repeat("r", ledger.MaxReferenceLen+1) }, invalid, "reference must be at most 200 bytes"},
		{"with bad metadata", ledger.Charge, func(r *request) { r.Metadata = ledger.Metadata{"": ""} }, invalid, "metadata name"},

		{"to nobody", ledger.Transfer, to(ledger.WalletRef{}), invalid, "a transfer needs a receiving account between 1 and 2147483647"},
		{"to the operator", ledger.Transfer, to(ledger.WalletRef{Account: 0, Service: ledger.SMS}), invalid, "receiving account"},
		{"below zero", ledger.Transfer, to(ledger.WalletRef{Account: -8, Service: ledger.SMS}), invalid, "receiving account"},
		{"to no service", ledger.Transfer, to(ledger.WalletRef{Account: 8}), invalid, "is not a wallet name"},
		{"to itself", ledger.Transfer, to(ledger.WalletRef{Account: 7, Service: ledger.SMS}), invalid, "two different wallets"},
	}
	for _, bad := range notText {
		tests = append(tests, refusal{
			fmt.Sprintf("with the reference %q", bad), ledger.Charge, func(r *request) { r.Reference = bad }, invalid, "reference must",
		})
	}
	for _, kind := range kinds {
		tests = append(tests, refusal{"as it is", kind, func(*request) {}, "", ""})
		if kind != ledger.Transfer {
			tests = append(tests,
				refusal{"to another wallet", kind, to(other), invalid, "only a transfer has a receiving wallet"},
				refusal{"to half a wallet", kind, to(ledger.WalletRef{Service: ledger.SMS}), invalid, "only a transfer"})
		}
	}
	checkRefusals(t, tests)
}

// What amount each kind takes: one row for each kind and edge.
func TestRequestValidateAmount(t *testing.T) {
	t.Parallel()
	const highest = ledger.MaxAmount
	edges := []ledger.Amount{-highest - 1, -highest, -1, 0, 1, highest}
	// The int64 below the lowest is no Amount: its negative is itself, so the
	// system account's side of it could not be written.
	const beyond, zero, negative = "amount is outside ±9223372036854.775807", "amount must not be zero", "amount must be positive (the type says which way the money goes"
	var tests []refusal
	for _, kind := range kinds {
		parts := []string{beyond, negative, negative, zero, "", ""}
		switch kind {
		case ledger.Adjustment:
			parts = []string{beyond, "", "", zero, "", ""}
		case ledger.Capture:
			parts[3] = "" // all that the hold has
		case ledger.Release, ledger.Extend, ledger.Expire:
			none := fmt.Sprintf("a transaction of type %s has no amount", kind)
			parts = []string{none, none, none, "", none, none}
		default:
		}
		for i, amount := range edges {
			code := ledger.InvalidRequest
			if parts[i] == "" {
				code = ""
			}
			tests = append(tests, refusal{fmt.Sprintf("of %d", int64(amount)), kind, func(r *ledger.Request) { r.Amount = amount }, code, parts[i]})
		}
	}
	checkRefusals(t, tests)
}

// What the kinds about holds, and refunds, have and the others have not.
func TestRequestValidateHold(t *testing.T) {
	t.Parallel()
	type request = ledger.Request
	const invalid = ledger.InvalidRequest
	const bounds = "expires_in must be 1 to 2592000 seconds"
	expires := func(in time.Duration) func(*request) { return func(r *request) { r.ExpiresIn = in } }
	var tests []refusal
	for _, kind := range kinds {
		// One bit is enough of a parent.
		parent := func(r *request) { r.Parent = ledger.TransactionID{0: 0, 15: 1} }
		orphan := func(r *request) { r.Parent = ledger.TransactionID{} }
		switch kind {
		case ledger.Refund:
			tests = append(tests, refusal{"of any charge", kind, parent, "", ""},
				refusal{"of nothing", kind, orphan, invalid, "a refund needs the charge that it gives back (name the id of the charge, or of the capture; money without a charge is given by an adjustment)"})
		case ledger.Capture, ledger.Release, ledger.Extend, ledger.Expire:
			tests = append(tests, refusal{"of any hold", kind, parent, "", ""},
				refusal{"of no hold", kind, orphan, invalid, fmt.Sprintf("a transaction of type %s needs the id of a hold", kind)})
		default:
			tests = append(tests, refusal{"of an earlier one", kind, parent, invalid, fmt.Sprintf("a transaction of type %s is not about an earlier one", kind)})
		}
		if kind == ledger.PlaceHold || kind == ledger.Extend {
			for _, in := range []time.Duration{time.Second, 2 * time.Second, 24 * time.Hour, 30*24*time.Hour - time.Second, 30 * 24 * time.Hour} {
				tests = append(tests, refusal{"for " + in.String(), kind, expires(in), "", ""})
			}
			for _, in := range []time.Duration{
				0, 1, -1, -time.Second, -30 * 24 * time.Hour, time.Second - 1, time.Second + 1, 1500 * time.Millisecond,
				30*24*time.Hour - 1, 30*24*time.Hour + 1, 30*24*time.Hour + time.Second, 1<<63 - 1, -1 << 63,
			} {
				tests = append(tests, refusal{"for " + in.String(), kind, expires(in), invalid, bounds})
			}
		} else {
			for _, in := range []time.Duration{1, -1, time.Second, 24 * time.Hour} {
				tests = append(tests, refusal{"for " + in.String(), kind, expires(in), invalid, fmt.Sprintf("a transaction of type %s does not expire", kind)})
			}
		}
		code, part := invalid, "only a capture can be final"
		if kind == ledger.Capture {
			code, part = "", ""
		}
		tests = append(tests, refusal{"that is final", kind, func(r *request) { r.Final = true }, code, part})
	}
	checkRefusals(t, tests)
}

// Who may post what: a customer's own key spends, and moves money within the account.
func TestRequestValidateScope(t *testing.T) {
	t.Parallel()
	type request = ledger.Request
	scope := func(id ledger.AccountID) func(*request) { return func(r *request) { r.Scope = id } }
	const forbidden = ledger.Forbidden
	const byThemselves = "holds expire by themselves (release the hold instead)"
	tests := []refusal{
		{"to another account, by the customer", ledger.Transfer, func(r *request) { r.Scope, r.To.Account = 7, 8 }, forbidden, "cannot post this transfer"},
		{"to another account, by the operator", ledger.Transfer, func(r *request) { r.To.Account = 8 }, "", ""},
		{"from another account, by the customer", ledger.Transfer, func(r *request) { r.Scope, r.Wallet.Account = 7, 8 }, forbidden, "account 7 only"},
		{"down, by the customer", ledger.Adjustment, func(r *request) { r.Scope, r.Amount = 7, -1 }, forbidden, "cannot post this adjustment"},
	}
	for _, kind := range kinds {
		tests = append(tests, refusal{"by the ledger", kind, scope(ledger.System), "", ""})
		switch kind {
		case ledger.Expire:
			tests = append(tests,
				refusal{"by the operator", kind, scope(ledger.Operator), forbidden, byThemselves},
				refusal{"by the customer", kind, scope(7), forbidden, byThemselves},
				refusal{"by another customer", kind, scope(8), forbidden, byThemselves})
			continue
		case ledger.Charge, ledger.Transfer, ledger.PlaceHold, ledger.Capture, ledger.Release, ledger.Extend:
			tests = append(tests, refusal{"by the customer", kind, scope(7), "", ""})
		default:
			part := fmt.Sprintf("a customer's key cannot post this %s (it can post charges, holds and what ends them, and transfers between the account's own wallets)", kind)
			tests = append(tests, refusal{"by the customer", kind, scope(7), forbidden, part})
		}
		tests = append(tests,
			refusal{"by the operator", kind, scope(ledger.Operator), "", ""},
			refusal{"by another customer", kind, scope(8), forbidden, "this key can post on account 8 only"},
			refusal{"by nobody", kind, scope(-2), forbidden, "account -2 only"})
	}
	checkRefusals(t, tests)
}

// Where several things are wrong, the first is told, and the order is such that
// what is said makes sense: a kind before what the kind must have.
func TestRequestValidateOrder(t *testing.T) {
	t.Parallel()
	r := ledger.Request{
		Scope: 8, Kind: "hire", Wallet: ledger.WalletRef{Account: -1, Service: "SMS"}, To: ledger.WalletRef{Account: -1, Service: "SMS"},
		Amount: -1, ExpiresIn: -1, Final: true, Reference: "\n", Metadata: ledger.Metadata{"": ""},
	}
	for _, step := range []struct {
		code   ledger.Code
		part   string
		repair func()
	}{
		{ledger.InvalidRequest, "idempotency key", func() { r.IdempotencyKey = "k" }},
		{ledger.InvalidRequest, "unknown type", func() { r.Kind = ledger.Refund }},
		{ledger.InvalidRequest, "account must", func() { r.Wallet.Account = 7 }},
		{ledger.InvalidRequest, "is not a wallet name", func() { r.Wallet.Service = ledger.SMS }},
		{ledger.InvalidRequest, "reference must", func() { r.Reference = "" }},
		{ledger.InvalidRequest, "amount must", func() { r.Amount = 1 }},
		{ledger.InvalidRequest, "only a transfer", func() { r.To = ledger.WalletRef{} }},
		{ledger.InvalidRequest, "a refund needs", func() { r.Parent = ledger.TransactionID{1} }},
		{ledger.InvalidRequest, "does not expire", func() { r.ExpiresIn = 0 }},
		{ledger.InvalidRequest, "only a capture", func() { r.Final = false }},
		{ledger.Forbidden, "account 8 only", func() { r.Scope = 7 }},
		{ledger.Forbidden, "cannot post", func() { r.Scope = ledger.Operator }},
		{ledger.InvalidRequest, "metadata name", func() { r.Metadata = nil }},
		{"", "", func() {}},
	} {
		wantError(t, r.Validate(), step.code, step.part)
		step.repair()
	}
	r = ledger.Request{IdempotencyKey: "k", Kind: ledger.Transfer, Wallet: ledger.WalletRef{Account: 7, Service: ledger.SMS}, To: ledger.WalletRef{Account: -1, Service: "SMS"}, Amount: 1}
	wantError(t, r.Validate(), ledger.InvalidRequest, "receiving account")
	r.To.Account = 7
	wantError(t, r.Validate(), ledger.InvalidRequest, `"SMS" is not a wallet name`)
	r.To.Service = ledger.SMS
	wantError(t, r.Validate(), ledger.InvalidRequest, "two different wallets")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	const yes, no = true, false
	for _, tt := range []struct {
		kind        ledger.Kind
		word        string
		counterpart ledger.SystemAccount
		endsHold    bool
		delta       ledger.Amount // of a transaction that moved 5
	}{
		{ledger.TopUp, "topup", "funding", no, 5},
		{ledger.Charge, "charge", "revenue", no, -5},
		{ledger.Refund, "refund", "revenue", no, 5},
		{ledger.Adjustment, "adjustment", "adjustment", no, 5},
		{ledger.Transfer, "transfer", "", no, -5},
		{ledger.PlaceHold, "hold", "", no, 0},
		{ledger.Capture, "capture", "revenue", yes, -5},
		{ledger.Release, "release", "", yes, 0},
		{ledger.Extend, "extend", "", no, 0},
		{ledger.Expire, "expire", "", yes, 0},
	} {
		if !tt.kind.Valid() || string(tt.kind) != tt.word || tt.kind.Counterpart() != tt.counterpart || tt.kind.EndsHold() != tt.endsHold {
			t.Errorf("%s is valid: %t, balanced against %q, ends a hold: %t", tt.kind, tt.kind.Valid(), tt.kind.Counterpart(), tt.kind.EndsHold())
		}
		// The amount that was asked for is not what counts.
		tx := ledger.Transaction{Request: ledger.Request{Kind: tt.kind, Amount: 99}, Moved: 5}
		if got := tx.Delta(); got != tt.delta {
			t.Errorf("%s of 5 adds %d", tt.kind, int64(got))
		}
	}
	adjustment := ledger.Transaction{Request: ledger.Request{Kind: ledger.Adjustment}, Moved: -5}
	if got := adjustment.Delta(); got != -5 {
		t.Errorf("an adjustment of -5 adds %d", int64(got))
	}
	for _, bad := range []ledger.Kind{"", "TOPUP", "Hold", "holds", "charge "} {
		if bad.Valid() || bad.Counterpart() != "" || bad.EndsHold() {
			t.Errorf("%q is a kind", bad)
		}
	}
}

// A refund is of a posted charge or capture, and of no other transaction.
func TestRefundable(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, rejection := range []ledger.Code{"", ledger.InsufficientFunds, ledger.BatchRejected} {
			tx := ledger.NewTransaction(valid(kind))
			// What was moved can be given back, not what was asked for.
			tx.Rejection, tx.Moved, tx.Balance, tx.Held = rejection, 5, 6, 7
			got := tx.Refundable()
			var want *ledger.Refundable
			if rejection == "" && (kind == ledger.Charge || kind == ledger.Capture) {
				want = &ledger.Refundable{ID: tx.ID, WalletRef: tx.Wallet, Amount: 5}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("of a %s (%q), %+v can be refunded, want %+v", kind, rejection, got, want)
			}
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

func TestNewBatchIDGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		requests []ledger.Request
		want     string
	}{
		{[]ledger.Request{least(), sample()}, "18e01d4c-b4d3-8721-8ace-045babaf5913"},
		{[]ledger.Request{least()}, "5667e3ee-83fc-8775-add4-91b4e6871a68"},
	} {
		if got := ledger.NewBatchID(tt.requests).String(); got != tt.want {
			t.Errorf("a batch of %d is %s, want %s", len(tt.requests), got, tt.want)
		}
	}
}

// A batch is the same only whole, in its order: a retry of a part of it is another one.
func TestNewBatchIDIsTheWholeBatch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		batch := rapid.SliceOfN(requests(), 1, 5).Draw(t, "batch")
		id := ledger.NewBatchID(batch)
		if text := id.String(); text[14] != '8' || !strings.Contains("89ab", text[19:20]) {
			t.Fatalf("%s is not a UUID of version 8 and the RFC's variant", text)
		}
		at := rapid.IntRange(0, len(batch)-1).Draw(t, "at")
		changed := slices.Clone(batch)
		changed[at].Key += "x" // which is no part of what is asked for
		if ledger.NewBatchID(changed) != id {
			t.Fatal("another AccessKey makes another batch")
		}
		mutations(t, &changed[at], func(field string) {
			if field != ".Key" && ledger.NewBatchID(changed) == id {
				t.Fatalf("a change of %s makes no other batch", field)
			}
		})
		for name, other := range map[string][]ledger.Request{
			"one less":        slices.Delete(slices.Clone(batch), at, at+1),
			"one more":        append(slices.Clone(batch), requests().Draw(t, "one more")),
			"one of it twice": slices.Insert(slices.Clone(batch), at, batch[at]),
		} {
			if ledger.NewBatchID(other) == id {
				t.Fatalf("%s is the same batch", name)
			}
		}
		turned := slices.Clone(batch)
		slices.Reverse(turned)
		hashes := func(requests []ledger.Request) (list []ledger.Hash) {
			for i := range requests {
				list = append(list, requests[i].Hash())
			}
			return list
		}
		if same := slices.Equal(hashes(turned), hashes(batch)); (ledger.NewBatchID(turned) == id) != same {
			t.Fatalf("in the other order it is the same batch: %t", !same)
		}
	})
}

// The words are part of the outcome that a retry is told, byte for byte: also
// a retry that comes after an upgrade.
func TestTransactionErrGolden(t *testing.T) {
	t.Parallel()
	hold := ledger.NewTransactionID(7, "hold-1")
	sms7 := ledger.WalletRef{Account: 7, Service: ledger.SMS}
	for _, tt := range []struct {
		rejection ledger.Code
		kind      ledger.Kind
		want      string
	}{
		{ledger.InsufficientFunds, ledger.Charge, "insufficient_funds: -18.383 is available, 0.0383 was asked for (top the wallet up, then post again with a new idempotency key)"},
		{ledger.InsufficientFunds, ledger.Capture, "insufficient_funds: -18.383 is available beside what the hold reserves, 0.0383 was asked for in all (top the wallet up, then post again with a new idempotency key)"},
		{ledger.AccountNotActive, ledger.Charge, "account_not_active: the account's status does not allow this charge"},
		{ledger.AccountNotActive, ledger.Extend, "account_not_active: the account's status does not allow this extend"},
		{ledger.WalletNotActive, ledger.PlaceHold, "wallet_not_active: the wallet is suspended, which does not allow this hold"},
		{ledger.HoldNotOpen, ledger.Release, "hold_not_open: the hold is captured or released already (GET /v1/holds/" + hold.String() + " says what became of it)"},
		{ledger.HoldPastExpiry, ledger.Capture, "hold_expired: the hold has expired (nothing is reserved any more: post a charge instead)"},
		{ledger.AmountNotAllowed, ledger.Charge, "amount_not_allowed: 0.0383 is not between the least and the most that the wallet allows (GET /v1/accounts/7/wallets/sms says min_amount and max_amount, where 0 is no bound)"},
		{ledger.SpendCapReached, ledger.Charge, "spend_cap_reached: the daily spend cap leaves 0.5, 0.0383 was asked for (the cap is the operator's; try again when the next period begins, with a new idempotency key)"},
		{ledger.SpendCapReached, ledger.Capture, "spend_cap_reached: the daily spend cap leaves 0.5 beside what the hold reserves, 0.0383 was asked for in all (the cap is the operator's; try again when the next period begins, with a new idempotency key)"},
		{ledger.RefundExceedsCharge, ledger.Refund, "refund_exceeds_charge: with 0.0383 the refunds would be more than the charge"},
		{ledger.BatchRejected, ledger.Charge, "batch_rejected: another transaction of the batch was rejected, so none is posted (post the batch again with new idempotency keys once that one is right)"},
		{ledger.CurrencyMismatch, ledger.Transfer, "currency_mismatch: the two wallets are kept in different currencies"},
		{ledger.AmountOutOfRange, ledger.TopUp, "amount_out_of_range: the wallet cannot carry this amount"},
		// A rejection of a later version, told by this one.
		{"moon_in_the_way", ledger.Charge, "moon_in_the_way: the wallet cannot carry this amount"},
	} {
		tx := ledger.Transaction{
			Request: ledger.Request{Kind: tt.kind, Wallet: sms7, Amount: 38_300, Parent: hold}, Rejection: tt.rejection,
			Balance: -20_000_000, Held: 1, Available: -18_383_000, CapLeft: ledger.CapLeft{Daily: 500_000, Monthly: 600_000},
		}
		err := tx.Err()
		if err == nil || err.Error() != tt.want || ledger.CodeOf(err) != tt.rejection {
			t.Errorf("%s: the error is %q, want %q", tt.rejection, err, tt.want)
		}
		// The key is what is not stored of a transaction, so the words do not come from it.
		tx.Key = "AKID7"
		if again := tx.Err(); again.Error() != tt.want {
			t.Errorf("%s: with a key the error is %q", tt.rejection, again)
		}
	}
	if err := (&ledger.Transaction{}).Err(); err != nil {
		t.Errorf("a posted transaction has the error %v", err)
	}
	// A capture of all that remains names no amount, and "0 is not between" would puzzle.
	all := ledger.Transaction{Request: ledger.Request{Kind: ledger.Capture, Wallet: sms7, Parent: hold}, Rejection: ledger.AmountNotAllowed}
	if got, want := all.Err().Error(), "amount_not_allowed: what remains of the hold is more than the wallet allows at once "+
		"(GET /v1/accounts/7/wallets/sms says min_amount and max_amount, where 0 is no bound)"; got != want {
		t.Errorf("the error is %q, want %q", got, want)
	}
}

// The cap that is named is the one that leaves less, and of two that leave the same the daily one.
func TestSpendCapError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		daily, monthly ledger.Amount
		want           string
	}{
		{5, ledger.NoCap, "the daily spend cap leaves 0.000005, 0.000009 was asked for"},
		{0, ledger.NoCap, "the daily spend cap leaves 0, "},
		{ledger.NoCap, 5, "the monthly spend cap leaves 0.000005, "},
		{ledger.NoCap, 0, "the monthly spend cap leaves 0, "},
		{5, 6, "the daily spend cap leaves 0.000005, "},
		{5, 5, "the daily spend cap leaves 0.000005, "},
		{5, 4, "the monthly spend cap leaves 0.000004, "},
		{0, 0, "the daily spend cap leaves 0, "},
		{1, 0, "the monthly spend cap leaves 0, "},
		{0, 1, "the daily spend cap leaves 0, "},
	} {
		tx := ledger.Transaction{
			Request: ledger.Request{Kind: ledger.Charge, Amount: 9}, Rejection: ledger.SpendCapReached,
			CapLeft: ledger.CapLeft{Daily: tt.daily, Monthly: tt.monthly},
		}
		wantError(t, tx.Err(), ledger.SpendCapReached, tt.want)
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

// cause is a transaction in which every outcome has a value of its own.
func cause() ledger.Transaction {
	t := ledger.NewTransaction(sample())
	t.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	t.Moved, t.Balance, t.Held, t.Available = 1_500_000, 8_500_000, 250_000, 8_250_001
	t.CapLeft, t.Remaining = ledger.CapLeft{Daily: ledger.NoCap, Monthly: 700_000}, 3_000_000
	t.ExpiresAt, t.Version, t.ToVersion = t.CreatedAt.Add(24*time.Hour), 1, 2
	return t
}

func TestChainHashGolden(t *testing.T) {
	t.Parallel()
	by := cause()
	first := link()
	first.Hash = first.ChainHash(ledger.Hash{}, &by)
	second := ledger.Entry{
		WalletRef: ledger.WalletRef{Account: 7, Service: ledger.VoIP}, Version: 2,
		Transaction: first.Transaction, Amount: 1_500_000, Balance: -3, CreatedAt: first.CreatedAt,
	}
	second.Hash = second.ChainHash(first.Hash, &by)
	// A transaction without a hold has no time at which it expires.
	third := second
	third.Version, third.Amount, third.Balance = 3, 0, 0
	charge := ledger.NewTransaction(least())
	third.Hash = third.ChainHash(second.Hash, &charge)
	for _, tt := range []struct {
		got  ledger.Hash
		want string
	}{
		{first.Hash, "d62e70dcb15afe2cdbd6f5c5c41276f757897e3fcaacabe5d03e958b969d1629"},
		{second.Hash, "ea14beb72c34bd4301d0bc22d43bb3a605925c892cd085fcb5d13ab91925a096"},
		{third.Hash, "7174efe573e7bea227eb334211c642b01e77e9bee3850c500e3de40cd4eb05b2"},
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
		Entry    ledger.Entry
		Previous ledger.Hash
		Cause    ledger.Transaction
	}
	link := tied{Entry: link(), Previous: ledger.Hash{1}, Cause: cause()}
	hash := func() ledger.Hash { return link.Entry.ChainHash(link.Previous, &link.Cause) }
	// What is not in the hash by itself, but by another field or not at all.
	elsewhere := []string{
		".Entry.Hash",      // the result, which is not its own input
		".Cause.Request.",  // RequestHash stands for it
		".Cause.ID",        // Entry.Transaction
		".Cause.CreatedAt", // Entry.CreatedAt
		".Cause.Rejection", // what has entries is posted
	}
	before, covered, rest := hash(), 0, map[string]bool{}
	mutations(t, &link, func(field string) {
		at := slices.IndexFunc(elsewhere, func(prefix string) bool { return strings.HasPrefix(field, prefix) })
		switch same := hash() == before; {
		case at >= 0 && same:
			rest[elsewhere[at]] = true
		case at < 0 && !same:
			covered++
		default:
			t.Errorf("after a change of %s the hash is the same: %t", field, same)
		}
	})
	if covered < 35 || len(rest) != len(elsewhere) {
		t.Errorf("%d mutations show, and do not: %v", covered, rest)
	}
	link.Previous, link.Cause.RequestHash = link.Cause.RequestHash, link.Previous
	if hash() == before {
		t.Error("the entry before and the request can be exchanged")
	}
}

// Numbers stand side by side in the hash: no two of them can be exchanged.
func TestChainHashKeepsNumbersApart(t *testing.T) {
	t.Parallel()
	seen := map[ledger.Hash]string{}
	for name, change := range map[string]func(*ledger.Entry, *ledger.Transaction){
		"version": func(e *ledger.Entry, _ *ledger.Transaction) { e.Version = 1 },
		"amount":  func(e *ledger.Entry, _ *ledger.Transaction) { e.Amount = 1 },
		"balance": func(e *ledger.Entry, _ *ledger.Transaction) { e.Balance = 1 },
		"held":    func(e *ledger.Entry, _ *ledger.Transaction) { e.Held = 1 },
		"created": func(e *ledger.Entry, _ *ledger.Transaction) { e.CreatedAt = time.UnixMicro(1) },

		"moved":                   func(_ *ledger.Entry, t *ledger.Transaction) { t.Moved = 1 },
		"balance of the outcome":  func(_ *ledger.Entry, t *ledger.Transaction) { t.Balance = 1 },
		"held of the outcome":     func(_ *ledger.Entry, t *ledger.Transaction) { t.Held = 1 },
		"available":               func(_ *ledger.Entry, t *ledger.Transaction) { t.Available = 1 },
		"version of the outcome":  func(_ *ledger.Entry, t *ledger.Transaction) { t.Version = 1 },
		"version of the receiver": func(_ *ledger.Entry, t *ledger.Transaction) { t.ToVersion = 1 },
		"daily cap":               func(_ *ledger.Entry, t *ledger.Transaction) { t.CapLeft.Daily = 1 },
		"monthly cap":             func(_ *ledger.Entry, t *ledger.Transaction) { t.CapLeft.Monthly = 1 },
		"remaining":               func(_ *ledger.Entry, t *ledger.Transaction) { t.Remaining = 1 },
		"expires":                 func(_ *ledger.Entry, t *ledger.Transaction) { t.ExpiresAt = time.UnixMicro(1) },
	} {
		e, by := ledger.Entry{CreatedAt: time.UnixMicro(0)}, ledger.Transaction{ExpiresAt: time.UnixMicro(0)}
		change(&e, &by)
		hash := e.ChainHash(ledger.Hash{}, &by)
		if other, twice := seen[hash]; twice {
			t.Errorf("%s and %s can be exchanged", name, other)
		}
		seen[hash] = name
	}
}

// A store keeps microseconds, in whatever zone its driver likes: the chain must
// verify for what comes back.
func TestChainHashSurvivesTheStore(t *testing.T) {
	t.Parallel()
	e, by := link(), cause()
	want := e.ChainHash(ledger.Hash{}, &by)
	e.Hash = want
	there := time.FixedZone("UTC+7", 7*3600)
	e.CreatedAt = e.CreatedAt.In(there).Add(999 * time.Nanosecond)
	by.ExpiresAt = by.ExpiresAt.In(there).Add(999 * time.Nanosecond)
	by.Key = "" // which is not stored
	if e.ChainHash(ledger.Hash{}, &by) != want {
		t.Error("zone, nanoseconds, the key or the stored hash change the chain")
	}
}
