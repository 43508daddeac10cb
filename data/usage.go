package data

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ platform.UsageReporter = (*Service)(nil)

// Usage returns how many collections and records the tenant has, and how many
// bytes of data, and its idempotency keys where the service keeps them. The
// figures of records are at most some seconds old, more where counting takes long.
func (s *Service) Usage(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
	l, err := s.limits.Of(ctx, tenant)
	if err != nil {
		return nil, err
	}
	all, err := s.docs.Collections(ctx, tenant)
	if err != nil {
		return nil, err
	}
	usage := []platform.Usage{{Name: limitCollections, Used: int64(len(all)), Limit: l.Collections}}
	if s.started.Load() {
		keys, err := s.repeats.Usage(ctx, tenant)
		if err != nil {
			return nil, err
		}
		usage = append(usage, keys)
	}
	if s.quotas.sizer == nil {
		return usage, nil
	}
	kept, err := s.quotas.kept(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return append(usage,
		platform.Usage{Name: limitRecords, Used: kept.Documents, Limit: l.Records},
		platform.Usage{Name: limitBytes, Used: kept.Bytes, Limit: l.RecordBytes}), nil
}

// kept returns what the tenant keeps, counted a moment ago.
func (q *quotas) kept(ctx context.Context, tenant platform.TenantID) (store.Size, error) {
	f := q.figure(tenant)
	if err := q.countAgain(ctx, tenant, f); err != nil {
		return store.Size{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return store.Size{Documents: max(f.size.Documents, 0), Bytes: max(f.size.Bytes, 0)}, nil
}

// newCollection lets one collection at a time be created for a tenant, until
// done, and refuses one too many.
func (q *quotas) newCollection(ctx context.Context, docs store.Documents, tenant platform.TenantID) (done func(), err error) {
	l, err := q.limits.Of(ctx, tenant)
	if err != nil || l.Collections < 0 {
		return func() {}, err
	}
	f := q.figure(tenant)
	select {
	case f.creating <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done = func() { <-f.creating }
	all, err := docs.Collections(ctx, tenant)
	if err == nil && int64(len(all)) >= l.Collections {
		err = platform.OverLimit(limitCollections, l.Collections)
	}
	if err != nil {
		done()
		return nil, err
	}
	return done, nil
}
