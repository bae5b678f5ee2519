package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to go past the store

	"github.com/saldo-ledger/saldo/internal/engine"
)

// Forge runs statements on the file of a SQLite ledger, past the store, as
// somebody could who first takes away what refuses to change history, and puts
// it back at the end. What is planted so is found by what it does alone.
func Forge(ctx context.Context, path string, statements ...string) (err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=ignore_check_constraints(1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	guards, err := guardsOf(ctx, db)
	if err != nil {
		return err
	}
	var all []string
	for name := range guards {
		all = append(all, "DROP TRIGGER "+name)
	}
	all = append(all, statements...)
	for _, statement := range guards {
		all = append(all, statement)
	}
	for _, statement := range all {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// guardsOf gives the triggers of a SQLite ledger: how each is made, by its name.
func guardsOf(ctx context.Context, db *sql.DB) (_ map[string]string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	guards := map[string]string{}
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			return nil, err
		}
		guards[name] = statement
	}
	return guards, rows.Err()
}

// WantMissingGuards checks that a verification names what is missing, as its only problem.
func WantMissingGuards(t testing.TB, store engine.Reader, names []string) {
	t.Helper()
	report, err := engine.Verify(t.Context(), store, engine.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := "history: the database does not protect it, because these triggers are gone, disabled or changed: " + strings.Join(names, ", ") +
		" (find out who did that; saldo copy makes a ledger that has them)"
	if !slices.Equal(report.Problems, []string{want}) || report.ProblemCount != 1 {
		t.Errorf("without %q the problems are %q", names, report.Problems)
	}
}
