package mongo

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// work relays events and sweeps, in one of all processes.
func (d *Documents) work(ctx context.Context) {
	l := &lease{d: d, owner: newName()}
	s := &sweeper{d: d}
	r := &relay{d: d, published: make(map[string]string)}
	backoff := background.Backoff{Min: d.cfg.MinBackoff, Max: d.cfg.MaxBackoff, Rand: d.cfg.Rand}
	for failures := 0; ctx.Err() == nil; {
		held, err := l.hold(ctx)
		more := false
		if err == nil && held {
			more, err = d.duties(ctx, l, r, s)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			if failures++; failures == 1 {
				d.log.WarnContext(ctx, "events cannot be published; they wait in the outbox", slog.Any("error", err))
			}
			background.Sleep(ctx, min(backoff.Pause(failures), d.beat()))
		case failures > 0:
			d.log.InfoContext(ctx, "events are published again", slog.Int("failures", failures))
			failures = 0
		case more: // go on at once
		case held:
			d.emitted.Wait(ctx, d.cfg.Interval)
		default:
			background.Sleep(ctx, min(d.beat(), max(d.cfg.Interval, time.Second)))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	l.release(ctx)
}

// duties relays, until the next sign of life is due, and sweeps. It reports whether
// there may be more to relay.
func (d *Documents) duties(ctx context.Context, l *lease, r *relay, s *sweeper) (more bool, err error) {
	ctx, cancel := l.until(ctx)
	defer cancel()
	if more, err = r.drain(ctx, d.beat()); err != nil {
		return false, err
	}
	return more, s.sweep(ctx)
}

// relay moves events from the outbox to the stream. Only one goroutine uses it.
type relay struct {
	d *Documents
	// published is the last row of each collection that was published: one
	// that comes again, from who carried out a commit late, is dropped.
	published map[string]string
	after     string // the last row that was moved
}

// maxPublished bounds what is remembered.
const maxPublished = 10_000

// outboxed is a row of the outbox with its _id.
type outboxed struct {
	id string
	outboxRow
}

// drain moves events until there are none, or for about the time of most: under a
// steady load there are always more, while the lease and the sweeper wait. It
// reports whether there may be more.
func (r *relay) drain(ctx context.Context, most time.Duration) (more bool, err error) {
	for began := time.Now(); time.Since(began) < most; {
		rows, err := r.next(ctx)
		if err == nil && len(rows) == 0 && r.after != "" {
			r.after = "" // around again
			rows, err = r.next(ctx)
		}
		if err != nil || len(rows) == 0 {
			return false, err
		}
		if err := r.move(ctx, rows); err != nil {
			return false, err
		}
		r.after = rows[len(rows)-1].id
	}
	return true, nil
}

// next returns rows that can be published: every earlier one of the same tenant
// is among them or was published. Rows of a commit are there before any that
// follows it is made, so whatever the first look sees, the second one sees all
// that comes before it.
func (r *relay) next(ctx context.Context) ([]outboxed, error) {
	ends := make(map[scope]string)
	first, last, n := "", "", 0
	err := r.d.everyTenant.outboxRows(ctx, r.after, "", r.d.cfg.Batch, func(id string, row *outboxRow) (bool, error) {
		if first == "" {
			first = id
		}
		last = id
		ends[scopeOf(id)] = id
		n += len(row.Events)
		return n < r.d.cfg.Batch, nil
	})
	if err != nil || first == "" {
		return nil, err
	}
	var rows []outboxed
	err = r.d.everyTenant.outboxRows(ctx, scopeOf(first).all().from, last, 0, func(id string, row *outboxRow) (bool, error) {
		if id <= ends[scopeOf(id)] {
			rows = append(rows, outboxed{id, *row})
		}
		return true, nil
	})
	return rows, err
}

// move publishes rows and removes them.
func (r *relay) move(ctx context.Context, rows []outboxed) error {
	var events []platform.Event
	for _, row := range rows {
		if row.id <= r.published[row.Number] {
			continue
		}
		for _, e := range row.Events {
			events = append(events, e.event())
		}
	}
	if len(events) > 0 {
		err := r.d.cfg.Events.Publish(ctx, events...)
		if refused(err) {
			err = r.singly(ctx, rows)
		}
		if err != nil {
			return fmt.Errorf("mongo: publish: %w", err)
		}
	}
	if len(r.published)+len(rows) > maxPublished {
		clear(r.published)
	}
	for _, row := range rows {
		r.published[row.Number] = max(row.id, r.published[row.Number])
	}
	// What is published should go although the relay is stopping: otherwise it
	// is published again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.d.cfg.Timeout)
	defer cancel()
	return r.remove(ctx, rows)
}

func (r *relay) remove(ctx context.Context, rows []outboxed) error {
	ids := make([]rowID, len(rows))
	for i, row := range rows {
		ids[i] = rowID{row.id}
	}
	return r.d.outbox.dropAll(ctx, ids)
}

// refused reports whether the stream will never take one of the events, in
// contrast to a stream that is away.
func refused(err error) bool {
	if err == nil {
		return false
	}
	kind := platform.KindOf(err)
	return kind == platform.KindInvalid || kind == platform.KindMalformed ||
		kind == platform.KindNoTenant || kind == platform.KindTooLarge
}

// singly publishes events one by one and sets aside those that are refused.
func (r *relay) singly(ctx context.Context, rows []outboxed) error {
	for _, row := range rows {
		for i, e := range row.Events {
			err := r.d.cfg.Events.Publish(ctx, e.event())
			if err == nil {
				continue
			}
			if !refused(err) {
				return err
			}
			id := fmt.Sprintf("%s%s%06d", row.id, separator, i)
			if err := r.d.everyTenant.bury(ctx, id, deadRow{Event: e, Cause: err.Error(), Died: r.d.micros()}); err != nil {
				return err
			}
			r.d.log.ErrorContext(ctx, "event set aside", slog.String("event", e.ID), slog.String("type", e.Type),
				slog.String("tenant", e.Tenant), slog.Any("error", err))
		}
	}
	return nil
}
