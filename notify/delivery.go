package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/quota"
)

// Delivery is one message or event on its way to one address.
type Delivery struct {
	ID      string
	Channel Channel
	// Message is the id of the message, or "" where an event goes to an
	// endpoint as it is.
	Message string
	// EventID and EventType are of the event that an endpoint gets.
	EventID, EventType string
	// Recipient is the id of the user or of the endpoint, or "" for an
	// address that is no user's.
	Recipient string
	Address   string // the e-mail address
	Status    DeliveryStatus
	// Reason is a stable code for why the last attempt failed.
	Reason string
	// NextAttempt is when a pending delivery is tried again; zero is as soon
	// as there is a worker.
	NextAttempt          time.Time
	CreatedAt, UpdatedAt time.Time
	// Attempts are the tries so far, oldest first, at most the newest 50.
	Attempts []Attempt
}

// DeliveryStatus is how far a delivery has come.
type DeliveryStatus string

// The statuses of a delivery.
const (
	// DeliveryPending: not tried yet, or to be tried again.
	DeliveryPending DeliveryStatus = "pending"
	// DeliveryDelivered: the receiver has taken it.
	DeliveryDelivered DeliveryStatus = "delivered"
	// DeliveryFailed: it will not be tried again by itself.
	DeliveryFailed DeliveryStatus = "failed"
)

// Attempt is one try of a delivery.
type Attempt struct {
	N        int // from 1
	Time     time.Time
	Duration time.Duration
	// Outcome is "delivered", "retry" or "failed".
	Outcome string
	// Code is the HTTP status or the SMTP reply code; 0 is no answer.
	Code int
	// Reason is a stable code: "http_status", "timeout", "network",
	// "blocked_address", "smtp_rejected", …
	Reason string
	// Response is the beginning of the answer, at most 1 KiB of text.
	Response string
}

const (
	jobEmail   = "notify.email"
	jobWebhook = "notify.webhook"

	// deliveryRuns is far beyond the schedule: it is for a store that fails
	// again and again when the outcome is recorded.
	deliveryRuns = 100

	maxResponse = 1 << 10
)

// retrySchedule are the pauses after each failed attempt: those that Standard
// Webhooks recommends, a little over three days together. E-mail servers that
// greylist are served by the second.
var retrySchedule = [...]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// maxRetryAfter is the longest pause that a receiver can ask for.
const maxRetryAfter = 24 * time.Hour

// outcome is what an attempt came to.
type outcome struct {
	delivered bool
	permanent bool // another attempt cannot help
	code      int
	reason    string
	response  string
	pause     time.Duration // what the receiver asked for; zero is nothing
	gone      bool          // the endpoint does not want any more
	skipped   bool          // nothing was tried; there is no attempt to record
}

// pending is a delivery with what its channel needs to attempt it.
type pending struct {
	Delivery
	attempts, tries int
	name            string
	body            string
	text            rendered // of the message, for e-mail
	secret          secretState
	endpoint        endpointState
}

// attempter tries a delivery once. It must be over well before the timeout of
// the job.
type attempter func(ctx context.Context, tenant platform.TenantID, p *pending) outcome

// run takes a job through one attempt. The sending is outside any transaction;
// its record and the end of the job are one.
func (s *Service) run(ctx context.Context, job queue.Job, attempt attempter) error {
	id, err := jobID(job)
	if err != nil {
		return err
	}
	var p pending
	err = s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		p, err = s.readPending(ctx, tx, id)
		return err
	}, store.ReadOnly)
	if errors.Is(err, platform.ErrNotFound) {
		return queue.Discard(err)
	}
	if err != nil {
		return err
	}
	if p.Status != DeliveryPending {
		return nil
	}
	began := s.cfg.Now()
	out := attempt(ctx, job.Tenant, &p)
	took := s.cfg.Now().Sub(began)
	if !out.delivered && ctx.Err() != nil {
		return context.Cause(ctx) // we gave up, not the receiver
	}
	next := s.next(&p, out)
	err = s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := s.record(ctx, tx, &p, out, began, took, next); err != nil {
			return err
		}
		if next > 0 {
			return nil
		}
		return queue.Finish(ctx, tx, job)
	})
	if err != nil {
		return fmt.Errorf("notify: record the attempt of %s: %w", id, err)
	}
	if next > 0 {
		return queue.RetryAfter(errors.New(out.reason), next)
	}
	return nil
}

// next is the pause until another attempt, or 0 where there is none.
func (s *Service) next(p *pending, out outcome) time.Duration {
	if out.delivered || out.permanent || p.tries >= len(retrySchedule) {
		return 0
	}
	if out.pause > 0 {
		return min(out.pause, maxRetryAfter)
	}
	// A fifth to either side keeps what failed together from returning together.
	return time.Duration(float64(retrySchedule[p.tries]) * (0.8 + 0.4*s.cfg.Rand()))
}

// record writes what an attempt came to.
func (s *Service) record(ctx context.Context, tx store.Tx, p *pending, out outcome, began time.Time, took, next time.Duration) error {
	var (
		status, verdict, reason = DeliveryFailed, "failed", out.reason
		at                      sql.NullInt64
		now                     = s.cfg.Now()
	)
	switch {
	case out.delivered:
		status, verdict, reason = DeliveryDelivered, "delivered", ""
	case next > 0:
		status, verdict = DeliveryPending, "retry"
		at = sql.NullInt64{Int64: now.Add(next).UnixMicro(), Valid: true}
	}
	attempts := p.attempts
	if !out.skipped {
		attempts++
	}
	n, err := affected(tx.Exec(ctx, `UPDATE notify_deliveries SET status = ?, reason = ?, attempts = ?, tries = ?, next_attempt_at = ?, updated_at = ?
WHERE tenant = ? AND id = ? AND status = ? AND tries = ?`, status, reason, attempts, p.tries+1, at, now.UnixMicro(),
		tx.Tenant(), p.ID, DeliveryPending, p.tries))
	if err != nil {
		return err
	}
	if n == 0 {
		// A worker that was taken for dead, and another has recorded this try.
		return nil
	}
	if p.secret.kept && status != DeliveryPending {
		if err := removeSecret(ctx, tx, p.ID); err != nil {
			return err
		}
	}
	if !out.skipped {
		_, err := tx.Exec(ctx, `INSERT INTO notify_attempts (tenant, delivery_id, n, started_at, duration, outcome, code, reason, response)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, tx.Tenant(), p.ID, attempts, began.UnixMicro(), took.Microseconds(), verdict, out.code, reason, out.response)
		if err != nil {
			return err
		}
	}
	if p.Channel == ChannelWebhook && !out.skipped {
		return s.recordEndpoint(ctx, tx, p, out, now)
	}
	return nil
}

// readPending reads a delivery with what an attempt needs.
func (s *Service) readPending(ctx context.Context, tx store.Tx, id string) (pending, error) {
	var (
		p    pending
		next sql.NullInt64
		// of the secret text, which is there until the delivery ends
		expires sql.NullInt64
		sealed  []byte
	)
	var created, updated int64
	err := tx.QueryRow(ctx, `SELECT d.id, d.channel, d.message_id, d.event_id, d.event_type, d.recipient, d.address, d.name, d.status,
 d.reason, d.attempts, d.tries, d.next_attempt_at, d.created_at, d.updated_at, d.body,
 coalesce(x.title, m.title, ''), coalesce(x.body, m.body, ''), coalesce(x.html, m.html, ''), coalesce(m.secret, 0), x.expires_at, x.sealed
FROM notify_deliveries d LEFT JOIN notify_messages m ON m.tenant = d.tenant AND m.id = d.message_id
LEFT JOIN notify_secret_texts x ON x.tenant = d.tenant AND x.delivery_id = d.id
WHERE d.tenant = ? AND d.id = ?`, tx.Tenant(), id).Scan(&p.ID, &p.Channel, &p.Message, &p.EventID, &p.EventType, &p.Recipient,
		&p.Address, &p.name, &p.Status, &p.Reason, &p.attempts, &p.tries, &next, &created, &updated, &p.body,
		&p.text.title, &p.text.body, &p.text.html, &p.secret.marked, &expires, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return p, platform.NotFound("delivery")
	}
	if err != nil {
		return p, fmt.Errorf("notify: read delivery: %w", err)
	}
	p.CreatedAt, p.secret.kept, p.secret.expires = micros(created), expires.Valid, micros(expires.Int64)
	if sealed != nil {
		p.text, err = s.openText(ctx, tx.Tenant(), p.ID, sealed)
	}
	if p.Channel == ChannelWebhook {
		p.endpoint, err = s.readEndpointState(ctx, tx, p.Recipient)
	}
	return p, err
}

const deliveryColumns = `id, channel, message_id, event_id, event_type, recipient, address, status, reason, next_attempt_at, created_at, updated_at`

// scanDeliveries reads rows of deliveryColumns, and the attempts of each.
func scanDeliveries(ctx context.Context, tx store.Tx, rows *sql.Rows, err error) ([]Delivery, error) {
	deliveries, err := collect(rows, err, func(rows *sql.Rows) (d Delivery, err error) {
		var (
			next             sql.NullInt64
			created, updated int64
		)
		err = rows.Scan(&d.ID, &d.Channel, &d.Message, &d.EventID, &d.EventType, &d.Recipient, &d.Address,
			&d.Status, &d.Reason, &next, &created, &updated)
		d.NextAttempt, d.CreatedAt, d.UpdatedAt = micros(next.Int64), micros(created), micros(updated)
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("notify: read deliveries: %w", err)
	}
	for i := range deliveries {
		d := &deliveries[i]
		rows, err := tx.Query(ctx, `SELECT n, started_at, duration, outcome, code, reason, response FROM
 (SELECT * FROM notify_attempts WHERE tenant = ? AND delivery_id = ? ORDER BY n DESC LIMIT 50) a ORDER BY n`, tx.Tenant(), d.ID)
		d.Attempts, err = collect(rows, err, func(rows *sql.Rows) (a Attempt, err error) {
			var started, took int64
			err = rows.Scan(&a.N, &started, &took, &a.Outcome, &a.Code, &a.Reason, &a.Response)
			a.Time, a.Duration = micros(started), time.Duration(took)*time.Microsecond
			return a, err
		})
		if err != nil {
			return nil, fmt.Errorf("notify: read attempts: %w", err)
		}
	}
	return deliveries, nil
}

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // a broken read is in rows.Err
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Retry has the failed deliveries of a message tried again, at once and then
// on the whole schedule, and returns how many those are. Errors: KindNotFound;
// KindConflict "secret_removed" for a message that held a secret; KindLimited
// "rate_exceeded" where the day has no room for its e-mails.
func (s *Service) Retry(ctx context.Context, p platform.Principal, message string, keys ...*platform.IdempotencyKey) (int, error) {
	if err := p.RequireTenant(); err != nil {
		return 0, err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant) // it may read a store of its own
	if err != nil {
		return 0, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.messages.retry", message)
	if err != nil {
		return 0, err
	}
	n := 0
	err = s.inTenant(ctx, p, call, &n, func(ctx context.Context, tx store.Tx) error {
		n = 0
		m, _, err := readMessage(ctx, tx, message)
		if err != nil {
			return err
		}
		if m.Status == MessageAccepted { // its look-up may have died
			_, err := s.cfg.Queue.Enqueue(ctx, tx, queue.Job{Kind: jobFanOut, Payload: jobPayload(m.ID), UniqueKey: m.ID})
			return err
		}
		rows, err := tx.Query(ctx, `SELECT id, channel, recipient, address FROM notify_deliveries WHERE tenant = ? AND message_id = ? AND message_id <> '' AND status = ? ORDER BY id`,
			p.Tenant, message, DeliveryFailed)
		failed, err := collect(rows, err, func(rows *sql.Rows) (d Delivery, err error) {
			return d, rows.Scan(&d.ID, &d.Channel, &d.Recipient, &d.Address)
		})
		if err != nil {
			return fmt.Errorf("notify: failed deliveries: %w", err)
		}
		if m.Secret && len(failed) > 0 {
			return errSecretRemoved()
		}
		for _, d := range failed {
			again, err := s.restart(ctx, tx, limits, d, m.Actor)
			if err != nil {
				return err
			}
			if again {
				n++
			}
		}
		return nil
	})
	return n, err
}

// RetryDelivery is [Service.Retry] for one delivery. Errors: KindNotFound;
// KindConflict "not_failed" where it has not failed, "secret_removed" where its
// message held a secret; KindLimited "rate_exceeded" for an e-mail that the day
// has no room for.
func (s *Service) RetryDelivery(ctx context.Context, p platform.Principal, id string, keys ...*platform.IdempotencyKey) (Delivery, error) {
	if err := p.RequireTenant(); err != nil {
		return Delivery{}, err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant) // it may read a store of its own
	if err != nil {
		return Delivery{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.deliveries.retry", id)
	if err != nil {
		return Delivery{}, err
	}
	var d Delivery
	err = inTenantLarge(ctx, s, p, call, &d, &d.ID, readDelivery, func(ctx context.Context, tx store.Tx) error {
		var err error
		if d, err = readDelivery(ctx, tx, id); err != nil {
			return err
		}
		var m SentMessage
		if d.Channel == ChannelEmail && d.Status == DeliveryFailed {
			if m, _, err = readMessage(ctx, tx, d.Message); err != nil {
				return err
			}
			if m.Secret {
				return errSecretRemoved()
			}
		}
		again, err := s.restart(ctx, tx, limits, d, m.Actor)
		if err != nil {
			return err
		}
		if !again {
			return platform.Errorf(platform.KindConflict, "not_failed", "only a failed delivery can be tried again")
		}
		d, err = readDelivery(ctx, tx, id)
		return err
	})
	return d, err
}

func readDelivery(ctx context.Context, tx store.Tx, id string) (Delivery, error) {
	rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+` FROM notify_deliveries WHERE tenant = ? AND id = ?`, tx.Tenant(), id)
	found, err := scanDeliveries(ctx, tx, rows, err)
	if err != nil {
		return Delivery{}, err
	}
	if len(found) == 0 {
		return Delivery{}, platform.NotFound("delivery")
	}
	return found[0], nil
}

// restart puts a delivery at the beginning of its schedule, and reports whether
// it is a failed one: of two calls at once, one finds it so. An e-mail counts
// again for the actor of its message.
func (s *Service) restart(ctx context.Context, tx store.Tx, l platform.Limits, d Delivery, actor string) (bool, error) {
	n, err := affected(tx.Exec(ctx, `UPDATE notify_deliveries SET status = ?, tries = 0, next_attempt_at = NULL, updated_at = ?
WHERE tenant = ? AND id = ? AND status = ?`, DeliveryPending, s.cfg.Now().UnixMicro(), tx.Tenant(), d.ID, DeliveryFailed))
	if err != nil {
		return false, fmt.Errorf("notify: restart: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	if d.Channel == ChannelEmail {
		if err := quota.Take(ctx, tx, s.cfg.Now(), mailCharges(l, mailCharge{actor, d.Address})...); err != nil {
			return false, err
		}
	}
	return true, s.enqueueDelivery(ctx, tx, d.ID, d.Channel, d.Recipient)
}
