package notify

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// inTenant runs effect in a transaction of the principal's tenant, once for all
// calls with one key; each finds the answer of the first in out.
func (s *Service) inTenant(ctx context.Context, p platform.Principal, call *idempotency.Call, out any, effect func(context.Context, store.Tx) error) error {
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, out, func() error { return effect(ctx, tx) })
	})
}

// inTenantLarge is inTenant for an answer whose text may be long: one that is too
// large to be kept is read again by its id.
func inTenantLarge[T any](
	ctx context.Context, s *Service, p platform.Principal, call *idempotency.Call, out *T, id *string,
	read func(ctx context.Context, tx store.Tx, id string) (T, error), effect func(context.Context, store.Tx) error,
) error {
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.DoLarge(ctx, tx, out,
			func() error { return effect(ctx, tx) },
			func() string { return *id },
			func(id string) (err error) {
				*out, err = read(ctx, tx, id)
				return err
			})
	})
}
