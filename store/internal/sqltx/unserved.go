package sqltx

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// UnservedAfter is how long events may wait while no relay is heard of.
const UnservedAfter = time.Minute

// errUnserved is the error of an outbox that nobody empties.
var errUnserved = platform.Errorf(platform.KindUnavailable, "outbox_unserved",
	"events wait in the outbox, and no relay of any process serves it: add a stream to the modules of platform.New, "+
		"sqlevents.New(sqlevents.Config{DB: db}), or beside a stream that is elsewhere outbox.New(outbox.Config{DB: db, Events: stream})")

// CheckOutbox returns an error where an event has waited for [UnservedAfter] and
// no relay was heard of for as long. Relays note that they are there also while
// the stream is unavailable, which is not the store's fault. Since says when the
// store was started: the relays of a process, or of others that start with it, get
// their time. All times are of the injected clocks, as with leases.
func CheckOutbox(ctx context.Context, tx store.Queries, now, since time.Time) error {
	var first, seen int64
	err := tx.QueryRow(ctx, `SELECT coalesce((SELECT time FROM outbox ORDER BY seq LIMIT 1), ?),
		coalesce((SELECT seen FROM outbox_heartbeat), 0)`, now.UnixMicro()).Scan(&first, &seen)
	if err != nil {
		return err
	}
	long := func(at time.Time) bool { return now.Sub(at) >= UnservedAfter }
	if long(since) && long(time.UnixMicro(first)) && long(time.UnixMicro(seen)) {
		return errUnserved
	}
	return nil
}
