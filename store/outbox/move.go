package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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
// contrast to a stream that is away.
func refused(err error) bool {
	kind := platform.KindOf(err)
	return kind == platform.KindInvalid || kind == platform.KindMalformed ||
		kind == platform.KindNoTenant || kind == platform.KindTooLarge
}

// empty looks without getting in the way of writers: most looks find nothing.
// The order leads by the index past rows that are gone and not yet vacuumed.
func (r *Relay) empty(ctx context.Context) (empty bool, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
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

// move publishes or sets aside the first events, at most limit, and returns how
// many. The event of bad is set aside. A single event that the stream refuses is
// a [*refusal].
func (r *Relay) move(ctx context.Context, limit int, bad *refusal) (n int, err error) {
	var dead []row
	switch {
	case r.tx != nil:
		n, dead, err = r.moveAtOnce(ctx, limit, bad, r.tx.PublishTx)
	case r.dialect.turn != "":
		n, dead, err = r.moveInTurn(ctx, limit, bad)
	default:
		n, dead, err = r.moveAway(ctx, limit, bad)
	}
	if err != nil {
		return 0, err
	}
	for _, d := range dead {
		r.log.ErrorContext(ctx, "event set aside", slog.Int64("seq", d.seq), slog.String("event", d.event.ID),
			slog.String("type", d.event.Type), slog.String("tenant", string(d.event.Tenant)), slog.Any("error", d.cause))
	}
	return n, nil
}

// moveAtOnce claims, publishes and sets aside in one transaction.
func (r *Relay) moveAtOnce(ctx context.Context, limit int, bad *refusal, publish func(context.Context, store.Tx, ...platform.Event) error) (n int, dead []row, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
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
		return r.bury(ctx, tx, dead)
	})
	return n, dead, err
}

// moveAway is move to a stream that is not in the store, of the one relay that
// there is, in a store with one writer: nobody waits for the stream. Rows are
// deleted only once the stream has them.
func (r *Relay) moveAway(ctx context.Context, limit int, bad *refusal) (int, []row, error) {
	var rows []row
	err := r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		rows, err = query(ctx, tx, `SELECT seq, id, source, type, tenant, subject, time, actor, data
			FROM outbox ORDER BY seq LIMIT ?`, limit)
		return err
	}, store.ReadOnly)
	if err != nil || len(rows) == 0 {
		return 0, nil, err
	}
	dead, err := publishRows(rows, bad, func(events []platform.Event) error { return r.publish(ctx, events) })
	if err != nil {
		return 0, nil, err
	}
	// As in moveInTurn.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := remove(ctx, tx, rows); err != nil {
			return err
		}
		return r.bury(ctx, tx, dead)
	})
	return len(rows), dead, err
}

// publish hands events to a stream outside of the store.
func (r *Relay) publish(ctx context.Context, events []platform.Event) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.PublishTimeout)
	defer cancel()
	return r.cfg.Events.Publish(ctx, events...)
}

// publishRows publishes what can be published and returns the rest.
func publishRows(rows []row, bad *refusal, publish func([]platform.Event) error) (dead []row, err error) {
	events, dead := split(rows, bad)
	if len(events) == 0 {
		return dead, nil
	}
	if err := publish(events); err != nil {
		err = fmt.Errorf("outbox: publish: %w", err)
		if len(rows) == 1 && refused(err) {
			err = &refusal{seq: rows[0].seq, cause: err}
		}
		return nil, err
	}
	return dead, nil
}

// deleteTime bounds the delete of what was published.
const deleteTime = 5 * time.Second

// remove deletes exactly these rows: one with a number between theirs may have
// been committed since.
func remove(ctx context.Context, tx store.Tx, rows []row) error {
	args := make([]any, 0, removeMany)
	for len(rows) > 0 {
		n, text := 1, removeOneText
		if len(rows) >= removeMany {
			n, text = removeMany, removeManyText
		}
		args = args[:0]
		for _, w := range rows[:n] {
			args = append(args, w.seq)
		}
		if _, err := tx.Exec(ctx, text, args...); err != nil {
			return fmt.Errorf("outbox: delete: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// removeMany is the length of the longer of two statements: constant texts are
// prepared once.
const removeMany = 50

var (
	removeOneText  = "DELETE FROM outbox WHERE seq IN (?)"
	removeManyText = "DELETE FROM outbox WHERE seq IN (?" + strings.Repeat(", ?", removeMany-1) + ")"
)

func query(ctx context.Context, tx store.Tx, text string, limit int) ([]row, error) {
	found, err := tx.Query(ctx, text, limit)
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
			&w.event.Subject, &at, &w.event.Actor, &data); err != nil {
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

// split parts what can be published from what never can.
func split(rows []row, bad *refusal) (events []platform.Event, dead []row) {
	events = make([]platform.Event, 0, len(rows))
	for _, w := range rows {
		if bad != nil && bad.seq == w.seq {
			w.cause = bad.cause
		} else {
			w.cause = w.event.Validate()
		}
		if w.cause != nil {
			dead = append(dead, w)
			continue
		}
		events = append(events, w.event)
	}
	return events, dead
}
