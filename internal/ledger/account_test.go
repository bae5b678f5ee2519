package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// Texts that would forge a line of a log, or are not text at all.
var notText = []string{"a\nb", "a\rb", "\x00", "tab\t", "\x1b[31m", "\x7f", "\u0085", "\u009b", "\xff", "a\xc3"}

// The limits are part of the contract: callers size their columns by them.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		got, want int64
	}{
		{"Operator", int64(ledger.Operator), 0},
		{"System", int64(ledger.System), -1},
		{"MaxAccountID", int64(ledger.MaxAccountID), 1<<31 - 1},
		{"MaxNameLen", ledger.MaxNameLen, 200},
		{"MaxReferenceLen", ledger.MaxReferenceLen, 200},
		{"MaxMetadata", ledger.MaxMetadata, 32},
		{"MaxMetadataKey", ledger.MaxMetadataKey, 64},
		{"MaxMetadataText", ledger.MaxMetadataText, 512},
		{"MaxTimeZone", ledger.MaxTimeZone, 64},
		{"MaxServiceLen", ledger.MaxServiceLen, 16},
		{"MaxWallets", ledger.MaxWallets, 32},
		{"MaxIdempotencyKey", ledger.MaxIdempotencyKey, 255},
		{"MaxKeyID", ledger.MaxKeyID, 128},
		{"MaxAuthSecret", ledger.MaxAuthSecret, 512},
		{"MaxAllowList", ledger.MaxAllowList, 64},
		{"DefaultExpiresIn in seconds", int64(ledger.DefaultExpiresIn / time.Second), 86_400},
		{"MaxExpiresIn in seconds", int64(ledger.MaxExpiresIn / time.Second), 2_592_000},
		{"Scale", ledger.Scale, 1_000_000},
		{"MaxAmount", int64(ledger.MaxAmount), 9_223_372_036_854_775_807},
		{"NoCap", int64(ledger.NoCap), -1},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestAccountValidate(t *testing.T) {
	t.Parallel()
	type account = ledger.Account
	tests := []struct {
		name   string
		change func(*account)
		part   string // of the error; "" where the account is valid
	}{
		{"as it is", func(*account) {}, ""},
		{"least", func(a *account) { *a = account{ID: 1, Name: "x", Currency: "CNY", Status: ledger.Active} }, ""},
		{"largest id", func(a *account) { a.ID = ledger.MaxAccountID }, ""},
		{"suspended", func(a *account) { a.Status = ledger.Suspended }, ""},
		{"closed", func(a *account) { a.Status = ledger.Closed }, ""},
		{"longest name", func(a *account) { a.Name = strings.Repeat("x", ledger.MaxNameLen) }, ""},
		{"name of any script", func(a *account) { a.Name = "Công ty Điện thoại 短信 🙂" }, ""},
		{"longest reference", func(a *account) { a.ExternalReference = strings.Repeat("x", ledger.MaxReferenceLen) }, ""},
		{"no reference", func(a *account) { a.ExternalReference = "" }, ""},
		{"no zone", func(a *account) { a.TimeZone = "" }, ""},
		{"longest zone", func(a *account) { a.TimeZone = strings.Repeat("z", ledger.MaxTimeZone) }, ""},
		// Which zones there are is not for this package to say.
		{"zone that is nowhere", func(a *account) { a.TimeZone = "Mars/Olympus" }, ""},
		{"charged on nothing", func(a *account) { a.ChargeOn = nil }, ""},
		{"charged on everything", func(a *account) { a.ChargeOn = ledger.DeliveryStates }, ""},

		{"id zero is the operator", func(a *account) { a.ID = ledger.Operator }, "id must"},
		{"id below zero", func(a *account) { a.ID = -1 }, "id must"},
		{"no name", func(a *account) { a.Name = "" }, "name must"},
		{"name too long", func(a *account) { a.Name = strings.Repeat("x", ledger.MaxNameLen+1) }, "name must"},
		{"name too long in bytes", func(a *account) { a.Name = strings.Repeat("信", ledger.MaxNameLen/3+1) }, "name must"},
		{"no currency", func(a *account) { a.Currency = "" }, "ISO 4217"},
		{"small currency", func(a *account) { a.Currency = "cny" }, "three capital letters"},
		{"no status", func(a *account) { a.Status = "" }, "status must"},
		{"other status", func(a *account) { a.Status = "Active" }, "status must"},
		{"reference too long", func(a *account) { a.ExternalReference = strings.Repeat("x", ledger.MaxReferenceLen+1) }, "external_reference must"},
		{"zone too long", func(a *account) { a.TimeZone = strings.Repeat("z", ledger.MaxTimeZone+1) }, "is not the name of a time zone (write it like Asia/Ho_Chi_Minh"},
		// "Local" is a name to Go, and another zone on each machine.
		{"zone of the machine", func(a *account) { a.TimeZone = "Local" }, `"Local" is not the name of a time zone`},
		{"charged on a state in small letters", func(a *account) { a.ChargeOn = []ledger.DeliveryState{"delivrd"} }, "charge_on must name states of a message, each once (the states are ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD)"},
		{"charged on no state", func(a *account) { a.ChargeOn = []ledger.DeliveryState{""} }, "charge_on must"},
		{"charged on another state last", func(a *account) { a.ChargeOn = []ledger.DeliveryState{ledger.Delivered, "SENT"} }, "charge_on must"},
		{"charged twice at once", func(a *account) { a.ChargeOn = []ledger.DeliveryState{ledger.Delivered, ledger.Delivered} }, "each once"},
		{"charged twice later", func(a *account) {
			a.ChargeOn = []ledger.DeliveryState{ledger.Delivered, ledger.Accepted, ledger.Delivered}
		}, "each once"},
		{"metadata", func(a *account) { a.Metadata = ledger.Metadata{"": "x"} }, "metadata name"},
	}
	for _, bad := range notText {
		tests = append(tests,
			struct {
				name   string
				change func(*account)
				part   string
			}{fmt.Sprintf("name %q", bad), func(a *account) { a.Name = bad }, "name must"},
			struct {
				name   string
				change func(*account)
				part   string
			}{fmt.Sprintf("reference %q", bad), func(a *account) { a.ExternalReference = bad }, "external_reference must"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := account{
				ID: 7, Name: "Example Ltd", Currency: "VND", Status: ledger.Active,
				ExternalReference: "crm-7", Metadata: ledger.Metadata{"plan": "gold"},
				TimeZone: "Asia/Ho_Chi_Minh", ChargeOn: ledger.DefaultChargeOn,
			}
			tt.change(&a)
			wantInvalid(t, a.Validate(), tt.part)
		})
	}
}

func members(n int) ledger.Metadata {
	m := ledger.Metadata{}
	for i := range n {
		m[fmt.Sprint("name", i)] = "value"
	}
	return m
}

func TestMetadataValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		metadata ledger.Metadata
		part     string
	}{
		{"nil", nil, ""},
		{"empty", ledger.Metadata{}, ""},
		{"empty text", ledger.Metadata{"a": ""}, ""},
		{"text of several lines", ledger.Metadata{"a": "one\ntwo\ttabbed"}, ""},
		{"most members", members(ledger.MaxMetadata), ""},
		{"longest name", ledger.Metadata{strings.Repeat("n", ledger.MaxMetadataKey): ""}, ""},
		{"longest text", ledger.Metadata{"a": strings.Repeat("t", ledger.MaxMetadataText)}, ""},
		{"too many", members(ledger.MaxMetadata + 1), "33 members, at most 32"},
		{"empty name", ledger.Metadata{"": "x"}, "metadata name"},
		{"name too long", ledger.Metadata{strings.Repeat("n", ledger.MaxMetadataKey+1): ""}, "metadata name"},
		{"name of two lines", ledger.Metadata{"a\nb": ""}, "metadata name"},
		{"name not UTF-8", ledger.Metadata{"a\xff": ""}, "metadata name"},
		{"text too long", ledger.Metadata{"long": strings.Repeat("t", ledger.MaxMetadataText+1)}, `metadata "long"`},
		{"text not UTF-8", ledger.Metadata{"odd": "a\xff"}, `metadata "odd"`},
		{"one bad among good", ledger.Metadata{"a": "1", "b": "2", "odd": "\xff", "z": "3"}, `metadata "odd"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, tt.metadata.Validate(), tt.part)
		})
	}
}

// A caller's text comes back in an error only shortened and as UTF-8: an error
// page must not be a mirror for a megabyte, nor break its own encoding.
func TestErrorsQuoteLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.StringN(1, 30, -1).Draw(t, "text"), 20)
		if ledger.IsCurrency(text) {
			t.Skip()
		}
		a := ledger.Account{ID: 1, Name: "x", Currency: text, Status: ledger.Active}
		r := ledger.Request{IdempotencyKey: "k", Kind: ledger.Kind(text)}
		_, parsed := ledger.ParseTransactionID("x" + text)
		for _, err := range []error{a.Validate(), r.Validate(), parsed} {
			// 40 bytes at most, of which quoting makes up to ten each.
			if got := err.Error(); len(got) > 600 || !utf8.ValidString(got) {
				t.Fatalf("error of %d bytes: %q", len(got), got)
			}
		}
	})
}

func TestStatusValid(t *testing.T) {
	t.Parallel()
	for status, want := range map[ledger.Status]bool{
		ledger.Active: true, ledger.Suspended: true, ledger.Closed: true, "": false, "ACTIVE": false, "deleted": false, "active ": false,
	} {
		if status.Valid() != want {
			t.Errorf("%q is valid: %t", status, !want)
		}
	}
}

func TestIsCurrency(t *testing.T) {
	t.Parallel()
	// The first, the last, the ends of lines of the list, and those that our dialects serve.
	for _, good := range []string{"AED", "ZWG", "BZD", "CAD", "GMD", "GNF", "LRD", "LSL", "PKR", "PLN", "TTD", "TWD", "ZAR", "ZMW", "CNY", "VND", "IDR", "IRR", "USD", "EUR", "XAF"} {
		if !ledger.IsCurrency(good) {
			t.Errorf("%q is no currency", good)
		}
	}
	for _, bad := range []string{
		"", " ", "   ", "C", "CN", "CNYX", "cny", "Cny", "CYN", "XTS", "XXX", "HRK", "ANG", "ZWL", "CNY ", " CNY",
		// Pieces of the list that are not codes of it.
		"ED ", "D A", " AF", "AED AFN", "EDA", "NY ", "Ａ", "é ", "\x00\x00\x00",
	} {
		if ledger.IsCurrency(bad) {
			t.Errorf("%q is a currency", bad)
		}
	}
	// Exhaustively: the list is as long as it was counted, so a broken line shows.
	count := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				if ledger.IsCurrency(string([]rune{a, b, c})) {
					count++
				}
			}
		}
	}
	if count != 172 {
		t.Errorf("%d currencies, 172 were counted: where the standard changed, change this number with the list", count)
	}
}
