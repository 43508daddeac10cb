package notify

import (
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (s *Service) Explain() string {
	mail := "no e-mail"
	if s.cfg.Mail != nil {
		mail = fmt.Sprintf("e-mail by %T", s.cfg.Mail)
	}
	return fmt.Sprintf("messages in %s, of events of %s, by jobs of %s, %s, messages kept %s, deliveries kept %s",
		explain.Part(s.db), explain.Part(s.cfg.Events), explain.Part(s.cfg.Queue), mail, explain.Kept(s.cfg.MessageRetention), explain.Kept(s.cfg.DeliveryRetention))
}
