package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer]. Of the URL it shows the server and the
// database.
func (db *DB) Explain() string {
	roles := fmt.Sprintf("schema %s, roles %s and %s, transactions of up to %s",
		db.cfg.Schema, db.cfg.RuntimeRole, db.cfg.SystemRole, explain.Duration(db.cfg.Timeout))
	if db.cfg.URL == "" {
		return "pools of the host, " + roles
	}
	where := "a server"
	if c, err := pgx.ParseConfig(db.cfg.URL); err == nil {
		where = fmt.Sprintf("%s:%d/%s", c.Host, c.Port, c.Database)
	}
	return fmt.Sprintf("%s, %s, up to %d and %d connections", where, roles, db.cfg.MaxConns, db.cfg.SystemConns)
}
