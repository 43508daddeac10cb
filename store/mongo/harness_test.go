package mongo_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

const (
	tenant = platform.TenantID("org_1")
	other  = platform.TenantID("org_2")
)

// awayEvents is a stream that takes nothing, so that events stay in the outbox.
type awayEvents struct{}

func (awayEvents) Publish(context.Context, ...platform.Event) error {
	return platform.Errorf(platform.KindUnavailable, "away", "the stream is away")
}

func (awayEvents) Consume(context.Context, string, store.EventHandler) error {
	return nil
}

// stream keeps what is published.
type stream struct {
	mu     sync.Mutex
	events []platform.Event
	refuse func(platform.Event) error
}

func (s *stream) Publish(_ context.Context, events ...platform.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if s.refuse != nil {
			if err := s.refuse(e); err != nil {
				return err
			}
		}
	}
	s.events = append(s.events, events...)
	return nil
}

func (*stream) Consume(context.Context, string, store.EventHandler) error { return nil }

func (s *stream) ids() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		ids = append(ids, e.ID)
	}
	return ids
}

// noGrace lets the sweeper take at once for a leftover what is one: it is less
// than one round trip, and more than the clock's step.
const noGrace = time.Microsecond

// database returns a name that no other test uses, and drops it in the end.
func database(tb testing.TB) string {
	tb.Helper()
	url := teststack.Mongo(tb)
	name := fmt.Sprintf("t%d", time.Now().UnixNano())
	tb.Cleanup(func() {
		c := connect(tb, url)
		if err := c.Database(name).Drop(context.Background()); err != nil {
			tb.Errorf("drop: %v", err)
		}
	})
	return name
}

func connect(tb testing.TB, url string) *driver.Client {
	tb.Helper()
	c, err := driver.Connect(options.Client().ApplyURI(url).SetRetryWrites(false).SetTimeout(20 * time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Disconnect(context.Background()); err != nil {
			tb.Errorf("disconnect: %v", err)
		}
	})
	return c
}

// open returns documents in a database, which other documents may share.
func open(tb testing.TB, name string, change ...func(*mongo.Config)) *mongo.Documents {
	tb.Helper()
	cfg := mongo.Config{URL: teststack.Mongo(tb), Database: name, Events: awayEvents{}, Interval: 20 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	docs, err := mongo.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := docs.Stop(ctx); err != nil {
			tb.Errorf("stop: %v", err)
		}
	})
	if err := docs.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return docs
}

// emitted returns the ids of the events in the outbox, in their order, of some
// tenants or of all.
func emitted(ctx context.Context, c *driver.Client, name string, of ...platform.TenantID) (ids []string, err error) {
	rows, err := c.Database(name).Collection("outbox").Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, err
	}
	var all []struct {
		Events []struct {
			ID     string            `bson:"id"`
			Tenant platform.TenantID `bson:"tenant"`
		} `bson:"events"`
	}
	if err := rows.All(ctx, &all); err != nil {
		return nil, err
	}
	for _, row := range all {
		for _, e := range row.Events {
			if len(of) == 0 || slices.Contains(of, e.Tenant) {
				ids = append(ids, e.ID)
			}
		}
	}
	return ids, nil
}
