package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
	"github.com/acme/platform/store/retention"
)

const (
	defaultRetention = 400 * 24 * time.Hour
	leastRetention   = 24 * time.Hour

	// One step looks at so many events at most, and at so many names of events
	// that have none to look at.
	lookEvents = 500
	lookNames  = 100
	lookEvery  = 6 * time.Hour
)

// tasks are what is removed by age.
func (s *Service) tasks() []retention.Task {
	tasks := []retention.Task{
		{Name: "quota", Step: quota.Trimmer(s.db, s.now)},
	}
	if s.retention > 0 {
		tasks = append(tasks, retention.Task{Name: "analytics.events", Every: lookEvery, Step: s.removeOld()})
	}
	return tasks
}

// eventName is a name of a tenant's events; the empty one comes before all.
type eventName struct {
	tenant platform.TenantID
	name   string
}

// position is an event in the order of its name's index; the zero value is before
// all of them.
type position struct {
	time     int64
	user, id string
}

// removeOld is a step that goes through the events of all tenants that happened
// long ago, name by name, and removes those that came in long ago as well: what a
// tenant imports of its history is kept as long as anything else.
func (s *Service) removeOld() func(context.Context) (bool, error) {
	var ( // where the round has come; only one step runs at a time
		name eventName
		at   position
	)
	return func(ctx context.Context) (bool, error) {
		before := s.now().Add(-s.retention)
		for range lookNames {
			if name == (eventName{}) {
				var err error
				if name, err = s.nextName(ctx, name); err != nil || name == (eventName{}) {
					return false, err
				}
			}
			last, looked, err := s.removeSome(ctx, name, at, before)
			if err != nil {
				return false, err
			}
			if at = last; looked == lookEvents {
				return true, nil
			}
			at = position{}
			if name, err = s.nextName(ctx, name); err != nil || name == (eventName{}) {
				return false, err
			}
			if looked > 0 { // enough for one turn
				return true, nil
			}
		}
		return true, nil
	}
}

// nextName returns the first name after one, or the empty one.
func (s *Service) nextName(ctx context.Context, at eventName) (next eventName, err error) {
	err = s.db.AcrossTenants(ctx, s.cross, func(ctx context.Context, tx store.CrossTx) error {
		err := tx.QueryRow(ctx, `SELECT tenant, name FROM analytics_events WHERE (tenant, name) > (?, ?)
			ORDER BY tenant, name LIMIT 1`, string(at.tenant), at.name).Scan(&next.tenant, &next.name)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly)
	if err != nil {
		return eventName{}, fmt.Errorf("analytics: next name of events: %w", err)
	}
	return next, nil
}

// removeSome looks at the next events of one name, removes those that came in
// before a time, and returns the last one and how many it looked at.
func (s *Service) removeSome(ctx context.Context, of eventName, at position, before time.Time) (last position, looked int, err error) {
	var old int
	err = s.db.InTenant(ctx, of.tenant, func(ctx context.Context, tx store.Tx) error {
		last, looked, old, err = lookAt(ctx, tx, of, at, before)
		return err
	}, store.ReadOnly)
	if err != nil {
		return at, 0, fmt.Errorf("analytics: look for old events: %w", err)
	}
	if old == 0 {
		return last, looked, nil
	}
	err = s.db.InTenant(ctx, of.tenant, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM analytics_events WHERE tenant = ? AND name = ?
			AND (time, user_id, id) > (?, ?, ?) AND (time, user_id, id) <= (?, ?, ?) AND received_at < ?`,
			string(of.tenant), of.name, at.time, at.user, at.id, last.time, last.user, last.id, before.UnixMicro())
		return err
	}, store.Reserved)
	if err != nil {
		return at, 0, fmt.Errorf("analytics: remove old events: %w", err)
	}
	return last, looked, nil
}

// lookAt reads the next events of one name that may be old. An event happens at
// most maxAhead after it came in.
func lookAt(ctx context.Context, tx store.Tx, of eventName, at position, before time.Time) (last position, looked, old int, err error) {
	last = at
	rows, err := tx.Query(ctx, `SELECT time, user_id, id, received_at FROM analytics_events
		WHERE tenant = ? AND name = ? AND time < ? AND (time, user_id, id) > (?, ?, ?) ORDER BY time, user_id, id LIMIT ?`,
		string(of.tenant), of.name, before.Add(maxAhead).UnixMicro(), at.time, at.user, at.id, lookEvents)
	if err != nil {
		return at, 0, 0, err
	}
	defer func() { _ = rows.Close() }() // a broken read is in rows.Err
	for rows.Next() {
		var received int64
		if err := rows.Scan(&last.time, &last.user, &last.id, &received); err != nil {
			return at, 0, 0, err
		}
		looked++
		if received < before.UnixMicro() {
			old++
		}
	}
	return last, looked, old, rows.Err()
}
