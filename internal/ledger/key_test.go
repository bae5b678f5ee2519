package ledger_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

func TestKeyValidate(t *testing.T) {
	t.Parallel()
	networks := func(n int) []netip.Prefix {
		return slices.Repeat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, n)
	}
	scopes := func(s ...ledger.Scope) []ledger.Scope { return s }
	tests := []struct {
		name string
		key  ledger.Key
		part string
	}{
		{"operator with all", ledger.Key{Scopes: ledger.Scopes}, ""},
		{"operator, admin alone", ledger.Key{Scopes: scopes(ledger.ScopeAdmin)}, ""},
		{"customer", ledger.Key{Account: 7, Scopes: scopes(ledger.ScopeBalanceRead, ledger.ScopeTransactionsWrite)}, ""},
		{"longest allow-list", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead), AllowList: networks(ledger.MaxAllowList)}, ""},
		{"with caps", ledger.Key{Scopes: scopes(ledger.ScopeTransactionsWrite), Caps: ledger.Caps{Daily: 1, Monthly: ledger.MaxAmount}}, ""},
		{"of the largest account", ledger.Key{Account: ledger.MaxAccountID, Scopes: scopes(ledger.ScopeBalanceRead)}, ""},
		{"of the system", ledger.Key{Account: ledger.System, Scopes: scopes(ledger.ScopeBalanceRead)}, "account must be between 1 and 2147483647"},
		{"daily cap below zero", ledger.Key{Scopes: scopes(ledger.ScopeTransactionsWrite), Caps: ledger.Caps{Daily: -1}}, "a spend cap must not be negative (0 is no cap)"},
		{"monthly cap below zero", ledger.Key{Scopes: scopes(ledger.ScopeTransactionsWrite), Caps: ledger.Caps{Daily: 1, Monthly: -1}}, "a spend cap must not be negative"},
		{"no scope", ledger.Key{}, "at least one scope"},
		{"customer with admin", ledger.Key{Account: 7, Scopes: ledger.Scopes}, "cannot have the scope admin"},
		{"allow-list too long", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead), AllowList: networks(ledger.MaxAllowList + 1)}, "65 networks, at most 64"},
		{"networks of both kinds", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead), AllowList: []netip.Prefix{
			netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
		}}, ""},
		{"no network", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead), AllowList: []netip.Prefix{{}}}, "is not a network (write 203.0.113.0/24 or 2001:db8::/32)"},
		// Addresses are compared in their plain form, so this one would admit nobody.
		{"a mapped network", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead), AllowList: append(networks(1), netip.MustParsePrefix("::ffff:10.0.0.0/104"))}, `"::ffff:10.0.0.0/104" is not a network`},
		{"unknown scope", ledger.Key{Scopes: scopes(ledger.ScopeBalanceRead, "balance:write")}, `unknown scope "balance:write"`},
		{"empty scope", ledger.Key{Scopes: scopes("")}, "unknown scope"},
		{"scope twice", ledger.Key{Scopes: scopes(ledger.ScopeAdmin, ledger.ScopeBalanceRead, ledger.ScopeAdmin)}, "admin stands twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, tt.key.Validate(), tt.part)
		})
	}
}

// Admin does not imply the others: a key that manages accounts need not be able to move money.
func TestKeyAllows(t *testing.T) {
	t.Parallel()
	for _, held := range ledger.Scopes {
		key := ledger.Key{Scopes: []ledger.Scope{held}}
		for _, asked := range append(slices.Clone(ledger.Scopes), "") {
			if got := key.Allows(asked); got != (held == asked) {
				t.Errorf("a key with %s allows %q: %t", held, asked, got)
			}
		}
	}
	if (&ledger.Key{}).Allows("") {
		t.Error("a key without scopes allows something")
	}
}

func TestKeyUsable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name             string
		expires, revoked time.Time
		want             bool
	}{
		{"forever", time.Time{}, time.Time{}, true},
		{"expires in a nanosecond", now.Add(1), time.Time{}, true},
		{"expires at this instant", now, time.Time{}, false},
		{"expires at this instant, told in another zone", now.In(time.FixedZone("UTC+7", 7*3600)), time.Time{}, false},
		{"expired a nanosecond ago", now.Add(-1), time.Time{}, false},
		{"revoked", time.Time{}, now.Add(-time.Hour), false},
		{"revoked at this instant", now.Add(time.Hour), now, false},
		// A node whose clock runs behind must not let a revoked key pass.
		{"revoked by a clock ahead of ours", now.Add(time.Hour), now.Add(time.Second), false},
	}
	for _, tt := range tests {
		key := ledger.Key{ExpiresAt: tt.expires, RevokedAt: tt.revoked}
		if got := key.Usable(now); got != tt.want {
			t.Errorf("%s: usable is %t", tt.name, got)
		}
	}
}

func TestKeyAdmits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		networks string
		addr     string
		want     bool
	}{
		{"", "203.0.113.9", true},
		{"", "2001:db8::1", true},
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.1.2.3/8", "10.9.9.9", true}, // host bits set, as people write them
		{"192.0.2.7/32", "192.0.2.7", true},
		{"192.0.2.7/32", "192.0.2.8", false},
		// A dual-stack listener sees IPv4 callers as v4-mapped v6.
		{"10.0.0.0/8", "::ffff:10.0.0.1", true},
		{"10.0.0.0/8", "::ffff:11.0.0.1", false},
		// "All of IPv6" is not all of IPv4 in disguise.
		{"::/0", "::ffff:10.0.0.1", false},
		{"::/0", "2001:db8::1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"2001:db8::/32", "2001:db8:1::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
		{"192.0.2.0/24 10.0.0.0/8", "10.0.0.1", true},
		{"192.0.2.0/24 10.0.0.0/8", "172.16.0.1", false},
	}
	for _, tt := range tests {
		var key ledger.Key
		for network := range strings.FieldsSeq(tt.networks) {
			key.AllowList = append(key.AllowList, netip.MustParsePrefix(network))
		}
		if got := key.Admits(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("[%s] admits %s: %t", tt.networks, tt.addr, got)
		}
	}
	// A caller whose address is unknown passes no list, even that of everybody.
	everybody := ledger.Key{AllowList: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	if everybody.Admits(netip.Addr{}) {
		t.Error("an unknown address is admitted")
	}
	// An unset network admits nobody rather than everybody.
	if (&ledger.Key{AllowList: []netip.Prefix{{}}}).Admits(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the zero network admits an address")
	}
}

func TestCredentialsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const id, secret = "AKID7", "hunter2"
	c := ledger.Credentials{ID: id, Secret: secret}
	type request struct {
		Path  string
		Login ledger.Credentials
	}
	type pointing struct{ Login *ledger.Credentials }
	shapes := map[string]any{
		"value": c, "pointer": &c,
		"struct": request{"/", c}, "pointer to struct": &request{"/", c}, "struct of pointer": pointing{&c},
		"slice": []ledger.Credentials{c}, "pointers": []*ledger.Credentials{&c},
		"map": map[string]ledger.Credentials{"a": c}, "key of a map": map[ledger.Credentials]bool{c: true},
		"array": [1]ledger.Credentials{c}, "interface": []any{c, &c},
		"unbroken": ledger.Credentials{Secret: id + secret},
	}
	for name, shape := range shapes {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x"} {
			hidden(t, name+" "+verb, fmt.Sprintf(verb, shape))
		}
		hidden(t, name+" in an error", fmt.Errorf("no key %v", shape).Error())
		hidden(t, name+" in Print", fmt.Sprint(shape)+fmt.Sprintln(shape))
		var text bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("login", "credentials", shape)
		hidden(t, name+" in slog text", text.String())
	}
	if got := c.String(); got != "[credentials]" {
		t.Errorf("String() is %q", got)
	}
	if got := fmt.Sprintf("%#v", c); got != "[credentials]" {
		t.Errorf("GoString() is %q", got)
	}
}

// A log in JSON is the usual one in production: law 7 holds for it as well.
func TestCredentialsAreNotMarshalled(t *testing.T) {
	t.Parallel()
	c := ledger.Credentials{ID: "AKID7", Secret: "hunter2"}
	for name, shape := range map[string]any{"value": c, "pointer": &c, "struct": struct{ Login ledger.Credentials }{c}, "slice": []ledger.Credentials{c}} {
		if text, err := json.Marshal(shape); err == nil {
			hidden(t, name+" in JSON", string(text))
		}
		var text bytes.Buffer
		slog.New(slog.NewJSONHandler(&text, nil)).Info("login", "credentials", shape)
		hidden(t, name+" in slog JSON", text.String())
	}
}

func hidden(t *testing.T, where, text string) {
	t.Helper()
	for _, part := range []string{"AKID7", "hunter2", "414b494437", "68756e74657232", "41 4b 49 44 37"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(part)) {
			t.Errorf("%s shows %s: %s", where, part, text)
		}
	}
}

func TestCredentialsDigest(t *testing.T) {
	t.Parallel()
	// SHA-256 of "abc", from FIPS 180-4: imported keys were digested by other programs.
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for _, c := range []ledger.Credentials{{Secret: "abc"}, {ID: "a", Secret: "bc"}, {ID: "ab", Secret: "c"}, {ID: "abc"}} {
		digest := c.Digest()
		if got := hex.EncodeToString(digest[:]); got != want {
			t.Errorf("digest of %q+%q is %s", c.ID, c.Secret, got)
		}
		if c.AuthSecret() != "abc" {
			t.Errorf("AuthSecret is %q", c.AuthSecret())
		}
	}
}

func TestCredentialsLast4(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ id, secret, want string }{
		{"AKID", "0123456789abcdef", "cdef"},
		{"", "0123456789abcdefg", "defg"},
		// Four characters of a short secret are a good part of it; the id adds nothing.
		{"AKID0123456789abcdef", "0123456789abcde", ""},
		{"AKID", "abc", ""},
		{"", "", ""},
	} {
		if got := (ledger.Credentials{ID: tt.id, Secret: tt.secret}).Last4(); got != tt.want {
			t.Errorf("Last4 of %q+%q is %q, want %q", tt.id, tt.secret, got, tt.want)
		}
	}
}

func TestCredentialsMatch(t *testing.T) {
	t.Parallel()
	text := rapid.StringMatching(`[a-c]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		right := ledger.Credentials{ID: text.Draw(t, "id"), Secret: text.Draw(t, "secret")}
		key := ledger.Key{ID: right.ID, Digest: right.Digest()}
		whole := right.AuthSecret()
		// The digest is the same wherever the text is split, so only the split
		// tells an id from another: one key's id must not open another's door.
		for cut := range len(whole) + 1 {
			c := ledger.Credentials{ID: whole[:cut], Secret: whole[cut:]}
			want := cut == 0 || cut == len(right.ID)
			if got := c.Matches(&key); got != want {
				t.Fatalf("%q+%q matches %q+%q: %t", c.ID, c.Secret, right.ID, right.Secret, got)
			}
		}
		other := ledger.Credentials{ID: rapid.OneOf(text, rapid.Just("")).Draw(t, "other id"), Secret: text.Draw(t, "other secret")}
		want := other == right || other.ID == "" && other.Secret == whole
		if got := other.Matches(&key); got != want {
			t.Fatalf("%q+%q matches %q+%q: %t", other.ID, other.Secret, right.ID, right.Secret, got)
		}
	})
	// Nothing given matches nothing stored.
	if (ledger.Credentials{}).Matches(&ledger.Key{}) || (ledger.Credentials{}).Matches(&ledger.Key{ID: "a", Digest: ledger.Credentials{ID: "a", Secret: "b"}.Digest()}) {
		t.Error("empty credentials match a key")
	}
}

func TestCredentialsValidateImport(t *testing.T) {
	t.Parallel()
	long := strings.Repeat
	tests := []struct {
		name       string
		id, secret string
		part       string
	}{
		{"shortest", "a", "b", ""},
		{"usual", "AKID-7_x.y~", "p@ss:w/rd!\"#$%&'()*+,;<=>?[]^`{|}", ""},
		{"longest id", long("i", ledger.MaxKeyID), "s", ""},
		{"longest together", long("i", ledger.MaxKeyID), long("s", ledger.MaxAuthSecret-ledger.MaxKeyID), ""},
		{"no id", "", "s", "key id must"},
		{"id too long", long("i", ledger.MaxKeyID+1), "s", "key id must"},
		{"id with a colon", "a:b", "s", "key id must"},
		{"id with a space", "a b", "s", "key id must"},
		{"id with a line", "a\n", "s", "key id must"},
		{"id with DEL", "a\x7f", "s", "key id must"},
		{"id not ASCII", "clé", "s", "key id must"},
		{"id not UTF-8", "a\xff", "s", "key id must"},
		// What a URL cannot name: a path is cleaned of these.
		{"id of a dot", ".", "s", "key id cannot be ., which no URL can name"},
		{"id of two dots", "..", "s", "key id cannot be .., which no URL can name"},
		{"id of three dots", "...", "s", ""},
		{"id that begins with a dot", ".a", "s", ""},
		{"no secret", "a", "", "secret must"},
		{"secret with a space", "a", "s s", "secret must"},
		{"secret with NUL", "a", "s\x00", "secret must"},
		{"secret not ASCII", "a", "密", "secret must"},
		{"together too long", "a", long("s", ledger.MaxAuthSecret), "over 512 characters together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := ledger.Credentials{ID: tt.id, Secret: tt.secret}.ValidateImport()
			wantInvalid(t, err, tt.part)
		})
	}
	// Whatever is wrong, the error tells neither part.
	err := ledger.Credentials{ID: "AKID7 ", Secret: "hunter2 "}.ValidateImport()
	hidden(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err))
}
