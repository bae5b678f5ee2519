package httpapi

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"github.com/saldo-ledger/saldo/api"
	"github.com/saldo-ledger/saldo/internal/ledger"
)

// constants gives the values of all constants of one type in a file. They are
// found by parsing, because a list here would forget what the code forgets.
func constants(t *testing.T, path, kind string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if name, ok := spec.Type.(*ast.Ident); ok && name.Name == kind {
				for _, value := range spec.Values {
					text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					values = append(values, text)
				}
			}
		}
		return true
	})
	slices.Sort(values)
	return values
}

// The contract must know every code that the ledger can give, and no other.
func TestContractHasEveryCode(t *testing.T) {
	t.Parallel()
	codes := constants(t, "../ledger/errors.go", "Code")
	contract := constants(t, "../../api/api.gen.go", "ErrorCode")
	if len(codes) < 17 || !slices.Equal(codes, contract) {
		t.Errorf("the ledger's codes are\n%q, the contract has\n%q", codes, contract)
	}
	for _, code := range codes {
		if !api.ErrorCode(code).Valid() {
			t.Errorf("%s is not valid in the contract", code)
		}
	}
}

// Whatever the ledger says, and however deep it stands in a chain of errors,
// the reply has its code, its status, its words, and what the status calls for.
func TestEveryCodeAsProblem(t *testing.T) {
	t.Parallel()
	s := &server{gate: &Gate{log: slog.New(slog.DiscardHandler)}}
	for _, text := range constants(t, "../ledger/errors.go", "Code") {
		code := ledger.Code(text)
		rec := httptest.NewRecorder()
		s.fail(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody),
			wrapped{ledger.Errorf(code, "what %s", "happened").WithHint("what to do")})
		want := api.Problem{
			Type: "urn:saldo:problem:" + text, Title: http.StatusText(code.HTTPStatus()), Status: code.HTTPStatus(), Code: api.ErrorCode(code),
			Detail: "what happened", Hint: "what to do",
		}
		var got api.Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got != want || rec.Code != code.HTTPStatus() {
			t.Errorf("%s: status %d with %+v, %v", code, rec.Code, got, err)
		}
		if has := rec.Header().Get("WWW-Authenticate") != ""; has != (rec.Code == 401) {
			t.Errorf("%s: WWW-Authenticate is %q", code, rec.Header().Get("WWW-Authenticate"))
		}
		if has := rec.Header().Get("Retry-After") != ""; has != (rec.Code == 503) {
			t.Errorf("%s: Retry-After is %q", code, rec.Header().Get("Retry-After"))
		}
	}
}

// An error that is none of ours may hold a path, a statement or a secret: the
// caller learns nothing of it, the log all.
func TestForeignErrorsStayInside(t *testing.T) {
	t.Parallel()
	var logged string
	s := &server{gate: &Gate{log: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		logged += string(p)
		return len(p), nil
	}), nil))}}
	rec := httptest.NewRecorder()
	s.fail(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody), wrapped{io.ErrClosedPipe})
	const want = `{"type":"urn:saldo:problem:internal_error","title":"Internal Server Error","status":500,"code":"internal_error",` +
		`"detail":"something went wrong here","hint":"the server's log says what; the request may be sent again"}` + "\n"
	if rec.Code != 500 || rec.Body.String() != want {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if wantLog := "closed pipe"; !containsAll(logged, "level=ERROR", "request failed", wantLog) {
		t.Errorf("the log says %q", logged)
	}
}

type wrapped struct{ error }

func (w wrapped) Unwrap() error { return w.error }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
