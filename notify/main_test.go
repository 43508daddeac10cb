package notify_test

import (
	"os"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
)

// TestMain runs every test on SQLite and on PostgreSQL.
func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }
