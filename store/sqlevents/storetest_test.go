package sqlevents_test

import (
	"context"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/storetest"
)

func TestEventsSuite(t *testing.T) {
	storetest.Events(t, func(tb testing.TB) store.Events {
		tb.Helper()
		events, err := sqlevents.New(sqlevents.Config{DB: testdb.NewPlace(tb).Open(tb)})
		if err != nil {
			tb.Fatal(err)
		}
		if err := events.Start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := events.Stop(context.Background()); err != nil {
				tb.Error(err)
			}
		})
		return events
	})
}
