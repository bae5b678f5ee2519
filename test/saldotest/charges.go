package saldotest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/client"
)

// Charge is a transaction that was asked for, under an idempotency key.
type Charge struct {
	Key, Body string
	Account   api.AccountID
	Amount    int64 // millionths
	// Acknowledged is the body of a reply that said "posted"; "" while there was none.
	Acknowledged string
}

// NewCharge charges a random amount to one of the accounts, which count from 1.
func NewCharge(key string, accounts int, random *rand.Rand) *Charge {
	c := &Charge{Key: key, Account: api.AccountID(1 + random.IntN(accounts)), Amount: 1 + random.Int64N(5_000_000)}
	c.Body = fmt.Sprintf(`{"account":%d,"wallet":"sms","type":"charge","amount":"%d.%06d","reference":%q}`, c.Account, c.Amount/1e6, c.Amount%1e6, key)
	return c
}

// Retries counts what became of charges that were never acknowledged: the rescued
// ones were posted all the same, and the lost ones were not.
type Retries struct{ Rescued, Lost atomic.Int64 }

// Again sends a charge once more and reads its transaction: what was acknowledged
// is there, and is the same in every reply. post sends the charge, and read reads a
// path. It may be called by many at once, for a charge each.
func (r *Retries) Again(t *testing.T, c *Charge, post func() (Reply, error), read func(path string) (Reply, error)) {
	t.Helper()
	reply, err := post()
	if err != nil || reply.Status != http.StatusCreated {
		t.Errorf("%s: %+v, %v", c.Key, reply, err)
		return
	}
	replayed := reply.Header.Get("Idempotent-Replayed") == "true"
	switch {
	case c.Acknowledged == "" && replayed:
		r.Rescued.Add(1) // only its reply did not survive
	case c.Acknowledged == "":
		r.Lost.Add(1)
	case !replayed:
		t.Errorf("acknowledged and lost: %s", c.Acknowledged)
	case reply.Body != c.Acknowledged:
		t.Errorf("%s\nacknowledged %s\nreplayed     %s", c.Key, c.Acknowledged, reply.Body)
	}
	c.Acknowledged = reply.Body
	if found, err := read(reply.Header.Get("Location")); err != nil || found.Body != reply.Body {
		t.Errorf("%s, %v\nposted %s\nread   %s", c.Key, err, reply.Body, found.Body)
	}
}

// CompareCharges adds up the charges of each account, all of which must have been
// acknowledged, and compares them with its wallet.
func CompareCharges(t *testing.T, operator *client.Client, accounts int, charges []*Charge) {
	t.Helper()
	of := map[api.AccountID][]*Charge{}
	for _, c := range charges {
		of[c.Account] = append(of[c.Account], c)
	}
	for id := api.AccountID(1); id <= api.AccountID(accounts); id++ {
		compareAccount(t, operator, id, of[id])
	}
}

// compareAccount compares one account. Its wallet has one entry for each charge, and
// the balances after them are the running sums in the order of the entries.
func compareAccount(t *testing.T, operator *client.Client, id api.AccountID, charges []*Charge) {
	t.Helper()
	var sum int64
	balances := map[int64]int64{} // after a charge, to its amount
	for _, c := range charges {
		var posted api.Transaction
		if err := json.Unmarshal([]byte(c.Acknowledged), &posted); err != nil {
			t.Fatal(err)
		}
		after := Millionths(t, posted.Balance)
		if _, twice := balances[after]; twice || Millionths(t, posted.Amount) != c.Amount || posted.Reference != c.Key {
			t.Errorf("%s: %s", c.Key, c.Acknowledged)
		}
		balances[after] = c.Amount
		sum += c.Amount
	}
	wallet, err := operator.Wallet(t.Context(), id, "sms")
	if err != nil {
		t.Fatal(err)
	}
	if Millionths(t, wallet.Balance) != -sum || wallet.Version != int64(len(balances)) {
		t.Errorf("account %d: %d charges of %d millionths, and the wallet is %+v", id, len(balances), sum, wallet)
	}
	balance := int64(0)
	for _, after := range slices.Backward(slices.Sorted(maps.Keys(balances))) {
		if balance -= balances[after]; balance != after {
			t.Fatalf("account %d: a charge left %d millionths where %d were left", id, after, balance)
		}
	}
}

// Millionths reads an amount. A text that is none fails the test, in any goroutine.
func Millionths(t *testing.T, text string) int64 {
	t.Helper()
	units, fraction, _ := strings.Cut(text, ".")
	number, err := strconv.ParseInt(units+(fraction + "000000")[:6], 10, 64)
	if err != nil || len(fraction) > 6 {
		t.Error(errors.Join(errors.New("not an amount: "+text), err))
	}
	return number
}
