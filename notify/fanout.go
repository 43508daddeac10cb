package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/quota"
)

const (
	jobFanOut      = "notify.fanout"
	fanOutAttempts = 20
)

// accepted is a message whose text or audience was left to a job.
type accepted struct {
	row        *messageRow
	recipients []Recipient
	failed     string // why nobody gets it
}

// runFanOut renders the text of an accepted message where that is still to be
// done, looks up its audience and writes what follows, once.
func (s *Service) runFanOut(ctx context.Context, job queue.Job) error {
	id, err := jobID(job)
	if err != nil {
		return err
	}
	a, err := s.accepted(ctx, job.Tenant, id)
	if err != nil {
		return err
	}
	limits, err := s.cfg.Limits.Of(ctx, job.Tenant)
	if err != nil {
		return err
	}
	return s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := queue.Finish(ctx, tx, job); err != nil {
			return err
		}
		p, reason := &plan{message: a.row, stored: true}, a.failed
		if reason == "" {
			if reason, err = s.fill(ctx, tx, p, a.recipients, limits); err != nil {
				return err
			}
		}
		return s.dispatch(ctx, tx, p, reason)
	})
}

// accepted reads a message and makes what it lacks, outside of a transaction
// that writes.
func (s *Service) accepted(ctx context.Context, tenant platform.TenantID, id string) (accepted, error) {
	var (
		m  SentMessage
		to target
		t  Template
	)
	err := s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) (err error) {
		if m, _, err = readMessage(ctx, tx, id); err != nil {
			return err
		}
		if to, err = readTarget(ctx, tx, id); err != nil || to.Template == "" {
			return err
		}
		t, err = readTemplate(ctx, tx, to.Template)
		if errors.Is(err, platform.ErrNotFound) { // deleted after the message was accepted
			return nil
		}
		return err
	}, store.ReadOnly)
	if err != nil {
		return accepted{}, err
	}
	a := accepted{row: &messageRow{
		id: m.ID, createdAt: m.CreatedAt.UnixMicro(), channels: m.Channels, audience: to,
		text: rendered{m.Title, m.Body, m.HTML}, rule: m.Rule, event: m.Event, actor: m.Actor,
	}}
	if to.Template != "" {
		if a.row.text, err = renderLater(ctx, t, to.Variables); err != nil {
			if platform.KindOf(err) != platform.KindInvalid {
				return accepted{}, err
			}
			a.failed = failureText(err)
			return a, nil
		}
	}
	if !to.IsZero() {
		if a.recipients, err = s.cfg.Directory.Recipients(ctx, tenant, to.Audience); err != nil {
			return accepted{}, fmt.Errorf("notify: look up the audience: %w", err)
		}
	}
	a.recipients = without(a.recipients, to.Exclude)
	if len(a.recipients) > MaxRecipients {
		a.failed = errRecipients.Error()
	}
	return a, nil
}

// fill addresses the message and counts what that makes; where a limit leaves
// no room it empties the plan and returns the reason.
func (s *Service) fill(ctx context.Context, tx store.Tx, p *plan, recipients []Recipient, limits platform.Limits) (reason string, err error) {
	endpoints, err := messageEndpoints(ctx, tx, p.message.channels)
	if err != nil {
		return "", err
	}
	s.address(p, tx.Tenant(), recipients, endpoints)
	if p.message.rule != "" {
		err = overFanOut(limits, p.rows())
	}
	if err == nil {
		err = quota.Take(ctx, tx, s.cfg.Now(), charges(limits, p)...)
	}
	var over *platform.Error
	if errors.As(err, &over) && (over.Kind == platform.KindLimited || over.Kind == platform.KindForbidden) {
		p.inbox, p.deliveries = nil, nil
		return failureText(err), nil
	}
	if err != nil {
		return "", err
	}
	return "", s.takeMails(ctx, tx, limits, p)
}

// dispatch records what has become of an accepted message, and writes it.
func (s *Service) dispatch(ctx context.Context, tx store.Tx, p *plan, reason string) error {
	m, status := p.message, MessageDispatched
	if reason != "" {
		status = MessageFailed
	}
	n, err := affected(tx.Exec(ctx, `UPDATE notify_messages SET status = ?, reason = ?, audience = '', inbox = ?
WHERE tenant = ? AND id = ? AND status = ?`, status, reason, len(p.inbox), tx.Tenant(), m.id, MessageAccepted))
	if err != nil {
		return fmt.Errorf("notify: dispatch: %w", err)
	}
	if n == 0 {
		return nil // dispatched by an earlier run
	}
	if m.audience.Template != "" {
		_, err := tx.Exec(ctx, `UPDATE notify_messages SET title = ?, body = ?, html = ? WHERE tenant = ? AND id = ?`,
			m.text.title, m.text.body, m.text.html, tx.Tenant(), m.id)
		if err != nil {
			return fmt.Errorf("notify: keep the text: %w", err)
		}
	}
	return s.write(ctx, tx, []*plan{p})
}
