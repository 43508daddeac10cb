package notify

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/queue"
)

// The workers of each kind of job. Those of webhooks mostly wait for receivers;
// a mail server often has few connections for one client; a look-up of an
// audience is work for the store.
const (
	webhookWorkers = 128
	emailWorkers   = 16
	maxWorkers     = 1000
	fanOutWorkers  = 8
	fanOutTenant   = 2
	// endpointWorkers is how many deliveries one endpoint gets at once: half
	// of what its tenant has by default, so that another endpoint of the
	// tenant goes on while it hangs.
	endpointWorkers = 4
)

// handleJobs registers the jobs. Each kind has workers of its own: receivers that
// hang delay no mail, and a slow mail server no webhook.
func (s *Service) handleJobs() {
	// How often a delivery is tried is decided here and not by the queue, which
	// counts failures to record an attempt, too.
	deliveries := queue.Options{
		MaxAttempts: deliveryRuns, Timeout: time.Minute,
		Limit: func(l platform.Limits) int64 { return l.Deliveries },
	}
	webhooks, emails := deliveries, deliveries
	webhooks.Concurrency, webhooks.TargetConcurrency = s.cfg.WebhookWorkers, endpointWorkers
	emails.Concurrency = s.cfg.EmailWorkers
	if m, ok := s.cfg.Mail.(preparedMailer); ok {
		emails.Timeout += m.longest()
	}
	s.cfg.Queue.Handle(jobWebhook, s.runWebhook, webhooks)
	s.cfg.Queue.Handle(jobEmail, s.runEmail, emails)
	s.cfg.Queue.Handle(jobFanOut, s.runFanOut, queue.Options{
		MaxAttempts: fanOutAttempts, MaxBackoff: 10 * time.Minute, Concurrency: fanOutWorkers, TenantConcurrency: fanOutTenant,
	})
	s.cfg.Queue.Handle(jobEvent, s.runEvent, queue.Options{
		MaxAttempts: eventAttempts, MaxBackoff: 10 * time.Minute, Concurrency: fanOutWorkers, TenantConcurrency: fanOutTenant,
	})
}

// watchMailer has e-mails leave one at a time from the first that could not be
// given to the mail server until one can: the others then wait in the queue instead
// of for a server that hangs.
func (s *Service) watchMailer(ctx context.Context, out outcome) {
	switch {
	case out.skipped || ctx.Err() != nil:
		// It says nothing about the server.
	case out.delivered || out.permanent || !serverTrouble(out.reason):
		s.cfg.Queue.OneAtATime(jobEmail, false)
	default:
		s.cfg.Queue.OneAtATime(jobEmail, true)
	}
}

// serverTrouble reports whether the reason of a failed e-mail is that the server
// did not get to judge it.
func serverTrouble(reason string) bool {
	switch reason {
	case "network", "timeout", "tls", "smtp_auth":
		return true
	}
	return false
}
