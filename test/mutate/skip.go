package main

import (
	"go/ast"
	"slices"
)

// What is left alone, because a mistake in it does not change what the code does, or
// only the words in which it says so:
//
//   - texts: no string is changed, nor a + that joins one;
//   - what is printed in an error or a finding: the arguments of the calls in words,
//     though not the call itself;
//   - log calls and calls of an observer, whole: what is called by a name of
//     watchers, or with one before it;
//   - the capacity of make, and the size that it is told for a map;
//   - the argument of a call in hints, which is a capacity too;
//   - an assignment of values without calls to nothing but _.
//
// What else turns out to do the same as the code goes into equivalent.txt.

// words are the calls whose arguments are for people to read.
var words = []string{"Errorf", "WithHint", "problemf", "panic"}

// hints are the methods and functions whose last argument is a capacity.
var hints = []string{"Grow"}

// watchers are the names of the calls that log and measure, or before these.
var watchers = []string{"slog", "log", "Logger", "logger", "Observer", "observer", "observe"}

// calledName is the last name of what is called: "f" of f(), x.f() and x().f().
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	default:
		return ""
	}
}

// watches tells whether a call logs or measures.
func watches(call *ast.CallExpr) bool {
	if slices.Contains(watchers, calledName(call)) {
		return true
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch x := f.X.(type) {
	case *ast.Ident:
		return slices.Contains(watchers, x.Name)
	case *ast.SelectorExpr:
		return slices.Contains(watchers, x.Sel.Name)
	case *ast.CallExpr: // slog.With(...).Info(...)
		return watches(x)
	default:
		return false
	}
}

// unread gives the parts of a call that count, where some do not: nil where all do.
func unread(call *ast.CallExpr) []ast.Node {
	name := calledName(call)
	switch {
	case slices.Contains(words, name):
		return []ast.Node{call.Fun} // which may be a call itself, with arguments of its own
	case slices.Contains(hints, name) && len(call.Args) > 0:
		return nodes(call.Fun, call.Args[:len(call.Args)-1])
	case name == "make" && len(call.Args) == 3:
		return nodes(call.Fun, call.Args[:2])
	case name == "make" && len(call.Args) == 2:
		if _, ok := call.Args[0].(*ast.MapType); ok {
			return nodes(call.Fun, call.Args[:1])
		}
	}
	return nil
}

func nodes(f ast.Expr, arguments []ast.Expr) []ast.Node {
	list := []ast.Node{f}
	for _, a := range arguments {
		list = append(list, a)
	}
	return list
}

// discards tells whether an assignment has no effect.
func discards(s *ast.AssignStmt) bool {
	for _, left := range s.Lhs {
		if name, ok := left.(*ast.Ident); !ok || name.Name != "_" {
			return false
		}
	}
	effects := false
	for _, right := range s.Rhs {
		ast.Inspect(right, func(n ast.Node) bool {
			_, call := n.(*ast.CallExpr)
			effects = effects || call
			return true
		})
	}
	return !effects
}
