package sim

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/saldo-ledger/saldo/internal/engine"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// This file puts what happened into words.

func describe(t *ledger.Transaction) string {
	outcome := "posted"
	if t.Rejection != "" {
		outcome = string(t.Rejection)
	}
	text := fmt.Sprintf("%s %s %s of %d by %d: %s, moved %s, balance %s, held %s, version %d, %s", describeRequest(&t.Request), t.ID,
		t.Wallet.Service, t.Wallet.Account, t.Scope, outcome, t.Moved, t.Balance, t.Held, t.Version, t.CreatedAt.Format(time.RFC3339Nano))
	if !t.ExpiresAt.IsZero() {
		text += fmt.Sprintf(", the hold has %s until %s", t.Remaining, t.ExpiresAt.Format(time.RFC3339Nano))
	}
	return text
}

func describeRequest(r *ledger.Request) string {
	text := fmt.Sprintf("%s %q of %s", r.Kind, r.IdempotencyKey, r.Amount)
	if !r.Parent.IsZero() {
		text += " on " + r.Parent.String()
	}
	if r.Kind == ledger.Transfer {
		text += fmt.Sprintf(" to %s of %d", r.To.Service, r.To.Account)
	}
	if r.Key != "" {
		text += " with " + r.Key
	}
	if !r.Batch.IsZero() {
		text += " in batch " + r.Batch.String()
	}
	return text
}

// describe says what a client did and what it was told.
func (r *record) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d at node %d, operation %d (%s, from %d to %d)", r.client, r.node, r.number, r.action, r.began, r.ended)
	if r.fault.kind != noFault {
		fmt.Fprintf(&b, ", with the fault %q", r.fault.kind)
	}
	if r.change != nil {
		b.WriteString(", " + r.change.describe())
	}
	for i := range r.requests {
		if i == 8 {
			b.WriteString(" …")
			break
		}
		fmt.Fprintf(&b, "\n            %s -> %s", describeRequest(&r.requests[i]), describeResult(r.answer(i)))
	}
	for i := range r.settled {
		fmt.Fprintf(&b, "\n            %s %s -> %s %v", r.reports[i].Reference, r.reports[i].Status, r.settled[i].Outcome, r.settled[i].Err)
	}
	if r.err != nil {
		b.WriteString(": " + r.err.Error())
	}
	return b.String()
}

func describeResult(result engine.Result) string {
	switch {
	case result.Err != nil:
		return result.Err.Error()
	case result.Transaction.Rejection != "":
		return string(result.Transaction.Rejection)
	case result.Replayed:
		return "posted before"
	default:
		return "posted"
	}
}

func (c *change) describe() string {
	text := fmt.Sprintf("change of account %d %s", c.target.account, c.target.key)
	switch {
	case c.account != nil:
		text += ":" + fieldsOf(*c.account)
	case c.wallet != nil:
		text += fmt.Sprintf(", wallet %s:%s", c.service, fieldsOf(*c.wallet))
	case c.put != nil:
		text += fmt.Sprintf(", wallet %s, replaced: %+v", c.service, *c.put)
	case c.caps != nil:
		text += fmt.Sprintf(": %+v", *c.caps)
	}
	return text
}

// fieldsOf gives the fields of a struct that are set, with what they point to.
func fieldsOf(s any) string {
	var b strings.Builder
	value := reflect.ValueOf(s)
	for i := range value.NumField() {
		if field := value.Field(i); !field.IsZero() {
			fmt.Fprintf(&b, " %s=%v", value.Type().Field(i).Name, reflect.Indirect(field))
		}
	}
	return b.String()
}

// differences gives the fields in which two structs differ.
func differences(want, got any) (wanted, given string) {
	var w, g strings.Builder
	first, second := reflect.Indirect(reflect.ValueOf(want)), reflect.Indirect(reflect.ValueOf(got))
	if first.Kind() != reflect.Struct {
		return fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got)
	}
	for i := range first.NumField() {
		one, other := fmt.Sprintf("%+v", first.Field(i)), fmt.Sprintf("%+v", second.Field(i))
		if one != other {
			fmt.Fprintf(&w, "%s=%s ", first.Type().Field(i).Name, one)
			fmt.Fprintf(&g, "%s=%s ", first.Type().Field(i).Name, other)
		}
	}
	return w.String(), g.String()
}
