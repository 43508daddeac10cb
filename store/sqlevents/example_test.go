package sqlevents_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "events")
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
	events, err := sqlevents.New(sqlevents.Config{DB: db})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := platform.New(platform.Config{}, db, events)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// The state and its event commit together; the stream's relay does the rest.
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
	consumer, end := context.WithCancel(ctx)
	err = events.Consume(consumer, "welcome", func(_ context.Context, batch []platform.Event) error {
		for _, e := range batch {
			fmt.Println(e.Tenant, e.Type, e.Subject)
		}
		end()
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	if err := p.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: org_acme user.signed_up usr_ada
}
