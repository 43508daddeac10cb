package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// ErrLost is the cause of the error of [DB.Start] for a database that is not all
// there: since it was last open its file, or its write-ahead log after a crash,
// was removed, emptied or replaced. To open it would make a new installation
// of what is left. The error says what is missing and what to do.
var ErrLost = errors.New("sqlite: a part of the database is missing")

// lost says what is missing, and how to go on.
func (db *DB) lost(format string, args ...any) error {
	return fmt.Errorf("%w: %s. Put back the whole folder as it was, or a backup of it. To go on with what is there, remove %s",
		ErrLost, fmt.Sprintf(format, args...), db.path+".state")
}

// checkFiles compares the files with the state, before anything is opened or
// made.
func (db *DB) checkFiles() error {
	size, err := sizeOf(db.path)
	if err != nil {
		return err
	}
	log, err := sizeOf(db.path + "-wal")
	if err != nil {
		return err
	}
	switch {
	case !db.state.known && size <= 0 && log > 0:
		// SQLite would remove the log.
		return fmt.Errorf("%w: the file is missing or empty, and its write-ahead log is there. Put back the file, or remove %s",
			ErrLost, db.path+"-wal")
	case !db.state.known:
		return nil
	case size < 0:
		return db.lost("the file is not there")
	case size == 0:
		return db.lost("the file is empty")
	case db.state.running && log < 0:
		return db.lost("it was not closed, so its write-ahead log %s must be there, and is not; "+
			"with it all that was not yet moved into the file is lost, unless another program, such as sqlite3, has moved it", db.path+"-wal")
	}
	return nil
}

// sizeOf is -1 for a file that is not there.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return -1, nil
	case err != nil:
		return 0, err
	}
	return info.Size(), nil
}

// begin compares the database with the state, and marks both with another
// start: the database first, by a commit that is forced to the disk whatever
// the level of the others, so that the log is there from then on; then the
// state. Before it has returned nothing is acknowledged.
func (db *DB) begin(ctx context.Context) error {
	if db.state.known {
		if err := db.checkInstallation(ctx); err != nil {
			return err
		}
	}
	if err := db.writer.setLevel(Full); err != nil {
		return err
	}
	now := stateRecord{running: true}
	err := db.AcrossTenants(ctx, db.cross.start, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS installation (id TEXT NOT NULL, starts INTEGER NOT NULL)"); err != nil {
			return err
		}
		const count = "UPDATE installation SET starts = starts + 1 RETURNING id, starts"
		err := tx.QueryRow(ctx, count).Scan(&now.installation, &now.starts)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		now.installation, now.starts = platform.NewID("sqlite"), 1
		_, err = tx.Exec(ctx, "INSERT INTO installation (id, starts) VALUES (?, ?)", now.installation, now.starts)
		return err
	}, store.Reserved)
	if err != nil {
		return err
	}
	if err := db.writer.setLevel(db.writer.pool.options.synchronous); err != nil {
		return err
	}
	return db.state.write(now)
}

// checkInstallation sees whether the database is the one of the state, and no
// older.
func (db *DB) checkInstallation(ctx context.Context) error {
	var id string
	var starts int64
	err := db.AcrossTenants(ctx, db.cross.start, func(ctx context.Context, tx store.CrossTx) error {
		var there bool
		err := tx.QueryRow(ctx, "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'installation'").Scan(&there)
		if err != nil || !there {
			return err
		}
		err = tx.QueryRow(ctx, "SELECT id, starts FROM installation").Scan(&id, &starts)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly)
	switch s := db.state; {
	case err != nil:
		return err
	case id == "":
		return db.lost("the file holds another database, or one that has lost its content")
	case s.damaged:
		return nil
	case id != s.installation:
		return db.lost("the file holds the database of another installation (%s, not %s)", id, s.installation)
	case starts < s.starts:
		return db.lost("the file is older than the last start (its start %d, not %d), or its write-ahead log was emptied", starts, s.starts)
	}
	return nil
}

// end notes that all commits are in the file itself, so that the write-ahead
// log is needed no longer.
func (db *DB) end() error {
	now := db.state.stateRecord
	now.running = false
	return db.state.write(now)
}
