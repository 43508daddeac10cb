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
