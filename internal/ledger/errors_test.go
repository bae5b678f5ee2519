package ledger_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"regexp"
	"strconv"
	"testing"

	"github.com/saldo-ledger/saldo/internal/ledger"
)

// parseCodes reads errors.go: the constants of type Code by name, and the
// names that are keys of the status table.
func parseCodes(t *testing.T) (codes map[string]ledger.Code, table map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes, table = map[string]ledger.Code{}, map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			for i, name := range spec.Names {
				value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				codes[name.Name] = ledger.Code(value)
			}
		}
		if spec.Names[0].Name == "statuses" {
			for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
				table[element.(*ast.KeyValueExpr).Key.(*ast.Ident).Name] = true
			}
		}
		return true
	})
	if len(codes) < 24 || len(table) < 24 {
		t.Fatalf("found only %d codes and %d statuses in errors.go", len(codes), len(table))
	}
	return codes, table
}

// The constants are found by parsing, because a code that is forgotten in the
// table would be forgotten in a list here as well.
func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	codes, table := parseCodes(t)
	shape := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[ledger.Code]string{}
	for name, code := range codes {
		if !table[name] {
			t.Errorf("%s is not in the status table", name)
		}
		if !shape.MatchString(string(code)) {
			t.Errorf("%s is %q, not words joined by underscores", name, code)
		}
		if other, twice := seen[code]; twice {
			t.Errorf("%s and %s are both %q", name, other, code)
		}
		seen[code] = name
		if status := code.HTTPStatus(); status < 400 || status > 599 {
			t.Errorf("%s has status %d", name, status)
		}
	}
	for name := range table {
		if _, ok := codes[name]; !ok {
			t.Errorf("the status table has %s, which is no code", name)
		}
	}
}

// The pairs are public: clients branch on them, so a change must be seen here.
func TestStatuses(t *testing.T) {
	t.Parallel()
	want := map[ledger.Code]int{
		"invalid_request": 400, "unauthorized": 401, "insufficient_funds": 402, "ip_denied": 403, "forbidden": 403,
		"not_found": 404, "method_not_allowed": 405, "request_timeout": 408, "conflict": 409, "account_not_active": 409, "wallet_not_active": 409,
		"hold_not_open": 409, "hold_expired": 409, "batch_rejected": 409, "request_too_large": 413,
		"currency_mismatch": 422, "amount_out_of_range": 422, "amount_not_allowed": 422, "spend_cap_reached": 422,
		"refund_exceeds_charge": 422, "idempotency_key_reused": 422, "rate_limited": 429,
		"internal_error": 500, "overloaded": 503, "outcome_unknown": 503,
	}
	for code, status := range want {
		if got := code.HTTPStatus(); got != status {
			t.Errorf("%s has status %d, want %d", code, got, status)
		}
	}
	codes, _ := parseCodes(t)
	for name, code := range codes {
		if want[code] == 0 {
			t.Errorf("%s (%q) is new: say its status here", name, code)
		}
	}
	for _, unknown := range []ledger.Code{"", "no_such_code"} {
		if got := unknown.HTTPStatus(); got != 500 {
			t.Errorf("%q has status %d, want 500", unknown, got)
		}
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	e := ledger.Errorf(ledger.NotFound, "no account %d", 7)
	tests := []struct {
		err  error
		want ledger.Code
	}{
		{nil, ""},
		{e, ledger.NotFound},
		{fmt.Errorf("reading: %w", e), ledger.NotFound},
		{errors.Join(io.EOF, e), ledger.NotFound},
		{e.WithHint("look again"), ledger.NotFound},
		// What is not ours says nothing to a caller.
		{io.EOF, ledger.Internal},
		{ledger.ErrAmountRange, ledger.Internal},
		{errors.New("only text: " + e.Error()), ledger.Internal},
	}
	for _, tt := range tests {
		if got := ledger.CodeOf(tt.err); got != tt.want {
			t.Errorf("CodeOf(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e := ledger.Errorf(ledger.NotFound, "no account %d", 7)
	if got := e.Error(); got != "not_found: no account 7" {
		t.Errorf("error is %q", got)
	}
	hinted := e.WithHint("ids start at %d", 1)
	if got := hinted.Error(); got != "not_found: no account 7 (ids start at 1)" {
		t.Errorf("error with a hint is %q", got)
	}
	// A package-level error that is hinted in one request must not carry the hint into the next.
	if e.Hint != "" || hinted == e {
		t.Errorf("WithHint changed the error itself: %+v", e)
	}
}
