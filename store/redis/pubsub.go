package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// PubSub returns the place for live messages. It lives as long as the client,
// whose Stop ends all subscriptions. Errors are of [platform.KindUnavailable]
// where the server does not answer.
func (c *Client) PubSub() store.PubSub { return pubSub{c} }

type pubSub struct{ *Client }

// PartOf implements [platform.Part].
func (p pubSub) PartOf() platform.Module { return p.Client }

// Publish implements [store.PubSub]. After an error the message may have been
// sent.
func (p pubSub) Publish(ctx context.Context, tenant platform.TenantID, topic string, payload []byte) error {
	return p.call(ctx, tenant, func(ctx context.Context) error {
		cmd := goredis.NewIntCmd(ctx, "publish", p.key(tenant, topic), payload)
		// In a cluster go-redis would take any node for each message, and they
		// would overtake each other on their way between the nodes.
		cmd.SetFirstKeyPos(1)
		return p.redis.Process(ctx, once{cmd})
	})
}

// Subscribe implements [store.PubSub]. It returns when the server has confirmed
// the subscription. A message that finds 256 waiting for a slow receiver is
// dropped for this receiver and counted.
func (p pubSub) Subscribe(ctx context.Context, tenant platform.TenantID, topic string) (store.Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err := tenant.ValidateScope(); err != nil {
		return nil, err
	}
	if !p.started.Load() {
		return nil, errNotStarted()
	}
	s, err := p.hub.subscribe(ctx, p.key(tenant, topic))
	if err != nil { // or it would be a Subscription that is not nil
		return nil, err
	}
	return s, nil
}
