package queue

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (q *Queue) Explain() string {
	return fmt.Sprintf("jobs in %s, %d workers for each kind, leases of %s, dead jobs kept for %s",
		explain.Part(q.cfg.DB), q.cfg.Workers, explain.Duration(q.cfg.Lease), explain.Duration(q.cfg.DeadRetention))
}
