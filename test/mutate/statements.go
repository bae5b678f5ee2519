package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// statements makes the mutants that do without something, or go on elsewhere.
func (w *walker) statements(n ast.Node) {
	switch n := n.(type) {
	case *ast.BlockStmt:
		w.remove(n.List)
	case *ast.CaseClause:
		w.remove(n.Body)
	case *ast.CommClause:
		w.remove(n.Body)
	case *ast.IfStmt:
		w.empty(n)
	case *ast.BranchStmt:
		w.branch(n)
	}
}

// remove leaves out each statement that is a call, an assignment or a step. A
// definition stays, because what it defines is used; and so do the clauses of a
// loop, without which it would only not end.
func (w *walker) remove(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			call, ok := s.X.(*ast.CallExpr)
			if !ok || watches(call) {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || discards(s) {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		w.replace(s.Pos(), s.End(), "", "statement removed")
	}
}

// empty leaves out the body of an if that ends in a return. What the if itself
// defines is used in the new body, or the compiler would refuse it.
func (w *walker) empty(s *ast.IfStmt) {
	list := s.Body.List
	if len(list) == 0 {
		return
	}
	if _, ok := list[len(list)-1].(*ast.ReturnStmt); !ok {
		return
	}
	body := "{}"
	if names := defined(s.Init); len(names) > 0 {
		blanks := strings.Repeat("_, ", len(names)-1) + "_"
		body = "{ " + blanks + " = " + strings.Join(names, ", ") + " }"
	}
	w.replace(s.Body.Lbrace, s.Body.Rbrace+1, body, "body emptied")
}

// defined gives the variables that a statement defines.
func defined(s ast.Stmt) []string {
	assign, ok := s.(*ast.AssignStmt)
	if !ok || assign.Tok != token.DEFINE {
		return nil
	}
	var names []string
	for _, e := range assign.Lhs {
		if name, ok := e.(*ast.Ident); ok && name.Name != "_" {
			names = append(names, name.Name)
		}
	}
	return names
}

func (w *walker) branch(s *ast.BranchStmt) {
	swapped := map[token.Token]token.Token{token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK}
	if other, ok := swapped[s.Tok]; ok {
		w.replace(s.TokPos, s.TokPos+token.Pos(len(s.Tok.String())), other.String(), s.Tok.String()+" to "+other.String())
	}
}
