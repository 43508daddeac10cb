package sqlite

// Commits returns how many groups of transactions db has committed.
func Commits(db *DB) int { return int(db.writer.commits.Load()) }
