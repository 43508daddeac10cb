package sqlevents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
	"github.com/acme/platform/store"
)

// maxBatchBytes ends a batch early; one event alone may be larger.
const maxBatchBytes = 4 << 20

// Consume is as [store.Events] says; package sqlevents tells the rest. It may be
// called before Start, for which it then waits. It returns an error where the
// group has no name, or one of more than 100 bytes, and after Stop.
func (e *Events) Consume(ctx context.Context, group string, h store.EventHandler) error {
	if group == "" || len(group) > 100 {
		return fmt.Errorf("events: a group needs a name of 1 to 100 bytes")
	}
	wake, leave, err := e.join()
	if err != nil {
		return err
	}
	defer leave()

	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.lifetime, cancel)() //nolint:contextcheck // two contexts end it

	select {
	case <-e.started:
		c := &consumer{
			Events: e, group: group, owner: e.cfg.NewID("con"), handle: h, wake: wake,
			store: delivery.Trouble{Log: e.log, What: "the store fails", Group: group},
		}
		c.run(ctx)
	case <-ctx.Done():
	}
	if outer.Err() == nil {
		return errStopped
	}
	return nil
}

// consumer is one call of Consume.
type consumer struct {
	*Events
	group, owner string
	handle       store.EventHandler
	wake         background.Signal
	store        delivery.Trouble
}

// run stands by for the lease and works while it has it, until ctx is done.
func (c *consumer) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		seq, held, err := c.acquire(ctx, c.group, c.owner)
		switch {
		case ctx.Err() != nil && !held:
		case err != nil:
			c.store.Begin(ctx, err)
			failures++
			background.Sleep(ctx, c.backoff.Pause(failures))
		case held:
			c.store.End(ctx)
			failures = 0
			c.serve(ctx, seq)
		default:
			c.store.End(ctx)
			failures = 0
			c.wake.Wait(ctx, c.cfg.Interval)
		}
	}
}

// serve works for the group until the lease is lost or ctx is done; in the
// second case it gives the lease back.
func (c *consumer) serve(ctx context.Context, seq int64) {
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	o := &offset{consumer: c, done: seq, stored: seq, storedAt: c.cfg.Now(), lose: lose}

	var renewing sync.WaitGroup
	renewing.Go(func() { o.keepLease(held) })

	c.work(held, o)

	lose(nil)
	renewing.Wait()
	if errors.Is(context.Cause(held), errLeaseLost) {
		c.log.WarnContext(ctx, "consumer lost its lease", slog.String("group", c.group))
		return
	}
	if err := c.release(ctx, c.group, c.owner, o.finished()); err != nil {
		c.log.WarnContext(ctx, "consumer could not store its last offset; events will come again",
			slog.String("group", c.group), slog.Any("error", err))
	}
}

// work delivers one batch after the other until ctx is done.
func (c *consumer) work(ctx context.Context, o *offset) {
	handler := delivery.Trouble{Log: c.log, What: "the handler fails", Group: c.group}
	size, unread := delivery.NewSize(c.cfg.Batch), 0
	for ctx.Err() == nil {
		batch, last, err := c.read(ctx, o.finished(), size.Now())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.store.Begin(ctx, err)
			unread++
			background.Sleep(ctx, c.backoff.Pause(unread))
			continue
		case len(batch) == 0:
			c.store.End(ctx)
			c.wake.Wait(ctx, o.storeIfDue(ctx))
			continue
		}
		c.store.End(ctx)
		unread = 0

		err = delivery.Call(ctx, c.log, c.group, c.handle, batch)
		if err == nil {
			handler.End(ctx)
			o.finish(last)
			if len(batch) == c.cfg.Batch {
				o.store(ctx)
			} else {
				o.storeIfDue(ctx)
			}
			size.Done()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		handler.Begin(ctx, err)
		if size.Failed(len(batch)) {
			c.log.ErrorContext(ctx, "an event holds up its consumers", slog.String("group", c.group),
				slog.String("event", batch[0].ID), slog.String("type", batch[0].Type),
				slog.String("tenant", string(batch[0].Tenant)), slog.Any("error", err))
		}
		background.Sleep(ctx, c.backoff.Pause(size.Failures()))
	}
}

// read returns the next events after seq, and the seq of the last.
func (c *consumer) read(ctx context.Context, seq int64, limit int) (batch []platform.Event, last int64, err error) {
	err = c.cfg.DB.AcrossTenants(ctx, c.cross.consume, func(ctx context.Context, tx store.CrossTx) error {
		batch, last = batch[:0], seq
		rows, err := tx.Query(ctx, `SELECT seq, id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data
			FROM event_log WHERE seq > ? ORDER BY seq LIMIT ?`, seq, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; size < maxBatchBytes && rows.Next(); {
			var (
				ev   platform.Event
				at   int64
				data []byte
			)
			if err := rows.Scan(&last, &ev.ID, &ev.Source, &ev.Type, (*string)(&ev.Tenant), &ev.Subject, &at, &ev.Actor,
				&ev.OnBehalfOf, &ev.TraceParent, &data); err != nil {
				return err
			}
			ev.Time = time.UnixMicro(at).UTC()
			if len(data) > 0 {
				ev.Data = json.RawMessage(data)
			}
			batch = append(batch, ev)
			size += len(data)
		}
		return rows.Err()
	}, store.ReadOnly)
	return batch, last, wrap("read", err)
}
