package outbox

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (r *Relay) Explain() string {
	return fmt.Sprintf("from the outbox of %s to %s, batches of %d, a look every %s, dead events kept for %s",
		explain.Part(r.cfg.DB), explain.Part(r.cfg.Events), r.cfg.Batch, explain.Duration(r.cfg.Interval), explain.Duration(r.cfg.DeadRetention))
}
