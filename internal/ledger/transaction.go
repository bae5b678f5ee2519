package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind is what a transaction does.
type Kind string

// The kinds, each with the system account on its other side.
const (
	TopUp      Kind = "topup"      // the customer paid in: from funding
	Charge     Kind = "charge"     // a message or call was sold: to revenue
	Refund     Kind = "refund"     // a charge is given back: from revenue
	Adjustment Kind = "adjustment" // a signed correction by the operator: from or to adjustment
	Transfer   Kind = "transfer"   // between two wallets of one currency: no system account
)

// SystemAccount is the other side of a wallet's movements, one for each currency.
type SystemAccount string

// The system accounts.
const (
	Funding     SystemAccount = "funding"
	Revenue     SystemAccount = "revenue"
	Adjustments SystemAccount = "adjustment"
)

// counterparts says which system account each kind is balanced against; a
// transfer balances itself.
var counterparts = map[Kind]SystemAccount{
	TopUp: Funding, Charge: Revenue, Refund: Revenue, Adjustment: Adjustments, Transfer: "",
}

// Counterpart is the system account on the other side of a kind, "" for a transfer.
func (k Kind) Counterpart() SystemAccount { return counterparts[k] }

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool {
	_, ok := counterparts[k]
	return ok
}

// TransactionID names a transaction. It derives from who posts and their
// idempotency key, so a retry names the same transaction, and looking one up
// and looking for an earlier outcome are one look-up.
type TransactionID [16]byte

// NewTransactionID derives the id: a name-based UUID of version 8 (RFC 9562,
// section 5.8) over SHA-256.
func NewTransactionID(scope AccountID, idempotencyKey string) TransactionID {
	var id TransactionID
	name := appendText(binary.BigEndian.AppendUint32([]byte("saldo transaction\n"), uint32(scope)), idempotencyKey)
	digest := sha256.Sum256(name)
	copy(id[:], digest[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String prints the id in the usual form of a UUID.
func (id TransactionID) String() string {
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// ParseTransactionID reads what String printed; an InvalidRequest error for anything else.
func ParseTransactionID(text string) (TransactionID, error) {
	var id TransactionID
	digits := strings.ReplaceAll(text, "-", "")
	if len(digits) == hex.EncodedLen(len(id)) { // hex.Decode panics where the digits are too many
		if _, err := hex.Decode(id[:], []byte(digits)); err == nil && id.String() == text {
			return id, nil
		}
	}
	return TransactionID{}, Errorf(InvalidRequest, "%q is not a transaction id", clip(text)).
		WithHint("an id looks like 5c146b14-3c52-8afd-938a-375d0df1fbf6")
}

// MaxIdempotencyKey bounds an idempotency key, in bytes.
const MaxIdempotencyKey = 255

// Request is a movement that a caller asks for.
type Request struct {
	// Scope is the account that the caller's key is bound to, or Operator. Each
	// scope has idempotency keys of its own, which outlive a change of AccessKey.
	Scope          AccountID
	IdempotencyKey string
	Kind           Kind
	Wallet         WalletRef
	To             WalletRef // the receiving wallet of a transfer; zero otherwise
	Amount         Amount    // positive; of either sign, but not zero, for an adjustment
	Reference      string    // the caller's own name for it, such as a message id
	Metadata       Metadata
}

// Validate says what is wrong with a request whatever the ledger holds, as an
// InvalidRequest error, or Forbidden where a customer asks for what only the
// operator may do.
func (r *Request) Validate() error {
	switch {
	case r.IdempotencyKey == "" || len(r.IdempotencyKey) > MaxIdempotencyKey || !isVisible(r.IdempotencyKey):
		return Errorf(InvalidRequest, "the idempotency key must be 1 to %d visible ASCII characters", MaxIdempotencyKey).
			WithHint("send a header Idempotency-Key that is new for each movement and the same for its retries")
	case !r.Kind.Valid():
		return Errorf(InvalidRequest, "unknown type %q", clip(string(r.Kind))).
			WithHint("the types are topup, charge, refund, adjustment and transfer")
	case r.Wallet.Account < 1:
		return Errorf(InvalidRequest, "account must be between 1 and %d", MaxAccountID)
	case !r.Wallet.Service.Valid():
		return Errorf(InvalidRequest, "%q is not a wallet name", clip(string(r.Wallet.Service))).
			WithHint("every account has the wallets sms and voip")
	case r.Amount == 0:
		return Errorf(InvalidRequest, "amount must not be zero")
	case r.Amount < -MaxAmount:
		return Errorf(InvalidRequest, "amount is %s", ErrAmountRange)
	case r.Amount < 0 && r.Kind != Adjustment:
		return Errorf(InvalidRequest, "amount must be positive").
			WithHint("the type says which way the money goes; only an adjustment has a sign")
	case len(r.Reference) > MaxReferenceLen || !isText(r.Reference):
		return Errorf(InvalidRequest, "reference must be at most %d bytes of printable text", MaxReferenceLen)
	}
	if err := r.validateTo(); err != nil {
		return err
	}
	if err := r.validateScope(); err != nil {
		return err
	}
	return r.Metadata.Validate()
}

func (r *Request) validateTo() error {
	if r.Kind != Transfer {
		if r.To != (WalletRef{}) {
			return Errorf(InvalidRequest, "only a transfer has a receiving wallet")
		}
		return nil
	}
	switch {
	case r.To.Account < 1:
		return Errorf(InvalidRequest, "a transfer needs a receiving account between 1 and %d", MaxAccountID)
	case !r.To.Service.Valid():
		return Errorf(InvalidRequest, "%q is not a wallet name", clip(string(r.To.Service)))
	case r.To == r.Wallet:
		return Errorf(InvalidRequest, "a transfer needs two different wallets")
	}
	return nil
}

// validateScope keeps customers to what takes money out of their own wallets:
// a customer who could post top-ups or refunds would print money.
func (r *Request) validateScope() error {
	switch {
	case r.Scope == Operator:
		return nil
	case r.Wallet.Account != r.Scope:
		return Errorf(Forbidden, "this key can post on account %d only", r.Scope)
	case r.Kind == Charge, r.Kind == Transfer && r.To.Account == r.Scope:
		return nil
	}
	return Errorf(Forbidden, "a customer's key cannot post this %s", r.Kind).
		WithHint("it can post charges, and transfers between the account's own wallets")
}

// Hash is SHA-256 over every field of the request. Two requests with one
// idempotency key are the same request exactly when their hashes are equal, and
// entries chain it, so that a stored transaction cannot be altered unseen.
func (r *Request) Hash() Hash {
	b := make([]byte, 0, 512)
	b = append(b, "saldo request 1\n"...)
	b = binary.BigEndian.AppendUint32(b, uint32(r.Scope))
	b = appendText(b, r.IdempotencyKey)
	b = appendText(b, string(r.Kind))
	b = appendWallet(b, r.Wallet)
	b = appendWallet(b, r.To)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Amount))
	b = appendText(b, r.Reference)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Metadata)))
	for _, name := range slices.Sorted(maps.Keys(r.Metadata)) {
		b = appendText(appendText(b, name), r.Metadata[name])
	}
	return sha256.Sum256(b)
}

// appendText appends a text with its length before it, so that no two
// sequences of texts have the same bytes.
func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

func appendWallet(b []byte, w WalletRef) []byte {
	return appendText(binary.BigEndian.AppendUint32(b, uint32(w.Account)), string(w.Service))
}

// Transaction is a request with its outcome, posted or rejected. It is written
// once and never changed: it answers every retry of the request.
type Transaction struct {
	Request
	ID          TransactionID
	RequestHash Hash
	CreatedAt   time.Time // UTC, in microseconds; commit time never runs backwards
	// Rejection is why the ledger refused the request; "" where it is posted.
	Rejection Code
	// Balance, Held and Available are those of Wallet after the transaction, or
	// at the time of its rejection.
	Balance   Amount
	Held      Amount
	Available Amount
	// Version and ToVersion are those of the entries in Wallet and To, 0 where there is none.
	Version   int64
	ToVersion int64
}

// NewTransaction is the transaction that a valid request becomes, before it is decided.
func NewTransaction(r Request) Transaction {
	return Transaction{Request: r, ID: NewTransactionID(r.Scope, r.IdempotencyKey), RequestHash: r.Hash()}
}

// Err is the error that a rejected transaction stands for, nil for a posted one.
// It depends on stored fields alone, so that a retry is told the same words.
func (t *Transaction) Err() error {
	switch t.Rejection {
	case "":
		return nil
	case InsufficientFunds:
		return Errorf(InsufficientFunds, "%s is available, %s was asked for", t.Available, t.Amount).
			WithHint("top the wallet up, then post again with a new idempotency key")
	case AccountNotActive:
		return Errorf(AccountNotActive, "the account's status does not allow this %s", t.Kind)
	case CurrencyMismatch:
		return Errorf(CurrencyMismatch, "the two wallets are kept in different currencies")
	default:
		return Errorf(t.Rejection, "the wallet cannot carry this amount")
	}
}

// Entry is what a transaction does to one wallet. Entries of a wallet are
// numbered without gaps and chained by hash.
type Entry struct {
	WalletRef
	Version     int64 // 1 for a wallet's first entry
	Transaction TransactionID
	Amount      Amount // signed: what the entry adds to the balance
	Balance     Amount // after the entry
	Held        Amount // after the entry
	CreatedAt   time.Time
	Hash        Hash
}

// ChainHash computes the entry's hash from the wallet's entry before it (zero
// for the first) and the hash of the request that caused it.
func (e *Entry) ChainHash(previous, request Hash) Hash {
	b := make([]byte, 0, 256)
	b = append(b, "saldo entry 1\n"...)
	b = append(b, previous[:]...)
	b = append(b, request[:]...)
	b = append(b, e.Transaction[:]...)
	b = appendWallet(b, e.WalletRef)
	for _, number := range []int64{e.Version, int64(e.Amount), int64(e.Balance), int64(e.Held), e.CreatedAt.UnixMicro()} {
		b = binary.BigEndian.AppendUint64(b, uint64(number))
	}
	return sha256.Sum256(b)
}
