package ledger

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Scope is one thing that a key may do.
type Scope string

// The scopes. ScopeAdmin covers accounts, wallets and keys; it does not imply the others.
const (
	ScopeBalanceRead       Scope = "balance:read"
	ScopeTransactionsWrite Scope = "transactions:write"
	ScopeAdmin             Scope = "admin"
)

// Scopes are every scope, in the order in which they are listed.
var Scopes = []Scope{ScopeBalanceRead, ScopeTransactionsWrite, ScopeAdmin}

// Limits on keys. MaxAuthSecret is also the longest authSecret of the Antgst dialect, in bytes.
const (
	MaxKeyID      = 128
	MaxAuthSecret = 512
	MaxAllowList  = 64
)

// Key is an AccessKey without its secret, which is never stored: only the
// digest of id and secret together, and the last four characters for people.
type Key struct {
	ID     string
	Digest Hash // of id and secret, unbroken: see Credentials.Digest
	Last4  string
	// Account is the customer that the key belongs to, or Operator.
	Account AccountID
	Scopes  []Scope
	// AllowList, where not empty, names the networks that may use the key.
	AllowList []netip.Prefix
	// Caps bound what the key may spend, and Spent counts it, where it has any.
	Caps      Caps
	Spent     Spent
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked
	CreatedAt time.Time
}

// Allows tells whether the key has a scope.
func (k *Key) Allows(scope Scope) bool { return slices.Contains(k.Scopes, scope) }

// Usable tells whether the key is neither revoked nor expired at the given time.
func (k *Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Admits tells whether a caller at addr may use the key.
func (k *Key) Admits(addr netip.Addr) bool {
	if len(k.AllowList) == 0 {
		return true
	}
	addr = addr.Unmap()
	return slices.ContainsFunc(k.AllowList, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Validate says what is wrong with a key, as an InvalidRequest error.
func (k *Key) Validate() error {
	switch {
	case k.Account < Operator:
		return Errorf(InvalidRequest, "account must be between 1 and %d", MaxAccountID)
	case len(k.Scopes) == 0:
		return Errorf(InvalidRequest, "a key needs at least one scope")
	case k.Account != Operator && k.Allows(ScopeAdmin):
		return Errorf(InvalidRequest, "a customer's key cannot have the scope admin")
	case len(k.AllowList) > MaxAllowList:
		return Errorf(InvalidRequest, "the allow-list has %d networks, at most %d are kept", len(k.AllowList), MaxAllowList)
	}
	for _, network := range k.AllowList {
		// Addresses are compared in their plain form, so a mapped network would admit nobody.
		if !network.IsValid() || network.Addr().Is4In6() {
			return Errorf(InvalidRequest, "%q is not a network", network).WithHint("write 203.0.113.0/24 or 2001:db8::/32")
		}
	}
	for i, scope := range k.Scopes {
		if !slices.Contains(Scopes, scope) {
			return Errorf(InvalidRequest, "unknown scope %q", clip(string(scope))).
				WithHint("the scopes are balance:read, transactions:write and admin")
		}
		if slices.Contains(k.Scopes[:i], scope) {
			return Errorf(InvalidRequest, "scope %s stands twice", scope)
		}
	}
	return k.Caps.Validate()
}

// Credentials are what a caller shows: an AccessKey ID with its secret (eSMS,
// Basic), or both in one unbroken string with the ID empty (Antgst, Bearer).
// They must not be printed; String hides them from a careless %v.
type Credentials struct {
	ID     string
	Secret string
}

// String hides the credentials from logs and errors.
func (Credentials) String() string { return "[credentials]" }

// GoString hides the credentials from %#v.
func (Credentials) GoString() string { return "[credentials]" }

// MarshalText hides the credentials from encoding/json, and so from slog's JSON.
func (Credentials) MarshalText() ([]byte, error) { return []byte("[credentials]"), nil }

// AuthSecret is id and secret as one string, the form that Antgst calls authSecret.
func (c Credentials) AuthSecret() string { return c.ID + c.Secret }

// Digest is SHA-256 of id and secret unbroken, the only form in which a secret
// is kept and the key by which it is found. A plain fast hash is right here:
// Saldo's own secrets are random, too long to search, and are checked on every request.
func (c Credentials) Digest() Hash {
	return sha256.Sum256([]byte(c.AuthSecret()))
}

// Last4 is the end of the secret, by which people tell keys apart. It is empty
// for a short secret, of which four characters would give too much away.
func (c Credentials) Last4() string {
	if len(c.Secret) < 16 {
		return ""
	}
	return c.Secret[len(c.Secret)-4:]
}

// Matches tells whether the credentials are those of the key, split where the
// key is split when they come in two parts. The comparisons take the same time
// wherever the texts differ.
func (c Credentials) Matches(k *Key) bool {
	digest := c.Digest()
	same := subtle.ConstantTimeCompare(digest[:], k.Digest[:])
	if c.ID != "" {
		same &= subtle.ConstantTimeCompare([]byte(c.ID), []byte(k.ID))
	}
	return same == 1
}

// ValidateImport says what is wrong with an existing pair that is to become a
// key, as an InvalidRequest error. Any length works up to MaxAuthSecret bytes
// in all. The id takes visible ASCII without ':', which would break it in two
// in HTTP Basic authentication; the secret takes visible ASCII.
func (c Credentials) ValidateImport() error {
	switch {
	case c.ID == "" || len(c.ID) > MaxKeyID || !isVisible(c.ID) || strings.Contains(c.ID, ":"):
		return Errorf(InvalidRequest, "key id must be 1 to %d visible ASCII characters other than ':'", MaxKeyID)
	case c.ID == "." || c.ID == "..":
		return Errorf(InvalidRequest, "key id cannot be %s, which no URL can name", c.ID)
	case c.Secret == "" || !isVisible(c.Secret):
		return Errorf(InvalidRequest, "secret must be visible ASCII characters")
	case len(c.AuthSecret()) > MaxAuthSecret:
		return Errorf(InvalidRequest, "key id and secret are over %d characters together", MaxAuthSecret)
	}
	return nil
}

// isVisible tells whether s is ASCII without spaces and control characters.
func isVisible(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
