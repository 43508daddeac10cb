package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
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

// drain moves events until there are none.
func (r *Relay) drain(ctx context.Context) error {
	if empty, err := r.empty(ctx); err != nil || empty {
		return err
	}
	for ctx.Err() == nil {
		limit := r.cfg.Batch
		if r.singly > 0 {
			limit = 1
		}
		n, err := r.move(ctx, limit, nil)
		if err != nil && refused(err) {
			if limit > 1 {
				r.singly = limit
				continue
			}
			n, err = r.move(ctx, 1, err)
		}
		if err != nil {
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
func (r *Relay) empty(ctx context.Context) (empty bool, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
		var n int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT seq FROM outbox LIMIT 1) AS first`).Scan(&n)
		empty = n == 0
		return err
	}, store.ReadOnly)
	if err != nil {
		return false, fmt.Errorf("outbox: look: %w", err)
	}
	return empty, nil
}

// move publishes or sets aside the first events, at most limit, and returns how
// many. With a cause all are set aside.
func (r *Relay) move(ctx context.Context, limit int, cause error) (n int, err error) {
	var dead []row
	if r.tx != nil {
		err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
			rows, err := claim(ctx, tx, limit)
			if err != nil {
				return err
			}
			n = len(rows)
			var events []platform.Event
			if events, dead = split(rows, cause); len(events) > 0 {
				if err := r.tx.PublishTx(ctx, tx, events...); err != nil {
					return fmt.Errorf("outbox: publish: %w", err)
				}
			}
			return r.bury(ctx, tx, dead)
		})
	} else {
		n, dead, err = r.moveAway(ctx, limit, cause)
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

// moveAway is move to a stream that is not in the store: rows are deleted only
// once the stream has them.
func (r *Relay) moveAway(ctx context.Context, limit int, cause error) (int, []row, error) {
	var rows []row
	err := r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) (err error) {
		rows, err = query(ctx, tx, `SELECT seq, id, source, type, tenant, subject, time, actor, data
			FROM outbox ORDER BY seq LIMIT ?`, limit)
		return err
	}, store.ReadOnly)
	if err != nil || len(rows) == 0 {
		return 0, nil, err
	}
	events, dead := split(rows, cause)
	if len(events) > 0 {
		if err := r.cfg.Events.Publish(ctx, events...); err != nil {
			return 0, nil, fmt.Errorf("outbox: publish: %w", err)
		}
	}
	// What is published should be deleted although the relay is stopping:
	// otherwise it is published again.
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

// claim takes the first rows out of the outbox.
func claim(ctx context.Context, tx store.Tx, limit int) ([]row, error) {
	rows, err := query(ctx, tx, `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT ?)
		RETURNING seq, id, source, type, tenant, subject, time, actor, data`, limit)
	if err != nil {
		return nil, err
	}
	// RETURNING promises no order.
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return rows, nil
}

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
func split(rows []row, cause error) (events []platform.Event, dead []row) {
	events = make([]platform.Event, 0, len(rows))
	for _, w := range rows {
		w.cause = cause
		if cause == nil {
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
