package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
)

// code is what an error for callers is known by.
func code(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// calls are all that need the server.
func calls(d *mongo.Documents) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Apply": func(ctx context.Context) error {
			_, err := d.Apply(ctx, tenant, "c", []store.Change{change(store.OpDelete, "x", "")}, nil)
			return err
		},
		"Get":  func(ctx context.Context) error { _, err := d.Get(ctx, tenant, "c", "x"); return err },
		"Find": func(ctx context.Context) error { _, err := d.Find(ctx, tenant, "c", store.Query{Limit: 1}); return err },
		"Count": func(ctx context.Context) error {
			_, err := d.Count(ctx, tenant, "c", document.Filter{}, nil)
			return err
		},
		"Size":        func(ctx context.Context) error { _, err := d.Size(ctx, tenant); return err },
		"Collections": func(ctx context.Context) error { _, err := d.Collections(ctx, tenant); return err },
		"PutCollection": func(ctx context.Context) error {
			_, err := d.PutCollection(ctx, tenant, store.Collection{Name: "c"})
			return err
		},
		"DropCollection": func(ctx context.Context) error { return d.DropCollection(ctx, tenant, "c", 0) },
		"Check":          d.Check,
	}
}

// New asks no server, nor a name server for one. Before Start every call says so,
// and documents that were never started can be stopped.
func TestNotStarted(t *testing.T) {
	for _, url := range []string{"mongodb://127.0.0.1:1", "mongodb+srv://u:p@nowhere.invalid/acme"} {
		d, err := mongo.New(mongo.Config{URL: url, Events: awayEvents{}})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range calls(d) {
			if err := call(t.Context()); code(err) != "store_not_started" || platform.KindOf(err) != platform.KindUnavailable {
				t.Errorf("%s: got %v", name, err)
			}
		}
		for range 2 {
			if err := d.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := d.Start(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("a start after Stop: %v", err)
		}
	}
}

// A Start that failed may be repeated, by a client of ours and by one of the host.
func TestStartAgain(t *testing.T) {
	url := teststack.Mongo(t)
	for name, cfg := range map[string]mongo.Config{
		"ours":       {URL: url, Database: database(t)},
		"the host's": {Client: connect(t, url), Database: database(t)},
	} {
		t.Run(name, func(t *testing.T) {
			opened, err := cfg.Open(store.Env{Events: awayEvents{}})
			if err != nil {
				t.Fatal(err)
			}
			d := opened.(*mongo.Documents)
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := d.Start(ended); err == nil {
				t.Fatal("it started with a context that has ended")
			}
			if err := d.Check(t.Context()); code(err) != "store_not_started" {
				t.Errorf("got %v", err)
			}
			for range 2 {
				if err := d.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.PutCollection(t.Context(), tenant, store.Collection{Name: "c"}); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := d.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// An opener says what is wrong before the start, and shows no password.
func TestOpenRefuses(t *testing.T) {
	env := store.Env{Events: awayEvents{}}
	for want, opener := range map[string]store.DocumentsOpener{
		"URL must be one of MongoDB": mongo.Open("http://u:hunter2@h"),
		"cannot be read":             mongo.Open("mongodb://u:hunter%2@h"),
		"Timeout":                    mongo.Config{URL: "mongodb://u:hunter2@h", Timeout: -time.Second}.Open,
		"Database":                   mongo.Config{Client: connect(t, "mongodb://127.0.0.1:1")}.Open,
	} {
		d, err := opener(env)
		if d != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, %v; want %q", d, err, want)
		}
	}
	if d, err := mongo.Open("mongodb://h")(store.Env{}); d != nil || err == nil || !strings.Contains(err.Error(), "Events") {
		t.Errorf("without a stream: %v, %v", d, err)
	}
}
