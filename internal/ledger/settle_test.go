package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// The words and their order are SMPP's, and public: reports come with them.
func TestDeliveryStates(t *testing.T) {
	t.Parallel()
	want := []ledger.DeliveryState{"ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"}
	if !slices.Equal(ledger.DeliveryStates, want) {
		t.Errorf("the states are %v, want %v", ledger.DeliveryStates, want)
	}
	for _, state := range want {
		if !state.Valid() {
			t.Errorf("%s is no state", state)
		}
	}
	for _, bad := range []ledger.DeliveryState{"", "delivrd", "DELIVERED", "DELIVRD ", " DELIVRD", "ENROUTE, DELIVRD"} {
		if bad.Valid() {
			t.Errorf("%q is a state", bad)
		}
	}
	if !slices.Equal(ledger.DefaultChargeOn, []ledger.DeliveryState{"DELIVRD", "ACCEPTD"}) {
		t.Errorf("messages are charged on %v by default", ledger.DefaultChargeOn)
	}
}

func TestDeliveryReportValidate(t *testing.T) {
	t.Parallel()
	type report = ledger.DeliveryReport
	tests := []struct {
		name   string
		report report
		part   string
	}{
		{"of an account", report{"msg-1", ledger.Delivered, 7}, ""},
		{"of the largest account", report{"msg-1", ledger.Delivered, ledger.MaxAccountID}, ""},
		{"of a reference alone", report{"msg-1", ledger.Enroute, ledger.Operator}, ""},
		{"of the longest reference", report{strings.Repeat("r", ledger.MaxReferenceLen), ledger.Rejected, 1}, ""},
		{"of nothing", report{"", ledger.Delivered, 7}, "reference must be 1 to 200 bytes of printable text"},
		{"of a reference too long", report{strings.Repeat("r", ledger.MaxReferenceLen+1), ledger.Delivered, 7}, "reference must"},
		{"of the system", report{"msg-1", ledger.Delivered, ledger.System}, "account must be between 1 and 2147483647"},
		{"of no state", report{"msg-1", "", 7}, `"" is not a state of a message (the states are ENROUTE, DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN, REJECTD)`},
		{"of another state", report{"msg-1", "SENT", 7}, `"SENT" is not a state`},
		// Of a caller's text, 40 bytes come back.
		{"of a state that is just told", report{"msg-1", ledger.DeliveryState(strings.Repeat("S", 40)), 7}, `"` + strings.Repeat("S", 40) + `" is not a state`},
		{"of a long state", report{"msg-1", ledger.DeliveryState(strings.Repeat("S", 41)), 7}, `"` + strings.Repeat("S", 40) + `…" is not a state`},
		// What is wrong first is told first.
		{"of nothing at all", report{Account: -1}, "reference must"},
		{"of a reference alone, below zero", report{Reference: "msg-1", Account: -1}, "account must"},
	}
	for _, bad := range notText {
		tests = append(tests, struct {
			name   string
			report report
			part   string
		}{fmt.Sprintf("of the reference %q", bad), report{bad, ledger.Delivered, 7}, "reference must"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, tt.report.Validate(), tt.part)
		})
	}
}

// Every policy with every state: a state on the list charges, ENROUTE beside it
// waits, and all else gives the money back.
func TestAccountSettle(t *testing.T) {
	t.Parallel()
	for name, chargeOn := range map[string][]ledger.DeliveryState{
		"nothing":          nil,
		"what arrived":     ledger.DefaultChargeOn,
		"what was taken":   {ledger.Enroute},
		"what came to end": {ledger.Delivered, ledger.Expired, ledger.Undeliverable, ledger.Rejected},
		"everything":       ledger.DeliveryStates,
	} {
		account := ledger.Account{ChargeOn: chargeOn}
		for _, state := range ledger.DeliveryStates {
			want := ledger.Release
			switch {
			case slices.Contains(chargeOn, state):
				want = ledger.Capture
			case state == "ENROUTE":
				want = ""
			}
			if got := account.Settle(state); got != want {
				t.Errorf("charged on %s, %s is a %q, want %q", name, state, got, want)
			}
		}
	}
}
