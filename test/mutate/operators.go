package main

import (
	"go/ast"
	"go/constant"
	"go/token"
)

// neighbours are what each binary operator is mistaken for: of a comparison that has
// a bound, the one that moves the bound, and the opposite. There are no types
// here, so an == is never made a <, which most types do not have.
var neighbours = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},

	token.ADD: {token.SUB}, token.SUB: {token.ADD},
	token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},

	token.LAND: {token.LOR}, token.LOR: {token.LAND},

	token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN},
	token.MUL_ASSIGN: {token.QUO_ASSIGN}, token.QUO_ASSIGN: {token.MUL_ASSIGN}, token.REM_ASSIGN: {token.MUL_ASSIGN},
	token.INC: {token.DEC}, token.DEC: {token.INC},
}

// operators makes the mutants of an expression, and of a statement that is an operator.
func (w *walker) operators(n ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op != token.ADD || !isText(n) {
			w.swap(n.OpPos, n.Op)
		}
	case *ast.AssignStmt:
		if n.Tok != token.ADD_ASSIGN || !isText(n.Rhs[0]) {
			w.swap(n.TokPos, n.Tok)
		}
	case *ast.IncDecStmt:
		w.swap(n.TokPos, n.Tok)
	case *ast.UnaryExpr:
		if n.Op == token.NOT || n.Op == token.SUB {
			w.replace(n.OpPos, n.X.Pos(), "", n.Op.String()+" removed")
		}
	case *ast.IfStmt:
		w.negate(n.Cond)
	case *ast.SwitchStmt:
		w.conditions(n)
	case *ast.BasicLit:
		w.integer(n)
	case *ast.Ident:
		if other := map[string]string{"true": "false", "false": "true"}[n.Name]; other != "" {
			w.replace(n.Pos(), n.End(), other, n.Name+" to "+other)
		}
	}
}

func (w *walker) swap(at token.Pos, operator token.Token) {
	for _, other := range neighbours[operator] {
		w.replace(at, at+token.Pos(len(operator.String())), other.String(), operator.String()+" to "+other.String())
	}
}

// isText tells whether an expression joins a literal text to something. It cannot
// be subtracted, so the compiler need not be asked.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (isText(e.X) || isText(e.Y))
	case *ast.ParenExpr:
		return isText(e.X)
	default:
		return false
	}
}

// conditions takes the cases of a switch without a value for what they are: ifs.
func (w *walker) conditions(s *ast.SwitchStmt) {
	if s.Tag != nil {
		return
	}
	for _, clause := range s.Body.List {
		for _, e := range clause.(*ast.CaseClause).List {
			w.negate(e)
		}
	}
}

// negate turns the parts of a condition into their opposites. A comparison has
// its opposite among the neighbours, and of a negation the ! is removed.
func (w *walker) negate(condition ast.Expr) {
	switch e := condition.(type) {
	case *ast.ParenExpr:
		w.negate(e.X)
	case *ast.UnaryExpr: // a ! that is removed elsewhere, or a receive
		if e.Op != token.NOT {
			w.replace(e.Pos(), e.Pos(), "!", "! inserted")
		}
	case *ast.BinaryExpr:
		if e.Op == token.LAND || e.Op == token.LOR {
			w.negate(e.X)
			w.negate(e.Y)
		}
	default:
		w.replace(e.Pos(), e.Pos(), "!", "! inserted")
	}
}

// integer makes a number greater by one, and so a 0 a 1.
func (w *walker) integer(literal *ast.BasicLit) {
	if literal.Kind != token.INT {
		return
	}
	value := constant.MakeFromLiteral(literal.Value, token.INT, 0)
	next := constant.BinaryOp(value, token.ADD, constant.MakeInt64(1)).ExactString()
	w.replace(literal.Pos(), literal.End(), next, literal.Value+" to "+next)
}
