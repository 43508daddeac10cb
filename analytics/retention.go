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

	// One step removes so many events at most, and looks at so many names of
	// events that have nothing to remove.
	removeEvents = 500
	removeLooks  = 100
	removeEvery  = 6 * time.Hour
)

// tasks are what is removed by age.
func (s *Service) tasks() []retention.Task {
	tasks := []retention.Task{
		{Name: "quota", Step: func(ctx context.Context) (bool, error) { return quota.Trim(ctx, s.db, s.now()) }},
	}
	if s.retention > 0 {
		tasks = append(tasks, retention.Task{Name: "analytics.events", Every: removeEvery, Step: s.removeOld()})
	}
	return tasks
}

// eventName is a name of a tenant's events; the empty one comes before all.
type eventName struct {
	tenant platform.TenantID
	name   string
}

// removeOld is a step that goes from name to name of all tenants: the index that
// finds old events begins with both.
func (s *Service) removeOld() func(context.Context) (bool, error) {
	var at eventName // where the round has come; only one step runs at a time
	return func(ctx context.Context) (bool, error) {
		before := s.now().Add(-s.retention).UnixMicro()
		for range removeLooks {
			if at == (eventName{}) {
				var err error
				if at, err = s.nextName(ctx, at); err != nil || at == (eventName{}) {
					return false, err
				}
			}
			removed, err := s.removeBefore(ctx, at, before)
			if err != nil || removed == removeEvents {
				return err == nil, err
			}
			next, err := s.nextName(ctx, at)
			if err != nil {
				return false, err
			}
			if at = next; at == (eventName{}) {
				return false, nil
			}
			if removed > 0 { // enough for one turn
				return true, nil
			}
		}
		return true, nil
	}
}

// nextName returns the first name after one, or the empty one.
func (s *Service) nextName(ctx context.Context, at eventName) (next eventName, err error) {
	err = s.db.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
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

// removeBefore removes some events of one name that happened before a time, and
// returns how many.
func (s *Service) removeBefore(ctx context.Context, of eventName, before int64) (removed int64, err error) {
	err = s.db.InTenant(ctx, of.tenant, func(ctx context.Context, tx store.Tx) error {
		result, err := tx.Exec(ctx, `DELETE FROM analytics_events WHERE tenant = ? AND id IN (
			SELECT id FROM analytics_events WHERE tenant = ? AND name = ? AND time < ? ORDER BY time LIMIT ?)`,
			string(of.tenant), string(of.tenant), of.name, before, removeEvents)
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	}, store.Reserved)
	if err != nil {
		return 0, fmt.Errorf("analytics: remove old events: %w", err)
	}
	return removed, nil
}
