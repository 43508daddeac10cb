package notify

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// RuleFailures returns the rules of all tenants that failed last, the newest
// first, at most limit of them, for an operator or a system principal that looks
// for what a tenant does to the installation; others get KindForbidden. A limit
// below 1, or above 1,000, is 1,000.
func (s *Service) RuleFailures(ctx context.Context, p platform.Principal, limit int) ([]RuleFailure, error) {
	if err := operates(p); err != nil {
		return nil, err
	}
	if limit < 1 || limit > 1000 {
		limit = 1000
	}
	var out []RuleFailure
	err := s.db.AcrossTenants(ctx, s.cross.failures, func(ctx context.Context, tx store.CrossTx) error {
		rows, err := tx.Query(ctx, `SELECT `+failureColumns+`, coalesce(r.name, ''), coalesce(r.disabled, b.disabled, 0)
FROM notify_rule_failures f
LEFT JOIN notify_rules r ON r.tenant = f.tenant AND r.id = f.rule
LEFT JOIN notify_builtin_rules b ON b.tenant = f.tenant AND b.id = f.rule
ORDER BY f.failed_at DESC, f.tenant, f.rule LIMIT ?`, limit)
		out, err = collect(rows, err, func(rows *sql.Rows) (f RuleFailure, err error) {
			err = scanFailure(rows, &f, &f.Name, &f.Disabled)
			return f, err
		})
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("notify: rules that fail: %w", err)
	}
	for i := range out {
		if r, ok := s.builtinRule(out[i].Rule, nil); ok {
			out[i].Name = r.Name
		}
	}
	return out, nil
}
