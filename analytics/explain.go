package analytics

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (s *Service) Explain() string {
	return fmt.Sprintf("events in %s, kept %s, a query reads up to %d rows into %d groups", explain.Part(s.db), explain.Kept(s.retention), s.maxRows, s.maxGroups)
}
