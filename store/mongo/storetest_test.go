package mongo_test

import (
	"context"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/storetest"
)

func TestDocumentsSuite(t *testing.T) {
	storetest.Documents(t, func(tb testing.TB) storetest.DocumentsStore {
		tb.Helper()
		name := database(tb)
		client := connect(tb, teststack.Mongo(tb))
		return storetest.DocumentsStore{
			Documents: open(tb, name),
			Emitted:   func(ctx context.Context) ([]string, error) { return emitted(ctx, client, name) },
		}
	})
}
