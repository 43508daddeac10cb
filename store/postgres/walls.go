package postgres

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acme/platform/store"
)

// tenantCondition is the policy of the runtime role. The setting is an empty
// string in a session that had a transaction before, and then no row is anybody's.
const tenantCondition = `tenant = nullif(current_setting('app.tenant', true), '')`

// The names of the policies.
const (
	tenantPolicy = "platform_tenant"
	systemPolicy = "platform_system"
)

// protect puts up the wall around each table that has none, and lets the two
// roles use what is in the schema. It is a part of the transaction that makes
// the table.
func (db *DB) protect(ctx context.Context, tx store.Queries) error {
	bare, err := db.names(ctx, tx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ? AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
		AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped)
		ORDER BY c.relname`)
	if err != nil {
		return err
	}
	for _, table := range bare {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %[1]q ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
			CREATE POLICY %[2]s ON %[1]q TO %[3]s USING (%[4]s) WITH CHECK (%[4]s);
			CREATE POLICY %[5]s ON %[1]q TO %[6]s USING (true) WITH CHECK (true)`,
			table, tenantPolicy, db.cfg.RuntimeRole, tenantCondition, systemPolicy, db.cfg.SystemRole)); err != nil {
			return fmt.Errorf("protect %s: %w", table, err)
		}
	}
	// TRUNCATE, which row-level security does not see, is not among them.
	_, err = tx.Exec(ctx, fmt.Sprintf(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO %[2]s, %[3]s;
		REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM %[2]s, %[3]s;
		GRANT USAGE ON ALL SEQUENCES IN SCHEMA %[1]s TO %[2]s, %[3]s`, db.cfg.Schema, db.cfg.RuntimeRole, db.cfg.SystemRole))
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	return nil
}

func (db *DB) names(ctx context.Context, tx store.Queries, query string) ([]string, error) {
	rows, err := tx.Query(ctx, query, db.cfg.Schema)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// checkWalls looks at every relation of the schema and returns a [*WallError]
// where one is not as protect leaves it.
func (db *DB) checkWalls(ctx context.Context, tx store.CrossTx) error {
	rows, err := tx.Query(ctx, `SELECT c.relname, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity,
			EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped),
			coalesce((SELECT bool_or(acl.privilege_type = 'TRUNCATE') FROM aclexplode(c.relacl) acl
				JOIN pg_roles r ON r.oid = acl.grantee WHERE r.rolname IN (?, ?)), false),
			p.polname, p.polpermissive, p.polcmd::text, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
			(SELECT string_agg(r.rolname, ',') FROM pg_roles r WHERE r.oid = ANY (p.polroles)), p.polroles = '{0}'
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_policy p ON p.polrelid = c.oid
		WHERE n.nspname = ? AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname, p.polname`,
		db.cfg.RuntimeRole, db.cfg.SystemRole, db.cfg.Schema)
	if err != nil {
		return err
	}
	defer rows.Close()
	w := &walls{db: db}
	for rows.Next() {
		var r relation
		if err := rows.Scan(&r.name, &r.kind, &r.enabled, &r.forced, &r.tenant, &r.truncate,
			&r.policy, &r.permissive, &r.command, &r.using, &r.check, &r.roles, &r.public); err != nil {
			return err
		}
		w.see(r)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	w.end()
	if w.holes != nil {
		return &WallError{Holes: w.holes}
	}
	return nil
}

// relation is a relation with one of its policies, if it has any.
type relation struct {
	name, kind                        string
	enabled, forced, tenant, truncate bool
	policy, command, using, check     sql.NullString
	roles                             sql.NullString
	permissive, public                sql.NullBool
}

// walls collects the holes of relations that come in order.
type walls struct {
	db      *DB
	holes   []string
	current relation
	ours    int // the policies of current that are as they must be
}

// conditionAsStored is tenantCondition as PostgreSQL writes it.
const conditionAsStored = `(tenant = NULLIF(current_setting('app.tenant'::text, true), ''::text))`

func (w *walls) hole(format string, args ...any) {
	w.holes = append(w.holes, fmt.Sprintf(format, args...))
}

func (w *walls) see(r relation) {
	if r.name != w.current.name {
		w.end()
		w.current, w.ours = r, 0
		w.relation(r)
	}
	if !r.policy.Valid || !r.tenant {
		return
	}
	switch {
	case r.is(tenantPolicy, w.db.cfg.RuntimeRole, conditionAsStored), r.is(systemPolicy, w.db.cfg.SystemRole, "true"):
		w.ours++
	case !r.permissive.Bool: // it can only take away
	default:
		w.hole("table %s has the policy %s, which is not the platform's", r.name, r.policy.String)
	}
}

func (r relation) is(policy, role, condition string) bool {
	return r.policy.String == policy && r.permissive.Bool && r.command.String == "*" && r.roles.String == role &&
		!r.public.Bool && r.using.String == condition && r.check.String == condition
}

func (w *walls) relation(r relation) {
	switch {
	case r.kind != "r" && r.kind != "p":
		w.hole("%s is a view or a foreign table, which row-level security does not hold for", r.name)
	case !r.tenant:
	case !r.enabled:
		w.hole("table %s has no row-level security", r.name)
	case !r.forced:
		w.hole("table %s does not force row-level security on its owner", r.name)
	}
	if r.truncate {
		w.hole("table %s may be truncated, which row-level security does not see", r.name)
	}
}

func (w *walls) end() {
	if w.current.tenant && (w.current.kind == "r" || w.current.kind == "p") && w.ours != 2 {
		w.hole("table %s lacks a policy of the platform", w.current.name)
	}
	w.current = relation{}
}
