package analytics

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

var _ platform.UsageReporter = (*Service)(nil)

// Usage returns how many events of the tenant were taken in this UTC day.
func (s *Service) Usage(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
	limits, err := s.limits.Of(ctx, tenant)
	if err != nil {
		return nil, err
	}
	now := s.now()
	u := platform.Usage{Name: limitEvents, Limit: limits.EventsPerDay, Resets: quota.Resets(now)}
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) (err error) {
		u.Used, err = quota.Used(ctx, tx, now, limitEvents, "")
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, err
	}
	return []platform.Usage{u}, nil
}
