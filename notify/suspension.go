package notify

import (
	"context"
	"log/slog"

	"github.com/acme/platform"
)

// suspended reports whether the tenant is suspended.
func (s *Service) suspended(ctx context.Context, tenant platform.TenantID) (bool, error) {
	suspensions := s.cfg.Queue.Suspensions()
	if suspensions == nil {
		return false, nil
	}
	return suspensions.Suspended(ctx, tenant)
}

// eventsWait reports whether the events of a tenant are left to jobs, which run
// when it is no longer suspended: none is lost, and none has an effect before.
// Where it is not known they wait too, because the stream must not.
func (s *Service) eventsWait(ctx context.Context, tenant platform.TenantID) bool {
	suspended, err := s.suspended(ctx, tenant)
	if err != nil {
		s.log.WarnContext(ctx, "whether a tenant is suspended cannot be found out; its events wait",
			slog.String("tenant", string(tenant)), slog.Any("error", err))
	}
	return suspended || err != nil
}

// checkOpen refuses a live stream of a suspended tenant, which the credential
// should have kept out.
func (s *Service) checkOpen(ctx context.Context, tenant platform.TenantID) error {
	suspended, err := s.suspended(ctx, tenant)
	if err != nil {
		return err
	}
	if suspended {
		return platform.Errorf(platform.KindForbidden, "organization_suspended", "the organization is suspended")
	}
	return nil
}

// suspensionChanged ends the live streams of a tenant, or with "" of those tenants,
// that were suspended. It returns at once.
func (s *Service) suspensionChanged(tenant platform.TenantID) {
	tenants := s.live.tenants(tenant)
	if len(tenants) == 0 {
		return
	}
	s.live.group.Go(func(ctx context.Context) {
		for _, t := range tenants {
			suspended, err := s.suspended(ctx, t)
			switch {
			case suspended:
				s.live.endTenant(t)
			case err != nil && ctx.Err() == nil:
				// The streams end with their time, or with the credential.
				s.log.WarnContext(ctx, "whether a tenant is suspended cannot be found out; its live streams go on",
					slog.String("tenant", string(t)), slog.Any("error", err))
			}
		}
	})
}

// tenants returns those that have a stream here, or of them the one.
func (l *live) tenants(only platform.TenantID) []platform.TenantID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var tenants []platform.TenantID
	if only != "" {
		if l.feeds[only] != nil {
			tenants = append(tenants, only)
		}
		return tenants
	}
	for t := range l.feeds {
		tenants = append(tenants, t)
	}
	return tenants
}

// endTenant ends the streams of a tenant.
func (l *live) endTenant(tenant platform.TenantID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.feeds[tenant]; f != nil {
		delete(l.feeds, tenant) // a stream that comes later has a feed of its own
		close(f.ended)
	}
}
