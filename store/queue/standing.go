package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform"
)

const (
	// standingTenants is of how many tenants the standing is kept in memory;
	// with one more all are asked for again.
	standingTenants = 1 << 13
	// standingTTL is how long a standing is used before it is asked for again.
	standingTTL = 5 * time.Second
	// standingRetry is how long the jobs of a tenant wait after its standing
	// could not be had.
	standingRetry = time.Second
	// standingTimeout bounds one question, and standingAsk how many are asked
	// at once.
	standingTimeout = 5 * time.Second
	standingAsk     = 16
)

// standing is what decides whether and how many jobs of a tenant may run.
type standing struct {
	waits  bool // suspended, or it could not be found out
	limits platform.Limits
	until  time.Time
}

// standings keep the standing of tenants. It is asked for outside of the
// transactions that claim jobs, because whoever knows it may need the store.
type standings struct {
	suspensions platform.Suspensions
	limits      platform.LimitsFunc

	standard platform.Limits

	mu    sync.Mutex
	known map[platform.TenantID]standing
	// asked has the questions that are under way: true is one whose answer may
	// be old by the time it comes.
	asked map[platform.TenantID]bool
	slots chan struct{}
}

func newStandings(cfg Config) *standings {
	return &standings{
		suspensions: cfg.Suspensions, limits: cfg.Limits, standard: platform.DefaultLimits(),
		known: make(map[platform.TenantID]standing), asked: make(map[platform.TenantID]bool), slots: make(chan struct{}, standingAsk),
	}
}

// static reports whether all tenants have the same standing for ever.
func (s *standings) static() bool { return s.suspensions == nil && s.limits == nil }

// of returns the standing of a tenant as it was last known, whether it is known
// at all, and whether it is to be asked for.
func (s *standings) of(tenant platform.TenantID, now time.Time) (st standing, known, ask bool) {
	if s.static() {
		st.limits = s.standard
		st.limits.Share = string(tenant)
		return st, true, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, known = s.known[tenant]
	_, asked := s.asked[tenant]
	return st, known, !asked && (!known || !now.Before(st.until))
}

// forget has the standing of a tenant asked for again, or with "" of all.
func (s *standings) forget(tenant platform.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tenant == "" {
		clear(s.known)
	} else {
		delete(s.known, tenant)
	}
	for t := range s.asked {
		if tenant == "" || tenant == t {
			s.asked[t] = true
		}
	}
}

// begin notes that a question is asked, and reports false where one is under way.
func (s *standings) begin(tenant platform.TenantID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, asked := s.asked[tenant]; asked {
		return false
	}
	s.asked[tenant] = false
	return true
}

// end keeps an answer, and reports false where the question is to be asked again.
func (s *standings) end(tenant platform.TenantID, st standing) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[tenant] {
		s.asked[tenant] = false
		return false
	}
	delete(s.asked, tenant)
	if len(s.known) >= standingTenants {
		clear(s.known)
	}
	s.known[tenant] = st
	return true
}

// askStanding finds out the standing of tenants in the background, and has the
// batcher go on with it.
func (q *Queue) askStanding(tenants []platform.TenantID) {
	for _, t := range tenants {
		if !q.standings.begin(t) {
			continue
		}
		q.background.Go(func(ctx context.Context) {
			st, err := q.standing(ctx, t)
			for !q.standings.end(t, st) {
				st, err = q.standing(ctx, t)
			}
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				q.log.WarnContext(ctx, "whether a tenant may work cannot be found out; its jobs wait",
					slog.String("tenant", string(t)), slog.Any("error", err))
			case st.waits:
				q.cancelRuns(t)
			}
			q.wake.Set()
		})
	}
}

// standing asks for the standing of a tenant.
func (q *Queue) standing(ctx context.Context, tenant platform.TenantID) (standing, error) {
	failed := standing{waits: true, until: q.cfg.Now().Add(standingRetry)}
	select {
	case q.standings.slots <- struct{}{}:
		defer func() { <-q.standings.slots }()
	case <-ctx.Done():
		return failed, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, standingTimeout)
	defer cancel()
	limits, err := q.standings.limits.Of(ctx, tenant)
	if err != nil {
		return failed, err
	}
	suspended, err := q.suspended(ctx, tenant)
	if err != nil {
		return failed, err
	}
	return standing{waits: suspended, limits: limits, until: q.cfg.Now().Add(standingTTL)}, nil
}

func (q *Queue) suspended(ctx context.Context, tenant platform.TenantID) (bool, error) {
	if q.cfg.Suspensions == nil || tenant == platform.NoTenant {
		return false, nil
	}
	return q.cfg.Suspensions.Suspended(ctx, tenant)
}

// Suspensions are those of the configuration, for a service that is to stop with
// its jobs; nil is none.
func (q *Queue) Suspensions() platform.Suspensions { return q.cfg.Suspensions }

// suspensionChanged is told that a tenant, or with "" any, may have been
// suspended or resumed.
func (q *Queue) suspensionChanged(tenant platform.TenantID) {
	q.standings.forget(tenant)
	q.askStanding(q.atWork(tenant))
	q.wake.Set()
}

// atWork returns the tenants that have a handler at work, or of those the one.
func (q *Queue) atWork(only platform.TenantID) []platform.TenantID {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := make(map[platform.TenantID]bool)
	var tenants []platform.TenantID
	for key, r := range q.running {
		if !r.reported && !seen[key.tenant] && (only == "" || only == key.tenant) {
			seen[key.tenant] = true
			tenants = append(tenants, key.tenant)
		}
	}
	return tenants
}

// refreshStandings asks for the standing of those at work whose standing is
// old: a change that nobody told is found out so.
func (q *Queue) refreshStandings() {
	if q.cfg.Suspensions == nil {
		return
	}
	var old []platform.TenantID
	now := q.cfg.Now()
	for _, t := range q.atWork("") {
		if _, _, ask := q.standings.of(t, now); ask {
			old = append(old, t)
		}
	}
	q.askStanding(old)
}

// cancelRuns ends the handlers of a suspended tenant.
func (q *Queue) cancelRuns(tenant platform.TenantID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, r := range q.running {
		if key.tenant == tenant && !r.reported && r.cancel != nil {
			r.cancel(ErrSuspended)
		}
	}
}

// admitted reports whether a claimed job may begin: its tenant may have been
// suspended since the claim. Where it may not, no job of the tenant is claimed
// until its standing is known again.
func (q *Queue) admitted(ctx context.Context, tenant platform.TenantID) bool {
	suspended, err := q.suspended(ctx, tenant)
	if err == nil && !suspended {
		return true
	}
	q.standings.forget(tenant)
	return false
}
