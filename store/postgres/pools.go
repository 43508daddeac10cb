package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
)

// pools are the connections by what they may do. Owner is nil where nobody may
// migrate.
type pools struct {
	runtime, system, owner *sql.DB
	// ours are to be closed.
	ours []*sql.DB
}

func (cfg *Config) connect() (*pools, error) {
	if cfg.URL == "" {
		return &pools{runtime: cfg.Runtime, system: cfg.System, owner: cfg.Owner}, nil
	}
	p := &pools{}
	for _, role := range []struct {
		pool      **sql.DB
		url, role string
		conns     int
	}{
		// The owner only migrates: a lock and a transaction at a time.
		{&p.owner, cfg.URL, "", 2},
		{&p.runtime, cfg.RuntimeURL, cfg.RuntimeRole, cfg.MaxConns},
		{&p.system, cfg.SystemURL, cfg.SystemRole, cfg.SystemConns},
	} {
		url, take := role.url, ""
		if url == "" {
			url, take = cfg.URL, role.role
		}
		db, err := cfg.open(url, take, role.conns)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		*role.pool = db
		p.ours = append(p.ours, db)
	}
	return p, nil
}

// Connections are kept for a while and renewed now and then, so that they
// follow a server that moved.
const (
	connIdle = 5 * time.Minute
	connLife = time.Hour
)

// open makes a pool whose sessions are in the schema and have the role, if one
// is named.
func (cfg *Config) open(url, role string, conns int) (*sql.DB, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		// The parser's error may show the URL with its password.
		return nil, fmt.Errorf("the URL is not one of PostgreSQL")
	}
	// This is for batches; see mode for the rest.
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	c.ConnectTimeout = 10 * time.Second
	if role != "" {
		c.RuntimeParams["role"] = role
	}
	c.RuntimeParams["search_path"] = cfg.Schema
	c.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(2*cfg.Timeout.Milliseconds(), 10)
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "platform"
	}
	// The end of a context asks the server to stop, and keeps the connection
	// where it does so soon.
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(connIdle)
	db.SetConnMaxLifetime(connLife)
	return db, nil
}

func (p *pools) close() error {
	var errs []error
	for _, db := range p.ours {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// raw calls f with pgx's connection under c.
func raw(c *sql.Conn, f func(*pgx.Conn) error) error {
	return c.Raw(func(dc any) error {
		std, ok := dc.(interface{ Conn() *pgx.Conn })
		if !ok {
			return fmt.Errorf("postgres: the pool's driver is %T and not pgx's", dc)
		}
		return f(std.Conn())
	})
}

// script runs statements without parameters in one round trip.
func script(ctx context.Context, c *pgx.Conn, text string) error {
	return c.PgConn().Exec(ctx, text).Close()
}
