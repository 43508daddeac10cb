package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acme/platform/internal/background"
)

// provision makes the schema and the two roles where they are missing, and lets
// the roles use the schema. Many processes may do so at once, also in other
// databases of the same server, which share its roles.
func (db *DB) provision(ctx context.Context) error {
	c, err := db.pools.owner.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	text := db.provisioning()
	pause := background.Backoff{Min: 10 * time.Millisecond, Max: time.Second, Rand: db.cfg.Rand}
	for n := 1; ; n++ {
		err := raw(c, func(p *pgx.Conn) error { return script(ctx, p, text) })
		if err == nil || n == maxRuns || ctx.Err() != nil || !collided(err) {
			return explainPrivilege(err)
		}
		_ = raw(c, func(p *pgx.Conn) error { return script(ctx, p, "ROLLBACK") })
		background.Sleep(ctx, pause.Pause(n))
	}
}

// collided reports whether another session changed the same roles: the system's
// tables know no better answer to that than an error.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == codeUnique || e.Code == "42710" || e.Code == "42P06" ||
		strings.Contains(e.Message, "concurrently updated"))
}

func explainPrivilege(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == codePrivilege {
		return fmt.Errorf("the owner must be able to make the schema and the roles (CREATEROLE), or they must be there: %w", err)
	}
	return err
}

func (db *DB) provisioning() string {
	var b strings.Builder
	b.WriteString("BEGIN;\n")
	// Reading first: who may not create may still find all in place.
	fmt.Fprintf(&b, `DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '%[1]s') THEN CREATE SCHEMA %[1]s; END IF;
END $$;
`, db.cfg.Schema)
	for _, role := range []string{db.cfg.RuntimeRole, db.cfg.SystemRole} {
		fmt.Fprintf(&b, `DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s') THEN
		CREATE ROLE %[1]s NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
	END IF;
	IF NOT has_schema_privilege('%[1]s', '%[2]s', 'USAGE') THEN GRANT USAGE ON SCHEMA %[2]s TO %[1]s; END IF;
END $$;
`, role, db.cfg.Schema)
		if db.cfg.URL != "" && db.cfg.RuntimeURL == "" { // sessions of the owner take the role
			// From version 16 on who made a role is a member that may not yet
			// take it.
			fmt.Fprintf(&b, `DO $$ BEGIN
	IF current_setting('server_version_num')::int < 160000 THEN
		IF NOT pg_has_role(current_user, '%[1]s', 'MEMBER') THEN GRANT %[1]s TO CURRENT_USER; END IF;
	ELSIF NOT pg_has_role(current_user, '%[1]s', 'SET') THEN EXECUTE 'GRANT %[1]s TO CURRENT_USER WITH SET TRUE';
	END IF;
END $$;
`, role)
		}
	}
	b.WriteString("COMMIT")
	return b.String()
}

// checkRoles refuses sessions whose role row-level security does not hold for,
// or that are not in the role that the tables' policies name.
func (db *DB) checkRoles(ctx context.Context) error {
	var holes []string
	for _, s := range []struct {
		pool *sql.DB
		role string
	}{{db.pools.runtime, db.cfg.RuntimeRole}, {db.pools.system, db.cfg.SystemRole}} {
		found, err := db.checkRole(ctx, s.pool, s.role)
		if err != nil {
			return err
		}
		holes = append(holes, found...)
	}
	if holes != nil {
		return &WallError{Holes: holes}
	}
	return nil
}

// checkRole finds out what a session of the pool is. A member of a role can act
// as it, so the memberships count as well; the policies of a role hold for its
// members too.
func (db *DB) checkRole(ctx context.Context, pool *sql.DB, role string) (holes []string, err error) {
	var (
		name           string
		member         bool
		super, bypass  bool
		owned, powers  string
		other          string
		otherIsReached bool
	)
	if other = db.cfg.SystemRole; role == other {
		other = db.cfg.RuntimeRole
	}
	err = pool.QueryRowContext(ctx, `SELECT current_user, pg_has_role(current_user, $1::text, 'MEMBER'), r.rolsuper, r.rolbypassrls,
			coalesce((SELECT string_agg(c.relname, ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $2 AND c.relkind IN ('r', 'p') AND pg_has_role(r.oid, c.relowner, 'MEMBER')), ''),
			coalesce((SELECT string_agg(p.rolname, ', ') FROM pg_roles p
				WHERE p.oid <> r.oid AND (p.rolsuper OR p.rolbypassrls) AND pg_has_role(r.oid, p.oid, 'MEMBER')), ''),
			pg_has_role(current_user, $3::text, 'MEMBER')
		FROM pg_roles r WHERE r.rolname = current_user`, role, db.cfg.Schema, other).
		Scan(&name, &member, &super, &bypass, &owned, &powers, &otherIsReached)
	if err != nil {
		return nil, err
	}
	hole := func(format string, args ...any) { holes = append(holes, fmt.Sprintf(format, args...)) }
	if !member {
		hole("the session's role %s is not in %s", name, role)
	}
	if super {
		hole("role %s is a superuser", name)
	}
	if bypass {
		hole("role %s has BYPASSRLS", name)
	}
	if powers != "" {
		hole("role %s is a member of %s", name, powers)
	}
	if owned != "" {
		hole("role %s owns %s", name, owned)
	}
	if role == db.cfg.RuntimeRole && otherIsReached {
		hole("role %s is a member of %s", name, other)
	}
	return holes, nil
}
