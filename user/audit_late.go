package user

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// What is refused is recorded after the answer, by one goroutine, so that the
// writing cannot be timed and costs the caller's request nothing. Who repeats it
// would make a chain grow without end: of what is the same (who, what, upon what)
// the first few of an hour have a record each, and the rest one together, at the
// end of the hour, that counts them; of different things only so many an hour are
// told apart. What waits is lost if the process dies.

// lateRecord is a record that waits to be written.
type lateRecord struct {
	lateKey
	// each is how many of the key have a record of their own in an hour.
	each int
	AuditRecord
	// wanted is the organization of a failed sign-in, which may not be open to
	// the person.
	wanted platform.TenantID
}

// lateKey is what is counted as the same.
type lateKey struct {
	tenant platform.TenantID // "" is that of the person
	person string            // who tried to sign in, or was tried to be
	by     string            // who was refused, or the network of nobody who is known
	action string
	target string
}

const (
	// lateQueue is how many records may wait. The throttle lets few failed
	// sign-ins through for each account, and the rate limit few refusals for
	// each caller, so it fills only under an attack on many.
	lateQueue = 1024
	// lateWindow is how long what is the same is counted together.
	lateWindow = time.Hour
	// lateKeys is how many different things of a tenant, or of a person, are
	// told apart in a window, and lateAll of all.
	lateKeys = 100
	lateAll  = 20_000
	// eachFailure and eachRefusal are how many have a record of their own.
	eachFailure = 5
	eachRefusal = 1
)

// late is what has been written in this window, and what has not. One goroutine
// at a time uses it.
type late struct {
	mu     sync.Mutex
	until  time.Time
	counts map[lateKey]*lateCount
	scopes map[lateKey]int
}

type lateCount struct {
	written, held int
	last          lateRecord
	since         time.Time // of the first that is held
}

// noteFailure has a failed sign-in of a known person recorded.
func (s *Service) noteFailure(ctx context.Context, user string, wanted platform.TenantID) {
	r := s.newRecord(ctx, auditActor{}, "login.failed", user, nil)
	r.Outcome = outcomeFailed
	s.note(ctx, lateRecord{
		lateKey: lateKey{person: user, action: r.Action}, each: eachFailure, AuditRecord: r, wanted: wanted,
	})
}

// noteStranger has a failed sign-in with an address that nobody has recorded, in
// the installation's audit. What was typed is not kept: it may be a password.
func (s *Service) noteStranger(ctx context.Context) {
	r := s.newRecord(ctx, auditActor{}, "login.failed", "", nil)
	r.Outcome = outcomeFailed
	s.note(ctx, lateRecord{
		lateKey: lateKey{tenant: platform.NoTenant, by: network(r.Client), action: r.Action}, each: eachRefusal, AuditRecord: r,
	})
}

// Refused has it recorded that a principal was refused an operation (see
// gateway.Authorizer): in the audit of the principal's organization, or in the
// installation's. It returns at once.
func (s *Service) Refused(ctx context.Context, p platform.Principal, operation string) {
	if p.Tenant.ValidateScope() != nil {
		return
	}
	by := byPrincipal(p)
	r := s.newRecord(ctx, by, "access.refused", operation, nil)
	r.Outcome = outcomeRefused
	s.note(ctx, lateRecord{
		lateKey: lateKey{tenant: p.Tenant, by: by.id + " " + by.credential, action: r.Action, target: operation}, each: eachRefusal, AuditRecord: r,
	})
}

func (s *Service) note(ctx context.Context, r lateRecord) {
	select {
	case s.failures <- r:
	default:
		s.log.WarnContext(ctx, "user: a refusal is not recorded: too many at once", slog.String("action", r.Action))
	}
}

// writeLate records what waits; once a window is over, or ends with the process,
// it records what was counted in it.
func (s *Service) writeLate(ctx context.Context, ending bool) {
	for {
		select {
		case r := <-s.failures:
			s.writeFailure(ctx, r)
		default:
			s.endWindow(ctx, ending)
			return
		}
	}
}

// writeFailure records one refusal, or counts it.
func (s *Service) writeFailure(ctx context.Context, r lateRecord) {
	s.endWindow(ctx, false)
	if s.late.admits(r, s.now()) {
		s.writeOne(ctx, r)
	}
}

func (s *Service) endWindow(ctx context.Context, ending bool) {
	for _, r := range s.late.end(s.now(), ending) {
		s.writeOne(ctx, r)
	}
}

// admits reports whether the record is to be written by itself, and counts it
// otherwise.
func (l *late) admits(r lateRecord, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts, l.scopes, l.until = make(map[lateKey]*lateCount), make(map[lateKey]int), now.Add(lateWindow)
	}
	key := r.lateKey
	c := l.counts[key]
	if scope := (lateKey{tenant: key.tenant, person: key.person}); c == nil && (l.scopes[scope] >= lateKeys || len(l.counts) >= lateAll) {
		// All that is too much goes together, and says neither who nor upon what.
		if len(l.counts) >= lateAll {
			scope.person = ""
			if scope.tenant == "" || len(l.counts) >= 2*lateAll {
				scope.tenant = platform.NoTenant
			}
		}
		key = lateKey{tenant: scope.tenant, person: scope.person, action: key.action}
		r = lateRecord{lateKey: key, AuditRecord: AuditRecord{Time: r.Time, Action: r.Action, Outcome: r.Outcome, Target: scope.person}}
		c = l.counts[key]
	} else if c == nil {
		l.scopes[scope]++
	}
	if c == nil {
		c = &lateCount{}
		l.counts[key] = c
	}
	if c.written < r.each {
		c.written++
		return true
	}
	if c.held == 0 {
		c.since = r.Time
	}
	c.held++
	c.last = r
	return false
}

// end returns a record for each count of a window that is over.
func (l *late) end(now time.Time, ending bool) (all []lateRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil || !ending && now.Before(l.until) {
		return nil
	}
	for _, c := range l.counts {
		if c.held == 0 {
			continue
		}
		r := c.last
		r.Detail = maps.Clone(r.Detail)
		if r.Detail == nil {
			r.Detail = make(map[string]string, 2)
		}
		r.Detail["count"], r.Detail["since"] = strconv.Itoa(c.held), c.since.Format(time.RFC3339)
		all = append(all, r)
	}
	l.counts, l.scopes = nil, nil
	return all
}

func (s *Service) writeOne(ctx context.Context, r lateRecord) {
	// The goroutine that calls this may be told to end meanwhile; the record
	// is written all the same.
	ctx = context.WithoutCancel(ctx)
	tenant, err := r.tenant, error(nil)
	if tenant == "" {
		tenant, err = s.failedAt(ctx, r)
	}
	if err == nil {
		err = s.writeAudit(ctx, tenant, func(ctx context.Context, tx store.Queries) error {
			if r.person != "" { // of who is gone meanwhile, and erased, nothing is written
				var one int
				if err := tx.QueryRow(ctx, `SELECT 1 FROM user_accounts WHERE id = ?`, r.person).Scan(&one); err != nil {
					return notFound(err, "user")
				}
			}
			return s.append(ctx, tx, tenant, r.AuditRecord)
		})
	}
	if err != nil && !errors.Is(err, platform.ErrNotFound) {
		s.log.ErrorContext(ctx, "user: a refusal is not recorded", slog.String("action", r.Action), slog.Any("error", err))
	}
}

// writeAudit runs fn in a transaction that writes a tenant's chain, or the
// installation's.
func (s *Service) writeAudit(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Queries) error) error {
	if tenant == platform.NoTenant {
		return s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) error { return fn(ctx, tx) })
	}
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error { return fn(ctx, tx) })
}

// failedAt is the organization whose audit tells of a failed sign-in: that which
// was asked for, if it is the person's, or the one they would be signed in to; the
// installation's own tells of those who are in none.
func (s *Service) failedAt(ctx context.Context, r lateRecord) (platform.TenantID, error) {
	tenant, err := s.openTo(ctx, r.person, r.wanted)
	if errors.Is(err, platform.ErrForbidden) {
		// A stranger's organization must not hear of it; the user's own should.
		tenant, err = s.openTo(ctx, r.person, "")
	}
	return tenant, err
}
