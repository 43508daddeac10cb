package testdb

import "testing"

// OnEach runs a benchmark on SQLite and on PostgreSQL, both with commits forced to
// the disk.
func OnEach(b *testing.B, run func(*testing.B, DB)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { run(b, NewPlace(b).Open(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, OnServer(b).Open(b)) })
}
