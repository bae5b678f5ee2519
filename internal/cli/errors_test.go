package cli

import (
	"bytes"
	"errors"
	"testing"
)

// unadvised can bring advice, and has none.
type unadvised struct{ error }

func (unadvised) Hint() string { return "" }

// An error that has no advice prints no empty line of it.
func TestReportWithoutAdvice(t *testing.T) {
	for _, err := range []error{
		unadvised{errors.New("it failed")},
		&Error{Status: ExitFailure, Message: "it failed", Hints: []string{""}},
	} {
		var printed bytes.Buffer
		if status := Report(Streams{Err: &printed}, err); status != ExitFailure || printed.String() != "saldo: it failed\n" {
			t.Errorf("status %d: %s", status, &printed)
		}
	}
}
