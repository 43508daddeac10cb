package notify

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

// Usage returns what the tenant has used of its messages and e-mails of the UTC
// day, and how many rules, templates and endpoints it has.
func (s *Service) Usage(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
	l, err := s.cfg.Limits.Of(ctx, tenant)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Now()
	days := []platform.Usage{
		{Name: limitMessages, Limit: l.MessagesPerDay},
		{Name: limitEmails, Limit: l.EmailsPerDay},
	}
	kept := []platform.Usage{
		{Name: limitRules, Limit: l.Rules},
		{Name: limitTemplates, Limit: l.Templates},
		{Name: limitEndpoints, Limit: l.Endpoints},
	}
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		for i := range days {
			u := &days[i]
			u.Resets = quota.Resets(now)
			if u.Used, err = quota.Used(ctx, tx, now, u.Name, ""); err != nil {
				return err
			}
		}
		for i, query := range []string{countRules, countTemplates, countEndpoints} {
			if err := tx.QueryRow(ctx, query, tenant).Scan(&kept[i].Used); err != nil {
				return fmt.Errorf("notify: count %s: %w", kept[i].Name, err)
			}
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		return nil, err
	}
	keys, err := s.repeats.Usage(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return append(append(days, kept...), keys), nil
}

var _ platform.UsageReporter = (*Service)(nil)
