package sqlevents

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (e *Events) Explain() string {
	return fmt.Sprintf("a table of %s, kept for %s, batches of %d, leases of %s; its relay: %s",
		explain.Part(e.cfg.DB), explain.Duration(e.cfg.Retention), e.cfg.Batch, explain.Duration(e.cfg.Lease), e.relay.Explain())
}
