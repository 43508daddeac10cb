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

// runFanOut renders the text of an accepted message where that is still to be
// done, looks up its audience and writes what follows, once.
func (s *Service) runFanOut(ctx context.Context, job queue.Job) error {
	id, err := jobID(job)
	if err != nil {
		return err
	}
	var (
		m   SentMessage
		to  target
		t   Template
		row *messageRow
	)
	err = s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
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
		return err
	}
	row = &messageRow{
		id: m.ID, createdAt: m.CreatedAt.UnixMicro(), channels: m.Channels, audience: to,
		text: rendered{m.Title, m.Body, m.HTML}, rule: m.Rule, event: m.Event, actor: m.Actor,
	}
	status, reason := MessageDispatched, ""
	if to.Template != "" {
		if row.text, err = renderLater(ctx, t, to.Variables); err != nil {
			if platform.KindOf(err) != platform.KindInvalid {
				return err
			}
			status, reason = MessageFailed, failureText(err)
		}
	}
	var recipients []Recipient
	if status == MessageDispatched && !to.IsZero() {
		if recipients, err = s.cfg.Directory.Recipients(ctx, job.Tenant, to.Audience); err != nil {
			return fmt.Errorf("notify: look up the audience: %w", err)
		}
	}
	recipients = without(recipients, to.Exclude)
	if len(recipients) > MaxRecipients {
		recipients, to.Emails, status, reason = nil, nil, MessageFailed, "too_many_recipients"
	}
	limits, err := s.cfg.Limits.Of(ctx, job.Tenant)
	if err != nil {
		return err
	}
	return s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := queue.Finish(ctx, tx, job); err != nil {
			return err
		}
		p, status, reason := &plan{message: row, stored: true}, status, reason
		if status == MessageDispatched {
			endpoints, err := messageEndpoints(ctx, tx, row.channels)
			if err != nil {
				return err
			}
			s.address(p, job.Tenant, recipients, endpoints)
			if row.rule != "" {
				err = overFanOut(limits, p.rows())
			}
			if err == nil {
				err = quota.Take(ctx, tx, s.cfg.Now(), charges(limits, p)...)
			}
			var over *platform.Error
			if errors.As(err, &over) && (over.Kind == platform.KindLimited || over.Kind == platform.KindForbidden) {
				p.inbox, p.deliveries, status, reason = nil, nil, MessageFailed, failureText(err)
			} else if err != nil {
				return err
			}
			if err := s.takeMails(ctx, tx, limits, p); err != nil {
				return err
			}
		}
		n, err := affected(tx.Exec(ctx, `UPDATE notify_messages SET status = ?, reason = ?, audience = '', inbox = ?
WHERE tenant = ? AND id = ? AND status = ?`, status, reason, len(p.inbox), job.Tenant, id, MessageAccepted))
		if err != nil {
			return fmt.Errorf("notify: dispatch: %w", err)
		}
		if n == 0 {
			return nil // dispatched by an earlier run
		}
		if to.Template != "" {
			_, err := tx.Exec(ctx, `UPDATE notify_messages SET title = ?, body = ?, html = ? WHERE tenant = ? AND id = ?`,
				row.text.title, row.text.body, row.text.html, job.Tenant, id)
			if err != nil {
				return fmt.Errorf("notify: keep the text: %w", err)
			}
		}
		return s.write(ctx, tx, []*plan{p})
	})
}
