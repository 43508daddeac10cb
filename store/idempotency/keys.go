package idempotency

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
	"github.com/acme/platform/store/retention"
)

const (
	// TTL is how long an answer is kept, and a key known.
	TTL = 24 * time.Hour
	// MaxAnswer is the most bytes of an answer, as JSON, that are kept.
	MaxAnswer = 64 << 10
	// LimitName is the name of the limit in [platform.Limits].
	LimitName = "idempotency_keys"
)

// Config configures [New]. DB must be set.
type Config struct {
	// DB is the store whose transactions have the effects.
	DB store.Relational
	// Limits bounds the keys of a tenant; nil is the defaults.
	Limits platform.LimitsFunc
	// Logger takes what happens in the background; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Keys are the idempotency keys of one store. All that have one store share its
// table. The methods are safe for concurrent use after Start.
type Keys struct {
	cfg      Config
	tryLock  bool // the store has several writers
	trim     store.Crossing
	removal  *retention.Removal
	removals background.Group
}

// New returns the keys of a store. It does no I/O.
func New(cfg Config) (*Keys, error) {
	check := setting.For("idempotency")
	check.Need(cfg.DB != nil, "DB", "must be set")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k := &Keys{
		cfg: cfg, tryLock: sqltx.OnPostgres(cfg.DB),
		trim: cfg.DB.Crossings().Grant("idempotency.trim", "removes the keys of all tenants that are a day old"),
	}
	k.removal = retention.New(retention.Config{DB: cfg.DB, Logger: cfg.Logger, Now: cfg.Now},
		retention.Task{Name: "idempotency_keys", Step: k.removeOld})
	return k, nil
}

//go:embed migrations
var migrations embed.FS

// Start makes the table and begins to remove old keys. The service that has
// the keys calls it when it starts; of all that share a store one removes.
func (k *Keys) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is embedded
		return err
	}
	if err := k.cfg.DB.Migrate(ctx, store.Migrations{Component: "idempotency", Files: files}); err != nil {
		return fmt.Errorf("idempotency: migrate: %w", err)
	}
	if err := retention.Migrate(ctx, k.cfg.DB); err != nil {
		return err
	}
	k.removals.Go(k.removal.Run) //nolint:contextcheck // it outlives the start
	return nil
}

// Stop ends the removal and waits for it.
func (k *Keys) Stop(ctx context.Context) error { return k.removals.Stop(ctx) }

// removeBatch is the most keys that one step removes.
const removeBatch = 500

func (k *Keys) removeOld(ctx context.Context) (more bool, err error) {
	var removed int64
	err = k.cfg.DB.AcrossTenants(ctx, k.trim, func(ctx context.Context, tx store.CrossTx) error {
		result, err := tx.Exec(ctx, `DELETE FROM idempotency_keys WHERE (tenant, hash) IN (
			SELECT tenant, hash FROM idempotency_keys WHERE created_at <= ? ORDER BY created_at LIMIT ?)`,
			k.forgotten(), removeBatch)
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	}, store.Reserved)
	if err != nil {
		return false, fmt.Errorf("idempotency: remove old keys: %w", err)
	}
	return removed == removeBatch, nil
}

// forgotten is the time, in µs, at and before which a key counts no more.
func (k *Keys) forgotten() int64 { return k.cfg.Now().Add(-TTL).UnixMicro() }

// Usage returns how much of its limit a tenant has used.
func (k *Keys) Usage(ctx context.Context, tenant platform.TenantID) (platform.Usage, error) {
	limits, err := k.cfg.Limits.Of(ctx, tenant)
	if err != nil {
		return platform.Usage{}, err
	}
	u := platform.Usage{Name: LimitName, Limit: limits.IdempotencyKeys}
	err = store.ReadRow(ctx, k.cfg.DB, tenant,
		`SELECT coalesce(sum(units), 0) FROM idempotency_keys WHERE tenant = ? AND created_at > ?`,
		[]any{string(tenant), k.forgotten()}, &u.Used)
	if err != nil {
		return platform.Usage{}, fmt.Errorf("idempotency: count the keys: %w", err)
	}
	return u, nil
}
