package sqlite

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

const (
	// walLimit is the size in bytes from which on the write-ahead log is
	// emptied by waiting for readers.
	walLimit = 32 << 20
	// walEvery is how many groups pass between two looks at its size.
	walEvery = 16
	// walWait bounds how long writers wait for readers then.
	walWait = 200 * time.Millisecond
)

// walGuard keeps the write-ahead log from growing without end. SQLite copies
// it into the file on its own, at 1,000 pages, but begins it again only in a
// moment when no reader looks into it, and under steady readers that moment
// may not come (https://www.sqlite.org/wal.html, "Avoiding Excessively Large
// WAL Files"). The guard makes one: readers that begin while it waits need the
// log no longer. A reader that stays for long keeps its log, whatever we do;
// then the guard tries again at twice the size.
type walGuard struct {
	groups int
	limit  int64
	tries  atomic.Int64 // how often the log was too large
}

// look is called after each group, by the holder of the turn.
func (g *walGuard) look(w *writer) {
	if g.groups++; g.groups%walEvery != 0 {
		return
	}
	if g.limit == 0 {
		g.limit = walLimit
	}
	info, err := os.Stat(w.db.path + "-wal")
	if err != nil || info.Size() <= g.limit {
		return
	}
	g.limit *= 2
	g.tries.Add(1)
	if busy, err := w.conn.checkpoint(); err == nil && !busy {
		g.limit = walLimit
	}
}

// checkpoint moves the write-ahead log into the file and empties it, unless
// readers are busy with it for longer than walWait.
func (s *session) checkpoint() (busy bool, err error) {
	ctx := s.life
	if _, err := s.sql.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", walWait.Milliseconds())); err != nil {
		return false, err
	}
	var frames, copied int
	err = s.sql.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &copied)
	if _, e := s.sql.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds())); err == nil {
		err = e
	}
	return busy, err
}
