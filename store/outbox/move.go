package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// row is an event in the outbox.
type row struct {
	seq   int64
	event platform.Event
	cause error // why no stream will take it
}

// refusal is the error of a stream that will never take the event in a row.
type refusal struct {
	seq   int64
	cause error
}

func (e *refusal) Error() string { return e.cause.Error() }
func (e *refusal) Unwrap() error { return e.cause }

// drain moves events until there are none, or another relay is at work.
func (r *Relay) drain(ctx context.Context) error {
	if empty, err := r.empty(ctx); err != nil || empty {
		return err
	}
	var bad *refusal
	for ctx.Err() == nil {
		limit := r.cfg.Batch
		if r.singly > 0 || bad != nil {
			limit = 1
		}
		n, err := r.move(ctx, limit, bad)
		bad = nil
		switch {
		case errors.As(err, &bad):
			continue
		case refused(err):
			r.singly = limit
			continue
		case err != nil:
			return err
		}
		if r.singly > 0 {
			r.singly--
		}
		if n < limit {
			r.singly = 0
			return nil
		}
	}
	return ctx.Err()
}

// refused reports whether the stream will never take one of the events, in
// contrast to a stream that is unavailable.
func refused(err error) bool {
	kind := platform.KindOf(err)
	return kind == platform.KindInvalid || kind == platform.KindMalformed ||
		kind == platform.KindNoTenant || kind == platform.KindTooLarge
}

// empty looks without getting in the way of writers: most looks find nothing.
// The order leads by the index past rows that are gone and not yet vacuumed.
func (r *Relay) empty(ctx context.Context) (empty bool, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.relay, func(ctx context.Context, tx store.CrossTx) error {
		var n int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT seq FROM outbox ORDER BY seq LIMIT 1) AS first`).Scan(&n)
		empty = n == 0
		return err
	}, store.ReadOnly)
	if err != nil {
		return false, fmt.Errorf("outbox: look: %w", err)
	}
	return empty, nil
}

// move publishes or dead-letters the first events, at most limit, and returns how
// many. The event of bad is dead-lettered. A single event that the stream refuses is
// a [*refusal].
func (r *Relay) move(ctx context.Context, limit int, bad *refusal) (n int, err error) {
	var dead []row
	switch {
	case r.tx != nil:
		n, dead, err = r.moveAtOnce(ctx, limit, bad, r.tx.PublishTx)
	case r.dialect.turn != "":
		n, dead, err = r.moveInTurn(ctx, limit, bad)
	default:
		n, dead, err = r.moveRemote(ctx, limit, bad)
	}
	if err != nil {
		return 0, err
	}
	for _, d := range dead {
		r.log.ErrorContext(ctx, "event dead-lettered", slog.Int64("seq", d.seq), slog.String("event", d.event.ID),
			slog.String("type", d.event.Type), slog.String("tenant", string(d.event.Tenant)), slog.Any("error", d.cause))
	}
	return n, nil
}

// moveAtOnce claims, publishes and dead-letters in one transaction.
func (r *Relay) moveAtOnce(ctx context.Context, limit int, bad *refusal, publish func(context.Context, store.CrossTx, ...platform.Event) error) (n int, dead []row, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.relay, func(ctx context.Context, tx store.CrossTx) error {
		if err := r.dialect.takeTurn(ctx, tx); err != nil {
			return err
		}
		rows, err := r.dialect.claim(ctx, tx, limit)
		if err != nil {
			return err
		}
		n = len(rows)
		dead, err = publishRows(rows, bad, func(events []platform.Event) error { return publish(ctx, tx, events...) })
		if err != nil {
			return err
		}
		return r.deadLetter(ctx, tx, dead)
	})
	return n, dead, err
}

func query(ctx context.Context, tx store.Queries, text string, args ...any) ([]row, error) {
	found, err := tx.Query(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: read: %w", err)
	}
	defer found.Close()
	var rows []row
	for found.Next() {
		var (
			w    row
			at   int64
			data []byte
		)
		if err := found.Scan(&w.seq, &w.event.ID, &w.event.Source, &w.event.Type, (*string)(&w.event.Tenant),
			&w.event.Subject, &at, &w.event.Actor,
			&w.event.OnBehalfOf, &w.event.TraceParent, &data); err != nil {
			return nil, fmt.Errorf("outbox: read: %w", err)
		}
		w.event.Time = time.UnixMicro(at).UTC()
		if len(data) > 0 {
			w.event.Data = json.RawMessage(data)
		}
		rows = append(rows, w)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("outbox: read: %w", err)
	}
	return rows, nil
}
