package teststack

import (
	"context"
	"time"

	"github.com/testcontainers/testcontainers-go/wait"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// pinged waits until a MongoDB answers: the engine opens its port at once.
type pinged string

// WaitUntilReady implements [wait.Strategy].
func (url pinged) WaitUntilReady(ctx context.Context, _ wait.StrategyTarget) error {
	for {
		err := ping(ctx, string(url))
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ping asks once, since a client that has failed waits half a second before it
// tries again.
func ping(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(url).SetServerSelectionTimeout(200 * time.Millisecond))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	return client.Ping(ctx, nil)
}
