package kafka_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/acme/platform"
	"github.com/acme/platform/store/kafka"
)

// A cluster of three brokers, with encryption and a password.
func Example() {
	mechanism, err := scram.Mechanism(scram.SHA512, "platform", "from your secrets")
	if err != nil {
		fmt.Println(err)
		return
	}
	events, err := kafka.New(kafka.Config{
		Brokers: []string{"kafka-1:9093", "kafka-2:9093", "kafka-3:9093"},
		Topic:   "acme.events",
		TLS:     &tls.Config{MinVersion: tls.VersionTLS12},
		SASL:    mechanism,
		Logger:  slog.Default(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The stream goes before the modules that consume.
	p, err := platform.New(platform.Config{}, events)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = p // p.Start(ctx) connects
	fmt.Println(events.Name())
	// Output: kafka
}

// An operator looks at the dead letters, and replays them after a repair.
func ExampleEvents_Replay() {
	repair := func(ctx context.Context, events *kafka.Events) error {
		letters, err := events.Dead(ctx, kafka.DeadQuery{Group: "notify"})
		if err != nil {
			return err
		}
		for _, l := range letters {
			fmt.Println(l.Event.Tenant, l.Event.Type, l.Cause)
			if err := events.Replay(ctx, l.ID); err != nil {
				return err
			}
		}
		return nil
	}
	_ = repair
	// Output:
}
