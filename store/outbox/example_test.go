package outbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/sqlite"
)

// elsewhere stands for a stream that is not in the store, such as Kafka.
type elsewhere chan platform.Event

func (s elsewhere) Publish(_ context.Context, events ...platform.Event) error {
	for _, e := range events {
		s <- e
	}
	return nil
}

func (elsewhere) Consume(context.Context, string, store.EventHandler) error { return nil }

// A stream that is not in the store, such as Kafka, needs a relay beside it.
// Package sqlevents brings its own.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	stream := make(elsewhere, 1)
	relay, err := outbox.New(outbox.Config{DB: db, Events: stream})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := platform.New(platform.Config{}, db, relay)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// The state and its event commit together; the relay does the rest.
	err = db.InTenant(ctx, "org_acme", func(ctx context.Context, tx store.Tx) error {
		return tx.Emit(ctx, platform.Event{
			ID: platform.NewID("evt"), Source: "/user", Type: "user.signed_up",
			Tenant: "org_acme", Subject: "usr_ada", Time: time.Now(),
		})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := <-stream
	fmt.Println(e.Tenant, e.Type, e.Subject)
	if err := p.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: org_acme user.signed_up usr_ada
}
