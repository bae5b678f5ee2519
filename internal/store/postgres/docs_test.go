package postgres_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/saldo-ledger/saldo/internal/store/postgres"
	"github.com/saldo-ledger/saldo/internal/store/postgres/pgtest"
)

// The operator's page shows the files that the tests use, and queries that run.
func TestDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)<!-- file: (\\S+) -->\n```[a-z]+\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(shown) != 2 {
		t.Errorf("%d files are shown", len(shown))
	}
	for _, file := range shown {
		content, err := os.ReadFile("../../../" + file[1])
		if err != nil || string(content) != file[2] {
			t.Errorf("%s is not what is shown: %v", file[1], err)
		}
	}
	database := pgtest.NewDatabase(t)
	opened(t)(postgres.Create(t.Context(), database))
	block := regexp.MustCompile("(?s)<!-- queries: monitoring -->\n```sql\n(.*?)```").FindStringSubmatch(string(text))
	if block == nil || strings.Count(block[1], ";") < 5 {
		t.Fatal("there are no queries")
	}
	exec(t, database, block[1])
}
