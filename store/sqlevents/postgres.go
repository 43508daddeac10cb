package sqlevents

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// appendLock is the key of a lock that makes appends wait for one another until
// their commit, so that the order of the stream is that of the commits. With two
// at once the later number could commit first, and a consumer that has it would
// pass over the other. Transactions of tenants take it too, so it is not one of
// store.Tx.Lock.
var appendLock = sqltx.AdvisoryKey("sqlevents", "append")

// appendArrays appends in one statement on PostgreSQL, however many events there
// are.
func appendArrays(ctx context.Context, tx store.Queries, events []platform.Event, stored int64) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(?)`, appendLock); err != nil {
		return err
	}
	n := len(events)
	ids, sources, types, tenants := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	subjects, actors, data, times := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	behalves, traces := make([]string, n), make([]string, n)
	for i := range events {
		ev := &events[i]
		ids[i], sources[i], types[i], tenants[i] = ev.ID, ev.Source, ev.Type, string(ev.Tenant)
		subjects[i], actors[i], data[i], times[i] = ev.Subject, ev.Actor, string(ev.Data), ev.Time.UnixMicro()
		behalves[i], traces[i] = ev.OnBehalfOf, ev.TraceParent
	}
	_, err := tx.Exec(ctx, `INSERT INTO event_log (id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data, stored)
		SELECT k.id, k.source, k.type, k.tenant, k.subject, k.time, k.actor, k.on_behalf_of, k.trace_parent, k.data, ?::bigint
		FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[])
			WITH ORDINALITY AS k (id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data, position)
		ORDER BY k.position
		ON CONFLICT (tenant, id) DO NOTHING`,
		stored, ids, sources, types, tenants, subjects, times, actors, behalves, traces, data)
	return err
}
