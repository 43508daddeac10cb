package user

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/retention"
)

// AuditRetention is for how long the audit keeps records. The zero value keeps
// them for ever. What is removed is the beginning of a chain: the rest still
// verifies, from there, and "audit.trimmed" tells of it.
type AuditRetention struct {
	// Default holds for the installation's own audit and for organizations that
	// have chosen nothing: at least a day; zero is for ever.
	Default time.Duration
	// Shortest and Longest bound what an organization may choose, in days: at
	// least a day each. Both zero: it may not choose.
	Shortest, Longest time.Duration
}

func (r AuditRetention) validate(check *setting.Check) {
	check.Need(r.Default == 0 || r.Default >= day, "AuditRetention.Default", "must be at least 24h, or zero, which keeps records for ever")
	check.Need(r.Shortest == 0 && r.Longest == 0 || r.Shortest >= day && r.Longest >= r.Shortest, "AuditRetention.Longest",
		"must be at least Shortest, and that at least 24h, or both zero, with which organizations choose nothing")
}

// of is for how long an organization's records are kept that has chosen so many
// days, or none; zero is for ever.
func (r AuditRetention) of(chosen int64) time.Duration {
	if chosen == 0 || r.Longest == 0 {
		return r.Default
	}
	return min(max(time.Duration(chosen)*day, r.Shortest), r.Longest)
}

// least is the shortest time that any records are kept; zero is for ever.
func (r AuditRetention) least() time.Duration {
	if r.Default == 0 || r.Shortest != 0 && r.Shortest < r.Default {
		return r.Shortest
	}
	return r.Default
}

// AuditKeeping is for how long an organization's records are kept, in days.
type AuditKeeping struct {
	// Days is what holds; 0 is for ever.
	Days int
	// Chosen is what the organization has chosen, 0 where that is nothing.
	Chosen int
	// Shortest and Longest bound what it may choose; both 0: nothing.
	Shortest, Longest int
}

func (s *Service) keeping(chosen int64) AuditKeeping {
	r := s.cfg.AuditRetention
	days := func(d time.Duration) int { return int(d / day) }
	return AuditKeeping{Days: days(r.of(chosen)), Chosen: int(chosen), Shortest: days(r.Shortest), Longest: days(r.Longest)}
}

// AuditKeeping returns for how long the organization's records are kept. The
// principal needs "user.audit.read".
func (s *Service) AuditKeeping(ctx context.Context, p platform.Principal) (AuditKeeping, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return AuditKeeping{}, err
	}
	var chosen int64
	err := store.ReadRow(ctx, s.db, p.Tenant, `SELECT keep_days FROM user_audit_heads WHERE tenant = ?`, []any{string(p.Tenant)}, &chosen)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return s.keeping(chosen), err
}

// KeepAudit chooses for how many days the organization's records are kept, within
// the bounds of Config.AuditRetention; 0 leaves it to the host. The principal
// needs "user.audit.write".
func (s *Service) KeepAudit(ctx context.Context, p platform.Principal, days int) (AuditKeeping, error) {
	if err := s.Authorize(ctx, p, permAuditWrite); err != nil {
		return AuditKeeping{}, err
	}
	bounds := s.keeping(0)
	if days != 0 && (days < bounds.Shortest || days > bounds.Longest) {
		detail := "0: organizations do not choose here"
		if bounds.Longest != 0 {
			detail = fmt.Sprintf("from %d to %d days, or 0 for the host's choice", bounds.Shortest, bounds.Longest)
		}
		return AuditKeeping{}, field("/days", "range", detail)
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "audit.retention_changed", "", map[string]string{"days": strconv.Itoa(days)}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE user_audit_heads SET keep_days = ? WHERE tenant = ?`, days, string(p.Tenant))
		return err
	}, store.Reserved)
	return s.keeping(int64(days)), err
}

const (
	// trimSlack is how much older than it must be the oldest record may get: a
	// removal leaves a record, and is not to be made for each record.
	trimSlack = day
	// trimReach is how many records one removal takes off a chain, and trimBatch
	// how many of them are deleted in one transaction.
	trimReach = 10_000
	trimBatch = 500
)

// auditTrim removes old records, of one chain after the other. One process at a
// time does so.
type auditTrim struct {
	*Service
	at string // the chain that was looked at last
}

// backgroundTasks is the work that one process at a time does.
func (s *Service) backgroundTasks() *retention.Removal {
	t := &auditTrim{Service: s}
	return retention.New(retention.Config{DB: s.db, Logger: s.log, Now: s.now}, retention.Task{Name: "user.audit", Step: t.step}, s.sealingTask())
}

// step takes a short step with one chain, and reports whether there may be more.
func (t *auditTrim) step(ctx context.Context) (more bool, err error) {
	err = t.db.AcrossTenants(ctx, t.cross.audit, func(ctx context.Context, tx store.CrossTx) error {
		tenant, err := t.next(ctx, tx)
		if err != nil || tenant == "" {
			t.at, more = "", false
			return err
		}
		more = true
		again, err := t.trim(ctx, tx, platform.TenantID(tenant))
		if !again {
			t.at = tenant
		}
		return err
	}, store.Reserved)
	if err != nil {
		return false, fmt.Errorf("user: audit retention: %w", err)
	}
	return more, nil
}

// next is the next chain that may have something to remove, "" after the last.
func (t *auditTrim) next(ctx context.Context, tx store.Queries) (tenant string, err error) {
	least := t.cfg.AuditRetention.least()
	if least == 0 {
		return "", nil
	}
	err = tx.QueryRow(ctx, `SELECT h.tenant FROM user_audit_heads h WHERE h.tenant > ? AND EXISTS
			(SELECT 1 FROM user_audit a WHERE a.tenant = h.tenant AND a.time < ?)
		ORDER BY h.tenant LIMIT 1`, t.at, micros(t.now().Add(-least-trimSlack))).Scan(&tenant)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return tenant, err
}

// trim deletes a batch of the records before the floor of a chain or, where there
// are none, raises the floor to the last record that is too old and comes before
// all that are not. It reports whether there is more to do with the chain.
func (t *auditTrim) trim(ctx context.Context, tx store.Queries, tenant platform.TenantID) (again bool, err error) {
	var floor, chosen int64
	if err := tx.QueryRow(ctx, `UPDATE user_audit_heads SET sequence = sequence WHERE tenant = ? RETURNING floor_sequence, keep_days`, string(tenant)).
		Scan(&floor, &chosen); err != nil {
		return false, err
	}
	if deleted, err := deleteRecords(ctx, tx, tenant, floor); err != nil || deleted {
		return true, err
	}
	keep := t.cfg.AuditRetention.of(chosen)
	if keep == 0 {
		return false, nil
	}
	before := micros(t.now().Add(-keep))
	if oldest, err := oldestRecord(ctx, tx, tenant); err != nil || oldest >= before-int64(trimSlack/time.Microsecond) {
		return false, err
	}
	old, err := queryAll(ctx, tx, func(row scanner) (r oldRecord, err error) { return r, row.Scan(&r.sequence, &r.time, &r.hash) },
		`SELECT sequence, time, hash FROM user_audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
		string(tenant), floor, trimReach)
	if err != nil {
		return false, err
	}
	n := 0
	for n < len(old) && old[n].time < before {
		n++
	}
	if n == 0 {
		return false, nil
	}
	last := old[n-1]
	if err := t.record(ctx, tx, tenant, auditActor{kind: platform.PrincipalSystem}, actionTrimmed, "", map[string]string{
		"through": strconv.FormatInt(last.sequence, 10), "hash": hex.EncodeToString(last.hash),
	}); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE user_audit_heads SET floor_sequence = ?, floor_hash = ? WHERE tenant = ?`, last.sequence, last.hash, string(tenant))
	return true, err
}

// oldRecord is what a removal knows of a record.
type oldRecord struct {
	sequence, time int64
	hash           []byte
}

// oldestRecord is when the first record of a chain is of.
func oldestRecord(ctx context.Context, tx store.Queries, tenant platform.TenantID) (at int64, err error) {
	err = tx.QueryRow(ctx, `SELECT time FROM user_audit WHERE tenant = ? ORDER BY sequence LIMIT 1`, string(tenant)).Scan(&at)
	return at, err
}

// deleteRecords deletes the oldest records up to the floor, and reports whether
// there was one.
func deleteRecords(ctx context.Context, tx store.Queries, tenant platform.TenantID, floor int64) (bool, error) {
	var last int64
	err := tx.QueryRow(ctx, `SELECT coalesce(max(sequence), 0) FROM (SELECT sequence FROM user_audit WHERE tenant = ? AND sequence <= ?
		ORDER BY sequence LIMIT ?) AS oldest`, string(tenant), floor, trimBatch).Scan(&last)
	if err != nil || last == 0 {
		return false, err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM user_audit_people WHERE organization = ? AND sequence <= ?`, string(tenant), last); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `DELETE FROM user_audit WHERE tenant = ? AND sequence <= ?`, string(tenant), last)
	return true, err
}
