package ledger

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// AccountID identifies an account. It is positive and fits an int32, because
// it is also the UserID of the eSMS reply, which its clients read as one.
type AccountID int32

// Operator stands where an account would, for whoever runs the ledger. No account has this id.
const Operator AccountID = 0

// System is the scope of what the ledger posts by itself, such as the expiry of
// a hold, so that no caller's idempotency key can meet the ledger's own.
const System AccountID = -1

// MaxAccountID is the largest account id.
const MaxAccountID AccountID = math.MaxInt32

// Status says what an account may do.
type Status string

// The statuses. A suspended account spends nothing, but money can still come
// in: refunds of messages under way arrive after a suspension. A closed account
// takes no movement at all.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Closed    Status = "closed"
)

// Valid tells whether s is one of the statuses.
func (s Status) Valid() bool { return s == Active || s == Suspended || s == Closed }

// Account is a customer.
type Account struct {
	ID       AccountID
	Name     string // 1 to MaxNameLen bytes
	Currency string // ISO 4217, for all its wallets, fixed at creation
	Status   Status
	// ExternalReference is the operator's own name for the customer, unique
	// where it is not empty.
	ExternalReference string
	Metadata          Metadata
	// TimeZone is the IANA name of the zone in which the account's days and
	// months begin, for its spend caps; "" is UTC.
	TimeZone string
	// ChargeOn are the states of delivery reports that charge a message's hold.
	ChargeOn  []DeliveryState
	CreatedAt time.Time
}

// Limits on what an account carries, in bytes except where they say otherwise.
const (
	MaxNameLen      = 200
	MaxReferenceLen = 200
	MaxMetadata     = 32 // members
	MaxMetadataKey  = 64
	MaxMetadataText = 512
	MaxTimeZone     = 64
)

// Validate says what is wrong with an account, as an InvalidRequest error.
func (a *Account) Validate() error {
	switch {
	case a.ID < 1:
		return Errorf(InvalidRequest, "id must be between 1 and %d", MaxAccountID)
	case a.Name == "" || len(a.Name) > MaxNameLen || !isText(a.Name):
		return Errorf(InvalidRequest, "name must be 1 to %d bytes of printable text", MaxNameLen)
	case !IsCurrency(a.Currency):
		return Errorf(InvalidRequest, "currency %q is not an ISO 4217 code", clip(a.Currency)).
			WithHint("three capital letters, such as CNY or VND")
	case !a.Status.Valid():
		return Errorf(InvalidRequest, "status must be active, suspended or closed")
	case len(a.ExternalReference) > MaxReferenceLen || !isText(a.ExternalReference):
		return Errorf(InvalidRequest, "external_reference must be at most %d bytes of printable text", MaxReferenceLen)
	case len(a.TimeZone) > MaxTimeZone || a.TimeZone == "Local":
		// Whether the zone exists is for those to say who have its data.
		return Errorf(InvalidRequest, "%q is not the name of a time zone", clip(a.TimeZone)).WithHint("write it like Asia/Ho_Chi_Minh or UTC")
	}
	for i, state := range a.ChargeOn {
		if !state.Valid() || slices.Contains(a.ChargeOn[:i], state) {
			return Errorf(InvalidRequest, "charge_on must name states of a message, each once").WithHint("the states are %s", stateList())
		}
	}
	return a.Metadata.Validate()
}

// Metadata is the caller's own data about an account or a transaction. Saldo
// keeps it and gives it back; it never looks inside.
type Metadata map[string]string

// Validate says what is wrong with metadata, as an InvalidRequest error.
func (m Metadata) Validate() error {
	if len(m) > MaxMetadata {
		return Errorf(InvalidRequest, "metadata has %d members, at most %d are kept", len(m), MaxMetadata)
	}
	for key, value := range m {
		if key == "" || len(key) > MaxMetadataKey || !isText(key) {
			return Errorf(InvalidRequest, "a metadata name must be 1 to %d bytes of printable text", MaxMetadataKey)
		}
		if len(value) > MaxMetadataText || !Storable(value) {
			return Errorf(InvalidRequest, "metadata %q must be at most %d bytes of UTF-8 without NUL", key, MaxMetadataText)
		}
	}
	return nil
}

// Storable tells whether every database takes s as text: NUL is valid UTF-8, but
// PostgreSQL's text cannot hold it.
func Storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// isText tells whether s is valid UTF-8 without control characters, which
// would let a name forge a line of a log or of a statement.
func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// clip shortens caller's text for an error message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
