package ledger_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests go through days that the machine's own data may not know

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// amounts draws any valid Amount, with the edges and the everyday sizes far
// more often than a uniform draw would.
func amounts() *rapid.Generator[ledger.Amount] {
	return rapid.Custom(func(t *rapid.T) ledger.Amount {
		highest := int64(ledger.MaxAmount)
		return ledger.Amount(rapid.OneOf(
			rapid.Int64Range(-20, 20),
			rapid.Int64Range(-200*ledger.Scale, 200*ledger.Scale),
			rapid.Map(rapid.Int64Range(-200, 200), func(units int64) int64 { return units * ledger.Scale }),
			rapid.Int64Range(highest-20, highest),
			rapid.Int64Range(-highest, -highest+20),
			rapid.Int64Range(-highest, highest),
		).Draw(t, "amount"))
	})
}

func bigOf(a ledger.Amount) *big.Int { return big.NewInt(int64(a)) }

// fits tells whether n is within the symmetric range of an Amount.
func fits(n *big.Int) bool { return n.CmpAbs(bigOf(ledger.MaxAmount)) <= 0 }

// wantError checks that err is an *ledger.Error of the given code whose
// message names what is wrong. An empty code means no error.
func wantError(t *testing.T, err error, code ledger.Code, part string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return
	}
	var e *ledger.Error
	if !errors.As(err, &e) {
		t.Errorf("error is %T %v, want *ledger.Error", err, err)
		return
	}
	if e.Code != code || !strings.Contains(e.Error(), part) {
		t.Errorf("error is %q, want code %s and %q in the text", e, code, part)
	}
}

// wantInvalid is wantError for InvalidRequest. An empty part means no error.
func wantInvalid(t *testing.T, err error, part string) {
	t.Helper()
	code := ledger.InvalidRequest
	if part == "" {
		code = ""
	}
	wantError(t, err, code, part)
}

// zone finds a time zone by its IANA name; "" is UTC.
func zone(t interface{ Fatal(...any) }, name string) *time.Location {
	location, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return location
}
