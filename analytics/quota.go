package analytics

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

// limitEvents is the name of [platform.Limits].EventsPerDay.
const limitEvents = "analytics.events"

// write commits the rows of the calls in one transaction and tells each call
// how many of its rows were new. Where they are more together than the tenant
// may send in a day, each call is tried by itself.
func (s *Service) write(ctx context.Context, tenant platform.TenantID, calls []*call) error {
	limits, err := s.limits.Of(ctx, tenant)
	if err != nil {
		return err
	}
	err = s.writeWithin(ctx, tenant, calls, limits.EventsPerDay)
	if len(calls) == 1 || !isOverRate(err) {
		return err
	}
	for _, c := range calls {
		c.err = s.writeWithin(ctx, tenant, []*call{c}, limits.EventsPerDay)
	}
	return nil
}

func isOverRate(err error) bool {
	return errors.Is(err, &platform.Error{Kind: platform.KindLimited, Code: "rate_exceeded"})
}

// writeWithin is one transaction. The new events are charged at its end, so that
// the counter is held for the time of the commit alone, and those that were
// there before cost nothing.
func (s *Service) writeWithin(ctx context.Context, tenant platform.TenantID, calls []*call, perDay int64) error {
	all, now := entries(calls), s.now()
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		for _, c := range calls {
			c.fresh = 0 // the transaction may be a second try
		}
		if err := insert(ctx, tx, all, now.UnixMicro()); err != nil {
			return err
		}
		var fresh int64
		for _, c := range calls {
			fresh += int64(c.fresh)
		}
		return quota.Take(ctx, tx, now, quota.Charge{Name: limitEvents, Amount: fresh, Limit: perDay})
	})
}
