package httpapi

import (
	"bytes"
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// checkMembers refuses what encoding/json lets pass in an object that it has
// decoded: a member that stands twice, of which the last would count, one
// spelled with other cases or escapes, and one that is null, which would be taken
// for one that is not there. Where money is at stake, two programs that read one
// body must not read two amounts.
func checkMembers(object []byte) error {
	var seen []string
	for name, value := range members(object) {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return ledger.Errorf(ledger.InvalidRequest, "unknown member %q", name).WithHint("/openapi.yaml lists the members, in lower case")
		}
		if slices.Contains(seen, name) {
			return ledger.Errorf(ledger.InvalidRequest, "member %q stands twice", name)
		}
		seen = append(seen, name)
		if isNull(value) {
			return errNull(name)
		}
		if name != "metadata" {
			continue
		}
		for _, value := range members(value) {
			if isNull(value) {
				return ledger.Errorf(ledger.InvalidRequest, "a value of metadata must be a string, not null")
			}
		}
	}
	return nil
}

// errNull refuses a member that is null, in which a caller may have seen a way to
// take a limit away.
func errNull(name string) error {
	hint := "leave out what is not set"
	switch name {
	case "credit_limit", "min_amount", "max_amount", "daily_spend_cap", "monthly_spend_cap":
		hint = `"0" removes it; where it is left out of a PATCH, it stays`
	}
	return ledger.Errorf(ledger.InvalidRequest, "%s cannot be null", name).WithHint("%s", hint)
}

func isNull(value []byte) bool { return bytes.HasPrefix(value, []byte("null")) }

// members yields the names of an object's own members, as they are spelled, each
// with the text that begins with its value. The object is known to be valid JSON;
// what comes behind it does not matter.
func members(object []byte) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		depth, expectName := 0, false
		for i := 0; i < len(object); i++ {
			switch object[i] {
			case '"':
				start := i + 1
				for i++; object[i] != '"'; i++ {
					if object[i] == '\\' {
						i++
					}
				}
				if depth == 1 && expectName && !yield(string(object[start:i]), bytes.TrimLeft(object[i+1:], " \t\r\n:")) {
					return
				}
				expectName = false
			case '{', '[':
				depth++
				expectName = depth == 1
			case '}', ']':
				if depth--; depth == 0 {
					return
				}
			case ',':
				expectName = depth == 1
			}
		}
	}
}
