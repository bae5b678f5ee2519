package httpapi

import (
	"slices"
	"strings"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// checkMembers refuses what encoding/json lets pass in an object that it has
// decoded: a member that stands twice, of which the last would count, and one
// spelled with other cases or escapes. Where money is at stake, two programs
// that read one body must not read two amounts.
func checkMembers(object []byte) error {
	var seen []string
	for name := range memberNames(object) {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return ledger.Errorf(ledger.InvalidRequest, "unknown member %q", name).WithHint("/openapi.yaml lists the members, in lower case")
		}
		if slices.Contains(seen, name) {
			return ledger.Errorf(ledger.InvalidRequest, "member %q stands twice", name)
		}
		seen = append(seen, name)
	}
	return nil
}

// memberNames yields the names of an object's own members, as they are spelled.
// The text is known to be one valid JSON object.
func memberNames(object []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
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
				if depth == 1 && expectName && !yield(string(object[start:i])) {
					return
				}
				expectName = false
			case '{', '[':
				depth++
				expectName = depth == 1
			case '}', ']':
				depth--
			case ',':
				expectName = depth == 1
			}
		}
	}
}
