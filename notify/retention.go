package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
	"github.com/acme/platform/store/retention"
)

const (
	// leastRetention is longer than any delivery is tried.
	leastRetention = 7 * 24 * time.Hour
	// waitingRetention is how long an event is kept whose job has failed for
	// good, as long as the queue keeps that.
	waitingRetention = 30 * 24 * time.Hour

	// One step removes so many rows of a table at most, from so many messages,
	// and looks at so many tenants that have nothing to remove.
	removeRows     = 500
	removeMessages = 50
	removeLooks    = 100
)

// tasks are what is removed by age, and what is sealed again.
func (s *Service) tasks() []retention.Task {
	tasks := []retention.Task{
		{Name: "quota", Step: quota.Trimmer(s.db, s.cfg.Now)},
		{Name: "notify.waiting_events", Step: s.removeWaiting},
		{Name: "notify.secrets", Step: s.removeSecrets},
		{Name: "notify.sealing", Step: s.sealing()},
	}
	if age := s.cfg.MessageRetention; age > 0 {
		tasks = append(tasks,
			retention.Task{Name: "notify.messages", Step: s.byTenant("notify_messages", age, s.removeMessages)},
			retention.Task{Name: "notify.rule_failures", Step: s.byTenant("notify_rule_failures", age, removeFailures)})
	}
	if age := s.cfg.DeliveryRetention; age > 0 {
		tasks = append(tasks, retention.Task{Name: "notify.deliveries", Step: s.byTenant("notify_deliveries", age, removeDeliveries)})
	}
	return tasks
}

// remover removes some of a tenant's rows from before a time, in microseconds,
// and reports whether it removed any.
type remover func(ctx context.Context, tx store.Tx, before int64) (removed bool, err error)

// byTenant is a step that goes from tenant to tenant: the keys and indexes of
// the tables begin with the tenant.
func (s *Service) byTenant(table string, age time.Duration, remove remover) func(context.Context) (bool, error) {
	var at platform.TenantID // where the round has come; only one step runs at a time
	return func(ctx context.Context) (bool, error) {
		before := s.cfg.Now().Add(-age).UnixMicro()
		for range removeLooks {
			if at == "" {
				next, err := s.nextTenant(ctx, table, at)
				if err != nil || next == "" {
					return false, err
				}
				at = next
			}
			removed := false
			err := s.db.InTenant(ctx, at, func(ctx context.Context, tx store.Tx) (err error) {
				removed, err = remove(ctx, tx, before)
				return err
			})
			if err != nil {
				return false, fmt.Errorf("notify: remove from %s: %w", table, err)
			}
			if removed {
				return true, nil
			}
			next, err := s.nextTenant(ctx, table, at)
			if at = next; err != nil || next == "" {
				return false, err
			}
		}
		return true, nil
	}
}

// nextTenant returns the first tenant after t that has rows, or "".
func (s *Service) nextTenant(ctx context.Context, table string, t platform.TenantID) (next platform.TenantID, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.retention, func(ctx context.Context, tx store.CrossTx) error {
		return tx.NewSelect().Table(table).ColumnExpr("coalesce(min(tenant), '')").Where("tenant > ?", t).Scan(ctx, &next)
	}, store.ReadOnly)
	if err != nil {
		return "", fmt.Errorf("notify: next tenant of %s: %w", table, err)
	}
	return next, nil
}

// removeMessages removes old messages with their deliveries and their entries
// in inboxes, in the order in which rows are locked everywhere.
func (s *Service) removeMessages(ctx context.Context, tx store.Tx, before int64) (bool, error) {
	ids, err := identifiers(ctx, tx, `SELECT id FROM notify_messages WHERE tenant = ? AND created_at < ? ORDER BY created_at, id LIMIT ?`,
		tx.Tenant(), before, removeMessages)
	if err != nil || len(ids) == 0 {
		return false, err
	}
	deliveries, err := identifiers(ctx, tx, `SELECT id FROM notify_deliveries
WHERE tenant = ? AND message_id IN (`+marks(ids)+`) AND message_id <> '' ORDER BY id LIMIT ?`, listed(tx, ids, removeRows)...)
	if err != nil {
		return false, err
	}
	if err := dropDeliveries(ctx, tx, deliveries); err != nil || len(deliveries) == removeRows {
		return true, err
	}
	entries, err := s.dropEntries(ctx, tx, ids)
	if err != nil || entries == removeRows {
		return true, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM notify_messages WHERE tenant = ? AND id IN (`+marks(ids)+`)`, listed(tx, ids)...)
	return true, err
}

// dropEntries removes some entries of messages from inboxes, and from the
// counters of what is unread there.
func (s *Service) dropEntries(ctx context.Context, tx store.Tx, messages []string) (int, error) {
	rows, err := tx.Query(ctx, `DELETE FROM notify_inbox WHERE (tenant, user_id, created_at, message_id) IN (
SELECT tenant, user_id, created_at, message_id FROM notify_inbox WHERE tenant = ? AND message_id IN (`+marks(messages)+`) LIMIT ?)
RETURNING user_id, CASE WHEN read_at IS NULL THEN 1 ELSE 0 END`, listed(tx, messages, removeRows)...)
	n, unread := 0, make(map[string]int)
	_, err = collect(rows, err, func(rows *sql.Rows) (_ struct{}, err error) {
		var (
			user  string
			count int
		)
		err = rows.Scan(&user, &count)
		n++
		unread[user] += count
		return struct{}{}, err
	})
	if err != nil {
		return 0, err
	}
	for _, user := range slices.Sorted(maps.Keys(unread)) {
		if err := s.subtractUnread(ctx, tx, user, unread[user]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// removeDeliveries removes old deliveries to endpoints, those of messages too.
func removeDeliveries(ctx context.Context, tx store.Tx, before int64) (bool, error) {
	endpoint := ""
	for {
		err := tx.QueryRow(ctx, `SELECT recipient FROM notify_deliveries
WHERE tenant = ? AND channel = 'webhook' AND recipient > ? ORDER BY recipient LIMIT 1`, tx.Tenant(), endpoint).Scan(&endpoint)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		ids, err := identifiers(ctx, tx, `SELECT id FROM notify_deliveries
WHERE tenant = ? AND channel = 'webhook' AND recipient = ? AND created_at < ? ORDER BY created_at, id LIMIT ?`,
			tx.Tenant(), endpoint, before, removeRows)
		if err != nil {
			return false, err
		}
		if len(ids) > 0 {
			return true, dropDeliveries(ctx, tx, ids)
		}
	}
}

// dropDeliveries removes deliveries with their attempts.
func dropDeliveries(ctx context.Context, tx store.Tx, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM notify_attempts WHERE tenant = ? AND delivery_id IN (`+marks(ids)+`)`, listed(tx, ids)...)
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM notify_secret_texts WHERE tenant = ? AND delivery_id IN (`+marks(ids)+`)`, listed(tx, ids)...)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `DELETE FROM notify_deliveries WHERE tenant = ? AND id IN (`+marks(ids)+`)`, listed(tx, ids)...)
	}
	return err
}

func removeFailures(ctx context.Context, tx store.Tx, before int64) (bool, error) {
	_, err := tx.Exec(ctx, `DELETE FROM notify_rule_failures WHERE tenant = ? AND failed_at < ?`, tx.Tenant(), before)
	return false, err
}

// removeWaiting removes events whose jobs have failed for good. Hardly ever is
// there any.
func (s *Service) removeWaiting(ctx context.Context) (bool, error) {
	n := 0
	err := s.db.AcrossTenants(ctx, s.cross.retention, func(ctx context.Context, tx store.CrossTx) (err error) {
		n, err = affected(tx.Exec(ctx, `DELETE FROM notify_waiting_events WHERE (tenant, id) IN (
SELECT tenant, id FROM notify_waiting_events WHERE created_at < ? LIMIT ?)`, s.cfg.Now().Add(-waitingRetention).UnixMicro(), removeRows))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("notify: remove waiting events: %w", err)
	}
	return n == removeRows, nil
}

// identifiers returns a column of ids.
func identifiers(ctx context.Context, tx store.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	return collect(rows, err, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
}

// marks are the parameters of a list, and listed the arguments of a statement
// whose first parameter is the tenant, followed by a list.
func marks(ids []string) string { return "?" + strings.Repeat(", ?", len(ids)-1) }

func listed(tx store.Tx, ids []string, more ...any) []any {
	args := make([]any, 0, 1+len(ids)+len(more))
	args = append(args, tx.Tenant())
	for _, id := range ids {
		args = append(args, id)
	}
	return append(args, more...)
}
