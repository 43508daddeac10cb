package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// fullRetry is when it is worth trying again where there was no room.
const fullRetry = 30 * time.Second

// space keeps a part of the disk in reserve: where no more than that is left,
// only transactions with [store.Reserved] may write. So signing in and
// deleting work on a disk that others have filled, and the write-ahead log has
// the room that it needs to be moved into the file.
type space struct {
	folder  string
	reserve int64
	// free returns the bytes that are left on the disk of a folder, or -1 where
	// that cannot be known.
	free func(folder string) (int64, error)

	low atomic.Bool // by the last look
	// refused is when a transaction last found no room, in ns, as it may for
	// reasons that free does not see: a quota, or the largest size of a file.
	refused atomic.Int64
}

func newSpace(path string, o options) *space {
	return &space{folder: filepath.Dir(path), reserve: o.reserve, free: o.free}
}

// look reports whether what is left is kept in reserve, and how much it is. Pages
// of the file that are free are room as well, but the log needs some of the
// disk. They are asked for where they matter alone.
func (s *space) look(freePages func() int64) (low bool, left int64) {
	if s.reserve == 0 {
		return false, 0
	}
	left, err := s.free(s.folder)
	low = err == nil && left >= 0 && left < s.reserve && (left < s.reserve/4 || left+freePages() < s.reserve)
	s.low.Store(low)
	return low, left
}

// errFull is the error of a transaction that must leave the room to others.
func errFull() error { return full(nil) }

func full(cause error) error {
	e := platform.Errorf(platform.KindUnavailable, "store_full", "the store has no room for more; signing in, reading and deleting work")
	e.RetryAfter = fullRetry
	if cause != nil {
		return e.Because(cause)
	}
	return e
}

// isFull reports whether SQLite found no room.
func isFull(err error) bool {
	return errors.Is(err, &platform.Error{Kind: platform.KindUnavailable, Code: "store_full"})
}

// freePages are the bytes of the file that are free, for the holder of the
// writer's turn.
func (w *writer) freePages() (bytes int64) {
	if w.conn == nil {
		return 0
	}
	row := w.conn.sql.QueryRowContext(w.conn.life, freePagesQuery)
	if row.Scan(&bytes) != nil {
		return 0
	}
	return bytes
}

const freePagesQuery = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"

// checkSpace says whether writes are refused for want of room, or were within
// fullRetry.
func (db *DB) checkSpace(ctx context.Context) error {
	s := db.writer.space
	low, left := s.look(func() (bytes int64) {
		_ = db.AcrossTenants(ctx, db.cross.check, func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, freePagesQuery).Scan(&bytes)
		}, store.ReadOnly)
		return bytes
	})
	if low {
		return full(fmt.Errorf("sqlite: %d bytes are left on the disk of %s, where %d are kept in reserve", left, db.path, s.reserve))
	}
	if last := s.refused.Load(); last > 0 && db.now().Sub(time.Unix(0, last)) < fullRetry {
		return full(fmt.Errorf("sqlite: a write to %s has found no room", db.path))
	}
	return nil
}
