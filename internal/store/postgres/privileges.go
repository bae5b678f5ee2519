package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// privileges are what serving a ledger takes, as a table and a privilege each.
// History is only ever added to. Who owns the tables has all of them.
var privileges = strings.Fields(`
	accounts SELECT accounts INSERT accounts UPDATE
	wallets SELECT wallets INSERT wallets UPDATE
	transactions SELECT transactions INSERT
	entries SELECT entries INSERT
	holds SELECT holds INSERT holds UPDATE
	refunds SELECT refunds INSERT refunds UPDATE
	system_accounts SELECT system_accounts INSERT system_accounts UPDATE
	keys SELECT keys INSERT keys UPDATE
	copy_progress SELECT copy_progress DELETE
	upstreams SELECT upstreams INSERT upstreams UPDATE upstreams DELETE
	upstream_readings SELECT upstream_readings INSERT upstream_readings DELETE`)

// checkPrivileges says at the start what a write would fail for later.
func (s *Store) checkPrivileges(ctx context.Context) error {
	var tables, kinds []string
	for i := 0; i < len(privileges); i += 2 {
		tables, kinds = append(tables, privileges[i]), append(kinds, privileges[i+1])
	}
	missing, err := page(ctx, s.reader, func(row pgx.Row, into *string) error { return row.Scan(into) },
		`SELECT wanted.kind || ' on ' || wanted.name FROM unnest($1::text[], $2::text[]) AS wanted (name, kind)
			WHERE NOT has_table_privilege(wanted.name, wanted.kind)`, tables, kinds)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: it lacks %s", ErrPrivilege, strings.Join(missing, ", "))
	}
	return err
}
