package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/saldo-ledger/saldo/api"
)

// importColumns are the columns of a CSV of transactions.
var importColumns = columns{known: map[string]*regexp.Regexp{
	"idempotency_key": nil, "type": nil, "account": wholeNumber, "wallet": nil, "amount": nil, "reference": nil, metadataColumn: nil,
	"to_account": wholeNumber, "to_wallet": nil, "hold": nil, "charge": nil, "expires_in": wholeNumber, "final": regexp.MustCompile(`^(true|false)$`),
}}

// movementForm is what the contract lets transactions of one type have, beside
// what all may have.
type movementForm struct{ must, may []string }

var movementForms = map[api.TransactionType]movementForm{
	api.TransactionTypeTopup:      {must: []string{"account", "wallet", "amount"}},
	api.TransactionTypeCharge:     {must: []string{"account", "wallet", "amount"}},
	api.TransactionTypeAdjustment: {must: []string{"account", "wallet", "amount"}},
	api.TransactionTypeTransfer:   {must: []string{"account", "wallet", "amount", "to_account"}, may: []string{"to_wallet"}},
	api.TransactionTypeHold:       {must: []string{"account", "wallet", "amount"}, may: []string{"expires_in"}},
	api.TransactionTypeRefund:     {must: []string{"charge", "amount"}, may: []string{"account", "wallet"}},
	api.TransactionTypeCapture:    {must: []string{"hold"}, may: []string{"account", "wallet", "amount", "final"}},
	api.TransactionTypeRelease:    {must: []string{"hold"}, may: []string{"account", "wallet"}},
	api.TransactionTypeExtend:     {must: []string{"hold", "expires_in"}, may: []string{"account", "wallet"}},
}

// importTypes are the types that can be imported, for people to read.
const importTypes = "topup, charge, refund, adjustment, transfer, hold, capture, release or extend"

// The forms of texts, by the contract.
var (
	amountForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]{1,6}0*)?$`)
	zeroForm   = regexp.MustCompile(`^-?0(\.0+)?$`)
	walletForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,15}$`)
	keyForm    = regexp.MustCompile(`^[!-~]{1,255}$`)
	idForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// maxReference is how long a reference may be, in bytes, by the contract.
const maxReference = 200

// importItem is a row of a file as a transaction.
type importItem struct {
	row
	transaction api.BatchTransaction
	derived     bool // its idempotency key was made here
	size        int  // in JSON, in bytes
}

// importItems reads the transactions in a file, and gives those a key that have
// none. What is wrong with the form of one is in its err.
func importItems(file io.Reader, name string) iter.Seq2[importItem, error] {
	keys := keyMaker{name: name, seen: map[uint64]uint32{}}
	return func(yield func(importItem, error) bool) {
		for row, err := range rows(file, importColumns) {
			item := importItem{row: row}
			if err == nil && item.err == nil {
				item.err = item.read(&keys)
			}
			item.object = nil // it is not needed any more
			if !yield(item, err) {
				return
			}
		}
	}
}

// read makes the transaction of the row.
func (i *importItem) read(keys *keyMaker) error {
	if err := decodeObject(i.object, &i.transaction); err != nil {
		return err
	}
	text, err := json.Marshal(i.transaction)
	if err != nil {
		return err
	}
	if i.transaction.IdempotencyKey == "" {
		i.transaction.IdempotencyKey, i.derived = keys.next(text), true
	}
	i.size = len(text) + len(i.transaction.IdempotencyKey)
	return checkForm(&i.transaction)
}

// keyMaker makes idempotency keys for transactions that have none. The same
// file makes the same keys, so that it can be imported again and again.
//
// A key stands for what the transaction says, not for where it stands: when a
// line is corrected, or one is added or moved, the others keep their keys.
// Equal ones are counted, because each of them is meant.
type keyMaker struct {
	name string
	// seen counts by 64 bits of the hash. Where two transactions share those,
	// one gets a number as if it were a repetition, which does no harm.
	seen map[uint64]uint32
}

func (k *keyMaker) next(transaction []byte) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "saldo import\n%d %s\n", len(k.name), k.name)
	hash.Write(transaction)
	digest := hash.Sum(nil)
	place := binary.BigEndian.Uint64(digest)
	k.seen[place]++
	return "import:" + hex.EncodeToString(digest[:16]) + ":" + strconv.FormatUint(uint64(k.seen[place]), 10)
}

// checkForm says what is wrong with a transaction whatever the ledger holds, as
// far as the contract says. The server looks at everything again.
func checkForm(t *api.BatchTransaction) error {
	form, ok := movementForms[t.Type]
	if !ok {
		return fmt.Errorf("the type is %q, not %s", string(t.Type), importTypes)
	}
	has := membersOf(t)
	for _, member := range form.must {
		if !slices.Contains(has, member) {
			return fmt.Errorf("%s is missing, which a %s needs", member, t.Type)
		}
	}
	for _, member := range has {
		if !slices.Contains(form.must, member) && !slices.Contains(form.may, member) {
			return fmt.Errorf("a %s has no %s", t.Type, member)
		}
	}
	switch {
	case t.Account < 0 || t.ToAccount < 0:
		return errors.New("an account is a number from 1 to 2147483647")
	case t.Wallet != "" && !walletForm.MatchString(t.Wallet):
		return fmt.Errorf("%q is no name of a wallet", t.Wallet)
	case t.ToWallet != "" && !walletForm.MatchString(t.ToWallet):
		return fmt.Errorf("%q is no name of a wallet", t.ToWallet)
	case t.Hold != "" && !idForm.MatchString(t.Hold):
		return fmt.Errorf("%q is no id of a hold", t.Hold)
	case t.Charge != "" && !idForm.MatchString(t.Charge):
		return fmt.Errorf("%q is no id of a charge", t.Charge)
	case t.ExpiresIn != nil && (*t.ExpiresIn < 1 || *t.ExpiresIn > maxSeconds):
		return fmt.Errorf("expires_in must be from 1 to %d seconds", maxSeconds)
	case len(t.Reference) > maxReference:
		return fmt.Errorf("the reference is over %d bytes", maxReference)
	case !keyForm.MatchString(t.IdempotencyKey):
		return errors.New("an idempotency key is 1 to 255 visible ASCII characters")
	case t.Amount != nil:
		return checkAmount(*t.Amount, t.Type)
	}
	return nil
}

func checkAmount(amount string, kind api.TransactionType) error {
	switch {
	case !amountForm.MatchString(amount):
		return fmt.Errorf("the amount %q is no decimal number with at most six digits after the point", amount)
	case zeroForm.MatchString(amount):
		return errors.New("the amount is zero")
	case strings.HasPrefix(amount, "-") && kind != api.TransactionTypeAdjustment:
		return errors.New("the amount is negative, which only that of an adjustment can be")
	}
	return nil
}

// membersOf names what a transaction has of that which not all may have.
func membersOf(t *api.BatchTransaction) []string {
	var has []string
	for _, member := range []struct {
		name  string
		given bool
	}{
		{"account", t.Account != 0},
		{"wallet", t.Wallet != ""},
		{"amount", t.Amount != nil},
		{"to_account", t.ToAccount != 0},
		{"to_wallet", t.ToWallet != ""},
		{"hold", t.Hold != ""},
		{"charge", t.Charge != ""},
		{"expires_in", t.ExpiresIn != nil},
		{"final", t.Final != nil},
	} {
		if member.given {
			has = append(has, member.name)
		}
	}
	return has
}
