package postgres

import (
	"cmp"
	"database/sql"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/acme/platform/internal/setting"
)

// Config configures a [DB]: by URL, or by Runtime and System.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt leave out all but these and Logger: MaxConns is the
// one to lower where many processes share the connections of a server.
type Config struct { //nolint:recvcheck // Open is taken of a literal, the others change a copy
	// URL is how the owner of the tables logs in, as
	// "postgres://user:password@host:5432/database?sslmode=verify-full".
	// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
	URL string
	// RuntimeURL and SystemURL are how the runtime and the system role log in.
	// Without them connections log in as the owner and take the role. Both or
	// none are set.
	RuntimeURL, SystemURL string

	// Runtime and System are pools of the host instead, of pgx's database/sql
	// driver (github.com/jackc/pgx/v5/stdlib), logged in as the runtime and
	// the system role; of a *bun.DB it is the DB inside, and of a *pgxpool.Pool
	// what stdlib.OpenDBFromPool returns. They stay the host's and are not closed.
	Runtime, System *sql.DB
	// Owner is the host's pool for migrations. Without it, and without URL, a
	// database that lacks a migration is refused.
	Owner *sql.DB

	// RuntimeRole and SystemRole name the roles; empty is "platform_runtime"
	// and "platform_system". They are lower-case identifiers.
	RuntimeRole, SystemRole string
	// Schema holds the tables; empty is "platform".
	Schema string

	// MaxConns bounds the connections of the runtime role, SystemConns those
	// of the system role; zero is 8 for each CPU that Go uses, and 8.
	MaxConns, SystemConns int
	// Timeout bounds a transaction whose context has no earlier deadline, so
	// that a server that is silent is an error and not a hang; zero is 30 s.
	// Migrations are not bounded by it.
	Timeout time.Duration

	// Logger takes what is refused and repeated; nil is silence.
	Logger *slog.Logger
	// Now is the clock of the tables; nil is time.Now.
	Now func() time.Time
	// Rand returns numbers evenly from [0, 1) for jitter and may be called by
	// many goroutines at once; nil is math/rand/v2.
	Rand func() float64
}

func (c *Config) setDefaults() {
	c.RuntimeRole = cmp.Or(c.RuntimeRole, "platform_runtime")
	c.SystemRole = cmp.Or(c.SystemRole, "platform_system")
	c.Schema = cmp.Or(c.Schema, "platform")
	c.MaxConns = cmp.Or(c.MaxConns, 8*runtime.GOMAXPROCS(0))
	c.SystemConns = cmp.Or(c.SystemConns, 8)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
}

// migrates reports whether there are sessions of the owner.
func (c *Config) migrates() bool { return c.URL != "" || c.Owner != nil }

// identifier is what needs no quotes in SQL.
var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (c *Config) validate() error {
	check := setting.For("postgres")
	pools := c.Runtime != nil || c.System != nil || c.Owner != nil
	check.Need(c.URL != "" || pools, "URL", "must be set, or Runtime and System")
	check.Need(c.URL == "" || !pools, "URL", "must not be set beside Runtime, System or Owner")
	check.Need(!pools || c.Runtime != nil && c.System != nil, "Runtime", "and System must both be set")
	check.Need((c.RuntimeURL == "") == (c.SystemURL == ""), "RuntimeURL", "and SystemURL must both be set or both be empty")
	check.Need(c.RuntimeURL == "" || !pools, "RuntimeURL", "must not be set beside Runtime and System")
	check.Need(identifier.MatchString(c.RuntimeRole), "RuntimeRole", "must be a lower-case identifier")
	check.Need(identifier.MatchString(c.SystemRole), "SystemRole", "must be a lower-case identifier")
	check.Need(c.RuntimeRole != c.SystemRole, "SystemRole", "must be another role than RuntimeRole")
	check.Need(identifier.MatchString(c.Schema), "Schema", "must be a lower-case identifier")
	check.Need(c.MaxConns > 0, "MaxConns", "must be positive")
	check.Need(c.SystemConns > 0, "SystemConns", "must be positive")
	check.Need(c.Timeout > 0, "Timeout", "must be positive")
	for _, u := range []struct{ name, url string }{{"URL", c.URL}, {"RuntimeURL", c.RuntimeURL}, {"SystemURL", c.SystemURL}} {
		if u.url != "" {
			_, err := pgx.ParseConfig(u.url) // whose error may show the URL with its password
			check.Need(err == nil, u.name, "is not one of PostgreSQL")
		}
	}
	return check.Err()
}
