package consumer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/consumer"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "consumer")
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
	type orderPlaced struct {
		Amount int `json:"amount"`
	}
	done := make(chan struct{})
	billing, err := consumer.New(consumer.Config{Name: "billing", DB: db, Events: events},
		consumer.On("shop.order.placed", func(_ context.Context, tx store.Tx, e platform.Event, o orderPlaced) error {
			fmt.Println(tx.Tenant(), e.Subject, o.Amount)
			close(done)
			return nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := platform.New(platform.Config{}, db, events, billing)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// Services do not publish: they emit in a transaction, and the stream's
	// relay publishes. Here it is done by hand.
	ann := platform.Principal{Tenant: "org_acme", Subject: "usr_ann", Kind: platform.PrincipalUser}
	event, err := platform.NewEvent(ann, "shop.order.placed", "order/1", orderPlaced{Amount: 12})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := events.Publish(ctx, event); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	if err := p.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: org_acme order/1 12
}
