package sqlite

// Commits returns how many groups of transactions db has committed.
func Commits(db *DB) int { return int(db.writer.commits.Load()) }

// Waiting returns how many transactions wait for the writer.
func Waiting(db *DB) int {
	db.writer.mu.Lock()
	defer db.writer.mu.Unlock()
	return len(db.writer.queue)
}

// Statements returns how many prepared statements the writer keeps. Nothing
// may use the writer meanwhile.
func Statements(db *DB) (kept, limit int) { return db.writer.conn.stmts.kept.Len(), keptStatements }

const GroupSize = groupSize

// LogLimit is the size of the write-ahead log from which on it is emptied.
const LogLimit = walLimit

// LogTries returns how often that was tried.
func LogTries(db *DB) int { return int(db.writer.wal.tries.Load()) }

// BreakConnections closes all connections, as errors of the disk do. Nothing
// may use them meanwhile.
func BreakConnections(db *DB) error {
	for _, s := range db.readers.idle {
		_ = s.close()
	}
	db.readers.idle = nil
	err := db.writer.conn.close()
	db.writer.conn = nil
	return err
}

// FreeBytes replaces what asks the system for the room that is left.
func FreeBytes(free func(folder string) (int64, error)) Option {
	return func(o *options) { o.free = free }
}
