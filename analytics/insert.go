package analytics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/acme/platform/store"
)

// insertTexts insert so many events with one statement: over a network each
// statement is a round trip. They are few and constant, so that the store keeps
// them prepared. The answer is the ids that were new.
var insertTexts = [...]struct {
	rows int
	text string
}{
	{500, insertText(500)}, {100, insertText(100)}, {20, insertText(20)}, {4, insertText(4)}, {1, insertText(1)},
}

const eventColumns = 7

func insertText(rows int) string {
	row := ", (?" + strings.Repeat(", ?", eventColumns-1) + ")"
	return "INSERT INTO analytics_events (tenant, id, name, user_id, time, received_at, properties) VALUES " +
		strings.Repeat(row, rows)[2:] + " ON CONFLICT (tenant, id) DO NOTHING RETURNING id"
}

// entry is a row with the call that it came in.
type entry struct {
	*row
	call *call
}

// entries are the rows of calls by id. Two processes that write the same events
// then take them in the same order, and do not wait for each other. Of rows with
// one id the first to come stays the first.
func entries(calls []*call) []entry {
	var all []entry
	for _, c := range calls {
		for i := range c.rows {
			all = append(all, entry{&c.rows[i], c})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(all, func(a, b entry) bool { return a.id == b.id })
}

// insert writes the entries and counts, in their calls, those that were new.
func insert(ctx context.Context, tx store.Tx, all []entry, received int64) error {
	var args []any
	for _, stmt := range insertTexts {
		for len(all) >= stmt.rows {
			args = args[:0]
			for _, e := range all[:stmt.rows] {
				args = append(args, string(tx.Tenant()), e.id, e.name, e.user, e.time, received, e.properties)
			}
			if err := insertSome(ctx, tx, stmt.text, args, all[:stmt.rows]); err != nil {
				return fmt.Errorf("insert events: %w", err)
			}
			all = all[stmt.rows:]
		}
	}
	return nil
}

// insertSome runs one statement.
func insertSome(ctx context.Context, tx store.Tx, text string, args []any, some []entry) error {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // a broken read is in rows.Err
	var id string
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return err
		}
		// What is kept beside the events, such as counters, is written for new
		// events alone: that makes it as idempotent as the table.
		i, ok := slices.BinarySearchFunc(some, id, func(e entry, id string) int { return cmp.Compare(e.id, id) })
		if !ok {
			return fmt.Errorf("the store returned an id that was not inserted")
		}
		some[i].call.fresh++
	}
	return rows.Err()
}
