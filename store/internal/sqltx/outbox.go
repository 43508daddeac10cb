package sqltx

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"iter"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

//go:embed migrations
var migrations embed.FS

// Outbox returns the migrations of the tables outbox and inbox, which every
// driver runs before it serves.
func Outbox() store.Migrations {
	return store.Migrations{Component: "outbox", Files: sub(migrations, "migrations")}
}

// insertRows are the statements that insert many rows of the outbox at once.
// Few lengths, so that the texts stay in the statement caches.
var insertRows = [...]struct {
	rows int
	text string
}{
	{64, insertText(64)}, {8, insertText(8)}, {1, insertText(1)},
}

const outboxColumns = 10

func insertText(rows int) string {
	row := ", (?" + strings.Repeat(", ?", outboxColumns-1) + ")"
	return "INSERT INTO outbox (id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data) VALUES " +
		strings.Repeat(row, rows)[2:]
}

// Emit implements [store.Tx] and [store.CrossTx].
func (t *Tx) Emit(ctx context.Context, events ...platform.Event) error {
	if t.cfg.ReadOnly {
		return fmt.Errorf("emit: %w", ErrReadOnly)
	}
	if err := t.conn.context(ctx).Err(); err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	for i, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("emit: event %d of %d: %w", i+1, len(events), err)
		}
		if err := t.own(e); err != nil {
			return fmt.Errorf("emit: event %d of %d: %w", i+1, len(events), err)
		}
	}
	trace := platform.TraceParentFrom(ctx)
	for _, e := range events {
		t.held = append(t.held, e.ID, e.Source, e.Type, string(e.Tenant), e.Subject,
			e.Time.UnixMicro(), e.Actor, e.OnBehalfOf, cmp.Or(e.TraceParent, trace), string(e.Data))
	}
	return nil
}

// Held are rows of the outbox that wait for the commit: the arguments of their
// insert, one row after the other.
type Held []any

// Held returns the events that the transaction has emitted. The driver inserts
// them together with the commit.
func (t *Tx) Held() Held { return t.held }

// Inserts returns the statements that insert the rows, with their arguments, in
// order.
func (h Held) Inserts() iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for _, stmt := range insertRows {
			for n := stmt.rows * outboxColumns; len(h) >= n; h = h[n:] {
				if !yield(stmt.text, h[:n:n]) {
					return
				}
			}
		}
	}
}

// Once implements [store.Tx] and [store.CrossTx].
func (t *Tx) Once(ctx context.Context, group string, event platform.Event) (bool, error) {
	if t.cfg.ReadOnly {
		return false, fmt.Errorf("once: %w", ErrReadOnly)
	}
	if group == "" || event.ID == "" {
		return false, fmt.Errorf("once: %w", platform.Errorf(platform.KindInvalid, "once", "a group and the event's id are needed"))
	}
	if err := event.Tenant.Validate(); err != nil {
		return false, fmt.Errorf("once: %w", err)
	}
	if err := t.own(event); err != nil {
		return false, fmt.Errorf("once: %w", err)
	}
	result, err := t.Exec(ctx,
		"INSERT INTO inbox (tenant, consumer, event_id, seen) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		string(event.Tenant), group, event.ID, t.cfg.Now().UnixMicro())
	if err != nil {
		return false, fmt.Errorf("once: %w", err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("once: %w", err)
	}
	return n == 1, nil
}

// own refuses the event of another tenant than the transaction's.
func (t *Tx) own(e platform.Event) error {
	if t.cfg.Tenant != "" && e.Tenant != t.cfg.Tenant {
		return platform.Errorf(platform.KindNoTenant, "other_tenant", "the event belongs to another tenant than the transaction")
	}
	return nil
}
