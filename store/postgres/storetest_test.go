package postgres_test

import (
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/storetest"
)

func TestRelationalSuite(t *testing.T) {
	storetest.Relational(t, func(tb testing.TB) store.Relational { return open(tb) })
}
