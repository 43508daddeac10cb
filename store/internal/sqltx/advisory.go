package sqltx

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/uptrace/bun/dialect"

	"github.com/acme/platform/store"
)

// OnPostgres reports whether db speaks PostgreSQL's SQL. Where it does not, it
// has one writer.
func OnPostgres(db store.TenantDB) bool { return db.Dialect().Name() == dialect.PG }

// AdvisoryKey is the key of the advisory lock of PostgreSQL that stands for a
// name, which is the parts together. It is for what [Tx.Lock] cannot express: a
// lock that is shared, that is only tried, or that transactions of many tenants
// take. Two names with the same key wait for each other, which is harmless.
func AdvisoryKey(parts ...string) int64 {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
