// Package walls checks which package may import which.
package walls

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/saldo-ledger/saldo/"

// room is a package of the house, or several whose path has the same beginning.
type room struct {
	// imports are the rooms that it may import, or the beginnings of their
	// paths where these end in a slash.
	imports []string
	// modules are the packages of other modules that it may import, in the same way.
	modules []string
}

// rooms is the whole house. What is not allowed here is forbidden, and a new
// package needs a line before it can be built upon. Tests are rooms with more doors.
var rooms = map[string]room{
	"internal/ledger": {},
	"internal/engine": {imports: []string{"internal/ledger"}},
	"internal/copier": {imports: []string{"internal/engine", "internal/ledger", "internal/readings"}},
	"internal/store/sqlite": {
		imports: []string{"internal/engine", "internal/ledger", "internal/readings", "internal/provider", "internal/atomicfile", "internal/copier", "internal/store/sqlrow"},
		modules: []string{"modernc.org/sqlite", "modernc.org/sqlite/lib", "github.com/pressly/goose/v3", "github.com/gofrs/flock"},
	},
	"internal/store/postgres": {
		imports: []string{"internal/engine", "internal/ledger", "internal/readings", "internal/copier", "internal/store/sqlrow"},
		modules: []string{"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/", "github.com/pressly/goose/v3", "github.com/pressly/goose/v3/database"},
	},
	"internal/store/sqlrow": {
		imports: []string{"internal/engine", "internal/ledger", "internal/readings", "internal/provider", "internal/forecast"},
		modules: []string{"github.com/shopspring/decimal"},
	},
	"internal/store/postgres/pgtest": {modules: []string{"github.com/jackc/pgx/v5"}},
	"internal/store/storetest": {
		imports: []string{"internal/engine", "internal/ledger", "internal/readings", "internal/provider", "internal/forecast"},
		modules: []string{"pgregory.net/rapid", "github.com/google/go-cmp/cmp", "github.com/shopspring/decimal", "modernc.org/sqlite"}, // the last to forge a ledger, past the store
	},
	"internal/atomicfile":               {},
	"internal/provider":                 {modules: []string{"github.com/shopspring/decimal"}},
	"internal/checkpoint":               {imports: []string{"internal/engine", "internal/ledger", "internal/atomicfile"}},
	"internal/dialect/internal/message": {},
	"internal/dialect/antgst":           {imports: []string{"internal/ledger", "internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/esms":             {imports: []string{"internal/ledger", "internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/internal/rest":    {imports: []string{"internal/provider", "internal/dialect/internal/message"}},
	"internal/dialect/messagebird":      {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/smsc":             {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/speedsms":         {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/telnyx":           {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/twilio":           {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/vonage":           {imports: []string{"internal/provider", "internal/dialect/internal/"}},
	"internal/dialect/generic": {
		imports: []string{"internal/provider", "internal/dialect/internal/"},
		modules: []string{"github.com/itchyny/gojq", "github.com/shopspring/decimal"},
	},
	"internal/dialect/dialecttest": {
		imports: []string{"internal/provider"},
		modules: []string{"github.com/google/go-cmp/cmp"},
	},
	"internal/forecast": {modules: []string{"github.com/shopspring/decimal"}},
	"internal/readings": {
		imports: []string{"internal/provider", "internal/forecast"},
		modules: []string{"github.com/shopspring/decimal"},
	},
	"internal/upstream": {
		imports: []string{"internal/provider", "internal/dialect/", "internal/forecast", "internal/readings"},
		modules: []string{"github.com/goccy/go-yaml", "github.com/goccy/go-yaml/", "github.com/shopspring/decimal"},
	},
	"internal/httpapi": {
		imports: []string{"internal/engine", "internal/ledger", "internal/readings", "internal/provider", "internal/forecast", "api"},
		modules: []string{"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/", "github.com/shopspring/decimal", "golang.org/x/time/rate"},
	},
	"internal/app": {imports: []string{"internal/"}},
	"internal/cli": {
		imports: []string{"client", "api"},
		modules: []string{"github.com/alecthomas/kong", "github.com/jotaen/kong-completion", "github.com/mattn/go-isatty"},
	},
	"api":                  {modules: []string{"github.com/oapi-codegen/runtime"}},
	"client":               {imports: []string{"api", "client/internal/rest"}},
	"client/internal/rest": {imports: []string{"api"}, modules: []string{"github.com/oapi-codegen/runtime"}},
	"cmd/saldo": {
		imports: []string{"internal/app", "internal/cli", "internal/checkpoint", "internal/upstream", "internal/engine", "internal/httpapi"}, // of the last two only types and one parser
		modules: []string{"github.com/alecthomas/kong", "github.com/goccy/go-yaml", "github.com/shopspring/decimal"},
	},
	"test/saldotest": {imports: []string{"api", "client", "internal/store/postgres/pgtest"}},
	"test/mutate":    {},
	"test/sim":       {imports: []string{"internal/engine", "internal/ledger", "internal/store/"}, modules: []string{"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/"}},
	"test/bench":     {imports: []string{"api", "client", "internal/"}, modules: []string{"github.com/jackc/pgx/v5"}},
}

// owners are the rooms that use app. The tests of others may not, except the
// examples of the client, which need a server and are no part of it.
var owners = []string{"cmd/saldo", "test/"}

// listed is a package as "go list" knows it.
type listed struct {
	ImportPath                         string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,GoFiles", module+"...").Output()
	if err != nil {
		failure := new(exec.ExitError)
		errors.As(err, &failure)
		t.Fatalf("go list: %v\n%s", err, failure.Stderr)
	}
	var all []listed
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p listed
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
}

// admits tells whether a list of packages, or of beginnings of their paths, has a package.
func admits(list []string, path string) bool {
	return slices.ContainsFunc(list, func(allowed string) bool {
		return path == allowed || strings.HasSuffix(allowed, "/") && strings.HasPrefix(path, allowed)
	})
}

func TestImports(t *testing.T) {
	found := map[string]bool{}
	for _, p := range packages(t) {
		found[p.ImportPath] = true
		checkApp(t, p)
		if len(p.GoFiles) == 0 {
			continue // nothing but tests
		}
		allowed, ok := rooms[p.ImportPath]
		if !ok {
			t.Errorf("%s is not in the table of rooms", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			own, ours := strings.CutPrefix(path, module)
			switch {
			case ours && !admits(allowed.imports, own):
				t.Errorf("%s may not import %s", p.ImportPath, own)
			case !ours && strings.Contains(first, ".") && !admits(allowed.modules, path):
				t.Errorf("%s may not import %s", p.ImportPath, path)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		if !found[name] {
			t.Errorf("the table has a room %s that is not there", name)
		}
	}
}

// checkApp keeps app at the end of the imports, those of tests included.
func checkApp(t *testing.T, p listed) {
	t.Helper()
	if p.ImportPath == "internal/app" || admits(owners, p.ImportPath) {
		return
	}
	imports := slices.Concat(p.Imports, p.TestImports)
	if p.ImportPath != "client" {
		imports = append(imports, p.XTestImports...)
	}
	if slices.Contains(imports, module+"internal/app") {
		t.Errorf("%s may not import internal/app, in its tests either", p.ImportPath)
	}
}

// TestPure checks what the domain does without: a clock, input and output, and contexts.
func TestPure(t *testing.T) {
	forbidden := []string{"context", "os", "io", "bufio", "net", "net/http", "log", "log/slog", "sync", "database/sql", "encoding/json", "math/rand", "math/rand/v2", "crypto/rand"}
	for _, p := range packages(t) {
		if p.ImportPath != "internal/ledger" {
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(forbidden, path) {
				t.Errorf("%s may not import %s", p.ImportPath, path)
			}
		}
		return
	}
	t.Error("there is no ledger")
}
