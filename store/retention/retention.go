// Package retention removes what has been kept for long enough: in small steps,
// so that writers wait for milliseconds, and by one replica at a time.
//
//	removal := retention.New(retention.Config{DB: db, Logger: log}, retention.Task{
//		Name: "notify.messages",
//		Step: func(ctx context.Context) (bool, error) { return removeSomeMessages(ctx, before) },
//	})
//	…
//	go removal.Run(ctx)
//
// A lease in the store, one row for each task, keeps replicas apart. A replica
// that dies in the middle of a task leaves it to the others when its lease ends.
package retention

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
	"github.com/acme/platform/store"
)

//go:embed migrations
var migrations embed.FS

// Config configures a [Removal]. DB must be set.
type Config struct {
	// DB holds the leases.
	DB store.Relational
	// Logger takes tasks that fail; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Task is one thing that is removed by age.
type Task struct {
	// Name is unique in the store, such as "notify.messages".
	Name string
	// Every is the pause between two rounds of all replicas together; zero is
	// an hour.
	Every time.Duration
	// Step removes a batch in one short transaction of its own and reports
	// whether there may be more. It is called again until there is not. A
	// step that fails ends the round. With [store.Reserved] it removes on a full
	// disk, too.
	Step func(ctx context.Context) (more bool, err error)
}

const (
	// lease is for how long a replica may be silent before another one takes
	// its task over.
	lease = 2 * time.Minute
	// stepPause lets writers have their turns between two steps.
	stepPause = 20 * time.Millisecond
	// retry is the longest pause after a failure, and the shortest one before
	// a replica looks again whether a task is due that is rare.
	retry = time.Minute
)

// Migrate makes the table of the leases. It is called before [Removal.Run], by every
// service that has tasks; many may call it at once.
func Migrate(ctx context.Context, db store.TenantDB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is embedded
		return err
	}
	if err := db.Migrate(ctx, store.Migrations{Component: "retention", Files: files}); err != nil {
		return fmt.Errorf("retention: migrate: %w", err)
	}
	return nil
}

// Removal is a set of tasks. It is made by [New].
type Removal struct {
	cfg   Config
	cross store.Crossing
	tasks []Task
}

// New returns a removal; it begins with [Removal.Run].
func New(cfg Config, tasks ...Task) *Removal {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Removal{
		cfg: cfg, tasks: tasks,
		cross: cfg.DB.Crossings().Grant("retention.lease", "has one replica remove what is old, for all tenants"),
	}
}

// Run carries out the tasks, each in rounds, until ctx is done and every step
// has ended. The first rounds begin at once. It is called once.
func (m *Removal) Run(ctx context.Context) {
	owner := platform.NewID("ret")
	var wg sync.WaitGroup
	for _, t := range m.tasks {
		if t.Every == 0 {
			t.Every = time.Hour
		}
		r := &runner{Config: m.cfg, cross: m.cross, task: t, owner: owner}
		wg.Go(func() { r.run(ctx) })
	}
	wg.Wait()
}

// runner carries out one task.
type runner struct {
	Config
	cross store.Crossing
	task  Task
	owner string
	until time.Time // the end of the lease, or when the task is due
}

func (r *runner) run(ctx context.Context) {
	failing := delivery.Trouble{Log: r.Logger, What: "removing what is old fails: " + r.task.Name}
	for ctx.Err() == nil {
		pause := min(r.task.Every, retry)
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			failing.Begin(ctx, err)
		} else {
			failing.End(ctx)
			// Until then it is not due, or another replica is at it.
			pause = max(pause, min(r.until.Sub(r.Now()), r.task.Every))
		}
		background.Sleep(ctx, pause)
	}
}

// round takes the lease if the task is due, and steps until there is no more.
func (r *runner) round(ctx context.Context) error {
	held, err := r.take(ctx)
	if err != nil || !held {
		return err
	}
	for more := true; more; {
		if more, err = r.task.Step(ctx); err != nil {
			// The next round, of whichever replica, tries again.
			return errors.Join(err, r.release(ctx, min(r.task.Every, retry)))
		}
		if !more {
			break
		}
		background.Sleep(ctx, stepPause)
		if ctx.Err() != nil {
			return r.release(ctx, 0)
		}
		if r.until.Sub(r.Now()) < lease/2 {
			if held, err = r.renew(ctx); err != nil || !held {
				return err
			}
		}
	}
	return r.release(ctx, r.task.Every)
}

// take takes the lease and reports whether the task is due and no other
// replica has it.
func (r *runner) take(ctx context.Context) (held bool, err error) {
	now := r.Now()
	// Most looks are in vain; those do not wait for the writer.
	var until int64
	err = r.DB.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		err := tx.QueryRow(ctx, `SELECT until FROM retention_leases WHERE task = ?`, r.task.Name).Scan(&until)
		if errors.Is(err, sql.ErrNoRows) {
			until, err = 0, nil
		}
		return err
	}, store.ReadOnly)
	if err != nil || until > now.UnixMicro() {
		r.until = time.UnixMicro(until)
		return false, wrap("look for the lease", err)
	}
	return r.change(ctx, "take the lease", now.Add(lease), `INSERT INTO retention_leases (task, owner, until) VALUES (?, ?, ?)
		ON CONFLICT (task) DO UPDATE SET owner = excluded.owner, until = excluded.until WHERE retention_leases.until <= ?`,
		r.task.Name, r.owner, now.Add(lease).UnixMicro(), now.UnixMicro())
}

// renew extends the lease and reports whether it was still held.
func (r *runner) renew(ctx context.Context) (bool, error) {
	until := r.Now().Add(lease)
	return r.change(ctx, "renew the lease", until, `UPDATE retention_leases SET until = ? WHERE task = ? AND owner = ?`,
		until.UnixMicro(), r.task.Name, r.owner)
}

// releaseTime bounds the last write of a round, which is made although its
// context may be done.
const releaseTime = 5 * time.Second

// release gives the lease up; the task is due again after the pause.
func (r *runner) release(ctx context.Context, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	due := r.Now().Add(pause)
	_, err := r.change(ctx, "release the lease", due, `UPDATE retention_leases SET until = ?, owner = '' WHERE task = ? AND owner = ?`,
		due.UnixMicro(), r.task.Name, r.owner)
	return err
}

// change runs one statement on the lease's row and reports whether it met it.
func (r *runner) change(ctx context.Context, what string, until time.Time, query string, args ...any) (met bool, err error) {
	err = r.DB.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		result, err := tx.Exec(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		met = n == 1
		return err
	}, store.Reserved)
	if met {
		r.until = until
	}
	return met && err == nil, wrap(what, err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("retention: %s: %w", what, err)
}
