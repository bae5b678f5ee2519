package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
)

// collect makes the mutants of packages, file by file.
func collect(root string, packages []string) ([]*mutant, error) {
	var all []*mutant
	for _, name := range packages {
		// It leaves out the tests, and what is not built on this system.
		p, err := build.ImportDir(filepath.Join(root, filepath.FromSlash(name)), 0)
		if err != nil {
			return nil, err
		}
		for _, file := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			mutants, err := mutantsOf(path.Join(name, file), source)
			if err != nil {
				return nil, err
			}
			all = append(all, mutants...)
		}
	}
	return all, nil
}

// mutantsOf makes the mutants of one file, in order of their places. A generated
// file has none: its generator is what should be tested.
func mutantsOf(name string, source []byte) ([]*mutant, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(tree) {
		return nil, nil
	}
	w := &walker{name: name, source: source, file: files.File(tree.FileStart)}
	for _, declaration := range tree.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			w.function = functionName(d)
			w.walk(d)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				w.function = specName(s)
				w.walk(s)
			}
		}
	}
	for _, m := range w.found {
		m.describe()
	}
	number(w.found)
	return w.found, nil
}

// functionName is "name", or "Type.name" for a method.
func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) != 1 {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr: // one type parameter
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		default:
			return fmt.Sprintf("%s.%s", receiver, f.Name.Name)
		}
	}
}

// specName is the first name of a declaration outside of functions.
func specName(s ast.Spec) string {
	switch s := s.(type) {
	case *ast.ValueSpec:
		return s.Names[0].Name
	case *ast.TypeSpec:
		return s.Name.Name
	default:
		return "import"
	}
}

// walker collects the mutants of one file.
type walker struct {
	name     string
	source   []byte
	file     *token.File
	function string // where it is
	found    []*mutant
}

// walk visits what is below a node, except what skips leaves out.
func (w *walker) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if watches(call) {
				return false
			}
			if rest := unread(call); rest != nil {
				for _, part := range rest {
					w.walk(part)
				}
				return false
			}
		}
		w.operators(n)
		w.statements(n)
		return true
	})
}

// replace makes a mutant of which the bytes from start to end read otherwise.
func (w *walker) replace(start, end token.Pos, with, name string) {
	w.found = append(w.found, &mutant{
		Package: path.Dir(w.name), File: w.name, Function: w.function,
		Line: w.file.PositionFor(start, false).Line, Name: name, Outcome: untried,
		source: w.source, start: w.file.Offset(start), end: w.file.Offset(end), with: with,
	})
}
