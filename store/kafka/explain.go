package kafka

import (
	"fmt"
	"strings"
)

// Explain implements [platform.Explainer].
func (e *Events) Explain() string {
	security := "with TLS"
	if e.cfg.Plaintext {
		security = "without TLS"
	}
	if e.cfg.SASL != nil {
		security += " and " + e.cfg.SASL.Name()
	}
	return fmt.Sprintf("the topic %s on %s %s, %d replicas of which %d in sync, an event that fails %d times is a dead letter in %s",
		e.cfg.Topic, strings.Join(e.cfg.Brokers, ", "), security, e.cfg.Replication, e.cfg.MinInSync, e.cfg.MaxAttempts, e.deadTopic)
}
