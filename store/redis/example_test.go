package redis_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/acme/platform/store/redis"
)

func Example() { //nolint:testableexamples // it needs a server
	ctx := context.Background()
	client, err := redis.New(redis.Config{
		URL:    "rediss://platform:secret@redis.example.com:6379/0",
		Prefix: "acme",
		Logger: slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer client.Stop(ctx) // or give it to platform.New, which starts and stops it

	count, left, err := client.Cache().Increment(ctx, "org_1", "calls", 1, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d calls, %v to go", count, left)

	sub, err := client.PubSub().Subscribe(ctx, "org_1", "changes")
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for m := range sub.C() {
		if m.Dropped > 0 {
			fmt.Println("some changes were missed: look at everything again")
		}
		fmt.Printf("%s", m.Payload)
	}
}

// A cluster, by two of its nodes.
func ExampleConfig_cluster() { //nolint:testableexamples // it needs a cluster
	ctx := context.Background()
	client, err := redis.New(redis.Config{
		URL:     "redis://platform:secret@10.0.0.1:6379?addr=10.0.0.2:6379",
		Cluster: true,
		Timeout: 300 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer client.Stop(ctx)
}
