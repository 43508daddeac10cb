package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

func TestConfig(t *testing.T) {
	_, err := mongo.New(mongo.Config{Batch: 20_000, Lease: time.Millisecond, Timeout: -1})
	for _, part := range []string{"URL", "Database", "Events", "Batch", "Lease", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+part) {
			t.Errorf("%s is not named: %v", part, err)
		}
	}
	if _, err := mongo.New(mongo.Config{URL: "http://x", Database: "d", Events: awayEvents{}}); err == nil {
		t.Error("a URL of something else was taken")
	}
}

// TestServerAway has no server at all: each call says so, soon, as something
// that may pass.
func TestServerAway(t *testing.T) {
	docs, err := mongo.New(mongo.Config{URL: "mongodb://127.0.0.1:1", Database: "d", Events: awayEvents{}, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 2 {
			if err := docs.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
	}()
	if err := docs.Start(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("start: %v", err)
	}
	if err := docs.Check(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
	_, err = docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpDelete, "x", "")}, nil)
	if !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("apply: %v", err)
	}
	if _, err := docs.Find(t.Context(), tenant, "c", store.Query{Limit: 1}); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("find: %v", err)
	}
	if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: "c"}); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
}
