package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// An event that the consumer has no more time for waits in a table, and a job
// names it: its data may be larger than a job.
const (
	jobEvent      = "notify.event"
	eventAttempts = 20
)

func (s *Service) putOff(ctx context.Context, tx store.Tx, e platform.Event) error {
	raw, err := json.Marshal(e) //nolint:musttag // only runEvent reads it
	if err != nil {
		return err
	}
	id := s.cfg.NewID("wev")
	_, err = tx.Exec(ctx, `INSERT INTO notify_waiting_events (tenant, id, created_at, body) VALUES (?, ?, ?, ?)`,
		tx.Tenant(), id, s.stamp(), string(raw))
	if err == nil {
		_, err = s.cfg.Queue.Enqueue(ctx, tx, queue.Job{Kind: jobEvent, Payload: jobPayload(id)})
	}
	return err
}

// runEvent does for a waiting event what the consumer would have done, once.
func (s *Service) runEvent(ctx context.Context, job queue.Job) error {
	id, err := jobID(job)
	if err != nil {
		return err
	}
	var raw string
	err = store.ReadRow(ctx, s.db, job.Tenant, `SELECT body FROM notify_waiting_events WHERE tenant = ? AND id = ?`,
		[]any{job.Tenant, id}, &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("notify: read a waiting event: %w", err)
	}
	var e platform.Event
	if err := json.Unmarshal([]byte(raw), &e); err != nil { //nolint:musttag // putOff wrote it
		return queue.Discard(fmt.Errorf("notify: waiting event %s: %w", id, err))
	}
	current, err := s.rulesets.of(ctx, []platform.TenantID{job.Tenant})
	if err != nil {
		return err
	}
	p := &pass{tenant: job.Tenant, rules: current[job.Tenant], job: true}
	if err := s.readLimits(ctx, p); err != nil {
		return err
	}
	f, err := s.effect(ctx, p, &e, p.rules.match(&e))
	if err != nil {
		return err
	}
	return s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := queue.Finish(ctx, tx, job); err != nil {
			return err
		}
		n, err := affected(tx.Exec(ctx, `DELETE FROM notify_waiting_events WHERE tenant = ? AND id = ?`, job.Tenant, id))
		if err != nil || n == 0 || f == nil {
			return err
		}
		return s.writeEffects(ctx, tx, p, []*effect{f})
	})
}
