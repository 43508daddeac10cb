package testdb

import (
	"flag"
	"sync/atomic"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
)

// onPostgres is which of its two runs a test program is in.
var onPostgres atomic.Bool

// OnPostgres reports whether the tests run on PostgreSQL.
func OnPostgres() bool { return onPostgres.Load() }

// Main runs the tests of a package twice: on SQLite, and then on PostgreSQL as
// far as a place of [NewPlace] is theirs. Benchmarks run on SQLite. A TestMain
// calls os.Exit with what it returns.
func Main(m *testing.M) int {
	code := teststack.Main(m)
	if code != 0 || !onlyTests() {
		return code
	}
	onPostgres.Store(true)
	return teststack.Main(m)
}

// onlyTests reports whether the program was asked for tests and nothing else.
func onlyTests() bool {
	for _, name := range []string{"test.bench", "test.fuzz", "test.list"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}

// SQLiteOnly skips a test that has nothing to do with PostgreSQL, such as one of
// the file, where it would only run twice.
func SQLiteOnly(tb testing.TB) {
	tb.Helper()
	if OnPostgres() {
		tb.Skip("this is not about the store")
	}
}
