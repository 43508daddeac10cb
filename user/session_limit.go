package user

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// limits are after how long without use, and after how long in all, a session
// ends for an organization.
type limits struct{ idle, max time.Duration }

// minSession is the least that an organization can set: shorter than that, a
// person who reads a page is signed out.
const minSession = 5 * time.Minute

// limitsOf are those that an organization sets, in µs, or the host's where it sets
// none or what the host does not allow any more.
func (s *Service) limitsOf(idle, whole int64) limits {
	l := limits{s.cfg.RefreshIdle, s.cfg.RefreshMax}
	if set := time.Duration(idle) * time.Microsecond; set > 0 && set < l.idle {
		l.idle = set
	}
	if set := time.Duration(whole) * time.Microsecond; set > 0 && set < l.max {
		l.max = set
	}
	return l
}

// limitsIn reads the limits of an organization, those of the host for none.
func (s *Service) limitsIn(ctx context.Context, tx store.Queries, tenant platform.TenantID) (limits, error) {
	if tenant == platform.NoTenant {
		return s.limitsOf(0, 0), nil
	}
	var idle, longest int64
	err := tx.QueryRow(ctx, `SELECT session_idle, session_max FROM user_organizations WHERE tenant = ?`, string(tenant)).Scan(&idle, &longest)
	if errors.Is(err, sql.ErrNoRows) { // it is not there: whoever asks refuses for that
		err = nil
	}
	return s.limitsOf(idle, longest), err
}

// checkLimits refuses limits that the host does not allow.
func (s *Service) checkLimits(in OrganizationChange) error {
	least := max(minSession, s.cfg.AccessTTL)
	var fields []platform.Field
	for _, f := range []struct {
		path string
		set  *time.Duration
		most time.Duration
	}{{"/session_idle", in.SessionIdle, s.cfg.RefreshIdle}, {"/session_max", in.SessionMax, s.cfg.RefreshMax}} {
		if f.set != nil && *f.set != 0 && (*f.set < least || *f.set > f.most) {
			fields = append(fields, platform.Field{
				Path: f.path, Code: "range",
				Detail: fmt.Sprintf("from %d to %d seconds, or 0 for what the installation says", seconds(least), seconds(f.most)),
			})
		}
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// limitSessions sets the limits of p's organization, in a transaction of it, and
// gives them to the sessions that there are.
func (s *Service) limitSessions(ctx context.Context, tx store.Tx, p platform.Principal, in OrganizationChange) error {
	var idle, longest int64
	err := tx.QueryRow(ctx, `UPDATE user_organizations SET session_idle = coalesce(?, session_idle), session_max = coalesce(?, session_max),
		updated_at = ? WHERE tenant = ? RETURNING session_idle, session_max`,
		microsOf(in.SessionIdle), microsOf(in.SessionMax), micros(s.now()), string(p.Tenant)).Scan(&idle, &longest)
	if err != nil {
		return notFound(err, "organization")
	}
	l := s.limitsOf(idle, longest)
	if _, err := tx.Exec(ctx, `UPDATE user_session_grants SET idle_until = last_used_at + ?,
		ends_at = (SELECT x.created_at FROM user_sessions x WHERE x.id = user_session_grants.session) + ?
		WHERE organization = ? AND revoked_at = 0`, l.idle.Microseconds(), l.max.Microseconds(), string(p.Tenant)); err != nil {
		return err
	}
	set := limitsEvent{
		Organization: string(p.Tenant), SessionIdle: idle / int64(time.Second/time.Microsecond), SessionMax: longest / int64(time.Second/time.Microsecond),
	}
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "organization.limits_changed", string(p.Tenant), map[string]string{
		"session_idle": strconv.FormatInt(set.SessionIdle, 10), "session_max": strconv.FormatInt(set.SessionMax, 10),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.organization.limits_changed", string(p.Tenant), p, set)
}

func microsOf(d *time.Duration) sql.NullInt64 {
	if d == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: d.Microseconds(), Valid: true}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
