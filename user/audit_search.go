package user

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// AuditFilter chooses records; an empty part chooses all.
type AuditFilter struct {
	// Action is a whole action, "login.failed", or the beginning of some with a
	// star, "session.*".
	Action string
	// Actor and Target are ids.
	Actor, Target string
	// Outcome is "ok", "failed" or "refused".
	Outcome string
	// From is the first moment, To the first one after the last.
	From, To time.Time
	// OldestFirst turns the order of a search around; the newest come first
	// without it.
	OldestFirst bool
}

// auditScan is how many records one search looks at, at most: then it returns
// what it has found, with a cursor.
const auditScan = 10_000

// Audit returns up to limit records of the organization, and the cursor for more.
// Records are in the order of their times. A search that looks for few among very
// many returns fewer than there are, or none, with a cursor: the rest comes with
// the next call. The principal needs "user.audit.read".
func (s *Service) Audit(ctx context.Context, p platform.Principal, f AuditFilter, limit int, cursor string) ([]AuditRecord, string, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return nil, "", err
	}
	return s.searchAudit(ctx, p.Tenant, f, limit, cursor)
}

// OperatorAudit is [Service.Audit] for the installation's own chain: what
// operators and the host did, and what people did who are in no organization. The
// principal must be an operator or the system.
func (s *Service) OperatorAudit(ctx context.Context, p platform.Principal, f AuditFilter, limit int, cursor string) ([]AuditRecord, string, error) {
	if err := operates(p); err != nil {
		return nil, "", err
	}
	return s.searchAudit(ctx, platform.NoTenant, f, limit, cursor)
}

func (s *Service) searchAudit(ctx context.Context, tenant platform.TenantID, f AuditFilter, limit int, cursor string) ([]AuditRecord, string, error) {
	if err := f.check(); err != nil {
		return nil, "", err
	}
	list := "audit.list:" + digest(string(canonical(f)))
	at, err := auditPlace(list, cursor, f.OldestFirst)
	if err != nil {
		return nil, "", err
	}
	limit = pageLimit(limit)
	var (
		rows []auditRow
		last *auditPosition // where the search gave up
	)
	err = s.readAudit(ctx, tenant, func(ctx context.Context, tx store.Queries) error {
		query, args := f.query(tenant, at, s.auditScan, limit+1)
		var err error
		if rows, err = queryAll(ctx, tx, scanAudit, query, args...); err != nil || len(rows) > limit {
			return err
		}
		last, err = f.scanned(ctx, tx, tenant, at, s.auditScan)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(list, rows, limit, func(r auditRow) []string { return auditPosition{micros(r.Time), r.Sequence}.key() })
	if next == "" && last != nil {
		next = page.Cursor(list, last.key()...)
	}
	records, err := filledAll(rows)
	return records, next, err
}

// readAudit runs fn in a transaction that reads a tenant's chain, or the
// installation's.
func (s *Service) readAudit(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Queries) error) error {
	if tenant == platform.NoTenant {
		return s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) error { return fn(ctx, tx) }, store.ReadOnly)
	}
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error { return fn(ctx, tx) }, store.ReadOnly)
}

func (f AuditFilter) check() error {
	switch f.Outcome {
	case "", outcomeOK, outcomeFailed, outcomeRefused:
	default:
		return field("query.outcome", "unknown", "ok, failed or refused")
	}
	if noun, star := strings.CutSuffix(f.Action, ".*"); strings.Contains(noun, "*") || star && noun == "" {
		return field("query.action", "format", "an action such as login.failed, or a noun with a star such as session.*")
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return field("query.to", "order", "a time after from")
	}
	return nil
}

// auditPosition is a place in the order of a search.
type auditPosition struct{ time, sequence int64 }

func (p auditPosition) key() []string {
	return []string{strconv.FormatInt(p.time, 10), strconv.FormatInt(p.sequence, 10)}
}

func auditPlace(list, cursor string, oldestFirst bool) (auditPosition, error) {
	at := auditPosition{math.MaxInt64, math.MaxInt64}
	if oldestFirst {
		at = auditPosition{-1, -1}
	}
	key, err := page.Key(list, 2, cursor)
	if err != nil || key == nil {
		return at, err
	}
	when, err := strconv.ParseInt(key[0], 10, 64)
	sequence, also := strconv.ParseInt(key[1], 10, 64)
	if err != nil || also != nil {
		return at, page.BadCursor()
	}
	return auditPosition{when, sequence}, nil
}

// walk is the part of a search that an index answers: the records of the tenant
// with the most telling of what is asked for, within the times, after a place.
func (f AuditFilter) walk(tenant platform.TenantID, at auditPosition) (condition, order string, args []any) {
	args = []any{string(tenant)}
	switch {
	case f.Target != "":
		condition, args = ` AND target = ?`, append(args, f.Target)
	case f.Actor != "":
		condition, args = ` AND actor = ?`, append(args, f.Actor)
	case f.Action != "" && !strings.HasSuffix(f.Action, ".*"):
		condition, args = ` AND action = ?`, append(args, f.Action)
	case f.Outcome != "" && f.Outcome != outcomeOK:
		condition, args = ` AND outcome = ? AND outcome <> 'ok'`, append(args, f.Outcome)
	}
	if !f.From.IsZero() {
		condition, args = condition+` AND time >= ?`, append(args, micros(f.From))
	}
	if !f.To.IsZero() {
		condition, args = condition+` AND time < ?`, append(args, micros(f.To))
	}
	args = append(args, at.time, at.sequence)
	if f.OldestFirst {
		return condition + ` AND (time, sequence) > (?, ?)`, ` ORDER BY time, sequence`, args
	}
	return condition + ` AND (time, sequence) < (?, ?)`, ` ORDER BY time DESC, sequence DESC`, args
}

// query looks at up to scan records and returns up to limit that are all that is
// asked for.
func (f AuditFilter) query(tenant platform.TenantID, at auditPosition, scan, limit int) (string, []any) {
	walk, order, args := f.walk(tenant, at)
	rest, more := f.rest()
	query := `SELECT ` + auditColumns + ` FROM (SELECT ` + auditColumns + ` FROM user_audit WHERE tenant = ?` + walk + order + ` LIMIT ?) AS walked`
	args = append(append(args, scan), more...)
	return query + rest + order + ` LIMIT ?`, append(args, limit)
}

// rest are the conditions that the index does not answer; they may be met twice.
func (f AuditFilter) rest() (string, []any) {
	var (
		conditions []string
		args       []any
	)
	for _, c := range []struct{ column, value string }{
		{"target", f.Target}, {"actor", f.Actor}, {"outcome", f.Outcome},
	} {
		if c.value != "" {
			conditions, args = append(conditions, c.column+` = ?`), append(args, c.value)
		}
	}
	if noun, ok := strings.CutSuffix(f.Action, ".*"); ok {
		// "/" is the character after ".".
		conditions, args = append(conditions, `action >= ? AND action < ?`), append(args, noun+".", noun+"/")
	} else if f.Action != "" {
		conditions, args = append(conditions, `action = ?`), append(args, f.Action)
	}
	if conditions == nil {
		return "", nil
	}
	return ` WHERE ` + strings.Join(conditions, ` AND `), args
}

// scanned returns the last record of those that the search has looked at, nil
// where it has looked at all.
func (f AuditFilter) scanned(ctx context.Context, tx store.Queries, tenant platform.TenantID, at auditPosition, scan int) (*auditPosition, error) {
	walk, order, args := f.walk(tenant, at)
	var last auditPosition
	err := tx.QueryRow(ctx, `SELECT time, sequence FROM user_audit WHERE tenant = ?`+walk+order+` LIMIT 1 OFFSET ?`, append(args, scan-1)...).
		Scan(&last.time, &last.sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // there is none
	}
	return &last, err
}
