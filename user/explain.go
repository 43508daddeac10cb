package user

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (s *Service) Explain() string {
	return fmt.Sprintf("accounts in %s, issuer %s, access tokens of %s, sessions of up to %s, ended when idle for %s",
		explain.Part(s.db), s.cfg.Issuer, explain.Duration(s.cfg.AccessTTL), explain.Duration(s.cfg.RefreshMax), explain.Duration(s.cfg.RefreshIdle))
}
