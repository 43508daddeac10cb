package data

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (s *Service) Explain() string {
	return fmt.Sprintf("records in %s, each of up to %s", explain.Part(s.docs), explain.Bytes(int64(s.maxRecord)))
}
