package sqldocs

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// Config says where the documents are kept.
type Config struct {
	// DB holds the tables. It is required and stays the caller's.
	DB store.Relational
	// Now is the clock of the documents' times; nil means time.Now.
	Now func() time.Time
}

// Documents implements [store.Documents]. It is made by [New]; its methods may
// be called by many goroutines at once, after [Documents.Start].
type Documents struct {
	db      store.Relational
	now     func() time.Time
	dialect *dialect
	cache   cache
}

var (
	_ store.RelationalDocuments = (*Documents)(nil)
	_ platform.Module           = (*Documents)(nil)
	_ platform.Starter          = (*Documents)(nil)
)

// New returns the documents of a relational store. It does not touch the
// store.
func New(cfg Config) (*Documents, error) {
	check := setting.For("sqldocs")
	check.Need(cfg.DB != nil, "DB", "must be set")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Documents{db: cfg.DB, now: cfg.Now, dialect: &onSQLite}
	if sqltx.OnPostgres(cfg.DB) {
		d.dialect = &onPostgres
	}
	return d, nil
}

// Name implements [platform.Module].
func (d *Documents) Name() string { return "documents" }

// Relational implements [store.RelationalDocuments].
func (d *Documents) Relational() store.Relational { return d.db }

// Needs implements [platform.Dependent].
func (d *Documents) Needs() []any { return []any{d.db} }

//go:embed migrations
var migrations embed.FS

// Start brings the tables to their newest form.
func (d *Documents) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("sqldocs: %w", err)
	}
	if err := d.db.Migrate(ctx, store.Migrations{Component: "documents", Files: files}); err != nil {
		return fmt.Errorf("sqldocs: %w", err)
	}
	return nil
}

// micros is the time that is stored.
func (d *Documents) micros() int64 { return d.now().UnixMicro() }

func fromMicros(t int64) time.Time { return time.UnixMicro(t).UTC() }
