package sqlite

import (
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/acme/platform"
	"github.com/acme/platform/store/internal/sqltx"
)

// ErrOpen is the cause of the error of [Open] for a file that is open already,
// in this process or another.
var ErrOpen = errors.New("sqlite: the file is open already")

// ErrNested is the error of a transaction begun inside another one of the same
// file: it would wait for itself.
var ErrNested = errors.New("sqlite: a transaction was begun inside another one")

// NewerError is the error of migrating a database that a newer program has
// migrated before.
type NewerError = sqltx.NewerError

// ChangedError is the error of a migration that was edited after it had been
// applied.
type ChangedError = sqltx.ChangedError

// translate gives SQLite's errors a kind where a caller can act on it. The
// original stays in the tree.
func translate(err error) error {
	var e *sqlite.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return platform.Errorf(platform.KindConflict, "unique", "it exists already").Because(err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return full(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return platform.Errorf(platform.KindUnavailable, "store_busy", "the store is busy").Because(err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY:
		return platform.Errorf(platform.KindUnavailable, "store_unavailable", "the store does not work").Because(err)
	}
	return err
}
