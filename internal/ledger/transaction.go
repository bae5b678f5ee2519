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

	PlaceHold Kind = "hold"    // money is reserved: no money moves
	Capture   Kind = "capture" // a hold is charged, in part, in full or above: to revenue
	Release   Kind = "release" // a hold is given up: no money moves
	Extend    Kind = "extend"  // a hold is to expire later: no money moves
	Expire    Kind = "expire"  // a hold ended by itself: no money moves
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
	PlaceHold: "", Capture: Revenue, Release: "", Extend: "", Expire: "",
}

// Counterpart is the system account on the other side of a kind; "" for a
// transfer, and for what only reserves money or frees it.
func (k Kind) Counterpart() SystemAccount { return counterparts[k] }

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool {
	_, ok := counterparts[k]
	return ok
}

// EndsHold tells whether a kind takes something of a hold.
func (k Kind) EndsHold() bool { return k == Capture || k == Release || k == Expire }

// hasParent tells whether a kind is about an earlier transaction.
func (k Kind) hasParent() bool { return k.EndsHold() || k == Extend || k == Refund }

// TransactionID names a transaction. It derives from who posts and their
// idempotency key, so a retry names the same transaction, and looking one up
// and looking for an earlier outcome are one look-up.
type TransactionID [16]byte

// NewTransactionID derives the id: a name-based UUID of version 8 (RFC 9562,
// section 5.8) over SHA-256.
func NewTransactionID(scope AccountID, idempotencyKey string) TransactionID {
	return uuid(sha256.Sum256(appendText(binary.BigEndian.AppendUint32([]byte("saldo transaction\n"), uint32(scope)), idempotencyKey)))
}

// uuid makes a name-based UUID of version 8 out of a digest.
func uuid(digest Hash) (id TransactionID) {
	copy(id[:], digest[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// IsZero tells whether the id names nothing.
func (id TransactionID) IsZero() bool { return id == TransactionID{} }

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
	// Amount is positive; of either sign, but not zero, for an adjustment. A
	// capture of 0 takes all that remains. Release, extend and expire have none.
	Amount Amount
	// Parent is the hold that a capture, release, extend or expire is about, or
	// the charge or capture that a refund gives back; zero otherwise.
	Parent    TransactionID
	ExpiresIn time.Duration // of a hold, or from now on of an extended one; whole seconds
	Final     bool          // of a capture: what it leaves of the hold is released
	Reference string        // the caller's own name for it, such as a message id
	Metadata  Metadata
	// Batch names the atomic batch that the request is part of; zero for none.
	Batch TransactionID
	// Key is the caller's key where it has spend caps, "" otherwise. It is no part
	// of what is asked for: a retry may come with another key of the account.
	Key string
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
			WithHint("the types are topup, charge, refund, adjustment, transfer, hold, capture, release and extend")
	case r.Wallet.Account < 1:
		return Errorf(InvalidRequest, "account must be between 1 and %d", MaxAccountID)
	case !r.Wallet.Service.Valid():
		return Errorf(InvalidRequest, "%q is not a wallet name", clip(string(r.Wallet.Service))).
			WithHint("every account has the wallets sms and voip")
	case len(r.Reference) > MaxReferenceLen || !isText(r.Reference):
		return Errorf(InvalidRequest, "reference must be at most %d bytes of printable text", MaxReferenceLen)
	}
	for _, check := range []func() error{r.validateAmount, r.validateTo, r.validateHold, r.validateScope} {
		if err := check(); err != nil {
			return err
		}
	}
	return r.Metadata.Validate()
}

func (r *Request) validateAmount() error {
	switch {
	case r.Kind == Release || r.Kind == Extend || r.Kind == Expire:
		if r.Amount != 0 {
			return Errorf(InvalidRequest, "a transaction of type %s has no amount", r.Kind)
		}
	case r.Amount == 0 && r.Kind != Capture:
		return Errorf(InvalidRequest, "amount must not be zero")
	case r.Amount < -MaxAmount:
		return Errorf(InvalidRequest, "amount is %s", ErrAmountRange)
	case r.Amount < 0 && r.Kind != Adjustment:
		return Errorf(InvalidRequest, "amount must be positive").
			WithHint("the type says which way the money goes; only an adjustment has a sign")
	}
	return nil
}

// validateHold checks what the kinds about holds, and refunds, have more than others.
func (r *Request) validateHold() error {
	expires := r.Kind == PlaceHold || r.Kind == Extend
	switch {
	case r.Kind.hasParent() && r.Parent.IsZero() && r.Kind == Refund:
		return Errorf(InvalidRequest, "a refund needs the charge that it gives back").
			WithHint("name the id of the charge, or of the capture; money without a charge is given by an adjustment")
	case r.Kind.hasParent() && r.Parent.IsZero():
		return Errorf(InvalidRequest, "a transaction of type %s needs the id of a hold", r.Kind)
	case !r.Kind.hasParent() && !r.Parent.IsZero():
		return Errorf(InvalidRequest, "a transaction of type %s is not about an earlier one", r.Kind)
	case !expires && r.ExpiresIn != 0:
		return Errorf(InvalidRequest, "a transaction of type %s does not expire", r.Kind)
	case expires && (r.ExpiresIn < time.Second || r.ExpiresIn > MaxExpiresIn || r.ExpiresIn%time.Second != 0):
		return Errorf(InvalidRequest, "expires_in must be 1 to %d seconds", MaxExpiresIn/time.Second)
	case r.Final && r.Kind != Capture:
		return Errorf(InvalidRequest, "only a capture can be final")
	}
	return nil
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
	case r.Scope == System:
		return nil
	case r.Kind == Expire:
		return Errorf(Forbidden, "holds expire by themselves").WithHint("release the hold instead")
	case r.Scope == Operator:
		return nil
	case r.Wallet.Account != r.Scope:
		return Errorf(Forbidden, "this key can post on account %d only", r.Scope)
	case r.Kind == Charge, r.Kind == PlaceHold, r.Kind == Extend, r.Kind.EndsHold(),
		r.Kind == Transfer && r.To.Account == r.Scope:
		return nil
	}
	return Errorf(Forbidden, "a customer's key cannot post this %s", r.Kind).
		WithHint("it can post charges, holds and what ends them, and transfers between the account's own wallets")
}

// Hash is SHA-256 over every field of the request but Key. Two requests with one
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
	b = append(b, r.Parent[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.ExpiresIn/time.Second))
	b = append(b, byteOf(r.Final))
	b = append(b, r.Batch[:]...)
	b = appendText(b, r.Reference)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Metadata)))
	for _, name := range slices.Sorted(maps.Keys(r.Metadata)) {
		b = appendText(appendText(b, name), r.Metadata[name])
	}
	return sha256.Sum256(b)
}

func byteOf(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// NewBatchID derives the name of an atomic batch from its requests, which do
// not name it yet. Its requests carry the name, so that they are the same
// requests only in the same batch: a retry of a part of it is not taken for it.
func NewBatchID(requests []Request) TransactionID {
	b := append(make([]byte, 0, 16+len(requests)*len(Hash{})), "saldo batch\n"...)
	for i := range requests {
		hash := requests[i].Hash()
		b = append(b, hash[:]...)
	}
	return uuid(sha256.Sum256(b))
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
	// Moved is what the transaction moved, or reserved or freed; 0 where it is
	// rejected. It is Amount, except where that leaves it to the hold.
	Moved Amount
	// Balance, Held and Available are those of Wallet after the transaction, or
	// at the time of its rejection, and so is what the spend caps leave.
	Balance   Amount
	Held      Amount
	Available Amount
	CapLeft   CapLeft
	// Remaining and ExpiresAt are those of the hold after a posted transaction about one.
	Remaining Amount
	ExpiresAt time.Time
	// Version and ToVersion are those of the entries in Wallet and To, 0 where there is none.
	Version   int64
	ToVersion int64
}

// NewTransaction is the transaction that a valid request becomes, before it is decided.
func NewTransaction(r Request) Transaction {
	return Transaction{Request: r, ID: NewTransactionID(r.Scope, r.IdempotencyKey), RequestHash: r.Hash()}
}

// Delta is what a posted transaction adds to the balance of Wallet; a transfer
// adds as much with the other sign to To.
func (t *Transaction) Delta() Amount {
	switch t.Kind {
	case TopUp, Refund, Adjustment:
		return t.Moved
	case Charge, Capture, Transfer:
		return -t.Moved
	default:
		return 0
	}
}

// Refundable is what a refund may give back of a posted charge or capture, as
// if nothing had been yet; nil for any other transaction.
func (t *Transaction) Refundable() *Refundable {
	if t.Rejection != "" || t.Kind != Charge && t.Kind != Capture {
		return nil
	}
	return &Refundable{ID: t.ID, WalletRef: t.Wallet, Amount: t.Moved}
}

// Err is the error that a rejected transaction stands for, nil for a posted one.
// It depends on stored fields alone, so that a retry is told the same words.
func (t *Transaction) Err() error {
	switch t.Rejection {
	case "":
		return nil
	case InsufficientFunds:
		return Errorf(InsufficientFunds, "%s is available%s", t.Available, t.asked()).
			WithHint("top the wallet up, then post again with a new idempotency key")
	case AccountNotActive:
		return Errorf(AccountNotActive, "the account's status does not allow this %s", t.Kind)
	case WalletNotActive:
		return Errorf(WalletNotActive, "the wallet is suspended, which does not allow this %s", t.Kind)
	case HoldNotOpen:
		return Errorf(HoldNotOpen, "the hold is captured or released already").WithHint("GET /v1/holds/%s says what became of it", t.Parent)
	case HoldPastExpiry:
		return Errorf(HoldPastExpiry, "the hold has expired").WithHint("nothing is reserved any more: post a charge instead")
	case AmountNotAllowed:
		text := t.Amount.String() + " is not between the least and the most that the wallet allows"
		if t.Amount == 0 { // a capture of all that the hold has
			text = "what remains of the hold is more than the wallet allows at once"
		}
		return Errorf(AmountNotAllowed, "%s", text).
			WithHint("GET /v1/accounts/%d/wallets/%s says min_amount and max_amount, where 0 is no bound", t.Wallet.Account, t.Wallet.Service)
	case SpendCapReached:
		return t.capError()
	case RefundExceedsCharge:
		return Errorf(RefundExceedsCharge, "with %s the refunds would be more than the charge", t.Amount)
	case BatchRejected:
		return Errorf(BatchRejected, "another transaction of the batch was rejected, so none is posted").
			WithHint("post the batch again with new idempotency keys once that one is right")
	case CurrencyMismatch:
		return Errorf(CurrencyMismatch, "the two wallets are kept in different currencies")
	default:
		return Errorf(t.Rejection, "the wallet cannot carry this amount")
	}
}

// asked ends a sentence about what may still be spent. A capture takes what its
// hold reserves first, which is neither in what is available nor in what a cap
// leaves, and how much that was is not stored.
func (t *Transaction) asked() string {
	if t.Kind == Capture {
		return " beside what the hold reserves, " + t.Amount.String() + " was asked for in all"
	}
	return ", " + t.Amount.String() + " was asked for"
}

func (t *Transaction) capError() *Error {
	which, left := "daily", t.CapLeft.Daily
	if left == NoCap || t.CapLeft.Monthly != NoCap && t.CapLeft.Monthly < left {
		which, left = "monthly", t.CapLeft.Monthly
	}
	return Errorf(SpendCapReached, "the %s spend cap leaves %s%s", which, left, t.asked()).
		WithHint("the cap is the operator's; try again when the next period begins, with a new idempotency key")
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
// for the first), what the entry says, and the transaction that caused it: the
// hash of its request, and its outcome.
func (e *Entry) ChainHash(previous Hash, cause *Transaction) Hash {
	b := make([]byte, 0, 320)
	b = append(b, "saldo entry 1\n"...)
	b = append(b, previous[:]...)
	b = append(b, cause.RequestHash[:]...)
	b = append(b, e.Transaction[:]...)
	b = appendWallet(b, e.WalletRef)
	for _, number := range []int64{
		e.Version, int64(e.Amount), int64(e.Balance), int64(e.Held), e.CreatedAt.UnixMicro(),
		int64(cause.Moved), int64(cause.Balance), int64(cause.Held), int64(cause.Available), cause.Version, cause.ToVersion,
		int64(cause.CapLeft.Daily), int64(cause.CapLeft.Monthly), int64(cause.Remaining), cause.ExpiresAt.UnixMicro(),
	} {
		b = binary.BigEndian.AppendUint64(b, uint64(number))
	}
	return sha256.Sum256(b)
}
