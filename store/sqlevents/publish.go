package sqlevents

import (
	"context"
	"fmt"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// Publish appends the events in one transaction. An event whose id the tenant
// has in the stream already is left out. It returns an error of
// [platform.KindInvalid] or [platform.KindNoTenant], and appends none, where an
// event is not valid.
func (e *Events) Publish(ctx context.Context, events ...platform.Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	return e.cfg.DB.AcrossTenants(ctx, e.cross.publish, func(ctx context.Context, tx store.CrossTx) error {
		return e.PublishTx(ctx, tx, events...)
	})
}

// PublishTx is Publish as a part of the transaction tx.
func (e *Events) PublishTx(ctx context.Context, tx store.CrossTx, events ...platform.Event) error {
	for i := range events {
		if err := events[i].Validate(); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	add := appendRows
	if sqltx.OnPostgres(e.cfg.DB) {
		add = appendArrays
	}
	if err := add(ctx, tx, events, e.cfg.Now().UnixMicro()); err != nil {
		return fmt.Errorf("events: append: %w", err)
	}
	tx.AfterCommit(e.wakeAll)
	return nil
}

// SharesStore reports whether transactions of db reach the stream, which is so
// for the very store of the Config.
func (e *Events) SharesStore(db store.Relational) bool { return db == e.cfg.DB }

// appendRows appends in a store with one writer, in which the order of the stream
// is that of the commits by itself.
func appendRows(ctx context.Context, tx store.Queries, events []platform.Event, stored int64) error {
	args := make([]any, 0, appendLarge.rows*appendColumns)
	for rest := events; len(rest) > 0; {
		statement := appendOne
		if len(rest) >= appendLarge.rows {
			statement = appendLarge
		}
		args = args[:0]
		for i := range statement.rows {
			ev := &rest[i]
			args = append(args, ev.ID, ev.Source, ev.Type, string(ev.Tenant), ev.Subject,
				ev.Time.UnixMicro(), ev.Actor, ev.OnBehalfOf, ev.TraceParent, string(ev.Data), stored)
		}
		if _, err := tx.Exec(ctx, statement.text, args...); err != nil {
			return err
		}
		rest = rest[statement.rows:]
	}
	return nil
}

const appendColumns = 11

// appendStatement appends a fixed number of rows, so that its text is constant
// and prepared once.
type appendStatement struct {
	rows int
	text string
}

var (
	appendOne   = newAppendStatement(1)
	appendLarge = newAppendStatement(50)
)

func newAppendStatement(rows int) appendStatement {
	return appendStatement{rows, "INSERT INTO event_log (id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data, stored) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), ", rows), ", ") +
		" ON CONFLICT (tenant, id) DO NOTHING"}
}
